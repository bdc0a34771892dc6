package nic

import "golang.org/x/net/bpf"

// snapLen is how much of a packet is captured, in bytes.
const snapLen = 256 << 10

var (
	accept = bpf.RetConstant{Val: snapLen}
	drop   = bpf.RetConstant{Val: 0}
)

// filter lets TCP segments to and from the ports through, of packets that begin
// with their IP header. What needs more than a look at fixed places, fragments
// and extension headers of IPv6, goes through as well: the reader sorts it out.
func filter(ports []int) []bpf.Instruction {
	const tcp = 6
	v6 := []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x60, SkipTrue: 1},
		drop,
		bpf.LoadAbsolute{Off: 6, Size: 1}, // next header
	}
	for _, header := range []uint32{0, 43, 44, 60, 135} { // options, routing, fragment, mobility
		v6 = append(v6, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: header, SkipTrue: 1}, accept)
	}
	v6 = append(v6, bpf.JumpIf{Cond: bpf.JumpEqual, Val: tcp, SkipTrue: 1}, drop)
	v6 = append(v6, bpf.LoadConstant{Dst: bpf.RegX, Val: 40})
	v6 = append(v6, toPorts(ports)...)
	v4 := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1}, // protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: tcp, SkipTrue: 1},
		drop,
		bpf.LoadAbsolute{Off: 6, Size: 2}, // of a fragment but the first one, the offset is not 0
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x1fff, SkipTrue: 1},
		accept,
		bpf.LoadMemShift{Off: 0}, // length of the header
	}
	v4 = append(v4, toPorts(ports)...)
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1}, // version
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x40, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(v6))},
	}
	return append(append(program, v6...), v4...)
}

// toPorts looks at the ports of the TCP header that begins at X.
func toPorts(ports []int) []bpf.Instruction {
	if len(ports) == 0 {
		return []bpf.Instruction{accept}
	}
	var program []bpf.Instruction
	for _, offset := range []uint32{0, 2} { // from, to
		program = append(program, bpf.LoadIndirect{Off: offset, Size: 2})
		for _, p := range ports {
			program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(p), SkipTrue: 1}, accept)
		}
	}
	return append(program, drop)
}

// onceOn leaves out what the device with the index sends: a loopback device
// receives the same packets.
func onceOn(loopback int) []bpf.Instruction {
	const outgoing = 4 // of linux/if_packet.h
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(loopback), SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: outgoing, SkipTrue: 1},
		drop,
	}
}
