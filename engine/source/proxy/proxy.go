// Package proxy is a recording reverse proxy. It stands in front of one service,
// passes everything on in both directions as it comes, and records each exchange
// while it does.
//
// # What passes
//
// HTTP/1.1 and HTTP/2 come in, the latter with TLS or with prior knowledge;
// what goes on to the service is HTTP/1.1, or over https what it prefers. Bodies
// are streamed, never held back: an event of a text/event-stream leaves when it
// comes. The request-target, the Host and all fields stay; nothing is added, no
// Forwarded and no X-Forwarded-For, since the service is to see what it would see
// without a proxy. What belongs to one connection is not passed on (RFC 9110
// section 7.6.1). Upgraded connections, WebSocket for one, pass too, and are not
// recorded. Interim responses and trailers pass. Where the service cannot be
// reached, or gives no response, the answer is 502.
//
// The proxy is written with net/http, so that names of fields reach the service
// and the recording in their canonical case and not in their order. Requests that
// net/http refuses because they are not HTTP are answered with 400 and not
// counted.
//
// # How to use it
//
// Let the proxy listen where clients or a load balancer send their requests,
// with the service as upstream:
//
//	upstream app { server 127.0.0.1:9901; } # the proxy, which knows 127.0.0.1:8080
//
// # What is recorded
//
// An exchange is recorded when its response has ended. Its session is the
// client's connection. Its timing is that of the service as the proxy sees it:
// from the last byte of the request to the head of the response, and to its last
// byte. The service waits while a client does not read, so that slow clients
// show in the second.
//
// After Stop the proxy goes on, and records nothing new; it is Close that ends
// it. Production is not cut off because enough was recorded.
//
// # What is lost, and how it is counted
//
//	Records = Read + TruncatedRequests + NotHTTP + Dropped
//
// once Next has returned io.EOF. A request is read, with its response or, where
// there was none, without; truncated, because its client went away in the middle
// of it, the service answered before it had read it all, or its body is larger
// than 8 MiB; not HTTP, because it became a tunnel; or dropped, because the reader
// was too slow, too many bodies were under way, or it had not ended two seconds
// after Stop. Truncated also counts responses of which a part is missing. A
// response with a larger body than 8 MiB has a digest instead.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Config says where the proxy stands.
type Config struct {
	Name     string // of the source block; every exchange carries it
	Listen   string // "host:port"; port 0 lets the system choose one
	Upstream string // of the service: "http://127.0.0.1:8080", without a path

	// CertFile and KeyFile are PEM files, both or none. With them clients have
	// to speak TLS.
	CertFile, KeyFile string
}

// What a proxy allows those at its sides.
const (
	headTimeout = time.Minute
	idleTimeout = 10 * time.Minute // longer than that of the load balancers in front
	dialTimeout = 10 * time.Second
	stopGrace   = 2 * time.Second
	closeGrace  = time.Second
	idleConns   = 512       // kept open to the service
	roomForAll  = 256 << 20 // bytes of bodies that are being recorded, all together
)

// Source is the proxy.
type Source struct {
	ln        net.Listener
	server    *http.Server
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	upstream  *url.URL
	name      string
	cancel    context.CancelFunc // of all requests

	queue source.Queue
	room  room
	tally tally
	conns atomic.Int64

	mu      sync.Mutex
	open    int  // exchanges that are being recorded
	stopped bool // nothing new is recorded
	ended   bool // nothing at all
	closed  bool // nothing passes

	running sync.WaitGroup // the server and the requests
}

var (
	_ source.Source     = (*Source)(nil)
	_ source.Live       = (*Source)(nil)
	_ source.Accountant = (*Source)(nil)
	_ source.Warner     = (*Source)(nil)
	_ io.Closer         = (*Source)(nil)
)

// Open starts the proxy. An error tells what is wrong with the upstream or the
// certificate, or which address cannot be listened on.
func Open(cfg Config) (*Source, error) {
	upstream, err := parseUpstream(cfg.Upstream)
	if err != nil {
		return nil, err
	}
	var cert tls.Certificate
	secure := cfg.CertFile != "" || cfg.KeyFile != ""
	if secure {
		if cert, err = tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("cannot use the certificate and its key, which have to be PEM files: %w", err)
		}
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for clients; choose another address, or stop what uses it: %w", err)
	}
	s := &Source{ln: ln, name: cfg.Name, upstream: upstream, room: room{size: roomForAll}}
	s.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		DisableCompression:  true, // the client's own Accept-Encoding is passed on
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,

		ExpectContinueTimeout: time.Second,
	}
	quiet := log.New(io.Discard, "", 0) // it would quote what passes
	s.proxy = &httputil.ReverseProxy{
		Rewrite:        s.rewrite,
		Transport:      s.transport,
		FlushInterval:  -1, // at once
		ErrorLog:       quiet,
		BufferPool:     new(buffers),
		ModifyResponse: respond,
		ErrorHandler:   fail,
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		Protocols:         protocols,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          quiet,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       s.number,
	}
	s.running.Go(func() {
		if !secure {
			s.server.Serve(ln)
			return
		}
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.server.ServeTLS(ln, "", "")
	})
	return s, nil
}

func parseUpstream(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New(`the upstream has to be a URL like "http://127.0.0.1:8080"`)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "", u.User != nil:
		return nil, errors.New("the upstream is a scheme, a host and a port, with nothing behind them: paths are passed on as they are")
	}
	return u, nil
}

// Next returns the next exchange.
func (s *Source) Next(ctx context.Context) (*traffic.Exchange, error) {
	x, err := s.queue.Next(ctx)
	if err == nil {
		s.tally.read.Add(1)
		if x.Response != nil {
			s.tally.paired.Add(1)
		}
	}
	return x, err
}

// Listening is the address, with the port that the system chose.
func (s *Source) Listening() string { return s.ln.Addr().String() }

// Stop lets no new exchange be recorded; those that have begun get two seconds
// to end. Requests pass as before.
func (s *Source) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	if s.open == 0 {
		s.end()
		return
	}
	time.AfterFunc(stopGrace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end()
	})
}

// end counts what has not ended yet, and lets the reader have the rest. s.mu is
// held.
func (s *Source) end() {
	if s.ended {
		return
	}
	s.ended = true
	s.tally.unended.Add(int64(s.open))
	s.queue.End(nil)
}

// Close lets the requests that are open end for a second, then ends them, and
// returns when nothing runs any more.
func (s *Source) Close() error {
	s.Stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	s.server.Shutdown(ctx)
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.cancel()
	s.server.Close()
	s.running.Wait()
	s.transport.CloseIdleConnections()
	return nil
}

// connKey is the key of a connection's number in the context of its requests.
type connKey struct{}

func (s *Source) number(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, s.conns.Add(1))
}

// buffers are reused for the bodies that pass.
type buffers struct{ pool sync.Pool }

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put takes a buffer back.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
