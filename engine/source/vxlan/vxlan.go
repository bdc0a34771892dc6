// Package vxlan receives mirrored packets from the network: copies of whole
// Ethernet frames, each in a UDP datagram with a VXLAN header before it. That is
// what AWS VPC Traffic Mirroring sends, Azure's virtual network TAP, and most
// switches. Package packet makes exchanges of the packets, and says how they are
// accounted for.
//
// The header has eight bytes (RFC 7348 section 5): flags, of which 0x08 says that
// there is a VNI; three bytes that are reserved; the VNI, in three bytes; and one
// that is reserved. It is all that is relied on. Frames may come out of order and
// be cut, their checksums may be wrong, and nothing says when they were captured:
// the time at which a datagram is read stands for that, so that latencies are
// those of the network path with the mirror in it.
//
// In AWS, make the network interface of this machine the target of a mirror
// session (UDP port 4789 open in its security group) whose filter accepts the
// port of the service in both directions:
//
//	aws ec2 create-traffic-mirror-session \
//	  --network-interface-id eni-SOURCE --traffic-mirror-target-id tmt-THIS \
//	  --traffic-mirror-filter-id tmf-HTTP --session-number 1 --virtual-network-id 123
//
// Leave the packet length out, so that packets are mirrored whole, and see to it
// that the MTU of the target is larger than that of the source, by 54 bytes with
// IPv4 and 74 with IPv6: https://docs.aws.amazon.com/vpc/latest/mirroring/.
//
// Losses are counted: datagrams that the system had no room for are in
// LostPackets; those of another VNI, and those that are no VXLAN, are in the
// warnings. What the network loses on the way shows only as gaps in connections.
// What is not there: TLS, which is to be mirrored behind the point where it ends.
package vxlan

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
)

// DefaultListen is where datagrams are expected when nothing else is said: at
// the port that IANA assigned.
const DefaultListen = ":4789"

// Config says what to receive.
type Config struct {
	Name   string // of the source block; every exchange carries it
	Listen string // UDP address; default DefaultListen
	VNIs   []int  // VXLAN network identifiers that are read; none: all
	Ports  []int  // TCP ports of the servers; none: whatever begins like HTTP

	Limits packet.Limits
}

const (
	// receiveBuffer is what the system is asked to hold while datagrams are not
	// read, in bytes.
	receiveBuffer = 16 << 20

	headerSize  = 8
	maxDatagram = 64 << 10
	waitTime    = 100 * time.Millisecond
)

// Source is a source of exchanges that a mirror sends.
type Source struct {
	*packet.Live
	socket *socket
}

var _ source.Live = (*Source)(nil)

// Open begins to receive.
func Open(cfg Config) (*Source, error) {
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	address, err := net.ResolveUDPAddr("udp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for VXLAN on %s: %w", cfg.Listen, err)
	}
	conn, err := net.ListenUDP("udp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen for VXLAN on %s: the port is in use, by another program or a vxlan device of this machine; stop that, or choose another port: %w", cfg.Listen, err)
	case err != nil:
		return nil, fmt.Errorf("listen for VXLAN on %s; choose an address of this machine: %w", cfg.Listen, err)
	}
	s := &socket{conn: conn, vnis: cfg.VNIs, buffer: make([]byte, maxDatagram)}
	s.granted = enlarge(conn, receiveBuffer)
	live := packet.Listen(packet.Config{Name: cfg.Name, Ports: cfg.Ports, Limits: cfg.Limits}, s)
	return &Source{live, s}, nil
}

// Listening says where datagrams are expected: "udp 0.0.0.0:4789".
func (s *Source) Listening() string { return "udp " + s.socket.conn.LocalAddr().String() }

// Warnings returns what was found wrong so far.
func (s *Source) Warnings() []source.Warning {
	var more source.Journal
	if g := s.socket.granted; g > 0 && g < receiveBuffer {
		more.Warn("", -1, fmt.Sprintf("the system gives %d bytes of the %d wanted to hold packets until they are read: sudo sysctl net.core.rmem_max=%d", g, receiveBuffer, receiveBuffer))
	}
	if n := s.socket.foreign.Load(); n > 0 {
		more.Warn("", -1, result.Plural(n, "packet")+" of other VNIs left out")
	}
	if n := s.socket.malformed.Load(); n > 0 {
		more.Warn("", -1, result.Plural(n, "datagram")+" without a VXLAN header left out")
	}
	return append(s.Live.Warnings(), more.Warnings()...)
}

// socket is a packet.Origin.
type socket struct {
	conn    *net.UDPConn
	vnis    []int
	buffer  []byte
	granted int // bytes that the system holds; 0: not known

	foreign, malformed, lost atomic.Int64
}

var _ packet.Origin = (*socket)(nil)

// Read hands over the frames of the datagrams that are there.
func (s *socket) Read(take func(*packet.Packet)) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(waitTime)); err != nil {
		return err
	}
	defer s.count()
	for range 256 { // then whoever calls looks at the clock
		n, _, err := s.conn.ReadFromUDPAddrPort(s.buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("receive VXLAN: %w", err)
		}
		frame, vni, ok := decode(s.buffer[:n])
		switch {
		case !ok:
			s.malformed.Add(1)
		case len(s.vnis) > 0 && !slices.Contains(s.vnis, vni):
			s.foreign.Add(1)
		default:
			take(&packet.Packet{At: time.Now().UnixNano(), Link: layers.LinkTypeEthernet, Data: frame, Network: uint32(vni)})
		}
	}
	return nil
}

// decode takes the header off a datagram.
func decode(b []byte) (frame []byte, vni int, ok bool) {
	const hasVNI = 0x08
	if len(b) < headerSize || b[0]&hasVNI == 0 {
		return nil, 0, false
	}
	return b[headerSize:], int(b[4])<<16 | int(b[5])<<8 | int(b[6]), true
}

// count asks how many datagrams the system has dropped.
func (s *socket) count() {
	if n, ok := drops(s.conn); ok {
		s.lost.Store(n)
	}
}

// Lost is how many datagrams the system has dropped.
func (s *socket) Lost() int64 { return s.lost.Load() }

// Close closes the socket.
func (s *socket) Close() error { return s.conn.Close() }
