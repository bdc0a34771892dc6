package recording

import (
	"bufio"
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
	cfg     *Config
	in      io.ReadCloser
	sealed  *format.Unsealed // nil: it is not encrypted
	reader  *format.Reader
	log     *source.Ledger
	current *traffic.Exchange
	meta    *format.Meta // of the exchange
	cut     bool         // and accounted for
}

// openFile opens a recording to look at it.
func openFile(name string, cfg *Config) (*file, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return nil, err
	}
	f, err := newFile(name, in, cfg, new(source.Ledger))
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return f, nil
}

func newFile(name string, in io.ReadCloser, cfg *Config, log *source.Ledger) (*file, error) {
	f := &file{name: name, cfg: cfg, in: in, log: log}
	return f, f.begin()
}

// begin undoes the encryption, if there is one, and sees whether the recording
// may still be read.
func (f *file) begin() error {
	head := bufio.NewReader(f.in)
	start, err := head.Peek(format.SealedSize)
	if err != nil && err != io.EOF {
		return err
	}
	var text io.Reader = head
	if format.IsSealed(start) {
		var ids format.Identities
		if f.cfg.Identities != nil {
			if ids, err = f.cfg.Identities(); err != nil {
				return err
			}
		}
		if f.sealed, err = format.Unseal(head, ids); err != nil {
			return err
		}
		text = f.sealed
	}
	if f.reader, err = format.NewReader(text); err != nil {
		return err
	}
	if err := f.reader.Describe(); err != nil {
		return err
	}
	return f.describe()
}

// describe takes over what the recording says of itself.
func (f *file) describe() error {
	f.meta = f.reader.Meta()
	if f.meta.Expired(f.cfg.Now()) {
		return &ExpiredError{f.meta.Expires}
	}
	return nil
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
			if f.reader.Meta() != f.meta { // recordings that were joined
				if err := f.describe(); err != nil {
					return fmt.Errorf("read %s: %w", f.name, err)
				}
			}
			f.log.Records++
			x.Source, x.Offset = f.cfg.Name, f.reader.Offset()
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
	case source.IsCut(f.in):
		f.log.Truncated++
		f.log.Warn(f.name, -1, "compressed data ends early or is damaged; what follows is lost")
	case f.sealed != nil && f.sealed.Cut():
		f.log.Truncated++
		f.log.Warn(f.name, -1, "the encrypted data ends early or was changed; what follows the last whole part of 64 KiB is lost")
	case !f.reader.Closed():
		f.log.Warn(f.name, -1, "the recording was not closed: what its writer had not written yet, a second at most, is lost")
	}
}

// Exchange is the one that the file stands on.
func (f *file) Exchange() *traffic.Exchange { return f.current }

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the file.
func (f *file) Close() error { return errors.Join(f.reader.Close(), f.in.Close()) }
