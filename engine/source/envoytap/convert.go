package envoytap

import (
	"errors"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// verdicts on a trace that does not become an exchange.
var (
	errOrphan  = errors.New("a response without its request")
	errCut     = errors.New("the tap cut the body of the request")
	errSpoiled = errors.New("the body of the request was written as text and is none")
	errPartial = errors.New("the request ended early")
)

// exchange makes an exchange of a trace. Its errors quote nothing of it.
func (t *trace) exchange() (*traffic.Exchange, error) {
	q, p := &t.request, &t.response
	switch {
	case q.header == nil && p.header != nil:
		return nil, errOrphan
	case q.header == nil:
		return nil, envoy.ErrShape
	}
	method, path, authority, err := envoy.RequestLine(q.header, p.header)
	if err != nil {
		return nil, err
	}
	x := &traffic.Exchange{ID: q.header.Get("x-request-id"), Session: t.client, At: q.at, Offset: t.offset}
	x.Request = traffic.Request{Method: method, Target: path, Proto: proto(q.header)}
	if x.Request.Header, err = envoy.Fields(q.header, authority); err != nil {
		return nil, err
	}
	if x.Request.Trailer, err = envoy.Fields(q.trailer, ""); err != nil {
		return nil, err
	}
	if x.Request.Body, err = q.body.request(x.Request.Header); err != nil {
		return nil, err
	}
	if p.header != nil {
		x.Response, err = p.answer(method, x.Request.Proto)
	}
	return x, err
}

// answer makes the response to a request with the method.
func (m *message) answer(method, proto string) (*traffic.Response, error) {
	r, err := envoy.Response(m.header, m.trailer, proto)
	if err == nil && envoy.HasBody(method, r.Status) {
		r.Body = m.body.response(r.Header)
	}
	return r, err
}

// request gives the body of a request, which has to be whole.
func (b *body) request(h traffic.Header) (traffic.Body, error) {
	length := announced(h)
	switch {
	case b.cut:
		return traffic.Body{}, errCut
	case b.spoiled(h):
		return traffic.Body{}, errSpoiled
	case length >= 0 && length != int64(len(b.bytes)):
		return traffic.Body{}, errPartial
	}
	return traffic.Body{Bytes: b.bytes}, nil
}

// response gives the body of a response, as far as it is there.
func (b *body) response(h traffic.Header) traffic.Body {
	switch {
	case b.spoiled(h):
		return traffic.Body{State: traffic.Missing}
	case b.cut, announced(h) > int64(len(b.bytes)):
		return traffic.Body{Bytes: b.bytes, State: traffic.Truncated}
	}
	return traffic.Body{Bytes: b.bytes}
}

// spoiled reports whether a body was written as text that is not what it was.
// Envoy writes a space where a byte is not UTF-8, so that only what the text is
// of can tell: a content coding, another charset, or controls among it.
func (b *body) spoiled(h traffic.Header) bool {
	if !b.text || len(b.bytes) == 0 {
		return false
	}
	coding := h.Get("Content-Encoding")
	charset := content.MediaTypeOf(h).Charset
	return coding != "" && !strings.EqualFold(coding, "identity") ||
		charset != "" && charset != "utf-8" && charset != "us-ascii" ||
		strings.ContainsFunc(string(b.bytes), func(r rune) bool {
			return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f || r == '\ufffd'
		})
}

// announced is the length that a message says it has, or -1.
func announced(h traffic.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// proto is the version of HTTP, as far as a tap tells: gRPC needs HTTP/2.
func proto(h traffic.Header) string {
	if strings.HasPrefix(h.Get("Content-Type"), "application/grpc") {
		return "HTTP/2"
	}
	return "HTTP/1.1"
}
