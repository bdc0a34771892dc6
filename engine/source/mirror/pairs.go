package mirror

import (
	"container/list"
	"hash/maphash"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What waits for its other half.
const (
	maxWaiting = 64 << 10  // requests at once
	waitRoom   = 128 << 20 // bytes that they take
	maxEarly   = 64 << 10  // lines that came before their request
	maxSame    = 64        // requests, or lines, of the same id
	maxID      = 256       // bytes; what has a longer id is paired with nothing
)

// pairs brings requests together with the lines of a log. A request leaves when
// its line has come, but not before an earlier one of its session, and at the
// latest when it has waited long enough. It has no lock of its own.
type pairs struct {
	wait    time.Duration
	deliver func(*traffic.Exchange) // to be set before anything is taken in

	// doubtful says that an answer of 204 may be that of this receiver: nginx
	// has a line for the mirrored request as well where log_subrequest is on. It
	// comes first, because the client's request ends after its subrequests
	// (ngx_http_finalize_request in ngx_http_request.c).
	doubtful bool

	waiting  list.List // of *half, in the order in which they came
	bytes    int64
	byID     map[string][]*half // of those, the ones whose line may still come
	sessions map[string][]*half // of those, the ones of each session

	early     list.List                  // of *line, in the order in which they came
	earlyByID map[string][]*list.Element // into early

	unmatched int64 // requests without a line
	hurried   int64 // of them, those that there was no room for
	nameless  int64 // requests without an id of their own
	orphans   int64 // lines without a request
}

// half is a request that waits.
type half struct {
	x     *traffic.Exchange
	since time.Time
	size  int64
	key   uint64
	ready bool // nothing is to come for it
	found bool // a line was
	place *list.Element
}

// line is what is kept of a line of the log.
type line struct {
	id     string
	key    uint64
	answer *traffic.Response // nil: nobody received one
	timing traffic.Timing
	since  time.Time
}

func newPairs(wait time.Duration, doubtful bool) *pairs {
	return &pairs{
		wait: wait, doubtful: doubtful,
		byID: make(map[string][]*half), sessions: make(map[string][]*half), earlyByID: make(map[string][]*list.Element),
	}
}

var seed = maphash.MakeSeed()

// keyOf tells requests with the same id apart: a client that tries again may
// use it twice, and services that call each other do.
func keyOf(r *traffic.Request) uint64 { return maphash.String(seed, r.Method+" "+r.Target) }

// request takes in a request that was mirrored.
func (p *pairs) request(x *traffic.Exchange, now time.Time) {
	h := &half{x: x, since: now, size: sizeOf(x), key: keyOf(&x.Request)}
	h.place = p.waiting.PushBack(h)
	p.bytes += h.size
	if x.Session != "" {
		p.sessions[x.Session] = append(p.sessions[x.Session], h)
	}
	if x.ID == "" || len(x.ID) > maxID || len(p.byID[x.ID]) == maxSame {
		p.nameless++
		p.release(h)
	} else {
		p.byID[x.ID] = append(p.byID[x.ID], h)
		p.matchEarly(h)
	}
	for p.waiting.Len() > maxWaiting || p.bytes > waitRoom && p.waiting.Len() > 1 {
		p.hurried++
		p.giveUp()
	}
}

// answer takes in a line of the log.
func (p *pairs) answer(x *traffic.Exchange, now time.Time) {
	l := &line{id: x.ID, key: keyOf(&x.Request), answer: x.Response, timing: x.Timing, since: now}
	if h := best(p.byID[l.id], l.key); h != nil {
		p.match(h, l)
		return
	}
	if l.id == "" || len(l.id) > maxID || len(p.earlyByID[l.id]) == maxSame {
		p.orphans++
		return
	}
	p.earlyByID[l.id] = append(p.earlyByID[l.id], p.early.PushBack(l))
	if p.early.Len() > maxEarly {
		p.orphan()
	}
}

// best is the request that a line is about: the first one of its method and
// target, or else the first one, because a proxy may have rewritten the target.
func best(hs []*half, key uint64) *half {
	for _, h := range hs {
		if h.key == key {
			return h
		}
	}
	for _, h := range hs {
		if !h.found {
			return h
		}
	}
	return nil
}

// match gives a request what the log says about it.
func (p *pairs) match(h *half, l *line) {
	h.x.Response, h.x.Timing, h.found = l.answer, traffic.Timing{}, true
	if l.answer != nil && l.timing.Kind != "" {
		h.x.Timing = l.timing
		h.x.Timing.Kind = traffic.TimingProxy
	}
	if p.doubtful && l.answer != nil && l.answer.Status == 204 {
		return // another line may come
	}
	p.release(h)
}

// matchEarly gives a request the lines that came before it, in their order.
func (p *pairs) matchEarly(h *half) {
	elements := p.earlyByID[h.x.ID]
	for _, same := range [...]bool{true, false} {
		for i := 0; i < len(elements) && !h.ready; i++ {
			l := elements[i].Value.(*line)
			if (l.key == h.key) != same || !same && h.found {
				continue
			}
			p.early.Remove(elements[i])
			elements = append(elements[:i:i], elements[i+1:]...)
			i--
			p.match(h, l)
		}
	}
	keep(p.earlyByID, h.x.ID, elements)
}

// expire lets go of what has waited long enough.
func (p *pairs) expire(now time.Time) {
	for e := p.waiting.Front(); e != nil && now.Sub(e.Value.(*half).since) >= p.wait; e = p.waiting.Front() {
		p.giveUp()
	}
	for e := p.early.Front(); e != nil && now.Sub(e.Value.(*line).since) >= p.wait; e = p.early.Front() {
		p.orphan()
	}
}

// flush lets go of everything.
func (p *pairs) flush() {
	for p.waiting.Len() > 0 {
		p.giveUp()
	}
	for p.early.Len() > 0 {
		p.orphan()
	}
}

// giveUp hands out the request that has waited longest. It is the first one of
// its session.
func (p *pairs) giveUp() {
	h := p.waiting.Front().Value.(*half)
	if !h.found {
		p.unmatched++
	}
	p.release(h)
}

// orphan counts the line that has waited longest.
func (p *pairs) orphan() {
	e := p.early.Front()
	id := e.Value.(*line).id
	p.early.Remove(e)
	p.orphans++
	keep(p.earlyByID, id, without(p.earlyByID[id], e))
}

// release notes that a request waits no longer, and hands it out with those that
// waited for it alone.
func (p *pairs) release(h *half) {
	h.ready = true
	keep(p.byID, h.x.ID, without(p.byID[h.x.ID], h))
	if h.x.Session == "" {
		p.hand(h)
		return
	}
	mates := p.sessions[h.x.Session]
	for len(mates) > 0 && mates[0].ready {
		p.hand(mates[0])
		mates[0] = nil
		mates = mates[1:]
	}
	keep(p.sessions, h.x.Session, mates)
}

func (p *pairs) hand(h *half) {
	p.waiting.Remove(h.place)
	p.bytes -= h.size
	p.deliver(h.x)
}

// keep sets a list of a map, or deletes it where it is empty.
func keep[T any](m map[string][]T, key string, items []T) {
	if len(items) == 0 {
		delete(m, key)
	} else {
		m[key] = items
	}
}

// without takes one item out of a list.
func without[T comparable](items []T, item T) []T {
	for i := range items {
		if items[i] == item {
			return append(items[:i], items[i+1:]...)
		}
	}
	return items
}

// sizeOf is what a request takes in memory, with its fields.
func sizeOf(x *traffic.Exchange) int64 {
	size := source.SizeOf(x) + int64(len(x.Request.Target))
	for _, f := range x.Request.Header {
		size += int64(len(f.Name) + len(f.Value))
	}
	return size
}
