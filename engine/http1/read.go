// Package http1 reads and writes HTTP/1.x messages as they are: field order,
// case and repetition survive, and so does the exact request-target. net/http
// cannot serve here because it canonicalises and sorts.
//
// The syntax is that of RFC 9112, read with the leniency that captures need: a
// bare LF ends a line, and an obsolete line folding is unfolded.
package http1

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Limits bounds what a message may make its reader hold in memory.
type Limits struct {
	Head int   // start line and fields, in bytes
	Body int64 // body; a larger one is read to its end, hashed, and becomes Oversized
}

// DefaultLimits are generous for a service and harmless for its auditor.
var DefaultLimits = Limits{Head: 256 << 10, Body: 8 << 20}

// SyntaxError is a message that is not HTTP/1.x. Its text quotes nothing of the
// message, which may be personal.
type SyntaxError struct{ What string }

func (e *SyntaxError) Error() string { return "malformed HTTP message: " + e.What }

func malformed(format string, args ...any) error {
	return &SyntaxError{What: fmt.Sprintf(format, args...)}
}

// ReadRequest reads one request. A request that ends early comes back with a
// Truncated body and io.ErrUnexpectedEOF; io.EOF means that there was nothing
// to read at all.
func ReadRequest(br *bufio.Reader, lim Limits) (*traffic.Request, error) {
	start, fields, err := readHead(br, lim.Head)
	if err != nil {
		return nil, err
	}
	method, rest, ok := strings.Cut(start, " ")
	target, proto, ok2 := cutLast(rest, " ")
	if !ok || !ok2 || target == "" || strings.ContainsAny(target, " \t") || !IsToken(method) || !strings.HasPrefix(proto, "HTTP/") {
		return nil, malformed("bad request line")
	}
	r := &traffic.Request{Method: method, Target: target, Proto: proto, Header: fields}
	if fields.Has("Transfer-Encoding") && fields.Has("Content-Length") {
		return nil, malformed("both Transfer-Encoding and Content-Length") // two readers may disagree where it ends: RFC 9112 section 6.1
	}
	length, err := framing(fields)
	if err != nil {
		return nil, err
	}
	if length == untilClose { // a request without framing has no body: RFC 9112 section 6.3
		length = 0
	}
	r.Body, r.Trailer, err = readBody(br, length, lim)
	return r, err
}

// ReadResponse reads the final response to a request with the given method,
// passing over interim (1xx) ones but not over 101, after which the connection
// no longer speaks HTTP. A response that ends early comes back with a Truncated
// body and io.ErrUnexpectedEOF.
func ReadResponse(br *bufio.Reader, method string, lim Limits) (*traffic.Response, error) {
	for {
		start, fields, err := readHead(br, lim.Head)
		if err != nil {
			return nil, err
		}
		proto, rest, ok := strings.Cut(start, " ")
		code, reason, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(code)
		if !ok || err != nil || len(code) != 3 || status < 100 || !strings.HasPrefix(proto, "HTTP/") {
			return nil, malformed("bad status line")
		}
		if status < 200 && status != 101 {
			continue
		}
		r := &traffic.Response{Status: status, Reason: reason, Proto: proto, Header: fields}
		if method == "HEAD" || status < 200 || status == 204 || status == 304 {
			return r, nil
		}
		length, err := framing(fields)
		if err != nil {
			return nil, err
		}
		r.Body, r.Trailer, err = readBody(br, length, lim)
		return r, err
	}
}

// KeepsAlive reports whether the connection may carry another request after a
// response: RFC 9112 section 9.3.
func KeepsAlive(method string, r *traffic.Response) bool {
	if r.Status == 101 || r.Header.Has("Transfer-Encoding") && r.Header.Has("Content-Length") {
		return false // the second is how responses are smuggled: RFC 9112 section 6.1
	}
	for _, f := range r.Header {
		if traffic.EqualName(f.Name, "Connection") {
			if hasToken(f.Value, "close") {
				return false
			}
			if r.Proto == "HTTP/1.0" && hasToken(f.Value, "keep-alive") {
				return framed(method, r)
			}
		}
	}
	return r.Proto != "HTTP/1.0" && framed(method, r)
}

// framed reports whether the end of r was marked by anything but the end of
// the connection.
func framed(method string, r *traffic.Response) bool {
	if method == "HEAD" || r.Status == 204 || r.Status == 304 {
		return true
	}
	length, err := framing(r.Header)
	return err == nil && length != untilClose
}

// Lengths that are not a number of bytes.
const (
	untilClose int64 = -1
	chunked    int64 = -2
)

// framing finds out how a body is delimited: RFC 9112 section 6.3.
func framing(h traffic.Header) (int64, error) {
	if h.Has("Transfer-Encoding") {
		if last := lastItem(h.Joined("Transfer-Encoding")); strings.EqualFold(last, "chunked") {
			return chunked, nil
		}
		return untilClose, nil // chunked is the only coding that marks its end
	}
	length := untilClose
	for _, f := range h {
		if !traffic.EqualName(f.Name, "Content-Length") {
			continue
		}
		for item := range strings.SplitSeq(f.Value, ",") {
			item = strings.Trim(item, " \t")
			n, err := strconv.ParseInt(item, 10, 64)
			if err != nil || item[0] < '0' || item[0] > '9' {
				return 0, malformed("bad Content-Length")
			}
			if length >= 0 && n != length {
				return 0, malformed("contradicting Content-Length fields")
			}
			length = n
		}
	}
	return length, nil
}

// lastItem is the last item of a comma-separated list.
func lastItem(list string) string {
	return strings.Trim(list[strings.LastIndexByte(list, ',')+1:], " \t")
}

func readBody(br *bufio.Reader, length int64, lim Limits) (traffic.Body, traffic.Header, error) {
	switch length {
	case 0:
		return traffic.Body{}, nil, nil
	case chunked:
		body, err := collect(httputil.NewChunkedReader(br), -1, lim.Body)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !isTransport(err) {
				err = malformed("bad chunk")
			}
			return body, nil, err
		}
		trailer, err := readFields(br, lim.Head)
		if err == io.EOF { // after the last chunk only the empty line is missing: nothing is lost
			err = nil
		}
		return body, trailer, err
	case untilClose:
		body, err := collect(br, -1, lim.Body)
		return body, nil, err
	}
	body, err := collect(io.LimitReader(br, length), length, lim.Body)
	return body, nil, err
}

// isTransport reports whether err came from the connection rather than from
// the syntax of what it carried.
func isTransport(err error) bool {
	var timeout interface{ Timeout() bool }
	var op interface{ Unwrap() error }
	return errors.As(err, &timeout) || errors.As(err, &op)
}

// collect reads r to its end. length is what the message announced, or -1.
func collect(r io.Reader, length, limit int64) (traffic.Body, error) {
	var buf []byte
	switch {
	case length < 0:
		buf = make([]byte, 0, 512)
	case length <= limit && length <= 1<<20:
		buf = make([]byte, 0, length)
	default: // the announced length is not to be trusted with an allocation
		buf = make([]byte, 0, 64<<10)
	}
	for {
		if int64(len(buf)) > limit {
			return digest(buf, r, length, limit)
		}
		if len(buf) == cap(buf) {
			if int64(len(buf)) == length {
				return traffic.Body{Bytes: buf}, nil
			}
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			if length >= 0 && int64(len(buf)) < length {
				return traffic.Body{Bytes: buf, State: traffic.Truncated}, io.ErrUnexpectedEOF
			}
			if int64(len(buf)) > limit {
				return digest(buf, r, length, limit)
			}
			return traffic.Body{Bytes: buf}, nil
		}
		if err != nil {
			return traffic.Body{Bytes: buf, State: traffic.Truncated}, err
		}
	}
}

// digest reads on without keeping: an oversized body is known by its hash.
func digest(head []byte, r io.Reader, length, limit int64) (traffic.Body, error) {
	sum := sha256.New()
	sum.Write(head)
	n, err := io.Copy(sum, r)
	body := traffic.Body{Bytes: head[:limit:limit], State: traffic.Oversized, Size: int64(len(head)) + n}
	sum.Sum(body.SHA256[:0])
	if err == nil && length >= 0 && body.Size < length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		body.State = traffic.Truncated
	}
	return body, err
}

var headBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readHead reads the start line and the fields. All strings it returns are
// pieces of one, so that a head costs two allocations however many fields it
// has.
func readHead(br *bufio.Reader, limit int) (start string, fields traffic.Header, err error) {
	text, n, err := readLines(br, limit, true)
	if err != nil {
		return "", nil, err
	}
	start, rest := cutLine(text)
	fields, err = parseFields(rest, n-1)
	return start, fields, err
}

// readFields reads fields up to the empty line: a trailer section.
func readFields(br *bufio.Reader, limit int) (traffic.Header, error) {
	text, n, err := readLines(br, limit, false)
	if err != nil || n == 0 {
		return nil, err
	}
	return parseFields(text, n)
}

// readLines reads lines up to an empty one, and counts them. Before a head
// empty lines are to be ignored: RFC 9112 section 2.2.
func readLines(br *bufio.Reader, limit int, head bool) (text string, n int, err error) {
	buf := headBuffers.Get().(*bytes.Buffer)
	defer headBuffers.Put(buf)
	buf.Reset()
	whole := true // the last piece that was read ended its line
	for {
		line, err := br.ReadSlice('\n')
		if buf.Len()+len(line) > limit {
			return "", 0, malformed("head larger than %d bytes", limit)
		}
		empty := whole && err == nil && len(bytes.TrimRight(line, "\r\n")) == 0
		switch {
		case empty && head && buf.Len() == 0:
			continue
		case empty:
			return buf.String(), n, nil
		}
		buf.Write(line)
		if whole = err == nil; whole {
			n++
		} else if err != bufio.ErrBufferFull {
			if err == io.EOF && buf.Len() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", 0, err
		}
	}
}

func parseFields(text string, n int) (traffic.Header, error) {
	fields := make(traffic.Header, 0, max(n, 0))
	for text != "" {
		var line string
		line, text = cutLine(text)
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(fields) == 0 {
				return nil, malformed("field line begins with white space")
			}
			last := &fields[len(fields)-1]
			last.Value = strings.TrimSpace(last.Value + " " + strings.TrimSpace(line))
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !IsToken(name) {
			return nil, malformed("bad field line")
		}
		fields = append(fields, traffic.Field{Name: name, Value: strings.Trim(value, " \t")})
	}
	return fields, nil
}

// cutLine splits s after its first line and removes the line's ending.
func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// IsToken reports whether s is a token of RFC 9110 section 5.6.2, as methods and
// names of fields are.
func IsToken(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list has the token, in any case.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}
