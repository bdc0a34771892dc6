package extproc

import (
	"errors"
	"strconv"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// verdicts on a stream that does not become an exchange.
var (
	errRoom      = errors.New("too much is under way")
	errOrphan    = errors.New("a response without its request")
	errAborted   = errors.New("the request ended early")
	errBodiless  = errors.New("the body of the request is not sent")
	errOversized = errors.New("the body of the request is too large")
)

// exchange makes an exchange of what the stream brought.
func (st *stream) exchange() (*traffic.Exchange, error) {
	q, p := &st.sides[asked], &st.sides[answered]
	switch {
	case st.bad:
		return nil, envoy.ErrShape
	case st.crowding:
		return nil, errRoom
	case !q.seen && p.seen:
		return nil, errOrphan
	case !q.seen:
		return nil, envoy.ErrShape
	}
	verb, path, authority, err := envoy.RequestLine(q.header, p.header)
	if err != nil {
		return nil, err
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
	if x.Response, err = st.response(p, verb, x.Request.Proto); err != nil {
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
	if out.Header, err = envoy.Fields(q.header, authority); err != nil {
		return err
	}
	out.Trailer, err = envoy.Fields(q.trailer, "")
	out.Body = q.body.body()
	return err
}

// response makes the response to a request with the method.
func (st *stream) response(p *side, method, proto string) (*traffic.Response, error) {
	r, err := envoy.Response(p.header, p.trailer, proto)
	if err != nil || !envoy.HasBody(method, r.Status) {
		return r, err
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
