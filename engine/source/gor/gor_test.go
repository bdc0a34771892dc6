package gor

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
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const corpus = "../../../testdata/gor"

// open reads recordings from memory, in the order of their names.
func open(t testing.TB, window Window, files ...string) *Reader {
	t.Helper()
	var inputs []source.Input
	for i, text := range files {
		inputs = append(inputs, source.Input{
			Name:  fmt.Sprintf("%d.gor", i),
			First: -1,
			Open:  func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		})
	}
	return newReader(Config{Name: "test", Window: window}, inputs, maxRecord)
}

func drain(t testing.TB, r *Reader) []*traffic.Exchange {
	t.Helper()
	var xs []*traffic.Exchange
	for {
		x, err := r.Next(context.Background())
		if err == io.EOF {
			checkBalance(t, r.Counts(), xs)
			return xs
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
}

// checkBalance holds the reader to the equation of the package comment.
func checkBalance(t testing.TB, c source.Counts, xs []*traffic.Exchange) {
	t.Helper()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.ReplayedResponses + c.Malformed + c.TruncatedRequests; c.Records != sum {
		t.Errorf("%d records, but their fates add up to %d: %+v", c.Records, sum, c)
	}
	paired := 0
	for _, x := range xs {
		if x.Response != nil {
			paired++
		}
	}
	if c.Read != int64(len(xs)) || c.Paired != int64(paired) {
		t.Errorf("counted %d read, %d paired; handed out %d and %d", c.Read, c.Paired, len(xs), paired)
	}
}

// line describes an exchange in one line.
func line(x *traffic.Exchange) string {
	s := fmt.Sprintf("%s %s", x.Request.Method, x.Request.Target)
	if b := x.Request.Body.Bytes; len(b) > 0 {
		s += fmt.Sprintf(" %q", b)
	}
	if x.Response == nil {
		return s + " -> none"
	}
	s += fmt.Sprintf(" -> %d %q", x.Response.Status, x.Response.Body.Bytes)
	if st := x.Response.Body.State; st != traffic.Complete {
		s += " " + st.String()
	}
	return s
}

func lines(xs []*traffic.Exchange) []string {
	var out []string
	for _, x := range xs {
		out = append(out, line(x))
	}
	return out
}

func checkLines(t *testing.T, xs []*traffic.Exchange, want ...string) {
	t.Helper()
	if got := lines(xs); !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// rec writes a record.
func rec(meta, payload string) string { return meta + "\n" + payload + separator }

func req(meta, target string) string {
	return rec(meta, "GET "+target+" HTTP/1.1\r\nHost: shop.example\r\n\r\n")
}

func resp(meta, body string) string {
	return rec(meta, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

func TestRecordingsOfGoReplay(t *testing.T) {
	plain := []string{
		`GET /a -> 200 "{\"p\": \"/a\", \"n\": 0}"`,
		`GET /b -> 200 "{\"p\": \"/b\", \"n\": 0}"`,
		`POST /p "x=1" -> 200 "{\"p\": \"/p\", \"n\": 3}"`,
		`GET /chunk -> 200 "hello world\n"`,
		fmt.Sprintf("GET /gz -> 200 %q", gzBody(t)),
		`HEAD /head -> none`,
	}
	pretty := slices.Clone(plain)
	pretty[4] = `GET /gz -> 200 "{\"a\":1}"`
	for _, tt := range []struct {
		file   string
		want   []string
		counts source.Counts
	}{
		{"r_0.gor", plain, source.Counts{Read: 6, Paired: 5, Records: 11}},
		{"nosep.gor", plain, source.Counts{Read: 6, Paired: 5, Records: 11}},
		{"t_0.gor", plain, source.Counts{Read: 6, Paired: 5, Records: 17, ReplayedResponses: 6}},
		{"p.gor_0.gz", pretty, source.Counts{Read: 6, Paired: 5, Records: 11}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			r, err := Open(Config{Name: "peak", Paths: []string{filepath.Join(corpus, tt.file)}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			xs := drain(t, r)
			checkLines(t, xs, tt.want...)
			if got := r.Counts(); got != tt.counts {
				t.Errorf("counts %+v, want %+v", got, tt.counts)
			}
			if ws := r.Warnings(); len(ws) > 0 {
				t.Errorf("warnings: %v", ws)
			}
			if done, total := r.Progress(); done != total || total == 0 {
				t.Errorf("progress %d of %d at the end", done, total)
			}
			for i, x := range xs {
				if x.Source != "peak" || x.ID[:16] != x.Session || len(x.ID) != 24 {
					t.Errorf("exchange %d: source %q, id %q, session %q", i, x.Source, x.ID, x.Session)
				}
			}
			if xs[0].Session != xs[1].Session || xs[1].Session == xs[2].Session {
				t.Error("the first two requests came over one connection, the third over another")
			}
			if xs[0].Offset != 0 {
				t.Errorf("offset of the first request: %d", xs[0].Offset)
			}
		})
	}
}

// gzBody is the gzip stream in the recording, cut out by hand.
func gzBody(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(corpus, "r_0.gor"))
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(text, []byte("\x1f\x8b\x08"))
	return text[i : i+27]
}

func TestRecordedTiming(t *testing.T) {
	r, err := Open(Config{Paths: []string{filepath.Join(corpus, "r_0.gor")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	xs := drain(t, r)
	// The handler slept 120 ms before it answered; GoReplay says 0.05 ms.
	want := traffic.Timing{Kind: traffic.TimingWire, TTFB: 121053994, Total: 121105571}
	if xs[0].Timing != want {
		t.Errorf("timing %+v, want %+v", xs[0].Timing, want)
	}
	if at := time.Unix(0, 1795166295952376787).UTC(); !xs[0].At.Equal(at) {
		t.Errorf("at %v, want %v", xs[0].At, at)
	}
	if xs[5].Timing != (traffic.Timing{}) {
		t.Errorf("timing without a response: %+v", xs[5].Timing)
	}
}

func TestOffsetPointsAtTheRecord(t *testing.T) {
	name := filepath.Join(corpus, "r_0.gor")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(Config{Paths: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, x := range drain(t, r) {
		if !strings.HasPrefix(string(text[x.Offset:]), "1 "+x.ID+" ") {
			t.Errorf("offset %d is not where %s begins", x.Offset, x.ID)
		}
	}
}

func TestReleases(t *testing.T) {
	const (
		sha    = "c2d1b0f7a6e5948372615f4e3d2c1b0a99887766"
		packed = "d68646a07f000001074790e3"
		start  = 1795166295000000000
		ms     = int64(time.Millisecond)
	)
	wire := func(ttfb, total int64) traffic.Timing {
		return traffic.Timing{Kind: traffic.TimingWire, TTFB: time.Duration(ttfb), Total: time.Duration(total)}
	}
	for _, tt := range []struct {
		name             string
		request, respond string
		timing           traffic.Timing
		session          string
	}{
		{"0.14", fmt.Sprintf("1 %s %d", sha, start), fmt.Sprintf("2 %s %d", sha, 80*ms), wire(0, 80*ms), ""},
		{"0.16", fmt.Sprintf("1 %s %d", sha, start), fmt.Sprintf("2 %s %d %d", sha, start, 80*ms), wire(0, 80*ms), ""},
		{"1.0", fmt.Sprintf("1 %s %d", sha, start), fmt.Sprintf("2 %s %d %d", sha, start+70*ms, 80*ms), wire(70*ms, 80*ms), ""},
		{"1.0, request in two packets", fmt.Sprintf("1 %s %d", sha, start), fmt.Sprintf("2 %s %d %d", sha, start+90*ms, 80*ms), wire(80*ms, 80*ms), ""},
		{"1.2", fmt.Sprintf("1 %s %d %d", sha, start, 5*ms), fmt.Sprintf("2 %s %d %d", sha, start+75*ms, 10*ms), wire(70*ms, 80*ms), sha},
		{"1.3", fmt.Sprintf("1 %s %d %d", packed, start, 5*ms), fmt.Sprintf("2 %s %d %d", packed, start+75*ms, 10*ms), wire(70*ms, 80*ms), "d68646a07f000001"},
		{"1.3, not measured", fmt.Sprintf("1 %s %d -1", packed, start), fmt.Sprintf("2 %s %d %d", packed, start+75*ms, 10*ms), wire(75*ms, 85*ms), "d68646a07f000001"},
		{"fields swapped", fmt.Sprintf("1 %s %d 0", packed, start), fmt.Sprintf("2 %s %d %d", packed, 10*ms, start+75*ms), wire(75*ms, 85*ms), "d68646a07f000001"},
		{"no latency", fmt.Sprintf("1 %s %d 0", packed, start), fmt.Sprintf("2 %s %d", packed, start+75*ms), traffic.Timing{}, "d68646a07f000001"},
		{"answer before the end of the request", fmt.Sprintf("1 %s %d %d", packed, start, 90*ms), fmt.Sprintf("2 %s %d 5", packed, start+75*ms), traffic.Timing{}, "d68646a07f000001"},
		{"absurd latency", fmt.Sprintf("1 %s %d 0", packed, start), fmt.Sprintf("2 %s %d %d", packed, start+75*ms, int64(2e15)), traffic.Timing{}, "d68646a07f000001"},
		{"id of another tool", fmt.Sprintf("1 order-7 %d 0", start), fmt.Sprintf("2 order-7 %d %d", start+75*ms, 10*ms), wire(75*ms, 85*ms), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			xs := drain(t, open(t, Window{}, req(tt.request, "/")+resp(tt.respond, "ok")))
			checkLines(t, xs, `GET / -> 200 "ok"`)
			x := xs[0]
			if x.Timing != tt.timing {
				t.Errorf("timing %+v, want %+v", x.Timing, tt.timing)
			}
			if x.Session != tt.session {
				t.Errorf("session %q, want %q", x.Session, tt.session)
			}
			if x.At.UnixNano() != start {
				t.Errorf("at %v", x.At)
			}
		})
	}
}

func TestMetaThatIsNone(t *testing.T) {
	for _, text := range []string{
		"", "1", "1 ", "1 a", "1 a b", "4 a 1", "1  1", "1 a -1", "1 a 1 x", "1 a 99999999999999999999", "1 a 9999999999999999999", "1\ta 1", "1 a\x01 1", "GET / HTTP/1.1",
	} {
		if _, _, ok := parseMeta([]byte(text + "\n")); ok {
			t.Errorf("%q was taken for the first line of a record", text)
		}
	}
	if _, _, ok := parseMeta([]byte("1 a 1")); ok {
		t.Error("a line without an end was taken for one")
	}
}

// Times that are enough above zero to be times.
const base = 1_700_000_000_000_000_000

func TestPairing(t *testing.T) {
	q := func(id string, at int, target string) string {
		return req(fmt.Sprintf("1 %s %d 0", id, base+at), target)
	}
	a := func(id string, at int, body string) string { return resp(fmt.Sprintf("2 %s %d 1", id, base+at), body) }
	head := func(id string, at int) string {
		return rec(fmt.Sprintf("1 %s %d 0", id, base+at), "HEAD /h HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	}
	interim := func(id string, at int) string {
		return rec(fmt.Sprintf("2 %s %d 1", id, base+at), "HTTP/1.1 100 Continue\r\n\r\n")
	}
	two := func(id string, at int, x, y string) string {
		get := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: shop.example\r\n\r\n" }
		return rec(fmt.Sprintf("1 %s %d 0", id, base+at), get(x)+get(y))
	}
	ok := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for _, tt := range []struct {
		name string
		text string
		want []string
		lost source.Counts
	}{
		{"responses in reverse", q("a", 1, "/1") + q("b", 2, "/2") + a("b", 3, "two") + a("a", 4, "one"),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> 200 "two"`}, source.Counts{}},
		{"requests in reverse", q("b", 2, "/2") + q("a", 1, "/1"),
			[]string{`GET /1 -> none`, `GET /2 -> none`}, source.Counts{}},
		{"equal times keep the order of the file", q("b", 1, "/2") + q("a", 1, "/1") + q("c", 1, "/3"),
			[]string{`GET /2 -> none`, `GET /1 -> none`, `GET /3 -> none`}, source.Counts{}},
		{"response first", a("a", 2, "one") + q("a", 1, "/1"),
			[]string{`GET /1 -> 200 "one"`}, source.Counts{}},
		{"orphan", a("x", 1, "lost") + q("a", 2, "/1") + a("a", 3, "one"),
			[]string{`GET /1 -> 200 "one"`}, source.Counts{OrphanResponses: 1}},
		{"one id for two, answered at once", q("c", 1, "/1") + q("c", 2, "/2") + a("c", 3, "one") + a("c", 4, "two"),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> 200 "two"`}, source.Counts{}},
		{"one id for two, one after the other", q("c", 1, "/1") + a("c", 2, "one") + q("c", 3, "/2") + a("c", 4, "two"),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> 200 "two"`}, source.Counts{}},
		{"one id, the response to HEAD lost", head("c", 1) + q("c", 3, "/2") + a("c", 4, "two") + q("c", 5, "/3") + a("c", 6, "three"),
			[]string{`HEAD /h -> none`, `GET /2 -> 200 "two"`, `GET /3 -> 200 "three"`}, source.Counts{}},
		{"one id, a request lost", a("c", 1, "lost") + q("c", 2, "/2") + a("c", 3, "two"),
			[]string{`GET /2 -> 200 "two"`}, source.Counts{OrphanResponses: 1}},
		{"HEAD", head("a", 1) + rec(fmt.Sprintf("2 a %d 1", base+2), "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n"),
			[]string{`HEAD /h -> 200 ""`}, source.Counts{}},
		{"replayed response", q("a", 1, "/1") + rec(fmt.Sprintf("3 a %d 1", base+9), "HTTP/1.1 500 No\r\n\r\n"),
			[]string{`GET /1 -> none`}, source.Counts{ReplayedResponses: 1}},
		{"response is not HTTP", q("a", 1, "/1") + rec(fmt.Sprintf("2 a %d 1", base+2), "SSH-2.0-OpenSSH\r\n"+"\r\n"),
			[]string{`GET /1 -> none`}, source.Counts{Malformed: 1}},
		{"response is cut", q("a", 1, "/1") + rec(fmt.Sprintf("2 a %d 1", base+2), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
			[]string{`GET /1 -> 200 "half" truncated`}, source.Counts{Truncated: 1}},
		{"interim response alone", q("a", 1, "/1") + interim("a", 2) + a("a", 3, "one"), []string{`GET /1 -> 200 "one"`}, source.Counts{}},
		{"interim responses, one id for two", q("c", 1, "/1") + interim("c", 2) + a("c", 3, "one") + q("c", 4, "/2") + interim("c", 5) + a("c", 6, "two"),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> 200 "two"`}, source.Counts{}},
		{"interim response before the response", q("a", 1, "/1") + rec(fmt.Sprintf("2 a %d 1", base+2), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
			[]string{`GET /1 -> 200 "x"`}, source.Counts{}},
		{"switching protocols is final", q("a", 1, "/1") + rec(fmt.Sprintf("2 a %d 1", base+2), "HTTP/1.1 101 Switching\r\n\r\n"),
			[]string{`GET /1 -> 101 ""`}, source.Counts{}},
		{"several requests and responses in a record", two("d", 1, "/1", "/2") + rec(fmt.Sprintf("2 d %d 1", base+2), ok("one")+ok("two")),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> 200 "two"`}, source.Counts{}},
		{"several requests in a record", two("d", 1, "/1", "/2") + a("d", 2, "one") + a("d", 3, "two"),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> 200 "two"`}, source.Counts{}},
		{"several requests in a record, one response", two("d", 1, "/1", "/2") + a("d", 2, "one"),
			[]string{`GET /1 -> 200 "one"`, `GET /2 -> none`}, source.Counts{}},
		{"a response too many in a record", q("a", 1, "/1") + rec(fmt.Sprintf("2 a %d 1", base+2), ok("one")+ok("two")),
			[]string{`GET /1 -> 200 "one"`}, source.Counts{OrphanResponses: 1}},
		{"request is cut", rec(fmt.Sprintf("1 a %d 0", base+1), "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf") + a("a", 2, "ok"),
			nil, source.Counts{Truncated: 1, TruncatedRequests: 1, OrphanResponses: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, Window{}, tt.text)
			checkLines(t, drain(t, r), tt.want...)
			got := r.Counts()
			got.Records, got.Read, got.Paired = 0, 0, 0
			if got != tt.lost {
				t.Errorf("losses %+v, want %+v", got, tt.lost)
			}
		})
	}
}

func TestFraming(t *testing.T) {
	first := req(fmt.Sprintf("1 a %d 0", base), "/1")
	last := req(fmt.Sprintf("1 z %d 0", base+9), "/9")
	post := func(body string) string {
		return rec(fmt.Sprintf("1 b %d 0", base+1), fmt.Sprintf("POST /p HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	}
	pipelined := func(lines ...string) string {
		var payload strings.Builder
		for _, l := range lines {
			payload.WriteString(l + " HTTP/1.1\r\nHost: shop.example\r\n\r\n")
		}
		return rec(fmt.Sprintf("1 a %d 0", base), payload.String())
	}
	monkeyBody := "before" + separator + "between" + separator + "after"
	for _, tt := range []struct {
		name     string
		text     string
		want     []string
		lost     source.Counts
		warnings []string
	}{
		{"empty", "", nil, source.Counts{}, nil},
		{"white space", "\n\n", nil, source.Counts{}, nil},
		{"line feeds after the last separator", first + "\n\n", []string{"GET /1 -> none"}, source.Counts{}, nil},
		{"two separators", first + separator + last, []string{"GET /1 -> none", "GET /9 -> none"}, source.Counts{}, nil},
		{"no last separator", strings.TrimSuffix(first+last, separator), []string{"GET /1 -> none", "GET /9 -> none"}, source.Counts{}, nil},
		{"last separator cut", strings.TrimSuffix(first+post("x"), "\x89\n"), []string{"GET /1 -> none", `POST /p "x" -> none`}, source.Counts{}, nil},
		{"starts in the middle of a record", "Host: x\r\n\r\n" + separator + first, []string{"GET /1 -> none"}, source.Counts{Malformed: 1},
			[]string{"0.gor: byte 0: not a GoReplay record, left out up to the next separator"}},
		{"junk between records", first + "junk" + separator + last, []string{"GET /1 -> none", "GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{fmt.Sprintf("0.gor: byte %d: not a GoReplay record, left out up to the next separator", len(first))}},
		{"junk at the end", first + "1 d686", []string{"GET /1 -> none"}, source.Counts{Malformed: 1},
			[]string{fmt.Sprintf("0.gor: byte %d: not a GoReplay record, left out up to the next separator", len(first))}},
		{"not HTTP", rec(fmt.Sprintf("1 b %d 0", base), "hello, secret") + last, []string{"GET /9 -> none"}, source.Counts{Truncated: 1, TruncatedRequests: 1},
			[]string{"0.gor: byte 0: request is cut, left out"}},
		{"not HTTP, with lines", rec(fmt.Sprintf("1 b %d 0", base), "hello, secret\n\n") + last, []string{"GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{"0.gor: byte 0: request is not HTTP/1.x, left out: malformed HTTP message: bad request line"}},
		{"no payload", rec(fmt.Sprintf("1 b %d 0", base), "") + last, []string{"GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{"0.gor: byte 0: request is not HTTP/1.x, left out: empty"}},
		{"separator in a body", first + post(monkeyBody) + last,
			[]string{"GET /1 -> none", fmt.Sprintf("POST /p %q -> none", monkeyBody), "GET /9 -> none"}, source.Counts{}, nil},
		{"separator in the last body", first + post(monkeyBody),
			[]string{"GET /1 -> none", fmt.Sprintf("POST /p %q -> none", monkeyBody)}, source.Counts{}, nil},
		{"separator in a body, then junk", first + post(monkeyBody) + "junk" + separator + last,
			[]string{"GET /1 -> none", fmt.Sprintf("POST /p %q -> none", monkeyBody), "GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{fmt.Sprintf("0.gor: byte %d: not a GoReplay record, left out up to the next separator", len(first+post(monkeyBody)))}},
		{"separator in a chunked body", rec(fmt.Sprintf("1 b %d 0", base+1), fmt.Sprintf("POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(monkeyBody), monkeyBody)) + last,
			[]string{fmt.Sprintf("POST /p %q -> none", monkeyBody), "GET /9 -> none"}, source.Counts{}, nil},
		{"monkeys that are no line of their own", first + post("see 🐵🙈🙉\n, see") + last,
			[]string{"GET /1 -> none", `POST /p "see 🐵🙈🙉\n, see" -> none`, "GET /9 -> none"}, source.Counts{}, nil},
		{"cut request, then a record", strings.Replace(post("0123456789"), "56789", "", 1) + last, []string{"GET /9 -> none"}, source.Counts{Truncated: 1, TruncatedRequests: 1},
			[]string{"0.gor: byte 0: request is cut, left out"}},
		{"separator missing after a request", strings.TrimSuffix(first, separator) + last, []string{"GET /1 -> none", "GET /9 -> none"}, source.Counts{},
			[]string{"0.gor: byte 0: separator missing after the record"}},
		{"bytes after a request", strings.Replace(first, separator, "rest", 1) + separator + last, []string{"GET /1 -> none", "GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{fmt.Sprintf("0.gor: byte %d: 4 bytes after the end of the request, left out", len(first)-len(separator))}},
		{"white space after a request", strings.Replace(first, separator, " \n ", 1) + separator + last, []string{"GET /1 -> none", "GET /9 -> none"}, source.Counts{}, nil},
		{"several requests in a record", pipelined("GET /1", "GET /2", "GET /3") + last, []string{"GET /1 -> none", "GET /2 -> none", "GET /3 -> none", "GET /9 -> none"}, source.Counts{}, nil},
		{"several requests, then junk", strings.TrimSuffix(pipelined("GET /1", "GET /2"), separator) + "secret\r\n\r\n" + separator + last, []string{"GET /1 -> none", "GET /2 -> none", "GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{fmt.Sprintf("0.gor: byte %d: 10 bytes after the end of the request, left out", len(pipelined("GET /1", "GET /2"))-len(separator))}},
		{"several requests, the last one cut", strings.TrimSuffix(pipelined("GET /1"), separator) + "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf" + separator + last, []string{"GET /1 -> none", "GET /9 -> none"},
			source.Counts{Truncated: 1, TruncatedRequests: 1}, []string{fmt.Sprintf("0.gor: byte %d: request is cut, left out", len(pipelined("GET /1"))-len(separator))}},
		{"several requests, separator missing", strings.TrimSuffix(pipelined("GET /1", "GET /2"), separator) + last, []string{"GET /1 -> none", "GET /2 -> none", "GET /9 -> none"}, source.Counts{},
			[]string{fmt.Sprintf("0.gor: byte %d: separator missing after the record", len(pipelined("GET /1"))-len(separator))}},
		{"two ends of a request", rec(fmt.Sprintf("1 b %d 0", base), "POST /p HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") + last, []string{"GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{"0.gor: byte 0: request is not HTTP/1.x, left out: malformed HTTP message: both Transfer-Encoding and Content-Length"}},
		{"white space in a target", rec(fmt.Sprintf("1 b %d 0", base), "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n") + last, []string{"GET /9 -> none"}, source.Counts{Malformed: 1},
			[]string{"0.gor: byte 0: request is not HTTP/1.x, left out: malformed HTTP message: bad request line"}},
		{"separator missing after a response", strings.TrimSuffix(first+resp(fmt.Sprintf("2 a %d 1", base+1), "ok"), separator) + "\n" + last, []string{`GET /1 -> 200 "ok"`}, source.Counts{Malformed: 1},
			[]string{fmt.Sprintf("0.gor: byte %d: separator missing after the record; the next one is lost", len(first))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, Window{}, tt.text)
			checkLines(t, drain(t, r), tt.want...)
			got := r.Counts()
			got.Records, got.Read, got.Paired = 0, 0, 0
			if got != tt.lost {
				t.Errorf("losses %+v, want %+v", got, tt.lost)
			}
			var warnings []string
			for _, w := range r.Warnings() {
				warnings = append(warnings, w.String())
			}
			if !slices.Equal(warnings, tt.warnings) {
				t.Errorf("warnings %q, want %q", warnings, tt.warnings)
			}
		})
	}
}

func TestBufferEdges(t *testing.T) {
	body := strings.Repeat("x", 1000) + separator + strings.Repeat("y", 1000)
	var text strings.Builder
	var want []string
	for i := range 12 {
		target := fmt.Sprintf("/%02d", i)
		text.WriteString(rec(fmt.Sprintf("1 %d %d 0", i, base+i), fmt.Sprintf("POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)))
		want = append(want, fmt.Sprintf("POST %s %q -> none", target, body))
	}
	for _, size := range []int{1, 13, 14, 1000, 4096} {
		r := open(t, Window{}, "")
		in := &slowReader{strings.NewReader(text.String()), size}
		f := newFile("slow", io.NopCloser(in), maxRecord, newParser(), r.log)
		f.scan.buf = make([]byte, 512) // so that it grows and moves all the time
		r.merge = source.NewMerge([]source.Part[*file]{{Open: func() (*file, error) { return f, nil }}})
		checkLines(t, drain(t, r), want...)
	}
}

// slowReader reads at most size bytes at once.
type slowReader struct {
	in   io.Reader
	size int
}

func (r *slowReader) Read(p []byte) (int, error) { return r.in.Read(p[:min(len(p), r.size)]) }

func TestTooLongRecord(t *testing.T) {
	first := req(fmt.Sprintf("1 a %d 0", base), "/1")
	long := rec(fmt.Sprintf("1 b %d 0", base+1), "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n"+strings.Repeat("x", 4_000_000))
	last := req(fmt.Sprintf("1 z %d 0", base+9), "/9")
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"in the middle", first + long + last, []string{"GET /1 -> none", "GET /9 -> none"}},
		{"at the end", first + strings.TrimSuffix(long, separator), []string{"GET /1 -> none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := source.Input{Name: "long.gor", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(tt.text)), nil }}
			r := newReader(Config{}, []source.Input{in}, 1<<20)
			checkLines(t, drain(t, r), tt.want...)
			if c := r.Counts(); c.Malformed != 1 {
				t.Errorf("counts %+v", c)
			}
			want := []source.Warning{{File: "long.gor", Offset: int64(len(first)), Text: "record larger than 1 MiB, left out"}}
			if got := r.Warnings(); !reflect.DeepEqual(got, want) {
				t.Errorf("warnings %v, want %v", got, want)
			}
		})
	}
}

// traffic of n connections with three exchanges each, in the order of time.
func generate(n int) []string {
	var records []string
	at := base
	for i := range n {
		for k := range 3 {
			id := fmt.Sprintf("%08x7f000001%08x", i, k)
			at += 10
			records = append(records,
				req(fmt.Sprintf("1 %s %d 2", id, at), fmt.Sprintf("/%d/%d", i, k)),
				resp(fmt.Sprintf("2 %s %d 3", id, at+5), fmt.Sprintf("answer %d/%d", i, k)))
		}
	}
	return records
}

func TestOrderOfRecordsDoesNotMatter(t *testing.T) {
	records := generate(60)
	// One connection whose requests share an id, and some of whose responses are lost.
	sha := strings.Repeat("5a", 20)
	for k := range 20 {
		at := base + 7 + 60*k
		records = append(records, req(fmt.Sprintf("1 %s %d 1", sha, at), fmt.Sprintf("/c/%d", k)))
		if k%4 != 3 {
			records = append(records, resp(fmt.Sprintf("2 %s %d 1", sha, at+20), fmt.Sprint("c", k)))
		}
	}
	want := drain(t, open(t, Window{Reorder: len(records)}, strings.Join(records, "")))
	if len(want) != 200 {
		t.Fatalf("%d exchanges", len(want))
	}
	for _, x := range want {
		if c, ok := strings.CutPrefix(x.Request.Target, "/c/"); ok && x.Response != nil && string(x.Response.Body.Bytes) != "c"+c {
			t.Errorf("wrong response: %s", line(x))
		}
		x.Offset = 0
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		shuffled := slices.Clone(records)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got := drain(t, open(t, Window{Reorder: len(records)}, strings.Join(shuffled, "")))
		for _, x := range got {
			x.Offset = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("another order gives\n\t%s\nnot\n\t%s", strings.Join(lines(got), "\n\t"), strings.Join(lines(want), "\n\t"))
		}
	}
}

func TestDisorderWithinTheWindow(t *testing.T) {
	records := generate(1000)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := 0; i < len(records); i += 100 { // what GoReplay does to its files
		block := records[i:min(i+100, len(records))]
		rng.Shuffle(len(block), func(i, j int) { block[i], block[j] = block[j], block[i] })
	}
	r := open(t, Window{}, strings.Join(records, ""))
	xs := drain(t, r)
	if !slices.IsSortedFunc(xs, func(a, b *traffic.Exchange) int { return a.At.Compare(b.At) }) {
		t.Error("not in the order of time")
	}
	if c := r.Counts(); c.Read != 3000 || c.Paired != 3000 {
		t.Errorf("counts %+v", c)
	}
}

func TestWindowIsBounded(t *testing.T) {
	slow := req(fmt.Sprintf("1 slow %d 0", base), "/slow")
	others := strings.Join(generate(200), "")
	answer := resp(fmt.Sprintf("2 slow %d 1", base+1_000_000), "late")
	for _, tt := range []struct {
		name   string
		window Window
		paired int64
	}{
		{"wide enough", Window{}, 601},
		{"too few records", Window{Records: 500, Reorder: 10}, 600},
		{"too few bytes", Window{Bytes: 100 << 10, Reorder: 10}, 600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, tt.window, slow+others+answer)
			drain(t, r)
			c := r.Counts()
			if c.Read != 601 || c.Paired != tt.paired || c.OrphanResponses != 601-tt.paired {
				t.Errorf("counts %+v", c)
			}
			if told := len(r.Warnings()) > 0; told != (tt.paired != 601) {
				t.Errorf("warnings %v", r.Warnings())
			}
		})
	}
}

// ring repeats a text with a counter in it, without holding it.
type ring struct {
	n, i int
	rest []byte
	make func(i int) string
}

func (r *ring) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.i == r.n {
			return 0, io.EOF
		}
		r.rest = []byte(r.make(r.i))
		r.i++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	if testing.Short() {
		t.Skip("reads many records")
	}
	request := func(i int) string { return req(fmt.Sprintf("1 %024x %d 0", i, base+i), "/") }
	response := func(i int) string { return resp(fmt.Sprintf("2 %024x %d 1", i, base+i), "ok") }
	const n = 60_000
	for _, tt := range []struct {
		name    string
		records int64
		make    func(i int) string
	}{
		{"exchanges", 2 * n, func(i int) string { return request(i) + response(i) }},
		{"requests alone", n, request},
		{"responses alone", n, response},
		{"a request of the far future", 2*n - 1, func(i int) string {
			if i == 0 {
				return req(fmt.Sprintf("1 far %d 0", int64(9e18)), "/far")
			}
			return request(i) + resp(fmt.Sprintf("2 far %d 1", int64(9e18)+1), "far")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := source.Input{Open: func() (io.ReadCloser, error) { return io.NopCloser(&ring{n: n, make: tt.make}), nil }}
			r := newReader(Config{Window: Window{Records: 4096}}, []source.Input{in}, maxRecord)
			before := heapInUse()
			for i := 0; ; i++ {
				_, err := r.Next(context.Background())
				if err == io.EOF {
					break
				}
				if i%20_000 == 0 {
					if grown := heapInUse() - before; grown > 24<<20 {
						t.Fatalf("holds %d MiB after %d exchanges", grown>>20, i)
					}
				}
			}
			if grown := heapInUse() - before; grown > 24<<20 {
				t.Fatalf("holds %d MiB at the end", grown>>20)
			}
			if c := r.Counts(); c.Records != tt.records {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func compress(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func TestChunks(t *testing.T) {
	records := generate(30)
	dir := t.TempDir()
	// _10 sorts before _2; a response stands in the chunk after its request.
	write(t, dir, "r_0.gor", strings.Join(records[:61], ""))
	write(t, dir, "r_2.gor", strings.Join(records[61:121], ""))
	write(t, dir, "r_10.gor", compress(strings.Join(records[121:], "")))
	r, err := Open(Config{Paths: []string{filepath.Join(dir, "r_*.gor"), filepath.Join(dir, "r_2.gor")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	xs := drain(t, r)
	if !slices.IsSortedFunc(xs, func(a, b *traffic.Exchange) int { return a.At.Compare(b.At) }) {
		t.Error("not in the order of time")
	}
	if c := r.Counts(); c != (source.Counts{Read: 90, Paired: 90, Records: 180}) {
		t.Errorf("counts %+v", c)
	}
	if done, total := r.Progress(); done != total {
		t.Errorf("progress %d of %d", done, total)
	}
}

func TestFilesByType(t *testing.T) {
	var requests, responses strings.Builder
	for i, rec := range generate(200) {
		if i%2 == 0 {
			requests.WriteString(rec)
		} else {
			responses.WriteString(rec)
		}
	}
	r := open(t, Window{}, responses.String(), requests.String())
	drain(t, r)
	if c := r.Counts(); c.Paired != 600 {
		t.Errorf("counts %+v", c)
	}
}

func TestCutGzip(t *testing.T) {
	var text strings.Builder
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 500 {
		fmt.Fprint(&text, req(fmt.Sprintf("1 %024x %d 0", i, base+i), fmt.Sprintf("/%d", rng.Uint64())))
	}
	whole := compress(text.String())
	dir := t.TempDir()
	for _, size := range []int{3, 10, 100, len(whole) / 2, len(whole) - 9, len(whole) - 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r, err := Open(Config{Paths: []string{write(t, dir, "cut.gor", whole[:size])}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			xs := drain(t, r)
			if c := r.Counts(); c.Truncated != 1 {
				t.Errorf("counts %+v", c)
			}
			if size > len(whole)/3 && len(xs) < 100 || size > len(whole)-9 && len(xs) != 500 {
				t.Errorf("%d exchanges of 500", len(xs))
			}
			cuts := 0
			for _, w := range r.Warnings() {
				if strings.HasPrefix(w.Text, "compressed data ends early") {
					cuts++
				}
			}
			if cuts != 1 {
				t.Errorf("warnings %v", r.Warnings())
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	junk := write(t, dir, "junk.gor", "PK\x03\x04 this is something else")
	empty := write(t, dir, "empty.gor", "")
	for _, tt := range []struct {
		name  string
		paths []string
		is    error
		text  string
	}{
		{"no such file", []string{filepath.Join(dir, "none.gor")}, fs.ErrNotExist, "none.gor"},
		{"glob without a match", []string{filepath.Join(dir, "none*.gor")}, fs.ErrNotExist, "no file matches"},
		{"no path", nil, fs.ErrNotExist, "no file is named"},
		{"a directory", []string{dir}, nil, "is a directory"},
		{"something else", []string{empty, junk}, ErrNotRecording, "junk.gor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(Config{Paths: tt.paths})
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v", err)
			}
		})
	}
	r, err := Open(Config{Paths: []string{empty}})
	if err != nil {
		t.Fatal(err)
	}
	if xs := drain(t, r); len(xs) != 0 {
		t.Errorf("%d exchanges in an empty file", len(xs))
	}
}

func TestErrorsAreFinal(t *testing.T) {
	broken := errors.New("disk on fire")
	in := source.Input{Name: "a.gor", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(req(fmt.Sprintf("1 a %d 0", base), "/1")+"1 b"), failing{broken})), nil
	}}
	r := newReader(Config{}, []source.Input{in}, maxRecord)
	for range 2 {
		if _, err := r.Next(context.Background()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "a.gor") {
			t.Errorf("error %v", err)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := open(t, Window{}, req(fmt.Sprintf("1 a %d 0", base), "/1")).Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after cancelling", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzGor(f *testing.F) {
	for _, name := range []string{"r_0.gor", "t_0.gor", "nosep.gor"} {
		text, err := os.ReadFile(filepath.Join(corpus, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint8(0))
		f.Add(text[:len(text)/2], uint8(3))
	}
	f.Add([]byte("1 a 5 0\nPOST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nx"+separator+"y"+separator+"2 a 7\n"), uint8(1))
	f.Add([]byte("1 a 5 0\nGET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nrest"+separator+"2 a 7\nHTTP/1.1 100 Continue\r\n\r\n"+separator+"2 a 8\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), uint8(0))
	f.Add([]byte("2 a 5\nHTTP/1.1 200 OK\n\n"+separator+"2 a 7 1\n"+separator+"1 a 6 3\nGET / HTTP/1.0\n\n1 b 7\nGET / HTTP/1.0\n\n"), uint8(9))
	f.Fuzz(func(t *testing.T, text []byte, window uint8) {
		w := Window{Records: int(window % 7), Reorder: int(window % 5), Bytes: int64(window) * 64}
		r := open(t, w, string(text))
		drain(t, r)
		if w := r.window; w.held != 0 || w.bytes != 0 || len(w.threads) != 0 || len(w.requests) != 0 {
			t.Errorf("left in the window: %d records, %d bytes, %d threads", w.held, w.bytes, len(w.threads))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	small := strings.Join(generate(5000), "")
	var large strings.Builder
	body := strings.Repeat(`{"id":1,"name":"a thing"},`, 400)
	for i := range 1000 {
		large.WriteString(req(fmt.Sprintf("1 %024x %d 0", i, base+i), "/things"))
		large.WriteString(resp(fmt.Sprintf("2 %024x %d 1", i, base+i), body))
	}
	for _, bb := range []struct {
		name, text string
		records    int
	}{{"small", small, 30000}, {"large", large.String(), 2000}} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				r := open(b, Window{}, bb.text)
				for {
					if _, err := r.Next(context.Background()); err != nil {
						break
					}
				}
				if c := r.Counts(); c.Records != int64(bb.records) {
					b.Fatalf("counts %+v", c)
				}
			}
			b.ReportMetric(float64(bb.records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func TestDamageIsAccountedFor(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	text := strings.Join(generate(20), "") + rec("1 m 5 1", "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nab"+separator+"cd") + resp("3 m 9 1", "no")
	pieces := []string{separator, "\n", "🐵", "1 a 5 0\n", "2 a 6 1\nHTTP/1.1 204 No\r\n\r\n", "junk", "3 a 1 1\n", "\r\n\r\n", "GET /p HTTP/1.1\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n"}
	for i := range 200 {
		damaged := text
		for range 1 + rng.IntN(8) {
			at := rng.IntN(len(damaged))
			if rng.IntN(2) == 0 {
				damaged = damaged[:at] + damaged[min(at+1+rng.IntN(200), len(damaged)):]
			} else {
				damaged = damaged[:at] + pieces[rng.IntN(len(pieces))] + damaged[at:]
			}
		}
		r := open(t, Window{Records: 1 + rng.IntN(200), Reorder: 1 + rng.IntN(50)}, damaged)
		drain(t, r)
		if w := r.window; w.held != 0 || w.bytes != 0 || len(w.threads) != 0 {
			t.Errorf("left in the window: %d records, %d bytes, %d threads", w.held, w.bytes, len(w.threads))
		}
		if t.Failed() {
			t.Fatalf("round %d", i)
		}
	}
}

func TestNoSeparatorsAtAll(t *testing.T) {
	var text strings.Builder
	const n = 5_000
	for i := range n {
		text.WriteString(strings.TrimSuffix(req(fmt.Sprintf("1 %d %d 0", i, base+i), "/"), separator))
	}
	for _, end := range []string{"", separator, separator + req(fmt.Sprintf("1 z %d 0", base+n), "/")} {
		r := open(t, Window{}, text.String()+end)
		want := n
		if len(end) > len(separator) {
			want++
		}
		if xs := drain(t, r); len(xs) != want {
			t.Errorf("%d exchanges, want %d", len(xs), want)
		}
	}
}

func TestLargeBufferIsGivenBack(t *testing.T) {
	body := strings.Repeat("x", 5<<20)
	text := rec(fmt.Sprintf("1 a %d 0", base), fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)) +
		req(fmt.Sprintf("1 b %d 0", base+1), "/2") + req(fmt.Sprintf("1 c %d 0", base+2), "/3")
	f := newFile("large.gor", io.NopCloser(strings.NewReader(text)), maxRecord, newParser(), new(ledger))
	for i, want := range []string{"a", "b", "c"} {
		if err := f.Advance(context.Background()); err != nil || string(f.record.id) != want {
			t.Fatalf("record %q, %v; want %q", f.record.id, err, want)
		}
		if f.record.offset != int64(strings.Index(text, fmt.Sprintf("1 %s %d", want, base+i))) {
			t.Errorf("record %s at %d", want, f.record.offset)
		}
	}
	if n := len(f.scan.buf); n != minBuffer {
		t.Errorf("buffer of %d bytes after a large record", n)
	}
	if err := f.Advance(context.Background()); err != io.EOF {
		t.Errorf("error %v at the end", err)
	}
}

func TestJunkIsNotJoinedBeyondTheLimit(t *testing.T) {
	cut := rec(fmt.Sprintf("1 a %d 0", base), "POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\nhalf")
	text := cut + strings.Repeat("x", 3000) + separator + req(fmt.Sprintf("1 b %d 0", base+1), "/2")
	in := source.Input{Name: "a.gor", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	r := newReader(Config{}, []source.Input{in}, 1000)
	checkLines(t, drain(t, r), "GET /2 -> none")
	if c := r.Counts(); c.TruncatedRequests != 1 || c.Malformed != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestSessionNeedsAnIDOfGoReplay(t *testing.T) {
	for _, tt := range []struct {
		id   string
		wide bool
		want string
	}{
		{"d68646a07f000001074790e3", false, "d68646a07f000001"},
		{"zz8646a07f000001074790e3", true, ""},
		{strings.Repeat("aF", 20), true, strings.Repeat("aF", 20)},
		{strings.Repeat("aF", 20), false, ""},
		{"7", true, ""},
	} {
		if got := session(tt.id, tt.wide); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.id, got, tt.want)
		}
	}
}
