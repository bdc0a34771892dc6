// Package nic captures live traffic from a network device of this machine, on
// Linux, without help from any other program. Package packet makes exchanges of
// the packets, and says how they are accounted for.
//
// The kernel copies the packets that the source asked for into a ring in shared
// memory, 64 MiB of it, and nothing else: a filter in the kernel (classic BPF)
// lets only TCP to and from the ports of the source through, so that other
// traffic costs nothing. Production is never slowed: packets are copies, and
// when the reader lags, copies are lost, counted by the kernel and here
// (LostPackets), while their originals go on. Packets of up to 256 KiB are taken
// whole, larger than any device's MTU, since network cards cut packets only
// after they were captured and put them together before (TSO, GRO).
// https://docs.kernel.org/networking/packet_mmap.html has the details.
//
// The process needs the right to capture, CAP_NET_RAW:
//
//	sudo setcap cap_net_raw+ep $(which shadowaudit)
//
// On the device "any" a packet that passes several devices, such as a bridge and
// a container's veth, is seen several times. Copies with the same addresses are
// recognised by their sequence numbers; where addresses are translated on the
// way, both connections are seen, and one device is to be named instead.
//
// What is not there: TLS, which is to be captured behind the point where it
// ends; HTTP/2 connections that were open before the capture began; other
// systems than Linux; a container's own devices, unless the process runs in its
// network namespace (nsenter -n, or a sidecar).
package nic

import (
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
)

// Config says what to capture.
type Config struct {
	Name   string // of the source block; every exchange carries it
	Device string // "eth0", "lo"; "any" or "" for all of them
	Ports  []int  // TCP ports of the servers; none: whatever begins like HTTP

	Limits packet.Limits
}

// Source is a source of exchanges as they pass a network device.
type Source struct {
	*packet.Live
	where string
}

var _ source.Live = (*Source)(nil)

// Open begins to capture. An error says what the system has against it, and
// what helps.
func Open(cfg Config) (*Source, error) {
	if cfg.Device == "" {
		cfg.Device = anyDevice
	}
	origin, err := openDevice(cfg.Device, cfg.Ports)
	if err != nil {
		return nil, err
	}
	return &Source{
		Live:  packet.Listen(packet.Config{Name: cfg.Name, Ports: cfg.Ports, Limits: cfg.Limits}, origin),
		where: cfg.Device + ", " + portsText(cfg.Ports),
	}, nil
}

// anyDevice stands for all devices.
const anyDevice = "any"

// Listening says what is captured: "lo, port 8080".
func (s *Source) Listening() string { return s.where }

func portsText(ports []int) string {
	var all []string
	for _, p := range ports {
		all = append(all, strconv.Itoa(p))
	}
	switch len(all) {
	case 0:
		return "all ports"
	case 1:
		return "port " + all[0]
	}
	return "ports " + strings.Join(all, ", ")
}
