package mitm

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// flow is what the reader needs of a flow. The rest of it, which changes from
// release to release, is passed over.
type flow struct {
	kind      string
	id        string
	request   *message
	response  *message
	failed    bool // the flow ended in an error
	websocket bool
	madeUp    bool // the response was replayed from a file, not fetched
	client    string
}

// message is a request or a response.
type message struct {
	method, scheme, host, authority, path string
	port                                  int

	status int
	reason string

	proto      string
	header     traffic.Header
	trailer    traffic.Header
	body       traffic.Body
	start, end time.Time
}

var (
	errNotHTTP = errors.New("not an HTTP exchange that reached a server")
	errShape   = errors.New("not a flow of mitmproxy")
)

// decode reads a flow.
func decode(v value) (*flow, error) {
	f := new(flow)
	return f, v.entries(func(key string, e value) (err error) {
		switch key {
		case "type":
			f.kind, err = e.text()
		case "id":
			f.id, err = e.text()
		case "request":
			f.request, err = decodeMessage(e)
		case "response":
			f.response, err = decodeMessage(e)
		case "error":
			f.failed = !e.null()
		case "websocket":
			f.websocket = !e.null()
		case "is_replay":
			f.madeUp = e.tag == tagText && string(e.payload) == "response"
		case "client_conn":
			if e.tag == tagDict {
				f.client, err = textOf(e, "id")
			}
		}
		return err
	})
}

// textOf gives the text under a key of a dict, "" where there is none.
func textOf(v value, name string) (text string, err error) {
	err = v.entries(func(key string, e value) (err error) {
		if key == name {
			text, err = e.text()
		}
		return err
	})
	return text, err
}

func decodeMessage(v value) (*message, error) {
	if v.null() {
		return nil, nil
	}
	m := &message{body: traffic.Body{State: traffic.Missing}}
	return m, v.entries(func(key string, e value) (err error) {
		switch key {
		case "method":
			m.method, err = e.text()
		case "scheme":
			m.scheme, err = e.text()
		case "host":
			m.host, err = e.text()
		case "authority":
			m.authority, err = e.text()
		case "port":
			m.port, err = e.integer()
		case "path":
			m.path, err = e.text()
		case "status_code":
			m.status, err = e.integer()
		case "reason":
			m.reason, err = e.text()
		case "http_version":
			m.proto, err = e.text()
		case "headers":
			m.header, err = fields(e)
		case "trailers":
			m.trailer, err = fields(e)
		case "timestamp_start":
			m.start, err = e.seconds()
		case "timestamp_end":
			m.end, err = e.seconds()
		case "content":
			switch e.tag {
			case tagBytes:
				m.body = traffic.Body{Bytes: e.payload}
			case tagNull: // streamed through, so not recorded
				m.body = traffic.Body{State: traffic.Missing}
			default:
				err = errSyntax
			}
		}
		return err
	})
}

// fields reads a list of name and value pairs.
func fields(v value) (traffic.Header, error) {
	if v.null() {
		return nil, nil
	}
	if v.tag != tagList {
		return nil, errSyntax
	}
	var h traffic.Header
	for pair, err := range v.elements() {
		if err != nil || pair.tag != tagList {
			return nil, errSyntax
		}
		name, rest, err := cut(pair.payload)
		if err != nil {
			return nil, err
		}
		text, rest, err := cut(rest)
		if err != nil || len(rest) > 0 {
			return nil, errSyntax
		}
		n, errN := name.text()
		x, errX := text.text()
		if errN != nil || errX != nil {
			return nil, errSyntax
		}
		if !fieldName(n) || strings.ContainsAny(x, "\r\n\x00") {
			return nil, errShape
		}
		if n[0] != ':' { // those of HTTP/2 stand in the request line here
			h = append(h, traffic.Field{Name: n, Value: strings.Trim(x, " \t")})
		}
	}
	return h, nil
}

// fieldName reports whether a name can be sent as a header field.
func fieldName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) && !strings.Contains(s[1:], ":")
}

// exchange makes an exchange of a flow. errNotHTTP is a flow that is none.
func (f *flow) exchange() (*traffic.Exchange, error) {
	switch {
	case f.kind == "" && f.request == nil:
		return nil, errShape
	case f.kind != "" && f.kind != "http", f.websocket:
		return nil, errNotHTTP // tcp, udp, dns, websocket
	case f.request == nil:
		return nil, errShape
	case f.failed && f.response == nil, f.request.method == "CONNECT":
		return nil, errNotHTTP
	}
	q := f.request
	if q.start.IsZero() || !requestToken(q.method) || !requestToken(q.path) {
		return nil, errShape
	}
	x := &traffic.Exchange{ID: f.id, Session: f.client, At: q.start, Request: traffic.Request{
		Method: q.method, Target: q.path, Proto: q.proto,
		Header: unchunked(q.withHost(), q.body, true), Body: q.body, Trailer: q.trailer,
	}}
	if p := f.response; p != nil && !f.madeUp {
		if p.status < 100 || p.status > 999 {
			return nil, errShape
		}
		if f.failed && p.body.State == traffic.Complete {
			p.body.State = traffic.Truncated
		}
		x.Response = &traffic.Response{
			Status: p.status, Reason: p.reason, Proto: p.proto,
			Header: unchunked(p.header, p.body, hasContent(q.method, p.status)), Body: p.body, Trailer: p.trailer,
		}
		x.Timing = timing(q, p)
	}
	return x, nil
}

// requestToken reports whether s can stand in a request line.
func requestToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// timing is measured by the proxy, beside the client: the way to the server is
// in it.
func timing(q, p *message) traffic.Timing {
	if q.end.IsZero() || p.start.Before(q.end) || p.end.Before(p.start) {
		return traffic.Timing{}
	}
	return traffic.Timing{Kind: traffic.TimingClient, TTFB: p.start.Sub(q.end), Total: p.end.Sub(q.end)}
}

// withHost gives the fields of the request with a Host, which HTTP/2 keeps
// apart, and with one Cookie field, which HTTP/2 splits (RFC 9113 section
// 8.2.3).
func (m *message) withHost() traffic.Header {
	h := m.header
	if len(h.Values("Cookie")) > 1 {
		h = joinedCookies(h)
	}
	if h.Has("Host") {
		return h
	}
	host := m.authority
	if host == "" {
		host = m.host
		if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
			host = "[" + host + "]"
		}
		if m.port > 0 && !(m.scheme == "http" && m.port == 80) && !(m.scheme == "https" && m.port == 443) {
			host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(m.port))
		}
	}
	if host == "" || !requestToken(host) {
		return h
	}
	return append(traffic.Header{{Name: "Host", Value: host}}, h...)
}

func joinedCookies(h traffic.Header) traffic.Header {
	out := make(traffic.Header, 0, len(h))
	all, at := h.Values("Cookie"), -1
	for _, f := range h {
		if !traffic.EqualName(f.Name, "Cookie") {
			out = append(out, f)
		} else if at < 0 {
			at = len(out)
			out = append(out, traffic.Field{Name: f.Name, Value: strings.Join(all, "; ")})
		}
	}
	return out
}

// hasContent reports whether the content of a response is what its fields
// speak of (RFC 9110 section 6.4.1).
func hasContent(method string, status int) bool {
	return method != "HEAD" && status >= 200 && status != 204 && status != 304
}

// unchunked makes the fields agree with a body whose chunks mitmproxy has put
// together while it left the field that tells of them: Content-Length takes its
// place. Where the body is missing the field stays, and says that there was one.
func unchunked(h traffic.Header, b traffic.Body, sized bool) traffic.Header {
	if b.State == traffic.Missing || !h.Has("Transfer-Encoding") {
		return h
	}
	out := make(traffic.Header, 0, len(h))
	done := h.Has("Content-Length") || !sized || b.State != traffic.Complete
	for _, f := range h {
		switch {
		case !traffic.EqualName(f.Name, "Transfer-Encoding"):
			out = append(out, f)
		case !done:
			out = append(out, traffic.Field{Name: "Content-Length", Value: strconv.Itoa(len(b.Bytes))})
			done = true
		}
	}
	return out
}
