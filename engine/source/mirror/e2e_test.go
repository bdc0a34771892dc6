//go:build e2e

package mirror

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source/accesslog"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// service answers every request with 200 and keeps them.
func service(t *testing.T) (addr string, got func() []*traffic.Request) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	kept := make(chan *traffic.Request, 10_000)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for {
					r, err := http1.ReadRequest(br, http1.DefaultLimits)
					if err != nil {
						return
					}
					kept <- r
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	return ln.Addr().String(), func() []*traffic.Request {
		var rs []*traffic.Request
		for len(kept) > 0 {
			rs = append(rs, <-kept)
		}
		return rs
	}
}

// freePort finds a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// start runs a server that listens on a port of its configuration, and waits
// for it. command gets the port; where the port was taken meanwhile, another one
// is tried.
func start(t *testing.T, command func(ctx context.Context, port string) *exec.Cmd) (addr string) {
	t.Helper()
	for try := range 3 {
		port := freePort(t)
		ctx, cancel := context.WithCancel(context.Background())
		cmd := command(ctx, port)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Start(); err != nil {
			cancel()
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { cmd.Wait(); close(ended) }()
		if waitFor("127.0.0.1:"+port, ended) {
			t.Cleanup(func() { cancel(); <-ended })
			return "127.0.0.1:" + port
		}
		cancel()
		<-ended
		if try == 2 {
			t.Fatalf("%s does not start:\n%s", cmd.Path, out.String())
		}
	}
	panic("unreachable")
}

func waitFor(addr string, ended <-chan struct{}) bool {
	timeout := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-timeout:
			return false
		case <-tick.C:
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				return true
			}
		}
	}
}

// version is what a program says about itself.
func version(t *testing.T, path string, arg string) string {
	t.Helper()
	out, err := exec.Command(path, arg).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v", path, arg, err)
	}
	return regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(out))
}

// known is traffic of which every detail is known: clients with some requests
// each.
const clients, each = 5, 40

func known(client, n int) string {
	head := fmt.Sprintf("Host: shop.example:8080\r\nX-Case-IS-Kept: %d/%d\r\nAccept: */*\r\nx-lower: a\r\nCookie: s=%d; t=\"x\"\r\n", client, n, client)
	switch n % 4 {
	case 0:
		return fmt.Sprintf("GET /v1/x%%20y/%d%%2F%d?q=1&q=%%2f HTTP/1.1\r\n%s\r\n", client, n, head)
	case 1:
		return fmt.Sprintf("POST /post/%d/%d HTTP/1.1\r\n%sContent-Length: 9\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n%03d", client, n, head, n)
	case 2:
		return fmt.Sprintf("PUT /chunked/%d/%d HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", client, n, head)
	}
	body := strings.Repeat("0123456789", 20_000)
	return fmt.Sprintf("DELETE /large/%d/%d HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", client, n, head, len(body), body)
}

// drive sends the known traffic and returns it parsed, by "client/n". Every
// request is to be answered by the service, whatever the mirror does.
func drive(t *testing.T, addr string) map[string]*traffic.Request {
	t.Helper()
	sent := make(map[string]*traffic.Request)
	for client := range clients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		br := bufio.NewReader(c)
		for n := range each {
			raw := known(client, n)
			io.WriteString(c, raw)
			if r, err := http1.ReadResponse(br, "GET", http1.DefaultLimits); err != nil || r.Status != 200 {
				t.Fatalf("client %d, request %d: %v, %v", client, n, r, err)
			}
			r, err := http1.ReadRequest(bufio.NewReader(strings.NewReader(raw)), http1.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			sent[r.Header.Get("X-Case-Is-Kept")] = r
		}
		c.Close()
	}
	return sent
}

// collect takes as many exchanges as there were requests, and stops the source.
func collect(t *testing.T, s *Source, n int) []*traffic.Exchange {
	t.Helper()
	return append(receive(t, s, n), drain(t, s)...)
}

// receive takes as many exchanges as there were requests.
func receive(t *testing.T, s *Source, n int) []*traffic.Exchange {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var xs []*traffic.Exchange
	for len(xs) < n {
		x, err := s.Next(ctx)
		if err != nil {
			t.Errorf("after %d of %d exchanges: %v", len(xs), n, err)
			break
		}
		xs = append(xs, x)
	}
	return xs
}

// same holds an exchange to the request that was sent, field by field in their
// order, without those that the proxy sets itself.
func same(t *testing.T, x *traffic.Exchange, sent *traffic.Request, setByProxy ...string) {
	t.Helper()
	if sent == nil {
		t.Errorf("nobody sent %s", x.Request.Target)
		return
	}
	got := x.Request
	setByProxy = append(setByProxy, "Content-Length", "Transfer-Encoding")
	if got.Method != sent.Method || got.Target != sent.Target || got.Proto != "HTTP/1.1" || !bytes.Equal(got.Body.Bytes, sent.Body.Bytes) {
		t.Errorf("got %s %s %s with %d bytes instead of %s %s with %d", got.Method, got.Target, got.Proto, len(got.Body.Bytes), sent.Method, sent.Target, len(sent.Body.Bytes))
	}
	g, w := fmt.Sprint(got.Header.Without(setByProxy...)), fmt.Sprint(sent.Header.Without(setByProxy...))
	if g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func report(t *testing.T, what string, s *Source, sent int) {
	t.Helper()
	t.Logf("mirror: %s: %d requests in, %d exchanges out, %+v", what, sent, s.Counts().Read, s.Counts())
}

func nginx(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed: apt-get install nginx-light")
	}
	return path
}

// startNginx runs nginx with the given contents of its http block.
func startNginx(t *testing.T, path string, block func(port string) string) string {
	return startNginxIn(t, t.TempDir(), path, block)
}

// startNginxIn keeps what nginx writes in a folder, with its process id in the
// file pid.
func startNginxIn(t *testing.T, dir, path string, block func(port string) string) string {
	return start(t, func(ctx context.Context, port string) *exec.Cmd {
		conf := filepath.Join(dir, "nginx.conf")
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;"
		}
		text := fmt.Sprintf(`%s
daemon off; pid %s/pid; error_log %s/error.log; worker_processes 2;
events { worker_connections 256; }
http {
  access_log off; client_max_body_size 20m;
  client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  %s
}`, user, dir, dir, dir, dir, dir, dir, dir, block(port))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(ctx, path, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "start.log"))
	})
}

// TestNginx mirrors with the configuration that the package comment gives.
func TestNginx(t *testing.T) {
	path := nginx(t)
	s := listen(t)
	app, _ := service(t)
	addr := startNginx(t, path, func(port string) string {
		return fmt.Sprintf(`
  upstream app { server %s; keepalive 16; }
  upstream shadowaudit { server %s; keepalive 64; }
  server {
    listen 127.0.0.1:%s;
    location / { mirror /_shadow; proxy_set_header X-Request-Id $request_id; proxy_pass http://app; }
    location = /_shadow {
      internal;
      proxy_pass http://shadowaudit$request_uri;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Shadow-Client $remote_addr;
      proxy_set_header X-Shadow-Conn $connection;
      proxy_set_header X-Shadow-Start $msec;
      proxy_connect_timeout 100ms; proxy_send_timeout 2s; proxy_read_timeout 2s;
    }
  }`, app, s.Listening(), port)
	})
	begin := time.Now().Add(-time.Second)
	sent := drive(t, addr)
	xs := collect(t, s, len(sent))
	sessions := make(map[string]string)
	for _, x := range xs {
		key := x.Request.Header.Get("X-Case-Is-Kept")
		same(t, x, sent[key], "Host", "X-Request-Id")
		if x.Request.Host() != "shop.example:8080" || len(x.ID) != 32 || x.At.Before(begin) || x.At.After(time.Now()) {
			t.Errorf("host %s, id %s, %v", x.Request.Host(), x.ID, x.At)
		}
		client, _, _ := strings.Cut(key, "/")
		if sessions[client] == "" {
			sessions[client] = x.Session
		}
		if !strings.HasPrefix(x.Session, "127.0.0.1#") || sessions[client] != x.Session {
			t.Errorf("client %s has the sessions %s and %s", client, sessions[client], x.Session)
		}
	}
	if len(xs) != len(sent) || len(sessions) != clients {
		t.Errorf("%d exchanges of %d requests, %d sessions of %d clients", len(xs), len(sent), len(sessions), clients)
	}
	report(t, "nginx "+version(t, path, "-v"), s, len(sent))
}

// logFormat is that of the package comment.
const logFormat = `log_format shadow escape=json '{"msec":"$msec","request_id":"$request_id","connection":"$connection",'
    '"request_method":"$request_method","request_uri":"$request_uri","server_protocol":"$server_protocol",'
    '"http_host":"$http_host","status":"$status","request_time":"$request_time",'
    '"upstream_response_time":"$upstream_response_time"}';`

// followLog opens a receiver that follows a log, which is not there yet.
func followLog(t *testing.T, log string, format accesslog.Format) *Source {
	t.Helper()
	s, err := Open(Config{Name: "m", Listen: "127.0.0.1:0", Log: Log{Path: log, Format: format}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// answered holds what came out of a log to what the service answered.
func answered(t *testing.T, xs []*traffic.Exchange, sent int, s *Source) {
	t.Helper()
	slowest := time.Duration(0)
	for _, x := range xs {
		switch {
		case x.Response == nil:
			t.Errorf("%s has no response", x.Request.Target)
		case x.Response.Status != 200 || x.Timing.Kind != traffic.TimingProxy:
			t.Errorf("%s: %d, %+v", x.Request.Target, x.Response.Status, x.Timing)
		default:
			slowest = max(slowest, x.Timing.Total)
		}
	}
	n := int64(sent)
	if c := s.Counts(); len(xs) != sent || c.Read != n || c.Paired != n || c.Records != n {
		t.Errorf("%d exchanges of %d requests: %+v, %v", len(xs), sent, c, s.Warnings())
	}
	t.Logf("%d of %d requests with status and time, the slowest answer took %v", s.Counts().Paired, sent, slowest)
}

// reopen tells nginx that its logs were renamed, as logrotate does.
func reopen(t *testing.T, pid string) {
	t.Helper()
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(id, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// TestNginxWithLog adds the statuses that nginx logs, through a rotation, and
// with the lines of subrequests that nginx may add.
func TestNginxWithLog(t *testing.T) {
	path := nginx(t)
	for _, subrequests := range []string{"off", "on"} {
		t.Run("log_subrequest "+subrequests, func(t *testing.T) {
			dir := t.TempDir()
			log := filepath.Join(dir, "shadow.log")
			s := followLog(t, log, accesslog.NginxJSON)
			app, _ := service(t)
			addr := startNginxIn(t, dir, path, func(port string) string {
				return fmt.Sprintf(`
  %s
  log_subrequest %s;
  upstream app { server %s; keepalive 16; }
  upstream shadowaudit { server %s; keepalive 64; }
  server {
    listen 127.0.0.1:%s;
    access_log %s shadow;
    location / { mirror /_shadow; proxy_set_header X-Request-Id $request_id; proxy_pass http://app; }
    location = /_shadow {
      internal;
      proxy_pass http://shadowaudit$request_uri;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Shadow-Client $remote_addr;
      proxy_set_header X-Shadow-Conn $connection;
    }
  }`, logFormat, subrequests, app, s.Listening(), port, log)
			})
			sent := len(drive(t, addr))
			xs := receive(t, s, sent)
			if err := os.Rename(log, log+".1"); err != nil {
				t.Fatal(err)
			}
			sent += len(drive(t, addr)) // nginx writes to the old file until it is told
			reopen(t, filepath.Join(dir, "pid"))
			sent += len(drive(t, addr))
			if _, err := os.Stat(log); err != nil {
				t.Error(err)
			}
			xs = append(xs, receive(t, s, sent-len(xs))...)
			answered(t, append(xs, drain(t, s)...), sent, s)
			report(t, "nginx "+version(t, path, "-v")+" with its log, log_subrequest "+subrequests, s, sent)
		})
	}
}

// TestEnvoyWithLog adds the statuses that Envoy logs in its default text.
func TestEnvoyWithLog(t *testing.T) {
	path := envoy(t)
	dir := t.TempDir()
	log, config := filepath.Join(dir, "access.log"), filepath.Join(dir, "envoy.yaml")
	s := followLog(t, log, accesslog.Envoy)
	other := listen(t)
	app, _ := service(t)
	addr := start(t, func(ctx context.Context, port string) *exec.Cmd {
		text := envoyConfig(port, app, s.Listening(), other.Listening())
		text = strings.Replace(text, "stat_prefix: in", fmt.Sprintf(`stat_prefix: in
          access_log:
          - name: envoy.access_loggers.file
            typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: %q}`, log), 1)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(ctx, path, "-c", config, "--log-level", "error", "--concurrency", "2", "--disable-hot-restart", "--file-flush-interval-msec", "200")
	})
	sent := len(drive(t, addr))
	answered(t, append(receive(t, s, sent), drain(t, s)...), sent, s)
	report(t, "Envoy "+version(t, path, "--version")+" with its log", s, sent)
}

// TestNginxByDefault mirrors with as little configuration as works: over
// HTTP/1.0, a connection for each request, with the upstream's name as host.
func TestNginxByDefault(t *testing.T) {
	path := nginx(t)
	s := listen(t)
	app, _ := service(t)
	addr := startNginx(t, path, func(port string) string {
		return fmt.Sprintf(`
  upstream app { server %s; }
  upstream mir { server %s; }
  server {
    listen 127.0.0.1:%s;
    location / { mirror /_shadow; proxy_pass http://app; }
    location = /_shadow { internal; proxy_pass http://mir$request_uri; }
  }`, app, s.Listening(), port)
	})
	sent := drive(t, addr)
	xs := collect(t, s, len(sent))
	for _, x := range xs {
		same(t, x, sent[x.Request.Header.Get("X-Case-Is-Kept")], "Host")
		if x.Request.Host() != "mir" || x.Session != "" {
			t.Errorf("host %s, session %s", x.Request.Host(), x.Session)
		}
	}
	if len(xs) != len(sent) {
		t.Errorf("%d exchanges of %d requests", len(xs), len(sent))
	}
	report(t, "nginx "+version(t, path, "-v")+", HTTP/1.0", s, len(sent))
}

// TestEnvoy mirrors over HTTP/1.1 and over HTTP/2, and holds what was received
// to what Envoy sent to the service.
func TestEnvoy(t *testing.T) {
	path := envoy(t)
	app, got := service(t)
	h1, h2 := listen(t), listen(t)
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	addr := start(t, func(ctx context.Context, port string) *exec.Cmd {
		text := envoyConfig(port, app, h1.Listening(), h2.Listening())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(ctx, path, "-c", config, "--log-level", "error", "--concurrency", "2", "--disable-hot-restart")
	})
	sent := drive(t, addr)
	v := version(t, path, "--version")
	overHTTP1, overHTTP2 := collect(t, h1, len(sent)), collect(t, h2, len(sent))
	served := make(map[string]*traffic.Request)
	for _, r := range got() {
		served[r.Header.Get("X-Case-Is-Kept")] = r
	}
	for _, x := range overHTTP1 {
		key := x.Request.Header.Get("X-Case-Is-Kept")
		if sent[key] == nil || !bytes.Equal(x.Request.Body.Bytes, sent[key].Body.Bytes) {
			t.Errorf("%s: another body than was sent", key)
		}
		want := *served[key]
		want.Header = want.Header.Without("Connection")
		if g, w := http1.AppendRequest(nil, &x.Request), http1.AppendRequest(nil, &want); !bytes.Equal(g, w) {
			t.Errorf("got\n%.600q\nthe service got\n%.600q", g, w)
		}
		if x.ID == "" || x.ID != want.Header.Get("X-Request-Id") {
			t.Errorf("id %s", x.ID)
		}
	}
	for _, x := range overHTTP2 {
		want := served[x.Request.Header.Get("X-Case-Is-Kept")]
		if want == nil || x.Request.Method != want.Method || x.Request.Target != want.Target || x.Request.Host() != want.Host() || x.Request.Proto != "HTTP/2.0" || !bytes.Equal(x.Request.Body.Bytes, want.Body.Bytes) {
			t.Errorf("over HTTP/2: got %s %s %s", x.Request.Method, x.Request.Target, x.Request.Host())
			continue
		}
		for _, f := range want.Header.Without("Connection", "Transfer-Encoding") {
			if !traffic.EqualName(f.Name, "Cookie") && x.Request.Header.Joined(f.Name) != want.Header.Joined(f.Name) {
				t.Errorf("over HTTP/2: %s differs", f.Name)
			}
		}
		if x.Request.Header.Get("X-Forwarded-For") != "" || x.Request.Header.Get("X-Envoy-Internal") != "" {
			t.Error("over HTTP/2: a mark of Envoy was left")
		}
	}
	if len(overHTTP1) != len(sent) || len(overHTTP2) != len(sent) {
		t.Errorf("%d and %d exchanges of %d requests", len(overHTTP1), len(overHTTP2), len(sent))
	}
	report(t, "Envoy "+v+", HTTP/1.1", h1, len(sent))
	report(t, "Envoy "+v+", HTTP/2", h2, len(sent))
}

func envoy(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ENVOY")
	if path == "" {
		path, _ = exec.LookPath("envoy")
	}
	if path == "" {
		t.Skip("Envoy is not installed: name its program in ENVOY")
	}
	return path
}

func envoyConfig(port, app, h1, h2 string) string {
	cluster := func(name, addr, more string) string {
		host, port, _ := net.SplitHostPort(addr)
		return fmt.Sprintf(`
  - name: %s
    load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}%s`, name, name, host, port, more)
	}
	const http2 = `
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}`
	return fmt.Sprintf(`static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: %s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route:
                  cluster: app
                  request_mirror_policies: [{cluster: h1}, {cluster: h2}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:%s%s%s
`, port, cluster("app", app, ""), cluster("h1", h1, ""), cluster("h2", h2, http2))
}
