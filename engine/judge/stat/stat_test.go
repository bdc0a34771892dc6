package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The reference values are those of scipy 1.17.1 and statsmodels 0.15.0; each
// table names the expression.

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) || math.IsNaN(got) {
		t.Errorf("%s: got %.15g, want %.15g", what, got, want)
	}
}

func TestBeta(t *testing.T) {
	// scipy.special.betainc(a, b, x)
	for _, tt := range []struct{ x, a, b, want float64 }{
		{0.3, 2, 5, 0.5798250000000003},
		{0.5, 0.5, 0.5, 0.5000000000000001},
		{0.95, 59, 1, 0.04849452524942311},
		{0.001, 1, 340, 0.2883507486218866},
		{0.02, 3.5, 996.5, 0.9999989041477059},
		{0.5, 7, 1.25, 0.012395538581790282},
		{0.5, 5000, 5100, 0.8401528708121381},
		{1e-05, 2, 1e5, 0.26424479646685567},
		{0.999, 3000, 2, 0.19884957599214476},
		{0, 1, 1, 0},
		{1, 1, 1, 1},
	} {
		near(t, "Beta", Beta(tt.x, tt.a, tt.b), tt.want)
		if tt.want > 0 && tt.want < 1 {
			near(t, "BetaQuantile", BetaQuantile(tt.want, tt.a, tt.b), tt.x)
		}
	}
}

func TestNormalAndStudent(t *testing.T) {
	// scipy.stats.norm.ppf(p)
	for p, want := range map[float64]float64{0.5: 0, 0.8: 0.8416212335729143, 0.95: 1.6448536269514722, 0.999: 3.090232306167813} {
		near(t, "Normal", Normal(p), want)
	}
	// scipy.stats.t.ppf(p, freedom)
	for _, tt := range []struct{ p, freedom, want float64 }{
		{0.95, 1, 6.313751514675037}, {0.95, 4.5, 2.065575888878524}, {0.975, 10, 2.228138851986274}, {0.99, 100, 2.3642173662384813},
	} {
		near(t, "Student", Student(tt.p, tt.freedom), tt.want)
		near(t, "StudentAbove", StudentAbove(tt.want, tt.freedom), 1-tt.p)
	}
	// scipy.stats.t.sf(t, freedom)
	for _, tt := range []struct{ t, freedom, want float64 }{
		{1.7, 3, 0.09384532077670502}, {-0.5, 10, 0.6860531971285135}, {6, 20.5, 3.267163878192182e-06},
	} {
		near(t, "StudentAbove", StudentAbove(tt.t, tt.freedom), tt.want)
	}
}

func TestShareBounds(t *testing.T) {
	// scipy.stats.binomtest(k, n, alternative=...).proportion_ci(confidence, "exact")
	for _, tt := range []struct{ k, n, confidence, lower, upper float64 }{
		{0, 59, 0.95, 0, 0.04950760988846832},
		{0, 340, 0.95, 0, 0.00877227436840794},
		{3, 1000, 0.95, 0.0008181753982217667, 0.007735244718481942},
		{1, 340, 0.95, 0.0001508512515494676, 0.013875959414916301},
		{17, 40, 0.99, 0.24647595141258405, 0.6188324344900797},
		{5, 5, 0.9, 0.6309573444801821, 1},
		{60, 5000, 0.975, 0.00916941275855531, 0.015419715145366476},
	} {
		got := ShareBounds(tt.k, tt.n, tt.confidence)
		near(t, "lower", got.Lower, tt.lower)
		near(t, "upper", got.Upper, tt.upper)
	}
	if got := ShareBounds(0, 0, 0.95); got != (Interval{0, 1}) {
		t.Errorf("bounds of nothing are %v", got)
	}
}

func TestBinomial(t *testing.T) {
	// scipy.stats.binom.sf(k - 1, n, p), scipy.stats.binom.cdf(k, n, p)
	for _, tt := range []struct{ k, n, p, atLeast, atMost float64 }{
		{2, 340, 0.001, 0.04614780020491107, 0.9949466940460172},
		{10, 60, 0.05, 0.000738031350678329, 0.9998284912652472},
		{0, 9, 0.2, 1, 0.134217728},
		{9, 9, 0.2, 5.120000000000002e-07, 1},
	} {
		near(t, "AtLeast", AtLeast(tt.k, tt.n, tt.p), tt.atLeast)
		near(t, "AtMost", AtMost(tt.k, tt.n, tt.p), tt.atMost)
	}
}

func TestMcNemar(t *testing.T) {
	// scipy.stats.binomtest(worse, worse + better, 0.5, alternative="greater").pvalue
	for _, tt := range []struct{ worse, better, want float64 }{
		{5, 0, 0.03125}, {3, 3, 0.65625}, {12, 2, 0.0064697265625}, {40, 20, 0.00674464686559593}, {700, 640, 0.05348996262245481}, {0, 0, 1},
	} {
		near(t, "McNemar", McNemar(tt.worse, tt.better), tt.want)
	}
}

func TestSumBounds(t *testing.T) {
	// With lower and upper of scipy.stats.beta.ppf as above:
	// d - hypot(p - lower(p), upper(q) - q), d + hypot(upper(p) - p, q - lower(q))
	for _, tt := range []struct{ worse, better, n, lower, upper float64 }{
		{12, 4, 500, 0.0016402121737539316, 0.031515439922664895},
		{0, 0, 200, -0.014867039231272054, 0.014867039231272054},
		{5, 0, 1000, 0.0007437774449974253, 0.010484076911415651},
	} {
		got := SumBounds([]Part{{1, tt.worse}, {-1, tt.better}}, tt.n, 0.95)
		near(t, "lower", got.Lower, tt.lower)
		near(t, "upper", got.Upper, tt.upper)
	}
}

func TestSeveral(t *testing.T) {
	p := []float64{0.01, 0.04, 0.03, 0.005, 0.5, 0.0001}
	// statsmodels.stats.multitest.multipletests(p, method="holm")[1], method="fdr_bh"
	holm := []float64{0.04, 0.09, 0.09, 0.025, 0.5, 0.0006}
	bh := []float64{0.02, 0.048, 0.045, 0.015, 0.5, 0.0006}
	for i := range p {
		near(t, "Holm", Holm(p)[i], holm[i])
		near(t, "BenjaminiHochberg", BenjaminiHochberg(p)[i], bh[i])
	}
	if len(Holm(nil))+len(BenjaminiHochberg(nil)) != 0 {
		t.Error("p-values out of nothing")
	}
}

func TestQuantileRanks(t *testing.T) {
	// The largest l with scipy.stats.binom.cdf(l, n, q) <= 1 - confidence, the
	// smallest u with scipy.stats.binom.sf(u, n, q) <= 1 - confidence.
	for _, tt := range []struct {
		n             int
		q, confidence float64
		lower, upper  int
	}{
		{58, 0.95, 0.95, 51, 58}, {59, 0.95, 0.95, 52, 58}, {200, 0.95, 0.95, 184, 195}, {1000, 0.95, 0.95, 937, 961},
		{1000, 0.99, 0.95, 984, 995}, {5, 0.5, 0.95, 0, 4}, {299, 0.99, 0.95, 292, 298}, {4, 0.5, 0.95, -1, 4},
	} {
		if lower, upper := QuantileRanks(tt.n, tt.q, 1, tt.confidence); lower != tt.lower || upper != tt.upper {
			t.Errorf("n %d, q %v: got %d and %d, want %d and %d", tt.n, tt.q, lower, upper, tt.lower, tt.upper)
		}
	}
	lower, upper := QuantileRanks(200, 0.95, 2, 0.95)
	if lower >= 184 || upper <= 195 {
		t.Errorf("dependence brings the bounds closer: %d and %d", lower, upper)
	}
}

func TestDesignEffect(t *testing.T) {
	x := []float64{0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0}
	mean := sum(x) / float64(len(x))
	alone := 0.0
	for _, v := range x {
		alone += (v - mean) * (v - mean)
	}
	// statsmodels OLS(x, ones).fit().get_robustcov_results("HAC", maxlags=4, use_correction=False)
	near(t, "Newey-West", windowed(x, mean, 5)/alone, 0.4166666666666665)
	// statsmodels ... get_robustcov_results("cluster", groups=[0..9, 0..9], use_correction=False)
	var groups []uint32
	for i := range x {
		groups = append(groups, uint32(i%10))
	}
	squares, n := clustered(x, mean, groups)
	near(t, "clustered", squares/alone, 1.1666666666666659)
	if n != 10 {
		t.Errorf("%d clusters, want 10", n)
	}

	rng := rand.New(rand.NewPCG(1, 2))
	var independent, runs []float64
	var sessions []uint32
	for i := range 4000 {
		v := rng.NormFloat64()
		independent = append(independent, v)
		if i%8 > 0 {
			v = runs[i-1]
		}
		runs = append(runs, v)
		sessions = append(sessions, uint32(i/8))
	}
	if e := DesignEffect(independent, nil, 0.95); e > 1.3 {
		t.Errorf("independent observations have the effect %.2f", e)
	}
	if e := DesignEffect(runs, nil, 0.95); e < 6 || e > 9 {
		t.Errorf("runs of eight have the effect %.2f, want about 8", e)
	}
	// Sessions whose requests are far apart: only the sessions tell.
	spread := make([]float64, len(runs))
	far := make([]uint32, len(runs))
	for i := range runs {
		at := i%8*500 + i/8
		spread[at], far[at] = runs[i], sessions[i]
	}
	if alone, together := DesignEffect(spread, nil, 0.95), DesignEffect(spread, far, 0.95); alone > 1.5 || together < 6 || together > 10 {
		t.Errorf("sessions of eight have the effect %.2f without and %.2f with them, want about 1 and 8", alone, together)
	}
	if e := DesignEffect(make([]float64, 50), nil, 0.95); e != 1 {
		t.Errorf("a constant has the effect %v", e)
	}
}

func TestDetectableAndNeeded(t *testing.T) {
	// scipy.stats.beta.ppf(0.8, k, n - k + 1) with the smallest k that
	// scipy.stats.binom.sf(k - 1, n, limit) <= 0.05 allows
	near(t, "DetectableShare", DetectableShare(0.01, 1000, 0.95), 0.019192376044451006)
	near(t, "DetectableShare", DetectableShare(0.05, 59, 0.95), 0.1497982144289716)
	if got := DetectableShare(0.5, 3, 0.95); got != 1 {
		t.Errorf("three trials detect %v", got)
	}
	// The rule of three: log(0.05) / log(1 - limit).
	for limit, want := range map[float64]float64{0.001: 2995, 0.01: 299, 0.05: 59} {
		if got := TrialsForShare(limit, 0, 10, 0.95); got != want {
			t.Errorf("limit %v: %v trials, want %v", limit, got, want)
		}
	}
	if got := TrialsForShare(0.1, 10, 100, 0.95); got != 0 {
		t.Errorf("a share at its limit is decided by %v trials", got)
	}
	n := TrialsForShare(0.1, 15, 100, 0.95)
	if AtLeast(0.15*n, n, 0.1) > 0.05 || AtLeast(0.15*(n-2), n-2, 0.1) <= 0.05 {
		t.Errorf("%v trials are not just enough", n)
	}
}

func TestMean(t *testing.T) {
	x := []float64{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8}
	m := Mean(x, nil)
	near(t, "mean", m.Mean, 52.0/12)
	// A p-value and a bound are the same thing.
	bounds := m.Bounds(0.95)
	near(t, "Above", m.Above(bounds.Lower), 0.05)
	near(t, "Below", m.Below(bounds.Upper), 0.05)
	if b := Mean([]float64{7}, nil).Bounds(0.95); b != Whole() {
		t.Errorf("one observation is bounded by %v", b)
	}
}

// shifted makes pairs of which the candidate takes longer by a factor.
func shifted(rng *rand.Rand, n int, factor float64) *Pairs {
	var p Pairs
	for range n {
		service := math.Exp(0.8 * rng.NormFloat64())
		p.Baseline = append(p.Baseline, int64(20e6*service*math.Exp(0.15*rng.NormFloat64())))
		p.Candidate = append(p.Candidate, int64(20e6*service*factor*math.Exp(0.15*rng.NormFloat64())))
	}
	return &p
}

// The bounds of an increase have to hold it as often as they say.
func TestQuantileCoverage(t *testing.T) {
	const runs, by = 200, 0.1
	rng := rand.New(rand.NewPCG(3, 4))
	under, over := 0, 0
	for range runs {
		b := CompareQuantile(shifted(rng, 400, 1+by), 0.95, true, 0.95).Bounds(0.95)
		if b.Lower > by {
			over++
		}
		if b.Upper < by {
			under++
		}
	}
	if most := runs * 8 / 100; over > most || under > most || over+under == 0 {
		t.Errorf("of %d intervals, %d lie above and %d below the truth", runs, over, under)
	}
}

func TestThresholdIsThePooledQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		n := 1 + rng.IntN(40)
		var p Pairs
		for range n {
			p.Baseline, p.Candidate = append(p.Baseline, 1+rng.Int64N(20)), append(p.Candidate, 1+rng.Int64N(20))
		}
		q := []float64{0.5, 0.9, 0.95, 0.99}[rng.IntN(4)]
		by := Increase{By: rng.Float64() - 0.5, Relative: true}
		c := CompareQuantile(&p, q, true, 0.95)
		var pooled []float64
		for i := range p.Baseline {
			pooled = append(pooled, float64(p.Baseline[i]), by.Without(p.Candidate[i]))
		}
		slices.Sort(pooled)
		if got, want := c.threshold(by), pooled[max(int(math.Ceil(q*float64(2*n)-1e-9)), 1)-1]; got != want {
			t.Fatalf("n %d, q %v: got %v, want %v", n, q, got, want)
		}
	}
}

// Exchanging the sides exchanges the answers.
func TestQuantileIsSymmetric(t *testing.T) {
	p := shifted(rand.New(rand.NewPCG(7, 8)), 500, 1.2)
	back := &Pairs{Baseline: p.Candidate, Candidate: p.Baseline}
	there, again := CompareQuantile(p, 0.95, true, 0.95), CompareQuantile(back, 0.95, true, 0.95)
	none := Increase{Relative: true}
	if a, b := there.Slowest(none), again.Slowest(none); a.Slower != b.Requests-b.Slower {
		t.Errorf("slower in %d of %d, faster in %d", a.Slower, a.Requests, b.Slower)
	}
	worse, better := there.count(none)
	if w, b := again.count(none); w != better || b != worse {
		t.Errorf("%v and %v one way, %v and %v the other", worse, better, w, b)
	}
}

func TestTypical(t *testing.T) {
	by, bounds := shifted(rand.New(rand.NewPCG(9, 10)), 1000, 1.1).Typical(0.95)
	if by < 0.08 || by > 0.12 || bounds.Lower > 0.1 || bounds.Upper < 0.1 || bounds.Upper-bounds.Lower > 0.05 {
		t.Errorf("a typical request takes %.3f longer (%.3f)", by, bounds)
	}
}

func TestApart(t *testing.T) {
	for _, tt := range []struct {
		at   []int
		want int
	}{{nil, 0}, {[]int{5}, 1}, {[]int{5, 6, 7, 8}, 1}, {[]int{5, 50, 51, 90}, 3}} {
		if got := Apart(tt.at, 100); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.at, got, tt.want)
		}
	}
}

// Ville's inequality: under the hypothesis the fortune rarely ever gets large,
// although it is looked at after every outcome.
func TestBetIsFair(t *testing.T) {
	const runs, length, alpha = 200, 1000, 0.05
	rng := rand.New(rand.NewPCG(11, 12))
	for _, tt := range []struct {
		name          string
		bet           Bet
		worse, better float64 // probabilities
		fair          bool
	}{
		{"share at its limit", Bet{Limit: 0.02}, 0.02, 0, true},
		{"share far under it", Bet{Limit: 0.1}, 0.02, 0, true},
		{"sides alike", Bet{Least: -1}, 0.03, 0.03, true},
		{"difference at its limit", Bet{Limit: 0.01, Least: -1}, 0.03, 0.02, true},
		{"share over its limit", Bet{Limit: 0.02}, 0.06, 0, false},
		{"candidate worse", Bet{Least: -1}, 0.04, 0.005, false},
		{"difference over its limit", Bet{Limit: 0.01, Least: -1}, 0.07, 0.02, false},
	} {
		tripped := 0
		for range runs {
			b := tt.bet
			for range length {
				switch u := rng.Float64(); {
				case u < tt.worse:
					b.Add(1)
				case u < tt.worse+tt.better:
					b.Add(-1)
				default:
					b.Add(0)
				}
				if b.Evidence() >= 1/alpha {
					tripped++
					break
				}
			}
		}
		if share := float64(tripped) / runs; tt.fair && share > alpha || !tt.fair && share < 0.95 {
			t.Errorf("%s: tripped in %.3f of the runs", tt.name, share)
		}
	}
}

func TestBetOfNothing(t *testing.T) {
	none := Bet{}
	if e := none.Evidence(); e != 1 {
		t.Errorf("evidence of nothing is %v", e)
	}
	zero := Bet{}
	zero.Add(1)
	for range 1000 {
		zero.Add(0)
	}
	if e := zero.Evidence(); e < 1000 {
		t.Errorf("what must never happen happened, and the evidence is %v", e)
	}
}

// Whatever the counts, bounds are in order and tests agree with them.
func FuzzShare(f *testing.F) {
	f.Add(uint16(3), uint16(1000), uint8(10))
	f.Add(uint16(0), uint16(1), uint8(0))
	f.Fuzz(func(t *testing.T, successes, trials uint16, tenths uint8) {
		n := float64(max(trials, 1))
		k := min(float64(successes), n)
		b := ShareBounds(k, n, 0.95)
		if !(0 <= b.Lower && b.Lower <= k/n+1e-9 && k/n <= b.Upper+1e-9 && b.Upper <= 1) {
			t.Fatalf("%v of %v: %v", k, n, b)
		}
		limit := float64(tenths%100)/100 + 0.001
		if p := AtLeast(k, n, limit); math.Abs(b.Lower-limit) > 1e-9 && (p <= 0.05) != (b.Lower > limit) {
			t.Fatalf("%v of %v: p %v at %v, bounds %v", k, n, p, limit, b)
		}
		if p := AtMost(k, n, limit); math.Abs(b.Upper-limit) > 1e-9 && (p <= 0.05) != (b.Upper < limit) {
			t.Fatalf("%v of %v: p %v at %v, bounds %v", k, n, p, limit, b)
		}
	})
}

// Requests that are slower without moving the quantile do not move it.
func TestAboveLooksAtTheQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	var p Pairs
	for i := range 1000 {
		b := 10e6 + 1e6*rng.Float64()
		c := b * 1.5
		switch {
		case i%16 == 0: // what lies beyond the quantile stays as it was
			b = 100e6 + 10e6*rng.Float64()
			c = b - 1e6*rng.Float64()
		case i%16 < 4:
			b, c = 40e6, 50e6
		}
		p.Baseline, p.Candidate = append(p.Baseline, int64(b)), append(p.Candidate, int64(c))
	}
	none := Increase{Relative: true}
	if pv := CompareQuantile(&p, 0.95, true, 0.95).Above(none); pv < 0.05 {
		t.Errorf("p95: %v", pv)
	}
	if pv := CompareQuantile(&p, 0.5, true, 0.95).Above(none); pv > 1e-6 {
		t.Errorf("p50: %v", pv)
	}
}
