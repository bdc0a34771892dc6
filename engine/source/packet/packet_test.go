package packet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// input is an assembler with what it is to read.
type input struct {
	*Assembler
	frames []wire.Frame
	link   layers.LinkType
}

func open(cfg Config, frames []wire.Frame, link ...layers.LinkType) *input {
	cfg.Name = "peak"
	return &input{New(cfg), frames, append(link, layers.LinkTypeEthernet)[0]}
}

// packet gives a frame as a front end does. What the capture lacks of it is
// known from its own headers.
func (in *input) packet(f wire.Frame) *Packet {
	return &Packet{At: f.At, Link: in.link, Data: slices.Clone(f.Data)}
}

// drain reads everything and checks what holds for every input.
func drain(t testing.TB, in *input) (xs []*traffic.Exchange) {
	t.Helper()
	take := func() {
		for x := in.Next(); x != nil; x = in.Next() {
			xs = append(xs, x)
		}
	}
	for _, f := range in.frames {
		p := in.packet(f)
		in.Packet(p)
		clear(p.Data) // nothing may keep them
		take()
	}
	in.Finish()
	take()
	c := in.Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP; sum != c.Records || c.Read != int64(len(xs)) {
		t.Errorf("counters do not add up: %+v, %d exchanges", c, len(xs))
	}
	if in.table.bytes != 0 || in.window.bytes != 0 || len(in.table.conns) != 0 || in.window.aside.Len() != 0 {
		t.Errorf("held at the end: %d bytes in connections, %d in the window, %d connections", in.table.bytes, in.window.bytes, len(in.table.conns))
	}
	return xs
}

func TestConnections(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	const unsized = "HTTP/1.1 200 OK\r\n\r\n"
	big := wire.OK(strings.Repeat("b", 100))
	for _, tt := range []struct {
		name string
		wire *wire.Wire
		want string
		says source.Counts // but Records, Read and Paired
	}{
		{"one", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp(), "GET /a 200 <A>", source.Counts{}},
		{"kept alive", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")).HangUp(),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"pipelined in one packet", wire.New().Dial().Send(wire.Client, wire.Get("/a")+wire.Get("/b")).Send(wire.Server, wire.OK("A")+wire.OK("B")).HangUp(),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"byte by byte", wire.New().Dial().Send(wire.Client, strings.Split(wire.Get("/a"), "")...).Send(wire.Server, strings.Split(wire.OK("A"), "")...).HangUp(),
			"GET /a 200 <A>", source.Counts{}},
		{"blank line between", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Send(wire.Client, "\r\n"+wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"a method of its own", wire.New().Dial().Send(wire.Client, "VERSION-CONTROL /a HTTP/1.1\r\nHost: a\r\n\r\n").Send(wire.Server, wire.OK("A")),
			"VERSION-CONTROL /a 200 <A>", source.Counts{}},
		{"HEAD", wire.New().Dial().Send(wire.Client, "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n").Send(wire.Server, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").
			Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")), "HEAD /a 200|GET /b 200 <B>", source.Counts{}},
		{"100 and the body after it", wire.New().Dial().Send(wire.Client, "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").
			Send(wire.Server, "HTTP/1.1 100 Continue\r\n\r\n").Send(wire.Client, "hi").Send(wire.Server, wire.OK("A")), "POST /a <hi> 200 <A>", source.Counts{}},
		{"an answer before the request's end", wire.New().Dial().Send(wire.Client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").
			Send(wire.Server, wire.OK("A")).Send(wire.Client, "hi").HangUp(), "POST /a <hi> 200 <A>", source.Counts{}},
		{"an answer instead of the request's end", wire.New().Dial().Send(wire.Client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").
			Send(wire.Server, wire.OK("A")).HangUp(), "", source.Counts{Truncated: 1, TruncatedRequests: 1, OrphanResponses: 1}},
		{"chunked", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, chunked+"1\r\nA\r\n", "1\r\nB\r\n", "0\r\n\r\n").Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a 200 <AB>|GET /b 200 <B>", source.Counts{}},
		{"until closed", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, unsized+"A", "B").Fin(wire.Server).Fin(wire.Client), "GET /a 200 <AB>", source.Counts{}},
		{"until reset", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, unsized+"A").Flags(wire.Server, 4), "GET /a 200 <A> truncated", source.Counts{Truncated: 1}},
		{"until the capture ends", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, unsized+"A"), "GET /a 200 <A> truncated", source.Counts{Truncated: 1}},
		{"no answer", wire.New().Dial().Send(wire.Client, wire.Get("/a")).HangUp(), "GET /a none", source.Counts{}},
		{"a cut request", wire.New().Dial().Send(wire.Client, wire.Get("/a")[:20]).HangUp(), "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"a cut first line", wire.New().Dial().Send(wire.Client, "GET /a").HangUp(), "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"a malformed request, and another", wire.New().Dial().Send(wire.Client, "GET /a HTTP/1.1\r\nno field\r\n\r\n").Send(wire.Server, wire.OK("?")).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /b 200 <B>", source.Counts{Malformed: 1, OrphanResponses: 1}},
		{"a malformed response, and another", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, "HTTP/1.1 2x0\r\n\r\n").Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a none|GET /b 200 <B>", source.Counts{Malformed: 1}},
		{"an upgrade", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, "HTTP/1.1 101 Switching\r\n\r\n\x81\x01x").Send(wire.Client, "\x81\x81abcd1").HangUp(),
			"GET /a 101", source.Counts{}},

		{"sent twice", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Rewind(wire.Client, len(wire.Get("/a"))).Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Rewind(wire.Server, 5).Send(wire.Server, wire.OK("A")[len(wire.OK("A"))-5:]),
			"GET /a 200 <A>", source.Counts{}},
		{"out of order", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, big[:50], big[50:]).Swap(1).HangUp(), "GET /a 200 <" + strings.Repeat("b", 100) + ">", source.Counts{}},
		{"acknowledged before it was captured", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Flags(wire.Client, 16).Swap(1), "GET /a 200 <A>", source.Counts{}},
		{"numbers that wrap", wire.New().Dial(1<<32-10, 1<<32-12).Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")).HangUp(),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"the ports again", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp().Again().Dial(9, 8).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},

		{"a gap in a body of known length", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, big[:60]).Lose(wire.Server, 30).Send(wire.Server, big[90:]).Wait(2*time.Second).
			Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")), "GET /a 200 <" + big[strings.Index(big, "bbb"):60] + "> truncated|GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1}},
		{"a gap in chunks", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, chunked+"3\r\nAB").Lose(wire.Server, 8).Send(wire.Server, "\r\n0\r\n\r\n").Wait(2*time.Second).
			Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")), "GET /a 200 <AB> truncated|GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1}},
		{"a lost response", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Lose(wire.Server, 50).Wait(2*time.Second).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a none|GET /b 200 <B>", source.Counts{Gaps: 1}},
		{"a lost request", wire.New().Dial().Lose(wire.Client, 50).Wait(2*time.Second).Send(wire.Server, wire.OK("?")).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /b 200 <B>", source.Counts{Gaps: 1, OrphanResponses: 1}},
		{"a later lost request", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Lose(wire.Client, 50).Wait(2*time.Second).Send(wire.Server, wire.OK("?")).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{Gaps: 1, OrphanResponses: 1}},
		{"a gap in a request's body", wire.New().Dial().Send(wire.Client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").Lose(wire.Client, 3).Send(wire.Client, "ghi").Wait(2*time.Second).
			Send(wire.Server, wire.OK("A")).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")), "GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1, TruncatedRequests: 1, OrphanResponses: 1}},
		{"cut packets", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, big).Cut(70).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a 200 <" + strings.Repeat("b", 100)[:70-len(big)+100] + "> truncated|GET /b 200 <B>", source.Counts{Gaps: 1, Truncated: 1}},
		{"joined in a response", wire.New().Send(wire.Server, "bbbb").Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")), "GET /a 200 <A>", source.Counts{}},
		{"joined at a response", wire.New().Send(wire.Server, wire.OK("?")).Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")), "GET /a 200 <A>", source.Counts{OrphanResponses: 1}},
		{"idle for long", wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).Wait(time.Hour).Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")),
			"GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},

		{"TLS", wire.New().Dial().Send(wire.Client, "\x16\x03\x01\x02\x00\x01").Send(wire.Server, "\x16\x03\x03").HangUp(), "", source.Counts{NotHTTP: 1}},
		{"HTTP/2 without a request", wire.New().Dial().Send(wire.Client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").HangUp(), "", source.Counts{}},
		{"the server speaks first", wire.New().Dial().Send(wire.Server, "220 mail\r\n").Send(wire.Client, "HELO a\r\n").HangUp(), "", source.Counts{NotHTTP: 1}},
		{"another protocol of the same look", wire.New().Dial().Send(wire.Client, "OPTIONS rtsp://a/b RTSP/1.0\r\n\r\n").HangUp(), "", source.Counts{NotHTTP: 1}},
		{"nothing but handshakes", wire.New().Dial().HangUp().Flags(wire.Client, 16), "", source.Counts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := open(Config{}, tt.wire.Frames)
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

func TestTimes(t *testing.T) {
	w := wire.New().Dial() // three packets, a millisecond each
	w.Send(wire.Client, wire.Get("/a")[:9], wire.Get("/a")[9:]).Send(wire.Server, "HTTP/1.1 100 Continue\r\n\r\n")
	w.Wait(20*time.Millisecond).Send(wire.Server, wire.OK("AB")[:30]).Wait(10*time.Millisecond).Send(wire.Server, wire.OK("AB")[30:]).HangUp()
	xs := drain(t, open(Config{}, w.Frames))
	want := traffic.Timing{Kind: traffic.TimingWire, TTFB: 22 * time.Millisecond, Total: 33 * time.Millisecond}
	if x := xs[0]; x.Timing != want || x.At.UnixNano() != wire.Epoch+4e6 || x.Session != "1" || x.ID != "1.1" || x.Source != "peak" {
		t.Errorf("at %v, session %s, id %s, timing %+v, want %+v", x.At, x.Session, x.ID, x.Timing, want)
	}
}

func TestLinks(t *testing.T) {
	exchange := func(w *wire.Wire) *wire.Wire {
		return w.Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp()
	}
	strip := func(head string) []wire.Frame {
		var fs []wire.Frame
		for _, f := range exchange(wire.New()).Frames {
			fs = append(fs, wire.Frame{At: f.At, Data: append([]byte(head), f.Data[14:]...)})
		}
		return fs
	}
	for _, tt := range []struct {
		name   string
		link   layers.LinkType
		frames []wire.Frame
	}{
		{"two VLAN tags", 1, exchange(&wire.Wire{Now: wire.Epoch, VLAN: true}).Frames},
		{"IPv6 with options", 1, exchange(&wire.Wire{Now: wire.Epoch, V6: true}).Frames},
		{"Linux cooked", 113, strip(strings.Repeat("\x00", 14) + "\x08\x00")},
		{"Linux cooked, version 2", 276, strip("\x08\x00" + strings.Repeat("\x00", 18))},
		{"loopback", 0, strip("\x02\x00\x00\x00")},
		{"raw", 101, strip("")},
		{"padded", 1, func() []wire.Frame {
			fs := exchange(wire.New()).Frames
			for i := range fs {
				fs[i].Data = append(fs[i].Data, 0, 0, 0, 0, 0, 0)
			}
			return fs
		}()},
		{"fragments", 101, func() (fs []wire.Frame) {
			for i, f := range strip("") {
				tcp := f.Data[20:]
				side := int(f.Data[15] - 1)
				if len(tcp) <= 24 {
					fs = append(fs, f)
					continue
				}
				fs = append(fs, wire.Frame{At: f.At, Data: wire.IPv4(side, uint16(i), 3, tcp[24:])},
					wire.Frame{At: f.At, Data: wire.IPv4(side, uint16(i), 0x2000, tcp[:24])})
			}
			return fs
		}()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			xs := drain(t, open(Config{}, tt.frames, tt.link))
			if len(xs) != 1 || show(xs[0]) != "GET /a 200 <A>" {
				t.Errorf("got %d exchanges", len(xs))
			}
		})
	}
	if New(Config{}).Packet(&Packet{Link: 147}) {
		t.Error("unknown link: taken in")
	}
}

// Fragments whose other ones never come do not fill the memory.
func TestFragmentsAreBounded(t *testing.T) {
	d := newDecoder()
	most := 0
	for i := range 40_000 {
		b := wire.IPv4(wire.Client, uint16(i), 0x2000, make([]byte, 1400))
		b[12], b[13] = byte(i>>16), byte(i>>8)
		d.segment(layers.LinkTypeRaw, b, wire.Epoch+int64(i))
		most = max(most, d.kept)
	}
	if most > maxFragments || d.kept == most {
		t.Errorf("at most %d bytes held, %d in the end", most, d.kept)
	}
}

func TestPorts(t *testing.T) {
	w := wire.New().Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")).HangUp()
	for _, tt := range []struct {
		ports []int
		want  int
	}{{nil, 1}, {[]int{80}, 1}, {[]int{81, 80}, 1}, {[]int{81}, 0}} {
		r := open(Config{Ports: tt.ports}, w.Frames)
		if xs := drain(t, r); len(xs) != tt.want || r.Counts().NotHTTP != 0 || len(r.Warnings()) != 1-tt.want {
			t.Errorf("ports %v: %d exchanges, %+v", tt.ports, len(xs), r.Counts())
		}
	}
}

// A slow answer keeps those after it back until the window is full; then its
// request goes without it, in the order of time all the same.
func TestWindow(t *testing.T) {
	w := wire.New().Dial().Send(wire.Client, wire.Get("/slow"))
	slow, seq := w.Port, w.Seq
	for i := range 8 {
		w.Dial().Send(wire.Client, wire.Get(fmt.Sprint("/", i))).Send(wire.Server, wire.OK("A")).HangUp()
	}
	w.Port, w.Seq = slow, seq
	w.Send(wire.Server, wire.OK("S")).HangUp()
	order := func(l Limits) (got []string, r *input) {
		r = open(Config{Limits: l}, w.Frames)
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
	w := wire.New()
	for range 50 {
		w.Dial().Send(wire.Client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", strings.Repeat("x", 1000))
	}
	r := open(Config{Limits: Limits{Unfinished: 10_000}}, w.Frames)
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
		w := wire.New()
		total := 0
		for range 3 {
			w.Dial()
			for range 12 {
				total++
				path, body := fmt.Sprint("/", total, "x"), fmt.Sprint(total, "x", strings.Repeat("b", rnd.IntN(300)))
				request := wire.Get(path)
				if rnd.IntN(3) == 0 {
					request = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
				}
				response := wire.OK(body)
				if rnd.IntN(3) == 0 {
					response = fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
				}
				w.Send(wire.Client, pieces(rnd, request)...).Flags(wire.Server, 16).Send(wire.Server, pieces(rnd, response)...).Flags(wire.Client, 16)
				w.Wait(time.Duration(rnd.IntN(2)) * 2 * time.Second)
			}
			w.HangUp()
		}
		r := open(Config{}, harm(rnd, w.Frames))
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

func harm(rnd *rand.Rand, frames []wire.Frame) (out []wire.Frame) {
	for _, f := range frames {
		switch rnd.IntN(40) {
		case 0:
			continue
		case 1:
			out = append(out, f)
		case 2:
			f.Size = len(f.Data)
			f.Data = f.Data[:54+rnd.IntN(len(f.Data)-53)]
		case 3:
			if n := len(out); n > 0 {
				out[n-1].Data, f.Data = f.Data, out[n-1].Data
				out[n-1].Size, f.Size = f.Size, out[n-1].Size
			}
		}
		out = append(out, f)
	}
	return out
}

// FuzzSegments changes packets, one byte in a place, one packet at a time.
func FuzzSegments(f *testing.F) {
	f.Add([]byte{0}, uint64(1))
	f.Add([]byte{10, 47, 1, 20, 38, 255}, uint64(7))
	f.Fuzz(func(t *testing.T, changes []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := wire.New()
		for range 3 {
			w.Dial().Send(wire.Client, pieces(rnd, wire.Get("/a")+wire.Get("/b"))...).Send(wire.Server, pieces(rnd, wire.OK("AAAA")+wire.OK("B"))...).HangUp()
		}
		for ; len(changes) >= 3; changes = changes[3:] {
			p := w.Frames[int(changes[0])%len(w.Frames)].Data
			p[int(changes[1])%len(p)] = changes[2]
		}
		drain(t, open(Config{}, w.Frames))
	})
}

// Packets with damaged bytes are as good as any other.
func TestDamagedPackets(t *testing.T) {
	for seed := range uint64(1500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := wire.New()
		for range 3 {
			w.Dial().Send(wire.Client, pieces(rnd, wire.Get("/a")+wire.Get("/b"))...).Send(wire.Server, pieces(rnd, wire.OK("AAAA")+wire.OK("B"))...).HangUp()
		}
		for range rnd.IntN(30) {
			p := w.Frames[rnd.IntN(len(w.Frames))].Data
			p[rnd.IntN(len(p))] = byte(rnd.IntN(256))
		}
		drain(t, open(Config{}, w.Frames))
	}
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
