package stat

import (
	"math"
	"slices"
)

// QuantileRanks gives the ranks, from 0, of the order statistics that bound the
// quantile q of n values, whatever their distribution: the quantile is no less
// than the value at lower and no more than the one at upper, each with the
// given confidence (David and Nagaraja, Order Statistics, 2003, section 7.1).
// A rank of -1 or n says that no value reaches so far: it takes 59 values to
// bound a p95 from above. effect is the design effect of the values.
func QuantileRanks(n int, q, effect, confidence float64) (lower, upper int) {
	alone := float64(n) / effect
	alpha := 1 - confidence
	lower, upper = -1, n
	if AtMost(0, alone, q) <= alpha {
		most := root(0, alone, func(k float64) bool { return AtMost(k, alone, q) > alpha })
		lower = int(math.Floor(effect*most + 1e-9))
	}
	if AtLeast(alone, alone, q) <= alpha {
		fewest := root(0, alone, func(k float64) bool { return AtLeast(k, alone, q) <= alpha })
		upper = int(math.Ceil(effect*fewest-1e-9)) - 1
	}
	return min(lower, n-1), max(upper, 0)
}

// Pairs are two measurements of each of a number of requests, in the order of
// time. No value is negative.
type Pairs struct {
	Baseline, Candidate []int64
	Clusters            []uint32 // the session of each pair; empty: unknown

	sortedBaseline, sortedCandidate []int64
}

// Sorted gives sorted copies, which it makes once.
func (p *Pairs) Sorted() (baseline, candidate []int64) {
	if len(p.sortedBaseline) != len(p.Baseline) {
		p.sortedBaseline, p.sortedCandidate = slices.Clone(p.Baseline), slices.Clone(p.Candidate)
		slices.Sort(p.sortedBaseline)
		slices.Sort(p.sortedCandidate)
	}
	return p.sortedBaseline, p.sortedCandidate
}

// Increase is how far a candidate may be above its baseline: by a share of the
// baseline's value or by a number of its units.
type Increase struct {
	By       float64
	Relative bool
}

// Without gives a value of the candidate with the increase taken off.
func (i Increase) Without(candidate int64) float64 {
	if i.Relative {
		return float64(candidate) / (1 + i.By)
	}
	return float64(candidate) - i.By
}

// Quantile compares a quantile of both sides of the same requests.
type Quantile struct {
	Increase Increase // the estimate
	pairs    *Pairs
	q        float64
	effect   float64
}

// CompareQuantile estimates by how much the quantile q of the candidate is
// above the baseline's. There has to be a pair.
func CompareQuantile(p *Pairs, q float64, relative bool, confidence float64) *Quantile {
	sortedBaseline, sortedCandidate := p.Sorted()
	baseline, candidate := nearest(sortedBaseline, q), nearest(sortedCandidate, q)
	c := &Quantile{Increase: Increase{By: candidate - baseline, Relative: relative}, pairs: p, q: q}
	if relative {
		c.Increase.By = candidate/max(baseline, 1) - 1
	}
	c.effect = DesignEffect(c.changes(c.Increase), p.Clusters, confidence)
	return c
}

func nearest(sorted []int64, q float64) float64 {
	return float64(sorted[min(max(int(math.Ceil(q*float64(len(sorted))-1e-9))-1, 0), len(sorted)-1)])
}

// changes says of each pair whether, with the increase taken off, only the
// candidate exceeds the common quantile (1), or only the baseline (-1).
func (c *Quantile) changes(by Increase) []float64 {
	threshold := c.threshold(by)
	x := make([]float64, len(c.pairs.Baseline))
	for i, b := range c.pairs.Baseline {
		if by.Without(c.pairs.Candidate[i]) > threshold {
			x[i]++
		}
		if float64(b) > threshold {
			x[i]--
		}
	}
	return x
}

// count counts what changes tells.
func (c *Quantile) count(by Increase) (worse, better float64) {
	threshold := c.threshold(by)
	for i, b := range c.pairs.Baseline {
		over, was := by.Without(c.pairs.Candidate[i]) > threshold, float64(b) > threshold
		switch {
		case over && !was:
			worse++
		case was && !over:
			better++
		}
	}
	return worse, better
}

// threshold is the quantile of both sides together.
func (c *Quantile) threshold(by Increase) float64 {
	baseline, candidate := c.pairs.sortedBaseline, c.pairs.sortedCandidate
	n := len(baseline)
	rank := max(int(math.Ceil(c.q*float64(2*n)-1e-9)), 1)
	// Of the rank smallest, so many are the candidate's.
	lo, hi := max(0, rank-n), min(rank, n)
	for lo < hi {
		k := (lo + hi) / 2
		if by.Without(candidate[k]) < float64(baseline[rank-k-1]) {
			lo = k + 1
		} else {
			hi = k
		}
	}
	switch {
	case lo == 0:
		return float64(baseline[rank-1])
	case lo == rank:
		return by.Without(candidate[lo-1])
	}
	return max(by.Without(candidate[lo-1]), float64(baseline[rank-lo-1]))
}

// Above gives the p-value of the hypothesis that the increase is at most limit.
//
// It joins two tests, each with half of the level. The first is McNemar's on
// the pairs of which one side alone exceeds the common quantile, after limit
// was taken off the candidate. It needs many requests, because only those that
// cross the quantile count. The second asks how often the candidate is the
// slower one among the slowest requests, four times as many as there are beyond
// the quantile: it needs few. As those requests are more than the tail, it
// counts only where the quantile itself, as observed, is over the limit.
//
// Both are exact if, the limit aside, the two answers to a request could be
// exchanged for each other, and requests are as dependent as DesignEffect sees.
func (c *Quantile) Above(limit Increase) float64 {
	worse, better := c.count(limit)
	p := McNemar(worse/c.effect, better/c.effect)
	if c.Increase.By > limit.By {
		p = min(p, c.Slowest(limit).P)
	}
	return min(1, 2*p)
}

// Below gives the p-value of the hypothesis that the increase is above limit.
// It looks at nothing but the quantile.
func (c *Quantile) Below(limit Increase) float64 {
	worse, better := c.count(limit)
	return McNemar(better/c.effect, worse/c.effect)
}

// Bounds inverts the tests on the quantile: the increase is likely one of those
// that they do not reject.
func (c *Quantile) Bounds(confidence float64) Interval {
	alpha := 1 - confidence
	low := func(by float64) bool {
		worse, better := c.count(Increase{by, c.Increase.Relative})
		return McNemar(worse/c.effect, better/c.effect) <= alpha
	}
	high := func(by float64) bool { return c.Below(Increase{by, c.Increase.Relative}) <= alpha }
	return Interval{c.search(-1, low), c.search(1, high)}
}

// search walks from the estimate in one direction until a test rejects, and
// then halves the last step. It gives an infinity when none ever does.
func (c *Quantile) search(direction float64, rejects func(float64) bool) float64 {
	const steps, halvings = 24, 14
	from := c.Increase.By
	scale := 0.02
	if !c.Increase.Relative {
		scale *= max(nearest(c.pairs.sortedBaseline, c.q), 1)
	}
	inside, outside := from, from
	for i := range steps {
		outside = inside + direction*scale*math.Pow(2, float64(i)/2)
		if c.Increase.Relative && outside <= -1 {
			outside = (inside - 1) / 2 // half-way to no latency at all
		}
		if rejects(outside) {
			break
		}
		if i == steps-1 {
			return math.Inf(int(direction))
		}
		inside = outside
	}
	for range halvings {
		if mid := (inside + outside) / 2; rejects(mid) {
			outside = mid
		} else {
			inside = mid
		}
	}
	return outside
}

// Slowest says how often the candidate was slower among the slowest requests.
type Slowest struct {
	P        float64 // of the hypothesis that either is slower as often
	Slower   int     // requests at which the candidate was the slower one
	Requests int     // of so many, ties left out
}

// Slowest compares both sides at the slowest requests, the limit taken off. It
// picks them by the sum of both latencies, which does not change when the sides
// are exchanged, and so cannot favour one.
func (c *Quantile) Slowest(limit Increase) Slowest {
	sums := make([]float64, len(c.pairs.Baseline))
	for i, b := range c.pairs.Baseline {
		sums[i] = float64(b) + limit.Without(c.pairs.Candidate[i])
	}
	order := slices.Clone(sums)
	slices.Sort(order)
	count := min(int(math.Ceil(4*(1-c.q)*float64(len(order))-1e-9)), len(order))
	from := order[len(order)-max(count, 1)]

	var signs []float64
	var clusters []uint32
	var s Slowest
	for i, b := range c.pairs.Baseline {
		by := limit.Without(c.pairs.Candidate[i]) - float64(b)
		if sums[i] < from || by == 0 {
			continue
		}
		s.Requests++
		sign := -1.0
		if by > 0 {
			sign = 1
			s.Slower++
		}
		signs = append(signs, sign)
		if len(c.pairs.Clusters) > 0 {
			clusters = append(clusters, c.pairs.Clusters[i])
		}
	}
	effect := DesignEffect(signs, clusters, 0.95)
	s.P = McNemar(float64(s.Slower)/effect, float64(s.Requests-s.Slower)/effect)
	return s
}

// Typical gives the median of the increases of the single requests with its
// bounds, by the sign test: how much slower a request gets, as opposed to how
// much slower the slow ones are. There has to be a pair.
func (p *Pairs) Typical(confidence float64) (float64, Interval) {
	ratios := make([]float64, len(p.Baseline))
	for i, b := range p.Baseline {
		ratios[i] = float64(p.Candidate[i])/float64(max(b, 1)) - 1
	}
	sorted := slices.Clone(ratios)
	slices.Sort(sorted)
	median := sorted[(len(sorted)-1)/2]
	signs := make([]float64, len(ratios))
	for i, r := range ratios {
		if r > median {
			signs[i] = 1
		}
	}
	lower, upper := QuantileRanks(len(sorted), 0.5, DesignEffect(signs, p.Clusters, confidence), confidence)
	bounds := Whole()
	if lower >= 0 {
		bounds.Lower = sorted[lower]
	}
	if upper < len(sorted) {
		bounds.Upper = sorted[upper]
	}
	return median, bounds
}
