package engine

import (
	"context"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// compare finds out in what the two responses of a pair differ, and puts down
// how a report may show it.
//
// Two fresh responses are compared as they are, in memory. A recorded one went
// through the scrubber, so the fresh one has to as well: the same value then
// has the same surrogate on both sides.
func (a *audit) compare(p *replay.Pair, pair *judge.Pair) {
	baseline, candidate := p.Baseline.Response, p.Candidate.Response
	unreadable := false
	if a.plan.Baseline.Recorded {
		scrubbed, err := a.scrubber.Response(candidate)
		if err != nil {
			pair.Outcome, pair.Reason = result.PairInconclusive, "the candidate's response cannot be scrubbed"
			return
		}
		unreadable = complete(baseline) && complete(candidate) && !complete(scrubbed)
		candidate = scrubbed
	}
	a.measure(p, baseline)
	c := a.comparer.Compare(context.Background(), &p.Exchange.Request, baseline, candidate)
	if unreadable && c.Outcome != result.PairMismatched {
		// What was recorded could be read and what came now cannot: it is not
		// what it says it is.
		c.Outcome = result.PairMismatched
		c.Differences = append(c.Differences, compare.Difference{Path: ".body", Kind: result.KindFormat, IgnoredBy: -1})
	}
	pair.Outcome, pair.Reason = c.Outcome, c.Reason
	if len(c.Differences) == 0 {
		return
	}
	pair.Differences = make([]judge.Diff, len(c.Differences))
	for i, d := range c.Differences {
		a.hit(d.IgnoredBy, p.Seq)
		pair.Differences[i] = judge.Diff{Path: a.paths.scrub(a.scrubber, d.Path), Kind: d.Kind, IgnoredBy: a.ruleName(d.IgnoredBy)}
	}
	if a.known.excuse(p.Endpoint, c.Differences, pair.Differences, pair.Outcome <= result.PairMismatched) && pair.Outcome == result.PairMismatched {
		pair.Outcome = result.PairIgnored
	}
	shown := exhibit{audit: a, pair: p, differences: c.Differences}
	pair.Values = shown.values
}

// probe finds out in what the baseline's second answer differs from its first.
func (a *audit) probe(p *replay.Pair, pair *judge.Pair) {
	if p.Probe == nil || !p.Probe.OK() || pair.Outcome > result.PairMismatched {
		return
	}
	again := p.Probe.Response
	if a.plan.Baseline.Recorded {
		var err error
		if again, err = a.scrubber.Response(again); err != nil {
			return
		}
	}
	c := a.showcase.Compare(context.Background(), &p.Exchange.Request, p.Baseline.Response, again)
	if c.Outcome > result.PairMismatched {
		return
	}
	pair.Probed = true
	for _, d := range c.Differences {
		pair.ProbeDifferences = append(pair.ProbeDifferences, judge.Diff{Path: a.paths.scrub(a.scrubber, d.Path), Kind: d.Kind, IgnoredBy: a.ruleName(d.IgnoredBy)})
	}
}

func complete(r *traffic.Response) bool {
	return r.Body.State == traffic.Complete && len(r.Body.Bytes) > 0
}

// ruleName names the rule that excuses a difference; it is "" when none does.
func (a *audit) ruleName(i int) string {
	if i < 0 {
		return ""
	}
	return a.ruleNames[i]
}

// exhibit is what a report may show of the values of one pair. Values are never
// scrubbed one by one, torn from what stands around them: both responses are
// scrubbed whole and compared again, and only what that comparison sees is
// shown. It is made for the few pairs that become examples.
type exhibit struct {
	audit       *audit
	pair        *replay.Pair
	differences []compare.Difference

	seen map[place][2]string
}

// place is where two responses differ, and how.
type place struct {
	path string
	kind result.DiffKind
}

// redacted stands for two values that differ, where that is all that may be
// said about them.
const redacted = "differs (redacted)"

// values gives the values of a difference at both sides.
func (e *exhibit) values(i int) (baseline, candidate string) {
	if e.seen == nil {
		e.see()
	}
	d := e.differences[i]
	shown, ok := e.seen[place{e.audit.paths.scrub(e.audit.scrubber, d.Path), d.Kind}]
	if !ok || shown[0] == shown[1] && shown[0] != "" || scrub.HoldsRemoved(shown[0]) || scrub.HoldsRemoved(shown[1]) {
		return redacted, redacted
	}
	withhold := e.audit.withhold.Replace
	return clip(withhold(shown[0])), clip(withhold(shown[1]))
}

func (e *exhibit) see() {
	e.seen = map[place][2]string{}
	differences := e.differences
	if !e.audit.plan.Baseline.Recorded { // a recorded pair was compared scrubbed in the first place
		baseline, errA := e.audit.scrubber.Response(e.pair.Baseline.Response)
		candidate, errB := e.audit.scrubber.Response(e.pair.Candidate.Response)
		if errA != nil || errB != nil {
			return
		}
		differences = e.audit.showcase.Compare(context.Background(), &e.pair.Exchange.Request, baseline, candidate).Differences
	}
	for _, d := range differences {
		at := place{e.audit.paths.scrub(e.audit.scrubber, d.Path), d.Kind}
		if _, ok := e.seen[at]; !ok {
			e.seen[at] = [2]string{d.Baseline, d.Candidate}
		}
	}
}

// maxShown bounds what a report shows of a value, in bytes.
const maxShown = 200

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

// example gives one pair, as far as a report may show it, made when it is first
// asked for: a pair may be the example of many differences. Its request went
// through the scrubber before it was sent. What no difference that counts has
// for an example needs not be seen again.
func (a *audit) example(p *replay.Pair, pair *judge.Pair) func() result.Example {
	var made *result.Example
	return func() result.Example {
		if made == nil {
			r := &p.Exchange.Request
			made = &result.Example{Seq: p.Seq, ID: shownID(p.Exchange.ID), Request: clip(r.Method + " " + r.Target)}
			if pair.Outcome == result.PairMismatched {
				made.Repro = a.repro(p)
			}
		}
		return *made
	}
}

// shownID gives an id of the recording if it is one of those that recorders
// make up, which are hexadecimal; any other could be anything.
func shownID(id string) string {
	if strings.Trim(id, "0123456789abcdefABCDEF-") != "" || len(id) > 64 {
		return ""
	}
	return id
}
