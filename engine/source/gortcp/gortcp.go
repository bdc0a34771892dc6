// Package gortcp receives what an unmodified GoReplay captures, over TCP: it is
// the other end of --output-tcp.
//
//	gor --input-raw :80 --input-raw-track-response --output-tcp auditor:28020
//
// and, where Config names a certificate, with --output-tcp-secure. Without
// --input-raw-track-response there are requests only, and every one of them
// waits in vain for its response before it is handed out.
//
// The bytes are those of GoReplay's files (package gor; output_tcp.go of
// github.com/buger/goreplay): records of a first line, a message as it was on the
// wire and a separator, with no header before them and no answer to them.
// GoReplay opens ten connections and gives each record to the next one, so a
// response may come before its request, over another connection. Requests and
// responses are brought together by id, whichever connection and whichever
// GoReplay they come from. A request leaves when its response has come, but not
// before an earlier one of its session, and at the latest after five seconds,
// without a response if need be.
//
// # What is lost, and how it is counted
//
//	Records = Read + Paired + OrphanResponses + ReplayedResponses + Malformed + TruncatedRequests + Dropped
//
// once Next has returned io.EOF. Every record is a request that is read,
// malformed, truncated because its connection ended in the middle of it, or
// dropped because the reader was too slow; or a response that is paired, without
// a request, one to a replay (--output-http-track-response), or malformed. The
// response of a dropped request is not counted beside it. What GoReplay itself
// does not capture, or gives up because a connection to here is slow, it tells
// nobody; what reaches here is read without waiting for anything, so that it has
// no reason to. It captures in batches, of up to two seconds where traffic is
// thin, and when it is interrupted the last one is lost: let it run for a few
// seconds more than what is to be recorded.
package gortcp

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/gor"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Config says where to listen.
type Config struct {
	Name   string // of the source block; every exchange carries it
	Listen string // "host:port"; port 0 lets the system choose one

	// CertFile and KeyFile are PEM files, both or none. With them GoReplay has
	// to speak TLS.
	CertFile, KeyFile string

	// Wait is how long a request waits for its response; 0: five seconds.
	Wait time.Duration
}

// What a receiver allows its senders.
const (
	defaultWait      = 5 * time.Second
	maxConns         = 1024
	roomForAll       = 256 << 20 // bytes of records that are not complete yet, all connections together
	handshakeTimeout = 10 * time.Second
	stopGrace        = 500 * time.Millisecond
	acceptPause      = 50 * time.Millisecond
	ticks            = 20 // looks for overdue requests in the time of Wait
)

// maxRecord is the largest record, in bytes: a body as large as it may be
// elsewhere, with the overhead of tiny chunks, a head, and a first line.
var maxRecord = int(2*http1.DefaultLimits.Body) + http1.DefaultLimits.Head + 1024

// Source receives records.
type Source struct {
	ln    net.Listener
	wait  time.Duration
	queue source.Queue
	room  room

	read, paired        atomic.Int64
	refused, unaccepted atomic.Int64
	crowded             atomic.Int64

	mu      sync.Mutex
	pairer  *gor.Pairer
	lost    int64 // responses of dropped requests
	conns   map[*conn]struct{}
	stopped bool

	quit    chan struct{}
	running sync.WaitGroup // accepting, and the connections
	done    chan struct{}  // closed when nothing runs any more
}

var (
	_ source.Source     = (*Source)(nil)
	_ source.Live       = (*Source)(nil)
	_ source.Accountant = (*Source)(nil)
	_ source.Warner     = (*Source)(nil)
	_ io.Closer         = (*Source)(nil)
)

// Open listens. An error tells which address cannot be listened on, or which
// file of the certificate cannot be used.
func Open(cfg Config) (*Source, error) {
	var secure *tls.Config
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot use the certificate and its key, which have to be PEM files: %w", err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for GoReplay; choose another address, or stop what uses it: %w", err)
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	return open(cfg, ln), nil
}

func open(cfg Config, ln net.Listener) *Source {
	wait := cfg.Wait
	if wait <= 0 {
		wait = defaultWait
	}
	s := &Source{
		ln:     ln,
		wait:   wait,
		room:   room{size: roomForAll},
		pairer: gor.NewPairer(cfg.Name, wait, gor.Window{}),
		conns:  make(map[*conn]struct{}),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	s.running.Go(s.accept)
	go s.run()
	return s
}

// Next returns the next exchange.
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

// Stop lets no more connections in, and gives those that are open half a second
// for what is on its way.
func (s *Source) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.quit)
	s.ln.Close()
	for c := range s.conns {
		c.SetReadDeadline(time.Now().Add(stopGrace))
	}
}

// Close stops at once and returns when nothing is left that runs.
func (s *Source) Close() error {
	s.Stop()
	s.mu.Lock()
	for c := range s.conns {
		c.Conn.Close()
	}
	s.mu.Unlock()
	<-s.done
	return nil
}

// run looks for overdue requests until the source has stopped, and then hands
// out what is left.
func (s *Source) run() {
	defer close(s.done)
	tick := time.NewTicker(max(s.wait/ticks, time.Millisecond))
	defer tick.Stop()
	for stopped := false; !stopped; {
		select {
		case now := <-tick.C:
			s.mu.Lock()
			s.put(s.pairer.Expire(now))
			s.mu.Unlock()
		case <-s.quit:
			stopped = true
		}
	}
	s.running.Wait()
	s.mu.Lock()
	s.put(s.pairer.Flush())
	s.mu.Unlock()
	s.queue.End(nil)
}

// put hands exchanges on. s.mu is held.
func (s *Source) put(xs []*traffic.Exchange) {
	for _, x := range xs {
		if !s.queue.Put(x) && x.Response != nil {
			s.lost++
		}
	}
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
			s.unaccepted.Add(1)
		}
	}
}

// admit reads from a connection if there is room for one more.
func (s *Source) admit(nc net.Conn) {
	c := &conn{Conn: nc, source: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		nc.Close()
	case len(s.conns) >= maxConns:
		s.refused.Add(1)
		nc.Close()
	default:
		s.conns[c] = struct{}{}
		s.running.Go(c.serve)
	}
}

// Counts returns the counters as they are now. What waits is in Records already.
func (s *Source) Counts() source.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.pairer.Counts()
	c.Read, c.Paired = s.read.Load(), s.paired.Load()
	c.Dropped = s.queue.Dropped()
	c.Records -= s.lost
	return c
}

// Warnings returns what was found wrong so far.
func (s *Source) Warnings() []source.Warning {
	s.mu.Lock()
	ws := s.pairer.Warnings()
	s.mu.Unlock()
	for _, w := range []struct {
		n    int64
		text string
	}{
		{s.crowded.Load(), "%d connections were closed because too many large records came at once; GoReplay connects again"},
		{s.refused.Load(), "%d connections were refused, because there were too many at once; what they would have carried is not counted"},
		{s.unaccepted.Load(), "%d times a connection could not be accepted; the limit on open files (ulimit -n) may be too low"},
	} {
		if w.n > 0 {
			ws = append(ws, source.Warning{Offset: -1, Text: fmt.Sprintf(w.text, w.n)})
		}
	}
	return ws
}

// handshake makes sure that a sender that has to speak TLS does, in time.
func handshake(nc net.Conn) error {
	secure, ok := nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	return secure.HandshakeContext(ctx)
}
