package preview

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/selection"
)

// reasons names decisions as the counters of the traffic do.
var reasons = map[selection.Decision]string{
	selection.Excluded:      "excluded",
	selection.SampledOut:    "sampled_out",
	selection.OutsideWindow: "outside_window",
	selection.UnsafeSkipped: "unsafe_skipped",
}

// conclude writes down what was counted, and what it means.
func (v *view) conclude(in *intake.Intake) {
	a := v.audit
	a.Traffic = in.Traffic()
	a.Skipped = v.skips()
	for _, name := range ranked(v.endpoints) {
		a.Endpoints = append(a.Endpoints, Endpoint{name, v.endpoints[name], v.share(v.endpoints[name])})
	}
	a.Sessions = v.sessionsFound()
	a.Load = v.load()
	for _, r := range in.Rules() {
		a.Select = append(a.Select, Rule{Rule: r.Rule, JQ: r.JQ, Hits: r.Hits, Origin: result.OriginOf(r.Origin)})
	}
	for _, p := range v.places.all {
		a.Compare = append(a.Compare, Rule{Rule: p.rule, JQ: p.paths.Source(), Found: p.found, Origin: result.OriginOf(p.origin)})
	}
	v.cohortsFound()
	v.gates()
	v.scrubbed(in.Scrub())
	v.warn(in)
}

func (v *view) scrubbed(r result.Scrub) {
	s := &v.audit.Scrub
	*s = Scrub{Disabled: r.Disabled, Reason: r.Reason, Packs: r.Packs, Dropped: r.Dropped, KeyID: r.KeyID, Before: r.Before}
	for _, rule := range r.Rules {
		exempts := slices.ContainsFunc(v.plan.Scrub.Rules, func(u scrub.Rule) bool { return u.Name == rule.Name && u.Action == scrub.Keep })
		if !exempts {
			s.Rules = append(s.Rules, rule)
		}
	}
	if !s.Disabled {
		s.Replaced, s.Uncovered, s.More = v.persons.list(v.persons.replaced), v.persons.list(v.persons.uncovered), v.persons.more
	}
}

func (v *view) share(n int64) float64 {
	if v.audit.Traffic.Selected == 0 {
		return 0
	}
	return float64(n) / float64(v.audit.Traffic.Selected)
}

func (v *view) skips() []Skipped {
	var out []Skipped
	for k, n := range v.skipped {
		out = append(out, Skipped{reasons[k.why], k.method, n})
	}
	slices.SortFunc(out, func(a, b Skipped) int {
		return cmp.Or(cmp.Compare(b.Exchanges, a.Exchanges), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Method, b.Method))
	})
	return out
}

func (v *view) sessionsFound() Sessions {
	s := Sessions{Count: int64(len(v.sessions)), AtLeast: v.overflow, Without: v.without}
	for _, n := range v.sessions {
		s.Longest = max(s.Longest, n)
	}
	return s
}

func (v *view) load() Load {
	l := Load{Timing: string(v.plan.Replay.Timing), RecordedNS: int64(v.last.Sub(v.first))}
	if v.plan.Replay.Timing == replay.Unpaced {
		return l
	}
	l.PlannedNS = int64(v.meter.span())
	l.PeakPerS = float64(v.meter.peak)
	l.MeanPerS = v.meter.mean()
	return l
}

func (v *view) cohortsFound() {
	for i, c := range v.plan.Cohorts {
		found := Cohort{Name: c.Name, By: c.By.Source()}
		for _, value := range ranked(v.cohorts[i]) {
			n := v.cohorts[i][value]
			found.Values = append(found.Values, Value{value, n, v.share(n)})
		}
		v.audit.Cohorts = append(v.audit.Cohorts, found)
	}
}

func (v *view) gates() {
	for i := range v.plan.Gates {
		g, e := &v.plan.Gates[i], v.evidence[i]
		found := Gate{
			Name: g.Name, Metric: g.Metric, Limits: g.Limits, Per: g.Per, MinSamples: g.MinSamples,
			Groups: len(e.samples), AtLeast: e.more, Origin: result.OriginOf(g.Origin),
		}
		if info, ok := judge.ParseMetric(g.Metric); ok && found.MinSamples == 0 {
			found.MinSamples = info.MinSamples
		}
		found.Short = e.short(g.Per, found.MinSamples)
		v.audit.Gates = append(v.audit.Gates, found)
	}
	for _, g := range v.plan.DisabledGates {
		v.audit.Gates = append(v.audit.Gates, Gate{
			Name: g.Name, Metric: g.Metric, Limits: g.Limits, Per: g.Per, Disabled: true, Origin: result.OriginOf(g.Origin),
		})
	}
	for _, c := range v.plan.Assertions {
		v.audit.Asserts = append(v.audit.Asserts, Assertion{c.Name, c.Text, result.OriginOf(c.Origin)})
	}
}

// warn says what a user should know before anything is sent.
func (v *view) warn(in *intake.Intake) {
	v.audit.Notes = append(v.audit.Notes, in.SourceNotes()...)
	v.audit.Notes = append(v.audit.Notes, in.RuleNotes()...)
	v.warnTraffic()
	if v.audit.Traffic.Selected == 0 {
		return // everything below follows from that
	}
	v.warnSelect()
	v.warnEndpoints()
	v.warnPlaces()
	v.warnScrub()
	v.warnCohorts()
	v.warnGates()
}

func (v *view) warning(origin result.Origin, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if origin.File != "" {
		text = fmt.Sprintf("%s:%d: %s", origin.File, origin.Line, text)
	}
	v.note("warning", "%s", text)
}

var nowhere result.Origin

func (v *view) warnTraffic() {
	t := &v.audit.Traffic
	switch {
	case t.Read == 0:
		v.warning(nowhere, "There is no exchange in the source.")
	case t.Selected == 0:
		v.warning(nowhere, "Nothing would be sent: none of %s is selected.", result.Plural(t.Read, "exchange"))
	}
	if t.UnsafeSkipped > 0 {
		v.warning(nowhere, "%s of the exchanges (%s of %s) could change something at a target and are skipped: %s. Name the methods in select.methods to send them.",
			result.FormatShare(float64(t.UnsafeSkipped)/float64(t.Read), result.Digits), result.FormatCount(t.UnsafeSkipped), result.FormatCount(t.Read), v.unsafe())
	}
	if v.plan.Baseline.Recorded && t.Paired < t.Read {
		v.warning(nowhere, "%s of %s exchanges have no recorded response to compare with.", result.FormatCount(t.Read-t.Paired), result.FormatCount(t.Read))
	}
}

// unsafe lists the methods that are skipped: "POST 120, PUT 3".
func (v *view) unsafe() string {
	var parts []string
	for _, s := range v.audit.Skipped {
		if s.Reason == reasons[selection.UnsafeSkipped] {
			parts = append(parts, s.Method+" "+result.FormatCount(s.Exchanges))
		}
	}
	return strings.Join(parts, ", ")
}

func (v *view) warnSelect() {
	for _, r := range v.audit.Select {
		if r.Hits == 0 {
			v.warning(r.Origin, "%s %s never decides: no exchange matches it, or an earlier one always does.", r.Rule, r.JQ)
		}
	}
}

func (v *view) warnEndpoints() {
	for _, declared := range v.plan.Endpoints {
		_, path, ok := strings.Cut(declared, " ")
		if !ok {
			path = declared
		}
		used := slices.ContainsFunc(v.audit.Endpoints, func(e Endpoint) bool {
			return e.Endpoint == declared || !ok && strings.HasSuffix(e.Endpoint, " "+path)
		})
		if !used {
			v.warning(nowhere, "endpoints: no request fits the template %s.", declared)
		}
	}
	if n := v.endpoints[cohort.Other]; n > 0 {
		v.warning(nowhere, "There are more endpoints than can be told apart, so that %s go to %s. Declare templates with endpoints.", result.Plural(n, "request"), cohort.Other)
	}
}

func (v *view) warnPlaces() {
	p := v.places
	if len(p.all) > 0 && p.responses == 0 {
		v.note("info", "Nothing is said of the compare rules: no selected exchange has a recorded response.")
		return
	}
	for i, r := range p.all {
		origin := v.audit.Compare[i].Origin
		switch {
		case !r.found:
			v.warning(origin, "%s %s matches nothing in %s.", r.rule, r.paths.Source(), result.Plural(p.responses, "recorded response"))
		case !r.fit:
			v.warning(origin, "%s %s never finds %s in %s.", r.rule, r.paths.Source(), r.what, result.Plural(p.responses, "recorded response"))
		}
	}
}

func (v *view) warnScrub() {
	s := &v.audit.Scrub
	if s.Disabled {
		v.warning(nowhere, "Scrubbing is off: scrub = none, because: %s", s.Reason)
		return
	}
	for _, rule := range v.plan.Scrub.Rules {
		i := slices.IndexFunc(s.Rules, func(r result.ScrubRule) bool { return r.Name == rule.Name })
		if i >= 0 && s.Rules[i].Hits == 0 {
			v.warning(result.OriginOf(rule.Origin), "scrub rule %q never fires.", rule.Name)
		}
	}
	if n := len(s.Uncovered); n > 0 {
		values := int64(0)
		for _, p := range s.Uncovered {
			values += p.Values
		}
		v.warning(nowhere, "%s at %s stay as they are although their names look personal: name them in a rule of the scrub block, with action = keep where they are none. The first is %s of the %s of %s.",
			result.Plural(values, "value"), result.Plural(int64(n), "place"), s.Uncovered[0].Path, s.Uncovered[0].Of, s.Uncovered[0].Endpoint)
	}
	if s.Before > 0 {
		v.note("info", "%s came scrubbed by the same key, packs and rules: where they hold personal names is known to whoever recorded them.", result.Plural(s.Before, "exchange"))
	}
	for _, d := range s.Dropped {
		v.warning(nowhere, "%s would not be sent because the scrubber cannot read them: %s.", result.Plural(d.Count, "exchange"), d.Reason)
	}
}

func (v *view) warnCohorts() {
	for _, c := range v.audit.Cohorts {
		switch {
		case len(c.Values) == 1 && c.Values[0].Value == cohort.None:
			v.warning(nowhere, "cohort %s has no value anywhere: %s finds nothing.", c.Name, c.By)
		case slices.ContainsFunc(c.Values, func(x Value) bool { return x.Value == cohort.Other }):
			v.warning(nowhere, "cohort %s has more values than can be told apart.", c.Name)
		}
	}
}

func (v *view) warnGates() {
	for _, g := range v.audit.Gates {
		if len(g.Short) == 0 {
			continue
		}
		if len(g.Per) == 0 {
			v.warning(g.Origin, "gate %q needs %s and can have %s: it would be inconclusive.", g.Name, result.Plural(int64(g.MinSamples), "sample"), result.FormatCount(g.Short[0].Samples))
			continue
		}
		worst := make([]string, len(g.Per))
		for i, name := range g.Per {
			worst[i] = g.Short[0].Cohort[name]
		}
		v.warning(g.Origin, "gate %q needs %s in each group, and %s of %s have fewer: it would be inconclusive. The smallest is %s with %s.",
			g.Name, result.Plural(int64(g.MinSamples), "sample"), result.FormatCount(int64(len(g.Short))), result.Plural(int64(g.Groups), "group"),
			strings.Join(worst, ", "), result.FormatCount(g.Short[0].Samples))
	}
}
