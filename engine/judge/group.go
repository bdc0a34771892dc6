package judge

import (
	"cmp"
	"slices"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// maxGroups is the number of combinations of cohort values that a gate judges
// one by one. Those with the most pairs are kept; the others are judged
// together, under the name Other.
const maxGroups = 1000

// Other stands in a gate's cohort for all values beyond the first thousand.
const Other = "(other)"

// group is the evidence of one combination of cohort values.
type group struct {
	values []string // in the order of the gate's Per
	pairs  int64

	finished int64 // neither side was broken off by the run itself
	failed   int64 // of them

	known  int64 // the candidate's end is known
	errors int64 // of them

	knownPaired    int64 // both ends are known
	errorsPaired   int64 // of them, at the candidate
	baselineErrors int64 // of them, at the baseline

	judged     int64 // the baseline's response is complete, and the pair could be judged
	mismatched int64 // of them
	unjudged   int64 // the baseline's response is complete, but the pair could not be judged

	// Latencies, sorted in the end.
	baseline, candidate []int64 // at pairs where both have one
	unpaired            []int64 // of the candidate at all pairs; empty if that is the same
}

// end is how the request to one side ended.
type end struct {
	complete bool
	ours     bool // broken off by the run, or never sent for want of sockets
	known    bool // it says something about the side
	isError  bool
}

// ends tells for each number of a failure what it means. A request that the
// run itself broke off or could not send says nothing about the target, and
// what was not recorded says nothing about the baseline.
func (j *Judge) ends() []end {
	ends := []end{{complete: true, known: true}}
	for _, text := range j.failures.text[min(1, j.failures.len()):] {
		f := traffic.Failure(text)
		ours := f == traffic.Interrupted || f == traffic.NoResources
		known := !ours && f != traffic.NotRecorded
		ends = append(ends, end{ours: ours, known: known, isError: known})
	}
	return ends
}

func endOf(ends []end, failure uint8, status uint16) end {
	e := ends[failure]
	e.isError = e.isError || e.complete && status >= 500
	return e
}

// groupBy sorts the pairs into groups by the values that per names. A gate
// that looks at all the traffic has one group, even if it is empty.
func (j *Judge) groupBy(per []string) []*group {
	all := &group{}
	find, groups := func(*row) *group { return all }, []*group{all}
	if len(per) > 0 {
		find, groups = j.split(per)
	}
	ends := j.ends()
	for r := range j.rows.all() {
		g := find(r)
		g.count(r, endOf(ends, r.baselineFailure, r.baselineStatus), endOf(ends, r.candidateFailure, r.candidateStatus))
		g.time(r, j.cfg.BaselineRecorded)
	}
	for _, g := range groups {
		g.sort()
	}
	return groups
}

// split makes the groups, and a function that finds the group of a row.
func (j *Judge) split(per []string) (find func(*row) *group, groups []*group) {
	var byEndpoint bool
	var dims []int // indices into the cohort values of a pair
	for _, name := range per {
		if name == Endpoint {
			byEndpoint = true
			continue
		}
		dims = append(dims, slices.Index(j.cohorts, name))
	}

	// Pairs have all cohort values, a gate names a few of them.
	var projections names
	project := make([]uint32, j.values.len())
	for id, text := range j.values.text {
		all, some := split(text, len(j.cohorts)), make([]string, len(dims))
		for i, d := range dims {
			some[i] = all[d]
		}
		project[id] = projections.id(joined(some, len(dims)))
	}
	keyOf := func(r *row) uint64 {
		key := uint64(project[r.cohorts])
		if byEndpoint {
			key |= uint64(r.endpoint) << 32
		}
		return key
	}

	counts := map[uint64]int64{}
	for r := range j.rows.all() {
		counts[keyOf(r)]++
	}
	type candidate struct {
		key    uint64
		pairs  int64
		values []string
	}
	candidates := make([]candidate, 0, len(counts))
	for key, n := range counts {
		rest := split(projections.text[uint32(key)], len(dims))
		values := make([]string, len(per))
		for i, name := range per {
			if name == Endpoint {
				values[i] = j.endpoints.text[key>>32]
			} else {
				values[i], rest = rest[0], rest[1:]
			}
		}
		candidates = append(candidates, candidate{key, n, values})
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.pairs, a.pairs), slices.Compare(a.values, b.values))
	})

	byKey := make(map[uint64]*group, len(candidates))
	for i, c := range candidates {
		switch {
		case i < maxGroups:
			groups = append(groups, &group{values: c.values})
		case i == maxGroups:
			groups = append(groups, &group{values: slices.Repeat([]string{Other}, len(per))})
		}
		byKey[c.key] = groups[len(groups)-1]
	}
	return func(r *row) *group { return byKey[keyOf(r)] }, groups
}

func (g *group) count(r *row, baseline, candidate end) {
	g.pairs++
	if !baseline.ours && !candidate.ours {
		g.finished++
		g.failed += one(r.outcome == result.PairFailed)
	}
	if candidate.known {
		g.known++
		g.errors += one(candidate.isError)
		if baseline.known {
			g.knownPaired++
			g.errorsPaired += one(candidate.isError)
			g.baselineErrors += one(baseline.isError)
		}
	}
	if !baseline.complete || candidate.ours {
		return
	}
	if r.outcome >= result.PairInconclusive {
		g.unjudged++
		return
	}
	g.judged++
	// A candidate that does not answer does not behave like the baseline.
	g.mismatched += one(r.outcome == result.PairMismatched || !candidate.complete)
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (g *group) time(r *row, recorded bool) {
	if r.candidateLatency == 0 {
		return
	}
	if recorded {
		g.unpaired = append(g.unpaired, r.candidateLatency)
	}
	if r.baselineLatency == 0 {
		return
	}
	g.baseline = append(g.baseline, r.baselineLatency)
	g.candidate = append(g.candidate, r.candidateLatency)
}

func (g *group) sort() {
	if len(g.unpaired) == len(g.candidate) {
		g.unpaired = nil
	}
	slices.Sort(g.baseline)
	slices.Sort(g.candidate)
	slices.Sort(g.unpaired)
}
