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
	Fitness     Fitness
}

// Finish judges the pairs. elapsed is the time from the first request sent to
// the last answer. No pair may be added while it runs.
func (j *Judge) Finish(elapsed time.Duration) Findings {
	j.mu.Lock()
	defer j.mu.Unlock()

	var f Findings
	j.ordered = j.rows.bySeq()
	defer func() { j.ordered = nil }()
	j.noise.settle(&j.rows, j.cfg.Noise.Confidence)
	f.Fitness = j.harness.judge(&j.cfg.Harness, j.cfg.BaselineRecorded)
	f.Endpoints = j.summarise()
	for _, e := range f.Endpoints {
		f.Outcomes.Add(e.Outcomes)
	}
	f.Gates = j.judgeGates(elapsed)

	var leftOut int64
	f.Differences, leftOut = j.differences.list(j.compared(), j.noise.excuse)
	j.conclude(&f)
	j.annotate(&f, leftOut)
	return f
}

// judgeGates groups the pairs once for all gates with the same Per. The results
// get their verdicts together, because whoever looks often sees something odd
// by chance.
func (j *Judge) judgeGates(elapsed time.Duration) []result.Gate {
	tried := make([][]scored, len(j.gates))
	for i, g := range j.gates {
		if tried[i] != nil {
			continue
		}
		groups := j.groupBy(g.Per)
		for k, h := range j.gates[i:] {
			if slices.Equal(h.Per, g.Per) {
				tried[i+k] = h.try(groups, elapsed)
			}
		}
	}
	settle(tried)
	var results []result.Gate
	for i := range tried {
		for k := range tried[i] {
			tried[i][k].doubt(&j.cfg, j.harness.unfit)
		}
		sortWorst(tried[i])
		for k := range tried[i] {
			results = append(results, tried[i][k].Gate)
		}
	}
	return results
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
	ends := j.baselineEnds()
	failed := count(ends.failures)
	known := failed + ends.answered

	f.Verdict, f.Reason = overall(f.Gates, f.Outcomes.Total)
	switch {
	case f.Outcomes.Total == 0:
		f.Verdict, f.Reason = result.Inconclusive, "no traffic was replayed"
	case float64(ends.starved) > j.cfg.MaxUnjudged*float64(f.Outcomes.Total):
		f.Verdict, f.Reason = result.Error, fmt.Sprintf(
			"%s of %s could not be sent, because this machine had no sockets or ports left: raise `ulimit -n`, or lower max_in_flight",
			result.FormatCount(ends.starved), result.Plural(f.Outcomes.Total, "pair"))
	case ends.answered == 0 && failed > 0:
		f.Verdict, f.Reason = result.Error, "the baseline never answered: "+breakdown(ends.failures, "pair")
	case ends.answered == 0:
		f.Verdict, f.Reason = result.Inconclusive, "the run was interrupted before the baseline answered: "+result.Plural(ends.interrupted, "pair")
	case float64(failed) > j.cfg.MaxBaselineFailures*float64(known):
		text := fmt.Sprintf("the baseline gave no complete response to %s of %s (%s), and more than %s is too many for a verdict",
			result.FormatCount(failed), result.Plural(known, "pair"),
			result.FormatShare(float64(failed)/float64(known), result.Digits),
			result.FormatShare(j.cfg.MaxBaselineFailures, result.Digits))
		f.doubt(text)
		f.warn(text + ": " + breakdown(ends.failures, "pair"))
	}
	j.concludeRefusals(f, ends)
}

// doubt makes the verdict inconclusive where it would be better.
func (f *Findings) doubt(reason string) {
	if f.Verdict < result.Inconclusive {
		f.Verdict, f.Reason = result.Inconclusive, reason
	}
}

// Shares of the baseline's complete responses that may be refusals or errors.
// Two builds that turn everything down agree in every pair, and it means
// nothing.
const (
	notedRefusals   = 0.05 // from here on a note says so
	refusalsAreMost = 0.5  // and from here on there is nothing to pass
)

// concludeRefusals looks at what the baseline answered: 401, 403, and 500 or
// more.
func (j *Judge) concludeRefusals(f *Findings, ends baselineEnds) {
	refused := count(ends.refusals)
	share := float64(refused) / float64(max(ends.answered, 1))
	if share <= notedRefusals {
		return
	}
	text := fmt.Sprintf("the baseline refused or failed %s of %s that it answered (%s): status %s; ",
		result.FormatCount(refused), result.Plural(ends.answered, "request"), result.FormatShare(share, result.Digits), tally(ends.refusals)) +
		j.mend(ends.refusals)
	if share > refusalsAreMost {
		f.doubt(text)
	}
	f.warn(text)
}

// mend says what to do about refusals.
func (j *Judge) mend(refusals map[string]int64) string {
	denied := refusals["401"] + refusals["403"]
	switch {
	case j.cfg.BaselineRecorded:
		return "the recording is of a service that did not serve: record another one, or leave these requests out in select"
	case 2*denied < count(refusals):
		return "mend the baseline, or leave these requests out in select"
	}
	return "scrubbed credentials are the usual cause: give the target a test credential with headers = { authorization = var.token }"
}

// tally lists counts, the largest first: "401 x 30, 500 x 2".
func tally(counts map[string]int64) string {
	var parts []string
	for _, k := range largestFirst(counts) {
		parts = append(parts, k+" x "+result.FormatCount(counts[k]))
	}
	return strings.Join(parts, ", ")
}

// baselineEnds counts how the baseline ended its requests.
type baselineEnds struct {
	answered    int64
	refusals    map[string]int64 // of them, by status
	failures    map[string]int64 // no complete response, by what went wrong
	interrupted int64
	starved     int64 // pairs that could not be sent to one side or the other
}

func (j *Judge) baselineEnds() baselineEnds {
	ends := baselineEnds{failures: map[string]int64{}}
	refused := map[uint16]int64{}
	failure := func(id uint8) traffic.Failure {
		if id == 0 {
			return traffic.NoFailure
		}
		return traffic.Failure(j.failures.text[id])
	}
	for r := range j.rows.all() {
		f := failure(r.baselineFailure)
		ends.starved += one(f == traffic.NoResources || failure(r.candidateFailure) == traffic.NoResources)
		switch f {
		case traffic.NoFailure:
			ends.answered++
			if s := r.baselineStatus; s == 401 || s == 403 || s >= 500 {
				refused[s]++
			}
		case traffic.Interrupted:
			ends.interrupted++
		case traffic.NoResources:
		default:
			ends.failures[string(f)]++
		}
	}
	ends.refusals = make(map[string]int64, len(refused))
	for status, n := range refused {
		ends.refusals[strconv.Itoa(int(status))] = n
	}
	return ends
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
	keys := largestFirst(counts)
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

// largestFirst gives the keys of counts, those of equal counts by name.
func largestFirst(counts map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
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
	j.warnUncompared(f)
	j.noise.annotate(f)
	for _, reason := range f.Fitness.Reasons {
		f.warn(reason)
	}
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

// warnUncompared speaks up when all pairs differ and rules excuse the whole
// body of each: they agree then, whatever the candidate answers.
func (j *Judge) warnUncompared(f *Findings) {
	o := f.Outcomes
	if j.uncompared == 0 || j.uncompared < o.Matched+o.Ignored+o.Mismatched {
		return
	}
	f.warn("every pair differs, and every difference is excused by " + breakdown(j.excuses, "pair") + "; the audit compared nothing there")
}
