// Package traffic is the vocabulary that crosses every border of the engine:
// an exchange as it was recorded, and the outcome of sending it again.
//
// Messages are kept as they were on the wire: header fields in their order,
// case and repetition, bodies as bytes with their content coding still on. A
// stage that needs the document inside a body decodes it; nobody else pays.
package traffic

import (
	"strings"
	"time"
)

// Exchange is one recorded request with, where the source has it, its recorded
// response.
type Exchange struct {
	Source  string    // name of the source block that it came from
	ID      string    // the recording's own id; may be empty or repeated
	Session string    // what keeps exchanges in order: a connection or a user; empty: none
	At      time.Time // when the request began, by the recorder's clock
	Arrived time.Time // when a live source had all of it, by the clock of this machine; zero for recordings

	Request  Request
	Response *Response // nil where the source recorded none
	Timing   Timing    // how long the recorded response took

	Offset int64 // where the request stands in the source's file, in bytes
}

// Request is a recorded request.
type Request struct {
	Method string
	Target string // the request-target as on the wire: "/orders?id=7"
	Proto  string // "HTTP/1.1"; what HTTP/2 recorders write stays as it is
	Header Header // Host included
	Body   Body

	Trailer Header // fields after a chunked body
}

// Response is a response, recorded or fresh.
type Response struct {
	Status int
	Reason string // the text after the status code; may be empty
	Proto  string
	Header Header
	Body   Body

	Trailer Header // fields after a chunked body
}

// Body is the content of a message: transfer coding undone, content coding
// (gzip, br, ...) as it was.
type Body struct {
	Bytes []byte
	State BodyState

	// For an Oversized body: its full length in bytes and the SHA-256 of all
	// of it, or a keyed digest where it may not be recognised. Bytes then has
	// the beginning, or nothing.
	Size   int64
	SHA256 [32]byte
}

// BodyState says how much of a body there is.
type BodyState uint8

// The states of a body.
const (
	Complete  BodyState = iota // all of it
	Truncated                  // the message announced more than the source holds
	Missing                    // the source did not record it
	Oversized                  // larger than the limit; Size and SHA256 stand for it
)

// String gives the name of the state.
func (s BodyState) String() string {
	return [...]string{"complete", "truncated", "missing", "oversized"}[s]
}

// Timing is how long a recorded response took, as far as the source can tell.
// A zero Kind means that it cannot.
type Timing struct {
	Kind  TimingKind
	TTFB  time.Duration // end of request to first byte of response
	Total time.Duration // end of request to last byte of response
}

// TimingKind says where a recorded duration was measured, because not every
// one of them is the server's.
type TimingKind string

// The kinds of recorded timing.
const (
	TimingWire   TimingKind = "wire"   // from captured packets, beside the server
	TimingClient TimingKind = "client" // by the client, network included
	TimingProxy  TimingKind = "proxy"  // by a proxy or the service itself, as an upstream sees it
)

// Header is an ordered list of header fields. Lookups ignore case.
type Header []Field

// Field is one header line.
type Field struct {
	Name  string // as on the wire
	Value string // surrounding white space removed
}

// Get returns the value of the first field called name, or "".
func (h Header) Get(name string) string {
	for i := range h {
		if EqualName(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Has reports whether there is a field called name.
func (h Header) Has(name string) bool {
	for i := range h {
		if EqualName(h[i].Name, name) {
			return true
		}
	}
	return false
}

// Values returns the values of all fields called name, in order.
func (h Header) Values(name string) []string {
	var vs []string
	for i := range h {
		if EqualName(h[i].Name, name) {
			vs = append(vs, h[i].Value)
		}
	}
	return vs
}

// Joined returns the values of all fields called name joined with ", ", which
// RFC 9110 section 5.3 declares equivalent for every field but Set-Cookie.
func (h Header) Joined(name string) string {
	first, more := "", []string(nil)
	seen := false
	for i := range h {
		if !EqualName(h[i].Name, name) {
			continue
		}
		if !seen {
			first, seen = h[i].Value, true
			continue
		}
		more = append(more, h[i].Value)
	}
	if more == nil {
		return first
	}
	return first + ", " + strings.Join(more, ", ")
}

// Without returns the fields whose names are not among names. It shares no
// memory with h when something was left out.
func (h Header) Without(names ...string) Header {
	drop := func(f Field) bool {
		for _, n := range names {
			if EqualName(f.Name, n) {
				return true
			}
		}
		return false
	}
	for i := range h {
		if !drop(h[i]) {
			continue
		}
		out := append(make(Header, 0, len(h)), h[:i]...)
		for _, f := range h[i+1:] {
			if !drop(f) {
				out = append(out, f)
			}
		}
		return out
	}
	return h
}

// EqualName reports whether two header names are the same: ASCII letters match
// whatever their case, nothing else folds.
func EqualName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

// Path returns the path of the request-target, without the query. The
// authority of an absolute-form target is left out.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.origin(), "?")
	return path
}

// Query returns what follows the first "?" of the request-target.
func (r *Request) Query() string {
	_, query, _ := strings.Cut(r.origin(), "?")
	return query
}

// origin is the target in origin form: "/path?query".
func (r *Request) origin() string {
	t := r.Target
	if strings.HasPrefix(t, "/") {
		return t
	}
	if _, rest, ok := strings.Cut(t, "://"); ok {
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			return rest[i:]
		}
		return "/"
	}
	return t
}

// Host returns the host that the request was for: the authority of an
// absolute-form target, else the Host field.
func (r *Request) Host() string {
	if !strings.HasPrefix(r.Target, "/") {
		if _, rest, ok := strings.Cut(r.Target, "://"); ok {
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				rest = rest[:i]
			}
			return rest[strings.LastIndexByte(rest, '@')+1:] // user and password are not part of a host
		}
	}
	return r.Header.Get("Host")
}
