package judge

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// wild makes pairs that no model made: ties, latencies of nothing and of years,
// sessions that are all of the traffic, failures in runs.
func wild(rng *rand.Rand, n int) []Pair {
	latencies := []func() int64{
		func() int64 { return 10e6 },
		func() int64 { return 0 },
		func() int64 { return 1 + rng.Int64N(3) },
		func() int64 { return int64(20e6 * math.Exp(rng.NormFloat64())) },
		func() int64 { return 1 + rng.Int64N(1<<rng.IntN(60)) },
	}
	baseline, candidate := latencies[rng.IntN(len(latencies))], latencies[rng.IntN(len(latencies))]
	same, sessions, rough := rng.IntN(4) == 0, 1+rng.IntN(20), []float64{0, 0.02, 0.5, 1}[rng.IntN(4)]
	pairs := make([]Pair, n)
	for i := range pairs {
		p := Pair{
			Seq: int64(i), Endpoint: "GET /a", Cohorts: []string{fmt.Sprint(rng.IntN(3))}, Session: fmt.Sprint(rng.IntN(sessions)),
			Baseline: SideFacts{Latency: baseline(), Status: 200}, Candidate: SideFacts{Latency: candidate(), Status: 200},
			Probed: rng.IntN(2) == 0,
		}
		if same {
			p.Candidate.Latency = p.Baseline.Latency
		}
		if rng.Float64() < rough {
			spoil(rng, &p)
		}
		pairs[i] = p
	}
	return pairs
}

// spoil does something to a pair.
func spoil(rng *rand.Rand, p *Pair) {
	switch rng.IntN(6) {
	case 0:
		p.Candidate.Status = 500
	case 1:
		p.Baseline.Status = 500
	case 2:
		p.Outcome, p.Candidate.Failure = result.PairFailed, traffic.TimedOut
	case 3:
		p.Outcome, p.Baseline.Failure = result.PairFailed, traffic.Refused
	case 4:
		p.Outcome = result.PairInconclusive
	case 5:
		p.Outcome = result.PairMismatched
		p.Differences = []Diff{{Path: ".a", Kind: result.KindValue}}
		if p.Probed && rng.IntN(2) == 0 {
			p.ProbeDifferences = p.Differences
		}
	}
}

// every has each metric with each kind of limit that it can have, tight and wide.
func every() []Gate {
	var gates []Gate
	for _, m := range Metrics() {
		for _, v := range []float64{0, 0.05} {
			if m.Unit != result.Share {
				v *= 100e6
			}
			gates = append(gates, Gate{Metric: m.Name, Max: at(v, ""), MinSamples: 1}, Gate{Metric: m.Name, Min: at(v, ""), MinSamples: 1})
			if m.Paired {
				gates = append(gates, Gate{Metric: m.Name, MaxIncrease: at(v, ""), MinSamples: 1})
			}
		}
		if m.Paired {
			gates = append(gates, Gate{Metric: m.Name, MaxIncrease: relative(0, ""), MinSamples: 1}, Gate{Metric: m.Name, MaxIncrease: relative(0.2, ""), MinSamples: 1, Per: []string{"cohort"}})
		}
	}
	for i := range gates {
		gates[i].Name = fmt.Sprintf("%d", i)
	}
	return gates
}

// Whatever the pairs are, the findings are a JSON document, a gate that fails
// was observed over its limit, and one that passes within it.
func TestVerdictsFollowTheFigures(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	gates := every()
	cfg := Config{Gates: gates, Noise: Noise{Probing: true}}
	point := Config{Noise: cfg.Noise}
	for _, g := range gates {
		g.Decision = ByPoint
		point.Gates = append(point.Gates, g)
	}
	seen := map[result.Verdict]int{}
	key := func(g result.Gate) string { return g.Name + fmt.Sprint(g.Cohort) }
	runs := 30
	if *full {
		runs = 2000
	}
	for range runs {
		pairs := wild(rng, 1+rng.IntN(300))
		f := finish(t, cfg, []string{"cohort"}, pairs)
		if _, err := json.Marshal(f); err != nil {
			t.Fatal(err)
		}
		plain := map[string]result.Gate{}
		for _, g := range finish(t, point, []string{"cohort"}, pairs).Gates {
			plain[key(g)] = g
		}
		for _, g := range f.Gates {
			seen[g.Verdict]++
			if v := plain[key(g)].Verdict; g.Verdict != result.Inconclusive && v != g.Verdict {
				t.Errorf("%s %s of %d pairs: %s (%s), but observed %s (%s)", g.Metric, g.Limit, len(pairs), g.Verdict, g.Reason, v, plain[key(g)].Reason)
			}
		}
	}
	if seen[result.Pass] == 0 || seen[result.Fail] == 0 || seen[result.Inconclusive] == 0 {
		t.Errorf("not all verdicts were seen: %v", seen)
	}
}

// However good they look, requests too few to bound what a limit speaks of do
// not pass it: 3/n at 95 % for a share, the values beyond it for a quantile.
func TestTooFewNeverPass(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	enough := func(limit float64) int { return int(math.Ceil(math.Log(0.05) / math.Log1p(-limit))) }
	tests := []struct {
		gate   Gate
		enough int
	}{
		{Gate{Metric: ErrorsRate, Max: at(0.01, "1%")}, enough(0.01)},
		{Gate{Metric: ErrorsRate, Max: at(0.05, "5%")}, enough(0.05)},
		{Gate{Metric: FailuresRate, Max: at(0.02, "2%")}, enough(0.02)},
		{Gate{Metric: MismatchesRate, Max: at(0.02, "2%")}, enough(0.02)},
		{Gate{Metric: ErrorsRate, MaxIncrease: at(0.02, "2pp")}, enough(0.02)},
		{Gate{Metric: LatencyP50, Max: at(1e18, "1000000s")}, 5},
		{Gate{Metric: LatencyP95, Max: at(1e18, "1000000s")}, 59},
		{Gate{Metric: LatencyP99, Max: at(1e18, "1000000s")}, 299},
		{Gate{Metric: LatencyP50, MaxIncrease: relative(9, "900%")}, 5},
		{Gate{Metric: LatencyP95, MaxIncrease: relative(9, "900%")}, 50},
		{Gate{Metric: LatencyP95, MaxIncrease: at(1e18, "1000000s")}, 50},
		{Gate{Metric: LatencyP99, MaxIncrease: relative(9, "900%")}, 250},
		{Gate{Metric: LatencyMean, Max: at(1e18, "1000000s")}, 2},
		{Gate{Metric: LatencyMean, MaxIncrease: relative(9, "900%")}, 2},
	}
	for _, tt := range tests {
		tt.gate.MinSamples = 1
		for range 80 {
			n := 1 + rng.IntN(tt.enough-1)
			pairs := wild(rng, n)
			if rng.IntN(2) == 0 {
				pairs = times(n, ok(10, 10))
			}
			for i := range pairs { // a candidate that mends things may pass with fewer
				pairs[i].Baseline.Status, pairs[i].Baseline.Failure = 200, traffic.NoFailure
			}
			f := finish(t, Config{Gates: []Gate{tt.gate}}, []string{"cohort"}, pairs)
			if f.Gates[0].Verdict == result.Pass {
				t.Errorf("%s %s: %d pairs pass, and it takes %d: %s", tt.gate.Metric, f.Gates[0].Limit, n, tt.enough, f.Gates[0].Reason)
				break
			}
		}
		good := world{}.pairs(rng, 4*tt.enough+60)
		if f := finish(t, Config{Gates: []Gate{tt.gate}}, []string{"cohort"}, good); f.Verdict != result.Pass {
			t.Errorf("%s %s: %d good pairs do not pass: %s", tt.gate.Metric, f.Gates[0].Limit, len(good), f.Reason)
		}
	}
}

// A mean of values that do not vary has no error that they could tell of.
func TestMeanOfTheSame(t *testing.T) {
	for _, g := range []Gate{{Metric: LatencyMean, Max: at(20e6, "20ms")}, {Metric: LatencyMean, MaxIncrease: relative(0.5, "50%")}} {
		g.MinSamples = 1
		for n, want := range map[int]result.Verdict{2: result.Inconclusive, 4: result.Inconclusive, 5: result.Pass, 30: result.Pass} {
			if f := finish(t, Config{Gates: []Gate{g}}, nil, times(n, ok(10, 10))); f.Verdict != want {
				t.Errorf("%d answers of 10ms, %s: %s (%s)", n, f.Gates[0].Limit, f.Verdict, f.Reason)
			}
		}
	}
}

// The quantiles of requests that all take 10ms are under a min of 20ms, and over
// one of 5ms.
func TestLeastLatency(t *testing.T) {
	for limit, want := range map[float64]result.Verdict{20e6: result.Fail, 5e6: result.Pass} {
		g := Gate{Metric: LatencyP50, Min: at(limit, "")}
		if f := finish(t, Config{Gates: []Gate{g}}, nil, times(60, ok(10, 10))); f.Verdict != want {
			t.Errorf("%s: %s (%s)", f.Gates[0].Limit, f.Verdict, f.Reason)
		}
	}
}

// worsen makes one thing about the candidate worse.
func worsen(rng *rand.Rand, pairs []Pair) {
	kind := rng.IntN(3)
	for range 1 + rng.IntN(len(pairs)) {
		p := &pairs[rng.IntN(len(pairs))]
		if p.Outcome >= result.PairFailed || p.Baseline.Failure != traffic.NoFailure {
			continue
		}
		switch kind {
		case 0:
			p.Candidate.Status = 500
		case 1:
			p.Outcome = result.PairMismatched
			p.Differences = []Diff{{Path: ".a", Kind: result.KindValue}}
		case 2:
			if p.Candidate.Latency > 0 && p.Candidate.Latency < 1<<50 {
				p.Candidate.Latency *= 1 + rng.Int64N(4)
			}
		}
	}
}

// A candidate that gets worse does not pass where it failed, and one that
// passed was not failed before.
func TestWorseIsNotBetter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var gates []Gate
	for _, g := range every() {
		if g.Min == nil {
			gates = append(gates, g)
		}
	}
	changed := 0
	for run := range 150 {
		cfg := Config{Gates: gates[run%len(gates):][:1], Noise: Noise{Probing: run%2 == 0}}
		var pairs []Pair
		if n := 20 + rng.IntN(300); run%3 == 0 {
			pairs = wild(rng, n)
		} else {
			pairs = world{errors: 0.02, noisy: true, probed: 0.5}.pairs(rng, n)
		}
		before := finish(t, cfg, []string{"cohort"}, pairs)
		for range 6 {
			worsen(rng, pairs)
			after := finish(t, cfg, []string{"cohort"}, pairs)
			if len(before.Gates) == 1 && before.Verdict == result.Fail && after.Verdict == result.Pass {
				t.Errorf("%s %s of %d pairs: from %q to %q", cfg.Gates[0].Metric, before.Gates[0].Limit, len(pairs), before.Reason, after.Reason)
			}
			if before.Verdict != after.Verdict {
				changed++
			}
			before = after
		}
	}
	if changed < 20 {
		t.Errorf("only %d verdicts changed", changed)
	}
}

// A run compared with itself does not fail, and with a margin it passes.
func TestSameLatencies(t *testing.T) {
	for _, n := range []int{1, 60, 400, 3000} {
		pairs := world{}.pairs(rand.New(rand.NewPCG(7, uint64(n))), n)
		for i := range pairs {
			pairs[i].Candidate = pairs[i].Baseline
		}
		for _, m := range Metrics() {
			if m.Unit != result.Nanoseconds {
				continue
			}
			exact := Gate{Name: "exact", Metric: m.Name, MaxIncrease: relative(0, "0%")}
			margin := Gate{Name: "margin", Metric: m.Name, MaxIncrease: relative(0.5, "50%")}
			for _, g := range finish(t, Config{Gates: []Gate{exact, margin}}, []string{"cohort"}, pairs).Gates {
				if g.Verdict == result.Fail || g.Name == "margin" && n == 3000 && m.permille < 999 && g.Verdict != result.Pass {
					t.Errorf("%s, %s, %d pairs: %s (%s)", m.Name, g.Limit, n, g.Verdict, g.Reason)
				}
			}
		}
	}
}

// A session can have it better at one side than at the other: another instance,
// a cold cache. The fewer sessions there are, the more of such luck is in a run,
// and however many requests they send, equal builds do not fail for it.
func TestFewSessions(t *testing.T) {
	const runs, n = 60, 400
	rng := rand.New(rand.NewPCG(8, 9))
	for _, sessions := range []int{2, 3, 6, 9} {
		failed := 0
		for range runs {
			pairs := world{}.pairs(rng, n)
			luck, broken := make([]float64, sessions), make([]int, sessions)
			for i := range luck {
				luck[i], broken[i] = math.Exp(0.15*rng.NormFloat64()), rng.IntN(16)
			}
			for i := range pairs {
				p, of := &pairs[i], i%sessions
				p.Session = fmt.Sprint(of)
				p.Candidate.Latency = int64(float64(p.Candidate.Latency) * luck[of])
				side := []*SideFacts{&p.Candidate, &p.Baseline}
				if at := broken[of]; at < len(side) && rng.IntN(2) == 0 {
					side[at].Status = 500
				}
			}
			gates := []Gate{{Metric: LatencyP95, MaxIncrease: relative(0, "0%")}, {Metric: ErrorsRate, MaxIncrease: at(0, "0pp")}}
			if finish(t, Config{Gates: gates}, []string{"cohort"}, pairs).Verdict == result.Fail {
				failed++
			}
		}
		// Unlike 0.05, this leaves room for how few the runs are.
		if share := float64(failed) / runs; share > 0.13 {
			t.Errorf("%d sessions: %.2f of the runs failed", sessions, share)
		}
	}
}

// Limits, shares and confidences that are not numbers do not judge.
func TestNotANumber(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, cfg := range []Config{
		{Gates: []Gate{{Metric: ErrorsRate, Max: at(nan, "?")}}},
		{Gates: []Gate{{Metric: LatencyP95, MaxIncrease: relative(inf, "?")}}},
		{Gates: []Gate{{Metric: LatencyP95, MaxIncrease: relative(-1, "-100%")}}},
		{Gates: []Gate{{Metric: ErrorsRate, Max: at(0, "0%"), Confidence: nan}}},
		{Aborts: []Abort{{Metric: ErrorsRate, Max: at(nan, "?")}}},
		{Aborts: []Abort{{Metric: LatencyP95, MaxIncrease: relative(inf, "?")}}},
		{Aborts: []Abort{{Metric: LatencyP95, MaxIncrease: relative(-1, "-100%")}}},
	} {
		if _, err := New(cfg, nil); err == nil {
			t.Errorf("%+v %+v is taken", cfg.Gates, cfg.Aborts)
		}
	}
	cfg := Config{Gates: []Gate{{Metric: ErrorsRate, Max: at(0, "0%")}}, MaxBaselineFailures: nan, MaxUnjudged: nan}
	if f := finish(t, cfg, nil, join(times(50, ok(1, 1)), times(50, failed(traffic.Refused, "")))); f.Verdict == result.Pass {
		t.Errorf("half of the baseline failed: %s (%s)", f.Verdict, f.Reason)
	}
}

// BenchmarkFinishMillion judges a million pairs in forty cohorts, with sessions.
func BenchmarkFinishMillion(b *testing.B) {
	cfg := Config{Noise: Noise{Probing: true}, Gates: []Gate{
		{Name: "tail", Metric: LatencyP95, Max: at(1e9, "1s"), MaxIncrease: relative(0.1, "10%"), Per: []string{"cohort"}},
		{Name: "all", Metric: LatencyP99, Max: at(1e9, "1s"), MaxIncrease: relative(0.1, "10%")},
		{Name: "errors", Metric: ErrorsRate, Max: at(0.05, "5%"), MaxIncrease: at(0.001, "0.1pp"), Per: []string{"cohort"}},
		{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")},
	}}
	j, err := New(cfg, []string{"cohort"})
	if err != nil {
		b.Fatal(err)
	}
	for i, p := range (world{cohorts: 40, errors: 0.01, noisy: true, probed: 0.2}).pairs(rand.New(rand.NewPCG(1, 2)), 1_000_000) {
		p.Session = fmt.Sprint(i % 50_000)
		j.Add(&p)
	}
	for b.Loop() {
		j.Finish(time.Minute)
	}
}
