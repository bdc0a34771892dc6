package plan

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownAuditError is the name of an audit that no plan has.
type UnknownAuditError struct {
	Name  string
	Known []string
}

func (e *UnknownAuditError) Error() string {
	return fmt.Sprintf("no audit is named %q; there are: %s", e.Name, strings.Join(e.Known, ", "))
}

// Choose returns the audits of the plans that are called by name, in their
// order; all of them when only is nil. The error is an *UnknownAuditError.
func Choose(plans []*Plan, only []string) ([]*Audit, error) {
	var chosen []*Audit
	var known []string
	for _, p := range plans {
		for i := range p.Audits {
			a := &p.Audits[i]
			known = append(known, a.Name)
			if only == nil || slices.Contains(only, a.Name) {
				chosen = append(chosen, a)
			}
		}
	}
	for _, name := range only {
		if !slices.Contains(known, name) {
			return nil, &UnknownAuditError{Name: name, Known: known}
		}
	}
	return chosen, nil
}
