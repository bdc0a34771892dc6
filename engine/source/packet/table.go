package packet

import (
	"bufio"
	"bytes"
	"container/list"
	"net/netip"

	"golang.org/x/net/http2"
)

const (
	// idleTime is how long a connection is kept without a packet, in
	// nanoseconds of the packets' clock.
	idleTime = 300e9

	// maxQueue is how many bytes out of order one direction of a connection may
	// hold. No receiver's window is larger in practice.
	maxQueue = 16 << 20

	// maxAhead is how many bytes a side may acknowledge that were not captured.
	// An acknowledgement of more is damaged.
	maxAhead = 64 << 20
)

// table has the connections. One that has ended stays until it is idle, so
// that its late packets are known for what they are.
type table struct {
	source string
	ports  map[uint16]bool // nil: all
	limits Limits
	window *window
	log    *ledger

	conns map[pair]*list.Element // of lru
	lru   list.List              // of *conn, the longest without a packet first
	file  string                 // that the packets come from
	clock int64                  // the latest time, in nanoseconds since 1970
	count int64                  // connections so far
	bytes int64                  // that unfinished messages hold
	spare []*bufio.Reader

	closing bool // nothing new is to begin
}

// pair is the two ends of a connection, the smaller one first.
type pair struct {
	a, b    netip.AddrPort
	network uint32
}

func newTable(cfg Config, limits Limits, w *window, log *ledger) *table {
	t := &table{source: cfg.Name, limits: limits, window: w, log: log, conns: make(map[pair]*list.Element)}
	if len(cfg.Ports) > 0 {
		t.ports = make(map[uint16]bool)
		for _, p := range cfg.Ports {
			t.ports[uint16(p)] = true
		}
	}
	return t
}

// segment takes in a segment.
func (t *table) segment(network uint32, s *segment, at, offset int64) {
	if t.ports != nil && !t.ports[s.from.Port()] && !t.ports[s.to.Port()] {
		t.log.elsewhere++
		return
	}
	t.clock = max(t.clock, at)
	t.expire()
	key, side := pair{s.from, s.to, network}, 0
	if s.to.Compare(s.from) < 0 {
		key, side = pair{s.to, s.from, network}, 1
	}
	e := t.conns[key]
	if t.closing && (e == nil || !e.Value.(*conn).busy()) {
		return
	}
	if e != nil && s.syn && e.Value.(*conn).replacedBy(side, s) {
		t.remove(e)
		e = nil
	}
	if e == nil {
		if !s.syn && s.size == 0 || s.rst {
			return // the last acknowledgement of a connection that is gone
		}
		t.count++
		e = t.lru.PushBack(newConn(t, key, t.count))
		t.conns[key] = e
	} else {
		t.lru.MoveToBack(e)
	}
	c := e.Value.(*conn)
	c.seen = t.clock
	c.segment(side, s, at, offset)
	for t.bytes > t.limits.Unfinished && t.evict() {
	}
}

// tick ends what was waited for in vain when it is so late.
func (t *table) tick(now int64) {
	t.clock = max(t.clock, now)
	t.expire()
	for e := t.lru.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn)
		for i := range c.halves {
			if h := &c.halves[i]; !c.ended && h.holeAt != 0 && t.clock-h.holeAt >= holeTime {
				h.check(t.clock, h.offset)
			}
		}
		c.settle(false)
	}
}

// busy reports whether an exchange has begun and not ended.
func (t *table) busy() bool {
	for e := t.lru.Front(); e != nil; e = e.Next() {
		if e.Value.(*conn).busy() {
			return true
		}
	}
	return false
}

// expire ends the connections that have been idle for long, and those that are
// too many.
func (t *table) expire() {
	for e := t.lru.Front(); e != nil && t.clock-e.Value.(*conn).seen > idleTime; e = t.lru.Front() {
		t.remove(e)
	}
	for t.lru.Len() > t.limits.Connections {
		t.evict()
	}
}

// evict gives up the connection that has been without a packet for longest.
func (t *table) evict() bool {
	e := t.lru.Front()
	if e == nil {
		return false
	}
	if !e.Value.(*conn).ended {
		t.log.evicted++
	}
	t.remove(e)
	return true
}

func (t *table) remove(e *list.Element) {
	c := e.Value.(*conn)
	c.finish()
	t.lru.Remove(e)
	delete(t.conns, c.key)
}

// finish ends all connections, at the end of the capture.
func (t *table) finish() {
	for e := t.lru.Front(); e != nil; e = t.lru.Front() {
		t.remove(e)
	}
}

// abandon lets go of the connections without accounting for them.
func (t *table) abandon() {
	for e := t.lru.Front(); e != nil; e = e.Next() {
		for i := range e.Value.(*conn).halves {
			e.Value.(*conn).halves[i].stop()
		}
	}
	t.lru.Init()
	clear(t.conns)
}

func (t *table) reader() *bufio.Reader {
	if n := len(t.spare); n > 0 {
		r := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return r
	}
	return bufio.NewReader(nil)
}

func (t *table) release(r *bufio.Reader) {
	r.Reset(nil)
	if len(t.spare) < 256 {
		t.spare = append(t.spare, r)
	}
}

// guess is what the first bytes of a direction look like.
type guess uint8

const (
	unsure guess = iota // they may be the beginning of a request
	isRequest
	isResponse
	isTLS
	isHTTP2
	isSettings // of an HTTP/2 server
	isOther
)

var preface = []byte(http2.ClientPreface)

// look guesses what begins with b.
func look(b []byte) guess {
	switch {
	case len(b) >= 3 && b[0] >= 20 && b[0] <= 23 && b[1] == 3 && b[2] <= 4: // a record of RFC 8446 section 5.1
		return isTLS
	case bytes.HasPrefix(b, preface[:len("PRI * HTTP/2.0\r\n")]):
		return isHTTP2
	case beginsSettings(b):
		return isSettings
	case bytes.HasPrefix(b, []byte("HTTP/1.")):
		return isResponse
	}
	line, _, whole := bytes.Cut(b, []byte{'\n'})
	if whole {
		line = bytes.TrimSuffix(line, []byte{'\r'})
		head, version := len(line)-len("HTTP/1.1"), []byte(nil)
		if head > 3 {
			version = line[head:]
		}
		if !bytes.HasPrefix(version, []byte("HTTP/1.")) || line[head-1] != ' ' {
			return isOther
		}
	}
	method, target, spaced := bytes.Cut(line, []byte{' '})
	if len(method) > 32 {
		return isOther
	}
	for _, c := range method {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return isOther
		}
	}
	switch {
	case spaced && len(method) == 0, spaced && len(target) > 0 && (target[0] <= ' ' || target[0] >= 0x7f):
		return isOther
	case whole:
		return isRequest
	}
	return unsure
}

// likely reports whether b, which may be cut, is to be taken for the beginning
// of a request.
func likely(b []byte) bool {
	switch look(b) {
	case isRequest:
		return true
	case unsure:
		_, target, _ := bytes.Cut(b, []byte{' '})
		return len(target) > 0 && (target[0] == '/' || target[0] == '*' || bytes.HasPrefix(target, []byte("http")))
	}
	return false
}
