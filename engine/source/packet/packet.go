// Package packet turns network packets into exchanges. Packets come in, from a
// file or as they pass; exchanges of HTTP/1.x and of cleartext HTTP/2 go out in
// the order of time, each with its response and with the times at which their
// bytes were on the wire. The kinds of source that read packets share it.
//
// TCP connections are put together from Ethernet (with VLAN tags), Linux cooked,
// loopback and raw IP packets, IPv4 and IPv6. Requests and responses of an
// HTTP/1.x connection belong together by their order. Where bytes are missing,
// because a packet was not captured or was cut, the message that lost them ends
// there, and the connection is taken up again at the next packet that begins
// like a message; no response is then given to a request that it may not belong
// to.
//
// HTTP/2 is read from the connection preface on, which clients send at once or
// after an upgrade to h2c (RFC 9113 section 3, RFC 7540 section 3.2). Requests
// and responses belong together by their stream. Header compression makes every
// field depend on those before it (RFC 7541), so the first missing byte ends the
// connection: what its streams had by then is accounted for, and the rest is not
// read. A connection whose preface was not seen is never read.
//
// Every message is accounted for:
//
//	Records = Read + Paired + OrphanResponses + Malformed + TruncatedRequests + NotHTTP
//
// once everything was handed out. Each request is either read, malformed, or
// truncated; each response is paired, an orphan, or malformed; and each TCP
// connection that carried bytes but no HTTP counts as one record that is not
// HTTP. Interim responses (100 Continue) are none, nor is what a server pushes.
// Truncated also counts responses that are cut, which are paired nevertheless.
// Gaps counts the places at which bytes of an HTTP connection are missing,
// whether or not that cost a message.
package packet

import (
	"fmt"

	"github.com/gopacket/gopacket/layers"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Config says what to make of packets.
type Config struct {
	Name string // of the source block; every exchange carries it

	// Ports are the TCP ports of the servers. Without them every connection is
	// looked at whose first bytes are those of HTTP.
	Ports []int

	Limits Limits
}

// Limits bounds what is held in memory. A zero field means the default.
type Limits struct {
	Exchanges   int   // waiting for their response or their turn; default 65536
	Bytes       int64 // of these exchanges; default 256 MiB
	Connections int   // open at once; default 65536
	Unfinished  int64 // bytes of messages that are not complete, of all connections; default 256 MiB
	Streams     int   // open at once on a connection of HTTP/2; default 1024

	// Patience is for how long exchanges wait for the response to an earlier
	// one, in nanoseconds of the packets' clock. One that takes longer leaves
	// behind later ones. 0: for as long as there is room.
	Patience int64
}

func (l Limits) withDefaults() Limits {
	if l.Exchanges <= 0 {
		l.Exchanges = 64 << 10
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 20
	}
	if l.Connections <= 0 {
		l.Connections = 64 << 10
	}
	if l.Unfinished <= 0 {
		l.Unfinished = 256 << 20
	}
	if l.Streams <= 0 {
		l.Streams = 1 << 10
	}
	return l
}

// Packet is a captured packet. Nothing keeps its data.
type Packet struct {
	At   int64 // nanoseconds since 1970
	Link layers.LinkType
	Data []byte // as far as it was captured

	// Network tells networks apart whose addresses may be the same.
	Network uint32

	// File and Offset say where the packet stands, for warnings. They may be
	// empty.
	File   string
	Offset int64
}

// Assembler makes exchanges of packets. It belongs to one goroutine.
type Assembler struct {
	decode *decoder
	table  *table
	window *window
	log    *ledger
	ended  bool
}

// ledger is where all parts of an assembler write down what became of a message.
type ledger struct {
	source.Counts
	source.Journal

	tls, http2, other int64 // connections that are not read
	joined            int64 // HTTP connections whose beginning is not in the capture
	broken            int64 // connections of HTTP/2 given up where bytes are missing or wrong
	evicted           int64 // connections given up to bound the memory
	streams           int64 // streams given up to bound the memory
	elsewhere         int64 // segments to or from no port of the source
	cut               int64 // packets of which the capture has only the beginning
}

// New returns an assembler.
func New(cfg Config) *Assembler {
	limits := cfg.Limits.withDefaults()
	log := new(ledger)
	w := &window{limits: limits, log: log}
	return &Assembler{decode: newDecoder(), table: newTable(cfg, limits, w, log), window: w, log: log}
}

// Packet takes in a packet. It reports false where packets of that link type
// cannot be read.
func (a *Assembler) Packet(p *Packet) bool {
	s, verdict := a.decode.segment(p.Link, p.Data, p.At)
	switch verdict {
	case unknownLink:
		return false
	case isSegment:
		if len(s.data) < s.size {
			a.log.cut++
		}
		a.table.file = p.File
		a.table.segment(p.Network, &s, p.At, p.Offset)
	}
	return true
}

// Tick says what time it is, in nanoseconds since 1970, where no packet does.
// What was waited for in vain is then given up.
func (a *Assembler) Tick(now int64) { a.table.tick(now) }

// Close lets packets in only on connections on which an exchange is going on
// that began before: what has begun may end, and nothing else begins.
func (a *Assembler) Close() { a.table.closing = true }

// Busy reports whether an exchange has begun and not ended.
func (a *Assembler) Busy() bool { return a.table.busy() }

// Finish says that no packet will come. Next then gives what is left.
func (a *Assembler) Finish() {
	a.table.finish()
	a.ended = true
}

// Next returns the next exchange, nil where it takes more packets to know.
func (a *Assembler) Next() *traffic.Exchange { return a.window.next(a.table.clock, a.ended) }

// Abandon lets go of everything, without accounting for it.
func (a *Assembler) Abandon() { a.table.abandon() }

// Counts returns the counters as they are now.
func (a *Assembler) Counts() source.Counts { return a.log.Counts }

// Warnings returns what was found wrong so far.
func (a *Assembler) Warnings() []source.Warning {
	var all source.Journal
	for _, s := range []struct {
		n          int64
		noun, what string
	}{
		{a.log.tls, "connection", " with TLS, which cannot be read; capture behind the point where TLS ends"},
		{a.log.http2, "connection", " with HTTP/2 whose beginning was not captured, which cannot be read"},
		{a.log.joined, "connection", " open before the capture began, read from the first whole request on"},
		{a.log.broken, "connection", " with HTTP/2 given up where bytes are missing or wrong"},
		{a.log.evicted, "connection", " given up before the end, to bound the memory that is held"},
		{a.log.streams, "stream", " given up before the end, to bound the memory that is held"},
		{a.log.cut, "packet", " captured only in part; capture whole packets (tcpdump -s 0)"},
		{a.log.Gaps, "gap", " in connections, where the capture lost or cut packets"},
		{a.window.forced, "request", " handed out before the response came, to bound the memory that is held"},
		{a.window.late, "request", " so long in arriving or in being answered that later ones were handed out first"},
	} {
		if s.n > 0 {
			all.Warn("", -1, result.Plural(s.n, s.noun)+s.what)
		}
	}
	if a.log.elsewhere > 0 && a.table.count == 0 {
		all.Warn("", -1, fmt.Sprintf("none of the %d TCP packets is to or from one of the ports", a.log.elsewhere))
	}
	return append(all.Warnings(), a.log.Journal.Warnings()...)
}
