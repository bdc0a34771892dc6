package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/lang"
)

const languageSpec = `
variable "limit" {
  default = 10
}
source "gor" "peak" {
  path = "peak.gor"
}
target "stable" {
  url = "http://127.0.0.1:8080"
}
target "next" {
  url = "http://127.0.0.1:8081"
}
ignore_set "clock" {
  args   = { field = "at" }
  ignore = [".body[$field]"]
  keyed  = { ".body.items" = "id" }
  reason = "Clocks differ."
}
audit "checkout" {
  for_each  = ["eu", "us"]
  enabled   = each.key == "eu"
  source    = source.gor.peak
  baseline  = target.stable
  candidate = target.next
  compare {
    ignore = [".body.x"]
    use    = [ignore_set.clock]
  }
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
  gate "tail" {
    enabled = false
    metric  = latency.p95
    max     = "1s"
  }
  assert "few" {
    condition     = result.outcomes.mismatched < var.limit
    error_message = "Too many differ."
  }
}
`

func compiled(t *testing.T, limit string) *Plan {
	t.Helper()
	spec, diags := lang.Parse("a.audit.hcl", []byte(languageSpec), lang.Options{Assignments: []lang.Assignment{{Name: "limit", Value: limit}}})
	if spec == nil {
		t.Fatal(diags)
	}
	return Compile(spec)
}

func TestCompileTakesOverTheLanguage(t *testing.T) {
	p := compiled(t, "10")
	if len(p.Audits) != 2 || p.Audits[0].Name != `checkout["eu"]` || p.Audits[0].Disabled || !p.Audits[1].Disabled {
		t.Fatalf("audits %+v", p.Audits)
	}
	if len(p.Files) != 1 || p.Files[0].SHA256 != p.SHA256 {
		t.Errorf("files %+v", p.Files)
	}
	a := &p.Audits[0]
	if len(a.Gates) != 1 || len(a.DisabledGates) != 1 || a.DisabledGates[0].Name != "tail" {
		t.Errorf("gates %+v, disabled %+v", a.Gates, a.DisabledGates)
	}
	rules := a.Compare.Config.Ignore
	if len(rules) != 2 || rules[1].Reason != "Clocks differ." || rules[1].Origin.Start.Line != 16 || a.Compare.Config.Keyed[0].Reason != "Clocks differ." {
		t.Errorf("rules %+v", rules)
	}
	if ok, _, err := a.Assertions[0].Check(ResultView{Outcomes: OutcomesView{Mismatched: 9}}); !ok || err != nil {
		t.Errorf("the assertion says %v, %v", ok, err)
	}
	if a.Assertions[0].Snippet != `assert "few" {` {
		t.Errorf("snippet %q", a.Assertions[0].Snippet)
	}
}

func TestDigestHasWhatDecides(t *testing.T) {
	a, b := compiled(t, "10"), compiled(t, "11")
	if a.Audits[0].Digest() == b.Audits[0].Digest() {
		t.Error("another limit of an assertion, the same digest")
	}
	doc, err := json.Marshal(a.Audits[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`\"at\" as $field | .body[$field]`, `mismatched \u003c var.limit; var.limit = `} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the plan has no %s:\n%s", want, doc)
		}
	}
	if slices.Equal([]byte(a.Audits[0].Digest()), []byte(a.Audits[1].Digest())) {
		t.Error("two audits share a digest")
	}
}
