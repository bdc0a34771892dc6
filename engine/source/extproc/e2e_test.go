//go:build e2e

package extproc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy/envoytest"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// filter is the configuration that the package comment and the README show.
func filter(observe, bodies, allow string) string {
	return fmt.Sprintf(`
- name: envoy.filters.http.ext_proc
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
    grpc_service: { envoy_grpc: { cluster_name: shadowaudit } }
    observability_mode: %s
    failure_mode_allow: %s
    processing_mode:
      request_header_mode: SEND
      response_header_mode: SEND
      request_body_mode: %s
      response_body_mode: %s
      request_trailer_mode: SEND
      response_trailer_mode: SEND
    request_attributes: [request.time, request.protocol, source.address, connection.id]
`, observe, allow, bodies, bodies)
}

func listen(t *testing.T) *Source {
	t.Helper()
	s, err := Open(Config{Name: "envoy", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// collect reads a source to its end, beside the test.
func collect(t *testing.T, s *Source) func() []*traffic.Exchange {
	var xs []*traffic.Exchange
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			x, err := s.Next(context.Background())
			if err != nil {
				return
			}
			xs = append(xs, x)
		}
	}()
	return func() []*traffic.Exchange {
		s.Stop()
		<-done
		balanced(t, s)
		return xs
	}
}

// TestEnvoy drives requests through a real Envoy, and holds what comes out of
// the source against what the clients and the upstream saw.
func TestEnvoy(t *testing.T) {
	for _, tt := range []struct{ name, observe, bodies string }{
		{"observability", "true", "STREAMED"},
		{"streamed, waiting", "false", "STREAMED"},
		{"full duplex", "false", "FULL_DUPLEX_STREAMED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := envoytest.NewUpstream(t)
			s := listen(t)
			finish := collect(t, s)
			e := envoytest.Start(t, up.Address, filter(tt.observe, tt.bodies, "true"), envoytest.Cluster("shadowaudit", s.Listening(), true))
			var sent int
			bodies := map[string][]byte{}
			for proto, client := range envoytest.Clients() {
				defer client.CloseIdleConnections()
				for _, r := range envoytest.Requests() {
					r.Target += map[bool]string{true: "&", false: "?"}[strings.Contains(r.Target, "?")] + "v=" + proto[5:]
					resp, b, err := r.Send(t.Context(), client, e.URL)
					if err != nil || resp.StatusCode/100 != 2 {
						t.Fatalf("%s %s over %s: %v, %v", r.Method, r.Target, proto, resp, err)
					}
					sent++
					bodies[r.Method+" "+r.Target] = b
					if want := up.Body(r.Target); !bytes.Equal(r.Body, want) {
						t.Errorf("%s %s over %s: the upstream got %d bytes, not %d", r.Method, r.Target, proto, len(want), len(r.Body))
					}
				}
			}
			waitFor(t, s, int64(sent))
			xs := finish()
			for _, x := range xs {
				key := x.Request.Method + " " + x.Request.Target
				compare(t, x, up.Body(x.Request.Target), bodies[key])
				delete(bodies, key)
			}
			if len(xs) != sent || len(bodies) > 0 {
				t.Errorf("%d of %d came out; missing %v", len(xs), sent, slices.Sorted(maps.Keys(bodies)))
			}
			ws := s.Warnings()
			if want := map[bool]int{true: 0, false: 1}[tt.observe == "true"]; len(ws) != want {
				t.Errorf("warnings %v", ws)
			}
			t.Logf("kind envoy_ext_proc, envoy %s, %s: messages in %d, out %d, losses %+v", e.Version, tt.name, sent, len(xs), s.Counts())
		})
	}
}

// waitFor waits until the source has accounted for n streams.
func waitFor(t *testing.T, s *Source, n int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.Counts().Records < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counts %+v, want %d records", s.Counts(), n)
		}
	}
}

func compare(t *testing.T, x *traffic.Exchange, asked, answered []byte) {
	t.Helper()
	q, p := &x.Request, x.Response
	if !bytes.Equal(q.Body.Bytes, asked) || p == nil {
		t.Errorf("%s %s: body of %d bytes, sent were %d; response %v", q.Method, q.Target, len(q.Body.Bytes), len(asked), p != nil)
		return
	}
	switch {
	case strings.HasPrefix(q.Target, "/huge"):
		if p.Body.State != traffic.Oversized || p.Body.Size != 9<<20 || len(p.Body.Bytes) != 8<<20 {
			t.Errorf("huge body: %v, %d of %d", p.Body.State, len(p.Body.Bytes), p.Body.Size)
		}
	case p.Body.State != traffic.Complete || !bytes.Equal(p.Body.Bytes, answered):
		t.Errorf("%s %s: response of %d bytes, %v; the client got %d", q.Method, q.Target, len(p.Body.Bytes), p.Body.State, len(answered))
	}
	if x.At.IsZero() || time.Since(x.At) > time.Minute || x.Session == "" || x.ID == "" || x.Timing.Kind != traffic.TimingProxy || x.Timing.Total < x.Timing.TTFB {
		t.Errorf("%s %s: at %v, session %q, timing %+v", q.Method, q.Target, x.At, x.Session, x.Timing)
	}
	if want := map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[strings.HasSuffix(q.Target, "v=2")]; q.Proto != want {
		t.Errorf("%s %s: %s", q.Method, q.Target, q.Proto)
	}
	switch path := q.Path(); {
	case path == "/orders" && q.Header.Get("Cookie") != "a=b; c=d",
		path == "/with-trailer" && q.Trailer.Get("X-Check") != "9",
		path == "/trailers" && p.Trailer.Get("X-Sum") != "17",
		path == "/big" && q.Header.Get("X-Latin") != "caf\xe9",
		!strings.HasPrefix(q.Header.Get("Host"), "127.0.0.1:"), p.Status != 200 && path != "/none":
		t.Errorf("%+v %+v %+v %+v %d", q.Header, q.Trailer, p.Header, p.Trailer, p.Status)
	}
}

// TestWhatGoesWrong drives requests that end early through a real Envoy.
func TestWhatGoesWrong(t *testing.T) {
	up := envoytest.NewUpstream(t)
	s := listen(t)
	finish := collect(t, s)
	e := envoytest.Start(t, up.Address, filter("true", "STREAMED", "true"), envoytest.Cluster("shadowaudit", s.Listening(), true))
	client := envoytest.Clients()["HTTP/1.1"]
	defer client.CloseIdleConnections()
	if _, _, err := (envoytest.Request{Method: "GET", Target: "/die"}).Send(t.Context(), client, e.URL); err == nil {
		t.Error("the upstream was to die in the middle of a response")
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "POST /aborted HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nthe beginning")
	time.Sleep(200 * time.Millisecond) // for Envoy to see it
	conn.Close()
	waitFor(t, s, 2)
	xs := finish()
	c := s.Counts()
	if len(xs) != 1 || xs[0].Response == nil || xs[0].Response.Body.State != traffic.Truncated || c.TruncatedRequests != 1 || c.Truncated != 2 {
		t.Errorf("%d exchanges, counts %+v", len(xs), c)
	}
	t.Logf("kind envoy_ext_proc, envoy %s, early ends: messages in 2, out %d, losses %+v", e.Version, len(xs), c)
}

// TestBodiesThatAreNotSent has Envoy send header fields only.
func TestBodiesThatAreNotSent(t *testing.T) {
	up := envoytest.NewUpstream(t)
	s := listen(t)
	finish := collect(t, s)
	e := envoytest.Start(t, up.Address, filter("true", "NONE", "true"), envoytest.Cluster("shadowaudit", s.Listening(), true))
	client := envoytest.Clients()["HTTP/1.1"]
	defer client.CloseIdleConnections()
	for _, r := range []envoytest.Request{{Method: "GET", Target: "/a"}, {Method: "POST", Target: "/b", Body: []byte("body")}} {
		if _, _, err := r.Send(t.Context(), client, e.URL); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	waitFor(t, s, 2)
	t.Logf("known after %v", time.Since(start))
	xs := finish()
	if c := s.Counts(); len(xs) != 1 || xs[0].Response.Body.State != traffic.Missing || c.TruncatedRequests != 1 || len(s.Warnings()) != 2 {
		t.Errorf("%d exchanges, counts %+v, warnings %v", len(xs), c, s.Warnings())
	}
}

// TestProductionDoesNotNoticeTheSource takes the receiver away while traffic
// flows, lets it stand without a reader, and starts another: the clients of Envoy
// see no error, and no delay.
func TestProductionDoesNotNoticeTheSource(t *testing.T) {
	up := envoytest.NewUpstream(t)
	s := listen(t)
	s.queue.Exchanges = 10
	e := envoytest.Start(t, up.Address, filter("true", "STREAMED", "true"), envoytest.Cluster("shadowaudit", s.Listening(), true))
	client := envoytest.Clients()["HTTP/1.1"]
	defer client.CloseIdleConnections()
	body := envoytest.Page(20_000)
	drive := func(n int) (slow []time.Duration) {
		for i := range n {
			start := time.Now()
			resp, _, err := (envoytest.Request{Method: "POST", Target: fmt.Sprintf("/r/%d", i), Body: body}).Send(t.Context(), client, e.URL)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("request %d: %v, %v", i, resp, err)
			}
			slow = append(slow, time.Since(start))
		}
		slices.Sort(slow)
		return slow
	}
	const n = 300
	with := drive(n) // nobody reads: the queue is full after ten
	waitFor(t, s, n)
	if c := s.Counts(); c.Dropped != n-10 || c.Records != n {
		t.Errorf("counts %+v", c)
	}
	killed := make(chan struct{})
	go func() { time.Sleep(30 * time.Millisecond); s.Close(); close(killed) }()
	during := drive(n)
	<-killed
	without := drive(n)
	t.Logf("kind envoy_ext_proc, envoy %s, no reader: messages in %d, out 10, dropped %d", e.Version, n, n-10)
	t.Logf("latency seen by clients, p50 and p99: queue full %v %v, receiver killed %v %v, no receiver %v %v",
		with[n/2], with[n*99/100], during[n/2], during[n*99/100], without[n/2], without[n*99/100])
	if during[n*99/100] > with[n*99/100]+500*time.Millisecond || without[n*99/100] > with[n*99/100]+500*time.Millisecond {
		t.Error("production became slower")
	}
}
