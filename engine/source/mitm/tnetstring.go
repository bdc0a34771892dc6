package mitm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"
)

// The tags that end a tnetstring and give its type. mitmproxy added text to the
// six of tnetstrings.org.
const (
	tagBytes = ','
	tagText  = ';'
	tagInt   = '#'
	tagFloat = '^'
	tagBool  = '!'
	tagNull  = '~'
	tagList  = ']'
	tagDict  = '}'
)

var (
	errSyntax  = errors.New("not a tnetstring")
	errTooLong = errors.New("flow too large")
)

// maxDigits is how many digits a length may have. More than the flow itself
// can have are refused before anything is read.
const maxDigits = 12

// value is one tnetstring: its payload, still encoded, and its tag.
type value struct {
	tag     byte
	payload []byte
}

// cut splits the first tnetstring off raw.
func cut(raw []byte) (v value, rest []byte, err error) {
	n, i := 0, 0
	for ; i < len(raw) && i < maxDigits && raw[i] >= '0' && raw[i] <= '9'; i++ {
		n = n*10 + int(raw[i]-'0')
	}
	if i == 0 || i == len(raw) || raw[i] != ':' || n > len(raw)-i-2 {
		return value{}, nil, errSyntax
	}
	body := raw[i+1:]
	return value{tag: body[n], payload: body[:n:n]}, body[n+1:], nil
}

// elements yields the elements of a list, or the keys and values of a dict in
// turn. An error ends it.
func (v value) elements() iter.Seq2[value, error] {
	return func(yield func(value, error) bool) {
		for rest := v.payload; len(rest) > 0; {
			var e value
			var err error
			if e, rest, err = cut(rest); err != nil {
				yield(value{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// entries calls take for each entry of a dict, in its order.
func (v value) entries(take func(key string, e value) error) error {
	if v.tag != tagDict {
		return errSyntax
	}
	key, isKey := "", true
	for e, err := range v.elements() {
		switch {
		case err != nil:
			return err
		case isKey:
			if e.tag != tagText && e.tag != tagBytes {
				return errSyntax
			}
			key = string(e.payload)
		default:
			if err := take(key, e); err != nil {
				return err
			}
		}
		isKey = !isKey
	}
	if !isKey {
		return errSyntax // a key without a value
	}
	return nil
}

func (v value) null() bool { return v.tag == tagNull }

// text gives the payload of bytes or text, "" for null.
func (v value) text() (string, error) {
	switch v.tag {
	case tagText, tagBytes:
		return string(v.payload), nil
	case tagNull:
		return "", nil
	}
	return "", errSyntax
}

func (v value) integer() (int, error) {
	if v.tag != tagInt {
		return 0, errSyntax
	}
	n, err := strconv.Atoi(string(v.payload))
	if err != nil {
		return 0, errSyntax
	}
	return n, nil
}

// seconds reads a time in seconds since 1970, the zero time for null. The
// digits are read as they stand: a float would lose the last ones.
func (v value) seconds() (time.Time, error) {
	if v.tag == tagNull {
		return time.Time{}, nil
	}
	if v.tag != tagFloat && v.tag != tagInt {
		return time.Time{}, errSyntax
	}
	whole, fraction, _ := bytes.Cut(v.payload, []byte("."))
	s, err := strconv.ParseUint(string(whole), 10, 33)
	if err != nil || len(fraction) > 30 {
		return time.Time{}, errSyntax
	}
	ns := int64(0)
	for i := range 9 {
		ns *= 10
		if i < len(fraction) {
			if fraction[i] < '0' || fraction[i] > '9' {
				return time.Time{}, errSyntax
			}
			ns += int64(fraction[i] - '0')
		}
	}
	return time.Unix(int64(s), ns).UTC(), nil
}

// stream reads the tnetstrings of a file, one after the other. A length that is
// wrong leaves no way to find the next one.
type stream struct {
	in     *bufio.Reader
	limit  int64 // of one tnetstring, in bytes
	offset int64 // of what is read next
}

func newStream(in io.Reader, limit int64) *stream {
	return &stream{in: bufio.NewReaderSize(in, 64<<10), limit: limit}
}

// next reads the next tnetstring and gives the place where it begins. io.EOF is
// the end of the file, io.ErrUnexpectedEOF an end in the middle. After
// errTooLong the stream stands behind the tnetstring that was too large; every
// other error is final.
func (s *stream) next() (v value, at int64, err error) {
	at = s.offset
	n, err := s.length()
	if err != nil {
		return value{}, at, err
	}
	if n > s.limit {
		skipped, err := io.CopyN(io.Discard, s.in, n+1)
		s.offset += skipped
		if err != nil {
			return value{}, at, early(err)
		}
		return value{}, at, errTooLong
	}
	// A length is believed only as far as bytes come for it.
	var body bytes.Buffer
	body.Grow(int(min(n+1+bytes.MinRead, 1<<20)))
	got, err := io.CopyN(&body, s.in, n+1)
	s.offset += got
	if err != nil {
		return value{}, at, early(err)
	}
	raw := body.Bytes()
	return value{tag: raw[n], payload: raw[:n:n]}, at, nil
}

func (s *stream) length() (int64, error) {
	n := int64(0)
	for digits := 0; ; digits++ {
		c, err := s.in.ReadByte()
		switch {
		case err == io.EOF && digits == 0:
			return 0, io.EOF
		case err != nil:
			return 0, early(err)
		}
		s.offset++
		switch {
		case c == ':' && digits > 0:
			return n, nil
		case c < '0' || c > '9' || digits == maxDigits:
			return 0, errSyntax
		}
		n = n*10 + int64(c-'0')
	}
}

func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
