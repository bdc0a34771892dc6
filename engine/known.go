package engine

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// The states of a known difference.
const (
	stateNew      = "new"
	stateKnown    = "known"
	stateUpdated  = "updated"
	stateAbsent   = "absent"
	stateExpired  = "expired"
	stateExceeded = "exceeded"
)

// known are the differences that somebody has accepted. They are found again by
// endpoint, path and kind, which is what people review; the fingerprint is made
// of these, whatever the label of a block says.
type known struct {
	all []*acceptance
	by  map[string]*acceptance // by fingerprint
}

// acceptance is one of them, with the pairs that showed it.
type acceptance struct {
	plan.Accepted
	expired bool
	pairs   atomic.Int64
	updated atomic.Int64 // pairs with values of another class
}

func newKnown(accepted []plan.Accepted, now time.Time) *known {
	k := &known{by: map[string]*acceptance{}}
	for _, x := range accepted {
		x.Fingerprint = judge.Fingerprint(x.Endpoint, x.Path, x.Kind)
		a := &acceptance{Accepted: x, expired: !now.UTC().Before(x.Expires.AddDate(0, 0, 1))}
		k.all = append(k.all, a)
		k.by[x.Fingerprint] = a
	}
	return k
}

// excuse says of what class the values of a pair's differences are, marks those
// differences that are accepted, and reports whether none is left that counts.
// found and diffs are the same differences. A pair that did not happen or was not
// judged is not to be counted.
func (k *known) excuse(endpoint string, found []compare.Difference, diffs []judge.Diff, count bool) bool {
	counting, all := 0, 0
	for i := range diffs {
		d := &diffs[i]
		d.From, d.To = classes(&found[i])
		if d.IgnoredBy != "" {
			continue
		}
		counting++
		all++
		if len(k.all) == 0 {
			continue
		}
		a := k.by[judge.Fingerprint(endpoint, d.Path, d.Kind)]
		if a == nil {
			continue
		}
		if a.From != "" && a.From != d.From || a.To != "" && a.To != d.To {
			a.updated.Add(one(count))
			continue
		}
		a.pairs.Add(one(count))
		if !a.expired {
			d.IgnoredBy = "accept " + a.Fingerprint
			counting--
		}
	}
	return counting == 0 && all < toldOf
}

// toldOf is how many differences of a pair package compare tells of. Where there
// are as many there may be more, and nobody has accepted those.
const toldOf = 100

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// classes says of what class the values of a difference are. A status is a class
// of its own: that a 200 became a 404 does not excuse a 500.
func classes(d *compare.Difference) (from, to string) {
	if d.Kind == result.KindStatus {
		return d.Baseline, d.Candidate
	}
	json := len(d.Keys) > 0 && d.Keys[0] == "body"
	return class(d.Baseline, json), class(d.Candidate, json)
}

func class(text string, json bool) string {
	if text == "" {
		return "absent"
	}
	if !json {
		return "text"
	}
	switch c := text[0]; {
	case c == '"':
		return "string"
	case c == '{':
		return "object"
	case c == '[':
		return "list"
	case text == "null":
		return "null"
	case text == "true" || text == "false":
		return "boolean"
	case c == '-' || '0' <= c && c <= '9':
		return "number"
	}
	return "text"
}

// judgeKnown says what became of the accepted differences, and fails the audit
// where one is seen more often than it may be.
func (a *audit) judgeKnown() {
	r := &a.result
	compared := map[string]int64{}
	for _, e := range r.Endpoints {
		compared[e.Endpoint] = e.Outcomes.Matched + e.Outcomes.Ignored + e.Outcomes.Mismatched
	}
	for _, x := range a.known.all {
		row := x.result(compared[x.Endpoint])
		r.Accepted = append(r.Accepted, row)
		if row.State == stateExceeded {
			a.exceeded(x, row)
		}
	}
	for i := range r.Differences {
		d := &r.Differences[i]
		x := a.known.by[d.Fingerprint]
		switch {
		case strings.HasPrefix(d.IgnoredBy, "accept "):
			d.State = stateKnown
		case d.IgnoredBy != "":
		case x == nil:
			d.State = stateNew
		case x.expired:
			d.State = stateExpired
		default:
			d.State = stateUpdated
		}
	}
}

func (x *acceptance) result(compared int64) result.Accepted {
	row := result.Accepted{
		Fingerprint: x.Fingerprint, Endpoint: x.Endpoint, Path: x.Path, Kind: x.Kind, State: stateKnown, Pairs: x.pairs.Load(), Max: x.Max,
		Reason: x.Reason, Owner: x.Owner, Expires: x.Expires.Format(time.DateOnly), Origin: result.OriginOf(x.Origin),
	}
	if compared > 0 {
		row.Share = float64(row.Pairs) / float64(compared)
	}
	switch {
	case row.Pairs > 0 && x.expired:
		row.State = stateExpired
	case row.Share > x.Max:
		row.State = stateExceeded
	case row.Pairs == 0 && x.updated.Load() > 0:
		row.State = stateUpdated
	case row.Pairs == 0:
		row.State = stateAbsent
	}
	return row
}

// exceeded adds a row to the gates for a difference that is seen more often than
// it was accepted for.
func (a *audit) exceeded(x *acceptance, row result.Accepted) {
	reason := fmt.Sprintf("%s of the pairs of %s show %s %s, accepted for at most %s",
		result.FormatShare(row.Share, result.Digits), x.Endpoint, x.Path, x.Kind, result.FormatShare(x.Max, result.Digits))
	share := row.Share
	a.result.Gates = append(a.result.Gates, result.Gate{
		Name: "accepted " + x.Fingerprint, Metric: "accept", Verdict: result.Fail, Cohort: map[string]string{}, Unit: result.Share, Observed: &share,
		Limit: "max " + result.FormatShare(x.Max, result.Digits), Samples: row.Pairs, Reason: reason, Origin: row.Origin, Snippet: x.Snippet,
	})
	if a.result.Verdict < result.Fail {
		a.result.Verdict, a.result.Reason = result.Fail, reason
	}
}
