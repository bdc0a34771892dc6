package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/lang"
)

const logSpec = `
source "access_log" "day" {
  path   = "access.jsonl"
  format = json
  fields = { uri = "path", method = "verb", time = "ts" }
}
target "stable" {
  url = "http://127.0.0.1:8080"
}
target "next" {
  url = "http://127.0.0.1:8081"
}
audit "checkout" {
  source    = source.access_log.day
  baseline  = target.stable
  candidate = target.next
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
}
`

func compileLog(t *testing.T, text string) *Audit {
	t.Helper()
	spec, diags := lang.Parse("a.audit.hcl", []byte(text), lang.Options{})
	if spec == nil {
		t.Fatal(diags)
	}
	return &Compile(spec).Audits[0]
}

func TestCompileAccessLog(t *testing.T) {
	a := compileLog(t, logSpec)
	if a.Source.Format != "json" || len(a.Source.Fields) != 3 || a.Source.Fields["method"] != "verb" {
		t.Errorf("%+v", a.Source)
	}
	if !slices.ContainsFunc(a.Settings, func(s Setting) bool {
		return s.Name == "source.fields" && s.Value == `{ method = "verb", time = "ts", uri = "path" }`
	}) {
		t.Errorf("settings %+v", a.Settings)
	}
	if other := compileLog(t, strings.Replace(logSpec, `"verb"`, `"m"`, 1)); other.Digest() == a.Digest() {
		t.Error("the fields are not in the digest")
	}
	if same := compileLog(t, strings.Replace(logSpec, `uri = "path", method = "verb"`, `method = "verb", uri = "path"`, 1)); same.Digest() != a.Digest() {
		t.Error("the order of fields is in the digest")
	}
}
