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
		if l != nil && (math.IsNaN(l.Value) || math.IsInf(l.Value, 0)) {
			return nil, errors.New("a limit is not a number")
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
	c := &gate{Gate: g, info: info}
	c.limitText = strings.Join(c.limits(), ", ")
	return c, nil
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
	values []string
	excess float64 // observed value by limit; above 1 is over it
	value  float64
}

// judge gives the results of the gate at all groups, worst first.
func (g *gate) judge(groups []*group, elapsed time.Duration, maxUnjudged float64) []result.Gate {
	if len(groups) == 0 {
		return []result.Gate{g.blank(nil)}
	}
	all := make([]scored, len(groups))
	for i, group := range groups {
		all[i] = g.judgeGroup(group, elapsed, maxUnjudged)
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(
			cmp.Compare(b.Verdict, a.Verdict),
			cmp.Compare(b.excess, a.excess),
			cmp.Compare(b.value, a.value),
			slices.Compare(a.values, b.values),
		)
	})
	results := make([]result.Gate, len(all))
	for i := range all {
		results[i] = all[i].Gate
	}
	return results
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

func (g *gate) judgeGroup(group *group, elapsed time.Duration, maxUnjudged float64) scored {
	s := scored{Gate: g.blank(group.values), values: group.values}
	m := g.info.measure(group, elapsed)
	same := m.paired.samples == m.all.samples
	figure := m.all
	if g.Max == nil && g.Min == nil {
		figure = m.paired
		if figure.samples == 0 && m.all.samples > 0 {
			s.Reason = "nothing is known of the baseline at any of " + result.Plural(m.all.samples, "request")
			return s
		}
	}
	s.Samples = figure.samples
	if figure.samples == 0 {
		return s
	}
	s.Observed, s.value = &figure.value, figure.value
	if m.paired.samples > 0 && (same || g.MaxIncrease != nil) {
		s.Baseline = &m.baseline
	}
	if figure.samples < int64(g.MinSamples) {
		s.Reason = needed(figure.samples, g.MinSamples)
		return s
	}
	c := g.check(m, figure, same)
	s.Verdict, s.excess = c.verdict, c.excess
	s.Reason = g.reason(c, figure, s.Baseline)
	if s.Verdict == result.Pass && g.Metric == MismatchesRate {
		s.doubt(group, maxUnjudged)
	}
	return s
}

func needed(have int64, need int) string {
	return fmt.Sprintf("%s of %s needed", result.FormatCount(have), result.Plural(int64(need), "sample"))
}

// doubt takes a pass back when too many pairs could not be judged.
func (s *scored) doubt(g *group, maxUnjudged float64) {
	if float64(g.unjudged) <= maxUnjudged*float64(g.unjudged+g.judged) {
		return
	}
	s.Verdict = result.Inconclusive
	s.Reason = fmt.Sprintf("%s of %s could not be judged", result.FormatCount(g.unjudged), result.Plural(g.unjudged+g.judged, "pair"))
}

// checked is what the limits of a gate say about a measurement.
type checked struct {
	verdict result.Verdict
	excess  float64
	broken  []string // what to say of the limits that are broken
	missing string   // why a limit could not be judged
	named   bool     // broken names the baseline's value
}

// check holds a measurement to the limits. A value that equals a limit is
// within it, whatever the last bit of a division says.
func (g *gate) check(m measurement, f figure, same bool) checked {
	c := checked{verdict: result.Pass}
	if l := g.Max; l != nil {
		c.excess = ratio(f.value, l.Value)
		if over(f.value, l.Value) {
			c.breach("over max " + g.text(l) + g.offset(f.value, l.Value))
		}
	}
	if l := g.Min; l != nil {
		c.excess = max(c.excess, ratio(l.Value, f.value))
		if over(l.Value, f.value) {
			c.breach("under min " + g.text(l) + g.offset(f.value, l.Value))
		}
	}
	if g.MaxIncrease != nil {
		g.checkIncrease(&c, m, same)
	}
	return c
}

func (c *checked) breach(text string) {
	c.verdict = result.Fail
	c.broken = append(c.broken, text)
}

func (g *gate) checkIncrease(c *checked, m measurement, same bool) {
	f, l := m.paired, g.MaxIncrease
	if f.samples < int64(max(g.MinSamples, 1)) {
		c.verdict = c.verdict.Merge(result.Inconclusive)
		c.missing = needed(f.samples, g.MinSamples) + " with a known baseline"
		return
	}
	bound := m.baseline + l.Value
	if l.Relative {
		bound = m.baseline * (1 + l.Value)
	}
	c.excess = max(c.excess, ratio(f.value, bound))
	if !over(f.value, bound) {
		return
	}
	text := g.above(f.value, m.baseline) + " (max_increase " + g.text(l) + ")"
	if !same {
		text += fmt.Sprintf(" at the %s whose baseline is known, where it is %s", result.Plural(f.samples, "request"), g.format(f))
	}
	c.named = true
	c.breach(text)
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

// reason is the sentence that a report prints.
func (g *gate) reason(c checked, f figure, baseline *float64) string {
	var b strings.Builder
	b.WriteString(g.info.Label + " " + g.format(f))
	switch {
	case c.verdict == result.Fail:
		b.WriteString(" is " + strings.Join(c.broken, " and "))
	case c.verdict == result.Inconclusive:
		return c.missing
	default:
		b.WriteString(" is within " + strings.Join(g.limits(), " and "))
	}
	if baseline != nil && !c.named {
		b.WriteString(", baseline " + g.info.Unit.Format(*baseline, result.Digits))
	}
	if g.info.Unit != result.Share {
		b.WriteString(", " + result.Plural(f.samples, "sample"))
	}
	return b.String()
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
