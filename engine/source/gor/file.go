package gor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one file of a recording. It stands on a request that could be parsed,
// or on a response; the rest it accounts for and passes over.
type file struct {
	name   string
	in     io.ReadCloser
	scan   *scanner
	parser *parser
	log    *ledger

	live bool // what follows a record may take its time

	record record
	tail   int   // bytes at the end of the chunk that are to be read as further requests
	time   int64 // of the record, or where it has none of the one before
	ended  bool
}

// record is a request or a response.
type record struct {
	meta
	offset  int64
	size    int              // of the payload, in bytes
	cut     bool             // the compressed file stops in the middle of it
	request *traffic.Request // parsed; of a request
	payload []byte           // a piece of the scanner's buffer; of a response
}

func newFile(name string, in io.ReadCloser, limit int, p *parser, log *ledger) *file {
	return &file{name: name, in: in, scan: newScanner(in, limit), parser: p, log: log, time: math.MinInt64}
}

// Advance moves to the next request or response.
func (f *file) Advance(ctx context.Context) error {
	for !f.ended {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.tail > 0 {
			if f.examineTail() {
				return nil
			}
			continue
		}
		switch err := f.scan.advance(); {
		case err == errTooLong:
			f.malformed(fmt.Sprintf("record larger than %d MiB, left out", f.scan.limit>>20))
			continue
		case err == io.EOF:
			f.ended = true
			f.noteCut()
			continue
		case err != nil:
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		if !f.examine() {
			continue
		}
		if f.record.timed {
			f.time = f.record.at
		}
		return nil
	}
	return io.EOF
}

// Time is the time of the record, by which files are merged.
func (f *file) Time() int64 { return f.time }

// Close closes the file.
func (f *file) Close() error { return f.in.Close() }

// examine looks at the chunk and reports whether it is a request or a response
// to hand out. Every other chunk is accounted for when it returns.
func (f *file) examine() bool {
	m, payload, ok := parseMeta(f.scan.chunk())
	if !ok {
		f.junk()
		return false
	}
	if f.scan.terminated() && !f.certain(m.kind, payload) && !f.scan.followed() {
		f.rejoin(m.kind, len(f.scan.chunk())-len(payload))
	}
	// The scanner may have moved its buffer.
	m, payload, _ = parseMeta(f.scan.chunk())
	if m.kind == typeResponse && isInterim(payload) {
		return false
	}
	f.record = record{meta: m, offset: f.scan.offset(), size: len(payload), cut: !f.scan.terminated() && f.cut()}
	f.log.Records++
	switch m.kind {
	case typeRequest:
		return f.examineRequest(payload)
	case typeResponse:
		f.record.payload = payload
		return true
	}
	f.log.ReplayedResponses++
	return false
}

// certain reports whether the separator is a real one whatever follows it,
// because the message before it is whole. Only for live records it pays to
// find that out at once: what follows may come an hour later.
func (f *file) certain(kind byte, payload []byte) bool {
	if !f.live {
		return false
	}
	_, whole := f.parser.measure(kind, payload)
	return whole
}

// junk accounts for a chunk that does not begin like a record.
func (f *file) junk() {
	if len(bytes.TrimSpace(f.scan.chunk())) == 0 {
		return // white space between records, or at the end of an edited file
	}
	f.log.junk++
	f.malformed("not a GoReplay record, left out up to the next separator")
}

func (f *file) malformed(what string) {
	f.log.Records++
	f.log.Malformed++
	f.log.Warn(f.name, f.scan.offset(), what)
}

// rejoin puts a payload together that a separator of its own cut in pieces: the
// message is unfinished, what follows is not a record, and with it the message
// is whole. head is the length of the record's first line.
func (f *file) rejoin(kind byte, head int) {
	if _, whole := f.parser.measure(kind, f.scan.chunk()[head:]); whole {
		return
	}
	size := len(f.scan.chunk())
	if !f.scan.extend() {
		return
	}
	if n, whole := f.parser.measure(kind, f.scan.chunk()[head:]); whole {
		size = head + n
	}
	f.scan.shorten(size)
}

func (f *file) examineRequest(payload []byte) bool {
	request, n, err := f.parser.request(payload)
	switch {
	case err == io.ErrUnexpectedEOF:
		f.truncated()
		return false
	case err != nil:
		f.log.Malformed++
		f.log.Warn(f.name, f.record.offset, "request is not HTTP/1.x, left out: "+reason(err))
		return false
	}
	f.record.request, f.record.size = request, n
	f.leftover(payload[n:])
	return true
}

func (f *file) truncated() {
	if !f.record.cut { // else it is counted with the file
		f.log.Truncated++
	}
	f.log.TruncatedRequests++
	f.log.Warn(f.name, f.record.offset, "request is cut, left out")
}

// leftover looks at what stands between a request and its separator. Where that
// begins like a record, a separator is missing, and it becomes the next chunk.
// Else it should be a request that the client sent without waiting.
func (f *file) leftover(rest []byte) {
	f.tail = 0
	rest = bytes.TrimLeft(rest, "\r\n")
	switch {
	case len(bytes.TrimSpace(rest)) == 0:
	case beginsRecord(rest):
		f.scan.split(len(f.scan.chunk()) - len(rest))
		f.log.Warn(f.name, f.record.offset, "separator missing after the record")
	default:
		f.tail = len(rest)
	}
}

// examineTail looks at the next request of a record that has several, and
// reports whether it is one to hand out. It has the record's id and time.
func (f *file) examineTail() bool {
	chunk := f.scan.chunk()
	rest := chunk[len(chunk)-f.tail:]
	f.record.offset = f.scan.offset() + int64(len(chunk)-f.tail)
	f.log.Records++
	request, n, err := f.parser.request(rest)
	switch {
	case err == io.ErrUnexpectedEOF && request != nil:
		f.tail = 0
		f.truncated()
		return false
	case err != nil:
		f.tail = 0
		f.log.Malformed++
		f.log.Warn(f.name, f.record.offset, fmt.Sprintf("%d bytes after the end of the request, left out", len(rest)))
		return false
	}
	f.record.request, f.record.size = request, n
	f.leftover(rest[n:])
	return true
}

// noteCut accounts for the end of a compressed file, if it stops early: one
// message, of which a part or all is missing.
func (f *file) noteCut() {
	if f.cut() {
		f.log.Truncated++
		f.log.Warn(f.name, f.scan.offset(), "compressed data ends early or is damaged; what follows is lost")
	}
}

func (f *file) cut() bool {
	c, ok := f.in.(interface{ Cut() bool })
	return ok && c.Cut()
}

// reason gives an error of the HTTP parser without its preface.
func reason(err error) string {
	if err == io.EOF {
		return "empty"
	}
	return err.Error()
}
