//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// taken is an address at which somebody listens already, and says nothing.
func taken(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// refusing is an address at which nobody listens.
func refusing(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestLiveSourceErrors: what stands in the way of a live source is said with
// its place and with what to do, and leaves no file behind.
func TestLiveSourceErrors(t *testing.T) {
	busy, dead := taken(t), refusing(t)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	kafka := func(broker, more string) string {
		return fmt.Sprintf("brokers = [%q]\n topic = \"t\"\n format = gor\n %s", broker, more)
	}
	for _, tt := range []struct {
		name, kind, arguments string
		want                  []string
	}{
		{"mirror, port in use", "mirror", fmt.Sprintf("listen = %q", busy), []string{"choose another address", busy, "address already in use"}},
		{"mirror, not here", "mirror", `listen = "192.0.2.1:9900"`, []string{"choose another address", "192.0.2.1:9900"}},
		{"gor_tcp, port in use", "gor_tcp", fmt.Sprintf("listen = %q", busy), []string{"choose another address", busy}},
		{"middleware, port in use", "middleware", fmt.Sprintf("listen = %q", busy), []string{"choose another address", busy}},
		{"middleware, no folder", "middleware", `listen = "unix:/no/such/folder/s.sock"`, []string{"choose another address", "/no/such/folder/s.sock"}},
		{"ext_proc, port in use", "envoy_ext_proc", fmt.Sprintf("listen = %q", busy), []string{"choose another address", busy}},
		{"proxy, port in use", "proxy", fmt.Sprintf("listen = %q\n upstream = %q", busy, unused), []string{"choose another address", busy}},
		{"vxlan, port in use", "vxlan", fmt.Sprintf("listen = %q", udp.LocalAddr()), []string{"choose another port", udp.LocalAddr().String()}},
		{"vxlan, not here", "vxlan", `listen = "192.0.2.1:4789"`, []string{"choose an address of this machine", "192.0.2.1:4789"}},
		{"certificate is missing", "gor_tcp", "listen = \"127.0.0.1:0\"\n cert_file = \"none.pem\"\n key_file = \"none.pem\"", []string{"certificate", "PEM", "none.pem", "no such file"}},
		{"certificate is none", "proxy", fmt.Sprintf("listen = \"127.0.0.1:0\"\n upstream = %q\n cert_file = %q\n key_file = %q", unused, junk, junk), []string{"certificate", "PEM"}},
		{"kafka, nobody there", "kafka", kafka(dead, ""), []string{dead, "is the address right", "connection refused"}},
		{"kafka, password not set", "kafka", kafka(dead, "username_env = \"NO_SUCH_USER\"\n password_env = \"NO_SUCH_PASSWORD\"\n mechanism = plain"), []string{"NO_SUCH_USER, which username_env names, is not set", "set it"}},
		{"nats, nobody there", "nats", fmt.Sprintf("server = \"nats://%s\"\n stream = \"S\"\n subject = \"x\"\n format = gor", dead), []string{dead, "is the address right"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := liveSpec(t, fmt.Sprintf("source %q \"live\" {\n  %s\n}\n", tt.kind, tt.arguments), unused, unused, "")
			file := filepath.Join(t.TempDir(), "out.sar")
			begin := time.Now()
			code, out, errs := inProcess("record", spec, "-o", file, "--for", "1s")
			if code != exitError || out != "" {
				t.Errorf("exit code %d\n%s", code, out)
			}
			for _, want := range append(tt.want, "source."+tt.kind+".live") {
				if !strings.Contains(errs, want) {
					t.Errorf("%q is missing in %s", want, errs)
				}
			}
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("it took %v to say so", took)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("a file was left behind")
			}
		})
	}
}

// TestNoSuchDevice names the devices there are.
func TestNoSuchDevice(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: capturing needs Linux")
	}
	spec := liveSpec(t, "source \"interface\" \"live\" {\n  device = \"eth99\"\n}\n", unused, unused, "")
	code, _, errs := inProcess("record", spec, "-o", filepath.Join(t.TempDir(), "out.sar"), "--for", "1s")
	if code != exitError || !strings.Contains(errs, "there is no network device eth99: choose one of lo") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}

// TestMayNotCapture says what a user who is not root has to do.
func TestMayNotCapture(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() == 0 {
		t.Skip("SKIPPED: root may capture")
	}
	spec := liveSpec(t, "source \"interface\" \"live\" {\n  device = \"lo\"\n}\n", unused, unused, "")
	code, _, errs := inProcess("record", spec, "-o", filepath.Join(t.TempDir(), "out.sar"), "--for", "1s")
	if code == exitError && !strings.Contains(errs, "setcap cap_net_raw+ep") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}

// TestCertificateWithoutKey is a mistake in the spec.
func TestCertificateWithoutKey(t *testing.T) {
	spec := liveSpec(t, "source \"gor_tcp\" \"live\" {\n  listen    = \"127.0.0.1:0\"\n  cert_file = \"cert.pem\"\n}\n", unused, unused, "")
	if code, _, errs := inProcess("record", spec, "--for", "1s"); code != exitUsage || !strings.Contains(errs, "needs key_file") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}
