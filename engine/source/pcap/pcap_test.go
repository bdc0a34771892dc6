package pcap

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func openBytes(cfg Config, files ...[]byte) *Reader {
	var inputs []source.Input
	for i, f := range files {
		inputs = append(inputs, source.Input{Name: fmt.Sprint("f", i), First: int64(i), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(f)), nil
		}})
	}
	cfg.Name = "peak"
	return newReader(cfg, inputs)
}

// drain reads a source to its end and checks what holds for every one.
func drain(t testing.TB, r *Reader) []*traffic.Exchange {
	t.Helper()
	var xs []*traffic.Exchange
	for {
		x, err := r.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	c := r.Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP; sum != c.Records || c.Read != int64(len(xs)) {
		t.Errorf("counters do not add up: %+v, %d exchanges", c, len(xs))
	}
	return xs
}

// show gives an exchange in short: "GET /a 200 body".
func show(x *traffic.Exchange) string {
	s := x.Request.Method + " " + x.Request.Target
	if b := x.Request.Body; len(b.Bytes) > 0 {
		s += " <" + string(b.Bytes) + ">"
	}
	if x.Response == nil {
		return s + " none"
	}
	s += " " + strconv.Itoa(x.Response.Status)
	if b := x.Response.Body; len(b.Bytes) > 0 || b.State != traffic.Complete {
		s += " <" + string(b.Bytes) + ">"
		if b.State != traffic.Complete {
			s += " " + b.State.String()
		}
	}
	return s
}

func TestOneConnectionInTwoFiles(t *testing.T) {
	w := wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")[:10], wire.OK("A")[10:])
	n := len(w.Frames) - 1
	xs := drain(t, openBytes(Config{}, wire.Classic(w.Frames[:n], 1), wire.Classic(w.Frames[n:], 1)))
	if len(xs) != 1 || show(xs[0]) != "GET /a 200 <A>" {
		t.Errorf("got %d exchanges", len(xs))
	}
}

func TestFixtures(t *testing.T) {
	read := func(name string) ([]*traffic.Exchange, *Reader) {
		r, err := Open(Config{Name: "peak", Paths: []string{"../../../testdata/pcap/" + name}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return drain(t, r), r
	}
	for _, name := range []string{"a.pcap", "any.pcap"} {
		xs, r := read(name)
		var got []string
		for _, x := range xs {
			got = append(got, fmt.Sprint(x.ID, " ", x.Request.Method, " ", x.Request.Target, " ", len(x.Request.Body.Bytes), " ", x.Response.Status, " ", len(x.Response.Body.Bytes)))
			if x.Timing.TTFB < 120*time.Millisecond || x.Timing.TTFB > 130*time.Millisecond { // the server took 120 ms
				t.Errorf("%s: %s %s took %v", name, x.Request.Method, x.Request.Target, x.Timing.TTFB)
			}
		}
		want := []string{"1.1 GET /a 0 200 19", "1.2 GET /b 0 200 19", "2.1 POST /p 3 200 19", "3.1 GET /chunk 0 200 12",
			"4.1 HEAD /head 0 200 0", "4.2 HEAD /head2 0 200 0", "5.1 POST /big 100000 200 26"}
		if !slices.Equal(got, want) || r.Counts() != (source.Counts{Records: 14, Read: 7, Paired: 7}) || len(r.Warnings()) != 0 {
			t.Errorf("%s: %v\n%+v\n%v", name, got, r.Counts(), r.Warnings())
		}
		if done, total := r.Progress(); done != total || total == 0 {
			t.Errorf("%s: progress %d of %d", name, done, total)
		}
	}
	xs, r := read("h2.pcap")
	if len(xs) != 1 || r.Counts() != (source.Counts{Records: 2, Read: 1, Paired: 1}) || len(r.Warnings()) != 0 {
		t.Fatalf("h2.pcap: %d exchanges, %+v, %v", len(xs), r.Counts(), r.Warnings())
	}
	x := xs[0]
	if got := show(x); got != `POST /a <k=v> 200 <{"p": "/a", "n": 3}>` || x.Request.Host() != "127.0.0.1:18072" || x.Request.Proto != "HTTP/2.0" ||
		x.Response.Header.Get("server") != "nginx/1.22.1" || x.Timing.TTFB < 120*time.Millisecond {
		t.Errorf("h2.pcap: %s, %v, %+v", got, x.Request.Header, x.Timing)
	}
}

// The same packets in the newer format, from interfaces of two kinds.
func TestNG(t *testing.T) {
	w := wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp()
	var b bytes.Buffer
	ng, err := pcapgo.NewNgWriterInterface(&b, pcapgo.NgInterface{LinkType: layers.LinkTypeEthernet, SnapLength: 0, TimestampResolution: 9}, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ng.AddInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeRaw, TimestampResolution: 9})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range w.Frames {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(0, f.At)}
		if i%2 == 0 {
			ci.InterfaceIndex, f.Data = raw, f.Data[14:]
		}
		ci.Length, ci.CaptureLength = len(f.Data), len(f.Data)
		if err := ng.WritePacket(ci, f.Data); err != nil {
			t.Fatal(err)
		}
	}
	ng.Flush()
	xs := drain(t, openBytes(Config{}, b.Bytes()))
	if len(xs) != 1 || show(xs[0]) != "GET /a 200 <A>" || xs[0].At.UnixNano() != wire.Epoch+4e6 {
		t.Errorf("got %d exchanges", len(xs))
	}
	r := openBytes(Config{}, b.Bytes()[:b.Len()-5])
	if xs := drain(t, r); len(xs) != 1 || r.Counts().Truncated != 1 {
		t.Errorf("cut: %d exchanges, %+v", len(xs), r.Counts())
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	whole := wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp().File()
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write(whole)
	z.Close()
	for _, tt := range []struct {
		name      string
		data      []byte
		exchanges int
		truncated int64
		err       error
	}{
		{"whole", whole, 1, 0, nil},
		{"compressed", gz.Bytes(), 1, 0, nil},
		{"compressed and cut", gz.Bytes()[:gz.Len()-9], 1, 1, nil},
		{"no packet", whole[:24], 0, 0, nil},
		{"cut in the header", whole[:20], 0, 1, nil},
		{"cut in a packet", whole[:len(whole)-3], 1, 1, nil},
		{"cut in a packet's header", whole[:len(whole)-60], 1, 1, nil},
		{"an impossible length", append(slices.Clone(whole), bytes.Repeat([]byte{0xee}, 40)...), 1, 1, nil},
		{"another kind", []byte("1 a 2\nGET / HTTP/1.1\r\n\r\n"), 0, 0, ErrNotCapture},
		{"empty", nil, 0, 0, ErrNotCapture},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Open(Config{Paths: []string{write("x.pcap", tt.data)}})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			defer r.Close()
			if xs := drain(t, r); len(xs) != tt.exchanges || r.Counts().Truncated != tt.truncated {
				t.Errorf("%d exchanges, %+v", len(xs), r.Counts())
			}
		})
	}
	if _, err := Open(Config{Paths: []string{filepath.Join(dir, "none.pcap")}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestCloseInTheMiddle(t *testing.T) {
	w := wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A"))
	w.Dial().Send(wire.Client, wire.Get("/b")[:20])
	w.Dial().Send(wire.Client, wire.Get("/c"))
	r := openBytes(Config{}, w.File())
	if _, err := r.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(context.Background()); err == nil || err == io.EOF {
		t.Errorf("after close: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp().File())
	f.Add(wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("AAAA")).Cut(30).Lose(wire.Client, 9).Send(wire.Client, wire.Get("/b")).File())
	for _, name := range []string{"a.pcap", "any.pcap", "h2.pcap"} {
		if b, err := os.ReadFile("../../../testdata/pcap/" + name); err == nil {
			f.Add(b[:min(len(b), 8000)])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := openBytes(Config{Limits: packet.Limits{Exchanges: 8, Connections: 4, Unfinished: 4 << 10}}, b)
		defer r.Close()
		if _, err := newHeader(b); err != nil {
			return
		}
		drain(t, r)
	})
}

// newHeader reports whether b begins as a capture does.
func newHeader(b []byte) (*capture, error) {
	c := newCapture("x", io.NopCloser(bytes.NewReader(b)), new(damage))
	return c, c.header()
}

func BenchmarkReader(b *testing.B) {
	w := wire.New()
	body := strings.Repeat("b", 1400)
	for range 200 {
		w.Dial()
		for range 10 {
			w.Send(wire.Client, wire.Get("/orders/7")).Send(wire.Server, wire.OK(body)).Flags(wire.Client, 16)
		}
		w.HangUp()
	}
	file := w.File()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if n := len(drain(b, openBytes(Config{}, file))); n != 2000 {
			b.Fatal(n)
		}
	}
}
