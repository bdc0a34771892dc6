//go:build !linux

package vxlan

import "net"

// Only Linux says what it drops.
func drops(*net.UDPConn) (int64, bool) { return 0, false }

// enlarge asks the system to hold size bytes for a socket. How many it grants
// is not known.
func enlarge(conn *net.UDPConn, size int) int {
	_ = conn.SetReadBuffer(size)
	return 0
}
