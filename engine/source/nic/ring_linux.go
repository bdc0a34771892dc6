package nic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gopacket/gopacket/layers"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/shadowaudit/shadowaudit/engine/source/packet"
)

const (
	blockSize = 1 << 20 // bytes; a packet has to fit in
	blocks    = 64
	minBlocks = 4

	retireTime = 20 // for how long packets wait for a block to fill, in milliseconds
	waitTime   = 100 * time.Millisecond
)

// ring is a socket whose packets the kernel puts in shared memory: version 3 of
// what https://docs.kernel.org/networking/packet_mmap.html describes. It is a
// packet.Origin.
type ring struct {
	device string
	index  int // of the device; 0: all
	fd     int
	memory []byte
	next   int // block that is read next
	lost   atomic.Int64
}

var _ packet.Origin = (*ring)(nil)

func openDevice(device string, ports []int) (packet.Origin, error) {
	r := &ring{device: device, fd: -1}
	program := filter(ports)
	devices, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network devices: %w", err)
	}
	var names []string
	for _, d := range devices {
		names = append(names, d.Name)
		if d.Flags&net.FlagLoopback != 0 {
			program = append(onceOn(d.Index), program...)
		}
		if d.Name == device {
			r.index = d.Index
			if d.Flags&net.FlagUp == 0 {
				return nil, fmt.Errorf("the network device %s is down: sudo ip link set %s up", device, device)
			}
		}
	}
	if r.index == 0 && device != anyDevice {
		return nil, fmt.Errorf("there is no network device %s: choose one of %s, or any", device, strings.Join(names, ", "))
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("filter packets by port: %w", err)
	}
	if err := r.open(raw); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// open makes the socket. It is bound to the device last, so that no packet comes
// in before there is a filter.
func (r *ring) open(filter []bpf.RawInstruction) (err error) {
	r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("capture on %s: no permission; capturing needs CAP_NET_RAW: sudo setcap cap_net_raw+ep $(which shadowaudit)", r.device)
	case err != nil:
		return fmt.Errorf("capture on %s: %w", r.device, os.NewSyscallError("socket", err))
	}
	code := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		code[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	if err := unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}); err != nil {
		return fmt.Errorf("capture on %s: filter by port: %w", r.device, err)
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("capture on %s: this kernel is too old (Linux 3.2 is needed): %w", r.device, err)
	}
	if err := r.share(); err != nil {
		return fmt.Errorf("capture on %s: share memory with the kernel: %w", r.device, err)
	}
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: r.index}); err != nil {
		return fmt.Errorf("capture on %s: %w", r.device, os.NewSyscallError("bind", err))
	}
	if r.index != 0 { // what a switch mirrors to this device is addressed to others
		_ = unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(r.index), Type: unix.PACKET_MR_PROMISC})
	}
	return nil
}

// share sets the memory up, less of it where the system has no more to give.
func (r *ring) share() error {
	for n := uint32(blocks); ; n /= 2 {
		const frameSize = 2048 // of no matter in this version, but it has to fit
		err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
			Block_size:     blockSize,
			Block_nr:       n,
			Frame_size:     frameSize,
			Frame_nr:       n * (blockSize / frameSize),
			Retire_blk_tov: retireTime,
		})
		if errors.Is(err, unix.ENOMEM) && n > minBlocks {
			continue
		}
		if err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		r.memory, err = unix.Mmap(r.fd, 0, int(n)*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return os.NewSyscallError("mmap", err)
	}
}

// Read hands over the packets of the next block. It waits for one.
func (r *ring) Read(take func(*packet.Packet)) error {
	block := r.memory[r.next*blockSize:][:blockSize]
	head := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[8])) // behind version and offset of private data
	filled := func() bool { return atomic.LoadUint32(&head.Block_status)&unix.TP_STATUS_USER != 0 }
	deadline := time.Now().Add(waitTime)
	for !filled() {
		left := time.Until(deadline)
		if left <= 0 {
			r.count()
			return nil
		}
		if err := r.wait(left); err != nil {
			return err
		}
	}
	walk(block, head, take)
	atomic.StoreUint32(&head.Block_status, unix.TP_STATUS_KERNEL)
	r.next = (r.next + 1) % (len(r.memory) / blockSize)
	r.count()
	return nil
}

// walk hands over the packets of a block.
func walk(block []byte, head *unix.TpacketHdrV1, take func(*packet.Packet)) {
	at := int(head.Offset_to_first_pkt)
	for range head.Num_pkts {
		if at < 0 || at+unix.SizeofTpacket3Hdr > len(block) {
			return
		}
		p := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[at]))
		begin := at + int(p.Mac)
		end := begin + int(p.Snaplen)
		if begin > end || end > len(block) {
			return
		}
		take(&packet.Packet{
			At:   int64(p.Sec)*1e9 + int64(p.Nsec),
			Link: layers.LinkTypeRaw,
			Data: block[begin:end],
		})
		at += int(p.Next_offset)
	}
}

// wait waits for packets, for a while at most. It may return early.
func (r *ring) wait(while time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN | unix.POLLERR}}
	_, err := unix.Poll(fds, int(while/time.Millisecond)+1)
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return os.NewSyscallError("poll", err)
	case fds[0].Revents&unix.POLLERR == 0:
		return nil
	}
	_, _ = unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR) // it stays until it is asked for
	if _, err := net.InterfaceByIndex(r.index); r.index != 0 && err != nil {
		return fmt.Errorf("the network device %s is gone", r.device)
	}
	return nil // it is down, and may come up again
}

// count adds up what the kernel lost since it was last asked.
func (r *ring) count() {
	if s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		r.lost.Add(int64(s.Drops))
	}
}

// Lost is how many packets the kernel had no room for.
func (r *ring) Lost() int64 { return r.lost.Load() }

// Close gives the memory and the socket back.
func (r *ring) Close() error {
	var errs []error
	if r.memory != nil {
		errs = append(errs, unix.Munmap(r.memory))
		r.memory = nil
	}
	if r.fd >= 0 {
		errs = append(errs, unix.Close(r.fd))
		r.fd = -1
	}
	return errors.Join(errs...)
}

// bigEndian gives a number in the order of the network.
func bigEndian(n uint16) uint16 {
	b := [2]byte{byte(n >> 8), byte(n)}
	return binary.NativeEndian.Uint16(b[:])
}
