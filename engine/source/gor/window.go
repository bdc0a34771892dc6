package gor

import (
	"bytes"
	"container/heap"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// window holds records until requests can leave it in the order of time, each
// with its response.
//
// The oldest request leaves when its response is known and Reorder more records
// have been read since it came, so that none of an earlier time is to be
// expected; or when the window is full; or when the input has ended. A
// response whose id no request in the window has is kept for Reorder records,
// then it is an orphan.
type window struct {
	source string
	limits Window
	parser *parser
	log    *ledger

	requests requests           // a heap, the oldest first
	threads  map[string]*thread // by id, those that hold anything
	lone     []*answer          // answers that came without a request, in the order of arrival
	spare    []*thread

	seq    int64 // records that came in
	held   int   // records that are in
	bytes  int64 // their payloads, and something for each
	last   int64 // time of the request that left last
	late   int64 // requests that came after a later one had left
	forced int64 // requests that left without a response because the window was full
}

// overhead is what a record takes beside its payload, in bytes, roughly.
const overhead = 512

// request is a request in the window.
type request struct {
	exchange *traffic.Exchange
	thread   *thread
	stamp    stamp
	seq      int64
	size     int64
	index    int // in the heap; -1 when it has left

	due     time.Time // when a live request leaves without its response
	expired bool      // it did not come in time
}

// answer is a response in the window. It is parsed when its request is known,
// since a response to HEAD looks unfinished to anybody else.
type answer struct {
	id      string
	stamp   stamp
	seq     int64
	payload []byte
	file    string
	offset  int64
	cut     bool // counted with the file
	done    bool // paired or given up

	due time.Time // when a live answer is given up
}

func (a *answer) size() int64 { return int64(len(a.payload)) + overhead }

// thread is what the window holds of one id: as a rule, one exchange. In
// release 1.2 it is a connection.
type thread struct {
	requests []*request // by time
	answers  []*answer  // by time; those without one first
	request0 [1]*request
	answer0  [1]*answer
}

func newWindow(source string, limits Window, p *parser, log *ledger) *window {
	return &window{source: source, limits: limits, parser: p, log: log, threads: make(map[string]*thread)}
}

// add takes in the record that f stands on.
func (w *window) add(f *file) {
	w.seq++
	r := &f.record
	if r.kind == typeRequest {
		w.addRequest(r)
	} else {
		w.addAnswer(f.name, r)
	}
	w.expire()
}

func (r *record) stamp() stamp {
	return stamp{at: r.at, latency: r.latency, timed: r.timed, wide: r.wide}
}

func (w *window) addRequest(r *record) *request {
	id := string(r.id)
	t := w.threads[id]
	if t == nil {
		t = w.newThread()
		w.threads[id] = t
	}
	q := &request{
		exchange: &traffic.Exchange{
			Source:  w.source,
			ID:      id,
			Session: session(id, r.wide),
			At:      time.Unix(0, r.at).UTC(),
			Request: *r.request,
			Offset:  r.offset,
		},
		thread: t,
		stamp:  r.stamp(),
		seq:    w.seq,
		size:   int64(r.size) + overhead,
	}
	t.requests = insert(t.requests, q, func(a, b *request) bool { return a.stamp.at < b.stamp.at })
	heap.Push(&w.requests, q)
	w.held++
	w.bytes += q.size
	return q
}

func (w *window) addAnswer(file string, r *record) *answer {
	t := w.threads[string(r.id)]
	var id string
	switch {
	case t == nil:
		id = string(r.id)
		t = w.newThread()
		w.threads[id] = t
	case len(t.requests) > 0:
		id = t.requests[0].exchange.ID
	default:
		id = t.answers[0].id
	}
	a := &answer{
		id:      id,
		stamp:   r.stamp(),
		seq:     w.seq,
		payload: slices.Clone(r.payload),
		file:    file,
		offset:  r.offset,
		cut:     r.cut,
	}
	t.answers = insert(t.answers, a, func(a, b *answer) bool { return a.stamp.at < b.stamp.at })
	if len(t.requests) == 0 {
		w.lone = append(w.lone, a)
	}
	w.held++
	w.bytes += a.size()
	return a
}

// insert puts x behind the last element that is not after it. That is nearly
// always the last one.
func insert[T any](list []T, x T, before func(a, b T) bool) []T {
	i := len(list)
	for i > 0 && before(x, list[i-1]) {
		i--
	}
	return slices.Insert(list, i, x)
}

func (w *window) newThread() *thread {
	var t *thread
	if n := len(w.spare); n > 0 {
		t, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		t = new(thread)
	}
	t.requests, t.answers = t.request0[:0], t.answer0[:0]
	return t
}

// settle forgets a thread that holds nothing any more.
func (w *window) settle(id string, t *thread) {
	if len(t.requests) > 0 || len(t.answers) > 0 {
		return
	}
	delete(w.threads, id)
	t.requests, t.answers = nil, nil
	t.request0[0], t.answer0[0] = nil, nil
	if len(w.spare) < 1024 {
		w.spare = append(w.spare, t)
	}
}

// next returns the next exchange, or nil where more records are needed first.
// ended says that there are none.
func (w *window) next(ended bool) *traffic.Exchange {
	if len(w.requests) == 0 {
		return nil
	}
	oldest := w.requests[0]
	choice, sure := oldest.thread.choose()
	if !ended && !w.full() && (!sure || w.seq-oldest.seq < int64(w.limits.Reorder)) {
		return nil
	}
	if choice < 0 && !sure && !ended {
		w.forced++
	}
	return w.leave(oldest.thread, choice)
}

func (w *window) full() bool {
	return w.held > w.limits.Records || w.bytes > w.limits.Bytes
}

// choose picks, for the first request of the thread, its response out of the
// answers: an index, or -1. sure tells that no record to come can change that.
//
// Where requests share an id, as in release 1.2, the k-th response belongs to
// the k-th request, but GoReplay loses some responses: all of those to HEAD.
// So order alone would give every later request of the connection its
// predecessor's response. Time decides: a response that begins before its
// request belongs to none, and of several requests that all began before the
// next responses, the last ones have them, since clients that send a second
// request without waiting for the first response are hardly found. The requests
// of one record have one time; they are answered in their order.
func (t *thread) choose() (choice int, sure bool) {
	first := t.requests[0]
	i := 0
	for i < len(t.answers) && (t.answers[i].done || t.answers[i].stamp.timed && t.answers[i].stamp.at < first.stamp.at) {
		i++
	}
	if i == len(t.answers) {
		return -1, false
	}
	if len(t.requests) == 1 || !t.answers[i].stamp.timed {
		return i, true
	}
	begun := sort.Search(len(t.requests), func(k int) bool {
		return t.requests[k].stamp.at > t.answers[i].stamp.at
	})
	together := 1 // requests of the same record as the first
	for together < begun && t.requests[together].stamp.at == first.stamp.at {
		together++
	}
	if begun == together {
		return i, true
	}
	if begun == len(t.requests) {
		enough := len(t.answers)-i >= begun
		if enough {
			return i, true
		}
		return -1, false
	}
	next := t.requests[begun].stamp.at
	until := sort.Search(len(t.answers), func(k int) bool {
		return t.answers[k].stamp.timed && t.answers[k].stamp.at >= next
	})
	if until-i >= begun {
		return i, true
	}
	return -1, true
}

// leave hands out the first request of the thread with the response that was
// chosen.
func (w *window) leave(t *thread, choice int) *traffic.Exchange {
	q := heap.Remove(&w.requests, t.requests[0].index).(*request)
	x := q.exchange
	t.requests[0] = nil
	t.requests = t.requests[1:]
	w.held--
	w.bytes -= q.size
	w.log.Read++
	if q.stamp.at < w.last {
		w.late++
	}
	w.last = max(w.last, q.stamp.at)
	if choice >= 0 {
		for _, a := range t.answers[:choice] {
			w.orphan(a)
		}
		a := t.answers[choice]
		next := w.respond(q, a)
		w.release(a)
		clear(t.answers[:choice+1])
		t.answers = t.answers[choice+1:]
		if next != nil {
			w.log.Records++
			t.answers = slices.Insert(t.answers, 0, next)
			w.held++
			w.bytes += next.size()
		}
	}
	if len(t.requests) == 0 {
		w.lone = append(w.lone, t.answers...)
	}
	w.settle(x.ID, t)
	return x
}

// respond gives the exchange its response. Where a record has several, it
// returns the others as an answer of their own.
func (w *window) respond(q *request, a *answer) (next *answer) {
	x := q.exchange
	response, taken, err := w.parser.response(a.payload, x.Request.Method)
	if err != nil && (err != io.ErrUnexpectedEOF || response == nil) {
		w.log.Malformed++
		w.log.Warn(a.file, a.offset, "response is not HTTP/1.x, left out: "+reason(err))
		return nil
	}
	if response.Body.State == traffic.Truncated && !a.cut {
		w.log.Truncated++
	}
	x.Response = response
	x.Timing = timing(x.ID, q.stamp, a.stamp)
	w.log.Paired++
	return w.leftover(a, taken)
}

// leftover looks at what stands behind a response: the response to a request
// that the client sent without waiting, or a record that a missing separator
// hides, which is only accounted for.
func (w *window) leftover(a *answer, taken int) (next *answer) {
	rest := bytes.TrimLeft(a.payload[taken:], "\r\n")
	switch {
	case bytes.HasPrefix(rest, []byte("HTTP/1.")) && !isInterim(rest):
		return &answer{
			id: a.id, stamp: a.stamp, seq: a.seq, payload: rest,
			file: a.file, offset: a.offset + int64(len(a.payload)-len(rest)), cut: a.cut, due: a.due,
		}
	case len(rest) > 0 && beginsRecord(rest):
		w.log.Records++
		w.log.Malformed++
		w.log.Warn(a.file, a.offset, "separator missing after the record; the next one is lost")
	}
	return nil
}

// orphan gives an answer up.
func (w *window) orphan(a *answer) {
	if a.done {
		return
	}
	w.log.OrphanResponses++
	w.release(a)
}

func (w *window) release(a *answer) {
	w.held--
	w.bytes -= a.size()
	a.done, a.payload = true, nil
}

// expire gives up the answers that have waited long enough for a request.
func (w *window) expire() {
	n := 0
	for _, a := range w.lone {
		old := w.seq-a.seq >= int64(w.limits.Reorder) || len(w.requests) == 0 && w.full()
		if !a.done && !old {
			break
		}
		n++
		w.giveUp(a)
	}
	if n > 0 {
		w.lone = slices.Delete(w.lone, 0, n)
	}
}

// giveUp makes an orphan of an answer, unless a request came for it.
func (w *window) giveUp(a *answer) {
	t := w.threads[a.id]
	if t == nil || len(t.requests) > 0 {
		return // it is lone again when they have left
	}
	w.orphan(a)
	i := 0
	for i < len(t.answers) && t.answers[i].done {
		t.answers[i] = nil
		i++
	}
	t.answers = t.answers[i:]
	w.settle(a.id, t)
}

// flush accounts for what is left at the end of the input, when all requests
// have left.
func (w *window) flush() {
	for _, a := range w.lone {
		w.giveUp(a)
	}
	w.lone = nil
	if w.late > 0 {
		w.log.Warn("", -1, fmt.Sprintf("%d requests are so far out of order that they were handed out after later ones", w.late))
	}
	if w.forced > 0 && w.log.OrphanResponses > 0 {
		w.log.Warn("", -1, fmt.Sprintf("%d requests had to be handed out before their response was found; a larger window may find it", w.forced))
	}
}

// requests is a heap by time, then by the order of arrival.
type requests []*request

func (h requests) Len() int { return len(h) }
func (h requests) Less(i, j int) bool {
	if h[i].stamp.at != h[j].stamp.at {
		return h[i].stamp.at < h[j].stamp.at
	}
	return h[i].seq < h[j].seq
}
func (h requests) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *requests) Push(x any) {
	q := x.(*request)
	q.index = len(*h)
	*h = append(*h, q)
}
func (h *requests) Pop() any {
	old := *h
	last := old[len(old)-1]
	last.index = -1
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
