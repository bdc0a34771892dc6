// Package gor reads the recordings of GoReplay, every release of it. Files come
// in, plain or compressed, whole or cut; exchanges go out in the order of time,
// each with the response that has its id.
//
// The format has no lengths, no checksums and no escaping, and its records are
// out of order: responses come when they are complete, requests up to hundreds of
// records late. So the reader holds a window of records, and accounts for every
// one of them:
//
//	Records = Read + Paired + OrphanResponses + ReplayedResponses + Malformed + TruncatedRequests
//
// once Next has returned io.EOF. Each request is either read, malformed, or
// truncated; each response is paired, an orphan, malformed, or one to a replay.
// What stands between two separators and is not a record counts as one
// malformed record. A client that does not wait for responses can put several
// messages into one record: each counts as a record with its id and time, and
// what is left behind the last one as a malformed record. A record with nothing
// but an interim response (100 Continue) is none, since the real response comes
// in another one. Truncated also counts responses that are cut, which are
// paired nevertheless, and compressed files whose end is missing.
package gor

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// ErrNotRecording is a file without a single GoReplay record in it.
var ErrNotRecording = errors.New("not a GoReplay recording: no record in it")

// Config says what to read.
type Config struct {
	Name   string   // of the source block; every exchange carries it
	Paths  []string // files or globs
	Window Window
}

// Window bounds how far a response may be from its request, and how much is
// held in memory until it comes. A zero field means the default.
type Window struct {
	Records int   // held at once; default 65536
	Bytes   int64 // held at once; default 64 MiB

	// Reorder is how many records later a record of earlier time may still
	// come; default 1024. GoReplay sorts by 100 when it reads its own files,
	// but 1.3.2 was seen to write responses 414 records before their requests.
	Reorder int
}

func (w Window) withDefaults() Window {
	if w.Records <= 0 {
		w.Records = 64 << 10
	}
	if w.Bytes <= 0 {
		w.Bytes = 64 << 20
	}
	if w.Reorder <= 0 {
		w.Reorder = 1024
	}
	return w
}

// maxRecord is the largest record that is held, in bytes.
const maxRecord = 64 << 20

// Reader is a source of exchanges. It is used by one goroutine, except for
// Progress.
type Reader struct {
	meter  *source.Meter
	merge  *source.Merge[*file]
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

// ledger is where all parts of a reader write down what became of a record.
type ledger struct {
	source.Counts
	source.Journal
	junk int64 // of the malformed records, those without a first line
}

// Open finds the files and looks at the first record of each. A path that
// matches no file is an error that wraps fs.ErrNotExist; a file that has
// something in it but no record is one that wraps ErrNotRecording.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	inputs, meter, err := source.Inputs(names, firstTime)
	if err != nil {
		return nil, err
	}
	r := newReader(cfg, inputs, maxRecord)
	r.meter = meter
	return r, nil
}

func newReader(cfg Config, inputs []source.Input, limit int) *Reader {
	log := new(ledger)
	p := newParser()
	parts := make([]source.Part[*file], 0, len(inputs))
	for _, in := range inputs {
		parts = append(parts, source.Part[*file]{First: in.First, Open: func() (*file, error) {
			rc, err := in.Open()
			if err != nil {
				return nil, err
			}
			return newFile(in.Name, rc, limit, p, log), nil
		}})
	}
	return &Reader{
		merge:  source.NewMerge(parts),
		window: newWindow(cfg.Name, cfg.Window.withDefaults(), p, log),
		log:    log,
		meter:  new(source.Meter),
	}
}

// firstTime returns the time of the first record that has one, or the earliest
// time there is where a look at the beginning finds none: the file is then
// opened first, and what is in it accounted for.
func firstTime(name string) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	log := new(ledger)
	f := newFile(name, in, maxRecord, newParser(), log)
	defer f.Close()
	for range 100 {
		err := f.Advance(context.Background())
		if err == io.EOF {
			if log.junk > 0 && log.junk == log.Records && !in.Cut() {
				return 0, ErrNotRecording
			}
			break
		}
		if err != nil {
			return 0, err
		}
		if f.record.timed {
			return f.record.at, nil
		}
	}
	return math.MinInt64, nil
}

// Next returns the next exchange.
func (r *Reader) Next(ctx context.Context) (*traffic.Exchange, error) {
	for r.err == nil {
		if x := r.window.next(r.ended); x != nil {
			return x, nil
		}
		if r.ended {
			r.window.flush()
			r.err = io.EOF
			break
		}
		if r.err = ctx.Err(); r.err != nil {
			break
		}
		f, err := r.merge.Next(ctx)
		switch err {
		case nil:
			r.window.add(f)
		case io.EOF:
			r.ended = true
		default:
			r.err = err
		}
	}
	return nil, r.err
}

// Counts returns the counters as they are now.
func (r *Reader) Counts() source.Counts { return r.log.Counts }

// Warnings returns what was found wrong so far.
func (r *Reader) Warnings() []source.Warning { return r.log.Warnings() }

// Progress returns how many bytes of the files were read, and of how many.
func (r *Reader) Progress() (done, total int64) { return r.meter.Progress() }

// Close closes the files; Next then fails.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	return r.merge.Close()
}
