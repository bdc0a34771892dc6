package accesslog

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const fixture = "../../../testdata/nginx/nginx_access.jsonl"

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

func readText(t testing.TB, cfg Config, text string) ([]*traffic.Exchange, *Reader) {
	t.Helper()
	r := newReader(cfg, []source.Input{{Name: "x.log", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}}, new(source.Meter))
	return read(t, r), r
}

// show gives all that a line said.
func show(x *traffic.Exchange) string {
	s := fmt.Sprintf("%s %s %s %s %s|%s|%v", x.At.UTC().Format("2006-01-02T15:04:05.000000"), x.Request.Method, x.Request.Target, x.Request.Proto, x.Request.Body.State, x.Session, x.Request.Header)
	if x.Response == nil {
		return s + "|-"
	}
	return s + fmt.Sprintf("|%d %s %v %v", x.Response.Status, x.Response.Body.State, x.Timing.Kind, x.Timing.Total)
}

const cloudFrontHead = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte\n"

func cloudFrontRow(method, stem, query, result string) string {
	return strings.Join([]string{"2019-12-04", "21:02:31", "LAX1", "392", "192.0.2.100", method, "d111.cloudfront.net", stem, "200", "-", "Mozilla/5.0%20(X11)", query, "-", result, "id1", "shop.test", "https", "23", "1.001", "-", "TLSv1.2", "x", result, "HTTP/2.0", "-", "-", "11040", "0.001"}, "\t") + "\n"
}

const albLine = `https 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 201 0 57 "GET https://www.example.com:443/p?q=1 HTTP/1.1" "curl/7.46.0" ECDHE TLSv1.2 arn:x "Root=1-58337281" "www.example.com" "arn:y" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "201" "-" "-" TID_1`

func TestLines(t *testing.T) {
	custom := Fields{"time": "ts", "time_unit": "ms", "time_is": "end", "method": "http.verb", "uri": "http.path", "query": "q", "status": "code", "latency": "ms", "took": "all", "host": "h", "user_agent": "ua"}
	for _, tt := range []struct {
		name   string
		format Format
		fields Fields
		line   string
		want   string // "" for one that becomes no exchange
		count  source.Counts
	}{
		{"combined", Combined, nil, `10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?a=b%20c HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 \"[en]\" (Win98; I)"`,
			`2000-10-10T20:55:36.000000 GET /apache_pb.gif?a=b%20c HTTP/1.0 complete|10.0.0.1|[{User-Agent Mozilla/4.08 "[en]" (Win98; I)} {Referer http://www.example.com/start.html}]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"common", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "HEAD / HTTP/1.1" 304 -`,
			`2000-10-10T13:55:36.000000 HEAD / HTTP/1.1 complete|::1|[]|304 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"virtual host", Combined, nil, `shop.test:443 10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`,
			`2000-10-10T13:55:36.000000 GET / HTTP/1.1 complete|10.0.0.1|[{Host shop.test}]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"a body that is not there", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "POST /x HTTP/1.1" 201 5 "-" "-"`,
			`2000-10-10T13:55:36.000000 POST /x HTTP/1.1 missing|::1|[]|201 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"a client that went away", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "GET /x HTTP/1.1" 499 0 "-" "-"`,
			`2000-10-10T13:55:36.000000 GET /x HTTP/1.1 complete|::1|[]|-`, source.Counts{Records: 1, Read: 1}},
		{"an escaped field that would split", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "GET /x HTTP/1.1" 200 0 "-" "a\x0d\x0aB: c"`,
			`2000-10-10T13:55:36.000000 GET /x HTTP/1.1 complete|::1|[]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"a target that would split", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "GET /x\x0d\x0aB:c HTTP/1.1" 200 0 "-" "-"`, "", source.Counts{Records: 1, NotHTTP: 1}},
		{"bytes above 0x7f", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "GET /\xC3\xA9 HTTP/1.1" 200 0 "-" "-"`,
			"2000-10-10T13:55:36.000000 GET /é HTTP/1.1 complete|::1|[]|200 missing  0s", source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"TLS", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "\x16\x03\x01" 400 150 "-" "-"`, "", source.Counts{Records: 1, NotHTTP: 1}},
		{"no request", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "-" 408 0 "-" "-"`, "", source.Counts{Records: 1, NotHTTP: 1}},
		{"a tunnel", Combined, nil, `::1 - - [10/Oct/2000:13:55:36 +0000] "CONNECT a:443 HTTP/1.1" 405 0 "-" "-"`, "", source.Counts{Records: 1, NotHTTP: 1}},
		{"a bad time", Combined, nil, `::1 - - [10/Oct/2000 13:55:36] "GET / HTTP/1.1" 200 0 "-" "-"`, "", source.Counts{Records: 1, Malformed: 1}},
		{"another log", Combined, nil, `hello world`, "", source.Counts{Records: 1, Malformed: 1}},

		{"nginx", NginxJSON, nil, `{"ts":"1795166431.211","id":"7d","conn":"3","method":"GET","uri":"/pct/10","host":"a:1","status":"200","rt":"0.137","urt":"0.010, 0.136"}`,
			`2026-11-20T09:20:31.074000 GET /pct/10 HTTP/1.1 complete|3|[{Host a:1}]|200 missing wire 136ms`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"nginx without upstream", NginxJSON, nil, `{"msec":1795166431.5,"request":"GET /a HTTP/2.0","status":200,"upstream_response_time":"-"}`,
			`2026-11-20T09:20:31.500000 GET /a HTTP/2.0 complete||[]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"nginx, not UTF-8", NginxJSON, nil, "{\"ts\":\"1795166431.2\",\"method\":\"GET\",\"uri\":\"/\xe9\",\"status\":\"200\",\"body\":\"\xff\"}",
			"2026-11-20T09:20:31.200000 GET /\xe9 HTTP/1.1 complete||[]|200 missing  0s", source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"nginx, empty request", NginxJSON, nil, `{"ts":"1795166431.2","request":"","status":"400"}`, "", source.Counts{Records: 1, NotHTTP: 1}},
		{"no JSON", NginxJSON, nil, `{"ts":"1795166431.2",`, "", source.Counts{Records: 1, Malformed: 1}},

		{"envoy", Envoy, nil, `[2016-04-15T20:17:00.310Z] "GET /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21" "locations" "tcp://10.0.2.1:80"`,
			`2016-04-15T20:17:00.310000 GET /api/v1/locations HTTP/2 complete|10.0.35.28|[{Host locations} {User-Agent nsq2http}]|204 missing wire 100ms`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"envoy TCP", Envoy, nil, `[2016-04-15T20:17:00.310Z] "- - -" 0 - 154 0 226 - "-" "-" "-" "-" "tcp://10.0.2.1:80"`, "", source.Counts{Records: 1, NotHTTP: 1}},
		{"istio", Envoy, nil, `{"start_time":"2016-04-15T20:17:00.310Z","method":"GET","path":"/a","protocol":"HTTP/1.1","response_code":200,"upstream_service_time":"7","authority":"a.b","request_id":"1"}`,
			`2016-04-15T20:17:00.310000 GET /a HTTP/1.1 complete||[{Host a.b}]|200 missing wire 7ms`, source.Counts{Records: 1, Read: 1, Paired: 1}},

		{"alb", ALB, nil, albLine,
			`2018-07-02T22:22:48.364000 GET /p?q=1 HTTP/1.1 complete|192.168.131.39:2817|[{Host www.example.com} {User-Agent curl/7.46.0}]|201 missing wire 48ms`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"alb, no target", ALB, nil, strings.NewReplacer("0.086 0.048 0.037 200 201", "-1 -1 -1 503 -", ":443/p", ":8443/p").Replace(albLine),
			`2018-07-02T22:22:48.364000 GET /p?q=1 HTTP/1.1 complete|192.168.131.39:2817|[{Host www.example.com:8443} {User-Agent curl/7.46.0}]|-`, source.Counts{Records: 1, Read: 1}},
		{"alb redirect", ALB, nil, strings.Replace(albLine, "authenticate,forward", "redirect", 1), "", source.Counts{Records: 1, NotHTTP: 1}},
		{"alb websocket", ALB, nil, "wss" + albLine[5:], "", source.Counts{Records: 1, NotHTTP: 1}},
		{"alb garbage", ALB, nil, strings.Replace(albLine, "GET https://www.example.com:443/p?q=1 HTTP/1.1", "- http://x:80- -", 1), "", source.Counts{Records: 1, NotHTTP: 1}},

		{"cloudfront", CloudFront, nil, cloudFrontHead + cloudFrontRow("GET", "/a%2520b", "x=%25C3%25A9", "Miss"),
			`2019-12-04T21:02:29.000000 GET /a%20b?x=%C3%A9 HTTP/2.0 complete|192.0.2.100:11040|[{Host shop.test} {User-Agent Mozilla/5.0 (X11)}]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"cloudfront, encoded once", CloudFront, nil, cloudFrontHead + cloudFrontRow("GET", "/a%20b", "-", "Miss"),
			`2019-12-04T21:02:29.000000 GET /a%20b HTTP/2.0 complete|192.0.2.100:11040|[{Host shop.test} {User-Agent Mozilla/5.0 (X11)}]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"cloudfront cache", CloudFront, nil, cloudFrontHead + cloudFrontRow("GET", "/", "-", "Hit"), "", source.Counts{Records: 1, NotHTTP: 1}},
		{"cloudfront without fields", CloudFront, nil, cloudFrontRow("GET", "/", "-", "Miss"), "", source.Counts{Records: 1, Malformed: 1}},

		{"json", JSON, custom, `{"ts":1700000000250,"http":{"verb":"GET","path":"/a"},"q":"b=1","code":404,"ms":12.5,"all":250,"h":"a.b","ua":"x"}`,
			`2023-11-14T22:13:20.000000 GET /a?b=1 HTTP/1.1 complete||[{Host a.b} {User-Agent x}]|404 missing wire 12.5ms`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"json with an absolute URL", JSON, custom, `{"ts":1700000000250,"http":{"verb":"GET","path":"https://u:p@c.d:443?x"},"code":200}`,
			`2023-11-14T22:13:20.250000 GET /?x HTTP/1.1 complete||[{Host c.d}]|200 missing  0s`, source.Counts{Records: 1, Read: 1, Paired: 1}},
		{"json with a bad status", JSON, custom, `{"ts":1700000000250,"http":{"verb":"GET","path":"/"},"code":"ok"}`, "", source.Counts{Records: 1, Malformed: 1}},
		{"json without a time", JSON, custom, `{"http":{"verb":"GET","path":"/"},"code":200}`, "", source.Counts{Records: 1, Malformed: 1}},
		{"too long", Combined, nil, strings.Repeat("x", maxLine+5), "", source.Counts{Records: 1, Malformed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			xs, r := readText(t, Config{Format: tt.format, Fields: tt.fields}, tt.line+"\r\n\n")
			if r.Counts() != tt.count {
				t.Errorf("got %+v, want %+v; %v", r.Counts(), tt.count, r.Warnings())
			}
			got := ""
			if len(xs) == 1 {
				got = show(xs[0])
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for _, w := range r.Warnings() {
				if strings.Contains(w.String(), "GET") || strings.Contains(w.String(), "hello") {
					t.Errorf("warning quotes: %s", w)
				}
			}
		})
	}
}

func TestRealFile(t *testing.T) {
	r, err := Open(Config{Name: "day", Paths: []string{fixture}, Format: NginxJSON})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var last time.Time
	posts, timed := 0, 0
	for _, x := range read(t, r) {
		if x.At.Before(last) || x.Source != "day" || x.Request.Header.Get("Host") != "127.0.0.1:18070" || x.Response == nil {
			t.Errorf("%s", show(x))
		}
		last = x.At
		if x.Request.Method == "POST" {
			posts++
		}
		if x.Timing.Kind == traffic.TimingWire {
			timed++
		}
	}
	if c := r.Counts(); c.Read != 46 || c.Paired != 46 || posts != 2 || timed != 45 {
		t.Errorf("%+v, %d posts, %d timed; %v", c, posts, timed, r.Warnings())
	}
	if done, total := r.Progress(); done != total || total == 0 {
		t.Errorf("progress %d of %d", done, total)
	}
}

func combined(second int, path string) string {
	return fmt.Sprintf("::1 - - [10/Oct/2000:13:55:%02d +0000] \"GET %s HTTP/1.1\" 200 5 \"-\" \"-\"\n", second, path)
}

func TestSecondsAreSpread(t *testing.T) {
	text := combined(36, "/1") + combined(37, "/5") + combined(36, "/2") + combined(36, "/3") + combined(36, "/4") + combined(37, "/6")
	xs, _ := readText(t, Config{Format: Combined}, text)
	var got []string
	for _, x := range xs {
		got = append(got, x.Request.Target+" "+x.At.Format("05.000"))
	}
	if want := "/1 36.000 /2 36.250 /3 36.500 /4 36.750 /5 37.000 /6 37.500"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}

func TestASecondLargerThanTheWindow(t *testing.T) {
	var text strings.Builder
	for i := range 50 {
		text.WriteString(combined(36, fmt.Sprintf("/%d", i)))
	}
	xs, _ := readText(t, Config{Format: Combined, Window: 8}, text.String())
	for i, x := range xs {
		if x.Request.Target != fmt.Sprintf("/%d", i) || i > 0 && x.At.Before(xs[i-1].At) || x.At.Second() != 36 {
			t.Errorf("%d: %s", i, show(x))
		}
	}
}

func TestOpenAndDetect(t *testing.T) {
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	io.WriteString(z, combined(1, "/")+combined(2, "/"))
	z.Close()
	nginx, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		want       Format
	}{
		{"combined", combined(1, "/"), Combined},
		{"gzip", gz.String(), Combined},
		{"nginx", string(nginx), NginxJSON},
		{"envoy", `[2016-04-15T20:17:00.310Z] "GET / HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21" "locations" "tcp://10.0.2.1:80"` + "\n", Envoy},
		{"istio", `{"start_time":"2016-04-15T20:17:00.310Z","method":"GET","path":"/a","response_code":200}`, Envoy},
		{"alb", albLine, ALB},
		{"cloudfront", cloudFrontHead + cloudFrontRow("GET", "/", "-", "Miss"), CloudFront},
		{"text", "hello\nworld\n", ""},
		{"har", `{"log": {"entries": []}}`, ""},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Detect(name)
			if got != tt.want || (err != nil) != (tt.want == "") || err != nil && !errors.Is(err, ErrNotLog) {
				t.Errorf("got %q, %v", got, err)
			}
			r, err := Open(Config{Paths: []string{name}, Format: tt.want})
			if (err != nil) != (tt.want == "") {
				t.Fatal(err)
			}
			if err == nil {
				if len(read(t, r)) == 0 {
					t.Error("no exchange")
				}
				r.Close()
			}
		})
	}
	if _, err := Open(Config{Paths: []string{fixture}, Format: ALB}); !errors.Is(err, ErrNotLog) {
		t.Errorf("wrong format: %v", err)
	}
	if _, err := Open(Config{Paths: []string{fixture}, Format: JSON, Fields: Fields{"time": "ts"}}); err == nil {
		t.Error("fields are not checked")
	}
}

func TestFilesAreMerged(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": combined(1, "/1") + combined(3, "/3"), "b": combined(2, "/2") + combined(4, "/4")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(Config{Paths: []string{filepath.Join(dir, "*")}, Format: Combined})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, x := range read(t, r) {
		if x.Request.Target != fmt.Sprintf("/%d", i+1) {
			t.Errorf("%d is %s", i, x.Request.Target)
		}
	}
}

func TestSubrequestsOfNginx(t *testing.T) {
	line := func(at, took, id string) string {
		return `{"ts":"1795166431.` + at + `","rt":"` + took + `","id":"` + id + `","conn":"3","method":"GET","uri":"/a","status":"200"}` + "\n"
	}
	for _, tt := range []struct {
		name, text string
		read       int
	}{
		{"a mirror within its request", line("210", "0.005", "1") + line("211", "0.009", "1"), 1},
		{"two of them", line("210", "0.005", "1") + line("211", "0.004", "1") + line("212", "0.010", "1"), 1},
		{"a client that tries again", line("210", "0.005", "1") + line("220", "0.005", "1"), 2},
		{"other ids", line("210", "0.005", "1") + line("211", "0.009", "2"), 2},
		{"no id", line("210", "0.005", "") + line("211", "0.009", ""), 2},
	} {
		xs, r := readText(t, Config{Format: NginxJSON}, tt.text)
		if len(xs) != tt.read || r.Counts().NotHTTP != int64(strings.Count(tt.text, "\n")-tt.read) {
			t.Errorf("%s: %d exchanges, %+v", tt.name, len(xs), r.Counts())
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add(combined(1, "/"))
	f.Add(albLine)
	f.Add(cloudFrontHead + cloudFrontRow("GET", "/a%2520b", "x=%25C3%25A9", "Miss"))
	f.Add(`[2016-04-15T20:17:00.310Z] "GET / HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21" "locations" "tcp://10.0.2.1:80"`)
	f.Add(`{"ts":"1795166431.211","method":"GET","uri":"/` + "\xff" + `","status":"200","rt":"0.137","urt":"0.010, 0.136"}`)
	f.Add(`::1 - - [10/Oct/2000:13:55:36 +0000] "GET /\x` + "\n")
	custom := Fields{"time": "a.ts", "request": "msec", "host": "host"}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range Formats() {
			xs, _ := readText(t, Config{Format: format, Fields: custom}, text)
			for _, x := range xs {
				if x.At.IsZero() || strings.ContainsAny(x.Request.Target+x.Request.Method, " \r\n") || strings.ContainsAny(fmt.Sprint(x.Request.Header), "\r\n") {
					t.Errorf("%s", show(x))
				}
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	nginx, err := os.ReadFile(fixture)
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		format Format
		text   string
	}{{NginxJSON, strings.Repeat(string(nginx), 50)}, {Combined, strings.Repeat(combined(1, "/orders?id=7"), 2000)}, {ALB, strings.Repeat(albLine+"\n", 2000)}} {
		b.Run(string(bb.format), func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				readText(b, Config{Format: bb.format}, bb.text)
			}
		})
	}
}
