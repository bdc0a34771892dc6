package receive

import (
	"bufio"
	"io"
	"net"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/middleware/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// serve reads a connection to its end.
func (s *Source) serve(c net.Conn) {
	defer s.forget(c)
	in := bufio.NewReaderSize(c, 64<<10)
	s.expect(c, prefaceTimeout)
	var preface [wire.PrefaceSize]byte
	if _, err := io.ReadFull(in, preface[:]); err != nil {
		return
	}
	id, err := wire.ParsePreface(preface[:])
	if err != nil {
		s.tally.foreign.Add(1)
		return
	}
	from := s.service(id)
	for s.frame(c, in, from) {
	}
}

// frame reads a frame, and reports whether there may be another one.
func (s *Source) frame(c net.Conn, in *bufio.Reader, from *service) bool {
	s.expect(c, 0)
	head, err := in.Peek(wire.HeadSize)
	if err != nil {
		return false
	}
	kind, size := wire.ParseHead(head)
	in.Discard(wire.HeadSize)
	s.expect(c, frameTimeout)
	switch {
	case kind == wire.KindExchange && size <= wire.MaxPayload:
		return s.exchange(in, from, int(size))
	case kind == wire.KindExchange:
		if !skip(in, size) {
			return false
		}
		from.arrived()
		s.tally.malformed.Add(1)
	case kind == wire.KindReport && size <= wire.MaxReport:
		return report(in, from, int(size))
	default:
		return skip(in, size)
	}
	return true
}

// exchange reads a frame with an exchange, if there is room for it.
func (s *Source) exchange(in *bufio.Reader, from *service, size int) bool {
	if s.room.Add(int64(size)) > roomForAll {
		s.room.Add(-int64(size))
		if !skip(in, uint32(size)) {
			return false
		}
		from.arrived()
		s.tally.crowded.Add(1)
		return true
	}
	defer s.room.Add(-int64(size))
	payload, err := readGrowing(in, size)
	if err != nil {
		return false
	}
	from.arrived()
	s.take(payload)
	return true
}

func report(in *bufio.Reader, from *service, size int) bool {
	payload := make([]byte, size)
	if _, err := io.ReadFull(in, payload); err != nil {
		return false
	}
	r, err := wire.ParseReport(payload)
	if err != nil {
		return false
	}
	from.report(r)
	return true
}

// readGrowing reads n bytes. It takes memory as they come, since a length is
// easily claimed.
func readGrowing(in io.Reader, n int) ([]byte, error) {
	const step = 256 << 10
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		from := len(b)
		got, err := io.ReadFull(in, b[from:min(n, cap(b))])
		b = b[:from+got]
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func skip(in io.Reader, n uint32) bool {
	_, err := io.CopyN(io.Discard, in, int64(n))
	return err == nil
}

// take hands an exchange on.
func (s *Source) take(payload []byte) {
	x, err := wire.ParseExchange(payload)
	if err != nil || !sound(x) {
		s.tally.malformed.Add(1)
		return
	}
	if x.Request.Body.State != traffic.Complete {
		s.tally.truncated.Add(1)
		return
	}
	if x.At.IsZero() {
		x.At = time.Now()
	}
	x.Source, x.Offset, x.At = s.name, 0, x.At.UTC()
	cut := x.Response != nil && x.Response.Body.State != traffic.Complete
	if s.queue.Put(x) {
		s.tally.accepted.Add(1)
		if cut {
			s.tally.cut.Add(1)
		}
	}
}
