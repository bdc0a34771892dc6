package accesslog

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// file is one log. It stands on an exchange; lines that become none are
// accounted for and passed over.
type file struct {
	name   string
	in     io.ReadCloser
	text   *bufio.Reader
	parser parser
	log    *source.Ledger
	source string

	offset  int64 // of what is read next
	order   source.Order
	coarse  map[*traffic.Exchange]bool // of those held, the ones whose time is a whole second
	current *traffic.Exchange
	ended   bool

	twins twins // of nginx's subrequests

	second []*traffic.Exchange // of one second, to be handed out with times spread over it
	last   time.Time           // of the exchange handed out last
}

func newFile(cfg Config, name string, in io.ReadCloser, log *source.Ledger) (*file, error) {
	p, err := newParser(cfg.Format, cfg.Fields)
	if err != nil {
		return nil, err
	}
	window := cfg.Window
	if window <= 0 {
		window = 64 << 10
	}
	return &file{
		twins: newTwins(cfg.Format),
		name:  name, in: in, text: bufio.NewReaderSize(in, 64<<10), parser: p, log: log, source: cfg.Name,
		order: source.Order{Exchanges: window, Bytes: windowBytes}, coarse: make(map[*traffic.Exchange]bool),
	}, nil
}

// Advance moves to the next exchange.
func (f *file) Advance(ctx context.Context) error {
	if len(f.second) > 0 {
		f.current, f.second = f.second[0], f.second[1:]
		return nil
	}
	for !f.ended && !f.order.Full() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.read(); err != nil {
			return err
		}
	}
	f.current = f.order.Next()
	if f.current != nil && f.twins.leaves(f.current) {
		return f.Advance(ctx)
	}
	switch {
	case f.current == nil:
		return io.EOF
	case f.coarse[f.current]:
		f.spread()
	default:
		f.last = later(f.last, f.current.At)
	}
	if n := f.order.Late(); n > 0 && f.ended && f.order.First() == nil {
		f.log.Warn(f.name, -1, fmt.Sprintf("%d lines are more than %d lines out of order and were left where they are", n, f.order.Exchanges))
	}
	return nil
}

// spread takes out what is held of the second of the current exchange, and
// spreads it evenly over what is left of the second.
func (f *file) spread() {
	second := f.current.At
	group := []*traffic.Exchange{f.current}
	delete(f.coarse, f.current)
	for x := f.order.First(); x != nil && x.At.Equal(second) && f.coarse[x]; x = f.order.First() {
		delete(f.coarse, x)
		group = append(group, f.order.Next())
	}
	from, until := second, second.Add(time.Second)
	if f.last.After(from) && f.last.Before(until) {
		from = f.last
	}
	step := until.Sub(from) / time.Duration(len(group))
	for i, x := range group {
		x.At = from.Add(time.Duration(i) * step)
	}
	f.last = later(f.last, group[len(group)-1].At)
	f.second = group[1:]
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Exchange is the one that the file stands on.
func (f *file) Exchange() *traffic.Exchange { return f.current }

// Time is the time of the exchange.
func (f *file) Time() int64 { return f.current.At.UnixNano() }

// Close closes the log.
func (f *file) Close() error { return f.in.Close() }

// read takes in one line. Its error is that of the disk.
func (f *file) read() error {
	at := f.offset
	line, long, err := f.line()
	switch {
	case err == io.EOF:
		f.ended = true
		if source.IsCut(f.in) {
			f.log.Truncated++
			f.log.Warn(f.name, f.offset, "compressed data ends early or is damaged; what follows is lost")
		}
	case err != nil:
		return fmt.Errorf("read %s: %w", f.name, err)
	case long:
		f.log.Reject(f.name, at, fmt.Sprintf("line longer than %d MiB, left out", maxLine>>20))
		return nil
	}
	if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) > 0 {
		f.take(line, at)
	}
	return nil
}

// line reads up to the next line feed, and io.EOF with what stands behind the
// last one. The line is valid until the next call.
func (f *file) line() (line []byte, long bool, err error) {
	line, err = f.text.ReadSlice('\n')
	f.offset += int64(len(line))
	if err != bufio.ErrBufferFull {
		return line, false, err
	}
	line = bytes.Clone(line)
	for err == bufio.ErrBufferFull {
		var more []byte
		more, err = f.text.ReadSlice('\n')
		f.offset += int64(len(more))
		if long = long || len(line)+len(more) > maxLine; !long {
			line = append(line, more...)
		}
	}
	if long && err == io.EOF {
		err = nil // the next call finds the end
	}
	return line, long, err
}

// take makes an exchange of a line, or accounts for it.
func (f *file) take(line []byte, at int64) {
	e, err := f.parser.parse(line)
	if err == errComment {
		return
	}
	var x *traffic.Exchange
	if err == nil {
		x, err = e.exchange()
	}
	switch err {
	case nil:
	case errNotHTTP:
		f.log.Records++
		f.log.NotHTTP++
		return
	default:
		f.log.Reject(f.name, at, "line left out: "+err.Error())
		return
	}
	f.log.Records++
	x.Source, x.Offset = f.source, at
	if e.coarse {
		x.At = x.At.Truncate(time.Second)
		f.coarse[x] = true
	}
	if !e.coarse {
		f.log.NotHTTP += f.twins.add(x)
	}
	f.order.Add(x, int64(len(line))+overhead)
}

// overhead is what an exchange takes beside its text, in bytes, roughly.
const overhead = 512
