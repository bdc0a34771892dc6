package source

import (
	"context"
	"errors"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Exchanges is a Stream whose items are exchanges.
type Exchanges interface {
	Stream
	// Exchange is the one that the stream stands on.
	Exchange() *traffic.Exchange
}

// Ledger is where all files of a Reader write down what became of a record.
type Ledger struct {
	Counts
	Journal
}

// Reject accounts for a record that is no HTTP message, and warns of it.
func (l *Ledger) Reject(file string, offset int64, text string) {
	l.Records++
	l.Malformed++
	l.Warn(file, offset, text)
}

// Reader is a source of the exchanges in files, for the kinds of source whose
// files have whole exchanges in them. It is used by one goroutine, except for
// Progress.
type Reader[S Exchanges] struct {
	merge *Merge[S]
	meter *Meter
	log   *Ledger
	err   error // final
}

var (
	_ Source     = (*Reader[Exchanges])(nil)
	_ Accountant = (*Reader[Exchanges])(nil)
	_ Warner     = (*Reader[Exchanges])(nil)
	_ Progress   = (*Reader[Exchanges])(nil)
	_ io.Closer  = (*Reader[Exchanges])(nil)
)

// NewReader returns a reader of the inputs. The streams that open makes of them
// write into log what became of their records, except for Read and Paired.
func NewReader[S Exchanges](inputs []Input, meter *Meter, log *Ledger, open func(name string, in io.ReadCloser) (S, error)) *Reader[S] {
	return &Reader[S]{merge: NewMerge(Parts(inputs, open)), meter: meter, log: log}
}

// Next returns the next exchange.
func (r *Reader[S]) Next(ctx context.Context) (*traffic.Exchange, error) {
	s, err := r.NextStream(ctx)
	if err != nil {
		return nil, err
	}
	return s.Exchange(), nil
}

// NextStream is Next for a caller who wants to know more about the exchange than
// what is in it: it returns the stream that stands on it.
func (r *Reader[S]) NextStream(ctx context.Context) (s S, err error) {
	if r.err != nil {
		return s, r.err
	}
	if s, r.err = r.merge.Next(ctx); r.err != nil {
		return s, r.err
	}
	r.log.Read++
	if s.Exchange().Response != nil {
		r.log.Paired++
	}
	return s, nil
}

// Counts returns the counters as they are now.
func (r *Reader[S]) Counts() Counts { return r.log.Counts }

// Warnings returns what was found wrong so far.
func (r *Reader[S]) Warnings() []Warning { return r.log.Warnings() }

// Progress returns how many bytes of the files were read, and of how many.
func (r *Reader[S]) Progress() (done, total int64) { return r.meter.Progress() }

// Close closes the files; Next then fails.
func (r *Reader[S]) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	return r.merge.Close()
}
