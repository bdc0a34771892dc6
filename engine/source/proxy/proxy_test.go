package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// stand opens a proxy in front of a service.
func stand(t testing.TB, h http.HandlerFunc) *Source {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return open(t, Config{Upstream: srv.URL})
}

func open(t testing.TB, cfg Config) *Source {
	t.Helper()
	cfg.Name, cfg.Listen = "p", "127.0.0.1:0"
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// raw is a service that reads one request after another on a connection and
// answers each with the given bytes. What it was sent comes out of the channel.
func raw(t testing.TB, answer string) (address string, got <-chan *traffic.Request) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	out := make(chan *traffic.Request, 100)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for {
					r, err := http1.ReadRequest(br, http1.DefaultLimits)
					if err != nil {
						return
					}
					out <- r
					if _, err := io.WriteString(c, answer); err != nil || answer == "" {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String(), out
}

func dial(t testing.TB, s *Source) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listening())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func next(t testing.TB, s *Source) *traffic.Exchange {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	x, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// drain stops the source, reads it to its end and holds it to the equation of
// the package comment.
func drain(t testing.TB, s *Source) []*traffic.Exchange {
	t.Helper()
	s.settle()
	s.Stop()
	var xs []*traffic.Exchange
	for {
		x, err := s.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	c := s.Counts()
	if sum := c.Read + c.TruncatedRequests + c.NotHTTP + c.Dropped; c.Records != sum {
		t.Errorf("%d records, but their fates add up to %d: %+v", c.Records, sum, c)
	}
	return xs
}

func check(t *testing.T, s *Source, want source.Counts) {
	t.Helper()
	if got := s.Counts(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestNothingIsChanged sends a request through the proxy, and looks at what
// reaches the service, the client and the recording.
func TestNothingIsChanged(t *testing.T) {
	const answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nEtag: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nno"
	upstream, got := raw(t, answer)
	s := open(t, Config{Upstream: upstream})
	c := dial(t, s)
	br := bufio.NewReader(c)
	want := "404 Not Found Content-Length: 2 Etag: x Set-Cookie: a=1 Set-Cookie: b=2 no"
	for _, target := range []string{"/", "/a%2Fb//c%20d?x=%zz;y&z=1", "//a//b?", "/é?ü", "/a/../b"} {
		request := "POST " + target + " HTTP/1.1\r\nHost: Shop.Example\r\nAccept-Encoding: gzip\r\nContent-Length: 5\r\nCookie: a=b\r\nForwarded: for=a\r\nX-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\nX-Request-Id: r1\r\n\r\nhello"
		io.WriteString(c, request)
		back, err := http1.ReadResponse(br, "POST", http1.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if text := describe(back); text != want {
			t.Errorf("%s: the client got %q", target, text)
		}
		if len(got) == 0 {
			t.Errorf("%s: nothing reached the service", target)
			continue
		}
		sent := <-got
		if text := string(http1.AppendRequest(nil, sent)); !sameMessage(text, request) {
			t.Errorf("the service got\n%q instead of\n%q", text, request)
		}
		x := next(t, s)
		if text := string(http1.AppendRequest(nil, &x.Request)); !sameMessage(text, request) {
			t.Errorf("recorded\n%q instead of\n%q", text, request)
		}
		if text := describe(x.Response); text != want {
			t.Errorf("%s: recorded %q", target, text)
		}
		if x.ID != "r1" || x.Session != "1" || x.Source != "p" || x.Timing.Kind != traffic.TimingProxy || x.Timing.TTFB <= 0 || x.Timing.Total < x.Timing.TTFB {
			t.Errorf("%+v", x)
		}
	}
}

// describe gives a response in one line, its fields in the order of their names.
func describe(r *traffic.Response) string {
	s := fmt.Sprint(r.Status, " ", r.Reason)
	header := slices.Clone(r.Header)
	slices.SortStableFunc(header, func(a, b traffic.Field) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range header {
		s += " " + f.Name + ": " + f.Value
	}
	return s + " " + string(r.Body.Bytes)
}

// sameMessage compares messages but for the order of their fields.
func sameMessage(a, b string) bool {
	lines := func(s string) map[string]int {
		m := make(map[string]int)
		for line := range strings.SplitSeq(s, "\r\n") {
			m[line]++
		}
		return m
	}
	am, bm := lines(a), lines(b)
	for line, n := range am {
		if bm[line] != n {
			return false
		}
	}
	return len(am) == len(bm)
}

func TestChunksAndTrailers(t *testing.T) {
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-After")
		w.Write(body)
		w.(http.Flusher).Flush()
		w.Header().Set("X-After", r.Trailer.Get("X-Sum"))
	})
	c := dial(t, s)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 7\r\n\r\n")
	r, err := http1.ReadResponse(bufio.NewReader(c), "POST", http1.DefaultLimits)
	if err != nil || string(r.Body.Bytes) != "abc" || r.Trailer.Get("X-After") != "7" {
		t.Errorf("the client got %+v, %v", r, err)
	}
	x := next(t, s)
	if string(x.Request.Body.Bytes) != "abc" || x.Request.Trailer.Get("X-Sum") != "7" || x.Request.Header.Get("Transfer-Encoding") != "chunked" {
		t.Errorf("%+v", x.Request)
	}
	if string(x.Response.Body.Bytes) != "abc" || x.Response.Trailer.Get("X-After") != "7" || x.Response.Header.Get("Transfer-Encoding") != "chunked" {
		t.Errorf("%+v", x.Response)
	}
}

// TestEventsAreNotHeldBack reads the first event before the service may send
// the second.
func TestEventsAreNotHeldBack(t *testing.T) {
	more := make(chan bool)
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "data: 2\n\n")
	})
	resp, err := http.Get("http://" + s.Listening())
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 9)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	close(more)
	rest, _ := io.ReadAll(resp.Body)
	if x := next(t, s); string(x.Response.Body.Bytes) != string(first)+string(rest) || string(rest) != "data: 2\n\n" {
		t.Errorf("%q", x.Response.Body.Bytes)
	}
}

// TestBothWaysAtOnce has a service that answers each line before it reads the
// next one, and one that answers without reading at all.
func TestBothWaysAtOnce(t *testing.T) {
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	})
	out, in := io.Pipe()
	go io.WriteString(in, "0\n")
	resp, err := http.Post("http://"+s.Listening(), "", out)
	if err != nil {
		t.Fatal(err)
	}
	back := bufio.NewReader(resp.Body)
	for i := range 10 {
		if line, err := back.ReadString('\n'); err != nil || line != fmt.Sprintln(i) {
			t.Fatalf("%q, %v", line, err)
		}
		fmt.Fprintln(in, i+1)
	}
	in.Close()
	rest, _ := io.ReadAll(back)
	if x := next(t, s); string(x.Request.Body.Bytes) != "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n" || !bytes.Equal(x.Response.Body.Bytes, x.Request.Body.Bytes) || string(rest) != "10\n" {
		t.Errorf("%q and %q, the last of it %q", x.Request.Body.Bytes, x.Response.Body.Bytes, rest)
	}

	for range 20 {
		c := dial(t, s)
		go io.Copy(c, io.MultiReader(strings.NewReader("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n"), bytes.NewReader(make([]byte, 4_000_000))))
		if r, err := http1.ReadResponse(bufio.NewReader(c), "POST", http1.DefaultLimits); err != nil || r.Status != 413 {
			t.Fatal(r, err)
		}
		c.Close()
	}
	drain(t, s)
	if c := s.Counts(); c.Records != 21 {
		t.Errorf("%+v", c)
	}
}

func TestInterimResponses(t *testing.T) {
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(201)
	})
	c := dial(t, s)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	br := bufio.NewReader(c)
	var seen []string
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "HTTP/1.1 ") {
			seen = append(seen, line[9:12])
			if line[9:12] == "100" {
				io.WriteString(c, "ok")
			}
			if line[9:12] == "201" {
				break
			}
		}
	}
	if all := strings.Join(seen, " "); !strings.Contains(all, "103") || !strings.Contains(all, "100") {
		t.Errorf("the client got %s", all)
	}
	if x := next(t, s); x.Response.Status != 201 || string(x.Request.Body.Bytes) != "ok" {
		t.Errorf("%+v", x)
	}
}

func TestHTTP2(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	defer srv.Close()
	cert, key := certificate(t)
	for _, tt := range []struct {
		name, scheme string
		cfg          Config
	}{
		{"cleartext", "http", Config{Upstream: srv.URL}},
		{"TLS", "https", Config{Upstream: srv.URL, CertFile: cert, KeyFile: key}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, tt.cfg)
			protocols := new(http.Protocols)
			protocols.SetHTTP2(true)
			protocols.SetUnencryptedHTTP2(true)
			client := &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			defer client.CloseIdleConnections()
			resp, err := client.Post(tt.scheme+"://"+s.Listening()+"/x?y", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.ProtoMajor != 2 || string(body) != "hello" {
				t.Errorf("%s %q", resp.Proto, body)
			}
			if x := next(t, s); x.Request.Proto != "HTTP/2.0" || x.Request.Target != "/x?y" || string(x.Request.Body.Bytes) != "hello" || string(x.Response.Body.Bytes) != "hello" {
				t.Errorf("%+v", x)
			}
		})
	}
}

// TestUpgrade opens a tunnel through the proxy and speaks through it.
func TestUpgrade(t *testing.T) {
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		io.Copy(c, rw)
	})
	c := dial(t, s)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(c)
	if r, err := http1.ReadResponse(br, "GET", http1.DefaultLimits); err != nil || r.Status != 101 {
		t.Fatal(r, err)
	}
	io.WriteString(c, "\x01frame")
	echo := make([]byte, 6)
	if _, err := io.ReadFull(br, echo); err != nil || string(echo) != "\x01frame" {
		t.Errorf("%q, %v", echo, err)
	}
	if xs := drain(t, s); len(xs) != 0 {
		t.Errorf("%d exchanges", len(xs))
	}
	check(t, s, source.Counts{Records: 1, NotHTTP: 1})
	begin := time.Now()
	s.Close()
	if _, err := br.ReadByte(); err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("the tunnel outlived the proxy: %v", err)
	}
}

func TestFates(t *testing.T) {
	upstream, _ := raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	silent, _ := raw(t, "")
	large := strings.Repeat("x", int(http1.DefaultLimits.Body)+1)
	for _, tt := range []struct {
		name, upstream, sent string
		status               int
		want                 source.Counts
	}{
		{"the service is down", "http://127.0.0.1:1", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 502, source.Counts{Records: 1, Read: 1}},
		{"the service gives nothing", silent, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", 502, source.Counts{Records: 1, Read: 1}},
		{"half a request", upstream, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf", 0, source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"a large request", upstream, fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(large), large), 200, source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"CONNECT", upstream, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405, source.Counts{Records: 1, NotHTTP: 1}},
		{"not HTTP", upstream, "hello, who is there?\r\n\r\n", 400, source.Counts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, Config{Upstream: tt.upstream})
			c := dial(t, s)
			go func() {
				io.WriteString(c, tt.sent)
				if tt.status == 0 {
					c.(*net.TCPConn).CloseWrite()
				}
			}()
			back, _ := io.ReadAll(c)
			if tt.status != 0 && !bytes.HasPrefix(back, fmt.Appendf(nil, "HTTP/1.1 %d", tt.status)) {
				t.Errorf("the client got %.60q", back)
			}
			drain(t, s)
			check(t, s, tt.want)
		})
	}
}

// settle waits until every exchange has ended on the side of the proxy too,
// which is a moment after its client has seen the end.
func (s *Source) settle() {
	for {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		if open == 0 {
			return
		}
		runtime.Gosched()
	}
}

// TestCutResponses has the service or the client go away in the middle.
func TestCutResponses(t *testing.T) {
	left := make(chan bool)
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/client" {
			<-left
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	})
	for _, path := range []string{"/service", "/client"} {
		resp, err := http.Get("http://" + s.Listening() + path)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 4))
		if path == "/client" {
			resp.Body.Close()
			close(left)
		} else if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the client was not told that the response is cut")
		}
		if x := next(t, s); x.Response == nil || x.Response.Body.State != traffic.Truncated || string(x.Response.Body.Bytes) != "half" || x.Timing != (traffic.Timing{}) {
			t.Errorf("%s: %+v", path, x.Response)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	drain(t, s)
	check(t, s, source.Counts{Records: 2, Read: 2, Paired: 2, Truncated: 2})
}

// TestLargeResponse passes 100 MB and keeps none of it but the beginning.
func TestLargeResponse(t *testing.T) {
	const size = 100 << 20
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		for range size / len(block) {
			w.Write(block)
		}
	})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	resp, err := http.Get("http://" + s.Listening())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if err != nil || n != size {
		t.Fatal(n, err)
	}
	runtime.ReadMemStats(&after)
	body := next(t, s).Response.Body
	if body.State != traffic.Oversized || body.Size != size || !bytes.Equal(body.SHA256[:], sum.Sum(nil)) || int64(len(body.Bytes)) > http1.DefaultLimits.Body {
		t.Errorf("%v, %d bytes, %d kept", body.State, body.Size, len(body.Bytes))
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// TestProductionIsNotSlowed passes requests while nobody reads the recording.
func TestProductionIsNotSlowed(t *testing.T) {
	const clients, each, room = 4, 100, 30
	elapsed := func(limit int) time.Duration {
		s := stand(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
		s.queue.Exchanges = limit
		begin := time.Now()
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for range each {
					resp, err := client.Get("http://" + s.Listening())
					if err != nil {
						t.Error(err)
						return
					}
					if body, _ := io.ReadAll(resp.Body); string(body) != "ok" {
						t.Errorf("%q", body)
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(begin)
		if got := len(drain(t, s)); got != limit {
			t.Errorf("%d were handed out", got)
		}
		check(t, s, source.Counts{Records: clients * each, Read: int64(limit), Paired: int64(limit), Dropped: int64(clients*each - limit)})
		return took
	}
	roomy, full := elapsed(clients*each), elapsed(room)
	t.Logf("%d exchanges with room for all: %v; with room for %d: %v", clients*each, roomy, room, full)
	if full > 5*roomy+time.Second {
		t.Error("a full queue slowed the clients")
	}
}

func TestBodiesUnderWayAreBounded(t *testing.T) {
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	s.room.size = 10 << 10
	for _, size := range []int{1 << 10, 8 << 10, 1 << 10} { // the second has room for its request, not for its response
		resp, err := http.Post("http://"+s.Listening(), "", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(size) {
			t.Errorf("%d bytes passed, %v", n, err)
		}
	}
	drain(t, s)
	check(t, s, source.Counts{Records: 3, Read: 2, Paired: 2, Dropped: 1})
	for s.room.taken.Load() != 0 {
		runtime.Gosched()
	}
}

// TestStopLetsTrafficPass stops the recording: what has begun is recorded if it
// ends in time, what comes later passes all the same.
func TestStopLetsTrafficPass(t *testing.T) {
	begun, more := make(chan bool), make(chan bool)
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- true
			<-more
		}
		io.WriteString(w, r.URL.Path)
	})
	get := func(path string) {
		resp, err := http.Get("http://" + s.Listening() + path)
		if err != nil {
			t.Error(err)
			return
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != path {
			t.Errorf("%q", body)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { get("/slow") })
	<-begun
	s.Stop()
	get("/after")
	close(more)
	wg.Wait()
	if xs := drain(t, s); len(xs) != 1 || xs[0].Request.Target != "/slow" {
		t.Errorf("%d exchanges", len(xs))
	}
	get("/after the end")
	check(t, s, source.Counts{Records: 1, Read: 1, Paired: 1})
}

func TestCloseEndsWhatIsOpen(t *testing.T) {
	before := runtime.NumGoroutine()
	begun := make(chan bool)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	s := open(t, Config{Upstream: srv.URL})
	c := dial(t, s)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	s.Close()
	check(t, s, source.Counts{Records: 1, Dropped: 1})
	if _, err := s.Next(t.Context()); err != io.EOF {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Listening()); err == nil {
		t.Error("it still listens")
	}
	c.Close()
	srv.Close()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestOpenErrors(t *testing.T) {
	s := open(t, Config{Upstream: "http://127.0.0.1:1"})
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: s.Listening(), Upstream: "http://h"}, "cannot listen for clients"},
		{Config{Listen: "127.0.0.1:0"}, "has to be a URL"},
		{Config{Listen: "127.0.0.1:0", Upstream: "h:80"}, "has to be a URL"},
		{Config{Listen: "127.0.0.1:0", Upstream: "ftp://h"}, "has to be a URL"},
		{Config{Listen: "127.0.0.1:0", Upstream: "http://h/path"}, "nothing behind them"},
		{Config{Listen: "127.0.0.1:0", Upstream: "http://h", CertFile: "no.pem"}, "certificate"},
	} {
		if other, err := Open(tt.cfg); err == nil {
			other.Close()
			t.Errorf("%+v was opened", tt.cfg)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Error(err)
		}
	}
}

// certificate writes a self-signed certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}

// BenchmarkLatency compares a request through the proxy, with its recording
// read, to one through a plain ReverseProxy and to one without a proxy.
func BenchmarkLatency(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 2048)) }))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	reverse := httputil.NewSingleHostReverseProxy(u)
	reverse.Transport = &http.Transport{MaxIdleConnsPerHost: idleConns, DisableCompression: true}
	plain := httptest.NewServer(reverse)
	defer plain.Close()
	s := open(b, Config{Upstream: srv.URL})
	go func() {
		for {
			if _, err := s.Next(context.Background()); err != nil {
				return
			}
		}
	}()
	for _, bm := range []struct{ name, url string }{{"direct", srv.URL}, {"ReverseProxy", plain.URL}, {"recorded", "http://" + s.Listening()}} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.Get(bm.url)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
