package judge

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

var full = flag.Bool("full", false, "simulate a thousand runs of each kind")

// world says how the services of a simulation behave. Requests differ (log-normal,
// sigma 0.8) and come in phases (AR(1), 0.6), both sides of a pair feel the
// same; each side adds its own jitter (15 %, AR(1), 0.3) and, to one request in
// a hundred, a pause of 200 ms on average.
type world struct {
	slower  float64 // by which the candidate's latencies are longer: 0.1 is 10 %
	tail    float64 // share of the requests at which the candidate takes twice as long
	errors  float64 // share of the answers of either side that are errors
	wrong   float64 // share of the candidate's answers with a wrong field
	noisy   bool    // fields that differ in 30 %, 5 % and all of the answers
	cohorts int
	probed  float64 // share of the pairs for which the baseline is asked again

	oneCohort bool // slower holds for the first cohort alone
}

// pairs makes a run of n pairs.
func (w world) pairs(rng *rand.Rand, n int) []Pair {
	walk := func(rho, sigma float64) func() float64 {
		x := rng.NormFloat64()
		return func() float64 {
			x = rho*x + math.Sqrt(1-rho*rho)*rng.NormFloat64()
			return sigma * x
		}
	}
	request, baseline, candidate := walk(0.6, 0.8), walk(0.3, 0.15), walk(0.3, 0.15)
	latency := func(service float64, jitter func() float64) int64 {
		ns := 20e6 * math.Exp(service+jitter())
		if rng.Float64() < 0.01 {
			ns += 200e6 * rng.ExpFloat64()
		}
		return int64(ns)
	}
	status := func() int {
		if rng.Float64() < w.errors {
			return 503
		}
		return 200
	}
	pairs := make([]Pair, n)
	for i := range pairs {
		service := request()
		cohort := int(float64(w.cohorts) * math.Pow(rng.Float64(), 1.5))
		longer := math.Log1p(w.slower)
		if w.oneCohort && cohort > 0 {
			longer = 0
		}
		if rng.Float64() < w.tail {
			longer += math.Ln2
		}
		p := Pair{
			Seq: int64(i), Endpoint: "GET /a", Cohorts: []string{"all"},
			Baseline:  SideFacts{Latency: latency(service, baseline), Status: status()},
			Candidate: SideFacts{Latency: latency(service+longer, candidate), Status: status()},
		}
		if w.cohorts > 0 {
			p.Cohorts[0] = fmt.Sprintf("c%02d", cohort)
		}
		p.Probed = rng.Float64() < w.probed
		w.differ(rng, &p)
		pairs[i] = p
	}
	return pairs
}

func (w world) differ(rng *rand.Rand, p *Pair) {
	differ := func(share float64, path string) {
		if rng.Float64() < share {
			p.Differences = append(p.Differences, Diff{Path: path, Kind: result.KindValue})
		}
		if p.Probed && rng.Float64() < share {
			p.ProbeDifferences = append(p.ProbeDifferences, Diff{Path: path, Kind: result.KindValue})
		}
	}
	if w.noisy {
		differ(0.3, ".body.recommended")
		differ(0.05, ".body.stock")
		differ(1, ".body.trace")
	}
	if rng.Float64() < w.wrong {
		p.Differences = append(p.Differences, Diff{Path: ".body.price", Kind: result.KindValue})
	}
	if len(p.Differences) > 0 {
		p.Outcome = result.PairMismatched
	}
}

// shares is how often each verdict came out.
type shares [5]float64

func simulate(t *testing.T, w world, gates []Gate, n, runs int) (s shares) {
	t.Helper()
	cfg := Config{Gates: gates, Noise: Noise{Probing: w.probed > 0}}
	for run := range runs {
		pairs := w.pairs(rand.New(rand.NewPCG(uint64(run), uint64(n))), n)
		s[finish(t, cfg, []string{"cohort"}, pairs).Verdict] += 1 / float64(runs)
	}
	return s
}

// TestSimulation is the proof that the verdicts are what they promise. With
// -full it makes a thousand runs of each kind and prints a table.
func TestSimulation(t *testing.T) {
	none, five, ten := relative(0, "0%"), relative(0.05, "5%"), relative(0.1, "10%")
	p95 := func(l *Limit, per ...string) Gate {
		return Gate{Name: "tail", Metric: LatencyP95, MaxIncrease: l, Per: per}
	}
	behaviour := Gate{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")}
	everything := []Gate{
		p95(none), p95(none, "cohort"), p95(ten), behaviour,
		{Name: "half", Metric: LatencyP50, MaxIncrease: none},
		{Name: "mean", Metric: LatencyMean, MaxIncrease: none},
		{Name: "slowest", Metric: LatencyMax, MaxIncrease: none},
		{Name: "errors", Metric: ErrorsRate, MaxIncrease: at(0, "0pp"), Per: []string{"cohort"}},
		{Name: "failures", Metric: ErrorsRate, Max: at(0.02, "2%")},
	}
	same := world{errors: 0.01, cohorts: 40, noisy: true, probed: 1}
	tests := []struct {
		name  string
		world world
		gates []Gate
		n     int
		want  func(shares) bool
		goal  string
	}{
		{"A/A, 9 gates, 40 cohorts, noisy fields", same, everything, 200, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, 9 gates, 40 cohorts, noisy fields", same, everything, 1000, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, 9 gates, 40 cohorts, noisy fields", same, everything, 5000, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, p95 max_increase 0%", world{}, []Gate{p95(none)}, 200, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, p95 max_increase 0%", world{}, []Gate{p95(none)}, 1000, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, p95 max_increase 0%", world{}, []Gate{p95(none)}, 5000, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, p95 max_increase 5%", world{}, []Gate{p95(five)}, 1000, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, p95 max_increase 10%", world{}, []Gate{p95(ten)}, 5000, atLeast(result.Pass, 0.9), "pass >= 90%"},
		{"+10%, p95 max_increase 0%", world{slower: 0.1}, []Gate{p95(none)}, 200, nil, ""},
		{"+10%, p95 max_increase 0%", world{slower: 0.1}, []Gate{p95(none)}, 1000, atLeast(result.Fail, 0.7), "fail >= 70%"},
		{"+20%, p95 max_increase 0%", world{slower: 0.2}, []Gate{p95(none)}, 1000, atLeast(result.Fail, 0.99), "fail >= 99%"},
		{"+10%, p95 max_increase 5%", world{slower: 0.1}, []Gate{p95(five)}, 1000, nil, ""},
		{"+20%, p95 max_increase 5%", world{slower: 0.2}, []Gate{p95(five)}, 1000, nil, ""},
		{"x2 on 3%, p95 max_increase 0%", world{tail: 0.03}, []Gate{p95(none)}, 1000, nil, ""},
		{"+20%, p95 max_increase 10%: never pass", world{slower: 0.2}, []Gate{p95(ten)}, 200, atMost(result.Pass, 0.05), "pass <= 5%"},
		{"+12%, p95 max_increase 10%: never pass", world{slower: 0.12}, []Gate{p95(ten)}, 1000, atMost(result.Pass, 0.05), "pass <= 5%"},
		{"few pairs, p95 max_increase 50%: never pass", world{}, []Gate{p95(relative(0.5, "50%"))}, 40, atMost(result.Pass, 0), "pass 0%"},
		{"field wrong in 1%, another noisy", world{wrong: 0.01, noisy: true, probed: 1}, []Gate{behaviour}, 2000, atLeast(result.Fail, 0.95), "fail >= 95%"},
		{"field wrong in 1%, 20% probed", world{wrong: 0.01, noisy: true, probed: 0.2}, []Gate{behaviour}, 2000, atLeast(result.Fail, 0.95), "fail >= 95%"},
		{"A/A, noisy fields, 20% probed", world{noisy: true, probed: 0.2}, []Gate{behaviour}, 200, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"A/A, noisy fields, 20% probed", world{noisy: true, probed: 0.2}, []Gate{behaviour}, 1000, atMost(result.Fail, 0.05), "fail <= 5%"},
		{"one of 40 cohorts +50%, p95 max_increase 10%", world{slower: 0.5, oneCohort: true, cohorts: 40}, []Gate{p95(ten, "cohort")}, 4000, nil, ""},
		{"errors at 3%, max 1%: never pass", world{errors: 0.03}, []Gate{{Name: "e", Metric: ErrorsRate, Max: at(0.01, "1%")}}, 200, atMost(result.Pass, 0.05), "pass <= 5%"},
	}
	for _, tt := range tests {
		runs := 1000
		if !*full {
			runs = 15
			if tt.n > 1000 || tt.want == nil {
				continue
			}
		}
		s := simulate(t, tt.world, tt.gates, tt.n, runs)
		if *full {
			fmt.Printf("%-48s %5d pairs: pass %5.1f%%  inconclusive %5.1f%%  fail %5.1f%%  %s\n", tt.name, tt.n,
				100*s[result.Pass], 100*s[result.Inconclusive], 100*s[result.Fail], tt.goal)
		}
		if tt.want != nil && !tt.want(s.slack(runs)) {
			t.Errorf("%s, %d pairs: pass %.3f, inconclusive %.3f, fail %.3f; want %s", tt.name, tt.n, s[result.Pass], s[result.Inconclusive], s[result.Fail], tt.goal)
		}
	}
}

// slack takes off what so few runs can be off by chance: nothing of a thousand.
func (s shares) slack(runs int) shares {
	if runs >= 1000 {
		return s
	}
	for i, v := range s {
		by := 2.5 * math.Sqrt(0.05/float64(runs))
		s[i] = min(max(v, 0), 1)
		if v > 0.5 {
			s[i] = min(1, v+by)
		} else {
			s[i] = max(0, v-by)
		}
	}
	return s
}

func atMost(v result.Verdict, share float64) func(shares) bool {
	return func(s shares) bool { return s[v] <= share+1e-9 }
}

func atLeast(v result.Verdict, share float64) func(shares) bool {
	return func(s shares) bool { return s[v] >= share-1e-9 }
}

// TestOtherRules shows on the same data what the rules give that others use.
func TestOtherRules(t *testing.T) {
	if !*full {
		t.Skip("for comparison only; see -full")
	}
	rules := []struct {
		name  string
		fails func([]Pair) bool
	}{
		{"p95 <= 1.05 x baseline", func(pairs []Pair) bool { return plainRatio(pairs) > 1.05 }},
		{"p95 <= 1.10 x baseline", func(pairs []Pair) bool { return plainRatio(pairs) > 1.10 }},
		{"Kayenta on 30 buckets of p95", kayenta},
		{"Diffy, 20 % and 0.03 %", diffy},
	}
	for _, w := range []struct {
		name  string
		world world
		n     []int
	}{
		{"A/A", world{noisy: true, probed: 1}, []int{200, 1000, 5000}},
		{"+10%", world{slower: 0.1, noisy: true, probed: 1}, []int{200, 1000, 5000}},
		{"field wrong in 1%", world{wrong: 0.01, noisy: true, probed: 1}, []int{200, 2000}},
	} {
		for _, n := range w.n {
			failed := make([]int, len(rules))
			const runs = 1000
			for run := range runs {
				pairs := w.world.pairs(rand.New(rand.NewPCG(uint64(run), uint64(n))), n)
				for i, r := range rules {
					if r.fails(pairs) {
						failed[i]++
					}
				}
			}
			var parts []string
			for i, r := range rules {
				parts = append(parts, fmt.Sprintf("%s: %.1f%%", r.name, 100*float64(failed[i])/runs))
			}
			fmt.Printf("%-18s %5d pairs: fail by %s\n", w.name, n, strings.Join(parts, "; "))
		}
	}
}

func sides(pairs []Pair) (baseline, candidate []int64) {
	for _, p := range pairs {
		baseline, candidate = append(baseline, p.Baseline.Latency), append(candidate, p.Candidate.Latency)
	}
	return baseline, candidate
}

func plainRatio(pairs []Pair) float64 {
	baseline, candidate := sides(pairs)
	slices.Sort(baseline)
	slices.Sort(candidate)
	return quantile(candidate, 950) / quantile(baseline, 950)
}

// kayenta is the rule of Netflix's judge as published in Kayenta: on the p95 of
// 30 intervals, the 98 % Mann-Whitney interval of the Hodges-Lehmann estimate
// against a tolerance of a quarter of it.
func kayenta(pairs []Pair) bool {
	const buckets = 30
	baseline, candidate := sides(pairs)
	points := func(x []int64) []float64 {
		out := make([]float64, buckets)
		for i := range out {
			part := slices.Clone(x[i*len(x)/buckets : (i+1)*len(x)/buckets])
			slices.Sort(part)
			out[i] = quantile(part, 950)
		}
		return out
	}
	b, c := points(baseline), points(candidate)
	var differences []float64
	for _, x := range c {
		for _, y := range b {
			differences = append(differences, x-y)
		}
	}
	slices.Sort(differences)
	m := float64(buckets)
	rank := int(m*m/2 - 2.326*math.Sqrt(m*m*(2*m+1)/12))
	estimate := differences[len(differences)/2]
	return differences[rank] > 0.25*math.Abs(estimate)
}

// diffy is the rule of Diffy: a field differs more than the noise if it does so
// by 20 % of both counts together and in 0.03 % of the requests.
func diffy(pairs []Pair) bool {
	raw, noise := map[string]float64{}, map[string]float64{}
	for _, p := range pairs {
		for _, d := range p.Differences {
			raw[d.Path]++
		}
		for _, d := range p.ProbeDifferences {
			noise[d.Path]++
		}
	}
	for path, r := range raw {
		n := noise[path]
		if r > n && (r-n)/(r+n) > 0.2 && (r-n)/float64(len(pairs)) > 0.0003 {
			return true
		}
	}
	return false
}
