package packet

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip4defrag"
	"github.com/gopacket/gopacket/layers"
)

// segment is a TCP segment.
type segment struct {
	from, to            netip.AddrPort
	seq, ack            uint32
	syn, fin, rst, acks bool
	data                []byte // as far as it was captured; good until the next packet is read
	size                int    // of the data on the wire, in bytes
}

// verdict is what a packet turned out to be.
type verdict uint8

const (
	notTCP verdict = iota // or too little of it was captured, or a fragment that needs others
	isSegment
	unknownLink
)

// decoder finds TCP segments in packets. It reads only what is needed, and
// checks no checksums: network cards fill them in after a packet was captured.
type decoder struct {
	fragments *ip4defrag.IPv4Defragmenter
	swept     int64 // when old fragments were dropped last
	kept      int   // bytes of fragments since then
}

func newDecoder() *decoder {
	return &decoder{fragments: ip4defrag.NewIPv4Defragmenter()}
}

// fragmentTime is how long fragments wait for their other ones, in nanoseconds.
const fragmentTime = 30e9

// maxFragments is how many bytes of fragments may wait, roughly. With more, all
// of them are dropped.
const maxFragments = 16 << 20

// Numbers that IANA assigned.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	protoTCP  = 6
)

// segment decodes a packet.
func (d *decoder) segment(link layers.LinkType, b []byte, at int64) (segment, verdict) {
	ether := 0
	switch link {
	case layers.LinkTypeEthernet:
		if len(b) < 14 {
			return segment{}, notTCP
		}
		ether, b = int(binary.BigEndian.Uint16(b[12:])), b[14:]
	case layers.LinkTypeLinuxSLL:
		if len(b) < 16 {
			return segment{}, notTCP
		}
		ether, b = int(binary.BigEndian.Uint16(b[14:])), b[16:]
	case layers.LinkTypeLinuxSLL2:
		if len(b) < 20 {
			return segment{}, notTCP
		}
		ether, b = int(binary.BigEndian.Uint16(b)), b[20:]
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		if len(b) < 4 {
			return segment{}, notTCP
		}
		ether, b = byVersion(b[4:]), b[4:] // the numbers of address families differ between systems
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, 12, 14: // two systems' own numbers for raw IP
		ether = byVersion(b)
	default:
		return segment{}, unknownLink
	}
	for (ether == 0x8100 || ether == 0x88a8 || ether == 0x9100) && len(b) >= 4 { // VLAN tags
		ether, b = int(binary.BigEndian.Uint16(b[2:])), b[4:]
	}
	switch ether {
	case etherIPv4:
		return d.ipv4(b, at)
	case etherIPv6:
		return ipv6(b)
	}
	return segment{}, notTCP
}

func byVersion(b []byte) int {
	switch {
	case len(b) > 0 && b[0]>>4 == 4:
		return etherIPv4
	case len(b) > 0 && b[0]>>4 == 6:
		return etherIPv6
	}
	return 0
}

func (d *decoder) ipv4(b []byte, at int64) (segment, verdict) {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != protoTCP {
		return segment{}, notTCP
	}
	head, size := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if size == 0 { // segmentation offload: the card has not cut it yet
		size = len(b)
	}
	if head < 20 || head > len(b) || size < head {
		return segment{}, notTCP
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // more fragments, or not the first one
		return d.fragment(b, at)
	}
	from, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	return tcp(from, to, b[head:min(len(b), size)], size-head)
}

// fragment keeps a fragment until its packet is whole.
func (d *decoder) fragment(b []byte, at int64) (segment, verdict) {
	now := time.Unix(0, at)
	if at-d.swept > fragmentTime || at < d.swept {
		d.fragments.DiscardOlderThan(now.Add(-fragmentTime))
		d.swept, d.kept = at, 0
	}
	if d.kept += len(b) + overhead/8; d.kept > maxFragments {
		d.fragments, d.kept = ip4defrag.NewIPv4Defragmenter(), 0
	}
	part := new(layers.IPv4)
	if err := part.DecodeFromBytes(append([]byte(nil), b...), gopacket.NilDecodeFeedback); err != nil {
		return segment{}, notTCP
	}
	whole, err := d.fragments.DefragIPv4WithTimestamp(part, now)
	if err != nil || whole == nil {
		return segment{}, notTCP
	}
	from, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	return tcp(from, to, whole.Payload, len(whole.Payload))
}

func ipv6(b []byte) (segment, verdict) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return segment{}, notTCP
	}
	from, _ := netip.AddrFromSlice(b[8:24])
	to, _ := netip.AddrFromSlice(b[24:40])
	next, size := b[6], int(binary.BigEndian.Uint16(b[4:]))
	b = b[40:]
	if size == 0 {
		size = len(b)
	}
	b = b[:min(len(b), size)]
	for next == 0 || next == 43 || next == 60 || next == 135 { // options, routing, mobility
		if len(b) < 8 {
			return segment{}, notTCP
		}
		n := (int(b[1]) + 1) * 8
		if n > len(b) {
			return segment{}, notTCP
		}
		next, b, size = b[0], b[n:], size-n
	}
	if next != protoTCP {
		return segment{}, notTCP
	}
	return tcp(from, to, b, size)
}

// tcp decodes a TCP header. size is what the segment has on the wire.
func tcp(from, to netip.Addr, b []byte, size int) (segment, verdict) {
	if len(b) < 20 {
		return segment{}, notTCP
	}
	head := int(b[12]>>4) * 4
	if head < 20 || head > size {
		return segment{}, notTCP
	}
	flags := b[13]
	return segment{
		from: netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)),
		to:   netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:])),
		seq:  binary.BigEndian.Uint32(b[4:]),
		ack:  binary.BigEndian.Uint32(b[8:]),
		fin:  flags&1 != 0,
		syn:  flags&2 != 0,
		rst:  flags&4 != 0,
		acks: flags&16 != 0,
		data: b[min(len(b), head):],
		size: size - head,
	}, isSegment
}
