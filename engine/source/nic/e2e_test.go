//go:build e2e

package nic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/nic"
	"github.com/shadowaudit/shadowaudit/engine/source/pcap"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

var made int // namespaces so far

// space makes a network namespace with a veth pair into it, or skips the test.
func space(t *testing.T, mtu string) (name, here, there string) {
	t.Helper()
	made++
	name, here, there = fmt.Sprintf("sa%d-%d", os.Getpid(), made), fmt.Sprintf("sah%d-%d", os.Getpid(), made), "sat"
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made: %v %s", err, out)
	}
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", here).Run()
		exec.Command("ip", "netns", "del", name).Run()
	})
	run(t, "ip", "link", "add", here, "mtu", mtu, "type", "veth", "peer", "name", there, "mtu", mtu, "netns", name)
	run(t, "ip", "link", "set", here, "up")
	run(t, "ip", "-n", name, "link", "set", there, "up")
	return name, here, there
}

func readAll(t *testing.T, s source.Source) (xs []*traffic.Exchange, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
		y := *x
		y.At, y.Arrived, y.Timing, y.Offset = time.Time{}, time.Time{}, traffic.Timing{}, 0
		b, err := json.Marshal(y)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b) + "\n"
	}
	c := s.(source.Accountant).Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped; sum != c.Records || c.LostPackets != 0 {
		t.Errorf("counters do not add up: %+v", c)
	}
	return xs, text
}

func listen(t *testing.T, cfg nic.Config) *nic.Source {
	t.Helper()
	s, err := nic.Open(cfg)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What tcpreplay sends over a device is seen as it is in the file.
func TestE2EReplayed(t *testing.T) {
	_, here, _ := space(t, "65535") // the loopback device, which the files are from, has packets as large
	for _, name := range []string{"a.pcap", "h2.pcap"} {
		file := filepath.Join("../../../testdata/pcap", name)
		r, err := pcap.Open(pcap.Config{Name: "peak", Paths: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		want, text := readAll(t, r)
		counts := r.Counts()
		r.Close()
		s := listen(t, nic.Config{Name: "peak", Device: here})
		run(t, "tcpreplay", "-q", "--mbps", "400", "-i", here, file)
		for deadline := time.Now().Add(10 * time.Second); s.Counts().Records < counts.Records && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
		s.Stop()
		got, gotText := readAll(t, s)
		if gotText != text || s.Counts() != counts {
			t.Errorf("%s: not the same as the file: %+v, want %+v", name, s.Counts(), counts)
		}
		version, _, _ := strings.Cut(run(t, "tcpreplay", "--version"), "\n")
		t.Logf("interface: %s, %s on a veth, %d exchanges in, %d out, %+v", version, name, len(want), len(got), s.Counts())
	}
}

// A client in another namespace talks to a server here, over a veth pair: seen
// on the device, and once only on all of them.
func TestE2ENamespace(t *testing.T) {
	name, here, there := space(t, "1500")
	run(t, "ip", "addr", "add", "198.51.100.1/24", "dev", here)
	run(t, "ip", "-n", name, "addr", "add", "198.51.100.2/24", "dev", there)
	l, err := net.Listen("tcp", "198.51.100.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(append(b, r.URL.Path...))
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte(strings.Repeat("0123456789", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	const total = 100
	talk := func() time.Duration {
		began := time.Now()
		run(t, "ip", "netns", "exec", name, "curl", "-sS", "--fail", "-H", "Expect:", "--data-binary", "@"+body, "-o", "/dev/null", fmt.Sprintf("http://%s/[1-%d]", l.Addr(), total))
		return time.Since(began)
	}
	alone := talk()
	sources := []*nic.Source{
		listen(t, nic.Config{Name: "peak", Device: here, Ports: []int{port}}),
		listen(t, nic.Config{Name: "peak", Device: "any", Ports: []int{port}}),
	}
	captured := talk()

	for _, s := range sources {
		s.Stop()
		xs, _ := readAll(t, s)
		for i, x := range xs {
			path := fmt.Sprint("/", i+1)
			if len(x.Request.Body.Bytes) != 100_000 || x.Request.Target != path || x.Response == nil || !strings.HasSuffix(string(x.Response.Body.Bytes), "789"+path) {
				t.Errorf("%s: exchange %d is not what was said", s.Listening(), i)
			}
		}
		if c := s.Counts(); c != (source.Counts{Records: 2 * total, Read: total, Paired: total}) {
			t.Errorf("%s: %+v", s.Listening(), c)
		}
		version, _, _ := strings.Cut(run(t, "curl", "--version"), "\n")
		t.Logf("interface: %s over veth, seen on %s, %d exchanges in, %d out, %+v, in %v (%v when nobody captures)", version, s.Listening(), total, len(xs), s.Counts(), captured, alone)
	}
}

// Under as much load as this machine makes, every exchange is either handed out
// or accounted for, whether or not anybody reads.
func TestE2ERate(t *testing.T) {
	for _, reads := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 2000)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(answer) })}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		s := listen(t, nic.Config{Name: "peak", Device: "lo", Ports: []int{l.Addr().(*net.TCPAddr).Port}})
		var read int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for reads {
				if _, err := s.Next(t.Context()); err != nil {
					return
				}
				read++
			}
		}()
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
		var sent atomic.Int64
		var wg sync.WaitGroup
		began := time.Now()
		for range 8 {
			wg.Go(func() {
				for time.Since(began) < 3*time.Second {
					resp, err := client.Get("http://" + l.Addr().String() + "/orders/7")
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					sent.Add(1)
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		client.CloseIdleConnections()
		s.Stop()
		<-done
		for !reads {
			if _, err := s.Next(t.Context()); err != nil {
				break
			}
			read++
		}
		c := s.Counts()
		if c.Read != read || c.LostPackets == 0 && c.Read+c.Dropped != sent.Load() {
			t.Errorf("%d sent, %d read, %+v", sent.Load(), read, c)
		}
		if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped; sum != c.Records {
			t.Errorf("counters do not add up: %+v", c)
		}
		t.Logf("interface: AF_PACKET on lo, read %v: %d exchanges in (%.0f/s), %d out, %+v", reads, sent.Load(), float64(sent.Load())/took.Seconds(), read, c)
	}
}
