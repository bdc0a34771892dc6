package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/judge"
)

// calibratePairs is how many requests a calibration takes at most, when the
// budget of the run is no smaller.
const calibratePairs = 1000

// calibrate compares the baseline with itself, with the gates of the plan, where
// that is asked for. It is the machine that is on trial: a gate that fails now
// would fail a good candidate too.
func (a *audit) calibrate(ctx context.Context) error {
	if !a.opts.Calibrate || a.plan.Disabled || ctx.Err() != nil {
		return nil
	}
	switch {
	case a.plan.Baseline.Recorded:
		return errors.New("calibrate: a recorded baseline cannot be compared with itself; name a target as the baseline, or run without --calibrate")
	case a.plan.Source.Live:
		return errors.New("calibrate: live traffic cannot be replayed twice; record it first, or run without --calibrate")
	}
	p := *a.plan
	p.Candidate, p.Accepted = p.Baseline, nil
	opts := a.opts
	opts.SelfTest, opts.Minimize, opts.Observer = false, false, ObserverFunc(func(Event) {})
	if opts.Budget.Count == 0 || opts.Budget.Count > calibratePairs {
		opts.Budget.Count = calibratePairs
	}
	again := newAudit(&p, opts)
	again.calibrating = true
	if err := again.run(ctx); err != nil {
		return fmt.Errorf("calibrate: %w", err)
	}
	fit := judge.Calibrated(again.findings)
	a.unfit = fit.Reasons
	a.calibrated = again.result.Outcomes.Total
	return nil
}

// calibrationNote says in a report that a calibration found nothing. What it
// found is among the reasons for which the machine is unfit.
func (a *audit) calibrationNote() string {
	return fmt.Sprintf("Calibration: the baseline compared with itself broke no gate at %d requests.", a.calibrated)
}
