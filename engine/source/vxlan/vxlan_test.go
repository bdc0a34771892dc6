package vxlan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
	"github.com/shadowaudit/shadowaudit/engine/source/pcap"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const corpus = "../../../testdata/pcap/"

// framesOf reads the frames of a capture, on Ethernet.
func framesOf(t *testing.T, name string) (frames []wire.Frame) {
	t.Helper()
	f, err := os.Open(corpus + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		if name == "any.pcap" { // Linux cooked, version 2
			data = slices.Concat(make([]byte, 12), data[:2], data[20:])
		}
		frames = append(frames, wire.Frame{At: ci.Timestamp.UnixNano(), Data: data})
	}
}

func listen(t *testing.T, cfg Config) (*Source, func(vni int, frame []byte)) {
	t.Helper()
	cfg.Name, cfg.Listen = "peak", "127.0.0.1:0"
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", strings.TrimPrefix(s.Listening(), "udp "))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Close() })
	return s, func(vni int, frame []byte) {
		head := []byte{8, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
		if _, err := conn.Write(append(head, frame...)); err != nil {
			t.Error(err)
		}
	}
}

// rest stops the source when all that was sent has been read, and gives what it
// has.
func rest(t *testing.T, s *Source, sent func() bool) (xs []*traffic.Exchange) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !sent() {
		if time.Now().After(deadline) {
			t.Fatalf("what was sent does not come: %+v", s.Counts())
		}
		time.Sleep(time.Millisecond)
	}
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
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
	c := s.Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped; sum != c.Records || c.LostPackets != 0 {
		t.Errorf("counters do not add up: %+v", c)
	}
	return xs
}

// text gives all of an exchange but what depends on the clock.
func text(t *testing.T, xs []*traffic.Exchange) string {
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

// fromFile reads frames as a capture file.
func fromFile(t *testing.T, frames []wire.Frame) ([]*traffic.Exchange, source.Counts) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(name, wire.Classic(frames, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := pcap.Open(pcap.Config{Name: "peak", Paths: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var xs []*traffic.Exchange
	for {
		x, err := r.Next(t.Context())
		if err == io.EOF {
			return xs, r.Counts()
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
}

// The same frames give the same exchanges, whether they come as a file or as
// datagrams, in order or not quite.
func TestSameAsFile(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string
		mix  bool
	}{
		{"in order", "a.pcap", false}, {"any", "any.pcap", false}, {"HTTP/2", "h2.pcap", false},
		{"out of order", "a.pcap", true}, {"HTTP/2 out of order", "h2.pcap", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frames := framesOf(t, tt.file)
			want, counts := fromFile(t, frames)
			if len(want) == 0 {
				t.Fatal("nothing in the file")
			}
			if tt.mix {
				mix(frames)
			}
			s, send := listen(t, Config{VNIs: []int{123}})
			for _, f := range frames {
				send(123, f.Data)
			}
			got := rest(t, s, func() bool { return s.Counts().Records == counts.Records })
			if text(t, got) != text(t, want) {
				t.Errorf("got\n%.2000s\nwant\n%.2000s", text(t, got), text(t, want))
			}
			if s.Counts() != counts {
				t.Errorf("counts %+v, want %+v", s.Counts(), counts)
			}
		})
	}
}

// mix exchanges neighbours that carry data, as networks do that have several
// ways.
func mix(frames []wire.Frame) {
	rnd := rand.New(rand.NewPCG(7, 7))
	const syn = 2
	for i := 1; i < len(frames); i++ {
		a, b := frames[i-1].Data, frames[i].Data
		if rnd.IntN(2) == 0 && (a[14+20+13]|b[14+20+13])&syn == 0 {
			frames[i-1].Data, frames[i].Data = b, a
			i++
		}
	}
}

// What the network loses is a gap, and what is cut too.
func TestLoss(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(frames []wire.Frame, i int) []wire.Frame
	}{
		{"lost", func(frames []wire.Frame, i int) []wire.Frame { return slices.Delete(frames, i, i+1) }},
		{"cut", func(frames []wire.Frame, i int) []wire.Frame {
			frames[i].Data = frames[i].Data[:100]
			return frames
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frames := framesOf(t, "a.pcap")
			i := slices.IndexFunc(frames, func(f wire.Frame) bool { return len(f.Data) > 30_000 })
			s, send := listen(t, Config{})
			for _, f := range tt.harm(frames, i) {
				send(1, f.Data)
			}
			xs := rest(t, s, func() bool { c := s.Counts(); return c.Gaps == 1 && c.Records == 14 })
			if c := s.Counts(); len(xs) != 6 || c.TruncatedRequests != 1 || c.OrphanResponses != 1 {
				t.Errorf("%d exchanges, %+v", len(xs), c)
			}
		})
	}
}

// Networks with the same addresses are kept apart, and those that are not asked
// for are left out.
func TestVNIs(t *testing.T) {
	one := wire.New().Dial().Send(wire.Client, wire.Get("/one")).Send(wire.Server, wire.OK("1")).HangUp()
	two := wire.New().Dial().Send(wire.Client, wire.Get("/two")).Send(wire.Server, wire.OK("2")).HangUp()
	s, send := listen(t, Config{VNIs: []int{1, 1<<24 - 1}, Ports: []int{80}})
	for i := range one.Frames {
		send(1, one.Frames[i].Data)
		send(1<<24-1, two.Frames[i].Data)
		send(2, two.Frames[i].Data)
	}
	xs := rest(t, s, func() bool { return s.Counts().Records == 4 })
	if len(xs) != 2 || xs[0].Request.Target+" "+xs[1].Request.Target != "/one /two" || string(xs[0].Response.Body.Bytes) != "1" {
		t.Errorf("%d exchanges", len(xs))
	}
	want := fmt.Sprint(len(one.Frames), " packets of other VNIs left out")
	if ws := fmt.Sprint(s.Warnings()); !strings.Contains(ws, want) {
		t.Errorf("warnings %s, want %s", ws, want)
	}
}

func TestNotVXLAN(t *testing.T) {
	s, _ := listen(t, Config{})
	conn, err := net.Dial("udp", strings.TrimPrefix(s.Listening(), "udp "))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, b := range []string{"", "short", "\x00\x00\x00\x00\x00\x00\x01\x00no VNI", "\x08\x00\x00\x00\x00\x00\x01\x00no frame"} {
		if _, err := conn.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	if xs := rest(t, s, func() bool { return s.socket.malformed.Load() == 3 }); len(xs) != 0 {
		t.Errorf("%d exchanges", len(xs))
	}
	if ws := fmt.Sprint(s.Warnings()); !strings.Contains(ws, "3 datagrams without a VXLAN header left out") {
		t.Errorf("warnings %s", ws)
	}
}

// What the system drops is counted to the datagram.
func TestSystemDrops(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says what it drops")
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	peer, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	const sent = 1000
	for range sent {
		if _, err := peer.Write(append([]byte{8, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 1400)...)); err != nil {
			t.Fatal(err)
		}
	}
	s := &socket{conn: conn, buffer: make([]byte, maxDatagram)}
	received := int64(0)
	if err := s.Read(func(*packet.Packet) { received++ }); err != nil {
		t.Fatal(err)
	}
	if received == 0 || s.Lost() != sent-received {
		t.Errorf("%d sent, %d received, %d lost", sent, received, s.Lost())
	}
}

func TestOpenErrors(t *testing.T) {
	s, _ := listen(t, Config{})
	_, err := Open(Config{Listen: strings.TrimPrefix(s.Listening(), "udp ")})
	if err == nil || !strings.Contains(err.Error(), "the port is in use") {
		t.Errorf("a port in use: %v", err)
	}
	if _, err := Open(Config{Listen: "nowhere"}); err == nil {
		t.Error("no port: no error")
	}
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := Open(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		done <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("Next goes on after Close")
	}
	if _, err := s.Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after close: %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{8, 0, 0, 0, 1, 2, 3, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, vni, ok := decode(b)
		if ok && (len(frame) != len(b)-8 || vni < 0 || vni >= 1<<24) {
			t.Errorf("%d bytes, VNI %d", len(frame), vni)
		}
	})
}
