// Package preview says what a run would do, and sends nothing. Plans come in;
// their sources are read through the same stages as in a run, and a document
// goes out: what would be sent, how fast, what is left out and why, and what in
// the plan has nothing to do. Of recordings without a plan it says what is in
// them. The same plans, recordings and seed give the same bytes.
package preview

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Options are what a preview needs beside the plans.
type Options struct {
	Version string   // of the tool, for the document
	Seed    uint64   // decides samples
	Only    []string // names of the audits to look at; nil: all

	// Budget bounds the traffic of each audit. Of a live source nothing is
	// looked at without one.
	Budget intake.Budget

	// Access is with what right the files of the sources are read.
	Access intake.Access

	// Listening is told where a live source expects its traffic. It may be nil.
	Listening func(source, where string)

	// Getenv finds environment variables that a plan names. It may be nil:
	// there are none then.
	Getenv func(name string) (value string, ok bool)
}

// Make reads the sources of the plans. What goes wrong with one of them is in
// the document; the error is about options that do not fit the plans, or that
// of ctx.
func Make(ctx context.Context, plans []*plan.Plan, opts Options) (*Document, error) {
	audits, err := plan.Choose(plans, opts.Only)
	if err != nil {
		return nil, err
	}
	if opts.Getenv == nil {
		opts.Getenv = func(string) (string, bool) { return "", false }
	}
	doc := &Document{
		FormatVersion: FormatVersion, Tool: result.Tool{Name: "shadowaudit", Version: opts.Version},
		Seed: opts.Seed, Specs: []Spec{}, Audits: []Audit{},
	}
	for _, p := range plans {
		s := Spec{Path: p.Path, SHA256: p.SHA256, Variables: p.Variables}
		for _, f := range p.Files {
			s.Files = append(s.Files, result.Spec{Path: f.Path, SHA256: f.SHA256})
		}
		list(&s.Files)
		list(&s.Variables)
		doc.Specs = append(doc.Specs, s)
	}
	for _, p := range audits {
		a := look(ctx, p, opts)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a.normalize()
		doc.Audits = append(doc.Audits, a)
	}
	return doc, nil
}

// look previews one audit. Whatever happens, it returns something.
func look(ctx context.Context, p *plan.Audit, opts Options) Audit {
	a := Audit{
		Name:       p.Name,
		Origin:     result.OriginOf(p.Origin),
		PlanDigest: p.Digest(),
		Disabled:   p.Disabled,
		Source:     p.Source.String() + ": " + p.Source.Where(),
		Baseline:   result.Target{Name: p.Baseline.Name, URL: p.Baseline.URL},
		Candidate:  result.Target{Name: p.Candidate.Name, URL: p.Candidate.URL},
		Settings:   p.Settings,
	}
	if a.Disabled {
		return a
	}
	v := &view{audit: &a, plan: p}
	if err := v.run(ctx, opts); err != nil {
		a.Error = err.Error()
	}
	return a
}

// view is one audit while it is looked at.
type view struct {
	audit *Audit
	plan  *plan.Audit
	*tally
}

func (v *view) run(ctx context.Context, opts Options) error {
	key, err := v.key(opts)
	if err != nil {
		return err
	}
	if v.tally, err = newTally(v.plan); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if v.plan.Source.Live && opts.Budget == (intake.Budget{}) {
		return fmt.Errorf("source.%s is live: say how long to look at its traffic, as in --for 30s, or at how much, as in --count 100", v.plan.Source)
	}
	in, err := intake.Open(v.plan, intake.Options{Seed: opts.Seed, Key: key, Responses: true, Budget: opts.Budget, Access: opts.Access, Getenv: opts.Getenv, Skipped: v.skip, Scrubbed: v.persons.look})
	if err != nil {
		return err
	}
	defer in.Close()
	if where := in.Listening(); where != "" && opts.Listening != nil {
		opts.Listening(v.plan.Source.String(), where)
	}
	for {
		step, err := in.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			v.conclude(in)
			return fmt.Errorf("source.%s could not be read to its end: %w", v.plan.Source, err)
		}
		v.add(ctx, step)
	}
	v.conclude(in)
	return nil
}

// key returns the key of the run. Where there is none, because every run draws
// its own, it is made of the recording: the same surrogates then stand in every
// preview, and who could guess the key has the originals anyway.
func (v *view) key(opts Options) ([]byte, error) {
	key, err := intake.Key(&v.plan.Scrub, opts.Getenv)
	var missing *intake.MissingKeyError
	if errors.As(err, &missing) {
		v.note("warning", "The environment variable %s, which is to hold the scrub key, is not set. A run would end here.", missing.Name)
	}
	if key != nil || len(v.plan.Source.Paths) == 0 {
		return key, nil
	}
	if key, err = intake.RecordingKey(v.plan.Source.Paths); err != nil {
		return nil, fmt.Errorf("source.%s: %w", v.plan.Source, err)
	}
	return key, nil
}

func (v *view) note(severity, format string, args ...any) {
	v.audit.Notes = append(v.audit.Notes, result.Note{Severity: severity, Text: fmt.Sprintf(format, args...)})
}
