//go:build e2e

package kafka

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/message"
)

// TestRealBroker reads what kcat gives to a Kafka broker.
func TestRealBroker(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed: apt-get install kcat")
	}
	script := exec.Command("../../../.ci/kafka")
	script.Stderr = os.Stderr
	path, err := script.Output()
	if err != nil {
		t.Skip("a Kafka broker cannot be had: ", err)
	}
	address := startBroker(t, strings.TrimSpace(string(path)))

	const n = 500
	var in bytes.Buffer
	for i := range n {
		at := 1795166295952376787 + int64(i)*1e6
		fmt.Fprintf(&in, "1 id%d %d 0\nPOST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n\x00\xff\n\x1e", i, at, i)
		fmt.Fprintf(&in, "2 id%d %d 7\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\x1e", i, at+5000)
	}
	var out []byte
	for deadline := time.Now().Add(90 * time.Second); ; {
		produce := exec.CommandContext(t.Context(), kcat, "-P", "-b", address, "-t", "shadow", "-D", "\x1e", "-z", "snappy", "-X", "message.timeout.ms=5000")
		produce.Stdin = bytes.NewReader(in.Bytes())
		if out, err = produce.CombinedOutput(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("kcat: %v\n%s", err, out)
		}
	}

	cfg := Config{Name: "bus", Brokers: []string{address}, Topic: "shadow", Format: message.Gor, Group: "audit"}
	for run, want := range []int64{n, 0} {
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		for i := 0; ; i++ {
			x, err := s.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if x.Request.Target != fmt.Sprint("/", i) || string(x.Request.Body.Bytes) != "\x00\xff\n" || x.Response == nil || string(x.Response.Body.Bytes) != "hi" {
				t.Fatalf("exchange %d is not what went in", i)
			}
		}
		c := s.Counts()
		if c.Read != want || c.Paired != want || c.Records != 2*want {
			t.Errorf("run %d: %+v", run, c)
		}
		if err := s.Acknowledge(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("kafka: broker of .ci/kafka with kcat, run %d: %d messages in, %d read, %d paired, losses: none", run, 2*want, c.Read, c.Paired)
	}
}

// startBroker starts a broker that is its own controller, on ports that are
// free, and returns its address. It ends with the test.
func startBroker(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	var ports [2]string
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = ln.Addr().String()
		defer ln.Close()
		ln.Close()
	}
	config := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s/data
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
auto.create.topics.enable=true
`, ports[0], ports[1], dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("java", "-cp", path, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", config).CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	broker := exec.CommandContext(ctx, "java", "-Xmx512m", "-cp", path, "kafka.Kafka", config)
	broker.WaitDelay = 10 * time.Second
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = broker.Wait() })
	return ports[0]
}
