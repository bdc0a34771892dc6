package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// writer gives a handler what its own writer can do, and no more: handlers ask
// for abilities by type assertion, and act on the answer.
func (t *take) writer(w http.ResponseWriter) http.ResponseWriter {
	base := &writer{w, t}
	flusher, _ := w.(http.Flusher)
	hijacker, _ := w.(http.Hijacker)
	pusher, _ := w.(http.Pusher)
	switch {
	case flusher != nil && hijacker != nil: // HTTP/1
		return &writer1{flushing{base, flusher}, hijacker}
	case flusher != nil && pusher != nil: // HTTP/2
		return &writer2{flushing{base, flusher}, pusher}
	case flusher != nil:
		return &flushing{base, flusher}
	case hijacker != nil:
		return &hijacking{base, hijacker}
	}
	return base
}

// writer copies what a handler writes.
type writer struct {
	http.ResponseWriter
	take *take
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the status. Those below 200 are informational, and another
// one follows, except for 101.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.take.answer(status, w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *writer) Write(p []byte) (int, error) {
	w.take.answer(http.StatusOK, w.Header())
	n, err := w.ResponseWriter.Write(p)
	w.take.write(p[:n], failed(err))
	return n, err
}

// failed reports whether an error of Write means that the client does not have
// the body. That there is to be none is no such error.
func failed(err error) bool { return err != nil && err != http.ErrBodyNotAllowed }

// WriteString sends a part of the body.
func (w *writer) WriteString(s string) (int, error) {
	w.take.answer(http.StatusOK, w.Header())
	n, err := io.WriteString(w.ResponseWriter, s)
	w.take.write([]byte(s[:n]), failed(err))
	return n, err
}

// ReadFrom sends all of src. What is known to be too large for the recorder is
// not copied: a file then goes out by sendfile, as it does without a recorder.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	w.take.answer(http.StatusOK, w.Header())
	var n int64
	var err error
	if l, ok := src.(*io.LimitedReader); ok && l.N > w.take.left() {
		n, err = w.readPast(src)
	} else {
		n, err = io.Copy(w.ResponseWriter, &copying{src, w.take})
	}
	if failed(err) {
		w.take.write(nil, true)
	}
	return n, err
}

// readPast copies no more of src than tells its type.
func (w *writer) readPast(src io.Reader) (int64, error) {
	start, err := io.CopyN(w.ResponseWriter, &copying{src, w.take}, sniffed)
	if err == io.EOF {
		return start, nil
	}
	if err != nil {
		return start, err
	}
	n, err := io.Copy(w.ResponseWriter, src)
	w.take.pass(n)
	return start + n, err
}

// copying is a source of which what is read becomes the response.
type copying struct {
	io.Reader
	take *take
}

// Read reads from the source.
func (c *copying) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.take.write(p[:n], false)
	return n, err
}

// flushing can flush.
type flushing struct {
	*writer
	flusher http.Flusher
}

// Flush sends what is buffered.
func (w *flushing) Flush() {
	w.flush()
	w.flusher.Flush()
}

// FlushError is Flush for http.ResponseController.
func (w *flushing) FlushError() error {
	w.flush()
	if f, ok := w.flusher.(interface{ FlushError() error }); ok {
		return f.FlushError()
	}
	w.flusher.Flush()
	return nil
}

func (w *writer) flush() {
	w.take.answer(http.StatusOK, w.Header())
	w.take.flushed()
}

// closeNotify is CloseNotify where the writer has it, which those of net/http
// do. A channel that never sends stands for it elsewhere.
func (w *writer) closeNotify() <-chan bool {
	//lint:ignore SA1019 handlers that still use it would panic without it
	if n, ok := w.ResponseWriter.(http.CloseNotifier); ok {
		return n.CloseNotify()
	}
	return make(chan bool)
}

// writer1 is that of HTTP/1.
type writer1 struct {
	flushing
	hijacker http.Hijacker
}

// Hijack takes the connection over.
func (w *writer1) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack(w.hijacker) }

// CloseNotify tells of a client that went away.
func (w *writer1) CloseNotify() <-chan bool { return w.closeNotify() }

// writer2 is that of HTTP/2.
type writer2 struct {
	flushing
	pusher http.Pusher
}

// Push sends a response that nobody asked for. It is recorded as the exchange
// that it becomes.
func (w *writer2) Push(target string, opts *http.PushOptions) error {
	return w.pusher.Push(target, opts)
}

// CloseNotify tells of a client that went away.
func (w *writer2) CloseNotify() <-chan bool { return w.closeNotify() }

// hijacking can hand over its connection, but not flush.
type hijacking struct {
	*writer
	hijacker http.Hijacker
}

// Hijack takes the connection over.
func (w *hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack(w.hijacker) }

func (w *writer) hijack(h http.Hijacker) (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := h.Hijack()
	if err == nil {
		w.take.upgrade()
	}
	return c, rw, err
}
