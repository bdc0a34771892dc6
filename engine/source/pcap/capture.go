package pcap

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
)

// maxPacket is the largest packet that is believed, in bytes. Link layers end at
// 256 KiB; a larger length is a damaged file.
const maxPacket = 1 << 20

// capture is one file. It stands on a packet.
type capture struct {
	name string
	in   io.ReadCloser
	raw  *counted
	buf  *bufio.Reader
	log  *damage

	read   func(*packet.Packet) error // the format's; nil before the file's header was read
	packet packet.Packet              // its data are good until the next one is read
	ended  bool
	warned bool // of a link type that is not known
}

// counted counts what is read and remembers why reading failed, which a format's
// reader may pass on as something else.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func newCapture(name string, in io.ReadCloser, log *damage) *capture {
	raw := &counted{r: in}
	return &capture{name: name, packet: packet.Packet{File: name}, in: in, raw: raw, buf: bufio.NewReaderSize(raw, 64<<10), log: log}
}

// firstTime returns the time of the first packet, or the earliest time there is
// where there is none.
func firstTime(name string) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	c := newCapture(name, in, new(damage))
	defer c.Close()
	if err := c.header(); err != nil {
		return 0, err
	}
	switch err := c.Advance(context.Background()); err {
	case nil:
		return c.packet.At, nil
	case io.EOF:
		return math.MinInt64, nil
	default:
		return 0, err
	}
}

// header reads the beginning of the file, which says what format it has.
func (c *capture) header() error {
	magic, err := c.buf.Peek(4)
	switch {
	case c.raw.err != nil:
		return c.raw.err
	case err != nil:
		return ErrNotCapture
	}
	if binary.LittleEndian.Uint32(magic) == 0x0a0d0d0a {
		return c.openNG()
	}
	return c.openClassic()
}

// The classic format: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/.
// The snapshot length in its header is not believed, since some writers do not
// keep to it.
func (c *capture) openClassic() error {
	head, err := c.buf.Peek(24)
	if len(head) < 4 {
		return ErrNotCapture
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 0xa1 {
		order = binary.BigEndian
	}
	unit := int64(1000)
	switch order.Uint32(head) {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		unit = 1
	default:
		return ErrNotCapture
	}
	if err != nil {
		c.read = func(*packet.Packet) error { return io.ErrUnexpectedEOF }
		return nil
	}
	link := layers.LinkType(order.Uint32(head[20:]) & 0xffff) // the other bits are flags
	if _, err := c.buf.Discard(24); err != nil {
		return err
	}
	var record [16]byte
	var data []byte
	c.read = func(p *packet.Packet) error {
		if _, err := io.ReadFull(c.buf, record[:]); err != nil {
			return err
		}
		size := order.Uint32(record[8:])
		if size > maxPacket {
			return errors.New("a packet has an impossible length")
		}
		if int(size) > cap(data) {
			data = make([]byte, max(int(size), 4096))
		}
		data = data[:size]
		if _, err := io.ReadFull(c.buf, data); err != nil {
			return io.ErrUnexpectedEOF
		}
		p.At = int64(order.Uint32(record[0:]))*1e9 + int64(order.Uint32(record[4:]))*unit
		p.Link, p.Data = link, data
		return nil
	}
	return nil
}

func (c *capture) openNG() error {
	ng, err := pcapgo.NewNgReader(c.buf, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	if err != nil {
		if c.raw.err != nil {
			return c.raw.err
		}
		c.read = func(*packet.Packet) error { return err }
		return nil
	}
	c.read = func(p *packet.Packet) error {
		var ci gopacket.CaptureInfo
		if p.Data, ci, err = ng.ZeroCopyReadPacketData(); err != nil {
			return err
		}
		p.At = ci.Timestamp.UnixNano()
		p.Link = layers.LinkTypeNull
		if len(ci.AncillaryData) > 0 {
			if link, ok := ci.AncillaryData[0].(layers.LinkType); ok {
				p.Link = link
			}
		}
		return nil
	}
	return nil
}

// Advance moves to the next packet.
func (c *capture) Advance(ctx context.Context) error {
	if c.ended {
		return io.EOF
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.read == nil {
		if err := c.header(); err != nil {
			return fmt.Errorf("read %s: %w", c.name, err)
		}
	}
	c.packet.Offset = c.raw.n - int64(c.buf.Buffered())
	err := c.read(&c.packet)
	if err == nil {
		return nil
	}
	if c.raw.err != nil {
		return fmt.Errorf("read %s: %w", c.name, c.raw.err)
	}
	c.ended = true
	cut, ok := c.in.(interface{ Cut() bool })
	switch {
	case ok && cut.Cut():
		c.damaged("compressed data ends early or is damaged; what follows is lost")
	case err == io.EOF:
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.damaged("the capture ends in the middle of a packet")
	default:
		c.damaged("the capture is damaged; what follows is lost")
	}
	return io.EOF
}

func (c *capture) damaged(what string) {
	c.log.cut++
	c.log.Warn(c.name, c.packet.Offset, what)
}

// unknownLink tells, once for a file, that its packets cannot be read.
func (c *capture) unknownLink() {
	if !c.warned {
		c.warned = true
		c.log.Warn(c.name, c.packet.Offset, fmt.Sprintf("packets of link type %d cannot be read and are left out", c.packet.Link))
	}
}

// Time is the time of the packet.
func (c *capture) Time() int64 { return c.packet.At }

// Close closes the file.
func (c *capture) Close() error { return c.in.Close() }
