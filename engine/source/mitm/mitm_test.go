package mitm

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const fixture = "../../../testdata/mitm/f.mitm"

// read reads a source to its end and checks that its counters add up.
func read(t testing.TB, r *Reader) []*traffic.Exchange {
	t.Helper()
	var out []*traffic.Exchange
	for {
		x, err := r.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	c := r.Counts()
	if c.Records != c.Read+c.Malformed+c.NotHTTP || c.Read != int64(len(out)) {
		t.Fatalf("counters do not add up: %+v", c)
	}
	return out
}

func readText(t testing.TB, text string, limit int64) ([]*traffic.Exchange, *Reader) {
	t.Helper()
	r := newReader(Config{Name: "x"}, []source.Input{{Name: "x.mitm", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}}, new(source.Meter), limit)
	return read(t, r), r
}

// The parts of a flow, for tests.
func tn(tag byte, payload string) string {
	return strconv.Itoa(len(payload)) + ":" + payload + string(tag)
}
func by(s string) string             { return tn(',', s) }
func tx(s string) string             { return tn(';', s) }
func fl(s string) string             { return tn('^', s) }
func in(n int) string                { return tn('#', strconv.Itoa(n)) }
func list(elements ...string) string { return tn(']', strings.Join(elements, "")) }
func dict(entries ...string) string { // key, encoded value, ...
	var b strings.Builder
	for i := 0; i < len(entries); i += 2 {
		b.WriteString(tx(entries[i]) + entries[i+1])
	}
	return tn('}', b.String())
}
func head(fields ...string) string {
	var all []string
	for i := 0; i < len(fields); i += 2 {
		all = append(all, list(by(fields[i]), by(fields[i+1])))
	}
	return list(all...)
}

const null = "0:~"

func get(path, start string, more ...string) string {
	return dict(append([]string{
		"method", by("GET"), "scheme", by("http"), "host", tx("shop.test"), "port", in(8080), "path", by(path),
		"http_version", by("HTTP/1.1"), "headers", head("Host", "shop.test:8080"), "content", by(""),
		"timestamp_start", fl(start), "timestamp_end", fl(start),
	}, more...)...)
}

func ok(start, end string, more ...string) string {
	return dict(append([]string{
		"status_code", in(200), "reason", by("OK"), "http_version", by("HTTP/1.1"), "headers", head("Content-Type", "text/plain"),
		"content", by("hi"), "timestamp_start", fl(start), "timestamp_end", fl(end),
	}, more...)...)
}

func http(request, response string, more ...string) string {
	return dict(append([]string{
		"type", tx("http"), "version", in(21), "id", tx("f1"), "request", request, "response", response,
		"client_conn", dict("id", tx("c1"), "peername", list(tx("10.0.0.1"), in(4))),
	}, more...)...)
}

func TestRealFile(t *testing.T) {
	r, err := Open(Config{Name: "day", Paths: []string{fixture}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for _, x := range read(t, r) {
		got = append(got, fmt.Sprintf("%s %s %d %d bytes, te %v", x.Request.Method, x.Request.Target, x.Response.Status,
			len(x.Response.Body.Bytes), x.Response.Header.Has("Transfer-Encoding")))
		if x.Source != "day" || x.Session == "" || len(x.ID) != 36 || x.Timing.Kind != traffic.TimingClient || x.Timing.Total < x.Timing.TTFB || x.Timing.TTFB <= 0 {
			t.Errorf("%+v", x)
		}
	}
	want := []string{
		"GET /a 200 19 bytes, te false",
		"GET /gz 200 27 bytes, te false",
		"POST /p 200 20 bytes, te false",
		"GET /chunk 200 12 bytes, te false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if c := r.Counts(); c.Malformed+c.NotHTTP+c.Truncated != 0 || c.Paired != c.Read {
		t.Errorf("%+v, %v", c, r.Warnings())
	}
	if done, total := r.Progress(); done != total || total == 0 {
		t.Errorf("progress %d of %d", done, total)
	}
}

func TestExchange(t *testing.T) {
	xs, _ := readText(t, http(get("/a?b=1", "1700000000.123456789"), ok("1700000000.2", "1700000000.25")), maxFlow)
	if len(xs) != 1 {
		t.Fatal(xs)
	}
	x := xs[0]
	if x.ID != "f1" || x.Session != "c1" || x.Request.Target != "/a?b=1" || !x.At.Equal(time.Unix(1700000000, 123456789)) ||
		x.Request.Header.Get("host") != "shop.test:8080" || string(x.Response.Body.Bytes) != "hi" || x.Response.Reason != "OK" {
		t.Errorf("%+v %+v", x, x.Response)
	}
	if x.Timing != (traffic.Timing{Kind: traffic.TimingClient, TTFB: 76543211, Total: 126543211}) {
		t.Errorf("timing %+v", x.Timing)
	}
}

func TestFlows(t *testing.T) {
	const s = "1700000000.5"
	for _, tt := range []struct {
		name  string
		text  string
		count source.Counts
		check func(x *traffic.Exchange) bool
	}{
		{"no response yet", http(get("/", s), null), source.Counts{Records: 1, Read: 1}, func(x *traffic.Exchange) bool { return x.Response == nil && x.Timing == traffic.Timing{} }},
		{"an error", http(get("/", s), null, "error", dict("msg", tx("refused"))), source.Counts{Records: 1, NotHTTP: 1}, nil},
		{"an error in the response", http(get("/", s), ok(s, s), "error", dict("msg", tx("reset"))), source.Counts{Records: 1, Read: 1, Paired: 1, Truncated: 1},
			func(x *traffic.Exchange) bool { return x.Response.Body.State == traffic.Truncated }},
		{"websocket", http(get("/", s), ok(s, s), "websocket", dict("messages", list())), source.Counts{Records: 1, NotHTTP: 1}, nil},
		{"tcp", dict("type", tx("tcp"), "messages", list()), source.Counts{Records: 1, NotHTTP: 1}, nil},
		{"dns", dict("type", tx("dns"), "request", dict("id", in(1))), source.Counts{Records: 1, NotHTTP: 1}, nil},
		{"a replayed response", http(get("/", s), ok(s, s), "is_replay", tx("response")), source.Counts{Records: 1, Read: 1, ReplayedResponses: 1},
			func(x *traffic.Exchange) bool { return x.Response == nil }},
		{"streamed", http(get("/", s), ok(s, s, "content", null)), source.Counts{Records: 1, Read: 1, Paired: 1},
			func(x *traffic.Exchange) bool { return x.Response.Body.State == traffic.Missing }},
		{"chunked", http(get("/", s), ok(s, s, "headers", head("A", "1", "Transfer-Encoding", "chunked", "B", "2"))), source.Counts{Records: 1, Read: 1, Paired: 1},
			func(x *traffic.Exchange) bool {
				return fmt.Sprint(x.Response.Header) == "[{A 1} {Content-Length 2} {B 2}]"
			}},
		{"chunked request that was streamed", http(get("/", s, "method", by("POST"), "content", null, "headers", head("Transfer-Encoding", "chunked")), null),
			source.Counts{Records: 1, Read: 1}, func(x *traffic.Exchange) bool {
				return x.Request.Body.State == traffic.Missing && x.Request.Header.Has("Transfer-Encoding")
			}},
		{"HTTP/2", http(get("/", s, "http_version", by("HTTP/2.0"), "authority", by("shop.test"), "headers", head(":x", "y", "cookie", "a=1", "z", "1", "cookie", "b=2")), null),
			source.Counts{Records: 1, Read: 1}, func(x *traffic.Exchange) bool {
				return fmt.Sprint(x.Request.Header) == "[{Host shop.test} {cookie a=1; b=2} {z 1}]"
			}},
		{"no host at all", http(get("/", s, "headers", head()), null), source.Counts{Records: 1, Read: 1},
			func(x *traffic.Exchange) bool { return x.Request.Header.Get("Host") == "shop.test:8080" }},
		{"a field that would split", http(get("/", s, "headers", head("A", "1\r\nB: 2")), null), source.Counts{Records: 1, Malformed: 1}, nil},
		{"a path that would split", http(get("/ HTTP/1.1\r\nA: b", s), null), source.Counts{Records: 1, Malformed: 1}, nil},
		{"no time", http(get("/", s, "timestamp_start", null), null), source.Counts{Records: 1, Malformed: 1}, nil},
		{"not a flow", dict("a", in(1)) + http(get("/", s), null), source.Counts{Records: 2, Read: 1, Malformed: 1}, nil},
		{"a list", list() + http(get("/", s), null), source.Counts{Records: 2, Read: 1, Malformed: 1}, nil},
		{"an odd dict", tn('}', tx("type")) + http(get("/", s), null), source.Counts{Records: 2, Read: 1, Malformed: 1}, nil},
		{"junk in between", http(get("/", s), null) + "junk" + http(get("/", s), null), source.Counts{Records: 2, Read: 1, Malformed: 1}, nil},
		{"cut", http(get("/", s), null) + http(get("/", s), null)[:40], source.Counts{Records: 1, Read: 1, Truncated: 1}, nil},
		{"a length that is not there", http(get("/", s), null) + "99999999:x", source.Counts{Records: 1, Read: 1, Truncated: 1}, nil},
		{"too large", tn(',', strings.Repeat("x", 5000)) + http(get("/", s), null), source.Counts{Records: 2, Read: 1, Malformed: 1}, nil},
		{"nothing", "", source.Counts{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			xs, r := readText(t, tt.text, 4096)
			if r.Counts() != tt.count {
				t.Errorf("got %+v, want %+v; %v", r.Counts(), tt.count, r.Warnings())
			}
			if tt.check != nil && (len(xs) != 1 || !tt.check(xs[0])) {
				t.Errorf("got %+v", xs)
			}
			for _, w := range r.Warnings() {
				if strings.Contains(w.String(), "shop") || strings.Contains(w.String(), "HTTP/1.1") {
					t.Errorf("warning quotes: %s", w)
				}
			}
		})
	}
}

func TestOrder(t *testing.T) {
	var text strings.Builder
	for _, at := range []int{3, 1, 2, 5, 4} {
		text.WriteString(http(get("/"+strconv.Itoa(at), fmt.Sprintf("170000000%d.0", at)), null))
	}
	xs, _ := readText(t, text.String(), maxFlow)
	for i, x := range xs {
		if x.Request.Target != fmt.Sprintf("/%d", i+1) {
			t.Errorf("%d is %s", i, x.Request.Target)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write(whole)
	z.Close()
	for _, tt := range []struct {
		name, text string
		fails      error
		read       int
	}{
		{"gzip", gz.String(), nil, -1},
		{"gor", "1 abc 2 3\nGET / HTTP/1.1\r\n\r\n", ErrNotFlows, 0},
		{"json", `{"log": 1}`, ErrNotFlows, 0},
		{"another dict", dict("a", in(1)), ErrNotFlows, 0},
		{"a string", by("x"), ErrNotFlows, 0},
		{"empty", "", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(dir, tt.name)
			if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(Config{Paths: []string{name}})
			if !errors.Is(err, tt.fails) {
				t.Fatalf("error %v, want %v", err, tt.fails)
			}
			if err != nil {
				return
			}
			if n := len(read(t, r)); tt.read >= 0 && n != tt.read || tt.read < 0 && n == 0 {
				t.Errorf("%d exchanges", n)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzFlows(f *testing.F) {
	whole, err := os.ReadFile(fixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole[:1900]))
	f.Add(http(get("/", "1.5"), ok("1.6", "1.7")))
	f.Add(http(get("/", "1"), ok("1.6", "1.7", "content", null, "trailers", head("a", "b")), "error", dict("msg", tx("x"))))
	f.Add("0:}3:abc,")
	f.Fuzz(func(t *testing.T, text string) {
		xs, _ := readText(t, text, 1<<20)
		for _, x := range xs {
			if x.At.IsZero() || x.Request.Method == "" || strings.ContainsAny(x.Request.Target, " \r\n") {
				t.Errorf("%+v", x)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	whole, err := os.ReadFile(fixture)
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat(string(whole), 50)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		readText(b, text, maxFlow)
	}
}
