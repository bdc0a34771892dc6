// Package wire is the protocol in which a service hands its exchanges to an
// auditor, over TCP or a Unix domain socket. It goes one way only: the auditor
// answers nothing. It is meant to be written by services in any language.
//
// # The stream
//
// Fixed integers are little-endian; uvarint is the base-128 integer of protobuf.
// A connection carries a preface of 16 bytes and then frames until its end:
//
//	0  4  53 41 6d 77, "SAmw"
//	4  1  version, 1: a receiver refuses one that it does not know
//	5  3  zero
//	8  8  instance: drawn at random when the service starts, the same in all
//	      of its connections
//
//	0  1  kind of the frame: 1 exchange, 2 report; others are passed over
//	1  4  length of the payload in bytes
//	5     payload
//
// # Exchange
//
// The payload is one record as package engine/recording describes it under
// "Exchanges": the method, the target, fields in their order, bodies as bytes.
// The source and the offset may be left out. A payload may have 17 MiB.
//
// # Report
//
// A report tells what the service has counted since it started. Its payload is
// pairs of uvarints, a key and a count; a key that is absent counts zero, and
// one that is not known is passed over:
//
//	1  exchange frames that were written, this connection's and all before
//	2  exchanges that were dropped, for want of room or of a connection
//	3  exchanges that went on as something else than HTTP: WebSocket, CONNECT
//	4  requests of which the service did not see the whole body
//
// The first frame of a connection is a report, and another one follows the last
// exchange before its end; in between there is one after a change, a second
// later at most. The receiver takes the first report of an instance as its zero,
// so that it answers for what happened since it was there, and for nothing else.
// What was written, but did not arrive because a connection broke, shows in the
// difference between the first count and the frames that came.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Sizes and limits, in bytes.
const (
	PrefaceSize = 16
	HeadSize    = 5        // of a frame, before its payload
	MaxPayload  = 17 << 20 // two bodies of 8 MiB, and what stands before them
	MaxReport   = 1 << 10
)

// Version is that of the protocol that is written.
const Version = 1

const magic = "SAmw"

// Kind says what a frame carries.
type Kind byte

// The kinds of frames.
const (
	KindExchange Kind = 1
	KindReport   Kind = 2
)

var (
	// ErrNotOurs is a connection that does not begin with a preface.
	ErrNotOurs = errors.New("not a stream of exchanges")
	// ErrVersion is a stream of a version that is not known.
	ErrVersion = fmt.Errorf("a stream of another version than %d", Version)
	// ErrReport is a report that does not follow the format.
	ErrReport = errors.New("malformed report")
)

// Instance tells services apart that run at the same time.
type Instance [8]byte

// AppendPreface adds the beginning of a connection.
func AppendPreface(b []byte, id Instance) []byte {
	b = append(b, magic...)
	b = append(b, Version, 0, 0, 0)
	return append(b, id[:]...)
}

// ParsePreface reads the beginning of a connection, which has PrefaceSize bytes.
// The error is ErrNotOurs or ErrVersion.
func ParsePreface(b []byte) (Instance, error) {
	switch {
	case len(b) < PrefaceSize || string(b[:len(magic)]) != magic:
		return Instance{}, ErrNotOurs
	case b[len(magic)] != Version:
		return Instance{}, ErrVersion
	}
	return Instance(b[8:PrefaceSize]), nil
}

// ParseHead reads what stands before a payload, HeadSize bytes.
func ParseHead(b []byte) (k Kind, payload uint32) {
	return Kind(b[0]), binary.LittleEndian.Uint32(b[1:HeadSize])
}

// AppendExchange adds a frame with an exchange.
func AppendExchange(b []byte, x *traffic.Exchange) []byte {
	return appendFrame(b, KindExchange, func(b []byte) []byte { return recording.AppendExchange(b, x) })
}

// ParseExchange reads the payload of an exchange frame. The exchange shares no
// memory with b.
func ParseExchange(b []byte) (*traffic.Exchange, error) { return recording.ParseExchange(b) }

// Report is what a service has counted since it started.
type Report struct {
	Sent      uint64 // exchange frames written
	Dropped   uint64
	Upgraded  uint64
	Truncated uint64
}

// AppendReport adds a frame with a report.
func AppendReport(b []byte, r Report) []byte {
	return appendFrame(b, KindReport, func(b []byte) []byte {
		for i, n := range []uint64{r.Sent, r.Dropped, r.Upgraded, r.Truncated} {
			b = binary.AppendUvarint(b, uint64(i+1))
			b = binary.AppendUvarint(b, n)
		}
		return b
	})
}

// ParseReport reads the payload of a report frame. The error is ErrReport.
func ParseReport(b []byte) (Report, error) {
	var r Report
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return Report{}, ErrReport
		}
		count, m := binary.Uvarint(b[n:])
		if m <= 0 || count > 1<<62 {
			return Report{}, ErrReport
		}
		b = b[n+m:]
		switch key {
		case 1:
			r.Sent = count
		case 2:
			r.Dropped = count
		case 3:
			r.Upgraded = count
		case 4:
			r.Truncated = count
		}
	}
	return r, nil
}

// appendFrame adds a frame whose payload is what fill adds.
func appendFrame(b []byte, k Kind, fill func([]byte) []byte) []byte {
	at := len(b)
	b = fill(append(b, byte(k), 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(b[at+1:], uint32(len(b)-at-HeadSize))
	return b
}
