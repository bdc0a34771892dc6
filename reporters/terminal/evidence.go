package terminal

import (
	"fmt"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// again writes the line by which the example of a difference can be seen again.
// It is one line, however long, since it is there to be copied.
func (p *page) again(d *result.Diff) {
	if d.Example.Repro == nil {
		return
	}
	if line := d.Example.Repro.Curl(); line != "" && clean(line) == line {
		p.out.WriteString(p.colors[faint].Sprint("      again      ") + line + "\n")
	}
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
		p.hanging(fmt.Sprintf("  %-14s", m.Name), fmt.Sprintf("%s: %s, %s", text, m.Doc, result.Plural(m.Pairs, "pair")), st)
	}
}
