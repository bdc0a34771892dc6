package judge

import (
	"math/rand/v2"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// trip adds pairs until an abort trips, and says after how many.
func trip(t *testing.T, cfg Config, pairs []Pair) (Trip, int) {
	t.Helper()
	j, err := New(cfg, []string{"cohort"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		j.Add(&pairs[i])
		if trip, ok := j.Tripped(); ok {
			return trip, i + 1
		}
	}
	return Trip{}, 0
}

func TestTripped(t *testing.T) {
	errors := Abort{Metric: ErrorsRate, Max: at(0.05, "5%")}
	tests := []struct {
		name   string
		abort  Abort
		pairs  []Pair
		within int // pairs after which it has tripped; 0: never
		reason string
	}{
		{"every answer an error", errors, times(50, failed("", traffic.Refused)), 3, "error rate is over max 5% beyond doubt: 3 of 3 requests"},
		{"errors at the limit", errors, mixed(times(950, ok(1, 1)), times(50, answered(200, 500))), 0, ""},
		{"twice the limit", errors, mixed(times(1800, ok(1, 1)), times(200, answered(200, 500))), 1000, "*"},
		{"no answer may be wrong, and one is", Abort{Metric: MismatchesRate, Max: at(0, "0%")}, join(times(9, ok(1, 1)), times(1, outcome(result.PairMismatched))), 10,
			"mismatch rate is over max 0% beyond doubt: 1 of 10 requests"},
		{"errors of both sides", Abort{Metric: ErrorsRate, MaxIncrease: at(0, "0pp")}, times(500, answered(500, 500)), 0, ""},
		{"errors of the candidate", Abort{Metric: ErrorsRate, MaxIncrease: at(0, "0pp")}, times(50, answered(200, 500)), 13,
			"error rate is over max_increase 0pp beyond doubt: only the candidate in 10, only the baseline in 0 of 10 requests"},
		{"in proportion to the baseline", Abort{Metric: ErrorsRate, MaxIncrease: relative(0.5, "50%")}, mixed(times(1900, ok(1, 1)), times(40, answered(500, 200)), times(60, answered(200, 500))), 0, ""},
		{"out of proportion", Abort{Metric: ErrorsRate, MaxIncrease: relative(0.5, "50%")}, mixed(times(1800, ok(1, 1)), times(20, answered(500, 200)), times(180, answered(200, 500))), 400, "*"},
		{"slow", Abort{Metric: LatencyP95, Max: at(50e6, "50ms")}, times(50, ok(10, 60)), 5, "p95 is over max 50ms beyond doubt: 3 of 3 requests"},
		{"slower", Abort{Metric: LatencyP95, MaxIncrease: relative(0.1, "10%")}, (world{slower: 1}).pairs(rand.New(rand.NewPCG(1, 2)), 2000), 1500, "*"},
		{"as slow as the baseline", Abort{Metric: LatencyP95, MaxIncrease: relative(0.1, "10%")}, times(500, ok(10, 10)), 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, after := trip(t, Config{Aborts: []Abort{tt.abort}}, tt.pairs)
			if after > tt.within || (after > 0) != (tt.within > 0) || tt.reason != "*" && got.Reason != tt.reason {
				t.Errorf("after %d pairs: %s\nwithin %d: %s", after, got.Reason, tt.within, tt.reason)
			}
			if after > 0 && (got.Evidence < 100 || got.Metric != tt.abort.Metric || got.Limit == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Mismatches that the baseline has with itself do not abort a run.
func TestTripKnowsNoise(t *testing.T) {
	cfg := Config{Aborts: []Abort{{Metric: MismatchesRate, Max: at(0.01, "1%")}}, Noise: Noise{Probing: true}}
	noisy := world{noisy: true, probed: 1}.pairs(rand.New(rand.NewPCG(1, 2)), 1000)
	if got, after := trip(t, cfg, noisy); after > 0 {
		t.Errorf("noise trips after %d pairs: %s", after, got.Reason)
	}
	if _, after := trip(t, cfg, times(100, asked(".price", ""))); after == 0 || after > 15 {
		t.Errorf("a wrong field trips after %d pairs", after)
	}
}

// Looked at after every pair, equal builds are hardly ever aborted.
func TestTripsRarely(t *testing.T) {
	runs := 40
	if *full {
		runs = 1000
	}
	cfg := Config{Aborts: []Abort{
		{Metric: ErrorsRate, MaxIncrease: at(0, "0pp"), Confidence: 0.95},
		{Metric: LatencyP95, MaxIncrease: relative(0, "0%"), Confidence: 0.95},
		{Metric: ErrorsRate, Max: at(0.02, "2%"), Confidence: 0.95},
	}}
	tripped := 0
	for run := range runs {
		pairs := world{errors: 0.02, cohorts: 1}.pairs(rand.New(rand.NewPCG(uint64(run), 99)), 1000)
		if _, after := trip(t, cfg, pairs); after > 0 {
			tripped++
		}
	}
	// Each of the three may trip in 5 % of the runs.
	if share := float64(tripped) / float64(runs); share > 0.15 {
		t.Errorf("tripped in %.3f of the runs", share)
	}
	if *full {
		t.Logf("three aborts at 95 %%: %d of %d runs of equal builds tripped", tripped, runs)
	}
}

func TestNewRejectsAborts(t *testing.T) {
	for want, a := range map[string]Abort{
		`abort on latency.p42: there is no metric "latency.p42"`:                                           {Metric: "latency.p42", Max: at(0, "0%")},
		`abort on throughput: only shares and quantiles of the latencies can be watched while a run lasts`: {Metric: Throughput, Max: at(0, "0")},
		`abort on errors.rate: it needs one limit: max or max_increase`:                                    {Metric: ErrorsRate},
		`abort on failures.rate: it has no value at the baseline that max_increase could compare with`:     {Metric: FailuresRate, MaxIncrease: at(0, "0pp")},
		`abort on errors.rate: its confidence is not between 50% and 100%`:                                 {Metric: ErrorsRate, Max: at(0, "0%"), Confidence: 1},
	} {
		if _, err := New(Config{Aborts: []Abort{a}}, nil); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func BenchmarkAddWatched(b *testing.B) {
	cfg := Config{
		Aborts: []Abort{{Metric: ErrorsRate, Max: at(0.9, "90%")}, {Metric: LatencyP95, MaxIncrease: relative(9, "900%")}},
		Noise:  Noise{Probing: true},
	}
	j, err := New(cfg, []string{"cohort"})
	if err != nil {
		b.Fatal(err)
	}
	pairs := world{errors: 0.01, noisy: true, probed: 0.2}.pairs(rand.New(rand.NewPCG(1, 2)), 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Add(&pairs[i%len(pairs)])
		j.Tripped()
	}
}
