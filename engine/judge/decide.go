package judge

import (
	"fmt"
	"math"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Decision says by what a gate decides.
type Decision string

// The decisions.
const (
	// ByInterval asks what the samples prove: a gate passes or fails only if
	// both bounds of the figure are on the same side of the limit.
	ByInterval Decision = "interval"

	// ByPoint compares the observed figure with the limit, and never mind
	// chance. Two runs of the same build can get different verdicts.
	ByPoint Decision = "point"

	// byFact is how a limit is decided that speaks of the replayed requests
	// themselves and not of a rate that they are a sample of.
	byFact Decision = "fact"
)

// DefaultConfidence is that of a gate that says nothing.
const DefaultConfidence = 0.95

// trial is what the evidence says about one limit.
type trial struct {
	fact   bool    // nothing was estimated
	p      float64 // of the hypothesis that the limit is kept
	within bool    // the hypothesis that it is broken is rejected

	estimate float64
	bounds   stat.Interval
	relative bool // estimate and bounds are shares of the baseline's value

	// Worth knowing only where the limit is undecided, and dear.
	more       func() float64 // further samples that would decide; 0: unknown
	detectable func() float64 // the smallest figure that would be found over the limit
	also       func() string  // what else speaks for a limit being broken
}

// weigh asks what the evidence says about each limit.
func (g *gate) weigh(s *scored) {
	tests := 0
	for i := range s.held {
		h := &s.held[i]
		if h.missing != "" {
			continue
		}
		h.trial = g.trial(h, s)
		// Whatever a test says, it does not contradict what was observed.
		if !h.over {
			h.trial.p = 1
		} else {
			h.trial.within = false
		}
		if !h.trial.fact {
			tests++
			s.p = min(s.p, h.trial.p)
		}
	}
	s.p = min(1, s.p*float64(max(tests, 1)))
}

// tested reports whether chance had a part in the result.
func (s *scored) tested() bool {
	for _, h := range s.held {
		if s.gate.Decision == ByInterval && h.missing == "" && !h.trial.fact {
			return true
		}
	}
	return false
}

// settle gives all results of an audit their verdicts. A result passes if each
// limit is shown to be kept. That all of them pass needs no correction, since
// it takes an error in every one that is broken. One that fails fails the audit,
// however many there are, so the p-values of all gates and cohorts together are
// adjusted by Holm's method: two equal builds fail an audit with a probability
// of at most one minus the confidence.
func settle(tried [][]scored) {
	var tested []*scored
	var p []float64
	for i := range tried {
		for k := range tried[i] {
			if s := &tried[i][k]; s.tested() {
				tested = append(tested, s)
				p = append(p, s.p)
			} else {
				s.settle(0, 1)
			}
		}
	}
	holm, listed := stat.Holm(p), stat.BenjaminiHochberg(p)
	for i, s := range tested {
		factor := 1.0
		if p[i] > 0 {
			factor = holm[i] / p[i]
		}
		s.settle(len(p), factor)
		if alpha := 1 - s.gate.Confidence; s.Verdict == result.Inconclusive && listed[i] <= alpha && len(p) > 1 {
			s.Reason += fmt.Sprintf("; it stands out among the %d results", len(p))
		}
	}
}

// settle gives the verdict of a result. family is the number of results whose
// p-values were looked at, and factor what that multiplies them by.
func (s *scored) settle(family int, factor float64) {
	if len(s.held) == 0 {
		return // the reason stands already
	}
	s.Verdict = result.Pass
	var broken []string
	var undecided *held
	named := false
	for i := range s.held {
		h := &s.held[i]
		switch v := s.of(h, factor); {
		case v == result.Fail:
			broken = append(broken, h.text)
			named = named || h.named
			s.Verdict = result.Fail
		case v == result.Inconclusive:
			s.Verdict = s.Verdict.Merge(v)
			if undecided == nil {
				undecided = h
			}
		}
	}
	switch s.Verdict {
	case result.Fail:
		s.Reason = s.sentence(strings.Join(broken, " and "), named)
	case result.Pass:
		s.Reason = s.sentence("within "+strings.Join(s.gate.limits(), " and "), false)
	default:
		s.Reason = s.undecided(undecided, family)
	}
	s.report()
}

// of gives the verdict of one limit.
func (s *scored) of(h *held, factor float64) result.Verdict {
	alpha := 1 - s.gate.Confidence
	tests := 0.0
	for _, other := range s.held {
		if other.missing == "" && !other.trial.fact {
			tests++
		}
	}
	switch {
	case h.missing != "":
		return result.Inconclusive
	case s.gate.Decision == ByPoint || h.trial.fact:
		if h.over {
			return result.Fail
		}
		return result.Pass
	case h.trial.p*tests*factor <= alpha:
		return result.Fail
	case h.trial.within:
		return result.Pass
	}
	return result.Inconclusive
}

// undecided says why a limit could not be decided, and what it would take.
func (s *scored) undecided(h *held, family int) string {
	if h.missing != "" {
		return h.missing
	}
	g, t := s.gate, &h.trial
	var text string
	switch {
	case h.increase && h.over:
		text = s.sentence(h.text, true)
	case h.increase && s.Baseline != nil:
		text = s.sentence("within max_increase "+g.text(h.limit)+" of the baseline's "+g.info.Unit.Format(*s.Baseline, result.Digits), true)
	case h.over:
		text = s.sentence(h.text, true)
	case h.limit == g.Min:
		text = s.sentence("within min "+g.text(h.limit), true)
	default:
		text = s.sentence("within max "+g.text(h.limit), true)
	}
	text += ", but " + s.doubtful(h, family)
	if more := t.more(); more > 0 {
		s.MoreSamples = int64(math.Ceil(more))
		text += "; about " + result.Plural(s.MoreSamples, "more sample") + " would decide"
	}
	if h.trial.also != nil {
		text += h.trial.also()
	}
	return text
}

// doubtful names the bound that keeps a limit from being decided.
func (s *scored) doubtful(h *held, family int) string {
	g, t := s.gate, &h.trial
	if t.p <= 1-g.Confidence {
		return fmt.Sprintf("among %d results one may well be so by chance", family)
	}
	bound, word := t.bounds.Upper, "as high as "
	if h.over != (h.limit == g.Min) {
		bound, word = t.bounds.Lower, "as low as "
	}
	limit := h.limit.Value
	if math.IsInf(bound, 0) || bound != limit && (bound > limit) == (t.estimate > limit) {
		return "there are too few samples to be sure"
	}
	return "may be " + word + s.figureOf(h, bound)
}

// figureOf writes a bound in the way in which the limit is written.
func (s *scored) figureOf(h *held, v float64) string {
	unit := s.gate.info.Unit
	switch {
	case !h.increase:
		return unit.Format(v, result.Digits)
	case h.trial.relative:
		return signed(v, result.FormatShare(math.Abs(v), result.Digits))
	case unit == result.Share:
		return signed(v, strings.TrimSuffix(result.FormatShare(math.Abs(v), result.Digits), "%")+"pp")
	}
	return signed(v, unit.Format(math.Abs(v), result.Digits))
}

// signed writes an increase so that a reader sees that it is one.
func signed(v float64, text string) string {
	if v < 0 {
		return "-" + text
	}
	return "+" + text
}

// report puts down the bounds for people and machines.
func (s *scored) report() {
	s.Decision = string(s.gate.Decision)
	if s.gate.Decision != ByInterval {
		return
	}
	s.Decision = string(byFact)
	for i := range s.held {
		h := &s.held[i]
		if h.missing != "" || h.trial.fact {
			continue
		}
		s.Decision, s.Confidence = string(ByInterval), s.gate.Confidence
		t := &h.trial
		b := &result.Bounds{Estimate: t.estimate, Relative: t.relative, Lower: finite(t.bounds.Lower), Upper: finite(t.bounds.Upper)}
		if s.Verdict != result.Fail {
			b.Detectable = finite(t.detectable())
		}
		if h.increase {
			s.Increase = b
		} else {
			s.Value = b
		}
	}
}

// finite gives nil for what is not a number that JSON has.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
