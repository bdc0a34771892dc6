package vxlan

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/sock_diag.h: what SO_MEMINFO gives.
const (
	memInfoDrops = 8
	memInfoSize  = 9
)

// drops asks the system how many datagrams a socket had no room for. They are
// counted modulo 2^32.
func drops(conn *net.UDPConn) (n int64, ok bool) {
	var info [memInfoSize]uint32
	control(conn, func(fd int) {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		ok = errno == 0 && size >= uint32(unsafe.Sizeof(info))
	})
	return int64(info[memInfoDrops]), ok
}

// enlarge asks the system to hold size bytes for a socket, beyond its limit
// where that is allowed, and returns how many it grants. It says twice as many,
// since it counts what it needs beside them.
func enlarge(conn *net.UDPConn, size int) (n int) {
	_ = conn.SetReadBuffer(size)
	control(conn, func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
		if size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
			n = size / 2
		}
	})
	return n
}

func control(conn *net.UDPConn, f func(fd int)) {
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
