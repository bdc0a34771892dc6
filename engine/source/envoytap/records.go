package envoytap

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// errTooLong is a trace that is larger than the limit.
var errTooLong = errors.New("trace too long")

// records are the traces and segments of a file. io.EOF is the end,
// io.ErrUnexpectedEOF an end in the middle of a record. envoy.ErrShape is a record
// that is none, after which the next one follows; after any other error none
// does.
type records interface {
	next() (*record, error)
	at() int64 // of the next record, in bytes
}

// isDamage reports whether an error is about what the file has, rather than
// about the reading of it.
func isDamage(err error) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF || err == errSyntax || err == errTooLong
}

// newRecords finds out in which of its formats Envoy wrote a file. The names of
// files tell it too, but they can be changed.
func newRecords(in io.Reader, limit int64) (records, error) {
	br := bufio.NewReaderSize(in, 32<<10)
	head, err := br.Peek(32)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(head) == 0 {
		return &binary{in: br, limit: limit}, nil
	}
	switch c := firstByte(head); {
	case c == '{':
		return newDocuments(br, limit), nil
	case c == 'h' || c == 's': // http_buffered_trace {
		return nil, fmt.Errorf("%w that can be read: it may be of the format PROTO_TEXT; set the format PROTO_BINARY or JSON_BODY_AS_BYTES", ErrNotTap)
	case isDelimited(head):
		return &binary{in: br, limit: limit, delimited: true}, nil
	case isWrapper(head):
		return &binary{in: br, limit: limit}, nil
	}
	return nil, ErrNotTap
}

func firstByte(head []byte) byte {
	for _, c := range head {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// isDelimited reports whether a length stands in front of a TraceWrapper whose
// first field fits into it.
func isDelimited(head []byte) bool {
	length, n := protowire.ConsumeVarint(head)
	if n < 0 || !isWrapper(head[n:]) {
		return false
	}
	head = head[n:]
	inner, m := protowire.ConsumeVarint(head[1:])
	return m > 0 && inner <= length && length-inner >= uint64(1+m)
}

// isWrapper reports whether a TraceWrapper begins here, with one of its first
// four fields.
func isWrapper(head []byte) bool {
	num, typ, n := protowire.ConsumeTag(head)
	return n == 1 && typ == protowire.BytesType && num >= fieldBufferedTrace && num <= fieldSocketSegment
}
