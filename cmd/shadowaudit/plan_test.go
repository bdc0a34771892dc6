package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
)

// digests depend on all of the language, which grows.
var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// TestPlanText holds the text of plan to golden files: every recording that
// comes with the sources, under its own spec.
func TestPlanText(t *testing.T) {
	const targets = "--var=baseline_url=http://127.0.0.1:8080 --var=candidate_url=http://127.0.0.1:8081"
	tests := []struct{ name, spec string }{
		{"live_baseline", "../../examples/live-baseline/shop.audit.hcl"},
		{"recorded_baseline", "../../examples/recorded-baseline/shop.audit.hcl"},
		{"goreplay", "testdata/plan/goreplay.audit.hcl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"plan", tt.spec}, strings.Fields(targets)...)
			if tt.name == "recorded_baseline" {
				args = append(args[:2], args[3:]...)
			}
			code, out, errs := inProcess(args...)
			if code != exitPass || errs != "" {
				t.Fatalf("exit code %d\n%s", code, errs)
			}
			for _, line := range strings.Split(out, "\n") {
				if len([]rune(line)) > 80 {
					t.Errorf("more than 80 columns: %s", line)
				}
			}
			got := digests.ReplaceAllString(out, "DIGEST")
			golden := filepath.Join("testdata/plan", tt.name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			_, first, _ := inProcess(append(args, "--json")...)
			if _, second, _ := inProcess(append(args, "--json")...); first != second || first == "" {
				t.Errorf("two documents differ:\n%s\n%s", first, second)
			}
		})
	}
}

// spare lets requests leave late: a machine that runs tests is busy.
func spare(t *testing.T, spec string) {
	t.Helper()
	text, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	const candidate = "  candidate = target.next\n"
	patient := strings.Replace(string(text), candidate, candidate+"\n  replay {\n    max_lateness = \"1m\"\n  }\n", 1)
	if patient == string(text) {
		t.Fatal("the spec has no candidate")
	}
	if err := os.WriteFile(spec, []byte(patient), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestInitRuns writes a spec from each example's traffic and runs it as it is:
// with the sound build it passes, with the faulty one it fails.
func TestInitRuns(t *testing.T) {
	sound := httptest.NewServer(demo.Shop{})
	defer sound.Close()
	faulty := httptest.NewServer(demo.Shop{Faulty: true})
	defer faulty.Close()
	for _, recording := range []string{"live-baseline/traffic/shop.gor", "recorded-baseline/traffic/shop.har"} {
		t.Run(filepath.Base(recording), func(t *testing.T) {
			spec := filepath.Join(t.TempDir(), "first.audit.hcl")
			if code, out, errs := inProcess("init", filepath.Join("../../examples", recording), "-o", spec); code != exitPass || out != "" {
				t.Fatalf("init: exit code %d\n%s\n%s", code, out, errs)
			}
			spare(t, spec)
			run := func(candidate string) (int, string, string) {
				return inProcess("run", spec, "--var", "baseline_url="+sound.URL, "--var", "candidate_url="+candidate)
			}
			if code, out, errs := run(sound.URL); code != exitPass || errs != "" {
				t.Errorf("the sound build: exit code %d\n%s\n%s", code, out, errs)
			}
			if code, out, errs := run(faulty.URL); code != exitFail {
				t.Errorf("the faulty build: exit code %d\n%s\n%s", code, out, errs)
			}
		})
	}
}

func TestIdentifier(t *testing.T) {
	for path, want := range map[string]string{
		"traffic/peak_hour.gor": "peak_hour", "Peak-Hour.gor.gz": "peak_hour", "2026-11-20.har": "traffic_2026_11_20", "...": "traffic", "café.har": "caf",
	} {
		if got := identifier(path); got != want {
			t.Errorf("identifier(%q) = %q, want %q", path, got, want)
		}
	}
}
