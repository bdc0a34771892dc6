package envoytest

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Upstream is the service behind Envoy. It answers as the path of a request says,
// and remembers what it was sent.
type Upstream struct {
	Address string // as in "127.0.0.1:80"

	mu   sync.Mutex
	body map[string][]byte // by target
}

// Body is the body that came with the last request for the target.
func (u *Upstream) Body(target string) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.body[target]
}

// NewUpstream starts an upstream, which ends with the test.
func NewUpstream(t *testing.T) *Upstream {
	u := &Upstream{body: map[string][]byte{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.body[r.URL.RequestURI()] = b
		u.mu.Unlock()
		switch {
		case strings.HasPrefix(r.URL.Path, "/gzip"):
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(squeezed(r.URL.Path))
		case strings.HasPrefix(r.URL.Path, "/trailers"):
			w.Header().Set("Trailer", "X-Sum")
			w.Write([]byte("some"))
			w.(http.Flusher).Flush()
			w.Write([]byte(" more"))
			w.Header().Set("X-Sum", "17")
		case strings.HasPrefix(r.URL.Path, "/big"):
			w.Write(Page(3 << 20))
		case strings.HasPrefix(r.URL.Path, "/huge"):
			w.Write(Page(9 << 20))
		case strings.HasPrefix(r.URL.Path, "/none"):
			w.WriteHeader(204)
		case strings.HasPrefix(r.URL.Path, "/die"):
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("half"))
			w.(http.Flusher).Flush()
			time.Sleep(200 * time.Millisecond) // for Envoy to pass it on
			panic(http.ErrAbortHandler)
		default:
			w.Write([]byte("ok " + r.URL.Path))
		}
	}))
	t.Cleanup(srv.Close)
	u.Address = srv.Listener.Addr().String()
	return u
}

func squeezed(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, strings.Repeat(text, 50))
	z.Close()
	return b.Bytes()
}

// Page is a body of all bytes, the same every time.
func Page(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
