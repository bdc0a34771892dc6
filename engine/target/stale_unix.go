//go:build unix

package target

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// staleness gives a function that looks, without waiting, whether a connection
// can carry another request: not when the target has closed it, and not when
// something lies in it that nobody asked for, which would be taken for the next
// response. On TLS what lies there may be the protocol's own, so only the end
// counts.
func staleness(nc net.Conn) func() bool {
	tc, encrypted := nc.(*tls.Conn)
	if encrypted {
		nc = tc.NetConn()
	}
	fresh := func() bool { return false }
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return fresh
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return fresh
	}
	var n int
	var peekErr error
	var buf [1]byte
	peek := func(fd uintptr) bool {
		n, _, peekErr = unix.Recvfrom(int(fd), buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	}
	return func() bool {
		switch err := raw.Read(peek); {
		case err != nil:
			return true
		case peekErr == unix.EAGAIN, peekErr == unix.EINTR:
			return false
		case peekErr != nil, n == 0:
			return true
		}
		return !encrypted
	}
}
