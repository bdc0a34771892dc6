//go:build e2e

package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func curl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed: apt-get install curl")
	}
	return path
}

// echo answers with the body of the request and says what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
		return
	case "/large":
		block := make([]byte, 1<<20)
		for range 100 {
			w.Write(block)
		}
		return
	}
	n, sum := int64(0), sha256.New()
	var body bytes.Buffer
	n, _ = io.Copy(io.MultiWriter(sum, &body), r.Body)
	w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %d", r.Method, r.RequestURI, r.Host, n))
	if r.Method == "PUT" {
		fmt.Fprintf(w, "%x", sum.Sum(nil))
		return
	}
	io.Copy(w, &body)
}

// TestCurl has the real curl talk to a service through the proxy, over HTTP/1.1
// and HTTP/2, with and without TLS: it gets what it gets without a proxy, and
// that is what is recorded.
func TestCurl(t *testing.T) {
	path := curl(t)
	cert, key := certificate(t)
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("0123456789abcdef"), 100<<20/16), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, scheme string
		cfg          Config
		args         []string
	}{
		{"HTTP/1.1", "http", Config{}, []string{"--http1.1"}},
		{"HTTP/2 without TLS", "http", Config{}, []string{"--http2-prior-knowledge"}},
		{"HTTP/1.1 with TLS", "https", Config{CertFile: cert, KeyFile: key}, []string{"-k", "--http1.1"}},
		{"HTTP/2 with TLS", "https", Config{CertFile: cert, KeyFile: key}, []string{"-k", "--http2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			direct := stand(t, echo).upstream.String()
			tt.cfg.Upstream = direct
			s := open(t, tt.cfg)
			run := func(base string, args ...string) []byte {
				cmd := exec.CommandContext(t.Context(), path, append([]string{"-s", "-S", "--path-as-is", "-m", "30", "-H", "Host: shop.example"}, args...)...)
				cmd.Args[len(cmd.Args)-1] = base + cmd.Args[len(cmd.Args)-1]
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v: %v", args, err)
				}
				return out
			}
			requests := [][]string{
				{"/a/../b%2Fc//d?x=%20&y"},
				{"-I", "/head"},
				{"-d", "hello=1", "/post"},
				{"-H", "Transfer-Encoding: chunked", "-d", "chunked=1", "/chunked"},
				{"-H", "Expect: 100-continue", "-d", "expected=1", "/expect"},
				{"-N", "/events"},
			}
			want := source.Counts{Records: 6, Read: 6, Paired: 6}
			if tt.cfg.CertFile == "" {
				requests = append(requests, []string{"/large"}, []string{"-T", large, "/upload"})
				want = source.Counts{Records: 8, Read: 7, Paired: 7, Truncated: 1, TruncatedRequests: 1}
			}
			var got []*traffic.Exchange
			for _, args := range requests {
				without := run(direct, args...)
				with := run(tt.scheme+"://"+s.Listening(), append(append([]string(nil), tt.args...), args...)...)
				if args[0] != "-I" && !bytes.Equal(with, without) {
					t.Errorf("%v: %d bytes through the proxy, %d without", args, len(with), len(without))
				}
				target := args[len(args)-1]
				if target == "/upload" {
					continue // larger than what is recorded
				}
				x := next(t, s)
				got = append(got, x)
				if x.Request.Target != target || x.Request.Host() != "shop.example" || x.Response == nil || x.Response.Status != 200 {
					t.Errorf("%v: recorded %s %s", args, x.Request.Method, x.Request.Target)
					continue
				}
				switch body := x.Response.Body; {
				case target == "/large":
					if body.State != traffic.Oversized || body.Size != 100<<20 || body.SHA256 != sha256.Sum256(without) {
						t.Errorf("%v: %v of %d bytes", args, body.State, body.Size)
					}
				case args[0] == "-I":
				case !bytes.Equal(body.Bytes, without):
					t.Errorf("%v: recorded %q instead of %q", args, body.Bytes, without)
				}
				if i := len(args) - 2; i >= 0 && args[max(i-1, 0)] == "-d" && string(x.Request.Body.Bytes) != args[i] {
					t.Errorf("%v: recorded the body %q", args, x.Request.Body.Bytes)
				}
			}
			drain(t, s)
			check(t, s, want)
			version, _, _ := strings.Cut(string(run("", "--version", "")), " (")
			t.Logf("proxy: %s, %s: %d requests in, %d exchanges out, requests of 100 MiB are not recorded; %+v", version, tt.name, len(requests), len(got), s.Counts())
		})
	}
}

// TestCurlSeesEventsAtOnce reads the first event from curl while the service
// holds the second one back.
func TestCurlSeesEventsAtOnce(t *testing.T) {
	path := curl(t)
	more := make(chan bool)
	s := stand(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "data: 2\n\n")
	})
	cmd := exec.CommandContext(t.Context(), path, "-s", "-N", "-m", "20", "http://"+s.Listening())
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	if line, err := in.ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Fatalf("%q, %v", line, err)
	}
	close(more)
	rest, _ := io.ReadAll(in)
	if err := cmd.Wait(); err != nil || string(rest) != "\ndata: 2\n\n" {
		t.Errorf("%q, %v", rest, err)
	}
	if x := next(t, s); string(x.Response.Body.Bytes) != "data: 1\n\ndata: 2\n\n" {
		t.Errorf("%q", x.Response.Body.Bytes)
	}
}
