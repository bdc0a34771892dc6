package lang

import (
	"errors"
	"time"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// Noise is a noise block: the baseline is asked again to learn which
// differences mean nothing.
type Noise struct {
	On     bool          // the block is there
	Sample Attr[float64] // share of the requests that are asked again
	Target *Target       // nil means the baseline
	Origin pos.Range
}

var noiseFields = fields[*Noise]{
	"sample": func(l *loader, a argument, n *Noise) { l.shareAttr(a, &n.Sample) },
	"target": func(l *loader, a argument, n *Noise) { n.Target, _ = reference(l, a, targetsOf) },
}

// checkNoise looks at what the noise block says together with the audit.
func (l *loader) checkNoise(b *body, a *Audit) {
	n := &a.Noise
	if !n.On {
		return
	}
	if n.Sample.Set && n.Sample.Value == 0 {
		l.diags.Add(diag.Diagnostic{
			Code: diag.SelectsNothing, Summary: "Nothing is probed", Subject: n.Sample.Range, Label: "asks nobody",
			Help: `a share above zero: sample = "25%"`,
		})
	}
	if a.Baseline.Recorded && n.Target == nil {
		l.conflict(n.Origin, "a recorded baseline cannot be asked again",
			"name a target of the same build, or compare with a target: baseline = target.stable")
	}
	if n.Target != nil && n.Target == a.Candidate {
		l.conflict(b.at("target"), "the candidate would excuse itself", "name the baseline's build, or leave target out")
	}
}

// dateAttr decodes a day.
func (l *loader) dateAttr(a argument, into *Attr[time.Time]) {
	s, it, ok := l.text(a)
	if !ok {
		return
	}
	day, err := parseDate(s)
	if err != nil {
		l.invalid(diag.BadValue, a, it, err.Error(), a.Name+" = "+a.Example)
		return
	}
	*into = attrOf(a, day)
}

func parseDate(s string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, errors.New("not a day in the form YYYY-MM-DD")
	}
	return day, nil
}

// checkDecision looks at what decides a gate.
func (l *loader) checkDecision(b *body, g *gateState) {
	if g.Decision.Value == "point" && b.has("confidence") {
		l.conflict(b.at("confidence"), "does not go with decision = point", "decision = interval")
	}
	if c := g.Confidence; c.Set && (c.Value <= 0.5 || c.Value >= 1) {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadShare, Summary: "Invalid share", Subject: c.Range, Label: "has to be above 50% and below 100%",
			Help: `confidence = "95%"`,
		})
	}
	if !g.Abort.Value || g.info.Name == "" {
		return
	}
	switch {
	case !abortable[g.info.Name]:
		l.conflict(g.Abort.Range, "does not go with "+g.info.Name, "abort goes with the rates of errors, mismatches and failures, and with latency quantiles")
	case !b.has("max") && !b.has("max_increase"):
		l.conflict(g.Abort.Range, "needs max or max_increase", "")
	case !b.has("max") && g.MaxIncrease.Value.Relative && g.info.Dimension == schema.Part:
		l.conflict(g.Abort.Range, "needs max, or max_increase in percentage points", `max_increase = "0.5pp"`)
	case len(g.Per) > 0:
		l.conflict(g.Abort.Range, "does not go with per", "give the traffic as a whole a gate of its own with abort = true")
	}
}

// abortable are the metrics of which every pair says something for itself, so
// that their limits can be tested while the run goes on.
var abortable = map[string]bool{
	"errors.rate": true, "mismatches.rate": true, "failures.rate": true,
	"latency.p50": true, "latency.p90": true, "latency.p95": true, "latency.p99": true, "latency.p999": true,
}
