package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
)

// Whatever the gates say, an audit that was not asked the whole question does
// not pass.
func TestOverrule(t *testing.T) {
	sound := result.Traffic{Read: 100, Selected: 100}
	pairs := result.Outcomes{Total: 100, Matched: 100}
	for _, tt := range []struct {
		name        string
		traffic     result.Traffic
		outcomes    result.Outcomes
		sourceErr   error
		interrupted bool
		gates       result.Verdict
		want        result.Verdict
		reason      string
	}{
		{"nothing in the way", sound, pairs, nil, false, result.Pass, result.Pass, "gates"},
		{"a failure stays one", sound, pairs, nil, true, result.Fail, result.Fail, "gates"},
		{"the source broke", sound, pairs, errors.New("disk on fire"), false, result.Pass, result.Error, "disk on fire"},
		{"the sums are wrong", result.Traffic{Read: 101, Selected: 100}, pairs, nil, false, result.Pass, result.Error, "bug"},
		{"interrupted", sound, pairs, nil, true, result.Pass, result.Inconclusive, "interrupted"},
		{"a little is lost", result.Traffic{Read: 100, Selected: 100, Malformed: 5}, pairs, nil, false, result.Pass, result.Pass, "gates"},
		{"much is lost", result.Traffic{Read: 100, Selected: 100, Malformed: 6}, pairs, nil, false, result.Pass, result.Inconclusive, "6 malformed"},
		{"much is cut", result.Traffic{Read: 100, Selected: 100, TruncatedRequests: 900}, pairs, nil, false, result.Pass, result.Inconclusive, "90%"},
		{"much is dropped", result.Traffic{Read: 100, Selected: 94, ScrubDropped: 6}, result.Outcomes{Total: 94, Matched: 94}, nil, false, result.Pass, result.Inconclusive, "6 dropped"},
		{"a queue was full", result.Traffic{Read: 100, Selected: 100, Dropped: 6}, pairs, nil, false, result.Pass, result.Inconclusive, "6 dropped for want of room"},
		{"what may be a loss", result.Traffic{Read: 100, Selected: 100, Gaps: 6, OrphanResponses: 6, LostPackets: 6}, pairs, nil, false, result.Pass, result.Pass, "gates"},
		{"an empty source", result.Traffic{}, result.Outcomes{}, nil, false, result.Inconclusive, result.Inconclusive, "empty"},
		{"only junk", result.Traffic{Malformed: 3}, result.Outcomes{}, nil, false, result.Inconclusive, result.Error, "3 malformed"},
		{"nothing selected", result.Traffic{Read: 3, Excluded: 3}, result.Outcomes{}, nil, false, result.Inconclusive, result.Inconclusive, "3 excluded"},
		{"a scrubber that refused", result.Traffic{Read: 3, ScrubDropped: 3}, result.Outcomes{}, nil, false, result.Inconclusive, result.Error, "3 dropped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.interrupted {
				cancel()
			}
			a := &audit{plan: &plan.Audit{Source: plan.Source{MaxLoss: 0.05, LossIs: result.Inconclusive}}, sourceErr: tt.sourceErr}
			a.result = result.Audit{Verdict: tt.gates, Reason: "gates", Traffic: tt.traffic, Outcomes: tt.outcomes}
			a.overrule(ctx)
			if a.result.Verdict != tt.want || !strings.Contains(a.result.Reason, tt.reason) {
				t.Errorf("%v: %s", a.result.Verdict, a.result.Reason)
			}
		})
	}
}

// What the scrubber did can take the ground from under an audit.
func TestAScrubberThatRefuses(t *testing.T) {
	one := 0.01
	for _, tt := range []struct {
		name    string
		most    *float64
		dropped int64
		reason  string
		want    result.Verdict
	}{
		{"few", &one, 1, "JSON body does not parse", result.Pass},
		{"too many", &one, 2, "JSON body does not parse", result.Error},
		{"no bound", nil, 2, "JSON body does not parse", result.Pass},
		{"a canary", nil, 1, scrub.CanaryReason, result.Error},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &audit{plan: &plan.Audit{Source: plan.Source{MaxLoss: 0.05}, Scrub: plan.Scrub{MaxDropped: tt.most}}}
			kept := 100 - tt.dropped
			a.result = result.Audit{
				Verdict: result.Pass, Reason: "gates", Traffic: result.Traffic{Read: 100, Selected: kept, ScrubDropped: tt.dropped},
				Outcomes: result.Outcomes{Total: kept, Matched: kept}, Scrub: result.Scrub{Dropped: []result.ScrubCount{{Reason: tt.reason, Count: tt.dropped}}},
			}
			a.overrule(t.Context())
			if a.result.Verdict != tt.want {
				t.Errorf("%v: %s", a.result.Verdict, a.result.Reason)
			}
		})
	}
}

// A limit of the user's own counts everything that may be a loss, and decides
// what a loss is.
func TestDeclaredLoss(t *testing.T) {
	for _, tt := range []struct {
		name    string
		traffic result.Traffic
		want    result.Verdict
	}{
		{"nothing", result.Traffic{Read: 100, Selected: 100}, result.Pass},
		{"within", result.Traffic{Read: 100, Selected: 100, Gaps: 1}, result.Pass},
		{"responses without a request", result.Traffic{Read: 100, Selected: 100, OrphanResponses: 2}, result.Fail},
		{"gaps", result.Traffic{Read: 100, Selected: 100, Gaps: 2}, result.Fail},
		{"packets", result.Traffic{Read: 100, Selected: 100, LostPackets: 2}, result.Fail},
		{"of several kinds", result.Traffic{Read: 100, Selected: 100, Dropped: 1, Malformed: 1}, result.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &audit{plan: &plan.Audit{Source: plan.Source{MaxLoss: 0.015, Strict: true, LossIs: result.Fail}}}
			a.result = result.Audit{Verdict: result.Pass, Reason: "gates", Traffic: tt.traffic, Outcomes: result.Outcomes{Total: 100, Matched: 100}}
			a.overrule(t.Context())
			if a.result.Verdict != tt.want {
				t.Errorf("%v: %s", a.result.Verdict, a.result.Reason)
			}
		})
	}
}

// Two values with one surrogate are different and may not be told apart.
func TestOneSurrogateForTwoValues(t *testing.T) {
	e := exhibit{audit: newAudit(&plan.Audit{}, Options{}), differences: differencesAt(".body.a", ".body.b", ".body.c", ".body.d")}
	e.seen = map[place][2]string{
		{".body.a", result.KindValue}: {"x", "x"},
		{".body.b", result.KindValue}: {"x", "y"},
		{".body.c", result.KindValue}: {"", "y"},
	}
	for i, want := range [][2]string{{redacted, redacted}, {"x", "y"}, {"", "y"}, {redacted, redacted}} {
		if a, b := e.values(i); a != want[0] || b != want[1] {
			t.Errorf("%d: %q %q", i, a, b)
		}
	}
}

func TestShownID(t *testing.T) {
	for id, want := range map[string]string{
		"d68646a07f000001074790e3": "d68646a07f000001074790e3", "3fa85f64-5717-4562-b3fc-2c963f66afa6": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
		"jane@shop.test": "", "card 4111": "", strings.Repeat("a", 65): "", "": "",
	} {
		if got := shownID(id); got != want {
			t.Errorf("%q: %q", id, got)
		}
	}
}

func differencesAt(paths ...string) []compare.Difference {
	var out []compare.Difference
	for _, p := range paths {
		out = append(out, compare.Difference{Path: p, Kind: result.KindValue})
	}
	return out
}
