//go:build e2e

package accesslog

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// targets are request-targets that a log has to bring back byte for byte.
var targets = []string{
	"/", "/orders?id=7&x=%20y", "/a%2Fb/%C3%A9", "/caf\xc3\xa9", "/latin\xe9", `/quote"s?q="a"`, `/back\slash`, "/tab?x=%09", "//double//slash?",
	"/long/" + strings.Repeat("x", 2000),
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// start runs a server until the test ends, and waits until it answers.
func start(t *testing.T, address, program string, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it writes its log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	for limit := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return stop
		}
		select {
		case <-done:
			t.Fatalf("%s ended: %s", program, said.String())
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(limit) {
				stop()
				t.Fatalf("%s does not answer: %s", program, said.String())
			}
		}
	}
}

// request sends one request over a connection of its own, and gives the status.
func request(t *testing.T, address, target string) int {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: a \"b\" \\c \xe9\r\nReferer: http://r.test/\r\nX-Request-Id: id-%x\r\nConnection: close\r\n\r\n", target, target)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// check reads a log and compares it with what was asked.
func check(t *testing.T, version, path string, format Format, statuses map[string]int) {
	t.Helper()
	r, err := Open(Config{Name: "log", Paths: []string{path}, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	xs := read(t, r)
	seen := map[string]int{}
	for _, x := range xs {
		seen[x.Request.Target]++
		want, ok := statuses[x.Request.Target]
		if !ok || x.Response == nil || x.Response.Status != want || x.Request.Method != "GET" || x.Request.Body.State != traffic.Complete {
			t.Errorf("%s: %q came out as %s", format, x.Request.Target, show(x))
		}
		if ua := x.Request.Header.Get("User-Agent"); format == Combined && ua != "a \"b\" \\c \xe9" {
			t.Errorf("user agent %q", ua)
		}
	}
	for target := range statuses {
		if seen[target] != 1 {
			t.Errorf("%s: %q came out %d times", format, target, seen[target])
		}
	}
	c := r.Counts()
	t.Logf("access_log (%s): %s, %d requests in, %d exchanges out, %d lines, %d malformed, %d not HTTP", format, version, len(statuses), len(xs), c.Records, c.Malformed, c.NotHTTP)
}

func version(t *testing.T, program string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed: %v", program, err)
	}
	out, _ := exec.Command(program, args...).CombinedOutput()
	return regexp.MustCompile(`[a-zA-Z]+/[0-9.]+`).FindString(string(out))
}

// logged waits until a log has so many lines: a server writes them once it has
// answered, and one that is stopped before does not.
func logged(t *testing.T, path string, lines int) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(path)
		if n := strings.Count(string(text), "\n"); n >= lines {
			return
		} else if time.Now().After(limit) {
			t.Fatalf("%s has %d lines of %d", filepath.Base(path), n, lines)
		}
	}
}

func TestNginx(t *testing.T) {
	v := version(t, "nginx", "-v")
	dir := t.TempDir()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(203) }))
	defer upstream.Close()
	address := freePort(t)
	conf := `daemon off; master_process off; pid D/pid; error_log D/error.log; worker_rlimit_nofile 512;
events {}
http {
  client_body_temp_path D/b; proxy_temp_path D/p; fastcgi_temp_path D/f; uwsgi_temp_path D/u; scgi_temp_path D/s;
  large_client_header_buffers 4 16k; log_subrequest on;
  log_format audit escape=json '{"ts":"$msec","id":"$http_x_request_id","conn":"$connection","method":"$request_method","uri":"$request_uri","host":"$http_host","status":"$status","rt":"$request_time","urt":"$upstream_response_time"}';
  server {
    listen ADDRESS;
    access_log D/combined.log combined;
    access_log D/json.log audit;
    location / { mirror /_shadow; proxy_pass UPSTREAM; }
    location = /_shadow { internal; access_log D/json.log audit; proxy_pass UPSTREAM$request_uri; }
  }
}
`
	conf = strings.NewReplacer("D/", dir+"/", "ADDRESS", address, "UPSTREAM", upstream.URL).Replace(conf)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := start(t, address, "nginx", "-p", dir, "-c", path)
	statuses := map[string]int{}
	for _, target := range targets {
		statuses[target] = request(t, address, target)
	}
	logged(t, filepath.Join(dir, "json.log"), 2*len(targets)) // the subrequests as well
	logged(t, filepath.Join(dir, "combined.log"), len(targets))
	stop()
	check(t, v, filepath.Join(dir, "json.log"), NginxJSON, statuses)
	check(t, v, filepath.Join(dir, "combined.log"), Combined, statuses)
}

func TestApache(t *testing.T) {
	v := version(t, "apache2", "-v")
	modules := "/usr/lib/apache2/modules"
	if _, err := os.Stat(modules); err != nil {
		t.Skipf("apache2 is not installed with its modules: %v", err)
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	address := freePort(t)
	conf := `ServerRoot D
ServerName shop.test
Listen ADDRESS
PidFile D/pid
ErrorLog D/error.log
DefaultRuntimeDir D
LoadModule mpm_event_module M/mod_mpm_event.so
LoadModule authz_core_module M/mod_authz_core.so
User www-data
Group www-data
DocumentRoot D
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
CustomLog D/combined.log combined
`
	conf = strings.NewReplacer("D/", dir+"/", "Root D", "Root "+dir, "Dir D", "Dir "+dir, "ADDRESS", address, "M/", modules+"/").Replace(conf)
	path := filepath.Join(dir, "apache.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := start(t, address, "apache2", "-D", "FOREGROUND", "-d", dir, "-f", path)
	statuses := map[string]int{}
	for _, target := range targets {
		statuses[target] = request(t, address, target)
	}
	logged(t, filepath.Join(dir, "combined.log"), len(targets))
	stop()
	check(t, v, filepath.Join(dir, "combined.log"), Combined, statuses)
}
