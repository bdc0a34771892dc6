package gor

import (
	"bufio"
	"bytes"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// parser reads HTTP messages from memory. What it returns shares nothing with
// the payload.
type parser struct {
	in  bytes.Reader
	buf *bufio.Reader
}

func newParser() *parser { return &parser{buf: bufio.NewReader(nil)} }

// Requests are kept whole, whatever their size: one that is not cannot be
// replayed.
var requestLimits = http1.Limits{Head: http1.DefaultLimits.Head, Body: maxRecord}

// request parses a request and returns how many bytes of the payload it took.
func (p *parser) request(payload []byte) (r *traffic.Request, n int, err error) {
	p.in.Reset(payload)
	p.buf.Reset(&p.in)
	r, err = http1.ReadRequest(p.buf, requestLimits)
	return r, p.taken(payload), err
}

// response parses the response to a request with the given method, and returns
// how many bytes of the payload it took.
func (p *parser) response(payload []byte, method string) (r *traffic.Response, n int, err error) {
	p.in.Reset(payload)
	p.buf.Reset(&p.in)
	r, err = http1.ReadResponse(p.buf, method, http1.DefaultLimits)
	return r, p.taken(payload), err
}

func (p *parser) taken(payload []byte) int {
	return len(payload) - p.in.Len() - p.buf.Buffered()
}

// measure returns how many bytes of the payload the message takes. It reports
// false where the message goes on after the payload's end.
func (p *parser) measure(kind byte, payload []byte) (n int, whole bool) {
	var err error
	if kind == typeRequest {
		_, n, err = p.request(payload)
	} else {
		_, n, err = p.response(payload, "GET")
	}
	return n, err != io.ErrUnexpectedEOF
}

// isInterim reports whether a payload has interim responses (1xx) and nothing
// else. After 101 the connection speaks something else, so that one is final.
func isInterim(payload []byte) bool {
	found := false
	for len(payload) > 0 {
		line, rest, _ := bytes.Cut(payload, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			payload = rest
			continue
		}
		if len(line) < len("HTTP/1.1 100") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || line[9] != '1' || string(line[9:12]) == "101" {
			return false
		}
		found = true
		for len(rest) > 0 && len(line) > 0 { // to the end of the head
			line, rest, _ = bytes.Cut(rest, []byte{'\n'})
			line = bytes.TrimSuffix(line, []byte{'\r'})
		}
		payload = rest
	}
	return found
}
