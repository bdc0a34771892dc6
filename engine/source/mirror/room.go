package mirror

import "sync/atomic"

// room is what all requests that are under way may take in memory together, in
// bytes. Without it thousands of senders with a body each could fill the
// memory, though none of them sends much.
type room struct {
	size  int64
	taken atomic.Int64
}

// take asks for n bytes more.
func (r *room) take(n int) bool {
	if r.taken.Add(int64(n)) > r.size {
		r.taken.Add(-int64(n))
		return false
	}
	return true
}

// give returns n bytes.
func (r *room) give(n int64) { r.taken.Add(-n) }
