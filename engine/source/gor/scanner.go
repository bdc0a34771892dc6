package gor

import (
	"bytes"
	"errors"
	"io"
)

// A separator stands between two records: three monkeys on a line of their
// own. The line feed before them belongs to it, not to the payload.
const separator = "\n🐵🙈🙉\n"

var monkeys = []byte(separator[1:])

const (
	minBuffer  = 256 << 10
	bigBuffer  = 4 << 20  // beyond it a buffer is given back after use
	liveBuffer = 32 << 10 // instead of both where there may be a thousand connections

	// maxLine is the longest first line by which the beginning of a record is
	// known. GoReplay's are at most 83 bytes long.
	maxLine = 160
)

// errTooLong is a chunk that is larger than the limit. It was passed over.
var errTooLong = errors.New("chunk too long")

// scanner cuts a stream at its separators. It knows nothing of records but
// their first line, and only to tell whether a separator is a real one.
type scanner struct {
	in    io.Reader
	limit int // of a chunk, in bytes
	least int // size of the buffer, in bytes
	most  int // beyond it the buffer is given back after use

	buf  []byte // buf[:end] is filled
	end  int
	base int64 // position of buf[0] in the stream
	err  error // of the last read; io.EOF included

	clear int64 // no monkeys stand before it, in the stream
	start int64 // of the chunk, in the stream
	from  int   // the chunk is buf[from:from+size]
	size  int
	width int // from the beginning of the chunk to what follows its separator
}

func newScanner(in io.Reader, limit int) *scanner {
	return &scanner{in: in, limit: limit, least: minBuffer, most: bigBuffer, buf: make([]byte, minBuffer)}
}

// chunk is what stands before the next separator. It is valid until the next
// call of any other method than offset.
func (s *scanner) chunk() []byte { return s.buf[s.from : s.from+s.size] }

// offset is the position in the stream of the chunk, or of the one that was
// passed over.
func (s *scanner) offset() int64 { return s.start }

// terminated reports whether a separator follows the chunk.
func (s *scanner) terminated() bool { return s.width > s.size }

// advance moves to the next chunk. errTooLong tells that one was passed over;
// scanning can go on after it.
func (s *scanner) advance() error {
	s.from += s.width
	s.size, s.width = 0, 0
	s.start = s.base + int64(s.from)
	s.release()
	err := s.find(0)
	switch {
	case err == errTooLong:
		return s.skip()
	case err != nil:
		return err
	case s.width == 0:
		return io.EOF
	}
	return nil
}

// release gives a large buffer back when little of it is in use.
func (s *scanner) release() {
	if len(s.buf) <= s.most || s.end-s.from > s.least/2 {
		return
	}
	small := make([]byte, s.least)
	copy(small, s.buf[s.from:s.end])
	s.base += int64(s.from)
	s.buf, s.end, s.from = small, s.end-s.from, 0
}

// find sets the end of the chunk to the first separator whose monkeys stand at
// byte rel of it or later, or to the end of the stream.
func (s *scanner) find(rel int) error {
	rel = max(rel, int(s.clear-s.base)-s.from)
	for {
		window := s.buf[s.from:s.end]
		if i := indexMonkeys(window, rel); i >= 0 {
			s.size, s.width = max(i-1, 0), i+len(monkeys)
			return nil
		}
		switch {
		case s.err == io.EOF:
			s.size, s.width = len(window), len(window)
			s.dropPartialSeparator()
			return nil
		case s.err != nil:
			return s.err
		case len(window) > s.limit:
			return errTooLong
		}
		rel = max(rel, len(window)-len(monkeys)+1)
		s.fill()
	}
}

// dropPartialSeparator shortens the last chunk by a separator that the end of
// the stream cuts through. A lone line feed may be the message's own.
func (s *scanner) dropPartialSeparator() {
	for n := len(separator) - 1; n >= 2; n-- {
		if bytes.HasSuffix(s.chunk(), []byte(separator[:n])) {
			s.size -= n
			return
		}
	}
}

// skip passes over the rest of a chunk that is too long.
func (s *scanner) skip() error {
	for {
		s.from = s.end - len(separator) // a separator may have begun here
		// It cannot be complete yet: the search would have found it.
		switch err := s.find(1); err {
		case nil:
			s.from += s.width
			s.size, s.width = 0, 0
			return errTooLong
		case errTooLong:
		default:
			return err
		}
	}
}

// indexMonkeys finds a line of monkeys in b, from byte from on.
func indexMonkeys(b []byte, from int) int {
	for from < len(b) {
		i := bytes.Index(b[from:], monkeys)
		if i < 0 {
			return -1
		}
		i += from
		if i == 0 || b[i-1] == '\n' {
			return i
		}
		from = i + 1
	}
	return -1
}

// fill reads more, after making room.
func (s *scanner) fill() {
	if s.end == len(s.buf) {
		if s.from > len(s.buf)/2 {
			copy(s.buf, s.buf[s.from:s.end])
		} else {
			larger := make([]byte, 2*len(s.buf))
			copy(larger, s.buf[s.from:s.end])
			s.buf = larger
		}
		s.base += int64(s.from)
		s.end, s.from = s.end-s.from, 0
	}
	for range 100 {
		n, err := s.in.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return
		}
	}
	s.err = io.ErrNoProgress
}

// followed reports whether what comes after the chunk's separator is the
// beginning of a record, or nothing at all. Where it is not, the separator may
// be a part of the payload: GoReplay escapes nothing.
func (s *scanner) followed() bool {
	for {
		rest := s.buf[s.from+s.width : s.end]
		rest = rest[:min(len(rest), maxLine)]
		switch {
		case bytes.HasPrefix(rest, monkeys), beginsRecord(rest):
			return true
		case len(rest) == maxLine, s.err != nil:
			return len(bytes.TrimSpace(rest)) == 0
		}
		s.fill()
	}
}

// extend moves the end of the chunk to the next separator that is followed, or
// to the end of the stream. It reports whether the limit allowed that; if not,
// the chunk is as before.
func (s *scanner) extend() bool {
	size, width := s.size, s.width
	for s.terminated() && !s.followed() {
		if s.find(s.width) != nil || s.size > s.limit {
			s.size, s.width = size, width
			return false
		}
	}
	return true
}

// shorten moves the end of the chunk back to the first separator at byte size
// or later.
func (s *scanner) shorten(size int) {
	if i := indexMonkeys(s.chunk(), size+1); i >= 0 {
		s.size, s.width = i-1, i+len(monkeys)
	}
}

// split ends the chunk at byte size, where the next one begins without a
// separator.
func (s *scanner) split(size int) {
	// The next search is for the same separator, which may be far away.
	s.clear = s.offset() + int64(s.width-len(monkeys))
	s.size, s.width = size, size
}
