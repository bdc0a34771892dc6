package envoytap

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// readAll reads a source to its end and checks that its counters add up.
func readAll(t testing.TB, r *Reader) []*traffic.Exchange {
	t.Helper()
	defer r.Close()
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
	if c.Records != c.Read+c.Malformed+c.OrphanResponses+c.TruncatedRequests+c.NotHTTP || c.Read != int64(len(xs)) {
		t.Errorf("counters do not add up: %+v, %d exchanges", c, len(xs))
	}
	return xs
}

func open(t testing.TB, paths ...string) *Reader {
	t.Helper()
	r, err := Open(Config{Name: "tap", Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// posted is the body that was posted when the files in testdata were written.
func posted() []byte {
	b := make([]byte, 3000)
	for i := range b {
		b[i] = byte(i*7 + i/256)
	}
	return b
}

func binaryPage() []byte {
	var b []byte
	for range 8 {
		for c := range 256 {
			b = append(b, byte(c))
		}
	}
	return b
}

// TestFilesOfEnvoy reads what Envoy 1.40 wrote for four requests, in each of its
// formats: GET /orders?id=7, GET /bin (2048 bytes of all values), POST /post
// (3000 bytes) and POST /chunked.
func TestFilesOfEnvoy(t *testing.T) {
	for _, tt := range []struct {
		dir      string
		paths    []string // that are handed out
		counts   source.Counts
		bin      traffic.BodyState
		timed    bool
		warnings []string
	}{
		{"binary", []string{"/bin", "/chunked", "/orders?id=7", "/post"}, source.Counts{Records: 4, Read: 4, Paired: 4}, traffic.Complete, true, nil},
		{"json_default_limit", []string{"/bin", "/chunked", "/orders?id=7"}, source.Counts{Records: 4, Read: 3, Paired: 3, Truncated: 2, TruncatedRequests: 1}, traffic.Truncated, true, []string{"max_buffered_rx_bytes", "max_buffered_tx_bytes"}},
		{"json_string", []string{"/bin", "/chunked", "/orders?id=7"}, source.Counts{Records: 4, Read: 3, Paired: 3, Truncated: 1, TruncatedRequests: 1}, traffic.Missing, true, []string{"2 bodies spoiled by the format JSON_BODY_AS_STRING"}},
		{"json_streamed_default_limit", []string{"/bin", "/chunked", "/orders?id=7"}, source.Counts{Records: 4, Read: 3, Paired: 3, Truncated: 2, TruncatedRequests: 1}, traffic.Truncated, false, []string{"max_buffered_rx_bytes", "max_buffered_tx_bytes", "record_headers_received_time"}},
		{"binary_streamed_default_limit", []string{"/bin", "/chunked", "/orders?id=7"}, source.Counts{Records: 4, Read: 3, Paired: 3, Truncated: 2, TruncatedRequests: 1}, traffic.Truncated, false, []string{"max_buffered_rx_bytes", "max_buffered_tx_bytes", "record_headers_received_time"}},
		{"delimited_streamed_default_limit", []string{"/bin", "/chunked", "/orders?id=7"}, source.Counts{Records: 4, Read: 3, Paired: 3, Truncated: 2, TruncatedRequests: 1}, traffic.Truncated, false, []string{"max_buffered_rx_bytes", "max_buffered_tx_bytes", "record_headers_received_time"}},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			r := open(t, filepath.Join("testdata", tt.dir, "*"))
			xs := readAll(t, r)
			if got := r.Counts(); got != tt.counts {
				t.Errorf("counts %+v, want %+v", got, tt.counts)
			}
			if done, total := r.Progress(); done != total || done == 0 {
				t.Errorf("progress %d of %d", done, total)
			}
			byPath := map[string]*traffic.Exchange{}
			var paths []string
			for _, x := range xs {
				byPath[x.Request.Target] = x
				paths = append(paths, x.Request.Target)
				if x.Source != "tap" || x.ID == "" || x.At.IsZero() || x.Request.Header[0].Name != "Host" || x.Request.Header.Has(":path") {
					t.Errorf("odd exchange %+v", x)
				}
				if tt.timed && (x.Session == "" || x.At.Year() != 2026) {
					t.Errorf("session %q, time %v", x.Session, x.At)
				}
			}
			if slices.Sort(paths); !slices.Equal(paths, tt.paths) {
				t.Fatalf("got %v, want %v", paths, tt.paths)
			}
			if x := byPath["/orders?id=7"]; x.Request.Method != "GET" || x.Request.Header.Get("Cookie") != "a=b" || string(x.Response.Body.Bytes) != `{"ok":true}` || x.Response.Status != 200 {
				t.Errorf("got %+v, %+v", x.Request, x.Response)
			}
			if x := byPath["/chunked"]; string(x.Request.Body.Bytes) != `{"x":"é"}` {
				t.Errorf("got %+v", x.Request)
			}
			if x := byPath["/post"]; x != nil && !bytes.Equal(x.Request.Body.Bytes, posted()) {
				t.Error("the posted body is another one")
			}
			page := byPath["/bin"].Response.Body
			if page.State != tt.bin || !bytes.HasPrefix(binaryPage(), page.Bytes) || page.State == traffic.Complete && len(page.Bytes) != 2048 {
				t.Errorf("body %v, %d bytes", page.State, len(page.Bytes))
			}
			if !tt.timed {
				return
			}
			if !slices.IsSortedFunc(xs, func(a, b *traffic.Exchange) int { return a.At.Compare(b.At) }) {
				t.Error("not in the order of time")
			}
			warned(t, r, tt.warnings)
		})
	}
}

func warned(t *testing.T, r *Reader, want []string) {
	t.Helper()
	ws := r.Warnings()
	for i, w := range want {
		if i >= len(ws) || !strings.Contains(ws[i].String(), w) {
			t.Errorf("warnings %v, want %q", ws, want)
			return
		}
	}
	if len(ws) != len(want) {
		t.Errorf("warnings %v, want %q", ws, want)
	}
}

func TestTextIsRefused(t *testing.T) {
	_, err := Open(Config{Paths: []string{"testdata/text/*"}})
	if !errors.Is(err, ErrNotTap) || !strings.Contains(err.Error(), "PROTO_TEXT") || !strings.Contains(err.Error(), "PROTO_BINARY") {
		t.Errorf("error %v", err)
	}
}

// TestIs wants a whole trace: what is damaged could be anything.
func TestIs(t *testing.T) {
	for content, want := range map[string]bool{
		`{"http_buffered_trace": {}}`: true, "\n { \"httpBufferedTrace\": {\"request\": {}}}": true, "\x0a\x02\x0a\x00": true, "\x04\x0a\x02\x0a\x00": true,
		"": false, "{junk": false, `{"http_buffered_trace": {`: false, `{"time": "now", "method": "GET"}`: false, "\x0a\x7fcut": false, "\nshopping list\n": false, "http_buffered_trace {": false,
	} {
		if got, err := Is(write(t, "x", []byte(content))); got != want || err != nil {
			t.Errorf("%q: %v, %v", content, got, err)
		}
	}
	if _, err := Is("testdata/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for _, content := range []string{`{"log":{"entries":[]}}`, "GET / HTTP/1.1\r\n", "1 a 2\n", "\x00\x01", "[]", "\xd4\xc3\xb2\xa1"} {
		if _, err := Open(Config{Paths: []string{write(t, "x", []byte(content))}}); !errors.Is(err, ErrNotTap) {
			t.Errorf("%q: error %v", content, err)
		}
	}
	if _, err := Open(Config{Paths: []string{"testdata/none*"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// doc makes a buffered trace in JSON: names in one way or the other, values as
// given.
func doc(camel bool, method, path, at string, extra ...string) string {
	head := func(kv ...string) string {
		var fields []string
		for i := 0; i < len(kv); i += 2 {
			fields = append(fields, fmt.Sprintf(`{"key":%q,"value":%q}`, kv[i], kv[i+1]))
		}
		return "[" + strings.Join(fields, ",") + "]"
	}
	received := ""
	if at != "" {
		received = `,"headers_received_time":"` + at + `"`
	}
	s := fmt.Sprintf(`{"http_buffered_trace":{"request":{"headers":%s%s%s},"response":{"headers":%s,"body":{"as_bytes":"b2s="}}}}`,
		head(":authority", "shop.example", ":path", path, ":method", method, "content-type", "text/plain"), strings.Join(extra, ""), received, head(":status", "200"))
	if camel {
		s = strings.NewReplacer("http_buffered_trace", "httpBufferedTrace", "headers_received_time", "headersReceivedTime", "as_bytes", "asBytes", "as_string", "asString").Replace(s)
	}
	return s
}

func TestDocumentsFollowOneAnother(t *testing.T) {
	at := func(s int) string { return fmt.Sprintf("2026-11-21T04:00:%02dZ", s) }
	content := doc(false, "GET", "/b", at(2)) + "\n" + doc(true, "POST", "/a", at(1), `,"body":{"as_string":"hi"}`) + "\r\n\r\n" +
		`{"other":1}` + doc(false, "CONNECT", "/x", at(3)) + `{"socket_buffered_trace":{"trace_id":"1"}}` +
		doc(true, "GET", "/c", at(4), `,"body":{"as_bytes":"eA==","truncated":true}`) + doc(false, "G T", "/d", at(4))
	r := open(t, write(t, "taps.json", []byte(content)))
	xs := readAll(t, r)
	if len(xs) != 2 || xs[0].Request.Target != "/a" || string(xs[0].Request.Body.Bytes) != "hi" || xs[1].Request.Target != "/b" || xs[0].Request.Host() != "shop.example" {
		t.Errorf("got %+v", xs)
	}
	if got, want := r.Counts(), (source.Counts{Records: 7, Read: 2, Paired: 2, Malformed: 2, NotHTTP: 2, Truncated: 1, TruncatedRequests: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestAFileThatEndsEarly(t *testing.T) {
	whole := doc(false, "GET", "/a", "2026-11-21T04:00:00Z")
	for _, tt := range []struct{ name, content string }{
		{"json", whole + whole[:80]},
		{"empty", ""},
		{"binary", string(wrapper("/a", nil)) + string(wrapper("/b", nil)[:50])},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, write(t, "tap", []byte(tt.content)))
			readAll(t, r)
			if c := r.Counts(); c.Truncated != 1 || c.Malformed != 0 {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func TestCompressedFiles(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, doc(false, "GET", "/a", "2026-11-21T04:00:00Z"))
	w.Close()
	if xs := readAll(t, open(t, write(t, "tap.json.gz", z.Bytes()))); len(xs) != 1 {
		t.Errorf("got %d exchanges", len(xs))
	}
}

// segment makes a streamed segment in JSON.
func segment(id, part, value string) string {
	return fmt.Sprintf(`{"http_streamed_trace_segment":{"trace_id":"%s","%s":%s}}`, id, part, value)
}

const (
	someHead = `{"headers":[{"key":":authority","value":"a"},{"key":":path","value":"/%s"},{"key":":method","value":"POST"}]}`
	someOK   = `{"headers":[{"key":":status","value":"200"}]}`
)

func TestSegmentsAreJoined(t *testing.T) {
	content := segment("1", "request_headers", fmt.Sprintf(someHead, "one")) +
		segment("2", "request_headers", fmt.Sprintf(someHead, "two")) +
		segment("1", "request_body_chunk", `{"as_bytes":"YWI="}`) +
		segment("2", "request_body_chunk", `{"as_bytes":"eHg="}`) +
		segment("1", "request_body_chunk", `{"as_bytes":"Yw=="}`) +
		segment("1", "request_trailers", `{"headers":[{"key":"x-sum","value":"9"}]}`) +
		segment("1", "response_headers", someOK) +
		segment("2", "response_headers", someOK) +
		segment("1", "response_body_chunk", `{"as_bytes":"b2s="}`) +
		segment("1", "request_headers", fmt.Sprintf(someHead, "again")) + // numbers repeat
		segment("3", "response_headers", someOK) +
		segment("4", "request_body_chunk", `{"as_bytes":"eHg="}`)
	r := open(t, write(t, "stream.json", []byte(content)))
	xs := readAll(t, r)
	var got []string
	for _, x := range xs {
		answer := "-"
		if x.Response != nil {
			answer = string(x.Response.Body.Bytes)
		}
		got = append(got, x.Request.Target+" "+string(x.Request.Body.Bytes)+" "+x.Request.Trailer.Get("x-sum")+" "+answer)
	}
	if want := []string{"/one abc 9 ok", "/two xx  ", "/again   -"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := r.Counts(), (source.Counts{Records: 5, Read: 3, Paired: 2, OrphanResponses: 1, Malformed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestStreamedTracesAreBounded(t *testing.T) {
	var content strings.Builder
	for i := range 50 {
		content.WriteString(segment(fmt.Sprint(i), "request_headers", fmt.Sprintf(someHead, fmt.Sprint(i))))
	}
	r, err := Open(Config{Paths: []string{write(t, "stream.json", []byte(content.String()))}, Window: 10})
	if err != nil {
		t.Fatal(err)
	}
	if xs := readAll(t, r); len(xs) != 50 {
		t.Errorf("%d exchanges", len(xs))
	}
	if r.log.hurried != 40 {
		t.Errorf("%d traces were given up early", r.log.hurried)
	}
}

// wrapper makes a TraceWrapper with a buffered trace.
func wrapper(path string, body []byte) []byte {
	message := func(num protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(parts, nil))
	}
	field := func(name, value string) []byte {
		return message(1, message(1, []byte(name)), message(3, []byte(value)))
	}
	request := message(1, field(":authority", "a"), field(":path", path), field(":method", "POST"), message(2, message(1, body)))
	return message(1, request, message(2, field(":status", "200")))
}

func TestBinaryFraming(t *testing.T) {
	for _, size := range []int{0, 1, 10, 18, 100, 200, 20000} {
		one := wrapper("/a", bytes.Repeat([]byte{0x0a}, size))
		var delimited []byte
		for range 3 {
			delimited = protowire.AppendBytes(delimited, one)
		}
		for name, content := range map[string][]byte{"plain": bytes.Repeat(one, 3), "delimited": delimited} {
			xs := readAll(t, open(t, write(t, "tap", content)))
			if len(xs) != 3 || len(xs[2].Request.Body.Bytes) != size || xs[2].Request.Method != "POST" {
				t.Errorf("%s, %d bytes: %d exchanges", name, size, len(xs))
			}
		}
	}
}

func TestAnEarlyEndOfARequestIsSeen(t *testing.T) {
	d := strings.Replace(doc(false, "POST", "/a", "", `,"body":{"as_bytes":"eA=="}`), `"content-type","value":"text/plain"`, `"content-length","value":"5"`, 1)
	r := open(t, write(t, "tap.json", []byte(d)))
	if xs := readAll(t, r); len(xs) != 0 || r.Counts().TruncatedRequests != 1 {
		t.Errorf("%d exchanges, counts %+v", len(xs), r.Counts())
	}
}

// TestFilesOfOneTimeAreNotOpenAtOnce holds what an unpacked archive looks like
// against the number of open files.
func TestFilesOfOneTimeAreNotOpenAtOnce(t *testing.T) {
	dir := t.TempDir()
	const files = 300
	when := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("tap_%03d.json", i))
		if err := os.WriteFile(name, []byte(doc(false, "GET", fmt.Sprintf("/%03d", i), "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, filepath.Join(dir, "*"))
	r.Next(t.Context())
	if done, total := r.Progress(); done > 3*total/files {
		t.Errorf("%d of %d bytes were read for the first exchange", done, total)
	}
	for i, x := range readAll(t, open(t, filepath.Join(dir, "*"))) {
		if want := fmt.Sprintf("/%03d", i); x.Request.Target != want || x.At.Sub(when) != time.Duration(i) {
			t.Fatalf("got %s at %v, want %s", x.Request.Target, x.At, want)
		}
	}
}

func TestNextAfterClose(t *testing.T) {
	r := open(t, "testdata/binary/*")
	r.Close()
	if _, err := r.Next(t.Context()); err == nil || err == io.EOF {
		t.Errorf("error %v", err)
	}
}

// FuzzRecords reads foreign bytes: no panic, an end, and counters that add up.
func FuzzRecords(f *testing.F) {
	names, _ := filepath.Glob("testdata/*/*")
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(doc(true, "GET", "/a", "2026-11-21T04:00:00Z")))
	f.Add(protowire.AppendBytes(nil, wrapper("/a", []byte("b"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		log := new(ledger)
		tap := newFile(Config{Window: 8}, "x", io.NopCloser(bytes.NewReader(b)), 1, log)
		for {
			err := tap.Advance(t.Context())
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrNotTap) {
					t.Fatal(err)
				}
				break
			}
			log.Read++
			if q := tap.current.Request; !http1.IsToken(q.Method) || !envoy.IsVisible(q.Target) {
				t.Error("odd request line")
			}
		}
		if c := log.Counts; c.Records != c.Read+c.Malformed+c.OrphanResponses+c.TruncatedRequests+c.NotHTTP {
			t.Errorf("counters do not add up: %+v", c)
		}
	})
}

// TestJSONAndBinaryAgree is a law: a trace is the same exchange in both.
func TestJSONAndBinaryAgree(t *testing.T) {
	for _, body := range []string{"", "x", "\x00\xff", strings.Repeat("ab", 5000)} {
		coded, _ := json.Marshal([]byte(body))
		text := fmt.Sprintf(`{"http_buffered_trace":{"request":{"headers":[{"key":":authority","raw_value":"YQ=="},{"key":":path","value":"/p"},{"key":":method","value":"POST"}],"body":{"as_bytes":%s}},"response":{"headers":[{"key":":status","value":"200"}]}}}`, coded)
		a := readAll(t, open(t, write(t, "a.json", []byte(text))))
		b := readAll(t, open(t, write(t, "a.pb", wrapper("/p", []byte(body)))))
		if len(a) != 1 || len(b) != 1 {
			t.Fatalf("%d and %d exchanges", len(a), len(b))
		}
		a[0].At, b[0].At = time.Time{}, time.Time{}
		if fmt.Sprintf("%+v %+v", a[0].Request, *a[0].Response) != fmt.Sprintf("%+v %+v", b[0].Request, *b[0].Response) {
			t.Errorf("got %+v and %+v", a[0].Request, b[0].Request)
		}
	}
}
