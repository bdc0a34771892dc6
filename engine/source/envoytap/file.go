package envoytap

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one tap file. It stands on an exchange; traces that become none are
// accounted for and passed over.
type file struct {
	name    string
	source  string
	written int64 // for traces that have no time
	in      io.ReadCloser
	records records
	log     *ledger

	streamed streamed
	order    source.Order
	current  *traffic.Exchange
	ended    bool
}

func newFile(cfg Config, name string, in io.ReadCloser, written int64, log *ledger) *file {
	return &file{
		name: name, source: cfg.Name, written: written, in: in, log: log,
		streamed: streamed{limit: cfg.Window},
		order:    source.Order{Exchanges: cfg.Window, Bytes: windowBytes},
	}
}

// Advance moves to the next exchange.
func (f *file) Advance(ctx context.Context) error {
	for !f.ended && !f.order.Full() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.read(); err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	if f.current = f.order.Next(); f.current == nil {
		return io.EOF
	}
	if n := f.order.Late(); n > 0 && f.ended && f.order.First() == nil {
		f.log.Warn(f.name, -1, fmt.Sprintf("%d traces are more than %d traces out of order and were left where they are", n, f.order.Exchanges))
	}
	return nil
}

// Exchange is the one that the file stands on.
func (f *file) Exchange() *traffic.Exchange { return f.current }

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the file.
func (f *file) Close() error {
	if f.in == nil {
		return nil
	}
	in := f.in
	f.in = nil
	return in.Close()
}

// read takes in the next record.
func (f *file) read() error {
	if f.records == nil {
		var err error
		if f.records, err = newRecords(f.in, maxTrace); err != nil {
			return err
		}
	}
	at := f.records.at()
	rec, err := f.records.next()
	switch err {
	case nil:
		f.take(rec)
	case envoy.ErrShape:
		f.log.Reject(f.name, at, "not a trace of Envoy, left out")
	case errTooLong:
		f.log.Reject(f.name, at, fmt.Sprintf("trace larger than %d MiB; it and the rest of the file are lost", maxTrace>>20))
		return f.end(at, false)
	case errSyntax:
		f.log.Reject(f.name, at, "not a trace; the rest of the file is lost, since nothing tells where the next one begins")
		return f.end(at, false)
	case io.EOF:
		return f.end(at, at == 0 || source.IsCut(f.in))
	case io.ErrUnexpectedEOF:
		return f.end(at, true)
	default:
		return err
	}
	return nil
}

// take makes an exchange of a record, or keeps a segment for later.
func (f *file) take(rec *record) {
	switch {
	case rec.trace != nil:
		rec.trace.offset, rec.trace.size = rec.offset, rec.size
		f.finish(rec.trace)
	case rec.piece != nil:
		for _, t := range f.streamed.add(rec) {
			f.finish(t)
		}
		for f.streamed.full() {
			f.log.hurried++
			f.finish(f.streamed.oldest())
		}
	default:
		f.log.Records++
		f.log.NotHTTP++
	}
}

// finish makes an exchange of a trace that is whole, or accounts for it.
func (f *file) finish(t *trace) {
	x, err := t.exchange()
	switch err {
	case nil:
		f.log.Records++
	case envoy.ErrNotHTTP:
		f.log.Records++
		f.log.NotHTTP++
		return
	case errOrphan:
		f.log.Records++
		f.log.OrphanResponses++
		return
	case errCut, errSpoiled, errPartial:
		f.log.Records++
		f.log.Truncated++
		f.log.TruncatedRequests++
		f.note(t, err)
		return
	default:
		f.log.Reject(f.name, t.offset, "trace left out: "+err.Error())
		return
	}
	if r := x.Response; r != nil {
		switch {
		case r.Body.State == traffic.Missing:
			f.log.spoiled++
		case r.Body.State == traffic.Truncated:
			f.log.Truncated++
			if t.response.body.cut {
				f.log.cutResponses++
			}
		}
	}
	if x.At.IsZero() {
		f.log.untimed++
		x.At = time.Unix(0, f.written).UTC()
	}
	x.Source = f.source
	f.order.Add(x, t.size)
}

// note remembers why a request was left out.
func (f *file) note(t *trace, why error) {
	switch why {
	case errCut:
		f.log.cutRequests++
	case errSpoiled:
		f.log.spoiled++
	default:
		f.log.Warn(f.name, t.offset, why.Error()+", left out")
	}
}

// end accounts for the end of the file, and closes it at once: a hundred
// thousand files may wait for their exchange to be due, but not open.
func (f *file) end(at int64, early bool) error {
	f.ended = true
	for t := f.streamed.oldest(); t != nil; t = f.streamed.oldest() {
		f.finish(t)
	}
	if early {
		f.log.Truncated++
		f.log.Warn(f.name, at, "the file ends early; a trace that begins here, and what followed, is lost")
	}
	f.records = nil
	return f.Close()
}
