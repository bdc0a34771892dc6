package preview

import "time"

// meter measures how many requests are due within any one second. It counts on
// a grid of a millisecond, so that its memory does not depend on the traffic.
type meter struct {
	cells    [1000]int64 // requests due in each of the last thousand milliseconds
	last     int64       // the latest millisecond
	window   int64       // sum of the cells
	peak     int64
	n        int64
	from, to time.Duration
}

// add counts a request. Due times must not fall.
func (m *meter) add(due time.Duration) {
	ms := int64(due / time.Millisecond)
	if m.n == 0 {
		m.from, m.last = due, ms
	}
	if ms-m.last >= int64(len(m.cells)) {
		clear(m.cells[:])
		m.window, m.last = 0, ms
	}
	for m.last < ms {
		m.last++
		cell := &m.cells[m.last%int64(len(m.cells))]
		m.window -= *cell
		*cell = 0
	}
	m.cells[ms%int64(len(m.cells))]++
	m.window++
	m.peak = max(m.peak, m.window)
	m.n++
	m.to = due
}

// span is the time from the first due time to the last.
func (m *meter) span() time.Duration { return m.to - m.from }

// mean is the rate between the first and the last request, per second: of n
// requests there are n-1 gaps. It is 0 where there is none.
func (m *meter) mean() float64 {
	if m.span() <= 0 {
		return 0
	}
	return float64(m.n-1) / m.span().Seconds()
}
