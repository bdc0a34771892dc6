//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// liveCommand is a command that listens, inside the test.
type liveCommand struct {
	t    *testing.T
	addr string // where it listens, as it said itself
	out  bytes.Buffer
	errs *lines
	done chan int
}

// lines is a stream that finds the address in what a command says.
type lines struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	addr  chan string
	found bool
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	for line := range strings.Lines(l.buf.String()) {
		if addr, ok := listeningAt(line); ok && !l.found {
			l.found = true
			l.addr <- addr
		}
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// listeningAt takes the address out of "source.mirror.live listens on ADDRESS",
// which a word or a full stop follows.
func listeningAt(line string) (string, bool) {
	_, rest, ok := strings.Cut(line, " listens on ")
	if !ok || !strings.HasSuffix(rest, "\n") {
		return "", false
	}
	addr := strings.Fields(strings.TrimPrefix(rest, "udp "))[0]
	return strings.TrimRight(addr, ".,"), true
}

// startLive starts a command and waits until it listens.
func startLive(t *testing.T, args ...string) *liveCommand {
	t.Helper()
	l := &liveCommand{t: t, errs: &lines{addr: make(chan string, 1)}, done: make(chan int, 1)}
	c := process()
	c.stdout, c.stderr = &l.out, l.errs
	go func() { l.done <- run(context.Background(), args, c) }()
	select {
	case l.addr = <-l.errs.addr:
	case code := <-l.done:
		t.Fatalf("it ended before it listened: exit code %d\n%s%s", code, l.out.String(), l.errs)
	}
	return l
}

// ends waits for the end and checks the exit code.
func (l *liveCommand) ends(want int) {
	l.t.Helper()
	select {
	case code := <-l.done:
		if code != want {
			l.t.Fatalf("exit code %d, want %d\n%s%s", code, want, l.out.String(), l.errs)
		}
	case <-time.After(time.Minute):
		l.t.Fatalf("it does not end\n%s", l.errs)
	}
}

// interrupt is Ctrl-C.
func (l *liveCommand) interrupt() { syscall.Kill(os.Getpid(), syscall.SIGINT) }

// says checks what was printed.
func (l *liveCommand) says(texts ...string) {
	l.t.Helper()
	for _, text := range texts {
		if !strings.Contains(l.out.String(), text) {
			l.t.Errorf("%q is missing in\n%s", text, l.out.String())
		}
	}
}

// liveSpec writes a spec whose one audit reads the given source. The lines of
// inside are put into the audit.
func liveSpec(t *testing.T, source, baseline, candidate, inside string) string {
	t.Helper()
	base := "recorded"
	text := source
	if baseline != "" {
		base = "target.stable"
		text += fmt.Sprintf("\ntarget \"stable\" {\n  url = %q\n}\n", baseline)
	}
	text += fmt.Sprintf("\ntarget \"next\" {\n  url = %q\n}\n", candidate)
	kind := strings.Split(source, `"`)
	text += fmt.Sprintf(`
audit "live" {
  source    = source.%s.%s
  baseline  = %s
  candidate = target.next

  %s

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%%"
  }
  gate "errors" {
    metric = errors.rate
    max    = "0%%"
  }
}
`, kind[1], kind[3], base, inside)
	path := filepath.Join(t.TempDir(), "live.audit.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const mirrorSource = `source "mirror" "live" {
  listen = "127.0.0.1:0"
}
`

// patient lets requests leave late: a machine that runs tests is busy.
const patient = "replay {\n    max_lateness = \"1m\"\n  }"

// unused is the URL of a target that is never asked.
const unused = "http://127.0.0.1:1"

// api starts a service whose answers depend on the path. A faulty one answers
// something else.
func api(t *testing.T, faulty bool) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		total := len(r.URL.Path)
		if faulty {
			total++
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path":%q,"total":%d}`, r.URL.Path, total)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// send sends n requests over one connection as fast as their answers come.
func send(t *testing.T, addr string, first, n int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		w := bufio.NewWriter(c)
		for i := first; i < first+n; i++ {
			fmt.Fprintf(w, "GET /api/orders/%d?email=jane.roe%%40corp.test HTTP/1.1\r\nHost: shop.example\r\n\r\n", i)
		}
		w.Flush()
	}()
	in := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode/100 != 2 {
			t.Fatalf("%v %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// flood sends n requests over one connection without looking at the answers,
// which are counted.
func flood(t *testing.T, addr string, n int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	go func() {
		w := bufio.NewWriterSize(c, 64<<10)
		for i := range n {
			fmt.Fprintf(w, "GET /api/orders/%d HTTP/1.1\r\nHost: shop.example\r\n\r\n", i)
		}
		w.Flush()
		c.(*net.TCPConn).CloseWrite()
	}()
	answers, err := io.ReadAll(c)
	if got := bytes.Count(answers, []byte("HTTP/1.1 204 ")); err != nil || got != n {
		t.Errorf("%d of %d were answered: %v", got, n, err)
	}
}

// recordedIn reads a recording, and looks for the address that was sent.
func recordedIn(t *testing.T, path string) []*traffic.Exchange {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := recording.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []*traffic.Exchange
	for {
		x, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if doc, _ := json.Marshal(x); bytes.Contains(doc, []byte("jane.roe")) {
			t.Fatalf("not scrubbed: %s", doc)
		}
		all = append(all, x)
	}
	if !r.Closed() {
		t.Error("the recording was not closed")
	}
	return all
}

// readResult reads a report of the kind json.
func readResult(t *testing.T, path string) *result.Audit {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run, err := result.Read(f)
	if err != nil || len(run.Audits) != 1 {
		t.Fatalf("%+v %v", run, err)
	}
	if a := &run.Audits[0]; !a.Traffic.Balanced(a.Outcomes) {
		t.Errorf("the counters do not add up: %+v %+v", a.Traffic, a.Outcomes)
	}
	return &run.Audits[0]
}

// TestRecordMirror records what a proxy mirrors, until each of its ends.
func TestRecordMirror(t *testing.T) {
	spec := liveSpec(t, mirrorSource, unused, unused, "")
	for _, tt := range []struct {
		name string
		args []string
		sent int
		want int
		stop func(*liveCommand)
		says string
	}{
		{"count", []string{"--count", "20"}, 30, 20, nil, "until 20 exchanges have come"},
		{"for", []string{"--for", "700ms"}, 25, 25, nil, "for 700ms"},
		{"interrupt", nil, 25, 25, (*liveCommand).interrupt, "Ctrl-C ends it."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out.sar")
			l := startLive(t, append([]string{"record", spec, "-o", file}, tt.args...)...)
			send(t, l.addr, 0, tt.sent)
			if tt.stop != nil {
				tt.stop(l)
			}
			l.ends(exitPass)
			l.says(fmt.Sprintf("read       %d exchanges, 0 with a response", tt.want), fmt.Sprintf("recorded   %d exchanges in ", tt.want))
			if !strings.Contains(l.errs.String(), tt.says) {
				t.Errorf("%q is missing in %s", tt.says, l.errs)
			}
			all := recordedIn(t, file)
			if len(all) != tt.want {
				t.Errorf("%d exchanges, want %d", len(all), tt.want)
			}
			for i, x := range all {
				if want := fmt.Sprintf("/api/orders/%d", i); x.Request.Path() != want || x.At.IsZero() {
					t.Errorf("exchange %d: %+v", i, x)
				}
			}
		})
	}
}

// TestRunMirror audits live traffic to each of its ends, with a build that is
// equal and one that is not.
func TestRunMirror(t *testing.T) {
	sound, same, faulty := api(t, false), api(t, false), api(t, true)
	for _, tt := range []struct {
		name      string
		candidate string
		args      []string
		inside    string
		interrupt bool
		code      int
		verdict   result.Verdict
		total     int64
	}{
		{"count", same.URL, []string{"--count", "40"}, patient, false, exitPass, result.Pass, 40},
		{"for", same.URL, []string{"--for", "700ms"}, patient, false, exitPass, result.Pass, 50},
		{"limit", same.URL, nil, patient + "\n  select {\n    limit = 30\n  }", false, exitPass, result.Pass, 30},
		{"faulty", faulty.URL, []string{"--count", "40"}, patient, false, exitFail, result.Fail, 40},
		{"interrupt", same.URL, nil, patient, true, exitInterrupted, result.Inconclusive, -1},
		{"faulty, interrupt", faulty.URL, nil, patient, true, exitInterrupted, result.Inconclusive, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report := filepath.Join(t.TempDir(), "result.json")
			spec := liveSpec(t, mirrorSource, sound.URL, tt.candidate, tt.inside)
			l := startLive(t, append([]string{"run", spec, "--progress", "none", "--report", "json=" + report}, tt.args...)...)
			send(t, l.addr, 0, 50)
			if tt.interrupt {
				l.interrupt()
			}
			l.ends(tt.code)
			a := readResult(t, report)
			if tt.interrupt {
				if a.Verdict == result.Pass || strings.Contains(l.out.String(), "PASS") {
					t.Errorf("passed although it was interrupted\n%s", l.out.String())
				}
				return
			}
			if a.Verdict != tt.verdict || a.Outcomes.Total != tt.total || a.Traffic.Dropped != 0 {
				t.Errorf("%v, %+v, %+v\n%s", a.Verdict, a.Outcomes, a.Traffic, l.out.String())
			}
		})
	}
}

// gatedTarget is a service that answers nothing until it is let go.
func gatedTarget(t *testing.T) (srv *httptest.Server, release func()) {
	open := make(chan struct{})
	var once sync.Once
	release = func() { once.Do(func() { close(open) }) }
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			<-open
		}
	}))
	t.Cleanup(func() { release(); srv.Close() })
	return srv, release
}

// TestSlowTarget sends far more than targets that stand still can take. The
// sender never waits, what found no room is counted, and the verdict says so.
func TestSlowTarget(t *testing.T) {
	const senders = 2
	for _, tt := range []struct {
		onLoss  string
		sent    int
		code    int
		verdict result.Verdict
	}{
		{"", 50_000, exitInconclusive, result.Inconclusive},
		{"  on_loss = fail\n", 12_000, exitFail, result.Fail},
	} {
		t.Run("on_loss"+tt.onLoss, func(t *testing.T) {
			stable, release := gatedTarget(t)
			next, releaseNext := gatedTarget(t)
			src := strings.Replace(mirrorSource, "}", tt.onLoss+"}", 1)
			report := filepath.Join(t.TempDir(), "result.json")
			spec := liveSpec(t, src, stable.URL, next.URL, "replay {\n    max_lateness = \"1h\"\n    max_in_flight = 16\n  }")
			l := startLive(t, "run", spec, "--progress", "none", "--count", "1000", "--report", "json="+report)
			var all sync.WaitGroup
			begin := time.Now()
			for range senders {
				all.Go(func() { flood(t, l.addr, tt.sent/senders) })
			}
			all.Wait()
			t.Logf("%d requests were mirrored in %v", tt.sent, time.Since(begin).Round(time.Millisecond))
			release()
			releaseNext()
			l.ends(tt.code)
			l.says("over max_loss 5%", "dropped for want of room")
			a := readResult(t, report)
			if a.Traffic.Dropped < int64(tt.sent)/2 || a.Verdict != tt.verdict || a.Outcomes.Matched != 1000 {
				t.Errorf("%v, %+v, %+v", a.Verdict, a.Traffic, a.Outcomes)
			}
		})
	}
}
