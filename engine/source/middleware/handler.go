package middleware

import (
	"io"
	"net/http"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Handler returns a handler that does what next does, and records it.
func (r *Recorder) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		session := req.RemoteAddr
		if r.cfg.Session != nil {
			session = r.cfg.Session(req)
		}
		t := r.begin(req, session)
		if t == nil {
			next.ServeHTTP(w, req)
			return
		}
		if req.Method == http.MethodConnect {
			t.upgrade()
		}
		inner := t.listen(req)
		aborted := true
		defer func() { // not recover: the stack of a panic is to stay what it is
			giveBack(req, inner)
			if !aborted {
				t.answer(http.StatusOK, w.Header())
				t.flushed()
			}
			t.implyType(w)
			t.end(aborted, t.responseTrailer(w))
		}()
		next.ServeHTTP(t.writer(w), inner)
		aborted = false
	})
}

// listen gives a request whose body is copied as it is read. It is another
// request than req: net/http looks at the body of its own one to decide about
// "100 Continue" and about what was left unread.
func (t *take) listen(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		t.whole = true
		return req
	}
	t.trailers = func() traffic.Header { return fields(req.Trailer, nil) }
	inner := req.WithContext(req.Context())
	inner.Body = &requestBody{req.Body, t, func() {
		if inner.Trailer == nil { // which net/http has given to its own request
			inner.Trailer = req.Trailer
		}
	}}
	return inner
}

// giveBack puts what a handler has left in its request where the server and the
// handlers around look for it: the server removes the files of a form.
func giveBack(req, inner *http.Request) {
	if req != inner {
		req.Form, req.PostForm, req.MultipartForm, req.Pattern = inner.Form, inner.PostForm, inner.MultipartForm, inner.Pattern
	}
}

// requestBody is a request body of which a copy is kept.
type requestBody struct {
	io.ReadCloser
	take  *take
	ended func() // called at the end of the body
}

// Read reads from the body.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended()
	}
	b.take.read(p[:n], err == io.EOF)
	return n, err
}

// implyType adds the type that net/http finds where the handler says none.
func (t *take) implyType(w http.ResponseWriter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.exchange.Response
	if p == nil || t.sniff <= 0 || t.upgraded {
		return
	}
	_, set := w.Header()["Content-Type"]
	if set || contentless("", p.Status) || p.Header.Has("Content-Type") || p.Header.Has("Transfer-Encoding") || p.Header.Get("Content-Encoding") != "" {
		return
	}
	p.Header = append(p.Header, traffic.Field{Name: "Content-Type", Value: http.DetectContentType(t.response.bytes[:t.sniff])})
	byName(p.Header)
}

func (t *take) responseTrailer(w http.ResponseWriter) traffic.Header {
	t.mu.Lock()
	p := t.exchange.Response
	t.mu.Unlock()
	if p == nil {
		return nil
	}
	return trailerOf(p.Header, w.Header())
}
