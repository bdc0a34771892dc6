package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// inProcess runs the command line inside the test.
func inProcess(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	c := process()
	c.stdout, c.stderr = &out, &errs
	code = run(context.Background(), args, c)
	return code, out.String(), errs.String()
}

// TestExamples runs every example as its README says: with the sound build it
// passes, with the faulty one it fails and names the faults.
func TestExamples(t *testing.T) {
	sound := httptest.NewServer(demo.Shop{})
	defer sound.Close()
	faulty := httptest.NewServer(demo.Shop{Faulty: true})
	defer faulty.Close()
	dirs, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) < 2 {
		t.Fatalf("only %d examples", len(dirs))
	}
	for _, d := range dirs {
		spec := filepath.Join("../../examples", d.Name(), "shop.audit.hcl")
		if _, err := os.Stat(filepath.Join("../../examples", d.Name(), "README.md")); err != nil {
			t.Error(err)
		}
		src, err := os.ReadFile(spec)
		if err != nil {
			t.Fatal(err)
		}
		args := func(candidate string) []string {
			a := []string{"run", spec, "--var", "candidate_url=" + candidate}
			if strings.Contains(string(src), "baseline_url") {
				a = append(a, "--var", "baseline_url="+sound.URL)
			}
			return a
		}
		t.Run(d.Name(), func(t *testing.T) {
			if code, out, errs := inProcess(args(sound.URL)...); code != exitPass || errs != "" {
				t.Errorf("the sound build: exit code %d\n%s\n%s", code, out, errs)
			}
			code, out, _ := inProcess(args(faulty.URL)...)
			if code != exitFail {
				t.Errorf("the faulty build: exit code %d\n%s", code, out)
			}
			for _, fault := range []string{"GET /api/orders/{id}", ".body.total_cents  value", ".body.items[].currency  missing"} {
				if !strings.Contains(out, fault) {
					t.Errorf("the report does not name %s:\n%s", fault, out)
				}
			}
		})
	}
}

// The schema cannot import the packages that do what it describes, so that the
// two agree has to be seen to here.
func TestLanguageAndEngineAgree(t *testing.T) {
	var metrics []string
	for _, m := range judge.Metrics() {
		metrics = append(metrics, string(m.Name))
	}
	if !slices.Equal(metrics, schema.MetricNames()) {
		t.Errorf("metrics: %v in the engine, %v in the language", metrics, schema.MetricNames())
	}
	packs := schema.PackNames()
	slices.Sort(packs)
	if engine := slices.Sorted(slices.Values(scrub.PackNames())); !slices.Equal(engine, packs) {
		t.Errorf("packs: %v in the engine, %v in the language", engine, packs)
	}
}
