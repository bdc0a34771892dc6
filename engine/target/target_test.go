package target_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// serve answers each connection with handle, and gives the address.
func serve(t *testing.T, handle func(n int, c net.Conn, br *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				handle(n, c, bufio.NewReader(c))
			})
		}
	})
	return ln.Addr().String()
}

func readHead(br *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := br.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// hang says nothing until the other side goes away.
func hang(br *bufio.Reader) { br.ReadByte() }

func client(t *testing.T, cfg target.Config) *target.Client {
	t.Helper()
	c, err := target.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func exchange(method, uri string, kv ...string) *traffic.Exchange {
	x := &traffic.Exchange{Request: traffic.Request{Method: method, Target: uri, Proto: "HTTP/1.1"}}
	for i := 0; i < len(kv); i += 2 {
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: kv[i], Value: kv[i+1]})
	}
	return x
}

func TestWireFormat(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  target.Config
		path string
		x    *traffic.Exchange
		want string
	}{
		{
			name: "as recorded, and marked",
			x:    exchange("GET", "/a?b=%20", "user-agent", "x", "HOST", "shop.example", "Accept", "1", "x-z", "2", "accept", "3"),
			want: "GET /a?b=%20 HTTP/1.1\r\nuser-agent: x\r\nHOST: shop.example\r\nAccept: 1\r\nx-z: 2\r\naccept: 3\r\nX-Shadow-Traffic: true\r\n\r\n",
		},
		{
			name: "the target's own host and fields",
			cfg:  target.Config{Host: "next.internal", Headers: traffic.Header{{Name: "Authorization", Value: "Bearer test"}}},
			x:    exchange("GET", "/", "Host", "shop.example", "authorization", "old", "A", "b"),
			want: "GET / HTTP/1.1\r\nHost: next.internal\r\nA: b\r\nAuthorization: Bearer test\r\nX-Shadow-Traffic: true\r\n\r\n",
		},
		{
			name: "a path in the URL comes first, a proxy's absolute form goes",
			path: "/v2/",
			x:    exchange("GET", "http://shop.example/a?b", "Host", "shop.example"),
			want: "GET /v2/a?b HTTP/1.1\r\nHost: shop.example\r\nX-Shadow-Traffic: true\r\n\r\n",
		},
		{
			name: "a recorded mark is not repeated",
			x:    exchange("GET", "/", "Host", "h", "x-shadow-traffic", "false"),
			want: "GET / HTTP/1.1\r\nHost: h\r\nX-Shadow-Traffic: true\r\n\r\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan string, 1)
			addr := serve(t, func(_ int, c net.Conn, br *bufio.Reader) {
				got <- readHead(br)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
			tt.cfg.URL = "http://" + addr + tt.path
			out := client(t, tt.cfg).Open().Do(tt.x)
			if !out.OK() || string(out.Response.Body.Bytes) != "ok" || out.Latency <= 0 {
				t.Fatalf("%+v", out)
			}
			if g := <-got; g != tt.want {
				t.Errorf("got  %q\nwant %q", g, tt.want)
			}
		})
	}
}

func TestHostOfTheURLWhenNoneWasRecorded(t *testing.T) {
	got := make(chan string, 1)
	addr := serve(t, func(_ int, c net.Conn, br *bufio.Reader) {
		got <- readHead(br)
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	client(t, target.Config{URL: "http://" + addr}).Open().Do(exchange("GET", "/"))
	if g := <-got; !strings.HasPrefix(g, "GET / HTTP/1.1\r\nHost: "+addr+"\r\n") {
		t.Errorf("%q", g)
	}
}

func TestFailuresAreData(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	respond := func(wire string) func(int, net.Conn, *bufio.Reader) {
		return func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			io.WriteString(c, wire)
		}
	}
	for _, tt := range []struct {
		name   string
		handle func(int, net.Conn, *bufio.Reader)
		want   traffic.Failure
		status int // of what did arrive
	}{
		{"refused", nil, traffic.Refused, 0},
		{"closed without a word", respond(""), traffic.Closed, 0},
		{"reset", func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			c.(*net.TCPConn).SetLinger(0)
		}, traffic.Reset, 0},
		{"no answer in time", func(_ int, c net.Conn, br *bufio.Reader) { readHead(br); hang(br) }, traffic.TimedOut, 0},
		{"half an answer in time", func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			hang(br)
		}, traffic.TimedOut, 200},
		{"body cut", respond("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), traffic.Cut, 200},
		{"chunks cut", respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), traffic.Cut, 200},
		{"head cut", respond("HTTP/1.1 200 OK\r\nContent-"), traffic.Cut, 0},
		{"not HTTP", respond("SSH-2.0-OpenSSH_9.2\r\n\r\n"), traffic.Malformed, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := closed.Addr().String()
			if tt.handle != nil {
				addr = serve(t, tt.handle)
			}
			out := client(t, target.Config{URL: "http://" + addr, Timeout: 200 * time.Millisecond}).Open().Do(exchange("GET", "/", "Host", "h"))
			if out.Failure != tt.want {
				t.Errorf("failure %q, want %q", out.Failure, tt.want)
			}
			if tt.status == 0 && out.Response != nil || tt.status != 0 && (out.Response == nil || out.Response.Status != tt.status || out.Response.Body.State != traffic.Truncated) {
				t.Errorf("response %+v", out.Response)
			}
		})
	}
}

func TestKeepAliveUsesOneConnection(t *testing.T) {
	var conns atomic.Int64
	addr := serve(t, func(n int, c net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for readHead(br) != "" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	s := client(t, target.Config{URL: "http://" + addr}).Open()
	for range 5 {
		if out := s.Do(exchange("GET", "/", "Host", "h")); !out.OK() {
			t.Fatal(out.Failure)
		}
	}
	s.Close()
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A connection that the target has closed is not used again, for any method:
// nothing is sent twice and nothing fails.
func TestClosedConnectionIsNotReused(t *testing.T) {
	var got atomic.Int64
	gone := make(chan struct{}, 8)
	addr := serve(t, func(n int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		got.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close()
		gone <- struct{}{}
	})
	s := client(t, target.Config{URL: "http://" + addr}).Open()
	for _, method := range []string{"GET", "POST", "POST", "DELETE"} {
		if out := s.Do(exchange(method, "/", "Host", "h")); !out.OK() || out.Retried {
			t.Errorf("%s: %q, retried %v", method, out.Failure, out.Retried)
		}
		<-gone
		settle()
	}
	if n := got.Load(); n != 4 {
		t.Errorf("%d requests arrived, want 4", n)
	}
}

// settle lets the kernel deliver the end of a connection that was closed: on
// the loopback it is there once another connection has gone to and fro.
func settle() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer ln.Close()
	go net.Dial("tcp", ln.Addr().String())
	if c, err := ln.Accept(); err == nil {
		c.Close()
	}
}

// When the target closes as the request is on its way, a request that only
// reads is sent once more, and the outcome says so. One that may change
// something is never sent twice.
func TestConnectionClosedUnderARequest(t *testing.T) {
	for _, tt := range []struct {
		method  string
		ok      bool
		arrived int64
	}{
		{"GET", true, 3},
		{"POST", false, 2},
		{"DELETE", false, 2},
		{"PUT", false, 2},
	} {
		t.Run(tt.method, func(t *testing.T) {
			var got atomic.Int64
			addr := serve(t, func(n int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				got.Add(1)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				if n == 0 { // the second request is read and left without an answer
					readHead(br)
					got.Add(1)
				}
			})
			s := client(t, target.Config{URL: "http://" + addr}).Open()
			s.Do(exchange("GET", "/", "Host", "h"))
			out := s.Do(exchange(tt.method, "/", "Host", "h"))
			if out.OK() != tt.ok || out.Retried != tt.ok || got.Load() != tt.arrived {
				t.Errorf("%q, retried %v, %d requests arrived", out.Failure, out.Retried, got.Load())
			}
			if !tt.ok && out.Failure != traffic.Closed && out.Failure != traffic.Reset {
				t.Errorf("failure %q", out.Failure)
			}
		})
	}
}

// A target that works on a request for a while and then dies has not closed an
// idle connection: that is a failure, and is not tried again.
func TestDyingUnderARequestIsAFailure(t *testing.T) {
	var got atomic.Int64
	addr := serve(t, func(n int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		got.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		readHead(br)
		got.Add(1)
		br.Reset(c)
		c.SetReadDeadline(time.Now().Add(80 * time.Millisecond)) // longer than a round trip
		br.ReadByte()
	})
	s := client(t, target.Config{URL: "http://" + addr}).Open()
	s.Do(exchange("GET", "/", "Host", "h"))
	out := s.Do(exchange("GET", "/", "Host", "h"))
	if out.OK() || out.Retried || got.Load() != 2 || out.Latency < 50*time.Millisecond {
		t.Errorf("%q, retried %v, %d requests, %v", out.Failure, out.Retried, got.Load(), out.Latency)
	}
}

// A handshake that never ends takes as long as the time-out, and says so.
func TestLatencyHoldsConnecting(t *testing.T) {
	addr := serve(t, func(_ int, c net.Conn, br *bufio.Reader) { io.Copy(io.Discard, br) })
	out := client(t, target.Config{URL: "https://" + addr, Timeout: 60 * time.Millisecond}).Open().Do(exchange("GET", "/", "Host", "h"))
	if out.Failure != traffic.TimedOut || out.Latency < 60*time.Millisecond {
		t.Errorf("%q after %v", out.Failure, out.Latency)
	}
}

func TestUnaskedBytesAreNotTheNextResponse(t *testing.T) {
	late := make(chan struct{}, 8)
	addr := serve(t, func(n int, c net.Conn, br *bufio.Reader) {
		for readHead(br) != "" {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
			settle() // so that it comes after the response was read
			io.WriteString(c, "HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n")
			late <- struct{}{}
		}
	})
	s := client(t, target.Config{URL: "http://" + addr}).Open()
	defer s.Close()
	for i := range 3 {
		if out := s.Do(exchange("GET", "/", "Host", "h")); !out.OK() || out.Response.Status != 200 {
			t.Errorf("request %d: %+v", i, out)
		}
		<-late
		settle()
	}
}

func TestAbort(t *testing.T) {
	arrived := make(chan struct{})
	addr := serve(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		close(arrived)
		hang(br)
	})
	c := client(t, target.Config{URL: "http://" + addr, Timeout: time.Hour})
	got := make(chan traffic.Outcome)
	go func() { got <- c.Open().Do(exchange("GET", "/", "Host", "h")) }()
	<-arrived
	c.Abort()
	if out := <-got; out.Failure != traffic.Interrupted {
		t.Errorf("in flight: %q", out.Failure)
	}
	if out := c.Open().Do(exchange("GET", "/", "Host", "h")); out.Failure != traffic.Interrupted {
		t.Errorf("later: %q", out.Failure)
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	defer srv.Close()
	srv.Config.ErrorLog = nil
	out := client(t, target.Config{URL: srv.URL, InsecureSkipVerify: true}).Open().Do(exchange("GET", "/", "Host", "h"))
	if !out.OK() || string(out.Response.Body.Bytes) != "HTTP/1.1" {
		t.Errorf("%+v", out)
	}
	if out := client(t, target.Config{URL: srv.URL}).Open().Do(exchange("GET", "/", "Host", "h")); out.Failure != traffic.TLS {
		t.Errorf("an unknown certificate gave %q", out.Failure)
	}
}

func TestBadURL(t *testing.T) {
	for _, u := range []string{"ftp://x", "x", "http://[::1", ""} {
		if _, err := target.New(target.Config{Name: "t", URL: u}); err == nil {
			t.Errorf("%q was accepted", u)
		}
	}
}

// BenchmarkPair compares a request by this client with one by net/http, both
// against the same server in the same run.
func BenchmarkRequest(b *testing.B) {
	body := strings.Repeat("x", 1200)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
	defer srv.Close()
	b.Run("target", func(b *testing.B) {
		c, _ := target.New(target.Config{URL: srv.URL})
		s := c.Open()
		defer s.Close()
		x := exchange("GET", "/", "Host", "h")
		b.ReportAllocs()
		for b.Loop() {
			if out := s.Do(x); !out.OK() {
				b.Fatal(out.Failure)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			resp, err := http.Get(srv.URL)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}
