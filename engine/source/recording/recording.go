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

// Reader is a source of exchanges, with counters, warnings and its progress.
type Reader struct {
	*source.Reader[*file]
	metas []*Meta // of the files as they begin
	meta  *Meta   // of the last exchange
}

var _ source.Source = (*Reader)(nil)

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
	r := new(Reader)
	inputs, meter, err := source.Inputs(names, func(name string) (int64, error) {
		first, meta, err := look(name, &cfg)
		r.metas = append(r.metas, meta)
		return first, err
	})
	if err != nil {
		return nil, err
	}
	log := new(source.Ledger)
	r.Reader = source.NewReader(inputs, meter, log, func(name string, in io.ReadCloser) (*file, error) {
		return newFile(name, in, &cfg, log)
	})
	return r, nil
}

// look says when a recording begins and what it says of itself. One that begins
// with no exchange begins as early as there is a time.
func look(name string, cfg *Config) (first int64, meta *Meta, err error) {
	f, err := openFile(name, cfg)
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
	f, err := openFile(name, &Config{Identities: identities, Now: never})
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
	f, err := r.NextStream(ctx)
	if err != nil {
		return nil, err
	}
	r.meta = f.meta
	return f.current, nil
}

// Meta returns what the recording of the last exchange says of itself, nil where
// it says nothing.
func (r *Reader) Meta() *Meta { return r.meta }

// Metas returns what each of the files says of itself as it begins.
func (r *Reader) Metas() []*Meta { return r.metas }
