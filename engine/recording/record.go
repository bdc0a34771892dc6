package recording

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Keys of fields: number*2, and one more where the value has a length.
const (
	keySource   = 1<<1 | 1
	keyID       = 2<<1 | 1
	keySession  = 3<<1 | 1
	keyTime     = 4<<1 | 1
	keyRequest  = 5<<1 | 1
	keyResponse = 6<<1 | 1
	keyTiming   = 7<<1 | 1
	keyTTFB     = 8 << 1
	keyTotal    = 9 << 1
	keyOffset   = 10 << 1

	keyText    = 1<<1 | 1
	keyTarget  = 2<<1 | 1
	keyProto   = 3<<1 | 1
	keyStatus  = 4 << 1
	keyHeader  = 5<<1 | 1
	keyTrailer = 6<<1 | 1
	keyLength  = 7 << 1
	keyState   = 8 << 1
	keySize    = 9 << 1
	keySHA256  = 10<<1 | 1
)

// errRecord is a record that does not follow the format.
var errRecord = errors.New("record does not follow the format, left out")

// encoder writes records. It keeps its buffers.
type encoder struct {
	head, message, header []byte
}

// record adds an exchange to b.
func (e *encoder) record(b []byte, x *traffic.Exchange) []byte {
	h := e.head[:0]
	h = appendText(h, keySource, x.Source)
	h = appendText(h, keyID, x.ID)
	h = appendText(h, keySession, x.Session)
	if !x.At.IsZero() {
		var t [2 * binary.MaxVarintLen64]byte
		n := binary.PutVarint(t[:], x.At.Unix())
		n += binary.PutUvarint(t[n:], uint64(x.At.Nanosecond()))
		h = appendBytes(h, keyTime, t[:n])
	}
	bodies := len(x.Request.Body.Bytes)
	r := &x.Request
	h = appendBytes(h, keyRequest, e.encode(&message{r.Method, r.Target, r.Proto, 0, r.Header, r.Trailer, r.Body}))
	if r := x.Response; r != nil {
		bodies += len(r.Body.Bytes)
		h = appendBytes(h, keyResponse, e.encode(&message{r.Reason, "", r.Proto, r.Status, r.Header, r.Trailer, r.Body}))
	}
	h = appendText(h, keyTiming, string(x.Timing.Kind))
	h = appendInt(h, keyTTFB, int64(x.Timing.TTFB))
	h = appendInt(h, keyTotal, int64(x.Timing.Total))
	h = appendInt(h, keyOffset, x.Offset)
	e.head = h

	b = binary.AppendUvarint(b, uint64(len(h)))
	b = binary.AppendUvarint(b, uint64(bodies))
	b = append(b, h...)
	b = append(b, x.Request.Body.Bytes...)
	if x.Response != nil {
		b = append(b, x.Response.Body.Bytes...)
	}
	return b
}

// message is what a request and a response have in common.
type message struct {
	text, target, proto string // text: method or reason
	status              int
	header, trailer     traffic.Header
	body                traffic.Body
}

func (e *encoder) encode(m *message) []byte {
	b := e.message[:0]
	b = appendText(b, keyText, m.text)
	b = appendText(b, keyTarget, m.target)
	b = appendText(b, keyProto, m.proto)
	b = appendInt(b, keyStatus, int64(m.status))
	b = e.fields(b, keyHeader, m.header)
	b = e.fields(b, keyTrailer, m.trailer)
	b = appendUint(b, keyLength, uint64(len(m.body.Bytes)))
	b = appendUint(b, keyState, uint64(m.body.State))
	b = appendInt(b, keySize, m.body.Size)
	if m.body.SHA256 != [32]byte{} {
		b = appendBytes(b, keySHA256, m.body.SHA256[:])
	}
	e.message = b
	return b
}

func (e *encoder) fields(b []byte, key uint64, h traffic.Header) []byte {
	if len(h) == 0 {
		return b
	}
	f := e.header[:0]
	for i := range h {
		f = append(binary.AppendUvarint(f, uint64(len(h[i].Name))), h[i].Name...)
		f = append(binary.AppendUvarint(f, uint64(len(h[i].Value))), h[i].Value...)
	}
	e.header = f
	return appendBytes(b, key, f)
}

func appendText(b []byte, key uint64, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(b, key)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBytes(b []byte, key uint64, v []byte) []byte {
	b = binary.AppendUvarint(b, key)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendUint(b []byte, key, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, key)
	return binary.AppendUvarint(b, v)
}

func appendInt(b []byte, key uint64, v int64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, key)
	return binary.AppendVarint(b, v)
}

// cutRecord takes the first record off b.
func cutRecord(b []byte) (head, bodies, rest []byte, ok bool) {
	h, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, nil, false
	}
	b = b[n:]
	s, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, nil, false
	}
	b = b[n:]
	if h > uint64(len(b)) || s > uint64(len(b))-h {
		return nil, nil, nil, false
	}
	return b[:h], b[h : h+s], b[h+s:], true
}

// decodeRecord makes an exchange of a record. The head is copied once, and all
// its strings are parts of that copy; so are the bodies of theirs.
func decodeRecord(head, bodies []byte) (*traffic.Exchange, error) {
	s := string(head)
	if len(bodies) > 0 {
		bodies = append(make([]byte, 0, len(bodies)), bodies...)
	}
	x := new(traffic.Exchange)
	var request, response string
	answered := false
	for s != "" {
		key, num, text, rest, ok := cutField(s)
		if !ok {
			return nil, errRecord
		}
		s = rest
		switch key {
		case keySource:
			x.Source = text
		case keyID:
			x.ID = text
		case keySession:
			x.Session = text
		case keyTime:
			if x.At, ok = parseTime(text); !ok {
				return nil, errRecord
			}
		case keyRequest:
			request = text
		case keyResponse:
			response, answered = text, true
		case keyTiming:
			x.Timing.Kind = timingKind(text)
		case keyTTFB:
			x.Timing.TTFB = time.Duration(unzigzag(num))
		case keyTotal:
			x.Timing.Total = time.Duration(unzigzag(num))
		case keyOffset:
			x.Offset = unzigzag(num)
		}
	}
	var m message
	bodies, ok := m.decode(request, bodies)
	if !ok {
		return nil, errRecord
	}
	x.Request = traffic.Request{Method: m.text, Target: m.target, Proto: m.proto, Header: m.header, Trailer: m.trailer, Body: m.body}
	if !answered {
		return x, nil
	}
	m = message{}
	if _, ok = m.decode(response, bodies); !ok {
		return nil, errRecord
	}
	x.Response = &traffic.Response{Status: m.status, Reason: m.text, Proto: m.proto, Header: m.header, Trailer: m.trailer, Body: m.body}
	return x, nil
}

// timingKind gives the known kinds without a string of their own.
func timingKind(s string) traffic.TimingKind {
	switch k := traffic.TimingKind(s); k {
	case traffic.TimingWire:
		return traffic.TimingWire
	case traffic.TimingClient:
		return traffic.TimingClient
	default:
		return k
	}
}

// decode reads a message, whose body is at the beginning of bodies, and returns
// what follows the body.
func (m *message) decode(s string, bodies []byte) (rest []byte, ok bool) {
	length := uint64(0)
	for s != "" {
		key, num, text, next, ok := cutField(s)
		if !ok {
			return nil, false
		}
		s = next
		switch key {
		case keyText:
			m.text = text
		case keyTarget:
			m.target = text
		case keyProto:
			m.proto = text
		case keyStatus:
			status := unzigzag(num)
			if status != int64(int32(status)) {
				return nil, false
			}
			m.status = int(status)
		case keyHeader:
			m.header, ok = parseFields(text)
		case keyTrailer:
			m.trailer, ok = parseFields(text)
		case keyLength:
			length = num
		case keyState:
			m.body.State, ok = traffic.BodyState(num), num <= uint64(traffic.Oversized)
		case keySize:
			m.body.Size = unzigzag(num)
		case keySHA256:
			ok = copy(m.body.SHA256[:], text) == len(m.body.SHA256) && len(text) == len(m.body.SHA256)
		}
		if !ok {
			return nil, false
		}
	}
	if length > uint64(len(bodies)) {
		return nil, false
	}
	if length > 0 {
		m.body.Bytes = bodies[:length:length]
	}
	return bodies[length:], true
}

// cutField takes the first field off s: a number, or a text where the key is
// odd.
func cutField(s string) (key, num uint64, text, rest string, ok bool) {
	if key, s, ok = cutUvarint(s); !ok {
		return
	}
	if num, s, ok = cutUvarint(s); !ok || key&1 == 0 {
		return key, num, "", s, ok
	}
	if num > uint64(len(s)) {
		return 0, 0, "", "", false
	}
	return key, 0, s[:num], s[num:], true
}

func cutUvarint(s string) (v uint64, rest string, ok bool) {
	for i, shift := 0, 0; i < len(s) && i < binary.MaxVarintLen64; i, shift = i+1, shift+7 {
		c := s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			return 0, "", false
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, s[i+1:], true
		}
	}
	return 0, "", false
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func parseTime(s string) (time.Time, bool) {
	sec, s, ok := cutUvarint(s)
	if !ok {
		return time.Time{}, false
	}
	nsec, _, ok := cutUvarint(s)
	if !ok || nsec >= 1e9 {
		return time.Time{}, false
	}
	return time.Unix(unzigzag(sec), int64(nsec)).UTC(), true
}

// parseFields reads a header. It is counted first, so that it is made once.
func parseFields(s string) (traffic.Header, bool) {
	n := 0
	for rest := s; rest != ""; n++ {
		var ok bool
		if _, rest, ok = cutText(rest); !ok {
			return nil, false
		}
	}
	if n%2 != 0 || n > math.MaxInt32 {
		return nil, false
	}
	if n == 0 {
		return nil, true
	}
	h := make(traffic.Header, n/2)
	for i := range h {
		h[i].Name, s, _ = cutText(s)
		h[i].Value, s, _ = cutText(s)
	}
	return h, true
}

func cutText(s string) (text, rest string, ok bool) {
	n, s, ok := cutUvarint(s)
	if !ok || n > uint64(len(s)) {
		return "", "", false
	}
	return s[:n], s[n:], true
}
