package terminal

import (
	"fmt"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// again writes the line by which the example of a difference can be seen again,
// or the smallest request that shows it.
// It is one line, however long, since it is there to be copied.
func (p *page) again(d *result.Diff) {
	if d.Example.Repro == nil {
		return
	}
	if line := d.Example.Repro.Curl(); line != "" && clean(line) == line {
		label := "      again      "
		if d.Example.Repro.Minimal {
			label = "      smallest   "
		}
		p.out.WriteString(p.colors[faint].Sprint(label) + line + "\n")
	}
}

// byRoot parts the differences that stand for themselves from those that show in
// the very same pairs as one of them, which are listed by its fingerprint.
func byRoot(diffs []*result.Diff) (roots []*result.Diff, parts map[string][]*result.Diff) {
	parts = map[string][]*result.Diff{}
	for _, d := range diffs {
		if d.With == "" {
			roots = append(roots, d)
		} else {
			parts[d.With] = append(parts[d.With], d)
		}
	}
	return roots, parts
}

// maxTogether is how many paths are named that differ together with another.
const maxTogether = 5

// together names what differs in the same pairs as the difference above.
func (p *page) together(parts []*result.Diff) {
	if len(parts) == 0 {
		return
	}
	var paths []string
	for _, d := range parts[:min(len(parts), maxTogether)] {
		paths = append(paths, d.Path)
	}
	text := "and " + more(len(parts), "path") + " differ in the same pairs: " + strings.Join(paths, ", ")
	if len(parts) == 1 {
		text = "and 1 more path differs in the same pairs: " + paths[0]
	} else if len(parts) > maxTogether {
		text += ", ..."
	}
	p.text(6, text, faint)
}

// accepted says what became of the differences that somebody lets pass.
func (p *page) accepted(all []result.Accepted) {
	if len(all) == 0 {
		return
	}
	p.heading("Accepted")
	for i := range all {
		x := &all[i]
		st, what := plain, ""
		switch x.State {
		case "known":
			what = fmt.Sprintf("%s (%s, at most %s)", result.Plural(x.Pairs, "pair"), result.FormatShare(x.Share, result.Digits), result.FormatShare(x.Max, result.Digits))
		case "absent":
			what = "not seen any more: remove its block"
		case "updated":
			st, what = doubtful, "seen with values of another class, which counts"
		case "expired":
			st, what = doubtful, fmt.Sprintf("its last day was %s, so it counts: %s", x.Expires, result.Plural(x.Pairs, "pair"))
		case "exceeded":
			st, what = bad, fmt.Sprintf("%s of the pairs, over %s", result.FormatShare(x.Share, result.Digits), result.FormatShare(x.Max, result.Digits))
		}
		p.hanging(fmt.Sprintf("  %-9s", x.State), fmt.Sprintf("%s %s %s: %s. %s, until %s: %s", x.Endpoint, x.Path, x.Kind, what, x.Owner, x.Expires, x.Reason), st)
	}
}

// selfTest says which gates would have noticed a candidate that is wrong.
func (p *page) selfTest(s *result.SelfTest) {
	if s == nil {
		return
	}
	p.heading("Self-test")
	st := good
	if s.Caught < s.Applied {
		st = bad
	}
	p.field("sensitivity", fmt.Sprintf("%d of %d broken candidates would have been caught", s.Caught, s.Applied), st)
	for i := range s.Mutations {
		m := &s.Mutations[i]
		text, st := "caught by "+strings.Join(m.CaughtBy, ", "), plain
		switch {
		case m.Pairs == 0:
			text, st = "found nothing to break in this traffic", faint
		case len(m.CaughtBy) == 0:
			text, st = "NOT caught", bad
		}
		pairs := result.Plural(m.Pairs, "pair")
		if m.Excused > 0 && len(m.CaughtBy) == 0 {
			pairs += ", in " + result.FormatCount(m.Excused) + " of which a rule excuses what differs"
		}
		p.hanging(fmt.Sprintf("  %-14s", m.Name), fmt.Sprintf("%s: %s, %s", text, m.Doc, pairs), st)
	}
}
