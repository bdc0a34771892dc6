package judge

import (
	"fmt"
	"math"
	"slices"

	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// trial holds one limit to the evidence of a group, in the way that suits the
// metric:
//
//	quantile, max       share of the requests over the limit, exactly (Clopper-Pearson); bounds by order statistics
//	quantile, increase  paired by request: McNemar's test across the quantile, sign test among the slowest
//	mean                Student's t, on differences of pairs for an increase
//	slowest answer      a fact; an increase counts only if it happened five times apart
//	share, max          exact bounds (Clopper-Pearson); a limit of nothing, or of everything, is a fact
//	share, increase     paired by request: exact test of McNemar, bounds for the margin
//	throughput          a fact
//
// "No request at all" is no statement about a rate that the replayed requests
// are a sample of: 0 % was kept or was not. That is why 60 requests without a
// mismatch pass a limit of 0 %, and do not pass one of 0.1 %, which nobody can
// see with 60 requests. Put the other way round: who wants to say something
// about the requests that were not replayed has to state a rate above zero, and
// bring the number of requests that it takes.
func (g *gate) trial(h *held, s *scored) trial {
	switch {
	case g.fact(h):
		return trial{fact: true}
	case g.info.of != 0 && h.increase:
		return g.moreErrors(h.limit, s.group)
	case g.info.of != 0:
		return g.share(h.limit, s)
	case g.Metric == LatencyMax:
		return g.slower(h.limit, s.group)
	case g.Metric == LatencyMean && h.increase:
		return g.meanIncrease(h.limit, s.group)
	case g.Metric == LatencyMean:
		return g.mean(h.limit, s.group)
	case h.increase:
		return g.quantileIncrease(h.limit, s.group)
	}
	return g.quantile(h.limit, s)
}

// fact reports whether a limit is about what was replayed and nothing else.
func (g *gate) fact(h *held) bool {
	switch {
	case g.Metric == Throughput:
		return true
	case h.increase:
		return false
	case g.Metric == LatencyMax:
		return true
	}
	return g.info.of != 0 && (h.limit == g.Max && h.limit.Value <= 0 || h.limit == g.Min && h.limit.Value >= 1)
}

// share holds a share to max or min.
func (g *gate) share(l *Limit, s *scored) trial {
	x, clusters := s.group.hits(g.info.of, g.info.hit)
	return g.rate(l.Value, l == g.Min, x, clusters)
}

// rate holds the share of hits to a limit.
func (g *gate) rate(limit float64, least bool, x []float64, clusters []uint32) trial {
	alpha := 1 - g.Confidence
	effect := stat.DesignEffect(x, clusters, g.Confidence)
	k := 0.0
	for _, v := range x {
		k += v
	}
	k, n := k/effect, float64(len(x))/effect
	t := trial{estimate: k / n, bounds: stat.ShareBounds(k, n, g.Confidence)}
	t.more = func() float64 { return more(n, stat.TrialsForShare(limit, k, n, g.Confidence), effect) }
	if least {
		t.p, t.within = stat.AtMost(k, n, limit), stat.AtLeast(k, n, limit) <= alpha
		t.detectable = func() float64 { return 1 - stat.DetectableShare(1-limit, n, g.Confidence) }
		return t
	}
	t.p, t.within = stat.AtLeast(k, n, limit), stat.AtMost(k, n, limit) <= alpha
	t.detectable = func() float64 { return stat.DetectableShare(limit, n, g.Confidence) }
	return t
}

// more is what is missing to need, where both count what stands alone.
func more(have, need, effect float64) float64 {
	if need <= have {
		return 0
	}
	return (need - have) * effect
}

// quantile holds a quantile to max or min. A quantile is over a limit when more
// than its share of the requests are, so it is judged as a share.
func (g *gate) quantile(l *Limit, s *scored) trial {
	times, least := s.group.alone, l == g.Min
	x := make([]float64, len(times.values))
	for i, v := range times.values {
		if least && !over(l.Value, float64(v)) || !least && over(float64(v), l.Value) {
			x[i] = 1
		}
	}
	q := float64(g.info.permille) / 1000
	t := g.rate(1-q, least, x, times.clusters)
	sorted := s.group.unpaired
	if len(sorted) == 0 {
		sorted = s.group.candidate
	}
	n := len(sorted)
	effect := stat.DesignEffect(x, times.clusters, g.Confidence)
	lower, upper := stat.QuantileRanks(n, q, effect, g.Confidence)
	t.estimate, t.bounds = s.value, stat.Interval{Lower: 0, Upper: math.Inf(1)}
	if lower >= 0 {
		t.bounds.Lower = float64(sorted[lower])
	}
	if upper < n {
		t.bounds.Upper = float64(sorted[upper])
	}
	t.detectable = func() float64 {
		// If all were slower in proportion until so many are over the limit.
		share := stat.DetectableShare(1-q, float64(n)/effect, g.Confidence)
		at := float64(sorted[min(max(int(float64(n)*(1-share)), 0), n-1)])
		return l.Value * s.value / max(at, 1)
	}
	return t
}

// quantileIncrease holds a quantile to what it is at the baseline.
func (g *gate) quantileIncrease(l *Limit, group *group) trial {
	q := float64(g.info.permille) / 1000
	limit := stat.Increase{By: l.Value, Relative: l.Relative}
	c := stat.CompareQuantile(&group.times, q, l.Relative, g.Confidence)
	t := trial{
		estimate: c.Increase.By,
		relative: l.Relative,
		p:        c.Above(limit),
		within:   c.Below(limit) <= 1-g.Confidence,
		bounds:   c.Bounds(g.Confidence),
	}
	t.scale(float64(len(group.times.Baseline)), l.Value, g.Confidence)
	t.also = func() string {
		typical, bounds := group.times.Typical(g.Confidence)
		if !l.Relative || bounds.Lower <= l.Value {
			return ""
		}
		return fmt.Sprintf("; a typical request takes %s longer (%s to %s)", result.FormatShare(typical, result.Digits),
			result.FormatShare(bounds.Lower, result.Digits), result.FormatShare(bounds.Upper, result.Digits))
	}
	return t
}

// scale says what it would take to decide, from how far the bounds reach now:
// they come closer with the square root of the number of samples.
func (t *trial) scale(n, limit, confidence float64) {
	t.more = func() float64 {
		reach := t.bounds.Upper - t.estimate
		if t.estimate > limit {
			reach = t.estimate - t.bounds.Lower
		}
		factor := reach / math.Abs(limit-t.estimate)
		if math.IsInf(reach, 0) || math.IsNaN(factor) || n*factor*factor > stat.MaxTrials {
			return 0
		}
		return max(n*(factor*factor-1), 0)
	}
	t.detectable = func() float64 {
		reach := t.estimate - t.bounds.Lower
		return limit + reach*(1+stat.Normal(stat.Power)/stat.Normal(confidence))
	}
}

// mean holds the mean latency to max or min.
func (g *gate) mean(l *Limit, group *group) trial {
	x := make([]float64, len(group.alone.values))
	for i, v := range group.alone.values {
		x[i] = float64(v)
	}
	m := stat.Mean(x, group.alone.clusters)
	t := trial{estimate: m.Mean, bounds: m.Bounds(g.Confidence), p: m.Above(l.Value), within: m.Below(l.Value) <= 1-g.Confidence}
	if l == g.Min {
		t.p, t.within = m.Below(l.Value), m.Above(l.Value) <= 1-g.Confidence
	}
	t.scale(float64(len(x)), l.Value, g.Confidence)
	return t
}

// meanIncrease holds the mean latency to what it is at the baseline, request by
// request.
func (g *gate) meanIncrease(l *Limit, group *group) trial {
	factor, offset := 1.0, l.Value
	if l.Relative {
		factor, offset = 1+l.Value, 0
	}
	differences := func(factor float64) stat.MeanBounds {
		x := make([]float64, len(group.times.Baseline))
		for i, b := range group.times.Baseline {
			x[i] = float64(group.times.Candidate[i]) - factor*float64(b)
		}
		return stat.Mean(x, group.times.Clusters)
	}
	m := differences(factor)
	t := trial{relative: l.Relative, p: m.Above(offset), within: m.Below(offset) <= 1-g.Confidence}
	t.estimate, t.bounds = m.Mean, m.Bounds(g.Confidence)
	if l.Relative {
		// The ratio of two means, with the error that its numerator has about it.
		baseline := max(mean(group.times.Baseline), 1)
		t.estimate = mean(group.times.Candidate)/baseline - 1
		around := differences(1 + t.estimate).Bounds(g.Confidence)
		t.bounds = stat.Interval{Lower: t.estimate + around.Lower/baseline, Upper: t.estimate + around.Upper/baseline}
	}
	t.scale(float64(len(group.times.Baseline)), l.Value, g.Confidence)
	return t
}

// slower holds the slowest answer to the baseline's slowest. No bounds exist for
// the maximum of an unknown distribution; but if both sides were equal, each
// answer slower than all of the baseline's would be the candidate's by the toss
// of a coin (Rosenbaum, Annals of Mathematical Statistics 25, 1954). Those that
// one hiccup explains count as one.
func (g *gate) slower(l *Limit, group *group) trial {
	bound := float64(group.baseline[len(group.baseline)-1])
	if l.Relative {
		bound *= 1 + l.Value
	} else {
		bound += l.Value
	}
	var at []int
	for i, v := range group.times.Candidate {
		if over(float64(v), bound) {
			at = append(at, i)
		}
	}
	apart := stat.Apart(at, len(group.times.Candidate))
	slowest, baseline := float64(group.candidate[len(group.candidate)-1]), float64(group.baseline[len(group.baseline)-1])
	t := trial{p: math.Pow(0.5, float64(apart)), within: apart == 0, relative: l.Relative, bounds: stat.Whole()}
	t.estimate = slowest - baseline
	if l.Relative {
		t.estimate = slowest/max(baseline, 1) - 1
	}
	t.more, t.detectable = func() float64 { return 0 }, func() float64 { return math.NaN() }
	return t
}

// moreErrors holds the error rate to the baseline's, request by request. What
// counts are the requests that ended in an error at one side alone.
func (g *gate) moreErrors(l *Limit, group *group) trial {
	var x []float64
	var clusters []uint32
	var worse, better, both float64
	for i, m := range group.marks {
		if m&isKnownPaired == 0 {
			continue
		}
		v := 0.0
		switch m & (isError | wasError) {
		case isError:
			v = 1
			worse++
		case wasError:
			v = -1
			better++
		case isError | wasError:
			both++
		}
		x = append(x, v)
		if len(group.sessions) > 0 {
			clusters = append(clusters, group.sessions[i])
		}
	}
	effect := stat.DesignEffect(x, clusters, g.Confidence)
	e := errorChange{worse / effect, better / effect, both / effect, float64(len(x)) / effect}
	return g.changeOfErrors(l, e, effect)
}

// errorChange counts requests by the sides at which they ended in an error.
type errorChange struct{ worse, better, both, n float64 }

func (g *gate) changeOfErrors(l *Limit, e errorChange, effect float64) trial {
	parts, limit := []stat.Part{{Weight: 1, Count: e.worse}, {Weight: -1, Count: e.better}}, l.Value
	t := trial{estimate: (e.worse - e.better) / e.n, bounds: stat.SumBounds(parts, e.n, g.Confidence)}
	none := l.Value == 0 // an increase of nothing, or by a share of nothing
	if l.Relative {
		limit, none = 0, none || e.better+e.both == 0
		parts = []stat.Part{{Weight: 1, Count: e.worse}, {Weight: -1 - l.Value, Count: e.better}, {Weight: -l.Value, Count: e.both}}
	}
	reaches := func(confidence float64) stat.Interval { return stat.SumBounds(parts, e.n, confidence) }
	t.within = reaches(g.Confidence).Upper <= limit
	t.p = stat.McNemar(e.worse, e.better)
	if none {
		// That no request got worse is a fact.
		t.within = t.within || e.worse == 0
	} else {
		t.p = max(t.p, stat.Level(func(confidence float64) bool { return reaches(confidence).Lower > limit }))
	}
	t.scale(e.n*effect, l.Value, g.Confidence)
	t.more = func() float64 { return moreForSum(parts, limit, e.n, g.Confidence) * effect }
	if l.Relative {
		t.detectable = func() float64 { return math.NaN() }
	}
	return t
}

// moreForSum is how many trials more, if they go on like those so far, decide
// whether the sum of their shares is above limit; 0: too many to ask for.
func moreForSum(parts []stat.Part, limit, n, confidence float64) float64 {
	decided := func(factor float64) bool {
		grown := slices.Clone(parts)
		for i := range grown {
			grown[i].Count *= factor
		}
		bounds := stat.SumBounds(grown, n*factor, confidence)
		return bounds.Upper <= limit || bounds.Lower > limit
	}
	few, enough := 1.0, 2.0
	for ; !decided(enough); enough *= 2 {
		if enough*n > stat.MaxTrials {
			return 0
		}
		few = enough
	}
	for range 12 {
		if mid := (few + enough) / 2; decided(mid) {
			enough = mid
		} else {
			few = mid
		}
	}
	return n * (enough - 1)
}
