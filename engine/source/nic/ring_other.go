//go:build !linux

package nic

import (
	"errors"

	"github.com/shadowaudit/shadowaudit/engine/source/packet"
)

func openDevice(string, []int) (packet.Origin, error) {
	return nil, errors.New("live capture works on Linux only; elsewhere capture with tcpdump -s 0 -w FILE, and read FILE with a source of kind pcap")
}
