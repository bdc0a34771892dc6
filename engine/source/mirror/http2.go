package mirror

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// handover is a listener whose connections were accepted by somebody else.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	quit  chan struct{}
	once  sync.Once
}

// Accept waits for a connection.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.quit:
		return nil, net.ErrClosed
	}
}

// Close lets Accept end.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.quit) })
	return nil
}

// Addr is the address of the listener that accepts.
func (h *handover) Addr() net.Addr { return h.addr }

// give hands a connection over. It counts as running until it is closed.
func (h *handover) give(c *conn) {
	c.source.setIdle(c, false)
	c.SetDeadline(time.Time{})
	c.source.running.Add(1)
	select {
	case h.conns <- &begunConn{conn: c}:
	case <-h.quit:
		(&begunConn{conn: c}).Close()
	}
}

// begunConn is a connection of which something was read already. net/http
// owns it, and closes it.
type begunConn struct {
	*conn
	once sync.Once
}

// Read gives what was read, then the rest.
func (b *begunConn) Read(p []byte) (int, error) {
	if b.buf.Buffered() > 0 {
		return b.buf.Read(p)
	}
	return b.Conn.Read(p)
}

// Close closes the connection and lets the source forget it.
func (b *begunConn) Close() error {
	err := b.conn.Close()
	b.once.Do(func() {
		b.settle()
		b.source.forget(b.conn)
		b.source.running.Done()
	})
	return err
}

// serveHTTP2 serves the connections that turn out to speak HTTP/2.
func (s *Source) serveHTTP2() {
	s.handover = &handover{addr: s.ln.Addr(), conns: make(chan net.Conn), quit: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s.http2 = &http.Server{
		Handler:        http.HandlerFunc(s.stream),
		Protocols:      protocols,
		MaxHeaderBytes: http1.DefaultLimits.Head,
		ReadTimeout:    messageTimeout,
		WriteTimeout:   messageTimeout,
		IdleTimeout:    idleTimeout,
		ErrorLog:       log.New(io.Discard, "", 0), // it would quote what was sent
	}
	s.running.Go(func() { s.http2.Serve(s.handover) })
}

// stopHTTP2 lets the streams that are open end, for a while.
func (s *Source) stopHTTP2() {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	s.handover.Close()
	if s.http2.Shutdown(ctx) != nil {
		s.http2.Close()
	}
}

// stream receives one request over HTTP/2.
func (s *Source) stream(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		return
	}
	defer s.running.Done()
	at := time.Now()
	body, held, err := s.receive(r.Body)
	defer s.room.give(held)
	switch {
	case err != nil:
		s.tally.fail(err)
	case body == nil:
		s.tally.truncated.Add(1)
		s.tally.oversized.Add(1)
	default:
		s.take(request(r, body), at, r.RemoteAddr)
	}
	w.WriteHeader(http.StatusNoContent)
}

// receive reads a body; it is nil where there is more than is kept. held is
// how much room it takes until somebody gives it back.
func (s *Source) receive(in io.Reader) (body []byte, held int64, err error) {
	body = []byte{}
	piece := make([]byte, 16<<10)
	for {
		n, err := in.Read(piece)
		if n > 0 && !s.room.take(n) {
			return nil, held, errNoRoom
		}
		held += int64(n)
		body = append(body, piece[:n]...)
		switch {
		case int64(len(body)) > http1.DefaultLimits.Body:
			return nil, held, nil
		case errors.Is(err, io.EOF):
			return body, held, nil
		case err != nil:
			return nil, held, err
		}
	}
}

// request puts a request together as HTTP/2 had it: field names in small
// letters. Their order is not known any more.
func request(r *http.Request, body []byte) *traffic.Request {
	return &traffic.Request{
		Method:  r.Method,
		Target:  r.RequestURI,
		Proto:   r.Proto,
		Header:  append(traffic.Header{{Name: "host", Value: r.Host}}, fields(r.Header)...),
		Body:    traffic.Body{Bytes: body},
		Trailer: fields(r.Trailer),
	}
}

func fields(h http.Header) traffic.Header {
	var out traffic.Header
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, traffic.Field{Name: strings.ToLower(name), Value: value})
		}
	}
	return out
}
