// Package target reaches a running service: it turns a recorded request into
// bytes on a connection and whatever comes back into an outcome. Requests go
// out as they were recorded, in field order, case and repetition; a client for
// end users would rewrite them.
package target

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// ShadowHeader marks every request that is sent, so that a service, its logs
// and its alerts can tell shadow traffic from that of users.
const ShadowHeader = "X-Shadow-Traffic"

// DefaultTimeout bounds a request when the spec does not.
const DefaultTimeout = 10 * time.Second

// Config says how to reach a target.
type Config struct {
	Name               string         `json:"name"`
	URL                string         `json:"url"`                            // http or https; a path is put before every request's
	Timeout            time.Duration  `json:"timeout_ns"`                     // for one request, connecting included; 0: DefaultTimeout
	Host               string         `json:"host,omitempty"`                 // Host field to send; "" is the recorded one
	Headers            traffic.Header `json:"-"`                              // replace recorded fields of the same name, or are added
	InsecureSkipVerify bool           `json:"insecure_skip_verify,omitempty"` // accept any certificate
}

// Client reaches one target. It is safe for concurrent use.
type Client struct {
	cfg    Config
	addr   string
	prefix string // of the path; no trailing slash
	host   string // of the URL, for requests recorded without one
	tls    *tls.Config
	dialer net.Dialer

	ctx   context.Context // ends when the client is aborted
	abort context.CancelFunc
	mu    sync.Mutex
	open  map[net.Conn]struct{}
}

// New prepares a client; it does not connect.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("target %q: bad URL", cfg.Name)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	c := &Client{cfg: cfg, prefix: strings.TrimSuffix(u.EscapedPath(), "/"), host: u.Host, open: map[net.Conn]struct{}{}}
	port := u.Port()
	switch u.Scheme {
	case "http":
		if port == "" {
			port = "80"
		}
	case "https":
		if port == "" {
			port = "443"
		}
		c.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}, InsecureSkipVerify: cfg.InsecureSkipVerify}
	default:
		return nil, fmt.Errorf("target %q: the URL must begin with http:// or https://", cfg.Name)
	}
	c.addr = net.JoinHostPort(u.Hostname(), port)
	c.ctx, c.abort = context.WithCancel(context.Background())
	return c, nil
}

// Check connects once and disconnects, to learn before the first request
// whether there is anybody there. It gives up when ctx ends.
func (c *Client) Check(ctx context.Context) traffic.Failure {
	nc, failure := c.dial(ctx, time.Now().Add(c.cfg.Timeout))
	if failure != traffic.NoFailure {
		return failure
	}
	c.drop(nc)
	return traffic.NoFailure
}

// Abort makes every request in flight fail at once, and all later ones.
func (c *Client) Abort() {
	c.abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	for nc := range c.open {
		nc.SetDeadline(time.Unix(1, 0))
	}
}

// dial opens a connection, TLS included. It ends with ctx and with the client.
func (c *Client) dial(ctx context.Context, deadline time.Time) (net.Conn, traffic.Failure) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	release := context.AfterFunc(c.ctx, cancel)
	defer release()
	nc, err := c.dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, c.classify(err, false)
	}
	if c.tls != nil {
		tc := tls.Client(nc, c.tls)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			if f := c.classify(err, false); f == traffic.TimedOut || f == traffic.Interrupted {
				return nil, f
			}
			return nil, traffic.TLS
		}
		nc = tc
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		nc.Close()
		return nil, traffic.Interrupted
	}
	c.open[nc] = struct{}{}
	return nc, traffic.NoFailure
}

func (c *Client) drop(nc net.Conn) {
	nc.Close()
	c.mu.Lock()
	delete(c.open, nc)
	c.mu.Unlock()
}

// Open starts a conversation over a connection of its own, which is made when
// the first request is sent and made again when the target closes it.
func (c *Client) Open() *Conn { return &Conn{client: c} }

// Conn is one kept-alive conversation with a target. It carries one request at
// a time.
type Conn struct {
	client *Client
	nc     net.Conn // nil: none yet, or none any more
	br     *bufio.Reader
	stale  func() bool // whether nc can carry no other request

	wire   []byte         // the request being sent; reused
	fields traffic.Header // its fields; reused
}

// raceWindow is how soon a request on a reused connection fails when the target
// had closed it just before: a round trip. What takes longer is an answer.
const raceWindow = 50 * time.Millisecond

// Do sends the request of x and waits for the whole response. Latency counts
// from here, so that it holds what a client waits for: connecting, where the
// request needs a connection, and the whole of the response.
//
// A target may close an idle connection at any time. Most often that is seen
// before the connection is used again; when the two cross on their way, a
// request that only reads is sent once more, and the outcome says so.
func (s *Conn) Do(x *traffic.Exchange) traffic.Outcome {
	begin := time.Now()
	deadline := begin.Add(s.client.cfg.Timeout)
	if s.nc != nil && s.stale() {
		s.Close()
	}
	reused := s.nc != nil
	out, started := s.attempt(&x.Request, begin, deadline)
	if reused && !started && onlyReads(x.Request.Method) && out.Latency < raceWindow && (out.Failure == traffic.Closed || out.Failure == traffic.Reset) {
		out, _ = s.attempt(&x.Request, begin, deadline)
		out.Retried = true
	}
	return out
}

// attempt sends the request once; started reports whether any byte of a
// response arrived.
func (s *Conn) attempt(r *traffic.Request, begin, deadline time.Time) (out traffic.Outcome, started bool) {
	c := s.client
	if s.nc == nil {
		nc, failure := c.dial(c.ctx, deadline)
		if failure != traffic.NoFailure {
			return traffic.Outcome{Failure: failure, Latency: time.Since(begin)}, false
		}
		s.nc, s.stale = nc, staleness(nc)
		if s.br == nil {
			s.br = bufio.NewReaderSize(nc, 8<<10)
		} else {
			s.br.Reset(nc)
		}
	}
	s.nc.SetDeadline(deadline)
	if c.ctx.Err() != nil { // an abort between dialing and here must not be undone by the new deadline
		s.Close()
		return traffic.Outcome{Failure: traffic.Interrupted, Latency: time.Since(begin)}, false
	}
	s.fields = c.outgoing(s.fields[:0], r)
	sending := traffic.Request{Method: r.Method, Target: c.prefix + origin(r), Proto: r.Proto, Header: s.fields, Body: r.Body, Trailer: r.Trailer}
	s.wire = http1.AppendRequest(s.wire[:0], &sending)

	if _, err := s.nc.Write(s.wire); err != nil {
		// A target may answer and close before it has read everything: what it
		// said counts, so only a connection without an answer has failed here.
		if _, perr := s.br.Peek(1); perr != nil {
			return s.fail(out, err, begin, false), false
		}
	}
	if _, err := s.br.Peek(1); err != nil {
		return s.fail(out, err, begin, false), false
	}
	resp, err := http1.ReadResponse(s.br, r.Method, http1.DefaultLimits)
	out.Response = resp
	if err != nil {
		return s.fail(out, err, begin, true), true
	}
	out.Latency = time.Since(begin)
	if !http1.KeepsAlive(r.Method, resp) || closes(r) || s.br.Buffered() > 0 {
		s.Close() // bytes that nobody asked for would be taken for the next response
	}
	if cap(s.wire) > 1<<20 {
		s.wire = nil // one large upload does not pin its buffer
	}
	return out, true
}

func (s *Conn) fail(out traffic.Outcome, err error, begin time.Time, started bool) traffic.Outcome {
	out.Latency = time.Since(begin)
	out.Failure = s.client.classify(err, started)
	s.Close()
	return out
}

// Close ends the connection; a later Do opens a new one.
func (s *Conn) Close() error {
	if s.nc != nil {
		s.client.drop(s.nc)
		s.nc = nil
	}
	return nil
}

// outgoing appends the fields to send: the recorded ones with the target's own
// in their place, then the ones that were not recorded, then the mark.
func (c *Client) outgoing(dst traffic.Header, r *traffic.Request) traffic.Header {
	host := c.cfg.Host
	if host == "" {
		host = r.Host()
	}
	if host == "" {
		host = c.host
	}
	if !r.Header.Has("Host") {
		dst = append(dst, traffic.Field{Name: "Host", Value: host})
	}
	hostSeen := false
	for _, f := range r.Header {
		switch {
		case traffic.EqualName(f.Name, "Host"):
			if hostSeen {
				continue
			}
			hostSeen = true
			f.Value = host
		case traffic.EqualName(f.Name, ShadowHeader), c.cfg.Headers.Has(f.Name):
			continue
		}
		dst = append(dst, f)
	}
	dst = append(dst, c.cfg.Headers...)
	return append(dst, traffic.Field{Name: ShadowHeader, Value: "true"})
}

// origin gives the target of r in origin form, without the authority that a
// request to a proxy has.
func origin(r *traffic.Request) string {
	if strings.HasPrefix(r.Target, "/") || r.Target == "*" {
		return r.Target
	}
	path := r.Path()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if q := r.Query(); q != "" {
		return path + "?" + q
	}
	return path
}

func closes(r *traffic.Request) bool {
	for _, f := range r.Header {
		if traffic.EqualName(f.Name, "Connection") && strings.EqualFold(f.Value, "close") {
			return true
		}
	}
	return r.Proto == "HTTP/1.0"
}

// onlyReads reports whether a request may be sent twice without harm and
// without another answer: the safe methods of RFC 9110 section 9.2.1.
func onlyReads(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// classify names a failure. started says whether the response had begun.
func (c *Client) classify(err error, started bool) traffic.Failure {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	var syntax *http1.SyntaxError
	switch {
	case c.ctx.Err() != nil:
		return traffic.Interrupted
	case errors.As(err, &syntax):
		return traffic.Malformed
	case errors.As(err, &dns) && !dns.IsTimeout:
		return traffic.NoHost
	case errors.As(err, &timeout) && timeout.Timeout():
		return traffic.TimedOut
	}
	if f := fromErrno(err); f != traffic.NoFailure {
		return f
	}
	if started {
		return traffic.Cut
	}
	return traffic.Closed
}
