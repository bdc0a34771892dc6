package pcap

import (
	"container/heap"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// window holds exchanges until they can leave in the order of time: from the
// first byte of a request on, so that none of an earlier time is still to come
// when one leaves.
type window struct {
	limits Limits
	log    *ledger

	heap   items // the oldest first
	seq    int64
	bytes  int64
	last   int64 // time of the request that left last
	forced int64 // requests that left before their response because the window was full
	late   int64 // requests that left after later ones
}

// overhead is what an exchange takes beside its bodies, in bytes, roughly.
const overhead = 1024

// item is an exchange in the window.
type item struct {
	exchange *traffic.Exchange // nil while the request is not complete
	at       int64
	seq      int64
	bytes    int64
	inside   bool // in the heap
	over     bool // nothing more is to come: it may leave, or without an exchange be forgotten
	left     bool
}

// open makes room for a request whose first byte came at the time.
func (w *window) open(at int64) *item {
	w.seq++
	it := &item{at: at, seq: w.seq}
	w.push(it)
	return it
}

func (w *window) push(it *item) {
	it.inside = true
	heap.Push(&w.heap, it)
}

// fill puts the request in.
func (w *window) fill(it *item, x *traffic.Exchange) {
	it.exchange = x
	w.grow(it, int64(len(x.Request.Body.Bytes))+overhead)
	if !it.inside {
		w.push(it)
	}
}

func (w *window) grow(it *item, n int64) {
	it.bytes += n
	w.bytes += n
}

// drop forgets a request that did not become an exchange.
func (w *window) drop(it *item) { it.over = true }

// answer gives an exchange its response, unless it has left.
func (w *window) answer(it *item, r *traffic.Response, t traffic.Timing) bool {
	it.over = true
	if it.left {
		return false
	}
	it.exchange.Response, it.exchange.Timing = r, t
	w.grow(it, int64(len(r.Body.Bytes)))
	return true
}

// unanswered says that no response will come.
func (w *window) unanswered(it *item) { it.over = true }

// next returns the next exchange, or nil where more packets are needed first.
// ended says that there are none.
func (w *window) next(ended bool) *traffic.Exchange {
	for len(w.heap) > 0 {
		it := w.heap[0]
		full := len(w.heap) > w.limits.Exchanges || w.bytes > w.limits.Bytes
		if !it.over && !ended && !full {
			return nil
		}
		heap.Pop(&w.heap)
		it.inside = false
		if it.exchange == nil {
			continue // it did not become one; or it comes back when it is complete
		}
		if !it.over {
			w.forced++
		}
		return w.leave(it)
	}
	return nil
}

func (w *window) leave(it *item) *traffic.Exchange {
	it.left = true
	w.bytes -= it.bytes
	if it.at < w.last {
		w.late++
	}
	w.last = max(w.last, it.at)
	w.log.Read++
	if it.exchange.Response != nil {
		w.log.Paired++
	}
	x := it.exchange
	it.exchange = nil
	return x
}

// items is a heap by time, then by the order of arrival.
type items []*item

func (h items) Len() int { return len(h) }
func (h items) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h items) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *items) Push(x any)   { *h = append(*h, x.(*item)) }
func (h *items) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
