// Package pcap reads packet captures: pcap and pcapng files, plain or
// compressed, one or many of the same traffic. Packets come in; exchanges of
// HTTP/1.x go out in the order of time, each with its response and with the
// times at which their bytes were on the wire.
//
// TCP connections are put together from Ethernet (with VLAN tags), Linux cooked,
// loopback and raw IP packets, IPv4 and IPv6. Requests and responses of a
// connection belong together by their order. Where bytes are missing, because a
// packet was not captured or was cut, the message that lost them ends there, and
// the connection is taken up again at the next packet that begins like a
// message; no response is then given to a request that it may not belong to.
//
// Every message is accounted for:
//
//	Records = Read + Paired + OrphanResponses + Malformed + TruncatedRequests + NotHTTP
//
// once Next has returned io.EOF. Each request is either read, malformed, or
// truncated; each response is paired, an orphan, or malformed; and each TCP
// connection that carried bytes but no HTTP/1.x counts as one record that is not
// HTTP. Interim responses (100 Continue) are none. Truncated also counts
// responses that are cut, which are paired nevertheless, and files whose end is
// missing. Gaps counts the places at which bytes of an HTTP connection are
// missing, whether or not that cost a message.
package pcap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// ErrNotCapture is a file that does not begin as a packet capture does.
var ErrNotCapture = errors.New("not a packet capture: neither pcap nor pcapng")

// Config says what to read.
type Config struct {
	Name  string   // of the source block; every exchange carries it
	Paths []string // files or globs

	// Ports are the TCP ports of the servers. Without them every connection is
	// looked at whose first bytes are those of an HTTP request.
	Ports []int

	Limits Limits
}

// Limits bounds what is held in memory. A zero field means the default.
type Limits struct {
	Exchanges   int   // waiting for their response or their turn; default 65536
	Bytes       int64 // of these exchanges; default 256 MiB
	Connections int   // open at once; default 65536
	Unfinished  int64 // bytes of messages that are not complete, of all connections; default 256 MiB
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
	return l
}

// Reader is a source of exchanges. It is used by one goroutine, except for
// Progress.
type Reader struct {
	meter  *source.Meter
	merge  *source.Merge[*capture]
	decode *decoder
	table  *table
	window *window
	log    *ledger
	ended  bool
	err    error // final
}

var (
	_ source.Source     = (*Reader)(nil)
	_ source.Accountant = (*Reader)(nil)
	_ source.Warner     = (*Reader)(nil)
	_ source.Progress   = (*Reader)(nil)
	_ io.Closer         = (*Reader)(nil)
)

// ledger is where all parts of a reader write down what became of a message.
type ledger struct {
	source.Counts
	source.Journal

	tls, http2, other int64 // connections that are not HTTP/1.x
	joined            int64 // HTTP connections whose beginning is not in the capture
	evicted           int64 // connections given up to bound the memory
	elsewhere         int64 // segments to or from no port of the source
	cut               int64 // packets of which the capture has only the beginning
}

// Open finds the files and looks at the first packet of each. A path that
// matches no file is an error that wraps fs.ErrNotExist; a file of another kind
// is one that wraps ErrNotCapture.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	inputs, meter, err := source.Inputs(names, firstTime)
	if err != nil {
		return nil, err
	}
	r := newReader(cfg, inputs)
	r.meter = meter
	return r, nil
}

func newReader(cfg Config, inputs []source.Input) *Reader {
	log := new(ledger)
	parts := make([]source.Part[*capture], 0, len(inputs))
	for _, in := range inputs {
		parts = append(parts, source.Part[*capture]{First: in.First, Open: func() (*capture, error) {
			rc, err := in.Open()
			if err != nil {
				return nil, err
			}
			return newCapture(in.Name, rc, log), nil
		}})
	}
	limits := cfg.Limits.withDefaults()
	w := &window{limits: limits, log: log}
	return &Reader{
		merge:  source.NewMerge(parts),
		decode: newDecoder(),
		table:  newTable(cfg, limits, w, log),
		window: w,
		log:    log,
		meter:  new(source.Meter),
	}
}

// Next returns the next exchange.
func (r *Reader) Next(ctx context.Context) (*traffic.Exchange, error) {
	for r.err == nil {
		if x := r.window.next(r.ended); x != nil {
			return x, nil
		}
		if r.ended {
			r.err = io.EOF
			break
		}
		if r.err = ctx.Err(); r.err != nil {
			break
		}
		c, err := r.merge.Next(ctx)
		switch err {
		case nil:
			r.packet(c)
		case io.EOF:
			r.table.finish()
			r.ended = true
		default:
			r.err = err
		}
	}
	return nil, r.err
}

func (r *Reader) packet(c *capture) {
	p := &c.packet
	s, verdict := r.decode.segment(p.link, p.data, p.at)
	switch verdict {
	case unknownLink:
		c.unknownLink()
	case isSegment:
		if len(s.data) < s.size {
			r.log.cut++
		}
		r.table.file = c.name
		r.table.segment(&s, p.at, p.offset)
	}
}

// Counts returns the counters as they are now.
func (r *Reader) Counts() source.Counts { return r.log.Counts }

// Warnings returns what was found wrong so far.
func (r *Reader) Warnings() []source.Warning {
	var all source.Journal
	for _, s := range []struct {
		n          int64
		noun, what string
	}{
		{r.log.tls, "connection", " with TLS, which cannot be read; capture behind the point where TLS ends"},
		{r.log.http2, "connection", " with HTTP/2, which is not read from captures"},
		{r.log.joined, "connection", " open before the capture began, read from the first whole request on"},
		{r.log.evicted, "connection", " given up before the end, to bound the memory that is held"},
		{r.log.cut, "packet", " captured only in part; capture whole packets (tcpdump -s 0)"},
		{r.log.Gaps, "gap", " in connections, where the capture lost or cut packets"},
		{r.window.forced, "request", " handed out before the response came, to bound the memory that is held"},
		{r.window.late, "request", " so long in arriving that later ones were handed out first"},
	} {
		if s.n > 0 {
			all.Warn("", -1, result.Plural(s.n, s.noun)+s.what)
		}
	}
	if r.log.elsewhere > 0 && r.table.count == 0 {
		all.Warn("", -1, fmt.Sprintf("none of the %d TCP packets is to or from one of the ports", r.log.elsewhere))
	}
	return append(all.Warnings(), r.log.Journal.Warnings()...)
}

// Progress returns how many bytes of the files were read, and of how many.
func (r *Reader) Progress() (done, total int64) { return r.meter.Progress() }

// Close closes the files; Next then fails.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	r.table.abandon()
	return r.merge.Close()
}
