//go:build e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// goreplay finds the real GoReplay, and whether it may capture here.
func goreplay(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"goreplay", "gor"} {
		if path, err := exec.LookPath(name); err == nil {
			if os.Geteuid() != 0 {
				t.Skip("SKIPPED: capturing needs root")
			}
			return path
		}
	}
	t.Skip("SKIPPED: GoReplay is not installed (go install github.com/buger/goreplay@v1.3.2, with libpcap)")
	return ""
}

// TestRealGoReplay captures known traffic on the loopback with the real
// GoReplay and audits with what it wrote: every request that GoReplay recorded
// is read, and the sound build passes where the faulty one fails.
func TestRealGoReplay(t *testing.T) {
	gor := goreplay(t)
	sound := httptest.NewServer(demo.Shop{})
	defer sound.Close()
	faulty := httptest.NewServer(demo.Shop{Faulty: true})
	defer faulty.Close()

	dir := t.TempDir()
	u, _ := url.Parse(sound.URL)
	var log bytes.Buffer
	capture := exec.Command(gor, "--input-raw", ":"+u.Port(), "--input-raw-track-response", "--output-file", filepath.Join(dir, "peak.gor"), "--output-file-flush-interval", "100ms")
	capture.Stdout, capture.Stderr = &log, &log
	if err := capture.Start(); err != nil {
		t.Fatal(err)
	}
	sent := drive(t, sound.URL, filepath.Join(dir, "peak_0.gor"))
	capture.Process.Signal(syscall.SIGINT)
	capture.Wait()

	spec, err := os.ReadFile("../../examples/live-baseline/shop.audit.hcl")
	if err != nil {
		t.Fatal(err)
	}
	spec = bytes.Replace(spec, []byte("traffic/shop.gor"), []byte("peak_*.gor"), 1)
	path := filepath.Join(dir, "shop.audit.hcl")
	if err := os.WriteFile(path, spec, 0o644); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "result.json")
	audit := func(candidate string) (int, *result.Run, string) {
		code, out, errs := inProcess("run", path, "--var", "baseline_url="+sound.URL, "--var", "candidate_url="+candidate, "--report", "json="+report)
		f, err := os.Open(report)
		if err != nil {
			t.Fatal(err, errs)
		}
		defer f.Close()
		run, err := result.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		return code, run, out
	}
	code, run, out := audit(sound.URL)
	tr := run.Audits[0].Traffic
	t.Logf("GoReplay: %d requests sent to the API, %d read with the health checks, %d paired, %d records, %d malformed, %d orphan responses", sent, tr.Read, tr.Paired, tr.Records, tr.Malformed, tr.OrphanResponses)
	if code != exitPass {
		t.Errorf("the sound build: exit code %d\n%s\n%s", code, out, log.String())
	}
	if tr.Selected < int64(sent)*95/100 || tr.Selected > int64(sent) || tr.Read != tr.Selected+tr.Excluded {
		t.Errorf("%d of %d requests selected: %+v", tr.Selected, sent, tr)
	}
	if tr.Records != tr.Read+tr.Paired+tr.OrphanResponses+tr.Malformed+tr.TruncatedRequests+tr.ReplayedResponses {
		t.Errorf("records that are not accounted for: %+v", tr)
	}
	if code, _, out := audit(faulty.URL); code != exitFail || !strings.Contains(out, ".body.total_cents  value") {
		t.Errorf("the faulty build: exit code %d\n%s", code, out)
	}
}

// drive sends known traffic until the capture is up and has seen it, and gives
// the number of requests since the capture's file exists.
func drive(t *testing.T, base, file string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	get := func(method, path string) {
		req, _ := http.NewRequestWithContext(ctx, method, base+path, nil)
		req.Header.Set("X-Region", "eu")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	warm := 0
	for ctx.Err() == nil { // the capture needs a moment, and says nothing when it is ready
		get("GET", "/healthz")
		warm++
		if content, err := os.ReadFile(file); err == nil && len(content) > 0 {
			break
		}
	}
	n := 0
	for i := range 60 {
		for _, path := range []string{fmt.Sprintf("/api/orders/%d", 1000+i), "/api/products?category=tea&page=1", "/api/search?q=green+tea"} {
			get("GET", path)
			n++
		}
	}
	for range 300 { // GoReplay hands records out when its buffers are full, and at its end
		if content, _ := os.ReadFile(file); bytes.Count(content, []byte("GET /api/")) >= n {
			break
		}
		get("GET", "/healthz")
	}
	return n
}

// TestBuiltProgram builds the program and runs its demo in an empty folder.
func TestBuiltProgram(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "shadowaudit")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	cmd := exec.Command(bin, "demo")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("FAIL  shop")) {
		t.Errorf("%v\n%s", err, out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

// TestMemoryDoesNotGrow replays two recordings, one ten times the other, and
// holds the larger one to the memory that a run may take.
func TestMemoryDoesNotGrow(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "shadowaudit")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	srv := serveFixed(t)
	dir := t.TempDir()
	peak := func(records int) int64 {
		rec := filepath.Join(dir, fmt.Sprint(records, ".gor"))
		writeBig(t, rec, records)
		defer os.Remove(rec)
		spec := filepath.Join(dir, "big.audit.hcl")
		os.WriteFile(spec, fmt.Appendf(nil, `
source "gor" "big" {
  path = %q
}
target "a" {
  url = %q
}
target "b" {
  url = %q
}
audit "big" {
  source    = source.gor.big
  baseline  = target.a
  candidate = target.b
  replay {
    timing = unpaced
  }
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%%"
  }
}
`, filepath.Base(rec), srv, srv), 0o644)
		cmd := exec.Command(bin, "run", spec, "--progress", "none")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		most := watch(cmd.Process.Pid)
		err := cmd.Wait()
		if err != nil || !strings.Contains(out.String(), result.FormatCount(int64(records)/2)+" in ") {
			t.Fatalf("%v\n%s", err, out.String())
		}
		return most()
	}
	small, large := peak(100_000), peak(1_000_000)
	t.Logf("peak memory: %d MiB for 100,000 records, %d MiB for 1,000,000", small, large)
	if large == 0 {
		t.Skip("SKIPPED: this system does not tell the peak memory of a process")
	}
	if large > 200 {
		t.Errorf("a million records took %d MiB", large)
	}
}

// watch follows the peak memory of a process, in MiB. What wait reports is of no
// use here: it starts from the memory of the process that forked.
func watch(pid int) (most func() int64) {
	quit, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var last int64
		for {
			select {
			case <-tick.C:
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				for line := range strings.Lines(string(status)) {
					var kib int64
					if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
						last = max(last, kib>>10)
					}
				}
			case <-quit:
				peak <- last
				return
			}
		}
	}()
	return func() int64 { close(quit); return <-peak }
}

// serveFixed answers every request on a kept-alive connection with the same
// bytes, as cheaply as possible.
func serveFixed(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	body := `{"items":[` + strings.Repeat(`{"sku":"a-1","price":1.50},`, 20) + `{}]}`
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 8<<10)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// writeBig writes a recording of so many records, half of them responses.
func writeBig(t *testing.T, path string, records int) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var buf bytes.Buffer
	for i := range records / 2 {
		at := recordedAt.UnixNano() + int64(i)*1000
		fmt.Fprintf(&buf, "1 %04x1f907f000001%08x %d 0\nGET /api/orders/%d HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\n\r\n\n🐵🙈🙉\n", 20000+i%200, i, at, i%1000)
		fmt.Fprintf(&buf, "2 %04x1f907f000001%08x %d 20000\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}\n🐵🙈🙉\n", 20000+i%200, i, at+3_000_000)
		if buf.Len() > 1<<20 {
			buf.WriteTo(f)
		}
	}
	buf.WriteTo(f)
}
