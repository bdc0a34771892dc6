package middleware

import "sync/atomic"

// memory is what all exchanges of a recorder may take together, in bytes.
type memory struct {
	size  int64
	taken atomic.Int64
}

// take asks for n bytes more.
func (m *memory) take(n int64) bool {
	if m.taken.Add(n) > m.size {
		m.taken.Add(-n)
		return false
	}
	return true
}

// give returns n bytes.
func (m *memory) give(n int64) { m.taken.Add(-n) }
