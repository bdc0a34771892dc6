package lang

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

const smallSpec = `source "gor" "peak" {
  path = "peak.gor"
}

target "stable" {
  url = "http://127.0.0.1:8080"
}

target "next" {
  url     = "http://127.0.0.1:8081"
  headers = { "authorization" = var.token }
}

variable "token" {
  default   = "s3cret"
  sensitive = true
}

audit "checkout" {
  source    = source.gor.peak
  baseline  = target.stable
  candidate = target.next

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
}
`

func mustParse(t testing.TB, src string) *Spec {
	t.Helper()
	spec, diags := Parse("spec.audit.hcl", []byte(src), Options{})
	if spec == nil {
		t.Fatalf("%v", diags)
	}
	return spec
}

func TestLoadReadsFromDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkout.audit.hcl")
	if err := os.WriteFile(path, []byte(smallSpec), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, diags := Load(path, Options{})
	if len(diags) > 0 || spec == nil {
		t.Fatalf("diagnostics: %v", diags)
	}
	if want := filepath.Join(filepath.Dir(path), "peak.gor"); spec.Sources[0].Paths.Value[0] != want {
		t.Errorf("path is %q, want %q", spec.Sources[0].Paths.Value[0], want)
	}
	if spec.Path != path || len(spec.SHA256) != 64 {
		t.Errorf("path %q, digest %q", spec.Path, spec.SHA256)
	}
}

func TestLoadReportsUnreadableFiles(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"not there", fs.ErrNotExist, "There is no file of this name."},
		{"forbidden", fs.ErrPermission, "The file may not be read."},
		{"a folder", &fs.PathError{Op: "read", Path: "x", Err: fs.ErrInvalid}, "The file cannot be read: invalid argument."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec, diags := Load("x.hcl", Options{ReadFile: func(string) ([]byte, error) { return nil, tt.err }})
			if spec != nil || len(diags) != 1 || diags[0].Code != diag.UnreadableFile || diags[0].Detail != tt.want {
				t.Errorf("got %+v", diags)
			}
			if diags[0].Subject.File != "x.hcl" {
				t.Errorf("points at %v", diags[0].Subject)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	tests := []struct {
		name, file, src string
		want            diag.Code
	}{
		{"too large", "a.hcl", strings.Repeat(" ", MaxFileSize+1), diag.FileTooLarge},
		{"brackets", "a.hcl", "a = " + strings.Repeat("[", 1<<15), diag.TooDeep},
		{"negations", "a.hcl", "a = " + strings.Repeat("!", 1<<15), diag.TooDeep},
		{"conditionals", "a.hcl", "a = " + strings.Repeat("1?", 1<<15), diag.TooDeep},
		{"sum", "a.hcl", "a = 1" + strings.Repeat("+1", 1<<15), diag.TooDeep},
		{"blocks", "a.hcl", strings.Repeat("a {\n", 1<<15), diag.TooDeep},
		{"templates", "a.hcl", `a = "` + strings.Repeat(`${"`, 1<<15), diag.TooDeep},
		{"conditional templates", "a.hcl", `a = "` + strings.Repeat(`%{if true}`, 1<<12), diag.TooDeep},
		{"json", "a.json", strings.Repeat(`{"a":`, 1<<15), diag.TooDeep},
		{"json template", "a.json", `{"a": "${` + strings.Repeat("[", 1<<15) + `}"}`, diag.TooDeep},
		{"json template in escapes", "a.json", `{"a": "${` + strings.Repeat(`\u005b`, 1<<15) + `}"}`, diag.TooDeep},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec, diags := Parse(tt.file, []byte(tt.src), Options{})
			if spec != nil || len(diags) != 1 || diags[0].Code != tt.want {
				t.Errorf("got %.200v", diags)
			}
		})
	}
}

func TestGuardHoldsForValuesFromOutside(t *testing.T) {
	src := "variable \"list\" {\n  type = list(string)\n}\n"
	_, diags := Parse("a.hcl", []byte(src), Options{Vars: map[string]string{"list": strings.Repeat("[", 1<<15)}})
	if len(diags) != 1 || diags[0].Code != diag.TooDeep || diags[0].Subject.File != "<--var list>" {
		t.Errorf("got %.200v", diags)
	}
}

// fieldNames gives the arguments that decoding knows, by block type.
func fieldNames() map[string][]string {
	return map[string][]string{
		"shadowaudit": sortedKeys(settingsFields),
		"variable":    sortedKeys(variableFields),
		"validation":  sortedKeys(validationFields),
		"locals":      nil, // their names are the user's
		"import":      sortedKeys(importFields),
		"ignore_set":  sortedKeys(ignoreSetFields),
		"assert":      sortedKeys(assertFields),
		"source":      sortedKeys(sourceFields),
		"scrub":       sortedKeys(scrubFields),
		"rule":        sortedKeys(ruleFields),
		"target":      sortedKeys(targetFields),
		"audit":       sortedKeys(auditFields),
		"select":      sortedKeys(selectFields),
		"replay":      sortedKeys(replayFields),
		"compare":     sortedKeys(compareFields),
		"noise":       sortedKeys(noiseFields),
		"accept":      sortedKeys(acceptFields),
		"cohort":      sortedKeys(cohortFields),
		"gate":        sortedKeys(gateFields),
	}
}

func TestDecodingAndSchemaAgree(t *testing.T) {
	described := map[string][]string{}
	var walk func(b *schema.Block)
	walk = func(b *schema.Block) {
		names := b.ArgumentNames()
		for _, kind := range b.KindNames() {
			of, _ := b.OfKind(kind)
			names = append(names, of.ArgumentNames()...)
		}
		slices.Sort(names)
		if b.Type != "" {
			described[b.Type] = slices.Compact(names)
		}
		for i := range b.Blocks {
			walk(&b.Blocks[i])
		}
	}
	walk(schema.Root())

	decoded := fieldNames()
	for _, block := range slices.Sorted(maps.Keys(described)) {
		if !slices.Equal(described[block], decoded[block]) {
			t.Errorf("%s: the schema has %v, decoding %v", block, described[block], decoded[block])
		}
		delete(decoded, block)
	}
	for block := range decoded {
		t.Errorf("decoding knows a block %q that the schema does not", block)
	}
}

// Defaults are decoded like what a user writes, and examples are shown to be
// pasted.
func TestSchemaDefaultsAndExamplesParse(t *testing.T) {
	var walk func(b *schema.Block)
	check := func(b *schema.Block, a schema.Argument, text string) {
		if _, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos); text != "" && diags.HasErrors() {
			t.Errorf("%s.%s: %q: %v", b.Type, a.Name, text, diags)
		}
	}
	walk = func(b *schema.Block) {
		for _, a := range b.Arguments {
			check(b, a, a.Default)
			check(b, a, a.Example)
		}
		for _, k := range b.Kinds {
			for _, a := range k.Arguments {
				check(b, a, a.Default)
				check(b, a, a.Example)
			}
		}
		for i := range b.Blocks {
			walk(&b.Blocks[i])
		}
	}
	walk(schema.Root())
}

func TestDefaults(t *testing.T) {
	spec := mustParse(t, smallSpec)
	a, target := spec.Audits[0], spec.Targets[0]
	got := fmt.Sprintln(a.Select.Methods.Value, a.Select.Sample.Value, a.Replay.Timing.Value, a.Replay.Speed.Value,
		a.Replay.MaxInFlight.Value, target.Timeout.Value, target.InsecureSkipVerify.Value, a.Replay.Rate.Value, a.Scrub == nil)
	if want := "[GET HEAD] 1 recorded 1 256 10s false 0 true\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, set := range map[string]bool{"methods": a.Select.Methods.Set, "timing": a.Replay.Timing.Set, "timeout": target.Timeout.Set} {
		if set {
			t.Errorf("%s counts as set", name)
		}
	}
	if !a.Select.Methods.Range.IsZero() {
		t.Errorf("a default has the place %v", a.Select.Methods.Range)
	}
}

func TestLine(t *testing.T) {
	spec := mustParse(t, smallSpec)
	gate := spec.Audits[0].Gates[0]
	tests := []struct {
		name string
		in   pos.Range
		want string
	}{
		{"value", gate.Max.Range, `max    = "0%"`},
		{"block", gate.Origin, `gate "behaviour" {`},
		{"sensitive variable", pos.Range{File: spec.Path, Start: pos.Pos{Byte: strings.Index(smallSpec, "s3cret"), Line: 16}}, ""},
		{"other file", pos.Range{File: "other", Start: pos.Pos{Line: 1}}, ""},
		{"nowhere", pos.Range{}, ""},
		{"behind the end", pos.Range{File: spec.Path, Start: pos.Pos{Byte: 1 << 20, Line: 900}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := spec.Line(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSensitiveValuesStayInside(t *testing.T) {
	const secret = "s3cret-zz"
	specs := []struct{ name, src string }{
		{"header", `target "a" { headers = { "a b" = var.token } }`},
		{"control character", "target \"a\" {\n  headers = { \"x\" = \"${var.token}\\n\" }\n}"},
		{"url", `target "a" { url = var.token }`},
		{"duration", "target \"a\" {\n  timeout = var.token\n}"},
		{"list", "audit \"a\" {\n  endpoints = [var.token]\n}"},
		{"object", "audit \"a\" {\n  compare {\n    tolerance = { \".body\" = var.token }\n  }\n}"},
		{"function", `target "a" { url = tonumber(var.token) }`},
		{"operator", `target "a" { url = var.token + 1 }`},
		{"default", "variable \"n\" {\n  sensitive = true\n  default = tonumber(\"s3cret-zz\")\n}"},
		{"type", "variable \"n\" {\n  sensitive = true\n  type = number\n  default = \"s3cret-zz\"\n}"},
		{"index", `target "a" { url = var.token.x }`},
		{"limit", "audit \"a\" {\n  gate \"b\" {\n    metric = latency.p50\n    max = var.token\n  }\n}"},
	}
	for _, given := range []bool{true, false} {
		for _, tt := range specs {
			t.Run(fmt.Sprintf("%s given=%v", tt.name, given), func(t *testing.T) {
				opts := Options{Sources: diag.Sources{}}
				src := "variable \"token\" {\n  sensitive = true\n"
				if given {
					opts.Vars = map[string]string{"token": secret}
				} else {
					src += "  default = \"" + secret + "\"\n"
				}
				src += "}\n" + tt.src + "\n"
				_, diags := Parse("a.hcl", []byte(src), opts)
				if !diags.HasErrors() {
					t.Fatal("the spec is wrong, and nothing was said")
				}
				var out strings.Builder
				printer := diag.Printer{Sources: opts.Sources}
				if err := printer.Print(&out, diags); err != nil {
					t.Fatal(err)
				}
				if err := printer.WriteJSON(&out, diags); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(out.String(), secret) {
					t.Errorf("the value shows:\n%s", out.String())
				}
			})
		}
	}
}

func TestSpecHoldsNoSecret(t *testing.T) {
	spec := mustParse(t, smallSpec)
	if v := spec.Variables[0]; v.Value != "" || !v.Sensitive || v.From != "default" {
		t.Errorf("variable: %+v", v)
	}
	if h := spec.Targets[1].Headers[0]; h.Value != "s3cret" || !h.Sensitive {
		t.Errorf("header: sensitive %v", h.Sensitive)
	}
}

func noFile(string) ([]byte, error) { return nil, fs.ErrNotExist }

func FuzzParse(f *testing.F) {
	for _, path := range corpus(f) {
		c := readCase(f, path)
		f.Add(c.src, c.file == "spec.audit.json")
	}
	f.Fuzz(func(t *testing.T, src string, json bool) {
		file := "a.hcl"
		if json {
			file = "a.json"
		}
		opts := Options{Version: "0.1.0", ReadFile: noFile, Vars: map[string]string{"url": "http://h", "n": "["}, Sources: diag.Sources{}}
		spec, diags := Parse(file, []byte(src), opts)
		if (spec == nil) != diags.HasErrors() {
			t.Fatalf("spec %v with diagnostics %v", spec != nil, diags)
		}
		for _, d := range diags {
			if d.Subject.IsZero() || d.Subject.File == "" || d.Code == "" || d.Summary == "" {
				t.Fatalf("incomplete diagnostic: %+v", d)
			}
		}
		var out strings.Builder
		if err := (diag.Printer{Sources: opts.Sources}).Print(&out, diags); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkParse2000Audits(b *testing.B) {
	design := readCase(b, "testdata/design-example.txt").src
	head, audit, ok := strings.Cut(design, "audit \"checkout\"")
	if !ok {
		b.Fatal("the example has no audit")
	}
	var src strings.Builder
	src.WriteString(head)
	for i := range 2000 {
		fmt.Fprintf(&src, "audit \"checkout_%d\"%s\n", i, strings.Replace(audit, "/healthz", fmt.Sprintf("/healthz/%d", i), 1))
	}
	data := []byte(src.String())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if spec, diags := Parse("a.hcl", data, Options{}); spec == nil {
			b.Fatal(diags)
		}
	}
}
