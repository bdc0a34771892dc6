package terminal

import (
	"cmp"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// shownRules is how many rules of the scrubber the report names.
const shownRules = 12

// privacy says what was done about personal data.
func (p *page) privacy(s *result.Scrub) {
	p.heading("Privacy")
	st := plain
	if s.Disabled || s.Residual > 0 {
		st = doubtful
	}
	p.field("scrub", s.Statement(), st)
	if text := busiest(s.Rules); text != "" {
		p.field("rules", text, plain)
	}
	for i, d := range s.Dropped {
		label := ""
		if i == 0 {
			label = "dropped"
		}
		p.field(label, result.FormatCount(d.Count)+": "+d.Reason, plain)
	}
	if s.Before > 0 {
		p.field("before", result.Plural(s.Before, "exchange")+" came pseudonymised by the same key, packs and rules in the recording", plain)
	}
}

// busiest lists rules with what they replaced, the most first.
func busiest(rules []result.ScrubRule) string {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r result.ScrubRule) bool { return r.Hits == 0 })
	slices.SortStableFunc(rules, func(a, b result.ScrubRule) int { return cmp.Compare(b.Hits, a.Hits) })
	var parts []string
	for _, r := range rules[:min(len(rules), shownRules)] {
		parts = append(parts, r.Name+" "+result.FormatCount(r.Hits))
	}
	if more := int64(len(rules) - shownRules); more > 0 {
		parts = append(parts, result.FormatCount(more)+" more")
	}
	return strings.Join(parts, ", ")
}
