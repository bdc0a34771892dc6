package extproc

import (
	"errors"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// verdicts on a stream that does not become an exchange.
var (
	errRoom      = errors.New("too much is under way")
	errOrphan    = errors.New("a response without its request")
	errNotHTTP   = errors.New("a tunnel or an upgrade")
	errAborted   = errors.New("the request ended early")
	errBodiless  = errors.New("the body of the request is not sent")
	errOversized = errors.New("the body of the request is too large")
)

// exchange makes an exchange of what the stream brought.
func (st *stream) exchange() (*traffic.Exchange, error) {
	q, p := &st.sides[asked], &st.sides[answered]
	switch {
	case st.bad:
		return nil, errMessage
	case st.crowding:
		return nil, errRoom
	case !q.seen && p.seen:
		return nil, errOrphan
	case !q.seen:
		return nil, errMessage
	}
	verb, path, authority := q.header.Get(":method"), q.header.Get(":path"), q.header.Get(":authority")
	status := p.header.Get(":status")
	if verb == "CONNECT" || status == "101" {
		return nil, errNotHTTP
	}
	if !isToken(verb) || !isVisible(path) || authority != "" && !isVisible(authority) {
		return nil, errMessage
	}
	x := &traffic.Exchange{
		Source: st.src.cfg.Name, ID: q.header.Get("x-request-id"), Session: st.attributes.session(),
		At: st.attributes.time, Timing: timing(q, p),
		Request: traffic.Request{Method: verb, Target: path, Proto: st.attributes.protocol},
	}
	if x.At.IsZero() {
		x.At = q.at
	}
	x.At = x.At.UTC()
	if x.Request.Proto == "" {
		x.Request.Proto = "HTTP/1.1"
	}
	if err := st.request(q, authority, &x.Request); err != nil {
		return nil, err
	}
	if !p.seen {
		return x, nil
	}
	var err error
	x.Response, err = st.response(p, verb, status, x.Request.Proto)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// request fills in a request, which has to be whole.
func (st *stream) request(q *side, authority string, out *traffic.Request) (err error) {
	switch {
	case q.body.sum != nil:
		return errOversized
	case q.complete():
	case st.unsent(asked):
		return errBodiless
	default:
		return errAborted
	}
	if out.Header, err = fields(q.header, authority); err != nil {
		return err
	}
	out.Trailer, err = fields(q.trailer, "")
	out.Body = q.body.body()
	return err
}

// response makes the response to a request with the method.
func (st *stream) response(p *side, method, status, proto string) (*traffic.Response, error) {
	code, err := strconv.Atoi(status)
	if err != nil || len(status) != 3 || code < 100 {
		return nil, errMessage
	}
	r := &traffic.Response{Status: code, Proto: proto}
	if r.Header, err = fields(p.header, ""); err != nil {
		return nil, err
	}
	if r.Trailer, err = fields(p.trailer, ""); err != nil {
		return nil, err
	}
	if method == "HEAD" || code == 204 || code == 304 {
		return r, nil
	}
	r.Body = p.body.body()
	switch {
	case p.complete():
	case st.unsent(answered):
		r.Body = traffic.Body{State: traffic.Missing}
	default:
		r.Body = traffic.Body{Bytes: p.body.bytes, State: traffic.Truncated}
	}
	return r, nil
}

// unsent reports whether Envoy seems to be set up not to send the bodies of a
// side: while it only observes it does not tell, so it is taken from whether
// there ever was one.
func (st *stream) unsent(side int) bool { return !st.src.bodies[side].Load() }

// complete reports whether all of a message has come: the end was seen, or the
// length that it announced. The end is not seen of a message with trailers where
// Envoy does not send those.
func (s *side) complete() bool {
	if s.ended {
		return true
	}
	n, err := strconv.ParseInt(s.header.Get("Content-Length"), 10, 64)
	return err == nil && n == s.body.size
}

// timing is what Envoy saw: from the end of the request on, which is when the
// message about it arrived here. A response that began before its request had
// ended says nothing about the server.
func timing(q, p *side) traffic.Timing {
	if !q.ended || !p.ended || !p.seen || p.at.Before(q.until) {
		return traffic.Timing{}
	}
	return traffic.Timing{Kind: traffic.TimingProxy, TTFB: p.at.Sub(q.until), Total: p.until.Sub(q.until)}
}

// session is what keeps the requests of a client in order.
func (a *attributes) session() string {
	if a.connection != 0 {
		return a.address + "#" + strconv.FormatFloat(a.connection, 'f', -1, 64)
	}
	return a.address
}

// fields gives header fields without the pseudo ones, and with a Host where
// there is an authority.
func fields(in traffic.Header, authority string) (traffic.Header, error) {
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
		case !isToken(f.Name) || strings.ContainsAny(f.Value, "\r\n\x00"):
			return nil, errMessage
		case authority != "" && traffic.EqualName(f.Name, "Host"): // :authority is what Envoy goes by
		default:
			out = append(out, traffic.Field{Name: f.Name, Value: strings.Trim(f.Value, " \t")})
		}
	}
	return out, nil
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isVisible reports whether s can stand in a request line.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
