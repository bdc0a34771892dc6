package receive

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/middleware/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func exchange(target string) *traffic.Exchange {
	return &traffic.Exchange{
		ID: "7", Session: "s", At: time.Unix(1, 2).UTC(),
		Request:  traffic.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", Header: traffic.Header{{Name: "Host", Value: "a"}}},
		Response: &traffic.Response{Status: 200, Proto: "HTTP/1.1", Body: traffic.Body{Bytes: []byte("ok")}},
	}
}

func opened(t testing.TB) *Source {
	t.Helper()
	s, err := Open(Config{Name: "app", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// send writes bytes over a connection of its own.
func send(t testing.TB, s *Source, b []byte) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listening())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(b)
}

// finish stops the source and reads what it has.
func finish(t testing.TB, s *Source) (xs []*traffic.Exchange) {
	t.Helper()
	s.Stop()
	for {
		x, err := s.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	if c := s.Counts(); c.Records != c.Read+c.Malformed+c.TruncatedRequests+c.NotHTTP+c.Dropped {
		t.Errorf("does not add up: %+v", c)
	}
	return xs
}

func TestCounts(t *testing.T) {
	s := opened(t)
	id := wire.Instance{1}
	b := wire.AppendPreface(nil, id)
	b = wire.AppendReport(b, wire.Report{Sent: 10, Dropped: 100, Upgraded: 5, Truncated: 5}) // before we met
	b = wire.AppendExchange(b, exchange("/a"))
	b = append(b, 99, 2, 0, 0, 0, 'x', 'y') // of a later version
	b = wire.AppendExchange(b, exchange("/ b"))
	cut := exchange("/c")
	cut.Request.Body.State = traffic.Truncated
	b = wire.AppendExchange(b, cut)
	half := exchange("/d")
	half.Response.Body.State = traffic.Truncated
	b = wire.AppendExchange(b, half)
	b = append(b, 1, 3, 0, 0, 0, 1, 2, 3)
	send(t, s, b)
	for s.Counts().Malformed < 2 { // all of it has been read: the next one is a connection of its own
		runtime.Gosched()
	}
	// the connection broke: of 7 frames that were sent, 5 came; 3 were dropped meanwhile
	b = wire.AppendReport(wire.AppendPreface(nil, id), wire.Report{Sent: 17, Dropped: 103, Upgraded: 6, Truncated: 7})
	send(t, s, b)
	xs := finish(t, s)
	if len(xs) != 2 || xs[0].Request.Target != "/a" || xs[0].Source != "app" {
		t.Errorf("%+v", xs)
	}
	c := s.Counts()
	if c.Read != 2 || c.Paired != 2 || c.Malformed != 2 || c.TruncatedRequests != 3 || c.Truncated != 4 || c.NotHTTP != 1 || c.Dropped != 5 {
		t.Errorf("%+v", c)
	}
	if w := s.Warnings(); len(w) != 3 {
		t.Errorf("%v", w)
	}
}

func TestUnsound(t *testing.T) {
	for name, spoil := range map[string]func(*traffic.Exchange){
		"method":         func(x *traffic.Exchange) { x.Request.Method = "GE T" },
		"no target":      func(x *traffic.Exchange) { x.Request.Target = "" },
		"target":         func(x *traffic.Exchange) { x.Request.Target = "/\r\nX: 1" },
		"protocol":       func(x *traffic.Exchange) { x.Request.Proto = "HTTP/1.1\r\n" },
		"name":           func(x *traffic.Exchange) { x.Request.Header[0].Name = "a:b" },
		"value":          func(x *traffic.Exchange) { x.Request.Header[0].Value = "a\nb: c" },
		"trailer":        func(x *traffic.Exchange) { x.Request.Trailer = traffic.Header{{}} },
		"status":         func(x *traffic.Exchange) { x.Response.Status = 100 },
		"reason":         func(x *traffic.Exchange) { x.Response.Reason = "\n" },
		"response field": func(x *traffic.Exchange) { x.Response.Header = traffic.Header{{Name: "A", Value: "\x00"}} },
		"timing":         func(x *traffic.Exchange) { x.Timing.Kind = "guess" },
		"negative time":  func(x *traffic.Exchange) { x.Timing = traffic.Timing{Kind: "proxy", TTFB: -1} },
	} {
		x := exchange("/")
		if !sound(x) {
			t.Fatal("the example is not sound")
		}
		if spoil(x); sound(x) {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestForeign(t *testing.T) {
	s := opened(t)
	send(t, s, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	large := append(wire.AppendPreface(nil, wire.Instance{}), 1, 0xff, 0xff, 0xff, 0xff)
	send(t, s, append(large, make([]byte, 1000)...))
	if xs := finish(t, s); len(xs) != 0 || len(s.Warnings()) != 1 {
		t.Errorf("%d exchanges, %v", len(xs), s.Warnings())
	}
}

// A connection that is open, but says nothing, does not hold up the end.
func TestStopWithSilentConnections(t *testing.T) {
	s := opened(t)
	for _, b := range [][]byte{nil, wire.AppendPreface(nil, wire.Instance{}), append(wire.AppendPreface(nil, wire.Instance{}), 1, 9, 0, 0, 0)} {
		c, err := net.Dial("tcp", s.Listening())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(b)
	}
	start := time.Now()
	finish(t, s)
	if d := time.Since(start); d > 4*stopGrace {
		t.Errorf("took %v", d)
	}
	s.Stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The socket of a process that was killed is in nobody's way; that of one that
// lives is, and so is a file.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if _, err := Open(Config{Listen: "unix:" + path}); err == nil {
		t.Error("took the socket of another process")
	}
	ln.Close()
	s, err := Open(Config{Listen: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 || s.Listening() != "unix:"+path {
		t.Error(info, err)
	}
	s.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the socket is left")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Listen: "unix:" + path}); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Error(err)
	}
}

func FuzzFrames(f *testing.F) {
	b := wire.AppendReport(nil, wire.Report{Sent: 3})
	b = wire.AppendExchange(b, exchange("/a"))
	f.Add(b)
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Source{services: map[wire.Instance]*service{}}
		c, peer := net.Pipe()
		defer c.Close()
		defer peer.Close()
		in, from := bufio.NewReader(bytes.NewReader(b)), s.service(wire.Instance{})
		for s.frame(c, in, from) {
		}
		s.queue.End(nil)
		for {
			x, err := s.Next(context.Background())
			if err != nil {
				break
			}
			if !sound(x) {
				t.Errorf("%+v", x)
			}
		}
		if c := s.Counts(); c.Records != c.Read+c.Malformed+c.TruncatedRequests+c.NotHTTP+c.Dropped || s.room.Load() != 0 {
			t.Errorf("%+v, %d bytes of room", c, s.room.Load())
		}
	})
}
