package mirror

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The answers, in full.
const (
	goOn      = "HTTP/1.1 100 Continue\r\n\r\n"
	thanks    = "HTTP/1.1 204 No Content\r\n\r\n"
	thanksOn  = "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n" // which HTTP/1.0 has to be told
	thanksBye = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
	badBye    = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

// maxHeld is what a request can take: of one that is larger the rest is read
// and not kept.
var maxHeld = http1.DefaultLimits.Body + int64(http1.DefaultLimits.Head)

// errNoRoom ends a request for which there is no memory.
var errNoRoom = errors.New("too many bytes are under way")

// conn is a connection of a sender.
type conn struct {
	net.Conn
	source *Source
	buf    *bufio.Reader
	expect expectation
	held   int64 // bytes of the source's room that the request in hand takes
	once   sync.Once
}

// Close closes the connection; the source forgets it when serve ends.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() { err = c.Conn.Close() })
	return err
}

// serve reads messages to the end of the connection.
func (c *conn) serve() {
	c.buf = bufio.NewReader(wire{c})
	more := c.source.setIdle(c, true)
	if more && c.speaksHTTP2() {
		c.source.handover.give(c)
		return
	}
	for more {
		more = c.message() && c.source.setIdle(c, true)
	}
	c.Close()
	c.source.forget(c)
}

// speaksHTTP2 looks for the beginning of HTTP/2's connection preface: RFC 9113
// section 3.4. No method is called PRI.
func (c *conn) speaksHTTP2() bool {
	const preface = "PRI "
	for n := 1; n <= len(preface); n++ {
		if b, err := c.buf.Peek(n); err != nil || string(b) != preface[:n] {
			return false
		}
	}
	return true
}

// message receives one request and answers it. It is false when the connection
// is of no further use.
func (c *conn) message() bool {
	if _, err := c.buf.Peek(1); err != nil {
		return false
	}
	at := time.Now()
	c.source.setIdle(c, false)
	defer c.settle()
	seen, _ := c.buf.Peek(c.buf.Buffered())
	c.expect.reset(seen)
	r, err := http1.ReadRequest(c.buf, http1.DefaultLimits)
	switch {
	case err == io.EOF:
		return false // nothing but empty lines
	case err != nil:
		c.source.tally.fail(err)
		if bad := (*http1.SyntaxError)(nil); errors.As(err, &bad) {
			c.answer(badBye)
		}
		return false
	}
	keep := keepsAlive(r)
	tunnel := isTunnel(r)
	old := r.Proto == "HTTP/1.0"
	if r.Body.State == traffic.Complete {
		c.source.take(r, at, c.RemoteAddr().String())
	} else {
		c.source.tally.truncated.Add(1)
		c.source.tally.oversized.Add(1)
	}
	switch {
	case !keep || tunnel:
		c.answer(thanksBye)
		return false
	case old:
		return c.answer(thanksOn)
	}
	return c.answer(thanks)
}

// fail counts a request that could not be read.
func (t *tally) fail(err error) {
	bad := (*http1.SyntaxError)(nil)
	switch {
	case errors.As(err, &bad):
		t.malformed.Add(1)
	case errors.Is(err, errNoRoom):
		t.crowded.Add(1)
	default: // the connection ended, or the time was up
		t.truncated.Add(1)
	}
}

// answer reports whether the answer could be given.
func (c *conn) answer(text string) bool {
	c.SetWriteDeadline(time.Now().Add(answerTimeout))
	_, err := io.WriteString(c.Conn, text)
	return err == nil
}

// settle gives back what the request took.
func (c *conn) settle() {
	c.source.room.give(c.held)
	c.held = 0
}

// wire is what comes over a connection. Reading it sends the answer to
// Expect that the rest may wait for, and takes room for what is read.
type wire struct{ *conn }

func (w wire) Read(p []byte) (int, error) {
	if w.expect.due() && !w.answer(goOn) {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := w.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	if w.held < maxHeld {
		if !w.source.room.take(n) {
			return 0, errNoRoom
		}
		w.held += int64(n)
	}
	w.expect.see(p[:n])
	return n, err
}

// keepsAlive reports whether another request may follow: RFC 9112 section 9.3.
func keepsAlive(r *traffic.Request) bool {
	keep := r.Proto != "HTTP/1.0"
	for item := range strings.SplitSeq(r.Header.Joined("Connection"), ",") {
		switch strings.ToLower(strings.Trim(item, " \t")) {
		case "close":
			return false
		case "keep-alive":
			keep = true
		}
	}
	return keep
}

// isTunnel reports whether the request begins something that is not HTTP.
func isTunnel(r *traffic.Request) bool {
	return r.Method == "CONNECT" || strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}
