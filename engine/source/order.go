package source

import (
	"container/heap"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Order puts exchanges in the order of their time, for recordings that are
// written in the order in which responses end. It holds a window of them; one
// that is further out of order stays where it is, and is counted.
type Order struct {
	Exchanges int   // held at once
	Bytes     int64 // held at once

	held  waiting
	bytes int64
	seq   int64
	last  int64
	late  int64
	begun bool
}

// Add takes an exchange in. size is what it takes in memory, in bytes, roughly.
func (o *Order) Add(x *traffic.Exchange, size int64) {
	o.seq++
	o.bytes += size
	heap.Push(&o.held, waiter{exchange: x, at: x.At.UnixNano(), seq: o.seq, size: size})
}

// Full reports whether an exchange has to leave before another one comes.
func (o *Order) Full() bool {
	return len(o.held) > o.Exchanges || o.bytes > o.Bytes
}

// First returns the earliest exchange that is held, nil where there is none.
func (o *Order) First() *traffic.Exchange {
	if len(o.held) == 0 {
		return nil
	}
	return o.held[0].exchange
}

// Next takes the earliest exchange out; those of the same time leave as they
// came. It is nil when none is held.
func (o *Order) Next() *traffic.Exchange {
	if len(o.held) == 0 {
		return nil
	}
	w := heap.Pop(&o.held).(waiter)
	o.bytes -= w.size
	if o.begun && w.at < o.last {
		o.late++
	}
	if !o.begun || w.at > o.last {
		o.last, o.begun = w.at, true
	}
	return w.exchange
}

// Late is how many exchanges came after a later one had left.
func (o *Order) Late() int64 { return o.late }

// waiter is an exchange that waits for those before it.
type waiter struct {
	exchange *traffic.Exchange
	at, seq  int64
	size     int64
}

// waiting is a heap by time, then by the order of arrival.
type waiting []waiter

func (h waiting) Len() int { return len(h) }
func (h waiting) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h waiting) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *waiting) Push(x any)   { *h = append(*h, x.(waiter)) }
func (h *waiting) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = waiter{}
	*h = old[:len(old)-1]
	return last
}
