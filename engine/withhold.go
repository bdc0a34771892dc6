package engine

import (
	"encoding/json"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/plan"
)

// withheld stands for a value that the spec gives to a target.
const withheld = "[a header of the target]"

// shortestSecret is the shortest value that is looked for in answers: what is
// shorter is in many texts by chance, and too short to be a credential.
const shortestSecret = 8

// withholder makes a replacer for what is shown of answers. The spec may add
// fields to requests, most often credentials, and a target may say again what it
// was sent; the scrubber knows nothing of these.
func withholder(p *plan.Audit) *strings.Replacer {
	var pairs []string
	add := func(value string) {
		if len(value) < shortestSecret {
			return
		}
		pairs = append(pairs, value, withheld)
		if quoted, err := json.Marshal(value); err == nil { // as a JSON answer says it
			pairs = append(pairs, string(quoted[1:len(quoted)-1]), withheld)
		}
	}
	targets := []*plan.Target{&p.Baseline, &p.Candidate}
	if p.Probe != nil {
		targets = append(targets, p.Probe)
	}
	for _, t := range targets {
		for _, f := range t.Headers {
			add(f.Value)
			if _, credentials, ok := strings.Cut(f.Value, " "); ok { // Bearer, Basic
				add(credentials)
			}
		}
	}
	return strings.NewReplacer(pairs...)
}
