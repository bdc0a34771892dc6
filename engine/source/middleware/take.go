package middleware

import (
	"net/http"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// overhead is what an exchange takes beside its bodies, in bytes, roughly.
const overhead = 4 << 10

// take is an exchange that is under way. Handlers may read and write in several
// goroutines, some of which outlive the exchange: once it has ended, nothing is
// added to it.
type take struct {
	rec *Recorder

	mu       sync.Mutex
	ended    bool
	given    bool // up: memory ran out
	upgraded bool
	exchange *traffic.Exchange

	request  tape
	whole    bool // the request body was seen to its end
	sized    int64
	asked    time.Time // when the request had been read
	trailers func() traffic.Header

	response tape
	answered bool      // there is a status
	first    time.Time // byte of the response
	lost     bool      // a part of the response did not go out
	sniff    int       // bytes of the body that net/http looks at; -1: not settled yet
}

// begin decides whether a request is recorded; nil: it is not.
func (r *Recorder) begin(req *http.Request, session string) *take {
	select {
	case <-r.closing:
		return nil
	default:
	}
	r.tally.seen.Add(1)
	switch {
	case r.cfg.Skip != nil && r.cfg.Skip(req):
		r.tally.skipped.Add(1)
		return nil
	case !r.sampler.takes(session):
		r.tally.sampledOut.Add(1)
		return nil
	case !r.memory.take(overhead):
		r.tally.dropped.Add(1)
		return nil
	}
	now := time.Now()
	return &take{
		rec: r, asked: now, sized: req.ContentLength, sniff: -1,
		request: tape{limit: r.cfg.MaxBody}, response: tape{limit: r.cfg.MaxBody},
		exchange: &traffic.Exchange{
			ID: req.Header.Get("X-Request-Id"), Session: session, At: now,
			Request: requestOf(req),
		},
	}
}

// read copies a part of the request body.
func (t *take) read(p []byte, eof bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.given {
		return
	}
	if t.request.add(p, &t.rec.memory) {
		t.giveUp()
		return
	}
	if !t.whole && (eof || t.sized >= 0 && t.request.size == t.sized) {
		t.whole, t.asked = true, time.Now()
	}
}

// rewind forgets the request body, which is sent once more.
func (t *take) rewind() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended && !t.given {
		t.request.erase(&t.rec.memory)
		t.whole = false
	}
}

// answer notes the status and the fields of the response, which count as they
// are when the first of them is called for.
func (t *take) answer(status int, h http.Header) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.answered {
		return
	}
	t.answered, t.first = true, time.Now()
	t.exchange.Response = &traffic.Response{Status: status, Proto: t.exchange.Request.Proto, Header: fields(h, nil)}
	if status == http.StatusSwitchingProtocols {
		t.upgraded = true
	}
}

// write copies a part of the response body.
func (t *take) write(p []byte, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.given {
		return
	}
	t.lost = t.lost || failed
	if t.response.add(p, &t.rec.memory) {
		t.giveUp()
	}
}

// flushed settles what net/http has seen of the body when it looks for its type.
func (t *take) flushed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sniff < 0 {
		t.sniff = min(len(t.response.bytes), sniffed)
	}
}

// left is how many bytes of the response can still be recorded.
func (t *take) left() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.given || t.response.cut {
		return 0
	}
	return int64(t.response.limit - len(t.response.bytes))
}

// pass notes that n bytes of the response went by without being copied.
func (t *take) pass(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.response.size += n
	t.response.cut = t.response.cut || n > 0
}

// upgrade notes that the connection serves something else from now on.
func (t *take) upgrade() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.upgraded = true
}

// giveUp leaves out an exchange for which memory has run out. t.mu is held.
func (t *take) giveUp() {
	t.given = true
	t.request.erase(&t.rec.memory)
	t.response.erase(&t.rec.memory)
}

// end hands the exchange on. aborted says that the response was abandoned;
// trailer is that of the response. Only the first call counts.
func (t *take) end(aborted bool, trailer traffic.Header) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	size := overhead + int64(cap(t.request.bytes)+cap(t.response.bytes))
	lost := &t.rec.tally.dropped
	switch {
	case t.upgraded:
		lost = &t.rec.tally.upgraded
	case !t.given && (!t.whole || t.request.cut):
		lost = &t.rec.tally.truncated
	case !t.given:
		t.complete(aborted, trailer)
		t.rec.put(&entry{t.exchange, size})
		return
	}
	lost.Add(1)
	t.rec.memory.give(size)
	t.request.bytes, t.response.bytes = nil, nil
}

// complete fills in what is known at the end. t.mu is held.
func (t *take) complete(aborted bool, trailer traffic.Header) {
	x := t.exchange
	x.Request.Body.Bytes = t.request.bytes
	if t.trailers != nil {
		x.Request.Trailer = t.trailers()
	}
	p := x.Response
	if p == nil {
		return
	}
	body := t.response.bytes
	if contentless(x.Request.Method, p.Status) {
		body = nil
	}
	p.Body.Bytes, p.Trailer = body, trailer
	if aborted || t.lost || t.response.cut && body != nil {
		p.Body.State = traffic.Truncated
	}
	x.Timing = traffic.Timing{Kind: traffic.TimingProxy, TTFB: max(t.first.Sub(t.asked), 0), Total: max(time.Since(t.asked), 0)}
}
