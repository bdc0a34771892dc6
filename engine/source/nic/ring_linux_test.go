package nic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// listen opens a source on a device, or skips the test where that is not
// allowed.
func listen(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := Open(cfg)
	if err != nil && strings.Contains(err.Error(), "CAP_NET_RAW") {
		t.Skip("capturing is not allowed here")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func rest(t *testing.T, s *Source) (xs []*traffic.Exchange) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		x, err := s.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	c := s.Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped; sum != c.Records {
		t.Errorf("counters do not add up: %+v", c)
	}
	return xs
}

func TestLoopback(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(b)
	}))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	for _, device := range []string{"lo", "any"} {
		t.Run(device, func(t *testing.T) {
			s := listen(t, Config{Name: "peak", Device: device, Ports: []int{port}})
			if want := fmt.Sprintf("%s, port %d", device, port); s.Listening() != want {
				t.Errorf("listening on %q, want %q", s.Listening(), want)
			}
			server.Client().CloseIdleConnections() // one that was open before is not whole
			const n = 50
			body := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*7919) } // up to 390 KB: larger than any packet
			for i := range n {
				resp, err := server.Client().Post(fmt.Sprint(server.URL, "/", i), "application/octet-stream", bytes.NewReader(body(i)))
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			s.Stop()
			xs := rest(t, s)
			if c := s.Counts(); len(xs) != n || c != (source.Counts{Records: 2 * n, Read: n, Paired: n}) || len(s.Warnings()) != 0 {
				t.Fatalf("%d exchanges, %+v, %v", len(xs), c, s.Warnings())
			}
			for i, x := range xs {
				if x.Request.Target != fmt.Sprint("/", i) || !bytes.Equal(x.Request.Body.Bytes, body(i)) || !bytes.Equal(x.Response.Body.Bytes, body(i)) {
					t.Errorf("exchange %d is not what it was", i)
				}
				if x.Source != "peak" || x.Timing.Kind != traffic.TimingWire || time.Since(x.At) > time.Minute {
					t.Errorf("exchange %d: %s, at %v, %+v", i, x.Source, x.At, x.Timing)
				}
			}
		})
	}
}

// A loopback device sends and receives every packet; it is seen once.
func TestLoopbackSeenOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	origin, err := openDevice("lo", []int{l.Addr().(*net.TCPAddr).Port})
	if err != nil {
		t.Skip("capturing is not allowed here: ", err)
	}
	defer origin.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	syns := 0
	for deadline := time.Now().Add(5 * time.Second); syns == 0 && time.Now().Before(deadline); {
		if err := origin.Read(func(p *packet.Packet) {
			if flags := p.Data[20+13]; flags&(2|16) == 2 {
				syns++
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if syns != 1 {
		t.Errorf("the packet that opens the connection was seen %d times", syns)
	}
}

// A lagging reader slows nobody down: the kernel drops copies and counts them.
func TestKernelDrops(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	origin, err := openDevice("lo", []int{port})
	if err != nil {
		t.Skip("capturing is not allowed here: ", err)
	}
	defer origin.Close()
	began := time.Now()
	for range 4 { // twice what the ring holds, and nobody reads it
		resp, err := server.Client().Post(server.URL, "text/plain", bytes.NewReader(make([]byte, 32<<20)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	t.Logf("128 MiB sent in %v", time.Since(began))
	origin.(*ring).count()
	if origin.Lost() == 0 {
		t.Error("the ring holds all, or what is lost is not counted")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s := listen(t, Config{Device: "lo", Ports: []int{1}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(Config{Device: "none0"}); err == nil || !strings.Contains(err.Error(), "there is no network device none0: choose one of") {
		t.Errorf("error %v", err)
	}
}
