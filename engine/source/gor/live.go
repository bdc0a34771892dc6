package gor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Stream reads the records that a GoReplay sends over one connection, in the
// format of its files. It belongs to one goroutine.
type Stream struct {
	file *file
	log  *ledger
}

// NewStream reads from in. A record of more than limit bytes is passed over
// and counted as malformed. io.EOF of in may come at any place; every other
// error ends the stream without a look at what came last.
func NewStream(in io.ReadCloser, limit int) *Stream {
	s := &Stream{log: new(ledger)}
	s.file = newFile("", in, limit, newParser(), s.log)
	s.file.live = true
	s.file.scan.least, s.file.scan.most = liveBuffer, liveBuffer
	s.file.scan.buf = make([]byte, liveBuffer)
	return s
}

// Advance waits for the next request or response, on which the stream then
// stands until the next call. io.EOF says that there is none.
func (s *Stream) Advance(ctx context.Context) error { return s.file.Advance(ctx) }

// Pairer brings together the requests and responses of live streams. A request
// leaves as soon as its response has come, but never before an earlier one of
// its session. Where no response comes it leaves without one when its time is
// up; a response that comes later than that is an orphan.
//
// The accounts are those of the package comment, where what Add, Expire and
// Flush return is what was read. A Pairer belongs to one goroutine at a time.
type Pairer struct {
	window   *window
	wait     time.Duration
	sessions map[string][]*request // by time
	arrivals []*request            // in the order in which they came; some have left
	forced   int64
}

// NewPairer makes a Pairer for the exchanges of the source called name. wait is
// how long a request waits for its response, and a response for its request.
// Of window, Records and Bytes count.
func NewPairer(name string, wait time.Duration, w Window) *Pairer {
	return &Pairer{
		window:   newWindow(name, w.withDefaults(), newParser(), new(ledger)),
		wait:     wait,
		sessions: make(map[string][]*request),
	}
}

// Add takes in the record on which s stands, which arrived at now, and returns
// the exchanges that can leave.
func (p *Pairer) Add(s *Stream, now time.Time) []*traffic.Exchange {
	p.Account(s)
	p.window.seq++
	var key string
	if r := &s.file.record; r.kind == typeRequest {
		q := p.window.addRequest(r)
		q.due = now.Add(p.wait)
		key = q.key()
		p.sessions[key] = insert(p.sessions[key], q, func(a, b *request) bool { return a.stamp.at < b.stamp.at })
		p.arrive(q)
	} else {
		a := p.window.addAnswer("", r)
		a.due = now.Add(p.wait)
		if t := p.window.threads[a.id]; len(t.requests) > 0 {
			key = t.requests[0].key()
		}
	}
	out := p.release(key, nil)
	return p.makeRoom(out)
}

// arrive notes the order in which requests came. Of those that have left only
// as many are kept as are still here.
func (p *Pairer) arrive(q *request) {
	if len(p.arrivals) > 2*len(p.window.requests)+1024 {
		p.arrivals = slices.DeleteFunc(p.arrivals, func(q *request) bool { return q.index < 0 })
	}
	p.arrivals = append(p.arrivals, q)
}

// Account moves what s has counted to the accounts of p.
func (p *Pairer) Account(s *Stream) {
	log, c := p.window.log, &s.log.Counts
	log.Records += c.Records
	log.Malformed += c.Malformed
	log.Truncated += c.Truncated
	log.TruncatedRequests += c.TruncatedRequests
	log.ReplayedResponses += c.ReplayedResponses
	for _, w := range s.log.Warnings() {
		log.Warn("", -1, w.Text)
	}
	*s.log = ledger{}
}

// Expire returns the exchanges whose time is up at now.
func (p *Pairer) Expire(now time.Time) []*traffic.Exchange {
	var out []*traffic.Exchange
	n := 0
	for _, q := range p.arrivals {
		if q.index >= 0 && now.Before(q.due) {
			break
		}
		n++
		if q.index >= 0 {
			q.expired = true
			out = p.release(q.key(), out)
		}
	}
	clear(p.arrivals[:n])
	p.arrivals = p.arrivals[n:]
	p.giveUp(func(a *answer) bool { return !now.Before(a.due) })
	return out
}

// Flush returns all that is left, when the streams have ended.
func (p *Pairer) Flush() []*traffic.Exchange {
	var out []*traffic.Exchange
	for _, q := range p.arrivals {
		if q.index >= 0 {
			q.expired = true
			out = p.release(q.key(), out)
		}
	}
	p.arrivals = nil
	p.giveUp(func(*answer) bool { return true })
	return out
}

// Counts returns the counters as they are now.
func (p *Pairer) Counts() source.Counts { return p.window.log.Counts }

// Warnings returns what was found wrong so far.
func (p *Pairer) Warnings() []source.Warning {
	ws := p.window.log.Warnings()
	if p.forced > 0 {
		ws = append(ws, source.Warning{Offset: -1, Text: fmt.Sprintf("%d requests had to leave before their response came, because too much waited", p.forced)})
	}
	return ws
}

// key is what requests leave in order of: the session, or where there is none
// the id.
func (q *request) key() string {
	if q.exchange.Session != "" {
		return q.exchange.Session
	}
	return q.exchange.ID
}

// release lets the first requests of a session leave, up to one that has to
// wait.
func (p *Pairer) release(key string, out []*traffic.Exchange) []*traffic.Exchange {
	queue := p.sessions[key]
	for len(queue) > 0 {
		q := queue[0]
		choice, sure := q.thread.choose()
		if !sure && !q.expired {
			break
		}
		queue[0] = nil
		queue = queue[1:]
		out = append(out, p.window.leave(q.thread, choice))
		q.exchange, q.thread = nil, nil // it may stay among the arrivals for a while
	}
	if len(queue) == 0 {
		delete(p.sessions, key)
	} else {
		p.sessions[key] = queue
	}
	return out
}

// makeRoom lets those who have waited longest leave while too much is held.
func (p *Pairer) makeRoom(out []*traffic.Exchange) []*traffic.Exchange {
	for p.window.full() && len(p.arrivals) > 0 {
		q := p.arrivals[0]
		p.arrivals[0] = nil
		p.arrivals = p.arrivals[1:]
		if q.index < 0 {
			continue
		}
		q.expired = true
		p.forced++
		out = p.release(q.key(), out)
	}
	if p.window.full() {
		p.giveUp(func(*answer) bool { return p.window.full() })
	}
	return out
}

// giveUp makes orphans of the lone answers from the first one on, up to one
// that is not old.
func (p *Pairer) giveUp(old func(*answer) bool) {
	w := p.window
	n := 0
	for _, a := range w.lone {
		if !a.done && !old(a) {
			break
		}
		n++
		w.giveUp(a)
	}
	clear(w.lone[:n])
	w.lone = w.lone[n:]
}
