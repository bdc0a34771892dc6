package extproc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const method = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

// Status codes of gRPC, https://grpc.io/docs/guides/status-codes/.
const (
	statusOK            = 0
	statusInvalid       = 3
	statusUnimplemented = 12
)

// maxMessage is the largest gRPC message that is read, in bytes. Envoy sends
// bodies in pieces, or whole where it buffers them, which it does up to 1 MiB if
// not told otherwise.
const maxMessage = 16 << 20

var (
	errCompressed = errors.New("compressed message")
	errMessage    = errors.New("not a message")
)

// ServeHTTP serves a stream: it reads messages until the exchange is whole, or
// the stream ends.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		http.Error(w, "this is a gRPC service", http.StatusUnsupportedMediaType)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Accept-Encoding", "identity")
	if r.URL.Path != method {
		end(w, statusUnimplemented)
		return
	}
	if !s.enter() {
		// A stream that is closed with OK tells Envoy that nothing more is
		// wanted, which is no error whatever its failure mode is.
		end(w, statusOK)
		return
	}
	defer s.leave()
	end(w, s.serve(w, r))
}

// enter lets a stream in, if there is room and time for it.
func (s *Source) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return false
	case s.streams == s.maxStreams:
		s.log.Records++
		s.log.Dropped++
		s.log.crowded++
		return false
	}
	s.streams++
	s.handlers.Add(1)
	return true
}

func (s *Source) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams--
	s.handlers.Done()
}

// serve reads a stream and returns the status with which it is to end.
func (s *Source) serve(w http.ResponseWriter, r *http.Request) int {
	out := http.NewResponseController(w)
	out.Flush() // Envoy counts the stream as open once it has the header
	var armed time.Time

	st := newStream(s)
	defer st.finish()
	in := frames.Get().(*frameReader)
	defer in.release()
	in.br.Reset(r.Body)
	for {
		if now := time.Now(); now.Sub(armed) > s.idle/4 { // not for every message, since it costs as much as one
			out.SetReadDeadline(now.Add(s.idle))
			armed = now
		}
		b, err := in.next()
		switch {
		case err == errCompressed:
			s.count(func(l *ledger) { l.compressed++ })
			st.bad = true
			return statusUnimplemented
		case err == errMessage:
			st.bad = true
			return statusInvalid
		case err != nil: // the end, orderly or not
			return statusOK
		}
		now := time.Now()
		m, err := decode(b)
		if err != nil {
			st.bad = true
			return statusInvalid
		}
		st.add(m, now)
		if !m.observed && m.part != 0 {
			if _, err := w.Write(st.reply(m)); err != nil {
				return statusOK
			}
			out.Flush()
		}
		if st.whole() || st.tunnel() {
			return statusOK
		}
	}
}

// end ends a stream with a status.
func end(w http.ResponseWriter, status int) {
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(status))
}

// frameReader reads the messages of a stream: a byte that says whether it is
// compressed, four of length, and the message.
type frameReader struct {
	br  *bufio.Reader
	buf bytes.Buffer
}

var frames = sync.Pool{New: func() any { return &frameReader{br: bufio.NewReaderSize(nil, 4<<10)} }}

func (f *frameReader) release() {
	f.br.Reset(nil)
	if f.buf.Cap() > 64<<10 {
		f.buf = bytes.Buffer{}
	}
	frames.Put(f)
}

// next returns a message, valid until the next call. io.EOF is the end of the
// stream between two messages.
func (f *frameReader) next() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(f.br, head[:]); err != nil {
		return nil, err
	}
	if head[0] == 1 {
		return nil, errCompressed
	}
	n := int64(binary.BigEndian.Uint32(head[1:]))
	if head[0] != 0 || n > maxMessage {
		return nil, errMessage
	}
	f.buf.Reset() // it grows with what comes, not with what is announced
	if _, err := io.CopyN(&f.buf, f.br, n); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return f.buf.Bytes(), nil
}
