package preview

import (
	"cmp"
	"context"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What is told apart at most. Traffic that has more of something is counted
// all the same, under one name.
const (
	maxSessions = 1 << 18
	maxGroups   = 1 << 14
	maxMethods  = 40
)

// tally counts the steps of one audit.
type tally struct {
	timetable *replay.Timetable
	meter     meter
	first     time.Time
	last      time.Time

	skipped   map[skipped]int64
	endpoints map[string]int64
	sessions  map[uint64]int64
	overflow  bool // more sessions than maxSessions
	without   int64
	cohorts   []map[string]int64
	evidence  []*evidence // of each gate
	places    *places
	persons   *persons
}

type skipped struct {
	why    selection.Decision
	method string
}

func newTally(p *plan.Audit) (*tally, error) {
	timetable, err := replay.NewTimetable(p.Replay)
	if err != nil {
		return nil, err
	}
	persons, err := newPersons(&p.Scrub)
	if err != nil {
		return nil, err
	}
	t := &tally{
		timetable: timetable, persons: persons, places: newPlaces(&p.Compare),
		skipped: map[skipped]int64{}, endpoints: map[string]int64{}, sessions: map[uint64]int64{},
		cohorts: make([]map[string]int64, len(p.Cohorts)),
	}
	for i := range t.cohorts {
		t.cohorts[i] = map[string]int64{}
	}
	for i := range p.Gates {
		t.evidence = append(t.evidence, newEvidence(p, &p.Gates[i]))
	}
	return t, nil
}

func (t *tally) skip(method string, why selection.Decision) {
	k := skipped{why, method}
	if _, known := t.skipped[k]; !known && (len(t.skipped) >= maxMethods || !isMethod(method)) {
		k.method = cohort.Other
	}
	t.skipped[k]++
}

// isMethod accepts what looks like the name of a method: what a recording has
// in its place could be anything.
func isMethod(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

func (t *tally) add(ctx context.Context, step *replay.Step) {
	x := step.Exchange
	t.meter.add(t.timetable.Due(x))
	if t.first.IsZero() {
		t.first = x.At
	}
	if x.At.After(t.last) {
		t.last = x.At
	}
	t.endpoints[step.Endpoint]++
	t.session(x.Session)
	for i, v := range step.Cohorts {
		t.cohorts[i][v]++
	}
	for _, e := range t.evidence {
		e.add(step)
	}
	t.places.look(ctx, step)
	t.persons.add(step.Endpoint)
}

// session counts an exchange of a session. Sessions are known by a hash of 64
// bits, since their names may be long and must not stay.
func (t *tally) session(name string) {
	if name == "" {
		t.without++
		return
	}
	h := fnv.New64a()
	io.WriteString(h, name)
	id := h.Sum64()
	if _, known := t.sessions[id]; !known && len(t.sessions) >= maxSessions {
		t.overflow = true
		return
	}
	t.sessions[id]++
}

// evidence counts the samples of a gate in each of its groups.
type evidence struct {
	per     []int // place of each dimension among the cohorts; -1: the endpoint
	usable  func(step *replay.Step) bool
	samples map[string]int64 // by the values of the group, joined
	more    bool
}

func newEvidence(p *plan.Audit, g *plan.Gate) *evidence {
	e := &evidence{samples: map[string]int64{}, usable: usable(p, g)}
	for _, name := range g.Per {
		at := -1
		if name != judge.Endpoint {
			at = slices.IndexFunc(p.Cohorts, func(c cohort.Cohort) bool { return c.Name == name })
		}
		e.per = append(e.per, at)
	}
	return e
}

// usable says which steps can become samples of a gate. Against a live baseline
// all can. A recording is a baseline only where it has the response, and its
// latency only where it was measured beside the server.
func usable(p *plan.Audit, g *plan.Gate) func(*replay.Step) bool {
	answered := func(s *replay.Step) bool { return s.Exchange.Response != nil }
	timed := func(s *replay.Step) bool {
		return answered(s) && s.Exchange.Timing.Kind == traffic.TimingWire && s.Exchange.Timing.Total > 0
	}
	latency := strings.HasPrefix(g.Metric, "latency.")
	switch {
	case p.Baseline.Recorded && g.Metric == string(judge.MismatchesRate):
		return answered
	case p.Baseline.Recorded && g.MaxIncrease != nil && latency:
		return timed
	case p.Baseline.Recorded && g.MaxIncrease != nil:
		return answered
	}
	return func(*replay.Step) bool { return true }
}

const groupSep = "\x00"

func (e *evidence) add(step *replay.Step) {
	var group string
	for i, at := range e.per {
		if i > 0 {
			group += groupSep
		}
		if at < 0 {
			group += step.Endpoint
		} else {
			group += step.Cohorts[at]
		}
	}
	n := int64(0)
	if e.usable(step) {
		n = 1
	}
	if _, known := e.samples[group]; !known && len(e.samples) >= maxGroups {
		e.more = true
		return
	}
	e.samples[group] += n
}

// short returns the groups with fewer samples than the gate needs, fewest
// first.
func (e *evidence) short(per []string, need int) []Group {
	var out []Group
	for _, key := range sortedKeys(e.samples) {
		if e.samples[key] >= int64(need) {
			continue
		}
		g := Group{Cohort: map[string]string{}, Samples: e.samples[key]}
		if len(per) > 0 {
			for i, v := range strings.Split(key, groupSep) {
				g.Cohort[per[i]] = v
			}
		}
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(a, b Group) int { return cmp.Compare(a.Samples, b.Samples) })
	return out
}

func sortedKeys(m map[string]int64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// ranked gives the keys of m, largest count first.
func ranked(m map[string]int64) []string {
	keys := sortedKeys(m)
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(m[b], m[a]) })
	return keys
}
