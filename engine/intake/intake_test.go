package intake

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

func recordingPlan(t *testing.T) *plan.Audit {
	t.Helper()
	when, err := jq.CompilePredicate(`.request.path == "/gz"`)
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Audit{
		Source: plan.Source{Kind: "gor", Name: "r", Paths: []string{"../../testdata/gor/r_0.gor"}},
		Select: selection.Config{Exclude: []selection.Rule{{When: when}}},
	}
}

// TestEveryExchangeIsAccountedFor reads a recording to its end.
func TestEveryExchangeIsAccountedFor(t *testing.T) {
	var skipped []string
	in, err := Open(recordingPlan(t), Options{Seed: 1, Key: bytes.Repeat([]byte("k"), 32), Skipped: func(method string, why selection.Decision) {
		skipped = append(skipped, method)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var endpoints []string
	last := int64(-1)
	for {
		step, err := in.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if step.Seq <= last {
			t.Errorf("step %d comes after step %d", step.Seq, last)
		}
		last = step.Seq
		endpoints = append(endpoints, step.Endpoint)
	}
	slices.Sort(endpoints)
	if want := []string{"GET /a", "GET /b", "GET /chunk", "HEAD /head"}; !slices.Equal(endpoints, want) {
		t.Errorf("endpoints %q, want %q", endpoints, want)
	}
	slices.Sort(skipped)
	if want := []string{"GET", "POST"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	tr := in.Traffic()
	if tr.Read != 6 || tr.Excluded != 1 || tr.UnsafeSkipped != 1 || !tr.Balanced(result.Outcomes{Total: tr.Selected}) || tr.Records == 0 {
		t.Errorf("traffic %+v", tr)
	}
	if read, selected := in.Live(); read != 6 || selected != 4 {
		t.Errorf("live: %d read, %d selected", read, selected)
	}
	if done, total := in.Progress(); done != total || total == 0 {
		t.Errorf("progress: %d of %d", done, total)
	}
	if rules := in.Rules(); len(rules) != 1 || rules[0].Hits != 1 || rules[0].Rule != "exclude" {
		t.Errorf("rules %+v", rules)
	}
}

// TestResponsesAreKeptOnlyForSomebody: scrubbing them costs.
func TestResponsesAreKeptOnlyForSomebody(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*plan.Audit, *Options)
		response bool
	}{
		{"nobody looks", func(p *plan.Audit, _ *Options) { p.Select.Exclude = nil }, false},
		{"only select looked", func(*plan.Audit, *Options) {}, false},
		{"it is the baseline", func(p *plan.Audit, _ *Options) { p.Select.Exclude, p.Baseline.Recorded = nil, true }, true},
		{"it is asked for", func(p *plan.Audit, o *Options) { p.Select.Exclude, o.Responses = nil, true }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, opts := recordingPlan(t), Options{}
			tt.change(p, &opts)
			in, err := Open(p, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			got := false
			for {
				step, err := in.Next(context.Background())
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = got || step.Exchange.Response != nil
			}
			if got != tt.response {
				t.Errorf("has responses: %v, want %v", got, tt.response)
			}
		})
	}
}

func TestKey(t *testing.T) {
	key := bytes.Repeat([]byte{0xfe, 1}, 16)
	env := map[string]string{"HEX": hex.EncodeToString(key), "BASE64": base64.StdEncoding.EncodeToString(key), "RAW": "as it stands, and long enough for it", "EMPTY": ""}
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for name, want := range map[string][]byte{"": nil, "HEX": key, "BASE64": key, "RAW": []byte(env["RAW"])} {
		got, err := Key(&plan.Scrub{KeyEnv: name}, getenv)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	for _, name := range []string{"EMPTY", "NONE"} {
		var missing *MissingKeyError
		if _, err := Key(&plan.Scrub{KeyEnv: name}, getenv); !errors.As(err, &missing) || missing.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordingKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := write("a", "one"), write("b", "two")
	key := func(paths ...string) string {
		k, err := RecordingKey(paths)
		if err != nil || len(k) < 32 {
			t.Fatalf("%x, %v", k, err)
		}
		return string(k)
	}
	first := key(a)
	if again := key(a); first != again || first == key(b) || first == key(a, b) {
		t.Error("the key does not depend on the content of all files, and on nothing else")
	}
	if _, err := RecordingKey([]string{filepath.Join(dir, "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
