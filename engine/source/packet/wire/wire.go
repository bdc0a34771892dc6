// Package wire builds packets of TCP connections, for tests of what reads them.
package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Frame is a packet of a capture under construction.
type Frame struct {
	At   int64  // nanoseconds since 1970
	Data []byte // as far as it is captured
	Size int    // on the wire; 0: all of Data
}

// Wire builds a capture of one connection after the other, between two hosts,
// on Ethernet. Each packet comes a millisecond after the last one.
type Wire struct {
	Frames []Frame
	Now    int64     // time of the last packet, in nanoseconds since 1970
	Port   uint16    // of the client; the server has port 80
	Seq    [2]uint32 // the next sequence numbers of client and server
	VLAN   bool      // with two tags
	V6     bool      // IPv6 with options
}

// The sides of a connection.
const (
	Client = 0
	Server = 1
)

// Epoch is when captures begin, in nanoseconds since 1970.
const Epoch = 1_700_000_000 * int64(1e9)

// New returns an empty capture.
func New() *Wire { return &Wire{Now: Epoch, Port: 40000} }

// Dial begins a connection, with the initial sequence numbers of client and
// server where they are given.
func (w *Wire) Dial(isn ...uint32) *Wire {
	w.Port++
	w.Seq = [2]uint32{1000, 5000}
	if len(isn) == 2 {
		w.Seq = [2]uint32(isn)
	}
	w.Flags(Client, 2)
	w.Seq[Client]++
	w.Flags(Server, 2|16)
	w.Seq[Server]++
	return w.Flags(Client, 16)
}

// Flags sends a packet without data: FIN 1, SYN 2, RST 4, ACK 16.
func (w *Wire) Flags(side int, flags byte) *Wire {
	w.add(side, flags, w.Seq[side], "")
	return w
}

// Send sends each text in a packet of its own.
func (w *Wire) Send(side int, texts ...string) *Wire {
	for _, s := range texts {
		w.add(side, 16|8, w.Seq[side], s)
		w.Seq[side] += uint32(len(s))
	}
	return w
}

// Lose sends a packet that is not captured, and the acknowledgement that shows it.
func (w *Wire) Lose(side int, n int) *Wire {
	w.Seq[side] += uint32(n)
	return w.Flags(1-side, 16)
}

// Fin closes one side.
func (w *Wire) Fin(side int) *Wire {
	w.Flags(side, 1|16)
	w.Seq[side]++
	return w.Flags(1-side, 16)
}

// HangUp closes both sides.
func (w *Wire) HangUp() *Wire { return w.Fin(Client).Fin(Server) }

// Wait lets time pass.
func (w *Wire) Wait(d time.Duration) *Wire { w.Now += int64(d); return w }

// Swap exchanges the last packet but n with the last one.
func (w *Wire) Swap(n int) *Wire {
	f := w.Frames
	i, j := len(f)-1-n, len(f)-1
	f[i].Data, f[j].Data = f[j].Data, f[i].Data
	return w
}

// Rewind makes a side send its last n bytes again.
func (w *Wire) Rewind(side, n int) *Wire { w.Seq[side] -= uint32(n); return w }

// Again makes the next connection use the ports of the last one.
func (w *Wire) Again() *Wire { w.Port--; return w }

// Cut leaves n bytes of TCP data of the last packet in the capture.
func (w *Wire) Cut(n int) *Wire {
	f := &w.Frames[len(w.Frames)-1]
	f.Size = len(f.Data)
	f.Data = f.Data[:14+20+20+n]
	return w
}

func (w *Wire) add(side int, flags byte, seq uint32, data string) {
	w.Now += 1e6
	ports := [2]uint16{w.Port, 80}
	w.Frames = append(w.Frames, Frame{At: w.Now, Data: w.ether(side, tcpBytes(ports[side], ports[1-side], seq, w.Seq[1-side], flags, data))})
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

func (w *Wire) ether(side int, tcp []byte) []byte {
	b := make([]byte, 12)
	if w.VLAN {
		b = append(b, 0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2)
	}
	if w.V6 {
		b = append(b, 0x86, 0xdd)
		return append(b, ipv6Bytes(side, tcp)...)
	}
	b = append(b, 0x08, 0x00)
	return append(b, IPv4(side, 0, 0, tcp)...)
}

// IPv4 gives a packet with a payload of TCP. fragment is the field of flags and
// offset.
func IPv4(side int, id, fragment uint16, payload []byte) []byte {
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

// File gives the capture in the classic format.
func (w *Wire) File() []byte { return Classic(w.Frames, 1) }

// Classic gives a capture in the classic pcap format, with nanoseconds.
func Classic(frames []Frame, link uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, 1500) // smaller than some packets, as some writers have it
	b = binary.LittleEndian.AppendUint32(b, link)
	for _, f := range frames {
		b = binary.LittleEndian.AppendUint32(b, uint32(f.At/1e9))
		b = binary.LittleEndian.AppendUint32(b, uint32(f.At%1e9))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Data)))
		b = binary.LittleEndian.AppendUint32(b, uint32(max(f.Size, len(f.Data))))
		b = append(b, f.Data...)
	}
	return b
}

// Get is a request.
func Get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// OK is a response.
func OK(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
