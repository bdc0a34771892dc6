package terminal

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// next says what to do and what to type. Where nothing is sure to help it says
// nothing: the reason of the verdict stands at the top.
func (p *page) next(a *result.Audit, interrupted bool) {
	advice := adviceFor(a, interrupted)
	if len(advice) == 0 {
		return
	}
	p.heading("Next")
	for _, line := range advice {
		if line.code {
			p.text(4, line.text, strong)
		} else {
			p.text(2, line.text, plain)
		}
	}
	if a.Origin.File != "" {
		p.command("shadowaudit run", quote(clean(a.Origin.File)), "--only", quote(clean(a.Name)), "--report json=result.json")
	}
}

// advice is one paragraph of it.
type advice struct {
	text string
	code bool // to be copied into the spec
}

func adviceFor(a *result.Audit, interrupted bool) []advice {
	switch a.Verdict {
	case result.Fail:
		return afterFail(a)
	case result.Inconclusive:
		return []advice{{text: afterInconclusive(a, interrupted)}}
	case result.Error:
		return afterError(a)
	}
	return nil
}

func afterFail(a *result.Audit) []advice {
	var out []advice
	counting, _ := split(a.Differences)
	why, silent := silence(a)
	switch {
	case silent:
		return []advice{{text: fmt.Sprintf("The candidate never gave a complete response: %s. Check that it answers at %s, then run again:", why, a.Candidate.URL)}}
	case len(counting) > 0:
		d := counting[0]
		if roots, _ := byRoot(counting); len(roots) > 0 {
			d = roots[0]
		}
		out = append(out, advice{text: fmt.Sprintf("Start at %s: %s differs in %s.", d.Endpoint, d.Path, result.Plural(d.Pairs, "pair"))})
		out = append(out, about(d)...)
	case len(a.Endpoints) > 0:
		worst := slices.MinFunc(a.Endpoints, worse)
		return []advice{{text: fmt.Sprintf("Start at %s, the endpoint that changed most. When the candidate is mended, or the limit is, run again:", worst.Endpoint)}}
	}
	return append(out, advice{text: "Run this audit again, with every figure in a file:"})
}

// silence reports whether the candidate answered nothing at all, and names the
// commonest failure, the first by name among equals.
func silence(a *result.Audit) (why string, silent bool) {
	counts := map[string]int64{}
	for _, e := range a.Endpoints {
		if len(e.Candidate.Statuses) > 0 {
			return "", false
		}
		for f, n := range e.Candidate.Failures {
			counts[f] += n
		}
	}
	for _, f := range slices.Sorted(maps.Keys(counts)) {
		if why == "" || counts[f] > counts[why] {
			why = f
		}
	}
	return why, why != ""
}

// about says how to go on from a difference. A rule is offered only for a part
// of a body: who ignores all of it, or the status, compares nothing any more.
func about(d *result.Diff) []advice {
	switch {
	case d.Kind == result.KindStatus:
		return []advice{{text: "Look at its example first: where the status differs, nothing else is compared."}}
	case d.Kind == result.KindOrder:
		return []advice{
			{text: "The elements are the same. If their order means nothing, say so in the compare block of the spec:"},
			{text: "unordered = [" + literal(d.Path) + "]", code: true},
		}
	case wholeBody(d.Path):
		return []advice{{text: "Look at its example first: the bodies as a whole differ, not one field in them."}}
	case strings.HasPrefix(d.Path, ".body"):
		return append([]advice{{text: "If that is meant, say so in the compare block of the spec:"}}, rulesFor(d)...)
	}
	return nil
}

// rulesFor gives the rules that would excuse a difference.
func rulesFor(d *result.Diff) []advice {
	place := " = [" + literal(d.Path) + "]"
	ignore, optional := advice{text: "ignore" + place, code: true}, advice{text: "optional" + place, code: true}
	switch d.Kind {
	case result.KindMissing, result.KindExtra:
		return []advice{optional}
	case result.KindType, result.KindFormat:
		return []advice{ignore, optional}
	}
	return []advice{ignore}
}

// wholeBody reports whether a path means everything in a body: the body, the
// elements of one that is a list, or the digest that stands for one that is no
// text.
func wholeBody(path string) bool {
	return path == ".body" || path == ".body[]" || path == ".body.sha256"
}

func afterInconclusive(a *result.Audit, interrupted bool) string {
	switch {
	case interrupted:
		return "The run was interrupted. Let it come to its end:"
	case a.Traffic.Read == 0 && strings.HasPrefix(a.Reason, "interrupted"):
		return "The run was interrupted before this audit began. Run it:"
	case a.Traffic.Read == 0:
		return "The source gave no exchange. Check its path and that the recording is not empty, then run again:"
	case a.Outcomes.Total == 0:
		return "Nothing of what was read was replayed: the counts under Traffic say why. Widen select, then run again:"
	}
	return "The evidence carries no verdict. Replay more traffic (a longer recording, a larger sample in select), " +
		"or remove the cause that is named above, then run again:"
}

func afterError(a *result.Audit) []advice {
	t := &a.Traffic
	nothing := t.Read == 0 && a.Outcomes.Total == 0
	unreadable := t.Malformed+t.Truncated+t.OrphanResponses+t.ReplayedResponses+t.NotHTTP+t.ForeignHost+t.Gaps+t.Dropped > 0
	switch {
	case nothing && (unreadable || strings.HasPrefix(a.Reason, "source.")):
		return []advice{{text: "Check the source block of the spec: its path, and that what is there is a recording of its kind. Then run again:"}}
	case !strings.HasPrefix(a.Reason, "the baseline "):
		return nil
	case a.Baseline.URL == "":
		return []advice{{text: "Nothing could be compared with the recorded responses. Name a target as the baseline, or record the responses too, then run again:"}}
	}
	return []advice{{text: fmt.Sprintf("Check that the baseline answers at %s, then run again:", a.Baseline.URL)}}
}

// literal writes s as a string of the spec language.
func literal(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}
