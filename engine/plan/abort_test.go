package plan

import (
	"fmt"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
)

// TestAbortGoesWithTheSameMetrics: what the language accepts, the judge can
// watch, and the other way round.
func TestAbortGoesWithTheSameMetrics(t *testing.T) {
	for _, m := range judge.Metrics() {
		limit := map[result.Unit]string{result.Nanoseconds: "250ms", result.Share: "1%", result.PerSecond: "5/s"}[m.Unit]
		side := "max"
		if m.Unit == result.PerSecond {
			side = "min"
		}
		spec := fmt.Sprintf(`
source "gor" "peak" {
  path = "peak.gor"
}
target "stable" {
  url = "http://127.0.0.1:8080"
}
target "next" {
  url = "http://127.0.0.1:8081"
}
audit "checkout" {
  source    = source.gor.peak
  baseline  = target.stable
  candidate = target.next
  gate "it" {
    metric = %s
    %s     = "%s"
    abort  = true
  }
}
`, m.Name, side, limit)
		_, diags := lang.Parse("spec.audit.hcl", []byte(spec), lang.Options{})
		if accepted := !diags.HasErrors(); accepted != m.Abortable() {
			t.Errorf("%s: the language accepts abort: %v, the judge can watch it: %v", m.Name, accepted, m.Abortable())
		}
	}
}
