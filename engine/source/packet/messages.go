package packet

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Requests are kept whole, whatever their size: one that is not cannot be
// replayed.
var requestLimits = http1.Limits{Head: http1.DefaultLimits.Head, Body: 64 << 20}

// event is what happens next in a direction.
type event struct {
	data   []byte // bytes, or
	lost   int64  // how many are missing, or
	end    ending
	seq    uint32 // of the first byte
	ack    uint32 // what the sender had of the other direction by then
	at     int64
	offset int64
}

// ending is how a direction ended.
type ending uint8

const (
	closed ending = iota + 1 // as TCP wants it
	broken                   // reset, or not seen any further
)

// reading is how a direction is read. The HTTP parser runs as a coroutine from
// the first byte of a message on: when it has used up a packet it yields, so
// that the time of the packet in hand is always the time of the byte it reads.
// Between messages there is none.
type reading struct {
	synced  bool // a message begins at the next byte
	frames  bool // of HTTP/2: no messages, but frames
	resumed bool // messages before it may be lost
	ignore  int64
	ended   bool // the end is known
	over    bool // and was read
	waiting bool // a response waits for its request to be complete
	held    []event

	data    []byte // of the event in hand, not read yet
	fault   error  // of the event in hand
	seq     uint32 // of the last bytes, like those that follow
	ack     uint32
	at      int64
	offset  int64
	file    string
	partial int // bytes that the message in hand holds

	buf     *bufio.Reader // nil: no coroutine
	resume  func() (struct{}, bool)
	cancel  func()
	yield   func(struct{}) bool
	stopped bool
	lost    int64 // how many bytes the last gap had
}

// gap is the error of a direction that misses bytes.
type gap struct{}

func (gap) Error() string { return "bytes are missing" }

// Unwrap says that the message is not whole.
func (gap) Unwrap() error { return io.ErrUnexpectedEOF }

var (
	errBroken  = io.ErrUnexpectedEOF
	errStopped = errors.New("stopped")
)

func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// push hands on an event.
func (h *half) push(e event) {
	c := h.conn
	h.ended = h.ended || e.end != 0
	if h.over || c.ended || c.opaque {
		return
	}
	if h.waiting {
		e.data = bytes.Clone(e.data)
		c.hold(len(e.data) + overhead/8)
		h.held = append(h.held, e)
		return
	}
	h.handle(e)
	if h == c.client {
		c.wake()
	}
}

// wake lets a response go on that waited for its request.
func (c *conn) wake() {
	s := c.server
	for s.waiting {
		s.waiting = false
		if s.run(); s.waiting {
			return
		}
		for len(s.held) > 0 && !s.waiting {
			e := s.held[0]
			s.held = s.held[1:]
			c.hold(-len(e.data) - overhead/8)
			if !c.opaque {
				s.handle(e)
			}
		}
	}
}

func (h *half) handle(e event) {
	c := h.conn
	if e.lost > 0 && c.http {
		c.table.log.Gaps++
	}
	if e.end != 0 {
		h.over = true
	}
	if len(e.data) > 0 {
		h.at, h.offset, h.file = e.at, e.offset, c.table.file
		h.seq, h.ack = e.seq, e.ack
	}
	switch {
	case h.buf != nil:
		h.feed(e)
	case h.ignore > 0 && e.end == 0:
		if e = h.pass(e); len(e.data) > 0 {
			h.begin(e)
		}
	case len(e.data) > 0:
		h.begin(e)
	case e.lost > 0 && h.frames:
		c.h2.giveUp(false)
	case e.lost > 0:
		h.desync()
	}
	if h.over && h == c.server {
		c.forgetAll()
	}
}

// pass goes past what is left of a message that lost bytes, and returns what
// follows it.
func (h *half) pass(e event) event {
	if e.lost > 0 {
		if h.ignore -= e.lost; h.ignore < 0 {
			h.desync()
		}
		return event{}
	}
	n := min(h.ignore, int64(len(e.data)))
	h.ignore -= n
	e.data = e.data[n:]
	return e
}

// begin reads data at a place where no message is in hand.
func (h *half) begin(e event) {
	c := h.conn
	if !c.http && !h.frames && !c.recognise(h, e.data) {
		return
	}
	if !h.synced && !h.frames {
		begins := look(e.data) == isResponse
		if h == c.client {
			begins = likely(e.data)
		}
		if !begins {
			return
		}
		h.synced, h.resumed = true, true
	}
	h.buf = c.table.reader()
	h.buf.Reset(h)
	h.resume, h.cancel = iter.Pull(func(yield func(struct{}) bool) {
		h.yield = yield
		switch {
		case h.frames:
			h.readFrames()
		case h == c.client:
			h.readRequests()
		default:
			h.readResponses()
		}
	})
	h.feed(e)
}

func (h *half) feed(e event) {
	h.data = e.data
	h.partial += len(e.data)
	h.conn.hold(len(e.data))
	switch {
	case e.lost > 0:
		h.fault, h.lost = gap{}, e.lost
	case e.end == closed:
		h.fault = io.EOF
	case e.end == broken:
		h.fault = errBroken
	}
	h.run()
}

// run lets the parser read what there is.
func (h *half) run() {
	if _, more := h.resume(); !more {
		h.stop()
	}
}

// stop ends the coroutine, if there is one.
func (h *half) stop() {
	if h.buf == nil {
		return
	}
	h.cancel()
	h.conn.table.release(h.buf)
	h.buf, h.resume, h.cancel, h.yield = nil, nil, nil, nil
	h.data, h.fault = nil, nil
	h.done()
}

// done says that the message in hand holds nothing any more.
func (h *half) done() {
	h.conn.hold(-h.partial)
	h.partial = 0
}

// Read gives the parser the bytes of the direction. It waits for the next event
// when there are none.
func (h *half) Read(p []byte) (int, error) {
	for len(h.data) == 0 {
		if err := h.fault; err != nil {
			h.fault = nil
			return 0, err
		}
		if h.stopped || !h.yield(struct{}{}) {
			h.stopped = true
			return 0, errStopped
		}
	}
	n := copy(p, h.data)
	h.data = h.data[n:]
	return n, nil
}

// desync says that it is not known where the next message begins.
func (h *half) desync() {
	c := h.conn
	h.synced, h.ignore = false, 0
	h.data = nil
	if h == c.client && c.http && (len(c.calls) == 0 || !c.calls[len(c.calls)-1].barrier) {
		c.calls = append(c.calls, call{barrier: true})
	}
}

// start moves to the first byte of a message that is at hand.
func (h *half) start() bool {
	for h.synced && !h.stopped && !h.conn.opaque && (h.buf.Buffered() > 0 || len(h.data) > 0) {
		b, err := h.buf.Peek(1)
		if err != nil {
			return false
		}
		if b[0] != '\r' && b[0] != '\n' {
			return true
		}
		h.buf.Discard(1) // to be ignored before a message: RFC 9112 section 2.2
	}
	return false
}

func (h *half) readRequests() {
	for h.start() {
		begun, seq, offset := h.at, h.seq, h.offset
		if !h.conn.http && !h.confirm() {
			return
		}
		if h.frames || h.conn.upgraded(h) {
			h.readFrames()
			return
		}
		h.request(begun, seq, offset)
	}
}

// confirm reads on until it is sure that a connection begins with a request.
func (h *half) confirm() bool {
	c := h.conn
	for {
		b, _ := h.buf.Peek(h.buf.Buffered())
		switch g := look(b); {
		case g == isRequest, g == unsure && len(b) == h.buf.Size():
			c.become(h == &c.halves[0])
			return true
		case g == isTLS:
			c.notHTTP(&c.table.log.tls)
			return false
		case g == isHTTP2:
			c.multiplexed(h == &c.halves[0])
			return true
		case g != unsure:
			c.notHTTP(&c.table.log.other)
			return false
		}
		_, err := h.buf.Peek(len(b) + 1)
		switch {
		case err == nil:
		case likely(b) && !h.stopped: // what it lacks is what the capture lost
			if h.fault = err; errors.As(err, new(gap)) {
				c.table.log.Gaps++
			}
			c.become(h == &c.halves[0])
			return true
		default:
			return false
		}
	}
}

// request reads a request whose first byte came at the time, with the packet
// that has the sequence number and stands at the offset.
func (h *half) request(begun int64, seq uint32, offset int64) {
	c := h.conn
	log := c.table.log
	file := h.file
	it := c.table.window.open(begun)
	c.receiving = true
	r, err := http1.ReadRequest(h.buf, requestLimits)
	c.receiving = false
	h.done()
	switch {
	case h.stopped:
		c.table.window.drop(it)
		return
	case err == nil && r.Body.State == traffic.Complete:
		log.Records++
		c.complete(it, r, seq, h.at, offset)
		return
	case err == nil: // larger than can be kept whole
		err = io.ErrUnexpectedEOF
	}
	c.table.window.drop(it)
	log.Records++
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		log.Malformed++
		log.Warn(file, offset, "request is not HTTP/1.x, left out: "+err.Error())
		h.desync()
		return
	}
	log.Truncated++
	log.TruncatedRequests++
	if r == nil {
		h.desync()
		return
	}
	c.calls = append(c.calls, call{method: r.Method, seq: seq})
	if errors.As(err, new(gap)) {
		h.recover(r.Header, &r.Body)
	}
}

// recover finds the end of a message that lost bytes, where its length is known.
func (h *half) recover(fields traffic.Header, body *traffic.Body) {
	got := max(int64(len(body.Bytes)), body.Size)
	length, err := strconv.ParseInt(fields.Get("Content-Length"), 10, 64)
	rest := length - got - h.lost
	if err != nil || rest < 0 || fields.Has("Transfer-Encoding") {
		h.desync()
		return
	}
	h.ignore = rest
}

func (h *half) readResponses() {
	for h.start() {
		if !h.response() {
			return
		}
	}
}

// response reads a response, or an interim one. It reports false where the next
// one cannot follow at once.
func (h *half) response() bool {
	c := h.conn
	log := c.table.log
	begun, ack, file, offset := h.at, h.ack, h.file, h.offset
	if c.h2 != nil {
		return h.consent()
	}
	line, err := h.buf.Peek(len("HTTP/1.1 200"))
	if err == nil && line[9] == '1' && string(line[9:12]) != "101" && look(line) == isResponse {
		if err = h.interim(); err == nil {
			return true
		}
	}
	if h.stopped {
		return false
	}
	if err != nil {
		log.Records++
		log.OrphanResponses++
		log.Truncated++
		h.done()
		h.desync()
		return false
	}
	q, found, wait := c.expect(ack, h.resumed)
	for wait {
		h.waiting = true
		if !h.yield(struct{}{}) {
			h.stopped = true
			return false
		}
		q, found, wait = c.expect(ack, h.resumed)
	}
	log.Records++
	if !found { // and whether it has a body is not known
		log.OrphanResponses++
		h.done()
		h.desync()
		return false
	}
	h.resumed = false
	r, err := http1.ReadResponse(h.buf, q.method, http1.DefaultLimits)
	h.done()
	if err == nil && r.Status == 101 && q.upgrade && wantsHTTP2(r.Header) {
		log.Records-- // it is no answer: that comes on the first stream
		c.upgrade(q)
		h.readFrames()
		return false
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !h.stopped {
		log.Malformed++
		log.Warn(file, offset, "response is not HTTP/1.x, left out: "+err.Error())
		c.forget(q)
		h.desync()
		return false
	}
	return h.answer(q, r, err, begun)
}

// consent reads the answer to an upgrade to HTTP/2 that the client has already
// taken for granted.
func (h *half) consent() bool {
	r, err := http1.ReadResponse(h.buf, "GET", http1.DefaultLimits)
	h.done()
	switch {
	case h.stopped:
	case err != nil || r.Status != 101:
		h.conn.h2.giveUp(false)
	default:
		h.readFrames()
	}
	return false
}

// answer gives a request its response, as it was read.
func (h *half) answer(q call, r *traffic.Response, err error, begun int64) bool {
	c := h.conn
	log := c.table.log
	switch {
	case h.stopped:
		return false
	case err != nil:
		log.Truncated++
	}
	if r == nil || q.item == nil || !c.table.window.answer(q.item, r, timing(q.end, begun, h.at, err)) {
		log.OrphanResponses++
		c.forget(q)
	}
	switch {
	case r != nil && (r.Status == 101 || q.method == "CONNECT" && r.Status/100 == 2): // from here on it is no HTTP
		c.opaque = true
		return false
	case err == nil:
		return true
	case r == nil || !errors.As(err, new(gap)):
		h.desync()
		return false
	}
	h.recover(r.Header, &r.Body)
	return false
}

// timing is how long a response took. One that began before its request had
// ended says nothing about the server, nor does one that was not read whole.
func timing(sent, begun, ended int64, err error) traffic.Timing {
	if err != nil || begun < sent || ended < begun {
		return traffic.Timing{}
	}
	return traffic.Timing{Kind: traffic.TimingWire, TTFB: time.Duration(begun - sent), Total: time.Duration(ended - sent)}
}

// interim passes over the head of an interim response.
func (h *half) interim() error {
	for n := 0; n <= http1.DefaultLimits.Head; {
		line, err := h.buf.ReadSlice('\n')
		n += len(line)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}
