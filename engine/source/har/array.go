package har

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errTooLong is an entry that is larger than the limit. It was passed over.
var errTooLong = errors.New("entry too long")

// errSyntax is something between two entries that does not belong there.
var errSyntax = errors.New("no entry")

// array yields the elements of log.entries one after the other, as they stand
// in the file. It finds their ends by the nesting of brackets alone, so that an
// element which is no valid JSON costs that one and not the rest of the file.
type array struct {
	in     io.Reader
	limit  int
	inside bool // the head of the file has been read

	buf  []byte
	from int   // of what has not been handed out
	base int64 // position of buf[0] in the file
	err  error // of the last read
	done bool
}

// next returns an element and its position. The element is valid until the
// next call. io.EOF is the end of the array, io.ErrUnexpectedEOF the end of the
// file before it; errTooLong and errSyntax tell that something was passed over.
func (a *array) next() (raw []byte, offset int64, err error) {
	if !a.inside {
		if err := a.enter(); err != nil {
			return nil, 0, err
		}
	}
	if a.done {
		return nil, a.base + int64(a.from), io.EOF
	}
	c, err := a.skipSpace()
	offset = a.base + int64(a.from)
	switch {
	case err != nil:
		return nil, offset, a.ended(err)
	case c == ']':
		a.done = true
		return nil, offset, io.EOF
	case c == '{':
		raw, err := a.object()
		return raw, offset, a.ended(err)
	}
	return nil, offset, a.ended(a.resync())
}

// ended makes the end of the file the last thing that next reports.
func (a *array) ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		a.done = true
		return io.ErrUnexpectedEOF
	}
	return err
}

// enter reads the head of the file up to the bracket of log.entries.
func (a *array) enter() error {
	a.inside = true
	br := bufio.NewReader(a.in)
	start, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	if string(start) == "PK\x03\x04" {
		return fmt.Errorf("%w: it is a zip archive; unpack it and name the .har file in it", ErrNotHAR)
	}
	var skipped int64
	if bytes.HasPrefix(start, byteOrderMark) {
		n, _ := br.Discard(len(byteOrderMark))
		skipped = int64(n)
	}
	dec := json.NewDecoder(br)
	err = findEntries(dec)
	at := skipped + dec.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
	case errors.As(err, &syntax), err == io.EOF, err == io.ErrUnexpectedEOF, err == errShape:
		return fmt.Errorf("%w: no log.entries up to byte %d", ErrNotHAR, at)
	default:
		return err
	}
	a.base = at
	a.buf, err = io.ReadAll(dec.Buffered())
	a.in = br
	return err
}

var byteOrderMark = []byte("\ufeff")

// errShape is JSON that is not the JSON of a HAR.
var errShape = errors.New("not the shape of a HAR")

// findEntries reads tokens up to and including the bracket of log.entries.
func findEntries(dec *json.Decoder) error {
	if err := findKey(dec, "log"); err != nil {
		return err
	}
	if err := findKey(dec, "entries"); err != nil {
		return err
	}
	return expect(dec, '[')
}

// findKey enters an object and stands before the value of key.
func findKey(dec *json.Decoder, key string) error {
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		if tok == key {
			return nil
		}
		if err := skipValue(dec); err != nil {
			return err
		}
	}
	return errShape
}

func expect(dec *json.Decoder, want json.Delim) error {
	tok, err := dec.Token()
	if err == nil && tok != want {
		err = errShape
	}
	return err
}

// skipValue passes over a value, however large.
func skipValue(dec *json.Decoder) error {
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// skipSpace passes over white space and commas and returns what follows.
func (a *array) skipSpace() (byte, error) {
	for {
		for a.from < len(a.buf) {
			switch c := a.buf[a.from]; c {
			case ' ', '\t', '\r', '\n', ',':
				a.from++
			default:
				return c, nil
			}
		}
		if err := a.fill(); err != nil {
			return 0, err
		}
	}
}

// object hands out the object that begins here.
func (a *array) object() ([]byte, error) {
	var n nesting
	for i := 0; ; {
		if i += n.scan(a.buf[a.from+i:]); n.closed {
			raw := a.buf[a.from : a.from+i]
			a.from += i
			return raw, nil
		}
		if i > a.limit {
			return nil, a.skip(&n)
		}
		if err := a.fill(); err != nil {
			if err == io.EOF {
				a.from = len(a.buf)
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// skip passes over the rest of an object.
func (a *array) skip(n *nesting) error {
	for !n.closed {
		a.from = len(a.buf)
		if err := a.fill(); err != nil {
			return err
		}
		a.from += n.scan(a.buf[a.from:])
	}
	return errTooLong
}

// resync passes over what is not an object, up to the next one or to the end of
// the array.
func (a *array) resync() error {
	inString, escaped, depth := false, false, 0
	for {
		for a.from < len(a.buf) {
			c := a.buf[a.from]
			switch {
			case escaped:
				escaped = false
			case inString:
				inString, escaped = c != '"', c == '\\'
			case c == '"':
				inString = true
			case c == '[':
				depth++
			case c == ']' && depth > 0:
				depth--
			case depth == 0 && (c == ',' || c == '{' || c == ']'):
				return errSyntax
			}
			a.from++
		}
		if err := a.fill(); err != nil {
			return err
		}
	}
}

// fill reads more behind what has not been handed out.
func (a *array) fill() error {
	if a.err != nil {
		return a.err
	}
	if a.from > 0 {
		a.base += int64(a.from)
		a.buf = a.buf[:copy(a.buf, a.buf[a.from:])]
		a.from = 0
	}
	const block = 64 << 10
	if len(a.buf) < block && cap(a.buf) > 64*block { // an entry was large; the others are not
		a.buf = append(make([]byte, 0, 2*block), a.buf...)
	}
	if cap(a.buf)-len(a.buf) < block {
		larger := make([]byte, len(a.buf), 2*cap(a.buf)+block)
		copy(larger, a.buf)
		a.buf = larger
	}
	for range 100 {
		n, err := a.in.Read(a.buf[len(a.buf):cap(a.buf)])
		a.buf = a.buf[:len(a.buf)+n]
		a.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	a.err = io.ErrNoProgress
	return a.err
}

// nesting follows the brackets of a JSON value.
type nesting struct {
	depth    int
	inString bool
	escaped  bool
	closed   bool // the outermost bracket
}

// scan reads b up to the bracket that closes the value, and returns how many
// bytes that took.
func (n *nesting) scan(b []byte) int {
	for i := 0; i < len(b); i++ {
		if n.inString {
			i += n.string(b[i:])
			continue
		}
		switch b[i] {
		case '"':
			n.inString = true
		case '{', '[':
			n.depth++
		case '}', ']':
			if n.depth--; n.depth == 0 {
				n.closed = true
				return i + 1
			}
		}
	}
	return len(b)
}

// string reads b up to the end of a string and returns the index of the last
// byte that it took.
func (n *nesting) string(b []byte) int {
	i := 0
	if n.escaped {
		n.escaped = false
		i = 1
	}
	quote := -1
	for i < len(b) {
		if quote < i {
			if quote = bytes.IndexByte(b[i:], '"'); quote < 0 {
				quote = len(b)
			} else {
				quote += i
			}
		}
		escape := bytes.IndexByte(b[i:quote], '\\')
		if escape < 0 {
			n.inString = quote == len(b)
			return min(quote, len(b)-1)
		}
		i += escape + 2
		n.escaped = i > len(b)
	}
	return len(b) - 1
}
