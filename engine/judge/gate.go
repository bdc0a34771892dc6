package judge

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// gate is a Gate made ready to judge.
type gate struct {
	Gate
	info      MetricInfo
	limitText string
}

func compile(g Gate, cohorts []string) (*gate, error) {
	info, ok := ParseMetric(string(g.Metric))
	if !ok {
		return nil, fmt.Errorf("there is no metric %q", g.Metric)
	}
	if g.Max == nil && g.Min == nil && g.MaxIncrease == nil {
		return nil, errors.New("it has no limit: set max, min or max_increase")
	}
	if g.MaxIncrease != nil && !info.Paired {
		return nil, fmt.Errorf("%s has no value at the baseline that max_increase could compare with", g.Metric)
	}
	for _, l := range []*Limit{g.Max, g.Min, g.MaxIncrease} {
		if err := l.check(); err != nil {
			return nil, err
		}
	}
	for i, name := range g.Per {
		if name != Endpoint && !slices.Contains(cohorts, name) {
			return nil, fmt.Errorf("there is no cohort %q to judge per", name)
		}
		if slices.Contains(g.Per[:i], name) {
			return nil, fmt.Errorf("%q stands twice in per", name)
		}
	}
	if g.MinSamples <= 0 {
		g.MinSamples = info.MinSamples
	}
	if g.Confidence == 0 {
		g.Confidence = DefaultConfidence
	}
	if !(g.Confidence > 0.5 && g.Confidence < 1) {
		return nil, errors.New("its confidence is not between 50% and 100%")
	}
	if g.Decision == "" {
		g.Decision = ByInterval
	}
	if g.Decision != ByInterval && g.Decision != ByPoint {
		return nil, fmt.Errorf("there is no decision %q", g.Decision)
	}
	c := &gate{Gate: g, info: info}
	c.limitText = strings.Join(c.limits(), ", ")
	return c, nil
}

// check says why nothing can be held to a limit. No limit is no mistake.
func (l *Limit) check() error {
	switch {
	case l == nil:
		return nil
	case math.IsNaN(l.Value) || math.IsInf(l.Value, 0):
		return errors.New("a limit is not a number")
	case l.Relative && l.Value <= -1:
		return errors.New("a limit takes off all of the baseline's value")
	}
	return nil
}

// limits gives the limits as the spec has them: "max 250ms".
func (g *gate) limits() []string {
	var texts []string
	for _, l := range []struct {
		name  string
		limit *Limit
	}{{"max", g.Max}, {"min", g.Min}, {"max_increase", g.MaxIncrease}} {
		if l.limit != nil {
			texts = append(texts, l.name+" "+g.text(l.limit))
		}
	}
	return texts
}

func (g *gate) text(l *Limit) string {
	switch {
	case l.Text != "":
		return l.Text
	case l.Relative:
		return result.FormatShare(l.Value, result.Digits)
	}
	return g.info.Unit.Format(l.Value, result.Digits)
}

// scored is a gate's result at one group, and how bad it is.
type scored struct {
	result.Gate
	gate   *gate
	group  *group
	values []string
	figure figure
	held   []held  // the limits, unless there is nothing to hold to them
	p      float64 // of the hypothesis that all limits are kept; 1 where only facts decide
	excess float64 // observed value by limit; above 1 is over it
	value  float64
}

// sortWorst puts the worst results first.
func sortWorst(all []scored) {
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(
			cmp.Compare(b.Verdict, a.Verdict),
			cmp.Compare(b.excess, a.excess),
			cmp.Compare(b.value, a.value),
			slices.Compare(a.values, b.values),
		)
	})
}

// try holds the gate to all groups. The results have no verdict yet: that needs
// the results of the other gates.
func (g *gate) try(groups []*group, elapsed time.Duration) []scored {
	if len(groups) == 0 {
		return []scored{{Gate: g.blank(nil), gate: g, p: 1}}
	}
	all := make([]scored, len(groups))
	for i, group := range groups {
		all[i] = g.tryGroup(group, elapsed)
	}
	return all
}

// blank is the result without anything measured.
func (g *gate) blank(values []string) result.Gate {
	r := result.Gate{
		Name:    g.Name,
		Metric:  string(g.Metric),
		Verdict: result.Inconclusive,
		Cohort:  map[string]string{},
		Unit:    g.info.Unit,
		Limit:   g.limitText,
		Reason:  "no samples",
		Origin:  result.OriginOf(g.Origin),
		Snippet: g.Snippet,
	}
	for i, v := range values {
		r.Cohort[g.Per[i]] = v
	}
	return r
}

func (g *gate) tryGroup(group *group, elapsed time.Duration) scored {
	s := scored{Gate: g.blank(group.values), gate: g, group: group, values: group.values, p: 1}
	m := g.info.measure(group, elapsed)
	same := m.paired.samples == m.all.samples
	s.figure = m.all
	if g.Max == nil && g.Min == nil {
		s.figure = m.paired
		if s.figure.samples == 0 && m.all.samples > 0 {
			s.Reason = "nothing is known of the baseline at any of " + result.Plural(m.all.samples, "request")
			return s
		}
	}
	s.Samples = s.figure.samples
	if s.Samples == 0 {
		return s
	}
	s.Observed, s.value = &s.figure.value, s.figure.value
	if m.paired.samples > 0 && (same || g.MaxIncrease != nil) {
		s.Baseline = &m.baseline
	}
	if s.Samples < int64(g.MinSamples) {
		s.Reason = needed(s.Samples, g.MinSamples)
		return s
	}
	s.held = g.hold(m, s.figure, same)
	for _, h := range s.held {
		s.excess = max(s.excess, h.excess)
	}
	if g.Decision == ByInterval {
		g.weigh(&s)
	}
	return s
}

func needed(have int64, need int) string {
	return fmt.Sprintf("%s of %s needed", result.FormatCount(have), result.Plural(int64(need), "sample"))
}

// doubt takes a verdict back that the pairs or the harness do not carry.
func (s *scored) doubt(cfg *Config, unfit string) {
	if unfit != "" && s.gate.timed() && (s.Verdict == result.Pass || s.Verdict == result.Fail) {
		s.Verdict, s.Reason = result.Inconclusive, unfit
		return
	}
	g := s.group
	if s.Verdict == result.Fail && s.gate.Metric == MismatchesRate && g.doubtful == g.mismatched {
		s.Verdict = result.Inconclusive
		s.Reason = fmt.Sprintf("%s, but the baseline was asked again too seldom to know these differences from noise", s.Reason)
		return
	}
	if s.Verdict != result.Pass || s.gate.Metric != MismatchesRate ||
		float64(g.unjudged) <= cfg.MaxUnjudged*float64(g.unjudged+g.judged) {
		return
	}
	s.Verdict = result.Inconclusive
	s.Reason = fmt.Sprintf("%s of %s could not be judged", result.FormatCount(g.unjudged), result.Plural(g.unjudged+g.judged, "pair"))
}

// timed reports whether the metric is a matter of time, so that a machine that
// was too slow spoils it.
func (g *gate) timed() bool { return g.info.Unit != result.Share }

// held is one limit of a gate and how what was observed stands to it.
type held struct {
	limit    *Limit
	increase bool    // against the baseline
	over     bool    // the observed figure breaks the limit
	excess   float64 // the figure by the limit
	text     string  // what to say of the figure if the limit is broken
	named    bool    // text names the baseline's value
	missing  string  // why the limit could not be judged
	trial    trial   // what the evidence says; empty where the gate decides by point
}

// hold compares a measurement with the limits. A value that equals a limit is
// within it, whatever the last bit of a division says.
func (g *gate) hold(m measurement, f figure, same bool) (all []held) {
	if l := g.Max; l != nil {
		all = append(all, held{
			limit: l, over: over(f.value, l.Value), excess: ratio(f.value, l.Value),
			text: "over max " + g.text(l) + g.offset(f.value, l.Value),
		})
	}
	if l := g.Min; l != nil {
		all = append(all, held{
			limit: l, over: over(l.Value, f.value), excess: ratio(l.Value, f.value),
			text: "under min " + g.text(l) + g.offset(f.value, l.Value),
		})
	}
	if g.MaxIncrease != nil {
		all = append(all, g.holdIncrease(m, same))
	}
	return all
}

func (g *gate) holdIncrease(m measurement, same bool) held {
	f, l := m.paired, g.MaxIncrease
	h := held{limit: l, increase: true, named: true}
	if f.samples < int64(max(g.MinSamples, 1)) {
		h.missing = needed(f.samples, g.MinSamples) + " with a known baseline"
		return h
	}
	bound := m.baseline + l.Value
	if l.Relative {
		bound = m.baseline * (1 + l.Value)
	}
	h.excess, h.over = ratio(f.value, bound), over(f.value, bound)
	h.text = g.above(f.value, m.baseline) + " (max_increase " + g.text(l) + ")"
	if !same {
		h.text += fmt.Sprintf(" at the %s whose baseline is known, where it is %s", result.Plural(f.samples, "request"), g.format(f))
	}
	return h
}

// above says how far value is above the baseline's.
func (g *gate) above(value, baseline float64) string {
	by := ""
	switch l := g.MaxIncrease; {
	case !l.Relative && g.info.Unit == result.Share:
		by = strings.TrimSuffix(result.FormatShare(value-baseline, result.Digits), "%") + "pp "
	case !l.Relative:
		by = g.info.Unit.Format(value-baseline, result.Digits) + " "
	case baseline > 0:
		by = result.FormatShare(value/baseline-1, result.Digits) + " "
	}
	return by + "above the baseline's " + g.info.Unit.Format(baseline, result.Digits)
}

// over reports whether v is above limit by more than rounding explains.
func over(v, limit float64) bool {
	return v > limit+1e-12*math.Abs(limit)
}

// ratio is v by limit, where nothing by nothing is 0.
func ratio(v, limit float64) float64 {
	switch {
	case limit > 0:
		return v / limit
	case v > 0:
		return math.Inf(1)
	}
	return 0
}

// offset says how far v is from a limit: " (+24.8%)".
func (g *gate) offset(v, limit float64) string {
	if limit <= 0 {
		return ""
	}
	by := v/limit - 1
	text := result.FormatShare(by, result.Digits)
	if by > 0 {
		text = "+" + text
	}
	return " (" + text + ")"
}

// sentence joins the observed value and what there is to say of it to the
// sentence that a report prints.
func (s *scored) sentence(said string, baselineNamed bool) string {
	g := s.gate
	text := g.info.Label + " " + g.format(s.figure) + " is " + said
	if s.Baseline != nil && !baselineNamed {
		text += ", baseline " + g.info.Unit.Format(*s.Baseline, result.Digits)
	}
	if g.info.Unit != result.Share {
		text += ", " + result.Plural(s.Samples, "sample")
	}
	return text
}

// format writes an observed value, with as many digits as tell it apart from
// the limits.
func (g *gate) format(f figure) string {
	text := g.distinct(f.value)
	if g.info.Unit == result.Share {
		text += fmt.Sprintf(" (%s of %s)", result.FormatCount(f.count), result.FormatCount(f.samples))
	}
	return text
}

func (g *gate) distinct(v float64) string {
	for digits := result.Digits; ; digits++ {
		text := g.info.Unit.Format(v, digits)
		if digits >= 12 || !g.looksLikeLimit(v, text) {
			return text
		}
	}
}

func (g *gate) looksLikeLimit(v float64, text string) bool {
	for _, l := range []*Limit{g.Max, g.Min} {
		if l != nil && l.Value != v && g.info.Unit.Format(l.Value, result.Digits) == text {
			return true
		}
	}
	return false
}
