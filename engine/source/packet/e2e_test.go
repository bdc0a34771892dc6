//go:build e2e

package packet_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //lint:ignore SA1019 see TestE2EHTTP2

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/nic"
	"github.com/shadowaudit/shadowaudit/engine/source/pcap"
	"github.com/shadowaudit/shadowaudit/engine/source/vxlan"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The same traffic is captured by tcpdump and by the source of kind interface,
// while its clients write down every byte that they send and receive. What the
// sources make of it has to be that.

// tool finds a program, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// tcpdump captures a port of the loopback device into a file. stop ends it when
// the file has what is wanted.
func tcpdump(t *testing.T, port int, args ...string) (file string, stop func(enough func() bool)) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "x.pcap")
	cmd := start(t, "tcpdump", append([]string{"-i", "lo", "-s", "0", "-B", "65536", "-U", "--immediate-mode", "-Z", "root", "-w", file, "tcp", "port", fmt.Sprint(port)}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		if strings.Contains(line, "ermission") || strings.Contains(line, "denied") {
			t.Skip("tcpdump may not capture here: ", line)
		}
		if err != nil {
			t.Fatal("tcpdump ends: ", line, err)
		}
		if strings.Contains(line, "listening on") {
			break
		}
	}
	return file, func(enough func() bool) {
		deadline := time.Now().Add(20 * time.Second)
		for !enough() && time.Now().Before(deadline) {
			time.Sleep(300 * time.Millisecond)
		}
		cmd.Process.Signal(syscall.SIGINT)
		said, _ := io.ReadAll(lines)
		cmd.Wait()
		if !strings.Contains(string(said), "\n0 packets dropped by kernel") {
			t.Logf("tcpdump lost packets, and this test what it is about:\n%s", said)
		}
	}
}

func readAll(t *testing.T, s source.Source) (xs []*traffic.Exchange) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		x, err := s.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	c := s.(source.Accountant).Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped; sum != c.Records || c.LostPackets != 0 {
		t.Errorf("counters do not add up: %+v", c)
	}
	return xs
}

func readFile(t *testing.T, file string, port int) ([]*traffic.Exchange, source.Counts) {
	t.Helper()
	r, err := pcap.Open(pcap.Config{Name: "peak", Paths: []string{file}, Ports: []int{port}})
	if err != nil {
		return nil, source.Counts{}
	}
	defer r.Close()
	xs := readAll(t, r)
	return xs, r.Counts()
}

func openNIC(t *testing.T, device string, port int) *nic.Source {
	t.Helper()
	s, err := nic.Open(nic.Config{Name: "peak", Device: device, Ports: []int{port}})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// noise is a text of less than size bytes that cannot be compressed.
func noise(seed [32]byte, size int) []byte {
	source := rand.NewChaCha8(seed)
	b := make([]byte, source.Uint64()%uint64(size))
	source.Read(b)
	return b
}

// answers is a server with an answer of each kind. bodies says how large they
// are at most.
func answers(bodies int) http.Handler {
	text := func(r *http.Request) []byte {
		b := noise(sha256.Sum256([]byte(r.URL.Path)), bodies)
		return append(b, r.URL.Path...)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/json/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path": %q}`, r.URL.Path)
	})
	mux.HandleFunc("/big/", func(w http.ResponseWriter, r *http.Request) { w.Write(text(r)) })
	mux.HandleFunc("/gzip/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(text(r))
		z.Close()
	})
	mux.HandleFunc("/chunks/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for b := text(r); len(b) > 0; b = b[min(len(b), 5000):] {
			w.Write(b[:min(len(b), 5000)])
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-Sum", "7")
	})
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(b)
	})
	mux.HandleFunc("/unchanged/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	mux.HandleFunc("/empty/", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func serve(t *testing.T, h http.Handler) (address string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}

// said is a connection with what was said on it.
type said struct {
	net.Conn
	sent, received bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.sent.Write(p)
	return s.Conn.Write(p)
}

func (s *said) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.received.Write(p[:n])
	return n, err
}

// converse sends n requests of all kinds on one connection.
func converse(address string, conn, n, bodies int) (*said, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := &said{Conn: c}
	br := bufio.NewReader(s)
	rnd := rand.New(rand.NewPCG(uint64(conn), 9))
	answer := func(method string) error {
		_, err := http1.ReadResponse(br, method, http1.Limits{Head: 1 << 20, Body: 1 << 30})
		return err
	}
	request := func(method, kind string, i int, more string) string {
		return fmt.Sprintf("%s /%s/%d-%d HTTP/1.1\r\nHost: shop.example\r\nX-Mixed-Case: %d\r\nX-twice: a\r\nX-Twice: b\r\n%s\r\n", method, kind, conn, i, i, more)
	}
	body := func() string { return string(noise([32]byte{byte(conn), byte(rnd.Uint32())}, bodies)) }
	for i := range n {
		var err error
		switch i % 10 {
		case 0:
			io.WriteString(s, request("GET", "json", i, ""))
			err = answer("GET")
		case 1: // two at once
			io.WriteString(s, request("GET", "big", i, "")+request("GET", "json", i, ""))
			err = errors.Join(answer("GET"), answer("GET"))
		case 2:
			io.WriteString(s, request("HEAD", "big", i, ""))
			err = answer("HEAD")
		case 3:
			io.WriteString(s, request("GET", "gzip", i, "Accept-Encoding: gzip\r\n"))
			err = answer("GET")
		case 4:
			io.WriteString(s, request("GET", "chunks", i, "TE: trailers\r\n"))
			err = answer("GET")
		case 5:
			b := body()
			io.WriteString(s, request("POST", "echo", i, fmt.Sprintf("Content-Length: %d\r\n", len(b)))+b)
			err = answer("POST")
		case 6: // in chunks
			io.WriteString(s, request("PUT", "echo", i, "Transfer-Encoding: chunked\r\n"))
			for range 3 {
				b := body() + "."
				io.WriteString(s, fmt.Sprintf("%x\r\n%s\r\n", len(b), b))
			}
			io.WriteString(s, "0\r\nX-Checked: yes\r\n\r\n")
			err = answer("PUT")
		case 7:
			b := body() + "."
			io.WriteString(s, request("POST", "echo", i, fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n", len(b))))
			if _, err := br.Peek(len("HTTP/1.1 100")); err != nil {
				return s, err
			}
			io.WriteString(s, b)
			err = answer("POST")
		case 8:
			io.WriteString(s, request("GET", "unchanged", i, "If-None-Match: \"1\"\r\n"))
			err = answer("GET")
		case 9:
			io.WriteString(s, request("DELETE", "empty", i, ""))
			err = answer("DELETE")
		}
		if err != nil {
			return s, fmt.Errorf("request %d of connection %d: %w", i, conn, err)
		}
	}
	// A response that only the end of the connection ends.
	io.WriteString(s, fmt.Sprintf("GET /chunks/%d-last HTTP/1.0\r\n\r\n", conn))
	return s, answer("GET")
}

// exchangesOf parses what was said.
func (s *said) exchangesOf(t *testing.T) (xs []*traffic.Exchange) {
	t.Helper()
	limits := http1.Limits{Head: 1 << 20, Body: 1 << 30}
	in, out := bufio.NewReader(&s.sent), bufio.NewReader(&s.received)
	for {
		q, err := http1.ReadRequest(in, limits)
		if err == io.EOF {
			return xs
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := http1.ReadResponse(out, q.Method, limits)
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, &traffic.Exchange{Request: *q, Response: r})
	}
}

// speak sends traffic on several connections at once and gives what was said on
// each.
func speak(t *testing.T, address string, conns, n, bodies int) (want [][]*traffic.Exchange, total int) {
	t.Helper()
	all := make([]*said, conns)
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { all[i], errs[i] = converse(address, i, n, bodies) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		xs := s.exchangesOf(t)
		want, total = append(want, xs), total+len(xs)
	}
	return want, total
}

// same checks that what a source gave is what was said.
func same(t *testing.T, what string, got []*traffic.Exchange, want [][]*traffic.Exchange) {
	t.Helper()
	sessions := make(map[string][]*traffic.Exchange)
	for _, x := range got {
		sessions[x.Session] = append(sessions[x.Session], x)
	}
	if len(sessions) != len(want) {
		t.Errorf("%s: %d connections, want %d", what, len(sessions), len(want))
	}
	byTarget := make(map[string][]*traffic.Exchange)
	for _, xs := range sessions {
		byTarget[xs[0].Request.Target] = xs
	}
	for i, xs := range want {
		got := byTarget[xs[0].Request.Target]
		if len(got) != len(xs) {
			t.Errorf("%s: %d exchanges on connection %d, want %d", what, len(got), i, len(xs))
			continue
		}
		for j := range xs {
			if !reflect.DeepEqual(got[j].Request, xs[j].Request) || !reflect.DeepEqual(got[j].Response, xs[j].Response) {
				t.Errorf("%s: exchange %d of connection %d is not what was said: %s", what, j, i, got[j].Request.Target)
			}
			if got[j].Timing.Kind != traffic.TimingWire && j%11 != 1 { // the second of a pair is answered when it is
				t.Errorf("%s: %s has no timing", what, got[j].Request.Target)
			}
		}
	}
}

// withoutClock gives all of an exchange but what depends on when it was seen.
func withoutClock(t *testing.T, xs []*traffic.Exchange) string {
	t.Helper()
	var all strings.Builder
	for _, x := range xs {
		y := *x
		y.At, y.Arrived, y.Timing, y.Offset = time.Time{}, time.Time{}, traffic.Timing{}, 0
		b, err := json.Marshal(y)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(b, '\n'))
	}
	return all.String()
}

func TestE2EHTTP1(t *testing.T) {
	const bodies = 150_000
	address, port := serve(t, answers(bodies))
	live := openNIC(t, "lo", port)
	file, stop := tcpdump(t, port)
	began := time.Now()
	want, total := speak(t, address, 10, 50, bodies)
	took := time.Since(began)
	stop(func() bool { _, c := readFile(t, file, port); return c.Paired == int64(total) })
	live.Stop()

	xs, counts := readFile(t, file, port)
	same(t, "pcap", xs, want)
	t.Logf("pcap: tcpdump (%s), %d exchanges in, %d out, %+v", version(t, "tcpdump"), total, len(xs), counts)

	ng := file + "ng"
	run(t, "editcap", "-F", "pcapng", file, ng)
	fromNG, countsNG := readFile(t, ng, port)
	if withoutClock(t, fromNG) != withoutClock(t, xs) || countsNG != counts {
		t.Error("pcapng: not the same as pcap")
	}
	t.Logf("pcap: editcap (%s), pcapng, %d exchanges in, %d out", version(t, "editcap"), len(xs), len(fromNG))

	fromNIC := readAll(t, live)
	same(t, "interface", fromNIC, want)
	at := make(map[string]time.Time)
	for _, x := range xs {
		at[x.Request.Target] = x.At
	}
	for _, x := range fromNIC { // both clocks are the kernel's, which gives each copy the time at which it is made
		if d := x.At.Sub(at[x.Request.Target]).Abs(); d > 100*time.Millisecond {
			t.Errorf("interface: %s began %v away from what tcpdump says", x.Request.Target, d)
		}
	}
	t.Logf("interface: AF_PACKET on lo, %d exchanges in, %d out, %+v, in %v", total, len(fromNIC), live.Counts(), took)
}

func version(t *testing.T, name string) string {
	out, _ := exec.Command(tool(t, name), "--version").CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// multiplexing is a client that speaks HTTP/2 in clear text.
func multiplexing() *http.Client {
	return &http.Client{Transport: &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
}

// A client that multiplexes, with trailers, and bodies that go both ways.
func TestE2EHTTP2(t *testing.T) {
	const bodies = 200_000
	//lint:ignore SA1019 net/http has no upgrade to HTTP/2, which is to be seen too
	address, port := serve(t, h2c.NewHandler(answers(bodies), new(http2.Server)))
	live := openNIC(t, "lo", port)
	file, stop := tcpdump(t, port)
	client := multiplexing()
	const total = 300
	type truth struct {
		sent, received []byte
		trailer        string
	}
	truths := make(map[string]truth)
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range total {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			kind := []string{"echo", "chunks", "gzip", "json", "big"}[i%5]
			path := fmt.Sprintf("/%s/%d", kind, i)
			sent := bytes.Repeat([]byte(path), i*20)
			method := "GET"
			if kind == "echo" {
				method = "POST"
			} else {
				sent = nil
			}
			req, _ := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, bytes.NewReader(sent))
			req.Header.Set("Accept-Encoding", "gzip")
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			received, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			truths[path] = truth{sent, received, resp.Trailer.Get("X-Sum")}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	// And one that upgrades, for every request.
	curl := t.TempDir()
	run(t, "curl", "-sS", "--fail", "--http2", "-o", filepath.Join(curl, "up"), "http://"+address+"/big/upgraded")
	up, err := os.ReadFile(filepath.Join(curl, "up"))
	if err != nil {
		t.Fatal(err)
	}
	truths["/big/upgraded"] = truth{received: up}

	stop(func() bool { _, c := readFile(t, file, port); return c.Paired == total+1 })
	live.Stop()
	xs, counts := readFile(t, file, port)
	fromNIC := readAll(t, live)
	for what, xs := range map[string][]*traffic.Exchange{"pcap": xs, "interface": fromNIC} {
		if len(xs) != total+1 {
			t.Errorf("%s: %d exchanges, want %d", what, len(xs), total+1)
		}
		for _, x := range xs {
			want := truths[x.Request.Target]
			if !bytes.Equal(x.Request.Body.Bytes, want.sent) || x.Response == nil || !bytes.Equal(x.Response.Body.Bytes, want.received) || x.Response.Trailer.Get("x-sum") != want.trailer {
				t.Errorf("%s: %s is not what was said", what, x.Request.Target)
			}
			if x.Request.Host() != address {
				t.Errorf("%s: %s is for host %s", what, x.Request.Target, x.Request.Host())
			}
		}
	}
	t.Logf("pcap: HTTP/2, x/net client and %s, %d exchanges in, %d out, %+v", version(t, "curl"), total+1, len(xs), counts)
	t.Logf("interface: HTTP/2 on lo, %d exchanges in, %d out, %+v", total+1, len(fromNIC), live.Counts())
}

// curl talks to nginx, on a connection for each request, and then a client does
// that multiplexes.
func TestE2ENginxHTTP2(t *testing.T) {
	tool(t, "curl")
	dir := t.TempDir()
	const total = 100
	for i := range total {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), noise([32]byte{byte(i)}, 100_000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, port := l.Addr().String(), l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/t; server { listen %[2]s http2; root %[1]s; } }\n", dir, address)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := start(t, "nginx", "-c", conf, "-p", dir)
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nginx.Process.Signal(syscall.SIGTERM); nginx.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not start")
		}
	}
	file, stop := tcpdump(t, port)
	for i := range 20 {
		run(t, "curl", "-sS", "--fail", "--http2-prior-knowledge", "-o", "/dev/null", fmt.Sprintf("http://%s/%d", address, i))
	}
	client := multiplexing()
	var wg sync.WaitGroup
	for i := 20; i < total; i++ {
		wg.Go(func() {
			resp, err := client.Get(fmt.Sprintf("http://%s/%d", address, i))
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	stop(func() bool { _, c := readFile(t, file, port); return c.Paired == total })
	xs, counts := readFile(t, file, port)
	for _, x := range xs {
		want, err := os.ReadFile(filepath.Join(dir, x.Request.Target))
		if err != nil || x.Response == nil || !bytes.Equal(x.Response.Body.Bytes, want) {
			t.Errorf("%s is not what was said", x.Request.Target)
		}
	}
	if len(xs) != total {
		t.Errorf("%d exchanges, want %d", len(xs), total)
	}
	out, _ := exec.Command(tool(t, "nginx"), "-v").CombinedOutput()
	t.Logf("pcap: HTTP/2, %s, %d exchanges in, %d out, %+v", strings.TrimSpace(string(out)), total, len(xs), counts)
}

// The kernel's own VXLAN device sends what tcpreplay puts in.
func TestE2EVXLAN(t *testing.T) {
	tool(t, "tcpreplay")
	const bodies = 20_000 // so that no packet is too large for the outer one
	address, port := serve(t, answers(bodies))
	file, stop := tcpdump(t, port)
	want, total := speak(t, address, 10, 30, bodies)
	stop(func() bool { _, c := readFile(t, file, port); return c.Paired == int64(total) })

	// The device takes the port for itself, so it is in a network of its own.
	space, here := fmt.Sprint("vx", os.Getpid()), fmt.Sprint("vxh", os.Getpid())
	if out, err := exec.Command(tool(t, "ip"), "netns", "add", space).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made: %s", out)
	}
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", here).Run()
		exec.Command("ip", "netns", "del", space).Run()
	})
	inside := func(args ...string) { run(t, "ip", append([]string{"netns", "exec", space}, args...)...) }
	run(t, "ip", "link", "add", here, "mtu", "65535", "type", "veth", "peer", "name", "out", "mtu", "65535", "netns", space)
	run(t, "ip", "addr", "add", "198.51.100.1/24", "dev", here)
	run(t, "ip", "link", "set", here, "up")
	inside("ip", "addr", "add", "198.51.100.2/24", "dev", "out")
	inside("ip", "link", "set", "out", "up")
	s, err := vxlan.Open(vxlan.Config{Name: "peak", Listen: "198.51.100.1:0", VNIs: []int{123}, Ports: []int{port}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, to, _ := strings.Cut(s.Listening(), "198.51.100.1:")
	inside("ip", "link", "add", "vx", "type", "vxlan", "id", "123", "remote", "198.51.100.1", "dstport", to, "dev", "out")
	inside("ip", "link", "set", "vx", "up")
	device, err := net.InterfaceByName(here)
	if err != nil {
		t.Fatal(err)
	}
	inside("ip", "neigh", "replace", "198.51.100.1", "lladdr", device.HardwareAddr.String(), "dev", "out") // packets do not wait for it
	inside("tcpreplay", "-q", "--mbps", "400", "-i", "vx", file)
	for deadline := time.Now().Add(10 * time.Second); s.Counts().Records < 2*int64(total) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	s.Stop()
	xs := readAll(t, s)
	same(t, "vxlan", xs, want)
	fromFile, _ := readFile(t, file, port)
	if withoutClock(t, xs) != withoutClock(t, fromFile) {
		t.Error("vxlan: not the same as pcap")
	}
	t.Logf("vxlan: Linux VXLAN device and %s, %d exchanges in, %d out, %+v, %v", version(t, "tcpreplay"), total, len(xs), s.Counts(), s.Warnings())
}
