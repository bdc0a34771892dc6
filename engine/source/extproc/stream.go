package extproc

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The two sides of an exchange.
const (
	asked    = 0 // request
	answered = 1 // response
)

// stream puts an exchange together from the messages about it. It belongs to
// one goroutine.
type stream struct {
	src        *Source
	sides      [2]side
	mode       [2]bodyMode
	attributes attributes
	held       int64 // bytes, in the budget of the source

	begun    bool // a message has come
	awaited  bool // Envoy waits for answers
	bad      bool // a message was none
	crowding bool // there was no memory for it
}

// side is a request or a response, as far as it has come.
type side struct {
	header  traffic.Header
	trailer traffic.Header
	body    contents
	seen    bool      // its header has come
	ended   bool      // and all the rest
	at      time.Time // when the header came
	until   time.Time // when the end came
}

func newStream(s *Source) *stream {
	st := &stream{src: s}
	for i := range st.sides {
		st.sides[i].body.limit = s.cfg.MaxBody
	}
	return st
}

func (m *message) side() int    { return int(m.part) % 2 }
func (m *message) isBody() bool { return m.part == requestBody || m.part == responseBody }

// add takes a message in that came at the time.
func (st *stream) add(m *message, now time.Time) {
	st.begun = true
	if m.modes {
		st.mode = m.modeOf
	}
	st.attributes.merge(&m.attributes)
	if m.part == 0 { // a message about the stream itself
		return
	}
	st.awaited = st.awaited || !m.observed
	s := &st.sides[m.side()]
	if s.ended {
		return
	}
	if m.ended {
		s.ended, s.until = true, now
	}
	if st.crowding {
		return
	}
	switch m.part {
	case requestHeaders, responseHeaders:
		s.header, s.seen, s.at = m.header, true, now
		st.hold(sizeOf(m.header))
	case requestBody, responseBody:
		if sent := &st.src.bodies[m.side()]; !sent.Load() {
			sent.Store(true)
		}
		before := len(s.body.bytes)
		if st.mode[m.side()] == modeGRPC && !m.blank {
			s.body.write(grpcFrame(m))
		}
		s.body.write(m.body)
		st.hold(int64(len(s.body.bytes) - before))
	case requestTrailers, responseTrailers:
		s.trailer = m.header
		st.hold(sizeOf(m.header))
	}
}

// grpcFrame is what Envoy took away from the front of a gRPC message.
func grpcFrame(m *message) []byte {
	head := make([]byte, 5)
	if m.squeezed {
		head[0] = 1
	}
	binary.BigEndian.PutUint32(head[1:], uint32(len(m.body)))
	return head
}

// hold accounts for memory. Where there is no more of it the exchange is given
// up, and the rest of the stream read for nothing.
func (st *stream) hold(n int64) {
	st.held += n
	if st.src.held.Add(n) > st.src.maxHeld {
		st.crowding = true
		st.release()
	}
}

// release forgets the exchange.
func (st *stream) release() {
	st.src.held.Add(-st.held)
	st.held = 0
	for i := range st.sides {
		s := &st.sides[i]
		s.header, s.trailer, s.body.bytes = nil, nil, nil
	}
}

// whole reports whether both sides have ended.
func (st *stream) whole() bool { return st.sides[asked].ended && st.sides[answered].ended }

// tunnel reports whether what follows is no HTTP any more.
func (st *stream) tunnel() bool {
	return st.sides[answered].header.Get(":status") == "101" || st.sides[asked].header.Get(":method") == "CONNECT"
}

// finish accounts for the stream when it has ended, and hands out the exchange
// where it is one.
func (st *stream) finish() {
	if !st.begun && !st.bad {
		return
	}
	x, why := st.exchange()
	st.src.count(func(l *ledger) { st.account(l, x, why) })
	if x != nil {
		st.src.queue.Put(x)
	}
	st.release()
}

// account writes down what became of a stream.
func (st *stream) account(l *ledger, x *traffic.Exchange, why error) {
	l.Records++
	if st.awaited {
		l.awaited++
	}
	switch why {
	case nil:
	case errRoom:
		l.Dropped++
		l.crowded++
		return
	case errOrphan:
		l.OrphanResponses++
		return
	case envoy.ErrNotHTTP:
		l.NotHTTP++
		return
	case errAborted, errBodiless, errOversized:
		l.Truncated++
		l.TruncatedRequests++
		switch why {
		case errBodiless:
			l.bodiless++
		case errOversized:
			l.oversized++
		}
		return
	default:
		l.Malformed++
		return
	}
	if r := x.Response; r != nil {
		switch r.Body.State {
		case traffic.Truncated:
			l.Truncated++
		case traffic.Missing:
			l.unmentioned++
		}
	}
}

func sizeOf(h traffic.Header) int64 {
	var n int
	for i := range h {
		n += len(h[i].Name) + len(h[i].Value) + 64
	}
	return int64(n)
}

// merge takes over what is known now.
func (a *attributes) merge(b *attributes) {
	if !b.time.IsZero() {
		a.time = b.time
	}
	if b.protocol != "" {
		a.protocol = b.protocol
	}
	if b.address != "" {
		a.address = b.address
	}
	if b.connection != 0 {
		a.connection = b.connection
	}
}

// contents collects a body up to a limit; beyond that it is known by its hash.
type contents struct {
	limit int64
	bytes []byte
	size  int64
	sum   hash.Hash // nil: within the limit
}

func (c *contents) write(p []byte) {
	c.size += int64(len(p))
	if c.sum == nil && c.size > c.limit {
		c.sum = sha256.New()
		c.sum.Write(c.bytes)
	}
	if c.sum == nil {
		c.bytes = append(c.bytes, p...)
		return
	}
	c.sum.Write(p)
	if room := c.limit - int64(len(c.bytes)); room > 0 {
		c.bytes = append(c.bytes, p[:min(room, int64(len(p)))]...)
	}
}

// body gives what was collected.
func (c *contents) body() traffic.Body {
	b := traffic.Body{Bytes: c.bytes}
	if c.sum != nil {
		b.State, b.Size = traffic.Oversized, c.size
		c.sum.Sum(b.SHA256[:0])
	}
	return b
}
