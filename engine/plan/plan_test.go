package plan_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/lang"
)

const spec = `
variable "token" {
  type      = string
  sensitive = true
}

source "gor" "day" {
  path = ["a/*.gor", "b.gor"]
}

scrub "mine" {
  packs = ["pci@1"]

  rule "note" {
    jq     = [".body.note"]
    action = remove
  }
}

target "stable" {
  url     = "http://127.0.0.1:8080/base"
  host    = url
  headers = { authorization = var.token }
}

target "next" {
  url = "http://127.0.0.1:8081"
}

audit "one" {
  source    = source.gor.day
  scrub     = scrub.mine
  baseline  = target.stable
  candidate = target.next

  select {
    exclude = [".request.path == \"/healthz\""]
    sample  = "10%"
  }

  compare {
    ignore    = [".body.at"]
    tolerance = { ".body.total" = "1%" }
  }

  cohort "region" {
    by = ".request.headers[\"x-region\"]"
  }

  gate "tail" {
    metric       = latency.p95
    max          = "250ms"
    max_increase = "10%"
    per          = [endpoint, cohort.region]
  }
}
`

func compile(t *testing.T, dir, src, token string) *plan.Audit {
	t.Helper()
	s, diags := lang.Parse(filepath.Join(dir, "x.audit.hcl"), []byte(src), lang.Options{Vars: map[string]string{"token": token}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return &plan.Compile(s).Audits[0]
}

func TestCompile(t *testing.T) {
	dir := t.TempDir()
	a := compile(t, dir, spec, "secret")
	if a.Source.String() != "gor.day" || a.Source.Paths[0] != filepath.Join(dir, "a", "*.gor") || a.Source.Shown[0] != "a/*.gor" {
		t.Errorf("%+v", a.Source)
	}
	if a.Baseline.Host != "127.0.0.1:8080" || a.Baseline.Headers.Get("Authorization") != "secret" || a.Candidate.Host != "" {
		t.Errorf("%+v %+v", a.Baseline, a.Candidate)
	}
	if a.Select.Sample != 0.1 || len(a.Select.Exclude) != 1 || len(a.Compare.Config.Ignore) != 1 || a.Compare.Config.Tolerance[0].Limit != "1%" {
		t.Errorf("%+v %+v", a.Select, a.Compare)
	}
	g := a.Gates[0]
	if g.Gate.Max.Value != 250e6 || !g.Gate.MaxIncrease.Relative || g.Gate.MaxIncrease.Value != 0.1 || len(g.Gate.Per) != 2 || g.Gate.Snippet != `gate "tail" {` {
		t.Errorf("%+v", g.Gate)
	}
	if a.Scrub.Packs[0] != "pci@1" || len(a.Scrub.Rules) != 1 {
		t.Errorf("%+v", a.Scrub)
	}
}

// A digest says what an audit does: it does not know in which folder, and it
// neither holds nor depends on a secret.
func TestDigest(t *testing.T) {
	a := compile(t, t.TempDir(), spec, "secret-one")
	doc, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(doc), "secret-one") || !strings.Contains(string(doc), "authorization") {
		t.Errorf("%s", doc)
	}
	if b := compile(t, t.TempDir(), spec, "secret-two"); a.Digest() != b.Digest() {
		t.Error("the digest depends on the folder or on a secret")
	}
	for _, change := range [][2]string{
		{`"250ms"`, `"251ms"`}, {`.body.at`, `.body.by`}, {`"10%"
  }

  compare`, `"11%"
  }

  compare`}, {`127.0.0.1:8081`, `127.0.0.1:8082`}, {`"x-region\`, `"x-tenant\`}, {`.body.note`, `.body.text`}, {`"1%"`, `"2%"`}, {`/healthz`, `/health`},
	} {
		changed := strings.Replace(spec, change[0], change[1], 1)
		if changed == spec {
			t.Fatalf("%q is not in the spec", change[0])
		}
		if b := compile(t, t.TempDir(), changed, "x"); a.Digest() == b.Digest() {
			t.Errorf("%q for %q leaves the digest as it is", change[1], change[0])
		}
	}
}
