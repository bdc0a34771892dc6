package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/mutate"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// trial judges the same pairs again as if the candidate were wrong in one way.
type trial struct {
	mutation mutate.Mutation
	judge    *judge.Judge
	pairs    atomic.Int64
	excused  atomic.Int64 // of them, where a rule leaves out what was changed
}

func (a *audit) newTrials() ([]*trial, error) {
	var trials []*trial
	for _, m := range mutate.All() {
		j, err := a.newJudge(false)
		if err != nil {
			return nil, err
		}
		trials = append(trials, &trial{mutation: m, judge: j})
	}
	return trials, nil
}

// add judges a pair with the candidate's outcome changed, where the mutation
// finds something to change in it.
func (t *trial) add(a *audit, p *replay.Pair, pair *judge.Pair) {
	wrong := *pair
	wrong.Values, wrong.Example = nil, nil
	pick := mutate.Pick{Seed: a.opts.Seed, Seq: p.Seq, Endpoint: p.Endpoint, Struck: a.struck}
	if out, ok := t.mutation.Apply(&pick, p.Candidate); ok && p.Baseline.OK() && p.Candidate.OK() {
		t.pairs.Add(1)
		wrong.Candidate = facts(&out)
		t.compare(a, p, out.Response, &wrong)
		if wrong.Outcome == result.PairIgnored {
			t.excused.Add(1)
		}
	}
	t.judge.Add(&wrong)
}

// compare does what audit.compare does, and counts for nothing.
func (t *trial) compare(a *audit, p *replay.Pair, candidate *traffic.Response, pair *judge.Pair) {
	if a.plan.Baseline.Recorded {
		scrubbed, err := a.scrubber.Response(candidate)
		if err != nil {
			return
		}
		candidate = scrubbed
	}
	c := a.showcase.Compare(context.Background(), &p.Exchange.Request, p.Baseline.Response, candidate)
	pair.Outcome, pair.Reason, pair.Differences = c.Outcome, c.Reason, nil
	for _, d := range c.Differences {
		pair.Differences = append(pair.Differences, judge.Diff{Path: a.paths.scrub(a.scrubber, d.Path), Kind: d.Kind, IgnoredBy: a.ruleName(d.IgnoredBy)})
	}
	if a.known.excuse(p.Endpoint, c.Differences, pair.Differences, false) && pair.Outcome == result.PairMismatched {
		pair.Outcome = result.PairIgnored
	}
}

// selfTest says which gates would have noticed.
func (a *audit) selfTest(elapsed time.Duration) {
	if len(a.trials) == 0 {
		return
	}
	st := &result.SelfTest{}
	for _, t := range a.trials {
		f := t.judge.Finish(elapsed)
		m := result.Mutation{Name: t.mutation.Name, Doc: t.mutation.Doc, Pairs: t.pairs.Load(), Excused: t.excused.Load(), Verdict: f.Verdict}
		for i := range f.Gates {
			g := &f.Gates[i]
			if g.Verdict == result.Fail && !failed(a.result.Gates, g) && !slices.Contains(m.CaughtBy, g.Name) {
				m.CaughtBy = append(m.CaughtBy, g.Name)
			}
		}
		if m.Pairs > 0 {
			st.Applied++
			if len(m.CaughtBy) > 0 {
				st.Caught++
			}
		}
		st.Mutations = append(st.Mutations, m)
	}
	a.result.SelfTest = st
}

// failed reports whether a gate failed without any mutation, for the same
// cohort.
func failed(gates []result.Gate, g *result.Gate) bool {
	return slices.ContainsFunc(gates, func(o result.Gate) bool {
		return o.Name == g.Name && o.Verdict == result.Fail && sameCohort(o.Cohort, g.Cohort)
	})
}

func sameCohort(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}
