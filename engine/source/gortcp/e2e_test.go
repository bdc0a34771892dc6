//go:build e2e

package gortcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/gor"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// goreplay finds the real GoReplay, and whether it may capture here.
func goreplay(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"goreplay", "gor"} {
		if path, err := exec.LookPath(name); err == nil {
			if os.Geteuid() != 0 {
				t.Skip("capturing needs root")
			}
			return path
		}
	}
	t.Skip("GoReplay is not installed: go install github.com/buger/goreplay@v1.3.2, with libpcap")
	return ""
}

// TestGoReplay captures known traffic on the loopback with the real GoReplay,
// which sends it here and writes it to a file as well: what is received is what
// is in the file, and what was sent.
func TestGoReplay(t *testing.T) {
	path := goreplay(t)
	cert, key := certificate(t)
	for _, tt := range []struct {
		name string
		cfg  Config
		args []string
	}{
		{"plain", Config{}, nil},
		{"TLS", Config{CertFile: cert, KeyFile: key}, []string{"--output-tcp-secure", "--output-tcp-skip-verify"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, tt.cfg)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
			}))
			defer srv.Close()
			u, _ := url.Parse(srv.URL)
			file := filepath.Join(t.TempDir(), "all.gor")
			args := append([]string{
				"--input-raw", ":" + u.Port(), "--input-raw-track-response", "--output-tcp", s.Listening(),
				"--output-file", file, "--output-file-append", "--output-file-flush-interval", "100ms",
			}, tt.args...)
			ctx, cancel := context.WithCancel(context.Background())
			cmd := exec.CommandContext(ctx, path, args...)
			var log bytes.Buffer
			cmd.Stdout, cmd.Stderr = &log, &log
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
			cmd.WaitDelay = 10 * time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			defer func() { cancel(); <-ended }()

			got := make(chan *traffic.Exchange, 100_000)
			var orders atomic.Int64
			go func() {
				defer close(got)
				for {
					x, err := s.Next(context.Background())
					if err != nil {
						return
					}
					if strings.HasPrefix(x.Request.Target, "/orders/") {
						orders.Add(1)
					}
					got <- x
				}
			}()
			sent := drive(t, srv.URL, s, &orders)
			cancel()
			<-ended // GoReplay has sent and written what it had
			s.Stop()
			var received []string
			known := 0
			for x := range got {
				line := describe(x)
				received = append(received, line)
				if want, ok := sent[line]; ok && want {
					known++
					sent[line] = false
				}
			}
			want := recorded(t, file)
			slices.Sort(received)
			slices.Sort(want)
			// GoReplay ends without waiting for its connections: what was on its
			// way at the very end is in the file only, and each of the ten
			// connections may have been cut in the middle of a record.
			lost := len(want) - len(received)
			for line, missing := range sent {
				if missing {
					t.Logf("not received: %.100q", line)
				}
			}
			for _, line := range want {
				if !slices.Contains(received, line) {
					t.Logf("in the file only: %.200q", line)
				}
			}
			for _, line := range received {
				if !slices.Contains(want, line) {
					t.Errorf("received, and not in the file: %s", line)
				}
			}
			c := s.Counts()
			if sum := c.Read + c.Paired + c.OrphanResponses + c.ReplayedResponses + c.Malformed + c.TruncatedRequests + c.Dropped; c.Records != sum || c.Malformed+c.TruncatedRequests > 10 {
				t.Errorf("%d records, %d accounted for: %+v\n%s", c.Records, sum, c, log.String())
			}
			if known < len(sent)*95/100 {
				t.Errorf("%d of %d known requests were received with their response\n%s", known, len(sent), log.String())
			}
			if lost < 0 {
				t.Errorf("%d exchanges received, %d in the file", len(received), len(want))
			}
			t.Logf("gor_tcp: GoReplay, %s: %d known requests sent, %d of them received with their response; %d exchanges in GoReplay's own file, %d received, the difference on its way when GoReplay ended, or dropped where it came faster than this machine reads; %+v", tt.name, len(sent), known, len(want), len(received), c)
		})
	}
}

// drive sends known traffic once the capture works, and until it has been
// received. It returns the exchanges that are expected.
func drive(t *testing.T, base string, s *Source, received *atomic.Int64) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	send := func(method, path, body string) {
		req, _ := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for s.Counts().Records == 0 { // the capture needs a moment, and says nothing when it is ready
		send("GET", "/warm", "")
	}
	sent := make(map[string]bool)
	for i := range 200 {
		path := fmt.Sprintf("/orders/%d", i)
		if i%2 == 0 {
			send("GET", path, "")
			sent[fmt.Sprintf("GET %s  -> 200 GET %s ", path, path)] = true
			continue
		}
		body := strings.Repeat("x", i)
		send("POST", path, body)
		sent[fmt.Sprintf("POST %s %s -> 200 POST %s %s", path, body, path, body)] = true
	}
	for range 5000 { // GoReplay hands records out when its buffers are full
		send("GET", "/warm", "")
		if received.Load() >= int64(len(sent)) {
			break
		}
	}
	return sent
}

func describe(x *traffic.Exchange) string {
	s := fmt.Sprintf("%s %s %s -> ", x.Request.Method, x.Request.Target, x.Request.Body.Bytes)
	if x.Response != nil {
		s += fmt.Sprintf("%d %s", x.Response.Status, x.Response.Body.Bytes)
	}
	return s
}

// recorded reads the file that GoReplay wrote meanwhile.
func recorded(t *testing.T, file string) []string {
	t.Helper()
	r, err := gor.Open(gor.Config{Paths: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for {
		x, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, describe(x))
	}
}
