package http1_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func reader(s string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(s), 16) }

// fields makes a header of names and values in turn.
func fields(kv ...string) traffic.Header {
	h := traffic.Header{}
	for i := 0; i < len(kv); i += 2 {
		h = append(h, traffic.Field{Name: kv[i], Value: kv[i+1]})
	}
	return h
}

func TestReadRequest(t *testing.T) {
	for _, tt := range []struct {
		name string
		wire string
		want traffic.Request
		err  error
	}{
		{
			name: "order, case and repeats are kept",
			wire: "GET /a?b=%20c HTTP/1.1\r\nhost: x\r\nX-B: 1\r\nx-a:2\r\nX-B:  3 \r\n\r\n",
			want: traffic.Request{Method: "GET", Target: "/a?b=%20c", Proto: "HTTP/1.1", Header: fields("host", "x", "X-B", "1", "x-a", "2", "X-B", "3")},
		},
		{
			name: "body by length, and nothing behind it",
			wire: "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nx=1GET / HTTP/1.1\r\n\r\n",
			want: traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Header: fields("Content-Length", "3"), Body: traffic.Body{Bytes: []byte("x=1")}},
		},
		{
			name: "chunked body with extension and trailer",
			wire: "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 9\r\n\r\n",
			want: traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Header: fields("Transfer-Encoding", "chunked"), Body: traffic.Body{Bytes: []byte("abcd")}, Trailer: fields("X-Sum", "9")},
		},
		{
			name: "bare line feeds and a folded field",
			wire: "GET / HTTP/1.1\nA: 1\n  2\nB: 3\n\n",
			want: traffic.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: fields("A", "1 2", "B", "3")},
		},
		{
			name: "empty lines before the start line",
			wire: "\r\n\r\nGET / HTTP/1.0\r\n\r\n",
			want: traffic.Request{Method: "GET", Target: "/", Proto: "HTTP/1.0", Header: traffic.Header{}},
		},
		{
			name: "a field longer than the reader's buffer",
			wire: "GET / HTTP/1.1\r\nX: " + strings.Repeat("y", 100) + "\r\n\r\n",
			want: traffic.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: fields("X", strings.Repeat("y", 100))},
		},
		{
			name: "cut body",
			wire: "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
			want: traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Header: fields("Content-Length", "9"), Body: traffic.Body{Bytes: []byte("abc"), State: traffic.Truncated}},
			err:  io.ErrUnexpectedEOF,
		},
		{name: "cut head", wire: "GET / HTTP/1.1\r\nA: b\r\n", err: io.ErrUnexpectedEOF},
		{name: "nothing", wire: "", err: io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := http1.ReadRequest(reader(tt.wire), http1.DefaultLimits)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if got == nil {
				if tt.want.Method != "" {
					t.Fatal("no request")
				}
				return
			}
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", *got, tt.want)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for _, wire := range []string{
		"hello\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / SPDY/3\r\n\r\n",
		"G(T / HTTP/1.1\r\n\r\n",
		"GET /a b HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
		"GET / HTTP/1.1\r\n folded: first\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
		"GET / HTTP/1.1\r\nContent-Length: \r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("y", 2000) + "\r\n\r\n",
	} {
		_, err := http1.ReadRequest(reader(wire), http1.Limits{Head: 1000, Body: 1000})
		var syntax *http1.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.40q: error %v, want a syntax error", wire, err)
		}
	}
}

func TestReadResponse(t *testing.T) {
	for _, tt := range []struct {
		name, method, wire string
		status             int
		body, rest         string
		err                error
	}{
		{"by length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokNEXT", 200, "ok", "NEXT", nil},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nNEXT", 200, "ok", "NEXT", nil},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nall of it", 200, "all of it", "", nil},
		{"HEAD has no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nNEXT", 200, "", "NEXT", nil},
		{"304 has no body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\nNEXT", 304, "", "NEXT", nil},
		{"interim responses are passed over", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, "", "", nil},
		{"101 is final", "GET", "HTTP/1.1 101 Switching Protocols\r\n\r\nframes", 101, "", "frames", nil},
		{"no reason phrase", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", "", nil},
		{"unknown status", "GET", "HTTP/1.1 499 \r\nContent-Length: 0\r\n\r\n", 499, "", "", nil},
		{"codings on two lines", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nNEXT", 200, "ok", "NEXT", nil},
		{"chunked is not the last coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nall of it", 200, "all of it", "", nil},
		{"the same length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nokNEXT", 200, "ok", "NEXT", nil},
		{"a trailer longer than the buffer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 0123456789abc\r\nY: 1\r\n\r\nNEXT", 200, "ok", "NEXT", nil},
		{"cut in a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 200, "ab", "", io.ErrUnexpectedEOF},
		{"cut before the last chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", 200, "ab", "", io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			br := reader(tt.wire)
			r, err := http1.ReadResponse(br, tt.method, http1.DefaultLimits)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			rest, _ := io.ReadAll(br)
			if r.Status != tt.status || string(r.Body.Bytes) != tt.body || string(rest) != tt.rest {
				t.Errorf("got %d %q, rest %q", r.Status, r.Body.Bytes, rest)
			}
			if (r.Body.State == traffic.Truncated) != (tt.err != nil) {
				t.Errorf("state %v", r.Body.State)
			}
		})
	}
}

func TestOversizedBodyIsHashed(t *testing.T) {
	body := strings.Repeat("0123456789", 100)
	for name, wire := range map[string]string{
		"by length":   "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body,
		"until close": "HTTP/1.1 200 OK\r\n\r\n" + body,
	} {
		r, err := http1.ReadResponse(reader(wire), "GET", http1.Limits{Head: 1000, Body: 100})
		if err != nil {
			t.Fatal(err)
		}
		if r.Body.State != traffic.Oversized || r.Body.Size != 1000 || len(r.Body.Bytes) != 100 || r.Body.SHA256 != sha256.Sum256([]byte(body)) {
			t.Errorf("%s: %v, %d bytes, %d kept", name, r.Body.State, r.Body.Size, len(r.Body.Bytes))
		}
	}
	if r, _ := http1.ReadResponse(reader("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"+body[:100]), "GET", http1.Limits{Head: 1000, Body: 100}); r.Body.State != traffic.Complete {
		t.Errorf("a body of exactly the limit is %v", r.Body.State)
	}
}

func TestKeepsAlive(t *testing.T) {
	for _, tt := range []struct {
		wire string
		want bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", false},
		{"HTTP/1.1 200 OK\r\n\r\n", false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", true},
		{"HTTP/1.1 204 No Content\r\n\r\n", true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
	} {
		r, err := http1.ReadResponse(reader(tt.wire), "GET", http1.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if got := http1.KeepsAlive("GET", r); got != tt.want {
			t.Errorf("%q: %v", tt.wire, got)
		}
	}
}

func TestAppendRequest(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    traffic.Request
		want string
	}{
		{"as it stands",
			traffic.Request{Method: "GET", Target: "/a", Proto: "HTTP/1.1", Header: fields("hOST", "x", "B", "1", "A", "2", "B", "3")},
			"GET /a HTTP/1.1\r\nhOST: x\r\nB: 1\r\nA: 2\r\nB: 3\r\n\r\n"},
		{"length corrected in place",
			traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Header: fields("content-length", "99", "Host", "x"), Body: traffic.Body{Bytes: []byte("abc")}},
			"POST / HTTP/1.1\r\ncontent-length: 3\r\nHost: x\r\n\r\nabc"},
		{"length added",
			traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/2.0", Header: fields("Host", "x"), Body: traffic.Body{Bytes: []byte("abc")}},
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"},
		{"a recorded zero is kept",
			traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Header: fields("Content-Length", "0")},
			"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"},
		{"chunked stays chunked",
			traffic.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Header: fields("Transfer-Encoding", "chunked"), Body: traffic.Body{Bytes: []byte("hello world!")}, Trailer: fields("X", "1")},
			"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello world!\r\n0\r\nX: 1\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(http1.AppendRequest(nil, &tt.r)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// FuzzRequest holds the law that what was read is written back so that it
// reads the same, and that no input makes the reader panic.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nx=1",
		"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		http1.ReadResponse(bufio.NewReader(bytes.NewReader(wire)), "GET", http1.DefaultLimits)
		r, err := http1.ReadRequest(bufio.NewReader(bytes.NewReader(wire)), http1.DefaultLimits)
		if err != nil || r.Proto != "HTTP/1.1" {
			return
		}
		again, err := http1.ReadRequest(bufio.NewReader(bytes.NewReader(http1.AppendRequest(nil, r))), http1.DefaultLimits)
		if err != nil {
			t.Fatalf("what was written does not read: %v", err)
		}
		if again.Method != r.Method || again.Target != r.Target || !bytes.Equal(again.Body.Bytes, r.Body.Bytes) {
			t.Fatalf("changed: %+v, %+v", r, again)
		}
	})
}

func BenchmarkReadResponse(b *testing.B) {
	wire := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nDate: Fri, 20 Nov 2026 09:18:16 GMT\r\nContent-Type: application/json\r\nContent-Length: 1200\r\n\r\n" + strings.Repeat("x", 1200))
	src := bytes.NewReader(wire)
	br := bufio.NewReader(src)
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		src.Reset(wire)
		br.Reset(src)
		if _, err := http1.ReadResponse(br, "GET", http1.DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}
