// Package mirror receives the requests that a proxy in front of a service sends
// twice: once to the service, and once here. Every mirrored request becomes an
// exchange, without a response unless there is a log that tells of it. The answer
// is always 204, given as soon as the request is read, so that the proxy has
// nothing to wait for.
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
// # How to add what production answered
//
// The proxy that mirrors writes a line about every request into its access log,
// with the status of the service's answer and the time that it took. Config.Log
// names that log, which is followed as it grows, and a line is paired with the
// mirrored request that has its id. For nginx:
//
//	log_format shadow escape=json '{"msec":"$msec","request_id":"$request_id","connection":"$connection",'
//	  '"request_method":"$request_method","request_uri":"$request_uri","server_protocol":"$server_protocol",'
//	  '"http_host":"$http_host","status":"$status","request_time":"$request_time",'
//	  '"upstream_response_time":"$upstream_response_time"}';
//	access_log /var/log/nginx/shadow.log shadow;
//
// with the X-Request-Id of the snippet above; buffer= needs flush=1s beside it, and
// log_subrequest should stay off, as it is by default. With Envoy the default text
// and Istio's JSON have the id (%REQ(X-REQUEST-ID)%).
//
// A request waits for its line, five seconds unless Config says otherwise, and
// leaves without a response where none came. Requests of a session stay in their
// order. The response is a status without fields, its body is missing, and the
// time is that of the upstream, as the proxy measured it. A status of 204 in the
// log of nginx is believed only at the end of the wait: with log_subrequest on, it
// can be the one that was given here.
//
// The log is followed from its end at the time of Open, and through rotation: by
// rename, with or without a pause before the new file is there, and by copying
// and truncating, which may lose what is written in that moment. A log that does
// not exist yet is waited for.
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
//	Records = Read + Malformed + TruncatedRequests + NotHTTP + Dropped + OrphanResponses
//
// once Next has returned io.EOF. A request is read; or malformed; or truncated,
// because its sender stopped in the middle or its body is larger than 8 MiB; or
// not HTTP beyond its first message: CONNECT and WebSocket; or dropped, because
// the reader was too slow or too many bodies were under way at once. What the
// proxy did not mirror is not known here, unless there is a log: a line of which
// no request came is an orphan response, which most lines are where a share of the
// traffic is mirrored, and a line that cannot be read is malformed. A line that was
// paired is no record beside its request, and one without an HTTP request is none.
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
	Log    Log    // of the proxy that mirrors; without a path there is none
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
	log   *follower // nil without a log

	paired atomic.Int64

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
// that of package net; or what is wrong with the log.
func Open(cfg Config) (*Source, error) {
	log, err := openLog(cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("cannot follow the access log of the proxy; name a regular file that this user may read, and how its lines are written: %w", err)
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		log.close()
		return nil, fmt.Errorf("cannot listen for mirrored requests; choose another address, or stop what uses it: %w", err)
	}
	return open(cfg.Name, ln, log), nil
}

func open(name string, ln net.Listener, log *follower) *Source {
	s := &Source{
		name:  name,
		log:   log,
		ln:    ln,
		room:  room{size: roomForAll},
		conns: make(map[*conn]bool),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	if log != nil {
		log.pairs.deliver = s.put
		go log.run()
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
		if x.Response != nil {
			s.paired.Add(1)
		}
	}
	return x, err
}

// Listening is the address, with the port that the system chose.
func (s *Source) Listening() string { return s.ln.Addr().String() }

// Stop takes no new request in; those that have begun get a second to end, and so
// do the lines of those that wait for theirs.
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
		if s.log != nil {
			s.log.finish(time.Now().Add(stopGrace))
		}
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
	if s.log != nil {
		s.log.hurry()
	}
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
	if s.log != nil {
		s.log.request(x)
	} else {
		s.put(x)
	}
}

// put hands an exchange to the reader.
func (s *Source) put(x *traffic.Exchange) {
	if s.queue.Put(x) {
		s.tally.accepted.Add(1)
	}
}
