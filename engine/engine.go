// Package engine runs plans: it wires the stages of each audit, owns their
// goroutines, and tells observers how far it is.
//
//	source -> scrub -> select -> replay (baseline + candidate) -> compare -> judge -> result
//
// Exchanges flow one at a time through bounded queues, so the memory of a run
// does not grow with the recording; what is kept of a pair is a few numbers
// and, once for each kind of difference, an example.
package engine

import (
	"context"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Options are what a run needs beside its plans.
type Options struct {
	Version string   // of the tool, for the result
	Seed    uint64   // decides samples and which side is asked first
	Only    []string // names of the audits to run; nil: all

	// Budget bounds the traffic of each audit. Without one an audit of a live
	// source goes on until the context ends.
	Budget Budget

	// Hard ends what is in flight at once, where the end of the context that
	// Run gets only keeps more from being sent. It may be nil.
	Hard context.Context

	// Access is with what right the files of the sources are read.
	Access Access

	// Getenv finds environment variables that a plan names. It may be nil:
	// there are none then.
	Getenv func(name string) (value string, ok bool)

	// SelfTest breaks the candidate's answers on purpose, beside judging them as
	// they are, to find out which gates would notice.
	SelfTest bool

	// Calibrate compares the baseline with itself first. Where a gate fails
	// then, this machine cannot judge by the time that things take.
	Calibrate bool

	// Minimize sends the examples of the first differences again once the replay
	// is over, in parts, to find the smallest request that shows each.
	Minimize bool

	// Observer is told how the run goes. It may be nil.
	Observer Observer
}

// Budget says how much traffic an audit takes from its source.
type Budget = intake.Budget

// Access is with what right files of traffic are read.
type Access = intake.Access

// UnknownAuditError is a name in Options.Only that no plan has.
type UnknownAuditError = plan.UnknownAuditError

// Run runs the audits of the plans one after the other, so that none disturbs
// the measurements of another, and returns what they found. What goes wrong in
// an audit is part of its result; an error is returned only for options that
// do not fit the plans. When ctx ends nothing more is sent, what is in flight
// is waited for, and the result says that it is not the whole.
func Run(ctx context.Context, plans []*plan.Plan, opts Options) (*result.Run, error) {
	audits, err := plan.Choose(plans, opts.Only)
	if err != nil {
		return nil, err
	}
	if opts.Hard == nil {
		opts.Hard = context.Background()
	}
	if opts.Observer == nil {
		opts.Observer = ObserverFunc(func(Event) {})
	}
	if opts.Getenv == nil {
		opts.Getenv = func(string) (string, bool) { return "", false }
	}
	run := &result.Run{
		FormatVersion: result.FormatVersion,
		Tool:          result.Tool{Name: "shadowaudit", Version: opts.Version},
		Seed:          opts.Seed,
		StartedAt:     time.Now().UTC(),
	}
	start := time.Now()
	for _, p := range plans {
		for _, f := range p.Files {
			run.Specs = append(run.Specs, result.Spec{Path: f.Path, SHA256: f.SHA256})
		}
	}
	for _, a := range audits {
		run.Audits = append(run.Audits, runAudit(ctx, a, opts))
	}
	for i := range run.Audits {
		run.Verdict = run.Verdict.Merge(run.Audits[i].Verdict)
	}
	run.Interrupted = ctx.Err() != nil
	run.DurationNS = int64(time.Since(start))
	run.Normalize()
	return run, nil
}
