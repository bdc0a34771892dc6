package packet

import (
	"strconv"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// conn is a TCP connection.
type conn struct {
	table  *table
	key    pair
	number int64
	seen   int64 // time of the last packet
	halves [2]half
	isn    [2]uint32 // of the SYN of each half
	syn    [2]bool
	bytes  int64 // held

	client *half // nil: not known yet
	server *half
	http   bool // it is HTTP
	opaque bool // nothing more is to be read from it
	ended  bool // everything is accounted for
	data   bool // bytes were seen

	receiving bool // a request has begun and is not complete
	calls     []call
	requests  int64

	h2 *multiplex // nil: not HTTP/2
}

// call is a request that waits for its response.
type call struct {
	method  string
	seq     uint32 // of the packet that it begins in
	end     int64  // time of its last byte
	item    *item  // nil: the request could not be read whole
	upgrade bool   // to HTTP/2, if the server likes
	barrier bool   // not a request, but an unknown number of lost ones
}

func newConn(t *table, key pair, number int64) *conn {
	c := &conn{table: t, key: key, number: number}
	for i := range c.halves {
		c.halves[i].conn = c
	}
	if t.ports != nil {
		switch a, b := t.ports[key.a.Port()], t.ports[key.b.Port()]; {
		case a && !b:
			c.roles(1)
		case b && !a:
			c.roles(0)
		}
	}
	return c
}

// roles says which side is the client.
func (c *conn) roles(client int) {
	c.client, c.server = &c.halves[client], &c.halves[1-client]
}

// replacedBy reports whether a SYN begins another connection between the same
// ends.
func (c *conn) replacedBy(side int, s *segment) bool {
	if c.syn[side] {
		return c.isn[side] != s.seq
	}
	return !s.acks && c.halves[side].started // a first SYN behind data
}

func (c *conn) segment(side int, s *segment, at, offset int64) {
	if c.ended {
		return
	}
	h, other := &c.halves[side], &c.halves[1-side]
	if s.syn {
		c.syn[side], c.isn[side] = true, s.seq
		if c.client == nil && s.acks {
			c.roles(1 - side)
		} else if c.client == nil {
			c.roles(side)
		}
	}
	if s.acks && (!other.acks || distance(other.acked, s.ack) > 0) && (!other.started || distance(other.next, s.ack) <= maxAhead) {
		other.acked, other.acks = s.ack, true
	}
	h.take(s, at, offset)
	h.check(at, offset)
	other.check(at, offset)
	c.settle(s.rst)
}

// settle does what follows from what was read.
func (c *conn) settle(reset bool) {
	if c.ended {
		return
	}
	if c.client != nil {
		c.wake()
	}
	if reset || c.halves[0].ended && c.halves[1].ended || c.opaque {
		c.finish()
	}
}

// busy reports whether an exchange has begun and not ended.
func (c *conn) busy() bool {
	return !c.ended && (c.receiving || len(c.calls) > 0 || c.h2 != nil && len(c.h2.streams) > 0)
}

// finish accounts for what is left, and lets go of everything.
func (c *conn) finish() {
	if c.ended {
		return
	}
	if c.client != nil {
		c.client.finish(c.seen)
		c.wake()
		c.server.finish(c.seen)
	} else {
		c.halves[0].finish(c.seen)
		c.halves[1].finish(c.seen)
	}
	if c.h2 != nil {
		c.h2.end()
	}
	c.ended = true
	for _, q := range c.calls {
		c.forget(q)
	}
	c.calls = nil
	if !c.http && !c.opaque && c.data {
		c.notHTTP(&c.table.log.other)
	}
	for i := range c.halves {
		h := &c.halves[i]
		h.stop()
		h.queue, h.held = nil, nil
	}
	c.hold(-int(c.bytes))
}

// hold accounts for bytes that the connection holds.
func (c *conn) hold(n int) {
	c.bytes += int64(n)
	c.table.bytes += int64(n)
}

// notHTTP gives the connection up.
func (c *conn) notHTTP(why *int64) {
	*why++
	c.opaque = true
	c.table.log.Records++
	c.table.log.NotHTTP++
}

// recognise looks at the first bytes of a direction while it is not known what
// the connection carries, and reports whether they are to be read.
func (c *conn) recognise(h *half, b []byte) bool {
	c.data = true
	switch look(b) {
	case isTLS:
		c.notHTTP(&c.table.log.tls)
		return false
	case isHTTP2:
		if c.server == h {
			c.notHTTP(&c.table.log.other)
			return false
		}
		c.multiplexed(h == &c.halves[0])
		return true
	case isSettings:
		if h == c.client || !h.synced {
			return false
		}
		c.speakFrames(&c.halves[0] != h) // the client's preface is still to come
		return true
	case isResponse:
		if c.client == h {
			c.notHTTP(&c.table.log.other)
			return false
		}
		c.become(&c.halves[0] != h)
		return true
	case isRequest:
	case unsure:
		if h == c.client && h.synced {
			return true // the rest of its first line is still to come
		}
		if !likely(b) {
			return false
		}
	case isOther:
		if h.synced { // from its first byte on
			c.notHTTP(&c.table.log.other)
		}
		return false
	}
	if c.server == h {
		c.notHTTP(&c.table.log.other)
		return false
	}
	c.become(&c.halves[0] == h)
	return true
}

// become settles that the connection is HTTP.
func (c *conn) become(firstIsClient bool) {
	if c.client == nil {
		client := 1
		if firstIsClient {
			client = 0
		}
		c.roles(client)
	}
	c.http = true
	if !c.syn[0] && !c.syn[1] {
		c.table.log.joined++
	}
}

// complete takes in a request that was read whole.
func (c *conn) complete(it *item, r *traffic.Request, seq uint32, end, offset int64) {
	c.requests++
	c.fill(it, r, c.requests, offset)
	c.calls = append(c.calls, call{method: r.Method, seq: seq, end: end, item: it, upgrade: wantsHTTP2(r.Header)})
	if c.server.over { // it will not be answered
		c.forgetAll()
	}
}

// fill makes an exchange of a request. number tells it from the others of the
// connection.
func (c *conn) fill(it *item, r *traffic.Request, number, offset int64) {
	session := strconv.FormatInt(c.number, 10)
	c.table.window.fill(it, &traffic.Exchange{
		Source:  c.table.source,
		ID:      session + "." + strconv.FormatInt(number, 10),
		Session: session,
		At:      timeOf(it.at),
		Request: *r,
		Offset:  offset,
	})
}

// forget lets a request go without a response.
func (c *conn) forget(q call) {
	if q.item != nil {
		c.table.window.unanswered(q.item)
	}
}

func (c *conn) forgetAll() {
	for _, q := range c.calls {
		c.forget(q)
	}
	c.calls = c.calls[:0]
}

// causes reports whether a response can be one to q that was sent when the
// server had all before ack. That tells more than the order of packets in the
// capture, which need not be that on the wire.
func (q *call) causes(ack uint32) bool { return !q.barrier && distance(q.seq, ack) > 0 }

// expect finds the request that a response belongs to whose first packet
// acknowledges all before ack. resumed says that responses before it may be
// lost. wait says that the answer depends on what is still missing of the
// client's side.
func (c *conn) expect(ack uint32, resumed bool) (q call, found, wait bool) {
	behind := c.receiving || c.client.behind()
	if resumed {
		if behind {
			return call{}, false, true
		}
		c.catchUp(ack)
	}
	if len(c.calls) > 1 && c.calls[0].barrier && c.calls[1].causes(ack) {
		c.calls = c.calls[1:]
	}
	if len(c.calls) == 0 || !c.calls[0].causes(ack) {
		return call{}, false, behind
	}
	q = c.calls[0]
	c.calls = c.calls[1:]
	return q, true, false
}

// catchUp lets go of the requests whose responses are lost. A client sends the
// next request when it has the response to the last one, so the response is that
// of the last request that the server had, or of a lost one.
func (c *conn) catchUp(ack uint32) {
	last := 0
	for i := range c.calls {
		if c.calls[i].barrier || c.calls[i].causes(ack) {
			last = i
		}
	}
	for _, q := range c.calls[:last] {
		c.forget(q)
	}
	c.calls = c.calls[last:]
}
