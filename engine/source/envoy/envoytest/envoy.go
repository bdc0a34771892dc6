// Package envoytest lets tests drive requests through a real Envoy, with a service
// behind it that remembers what it was sent. Only tests import it.
package envoytest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Envoy is a running Envoy.
type Envoy struct {
	URL     string // of its listener, as in "http://127.0.0.1:80"
	Version string // as in "1.36.2"; "" where it does not say

	cmd    *exec.Cmd
	exited chan struct{}
}

// freePort is a port that nobody listens on now. Somebody may, a moment later,
// so whoever uses it has to be ready to try again.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Start starts the Envoy of $ENVOY, or of the PATH, with a filter before an
// upstream, whose address is as in "127.0.0.1:80"; clusters, as Cluster writes
// them, are added to its own. It ends with the test, which is skipped where there
// is no Envoy.
func Start(t *testing.T, upstream, filter, clusters string) *Envoy {
	t.Helper()
	program := os.Getenv("ENVOY")
	if program == "" {
		program = "envoy"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("envoy is not installed: put it into the PATH, or its path into $ENVOY")
	}
	version, _ := exec.Command(path, "--version").Output()
	for range 5 {
		if e := try(t, path, upstream, filter, clusters); e != nil {
			_, rest, _ := strings.Cut(string(version), "version: ")
			if parts := strings.Split(rest, "/"); len(parts) > 1 {
				e.Version = parts[1]
			}
			return e
		}
	}
	t.Fatal("envoy does not start")
	return nil
}

func try(t *testing.T, path, upstream, filter, clusters string) *Envoy {
	t.Helper()
	port, admin := freePort(t), freePort(t)
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	text := fmt.Sprintf(bootstrap, admin, port, indent(filter, 10), Cluster("app", upstream, false), clusters)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-c", config, "--use-dynamic-base-id", "--concurrency", "2", "-l", "error")
	cmd.WaitDelay = 5 * time.Second
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-exited })
	e := &Envoy{URL: fmt.Sprintf("http://127.0.0.1:%d", port), cmd: cmd, exited: exited}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case <-exited:
			t.Logf("envoy ended: %s", out.String())
			return nil
		default:
		}
		if resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", admin)); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return e
			}
		}
		time.Sleep(50 * time.Millisecond) // between two looks at another process
	}
	return nil
}

// Stop ends Envoy as an operator does, so that it writes what it has.
func (e *Envoy) Stop() {
	e.cmd.Process.Signal(os.Interrupt)
	<-e.exited
}

func indent(text string, by int) string {
	pad := strings.Repeat(" ", by)
	return pad + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+pad)
}

// Cluster is the configuration of a cluster of one address, as in
// "127.0.0.1:80", that speaks HTTP/2 or HTTP/1.1.
func Cluster(name, address string, http2 bool) string {
	host, port, _ := net.SplitHostPort(address)
	protocol := "http_protocol_options: { enable_trailers: true }"
	if http2 {
		protocol = "http2_protocol_options: {}"
	}
	return fmt.Sprintf(`  - name: %s
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { %s }
    load_assignment:
      cluster_name: %s
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: %s, port_value: %s } } } }] }]
`, name, protocol, name, host, port)
}

const bootstrap = `
admin:
  address: { socket_address: { address: 127.0.0.1, port_value: %d } }
static_resources:
  listeners:
  - name: main
    address: { socket_address: { address: 127.0.0.1, port_value: %d } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          codec_type: AUTO
          http_protocol_options: { enable_trailers: true }
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, route: { cluster: app, timeout: 20s } }]
          http_filters:
%s
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
%s%s`
