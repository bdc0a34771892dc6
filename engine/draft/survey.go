package draft

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

type exchange = traffic.Exchange

// survey is what a recording says about its service.
type survey struct {
	read     int64
	selected int64 // that a spec without select would send
	answered int64
	errors   int64 // answers with a status of 500 or more
	methods  map[string]int64
	paths    *paths
	slices   *dimensions
	volatile *fields
	scrub    result.Scrub
}

// look reads the source once.
func look(ctx context.Context, src plan.Source, key []byte, access intake.Access) (*survey, error) {
	scrubber, err := scrub.New(scrub.Config{Key: key})
	if err != nil {
		return nil, err
	}
	s := &survey{methods: map[string]int64{}, paths: newPaths(), slices: newDimensions(), volatile: newFields()}
	selector := selection.New(selection.Config{})
	err = each(ctx, src, access, func(x *exchange) {
		s.read++
		s.methods[methodName(x.Request.Method)]++
		sent := selector.ByEnvelope(x) == selection.Selected
		original := x.Request
		if scrubber.Exchange(x) != nil {
			return
		}
		s.paths.add(methodName(x.Request.Method), cohort.Template(x.Request.Path()), sent)
		if !sent {
			return
		}
		s.selected++
		s.slices.add(&original, &x.Request)
		if x.Response != nil {
			s.answered++
			if x.Response.Status >= 500 {
				s.errors++
			}
			s.volatile.add(x)
		}
	})
	s.scrub = scrubber.Report()
	return s, err
}

// methodName gives a method that may be written down: what a recording has in
// its place could be anything.
func methodName(m string) string {
	if m == "" || len(m) > 20 || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		return cohort.Other
	}
	return m
}

// count is a name and how often it came.
type count struct {
	name string
	n    int64
}

// rankedCounts gives the counts, largest first.
func rankedCounts(m map[string]int64) []count {
	out := make([]count, 0, len(m))
	for name, n := range m {
		out = append(out, count{name, n})
	}
	slices.SortFunc(out, func(a, b count) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	return out
}
