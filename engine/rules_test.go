package engine

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func TestStaleRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rule   result.Rule
		looked int64
		want   string // a part of what is said; "" for nothing
	}{
		{"in use", result.Rule{Hits: 3, Found: 3, Masked: 0.1}, 100, ""},
		{"found, and nothing to excuse", result.Rule{Found: 1, Masked: 0.1}, 100, ""},
		{"finds nothing", result.Rule{}, 100, "finds nothing in the 100 responses looked at"},
		{"too few were looked at", result.Rule{}, fewResponses - 1, ""},
		{"could not be evaluated, which is said elsewhere", result.Rule{Errors: 5}, 100, ""},
		{"masks too much", result.Rule{Hits: 1, Found: 1, Masked: 0.51}, 100, "leaves out 51% of the values"},
		{"masks as much as it may", result.Rule{Hits: 1, Found: 1, Masked: 0.5}, 100, ""},
		{"expired", result.Rule{Expired: true}, 0, "has expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Rule, tt.rule.Path, tt.rule.Origin = "ignore", ".body.at", result.Origin{File: "a.audit.hcl", Line: 7}
			got := strings.Join(staleRules([]result.Rule{tt.rule}, tt.looked, 0.5), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%q", got)
			}
			if got != "" && !strings.HasPrefix(got, "The rule ignore .body.at (a.audit.hcl:7) ") {
				t.Errorf("%q does not name the rule", got)
			}
		})
	}
}

func TestLooked(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 1: 1, 200: 200, 249: 200, 250: 201, 10_000: 396} {
		a := &audit{}
		a.measured.Store(n)
		if got := a.looked(); got != want {
			t.Errorf("%d pairs: %d looked at, want %d", n, got, want)
		}
	}
}

func TestLastHit(t *testing.T) {
	a := &audit{lastHits: make([]atomic.Int64, 2)}
	for _, seq := range []int64{0, 7, 3} {
		a.hit(0, seq)
	}
	a.hit(-1, 9)
	if a.lastHits[0].Load()-1 != 7 || a.lastHits[1].Load()-1 != -1 {
		t.Errorf("last hits %d, %d", a.lastHits[0].Load()-1, a.lastHits[1].Load()-1)
	}
}
