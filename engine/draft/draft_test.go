package draft

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/shadowaudit/shadowaudit/lang"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGolden(t *testing.T) {
	tests := []struct{ name, path string }{
		{"goreplay", "../../testdata/gor/r_0.gor"},
		{"goreplay_compressed", "../../testdata/gor/p.gor_0.gz"},
		{"browser", "../../testdata/har/browser.har"},
		{"shop_gor", "../../examples/live-baseline/traffic/shop.gor"},
		{"shop_har", "../../examples/recorded-baseline/traffic/shop.har"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Name: "first", Paths: []string{tt.path}, Shown: []string{"traffic/" + filepath.Base(tt.path)}, Spec: "first.audit.hcl"}
			got, err := Make(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", tt.name+".audit.hcl")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			wellFormed(t, got)
			if again, _ := Make(context.Background(), cfg); !bytes.Equal(got, again) {
				t.Error("the second draft differs from the first")
			}
		})
	}
}

// wellFormed checks what every draft promises.
func wellFormed(t *testing.T, spec []byte) {
	t.Helper()
	if formatted := hclwrite.Format(spec); !bytes.Equal(formatted, spec) {
		t.Errorf("not formatted:\n%s\nformatted:\n%s", spec, formatted)
	}
	for _, line := range strings.Split(string(spec), "\n") {
		if len([]rune(line)) > 80 && strings.HasPrefix(strings.TrimSpace(line), "#") {
			t.Errorf("a comment of more than 80 columns: %s", line)
		}
	}
	env := map[string]string{"SHADOWAUDIT_VAR_baseline_url": "http://127.0.0.1:1", "SHADOWAUDIT_VAR_candidate_url": "http://127.0.0.1:2"}
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if _, diags := lang.Parse("first.audit.hcl", spec, lang.Options{Getenv: getenv}); len(diags) > 0 {
		t.Errorf("not a valid spec: %v\n%s", diags, spec)
	}
}

// TestUncommented checks that what the comments offer can be taken.
func TestUncommented(t *testing.T) {
	w := &writer{cfg: Config{Name: "x", Shown: []string{"x.gor"}}, kind: "gor", survey: &survey{slices: newDimensions()}}
	w.slices.total = 10
	for _, k := range []dimensionKey{{"headers", "x-region"}, {"query", "region"}, {"query", "a.b"}, {"host", ""}} {
		w.slices.byKey[k] = &dimension{requests: 10, values: map[uint64]int64{1: 5, 2: 5}}
	}
	w.cohorts()
	text := strings.ReplaceAll(strings.ReplaceAll(w.out.String(), "  # # ", "  # "), "  # cohort", "cohort")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "  #   by", "  by"), "  # }", "}")
	spec := "source \"gor\" \"x\" {\n  path = \"x\"\n}\ntarget \"t\" {\n  url = \"http://a\"\n}\naudit \"x\" {\n  source = source.gor.x\n  baseline = target.t\n  candidate = target.t\n" +
		text + "gate \"b\" {\n  metric = mismatches.rate\n  max = \"0%\"\n  per = [cohort.region, cohort.region_2, cohort.a_b, cohort.host]\n}\n}\n"
	if _, diags := lang.Parse("x.audit.hcl", []byte(spec), lang.Options{}); diags.HasErrors() {
		t.Errorf("%v\n%s", diags, spec)
	}
}

func TestWrongFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name  string
		paths []string
		want  error
	}{
		{"no such file", []string{filepath.Join(dir, "none.gor")}, fs.ErrNotExist},
		{"something else", []string{write("notes.txt", "dear diary\n")}, ErrUnknownKind},
		{"nothing", []string{write("empty.gor", "")}, ErrEmpty},
		{"two kinds", []string{"../../testdata/gor/r_0.gor", "../../testdata/har/browser.har"}, ErrMixedKinds},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Make(context.Background(), Config{Name: "x", Paths: tt.paths, Shown: tt.paths})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		`plain`: `"plain"`, `a"b\c`: `"a\"b\\c"`, `a${b}%{c}$d%`: `"a$${b}%%{c}$d%"`, "a\nb": `"a\u000ab"`, "ü🐵": `"ü🐵"`, "\U000e0001": `"\U000e0001"`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestKindIsKnownByContent(t *testing.T) {
	for path, want := range map[string]string{
		"../../testdata/gor/r_0.gor":                                     "gor",
		"../../testdata/har/browser.har":                                 "har",
		"../../testdata/mitm/f.mitm":                                     "mitm",
		"../../testdata/nginx/nginx_access.jsonl":                        "access_log",
		"../source/envoytap/testdata/binary/*":                           "envoy_tap",
		"../source/envoytap/testdata/binary_streamed_default_limit/*":    "envoy_tap",
		"../source/envoytap/testdata/delimited_streamed_default_limit/*": "envoy_tap",
		"../source/envoytap/testdata/json_default_limit/*":               "envoy_tap",
		"../source/envoytap/testdata/json_streamed_default_limit/*":      "envoy_tap",
		"../source/envoytap/testdata/json_string/*":                      "envoy_tap",
	} {
		if got, err := Kind([]string{path}); got != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}
