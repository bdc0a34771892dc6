package gortcp

import "sync/atomic"

// room is what all records that are not complete yet may take in memory
// together, in bytes.
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
