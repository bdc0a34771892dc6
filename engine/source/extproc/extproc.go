// Package extproc receives traffic from Envoy as it passes: it is an external
// processor that only looks. Envoy opens a gRPC stream for every request and
// sends what it has of request and response, bodies and trailers included;
// whole exchanges go out.
//
// The filter of Envoy (or of a mesh or gateway built on it) is set up like this,
// with a cluster that speaks HTTP/2 to the address at which the source listens:
//
//	http_filters:
//	- name: envoy.filters.http.ext_proc
//	  typed_config:
//	    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
//	    grpc_service: { envoy_grpc: { cluster_name: shadowaudit } }
//	    observability_mode: true # send and go: Envoy waits for nothing
//	    failure_mode_allow: true # and goes on when nobody listens
//	    processing_mode:
//	      request_header_mode: SEND
//	      response_header_mode: SEND
//	      request_body_mode: STREAMED
//	      response_body_mode: STREAMED
//	      request_trailer_mode: SEND
//	      response_trailer_mode: SEND
//	    request_attributes: [request.time, request.protocol, source.address]
//
// The service is envoy.service.ext_proc.v3.ExternalProcessor/Process, the
// messages are those of envoy/service/ext_proc/v3/external_processor.proto, the
// framing is that of https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
// The source never stops reading a stream, whatever becomes of the exchange, so
// that nothing piles up in Envoy. Where observability_mode is not set Envoy waits
// for an answer to each message; it gets one that changes nothing, and there is
// a warning, since production then depends on the audit. TLS is not spoken.
//
// Pseudo header fields become the request line and Host; nothing else is
// undone. What Envoy adds before the filter (x-forwarded-proto, x-request-id)
// stays. The attributes give the time, the version of HTTP and the session;
// without them it is the time of arrival, HTTP/1.1, and no session. Durations are
// taken between the arrivals of messages.
//
// A record is a stream that brought a message. At the end of the source
//
//	Records = Read + Malformed + OrphanResponses + TruncatedRequests + NotHTTP + Dropped
//
// and before that, what waits in the queue is missing on the right side.
// TruncatedRequests are requests that were aborted, that are larger than
// Config.MaxBody, or whose body Envoy was not told to send. Truncated also counts
// responses that ended early, which are paired nevertheless. Dropped are
// exchanges for which there was no room: in the queue, among the streams, or in
// the memory for those that are under way. NotHTTP counts tunnels and upgrades.
// Envoy does not say what it did not send. A request or response with trailers
// looks as if it had ended early where the trailer modes are not SEND. Of an
// exchange that ends early Envoy says so 5 s later (deferred_close_timeout).
package extproc

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Config says where to listen.
type Config struct {
	Name   string // of the source block; every exchange carries it
	Listen string // "127.0.0.1:9902"; port 0 lets the system choose

	// MaxBody is the largest body that is kept, in bytes; 0 means 8 MiB. A
	// request with a larger one is left out, a response is Oversized.
	MaxBody int64
}

// Bounds of what is held, and for how long.
const (
	defaultMaxBody = 8 << 20
	maxConns       = 512       // connections at once; an Envoy has one for each of its threads
	maxStreams     = 16 << 10  // exchanges under way at once
	maxHeld        = 256 << 20 // bytes of them
	idle           = 5 * time.Minute
	grace          = 2 * time.Second // for exchanges under way when the source is stopped
)

// Source is a source of exchanges.
type Source struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
	queue    source.Queue
	idle     time.Duration

	held     atomic.Int64   // bytes of exchanges under way
	bodies   [2]atomic.Bool // Envoy has sent one, of a request or of a response
	handlers sync.WaitGroup // of streams
	serving  chan struct{}  // closed when the server has ended
	stop     sync.Once
	stopped  chan struct{} // closed when nothing is left
	life     context.Context
	end      context.CancelFunc

	mu       sync.Mutex
	log      ledger
	stopping bool
	streams  int // under way

	maxStreams int
	maxHeld    int64
}

// ledger is where all streams write down what became of them.
type ledger struct {
	source.Counts

	awaited     int64 // streams in which Envoy waited for answers
	bodiless    int64 // requests whose body Envoy does not send
	oversized   int64 // requests with a larger body than is kept
	crowded     int64 // streams for which there was no room
	compressed  int64 // streams with a coding that is not spoken
	refused     int64 // connections for which there was no room
	unmentioned int64 // responses whose body Envoy does not send
}

var (
	_ source.Source     = (*Source)(nil)
	_ source.Live       = (*Source)(nil)
	_ source.Accountant = (*Source)(nil)
	_ source.Warner     = (*Source)(nil)
	_ io.Closer         = (*Source)(nil)
)

// Open listens. From then on traffic is taken in.
func Open(cfg Config) (*Source, error) {
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for Envoy; choose another address, or stop what uses it: %w", err)
	}
	return newSource(cfg, l, idle), nil
}

func newSource(cfg Config, l net.Listener, idle time.Duration) *Source {
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = defaultMaxBody
	}
	s := &Source{cfg: cfg, listener: l, idle: idle, maxStreams: maxStreams, maxHeld: maxHeld, serving: make(chan struct{}), stopped: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler:           s,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams, // Envoy would queue what goes beyond
			MaxReceiveBufferPerConnection: 4 << 20,
			MaxReceiveBufferPerStream:     1 << 20,
			SendPingTimeout:               time.Minute, // finds peers that are gone
		},
	}
	go func() {
		defer close(s.serving)
		s.server.Serve(&limited{Listener: l, refused: s.refuse, room: make(chan struct{}, maxConns)})
	}()
	return s
}

func (s *Source) refuse() { s.count(func(l *ledger) { l.refused++ }) }

// count writes something down.
func (s *Source) count(write func(*ledger)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	write(&s.log)
}

// Listening gives the address, with the port that the system chose.
func (s *Source) Listening() string { return s.listener.Addr().String() }

// Next returns the next exchange.
func (s *Source) Next(ctx context.Context) (*traffic.Exchange, error) {
	x, err := s.queue.Next(ctx)
	if err != nil {
		return nil, err
	}
	s.count(func(l *ledger) {
		l.Read++
		if x.Response != nil {
			l.Paired++
		}
	})
	return x, nil
}

// Stop takes no more requests in. Those under way have a moment to end.
func (s *Source) Stop() {
	s.stop.Do(func() {
		s.mu.Lock()
		s.stopping = true
		s.mu.Unlock()
		go s.shutdown()
	})
}

// shutdown lets streams end, and with the last of them the queue. Connections
// may take a little longer, so that Envoy learns that they are to be closed.
func (s *Source) shutdown() {
	defer close(s.stopped)
	ctx, cancel := context.WithTimeout(s.life, grace)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.handlers.Wait()
		s.queue.End(nil)
	}()
	s.server.Shutdown(ctx)
	s.server.Close()
	<-s.serving
	<-ended
}

// Close gives up what is under way, and everything the source holds.
func (s *Source) Close() error {
	s.Stop()
	s.server.Close()
	s.end()
	<-s.stopped
	return nil
}

// Counts returns the counters as they are now.
func (s *Source) Counts() source.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.log.Counts
	c.Dropped += s.queue.Dropped()
	return c
}

// Warnings returns what was found wrong so far.
func (s *Source) Warnings() []source.Warning {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all source.Journal
	for _, w := range []struct {
		n          int64
		noun, what string
	}{
		{s.log.awaited, "stream", " in which Envoy waited for answers; set observability_mode: true, or production depends on this audit"},
		{s.log.bodiless, "request", " left out, since Envoy does not send the body; set request_body_mode: STREAMED"},
		{s.log.unmentioned, "response", " without the body, since Envoy does not send it; set response_body_mode: STREAMED"},
		{s.log.oversized, "request", fmt.Sprintf(" left out with a body of more than %d bytes", s.cfg.MaxBody)},
		{s.log.crowded, "exchange", " dropped, since too many were under way at once"},
		{s.log.compressed, "stream", " refused, since the messages are compressed; let the gRPC service of Envoy have no compression"},
		{s.log.refused, "connection", " refused, since there were too many"},
	} {
		if w.n > 0 {
			all.Warn("", -1, result.Plural(w.n, w.noun)+w.what)
		}
	}
	return all.Warnings()
}

// limited is a listener that closes connections for which there is no room,
// instead of letting them wait for it.
type limited struct {
	net.Listener
	refused func()
	room    chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return &conn{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}, nil
		default:
			l.refused()
			c.Close()
		}
	}
}

type conn struct {
	net.Conn
	leave func()
}

func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}
