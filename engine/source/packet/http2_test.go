package packet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// peers writes the frames of both sides of an HTTP/2 connection.
type peers struct {
	*wire.Wire
	sides [2]*peer
	send  func(side int, text string) // how the bytes of a frame become packets
}

type peer struct {
	out     bytes.Buffer
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func newPeers(w *wire.Wire) *peers {
	p := &peers{Wire: w}
	p.send = func(side int, text string) { w.Send(side, text) }
	for i := range p.sides {
		s := new(peer)
		s.framer = http2.NewFramer(&s.out, nil)
		s.framer.AllowIllegalWrites = true
		s.encoder = hpack.NewEncoder(&s.block)
		p.sides[i] = s
	}
	return p
}

// greet begins the connection.
func (p *peers) greet() *peers {
	p.Dial()
	p.send(wire.Client, http2.ClientPreface)
	return p.settings(wire.Client).settings(wire.Server).frame(wire.Client, func(f *http2.Framer) error { return f.WriteSettingsAck() })
}

func (p *peers) frame(side int, write func(f *http2.Framer) error) *peers {
	s := p.sides[side]
	if err := write(s.framer); err != nil {
		panic(err)
	}
	p.send(side, s.out.String())
	s.out.Reset()
	return p
}

func (p *peers) settings(side int, settings ...http2.Setting) *peers {
	return p.frame(side, func(f *http2.Framer) error { return f.WriteSettings(settings...) })
}

func (p *peers) encode(side int, fields []string) []byte {
	s := p.sides[side]
	s.block.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(strings.TrimPrefix(f, ":"), ":")
		if strings.HasPrefix(f, ":") {
			name = ":" + name
		}
		s.encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return bytes.Clone(s.block.Bytes())
}

// head sends fields, each one as "name:value".
func (p *peers) head(side int, stream uint32, end bool, fields ...string) *peers {
	return p.frame(side, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.encode(side, fields), EndStream: end, EndHeaders: true})
	})
}

func (p *peers) data(side int, stream uint32, end bool, data string) *peers {
	return p.frame(side, func(f *http2.Framer) error { return f.WriteData(stream, end, []byte(data)) })
}

func (p *peers) get(stream uint32, path string) *peers {
	return p.head(wire.Client, stream, true, ":method:GET", ":scheme:http", ":authority:a", ":path:"+path)
}

func (p *peers) post(stream uint32, path string) *peers {
	return p.head(wire.Client, stream, false, ":method:POST", ":scheme:http", ":authority:a", ":path:"+path)
}

func (p *peers) ok(stream uint32, body string) *peers {
	return p.head(wire.Server, stream, false, ":status:200").data(wire.Server, stream, true, body)
}

func (p *peers) reset(side int, stream uint32) *peers {
	return p.frame(side, func(f *http2.Framer) error { return f.WriteRSTStream(stream, http2.ErrCodeCancel) })
}

func h2() *peers { return newPeers(wire.New()).greet() }

func TestHTTP2(t *testing.T) {
	const c, s = wire.Client, wire.Server
	for _, tt := range []struct {
		name  string
		peers *peers
		want  string
		says  source.Counts // but Records, Read and Paired
	}{
		{"one", h2().get(1, "/a").ok(1, "A"), "GET /a 200 <A>", source.Counts{}},
		{"interleaved", h2().get(1, "/a").post(3, "/b").get(5, "/c").head(s, 5, false, ":status:200").data(c, 3, false, "b").head(s, 1, false, ":status:201").
			data(s, 5, false, "C").data(s, 1, true, "A").data(c, 3, true, "B").data(s, 5, true, "c").ok(3, "B"),
			"GET /a 201 <A>|POST /b <bB> 200 <B>|GET /c 200 <Cc>", source.Counts{}},
		{"the response first", h2().post(1, "/a").ok(1, "A").data(c, 1, true, "a"), "POST /a <a> 200 <A>", source.Counts{}},
		{"the response instead of the request's end", h2().post(1, "/a").ok(1, "A").reset(s, 1), "", source.Counts{Truncated: 1, TruncatedRequests: 1, OrphanResponses: 1}},
		{"interim", h2().post(1, "/a").head(s, 1, false, ":status:100").data(c, 1, true, "a").head(s, 1, false, ":status:103", "link:x").ok(1, "A"), "POST /a <a> 200 <A>", source.Counts{}},
		{"no body", h2().head(c, 1, true, ":method:HEAD", ":path:/a").head(s, 1, true, ":status:200", "content-length:7"), "HEAD /a 200", source.Counts{}},
		{"reset by the client", h2().get(1, "/a").head(s, 1, false, ":status:200").data(s, 1, false, "A").reset(c, 1).data(s, 1, true, "B").get(3, "/b").ok(3, "B"),
			"GET /a 200 <A> truncated|GET /b 200 <B>", source.Counts{Truncated: 1}},
		{"reset before an answer", h2().get(1, "/a").reset(c, 1).ok(1, "A"), "GET /a none", source.Counts{OrphanResponses: 1}},
		{"reset before the request's end", h2().post(1, "/a").reset(c, 1), "", source.Counts{Truncated: 1, TruncatedRequests: 1}},
		{"the end of the capture", h2().get(1, "/a").post(3, "/b").get(5, "/c").head(s, 5, false, ":status:200").data(s, 5, false, "C"),
			"GET /a none|GET /c 200 <C> truncated", source.Counts{Truncated: 2, TruncatedRequests: 1}},
		{"go away", h2().get(1, "/a").get(3, "/b").frame(s, func(f *http2.Framer) error { return f.WriteGoAway(1, 0, []byte("bye")) }).ok(1, "A").get(5, "/c"),
			"GET /a 200 <A>|GET /b none|GET /c none", source.Counts{}},
		{"pushed", h2().get(1, "/a").push(1, 2).ok(2, "P").ok(1, "A").get(3, "/b").ok(3, "B"), "GET /a 200 <A>|GET /b 200 <B>", source.Counts{}},
		{"padded, with priority", h2().frame(c, func(f *http2.Framer) error { return f.WriteRawFrame(http2.FramePriority, 0, 9, make([]byte, 5)) }).padded(1, "/a").ok(1, "A"),
			"POST /a <aa> 200 <A>", source.Counts{}},
		{"in several frames", h2().continued(1, "/a").ok(1, "A"), "GET /a 200 <A>", source.Counts{}},
		{"a frame of no known kind", h2().frame(c, func(f *http2.Framer) error { return f.WriteRawFrame(77, 0xff, 1, []byte("xxx")) }).get(1, "/a").ok(1, "A"), "GET /a 200 <A>", source.Counts{}},
		{"a larger table", func() *peers {
			p := newPeers(wire.New())
			p.Dial().Send(c, http2.ClientPreface)
			p.settings(c).settings(s, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 16})
			p.sides[c].encoder.SetMaxDynamicTableSizeLimit(1 << 16)
			p.sides[c].encoder.SetMaxDynamicTableSize(1 << 16)
			var fields []string
			for i := range 100 {
				fields = append(fields, fmt.Sprintf("x-%d:%s", i, strings.Repeat("v", 200)))
			}
			fields = append([]string{":method:GET", ":path:/a"}, fields...)
			return p.head(c, 1, true, fields...).head(c, 3, true, fields...).ok(1, "A").ok(3, "B")
		}(), "GET /a 200 <A>|GET /a 200 <B>", source.Counts{}},

		{"CONNECT", h2().head(c, 1, false, ":method:CONNECT", ":authority:a:1").head(s, 1, false, ":status:200").data(c, 1, false, "x").data(s, 1, false, "y").get(3, "/b").ok(3, "B"),
			"CONNECT a:1 200|GET /b 200 <B>", source.Counts{}},
		{"a field that would be two", h2().head(c, 1, true, ":method:GET", ":path:/a", "x:1\r\ny: 2").ok(1, "A").get(3, "/b").ok(3, "B"), "GET /b 200 <B>", source.Counts{Malformed: 1, OrphanResponses: 1}},
		{"a path that would be more", h2().head(c, 1, true, ":method:GET", ":path:/a b"), "", source.Counts{Malformed: 1}},
		{"a field of the connection", h2().head(c, 1, true, ":method:GET", ":path:/a", "transfer-encoding:chunked"), "", source.Counts{Malformed: 1}},
		{"no method", h2().head(c, 1, true, ":path:/a"), "", source.Counts{Malformed: 1}},
		{"a field twice", h2().head(c, 1, true, ":method:GET", ":path:/a", ":path:/b"), "", source.Counts{Malformed: 1}},
		{"a malformed response", h2().get(1, "/a").head(s, 1, true, ":status:2x0").get(3, "/b").ok(3, "B"), "GET /a none|GET /b 200 <B>", source.Counts{Malformed: 1}},
		{"fields without end", func() *peers {
			p := h2().head(c, 1, true, append([]string{":method:GET", ":path:/a"}, repeat("x:"+strings.Repeat("v", 2000), 300)...)...)
			return p.get(3, "/b").ok(3, "B")
		}(), "GET /b 200 <B>", source.Counts{Malformed: 1}},

		{"a gap", func() *peers {
			p := h2().get(1, "/a").get(3, "/b").ok(1, "A")
			p.head(s, 3, false, ":status:200").Lose(s, 20).Wait(2 * time.Second)
			return p.get(5, "/c").ok(5, "C")
		}(), "GET /a 200 <A>|GET /b 200 <> truncated|GET /c none", source.Counts{Gaps: 1, Truncated: 1}},
		{"a gap in the requests", func() *peers {
			p := h2().post(1, "/a").get(3, "/b")
			p.Lose(c, 20).Wait(2 * time.Second)
			return p.get(5, "/c").ok(3, "B").ok(5, "C")
		}(), "GET /b none", source.Counts{Gaps: 1, Truncated: 1, TruncatedRequests: 1}},
		{"not compressed as it should be", h2().get(1, "/a").frame(c, func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0xff, 0x01}, EndHeaders: true})
		}).ok(1, "A"), "GET /a none", source.Counts{}},
		{"another frame inside a block", h2().frame(c, func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		}).data(c, 1, true, "x").get(3, "/b"), "", source.Counts{}},
		{"joined later", func() *peers {
			p := h2()
			n := len(p.Frames)
			p.get(1, "/a").ok(1, "A")
			p.Frames = p.Frames[n:]
			return p
		}(), "", source.Counts{NotHTTP: 1}},
		{"the server speaks first", func() *peers {
			p := newPeers(wire.New())
			p.Dial()
			p.settings(s).Send(c, http2.ClientPreface)
			return p.settings(c).get(1, "/a").ok(1, "A")
		}(), "GET /a 200 <A>", source.Counts{}},
		{"the server speaks first, the client another language", func() *peers {
			p := newPeers(wire.New())
			p.Dial()
			p.settings(s).Send(c, wire.Get("/a"))
			return p
		}(), "", source.Counts{NotHTTP: 1}},
		{"no settings", func() *peers {
			p := newPeers(wire.New())
			p.Dial().Send(c, http2.ClientPreface)
			return p.get(1, "/a").ok(1, "A")
		}(), "", source.Counts{}},

		{"upgraded", upgraded(false), "GET /up 200 <U>|GET /b 200 <B>", source.Counts{}},
		{"upgraded, out of order", upgraded(true), "GET /up 200 <U>|GET /b 200 <B>", source.Counts{}},
		{"no upgrade", func() *peers {
			p := newPeers(wire.New())
			p.Dial().Send(c, "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n").Send(s, wire.OK("A"))
			p.Send(c, wire.Get("/b")).Send(s, wire.OK("B"))
			return p
		}(), "GET /up 200 <A>|GET /b 200 <B>", source.Counts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, ports := range [][]int{nil, {80}} {
				in := open(Config{Ports: ports}, tt.peers.Frames)
				var got []string
				for _, x := range drain(t, in) {
					got = append(got, show(x))
				}
				if tt.name == "joined later" && ports != nil {
					continue // what is not HTTP says so when it ends
				}
				if s := strings.Join(got, "|"); s != tt.want {
					t.Errorf("got  %s\nwant %s", s, tt.want)
				}
				c := in.Counts()
				c.Records, c.Read, c.Paired = 0, 0, 0
				if c != tt.says {
					t.Errorf("counts %+v\nwant   %+v", c, tt.says)
				}
			}
		})
	}
}

func repeat(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

// push promises a stream. The fields of the promise change the table.
func (p *peers) push(stream, promised uint32) *peers {
	return p.frame(wire.Server, func(f *http2.Framer) error {
		return f.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: promised, PadLength: 3, EndHeaders: true,
			BlockFragment: p.encode(wire.Server, []string{":method:GET", ":path:/pushed", "x-new:1"})})
	})
}

func (p *peers) padded(stream uint32, path string) *peers {
	p.frame(wire.Client, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.encode(wire.Client, []string{":method:POST", ":path:" + path}),
			EndHeaders: true, PadLength: 200, Priority: http2.PriorityParam{StreamDep: 7, Weight: 3}})
	})
	return p.frame(wire.Client, func(f *http2.Framer) error { return f.WriteDataPadded(stream, true, []byte("aa"), make([]byte, 99)) })
}

func (p *peers) continued(stream uint32, path string) *peers {
	b := p.encode(wire.Client, []string{":method:GET", ":path:" + path, "x-long:" + strings.Repeat("v", 500)})
	p.frame(wire.Client, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b[:5], EndStream: true})
	})
	p.frame(wire.Client, func(f *http2.Framer) error { return f.WriteContinuation(stream, false, b[5:50]) })
	return p.frame(wire.Client, func(f *http2.Framer) error { return f.WriteContinuation(stream, true, b[50:]) })
}

func upgraded(swap bool) *peers {
	p := newPeers(wire.New())
	p.Dial().Send(wire.Client, "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAQAAAAQAAP__\r\n\r\n")
	p.Send(wire.Server, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	p.Send(wire.Client, http2.ClientPreface)
	if swap {
		p.Swap(1)
	}
	return p.settings(wire.Client).settings(wire.Server).ok(1, "U").get(3, "/b").ok(3, "B")
}

func TestHTTP2Fields(t *testing.T) {
	p := newPeers(wire.New()).greet()
	p.head(wire.Client, 1, false, ":method:POST", ":scheme:http", ":authority:shop.example", ":path:/a?b=c", "cookie:a=1", "x-one:1", "cookie:b=2", "te:trailers")
	p.data(wire.Client, 1, false, "body").head(wire.Client, 1, true, "x-sum:7")
	p.Wait(20 * time.Millisecond)
	p.head(wire.Server, 1, false, ":status:404", "content-type:text/plain", "x-two:2").data(wire.Server, 1, false, "no")
	p.Wait(10*time.Millisecond).Send(wire.Server, "") // nothing
	p.head(wire.Server, 1, true, "grpc-status:5")
	xs := drain(t, open(Config{}, p.Frames))
	if len(xs) != 1 {
		t.Fatalf("%d exchanges", len(xs))
	}
	x := xs[0]
	header := traffic.Header{{Name: "host", Value: "shop.example"}, {Name: "cookie", Value: "a=1; b=2"}, {Name: "x-one", Value: "1"}, {Name: "te", Value: "trailers"}}
	if fmt.Sprint(x.Request.Header) != fmt.Sprint(header) || fmt.Sprint(x.Request.Trailer) != "[{x-sum 7}]" || x.Request.Proto != "HTTP/2.0" || x.Request.Target != "/a?b=c" {
		t.Errorf("request %+v", x.Request)
	}
	if fmt.Sprint(x.Response.Header) != "[{content-type text/plain} {x-two 2}]" || fmt.Sprint(x.Response.Trailer) != "[{grpc-status 5}]" || x.Response.Proto != "HTTP/2.0" {
		t.Errorf("response %+v", x.Response)
	}
	want := traffic.Timing{Kind: traffic.TimingWire, TTFB: 21 * time.Millisecond, Total: 34 * time.Millisecond}
	if x.Timing != want || x.ID != "1.1" || x.Session != "1" || x.At.UnixNano() != wire.Epoch+8e6 {
		t.Errorf("id %s, session %s, at %d, %+v", x.ID, x.Session, x.At.UnixNano()-wire.Epoch, x.Timing)
	}
}

// What a server has said that it will not answer is not waited for.
func TestHTTP2GoAway(t *testing.T) {
	p := h2().get(1, "/a").get(3, "/b").frame(wire.Server, func(f *http2.Framer) error { return f.WriteGoAway(1, 0, nil) }).ok(1, "A")
	in := open(Config{}, p.Frames)
	for _, f := range in.frames {
		in.Packet(in.packet(f))
	}
	if a, b := in.Next(), in.Next(); a == nil || b == nil || show(b) != "GET /b none" {
		t.Errorf("got %v and %v", a, b)
	}
}

func TestHTTP2BodiesAreBounded(t *testing.T) {
	p := h2().get(1, "/a").head(wire.Server, 1, false, ":status:200")
	for range 9 * 32 {
		p.data(wire.Server, 1, false, strings.Repeat("b", 32<<10))
	}
	p.data(wire.Server, 1, true, "end")
	xs := drain(t, open(Config{}, p.Frames))
	if b := xs[0].Response.Body; b.State != traffic.Oversized || b.Size != 9<<20+3 || len(b.Bytes) != 8<<20 {
		t.Errorf("%v, %d of %d bytes", b.State, len(b.Bytes), b.Size)
	}
}

func TestHTTP2StreamsAreBounded(t *testing.T) {
	p := h2()
	for i := range 100 {
		p.get(uint32(2*i+1), fmt.Sprint("/", i))
	}
	for i := range 100 {
		p.ok(uint32(2*i+1), "A")
	}
	in := open(Config{Limits: Limits{Streams: 10}}, p.Frames)
	xs := drain(t, in)
	if c := in.Counts(); len(xs) != 100 || c.Paired != 10 || c.OrphanResponses != 90 || in.log.streams != 90 {
		t.Errorf("%d exchanges, %+v", len(xs), c)
	}
	// A server that answers what was never asked cannot fill the memory either.
	p = h2()
	for i := range 500 {
		p.head(wire.Server, uint32(2001-2*i), false, ":status:200")
	}
	in = open(Config{Limits: Limits{Streams: 10}}, p.Frames)
	drain(t, in)
	if c := in.Counts(); c.OrphanResponses != 500 {
		t.Errorf("%+v", c)
	}
}

// conversation is some exchanges of HTTP/2, in an order that depends on the
// seed, whose responses say which request they belong to.
func conversation(rnd *rand.Rand, w *wire.Wire) {
	p := newPeers(w)
	p.send = func(side int, text string) { w.Send(side, pieces(rnd, text)...).Flags(1-side, 16) }
	p.greet()
	for i := range uint32(12) {
		id := 2*i + 1
		path := fmt.Sprint("/", w.Port, "-", id, "x")
		if rnd.IntN(2) == 0 {
			p.get(id, path)
		} else {
			p.post(id, path).data(wire.Client, id, true, strings.Repeat("q", rnd.IntN(300)))
		}
		if rnd.IntN(2) == 0 && i > 0 {
			p.ok(id-2, fmt.Sprint(w.Port, "-", id-2, "x", strings.Repeat("b", rnd.IntN(300))))
			p.ok(id, fmt.Sprint(w.Port, "-", id, "x"))
		}
	}
}

// Whatever is lost, repeated or mixed up, a request of HTTP/2 never gets the
// response of another one, and everything is accounted for.
func TestHTTP2LossNeverMixesUp(t *testing.T) {
	var broken, paired int64
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		w := wire.New()
		for range 3 {
			conversation(rnd, w)
		}
		frames := w.Frames
		if rnd.IntN(2) == 0 {
			frames = harm(rnd, frames)
		}
		in := open(Config{}, frames)
		for _, x := range drain(t, in) {
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
		broken += in.log.broken
	}
	if broken < 50 || paired < 1000 {
		t.Errorf("only %d broken connections and %d pairs: the test says little", broken, paired)
	}
}

// FuzzHTTP2 reads what it is given as the two directions of a connection.
func FuzzHTTP2(f *testing.F) {
	for _, p := range []*peers{h2().get(1, "/a").ok(1, "A"), h2().padded(1, "/a").ok(1, "A"), h2().continued(1, "/a").push(1, 2).ok(1, "A").reset(wire.Server, 3)} {
		var sides [2]bytes.Buffer
		for _, fr := range p.Frames {
			if b := fr.Data[14+20:]; len(b) > 20 {
				side := wire.Client
				if b[1] == 80 {
					side = wire.Server
				}
				sides[side].Write(b[20:])
			}
		}
		f.Add(bytes.TrimPrefix(sides[wire.Client].Bytes(), []byte(http2.ClientPreface)), sides[wire.Server].Bytes(), uint64(1))
	}
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		w := wire.New().Dial().Send(wire.Client, http2.ClientPreface)
		client, server := pieces(rnd, string(fromClient)), pieces(rnd, string(fromServer))
		for len(client)+len(server) > 0 {
			if len(server) == 0 || len(client) > 0 && rnd.IntN(2) == 0 {
				w.Send(wire.Client, client[0])
				client = client[1:]
			} else {
				w.Send(wire.Server, server[0])
				server = server[1:]
			}
		}
		drain(t, open(Config{Limits: Limits{Streams: 4}}, w.Frames))
	})
}
