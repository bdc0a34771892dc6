package pcap

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
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
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// frame is a packet of a capture under construction.
type frame struct {
	at   int64
	data []byte
	size int // on the wire; 0: all of data
}

// wire builds a capture of one connection after the other. Each packet comes a
// millisecond after the last one.
type wire struct {
	frames []frame
	now    int64
	port   uint16
	seq    [2]uint32 // of client and server
	vlan   bool
	v6     bool
}

const (
	client = 0
	server = 1

	epoch = 1_700_000_000 * int64(1e9)
)

func newWire() *wire { return &wire{now: epoch, port: 40000} }

// dial begins a connection.
func (w *wire) dial(isn ...uint32) *wire {
	w.port++
	w.seq = [2]uint32{1000, 5000}
	if len(isn) == 2 {
		w.seq = [2]uint32(isn)
	}
	w.flags(client, 2)
	w.seq[client]++
	w.flags(server, 2|16)
	w.seq[server]++
	return w.flags(client, 16)
}

func (w *wire) flags(side int, flags byte) *wire {
	w.add(side, flags, w.seq[side], "")
	return w
}

// send sends each text in a packet of its own.
func (w *wire) send(side int, texts ...string) *wire {
	for _, s := range texts {
		w.add(side, 16|8, w.seq[side], s)
		w.seq[side] += uint32(len(s))
	}
	return w
}

// lose sends a packet that is not captured, and the acknowledgement that shows it.
func (w *wire) lose(side int, n int) *wire {
	w.seq[side] += uint32(n)
	return w.flags(1-side, 16)
}

// fin closes one side.
func (w *wire) fin(side int) *wire {
	w.flags(side, 1|16)
	w.seq[side]++
	return w.flags(1-side, 16)
}

func (w *wire) hangUp() *wire { return w.fin(client).fin(server) }

func (w *wire) wait(d time.Duration) *wire { w.now += int64(d); return w }

// swap exchanges the last packet but n with the last one.
func (w *wire) swap(n int) *wire {
	f := w.frames
	i, j := len(f)-1-n, len(f)-1
	f[i].data, f[j].data = f[j].data, f[i].data
	return w
}

func (w *wire) add(side int, flags byte, seq uint32, data string) {
	w.now += 1e6
	ports := [2]uint16{w.port, 80}
	w.frames = append(w.frames, frame{at: w.now, data: w.ether(side, tcpBytes(ports[side], ports[1-side], seq, w.seq[1-side], flags, data))})
}

func tcpBytes(from, to uint16, seq, ack uint32, flags byte, data string) []byte {
	b := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	return append(b, data...)
}

func (w *wire) ether(side int, tcp []byte) []byte {
	b := make([]byte, 12)
	if w.vlan {
		b = append(b, 0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2)
	}
	if w.v6 {
		b = append(b, 0x86, 0xdd)
		return append(b, ipv6Bytes(side, tcp)...)
	}
	b = append(b, 0x08, 0x00)
	return append(b, ipv4Bytes(side, 0, 0, tcp)...)
}

func ipv4Bytes(side int, id, fragment uint16, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], []byte{10, 0, 0, byte(1 + side)})
	copy(b[16:], []byte{10, 0, 0, byte(2 - side)})
	return append(b, payload...)
}

func ipv6Bytes(side int, payload []byte) []byte {
	b := make([]byte, 40, 48+len(payload))
	b[0], b[6], b[7] = 0x60, 60, 64
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	b[23], b[39] = byte(1+side), byte(2-side)
	b = append(b, 6, 0, 1, 4, 0, 0, 0, 0) // destination options
	return append(b, payload...)
}

// file gives the capture in the classic format.
func (w *wire) file() []byte { return classic(w.frames, 1) }

func classic(frames []frame, link uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, 1500) // smaller than some packets, as some writers have it
	b = binary.LittleEndian.AppendUint32(b, link)
	for _, f := range frames {
		b = binary.LittleEndian.AppendUint32(b, uint32(f.at/1e9))
		b = binary.LittleEndian.AppendUint32(b, uint32(f.at%1e9))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.data)))
		b = binary.LittleEndian.AppendUint32(b, uint32(max(f.size, len(f.data))))
		b = append(b, f.data...)
	}
	return b
}

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
	if r.table.bytes != 0 || r.window.bytes != 0 || len(r.table.conns) != 0 {
		t.Errorf("held at the end: %d bytes in connections, %d in the window, %d connections", r.table.bytes, r.window.bytes, len(r.table.conns))
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

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestConnections(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	const open = "HTTP/1.1 200 OK\r\n\r\n"
	big := ok(strings.Repeat("b", 100))
	for _, tt := range []struct {
		name string
		wire *wire
		want string
		says source.Counts // but Records, Read and Paired
	}{
		{"one", newWire().dial().send(client, get("/a")).send(server, ok("A")).hangUp(), "GET /a 200 <A>", source.Counts{}},
		{"kept alive", newWire().dial().send(client, get("/a")).send(server, ok("A")).send(client, get("/b")).send(server, ok("B")).hangUp(),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"pipelined in one packet", newWire().dial().send(client, get("/a")+get("/b")).send(server, ok("A")+ok("B")).hangUp(),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"byte by byte", newWire().dial().send(client, strings.Split(get("/a"), "")...).send(server, strings.Split(ok("A"), "")...).hangUp(),
			"GET /a 200 <A>", source.Counts{}},
		{"blank line between", newWire().dial().send(client, get("/a")).send(server, ok("A")).send(client, "\r\n"+get("/b")).send(server, ok("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"a method of its own", newWire().dial().send(client, "VERSION-CONTROL /a HTTP/1.1\r\nHost: a\r\n\r\n").send(server, ok("A")),
			"VERSION-CONTROL /a 200 <A>", source.Counts{}},
		{"HEAD", newWire().dial().send(client, "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n").send(server, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").
			send(client, get("/b")).send(server, ok("B")), "HEAD /a 200|GET /b 200 <B>", source.Counts{}},
		{"100 and the body after it", newWire().dial().send(client, "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").
			send(server, "HTTP/1.1 100 Continue\r\n\r\n").send(client, "hi").send(server, ok("A")), "POST /a <hi> 200 <A>", source.Counts{}},
		{"an answer before the request's end", newWire().dial().send(client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").
			send(server, ok("A")).send(client, "hi").hangUp(), "POST /a <hi> 200 <A>", source.Counts{}},
		{"an answer instead of the request's end", newWire().dial().send(client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").
			send(server, ok("A")).hangUp(), "", source.Counts{Truncated: 1, TruncatedRequests: 1, OrphanResponses: 1}},
		{"chunked", newWire().dial().send(client, get("/a")).send(server, chunked+"1\r\nA\r\n", "1\r\nB\r\n", "0\r\n\r\n").send(client, get("/b")).send(server, ok("B")),
			"GET /a 200 <AB>|GET /b 200 <B>", source.Counts{}},
		{"until closed", newWire().dial().send(client, get("/a")).send(server, open+"A", "B").fin(server).fin(client), "GET /a 200 <AB>", source.Counts{}},
		{"until reset", newWire().dial().send(client, get("/a")).send(server, open+"A").flags(server, 4), "GET /a 200 <A> truncated", source.Counts{Truncated: 1}},
		{"until the capture ends", newWire().dial().send(client, get("/a")).send(server, open+"A"), "GET /a 200 <A> truncated", source.Counts{Truncated: 1}},
		{"no answer", newWire().dial().send(client, get("/a")).hangUp(), "GET /a none", source.Counts{}},
		{"a cut request", newWire().dial().send(client, get("/a")[:20]).hangUp(), "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"a cut first line", newWire().dial().send(client, "GET /a").hangUp(), "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"a malformed request, and another", newWire().dial().send(client, "GET /a HTTP/1.1\r\nno field\r\n\r\n").send(server, ok("?")).send(client, get("/b")).send(server, ok("B")),
			"GET /b 200 <B>", source.Counts{Malformed: 1, OrphanResponses: 1}},
		{"a malformed response, and another", newWire().dial().send(client, get("/a")).send(server, "HTTP/1.1 2x0\r\n\r\n").send(client, get("/b")).send(server, ok("B")),
			"GET /a none|GET /b 200 <B>", source.Counts{Malformed: 1}},
		{"an upgrade", newWire().dial().send(client, get("/a")).send(server, "HTTP/1.1 101 Switching\r\n\r\n\x81\x01x").send(client, "\x81\x81abcd1").hangUp(),
			"GET /a 101", source.Counts{}},

		{"sent twice", newWire().dial().send(client, get("/a")).rewind(client, len(get("/a"))).send(client, get("/a")).send(server, ok("A")).rewind(server, 5).send(server, ok("A")[len(ok("A"))-5:]),
			"GET /a 200 <A>", source.Counts{}},
		{"out of order", newWire().dial().send(client, get("/a")).send(server, big[:50], big[50:]).swap(1).hangUp(), "GET /a 200 <" + strings.Repeat("b", 100) + ">", source.Counts{}},
		{"acknowledged before it was captured", newWire().dial().send(client, get("/a")).send(server, ok("A")).flags(client, 16).swap(1), "GET /a 200 <A>", source.Counts{}},
		{"numbers that wrap", newWire().dial(1<<32-10, 1<<32-12).send(client, get("/a")).send(server, ok("A")).send(client, get("/b")).send(server, ok("B")).hangUp(),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"the ports again", newWire().dial().send(client, get("/a")).send(server, ok("A")).hangUp().again().dial(9, 8).send(client, get("/b")).send(server, ok("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},

		{"a gap in a body of known length", newWire().dial().send(client, get("/a")).send(server, big[:60]).lose(server, 30).send(server, big[90:]).wait(2*time.Second).
			send(client, get("/b")).send(server, ok("B")), "GET /a 200 <" + big[strings.Index(big, "bbb"):60] + "> truncated|GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1}},
		{"a gap in chunks", newWire().dial().send(client, get("/a")).send(server, chunked+"3\r\nAB").lose(server, 8).send(server, "\r\n0\r\n\r\n").wait(2*time.Second).
			send(client, get("/b")).send(server, ok("B")), "GET /a 200 <AB> truncated|GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1}},
		{"a lost response", newWire().dial().send(client, get("/a")).lose(server, 50).wait(2*time.Second).send(client, get("/b")).send(server, ok("B")),
			"GET /a none|GET /b 200 <B>", source.Counts{Gaps: 1}},
		{"a lost request", newWire().dial().lose(client, 50).wait(2*time.Second).send(server, ok("?")).send(client, get("/b")).send(server, ok("B")),
			"GET /b 200 <B>", source.Counts{Gaps: 1, OrphanResponses: 1}},
		{"a later lost request", newWire().dial().send(client, get("/a")).send(server, ok("A")).lose(client, 50).wait(2*time.Second).send(server, ok("?")).send(client, get("/b")).send(server, ok("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{Gaps: 1, OrphanResponses: 1}},
		{"a gap in a request's body", newWire().dial().send(client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").lose(client, 3).send(client, "ghi").wait(2*time.Second).
			send(server, ok("A")).send(client, get("/b")).send(server, ok("B")), "GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1, TruncatedRequests: 1, OrphanResponses: 1}},
		{"cut packets", newWire().dial().send(client, get("/a")).send(server, big).cut(70).send(client, get("/b")).send(server, ok("B")),
			"GET /a 200 <" + strings.Repeat("b", 100)[:70-len(big)+100] + "> truncated|GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1}},
		{"joined in a response", newWire().send(server, "bbbb").send(client, get("/a")).send(server, ok("A")), "GET /a 200 <A>", source.Counts{}},
		{"joined at a response", newWire().send(server, ok("?")).send(client, get("/a")).send(server, ok("A")), "GET /a 200 <A>", source.Counts{OrphanResponses: 1}},
		{"idle for long", newWire().dial().send(client, get("/a")).send(server, ok("A")).wait(time.Hour).send(client, get("/b")).send(server, ok("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},

		{"TLS", newWire().dial().send(client, "\x16\x03\x01\x02\x00\x01").send(server, "\x16\x03\x03").hangUp(), "", source.Counts{NotHTTP: 1}},
		{"HTTP/2", newWire().dial().send(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").hangUp(), "", source.Counts{NotHTTP: 1}},
		{"the server speaks first", newWire().dial().send(server, "220 mail\r\n").send(client, "HELO a\r\n").hangUp(), "", source.Counts{NotHTTP: 1}},
		{"another protocol of the same look", newWire().dial().send(client, "OPTIONS rtsp://a/b RTSP/1.0\r\n\r\n").hangUp(), "", source.Counts{NotHTTP: 1}},
		{"nothing but handshakes", newWire().dial().hangUp().flags(client, 16), "", source.Counts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := openBytes(Config{}, tt.wire.file())
			var got []string
			for _, x := range drain(t, r) {
				got = append(got, show(x))
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
			c := r.Counts()
			c.Records, c.Read, c.Paired = 0, 0, 0
			if c != tt.says {
				t.Errorf("counts %+v\nwant   %+v", c, tt.says)
			}
		})
	}
}

// rewind makes a side send its last n bytes again.
func (w *wire) rewind(side, n int) *wire { w.seq[side] -= uint32(n); return w }

// again makes the next connection use the ports of the last one.
func (w *wire) again() *wire { w.port--; return w }

// cut leaves n bytes of TCP data of the last packet in the capture.
func (w *wire) cut(n int) *wire {
	f := &w.frames[len(w.frames)-1]
	f.size = len(f.data)
	f.data = f.data[:14+20+20+n]
	return w
}

func TestTimes(t *testing.T) {
	w := newWire().dial() // three packets, a millisecond each
	w.send(client, get("/a")[:9], get("/a")[9:]).send(server, "HTTP/1.1 100 Continue\r\n\r\n")
	w.wait(20*time.Millisecond).send(server, ok("AB")[:30]).wait(10*time.Millisecond).send(server, ok("AB")[30:]).hangUp()
	xs := drain(t, openBytes(Config{}, w.file()))
	want := traffic.Timing{Kind: traffic.TimingWire, TTFB: 22 * time.Millisecond, Total: 33 * time.Millisecond}
	if x := xs[0]; x.Timing != want || x.At.UnixNano() != epoch+4e6 || x.Session != "1" || x.ID != "1.1" || x.Source != "peak" {
		t.Errorf("at %v, session %s, id %s, timing %+v, want %+v", x.At, x.Session, x.ID, x.Timing, want)
	}
}

func TestLinks(t *testing.T) {
	exchange := func(w *wire) *wire { return w.dial().send(client, get("/a")).send(server, ok("A")).hangUp() }
	strip := func(head string) []frame {
		var fs []frame
		for _, f := range exchange(newWire()).frames {
			fs = append(fs, frame{at: f.at, data: append([]byte(head), f.data[14:]...)})
		}
		return fs
	}
	for _, tt := range []struct {
		name   string
		link   uint32
		frames []frame
	}{
		{"two VLAN tags", 1, exchange(&wire{now: epoch, vlan: true}).frames},
		{"IPv6 with options", 1, exchange(&wire{now: epoch, v6: true}).frames},
		{"Linux cooked", 113, strip(strings.Repeat("\x00", 14) + "\x08\x00")},
		{"Linux cooked, version 2", 276, strip("\x08\x00" + strings.Repeat("\x00", 18))},
		{"loopback", 0, strip("\x02\x00\x00\x00")},
		{"raw", 101, strip("")},
		{"padded", 1, func() []frame {
			fs := exchange(newWire()).frames
			for i := range fs {
				fs[i].data = append(fs[i].data, 0, 0, 0, 0, 0, 0)
			}
			return fs
		}()},
		{"fragments", 101, func() (fs []frame) {
			for i, f := range strip("") {
				tcp := f.data[20:]
				side := int(f.data[15] - 1)
				if len(tcp) <= 24 {
					fs = append(fs, f)
					continue
				}
				fs = append(fs, frame{at: f.at, data: ipv4Bytes(side, uint16(i), 3, tcp[24:])},
					frame{at: f.at, data: ipv4Bytes(side, uint16(i), 0x2000, tcp[:24])})
			}
			return fs
		}()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			xs := drain(t, openBytes(Config{}, classic(tt.frames, tt.link)))
			if len(xs) != 1 || show(xs[0]) != "GET /a 200 <A>" {
				t.Errorf("got %d exchanges", len(xs))
			}
		})
	}
	r := openBytes(Config{}, classic(strip(""), 147))
	if xs := drain(t, r); len(xs) != 0 || len(r.Warnings()) != 1 || !strings.Contains(r.Warnings()[0].Text, "link type 147") {
		t.Errorf("unknown link: %d exchanges, %v", len(xs), r.Warnings())
	}
}

func TestPorts(t *testing.T) {
	w := newWire().dial().send(client, get("/a")).send(server, ok("A")).hangUp()
	for _, tt := range []struct {
		ports []int
		want  int
	}{{nil, 1}, {[]int{80}, 1}, {[]int{81, 80}, 1}, {[]int{81}, 0}} {
		r := openBytes(Config{Ports: tt.ports}, w.file())
		if xs := drain(t, r); len(xs) != tt.want || r.Counts().NotHTTP != 0 || len(r.Warnings()) != 1-tt.want {
			t.Errorf("ports %v: %d exchanges, %+v", tt.ports, len(xs), r.Counts())
		}
	}
}

func TestOneConnectionInTwoFiles(t *testing.T) {
	w := newWire().dial().send(client, get("/a")).send(server, ok("A")[:10], ok("A")[10:])
	n := len(w.frames) - 1
	xs := drain(t, openBytes(Config{}, classic(w.frames[:n], 1), classic(w.frames[n:], 1)))
	if len(xs) != 1 || show(xs[0]) != "GET /a 200 <A>" {
		t.Errorf("got %d exchanges", len(xs))
	}
}

// A slow answer keeps those after it back until the window is full; then its
// request goes without it, in the order of time all the same.
func TestWindow(t *testing.T) {
	w := newWire().dial().send(client, get("/slow"))
	slow, seq := w.port, w.seq
	for i := range 8 {
		w.dial().send(client, get(fmt.Sprint("/", i))).send(server, ok("A")).hangUp()
	}
	w.port, w.seq = slow, seq
	w.send(server, ok("S")).hangUp()
	order := func(l Limits) (got []string, r *Reader) {
		r = openBytes(Config{Limits: l}, w.file())
		for _, x := range drain(t, r) {
			got = append(got, show(x))
		}
		return got, r
	}
	if got, r := order(Limits{}); got[0] != "GET /slow 200 <S>" || len(got) != 9 || r.window.forced+r.window.late != 0 {
		t.Errorf("got %v", got)
	}
	if got, r := order(Limits{Exchanges: 4}); got[0] != "GET /slow none" || len(got) != 9 || r.Counts().OrphanResponses != 1 || r.window.forced != 1 {
		t.Errorf("small window: %v, %+v", got, r.Counts())
	}
	if got, r := order(Limits{Connections: 2}); len(got) != 9 || r.log.evicted == 0 {
		t.Errorf("few connections: %v, %+v", got, r.log)
	}
}

func TestUnfinishedMessagesAreBounded(t *testing.T) {
	w := newWire()
	for range 50 {
		w.dial().send(client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", strings.Repeat("x", 1000))
	}
	r := openBytes(Config{Limits: Limits{Unfinished: 10_000}}, w.file())
	if xs := drain(t, r); len(xs) != 0 || r.log.evicted < 30 || r.Counts().TruncatedRequests != 50 {
		t.Errorf("%d exchanges, %+v", len(xs), r.log.Counts)
	}
}

// Whatever a capture loses, repeats or mixes up, a request never gets the
// response of another one, and everything is accounted for.
func TestLossNeverMixesUp(t *testing.T) {
	var lost, paired int64
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWire()
		total := 0
		for range 3 {
			w.dial()
			for range 12 {
				total++
				path, body := fmt.Sprint("/", total, "x"), fmt.Sprint(total, "x", strings.Repeat("b", rnd.IntN(300)))
				request := get(path)
				if rnd.IntN(3) == 0 {
					request = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
				}
				response := ok(body)
				if rnd.IntN(3) == 0 {
					response = fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
				}
				w.send(client, pieces(rnd, request)...).flags(server, 16).send(server, pieces(rnd, response)...).flags(client, 16)
				w.wait(time.Duration(rnd.IntN(2)) * 2 * time.Second)
			}
			w.hangUp()
		}
		r := openBytes(Config{}, classic(harm(rnd, w.frames), 1))
		for _, x := range drain(t, r) {
			if x.Response == nil {
				continue
			}
			paired++
			id, _, _ := strings.Cut(x.Request.Target[1:], "x")
			got, _, whole := strings.Cut(string(x.Response.Body.Bytes), "x")
			if whole && got != id || x.Response.Body.State == traffic.Complete && !whole {
				t.Fatalf("seed %d: request %s has response %s (%v)", seed, id, got, x.Response.Body.State)
			}
		}
		c := r.Counts()
		lost += c.Gaps
	}
	if lost < 500 || paired < 5000 {
		t.Errorf("only %d gaps and %d pairs: the test says little", lost, paired)
	}
}

func pieces(rnd *rand.Rand, s string) (out []string) {
	for len(s) > 0 {
		n := 1 + rnd.IntN(len(s))
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

func harm(rnd *rand.Rand, frames []frame) (out []frame) {
	for _, f := range frames {
		switch rnd.IntN(40) {
		case 0:
			continue
		case 1:
			out = append(out, f)
		case 2:
			f.size = len(f.data)
			f.data = f.data[:54+rnd.IntN(len(f.data)-53)]
		case 3:
			if n := len(out); n > 0 {
				out[n-1].data, f.data = f.data, out[n-1].data
				out[n-1].size, f.size = f.size, out[n-1].size
			}
		}
		out = append(out, f)
	}
	return out
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
	if xs, r := read("h2.pcap"); len(xs) != 0 || r.Counts() != (source.Counts{Records: 1, NotHTTP: 1}) || len(r.Warnings()) != 1 {
		t.Errorf("h2.pcap: %+v, %v", r.Counts(), r.Warnings())
	}
}

// The same packets in the newer format, from interfaces of two kinds.
func TestNG(t *testing.T) {
	w := newWire().dial().send(client, get("/a")).send(server, ok("A")).hangUp()
	var b bytes.Buffer
	ng, err := pcapgo.NewNgWriterInterface(&b, pcapgo.NgInterface{LinkType: layers.LinkTypeEthernet, SnapLength: 0, TimestampResolution: 9}, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ng.AddInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeRaw, TimestampResolution: 9})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range w.frames {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(0, f.at)}
		if i%2 == 0 {
			ci.InterfaceIndex, f.data = raw, f.data[14:]
		}
		ci.Length, ci.CaptureLength = len(f.data), len(f.data)
		if err := ng.WritePacket(ci, f.data); err != nil {
			t.Fatal(err)
		}
	}
	ng.Flush()
	xs := drain(t, openBytes(Config{}, b.Bytes()))
	if len(xs) != 1 || show(xs[0]) != "GET /a 200 <A>" || xs[0].At.UnixNano() != epoch+4e6 {
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
	whole := newWire().dial().send(client, get("/a")).send(server, ok("A")).hangUp().file()
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
	w := newWire().dial().send(client, get("/a")).send(server, ok("A"))
	w.dial().send(client, get("/b")[:20])
	w.dial().send(client, get("/c"))
	r := openBytes(Config{}, w.file())
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
	f.Add(newWire().dial().send(client, get("/a")).send(server, ok("A")).hangUp().file())
	f.Add(newWire().dial().send(client, get("/a")).send(server, ok("AAAA")).cut(30).lose(client, 9).send(client, get("/b")).file())
	for _, name := range []string{"a.pcap", "any.pcap", "h2.pcap"} {
		if b, err := os.ReadFile("../../../testdata/pcap/" + name); err == nil {
			f.Add(b[:min(len(b), 8000)])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := openBytes(Config{Limits: Limits{Exchanges: 8, Connections: 4, Unfinished: 4 << 10}}, b)
		defer r.Close()
		if _, err := newHeader(b); err != nil {
			return
		}
		drain(t, r)
	})
}

// FuzzSegments changes packets, one byte in a place, one packet at a time.
func FuzzSegments(f *testing.F) {
	f.Add([]byte{0}, uint64(1))
	f.Add([]byte{10, 47, 1, 20, 38, 255}, uint64(7))
	f.Fuzz(func(t *testing.T, changes []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := newWire()
		for range 3 {
			w.dial().send(client, pieces(rnd, get("/a")+get("/b"))...).send(server, pieces(rnd, ok("AAAA")+ok("B"))...).hangUp()
		}
		for ; len(changes) >= 3; changes = changes[3:] {
			p := w.frames[int(changes[0])%len(w.frames)].data
			p[int(changes[1])%len(p)] = changes[2]
		}
		drain(t, openBytes(Config{}, w.file()))
	})
}

// Packets with damaged bytes are as good as any other.
func TestDamagedPackets(t *testing.T) {
	for seed := range uint64(1500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := newWire()
		for range 3 {
			w.dial().send(client, pieces(rnd, get("/a")+get("/b"))...).send(server, pieces(rnd, ok("AAAA")+ok("B"))...).hangUp()
		}
		for range rnd.IntN(30) {
			p := w.frames[rnd.IntN(len(w.frames))].data
			p[rnd.IntN(len(p))] = byte(rnd.IntN(256))
		}
		drain(t, openBytes(Config{}, w.file()))
	}
}

// newHeader reports whether b begins as a capture does.
func newHeader(b []byte) (*capture, error) {
	c := newCapture("x", io.NopCloser(bytes.NewReader(b)), new(ledger))
	return c, c.header()
}

func BenchmarkReader(b *testing.B) {
	w := newWire()
	body := strings.Repeat("b", 1400)
	for range 200 {
		w.dial()
		for range 10 {
			w.send(client, get("/orders/7")).send(server, ok(body)).flags(client, 16)
		}
		w.hangUp()
	}
	file := w.file()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if n := len(drain(b, openBytes(Config{}, file))); n != 2000 {
			b.Fatal(n)
		}
	}
}
