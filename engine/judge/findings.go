package judge

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Findings is what the pairs of an audit say.
type Findings struct {
	Verdict     result.Verdict
	Reason      string // one sentence
	Outcomes    result.Outcomes
	Endpoints   []result.Endpoint // by name
	Gates       []result.Gate     // in the order of Config.Gates, each one's worst cohort first
	Differences []result.Diff     // those that count first, then by pairs
	Notes       []result.Note
}

// Finish judges the pairs. elapsed is the time from the first request sent to
// the last answer. No pair may be added while it runs.
func (j *Judge) Finish(elapsed time.Duration) Findings {
	j.mu.Lock()
	defer j.mu.Unlock()

	var f Findings
	f.Endpoints = j.summarise()
	for _, e := range f.Endpoints {
		f.Outcomes.Add(e.Outcomes)
	}
	f.Gates = j.judgeGates(elapsed)

	var leftOut int64
	f.Differences, leftOut = j.differences.list(j.compared())
	j.conclude(&f)
	j.annotate(&f, leftOut)
	return f
}

// judgeGates groups the pairs once for all gates with the same Per.
func (j *Judge) judgeGates(elapsed time.Duration) []result.Gate {
	results := make([][]result.Gate, len(j.gates))
	for i, g := range j.gates {
		if results[i] != nil {
			continue
		}
		groups := j.groupBy(g.Per)
		for k, h := range j.gates[i:] {
			if slices.Equal(h.Per, g.Per) {
				results[i+k] = h.judge(groups, elapsed, j.cfg.MaxUnjudged)
			}
		}
	}
	return slices.Concat(results...)
}

// summarise gives what every endpoint did.
func (j *Judge) summarise() []result.Endpoint {
	type latencies struct{ baseline, candidate []int64 }
	endpoints := make([]result.Endpoint, j.endpoints.len())
	times := make([]latencies, len(endpoints))
	for i := range endpoints {
		endpoints[i] = result.Endpoint{Endpoint: j.endpoints.text[i], Baseline: newSide(), Candidate: newSide()}
	}
	ends := j.ends()
	for r := range j.rows.all() {
		e, t := &endpoints[r.endpoint], &times[r.endpoint]
		e.Outcomes.Count(r.outcome)
		j.countSide(&e.Baseline, ends, r.baselineFailure, r.baselineStatus)
		j.countSide(&e.Candidate, ends, r.candidateFailure, r.candidateStatus)
		if r.baselineLatency > 0 {
			t.baseline = append(t.baseline, r.baselineLatency)
		}
		if r.candidateLatency > 0 {
			t.candidate = append(t.candidate, r.candidateLatency)
		}
	}
	for i := range endpoints {
		endpoints[i].Baseline.LatencyNS = distribution(times[i].baseline)
		endpoints[i].Candidate.LatencyNS = distribution(times[i].candidate)
	}
	slices.SortFunc(endpoints, func(a, b result.Endpoint) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	return endpoints
}

func newSide() result.Side {
	return result.Side{Statuses: map[string]int64{}, Failures: map[string]int64{}}
}

func (j *Judge) countSide(s *result.Side, ends []end, failure uint8, status uint16) {
	e := endOf(ends, failure, status)
	s.Errors += one(e.isError)
	if e.complete {
		s.Statuses[strconv.Itoa(int(status))]++
		return
	}
	s.Failures[j.failures.text[failure]]++
}

// distribution summarises latencies and sorts them.
func distribution(ns []int64) result.Latency {
	if len(ns) == 0 {
		return result.Latency{}
	}
	slices.Sort(ns)
	at := func(permille int) int64 { return ns[rank(len(ns), permille)] }
	return result.Latency{
		P50: at(500), P90: at(900), P95: at(950), P99: at(990), Max: at(1000),
		Mean: int64(math.Round(mean(ns))),
	}
}

// compared counts the pairs with both responses complete, by endpoint.
func (j *Judge) compared() map[string]int64 {
	counts := map[string]int64{}
	for r := range j.rows.all() {
		if r.baselineFailure == 0 && r.candidateFailure == 0 {
			counts[j.endpoints.text[r.endpoint]]++
		}
	}
	return counts
}

// conclude gives the verdict and its reason.
func (j *Judge) conclude(f *Findings) {
	failures, answered, interrupted := j.baselineEnds()
	failed := count(failures)
	tooMany := float64(failed) > j.cfg.MaxBaselineFailures*float64(failed+answered)

	f.Verdict, f.Reason = overall(f.Gates, f.Outcomes.Total)
	switch {
	case f.Outcomes.Total == 0:
		f.Verdict, f.Reason = result.Inconclusive, "no traffic was replayed"
	case answered == 0 && failed > 0:
		f.Verdict, f.Reason = result.Error, "the baseline never answered: "+breakdown(failures, "pair")
	case answered == 0:
		f.Verdict, f.Reason = result.Inconclusive, "the run was interrupted before the baseline answered: "+result.Plural(interrupted, "pair")
	case tooMany:
		text := fmt.Sprintf("the baseline gave no complete response to %s of %s (%s), and more than %s is too many for a verdict",
			result.FormatCount(failed), result.Plural(failed+answered, "pair"),
			result.FormatShare(float64(failed)/float64(failed+answered), result.Digits),
			result.FormatShare(j.cfg.MaxBaselineFailures, result.Digits))
		if f.Verdict < result.Inconclusive {
			f.Verdict, f.Reason = result.Inconclusive, text
		}
		f.warn(text + ": " + breakdown(failures, "pair"))
	}
}

// baselineEnds counts how the baseline ended its requests.
func (j *Judge) baselineEnds() (failures map[string]int64, answered, interrupted int64) {
	failures = map[string]int64{}
	for r := range j.rows.all() {
		text := ""
		if r.baselineFailure > 0 {
			text = j.failures.text[r.baselineFailure]
		}
		switch text {
		case string(traffic.NoFailure):
			answered++
		case string(traffic.Interrupted):
			interrupted++
		default:
			failures[text]++
		}
	}
	return failures, answered, interrupted
}

func count(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

// breakdown lists counts, the largest first: "timed out (12 pairs), connection
// reset (1 pair)".
func breakdown(counts map[string]int64, noun string) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	var parts []string
	for i, k := range keys {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more reasons", len(keys)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", k, result.Plural(counts[k], noun)))
	}
	return strings.Join(parts, ", ")
}

// overall merges the verdicts of the gates.
func overall(gates []result.Gate, pairs int64) (result.Verdict, string) {
	if len(gates) == 0 {
		return result.Inconclusive, "no gate looks at the traffic"
	}
	verdict, alike := result.Skipped, 0
	var first *result.Gate
	for i := range gates {
		switch g := &gates[i]; {
		case g.Verdict > verdict || first == nil:
			verdict, first, alike = g.Verdict, g, 1
		case g.Verdict == verdict:
			alike++
		}
	}
	if verdict == result.Pass {
		return verdict, fmt.Sprintf("%s within the limits over %s", allOf(len(gates)), result.Plural(pairs, "pair"))
	}
	said := "failed"
	if verdict == result.Inconclusive {
		said = "had too little evidence"
	}
	which := fmt.Sprintf("gate %q%s", first.Name, place(first.Cohort))
	if alike == 1 {
		return verdict, fmt.Sprintf("%s %s: %s", which, said, first.Reason)
	}
	return verdict, fmt.Sprintf("%d of %d gate results %s, first %s: %s", alike, len(gates), said, which, first.Reason)
}

func allOf(n int) string {
	if n == 1 {
		return "the gate is"
	}
	return fmt.Sprintf("all %d gate results are", n)
}

// place names the cohort of a gate's result: " (endpoint GET /a, region eu)".
func place(cohort map[string]string) string {
	if len(cohort) == 0 {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(cohort)) {
		if cohort[name] == "" {
			parts = append(parts, "no "+name)
			continue
		}
		parts = append(parts, name+" "+cohort[name])
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (f *Findings) warn(text string) {
	f.Notes = append(f.Notes, result.Note{Severity: "warning", Text: text})
}

// annotate says what a reader of the figures should know.
func (j *Judge) annotate(f *Findings, leftOut int64) {
	if n := f.Outcomes.Inconclusive; n > 0 {
		note := result.Note{Severity: "info", Text: result.Plural(n, "pair") + " could not be judged: " + breakdown(j.reasons, "pair")}
		if float64(n) > j.cfg.MaxUnjudged*float64(f.Outcomes.Total) {
			note.Severity = "warning"
		}
		f.Notes = append(f.Notes, note)
	}
	j.warnUnwatched(f)
	if leftOut > 0 {
		f.Notes = append(f.Notes, result.Note{Severity: "info", Text: fmt.Sprintf(
			"%s are listed; %s at other places are counted but not listed",
			result.Plural(int64(len(f.Differences)), "difference"), result.Plural(leftOut, "occurrence"))})
	}
}

// warnUnwatched speaks up when the candidate did worse in a way that no gate
// looks at.
func (j *Judge) warnUnwatched(f *Findings) {
	watched := func(metrics ...Metric) bool {
		return slices.ContainsFunc(j.gates, func(g *gate) bool { return slices.Contains(metrics, g.Metric) })
	}
	var errors, baselineErrors int64
	for _, e := range f.Endpoints {
		errors += e.Candidate.Errors
		baselineErrors += e.Baseline.Errors
	}
	if errors > baselineErrors && !watched(ErrorsRate, FailuresRate, MismatchesRate) {
		f.warn(fmt.Sprintf("the candidate gave %s, the baseline %s, and no gate looks at errors.rate",
			result.Plural(errors, "error"), result.FormatCount(baselineErrors)))
	}
	if n := f.Outcomes.Mismatched; n > 0 && !watched(MismatchesRate) {
		f.warn(result.Plural(n, "pair") + " mismatched, and no gate looks at mismatches.rate")
	}
}
