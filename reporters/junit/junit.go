// Package junit writes results as JUnit XML, for CI systems. What comes in is
// a result.Run, what goes out is one document with a flat suite per audit.
//
// A suite has one case for the verdict of the audit, one per gate and cohort
// value, and one per endpoint for its behaviour. Their names hold no measured
// value, so that CI systems can follow a case from run to run.
//
// Some CI systems read nothing but this file. It is therefore red exactly if
// the run did not pass:
//
//   - The case of the verdict is red if and only if its audit did not pass,
//     which covers reasons that lie in no gate: a baseline that did not
//     answer, or an interruption.
//   - The case of a gate is red if the gate did not pass. No audit passes with
//     such a gate.
//   - The case of an endpoint is red if a gate on mismatches failed that looks
//     at the endpoint, and the endpoint had mismatches or a candidate that did
//     not answer. Differences that no gate minds are told in system-out.
//   - A suite "shadowaudit" with one case is there if the run as a whole is
//     worse than its audits, or had none.
//
// The property shadowaudit.privacy of a suite says what was done about personal
// data in its audit.
//
// A broken limit is a failure. What could not be measured is an error, and so
// is an inconclusive verdict, with the type "inconclusive": all consumers show
// skipped cases as green or grey, and too little evidence must never look
// like consent.
package junit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// The bounds of a document, from what consumers accept: Buildkite takes 5,000
// cases, GitLab 30 MB.
const (
	maxCases = 5000
	maxText  = 64 << 10 // bytes of one element
	maxTotal = 16 << 20 // bytes of all elements with text
	maxDiffs = 50       // of one endpoint
)

// Reporter writes JUnit XML.
type Reporter struct{ maxCases, maxTotal int }

// New returns a reporter.
func New() *Reporter { return &Reporter{maxCases: maxCases, maxTotal: maxTotal} }

// suite is the cases of an audit, the one of the verdict first.
type suite struct {
	name      string
	startedAt time.Time
	duration  int64 // ns
	origin    result.Origin
	privacy   string // what was done about personal data; "": nothing is said
	cases     []testcase
}

// testcase is a case; verdict is how it ended.
type testcase struct {
	class, name string
	verdict     result.Verdict
	kind        string // the type attribute of failure and error
	message     string // one line
	detail      string // what follows it
	out         string // system-out
	origin      result.Origin
}

func (c *testcase) red() bool { return c.verdict > result.Pass }

// Report writes the document for run to w in one call.
func (r *Reporter) Report(w io.Writer, run *result.Run) error {
	var suites []suite
	for i := range run.Audits {
		suites = append(suites, auditSuite(&run.Audits[i]))
	}
	if s, ok := runSuite(run); ok {
		suites = append(suites, s)
	}
	unique(suites)
	r.limit(suites)
	d := &document{}
	d.out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	var all []testcase
	for i := range suites {
		all = append(all, suites[i].cases...)
	}
	d.begin("testsuites", append([]attr{{"name", "shadowaudit"}}, totals(all, run.DurationNS)...)...)
	budget := r.maxTotal
	for i := range suites {
		suites[i].write(d, &budget)
	}
	d.end()
	_, err := w.Write(d.out.Bytes())
	return err
}

// runSuite tells what the audits' own suites do not.
func runSuite(run *result.Run) (suite, bool) {
	verdict := result.Skipped
	for i := range run.Audits {
		verdict = verdict.Merge(run.Audits[i].Verdict)
	}
	c := testcase{class: "shadowaudit", name: "run", verdict: run.Verdict}
	switch {
	case len(run.Audits) == 0:
		c.verdict = run.Verdict.Merge(result.Inconclusive)
		c.message = "no audit was run"
	case run.Verdict <= verdict || run.Verdict <= result.Pass:
		return suite{}, false
	case run.Interrupted:
		c.message = "the run was interrupted"
	default:
		c.message = "the run as a whole is worse than its audits"
	}
	c.kind = kindOf(c.verdict, "run")
	return suite{name: "shadowaudit", startedAt: run.StartedAt, duration: run.DurationNS, cases: []testcase{c}}, true
}

func auditSuite(a *result.Audit) suite {
	s := suite{name: a.Name, startedAt: a.StartedAt, duration: a.DurationNS, origin: a.Origin, privacy: a.Scrub.Statement()}
	class := "shadowaudit." + a.Name
	s.cases = append(s.cases, testcase{
		class:   class + ".audit",
		name:    "verdict",
		verdict: a.Verdict,
		kind:    kindOf(a.Verdict, "audit"),
		message: cmp.Or(a.Reason, "the verdict is "+a.Verdict.String()),
		out:     evidence(a),
		origin:  a.Origin,
	})
	for i := range a.Gates {
		s.cases = append(s.cases, gateCase(class+".gates", &a.Gates[i]))
	}
	for i := range a.Endpoints {
		s.cases = append(s.cases, endpointCase(class+".endpoints", a, &a.Endpoints[i]))
	}
	// Gates come worst first; here a case keeps its place from run to run, gates
	// before endpoints.
	slices.SortStableFunc(s.cases[1:], func(x, y testcase) int {
		return cmp.Or(strings.Compare(y.class, x.class), strings.Compare(x.name, y.name))
	})
	return s
}

// kindOf is the type attribute of a case that is red.
func kindOf(v result.Verdict, failure string) string {
	if v == result.Fail {
		return failure
	}
	return v.String()
}

func gateCase(class string, g *result.Gate) testcase {
	name := g.Name
	if where := place(g.Cohort); where != "" {
		name += " [" + where + "]"
	}
	detail := fmt.Sprintf("metric %s, limit %s", g.Metric, g.Limit)
	for _, likely := range g.Likely() {
		detail += "\n" + likely
	}
	if g.Origin.File != "" {
		detail += fmt.Sprintf("\n%s:%d", g.Origin.File, g.Origin.Line)
	}
	if g.Snippet != "" {
		detail += "\n" + oneLine(strings.TrimSpace(g.Snippet))
	}
	return testcase{
		class: class, name: name, verdict: g.Verdict,
		kind: kindOf(g.Verdict, "gate."+g.Metric), message: g.Reason, detail: detail, origin: g.Origin,
	}
}

// place names a cohort: "endpoint=GET /orders, region=eu".
func place(cohort map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(cohort)) {
		parts = append(parts, name+"="+cohort[name])
	}
	return strings.Join(parts, ", ")
}

func endpointCase(class string, a *result.Audit, e *result.Endpoint) testcase {
	c := testcase{class: class, name: e.Endpoint + " behaves like the baseline", verdict: result.Pass, kind: "behaviour", origin: a.Origin}
	unanswered := int64(0)
	for _, n := range e.Candidate.Failures {
		unanswered += n
	}
	o := e.Outcomes
	summary := fmt.Sprintf("%s: %d mismatched, %d failed, %d inconclusive", result.Plural(o.Total, "pair"), o.Mismatched, o.Failed, o.Inconclusive)
	differs := o.Mismatched > 0 || unanswered > 0
	switch {
	case differs && minded(a.Gates, e.Endpoint):
		c.verdict, c.message, c.detail = result.Fail, summary, differences(a.Differences, e.Endpoint)
	case o.Matched+o.Ignored+o.Mismatched == 0:
		c.verdict, c.message = result.Skipped, "no pair could be compared; "+summary
	case differs:
		c.out = summary + "\n" + differences(a.Differences, e.Endpoint)
	}
	return c
}

// minded reports whether a gate on mismatches failed that looks at endpoint.
func minded(gates []result.Gate, endpoint string) bool {
	for i := range gates {
		g := &gates[i]
		if g.Metric != "mismatches.rate" || g.Verdict != result.Fail {
			continue
		}
		if at, ok := g.Cohort["endpoint"]; !ok || at == endpoint || at == "(other)" {
			return true
		}
	}
	return false
}

// differences lists what differs at endpoint, one line each.
func differences(diffs []result.Diff, endpoint string) string {
	var lines []string
	left := 0
	for i := range diffs {
		d := &diffs[i]
		if d.Endpoint != endpoint || d.IgnoredBy != "" {
			continue
		}
		if len(lines) == maxDiffs {
			left++
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s in %s: baseline %s, candidate %s", oneLine(d.Path), d.Kind, result.Plural(d.Pairs, "pair"),
			cmp.Or(oneLine(d.Baseline), "(absent)"), cmp.Or(oneLine(d.Candidate), "(absent)")))
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more, see the JSON report", left))
	}
	return strings.Join(lines, "\n")
}

// oneLine keeps a value from ending its line. CI systems take a line of their
// own such as "[[ATTACHMENT|path]]" for a command.
func oneLine(s string) string {
	return strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s)
}

// unique shortens names to what consumers store, and numbers cases with the
// same class and name, because some consumers keep only the first of them.
func unique(suites []suite) {
	taken := map[[2]string]bool{}
	for i := range suites {
		for k := range suites[i].cases {
			c := &suites[i].cases[k]
			c.class, c.name = brief(c.class), brief(c.name)
			name := c.name
			for n := 2; taken[[2]string{c.class, name}]; n++ {
				name = fmt.Sprintf("%s (%d)", c.name, n)
			}
			taken[[2]string{c.class, name}] = true
			c.name = name
		}
	}
}

// limit leaves out cases beyond the bound: green ones before red ones, and
// verdicts last of each. The first case of a suite says how many are missing.
func (r *Reporter) limit(suites []suite) {
	total := 0
	for i := range suites {
		total += len(suites[i].cases)
	}
	room := r.maxCases
	if total <= room {
		return
	}
	keep := make([][]bool, len(suites))
	for i := range suites {
		keep[i] = make([]bool, len(suites[i].cases))
	}
	for rank := range 4 {
		for i := range suites {
			for k := range suites[i].cases {
				if room > 0 && importance(&suites[i].cases[k], k == 0) == rank {
					keep[i][k] = true
					room--
				}
			}
		}
	}
	for i := range suites {
		suites[i].drop(keep[i])
	}
}

func importance(c *testcase, verdict bool) int {
	switch {
	case c.red() && verdict:
		return 0
	case c.red():
		return 1
	case verdict:
		return 2
	}
	return 3
}

func (s *suite) drop(keep []bool) {
	var kept []testcase
	for i, c := range s.cases {
		if keep[i] {
			kept = append(kept, c)
		}
	}
	if n := len(s.cases) - len(kept); n > 0 && len(kept) > 0 {
		kept[0].out = strings.TrimLeft(fmt.Sprintf("%s\n%s left out, see the JSON report", kept[0].out, result.Plural(int64(n), "case")), "\n")
	}
	s.cases = kept
}

func totals(cases []testcase, duration int64) []attr {
	var failures, errors, skipped int
	for i := range cases {
		switch cases[i].verdict {
		case result.Fail:
			failures++
		case result.Error, result.Inconclusive:
			errors++
		case result.Skipped:
			skipped++
		}
	}
	return []attr{
		{"tests", fmt.Sprint(len(cases))},
		{"failures", fmt.Sprint(failures)},
		{"errors", fmt.Sprint(errors)},
		{"skipped", fmt.Sprint(skipped)},
		{"time", fmt.Sprintf("%.3f", time.Duration(duration).Seconds())},
	}
}

func (s *suite) write(d *document, budget *int) {
	if len(s.cases) == 0 {
		return
	}
	attrs := append([]attr{{"name", s.name}}, totals(s.cases, s.duration)...)
	attrs = append(attrs, attr{"timestamp", s.startedAt.UTC().Format("2006-01-02T15:04:05Z")})
	if s.origin.File != "" {
		attrs = append(attrs, attr{"file", s.origin.File})
	}
	d.begin("testsuite", attrs...)
	if s.privacy != "" {
		d.begin("properties")
		d.empty("property", attr{"name", "shadowaudit.privacy"}, attr{"value", brief(oneLine(s.privacy))})
		d.end()
	}
	for i := range s.cases {
		s.cases[i].write(d, budget)
	}
	d.end()
}

func (c *testcase) write(d *document, budget *int) {
	attrs := []attr{{"classname", c.class}, {"name", c.name}, {"time", "0.000"}}
	if c.origin.File != "" {
		attrs = append(attrs, attr{"file", c.origin.File}, attr{"line", fmt.Sprint(c.origin.Line)})
	}
	if c.verdict == result.Pass && c.out == "" {
		d.empty("testcase", attrs...)
		return
	}
	d.begin("testcase", attrs...)
	message := brief(oneLine(c.message))
	switch c.verdict {
	case result.Skipped:
		d.empty("skipped", attr{"message", message})
	case result.Fail:
		d.text("failure", c.body(message, budget), attr{"message", message}, attr{"type", c.kind})
	case result.Inconclusive, result.Error:
		d.text("error", c.body(message, budget), attr{"message", message}, attr{"type", c.kind})
	}
	if c.out != "" {
		d.text("system-out", spend(c.out, budget))
	}
	d.end()
}

// body is the text of a failure: some consumers show only the message, some
// only the text, so the text begins with the message.
func (c *testcase) body(message string, budget *int) string {
	if c.detail == "" {
		return message
	}
	return spend(message+"\n"+c.detail, budget)
}

// spend cuts text to what its element may hold, and to what is left for the
// whole document.
func spend(text string, budget *int) string {
	text = cut(text, max(min(maxText, *budget), 256))
	*budget -= len(text)
	return text
}
