package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
)

// A recording made of an example's traffic, and one made of that recording,
// lead to the verdicts of the example itself.
func TestRecordingKeepsVerdicts(t *testing.T) {
	sound := httptest.NewServer(demo.Shop{})
	defer sound.Close()
	faulty := httptest.NewServer(demo.Shop{Faulty: true})
	defer faulty.Close()
	specs, err := filepath.Glob("../../examples/*/shop.audit.hcl")
	if err != nil || len(specs) < 2 {
		t.Fatalf("%v %v", specs, err)
	}
	t.Setenv("SCRUB_KEY", strings.Repeat("0123456789abcdef", 4))
	block := regexp.MustCompile(`(?ms)^source "\w+" "(\w+)" \{.*?^\}`)
	reference := regexp.MustCompile(`source\.\w+\.(\w+)`)
	for _, spec := range specs {
		t.Run(filepath.Base(filepath.Dir(spec)), func(t *testing.T) {
			src, err := os.ReadFile(spec)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(src), "scrub ") {
				// What was recorded is compared with what is answered, so that both
				// have to be scrubbed with one key.
				src = bytes.Replace(src, []byte("  baseline  ="), []byte("  scrub = scrub.keyed\n  baseline  ="), 1)
				src = append(src, "\nscrub \"keyed\" {\n  key_env = \"SCRUB_KEY\"\n}\n"...)
			}
			vars := []string{"--var", "candidate_url=" + sound.URL}
			if strings.Contains(string(src), "baseline_url") {
				vars = append(vars, "--var", "baseline_url="+sound.URL)
			}
			dir := t.TempDir()
			folder, err := filepath.Abs(filepath.Dir(spec))
			if err != nil {
				t.Fatal(err)
			}
			from := filepath.Join(dir, "original.audit.hcl")
			original := strings.ReplaceAll(string(src), "\"traffic/", "\""+filepath.ToSlash(folder)+"/traffic/")
			if err := os.WriteFile(from, []byte(original), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"once", "twice"} {
				file := filepath.Join(dir, name+".sar")
				if code, out, errs := inProcess(append([]string{"record", from, "-o", file}, vars...)...); code != exitPass {
					t.Fatalf("record %s: exit code %d\n%s%s", name, code, out, errs)
				}
				text := block.ReplaceAllString(string(src), "source \"recording\" \"$1\" {\n  path = "+strconv.Quote(name+".sar")+"\n}")
				text = reference.ReplaceAllString(text, "source.recording.$1")
				from = filepath.Join(dir, name+".audit.hcl")
				if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if code, out, errs := inProcess(append([]string{"run", from}, vars...)...); code != exitPass {
					t.Errorf("%s, the sound build: exit code %d\n%s%s", name, code, out, errs)
				}
			}
			faults := append([]string{"run", from}, append(vars, "--var", "candidate_url="+faulty.URL)...)
			if code, out, _ := inProcess(faults...); code != exitFail || !strings.Contains(out, ".body.total_cents  value") {
				t.Errorf("the faulty build: exit code %d\n%s", code, out)
			}
		})
	}
}

func TestPlot(t *testing.T) {
	for _, tt := range []struct {
		counts []int64
		bar    string
		peak   int64
	}{
		{nil, "", 0},
		{[]int64{5}, "█", 5},
		{[]int64{0, 1, 1000, 500, 0}, " ▁█▄", 1000},
	} {
		if bar, peak := plot(tt.counts); bar != tt.bar || peak != tt.peak {
			t.Errorf("%v: %q %d", tt.counts, bar, peak)
		}
	}
}
