package engine

import (
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// assert adds a row to the gates for each assertion of the audit, and for each
// gate that is switched off, and makes the verdict worse where a row asks for
// it.
func (a *audit) assert() {
	r := &a.result
	for _, g := range a.plan.DisabledGates {
		r.Gates = append(r.Gates, result.Gate{
			Name: g.Name, Metric: g.Metric, Verdict: result.Skipped, Reason: "switched off in the spec: enabled = false",
			Origin: result.OriginOf(g.Origin), Snippet: g.Snippet,
		})
	}
	if len(a.plan.Assertions) == 0 {
		return
	}
	view := viewOf(r)
	for i := range a.plan.Assertions {
		row := judgeAssertion(&a.plan.Assertions[i], view)
		r.Gates = append(r.Gates, row)
		if row.Verdict > r.Verdict {
			r.Verdict, r.Reason = row.Verdict, fmt.Sprintf("assert %q: %s", row.Name, row.Reason)
		}
	}
}

func judgeAssertion(a *plan.Assertion, view plan.ResultView) result.Gate {
	row := result.Gate{
		Name: a.Name, Metric: "assert", Verdict: result.Pass, Limit: a.Text, Samples: view.Outcomes.Total,
		Reason: "the condition holds", Origin: result.OriginOf(a.Origin), Snippet: a.Snippet,
	}
	if view.Outcomes.Total == 0 {
		row.Verdict, row.Reason = result.Inconclusive, "nothing was measured"
		return row
	}
	switch ok, message, err := a.Check(view); {
	case err != nil:
		row.Verdict, row.Reason = result.Inconclusive, fmt.Sprintf("the condition cannot be decided: %v", err)
	case !ok:
		row.Verdict, row.Reason = result.Fail, message
	}
	return row
}

// viewOf gives a result as assertions see it.
func viewOf(r *result.Audit) plan.ResultView {
	o, t := r.Outcomes, r.Traffic
	view := plan.ResultView{
		Outcomes: plan.OutcomesView{
			Total: o.Total, Matched: o.Matched, Ignored: o.Ignored, Mismatched: o.Mismatched, Failed: o.Failed, Inconclusive: o.Inconclusive,
		},
		Traffic: plan.TrafficView{
			Read: t.Read, Paired: t.Paired, Selected: t.Selected, Excluded: t.Excluded, SampledOut: t.SampledOut,
			OutsideWindow: t.OutsideWindow, UnsafeSkipped: t.UnsafeSkipped, ScrubDropped: t.ScrubDropped, NotSent: t.NotSent,
			Malformed: t.Malformed, OrphanResponses: t.OrphanResponses, Truncated: t.Truncated,
		},
		Replay: plan.ReplayView{
			RatePerS:      r.Replay.RatePerS,
			LatenessP50MS: milliseconds(r.Replay.LatenessNS.P50),
			LatenessP99MS: milliseconds(r.Replay.LatenessNS.P99),
			LatenessMaxMS: milliseconds(r.Replay.LatenessNS.Max),
		},
		Endpoints: map[string]plan.EndpointView{},
		Gates:     map[string]plan.GateView{},
	}
	for _, e := range r.Endpoints {
		v := plan.EndpointView{
			Pairs: e.Outcomes.Total, Matched: e.Outcomes.Matched, Mismatched: e.Outcomes.Mismatched, Failed: e.Outcomes.Failed,
			Baseline: sideView(e.Baseline), Candidate: sideView(e.Candidate),
		}
		if v.Pairs > 0 {
			v.ErrorsRate = float64(e.Candidate.Errors) / float64(v.Pairs)
		}
		view.Endpoints[e.Endpoint] = v
	}
	worst := map[string]result.Verdict{}
	for _, g := range r.Gates {
		worst[g.Name] = worst[g.Name].Merge(g.Verdict)
		view.Gates[g.Name] = plan.GateView{Verdict: worst[g.Name].String(), Samples: view.Gates[g.Name].Samples + g.Samples}
	}
	return view
}

func sideView(s result.Side) plan.SideView {
	v := plan.SideView{Errors: s.Errors}
	for _, p := range []struct {
		from int64
		to   **float64
	}{{s.LatencyNS.P50, &v.P50MS}, {s.LatencyNS.P95, &v.P95MS}, {s.LatencyNS.P99, &v.P99MS}} {
		if p.from > 0 {
			ms := milliseconds(p.from)
			*p.to = &ms
		}
	}
	return v
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }
