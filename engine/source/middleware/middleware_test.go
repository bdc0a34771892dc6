package middleware

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/middleware/receive"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// pair is a recorder with the receiver that it sends to.
type pair struct {
	rec *Recorder
	src *receive.Source
}

func newPair(t testing.TB, cfg Config) pair {
	t.Helper()
	src, err := receive.Open(receive.Config{Name: "app", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Address = src.Listening()
	rec, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close(context.Background()); src.Close() })
	return pair{rec, src}
}

// end closes the recorder, reads what arrived, and checks that all counters add
// up.
func (p pair) end(t testing.TB) []*traffic.Exchange {
	t.Helper()
	if err := p.rec.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.src.Stop()
	xs := drain(t, p.src, 0)
	s := p.rec.Stats()
	if s.Seen != s.Skipped+s.SampledOut+s.Upgraded+s.Truncated+s.Dropped+s.Withheld+s.Sent {
		t.Errorf("the recorder does not add up: %+v", s)
	}
	if n := p.rec.memory.taken.Load(); n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
	return xs
}

func drain(t testing.TB, src *receive.Source, before int64) (xs []*traffic.Exchange) {
	t.Helper()
	for {
		x, err := src.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	if c := src.Counts(); c.Records != c.Read+c.Malformed+c.TruncatedRequests+c.NotHTTP+c.Dropped || c.Read != before+int64(len(xs)) {
		t.Errorf("the receiver does not add up: %+v", c)
	}
	return xs
}

// one is the only exchange that arrived.
func (p pair) one(t testing.TB) *traffic.Exchange {
	t.Helper()
	xs := p.end(t)
	if len(xs) != 1 {
		t.Fatalf("%d exchanges: %+v %+v", len(xs), p.rec.Stats(), p.src.Counts())
	}
	return xs[0]
}

// The handlers under which a recorder must change nothing on the wire.
var handlers = map[string]http.HandlerFunc{
	"nothing":         func(http.ResponseWriter, *http.Request) {},
	"text":            func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
	"html to sniff":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html><body>hi") },
	"sniff after one": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<ht"); io.WriteString(w, "ml>") },
	"flush early": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<ht")
		w.(http.Flusher).Flush()
		io.WriteString(w, "ml>")
	},
	"flush first": func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, "late")
	},
	"controller": func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		if err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Now().Add(time.Hour))); err != nil {
			panic(err)
		}
		io.WriteString(w, "a")
		if err := c.Flush(); err != nil {
			panic(err)
		}
		io.WriteString(w, "b")
	},
	"status":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418); io.WriteString(w, "teapot") },
	"two statuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) },
	"no content":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); io.WriteString(w, "ignored") },
	"not modified": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", `"a"`); w.WriteHeader(304) },
	"late field":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.Header().Set("X-Late", "1") },
	"fields": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	},
	"large": func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("0123456789"), 1000)) },
	"coded": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write([]byte{0x1f, 0x8b})
	},
	"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) },
	"error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
	"content": func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.css", time.Unix(1e9, 0), strings.NewReader("a { }"))
	},
	"too long": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "four")
	},
	"early hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		io.WriteString(w, "done")
	},
	"copied": func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader(strings.Repeat("x", 5000))) },
	"copied in part": func(w http.ResponseWriter, _ *http.Request) {
		io.CopyN(w, strings.NewReader(strings.Repeat("<a>", 5000)), 9000)
	},
	"echo": func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) },
	"trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-None")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-More", "8")
	},
	"panic": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	"panic in the midst": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "par")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	},
}

// serve starts a server whose log nobody reads.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

var date = regexp.MustCompile(`Date: [^\r]*\r\n`)

// raw sends bytes over a connection and gives all that comes back.
func raw(t testing.TB, s *httptest.Server, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, request)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return date.ReplaceAllString(string(b), "")
}

// What goes over the wire is the same, byte for byte, and what is recorded is
// what went over the wire.
func TestWireIsTheSame(t *testing.T) {
	for name, h := range handlers {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				request := method + " /a?b=%20c HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-B: 2\r\nX-A: 1\r\n"
				if method == "POST" {
					request += "Content-Length: 4\r\n\r\nbody"
				} else {
					request += "\r\n"
				}
				p := newPair(t, Config{})
				read := func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					h(w, r)
				}
				bare, wrapped := serve(t, http.HandlerFunc(read)), serve(t, p.rec.Handler(http.HandlerFunc(read)))
				want, got := raw(t, bare, request), raw(t, wrapped, request)
				if got != want {
					t.Errorf("with the recorder\n%s\nwithout\n%s", got, want)
				}
				wrapped.Close()
				x := p.one(t)
				if x.Request.Method != method || x.Request.Target != "/a?b=%20c" || x.Request.Host() != "shop.test" || x.Request.Header.Get("x-a") != "1" {
					t.Errorf("request %+v", x.Request)
				}
				if method == "POST" && string(x.Request.Body.Bytes) != "body" {
					t.Errorf("body %q", x.Request.Body.Bytes)
				}
				checkResponse(t, x.Response, want, method)
			})
		}
	}
}

// checkResponse compares a recorded response with one on the wire.
func checkResponse(t *testing.T, got *traffic.Response, text, method string) {
	t.Helper()
	if text == "" { // aborted before anything went out
		if got != nil && got.Body.State != traffic.Truncated {
			t.Errorf("recorded %+v", got)
		}
		return
	}
	br := bufio.NewReader(strings.NewReader(text))
	want, err := http.ReadResponse(br, &http.Request{Method: method})
	for err == nil && want.StatusCode < 200 {
		want, err = http.ReadResponse(br, &http.Request{Method: method})
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(want.Body)
	if (err == nil) != (got.Body.State == traffic.Complete) && want.Header.Get("Content-Length") != "3" && method != "HEAD" {
		t.Errorf("state %v, on the wire %v", got.Body.State, err)
	}
	if got.Status != want.StatusCode || string(got.Body.Bytes) != string(body) {
		t.Errorf("recorded %d %q, on the wire %d %q", got.Status, got.Body.Bytes, want.StatusCode, body)
	}
	for _, name := range []string{"Date", "Content-Length", "Connection", "Transfer-Encoding", "Trailer"} {
		want.Header.Del(name)
	}
	recorded := got.Header.Without("Content-Length", "Trailer")
	if a, b := fmt.Sprint(recorded), fmt.Sprint(fields(want.Header, nil)); a != b {
		t.Errorf("recorded %s, on the wire %s", a, b)
	}
	if a, b := fmt.Sprint(got.Trailer), fmt.Sprint(fields(want.Trailer, nil)); method != "HEAD" && err == nil && a != b {
		t.Errorf("recorded trailer %s, on the wire %s", a, b)
	}
}

// The same over HTTP/2.
func TestHTTP2(t *testing.T) {
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, Config{})
			get := func(h http.Handler) string {
				s := httptest.NewUnstartedServer(h)
				s.EnableHTTP2 = true
				s.Config.ErrorLog = log.New(io.Discard, "", 0)
				s.StartTLS()
				defer s.Close()
				s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				resp, err := s.Client().Post(s.URL+"/a", "text/plain", strings.NewReader("body"))
				if err != nil {
					return "no response"
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				resp.Header.Del("Date")
				return fmt.Sprint(resp.Proto, resp.StatusCode, resp.Header, string(body), resp.Trailer, err != nil)
			}
			drainBody := func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				h(w, r)
			}
			want, got := get(http.HandlerFunc(drainBody)), get(p.rec.Handler(http.HandlerFunc(drainBody)))
			if got != want {
				t.Errorf("with the recorder %s, without %s", got, want)
			}
			if x := p.one(t); x.Request.Proto != "HTTP/2.0" || string(x.Request.Body.Bytes) != "body" {
				t.Errorf("%+v", x.Request)
			}
		})
	}
}

// A handler finds the same abilities in its writer as without a recorder.
func TestAbilities(t *testing.T) {
	probe := func(w http.ResponseWriter) string {
		_, f := w.(http.Flusher)
		_, h := w.(http.Hijacker)
		_, p := w.(http.Pusher)
		//lint:ignore SA1019 old handlers ask for it
		_, c := w.(http.CloseNotifier)
		return fmt.Sprintf("flush %v hijack %v push %v notify %v", f, h, p, c)
	}
	p := newPair(t, Config{})
	for _, http2 := range []bool{false, true} {
		seen := func(wrap func(http.Handler) http.Handler) (text string) {
			s := httptest.NewUnstartedServer(wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text = probe(w) })))
			s.EnableHTTP2 = http2
			s.StartTLS()
			defer s.Close()
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return text
		}
		if bare, got := seen(func(h http.Handler) http.Handler { return h }), seen(p.rec.Handler); got != bare {
			t.Errorf("HTTP/2 %v: %s, without a recorder %s", http2, got, bare)
		}
	}
	type plain struct{ http.ResponseWriter }
	if got := probe(new(take).writer(plain{httptest.NewRecorder()})); strings.Contains(got, "true") {
		t.Error(got)
	}
}

func TestFlushArrivesBeforeTheEnd(t *testing.T) {
	p := newPair(t, Config{})
	goOn := make(chan struct{})
	s := serve(t, p.rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, "data: 2\n\n")
	})))
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 9)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: 1\n\n" {
		t.Errorf("%q %v", first, err)
	}
	close(goOn)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	s.Close()
	if x := p.one(t); string(x.Response.Body.Bytes) != "data: 1\n\ndata: 2\n\n" || x.Timing.Kind != traffic.TimingProxy || x.Timing.Total < x.Timing.TTFB {
		t.Errorf("%+v %+v", x.Response, x.Timing)
	}
}

func TestHijack(t *testing.T) {
	p := newPair(t, Config{})
	h := p.rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "another protocol")
		c.Close()
	}))
	done := make(chan struct{})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done) // the server does not wait for those that took their connection
		h.ServeHTTP(w, r)
	}))
	if got := raw(t, s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); got != "another protocol" {
		t.Errorf("%q", got)
	}
	<-done
	if xs := p.end(t); len(xs) != 0 || p.rec.Stats().Upgraded != 1 || p.src.Counts().NotHTTP != 1 {
		t.Errorf("%d exchanges, %+v, %+v", len(xs), p.rec.Stats(), p.src.Counts())
	}
}

// A body that the handler did not read is not read by the recorder, and what was
// not seen is not recorded.
func TestUnreadBody(t *testing.T) {
	for _, tt := range []struct {
		name, framing, body string
		read                int64
		sent                int64
	}{
		{"unread", "Content-Length: 4", "body", 0, 0},
		{"in part", "Content-Length: 4", "body", 3, 0},
		{"to its length", "Content-Length: 4", "body", 4, 1},
		{"chunked, to its end", "Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n", 99, 1},
		{"empty", "Content-Length: 0", "", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, Config{})
			s := serve(t, p.rec.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.CopyN(io.Discard, r.Body, tt.read) })))
			raw(t, s, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+tt.framing+"\r\n\r\n"+tt.body)
			s.Close()
			xs := p.end(t)
			if c := p.src.Counts(); c.Read != tt.sent || c.TruncatedRequests != 1-tt.sent {
				t.Errorf("%+v", c)
			}
			if strings.HasPrefix(tt.name, "chunked") && (xs[0].Request.Trailer.Get("X-T") != "1" || xs[0].Request.Header.Get("Transfer-Encoding") != "chunked") {
				t.Errorf("%+v", xs[0].Request)
			}
		})
	}
}

// "100 Continue" is sent when the handler begins to read, and not before.
func TestContinue(t *testing.T) {
	for _, reads := range []bool{true, false} {
		p := newPair(t, Config{})
		s := serve(t, p.rec.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if reads {
				io.Copy(io.Discard, r.Body)
			}
		})))
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		if strings.Contains(line, "100 Continue") != reads || line == "" {
			t.Errorf("reads %v: %q", reads, line)
		}
		io.WriteString(c, "ok")
		c.Close()
	}
}

func TestClientGoesAway(t *testing.T) {
	p := newPair(t, Config{})
	s := serve(t, p.rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		for {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})))
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.Close()
	if x := p.one(t); x.Response.Body.State != traffic.Truncated || p.src.Counts().Truncated != 1 {
		t.Errorf("%v %+v", x.Response.Body.State, p.src.Counts())
	}
}

func TestLargeBodies(t *testing.T) {
	p := newPair(t, Config{MaxBody: 1000})
	path := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789"), 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, p.rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		http.ServeFile(w, r, path)
	})))
	post := func(n int) {
		resp, err := http.Post(s.URL, "text/plain", strings.NewReader(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 100000 || err != nil {
			t.Error(n, err)
		}
		resp.Body.Close()
	}
	post(1000)
	post(1001)
	s.Close()
	x := p.one(t)
	if b := x.Response.Body; b.State != traffic.Truncated || len(b.Bytes) != sniffed || x.Response.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v, %d bytes, %v", b.State, len(b.Bytes), x.Response.Header)
	}
	if st := p.rec.Stats(); st.Truncated != 1 || st.Sent != 1 {
		t.Errorf("%+v", st)
	}
}

func TestSkipAndSample(t *testing.T) {
	p := newPair(t, Config{
		Sample:  0.25,
		Session: func(r *http.Request) string { return r.URL.Query().Get("user") },
		Skip:    func(r *http.Request) bool { return r.URL.Path == "/healthz" },
	})
	h := p.rec.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	get := func(target string) { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil)) }
	get("/healthz?user=1")
	for i := range 400 {
		get(fmt.Sprintf("/?user=%d", i))
		get(fmt.Sprintf("/?user=%d", i))
	}
	for range 400 {
		get("/")
	}
	xs := p.end(t)
	users := map[string]int{}
	for _, x := range xs {
		users[x.Session]++
	}
	single := users[""]
	delete(users, "")
	if len(users) < 60 || len(users) > 140 || single < 60 || single > 140 {
		t.Errorf("%d users and %d others of 400 each, at a share of 1/4", len(users), single)
	}
	for u, n := range users {
		if n != 2 || !newSampler(0.25).takes(u) {
			t.Errorf("user %s has %d of 2", u, n)
		}
	}
	if s := p.rec.Stats(); s.Skipped != 1 || s.SampledOut+s.Sent != 1200 {
		t.Errorf("%+v", s)
	}
}

// A receiver that takes nothing costs the service no time and no memory beyond
// the limits, and what was dropped is known exactly.
func TestStalledReceiver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts, in the kernel, and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	rec, err := New(Config{Address: ln.Addr().String(), Queue: 8, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 100<<10)
	h := rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	start := time.Now()
	for range 2000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if n := rec.memory.taken.Load(); n > 1<<20 {
			t.Fatalf("%d bytes are held", n)
		}
	}
	if d := time.Since(start); d > writeTimeout-time.Second {
		t.Errorf("the service waited: %v", d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := rec.Close(ctx); err != context.Canceled {
		t.Error(err)
	}
	if s := rec.Stats(); s.Seen != 2000 || s.Dropped+s.Sent != 2000 || s.Dropped < 1500 {
		t.Errorf("%+v", s)
	}
}

// A reader that does not read fills the queue of the receiver; the service goes
// on, and every exchange is accounted for.
func TestNobodyReads(t *testing.T) {
	p := newPair(t, Config{})
	h := p.rec.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	const n = source.DefaultQueued + 2000
	for range n {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	p.end(t)
	if c := p.src.Counts(); c.Records != n || c.Dropped == 0 {
		t.Errorf("%+v", c)
	}
}

// What is dropped while nobody listens is told to the receiver that comes back.
func TestReconnect(t *testing.T) {
	address := "unix:" + filepath.Join(t.TempDir(), "s")
	open := func() *receive.Source {
		src, err := receive.Open(receive.Config{Name: "app", Listen: address})
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	src := open()
	rec, err := New(Config{Address: address, Queue: 4})
	if err != nil {
		t.Fatal(err)
	}
	h := rec.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	get := func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) }
	get()
	if _, err := src.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	src.Close()
	for rec.Stats().Dropped == 0 {
		get()
	}
	src = open()
	defer src.Close()
	for arrived := false; !arrived; { // the first ones may still go to where nobody is
		get()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		_, err := src.Next(ctx)
		arrived = err == nil
		cancel()
	}
	if c := src.Counts(); c.Dropped != 0 {
		t.Errorf("the second receiver answers for what was before it: %+v", c)
	}
	if err := rec.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	src.Stop()
	drain(t, src, 1)
}

func TestNobodyListens(t *testing.T) {
	rec, err := New(Config{Address: "unix:" + filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	rec.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := rec.Close(context.Background()); err == nil {
		t.Error("no error")
	}
	if s := rec.Stats(); s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTransport(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			w.Write(make([]byte, 1<<20))
			return
		}
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "cut")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Trailer", "X-T")
		io.Copy(w, r.Body)
		w.Header().Set("X-T", "1")
	}))
	for _, tt := range []struct {
		name, url string
		read      int64
		state     traffic.BodyState
		body      string
	}{
		{"to its end", s.URL + "/a?b", 99, traffic.Complete, "body"},
		{"closed early", s.URL + "/early", 10, traffic.Truncated, strings.Repeat("\x00", 10)},
		{"cut", s.URL + "/cut", 99, traffic.Truncated, "cut"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, Config{})
			c := http.Client{Transport: p.rec.Transport(nil)}
			req, _ := http.NewRequest("POST", tt.url, strings.NewReader("body"))
			body := req.Body
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, resp.Body, tt.read)
			resp.Body.Close()
			if req.Body != body {
				t.Error("the request was changed")
			}
			x := p.one(t)
			if got := x.Response.Body; got.State != tt.state || string(got.Bytes) != tt.body || string(x.Request.Body.Bytes) != "body" || x.Request.Host() != s.Listener.Addr().String() {
				t.Errorf("%+v %+v", x.Request, x.Response)
			}
			if tt.state == traffic.Complete && x.Response.Trailer.Get("X-T") != "1" {
				t.Errorf("trailer %v", x.Response.Trailer)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		p := newPair(t, Config{})
		broken := p.rec.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }))
		req, _ := http.NewRequest("GET", "http://a.test/", nil)
		if _, err := broken.RoundTrip(req); err != io.ErrUnexpectedEOF {
			t.Error(err)
		}
		if x := p.one(t); x.Response != nil {
			t.Errorf("%+v", x.Response)
		}
	})
	t.Run("redirected with its body", func(t *testing.T) {
		p := newPair(t, Config{})
		again := serve(t, http.RedirectHandler(s.URL+"/x", http.StatusTemporaryRedirect))
		resp, err := (&http.Client{Transport: p.rec.Transport(nil)}).Post(again.URL, "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		p.end(t)
		if st := p.rec.Stats(); st.Seen != 2 || st.Sent+st.Truncated != 2 || st.Sent < 1 {
			t.Errorf("%+v", st)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A handler may read and write in other goroutines, and some of them go on when
// it has returned.
func TestConcurrency(t *testing.T) {
	p := newPair(t, Config{Queue: 5000})
	s := serve(t, p.rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go io.Copy(io.Discard, r.Body)
		io.WriteString(w, r.URL.RawQuery)
	})))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				q := fmt.Sprintf("%d-%d", i, j)
				resp, err := http.Post(s.URL+"?"+q, "text/plain", strings.NewReader("body"))
				if err != nil {
					t.Error(err)
					return
				}
				if b, _ := io.ReadAll(resp.Body); string(b) != q {
					t.Errorf("%s got %s", q, b)
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	s.Close()
	for _, x := range p.end(t) {
		if x.Request.Query() != string(x.Response.Body.Bytes) {
			t.Errorf("%s has the response of %s", x.Request.Query(), x.Response.Body.Bytes)
		}
	}
	if st := p.rec.Stats(); st.Seen != 320 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	for name, cfg := range map[string]Config{
		"nowhere": {}, "both": {Address: "a:1", File: "a"}, "sample": {Address: "a:1", Sample: 2}, "body": {Address: "a:1", MaxBody: 1 << 30},
		"queue": {Address: "a:1", Queue: -1}, "key": {File: filepath.Join(dir, "a"), Key: []byte("short")}, "directory": {File: filepath.Join(dir, "none", "a")},
	} {
		if rec, err := New(cfg); err == nil {
			rec.Close(context.Background())
			t.Errorf("%s: no error", name)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%d files are left", len(left))
	}
}

// Once a recorder is closed, handlers work on without it.
func TestAfterClose(t *testing.T) {
	p := newPair(t, Config{})
	p.end(t)
	w := httptest.NewRecorder()
	p.rec.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 404 || p.rec.Stats().Seen != 0 {
		t.Error(w.Code, p.rec.Stats())
	}
	if err := p.rec.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func BenchmarkHandler(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 2000)
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	})
	p := newPair(b, Config{})
	go func() {
		for {
			if _, err := p.src.Next(context.Background()); err != nil {
				return
			}
		}
	}()
	for _, bb := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"recorded", p.rec.Handler(bare)}} {
		b.Run(bb.name, func(b *testing.B) {
			s := httptest.NewUnstartedServer(bb.h)
			s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
			s.Start()
			defer s.Close()
			b.ReportAllocs()
			for b.Loop() {
				s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				resp, err := s.Client().Post(s.URL, "text/plain", bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
