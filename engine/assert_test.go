package engine

import (
	"errors"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

func TestAssertionsDecide(t *testing.T) {
	answer := func(ok bool, message string, err error) func(plan.ResultView) (bool, string, error) {
		return func(plan.ResultView) (bool, string, error) { return ok, message, err }
	}
	tests := []struct {
		name    string
		check   func(plan.ResultView) (bool, string, error)
		pairs   int64
		verdict result.Verdict
		reason  string
	}{
		{"holds", answer(true, "", nil), 1, result.Pass, "as the gates say"},
		{"does not", answer(false, "Ten differ.", nil), 1, result.Fail, `assert "few": Ten differ.`},
		{"cannot be decided", answer(false, "", errors.New("no such endpoint")), 1, result.Inconclusive, `assert "few": the condition cannot be decided: no such endpoint`},
		{"nothing measured", answer(true, "", nil), 0, result.Inconclusive, `assert "few": nothing was measured`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &audit{plan: &plan.Audit{Assertions: []plan.Assertion{{Name: "few", Text: "result.x", Check: tt.check}}}}
			a.result = result.Audit{Verdict: result.Pass, Reason: "as the gates say", Outcomes: result.Outcomes{Total: tt.pairs}}
			a.assert()
			if a.result.Verdict != tt.verdict || a.result.Reason != tt.reason {
				t.Errorf("got %s because %q", a.result.Verdict, a.result.Reason)
			}
			if g := a.result.Gates; len(g) != 1 || g[0].Metric != "assert" || g[0].Verdict != tt.verdict || g[0].Samples != tt.pairs {
				t.Errorf("row %+v", g)
			}
		})
	}
}

func TestDisabledGatesAreShown(t *testing.T) {
	a := &audit{plan: &plan.Audit{DisabledGates: []plan.Gate{{Name: "tail", Metric: "latency.p95", Gate: judge.Gate{Snippet: "gate"}}}}}
	a.result.Verdict = result.Pass
	a.assert()
	if g := a.result.Gates; len(g) != 1 || g[0].Verdict != result.Skipped || g[0].Name != "tail" || a.result.Verdict != result.Pass {
		t.Errorf("rows %+v, verdict %s", g, a.result.Verdict)
	}
}

func TestViewOfResult(t *testing.T) {
	r := &result.Audit{
		Outcomes: result.Outcomes{Total: 10, Mismatched: 2},
		Endpoints: []result.Endpoint{{
			Endpoint: "GET /", Outcomes: result.Outcomes{Total: 10},
			Candidate: result.Side{Errors: 5, LatencyNS: result.Latency{P50: 1_500_000}},
		}},
		Gates: []result.Gate{
			{Name: "tail", Verdict: result.Fail, Samples: 4},
			{Name: "tail", Verdict: result.Pass, Samples: 6},
		},
	}
	v := viewOf(r)
	e := v.Endpoints["GET /"]
	if v.Outcomes.Mismatched != 2 || e.Pairs != 10 || e.ErrorsRate != 0.5 || *e.Candidate.P50MS != 1.5 || e.Candidate.P95MS != nil || e.Baseline.P50MS != nil {
		t.Errorf("view %+v", v)
	}
	if g := v.Gates["tail"]; g.Verdict != "fail" || g.Samples != 10 {
		t.Errorf("gate %+v", g)
	}
}
