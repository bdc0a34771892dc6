// Package envoy makes messages of what Envoy tells of a request and a response,
// for the kinds of source that it feeds: protocol buffers and header fields come
// in, with the pseudo fields of HTTP/2 (RFC 9113 section 8.3) among them whatever
// the protocol was, and requests and responses without their bodies go out.
package envoy

import (
	"errors"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// ErrShape is a document that is well formed and tells of no exchange.
var ErrShape = errors.New("not a trace of Envoy")

// ErrNotHTTP is an exchange after which, or in which, no HTTP is spoken.
var ErrNotHTTP = errors.New("a tunnel or an upgrade")

// RequestLine gives the method and the target of a request, and its authority,
// "" where there is none. answer is the header of the response, nil where that
// has not come. The error is ErrNotHTTP or ErrShape.
func RequestLine(header, answer traffic.Header) (method, target, authority string, err error) {
	method, target, authority = header.Get(":method"), header.Get(":path"), header.Get(":authority")
	if method == "CONNECT" || answer.Get(":status") == "101" {
		return "", "", "", ErrNotHTTP
	}
	if !http1.IsToken(method) || !IsVisible(target) || authority != "" && !IsVisible(authority) {
		return "", "", "", ErrShape
	}
	return method, target, authority, nil
}

// Response makes a response without a body. Its error is ErrShape.
func Response(header, trailer traffic.Header, proto string) (*traffic.Response, error) {
	status := header.Get(":status")
	code, err := strconv.Atoi(status)
	if err != nil || len(status) != 3 || code < 100 {
		return nil, ErrShape
	}
	r := &traffic.Response{Status: code, Proto: proto}
	if r.Header, err = Fields(header, ""); err != nil {
		return nil, err
	}
	if r.Trailer, err = Fields(trailer, ""); err != nil {
		return nil, err
	}
	return r, nil
}

// HasBody reports whether a response with the status, to a request with the
// method, has a body at all (RFC 9110 section 6.4.1).
func HasBody(method string, status int) bool {
	return method != "HEAD" && status != 204 && status != 304
}

// Fields gives header fields without the pseudo ones, and with a Host where
// there is an authority. Its error is ErrShape.
func Fields(in traffic.Header, authority string) (traffic.Header, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(traffic.Header, 0, len(in))
	if authority != "" {
		out = append(out, traffic.Field{Name: "Host", Value: authority})
	}
	for _, f := range in {
		switch {
		case strings.HasPrefix(f.Name, ":"):
		case !http1.IsToken(f.Name) || strings.ContainsAny(f.Value, "\r\n\x00"):
			return nil, ErrShape
		case authority != "" && traffic.EqualName(f.Name, "Host"): // :authority is what Envoy goes by
		default:
			out = append(out, traffic.Field{Name: f.Name, Value: strings.Trim(f.Value, " \t")})
		}
	}
	return out, nil
}

// IsVisible reports whether s can stand in a request line.
func IsVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
