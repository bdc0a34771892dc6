package packet

import (
	"container/heap"
	"container/list"

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
	aside  list.List // of *item: those that took too long, in the order of time
	ready  []*item   // of them, those that may leave
	last   int64     // time of the request that left last
	forced int64     // requests that left before their response because the window was full
	late   int64     // requests that left after later ones
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
	aside    *list.Element // nil: not there
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
	if !it.inside && it.aside == nil {
		w.push(it)
	}
}

func (w *window) grow(it *item, n int64) {
	it.bytes += n
	w.bytes += n
}

// drop forgets a request that did not become an exchange.
func (w *window) drop(it *item) { w.done(it) }

// answer gives an exchange its response, unless it has left.
func (w *window) answer(it *item, r *traffic.Response, t traffic.Timing) bool {
	if it.left {
		return false
	}
	it.exchange.Response, it.exchange.Timing = r, t
	w.grow(it, int64(len(r.Body.Bytes)))
	w.done(it)
	return true
}

// unanswered says that no response will come.
func (w *window) unanswered(it *item) { w.done(it) }

func (w *window) done(it *item) {
	it.over = true
	if it.aside == nil {
		return
	}
	w.aside.Remove(it.aside)
	it.aside = nil
	if it.exchange != nil {
		w.ready = append(w.ready, it)
	}
}

// setAside sets the oldest item aside, so that those behind it can leave.
func (w *window) setAside() {
	it := heap.Pop(&w.heap).(*item)
	it.inside = false
	it.aside = w.aside.PushBack(it)
}

// next returns the next exchange, or nil where more packets are needed first.
// clock is the time, in nanoseconds since 1970; ended says that there are no
// more packets.
func (w *window) next(clock int64, ended bool) *traffic.Exchange {
	if len(w.ready) > 0 {
		it := w.ready[0]
		w.ready = w.ready[1:]
		return w.leave(it)
	}
	for len(w.heap)+w.aside.Len() > 0 {
		full := len(w.heap)+w.aside.Len() > w.limits.Exchanges || w.bytes > w.limits.Bytes
		var it *item
		switch {
		case w.aside.Len() > 0 && (full || ended):
			it = w.aside.Remove(w.aside.Front()).(*item)
			it.aside = nil
		case len(w.heap) == 0:
			return nil
		case w.heap[0].over, ended, full:
			it = heap.Pop(&w.heap).(*item)
			it.inside = false
		case w.limits.Patience > 0 && clock-w.heap[0].at > w.limits.Patience:
			w.setAside()
			continue
		default:
			return nil
		}
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
