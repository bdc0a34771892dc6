package junit

import (
	"fmt"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// evidence is what the case of the verdict says in system-out: why the replay
// was ended early, what became of accepted differences, and which gates would
// have noticed a broken candidate. None of it is a case of its own, since it
// makes no verdict; an accepted difference that is seen too often is a gate.
func evidence(a *result.Audit) string {
	var lines []string
	if x := a.Aborted; x != nil {
		lines = append(lines, fmt.Sprintf("aborted after %s: %s", result.Plural(x.Pairs, "pair"), oneLine(x.Reason)))
	}
	for i := range a.Accepted {
		x := &a.Accepted[i]
		lines = append(lines, oneLine(fmt.Sprintf("accepted, %s: %s %s %s in %s, by %s until %s", x.State, x.Endpoint, x.Path, x.Kind, result.Plural(x.Pairs, "pair"), x.Owner, x.Expires)))
	}
	if s := a.SelfTest; s != nil {
		lines = append(lines, fmt.Sprintf("self-test: %d of %d broken candidates would have been caught", s.Caught, s.Applied))
		for i := range s.Mutations {
			if m := &s.Mutations[i]; m.Pairs > 0 && len(m.CaughtBy) == 0 {
				lines = append(lines, "self-test: NOT caught: "+m.Name+", "+m.Doc)
			}
		}
	}
	return strings.Join(lines, "\n")
}
