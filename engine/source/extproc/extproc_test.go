package extproc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// balanced checks that the counters of a source that has ended add up.
func balanced(t testing.TB, s *Source) {
	t.Helper()
	if c := s.Counts(); c.Records != c.Read+c.Malformed+c.OrphanResponses+c.TruncatedRequests+c.NotHTTP+c.Dropped {
		t.Errorf("counters do not add up: %+v", c)
	}
}

// start opens a source that is closed at the end of the test.
func start(t testing.TB, cfg Config) *Source {
	t.Helper()
	cfg.Name, cfg.Listen = "envoy", "127.0.0.1:0"
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// drain stops a source and reads it to its end.
func drain(t testing.TB, s *Source) []*traffic.Exchange {
	t.Helper()
	s.Stop()
	var xs []*traffic.Exchange
	for {
		x, err := s.Next(context.Background())
		if err == io.EOF {
			balanced(t, s)
			return xs
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
}

// Messages, as Envoy writes them.

func headers(num protowire.Number, ended bool, kv ...string) []byte {
	var fields []byte
	for i := 0; i < len(kv); i += 2 {
		fields = append(fields, nested(append(nested([]byte(kv[i]), 1), nested([]byte(kv[i+1]), 3)...), 1)...)
	}
	msg := nested(fields, 1)
	if ended {
		msg = flag(msg, 3)
	}
	return nested(msg, num)
}

func flag(b []byte, num protowire.Number) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), 1)
}

func body(num protowire.Number, ended bool, b []byte) []byte {
	msg := nested(b, 1)
	if ended {
		msg = flag(msg, 2)
	}
	return nested(msg, num)
}

func trailers(num protowire.Number, kv ...string) []byte {
	return headers(num, false, kv...) // both have their map in field 1
}

// observed says that Envoy does not wait.
func observed(b []byte) []byte { return flag(b, 10) }

func withAttributes(b []byte, kv ...string) []byte {
	var fields []byte
	for i := 0; i < len(kv); i += 2 {
		fields = append(fields, nested(append(nested([]byte(kv[i]), 1), nested(nested([]byte(kv[i+1]), 3), 2)...), 1)...)
	}
	return append(b, nested(append(nested([]byte("envoy.filters.http.ext_proc"), 1), nested(fields, 2)...), 9)...)
}

func get(path string) []byte {
	return observed(headers(2, true, ":method", "GET", ":path", path, ":authority", "shop.example", "accept", "*/*"))
}

func post(kv ...string) []byte {
	return observed(headers(2, false, append([]string{":method", "POST", ":path", "/p", ":authority", "shop.example"}, kv...)...))
}

func ok(ended bool) []byte {
	return observed(headers(3, ended, ":status", "200", "content-type", "text/plain"))
}

func frame(msg []byte) []byte {
	b := make([]byte, 5, 5+len(msg))
	binary.BigEndian.PutUint32(b[1:], uint32(len(msg)))
	return append(b, msg...)
}

// caller is the client of a stream.
type caller struct {
	client *http.Client
	s      *Source
}

func newCaller(t testing.TB, s *Source) *caller {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: h2}
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{&http.Client{Transport: tr}, s}
}

// stream sends raw bytes and returns what came back, and the status of gRPC.
func (c *caller) stream(t testing.TB, raw io.Reader) (reply []byte, status string) {
	t.Helper()
	req, _ := http.NewRequest("POST", "http://"+c.s.Listening()+method, raw)
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply, resp.Trailer.Get("Grpc-Status")
}

func (c *caller) send(t testing.TB, msgs ...[]byte) (reply []byte, status string) {
	t.Helper()
	var raw []byte
	for _, m := range msgs {
		raw = append(raw, frame(m)...)
	}
	return c.stream(t, bytes.NewReader(raw))
}

func TestAnExchange(t *testing.T) {
	s := start(t, Config{})
	c := newCaller(t, s)
	reply, status := c.send(t,
		withAttributes(post("x-request-id", "r1", "host", "other", "x-latin", "caf\xe9"), "request.time", "2026-11-21T04:00:00.5+00:00", "request.protocol", "HTTP/2", "source.address", "10.0.0.7:4711"),
		observed(body(4, false, []byte("a bo"))), observed(body(4, false, []byte("dy"))), observed(trailers(6, "x-sum", "9")),
		ok(false), observed(body(5, false, []byte("o"))), observed(body(5, true, []byte("k"))))
	if status != "0" || len(reply) != 0 {
		t.Errorf("status %s, %d bytes of answer", status, len(reply))
	}
	xs := drain(t, s)
	if len(xs) != 1 {
		t.Fatalf("%d exchanges", len(xs))
	}
	x := xs[0]
	if q := x.Request; q.Method != "POST" || q.Target != "/p" || q.Proto != "HTTP/2" || string(q.Body.Bytes) != "a body" || q.Trailer.Get("x-sum") != "9" ||
		fmt.Sprint(q.Header) != "[{Host shop.example} {x-request-id r1} {x-latin caf\xe9}]" {
		t.Errorf("request %+v", q)
	}
	if p := x.Response; p == nil || p.Status != 200 || string(p.Body.Bytes) != "ok" || fmt.Sprint(p.Header) != "[{content-type text/plain}]" {
		t.Errorf("response %+v", p)
	}
	if x.ID != "r1" || x.Session != "10.0.0.7:4711" || x.Source != "envoy" || x.Arrived.IsZero() || x.Timing.Kind != traffic.TimingProxy ||
		!x.At.Equal(time.Date(2026, 11, 21, 4, 0, 0, 5e8, time.UTC)) {
		t.Errorf("exchange %+v", x)
	}
	if got, want := s.Counts(), (source.Counts{Records: 1, Read: 1, Paired: 1}); got != want {
		t.Errorf("counts %+v", got)
	}
	if ws := s.Warnings(); len(ws) != 0 {
		t.Errorf("warnings %v", ws)
	}
}

func TestHowAStreamCanEnd(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 600)
	for _, tt := range []struct {
		name   string
		msgs   [][]byte
		want   source.Counts
		status string
		check  func(x *traffic.Exchange) bool
	}{
		{"nothing at all", nil, source.Counts{}, "0", nil},
		{"no response", [][]byte{get("/a")}, source.Counts{Records: 1, Read: 1}, "0", func(x *traffic.Exchange) bool { return x.Response == nil }},
		{"request aborted", [][]byte{post(), observed(body(4, false, []byte("half")))}, source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}, "0", nil},
		{"request of a known length, trailers not sent", [][]byte{post("content-length", "4"), observed(body(4, false, []byte("four"))), ok(true)}, source.Counts{Records: 1, Read: 1, Paired: 1}, "0", nil},
		{"response ends early", [][]byte{get("/a"), ok(false), observed(body(5, false, []byte("half")))}, source.Counts{Records: 1, Read: 1, Paired: 1, Truncated: 1}, "0",
			func(x *traffic.Exchange) bool {
				return x.Response.Body.State == traffic.Truncated && string(x.Response.Body.Bytes) == "half" && x.Timing.Kind == ""
			}},
		{"response before the end of the request", [][]byte{post(), ok(true), observed(body(4, true, nil))}, source.Counts{Records: 1, Read: 1, Paired: 1}, "0",
			func(x *traffic.Exchange) bool { return x.Timing == traffic.Timing{} }},
		{"response without request", [][]byte{ok(true)}, source.Counts{Records: 1, OrphanResponses: 1}, "0", nil},
		{"tunnel", [][]byte{observed(headers(2, false, ":method", "CONNECT", ":authority", "a:1"))}, source.Counts{Records: 1, NotHTTP: 1}, "0", nil},
		{"upgrade", [][]byte{get("/ws"), observed(headers(3, false, ":status", "101"))}, source.Counts{Records: 1, NotHTTP: 1}, "0", nil},
		{"HEAD", [][]byte{observed(headers(2, true, ":method", "HEAD", ":path", "/")), observed(headers(3, true, ":status", "200", "content-length", "9"))}, source.Counts{Records: 1, Read: 1, Paired: 1}, "0",
			func(x *traffic.Exchange) bool { return x.Response.Body.State == traffic.Complete }},
		{"large request", [][]byte{post(), observed(body(4, false, large)), observed(body(4, true, large)), ok(true)}, source.Counts{Records: 1, Truncated: 1, TruncatedRequests: 1}, "0", nil},
		{"large response", [][]byte{get("/a"), ok(false), observed(body(5, false, large)), observed(body(5, true, large))}, source.Counts{Records: 1, Read: 1, Paired: 1}, "0",
			func(x *traffic.Exchange) bool {
				b := x.Response.Body
				return b.State == traffic.Oversized && b.Size == 1200 && len(b.Bytes) == 1000 && b.SHA256 == sha256.Sum256(append(bytes.Clone(large), large...))
			}},
		{"no method", [][]byte{observed(headers(2, true, ":path", "/")), ok(true)}, source.Counts{Records: 1, Malformed: 1}, "0", nil},
		{"line feed in a field", [][]byte{observed(headers(2, true, ":method", "GET", ":path", "/", "x", "a\nb")), ok(true)}, source.Counts{Records: 1, Malformed: 1}, "0", nil},
		{"no protocol buffer", [][]byte{{0xff, 0xff}}, source.Counts{Records: 1, Malformed: 1}, "3", nil},
		{"a message about nothing", [][]byte{flag(nil, 10), get("/a"), ok(true)}, source.Counts{Records: 1, Read: 1, Paired: 1}, "0", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Config{MaxBody: 1000})
			_, status := newCaller(t, s).send(t, tt.msgs...)
			xs := drain(t, s)
			if got := s.Counts(); got != tt.want || status != tt.status {
				t.Errorf("status %s, counts %+v, want %+v", status, got, tt.want)
			}
			if tt.check != nil && (len(xs) != 1 || !tt.check(xs[0])) {
				t.Errorf("got %+v", xs)
			}
			if n := s.held.Load(); n != 0 {
				t.Errorf("%d bytes are held after the end", n)
			}
		})
	}
}

func TestFramesThatAreNone(t *testing.T) {
	for _, tt := range []struct{ name, raw, status string }{
		{"compressed", "\x01\x00\x00\x00\x01x", "12"},
		{"odd flag", "\x07\x00\x00\x00\x01x", "3"},
		{"too long", "\x00\xff\xff\xff\xff", "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Config{})
			if _, status := newCaller(t, s).stream(t, strings.NewReader(tt.raw)); status != tt.status {
				t.Errorf("status %s", status)
			}
			if drain(t, s); s.Counts().Malformed != 1 {
				t.Errorf("counts %+v", s.Counts())
			}
		})
	}
}

func TestOtherRequests(t *testing.T) {
	s := start(t, Config{})
	c := newCaller(t, s)
	do := func(path, kind string) *http.Response {
		req, _ := http.NewRequest("POST", "http://"+s.Listening()+path, strings.NewReader(""))
		req.Header.Set("Content-Type", kind)
		resp, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	if resp := do("/grpc.health.v1.Health/Check", "application/grpc"); resp.Trailer.Get("Grpc-Status") != "12" {
		t.Errorf("another method: %v", resp)
	}
	if resp := do(method, "application/json"); resp.StatusCode != 415 {
		t.Errorf("another type: %v", resp)
	}
	if _, err := http.Get("http://" + s.Listening() + "/"); err == nil {
		t.Error("HTTP/1.1 was answered")
	}
	if drain(t, s); s.Counts().Records != 0 {
		t.Errorf("counts %+v", s.Counts())
	}
}

// waiting takes the mark of observation off a message.
func waiting(b []byte) []byte { return b[:len(b)-2] }

func TestAnEnvoyThatWaitsIsAnswered(t *testing.T) {
	s := start(t, Config{})
	reply, status := newCaller(t, s).send(t, waiting(post()), body(4, true, []byte("b")), waiting(ok(false)), body(5, false, []byte("o")), trailers(7, "x", "y"))
	// ProcessingResponse.request_headers, request_body, response_headers,
	// response_body and response_trailers, each of them empty: go on.
	want := "\x00\x00\x00\x00\x02\x0a\x00" + "\x00\x00\x00\x00\x02\x1a\x00" + "\x00\x00\x00\x00\x02\x12\x00" + "\x00\x00\x00\x00\x02\x22\x00" + "\x00\x00\x00\x00\x02\x32\x00"
	if string(reply) != want || status != "0" {
		t.Errorf("status %s, answer %q", status, reply)
	}
	if xs := drain(t, s); len(xs) != 1 || xs[0].Response.Trailer.Get("x") != "y" {
		t.Errorf("got %+v", xs)
	}
	if ws := s.Warnings(); len(ws) != 1 || !strings.Contains(ws[0].Text, "observability_mode: true") {
		t.Errorf("warnings %v", ws)
	}
}

func TestBodiesAreGivenBack(t *testing.T) {
	modes := nested(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(modeFullDuplex)), 11)
	s := start(t, Config{})
	reply, _ := newCaller(t, s).send(t, append(waiting(post()), modes...), body(4, true, []byte("precious")))
	streamed := flag(nested([]byte("precious"), 1), 2)
	want := string(frame(nested(nil, 1))) + string(frame(nested(nested(nested(nested(streamed, 3), 3), 1), 3)))
	if string(reply) != want {
		t.Errorf("answer %q, want %q", reply, want)
	}
}

// TestAMissingReaderDoesNotSlowProduction holds the time that streams take
// against each other when nobody reads, and counts what is dropped.
func TestAMissingReaderDoesNotSlowProduction(t *testing.T) {
	s := start(t, Config{})
	s.queue.Exchanges = 50
	c := newCaller(t, s)
	var mu sync.Mutex
	var slowest time.Duration
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				began := time.Now()
				c.send(t, post(), observed(body(4, true, make([]byte, 10_000))), ok(true))
				mu.Lock()
				slowest = max(slowest, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if slowest > 2*time.Second {
		t.Errorf("a stream took %v", slowest)
	}
	drain(t, s)
	if got := s.Counts(); got.Dropped != 350 || got.Read != 50 || got.Records != 400 {
		t.Errorf("counts %+v", got)
	}
}

func TestThereIsRoomForSoMuch(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		s := start(t, Config{})
		s.maxHeld = 4000
		c := newCaller(t, s)
		c.send(t, post(), observed(body(4, false, make([]byte, 3000))), observed(body(4, false, make([]byte, 3000))), observed(body(4, true, nil)), ok(true))
		c.send(t, get("/a"), ok(true))
		drain(t, s)
		if got, want := s.Counts(), (source.Counts{Records: 2, Read: 1, Paired: 1, Dropped: 1}); got != want || s.held.Load() != 0 {
			t.Errorf("counts %+v, %d held", got, s.held.Load())
		}
	})
	t.Run("streams", func(t *testing.T) {
		s := start(t, Config{})
		s.maxStreams = 1
		c := newCaller(t, s)
		begun, finish := open(t, c)
		<-begun
		if _, status := c.send(t, get("/b"), ok(true)); status != "0" { // no error for Envoy
			t.Errorf("status %s", status)
		}
		finish()
		drain(t, s)
		if got, want := s.Counts(), (source.Counts{Records: 2, Read: 1, Paired: 1, Dropped: 1}); got != want {
			t.Errorf("counts %+v", got)
		}
	})
	t.Run("connections", func(t *testing.T) {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		var refused int
		l := &limited{Listener: inner, refused: func() { refused++ }, room: make(chan struct{}, 1)}
		dial := func() net.Conn {
			c, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		dial()
		first, _ := l.Accept()
		second := dial()
		accepted := make(chan net.Conn)
		go func() { c, _ := l.Accept(); accepted <- c }()
		if _, err := second.Read(make([]byte, 1)); err == nil {
			t.Error("the second connection was not closed")
		}
		first.Close()
		first.Close()
		dial()
		if c := <-accepted; c == nil || refused != 1 {
			t.Errorf("connection %v, %d refused", c, refused)
		}
	})
}

// open begins an exchange. begun is closed when the source has taken it in;
// finish sends the rest.
func open(t testing.TB, c *caller) (begun chan struct{}, finish func()) {
	r, w := io.Pipe()
	begun = make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.stream(t, r)
	}()
	go func() {
		w.Write(frame(get("/open")))
		for c.s.held.Load() == 0 {
			runtime.Gosched()
		}
		close(begun)
	}()
	return begun, func() {
		w.Write(frame(ok(true)))
		w.Close()
		<-done
	}
}

func TestStopLetsWhatIsUnderWayEnd(t *testing.T) {
	s := start(t, Config{})
	c := newCaller(t, s)
	begun, finish := open(t, c)
	<-begun
	s.Stop()
	s.Stop()
	finish()
	if xs := drain(t, s); len(xs) != 1 || xs[0].Response == nil {
		t.Errorf("got %+v", xs)
	}
	if c, err := net.Dial("tcp", s.Listening()); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	s := start(t, Config{})
	c := newCaller(t, s)
	r, w := io.Pipe()
	go func() { // the stream is cut, which is an error to the client
		req, _ := http.NewRequest("POST", "http://"+s.Listening()+method, r)
		req.Header.Set("Content-Type", "application/grpc")
		if resp, err := c.client.Do(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	w.Write(frame(post()))
	for s.held.Load() == 0 {
		runtime.Gosched()
	}
	s.Close()
	s.Close()
	w.Close()
	if _, err := s.Next(t.Context()); err != io.EOF {
		t.Errorf("error %v", err)
	}
	if got := s.Counts(); got.TruncatedRequests != 1 || got.Records != 1 {
		t.Errorf("counts %+v", got)
	}
	c.client.CloseIdleConnections()
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !bytes.Contains(stacks, []byte("extproc.(*Source)")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", stacks)
		}
	}
}

func TestAStreamThatSaysNothingEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSource(Config{Name: "envoy"}, l, 50*time.Millisecond)
	defer s.Close()
	c := newCaller(t, s)
	r, w := io.Pipe()
	defer w.Close()
	go w.Write(frame(post()))
	if _, status := c.stream(t, r); status != "0" {
		t.Errorf("status %s", status)
	}
	if drain(t, s); s.Counts().TruncatedRequests != 1 {
		t.Errorf("counts %+v", s.Counts())
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	s := start(t, Config{})
	if _, err := Open(Config{Listen: s.Listening()}); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("error %v", err)
	}
}

// BenchmarkStream is an exchange with bodies of 1 KiB, from a client over
// loopback to a reader.
func BenchmarkStream(b *testing.B) {
	s := start(b, Config{})
	go func() {
		for {
			if _, err := s.Next(context.Background()); err != nil {
				return
			}
		}
	}()
	kib := make([]byte, 1<<10)
	msgs := [][]byte{post(), observed(body(4, true, kib)), ok(false), observed(body(5, true, kib))}
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c := newCaller(b, s)
		for pb.Next() {
			c.send(b, msgs...)
		}
	})
	if n := s.Counts().Dropped; n > 0 {
		b.Errorf("%d dropped", n)
	}
}

// FuzzStream reads foreign bytes as the messages of a stream: no panic, memory
// given back, counters that add up.
func FuzzStream(f *testing.F) {
	for _, msgs := range [][][]byte{
		{post("a", "b"), observed(body(4, true, []byte("x"))), ok(false), observed(trailers(7, "x", "y"))},
		{withAttributes(get("/"), "request.time", "2026-11-21T04:00:00Z"), ok(true)},
		{{0xff}},
	} {
		var raw []byte
		for _, m := range msgs {
			raw = append(raw, frame(m)...)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &Source{cfg: Config{MaxBody: 64}, maxHeld: 4096}
		st := newStream(s)
		in := frames.Get().(*frameReader)
		defer in.release()
		in.br.Reset(bytes.NewReader(raw))
		for {
			b, err := in.next()
			if err != nil {
				break
			}
			m, err := decode(b)
			if err != nil {
				st.bad = true
				break
			}
			st.add(m, time.Unix(1, 0))
			if m.part != 0 {
				if _, err := decode(st.reply(m)[5:]); err != nil {
					t.Error("the answer is no message")
				}
			}
		}
		st.finish()
		s.queue.End(nil)
		for {
			x, err := s.Next(t.Context())
			if err != nil {
				break
			}
			if !http1.IsToken(x.Request.Method) || !envoy.IsVisible(x.Request.Target) || int64(len(x.Request.Body.Bytes)) > 64 {
				t.Error("odd request")
			}
		}
		if balanced(t, s); s.held.Load() != 0 {
			t.Errorf("%d bytes are held after the end", s.held.Load())
		}
	})
}
