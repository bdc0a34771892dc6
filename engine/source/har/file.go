package har

import (
	"context"
	"fmt"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one archive. It stands on an exchange; entries that become none are
// accounted for and passed over.
type file struct {
	name   string
	in     io.ReadCloser
	array  array
	log    *source.Ledger
	source string
	hosts  hosts

	order   source.Order
	current *traffic.Exchange
	ended   bool

	seen    int64 // requests to servers, wanted or not
	secrets bool  // one of them carried a cookie or credentials
}

func newFile(name string, in io.ReadCloser, log *source.Ledger) *file {
	return &file{name: name, in: in, array: array{in: in, limit: maxEntry}, log: log}
}

// Advance moves to the next exchange.
func (f *file) Advance(ctx context.Context) error {
	for !f.ended && !f.order.Full() {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, offset, err := f.array.next()
		switch err {
		case nil:
			f.take(raw, offset)
		case errTooLong:
			f.log.Reject(f.name, offset, fmt.Sprintf("entry larger than %d MiB, left out", f.array.limit>>20))
		case errSyntax:
			f.log.Reject(f.name, offset, "not a HAR entry, left out up to the next one")
		case io.EOF:
			f.end(offset, source.IsCut(f.in))
		case io.ErrUnexpectedEOF:
			f.end(offset, true)
		default:
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	if f.current = f.order.Next(); f.current == nil {
		return io.EOF
	}
	if n := f.order.Late(); n > 0 && f.ended && f.order.First() == nil {
		f.log.Warn(f.name, -1, fmt.Sprintf("%d entries are more than %d entries out of order and were left where they are", n, f.order.Exchanges))
	}
	return nil
}

// Exchange is the one that the file stands on.
func (f *file) Exchange() *traffic.Exchange { return f.current }

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the archive.
func (f *file) Close() error { return f.in.Close() }

// take makes an exchange of an entry, or accounts for it.
func (f *file) take(raw []byte, offset int64) {
	e, err := decode(raw)
	if err != nil {
		f.log.Reject(f.name, offset, "entry left out: "+err.Error())
		return
	}
	x, err := e.exchange(f.hosts)
	if err != errNotHTTP {
		f.seen++
		f.secrets = f.secrets || e.Request.carriesSecrets()
	}
	switch err {
	case nil:
	case errNotHTTP:
		f.log.Records++
		f.log.NotHTTP++
		return
	case errForeign:
		f.log.Records++
		f.log.ForeignHost++
		return
	case errTruncated:
		f.log.Records++
		f.log.Truncated++
		f.log.TruncatedRequests++
		f.log.Warn(f.name, offset, err.Error())
		return
	default:
		f.log.Reject(f.name, offset, "entry left out: "+err.Error())
		return
	}
	f.log.Records++
	if x.Response != nil && x.Response.Body.State == traffic.Truncated {
		f.log.Truncated++
	}
	x.Source, x.Offset = f.source, offset
	f.order.Add(x, int64(len(raw)))
}

// end accounts for the end of the file.
func (f *file) end(offset int64, early bool) {
	f.ended = true
	if early {
		f.log.Truncated++
		f.log.Warn(f.name, offset, "the file ends early; the entry that begins here, and what followed, is lost")
	}
	if f.seen > 0 && !f.secrets {
		f.log.Warn(f.name, -1, "no request carries a cookie or credentials: the export may be sanitized, and what needs a login will fail; Chrome can export with sensitive data")
	}
}

func (r *request) carriesSecrets() bool {
	for _, h := range r.Headers {
		if traffic.EqualName(h.Name, "Cookie") || traffic.EqualName(h.Name, "Authorization") {
			return true
		}
	}
	return false
}
