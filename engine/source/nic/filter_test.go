package nic

import (
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
)

func TestFilter(t *testing.T) {
	packets := func(w *wire.Wire) []byte { // the last of a connection with port 80, from its IP header on
		w.Dial().Send(wire.Server, wire.OK("A"))
		return w.Frames[len(w.Frames)-1].Data[14:]
	}
	v4 := packets(wire.New())
	v6 := slices.Concat(packets(&wire.Wire{V6: true})[:40], v4[20:])
	v6[6] = 6
	with := func(b []byte, at int, value byte) []byte {
		b = slices.Clone(b)
		b[at] = value
		return b
	}
	options := slices.Concat(with(v4[:20], 0, 0x46), []byte{1, 1, 1, 1}, v4[20:])
	for _, tt := range []struct {
		name   string
		packet []byte
		ports  []int
		want   bool
	}{
		{"from the port", v4, []int{80}, true},
		{"to the port", slices.Concat(v4[:20], v4[22:24], v4[20:22], v4[24:]), []int{80}, true},
		{"the second port", v4, []int{8080, 80}, true},
		{"another port", v4, []int{81, 8080}, false},
		{"all ports", v4, nil, true},
		{"header with options", options, []int{80}, true},
		{"header with options, another port", options, []int{81}, false},
		{"UDP", with(v4, 9, 17), []int{80}, false},
		{"UDP, all ports", with(v4, 9, 17), nil, false},
		{"a later fragment", with(v4, 7, 9), []int{81}, true},
		{"a first fragment", with(v4, 6, 0x20), []int{81}, false},
		{"IPv6", v6, []int{80}, true},
		{"IPv6, another port", v6, []int{81}, false},
		{"IPv6, all ports", v6, nil, true},
		{"IPv6, UDP", with(v6, 6, 17), []int{80}, false},
		{"IPv6 with an extension header", with(v6, 6, 60), []int{81}, true},
		{"ARP", with(v4, 0, 0), nil, false},
		{"too short", v4[:9], nil, false},
	} {
		program := filter(tt.ports)
		if _, err := bpf.Assemble(program); err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		n, err := vm.Run(tt.packet)
		if err != nil {
			t.Fatal(err)
		}
		if got := n > 0; got != tt.want {
			t.Errorf("%s: let through %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestManyPorts(t *testing.T) {
	var ports []int
	for p := range 500 {
		ports = append(ports, 8000+p)
	}
	if raw, err := bpf.Assemble(filter(ports)); err != nil || len(raw) > 4096 {
		t.Errorf("%d instructions, %v", len(raw), err)
	}
}
