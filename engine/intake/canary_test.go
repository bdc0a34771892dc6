package intake

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
)

// A canary of the spec that is still there after scrubbing keeps its exchange
// from going on, and is told apart from other reasons.
func TestCanariesReachTheScrubber(t *testing.T) {
	for _, tt := range []struct {
		canary  string
		dropped int64
	}{
		{"last_name=", 2}, // which nothing replaces
		{"marker-7f3c", 0},
	} {
		in, err := Open(&plan.Audit{Source: recorded(t, nil), Scrub: plan.Scrub{Canaries: []string{tt.canary}}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for err == nil {
			_, err = in.Next(context.Background())
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		var want []result.ScrubCount
		if tt.dropped > 0 {
			want = []result.ScrubCount{{Reason: scrub.CanaryReason, Count: tt.dropped}}
		}
		got := in.Scrub().Dropped
		if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("%s: dropped %v, want %v", tt.canary, got, want)
		}
	}
}
