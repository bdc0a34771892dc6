package lang

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pasteGate is a gate to begin with.
const pasteGate = `gate "behaviour" {
  metric = mismatches.rate
  max    = "0%"
}`

func missingAudit(file string, blocks hcl.Blocks) diag.Diagnostic {
	if len(blocks) > 0 {
		return diag.Diagnostic{
			Code: diag.MissingAudit, Summary: "Nothing to run", Subject: diag.Range(headerRange(blocks[0])),
			Label:  "its for_each is empty",
			Detail: "No audit is left of the spec, so that it could never say no.",
		}
	}
	return diag.Diagnostic{
		Code: diag.MissingAudit, Summary: "Nothing to run", Subject: fileStart(file),
		Detail: "The spec declares no audit, so that it could never say no.",
		Help: "add an audit:\n\naudit \"checkout\" {\n  source    = source.gor.peak_hour\n  baseline  = target.stable\n" +
			"  candidate = target.next\n\n  " + strings.ReplaceAll(pasteGate, "\n", "\n  ") + "\n}",
	}
}

// checkAudit looks at what the arguments of an audit say together.
func (l *loader) checkAudit(b *body, a *Audit) {
	l.checkDecides(b, a)
	if a.ScrubNone.Value && !b.has("scrub_reason") {
		l.diags.Add(diag.Diagnostic{
			Code: diag.MissingReason, Summary: "No scrubbing without a reason", Subject: a.ScrubNone.Range, Label: "needs a scrub_reason",
			Detail: "With scrub = none personal data in the recording reaches the targets and the reports. The reason is printed in every report.",
			Help:   `scrub_reason = "Synthetic traffic, no person in it."`,
		})
	}
	if b.has("scrub_reason") && !a.ScrubNone.Value {
		l.conflict(b.at("scrub_reason"), "only goes with scrub = none", "")
	}
	if a.Candidate != nil && a.Baseline.Target == a.Candidate {
		l.diags.Add(diag.Diagnostic{
			Severity: diag.Warning, Code: diag.SameTarget, Summary: "Baseline and candidate are the same", Subject: b.at("candidate"),
			Label:  "also the baseline",
			Detail: "Such an A/A run shows how much one build differs from itself. It says nothing about another one.",
		})
	}
}

// checkDecides makes sure that something can fail the audit.
func (l *loader) checkDecides(b *body, a *Audit) {
	decides := slices.ContainsFunc(a.Gates, func(g Gate) bool { return g.Enabled.Value })
	if decides || b.broken["gate"] {
		return
	}
	d := diag.Diagnostic{
		Code: diag.MissingGate, Summary: "Audit without a gate", Subject: a.Origin, Label: "nothing decides its verdict",
		Detail: "An audit passes or fails by its gates. Without one it could not say no.",
		Help:   "add at least one:\n\n" + pasteGate,
	}
	switch {
	case len(a.Gates) > 0:
		d.Detail = "All its gates are switched off with enabled = false, so that it could not say no."
		d.Help = "leave one switched on, or switch off the audit"
	case len(b.blocksOf("gate")) > 0:
		d.Detail = "for_each of its gates is empty, so that none is left and it could not say no."
		d.Help = "add one without for_each:\n\n" + pasteGate
	}
	l.diags.Add(d)
}

func (l *loader) conflict(at pos.Range, label, help string) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.ArgumentConflict, Summary: "Arguments that do not go together", Subject: at, Label: label, Help: help,
	})
}

func (l *loader) checkSelect(s *Select) {
	if s.Sample.Set && s.Sample.Value == 0 {
		l.diags.Add(diag.Diagnostic{
			Code: diag.SelectsNothing, Summary: "Nothing is selected", Subject: s.Sample.Range, Label: "selects nothing",
			Help: `a share above zero: sample = "10%"`,
		})
	}
	if s.From.Set && s.To.Set && s.To.Value <= s.From.Value {
		l.diags.Add(diag.Diagnostic{
			Code: diag.SelectsNothing, Summary: "Nothing is selected", Subject: s.To.Range, Label: "not after from",
			Related: []diag.Related{{Range: s.From.Range, Text: "the window begins here"}},
			Help:    "from and to both count from the first exchange",
		})
	}
}

// timingArguments says which timings an argument of replay goes with.
var timingArguments = []struct {
	argument string
	with     []Timing
}{
	{"speed", []Timing{TimingRecorded}},
	{"max_gap", []Timing{TimingRecorded}},
	{"rate", []Timing{TimingConstant, TimingRamp}},
	{"start_rate", []Timing{TimingRamp}},
	{"over", []Timing{TimingRamp}},
}

// timingNeeds says which arguments a timing cannot do without.
var timingNeeds = map[Timing][]string{
	TimingConstant: {"rate"},
	TimingRamp:     {"rate", "over"},
}

func (l *loader) checkReplay(b *body, r *Replay) {
	if b.has("timing") && !r.Timing.Set {
		return // the timing is not known, and that has been reported
	}
	timing := r.Timing.Value
	for _, rule := range timingArguments {
		if b.has(rule.argument) && !slices.Contains(rule.with, timing) {
			var with []string
			for _, t := range rule.with {
				with = append(with, string(t))
			}
			l.conflict(b.at(rule.argument), fmt.Sprintf("does not go with %s timing", timing),
				fmt.Sprintf("%s belongs to timing = %s", rule.argument, orList(with)))
		}
	}
	for _, need := range timingNeeds[timing] {
		if !b.has(need) {
			a, _ := b.schema.Argument(need)
			l.conflict(r.Timing.Range, fmt.Sprintf("%s timing needs %s", timing, need), fmt.Sprintf("%s = %s", need, a.Example))
		}
	}
	if r.StartRate.Set && r.Rate.Set && r.StartRate.Value >= r.Rate.Value {
		l.conflict(r.StartRate.Range, "not below rate", "a ramp rises from start_rate to rate")
	}
}

// checkGate looks at what the limits of a gate say together.
func (l *loader) checkGate(b *body, g *gateState) {
	if !b.has("max") && !b.has("min") && !b.has("max_increase") {
		d := diag.Diagnostic{
			Code: diag.MissingLimit, Summary: "Gate without a limit", Subject: g.Origin, Label: "cannot fail",
			Help: "set at least one of max, min and max_increase",
		}
		if g.info.Name != "" {
			d.Help += fmt.Sprintf("; max of %s is %s", g.info.Name, limitForms(g.info))
		}
		l.diags.Add(d)
	}
	if g.Max.Set && g.Min.Set && g.Max.Value.Value < g.Min.Value.Value {
		l.diags.Add(diag.Diagnostic{
			Code: diag.LimitOrder, Summary: "Limits that exclude each other", Subject: g.Max.Range, Label: "below min: no value passes",
			Related: []diag.Related{{Range: g.Min.Range, Text: "min"}},
		})
	}
	if g.info.Name == "" {
		return
	}
	wrong := map[string]*Attr[Limit]{"min": &g.Min}
	better := "less"
	if g.info.MoreIsBetter {
		wrong = map[string]*Attr[Limit]{"max": &g.Max, "max_increase": &g.MaxIncrease}
		better = "more"
	}
	for _, name := range sortedKeys(wrong) {
		if limit := wrong[name]; limit.Set {
			l.diags.Add(diag.Diagnostic{
				Severity: diag.Warning, Code: diag.LimitDirection, Summary: "Limit on the good side", Subject: b.at(name),
				Label: fmt.Sprintf("%s of %s is better", better, g.info.Name),
				Help:  fmt.Sprintf("the gate fails when %s gets better than this; leave %s out unless that is meant", g.info.Name, name),
			})
		}
	}
}

func unknownDimension(at pos.Range, given string, known []string, expr hcl.Expression) diag.Diagnostic {
	d := diag.Diagnostic{
		Code: diag.UnknownCohort, Summary: "Unknown dimension", Subject: at, Label: "neither endpoint nor a cohort of this audit",
	}
	if s, ok := stringLiteral(expr); ok && given == "" {
		d.Label, given = "a dimension stands without quotes", s
	}
	if strings.HasPrefix(given, "cohort.") {
		d.Summary, d.Label = "Unknown cohort", "this audit declares no such cohort"
	}
	if near := nearReference(given, known); given != "" && near != "" {
		d.Help = fmt.Sprintf("did you mean %s?", near)
		return d
	}
	if name, ok := strings.CutPrefix(given, "cohort."); ok {
		d.Help = fmt.Sprintf("declare it in the audit: cohort %q { by = \".request.headers[\\\"x-%s\\\"]\" }", name, name)
		return d
	}
	d.Help = "dimensions here are " + strings.Join(known, ", ")
	return d
}

// checkUnused warns about blocks that nothing refers to.
func (l *loader) checkUnused() {
	for _, name := range sortedKeys(l.vars) {
		if v := l.vars[name]; !v.used {
			l.unused("variable", v.label, "var."+name)
		}
	}
	for _, name := range sortedKeys(l.locals) {
		if x := l.locals[name]; !x.used {
			l.unused("local", x.attr.NameRange, "local."+name)
		}
	}
	for _, name := range sortedKeys(l.imports) {
		if imp := l.imports[name]; !imp.used {
			l.unused("import", imp.label, name)
		}
	}
	warnUnused(l, "source", l.sources.all)
	warnUnused(l, "scrub", l.scrubs.all)
	warnUnused(l, "target", l.targets.all)
	warnUnused(l, "ignore_set", l.ignoreSets.all)
}

func warnUnused[T any](l *loader, blockType string, all []*decl[T]) {
	for _, d := range all {
		if !d.used {
			l.unused(blockType, d.label, blockType+"."+d.name)
		}
	}
}

func (l *loader) unused(blockType string, at hcl.Range, name string) {
	l.diags.Add(diag.Diagnostic{
		Severity: diag.Warning, Code: diag.Unused, Summary: "Unused " + blockType, Subject: diag.Range(at),
		Label: cmp.Or(unusedLabels[blockType], "no audit uses it"),
		Help:  fmt.Sprintf("use %s, or remove %s", name, cmp.Or(unusedParts[blockType], "the block")),
	})
}

var (
	unusedLabels = map[string]string{"variable": "nothing uses it", "local": "nothing uses it", "import": "nothing of it is used"}
	unusedParts  = map[string]string{"local": "it"}
)
