//go:build !unix

package target

import "net"

// staleness cannot look into a connection here; a request that only reads is
// sent again when its connection turns out to be closed.
func staleness(net.Conn) func() bool { return func() bool { return false } }
