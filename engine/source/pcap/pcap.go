// Package pcap reads packet captures: pcap and pcapng files, plain or
// compressed, one or many of the same traffic. What becomes of their packets,
// and how they are accounted for, is said in package packet. Truncated also
// counts files whose end is missing.
package pcap

import (
	"context"
	"errors"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet"
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

	Limits packet.Limits
}

// Reader is a source of exchanges. It is used by one goroutine, except for
// Progress.
type Reader struct {
	meter   *source.Meter
	merge   *source.Merge[*capture]
	packets *packet.Assembler
	damage  *damage
	ended   bool
	err     error // final
}

var (
	_ source.Source     = (*Reader)(nil)
	_ source.Accountant = (*Reader)(nil)
	_ source.Warner     = (*Reader)(nil)
	_ source.Progress   = (*Reader)(nil)
	_ io.Closer         = (*Reader)(nil)
)

// damage is what is wrong with files, as opposed to what they hold.
type damage struct {
	source.Journal
	cut int64 // files whose end is missing
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
	log := new(damage)
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
	return &Reader{
		merge:   source.NewMerge(parts),
		packets: packet.New(packet.Config{Name: cfg.Name, Ports: cfg.Ports, Limits: cfg.Limits}),
		damage:  log,
		meter:   new(source.Meter),
	}
}

// Next returns the next exchange.
func (r *Reader) Next(ctx context.Context) (*traffic.Exchange, error) {
	for r.err == nil {
		if x := r.packets.Next(); x != nil {
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
			if !r.packets.Packet(&c.packet) {
				c.unknownLink()
			}
		case io.EOF:
			r.packets.Finish()
			r.ended = true
		default:
			r.err = err
		}
	}
	return nil, r.err
}

// Counts returns the counters as they are now.
func (r *Reader) Counts() source.Counts {
	c := r.packets.Counts()
	c.Truncated += r.damage.cut
	return c
}

// Warnings returns what was found wrong so far.
func (r *Reader) Warnings() []source.Warning {
	return append(r.packets.Warnings(), r.damage.Warnings()...)
}

// Progress returns how many bytes of the files were read, and of how many.
func (r *Reader) Progress() (done, total int64) { return r.meter.Progress() }

// Close closes the files; Next then fails.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	r.packets.Abandon()
	return r.merge.Close()
}
