package middleware

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/middleware/wire"
)

// How a stream deals with its receiver.
const (
	dialTimeout  = 2 * time.Second
	writeTimeout = 5 * time.Second
	firstPause   = 50 * time.Millisecond // before a second attempt to connect
	longestPause = 5 * time.Second
	reportEvery  = time.Second
)

// stream is a sink that sends exchanges over a socket. While nobody listens the
// queue fills, and then the recorder drops.
type stream struct {
	rec           *Recorder
	network, addr string
	id            wire.Instance
	halted        context.Context
	giveUp        context.CancelFunc

	conn     net.Conn
	unwatch  func() bool
	gone     <-chan struct{} // closed when the receiver has closed the connection
	out      *bufio.Writer
	frame    []byte
	reported wire.Report
}

func newStream(r *Recorder, address string, id wire.Instance) *stream {
	s := &stream{rec: r, network: "tcp", addr: address, id: id}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		s.network, s.addr = "unix", path
	}
	s.halted, s.giveUp = context.WithCancel(context.Background())
	return s
}

func (s *stream) halt() { s.giveUp() }

// run connects and sends, again and again, until the recorder is closed.
func (s *stream) run() error {
	defer s.giveUp()
	pause := firstPause
	for {
		err := s.connect()
		if err == nil {
			pause = firstPause
			err = s.send()
			s.unwatch()
			s.conn.Close()
			if err == nil {
				return s.finish(nil)
			}
		}
		select {
		case <-s.rec.closing:
			return s.finish(err)
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		}
		s.report() // the receiver answers for what comes from this attempt on
	}
}

// finish drops what is left when the recorder is closed.
func (s *stream) finish(err error) error {
	if n := s.rec.dropRest(); n > 0 {
		return fmt.Errorf("%d exchanges that waited were dropped, since the auditor could not be reached: %w", n, err)
	}
	return nil
}

// connect opens a connection and says who is speaking.
func (s *stream) connect() error {
	ctx, cancel := context.WithTimeout(s.halted, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, s.network, s.addr)
	if err != nil {
		return err
	}
	s.unwatch = context.AfterFunc(s.halted, func() { conn.Close() })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, conn) // until the end: nothing is said
	}()
	s.conn, s.gone = conn, gone
	s.out = bufio.NewWriterSize(conn, 64<<10)
	s.frame = wire.AppendReport(wire.AppendPreface(s.frame[:0], s.id), s.reported)
	s.deadline()
	_, err = s.out.Write(s.frame)
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		s.unwatch()
		return errors.Join(err, conn.Close())
	}
	return nil
}

// report is what has been counted.
func (s *stream) report() wire.Report {
	t := &s.rec.tally
	s.reported = wire.Report{
		Sent: uint64(t.sent.Load()), Dropped: uint64(t.dropped.Load()),
		Upgraded: uint64(t.upgraded.Load()), Truncated: uint64(t.truncated.Load()),
	}
	return s.reported
}

// send sends until the connection breaks, or until the recorder is closed and
// everything is sent.
func (s *stream) send() error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case e := <-s.rec.queue:
			err = s.exchange(e)
			if err == nil && len(s.rec.queue) == 0 {
				err = s.out.Flush()
			}
		case <-tick.C:
			err = s.tell()
		case <-s.gone:
			return errors.New("the auditor closed the connection")
		case <-s.rec.closing:
			return s.last()
		}
		if err != nil {
			return err
		}
	}
}

// last sends what waits when the recorder is closed, and the counters.
func (s *stream) last() error {
	for len(s.rec.queue) > 0 {
		if err := s.exchange(<-s.rec.queue); err != nil {
			return err
		}
	}
	return s.tell()
}

// tell reports the counters if they have changed.
func (s *stream) tell() error {
	before := s.reported
	if r := s.report(); r == before {
		return s.out.Flush()
	}
	s.deadline()
	s.frame = wire.AppendReport(s.frame[:0], s.reported)
	if _, err := s.out.Write(s.frame); err != nil {
		return err
	}
	return s.out.Flush()
}

// exchange sends an exchange.
func (s *stream) exchange(e *entry) error {
	s.frame = wire.AppendExchange(s.frame[:0], e.exchange)
	if len(s.frame)-wire.HeadSize > wire.MaxPayload {
		s.rec.drop(e)
		return nil
	}
	s.deadline()
	if _, err := s.out.Write(s.frame); err != nil {
		s.rec.drop(e)
		return err
	}
	s.rec.tally.sent.Add(1)
	s.rec.memory.give(e.size)
	if cap(s.frame) > 1<<20 {
		s.frame = nil
	}
	return nil
}

// deadline gives the receiver its time for what is written next.
func (s *stream) deadline() { s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) }
