package packet

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// maxTable is the largest table of header compression that is kept for a
// direction, in bytes: what browsers ask for.
const maxTable = 64 << 10

// multiplex is an HTTP/2 connection: RFC 9113.
type multiplex struct {
	conn    *conn
	client  direction
	server  direction
	streams map[uint32]*stream // open
	newest  uint32             // the highest that the client has opened
	answers uint32             // the highest that the server will answer
}

// direction is what has to be known of one side of a connection to read its
// next frame.
type direction struct {
	half   *half
	begun  bool // the first frame was read
	table  *hpack.Decoder
	limit  uint32 // of the table, as the other side allows
	filled int    // of the table at most, in bytes; accounted for

	block  block
	fields []hpack.HeaderField // of the block that was decoded last
	size   int                 // of the fields, in bytes
}

// block is a field block, which may come in several frames.
type block struct {
	open     bool
	stream   uint32
	ends     bool // the stream, or its side of it
	promised bool // by a push: to be decoded, since it changes the table, and forgotten
	data     []byte
	at       int64
	offset   int64
}

var (
	errFrame   = errors.New("a frame that is not HTTP/2")
	errPreface = errors.New("not the beginning of an HTTP/2 connection")
)

func newMultiplex(c *conn) *multiplex {
	m := &multiplex{conn: c, streams: make(map[uint32]*stream), answers: 1<<31 - 1}
	for d, h := range map[*direction]*half{&m.client: c.client, &m.server: c.server} {
		d.half, d.limit = h, 4096 // RFC 9113 section 6.5.2
		d.table = hpack.NewDecoder(d.limit, nil)
		d.table.SetMaxStringLength(http1.DefaultLimits.Head)
		d.table.SetEmitFunc(d.emit)
	}
	return m
}

// speakFrames says that the connection has frames of HTTP/2, and who is who.
func (c *conn) speakFrames(firstIsClient bool) {
	if c.client == nil {
		client := 1
		if firstIsClient {
			client = 0
		}
		c.roles(client)
	}
	if c.h2 == nil {
		c.h2 = newMultiplex(c)
	}
	c.client.frames, c.server.frames = true, true
}

// multiplexed settles that the connection is HTTP/2 from its first byte on.
func (c *conn) multiplexed(firstIsClient bool) {
	c.become(firstIsClient)
	c.speakFrames(firstIsClient)
}

// upgrade goes on with HTTP/2. What asked for it is the request of the first
// stream: RFC 7540 section 3.2.
func (c *conn) upgrade(q call) {
	c.h2 = newMultiplex(c)
	c.client.frames = true
	s := c.h2.open(1)
	s.asked, s.requested, s.item, s.sent = true, true, q.item, q.end
	s.lost = q.item == nil
	c.h2.newest = 1
	if x := q.item; x != nil && x.exchange != nil {
		r := &x.exchange.Request
		c.h2.upgradeSettings(r.Header.Get("HTTP2-Settings"))
		r.Header = r.Header.Without("Upgrade", "HTTP2-Settings", "Connection") // the offer to this connection, and no part of the request
	}
}

func (m *multiplex) upgradeSettings(text string) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	for ; err == nil && len(b) >= 6; b = b[6:] {
		m.server.setting(binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:]))
	}
}

// upgraded reports whether what h has in hand is the preface of HTTP/2 behind a
// request that asked for it. Packets may be out of order: the server's consent
// may be still to come.
func (c *conn) upgraded(h *half) bool {
	n := len(c.calls)
	if n == 0 || !c.calls[n-1].upgrade {
		return false
	}
	b, _ := h.buf.Peek(len("PRI * HTTP/2.0\r\n"))
	if look(b) != isHTTP2 {
		return false
	}
	q := c.calls[n-1]
	c.calls = c.calls[:n-1]
	c.upgrade(q)
	return true
}

// wantsHTTP2 reports whether a message offers or takes the upgrade to HTTP/2.
func wantsHTTP2(h traffic.Header) bool {
	for item := range strings.SplitSeq(h.Joined("Upgrade"), ",") {
		if strings.EqualFold(strings.TrimSpace(item), "h2c") {
			return true
		}
	}
	return false
}

// beginsSettings reports whether b begins as the first frame of a server does:
// settings, in units of six bytes, that are no acknowledgement.
func beginsSettings(b []byte) bool {
	want := []byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}
	for i, c := range b[:min(len(b), len(want))] {
		if i == 2 && c%6 == 0 {
			continue
		}
		if c != want[i] {
			return false
		}
	}
	return len(b) > 0
}

// readFrames reads what there is. It returns at the end of a frame, when no
// byte of another one is at hand.
func (h *half) readFrames() {
	c := h.conn
	h.frames = true
	d := &c.h2.client
	if h == c.server {
		d = &c.h2.server
	}
	for !h.stopped && !c.opaque && (h.buf.Buffered() > 0 || len(h.data) > 0) {
		err := d.frame()
		h.done()
		switch {
		case h.stopped, err == nil:
		case h.over && !errors.As(err, new(gap)) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return // the connection ended
		default:
			c.h2.giveUp(errors.Is(err, errPreface))
			return
		}
	}
}

// giveUp ends the connection, of which not everything can be known any more.
// joined says that its beginning was not captured.
func (m *multiplex) giveUp(joined bool) {
	c := m.conn
	switch {
	case c.opaque:
		return
	case !c.http:
		c.notHTTP(&c.table.log.http2)
	case joined:
		c.table.log.http2++
	default:
		c.table.log.broken++
	}
	c.opaque = true
	m.end()
}

// end accounts for what is left, and lets go of everything.
func (m *multiplex) end() {
	for _, id := range slices.Sorted(maps.Keys(m.streams)) {
		m.finish(m.streams[id])
	}
	for _, d := range []*direction{&m.client, &m.server} {
		m.conn.hold(-d.filled - len(d.block.data))
		d.filled, d.block = 0, block{}
	}
}

// frame reads a frame: RFC 9113 section 4.1.
func (d *direction) frame() error {
	h := d.half
	c := h.conn
	at, offset := h.at, h.offset
	if h == c.client && !d.begun {
		if err := d.preface(); err != nil {
			return err
		}
	}
	f, err := http2.ReadFrameHeader(h.buf)
	if err != nil {
		return err
	}
	n := int(f.Length)
	switch {
	case !d.begun && (f.Type != http2.FrameSettings || f.Flags.Has(http2.FlagSettingsAck)):
		return errPreface // either side begins with settings: RFC 9113 section 3.4
	case d.block.open != (f.Type == http2.FrameContinuation), d.block.open && d.block.stream != f.StreamID:
		return errFrame // nothing comes between the frames of a block: RFC 9113 section 4.3
	}
	d.begun = true
	pad := 0
	if f.Flags.Has(http2.FlagDataPadded) && (f.Type == http2.FrameData || f.Type == http2.FrameHeaders || f.Type == http2.FramePushPromise) {
		b, err := h.buf.ReadByte()
		if err != nil {
			return err
		}
		if pad = int(b); pad+1 > n {
			return errFrame
		}
		n -= 1 + pad
	}
	switch f.Type {
	case http2.FrameData:
		err = d.data(f, n, pad)
	case http2.FrameHeaders:
		skip := 0
		if f.Flags.Has(http2.FlagHeadersPriority) {
			skip = 5
		}
		d.block = block{stream: f.StreamID, ends: f.Flags.Has(http2.FlagHeadersEndStream), at: at, offset: offset}
		err = d.fragment(f, skip, n-skip, pad)
	case http2.FramePushPromise:
		d.block = block{stream: f.StreamID, promised: true}
		err = d.fragment(f, 4, n-4, pad)
	case http2.FrameContinuation:
		err = d.fragment(f, 0, n, 0)
	case http2.FrameRSTStream:
		if err = d.skip(n); err == nil {
			c.h2.reset(f.StreamID)
		}
	case http2.FrameSettings:
		err = d.settings(n)
	case http2.FrameGoAway:
		err = d.goAway(n)
	default:
		err = d.skip(n) // of no matter here, or unknown: RFC 9113 section 5.5
	}
	return err
}

// preface reads what clients begin with: RFC 9113 section 3.4.
func (d *direction) preface() error {
	b := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(d.half.buf, b); err != nil {
		return err
	}
	if string(b) != http2.ClientPreface {
		return errPreface
	}
	if !d.half.conn.http {
		d.half.conn.become(d.half == &d.half.conn.halves[0])
	}
	return nil
}

// each reads n bytes, in pieces as they come, so that nothing has to be believed
// about how many there are.
func (d *direction) each(n int, take func(piece []byte) error) error {
	h := d.half
	for n > 0 {
		if _, err := h.buf.Peek(1); err != nil {
			return err
		}
		b, _ := h.buf.Peek(min(n, h.buf.Buffered()))
		if err := take(b); err != nil {
			return err
		}
		n -= len(b)
		h.buf.Discard(len(b))
		h.done()
	}
	return nil
}

func (d *direction) skip(n int) error { return d.each(n, func([]byte) error { return nil }) }

func (d *direction) data(f http2.FrameHeader, n, pad int) error {
	c := d.half.conn
	s := c.h2.streams[f.StreamID]
	err := d.each(n, func(b []byte) error {
		if s != nil && !s.closed {
			s.data(d.half == c.client, b)
		}
		return nil
	})
	if err == nil {
		err = d.skip(pad)
	}
	if err == nil && s != nil && !s.closed && f.Flags.Has(http2.FlagDataEndStream) {
		c.h2.half(s, d.half == c.client, d.half.at)
	}
	return err
}

// fragment reads a piece of a block, and the block when it is whole.
func (d *direction) fragment(f http2.FrameHeader, skip, n, pad int) error {
	c := d.half.conn
	if n < 0 {
		return errFrame
	}
	d.block.open = true
	if err := d.skip(skip); err != nil {
		return err
	}
	err := d.each(n, func(b []byte) error {
		if len(d.block.data)+len(b) > http1.DefaultLimits.Head {
			return errFrame
		}
		d.block.data = append(d.block.data, b...)
		c.hold(len(b))
		return nil
	})
	if err == nil {
		err = d.skip(pad)
	}
	if err != nil || !f.Flags.Has(http2.FlagHeadersEndHeaders) {
		return err
	}
	if err := d.decode(); err != nil {
		return err
	}
	b := d.block
	c.hold(-len(b.data))
	d.block = block{}
	if b.promised {
		return nil
	}
	return c.h2.head(d, b, d.half.at)
}

// decode undoes the header compression of the block.
func (d *direction) decode() error {
	clear(d.fields)
	d.fields, d.size = d.fields[:0], 0
	_, err := d.table.Write(d.block.data)
	if err == nil {
		err = d.table.Close()
	}
	if n := min(d.filled+d.size, int(d.limit)) - d.filled; n > 0 { // a field that was decoded may be in the table
		d.filled += n
		d.half.conn.hold(n)
	}
	return err
}

func (d *direction) emit(f hpack.HeaderField) {
	d.size += int(f.Size())
	if d.size <= http1.DefaultLimits.Head {
		d.fields = append(d.fields, f)
	}
}

func (d *direction) settings(n int) error {
	if n%6 != 0 {
		return errFrame
	}
	m := d.half.conn.h2
	other := &m.server
	if d == other {
		other = &m.client
	}
	var b [6]byte
	for ; n > 0; n -= len(b) {
		if _, err := io.ReadFull(d.half.buf, b[:]); err != nil {
			return err
		}
		d.half.done()
		other.setting(binary.BigEndian.Uint16(b[:]), binary.BigEndian.Uint32(b[2:]))
	}
	return nil
}

// setting is what the other side allows this one.
func (d *direction) setting(id uint16, value uint32) {
	if http2.SettingID(id) == http2.SettingHeaderTableSize && value > d.limit {
		d.limit = min(value, maxTable)
		d.table.SetAllowedMaxDynamicTableSize(d.limit)
	}
}

// goAway reads which streams a side will not look at: RFC 9113 section 6.8.
func (d *direction) goAway(n int) error {
	if n < 8 {
		return errFrame
	}
	var b [4]byte
	if _, err := io.ReadFull(d.half.buf, b[:]); err != nil {
		return err
	}
	if err := d.skip(n - len(b)); err != nil {
		return err
	}
	m := d.half.conn.h2
	if d == &m.client {
		return nil // it is about what the server pushes
	}
	m.answers = min(m.answers, binary.BigEndian.Uint32(b[:])&(1<<31-1))
	for _, id := range slices.Sorted(maps.Keys(m.streams)) {
		if id > m.answers {
			m.finish(m.streams[id])
		}
	}
	return nil
}
