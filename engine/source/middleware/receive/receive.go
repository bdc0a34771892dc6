// Package receive is the source that takes exchanges from services in which
// package middleware records, or which speak its protocol otherwise (package
// wire): whole exchanges, with the response that the service gave.
//
//	rec, err := middleware.New(middleware.Config{Address: "unix:/run/shadowaudit.sock"})
//	server.Handler = rec.Handler(server.Handler)
//
// and here Listen: "unix:/run/shadowaudit.sock", or "127.0.0.1:9901" on both
// sides. A socket in the file system can be written to by its owner and group
// only. The protocol has no encryption and knows no passwords, and what it
// carries was not scrubbed yet: listen on a socket or on loopback.
//
// An exchange is what the service saw of it: fields in the order of their names
// where it is written in Go, bodies with their content coding. Its time and its
// timing are by the clock of the service.
//
// # What is lost, and how it is counted
//
//	Records = Read + Malformed + TruncatedRequests + NotHTTP + Dropped
//
// once Next has returned io.EOF. Dropped are exchanges for which there was no
// room here, those that the service says it had no room for, and those that it
// sent but that did not arrive because a connection broke. TruncatedRequests
// are those of which the service did not see the whole body, as a rule because
// it did not read it. NotHTTP are exchanges that went on as a WebSocket or a
// tunnel. A service that is gone without having said what it dropped last, a
// second ago at most, takes that with it; so does one that was never there.
// Truncated are these requests, and responses of which a part is missing: those
// are handed out.
package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/middleware/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Config says where to listen.
type Config struct {
	Name   string // of the source block; every exchange carries it
	Listen string // "host:port", port 0 lets the system choose one; or "unix:/path"
}

// What a receiver allows its senders.
const (
	maxConns       = 1024 // open at once
	maxInstances   = 4096 // services that are told apart
	roomForAll     = 128 << 20
	prefaceTimeout = 10 * time.Second
	frameTimeout   = time.Minute
	stopGrace      = 500 * time.Millisecond
	acceptGrace    = 20 * time.Millisecond
	acceptPause    = 50 * time.Millisecond
)

// Source receives exchanges.
type Source struct {
	name  string
	ln    net.Listener
	where string
	queue source.Queue
	room  atomic.Int64 // bytes of frames that have not arrived in full
	tally tally

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	services map[wire.Instance]*service
	stopped  bool
	deadline time.Time // of everything, once stopped

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

// Open listens. An error tells which address cannot be listened on.
func Open(cfg Config) (*Source, error) {
	ln, where, err := listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for services; choose another address, or stop what uses it: %w", err)
	}
	s := &Source{
		name: cfg.Name, ln: ln, where: where,
		conns:    make(map[net.Conn]struct{}),
		services: make(map[wire.Instance]*service),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	s.running.Go(s.accept)
	return s, nil
}

func listen(address string) (ln net.Listener, where string, err error) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		if ln, err = net.Listen("tcp", address); err != nil {
			return nil, "", err
		}
		return ln, ln.Addr().String(), nil
	}
	if err := removeStale(path); err != nil {
		return nil, "", err
	}
	if ln, err = net.Listen("unix", path); err != nil {
		return nil, "", err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, "", errors.Join(err, ln.Close())
	}
	return ln, "unix:" + path, nil
}

// removeStale removes a socket that nobody listens on any more, as a process
// leaves it behind that was killed.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // there is none, or Listen says what is wrong with it
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s is in use", path)
	}
	return os.Remove(path)
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
func (s *Source) Listening() string { return s.where }

// Stop lets no connection in any more, but those that wait to be accepted: what
// they carry was sent before. All get half a second for what is on its way.
func (s *Source) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	s.deadline = time.Now().Add(stopGrace)
	close(s.quit)
	s.ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(acceptGrace))
	for c := range s.conns {
		c.SetReadDeadline(s.deadline)
	}
	go func() {
		s.running.Wait()
		s.queue.End(nil)
		close(s.done)
	}()
}

// Close stops at once and returns when nothing is left that runs.
func (s *Source) Close() error {
	s.Stop()
	s.ln.Close()
	s.mu.Lock()
	s.deadline = time.Now()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	<-s.done
	return nil
}

// accept lets connections in until the source is stopped.
func (s *Source) accept() {
	defer s.ln.Close()
	for {
		c, err := s.ln.Accept()
		if err == nil {
			s.admit(c)
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
func (s *Source) admit(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.conns) >= maxConns:
		s.tally.refused.Add(1)
		c.Close()
	default:
		if s.stopped {
			c.SetReadDeadline(s.deadline)
		}
		s.conns[c] = struct{}{}
		s.running.Go(func() { s.serve(c) })
	}
}

// expect gives a connection its time for what comes next; 0 is as long as it
// likes. After Stop the time that Stop gave holds.
func (s *Source) expect(c net.Conn, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	c.SetReadDeadline(at)
}

// forget closes a connection.
func (s *Source) forget(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
