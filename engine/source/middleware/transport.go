package middleware

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Transport returns a round tripper that does what base does, and records it;
// nil stands for http.DefaultTransport. The fields that base adds itself, such as
// User-Agent and Accept-Encoding, are not in the record.
func (r *Recorder) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base, r}
}

type transport struct {
	base http.RoundTripper
	rec  *Recorder
}

// RoundTrip sends a request and records it with its response.
func (tr *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	session := ""
	if tr.rec.cfg.Session != nil {
		session = tr.rec.cfg.Session(req)
	}
	t := tr.rec.begin(req, session)
	if t == nil {
		return tr.base.RoundTrip(req)
	}
	if req.Method == http.MethodConnect {
		t.upgrade()
	}
	resp, err := tr.base.RoundTrip(t.outgoing(req))
	if err != nil || resp == nil {
		t.end(true, nil)
		return resp, err
	}
	t.answer(resp.StatusCode, resp.Header)
	t.incoming(resp)
	return resp, nil
}

// CloseIdleConnections is for http.Client.
func (tr *transport) CloseIdleConnections() {
	if c, ok := tr.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// outgoing is a request whose body is copied as it is sent. A round tripper does
// not change the request that it was given.
func (t *take) outgoing(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		t.whole = true
		return req
	}
	if t.sized == 0 { // unknown, for a client with a body
		t.sized = -1
	}
	out := req.WithContext(req.Context())
	out.Body = &requestBody{req.Body, t, func() {}}
	if again := req.GetBody; again != nil {
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			t.rewind()
			return &requestBody{body, t, func() {}}, nil
		}
	}
	return out
}

// incoming copies the body of a response as it is read.
func (t *take) incoming(resp *http.Response) {
	_, both := resp.Body.(io.Writer) // of a connection that was upgraded
	switch {
	case both:
		t.upgrade()
		t.end(false, nil)
	case resp.Body == nil || resp.Body == http.NoBody:
		t.end(false, nil)
	default:
		resp.Body = &responseBody{ReadCloser: resp.Body, take: t, resp: resp}
	}
}

// responseBody is a response body of which a copy is kept.
type responseBody struct {
	io.ReadCloser
	take *take
	resp *http.Response
	read atomic.Int64
}

// Read reads from the body.
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	b.take.write(p[:n], err != nil && err != io.EOF)
	if err != nil {
		b.take.end(err != io.EOF, fields(b.resp.Trailer, nil))
	}
	return n, err
}

// Close closes the body. What was not read of it until then is not recorded.
func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	b.take.end(b.read.Load() != b.resp.ContentLength, nil)
	return err
}
