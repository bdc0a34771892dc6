package judge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// asked makes a pair whose candidate differs at some paths and whose baseline,
// asked again, differs at others.
func asked(candidate, probe string) Pair {
	p := ok(1, 1)
	p.Probed = true
	p.Differences, p.ProbeDifferences = at2(candidate), at2(probe)
	if len(p.Differences) > 0 {
		p.Outcome = result.PairMismatched
	}
	return p
}

func at2(paths string) (all []Diff) {
	for _, path := range strings.Fields(paths) {
		path, kind, _ := strings.Cut(path, "/")
		d := Diff{Path: path, Kind: result.KindValue}
		if kind != "" {
			d.Kind = result.DiffKind(kind)
		}
		all = append(all, d)
	}
	return all
}

func TestNoise(t *testing.T) {
	unasked := func(candidate string) Pair {
		p := asked(candidate, "")
		p.Probed = false
		return p
	}
	lists := func(kinds ...any) (all []Pair) {
		for i := 0; i < len(kinds); i += 2 {
			all = append(all, times(kinds[i].(int), kinds[i+1].(Pair))...)
		}
		return join(all)
	}
	tests := []struct {
		name                string
		pairs               []Pair
		mismatched, ignored int64
		verdict             result.Verdict
		counted             string // paths that count
	}{
		{"noisy in both", lists(50, asked("", ""), 20, asked(".n", ""), 20, asked("", ".n"), 10, asked(".n", ".n")), 0, 30, result.Pass, ""},
		{"one difference where the baseline is steady", lists(99, asked("", ""), 1, asked(".price", "")), 1, 0, result.Fail, ".price"},
		{"a wrong field beside a noisy one", lists(50, asked("", ""), 20, asked(".n", ""), 20, asked("", ".n"), 1, asked(".n .price", "")), 1, 20, result.Fail, ".price"},
		{"a noisy field that got worse", lists(30, asked("", ""), 60, asked(".n", ""), 10, asked("", ".n")), 60, 0, result.Fail, ".n"},
		{"a noisy field a little worse", lists(70, asked("", ""), 18, asked(".n", ""), 12, asked("", ".n")), 0, 18, result.Pass, ""},
		{"a ratio of two to one is no proof", lists(94, asked("", ""), 4, asked(".n", ""), 2, asked("", ".n")), 0, 4, result.Pass, ""},
		{"always different, on both", lists(40, asked(".trace", ".trace")), 0, 40, result.Pass, ""},
		{"another kind at a noisy path", lists(50, asked(".n", ".n"), 1, asked(".n/missing", ".n")), 1, 50, result.Fail, ".n"},
		{"where nobody asked again", lists(20, asked(".n", ".n"), 80, unasked(".n")), 0, 100, result.Pass, ""},
		{"steady, where nobody asked again", lists(99, asked("", ""), 1, unasked(".price")), 1, 0, result.Fail, ".price"},
		{"steady, and few asked again", lists(10, asked("", ""), 30, unasked(""), 1, unasked(".price")), 1, 0, result.Inconclusive, ".price"},
		{"steady, few asked again, all differ", lists(10, asked(".price", ""), 30, unasked(".price")), 40, 0, result.Fail, ".price"},
		{"few asked again, and an answer missing", lists(10, asked("", ""), 29, unasked(""), 1, unasked(".price"), 1, failed("", traffic.Reset)), 1, 0, result.Fail, ".price"},
		{"no request excuses itself", lists(99, asked("", ""), 1, asked(".x .n", ".n"), 1, asked(".n", "")), 1, 1, result.Fail, ".x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{
				Gates: []Gate{{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")}},
				Noise: Noise{Probing: true},
			}
			f := finish(t, cfg, nil, tt.pairs)
			if f.Outcomes.Mismatched != tt.mismatched || f.Outcomes.Ignored != tt.ignored || f.Verdict != tt.verdict {
				t.Errorf("%v: %d mismatched, %d ignored; want %v, %d, %d", f.Verdict, f.Outcomes.Mismatched, f.Outcomes.Ignored, tt.verdict, tt.mismatched, tt.ignored)
			}
			var counted []string
			for _, d := range f.Differences {
				if d.IgnoredBy == "" {
					counted = append(counted, d.Path)
				} else if d.IgnoredBy != ByNoise {
					t.Errorf("%s is ignored by %q", d.Path, d.IgnoredBy)
				}
			}
			if got := strings.Join(counted, " "); got != tt.counted {
				t.Errorf("what counts is %q, want %q", got, tt.counted)
			}
		})
	}
}

func TestNoiseSaysWhatItFound(t *testing.T) {
	pairs := join(times(30, asked("", "")), times(60, asked(".n", "")), times(10, asked("", ".n")))
	f := finish(t, Config{Noise: Noise{Probing: true}}, nil, pairs)
	const want = "GET /a .n (value) differs more often than the baseline does from itself: the candidate alone in 60, the baseline alone in 10 of 100 requests asked twice"
	var all []string
	for _, n := range f.Notes {
		all = append(all, n.Text)
	}
	if got := strings.Join(all, "\n"); !strings.Contains(got, want) {
		t.Errorf("notes %q", got)
	}
}

func TestFewProbesAreSaid(t *testing.T) {
	few := asked(".price", "")
	few.Probed = false
	f := finish(t, Config{Noise: Noise{Probing: true}}, nil, join(times(10, asked("", "")), times(1, few)))
	const want = "the baseline was asked again at only 10 requests of GET /a, where the candidate differs: a field that is noisy in less than 25.9% of the answers may not have shown it"
	var all []string
	for _, n := range f.Notes {
		all = append(all, n.Text)
	}
	if got := strings.Join(all, "\n"); !strings.Contains(got, want) {
		t.Errorf("notes %q", got)
	}
}

// Without a probe nothing is noise, whatever the pairs carry.
func TestNoProbe(t *testing.T) {
	f := finish(t, Config{}, nil, times(3, asked(".n", ".n")))
	if f.Outcomes.Mismatched != 3 {
		t.Errorf("%+v", f.Outcomes)
	}
}

func TestTooManyFieldsExcuseNothing(t *testing.T) {
	var pairs []Pair
	for i := range maxNoiseKeys/50 + 2 {
		var paths []string
		for k := range 50 {
			paths = append(paths, fmt.Sprintf(".u%d", 50*i+k))
		}
		pairs = append(pairs, asked(".n", ".n "+strings.Join(paths, " ")))
	}
	f := finish(t, Config{Noise: Noise{Probing: true}}, nil, join(pairs))
	if f.Outcomes.Mismatched != int64(len(pairs)) || !strings.Contains(fmt.Sprint(f.Notes), "data in its keys") {
		t.Errorf("%+v %v", f.Outcomes, f.Notes)
	}
}
