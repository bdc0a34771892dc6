package bustest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
)

// TestIntake reads a topic through the first half of an audit: to its end, to a
// number of exchanges, and until somebody stops what follows it.
func TestIntake(t *testing.T) {
	brokers := broker(t, kfake.SeedTopics(1, "shadow"))
	produce(t, producer(t, brokers), "shadow", 1, 0, 30)
	for _, tt := range []struct {
		name   string
		follow bool
		budget intake.Budget
		want   int
	}{
		{"to its end", false, intake.Budget{}, 30},
		{"a number", true, intake.Budget{Count: 12}, 12},
		{"a time", true, intake.Budget{For: time.Second}, 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &plan.Audit{Source: plan.Source{Kind: "kafka", Name: "bus", Format: "exchange", Live: tt.follow, Bus: &plan.Bus{
				Brokers: brokers, Topic: "shadow", Start: "earliest", Follow: tt.follow,
			}}}
			p.Baseline.Recorded = true
			in, err := intake.Open(p, intake.Options{Seed: 1, Budget: tt.budget})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			n := 0
			for {
				step, err := in.Next(ctx)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if step.Endpoint == "" {
					t.Errorf("%+v", step)
				}
				n++
			}
			if err := in.Acknowledge(ctx); err != nil {
				t.Error(err)
			}
			if tr := in.Traffic(); n != tt.want || tr.Read != int64(n) || tr.Selected != int64(n) || tr.Malformed != 0 {
				t.Errorf("%d steps, %+v", n, tr)
			}
		})
	}
}
