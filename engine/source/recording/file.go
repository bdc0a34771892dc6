package recording

import (
	"context"
	"errors"
	"fmt"
	"io"

	format "github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one recording. It stands on an exchange; damage is accounted for and
// passed over.
type file struct {
	name    string
	source  string
	in      *source.File
	reader  *format.Reader
	log     *ledger
	current *traffic.Exchange
	cut     bool // and accounted for
}

func openFile(name, sourceName string, meter *source.Meter, log *ledger) (*file, error) {
	in, err := source.OpenFile(name, meter)
	if err != nil {
		return nil, err
	}
	r, err := format.NewReader(in)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &file{name: name, source: sourceName, in: in, reader: r, log: log}, nil
}

// Advance moves to the next exchange.
func (f *file) Advance(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := f.reader.Next()
		var damage *format.DamageError
		switch {
		case err == nil:
			f.log.Records++
			x.Source, x.Offset = f.source, f.reader.Offset()
			f.current = x
			return nil
		case errors.As(err, &damage):
			f.damaged(damage)
		case err == io.EOF:
			f.current = nil
			f.end()
			return io.EOF
		default:
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
}

func (f *file) damaged(d *format.DamageError) {
	lost := d.Exchanges
	if d.Cut {
		f.cut = true
		f.log.Truncated++
	} else {
		lost = max(lost, 1)
	}
	f.log.Records += lost
	f.log.Malformed += lost
	f.log.Warn(f.name, d.Offset, d.Text)
}

// end looks at how the file ended.
func (f *file) end() {
	switch {
	case f.cut:
	case f.in.Cut():
		f.log.Truncated++
		f.log.Warn(f.name, -1, "compressed data ends early or is damaged; what follows is lost")
	case !f.reader.Closed():
		f.log.Warn(f.name, -1, "the recording was not closed: what its writer had not written yet, a second at most, is lost")
	}
}

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the file.
func (f *file) Close() error { return errors.Join(f.reader.Close(), f.in.Close()) }
