package mirror

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func listen(t testing.TB) *Source {
	t.Helper()
	s, err := Open(Config{Name: "m", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t testing.TB, s *Source) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listening())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send writes raw bytes and returns the first answers.
func send(t testing.TB, c net.Conn, raw string, answers int) []*traffic.Response {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	var out []*traffic.Response
	for range answers {
		r, err := http1.ReadResponse(br, "GET", http1.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
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
	if sum := c.Read + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped + c.OrphanResponses; c.Records != sum {
		t.Errorf("%d records, but their fates add up to %d: %+v", c.Records, sum, c)
	}
	if taken := s.room.taken.Load(); taken != 0 {
		t.Errorf("%d bytes of room were not given back", taken)
	}
	return xs
}

func text(x *traffic.Exchange) string { return string(http1.AppendRequest(nil, &x.Request)) }

func TestARequestIsKeptAsItWas(t *testing.T) {
	s := listen(t)
	raw := "POST /a%2Fb//c?x=%20&x=2 HTTP/1.1\r\nhOsT: Shop.Example:80\r\nX-b: 1\r\nx-A: 2\r\nX-B: 3\r\nCookie: a=b; c\r\nContent-Length: 5\r\n\r\n\x00\xff{}\n"
	before := time.Now()
	if got := send(t, dial(t, s), raw, 1)[0]; got.Status != 204 {
		t.Errorf("answered %d", got.Status)
	}
	x := next(t, s)
	if got := text(x); got != raw {
		t.Errorf("got\n%q\nwant\n%q", got, raw)
	}
	if x.Source != "m" || x.Session != "" || x.ID != "" || x.Response != nil || x.At.Before(before) || x.At.After(time.Now()) {
		t.Errorf("%+v", x)
	}
	drain(t, s)
}

func TestChunkedBody(t *testing.T) {
	s := listen(t)
	send(t, dial(t, s), "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n", 1)
	if x := next(t, s); string(x.Request.Body.Bytes) != "abcde" || x.Request.Trailer.Get("x-t") != "1" {
		t.Errorf("%+v", x.Request)
	}
}

func TestUndo(t *testing.T) {
	for _, tt := range []struct {
		name, sent, want, id, session string
	}{
		{
			"nginx as it is by default",
			"GET /a HTTP/1.0\r\nHost: mir\r\nConnection: close\r\nUser-Agent: curl\r\n\r\n",
			"GET /a HTTP/1.1\r\nHost: mir\r\nUser-Agent: curl\r\n\r\n", "", "",
		},
		{
			"nginx with the snippet",
			"GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: r1\r\nX-Shadow-Client: 192.0.2.7\r\nX-Shadow-Start: 1.5\r\nX-Shadow-Conn: 12\r\n\r\n",
			"GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: r1\r\n\r\n", "r1", "192.0.2.7#12",
		},
		{
			"the client's address alone",
			"GET /a HTTP/1.1\r\nHost: h\r\nX-Shadow-Client: 192.0.2.7\r\n\r\n",
			"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "", "192.0.2.7",
		},
		{
			"the connection alone",
			"GET /a HTTP/1.1\r\nHost: h\r\nX-Shadow-Conn: 12\r\n\r\n",
			"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "", "127.0.0.1#12",
		},
		{
			"Envoy, as version 1.40 writes it",
			"POST /p HTTP/1.1\r\nhost: shop.example-shadow:8080\r\nx-forwarded-for: 203.0.113.9,192.0.2.2\r\ncontent-length: 2\r\nx-request-id: ded\r\nx-envoy-internal: true\r\n\r\nok",
			"POST /p HTTP/1.1\r\nhost: shop.example:8080\r\nx-forwarded-for: 203.0.113.9\r\ncontent-length: 2\r\nx-request-id: ded\r\n\r\nok", "ded", "",
		},
		{
			"Envoy, of a client without x-forwarded-for",
			"GET / HTTP/1.1\r\nhost: shop-shadow\r\nx-envoy-internal: true\r\nx-forwarded-for: 192.0.2.2\r\n\r\n",
			"GET / HTTP/1.1\r\nhost: shop\r\n\r\n", "", "",
		},
		{
			"no suffix: nothing shows that Envoy mirrored",
			"GET / HTTP/1.1\r\nhost: shop\r\nx-envoy-internal: true\r\nx-forwarded-for: 203.0.113.9, 192.0.2.2\r\n\r\n",
			"GET / HTTP/1.1\r\nhost: shop\r\nx-envoy-internal: true\r\nx-forwarded-for: 203.0.113.9, 192.0.2.2\r\n\r\n", "", "",
		},
		{
			"fields of the connection",
			"GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Hop, Upgrade, host\r\nX-Hop: 1\r\nUpgrade: h2c\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-End: 2\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nX-End: 2\r\n\r\n", "", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t)
			send(t, dial(t, s), tt.sent, 1)
			x := next(t, s)
			if got := text(x); got != tt.want || x.ID != tt.id || x.Session != tt.session {
				t.Errorf("got\n%q id %q session %q\nwant\n%q id %q session %q", got, x.ID, x.Session, tt.want, tt.id, tt.session)
			}
		})
	}
}

func TestCutShadow(t *testing.T) {
	for host, want := range map[string]string{
		"a-shadow": "a", "a-shadow:80": "a:80", "-shadow": "", "a": "", "a:80": "", "shadow-a": "", "[2001:db8::1]": "", "[2001:db8::1]-shadow:80": "[2001:db8::1]:80", "a-shadow.example": "", "a-SHADOW": "",
	} {
		got, ok := cutShadow(host)
		if !ok && (want != "" || got != host) || ok && got != want {
			t.Errorf("%s: %q, %v", host, got, ok)
		}
	}
}

func TestStart(t *testing.T) {
	for text, want := range map[string]string{
		"1795166295.952": "2026-11-20T09:18:15.952Z", "1795166295": "2026-11-20T09:18:15Z", "1795166295.5": "2026-11-20T09:18:15.5Z",
		"": "", "x": "", "-1": "", "1.x": "", "1.-2": "", "1795166295.9520000001": "", "99999999999999": "",
	} {
		at, ok := parseStart(text)
		if ok != (want != "") || ok && at.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v, %v", text, at, ok)
		}
	}
	s := listen(t)
	started := time.Now().Add(-3 * time.Second).UTC().Truncate(time.Millisecond)
	send(t, dial(t, s), fmt.Sprintf("GET / HTTP/1.1\r\nHost: h\r\nX-Shadow-Start: %d.%03d\r\n\r\n", started.Unix(), started.Nanosecond()/1e6), 1)
	if x := next(t, s); !x.At.Equal(started) {
		t.Errorf("%v instead of %v", x.At, started)
	}
	before := time.Now()
	send(t, dial(t, s), "GET / HTTP/1.1\r\nHost: h\r\nX-Shadow-Start: 1000.000\r\n\r\n", 1)
	if x := next(t, s); x.At.Before(before) {
		t.Errorf("the time of a clock that is years away was believed: %v", x.At)
	}
}

func TestConnectionsGoOn(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		answers   int
		ends      bool
	}{
		{"HTTP/1.1", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", 1, false},
		{"three at once", "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\n\r\n", 3, false},
		{"close", "GET /1 HTTP/1.1\r\nConnection: close\r\n\r\n", 1, true},
		{"HTTP/1.0", "GET /1 HTTP/1.0\r\n\r\n", 1, true},
		{"HTTP/1.0 kept alive", "GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 1, false},
		{"not HTTP", "hello\r\n\r\n", 1, true},
		{"two lengths", "GET /1 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 1, true},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t)
			c := dial(t, s)
			send(t, c, tt.raw, tt.answers)
			if !tt.ends {
				send(t, c, "GET /last HTTP/1.1\r\nConnection: close\r\n\r\n", 1)
			}
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection did not end: %v", err)
			}
			drain(t, s)
		})
	}
}

func TestExpectContinue(t *testing.T) {
	s := listen(t)
	c := dial(t, s)
	for _, body := range []string{"hello", "again"} {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		answer := make([]byte, len(goOn))
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != goOn {
			t.Fatalf("%q, %v", answer, err)
		}
		send(t, c, body, 1)
		if x := next(t, s); string(x.Request.Body.Bytes) != body {
			t.Errorf("%+v", x.Request)
		}
	}
	// A body that comes unasked gets no interim answer.
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	answer := make([]byte, len(thanks))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != thanks {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestFates(t *testing.T) {
	whole := "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, tt := range []struct {
		name, raw string
		want      source.Counts
	}{
		{"nothing", "", source.Counts{}},
		{"empty lines", "\r\n\r\n", source.Counts{}},
		{"whole", whole, source.Counts{Records: 1, Read: 1}},
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00\n\n", source.Counts{Records: 1, Malformed: 1}},
		{"whole, then garbage", whole + "nothing\r\n\r\n", source.Counts{Records: 2, Read: 1, Malformed: 1}},
		{"a bad chunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", source.Counts{Records: 1, Malformed: 1}},
		{"half a head", "GET / HTTP/1.1\r\nHos", source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"half a body", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf", source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"half a preface", "PR", source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"an endless line", strings.Repeat("A", http1.DefaultLimits.Head+1), source.Counts{Records: 1, Malformed: 1}},
		{"CONNECT", "CONNECT h:1 HTTP/1.1\r\n\r\n", source.Counts{Records: 1, NotHTTP: 1}},
		{"WebSocket", "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", source.Counts{Records: 1, NotHTTP: 1}},
		{"too large", fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", 8<<20+1, make([]byte, 8<<20+1)), source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t)
			c := dial(t, s)
			go func() {
				io.WriteString(c, tt.raw)
				c.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(io.Discard, c) // until the receiver is done with it
			drain(t, s)
			if got := s.Counts(); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestHTTP2(t *testing.T) {
	s := listen(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	client := &http.Client{Transport: tr}
	req, _ := http.NewRequest("POST", "http://"+s.Listening()+"/a%2Fb?q=%20", strings.NewReader("hello"))
	req.Host = "shop.example-shadow:80"
	req.Header.Set("X-Envoy-Internal", "true")
	req.Header.Set("X-Forwarded-For", "203.0.113.9,192.0.2.1")
	req.Header.Set("X-Request-Id", "r2")
	req.Header.Add("X-Many", "1")
	req.Header.Add("X-Many", "2")
	req.Header.Set("User-Agent", "test")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 204 || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	x := next(t, s)
	want := "POST /a%2Fb?q=%20 HTTP/1.1\r\nhost: shop.example:80\r\naccept-encoding: gzip\r\ncontent-length: 5\r\nuser-agent: test\r\nx-forwarded-for: 203.0.113.9\r\nx-many: 1\r\nx-many: 2\r\nx-request-id: r2\r\n\r\nhello"
	if text(x) != want || x.Request.Proto != "HTTP/2.0" || x.ID != "r2" {
		t.Errorf("%s %q\nwant %q", x.Request.Proto, text(x), want)
	}

	resp, err = client.Post("http://"+s.Listening()+"/big", "", bytes.NewReader(make([]byte, 8<<20+1)))
	if err == nil {
		resp.Body.Close()
	}
	tr.CloseIdleConnections()
	drain(t, s)
	if c := s.Counts(); c.Read != 1 || c.TruncatedRequests != 1 {
		t.Errorf("%+v", c)
	}
}

// TestProductionIsNotSlowed sends to a receiver that nobody reads: every
// request is answered, what finds no room is counted, and nothing waits.
func TestProductionIsNotSlowed(t *testing.T) {
	const senders, each, room = 8, 250, 100
	elapsed := func(limit int) time.Duration {
		s := listen(t)
		s.queue.Exchanges = limit
		begin := time.Now()
		var wg sync.WaitGroup
		for range senders {
			c := dial(t, s)
			wg.Go(func() {
				br := bufio.NewReader(c)
				for range each {
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
					if r, err := http1.ReadResponse(br, "GET", http1.DefaultLimits); err != nil || r.Status != 204 {
						t.Error("no answer:", err)
						return
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(begin)
		want := source.Counts{Records: senders * each, Dropped: int64(senders*each - limit)}
		if c := s.Counts(); c != want {
			t.Errorf("got %+v, want %+v", c, want)
		}
		if got := len(drain(t, s)); got != limit {
			t.Errorf("%d were handed out", got)
		}
		return took
	}
	roomy, full := elapsed(senders*each), elapsed(room)
	t.Logf("%d requests with room for all: %v; with room for %d: %v", senders*each, roomy, room, full)
	if full > 5*roomy+time.Second {
		t.Error("a full queue slowed the senders")
	}
}

func TestBodiesUnderWayAreBounded(t *testing.T) {
	s := listen(t)
	s.room.size = 64 << 10
	c := dial(t, s)
	io.WriteString(c, fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n", 1<<20))
	go c.Write(make([]byte, 1<<20))
	io.Copy(io.Discard, c)
	send(t, dial(t, s), "GET / HTTP/1.1\r\n\r\n", 1) // there is room again
	drain(t, s)
	if got, want := s.Counts(), (source.Counts{Records: 2, Read: 1, Dropped: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if w := s.Warnings(); len(w) != 1 {
		t.Errorf("%v", w)
	}
}

func TestOneLargeBodyDoesNotTakeAllRoom(t *testing.T) {
	s := listen(t)
	s.room.size = 2 * maxHeld
	size := 5 * maxHeld
	c := dial(t, s)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n", size)
	go io.Copy(c, io.LimitReader(endless{}, size))
	send(t, c, "", 1)
	drain(t, s)
	if got, want := s.Counts(), (source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// endless gives zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTooManyConnections(t *testing.T) {
	s := listen(t)
	s.mu.Lock()
	for range maxConns {
		s.conns[&conn{Conn: idleConn{}}] = true
	}
	s.mu.Unlock()
	c := dial(t, s)
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("one connection too many was let in")
	}
	drain(t, s)
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0].Text, "1 connections were refused") {
		t.Errorf("%v", w)
	}
}

// idleConn is a connection that only can be closed.
type idleConn struct{ net.Conn }

func (idleConn) Close() error { return nil }

func TestOpenErrors(t *testing.T) {
	s := listen(t)
	for _, addr := range []string{s.Listening(), "127.0.0.1:no", "256.0.0.1:80"} {
		if other, err := Open(Config{Listen: addr}); err == nil {
			other.Close()
			t.Errorf("%s could be listened on", addr)
		} else if !strings.Contains(err.Error(), "cannot listen") {
			t.Error(err)
		}
	}
}

// pipes is a listener for tests that have a clock of their own, which real
// connections do not obey.
type pipes struct {
	conns chan net.Conn
	quit  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), quit: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.quit:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.quit) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// The bubble of synctest ends only when every goroutine in it has: these tests
// would fail if the source left one behind.

func TestSlowSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := open("m", ln, nil)
		begin := time.Now()
		slow, idle := ln.dial(), ln.dial()
		go func() {
			for range 1000 { // a byte a second, and never the end of the head
				if _, err := slow.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		io.Copy(io.Discard, slow)
		if took := time.Since(begin); took != messageTimeout {
			t.Errorf("the slow sender was borne for %v", took)
		}
		io.Copy(io.Discard, idle)
		if took := time.Since(begin); took != idleTimeout {
			t.Errorf("the idle one was borne for %v", took)
		}
		drain(t, s)
		s.Close()
		if got, want := s.Counts(), (source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestStopLetsRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := open("m", ln, nil)
		ends, hangs, idle := ln.dial(), ln.dial(), ln.dial()
		half := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha"
		io.WriteString(ends, half)
		io.WriteString(hangs, half)
		synctest.Wait()
		begin := time.Now()
		s.Stop()
		s.Stop()
		io.Copy(io.Discard, idle)
		if time.Since(begin) != 0 {
			t.Error("the idle connection was kept")
		}
		time.Sleep(stopGrace / 2)
		io.WriteString(ends, "lf")
		go io.Copy(io.Discard, ends)
		go io.Copy(io.Discard, hangs)
		if x := next(t, s); string(x.Request.Body.Bytes) != "half" {
			t.Errorf("%+v", x)
		}
		if _, err := s.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
		if took := time.Since(begin); took != stopGrace {
			t.Errorf("the end took %v", took)
		}
		ends.Close()
		hangs.Close()
		if got, want := s.Counts(), (source.Counts{Records: 2, Read: 1, Truncated: 1, TruncatedRequests: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := open("m", ln, nil)
		for _, raw := range []string{"", "GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
			c := ln.dial()
			io.WriteString(c, raw)
			go io.Copy(io.Discard, c)
		}
		synctest.Wait()
		begin := time.Now()
		s.Close()
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("closing took %v", took)
		}
		if _, err := s.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
	})
}

// memoryConn is a connection whose peer has sent everything already.
type memoryConn struct{ io.Reader }

func (memoryConn) Write(p []byte) (int, error)      { return len(p), nil }
func (memoryConn) Close() error                     { return nil }
func (memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (memoryConn) SetDeadline(time.Time) error      { return nil }
func (memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (memoryConn) SetWriteDeadline(time.Time) error { return nil }

func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: h-shadow:1\r\nX-Forwarded-For: a\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nX-Shadow-Client: a\r\nX-Shadow-Conn: 1\r\nX-Shadow-Start: 1.2\r\nConnection: a,,b\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ln := newPipes()
		s := open("m", ln, nil)
		defer s.Close()
		ln.conns <- memoryConn{bytes.NewReader(raw)}
		for _, x := range drain(t, s) {
			if x.Request.Header.Has("Connection") || x.Request.Header.Has(startField) || x.Request.Proto == "HTTP/1.0" {
				t.Errorf("a mark was left: %+v", x.Request)
			}
		}
	})
}

func TestExpectationSeesAnyPieces(t *testing.T) {
	head := "\r\nPOST / HTTP/1.1\r\nX: " + strings.Repeat("y", 100) + "\r\nEXPECT:  100-Continue \r\n\r\n"
	for size := 1; size < len(head); size++ {
		var e expectation
		for at := 0; at < len(head); at += size {
			if e.due() {
				t.Fatalf("pieces of %d: due before the head's end", size)
			}
			e.see([]byte(head[at:min(at+size, len(head))]))
		}
		if !e.due() || e.due() {
			t.Fatalf("pieces of %d: not due once", size)
		}
	}
}

// BenchmarkRequests measures what one kept-alive connection gets through.
func BenchmarkRequests(b *testing.B) {
	s := listen(b)
	go func() {
		for {
			if _, err := s.Next(context.Background()); err != nil {
				return
			}
		}
	}()
	c := dial(b, s)
	br := bufio.NewReader(c)
	raw := []byte("GET /api/orders/1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\nX-Request-Id: 1\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		c.Write(raw)
		if _, err := http1.ReadResponse(br, "GET", http1.DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}
