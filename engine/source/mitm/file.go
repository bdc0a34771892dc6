package mitm

import (
	"context"
	"fmt"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one flow file. It stands on an exchange; flows that become none are
// accounted for and passed over.
type file struct {
	name   string
	in     io.ReadCloser
	flows  *stream
	log    *source.Ledger
	source string

	order   source.Order
	current *traffic.Exchange
	ended   bool
}

// Advance moves to the next exchange.
func (f *file) Advance(ctx context.Context) error {
	for !f.ended && !f.order.Full() {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, at, err := f.flows.next()
		switch err {
		case nil:
			f.take(v, at)
		case errTooLong:
			f.log.Reject(f.name, at, fmt.Sprintf("flow larger than %d MiB, left out", f.flows.limit>>20))
		case errSyntax:
			f.log.Reject(f.name, at, "not a flow; the rest of the file is lost, since nothing tells where the next one begins")
			f.ended = true
		case io.EOF:
			f.end(at, source.IsCut(f.in))
		case io.ErrUnexpectedEOF:
			f.end(at, true)
		default:
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	if f.current = f.order.Next(); f.current == nil {
		return io.EOF
	}
	if n := f.order.Late(); n > 0 && f.ended && f.order.First() == nil {
		f.log.Warn(f.name, -1, fmt.Sprintf("%d flows are more than %d flows out of order and were left where they are", n, f.order.Exchanges))
	}
	return nil
}

// Exchange is the one that the file stands on.
func (f *file) Exchange() *traffic.Exchange { return f.current }

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the file.
func (f *file) Close() error { return f.in.Close() }

// take makes an exchange of a flow, or accounts for it.
func (f *file) take(v value, at int64) {
	flow, err := decode(v)
	var x *traffic.Exchange
	if err == nil {
		x, err = flow.exchange()
	}
	switch err {
	case nil:
	case errNotHTTP:
		f.log.Records++
		f.log.NotHTTP++
		return
	default:
		f.log.Reject(f.name, at, "flow left out: "+err.Error())
		return
	}
	f.log.Records++
	if flow.madeUp && flow.response != nil {
		f.log.ReplayedResponses++
	}
	if x.Response != nil && x.Response.Body.State == traffic.Truncated {
		f.log.Truncated++
	}
	x.Source, x.Offset = f.source, at
	f.order.Add(x, int64(len(v.payload)))
}

// end accounts for the end of the file.
func (f *file) end(at int64, early bool) {
	f.ended = true
	if early {
		f.log.Truncated++
		f.log.Warn(f.name, at, "the file ends early; the flow that begins here, and what followed, is lost")
	}
}
