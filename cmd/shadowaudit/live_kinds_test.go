//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source/middleware"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
)

// TestRunProxy lets clients through to a service and compares what it answered
// with what a candidate does.
func TestRunProxy(t *testing.T) {
	production := api(t, false)
	source := fmt.Sprintf("source \"proxy\" \"live\" {\n  listen   = \"127.0.0.1:0\"\n  upstream = %q\n}\n", production.URL)
	for _, tt := range []struct {
		name   string
		faulty bool
		code   int
	}{{"equal", false, exitPass}, {"faulty", true, exitFail}} {
		t.Run(tt.name, func(t *testing.T) {
			report := filepath.Join(t.TempDir(), "result.json")
			spec := liveSpec(t, source, "", api(t, tt.faulty).URL, patient)
			l := startLive(t, "run", spec, "--progress", "none", "--count", "30", "--report", "json="+report)
			send(t, l.addr, 0, 30)
			l.ends(tt.code)
			if a := readResult(t, report); a.Outcomes.Total != 30 || a.Traffic.Paired != 30 || a.Traffic.Dropped != 0 {
				t.Errorf("%+v %+v", a.Traffic, a.Outcomes)
			}
		})
	}
}

// TestRecordGorTCP records what GoReplay sends with --output-tcp.
func TestRecordGorTCP(t *testing.T) {
	spec := liveSpec(t, "source \"gor_tcp\" \"live\" {\n  listen = \"127.0.0.1:0\"\n}\n", unused, unused, "")
	file := filepath.Join(t.TempDir(), "out.sar")
	l := startLive(t, "record", spec, "-o", file, "--count", "20")
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var stream bytes.Buffer
	for i := range 20 {
		at := recordedAt.UnixNano() + int64(i)*1e6
		fmt.Fprintf(&stream, "1 9c401f907f000001%08x %d 0\nGET /api/orders/%d?email=jane.roe%%40corp.test HTTP/1.1\r\nHost: shop.example\r\n\r\n\n🐵🙈🙉\n", i, at, i)
		fmt.Fprintf(&stream, "2 9c401f907f000001%08x %d 5000\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\n🐵🙈🙉\n", i, at+5000)
	}
	if _, err := c.Write(stream.Bytes()); err != nil {
		t.Fatal(err)
	}
	l.ends(exitPass)
	l.says("read       20 exchanges, 20 with a response", "recorded   20 exchanges")
	for i, x := range recordedIn(t, file) {
		if x.Response == nil || x.At.UnixNano() != recordedAt.UnixNano()+int64(i)*1e6 {
			t.Errorf("exchange %d: %+v", i, x)
		}
	}
}

// TestRecordMiddleware records a Go service from inside, over TCP and over a
// socket of the file system.
func TestRecordMiddleware(t *testing.T) {
	for _, where := range []string{"127.0.0.1:0", "unix:" + filepath.Join(shortDir(t), "s.sock")} {
		t.Run(strings.SplitN(where, ":", 2)[0], func(t *testing.T) {
			spec := liveSpec(t, fmt.Sprintf("source \"middleware\" \"live\" {\n  listen = %q\n}\n", where), unused, unused, "")
			file := filepath.Join(t.TempDir(), "out.sar")
			l := startLive(t, "record", spec, "-o", file)
			rec, err := middleware.New(middleware.Config{Address: l.addr})
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"email":"jane.roe@corp.test"}`)
			})))
			defer srv.Close()
			send(t, srv.Listener.Addr().String(), 0, 20)
			srv.Close()
			if err := rec.Close(context.Background()); err != nil || rec.Stats().Sent != 20 {
				t.Fatalf("%v %+v", err, rec.Stats())
			}
			l.interrupt()
			l.ends(exitPass)
			l.says("read       20 exchanges, 20 with a response", "recorded   20 exchanges")
			if all := recordedIn(t, file); len(all) != 20 || all[0].Response == nil {
				t.Errorf("%d exchanges", len(all))
			}
		})
	}
}

// shortDir is a folder whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestRecordVXLAN records what a mirror of a cloud sends.
func TestRecordVXLAN(t *testing.T) {
	spec := liveSpec(t, "source \"vxlan\" \"live\" {\n  listen = \"127.0.0.1:0\"\n  vnis   = [7]\n}\n", unused, unused, "")
	file := filepath.Join(t.TempDir(), "out.sar")
	l := startLive(t, "record", spec, "-o", file, "--count", "1")
	c, err := net.Dial("udp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, vni := range []byte{8, 7} { // of which the first is not asked for
		talk := wire.New().Dial().Send(wire.Client, wire.Get(fmt.Sprint("/", vni))).Send(wire.Server, wire.OK("fine")).HangUp()
		for _, f := range talk.Frames {
			if _, err := c.Write(append([]byte{8, 0, 0, 0, 0, 0, vni, 0}, f.Data...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.ends(exitPass)
	l.says("read       1 exchange, 1 with a response")
	if all := recordedIn(t, file); len(all) != 1 || all[0].Request.Path() != "/7" {
		t.Errorf("%+v", all)
	}
}

// TestRunInterface audits what passes on the loopback.
func TestRunInterface(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("SKIPPED: capturing needs Linux, and root")
	}
	production := api(t, false)
	_, port, _ := net.SplitHostPort(production.Listener.Addr().String())
	source := fmt.Sprintf("source \"interface\" \"live\" {\n  device = \"lo\"\n  ports  = [%s]\n}\n", port)
	report := filepath.Join(t.TempDir(), "result.json")
	spec := liveSpec(t, source, "", api(t, false).URL, patient)
	l := startLive(t, "run", spec, "--progress", "none", "--count", "20", "--report", "json="+report)
	send(t, production.Listener.Addr().String(), 0, 20)
	l.ends(exitPass)
	if a := readResult(t, report); a.Verdict != result.Pass || a.Outcomes.Matched != 20 || a.Traffic.LostPackets != 0 {
		t.Errorf("%v %+v %+v", a.Verdict, a.Traffic, a.Outcomes)
	}
}

// TestPlanMirror looks at live traffic and sends nothing.
func TestPlanMirror(t *testing.T) {
	spec := liveSpec(t, mirrorSource, unused, unused, "")
	code, out, errs := inProcess("plan", spec)
	if code != exitError || !strings.Contains(out, "source.mirror.live is live: say how long") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	l := startLive(t, "plan", spec, "--count", "10")
	send(t, l.addr, 0, 10)
	l.ends(exitPass)
	l.says("read       10 exchanges", "to send    10", "GET /api/orders/{id}")
	l = startLive(t, "plan", spec, "--for", "1h")
	l.interrupt()
	l.ends(exitInterrupted)
}
