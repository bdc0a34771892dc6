package har

import (
	"container/heap"
	"context"
	"fmt"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one archive. It stands on an exchange; entries that become none are
// accounted for and passed over.
type file struct {
	name   string
	in     io.ReadCloser
	array  array
	log    *ledger
	source string
	hosts  hosts
	window int // entries held to put them in order

	current *traffic.Exchange
	held    entries
	bytes   int64
	seq     int64
	ended   bool

	last    int64 // time of the exchange handed out last
	late    int64 // exchanges that came too late to be put in order
	seen    int64 // requests to servers, wanted or not
	secrets bool  // one of them carried a cookie or credentials
}

func newFile(name string, in io.ReadCloser, log *ledger) *file {
	return &file{name: name, in: in, array: array{in: in, limit: maxEntry}, log: log}
}

// Advance moves to the next exchange.
func (f *file) Advance(ctx context.Context) error {
	for !f.ended && len(f.held) <= f.window && f.bytes <= windowBytes {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, offset, err := f.array.next()
		switch err {
		case nil:
			f.take(raw, offset)
		case errTooLong:
			f.malformed(offset, fmt.Sprintf("entry larger than %d MiB, left out", f.array.limit>>20))
		case errSyntax:
			f.malformed(offset, "not a HAR entry, left out up to the next one")
		case io.EOF:
			f.end(offset, f.cut())
		case io.ErrUnexpectedEOF:
			f.end(offset, true)
		default:
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	if len(f.held) == 0 {
		f.current = nil
		return io.EOF
	}
	h := heap.Pop(&f.held).(held)
	f.bytes -= h.size
	if h.at < f.last {
		f.late++
	}
	f.last, f.current = max(f.last, h.at), h.exchange
	if f.ended && len(f.held) == 0 && f.late > 0 {
		f.log.Warn(f.name, -1, fmt.Sprintf("%d entries are more than %d entries out of order and were left where they are", f.late, f.window))
	}
	return nil
}

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the archive.
func (f *file) Close() error { return f.in.Close() }

// take makes an exchange of an entry, or accounts for it.
func (f *file) take(raw []byte, offset int64) {
	e, err := decode(raw)
	if err != nil {
		f.malformed(offset, "entry left out: "+err.Error())
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
		f.malformed(offset, "entry left out: "+err.Error())
		return
	}
	f.log.Records++
	if x.Response != nil && x.Response.Body.State == traffic.Truncated {
		f.log.Truncated++
	}
	x.Source, x.Offset = f.source, offset
	f.seq++
	f.bytes += int64(len(raw))
	heap.Push(&f.held, held{exchange: x, at: x.At.UnixNano(), seq: f.seq, size: int64(len(raw))})
}

func (f *file) malformed(offset int64, what string) {
	f.log.Records++
	f.log.Malformed++
	f.log.Warn(f.name, offset, what)
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

func (f *file) cut() bool {
	c, ok := f.in.(interface{ Cut() bool })
	return ok && c.Cut()
}

func (r *request) carriesSecrets() bool {
	for _, h := range r.Headers {
		if traffic.EqualName(h.Name, "Cookie") || traffic.EqualName(h.Name, "Authorization") {
			return true
		}
	}
	return false
}

// held is an exchange that waits for those before it.
type held struct {
	exchange *traffic.Exchange
	at, seq  int64
	size     int64
}

// entries is a heap by time, then by place in the file.
type entries []held

func (h entries) Len() int { return len(h) }
func (h entries) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h entries) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *entries) Push(x any)   { *h = append(*h, x.(held)) }
func (h *entries) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = held{}
	*h = old[:len(old)-1]
	return last
}
