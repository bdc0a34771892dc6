package har

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const corpus = "../../../testdata/har"

func open(_ testing.TB, cfg Config, text string) *Reader {
	return newReader(cfg, []source.Input{{Name: "t.har", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}}, new(source.Meter))
}

func drain(t testing.TB, r *Reader) []*traffic.Exchange {
	t.Helper()
	var xs []*traffic.Exchange
	for {
		x, err := r.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	c := r.Counts()
	if sum := c.Read + c.Malformed + c.NotHTTP + c.ForeignHost + c.TruncatedRequests; c.Records != sum || c.Read != int64(len(xs)) {
		t.Errorf("%d handed out, %d records, their fates add up to %d: %+v", len(xs), c.Records, sum, c)
	}
	return xs
}

func archive(entries ...string) string {
	return `{"log":{"version":"1.2","entries":[` + strings.Join(entries, ",\n") + `]}}`
}

// get is an entry for a GET request, at so many milliseconds.
func get(at int, target string) string {
	return fmt.Sprintf(`{"startedDateTime":"%s","request":{"method":"GET","url":"http://shop.example%s","headers":[{"name":"Cookie","value":"a"}]},`+
		`"response":{"status":200,"headers":[],"content":{"size":2,"text":"ok"}},"timings":{"wait":1,"receive":1}}`,
		time.UnixMilli(1_700_000_000_000+int64(at)).UTC().Format(time.RFC3339Nano), target)
}

func TestBrowserExport(t *testing.T) {
	r, err := Open(Config{Name: "web", Paths: []string{filepath.Join(corpus, "browser.har")}, Hosts: []string{"Shop.example"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	xs := drain(t, r)
	if want := (source.Counts{Read: 2, Paired: 2, Records: 6, NotHTTP: 3, ForeignHost: 1}); r.Counts() != want {
		t.Errorf("counts %+v, want %+v", r.Counts(), want)
	}
	if ws := r.Warnings(); len(ws) > 0 {
		t.Errorf("warnings %v", ws)
	}
	if done, total := r.Progress(); done != total || total == 0 {
		t.Errorf("progress %d of %d", done, total)
	}
	want := []*traffic.Exchange{{
		Source: "web", Session: "shop.example#443123",
		At: time.Date(2026, 11, 20, 9, 0, 0, 100e6, time.UTC),
		Request: traffic.Request{
			Method: "GET", Target: "/orders?id=7&q=a%20b", Proto: "HTTP/2",
			Header: traffic.Header{{Name: "Host", Value: "shop.example"}, {Name: "accept", Value: "application/json"}, {Name: "cookie", Value: "sid=1"}},
		},
		Response: &traffic.Response{
			Status: 200, Proto: "HTTP/2",
			Header: traffic.Header{{Name: "content-type", Value: "application/json"}, {Name: "set-cookie", Value: "a=1; Path=/"}, {Name: "set-cookie", Value: "b=2; Path=/"}},
			Body:   traffic.Body{Bytes: []byte(`{"id":7,"n":1}`)},
		},
		Timing: traffic.Timing{Kind: traffic.TimingClient, TTFB: 40500 * time.Microsecond, Total: 42750 * time.Microsecond},
	}, {
		Source: "web", Session: "shop.example#443123",
		At: time.Date(2026, 11, 20, 9, 0, 0, 300e6, time.UTC),
		Request: traffic.Request{
			Method: "POST", Target: "/orders", Proto: "HTTP/2",
			Header: traffic.Header{{Name: "Host", Value: "shop.example"}, {Name: "content-type", Value: "application/json"}, {Name: "content-length", Value: "16"}},
			Body:   traffic.Body{Bytes: []byte(`{"item":"café"}`)},
		},
		Response: &traffic.Response{Status: 201, Reason: "Created", Proto: "HTTP/2", Body: traffic.Body{State: traffic.Missing}},
		Timing:   traffic.Timing{Kind: traffic.TimingClient, TTFB: 12 * time.Millisecond, Total: 12 * time.Millisecond},
	}}
	text, err := os.ReadFile(filepath.Join(corpus, "browser.har"))
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range xs {
		if !bytes.Contains(text[x.Offset:min(int(x.Offset)+900, len(text))], []byte(x.Request.Target)) || text[x.Offset] != '{' {
			t.Errorf("offset %d is not where entry %d begins", x.Offset, i)
		}
		x.Offset = 0
		if !reflect.DeepEqual(x, want[i]) {
			t.Errorf("exchange %d is\n%+v\nnot\n%+v", i, *x, *want[i])
		}
	}
}

func TestAllHosts(t *testing.T) {
	r, err := Open(Config{Paths: []string{filepath.Join(corpus, "browser.har")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	xs := drain(t, r)
	if len(xs) != 3 || xs[1].Request.Host() != "cdn.example" {
		t.Fatalf("%d exchanges", len(xs))
	}
	if got := string(xs[1].Response.Body.Bytes); got != "\x89PNG" {
		t.Errorf("body %q", got)
	}
	if xs[1].Timing != (traffic.Timing{}) || xs[1].Session != "" {
		t.Errorf("timing %+v, session %q", xs[1].Timing, xs[1].Session)
	}
}

func TestRequests(t *testing.T) {
	const head = `{"startedDateTime":"2026-11-20T09:00:00Z","request":`
	for _, tt := range []struct {
		name    string
		request string
		want    string // method, target, header, body
		fate    source.Counts
	}{
		{"host from the URL", `{"method":"GET","url":"http://shop.example:8080","headers":[]}`, "GET / | Host: shop.example:8080 | ", source.Counts{}},
		{"query without a path", `{"method":"GET","url":"HTTP://shop.example?a=b","headers":[]}`, "GET /?a=b | Host: shop.example | ", source.Counts{}},
		{"query as written", `{"method":"GET","url":"http://shop.example/a//b/../c?x=%2f&x=+&&y","headers":[]}`, "GET /a//b/../c?x=%2f&x=+&&y | Host: shop.example | ", source.Counts{}},
		{"user information", `{"method":"GET","url":"http://me:secret@shop.example/","headers":[]}`, "GET / | Host: shop.example | ", source.Counts{}},
		{"host as recorded", `{"method":"GET","url":"http://10.0.0.1/","headers":[{"name":"A","value":"b"},{"name":"host","value":"shop.example"}]}`, "GET / | A: b; host: shop.example | ", source.Counts{}},
		{"headers as pairs", `{"method":"GET","url":"http://shop.example/","headers":[["A","b"],["A","c"]]}`, "GET / | Host: shop.example; A: b; A: c | ", source.Counts{}},
		{"length added", `{"method":"POST","url":"http://shop.example/","headers":[],"postData":{"text":"x=1"}}`, "POST / | Host: shop.example; Content-Length: 3 | x=1", source.Counts{}},
		{"transfer coding dropped", `{"method":"POST","url":"http://shop.example/","headers":[["Transfer-Encoding","chunked"]],"postData":{"text":"x=1"}}`, "POST / | Host: shop.example; Content-Length: 3 | x=1", source.Counts{}},
		{"form", `{"method":"POST","url":"http://shop.example/","headers":[],"postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"a b","value":"ü&"},{"name":"a b","value":""}]}}`,
			"POST / | Host: shop.example; Content-Length: 18 | a+b=%C3%BC%26&a+b=", source.Counts{}},
		{"base64", `{"method":"POST","url":"http://shop.example/","headers":[],"postData":{"encoding":"base64","text":"AP8="}}`, "POST / | Host: shop.example; Content-Length: 2 | \x00\xff", source.Counts{}},
		{"upload by parameters", `{"method":"POST","url":"http://shop.example/","headers":[],"postData":{"mimeType":"multipart/form-data; boundary=x","params":[{"name":"f","fileName":"a.png"}]}}`, "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"bytes that were no text", `{"method":"POST","url":"http://shop.example/","headers":[],"bodySize":3,"postData":{"text":"a\ufffdb"}}`, "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"body not recorded", `{"method":"POST","url":"http://shop.example/","headers":[["content-length","7"]]}`, "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"tunnel", `{"method":"CONNECT","url":"https://shop.example:443/","headers":[]}`, "", source.Counts{NotHTTP: 1}},
		{"web socket", `{"method":"GET","url":"wss://shop.example/","headers":[]}`, "", source.Counts{NotHTTP: 1}},
		{"blob", `{"method":"GET","url":"blob:https://shop.example/1","headers":[]}`, "", source.Counts{NotHTTP: 1}},
		{"request line injected", `{"method":"GET","url":"http://shop.example/ HTTP/1.1\r\nX: y","headers":[]}`, "", source.Counts{Malformed: 1}},
		{"header injected", `{"method":"GET","url":"http://shop.example/","headers":[["A\r\nB","c"]]}`, "", source.Counts{Malformed: 1}},
		{"value injected", `{"method":"GET","url":"http://shop.example/","headers":[["A","b\r\nC: d"]]}`, "GET / | Host: shop.example; A: b; A: C: d | ", source.Counts{}},
		{"no request", `null`, "", source.Counts{Malformed: 1}},
		{"method is a number", `{"method":7,"url":"http://shop.example/","headers":[]}`, "", source.Counts{Malformed: 1}},
		{"no method", `{"url":"http://shop.example/","headers":[]}`, "", source.Counts{Malformed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, Config{}, archive(head+tt.request+`}`))
			xs := drain(t, r)
			got := ""
			for _, x := range xs {
				var fields []string
				for _, f := range x.Request.Header {
					fields = append(fields, f.Name+": "+f.Value)
				}
				got += fmt.Sprintf("%s %s | %s | %s", x.Request.Method, x.Request.Target, strings.Join(fields, "; "), x.Request.Body.Bytes)
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			c := r.Counts()
			c.Records, c.Read = 0, 0
			if c != tt.fate {
				t.Errorf("counts %+v, want %+v", c, tt.fate)
			}
			for _, w := range r.Warnings() {
				if strings.Contains(w.Text, "shop.example") || strings.Contains(w.Text, "secret") {
					t.Errorf("warning quotes the recording: %s", w)
				}
			}
		})
	}
}

func TestResponses(t *testing.T) {
	for _, tt := range []struct {
		name, method, response string
		want                   string // header, body, state; or what it is counted as
	}{
		{"decoded text", "GET", `{"status":200,"headers":[["Content-Encoding","gzip"],["Content-Length","40"],["Transfer-Encoding","chunked"],["A","b"]],"content":{"size":2,"text":"ok"}}`, "A: b | ok | complete"},
		{"HEAD keeps its length", "HEAD", `{"status":200,"headers":[["Content-Length","40"]],"content":{"size":40}}`, "Content-Length: 40 |  | complete"},
		{"304", "GET", `{"status":304,"headers":[["Content-Length","40"]],"content":{"size":40}}`, "Content-Length: 40 |  | complete"},
		{"empty", "GET", `{"status":200,"headers":[],"content":{"size":0,"text":""}}`, " |  | complete"},
		{"discarded", "GET", `{"status":200,"headers":[],"content":{"size":9,"comment":"Response bodies are not included."}}`, " |  | missing"},
		{"of unknown size", "GET", `{"status":200,"headers":[],"content":{"size":-1}}`, " |  | missing"},
		{"broken base64", "GET", `{"status":200,"headers":[],"content":{"size":9,"encoding":"base64","text":"!"}}`, " |  | missing"},
		{"cut", "GET", `{"status":200,"headers":[],"content":{"size":9,"text":"half"}}`, " | half | truncated"},
		{"size before decoding", "GET", `{"status":200,"headers":[["content-encoding","gzip"]],"content":{"size":27,"text":"{}"}}`, " | {} | complete"},
		{"Latin-1", "GET", `{"status":200,"headers":[["Content-Type","text/plain; charset=ISO-8859-1"]],"content":{"size":2,"text":"\u00e9t"}}`, "Content-Type: text/plain; charset=ISO-8859-1 | \xe9t | complete"},
		{"pseudo header", "GET", `{"status":200,"headers":[[":status","200"]],"content":{"size":2,"text":"ok"}}`, " | ok | complete"},
		{"none", "GET", `null`, "none"},
		{"failed", "GET", `{"status":0,"headers":[],"content":{}}`, "not HTTP"},
		{"failed in Playwright", "GET", `{"status":-1,"headers":[],"content":{}}`, "not HTTP"},
		{"failed in mitmproxy", "GET", `{"status":200,"headers":[],"content":{},"_error":"reset"}`, "not HTTP"},
		{"no error", "GET", `{"status":200,"headers":[],"content":{"size":2,"text":"ok"},"_error":null}`, " | ok | complete"},
		{"upgraded", "GET", `{"status":101,"headers":[],"content":{}}`, "not HTTP"},
		{"mocked", "GET", `{"status":200,"headers":[],"content":{},"_wasFulfilled":true}`, "not HTTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, Config{}, archive(`{"startedDateTime":"2026-11-20T09:00:00Z","connection":7,"request":{"method":"`+tt.method+`","url":"http://a/","headers":[["Authorization","x"]]},"response":`+tt.response+`}`))
			xs := drain(t, r)
			got := "not HTTP"
			switch {
			case len(xs) == 1 && xs[0].Response == nil:
				got = "none"
			case len(xs) == 1:
				var fields []string
				for _, f := range xs[0].Response.Header {
					fields = append(fields, f.Name+": "+f.Value)
				}
				body := xs[0].Response.Body
				got = fmt.Sprintf("%s | %s | %s", strings.Join(fields, "; "), body.Bytes, body.State)
			case r.Counts().NotHTTP != 1:
				got = fmt.Sprintf("%+v", r.Counts())
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(xs) == 1 && xs[0].Session != "a#7" {
				t.Errorf("session %q", xs[0].Session)
			}
			if ws := r.Warnings(); len(ws) > 0 {
				t.Errorf("warnings %v", ws)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 11, 20, 9, 0, 0, 123e6, time.UTC)
	for _, s := range []string{"2026-11-20T09:00:00.123Z", "2026-11-20T10:00:00.123+01:00", "2026-11-20T10:00:00.123000+0100", "2026-11-20T09:00:00.123"} {
		if got, err := parseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "yesterday", "1795166295", "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func targets(xs []*traffic.Exchange) string {
	var out []string
	for _, x := range xs {
		out = append(out, x.Request.Target)
	}
	return strings.Join(out, " ")
}

func TestDamage(t *testing.T) {
	one, two, three := get(1, "/1"), get(2, "/2"), get(3, "/3")
	for _, tt := range []struct {
		name, text string
		targets    string
		lost       source.Counts
		warnings   int
	}{
		{"nothing in it", archive(), "", source.Counts{}, 0},
		{"byte order mark", "\ufeff" + archive(one), "/1", source.Counts{}, 0},
		{"entry of another shape", archive(one, `{"startedDateTime":5}`, two), "/1 /2", source.Counts{Malformed: 1}, 1},
		{"entry that is no JSON", archive(one, `{"startedDateTime":nope}`, two), "/1 /2", source.Counts{Malformed: 1}, 1},
		{"no entry", archive(one, `null`, `[1,{"a":"]"}]`, `"{"`, two), "/1 /2", source.Counts{Malformed: 3}, 3},
		{"cut between entries", strings.TrimSuffix(archive(one, two), "]}}"), "/1 /2", source.Counts{Truncated: 1}, 1},
		{"cut in an entry", strings.TrimSuffix(archive(one, two, three), three[20:]+"]}}"), "/1 /2", source.Counts{Truncated: 1}, 1},
		{"something after the archive", archive(one) + "trailing", "/1", source.Counts{}, 0},
		{"out of order", archive(three, one, two), "/1 /2 /3", source.Counts{}, 0},
		{"bad time", archive(one, strings.Replace(two, "2023-", "20x3-", 1)), "/1", source.Counts{Malformed: 1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, Config{}, tt.text)
			if got := targets(drain(t, r)); got != tt.targets {
				t.Errorf("got %s, want %s", got, tt.targets)
			}
			c := r.Counts()
			c.Records, c.Read, c.Paired = 0, 0, 0
			if c != tt.lost {
				t.Errorf("losses %+v, want %+v", c, tt.lost)
			}
			if ws := r.Warnings(); len(ws) != tt.warnings {
				t.Errorf("warnings %v", ws)
			}
		})
	}
}

func TestWarningGivesTheByte(t *testing.T) {
	r := open(t, Config{}, archive(get(1, "/1"), `{"startedDateTime":5}`))
	drain(t, r)
	want := fmt.Sprintf("t.har: byte %d: entry left out: startedDateTime is a JSON number", strings.Index(archive(get(1, "/1"), "X"), "X"))
	if ws := r.Warnings(); len(ws) != 1 || ws[0].String() != want {
		t.Errorf("warnings %v, want %s", ws, want)
	}
}

func TestTooLongEntry(t *testing.T) {
	text := archive(get(1, "/1"), get(2, "/"+strings.Repeat("x", 300_000)), get(3, "/3"))
	log := new(source.Ledger)
	f := newFile("t.har", io.NopCloser(strings.NewReader(text)), log)
	f.order, f.array.limit = source.Order{Exchanges: 10, Bytes: windowBytes}, 100_000
	r := &Reader{source.NewReader([]source.Input{{Open: func() (io.ReadCloser, error) { return f.in, nil }}}, new(source.Meter), log,
		func(string, io.ReadCloser) (*file, error) { return f, nil })}
	if got := targets(drain(t, r)); got != "/1 /3" {
		t.Errorf("got %s", got)
	}
	if c := r.Counts(); c.Malformed != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestSanitizedExport(t *testing.T) {
	r := open(t, Config{}, archive(strings.Replace(get(1, "/"), "Cookie", "Accept", 1)))
	drain(t, r)
	if ws := r.Warnings(); len(ws) != 1 || !strings.Contains(ws[0].Text, "sanitized") {
		t.Errorf("warnings %v", ws)
	}
}

func TestWindow(t *testing.T) {
	var entries []string
	for i := range 200 {
		entries = append(entries, get(i, fmt.Sprintf("/%03d", i)))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(entries); i += 10 {
		block := entries[i:min(i+10, len(entries))]
		rng.Shuffle(len(block), func(i, j int) { block[i], block[j] = block[j], block[i] })
	}
	r := open(t, Config{Window: 10}, archive(entries...))
	xs := drain(t, r)
	if !slices.IsSortedFunc(xs, func(a, b *traffic.Exchange) int { return a.At.Compare(b.At) }) || len(xs) != 200 {
		t.Errorf("%d exchanges: %s", len(xs), targets(xs))
	}
	if ws := r.Warnings(); len(ws) > 0 {
		t.Errorf("warnings %v", ws)
	}

	slices.Reverse(entries)
	r = open(t, Config{Window: 10}, archive(entries...))
	if xs := drain(t, r); len(xs) != 200 {
		t.Errorf("%d exchanges", len(xs))
	}
	if ws := r.Warnings(); len(ws) != 1 || !strings.Contains(ws[0].Text, "out of order") {
		t.Errorf("warnings %v", ws)
	}
}

func TestSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	io.WriteString(zw, archive(get(1, "/1"), get(4, "/4"), get(9, "/9")))
	zw.Close()
	for name, text := range map[string]string{"b.har": z.String(), "a.har": archive(get(2, "/2"), get(8, "/8")), "c.har": archive()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(Config{Paths: []string{filepath.Join(dir, "*.har")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := targets(drain(t, r)); got != "/1 /2 /4 /8 /9" {
		t.Errorf("got %s", got)
	}
}

func TestNotHAR(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.har")
	for _, tt := range []struct{ name, text, says string }{
		{"empty", "", "byte 0"},
		{"a list", `[]`, "byte 1"},
		{"text", `hello`, "byte 0"},
		{"no log", `{"a":{"entries":[]}}`, "byte"},
		{"no entries", `{"log":{"pages":[{"entries":[]}],"version":"1.2"}}`, "byte"},
		{"entries are no list", `{"log":{"entries":{}}}`, "byte"},
		{"cut before the entries", `{"log":{"pages":[{`, "byte"},
		{"an archive of Playwright", "PK\x03\x04....", "zip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Config{Paths: []string{path}})
			if !errors.Is(err, ErrNotHAR) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := Open(Config{Paths: []string{filepath.Join(dir, "none.har")}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func FuzzHAR(f *testing.F) {
	text, err := os.ReadFile(filepath.Join(corpus, "browser.har"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(archive(get(2, "/2"), `null`, get(1, "/1"))))
	f.Add([]byte(archive(`{"startedDateTime":"2026-11-20T09:00:00","request":{"method":"POST","url":"http://a?b","headers":[["a","b"]],"postData":{"params":[{"name":"x"}]}}}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := open(t, Config{Window: 3}, string(text))
		for {
			x, err := r.Next(context.Background())
			if errors.Is(err, ErrNotHAR) {
				return
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(x.Request.Method+x.Request.Target, " \r\n") {
				t.Errorf("request line %q %q", x.Request.Method, x.Request.Target)
			}
			for _, h := range x.Request.Header {
				if strings.ContainsAny(h.Name+h.Value, "\r\n\x00") {
					t.Errorf("field %q: %q", h.Name, h.Value)
				}
			}
		}
		c := r.Counts()
		if c.Records != c.Read+c.Malformed+c.NotHTTP+c.ForeignHost+c.TruncatedRequests {
			t.Errorf("counts do not add up: %+v", c)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	text, err := os.ReadFile(filepath.Join(corpus, "browser.har"))
	if err != nil {
		b.Fatal(err)
	}
	list := text[bytes.Index(text, []byte(`"entries": [`))+len(`"entries": [`) : bytes.LastIndexByte(text, ']')]
	all := archive(slices.Repeat([]string{string(list)}, 500)...)
	b.SetBytes(int64(len(all)))
	b.ReportAllocs()
	for b.Loop() {
		r := open(b, Config{}, all)
		for {
			if _, err := r.Next(context.Background()); err != nil {
				break
			}
		}
		if r.Counts().Records != 3000 {
			b.Fatalf("counts %+v", r.Counts())
		}
	}
}

func TestElementsAreFoundAcrossReads(t *testing.T) {
	entries := []string{`{"a":"\\"}`, `{"a":"\"}"}`, `{"a":"\\\"{[","b":[{"c":"]"}]}`, `{"":"\\\\"}`, `{}`}
	for size := 1; size < 12; size++ {
		a := array{in: &slowReader{strings.NewReader(archive(entries...)), size}, limit: maxEntry}
		for _, want := range entries {
			got, offset, err := a.next()
			if err != nil || string(got) != want {
				t.Fatalf("reads of %d bytes: got %q at %d, %v; want %q", size, got, offset, err, want)
			}
		}
		if _, _, err := a.next(); err != io.EOF {
			t.Errorf("error %v at the end", err)
		}
	}
}

// slowReader reads at most size bytes at once.
type slowReader struct {
	in   io.Reader
	size int
}

func (r *slowReader) Read(p []byte) (int, error) { return r.in.Read(p[:min(len(p), r.size)]) }
