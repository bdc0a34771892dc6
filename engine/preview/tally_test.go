package preview

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func planWith(recorded bool, gates ...plan.Gate) *plan.Audit {
	return &plan.Audit{
		Baseline: plan.Target{Recorded: recorded}, Gates: gates,
		Cohorts: []cohort.Cohort{{Name: "region"}, {Name: "tier"}},
	}
}

// stepsOf makes six steps: two endpoints, two regions; every other one has a
// response, and the first of those a latency.
func stepsOf() []*replay.Step {
	var out []*replay.Step
	for i := range 6 {
		x := &traffic.Exchange{At: time.Unix(int64(i), 0), Session: []string{"", "a", "b"}[i%3]}
		if i%2 == 0 {
			x.Response = &traffic.Response{Status: 200}
		}
		if i == 2 {
			x.Timing = traffic.Timing{Kind: traffic.TimingClient, Total: time.Millisecond}
		}
		if i == 0 {
			x.Timing = traffic.Timing{Kind: traffic.TimingWire, Total: time.Millisecond}
		}
		out = append(out, &replay.Step{Exchange: x, Endpoint: fmt.Sprint("GET /", i/4), Cohorts: []string{[]string{"eu", "us"}[i%2], "gold"}})
	}
	return out
}

func TestEvidence(t *testing.T) {
	limit := &judge.Limit{}
	gate := func(metric judge.Metric, increase bool, per ...string) plan.Gate {
		g := plan.Gate{Metric: string(metric), Per: per}
		if increase {
			g.MaxIncrease = limit
		} else {
			g.Max = limit
		}
		return g
	}
	tests := []struct {
		name     string
		recorded bool
		gate     plan.Gate
		want     map[string]int64
	}{
		{"all the traffic", false, gate(judge.LatencyP95, true), map[string]int64{"": 6}},
		{"per endpoint", false, gate(judge.LatencyP95, true, judge.Endpoint), map[string]int64{"GET /0": 4, "GET /1": 2}},
		{"per cohort and endpoint", false, gate(judge.ErrorsRate, false, "region", judge.Endpoint),
			map[string]int64{"eu\x00GET /0": 2, "us\x00GET /0": 2, "eu\x00GET /1": 1, "us\x00GET /1": 1}},
		{"recorded: a limit for the candidate alone", true, gate(judge.LatencyP95, false), map[string]int64{"": 6}},
		{"recorded: latency against the recording", true, gate(judge.LatencyP95, true), map[string]int64{"": 1}},
		{"recorded: errors against the recording", true, gate(judge.ErrorsRate, true), map[string]int64{"": 3}},
		{"recorded: behaviour", true, gate(judge.MismatchesRate, false, "region"), map[string]int64{"eu": 3, "us": 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := planWith(tt.recorded, tt.gate)
			e := newEvidence(p, &p.Gates[0])
			for _, s := range stepsOf() {
				e.add(s)
			}
			if !reflect.DeepEqual(e.samples, tt.want) {
				t.Errorf("%v, want %v", e.samples, tt.want)
			}
		})
	}
}

func TestShortGroups(t *testing.T) {
	e := &evidence{samples: map[string]int64{"b\x00x": 3, "a\x00x": 3, "c\x00x": 1, "d\x00x": 9}}
	got := e.short([]string{"region", "tier"}, 4)
	want := []Group{
		{map[string]string{"region": "c", "tier": "x"}, 1},
		{map[string]string{"region": "a", "tier": "x"}, 3},
		{map[string]string{"region": "b", "tier": "x"}, 3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTallySessionsAndMethods(t *testing.T) {
	tally, err := newTally(planWith(false))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stepsOf() {
		tally.add(context.Background(), s)
	}
	if len(tally.sessions) != 2 || tally.without != 2 || tally.overflow {
		t.Errorf("%d sessions, %d exchanges without one", len(tally.sessions), tally.without)
	}
	if tally.last.Sub(tally.first) != 5*time.Second || tally.meter.n != 6 {
		t.Errorf("%v to %v, %d due", tally.first, tally.last, tally.meter.n)
	}
	tally.skip("POST", selection.UnsafeSkipped)
	tally.skip("jane@corp.test", selection.UnsafeSkipped)
	for i := range 2 * maxMethods {
		tally.skip(fmt.Sprintf("M%c%c", 'A'+i%26, 'A'+i/26), selection.Excluded)
	}
	if tally.skipped[skipped{selection.UnsafeSkipped, cohort.Other}] != 1 || tally.skipped[skipped{selection.Excluded, cohort.Other}] == 0 {
		t.Errorf("methods that are none, or too many, have names: %v", tally.skipped)
	}
}

func TestTooManySessions(t *testing.T) {
	tally := &tally{sessions: map[uint64]int64{}}
	for i := range maxSessions + 10 {
		tally.session(fmt.Sprint(i))
	}
	if len(tally.sessions) != maxSessions || !tally.overflow {
		t.Errorf("%d sessions, overflow %v", len(tally.sessions), tally.overflow)
	}
}
