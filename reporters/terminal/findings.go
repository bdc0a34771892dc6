package terminal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// How much of each list is shown. The JSON report has all of it.
const (
	maxGates     = 12
	maxBroken    = 6
	maxPlaces    = 4 // of one gate, after its worst one
	maxEndpoints = 10
	maxStatuses  = 4  // of one side of an endpoint
	maxDiffs     = 12 // in all
	maxPerPlace  = 4  // of one endpoint
	maxIgnored   = 5
)

// gateResults is a gate and its results, one per place where it was judged.
type gateResults struct {
	worst   *result.Gate
	results []*result.Gate
}

// byGate collects the results of each gate; the worst gates come first, and
// within each its worst results.
func byGate(gates []result.Gate) []*gateResults {
	type key struct {
		name   string
		origin result.Origin
	}
	found := map[key]*gateResults{}
	var all []*gateResults
	for i := range gates {
		k := key{gates[i].Name, gates[i].Origin}
		if found[k] == nil {
			found[k] = &gateResults{}
			all = append(all, found[k])
		}
		found[k].results = append(found[k].results, &gates[i])
	}
	for _, g := range all {
		slices.SortStableFunc(g.results, func(a, b *result.Gate) int { return cmp.Compare(b.Verdict, a.Verdict) })
		g.worst = g.results[0]
	}
	slices.SortStableFunc(all, func(a, b *gateResults) int { return cmp.Compare(b.worst.Verdict, a.worst.Verdict) })
	return all
}

// like gives the results with the verdict of the worst one.
func (g *gateResults) like() []*result.Gate {
	n := slices.IndexFunc(g.results, func(r *result.Gate) bool { return r.Verdict != g.worst.Verdict })
	if n < 0 {
		n = len(g.results)
	}
	return g.results[:n]
}

// places says at how many of its places a gate says what it says.
func (g *gateResults) places() string {
	if len(g.results) == 1 {
		return ""
	}
	return fmt.Sprintf("%s of %s", result.FormatCount(int64(len(g.like()))), result.FormatCount(int64(len(g.results))))
}

// gates writes the table of the gates, each with its worst figures, and then
// what the gates say that did not pass.
func (p *page) gates(gates []result.Gate) {
	if len(gates) == 0 {
		return
	}
	all := byGate(gates)
	p.heading("Gates")
	var rows [][]span
	for _, g := range all[:min(len(all), maxGates)] {
		rows = append(rows, []span{
			{g.worst.Verdict.String(), styleOf(g.worst.Verdict)},
			{g.worst.Name, plain},
			{value(g.worst.Unit, g.worst.Observed), plain},
			{value(g.worst.Unit, g.worst.Baseline), plain},
			{g.worst.Limit, plain},
			{g.places(), plain},
		})
	}
	p.table([]column{{head: "verdict"}, {head: "gate", flex: true}, {head: "observed", right: true},
		{head: "baseline", right: true}, {head: "limit", flex: true}, {head: "places", right: true}}, rows)
	p.more(2, len(all)-maxGates, "gate")

	left := 0
	for i, g := range all {
		switch {
		case g.worst.Verdict <= result.Pass, g.worst.Observed == nil && g.worst.Reason == "no samples":
			// the table has said it
		case i >= maxBroken:
			left++
		default:
			p.blank()
			p.broken(g)
		}
	}
	p.more(2, left, "gate")
}

// more says how many rows are not shown.
func (p *page) more(indent, n int, noun string) {
	if n > 0 {
		p.text(indent, "and "+more(n, noun), faint)
	}
}

func more(n int, noun string) string {
	return strings.Replace(result.Plural(int64(n), noun), " ", " more ", 1)
}

func value(u result.Unit, v *float64) string {
	if v == nil {
		return "-"
	}
	return u.Format(*v, result.Digits)
}

// place names a cohort: "region eu, GET /orders".
func place(cohort map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(cohort)) {
		switch v := cohort[name]; {
		case name == endpointName:
		case v == "":
			parts = append(parts, "no "+name)
		default:
			parts = append(parts, name+" "+v)
		}
	}
	if v, ok := cohort[endpointName]; ok {
		parts = append(parts, v)
	}
	return strings.Join(parts, ", ")
}

// endpointName is the name that a gate's cohort has for the endpoint.
const endpointName = "endpoint"

// broken says of a gate that did not pass by how much, at its worst places,
// and quotes the line of the spec that asked for it.
func (p *page) broken(g *gateResults) {
	w := g.worst
	p.line(span{"  " + w.Verdict.String(), styleOf(w.Verdict)}, span{"  " + w.Name, strong})
	if where := place(w.Cohort); where != "" {
		p.line(span{"    at ", faint}, span{shorten(clean(where), p.width-7), plain})
	}
	p.text(4, w.Reason, plain)
	for _, likely := range w.Likely() {
		p.text(4, likely, faint)
	}
	if w.Origin.File != "" && w.Verdict == result.Fail {
		p.text(4, fmt.Sprintf("--> %s:%d", w.Origin.File, w.Origin.Line), faint)
		if w.Snippet != "" {
			p.line(span{fmt.Sprintf("    %d | ", w.Origin.Line), faint}, span{strings.TrimSpace(w.Snippet), plain})
		}
	}
	p.others(g.like()[1:])
}

// others lists the further places of a gate.
func (p *page) others(results []*result.Gate) {
	if len(results) == 0 {
		return
	}
	p.text(4, "also at:", plain)
	var rows [][]span
	for _, r := range results[:min(len(results), maxPlaces)] {
		rows = append(rows, []span{
			{"", plain},
			{value(r.Unit, r.Observed), plain},
			{value(r.Unit, r.Baseline), plain},
			{result.FormatCount(r.Samples), plain},
			{place(r.Cohort), plain},
		})
	}
	p.table([]column{{}, {head: "  observed", right: true}, {head: "baseline", right: true},
		{head: "samples", right: true}, {head: "where", flex: true}}, rows)
	p.more(4, len(results)-maxPlaces, "place")
}

// endpoints writes the table of the endpoints, worst first.
func (p *page) endpoints(endpoints []result.Endpoint) {
	if len(endpoints) == 0 {
		return
	}
	endpoints = slices.Clone(endpoints)
	slices.SortFunc(endpoints, worse)
	p.heading("Endpoints")
	var rows [][]span
	for i := range endpoints[:min(len(endpoints), maxEndpoints)] {
		e := &endpoints[i]
		rows = append(rows, []span{
			{e.Endpoint, plain},
			{result.FormatCount(e.Outcomes.Total), plain},
			{result.FormatCount(e.Outcomes.Mismatched), alarm(e.Outcomes.Mismatched > 0)},
			{result.FormatCount(e.Baseline.Errors), plain},
			{"-> " + result.FormatCount(e.Candidate.Errors), alarm(e.Candidate.Errors > e.Baseline.Errors)},
			{latency(e.Baseline.LatencyNS.P95), plain},
			{"-> " + latency(e.Candidate.LatencyNS.P95), plain},
		})
	}
	p.tableWith([]column{{head: "endpoint", flex: true}, {head: "pairs", right: true}, {head: "mismatched", right: true},
		{head: "errors", right: true}, {}, {head: "p95", right: true}, {}}, rows, func(row int) { p.statuses(&endpoints[row]) })
	p.more(2, len(endpoints)-maxEndpoints, "endpoint")
}

// statuses writes what an endpoint answered with, where that says something:
// where not most of it is a success, or where what is none is not the same at
// both sides.
func (p *page) statuses(e *result.Endpoint) {
	b, c := e.Baseline.Statuses, e.Candidate.Statuses
	apart := slices.ContainsFunc(append(slices.Collect(maps.Keys(b)), slices.Collect(maps.Keys(c))...), func(status string) bool {
		return !success(status) && b[status] != c[status]
	})
	if !apart && mostlySuccess(b) && mostlySuccess(c) {
		return
	}
	p.hanging("    status  ", statusCounts(b)+" -> "+statusCounts(c), alarm(apart))
}

func success(status string) bool {
	return strings.HasPrefix(status, "2") || strings.HasPrefix(status, "3")
}

func mostlySuccess(statuses map[string]int64) bool {
	var all, good int64
	for status, n := range statuses {
		all += n
		if success(status) {
			good += n
		}
	}
	return 2*good >= all
}

// statusCounts lists statuses, the most frequent first: "401 x 30, 200 x 2".
func statusCounts(statuses map[string]int64) string {
	keys := slices.SortedFunc(maps.Keys(statuses), func(a, b string) int {
		return cmp.Or(cmp.Compare(statuses[b], statuses[a]), strings.Compare(a, b))
	})
	var parts []string
	for _, k := range keys[:min(len(keys), maxStatuses)] {
		parts = append(parts, k+" x "+result.FormatCount(statuses[k]))
	}
	if n := len(keys) - maxStatuses; n > 0 {
		parts = append(parts, fmt.Sprintf("%d more", n))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

func alarm(on bool) style {
	if on {
		return bad
	}
	return plain
}

func latency(ns int64) string {
	if ns == 0 {
		return "-"
	}
	return result.FormatDuration(float64(ns), result.Digits)
}

// worse puts the endpoint first that differs or fails more often, then the one
// that became slower.
func worse(a, b result.Endpoint) int {
	wrong := func(e *result.Endpoint) int64 {
		return e.Outcomes.Mismatched + max(e.Candidate.Errors-e.Baseline.Errors, 0)
	}
	slower := func(e *result.Endpoint) float64 {
		if e.Baseline.LatencyNS.P95 == 0 {
			return 0
		}
		return float64(e.Candidate.LatencyNS.P95) / float64(e.Baseline.LatencyNS.P95)
	}
	return cmp.Or(
		cmp.Compare(wrong(&b), wrong(&a)),
		cmp.Compare(slower(&b), slower(&a)),
		strings.Compare(a.Endpoint, b.Endpoint),
	)
}

// differences says what exactly differs, by endpoint, with one example each.
func (p *page) differences(a *result.Audit) {
	counting, ignored := split(a.Differences)
	if len(counting) > 0 {
		p.heading("Differences")
		p.counting(counting)
	}
	p.ignored(ignored)
}

// ignored says how much each rule excused.
func (p *page) ignored(diffs []*result.Diff) {
	if len(diffs) == 0 {
		return
	}
	type excused struct{ count, places int64 }
	byRule := map[string]*excused{}
	for _, d := range diffs {
		if byRule[d.IgnoredBy] == nil {
			byRule[d.IgnoredBy] = &excused{}
		}
		byRule[d.IgnoredBy].count += d.Pairs
		byRule[d.IgnoredBy].places++
	}
	rules := slices.SortedFunc(maps.Keys(byRule), func(a, b string) int {
		return cmp.Or(cmp.Compare(byRule[b].count, byRule[a].count), strings.Compare(a, b))
	})
	p.heading("Ignored, because a rule says so")
	var rows [][]span
	for _, rule := range rules[:min(len(rules), maxIgnored)] {
		e := byRule[rule]
		rows = append(rows, []span{{rule, plain}, {result.FormatCount(e.count), plain}, {result.FormatCount(e.places), plain}})
	}
	p.table([]column{{head: "rule", flex: true}, {head: "differences", right: true}, {head: "places", right: true}}, rows)
	p.more(2, len(rules)-maxIgnored, "rule")
}

// split parts the differences that count from those that a rule excuses.
func split(diffs []result.Diff) (counting, ignored []*result.Diff) {
	for i := range diffs {
		if d := &diffs[i]; d.IgnoredBy == "" {
			counting = append(counting, d)
		} else {
			ignored = append(ignored, d)
		}
	}
	return counting, ignored
}

func (p *page) counting(diffs []*result.Diff) {
	roots, parts := byRoot(diffs)
	byEndpoint := map[string][]*result.Diff{}
	var order []string
	for _, d := range roots {
		if byEndpoint[d.Endpoint] == nil {
			order = append(order, d.Endpoint)
		}
		byEndpoint[d.Endpoint] = append(byEndpoint[d.Endpoint], d)
	}
	shown := 0
	for _, endpoint := range order {
		if shown == maxDiffs {
			break
		}
		if shown > 0 {
			p.blank()
		}
		p.line(span{"  ", plain}, span{shorten(clean(endpoint), p.width-2), strong})
		for i, d := range byEndpoint[endpoint] {
			if i == maxPerPlace || shown == maxDiffs {
				break
			}
			shown++
			p.difference(d)
			if i == 0 {
				p.again(d)
			}
			p.together(parts[d.Fingerprint])
		}
	}
	p.more(2, len(roots)-shown, "difference")
}

func (p *page) difference(d *result.Diff) {
	count := fmt.Sprintf("  %s in %s (%s)", d.Kind, result.Plural(d.Pairs, "pair"), result.FormatShare(d.Share, result.Digits))
	if d.State == "updated" || d.State == "expired" {
		count += ", " + d.State // it was accepted once, and counts all the same
	}
	path := shorten(clean(d.Path), max(p.width-4-columns(clean(count)), 12))
	p.line(span{"    ", plain}, span{path, plain}, span{count, bad})
	for _, side := range [][2]string{{"baseline   ", d.Baseline}, {"candidate  ", d.Candidate}} {
		text := clean(side[1])
		if text == "" {
			text = "(absent)"
		}
		p.line(span{"      " + side[0], faint}, span{shorten(text, p.width-17), plain})
	}
	if d.Example.Request == "" {
		return
	}
	at := fmt.Sprintf("  (exchange %d)", d.Example.Seq)
	p.line(span{"      example    ", faint}, span{shorten(clean(d.Example.Request), p.width-17-columns(at)), plain}, span{at, faint})
}
