//go:build e2e

package mitm

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What went through mitmdump comes out of its file, byte for byte.
func TestMitmdump(t *testing.T) {
	if _, err := exec.LookPath("mitmdump"); err != nil {
		t.Skipf("mitmdump is not installed: %v", err)
	}
	out, _ := exec.Command("mitmdump", "--version").Output()
	version, _, _ := strings.Cut(string(out), "\n")

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, `{"a": 1}`)
	z.Close()
	upstream := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		switch r.URL.Path {
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed.Bytes())
		case "/chunked":
			w.Write([]byte("one"))
			w.(nethttp.Flusher).Flush()
			w.Write([]byte("two"))
		case "/empty":
			w.WriteHeader(nethttp.StatusNoContent)
		default:
			w.Write(body)
		}
	}))
	defer upstream.Close()

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	_, port, _ := net.SplitHostPort(address)
	path := filepath.Join(t.TempDir(), "day.mitm")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, "mitmdump", "-q", "--set", "confdir="+t.TempDir(), "--listen-host", "127.0.0.1", "-p", port,
		"--mode", "reverse:"+upstream.URL, "--set", "keep_host_header=true", "-w", path)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); cmd.Wait() }()

	var c net.Conn
	for limit := time.Now().Add(30 * time.Second); ; {
		if c, err = net.Dial("tcp", address); err == nil {
			break
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // there is nothing else to wait for
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	type sent struct{ method, target, head, body string }
	all := []sent{
		{"GET", "/plain?q=%20x&y", "X-Two: 1\r\nx-two: 2\r\nCookie: a=b; c=d\r\n", ""},
		{"POST", "/echo", "Content-Type: text/plain\r\n", "a body"},
		{"PUT", "/binary", "Content-Type: application/octet-stream\r\n", "\x00\xff\r\n\r\n\xfe"},
		{"GET", "/gzip", "", ""},
		{"GET", "/chunked", "", ""},
		{"DELETE", "/empty", "", ""},
		{"HEAD", "/plain", "", ""},
		{"GET", "/caf\xc3\xa9", "X-Latin: \xe9\r\n", ""},
	}
	br := bufio.NewReader(c)
	var answers []string
	for _, s := range all {
		length := ""
		if s.body != "" {
			length = fmt.Sprintf("Content-Length: %d\r\n", len(s.body))
		}
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: shop.test\r\n%s%s\r\n%s", s.method, s.target, s.head, length, s.body)
		resp, err := nethttp.ReadResponse(br, &nethttp.Request{Method: s.method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, fmt.Sprint(resp.StatusCode, " ", string(body)))
	}
	c.Close()
	cancel()
	cmd.Wait()

	r, err := Open(Config{Name: "mitm", Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	xs := read(t, r)
	if len(xs) != len(all) {
		t.Fatalf("%d in, %d out: %+v", len(all), len(xs), r.Counts())
	}
	for i, x := range xs {
		s := all[i]
		var head strings.Builder
		for _, f := range x.Request.Header.Without("Host", "Content-Length") {
			fmt.Fprintf(&head, "%s: %s\r\n", f.Name, f.Value)
		}
		if x.Request.Method != s.method || x.Request.Target != s.target || head.String() != s.head || string(x.Request.Body.Bytes) != s.body || x.Request.Host() != "shop.test" {
			t.Errorf("%d: %+v", i, x.Request)
		}
		if got := fmt.Sprint(x.Response.Status, " ", string(x.Response.Body.Bytes)); got != answers[i] || len(x.Response.Header.Values("Set-Cookie")) != 2 {
			t.Errorf("%d: %q, want %q; %v", i, got, answers[i], x.Response.Header)
		}
		if x.Session != xs[0].Session || x.Session == "" || x.Timing.Kind != traffic.TimingClient {
			t.Errorf("%d: session %q, %+v", i, x.Session, x.Timing)
		}
	}
	n := r.Counts()
	t.Logf("mitm: %s, %d exchanges in, %d out, %d malformed, %d not HTTP", version, len(all), len(xs), n.Malformed, n.NotHTTP)
}
