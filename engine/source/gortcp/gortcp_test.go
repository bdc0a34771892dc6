package gortcp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const separator = "\n🐵🙈🙉\n"

var start = time.Unix(1_700_000_000, 0)

func request(conn, n int) string {
	return fmt.Sprintf("1 %04x1f907f000001%08x %d 0\nGET /%d/%d HTTP/1.1\r\nHost: h\r\n\r\n%s", conn, n, start.UnixNano()+int64(n), conn, n, separator)
}

func response(conn, n int) string {
	body := fmt.Sprintf("%d/%d", conn, n)
	return fmt.Sprintf("2 %04x1f907f000001%08x %d 5\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", conn, n, start.UnixNano()+int64(n)+1000, len(body), body, separator)
}

func listen(t testing.TB, cfg Config) *Source {
	t.Helper()
	cfg.Name, cfg.Listen = "live", "127.0.0.1:0"
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t testing.TB, s *Source) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listening())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// finish ends a connection and waits until the receiver has ended it too: then
// everything that was sent is accounted for.
func finish(c *net.TCPConn) {
	c.CloseWrite()
	io.Copy(io.Discard, c)
	c.Close()
}

// drain stops the source, reads it to its end and holds it to the equation of
// the package comment.
func drain(t testing.TB, s *Source) []string {
	t.Helper()
	s.Stop()
	var lines []string
	for {
		x, err := s.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line(x))
	}
	c := s.Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.ReplayedResponses + c.Malformed + c.TruncatedRequests + c.Dropped; c.Records != sum {
		t.Errorf("%d records, but their fates add up to %d: %+v", c.Records, sum, c)
	}
	if c.Read != int64(len(lines)) {
		t.Errorf("%d handed out, %d counted", len(lines), c.Read)
	}
	if taken := s.room.taken.Load(); taken != 0 {
		t.Errorf("%d bytes of room were not given back", taken)
	}
	return lines
}

func line(x *traffic.Exchange) string {
	if x.Response == nil {
		return x.Request.Target
	}
	return x.Request.Target + " " + string(x.Response.Body.Bytes)
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRecordsOverManyConnections(t *testing.T) {
	s := listen(t, Config{})
	conns := make([]*net.TCPConn, 10)
	for i := range conns {
		conns[i] = dial(t, s)
	}
	var want []string
	k := 0
	send := func(text string) {
		io.WriteString(conns[k%len(conns)], text)
		k++
	}
	for n := range 300 {
		send(request(n%7, n))
		send(response(n%7, n))
		want = append(want, fmt.Sprintf("/%d/%d %d/%d", n%7, n, n%7, n))
	}
	for _, c := range conns {
		finish(c)
	}
	check(t, drain(t, s), want...)
	if got := s.Counts(); got != (source.Counts{Records: 600, Read: 300, Paired: 300}) {
		t.Errorf("%+v", got)
	}
}

func TestTwoSenders(t *testing.T) {
	s := listen(t, Config{})
	var wg sync.WaitGroup
	for sender := range 2 {
		wg.Go(func() {
			c := dial(t, s)
			for n := range 100 {
				io.WriteString(c, request(sender, n)+response(sender, n))
			}
			finish(c)
		})
	}
	wg.Wait()
	if got := drain(t, s); len(got) != 200 {
		t.Errorf("%d exchanges", len(got))
	}
}

func TestHalfARecord(t *testing.T) {
	for _, tt := range []struct {
		name, sent string
		want       source.Counts
	}{
		{"nothing", "", source.Counts{}},
		{"the first line", "1 ab 17", source.Counts{Records: 1, Malformed: 1}},
		{"half a head", "1 ab 1700000000000000000 0\nGET / HT", source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"half a body", "1 ab 1700000000000000000 0\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}},
		{"no separator", strings.TrimSuffix(request(1, 1), separator), source.Counts{Records: 1, Read: 1}},
		{"half a separator", strings.TrimSuffix(request(1, 1), separator[3:]), source.Counts{Records: 1, Read: 1}},
		{"half a response", request(1, 1) + strings.TrimSuffix(response(1, 1), "1"+separator), source.Counts{Records: 2, Read: 1, Paired: 1, Truncated: 1}},
		{"a response alone", response(1, 1), source.Counts{Records: 1, OrphanResponses: 1}},
		{"a replayed response", strings.Replace(response(1, 1), "2 ", "3 ", 1), source.Counts{Records: 1, ReplayedResponses: 1}},
		{"noise", "GET / HTTP/1.1\r\n\r\n", source.Counts{Records: 1, Malformed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, Config{})
			c := dial(t, s)
			io.WriteString(c, tt.sent)
			finish(c)
			drain(t, s)
			if got := s.Counts(); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestReconnect loses a connection in the middle of a record, as when GoReplay
// is restarted, and goes on over another one.
func TestReconnect(t *testing.T) {
	s := listen(t, Config{})
	first := dial(t, s)
	io.WriteString(first, request(1, 1)+request(1, 2)[:60])
	finish(first)
	second := dial(t, s)
	io.WriteString(second, response(1, 1)+request(1, 3)+response(1, 3))
	finish(second)
	check(t, drain(t, s), "/1/1 1/1", "/1/3 1/3")
	if got := s.Counts(); got.TruncatedRequests != 1 || got.Records != 5 {
		t.Errorf("%+v", got)
	}
}

// TestSendersAreNotSlowed sends to a receiver that nobody reads: everything is
// taken off the wire, and what finds no room is counted exactly.
func TestSendersAreNotSlowed(t *testing.T) {
	const n, room = 3000, 100
	elapsed := func(limit int) time.Duration {
		s := listen(t, Config{})
		s.queue.Exchanges = limit
		c := dial(t, s)
		begin := time.Now()
		for i := range n {
			io.WriteString(c, request(i%50, i)+response(i%50, i))
		}
		finish(c)
		took := time.Since(begin)
		if got := s.Counts(); got.Dropped != int64(n-limit) || got.Records != int64(n+limit) {
			t.Errorf("%+v", got)
		}
		if got := len(drain(t, s)); got != limit {
			t.Errorf("%d were handed out", got)
		}
		return took
	}
	roomy, full := elapsed(n), elapsed(room)
	t.Logf("%d exchanges with room for all: %v; with room for %d: %v", n, roomy, room, full)
	if full > 5*roomy+time.Second {
		t.Error("a full queue slowed the sender")
	}
}

func TestRecordsUnderWayAreBounded(t *testing.T) {
	s := listen(t, Config{})
	s.room.size = 100 << 10
	c := dial(t, s)
	io.WriteString(c, "1 ab 1700000000000000000 0\nPOST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
	go c.Write(make([]byte, 1_000_000))
	io.Copy(io.Discard, c)
	drain(t, s)
	if got := s.Counts(); got != (source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}) {
		t.Errorf("%+v", got)
	}
	if w := s.Warnings(); len(w) != 2 || !strings.Contains(w[1].Text, "1 connections were closed") {
		t.Errorf("%v", w)
	}
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	s := listen(t, Config{CertFile: cert, KeyFile: key})
	plain := dial(t, s)
	io.WriteString(plain, request(1, 1))
	finish(plain)
	c, err := tls.Dial("tcp", s.Listening(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, request(2, 1)+response(2, 1))
	c.CloseWrite()
	io.Copy(io.Discard, c)
	c.Close()
	check(t, drain(t, s), "/2/1 2/1")
}

func TestOpenErrors(t *testing.T) {
	s := listen(t, Config{})
	cert, key := certificate(t)
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: s.Listening()}, "cannot listen for GoReplay"},
		{Config{Listen: "127.0.0.1:0", CertFile: cert}, "certificate"},
		{Config{Listen: "127.0.0.1:0", CertFile: key, KeyFile: cert}, "certificate"},
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

// pipes is a listener for tests that have a clock of their own.
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
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// The bubble of synctest ends only when every goroutine in it has: these tests
// would fail if the source left one behind.

func TestARequestWaitsForItsResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := open(Config{Name: "live"}, ln)
		defer s.Close()
		c := ln.dial()
		defer c.Close()
		begin := time.Now()
		io.WriteString(c, request(1, 1)+request(2, 1))
		time.Sleep(time.Second)
		io.WriteString(c, response(2, 1))
		if x, err := s.Next(t.Context()); err != nil || line(x) != "/2/1 2/1" || time.Since(begin) != time.Second {
			t.Errorf("%v, %v after %v", x, err, time.Since(begin))
		}
		if x, err := s.Next(t.Context()); err != nil || line(x) != "/1/1" || time.Since(begin) != defaultWait {
			t.Errorf("%v, %v after %v", x, err, time.Since(begin))
		}
		io.WriteString(c, response(1, 1)) // too late
		time.Sleep(2 * defaultWait)
		if got := s.Counts(); got.OrphanResponses != 1 || got.Records != 4 {
			t.Errorf("%+v", got)
		}
	})
}

func TestStopGivesWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := open(Config{Name: "live"}, ln)
		c := ln.dial()
		defer c.Close()
		io.WriteString(c, request(1, 1)+request(1, 2)[:50])
		synctest.Wait()
		begin := time.Now()
		s.Stop()
		s.Stop()
		go func() {
			time.Sleep(stopGrace / 2)
			io.WriteString(c, request(1, 2)[50:])
		}()
		var got []string
		for {
			x, err := s.Next(t.Context())
			if err == io.EOF {
				break
			}
			got = append(got, line(x))
		}
		check(t, got, "/1/1", "/1/2")
		if took := time.Since(begin); took != stopGrace {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := open(Config{Name: "live"}, ln)
		idle, busy := ln.dial(), ln.dial()
		io.WriteString(busy, request(1, 1)[:40])
		synctest.Wait()
		begin := time.Now()
		s.Close()
		if time.Since(begin) != 0 {
			t.Error("closing took its time")
		}
		idle.Close()
		busy.Close()
	})
}

// TestARecordingOfGoReplay sends a file that GoReplay wrote, in pieces of any
// size, and gets what package gor reads from it.
func TestARecordingOfGoReplay(t *testing.T) {
	text, err := os.ReadFile("../../../testdata/gor/r_0.gor")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{7, 100, len(text)} {
		s := listen(t, Config{})
		c := dial(t, s)
		c.SetNoDelay(true)
		for piece := range slices.Chunk(text, size) {
			c.Write(piece)
		}
		finish(c)
		drain(t, s)
		if got, want := s.Counts(), (source.Counts{Records: 11, Read: 6, Paired: 5}); got != want {
			t.Errorf("pieces of %d: got %+v, want %+v", size, got, want)
		}
	}
}

func FuzzConnection(f *testing.F) {
	f.Add([]byte(request(1, 1) + response(1, 1)))
	f.Add([]byte(response(1, 1) + request(1, 1)[:70]))
	f.Fuzz(func(t *testing.T, text []byte) {
		ln := newPipes()
		s := open(Config{Name: "live"}, ln)
		defer s.Close()
		ln.conns <- memoryConn{bytes.NewReader(text)}
		drain(t, s)
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

func BenchmarkExchanges(b *testing.B) {
	s := listen(b, Config{})
	got := make(chan struct{})
	go func() {
		defer close(got)
		for range b.N {
			s.Next(context.Background())
		}
	}()
	s.queue.Exchanges = 1 << 30
	c := dial(b, s)
	b.ReportAllocs()
	for i := range b.N {
		io.WriteString(c, request(i%100, i)+response(i%100, i))
	}
	<-got
}
