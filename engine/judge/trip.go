package judge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Abort ends a run early when a limit is broken beyond doubt. Where a gate looks
// once, at the end, this looks after every pair; so it asks for evidence that
// can be looked at any number of times (stat.Bet). An abort is a failure that
// need not be waited for: it never lets a candidate pass.
type Abort struct {
	Metric Metric // a share, or a quantile of the latencies

	// One of the two. A share or quantile over Max; or, against the baseline
	// request by request, one above it by more than MaxIncrease.
	Max         *Limit
	MaxIncrease *Limit

	Confidence float64 // that equal builds are not aborted; 0: DefaultAbortConfidence
}

// DefaultAbortConfidence is higher than that of a gate: what is aborted cannot
// be looked at again.
const DefaultAbortConfidence = 0.99

// Trip is an abort that came to pass.
type Trip struct {
	Metric   Metric
	Limit    string  // as the spec says it: "max 5%"
	Pairs    int64   // that were looked at
	Worse    int64   // of them, that spoke against the candidate
	Better   int64   // and for it, where both sides are compared
	Evidence float64 // of stat.Bet: what equal builds reach with a probability of at most one by this
	Reason   string  // one sentence
}

// thresholdPairs is the number of pairs from which a threshold is taken for the
// rest of the run, when a quantile is compared with the baseline's. A bet has to
// be placed before its outcome is known.
const thresholdPairs = 100

// abort watches one limit.
type abort struct {
	Abort
	info     MetricInfo
	bet      stat.Bet
	weight   float64 // of what the baseline did: more than 1 if more is allowed in proportion
	need     float64 // the evidence that trips
	limit    string
	probing  bool
	first    []int64 // latencies of both sides of the first pairs
	from     float64 // the threshold, once it is known
	watching bool
}

func newAbort(a Abort, probing bool) (*abort, error) {
	info, ok := ParseMetric(string(a.Metric))
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no metric %q", a.Metric)
	case !info.Abortable():
		return nil, errors.New("only shares and quantiles of the latencies can be watched while a run lasts")
	case (a.Max == nil) == (a.MaxIncrease == nil):
		return nil, errors.New("it needs one limit: max or max_increase")
	case a.MaxIncrease != nil && !info.Paired:
		return nil, errors.New("it has no value at the baseline that max_increase could compare with")
	}
	if err := cmp.Or(a.Max, a.MaxIncrease).check(); err != nil {
		return nil, err
	}
	if a.Confidence == 0 {
		a.Confidence = DefaultAbortConfidence
	}
	if !(a.Confidence > 0.5 && a.Confidence < 1) {
		return nil, errors.New("its confidence is not between 50% and 100%")
	}
	c := &abort{Abort: a, info: info, need: 1 / (1 - a.Confidence), probing: probing}
	g := gate{Gate: Gate{Max: a.Max, MaxIncrease: a.MaxIncrease}, info: info}
	c.limit = g.limits()[0]
	c.weight = 1
	if a.MaxIncrease != nil && a.MaxIncrease.Relative && info.of != 0 {
		c.weight += a.MaxIncrease.Value
	}
	if c.paired() {
		c.bet.Least = -c.weight
	}
	switch {
	case info.permille > 0 && a.Max != nil:
		c.bet.Limit = 1 - float64(info.permille)/1000
	case info.permille == 0 && a.Max != nil:
		c.bet.Limit = a.Max.Value
	case info.permille == 0 && !a.MaxIncrease.Relative:
		c.bet.Limit = a.MaxIncrease.Value
	}
	return c, nil
}

// paired reports whether outcomes speak for the candidate as well.
func (a *abort) paired() bool { return a.MaxIncrease != nil || a.compared() }

// compared reports whether mismatches are weighed against those of the baseline
// with itself.
func (a *abort) compared() bool { return a.Metric == MismatchesRate && a.probing }

// Tripped reports whether a limit of Config.Aborts is broken beyond doubt, and
// which was the first. It costs next to nothing.
func (j *Judge) Tripped() (Trip, bool) {
	if t := j.trip.Load(); t != nil {
		return *t, true
	}
	return Trip{}, false
}

// watch shows a pair to the aborts.
func (j *Judge) watch(p *Pair) {
	if len(j.aborts) == 0 || j.trip.Load() != nil {
		return
	}
	m := markOf(&row{outcome: p.Outcome}, endOfSide(p.Baseline), endOfSide(p.Candidate))
	for _, a := range j.aborts {
		outcome, counts := a.outcome(p, m)
		if !counts {
			continue
		}
		a.bet.Add(outcome)
		if outcome <= 0 {
			continue // the evidence did not grow
		}
		if t, tripped := a.tripped(); tripped {
			j.trip.Store(&t)
			return
		}
	}
}

func (a *abort) tripped() (Trip, bool) {
	evidence := a.bet.Evidence()
	if evidence < a.need {
		return Trip{}, false
	}
	t := Trip{
		Metric: a.Metric, Limit: a.limit, Evidence: evidence,
		Pairs:  a.bet.Count(func(float64) bool { return true }),
		Worse:  a.bet.Count(func(v float64) bool { return v > 0 }),
		Better: a.bet.Count(func(v float64) bool { return v <= -1 }),
	}
	t.Reason = fmt.Sprintf("%s is over %s beyond doubt: %s of %s", a.info.Label, a.limit, result.FormatCount(t.Worse), result.Plural(t.Pairs, "request"))
	if a.paired() {
		t.Reason = fmt.Sprintf("%s is over %s beyond doubt: only the candidate in %s, only the baseline in %s of %s",
			a.info.Label, a.limit, result.FormatCount(t.Worse), result.FormatCount(t.Better), result.Plural(t.Pairs, "request"))
	}
	return t, true
}

// outcome says how a pair speaks about the limit: 1 against the candidate, a
// negative number for it; counts is false if it does not speak at all.
func (a *abort) outcome(p *Pair, m mark) (outcome float64, counts bool) {
	switch {
	case a.info.permille > 0:
		return a.timed(p)
	case a.MaxIncrease != nil:
		return a.change(m&isError != 0, m&wasError != 0), m&isKnownPaired != 0
	case a.compared():
		counted := slices.ContainsFunc(p.ProbeDifferences, func(d Diff) bool { return d.IgnoredBy == "" })
		return a.change(m&isMismatched != 0, counted), m&isJudged != 0 && p.Probed
	}
	return a.change(m&a.info.hit != 0, false), m&a.info.of != 0
}

// change is what candidate and baseline did, as a number.
func (a *abort) change(candidate, baseline bool) float64 {
	return float64(one(candidate)) - a.weight*float64(one(baseline))
}

// timed is outcome for latencies.
func (a *abort) timed(p *Pair) (outcome float64, counts bool) {
	baseline, candidate := latency(p.Baseline), latency(p.Candidate)
	if candidate == 0 {
		return 0, false
	}
	if a.Max != nil {
		return a.change(over(float64(candidate), a.Max.Value), false), true
	}
	if baseline == 0 {
		return 0, false
	}
	by := stat.Increase{By: a.MaxIncrease.Value, Relative: a.MaxIncrease.Relative}
	if !a.watching {
		a.learn(baseline, int64(max(by.Without(candidate), 0)))
		return 0, false
	}
	return a.change(by.Without(candidate) > a.from, float64(baseline) > a.from), true
}

// learn takes the threshold from the first pairs, which then do not count.
func (a *abort) learn(baseline, candidate int64) {
	a.first = append(a.first, baseline, candidate)
	if len(a.first) < 2*thresholdPairs {
		return
	}
	slices.Sort(a.first)
	a.from, a.watching, a.first = quantile(a.first, a.info.permille), true, nil
}
