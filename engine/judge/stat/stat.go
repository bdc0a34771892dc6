// Package stat is the statistics behind a verdict: bounds and p-values that
// hold for latencies and counts as they are, without a bell curve in sight. It
// knows numbers and nothing else.
//
// All of it is deterministic: nothing is resampled, so the same figures give
// the same bounds on every machine. Where requests influence their neighbours,
// counts are divided by a design effect before an exact method sees them, which
// is why counts are floating-point numbers here.
//
// A p-value is the probability of evidence at least this strong if the
// hypothesis were true. A confidence of 0.95 is that of each bound by itself.
package stat

import "math"

// Interval holds what is likely, with a stated confidence for either end. An
// end that the evidence does not reach is an infinity or the edge of what is
// possible.
type Interval struct {
	Lower, Upper float64
}

// Whole is the interval of which nothing is known.
func Whole() Interval { return Interval{math.Inf(-1), math.Inf(1)} }

// Level gives the p-value of a hypothesis that bounds of some confidence reject,
// given a function that says whether those of this confidence do.
func Level(rejects func(confidence float64) bool) float64 {
	if !rejects(0.5) {
		return 1
	}
	// Confidence close to 1 is what matters: look for it on a logarithmic scale.
	from, to := math.Log(1e-9), math.Log(0.5)
	for range 20 {
		if mid := (from + to) / 2; rejects(1 - math.Exp(mid)) {
			to = mid
		} else {
			from = mid
		}
	}
	return math.Exp(to)
}
