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
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

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

	// Identities gives the age identities of whoever reads. It is called for an
	// encrypted recording only, and may be nil: there are none then.
	Identities func() (format.Identities, error)

	// Opened is told of each file before an exchange is taken out of it, and of
	// what the recording says of itself, nil where it says nothing. An error
	// refuses the file. It may be nil.
	Opened func(file string, m *format.Meta) error

	Now func() time.Time // for what may be kept until some day; nil: time.Now
}

// Meta is what a recording says of itself.
type Meta = format.Meta

// ExpiredError is a recording that may no longer be read.
type ExpiredError struct{ At time.Time }

// Error names the day and what to do.
func (e *ExpiredError) Error() string {
	return fmt.Sprintf("the recording was to be kept until %s and is read no more: remove it with shadowaudit purge, and record again", e.At.UTC().Format("2006-01-02 15:04 MST"))
}

// Reader is a source of exchanges. It is used by one goroutine, except for
// Progress.
type Reader struct {
	meter *source.Meter
	merge *source.Merge[*file]
	log   *ledger
	metas []*Meta // of the files as they begin
	meta  *Meta   // of the last exchange
	err   error   // final
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
// that wraps ErrNotRecording, one that may no longer be read an *ExpiredError,
// and one that cannot be decrypted wraps an error of package engine/recording.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Reader{meter: source.NewMeter(names), log: new(ledger)}
	parts := make([]source.Part[*file], 0, len(names))
	for _, name := range names {
		first, meta, err := look(name, &cfg)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		r.metas = append(r.metas, meta)
		parts = append(parts, source.Part[*file]{First: first, Open: func() (*file, error) {
			return openFile(name, &cfg, r.meter, r.log)
		}})
	}
	r.merge = source.NewMerge(parts)
	return r, nil
}

// look says when a recording begins and what it says of itself. One that begins
// with no exchange begins as early as there is a time.
func look(name string, cfg *Config) (first int64, meta *Meta, err error) {
	f, err := openFile(name, cfg, nil, new(ledger))
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	meta = f.meta
	if cfg.Opened != nil {
		if err := cfg.Opened(name, meta); err != nil {
			return 0, nil, err
		}
	}
	x, err := f.reader.Next()
	var damage *format.DamageError
	switch {
	case err == nil:
		return x.At.UnixNano(), meta, nil
	case err == io.EOF, errors.As(err, &damage):
		return math.MinInt64, meta, nil // to be accounted for when it is its turn
	}
	return 0, nil, err
}

// Describe returns what a recording says of itself as it begins, nil where it says
// nothing, and reads no exchange. It also tells of one that may no longer be
// read.
func Describe(name string, identities func() (format.Identities, error)) (*Meta, error) {
	never := func() time.Time { return time.Time{} } // at which nothing has expired
	f, err := openFile(name, &Config{Identities: identities, Now: never}, nil, new(ledger))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return f.meta, f.Close()
}

// Is reports whether a file begins like a recording, encrypted or not. It looks
// at nothing else in it.
func Is(name string) (bool, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return false, err
	}
	defer in.Close()
	start, err := bufio.NewReader(in).Peek(format.SealedSize)
	if err != nil && err != io.EOF {
		return false, err
	}
	return format.IsSealed(start) || format.IsRecording(start), nil
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
	r.meta = f.meta
	return f.current, nil
}

// Meta returns what the recording of the last exchange says of itself, nil where
// it says nothing.
func (r *Reader) Meta() *Meta { return r.meta }

// Metas returns what each of the files says of itself as it begins.
func (r *Reader) Metas() []*Meta { return r.metas }

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
