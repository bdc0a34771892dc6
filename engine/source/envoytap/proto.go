package envoytap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
)

// Fields of TraceWrapper in envoy/data/tap/v3/wrapper.proto.
const (
	fieldBufferedTrace   protowire.Number = 1
	fieldStreamedSegment protowire.Number = 2
	fieldSocketTrace     protowire.Number = 3
	fieldSocketSegment   protowire.Number = 4
)

// binary reads records of protocol buffers. Where they have no length in front
// (PROTO_BINARY) those of a streamed trace are written one after the other all
// the same; every field of such a file is then a record, since a TraceWrapper
// has one that counts.
type binary struct {
	in        *bufio.Reader
	delimited bool
	limit     int64
	offset    int64
}

func (b *binary) next() (*record, error) {
	for {
		start := b.offset
		if b.delimited {
			n, err := b.varint(true)
			if err != nil {
				return nil, err
			}
			msg, err := b.take(n)
			if err != nil {
				return nil, err
			}
			return decodeWrapper(msg, start, b.offset-start)
		}
		tag, err := b.varint(true)
		if err != nil {
			return nil, err
		}
		num, typ := protowire.DecodeTag(tag)
		if typ != protowire.BytesType || !num.IsValid() {
			return nil, errSyntax
		}
		n, err := b.varint(false)
		if err != nil {
			return nil, err
		}
		msg, err := b.take(n)
		if err != nil {
			return nil, err
		}
		rec, err := decodeField(num, msg)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			rec.offset, rec.size = start, b.offset-start
			return rec, nil
		}
	}
}

func (b *binary) at() int64 { return b.offset }

// varint reads a number. Only before a record may the file end.
func (b *binary) varint(first bool) (uint64, error) {
	var v uint64
	for i := range 10 {
		c, err := b.in.ReadByte()
		if err != nil {
			if err == io.EOF && !(first && i == 0) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		b.offset++
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, errSyntax
}

// take reads n bytes. The length is not trusted with an allocation.
func (b *binary) take(n uint64) ([]byte, error) {
	if n > uint64(b.limit) {
		return nil, errTooLong
	}
	var buf bytes.Buffer
	got, err := io.CopyN(&buf, b.in, int64(n))
	b.offset += got
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf.Bytes(), err
}

func decodeWrapper(b []byte, offset, size int64) (*record, error) {
	var rec *record
	err := envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		r, err := decodeField(num, v)
		if r != nil {
			rec = r
		}
		return err
	})
	if err == nil && rec == nil {
		err = envoy.ErrShape
	}
	if err != nil {
		return nil, err
	}
	rec.offset, rec.size = offset, size
	return rec, nil
}

// decodeField reads a field of a TraceWrapper; nil is one that says nothing of
// the traffic.
func decodeField(num protowire.Number, v []byte) (*record, error) {
	switch num {
	case fieldBufferedTrace:
		t, err := decodeTrace(v)
		return &record{trace: t}, err
	case fieldStreamedSegment:
		p, err := decodePiece(v)
		return &record{piece: p}, err
	case fieldSocketTrace, fieldSocketSegment:
		return &record{socket: true}, nil
	}
	return nil, nil
}

// decodeTrace reads a HttpBufferedTrace: request 1, response 2,
// downstream_connection 3.
func decodeTrace(b []byte) (*trace, error) {
	t := new(trace)
	return t, envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) (err error) {
		switch num {
		case 1:
			err = decodeMessage(v, &t.request)
		case 2:
			err = decodeMessage(v, &t.response)
		case 3:
			t.client, err = decodeConnection(v)
		}
		return err
	})
}

// decodeMessage reads a HttpBufferedTrace.Message: headers 1, body 2, trailers
// 3, headers_received_time 4.
func decodeMessage(b []byte, m *message) error {
	return envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) (err error) {
		switch num {
		case 1:
			err = envoy.DecodeHeaderValue(v, &m.header)
		case 2:
			m.body, err = decodeBody(v)
		case 3:
			err = envoy.DecodeHeaderValue(v, &m.trailer)
		case 4:
			m.at, err = decodeTime(v)
		}
		return err
	})
}

// decodePiece reads a HttpStreamedTraceSegment: trace_id 1, and one of the
// parts.
func decodePiece(b []byte) (*piece, error) {
	p := new(piece)
	return p, envoy.EachField(b, func(num protowire.Number, v []byte, n uint64) (err error) {
		switch part(num) {
		case 1:
			p.id = n
		case requestHeaders, requestTrailers, responseHeaders, responseTrailers:
			p.part = part(num)
			err = envoy.DecodeHeaderMap(v, &p.header)
		case requestChunk, responseChunk:
			p.part = part(num)
			p.chunk, err = decodeBody(v)
		}
		return err
	})
}

// decodeBody reads a Body of envoy/data/tap/v3/common.proto: as_bytes 1,
// as_string 2, truncated 3.
func decodeBody(b []byte) (body, error) {
	var c body
	return c, envoy.EachField(b, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			c.bytes, c.text = v, false
		case 2:
			c.bytes, c.text = v, true
		case 3:
			c.cut = n != 0
		}
		return nil
	})
}

// decodeTime reads a google.protobuf.Timestamp: seconds 1, nanos 2.
func decodeTime(b []byte) (time.Time, error) {
	var seconds, nanos uint64
	err := envoy.EachField(b, func(num protowire.Number, _ []byte, n uint64) error {
		switch num {
		case 1:
			seconds = n
		case 2:
			nanos = n
		}
		return nil
	})
	return clock(int64(seconds), int64(nanos)), err
}

// decodeConnection reads the remote address of a Connection: remote_address 2,
// in it socket_address 1, in it address 2 and port_value 3 of
// envoy/config/core/v3/address.proto.
func decodeConnection(b []byte) (string, error) {
	var host string
	var port uint64
	err := envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		if num != 2 {
			return nil
		}
		return envoy.EachField(v, func(num protowire.Number, v []byte, _ uint64) error {
			if num != 1 {
				return nil
			}
			return envoy.EachField(v, func(num protowire.Number, v []byte, n uint64) error {
				switch num {
				case 2:
					host = string(v)
				case 3:
					port = n
				}
				return nil
			})
		})
	})
	return address(host, port), err
}

func address(host string, port uint64) string {
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10))
}

// clock is a time of a recorder; zero for one that cannot be.
func clock(seconds, nanos int64) time.Time {
	const year2262 = 1<<63/1_000_000_000 - 1 // beyond it, nanoseconds do not fit
	if seconds <= 0 || seconds >= year2262 || nanos < 0 || nanos >= 1e9 {
		return time.Time{}
	}
	return time.Unix(seconds, nanos).UTC()
}

var errSyntax = errors.New("not a message")
