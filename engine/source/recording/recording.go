// Package recording is the source that reads our own format, which
// engine/recording describes. Files come in, plain or compressed once more,
// whole or cut; exchanges go out in the order of time that the files have among
// themselves, and within a file as they stand there.
//
// Every record is accounted for:
//
//	Records = Read + Malformed
//
// once Next has returned io.EOF. Malformed are the exchanges of damaged blocks,
// as many as the block says that it has; damage that hides how many they were
// counts as one record. Truncated counts files that end in the middle of a
// block, or of their compression; what was in an unfinished block counts as
// malformed where its header survived.
package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	format "github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// ErrNotRecording is a file that is not in our format.
var ErrNotRecording = format.ErrNotRecording

// Config says what to read.
type Config struct {
	Name  string   // of the source block; every exchange carries it
	Paths []string // files or globs
}

// Reader is a source of exchanges. It is used by one goroutine, except for
// Progress.
type Reader struct {
	meter *source.Meter
	merge *source.Merge[*file]
	log   *ledger
	err   error // final
}

var (
	_ source.Source     = (*Reader)(nil)
	_ source.Accountant = (*Reader)(nil)
	_ source.Warner     = (*Reader)(nil)
	_ source.Progress   = (*Reader)(nil)
	_ io.Closer         = (*Reader)(nil)
)

// ledger is where all files of a reader write down what became of a record.
type ledger struct {
	source.Counts
	source.Journal
}

// Open finds the files and looks at the beginning of each. A path that matches
// no file is an error that wraps fs.ErrNotExist; a file of another format is one
// that wraps ErrNotRecording.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	r := &Reader{meter: source.NewMeter(names), log: new(ledger)}
	parts := make([]source.Part[*file], 0, len(names))
	for _, name := range names {
		first, err := firstTime(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		parts = append(parts, source.Part[*file]{First: first, Open: func() (*file, error) {
			return openFile(name, cfg.Name, r.meter, r.log)
		}})
	}
	r.merge = source.NewMerge(parts)
	return r, nil
}

// firstTime returns the time of the first exchange, or the earliest time there
// is where a file begins with something else.
func firstTime(name string) (int64, error) {
	f, err := openFile(name, "", nil, new(ledger))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	x, err := f.reader.Next()
	var damage *format.DamageError
	switch {
	case err == nil:
		return x.At.UnixNano(), nil
	case err == io.EOF, errors.As(err, &damage):
		return math.MinInt64, nil // to be accounted for when it is its turn
	}
	return 0, err
}

// Next returns the next exchange.
func (r *Reader) Next(ctx context.Context) (*traffic.Exchange, error) {
	if r.err != nil {
		return nil, r.err
	}
	f, err := r.merge.Next(ctx)
	if err != nil {
		r.err = err
		return nil, err
	}
	r.log.Read++
	if f.current.Response != nil {
		r.log.Paired++
	}
	return f.current, nil
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
