package judge

import (
	"cmp"
	"slices"

	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
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
	doubtful   int64 // of them, those that may be noise
	unjudged   int64 // the baseline's response is complete, but the pair could not be judged

	marks    []mark   // what became of each pair, in the order of the traffic
	sessions []uint32 // of each pair; empty if none is known

	// Latencies of pairs that are not of the warm-up, in the order of the
	// traffic: those of both sides where both have one, and the candidate's at
	// all pairs.
	times stat.Pairs
	alone series

	// The same, sorted.
	baseline, candidate []int64
	unpaired            []int64 // empty if it is the same as candidate
}

// series is one measurement of a number of requests.
type series struct {
	values   []int64
	clusters []uint32
}

// mark says what one pair counts for.
type mark uint16

const (
	isFinished mark = 1 << iota
	isFailed
	isKnown
	isError
	isKnownPaired
	wasError // at the baseline
	isJudged
	isMismatched
	isUnjudged
	isDoubtful // mismatched, unless its fields are noisy after all
)

// hits says of the pairs with all of the marks of, in the order of the traffic,
// whether they have the mark hit.
func (g *group) hits(of, hit mark) (x []float64, clusters []uint32) {
	for i, m := range g.marks {
		if m&of != of {
			continue
		}
		v := 0.0
		if m&hit != 0 {
			v = 1
		}
		x = append(x, v)
		if len(g.sessions) > 0 {
			clusters = append(clusters, g.sessions[i])
		}
	}
	return x, clusters
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
		ends = append(ends, failedEnd(traffic.Failure(text)))
	}
	return ends
}

func failedEnd(f traffic.Failure) end {
	ours := f == traffic.Interrupted || f == traffic.NoResources
	known := !ours && f != traffic.NotRecorded
	return end{ours: ours, known: known, isError: known}
}

// endOfSide is how the request to a side ended, before it is a row.
func endOfSide(s SideFacts) end {
	if s.Failure == traffic.NoFailure {
		return end{complete: true, known: true, isError: s.Status >= 500}
	}
	return failedEnd(s.Failure)
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
	withSessions := j.sessions.len() > 1
	for i, r := range j.ordered {
		g := find(r)
		m := markOf(r, endOf(ends, r.baselineFailure, r.baselineStatus), endOf(ends, r.candidateFailure, r.candidateStatus))
		g.count(m)
		var cluster uint32
		if withSessions {
			cluster = r.cluster(i)
			g.sessions = append(g.sessions, cluster)
		}
		if r.flags&isWarm == 0 && i >= j.cfg.WarmUpPairs {
			g.time(r, j.cfg.BaselineRecorded, cluster)
		}
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

// markOf says what a pair counts for.
func markOf(r *row, baseline, candidate end) (m mark) {
	set := func(when bool, bit mark) {
		if when {
			m |= bit
		}
	}
	set(!baseline.ours && !candidate.ours, isFinished)
	set(r.outcome == result.PairFailed, isFailed)
	set(candidate.known, isKnown)
	set(candidate.isError, isError)
	set(candidate.known && baseline.known, isKnownPaired)
	set(baseline.isError, wasError)
	if baseline.complete && !candidate.ours {
		set(r.outcome < result.PairInconclusive, isJudged)
		// A candidate that does not answer does not behave like the baseline.
		set(r.outcome == result.PairMismatched || !candidate.complete, isMismatched)
		set(r.outcome >= result.PairInconclusive, isUnjudged)
		set(r.flags&isUnproven != 0 && candidate.complete, isDoubtful)
	}
	return m
}

func (g *group) count(m mark) {
	g.pairs++
	g.marks = append(g.marks, m)
	has := func(bits mark) int64 { return one(m&bits == bits) }
	g.finished += has(isFinished)
	g.failed += has(isFinished | isFailed)
	g.known += has(isKnown)
	g.errors += has(isKnown | isError)
	g.knownPaired += has(isKnownPaired)
	g.errorsPaired += has(isKnownPaired | isError)
	g.baselineErrors += has(isKnownPaired | wasError)
	g.judged += has(isJudged)
	g.mismatched += has(isJudged | isMismatched)
	g.unjudged += has(isUnjudged)
	g.doubtful += has(isJudged | isMismatched | isDoubtful)
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// time takes in the latencies of a pair. cluster is its session, 0 if no
// session is known of any pair.
func (g *group) time(r *row, recorded bool, cluster uint32) {
	if r.candidateLatency == 0 {
		return
	}
	if recorded {
		g.alone.values = append(g.alone.values, r.candidateLatency)
		if cluster != 0 {
			g.alone.clusters = append(g.alone.clusters, cluster)
		}
	}
	if r.baselineLatency == 0 {
		return
	}
	g.times.Baseline = append(g.times.Baseline, r.baselineLatency)
	g.times.Candidate = append(g.times.Candidate, r.candidateLatency)
	if cluster != 0 {
		g.times.Clusters = append(g.times.Clusters, cluster)
	}
}

func (g *group) sort() {
	g.baseline, g.candidate = g.times.Sorted()
	if len(g.alone.values) <= len(g.candidate) {
		g.alone = series{g.times.Candidate, g.times.Clusters}
		return
	}
	g.unpaired = slices.Clone(g.alone.values)
	slices.Sort(g.unpaired)
}
