package stat

import "math"

// AtLeast gives the probability that of n trials that succeed with probability
// p, k or more do. Neither number has to be whole: between whole numbers it
// follows the beta distribution that agrees with the binomial one at them.
func AtLeast(k, n, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n:
		return 0
	}
	return Beta(p, k, n-k+1)
}

// AtMost gives the probability that k or fewer of n trials succeed.
func AtMost(k, n, p float64) float64 {
	switch {
	case k >= n:
		return 1
	case k < 0:
		return 0
	}
	return 1 - Beta(p, k+1, n-k)
}

// ShareBounds gives bounds of the share of which k successes in n trials are a
// sample, by Clopper and Pearson (Biometrika 26, 1934): exact, whatever the
// share. Without a success the upper one is close to 3/n at 95 %, the rule of
// three. k and n may be effective counts, as Korn and Graubard (Survey
// Methodology 24, 1998) use them for clustered samples.
func ShareBounds(k, n, confidence float64) Interval {
	if n <= 0 {
		return Interval{0, 1}
	}
	bounds := Interval{0, 1}
	if k > 0 {
		bounds.Lower = BetaQuantile(1-confidence, k, n-k+1)
	}
	if k < n {
		bounds.Upper = BetaQuantile(confidence, k+1, n-k)
	}
	return bounds
}

// McNemar gives the p-value of the hypothesis that a change for the worse is no
// more likely than one for the better, by the exact conditional test of McNemar
// (Psychometrika 12, 1947): of all pairs that changed, a fair coin would have
// made at least this many worse.
func McNemar(worse, better float64) float64 {
	if worse+better <= 0 {
		return 1
	}
	return AtLeast(worse, worse+better, 0.5)
}

// Part is a share of a whole with a weight: one term of a sum.
type Part struct {
	Weight float64
	Count  float64
}

// SumBounds gives bounds of a weighted sum of shares of the same n trials. The
// distances of the shares' own exact bounds are added as squares, by the method
// of variance estimates recovery (Zou and Donner, Statistics in Medicine 27,
// 2008, after Newcombe 1998). Shares of the same whole are taken as independent,
// which the small shares that errors are nearly are.
func SumBounds(parts []Part, n, confidence float64) Interval {
	var sum, below, above float64
	for _, p := range parts {
		if n <= 0 {
			return Whole()
		}
		bounds := ShareBounds(p.Count, n, confidence)
		share := p.Count / n
		down, up := p.Weight*(share-bounds.Lower), p.Weight*(bounds.Upper-share)
		if p.Weight < 0 {
			down, up = -up, -down
		}
		sum += p.Weight * share
		below += down * down
		above += up * up
	}
	return Interval{sum - math.Sqrt(below), sum + math.Sqrt(above)}
}

// Power is the probability with which a regression that is called detectable is
// detected.
const Power = 0.8

// DetectableShare gives the smallest share that n trials would find to be over
// limit with probability Power, or 1 if none would.
func DetectableShare(limit, n, confidence float64) float64 {
	if n <= 0 || AtLeast(n, n, limit) > 1-confidence {
		return 1
	}
	k := math.Ceil(root(0, n, func(k float64) bool { return AtLeast(k, n, limit) <= 1-confidence }))
	return BetaQuantile(Power, k, n-k+1)
}

// MaxTrials is the number from which on "more requests" is no advice any more.
const MaxTrials = 1e7

// TrialsForShare gives the number of trials that decide whether a share is
// above limit, if they go on to succeed at the rate of k in n. It is 0 when no
// number up to MaxTrials would.
func TrialsForShare(limit, k, n, confidence float64) float64 {
	if n <= 0 {
		k, n = 0, 1
	}
	share := k / n
	decided := func(n float64) bool {
		if share > limit {
			return AtLeast(share*n, n, limit) <= 1-confidence
		}
		return AtMost(share*n, n, limit) <= 1-confidence
	}
	if share == limit || !decided(MaxTrials) {
		return 0
	}
	return math.Ceil(root(0, MaxTrials, decided) - 1e-6)
}

// Apart counts the events at these ascending positions of n, where those so
// close that one may have caused the next count as one.
func Apart(positions []int, n int) int {
	count := 0
	for i, at := range positions {
		if i == 0 || at-positions[i-1] > window(n) {
			count++
		}
	}
	return count
}
