package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func TestFitness(t *testing.T) {
	gates := []Gate{
		{Name: "tail", Metric: LatencyP95, Max: at(250e6, "250ms")},
		{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")},
	}
	late := func(n int, by time.Duration) []Pair {
		pairs := times(100, ok(10, 10))
		for i := range n {
			pairs[i].Late = by
		}
		return join(pairs)
	}
	first := func(n int) []Pair {
		pairs := times(100, ok(10, 10))
		for i := range n {
			pairs[i].CandidateFirst = true
		}
		return join(pairs)
	}
	tests := []struct {
		name   string
		cfg    Harness
		pairs  []Pair
		reason string
	}{
		{"in time", Harness{}, late(100, 100*time.Millisecond), ""},
		{"a few late", Harness{}, late(5, time.Second), ""},
		{"many late", Harness{}, late(6, time.Second), "6 of 100 requests left late, so the load was not the one asked for: lower speed, or use a faster machine"},
		{"none may be late", Harness{MaxLateShare: -1, MaxLate: time.Millisecond}, late(1, 2*time.Millisecond), "1 of 100 requests left late, so the load was not the one asked for: lower speed, or use a faster machine"},
		{"order by chance", Harness{RandomOrder: true}, first(40), ""},
		{"order not by chance", Harness{RandomOrder: true}, first(20), "the candidate was sent its copy first in 20 of 100 requests, which is not by chance"},
		{"order not asked for", Harness{}, first(0), ""},
		{"found elsewhere", Harness{Unfit: []string{"the clock jumped"}}, first(0), "the clock jumped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := finish(t, Config{Gates: gates, Harness: tt.cfg}, nil, tt.pairs)
			if got := strings.Join(f.Fitness.Reasons, "\n"); got != tt.reason || f.Fitness.Fit != (tt.reason == "") {
				t.Errorf("got %q, want %q", got, tt.reason)
			}
			tail, behaviour := f.Gates[0], f.Gates[1]
			if behaviour.Verdict != result.Pass {
				t.Errorf("behaviour is %v", behaviour.Verdict)
			}
			if tt.reason == "" {
				if tail.Verdict != result.Pass {
					t.Errorf("tail is %v: %s", tail.Verdict, tail.Reason)
				}
				return
			}
			if tail.Verdict != result.Inconclusive || tail.Reason != tt.reason || f.Verdict != result.Inconclusive {
				t.Errorf("tail is %v: %s", tail.Verdict, tail.Reason)
			}
		})
	}
}

func TestUnfitDoesNotFail(t *testing.T) {
	gate := Gate{Name: "tail", Metric: LatencyP95, Max: at(5e6, "5ms")}
	f := finish(t, Config{Gates: []Gate{gate}, Harness: Harness{Unfit: []string{"because"}}}, nil, times(100, ok(10, 10)))
	if f.Verdict != result.Inconclusive {
		t.Errorf("%v: %s", f.Verdict, f.Reason)
	}
}

func TestCalibrated(t *testing.T) {
	gate := Gate{Name: "tail", Metric: LatencyP95, MaxIncrease: relative(0.1, "10%")}
	if fit := Calibrated(finish(t, Config{Gates: []Gate{gate}}, nil, spread(500, 0))); !fit.Fit {
		t.Errorf("%+v", fit)
	}
	fit := Calibrated(finish(t, Config{Gates: []Gate{gate}}, nil, spread(500, 50*time.Millisecond)))
	if fit.Fit || len(fit.Reasons) != 1 || !strings.HasPrefix(fit.Reasons[0], `the baseline compared with itself failed gate "tail": p95 `) {
		t.Errorf("%+v", fit)
	}
}
