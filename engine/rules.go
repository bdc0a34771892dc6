package engine

import (
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Rules that excuse differences are under audit themselves: which of them find
// what they name, and how much they leave out of the comparison. To look costs
// about as much as to compare, so it is done for the first pairs and then for
// one in many.
const (
	measureFirst = 200
	measureEvery = 50
)

// measure lets the rules look at the response of the baseline.
func (a *audit) measure(p *replay.Pair, baseline *traffic.Response) {
	if n := a.measured.Add(1); n <= measureFirst || n%measureEvery == 0 {
		a.comparer.Measure(a.opts.Hard, &p.Exchange.Request, baseline)
	}
}

// looked is how many responses the rules were let look at.
func (a *audit) looked() int64 {
	n := a.measured.Load()
	return min(n, measureFirst) + max(0, n/measureEvery-measureFirst/measureEvery)
}

// hit notes that the rule with a number excused a difference of a pair.
func (a *audit) hit(rule int, seq int64) {
	if rule < 0 {
		return
	}
	for last := &a.lastHits[rule]; ; {
		old := last.Load()
		if old > seq || last.CompareAndSwap(old, seq+1) {
			return
		}
	}
}

// rules gives what each compare rule did.
func (a *audit) rules() []result.Rule {
	rules := a.comparer.Rules()
	for i := range rules {
		rules[i].LastHit = a.lastHits[i].Load() - 1
	}
	return rules
}

// fewResponses is how many responses have to be looked at before a rule that
// found nothing in them is called idle.
const fewResponses = 20

// staleRules says which rules have outlived their use, in the order of the spec:
// expired ones, ones that find nothing, and ones that leave out so much that they
// hide what they are about.
func staleRules(rules []result.Rule, looked int64, maxMasked float64) []string {
	var texts []string
	for i := range rules {
		r := &rules[i]
		name := fmt.Sprintf("The rule %s %s (%s:%d)", r.Rule, r.Path, r.Origin.File, r.Origin.Line)
		switch {
		case r.Expired:
			texts = append(texts, name+" has expired and excused nothing. Remove it, or give its set another day.")
		case r.Hits == 0 && r.Found == 0 && r.Errors == 0 && looked >= fewResponses:
			texts = append(texts, fmt.Sprintf("%s finds nothing in the %s looked at. Remove it, or correct its path.", name, result.Plural(looked, "response")))
		case maxMasked > 0 && r.Masked > maxMasked:
			texts = append(texts, fmt.Sprintf("%s leaves out %s of the values of the responses it applies to, more than max_masked %s. Name what may differ more narrowly.",
				name, result.FormatShare(r.Masked, result.Digits), result.FormatShare(maxMasked, result.Digits)))
		}
	}
	return texts
}
