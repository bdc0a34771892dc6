// Package mirror receives the requests that a proxy in front of a service sends
// twice: once to the service, and once here. Every mirrored request becomes an
// exchange without a response. The answer is always 204, given as soon as the
// request is read, so that the proxy has nothing to wait for.
//
// # What comes in
//
// HTTP/1.0, HTTP/1.1 (RFC 9112) and HTTP/2 without TLS and with prior knowledge
// (RFC 9113 section 3.3), on one port. HTTP/1 is read by package http1, and a
// request is kept as it was on the wire: the order, case and repetition of its
// fields, and its exact request-target. HTTP/2 is read by net/http, which knows
// the order of the fields no more: they are sorted by name, the host first.
//
// # What is undone
//
// A mirrored request is not quite what the service got. These marks of the
// mirroring are taken away again:
//
//   - the fields that belong to one connection: Connection and those that it
//     names, Keep-Alive, Proxy-Connection, Proxy-Authorization, TE, Upgrade
//     (RFC 9110 section 7.6.1);
//   - HTTP/1.0, which nginx before 1.29.7 speaks to every upstream;
//   - what Envoy and everything built on it does to its copies
//     (source/common/router/shadow_writer_impl.cc and
//     source/common/http/async_client_impl.cc of envoyproxy/envoy): "-shadow"
//     behind the name of the host, x-envoy-internal, and the address that it
//     appends to x-forwarded-for. The last two are undone where the host has
//     the suffix, and only there: without it a request does not tell that Envoy
//     mirrored it. A service whose own name ends in "-shadow" loses that ending
//     unless the policy sets disable_shadow_host_suffix_append;
//   - X-Shadow-Client, X-Shadow-Conn and X-Shadow-Start, which are for this
//     package: the client's address and the number of its connection, which
//     together are the session, and the time at which the request began, in
//     seconds since 1970 with a fraction. Without them a request has no session,
//     because proxies share their connections among clients, and its time is
//     that of its first byte here.
//
// X-Request-Id is the id of the exchange. It stays in the request.
//
// # How to configure nginx
//
//	upstream shadowaudit { server 127.0.0.1:9900; keepalive 64; }
//	server {
//	  location / { mirror /_shadow; proxy_set_header X-Request-Id $request_id; proxy_pass http://app; }
//	  location = /_shadow {
//	    internal;
//	    proxy_pass http://shadowaudit$request_uri;
//	    proxy_http_version 1.1;
//	    proxy_set_header Connection "";
//	    proxy_set_header Host $http_host;
//	    proxy_set_header X-Request-Id $request_id;
//	    proxy_set_header X-Shadow-Client $remote_addr;
//	    proxy_set_header X-Shadow-Conn $connection;
//	    proxy_set_header X-Shadow-Start $msec;
//	    proxy_connect_timeout 100ms; proxy_send_timeout 200ms; proxy_read_timeout 200ms;
//	  }
//	}
//
// $request_uri is needed: without it nginx sends the path of the location. The
// timeouts matter: nginx keeps a client's connection busy until the mirror has
// answered, and so bounds the harm of a machine that does not answer at all.
//
// # How to configure Envoy and Istio
//
//	route: { cluster: app, request_mirror_policies: [ { cluster: shadowaudit } ] }
//
// with a cluster shadowaudit at this address, over HTTP/1.1 or HTTP/2; in Istio
// mirror and mirrorPercentage of a VirtualService. Traefik (mirroring), the
// Gateway API (RequestMirror) and other proxies need nothing special. HAProxy
// cannot mirror by itself: its SPOE filter needs a separate agent.
//
// # What is lost, and how it is counted
//
//	Records = Read + Malformed + TruncatedRequests + NotHTTP + Dropped
//
// once Next has returned io.EOF. A request is read; or malformed; or truncated,
// because its sender stopped in the middle or its body is larger than 8 MiB; or
// not HTTP beyond its first message: CONNECT and WebSocket; or dropped, because
// the reader was too slow or too many bodies were under way at once. What the
// proxy did not mirror is not known here.
package mirror

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Config says where to listen.
type Config struct {
	Name   string // of the source block; every exchange carries it
	Listen string // "host:port"; port 0 lets the system choose one
}

// What a receiver allows its senders.
const (
	maxConns       = 4096      // open at once
	roomForAll     = 128 << 20 // bytes of requests that are under way, all connections together
	messageTimeout = time.Minute
	idleTimeout    = 5 * time.Minute
	answerTimeout  = 5 * time.Second
	stopGrace      = time.Second
	acceptPause    = 50 * time.Millisecond
)

// Source receives mirrored requests.
type Source struct {
	name  string
	ln    net.Listener
	queue source.Queue
	room  room
	read  atomic.Int64
	tally tally

	http2    *http.Server
	handover *handover

	mu       sync.Mutex
	conns    map[*conn]bool // whether it is idle
	stopped  bool
	deadline time.Time // of everything, once stopped

	quit    chan struct{}  // closed by Stop
	running sync.WaitGroup // the goroutines of connections, and those that accept them
	done    chan struct{}  // closed when none of them is left
}

var (
	_ source.Source     = (*Source)(nil)
	_ source.Live       = (*Source)(nil)
	_ source.Accountant = (*Source)(nil)
	_ source.Warner     = (*Source)(nil)
	_ io.Closer         = (*Source)(nil)
)

// Open listens. An error tells which address cannot be listened on, and wraps
// that of package net.
func Open(cfg Config) (*Source, error) {
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for mirrored requests; choose another address, or stop what uses it: %w", err)
	}
	return open(cfg.Name, ln), nil
}

func open(name string, ln net.Listener) *Source {
	s := &Source{
		name:  name,
		ln:    ln,
		room:  room{size: roomForAll},
		conns: make(map[*conn]bool),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	s.serveHTTP2()
	s.running.Go(s.accept)
	return s
}

// Next returns the next mirrored request.
func (s *Source) Next(ctx context.Context) (*traffic.Exchange, error) {
	x, err := s.queue.Next(ctx)
	if err == nil {
		s.read.Add(1)
	}
	return x, err
}

// Listening is the address, with the port that the system chose.
func (s *Source) Listening() string { return s.ln.Addr().String() }

// Stop takes no new request in; those that have begun get a second to end.
func (s *Source) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped, s.deadline = true, time.Now().Add(stopGrace)
	close(s.quit)
	s.ln.Close()
	for c, idle := range s.conns {
		if idle {
			c.Close()
		} else {
			c.SetDeadline(s.deadline)
		}
	}
	go func() {
		s.stopHTTP2()
		s.running.Wait()
		s.queue.End(nil)
		close(s.done)
	}()
}

// Close stops at once and returns when nothing is left that runs.
func (s *Source) Close() error {
	s.Stop()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.http2.Close()
	<-s.done
	return nil
}

// accept lets connections in until the listener is closed.
func (s *Source) accept() {
	for {
		nc, err := s.ln.Accept()
		if err == nil {
			s.admit(nc)
			continue
		}
		select {
		case <-s.quit:
			return
		case <-time.After(acceptPause): // out of descriptors, as a rule: some will be given back
			s.tally.unaccepted.Add(1)
		}
	}
}

// admit serves a connection if there is room for one more.
func (s *Source) admit(nc net.Conn) {
	c := &conn{Conn: nc, source: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		nc.Close()
	case len(s.conns) >= maxConns:
		s.tally.refused.Add(1)
		nc.Close()
	default:
		s.conns[c] = true
		s.running.Go(c.serve)
	}
}

// forget is told of a connection that is closed.
func (s *Source) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// setIdle notes whether a connection is between two messages, and gives it its
// time for what comes next. It is false when the source has stopped, and there
// is no next message to wait for.
func (s *Source) setIdle(c *conn, idle bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return !idle // one that has just begun has the deadline of Stop
	}
	s.conns[c] = idle
	if idle {
		c.SetReadDeadline(time.Now().Add(idleTimeout))
	} else {
		c.SetReadDeadline(time.Now().Add(messageTimeout))
	}
	return true
}

// enter counts work that has to end before the source does. It is false when the
// source has stopped. The caller calls running.Done.
func (s *Source) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running.Add(1)
	return true
}

// take hands a whole request on, with its marks undone. peer is the address of
// the proxy.
func (s *Source) take(r *traffic.Request, at time.Time, peer string) {
	if isTunnel(r) {
		s.tally.notHTTP.Add(1)
		return
	}
	x := &traffic.Exchange{Source: s.name, At: at.UTC(), Request: *r}
	undo(x, peer)
	if s.queue.Put(x) {
		s.tally.accepted.Add(1)
	}
}
