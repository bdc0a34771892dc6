package terminal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// next says what to do and what to type.
func (p *page) next(a *result.Audit) {
	if a.Verdict <= result.Pass {
		return
	}
	p.heading("Next")
	switch a.Verdict {
	case result.Fail:
		p.nextAfterFail(a)
	case result.Inconclusive:
		p.nextAfterInconclusive(a)
	default:
		p.nextAfterError(a)
	}
	if a.Origin.File != "" {
		p.command("shadowaudit run", quote(clean(a.Origin.File)), "--only", quote(clean(a.Name)), "--report json=result.json")
	}
}

func (p *page) nextAfterFail(a *result.Audit) {
	counting, _ := split(a.Differences)
	switch {
	case len(counting) > 0:
		d := counting[0]
		p.text(2, fmt.Sprintf("Start at %s: %s differs in %s.", d.Endpoint, d.Path, result.Plural(d.Pairs, "pair")), plain)
		if strings.HasPrefix(d.Path, ".body") {
			p.text(2, "If that is meant, say so in the compare block of the spec:", plain)
			p.text(4, "ignore = ["+literal(d.Path)+"]", strong)
		}
	case len(a.Endpoints) > 0:
		worst := slices.MinFunc(a.Endpoints, worse)
		p.text(2, fmt.Sprintf("Start at %s, the endpoint that changed most. When the candidate is mended, or the limit is, run again:", worst.Endpoint), plain)
		return
	}
	p.text(2, "Run this audit again, with every figure in a file:", plain)
}

func (p *page) nextAfterInconclusive(a *result.Audit) {
	switch {
	case a.Traffic.Read == 0:
		p.text(2, "The source gave no exchange. Check its path and that the recording is not empty, then run again:", plain)
	case a.Outcomes.Total == 0:
		p.text(2, "Nothing of what was read was replayed: the counts under Traffic say why. Widen select, then run again:", plain)
	default:
		p.text(2, "The evidence carries no verdict. Replay more traffic (a longer recording, a larger sample in select), "+
			"or remove the cause that is named above, then run again:", plain)
	}
}

func (p *page) nextAfterError(a *result.Audit) {
	if a.Baseline.URL == "" {
		p.text(2, "Nothing could be compared with the recorded responses. Name a target as the baseline, or record the responses too, then run again:", plain)
		return
	}
	p.text(2, fmt.Sprintf("Check that the baseline answers at %s, then run again:", a.Baseline.URL), plain)
}

// literal writes s as a string of the spec language.
func literal(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}
