// Package record turns any source into a recording: exchanges go through the
// same intake as in a run, and what comes out of it scrubbed is written down.
// Nothing is sent, and nothing reaches the disk that was not scrubbed. Sessions
// get pseudonyms and the recorder's own ids are left out, since both may hold
// the address of a client.
package record

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/access"
	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Options are what recording needs beside the plan.
type Options struct {
	Path string // of the recording, which must not exist yet
	Seed uint64 // decides samples

	Version string        // of the tool, for the recording
	Retain  time.Duration // how long the recording may be read; 0: forever

	// Recipients are those who can read the recording; nil: it is not encrypted.
	Recipients []Recipient

	// Access is with what right the files of the source are read. Its log tells of
	// the recording, too.
	Access intake.Access

	// Budget bounds what is recorded. Without one a live source is recorded
	// until the context ends.
	Budget intake.Budget

	// Listening is told where a live source expects its traffic. It may be nil.
	Listening func(source, where string)

	// Getenv finds environment variables that the plan names. It may be nil:
	// there are none then.
	Getenv func(name string) (value string, ok bool)
}

// Summary says what was recorded.
type Summary struct {
	Traffic  result.Traffic // Selected are those that were to be recorded
	Recorded int64
	TooLarge int64 // selected, but larger than the format allows
	Bytes    int64 // of the file; 0: there is none
	Scrub    result.Scrub
	Expires  time.Time // zero: the recording may be kept
	Sealed   int       // how many recipients it is encrypted for; 0: it is not
	Notes    []result.Note
}

// ErrNotScrubbed is an audit that says scrub = none.
var ErrNotScrubbed = errors.New("scrub = none: nothing is recorded that was not scrubbed")

// unrepeatable warns of a recording whose responses cannot be a baseline.
const unrepeatable = "The scrub key was drawn for this recording and is gone: where its responses hold personal data, " +
	"no candidate can answer the same. Name a key in scrub.key_env, for record and for run, to compare with them."

// FileError is a recording that cannot be created, or not be written.
type FileError struct{ Err error }

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the file.
func (e *FileError) Unwrap() error { return e.Err }

// Make records the traffic of an audit until its source ends, or ctx does. The
// file is closed properly in any case, except where the disk fails; without an
// exchange in it there is none. The error is ErrNotScrubbed, a *FileError, that
// of ctx, or says what is wrong with the source or the scrubber.
func Make(ctx context.Context, p *plan.Audit, opts Options) (*Summary, error) {
	if p.Scrub.Disabled != "" {
		return &Summary{}, ErrNotScrubbed
	}
	if opts.Getenv == nil {
		opts.Getenv = func(string) (string, bool) { return "", false }
	}
	key, err := intake.Key(&p.Scrub, opts.Getenv)
	if err != nil {
		return &Summary{}, err
	}
	w, err := create(opts.Path, opts.Recipients)
	if err != nil {
		return &Summary{}, &FileError{err}
	}
	in, err := intake.Open(p, intake.Options{Seed: opts.Seed, Key: key, Responses: true, AnyMethod: true, Budget: opts.Budget, Access: opts.Access, Getenv: opts.Getenv})
	if err != nil {
		w.Close()
		os.Remove(opts.Path)
		return &Summary{}, err
	}
	defer in.Close()
	m := describe(p, in.Scrub(), opts)
	if err = opts.Access.For(p.Name).Note(access.Create, opts.Path, m.ID); err == nil {
		err = w.Describe(m)
	}
	if err != nil {
		w.Close()
		os.Remove(opts.Path)
		return &Summary{}, &FileError{err}
	}
	if where := in.Listening(); where != "" && opts.Listening != nil {
		opts.Listening(p.Source.String(), where)
	}
	s := new(Summary)
	reading := ctx
	if p.Source.Live { // whose end is when somebody says so
		defer context.AfterFunc(ctx, in.Stop)()
		reading = context.WithoutCancel(ctx)
	}
	err = s.copy(reading, in, w)
	if closed := w.Close(); closed != nil && !errors.As(err, new(*FileError)) {
		err = &FileError{closed}
	}
	s.Expires, s.Sealed = m.Expires, len(opts.Recipients)
	if info, statErr := os.Stat(opts.Path); statErr == nil {
		s.Bytes = info.Size() // which encryption makes more than the writer knows
	}
	if s.Recorded == 0 {
		s.Bytes = 0
		noted := opts.Access.For(p.Name).Note(access.Remove, opts.Path, m.ID)
		if removed := errors.Join(os.Remove(opts.Path), noted); removed != nil && err == nil {
			err = &FileError{removed}
		}
	}
	if err == nil || err == ctx.Err() {
		err = cmp.Or(err, acknowledge(ctx, in))
	}
	s.Traffic = in.Traffic()
	s.Scrub = in.Scrub()
	s.Notes = append(in.SourceNotes(), in.RuleNotes()...)
	if key == nil && s.Recorded > 0 && p.Baseline.Recorded {
		s.Notes = append(s.Notes, result.Note{Severity: "warning", Text: unrepeatable})
	}
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*FileError)) {
		err = fmt.Errorf("source.%s could not be read to its end: %w", p.Source, err)
	}
	return s, err
}

// describe is what a recording says of itself. A random id names it in a log,
// since its name may change and its bytes tell nothing.
func describe(p *plan.Audit, s result.Scrub, opts Options) recording.Meta {
	var id [16]byte
	rand.Read(id[:])
	m := recording.Meta{
		ID: hex.EncodeToString(id[:]), KeyID: s.KeyID, Packs: s.Packs, Rules: intake.RulesDigest(&p.Scrub),
		Tool: opts.Version, Created: time.Now().UTC(),
	}
	if opts.Retain > 0 {
		m.Expires = m.Created.Add(opts.Retain)
	}
	return m
}

// acknowledge tells the source that all it gave is on the disk, for which it
// has a moment of its own when ctx has ended.
func acknowledge(ctx context.Context, in *intake.Intake) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return in.Acknowledge(ctx)
}

func (s *Summary) copy(ctx context.Context, in *intake.Intake, w *recording.Writer) error {
	acknowledged := time.Now()
	for {
		if time.Since(acknowledged) > time.Second { // a bus hands out only so many messages that nobody has confirmed
			if err := w.Flush(); err != nil {
				return &FileError{err}
			}
			if err := acknowledge(ctx, in); err != nil {
				return err
			}
			acknowledged = time.Now()
		}
		step, err := in.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		x := anonymous(step.Exchange, in.Scrubber().Session)
		switch err := w.Write(x); {
		case err == nil:
			s.Recorded++
		case errors.Is(err, recording.ErrTooLarge):
			s.TooLarge++
		default:
			return &FileError{err}
		}
	}
}

// anonymous takes out what the scrubber leaves alone.
func anonymous(x *traffic.Exchange, pseudonym func(string) string) *traffic.Exchange {
	out := *x
	out.ID, out.Session = "", pseudonym(x.Session)
	return &out
}
