package judge

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func ms(n int64) int64 { return n * int64(time.Millisecond) }

// ok is a matched pair with the given latencies in milliseconds.
func ok(baseline, candidate int64) Pair {
	return Pair{
		Endpoint:  "GET /a",
		Baseline:  SideFacts{Latency: ms(baseline), Status: 200},
		Candidate: SideFacts{Latency: ms(candidate), Status: 200},
	}
}

func failed(baseline, candidate traffic.Failure) Pair {
	p := ok(10, 10)
	p.Outcome = result.PairFailed
	p.Baseline.Failure, p.Candidate.Failure = baseline, candidate
	return p
}

func outcome(o result.Outcome) Pair {
	p := ok(10, 10)
	p.Outcome = o
	return p
}

func times(n int, p Pair) []Pair {
	pairs := make([]Pair, n)
	for i := range pairs {
		pairs[i] = p
	}
	return pairs
}

func join(lists ...[]Pair) []Pair {
	var all []Pair
	for _, l := range lists {
		all = append(all, l...)
	}
	for i := range all {
		all[i].Seq = int64(i)
	}
	return all
}

func at(value float64, text string) *Limit { return &Limit{Value: value, Text: text} }

func relative(value float64, text string) *Limit {
	return &Limit{Value: value, Relative: true, Text: text}
}

func finish(t *testing.T, cfg Config, cohorts []string, pairs []Pair) Findings {
	t.Helper()
	j, err := New(cfg, cohorts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		j.Add(&pairs[i])
	}
	return j.Finish(10 * time.Second)
}

func TestGate(t *testing.T) {
	max250 := at(250e6, "250ms")
	tests := []struct {
		name    string
		gate    Gate
		record  bool // the baseline is the recording
		pairs   []Pair
		verdict result.Verdict
		reason  string
		samples int64
	}{
		{
			"latency within max", Gate{Metric: LatencyP95, Max: max250}, false,
			times(340, ok(120, 240)), result.Pass,
			"p95 240ms is within max 250ms, baseline 120ms, 340 samples", 340,
		},
		{
			"latency equal to max", Gate{Metric: LatencyP95, Max: max250}, false,
			times(59, ok(120, 250)), result.Pass,
			"p95 250ms is within max 250ms, baseline 120ms, 59 samples", 59,
		},
		{
			"latency over max", Gate{Metric: LatencyP95, Max: max250}, false,
			times(340, ok(120, 312)), result.Fail,
			"p95 312ms is over max 250ms (+24.8%), baseline 120ms, 340 samples", 340,
		},
		{
			"barely over max is shown apart", Gate{Metric: LatencyMean, Max: max250, MinSamples: 1}, false,
			join(times(9, ok(120, 250)), times(1, ok(120, 251))), result.Fail,
			"mean latency 250.1ms is over max 250ms (+0.04%), baseline 120ms, 10 samples", 10,
		},
		{
			"relative increase", Gate{Metric: LatencyP50, MaxIncrease: relative(0.1, "10%")}, false,
			times(5, ok(120, 312)), result.Fail,
			"p50 312ms is 160% above the baseline's 120ms (max_increase 10%), 5 samples", 5,
		},
		{
			"relative increase at its limit", Gate{Metric: LatencyP50, MaxIncrease: relative(0.1, "10%")}, false,
			times(5, ok(100, 110)), result.Pass,
			"p50 110ms is within max_increase 10%, baseline 100ms, 5 samples", 5,
		},
		{
			"absolute increase", Gate{Metric: LatencyP50, MaxIncrease: at(20e6, "20ms")}, false,
			times(5, ok(120, 141)), result.Fail,
			"p50 141ms is 21ms above the baseline's 120ms (max_increase 20ms), 5 samples", 5,
		},
		{
			"max and increase", Gate{Metric: LatencyP50, Max: max250, MaxIncrease: relative(0.1, "10%")}, false,
			times(5, ok(120, 312)), result.Fail,
			"p50 312ms is over max 250ms (+24.8%) and 160% above the baseline's 120ms (max_increase 10%), 5 samples", 5,
		},
		{
			"too few samples for p95", Gate{Metric: LatencyP95, Max: max250}, false,
			times(12, ok(120, 900)), result.Inconclusive, "12 of 59 samples needed", 12,
		},
		{
			"min_samples of the gate", Gate{Metric: LatencyP95, Max: max250, MinSamples: 10}, false,
			times(12, ok(120, 100)), result.Pass,
			"p95 100ms is within max 250ms, baseline 120ms, 12 samples", 12,
		},
		{
			"no samples", Gate{Metric: LatencyP95, Max: max250, MinSamples: 1}, false,
			times(3, failed("", traffic.Refused)), result.Inconclusive, "no samples", 0,
		},
		{
			"a time-out is as slow as it was", Gate{Metric: LatencyMax, Max: max250}, false,
			join(times(3, ok(10, 10)), []Pair{{
				Endpoint: "GET /a", Outcome: result.PairFailed, Baseline: SideFacts{Latency: ms(10), Status: 200},
				Candidate: SideFacts{Latency: ms(2000), Failure: traffic.TimedOut},
			}}), result.Fail,
			"slowest answer 2s is over max 250ms (+700%), baseline 10ms, 4 samples", 4,
		},
		{
			"a refusal is not a fast answer", Gate{Metric: LatencyMean, Max: max250, MinSamples: 1}, false,
			join(times(2, ok(10, 100)), times(8, failed("", traffic.Refused))), result.Pass,
			"mean latency 100ms is within max 250ms, baseline 10ms, 2 samples", 2,
		},
		{
			"recorded without times, max", Gate{Metric: LatencyP50, Max: max250}, true,
			times(5, ok(0, 100)), result.Pass, "p50 100ms is within max 250ms, 5 samples", 5,
		},
		{
			"recorded without times, max_increase", Gate{Metric: LatencyP50, MaxIncrease: relative(0.1, "10%")}, true,
			times(5, ok(0, 100)), result.Inconclusive,
			"nothing is known of the baseline at any of 5 requests", 0,
		},
		{
			"recorded with some times", Gate{Metric: LatencyP50, Max: max250, MaxIncrease: relative(0.1, "10%")}, true,
			join(times(10, ok(0, 100)), times(5, ok(50, 60))), result.Fail,
			"p50 100ms is 20% above the baseline's 50ms (max_increase 10%) at the 5 requests whose baseline is known, where it is 60ms, 15 samples", 15,
		},
		{
			"recorded with too few times", Gate{Metric: LatencyP50, Max: max250, MaxIncrease: relative(0.1, "10%")}, true,
			join(times(10, ok(0, 100)), times(2, ok(50, 60))), result.Inconclusive,
			"2 of 5 samples needed with a known baseline", 12,
		},
		{
			"a limit broken beats evidence missing", Gate{Metric: LatencyP50, Max: at(50e6, "50ms"), MaxIncrease: relative(0.1, "10%")}, true,
			join(times(10, ok(0, 100)), times(2, ok(50, 60))), result.Fail,
			"p50 100ms is over max 50ms (+100%), baseline 50ms, 12 samples", 12,
		},
		{
			"errors over max", Gate{Metric: ErrorsRate, Max: at(0.001, "0.1%")}, false,
			join(times(339, ok(1, 1)), times(1, failed("", traffic.Reset))), result.Fail,
			"error rate 0.29% (1 of 340) is over max 0.1% (+194%), baseline 0%", 340,
		},
		{
			"errors equal to max", Gate{Metric: ErrorsRate, Max: at(0.3/100, "0.3%")}, false,
			join(times(997, ok(1, 1)), times(3, failed("", traffic.Reset))), result.Pass,
			"error rate 0.3% (3 of 1,000) is within max 0.3%, baseline 0%", 1000,
		},
		{
			"status 500 is an error", Gate{Metric: ErrorsRate, Max: at(0, "0%")}, false,
			[]Pair{{Baseline: SideFacts{Status: 499}, Candidate: SideFacts{Status: 500}}}, result.Fail,
			"error rate 100% (1 of 1) is over max 0%, baseline 0%", 1,
		},
		{
			"errors above a baseline without any", Gate{Metric: ErrorsRate, MaxIncrease: relative(0.5, "50%")}, false,
			join(times(9, ok(1, 1)), times(1, failed("", traffic.Reset))), result.Fail,
			"error rate 10% (1 of 10) is above the baseline's 0% (max_increase 50%)", 10,
		},
		{
			"errors in percentage points", Gate{Metric: ErrorsRate, MaxIncrease: at(0.005, "0.5pp")}, false,
			join(times(9, ok(1, 1)), times(1, failed("", traffic.Reset))), result.Fail,
			"error rate 10% (1 of 10) is 10pp above the baseline's 0% (max_increase 0.5pp)", 10,
		},
		{
			"what was interrupted is no error", Gate{Metric: ErrorsRate, Max: at(0, "0%")}, false,
			join(times(9, ok(1, 1)), times(1, failed(traffic.Interrupted, traffic.Interrupted))), result.Pass,
			"error rate 0% (0 of 9) is within max 0%, baseline 0%", 9,
		},
		{
			"mismatches", Gate{Metric: MismatchesRate, Max: at(0, "0%")}, false,
			join(times(3, outcome(result.PairMatched)), times(1, outcome(result.PairMismatched))), result.Fail,
			"mismatch rate 25% (1 of 4) is over max 0%", 4,
		},
		{
			"only the candidate failed is a mismatch", Gate{Metric: MismatchesRate, Max: at(0, "0%")}, false,
			join(times(3, ok(1, 1)), times(1, failed("", traffic.Refused))), result.Fail,
			"mismatch rate 25% (1 of 4) is over max 0%", 4,
		},
		{
			"a failed baseline says nothing about behaviour", Gate{Metric: MismatchesRate, Max: at(0, "0%")}, false,
			join(times(39, ok(1, 1)), times(1, failed(traffic.Reset, traffic.Reset))), result.Pass,
			"mismatch rate 0% (0 of 39) is within max 0%", 39,
		},
		{
			"ignored is not mismatched", Gate{Metric: MismatchesRate, Max: at(0, "0%")}, false,
			times(4, outcome(result.PairIgnored)), result.Pass,
			"mismatch rate 0% (0 of 4) is within max 0%", 4,
		},
		{
			"too many unjudged", Gate{Metric: MismatchesRate, Max: at(0, "0%")}, false,
			join(times(18, ok(1, 1)), times(2, outcome(result.PairInconclusive))), result.Inconclusive,
			"2 of 20 pairs could not be judged", 18,
		},
		{
			"few unjudged", Gate{Metric: MismatchesRate, Max: at(0, "0%")}, false,
			join(times(19, ok(1, 1)), times(1, outcome(result.PairInconclusive))), result.Pass,
			"mismatch rate 0% (0 of 19) is within max 0%", 19,
		},
		{
			"failures", Gate{Metric: FailuresRate, Max: at(0.1, "10%")}, false,
			join(times(39, ok(1, 1)), times(1, failed(traffic.Reset, ""))), result.Pass,
			"failure rate 2.5% (1 of 40) is within max 10%", 40,
		},
		{
			"throughput", Gate{Metric: Throughput, Min: at(5, "5/s")}, false,
			times(40, ok(1, 1)), result.Fail,
			"throughput 4/s is under min 5/s (-20%), 40 samples", 40,
		},
		{"nothing at all", Gate{Metric: ErrorsRate, Max: at(1, "100%")}, false, nil, result.Inconclusive, "no samples", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.gate.Name, tt.gate.Decision = "g", ByPoint
			f := finish(t, Config{Gates: []Gate{tt.gate}, BaselineRecorded: tt.record}, nil, tt.pairs)
			g := f.Gates[0]
			if g.Verdict != tt.verdict || g.Reason != tt.reason || g.Samples != tt.samples {
				t.Errorf("got  %v: %s (samples %d)\nwant %v: %s (samples %d)", g.Verdict, g.Reason, g.Samples, tt.verdict, tt.reason, tt.samples)
			}
			if g.Cohort == nil {
				t.Error("cohort is nil")
			}
			if g.Verdict == result.Pass && (g.Samples == 0 || g.Observed == nil) {
				t.Error("green without samples")
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	errors := Gate{Name: "errors", Metric: ErrorsRate, Max: at(0.5, "50%")}
	tail := Gate{Name: "tail", Metric: LatencyP50, Max: at(50e6, "50ms"), MinSamples: 2, Per: []string{Endpoint}}
	tests := []struct {
		name    string
		gates   []Gate
		pairs   []Pair
		verdict result.Verdict
		reason  string
	}{
		{"no traffic", []Gate{errors}, nil, result.Inconclusive, "no traffic was replayed"},
		{"no traffic, per endpoint", []Gate{tail}, nil, result.Inconclusive, "no traffic was replayed"},
		{"no gates", nil, times(9, ok(1, 1)), result.Inconclusive, "no gate looks at the traffic"},
		{"one gate passes", []Gate{errors}, times(1, ok(1, 1)), result.Pass, "the gate is within the limits over 1 pair"},
		{"all gates pass", []Gate{errors, tail}, times(9, ok(1, 1)), result.Pass, "all 2 gate results are within the limits over 9 pairs"},
		{
			"one fails", []Gate{errors, tail}, times(9, ok(1, 60)), result.Fail,
			`gate "tail" (endpoint GET /a) failed: p50 60ms is over max 50ms (+20%), baseline 1ms, 9 samples`,
		},
		{
			"two fail", []Gate{tail, {Name: "m", Metric: LatencyMean, Max: at(1e6, "1ms"), MinSamples: 1}}, times(9, ok(1, 60)), result.Fail,
			`2 of 2 gate results failed, first gate "tail" (endpoint GET /a): p50 60ms is over max 50ms (+20%), baseline 1ms, 9 samples`,
		},
		{"too little", []Gate{errors, tail}, times(1, ok(1, 1)), result.Inconclusive, `gate "tail" (endpoint GET /a) had too little evidence: 1 of 2 samples needed`},
		{
			"dead baseline", []Gate{errors},
			join(times(3, failed(traffic.Refused, "")), times(4, failed(traffic.Reset, ""))), result.Error,
			"the baseline never answered: connection reset (4 pairs), connection refused (3 pairs)",
		},
		{
			"nothing recorded", []Gate{errors}, times(3, failed(traffic.NotRecorded, "")), result.Error,
			"the baseline never answered: no recorded response (3 pairs)",
		},
		{
			"dead candidate", []Gate{errors}, times(3, failed("", traffic.Refused)), result.Fail,
			`gate "errors" failed: error rate 100% (3 of 3) is over max 50% (+100%), baseline 0%`,
		},
		{
			"baseline fails too often", []Gate{errors}, join(times(9, ok(1, 1)), times(1, failed(traffic.Refused, ""))), result.Inconclusive,
			"the baseline gave no complete response to 1 of 10 pairs (10%), and more than 5% is too many for a verdict",
		},
		{
			"baseline fails now and then", []Gate{errors}, join(times(19, ok(1, 1)), times(1, failed(traffic.Refused, ""))), result.Pass,
			"the gate is within the limits over 20 pairs",
		},
		{
			"interrupted at once", []Gate{errors}, times(2, failed(traffic.Interrupted, traffic.Interrupted)), result.Inconclusive,
			"the run was interrupted before the baseline answered: 2 pairs",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.gates {
				tt.gates[i].Decision = ByPoint
			}
			f := finish(t, Config{Gates: tt.gates}, nil, tt.pairs)
			if f.Verdict != tt.verdict || f.Reason != tt.reason {
				t.Errorf("got  %v: %s\nwant %v: %s", f.Verdict, f.Reason, tt.verdict, tt.reason)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	tail := Gate{Name: "tail", Metric: LatencyP50, Max: at(1e9, "1s"), MinSamples: 1}
	blind := outcome(result.PairInconclusive)
	blind.Reason = "the recorded body is truncated"
	tests := []struct {
		name  string
		pairs []Pair
		want  string
	}{
		{"quiet", times(9, ok(1, 1)), ""},
		{"inconclusive", join(times(99, ok(1, 1)), times(1, blind)), "info: 1 pair could not be judged: the recorded body is truncated (1 pair)"},
		{"many inconclusive", times(2, blind), "warning: 2 pairs could not be judged: the recorded body is truncated (2 pairs)"},
		{"errors that no gate sees", join(times(9, ok(1, 1)), times(1, failed("", traffic.Refused))), "warning: the candidate gave 1 error, the baseline 0, and no gate looks at errors.rate"},
		{"mismatches that no gate sees", times(1, outcome(result.PairMismatched)), "warning: 1 pair mismatched, and no gate looks at mismatches.rate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, n := range finish(t, Config{Gates: []Gate{tail}}, nil, tt.pairs).Notes {
				got = append(got, n.Severity+": "+n.Text)
			}
			if text := strings.Join(got, "\n"); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

// answered is a pair in which both sides answered with a status.
func answered(baseline, candidate int) Pair {
	p := ok(10, 10)
	p.Baseline.Status, p.Candidate.Status = baseline, candidate
	if baseline != candidate {
		p.Outcome = result.PairMismatched
	}
	return p
}

// Two builds that refuse everything agree, and nothing was audited.
func TestRefusals(t *testing.T) {
	behaviour := Gate{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")}
	const credential = "; scrubbed credentials are the usual cause: give the target a test credential with headers = { authorization = var.token }"
	tests := []struct {
		name    string
		record  bool
		pairs   []Pair
		verdict result.Verdict
		text    string // of the warning and, where the verdict is inconclusive, of the reason
	}{
		{"all denied", false, times(30, answered(401, 401)), result.Inconclusive,
			"the baseline refused or failed 30 of 30 requests that it answered (100%): status 401 x 30" + credential},
		{"all broken", false, times(30, answered(500, 500)), result.Inconclusive,
			"the baseline refused or failed 30 of 30 requests that it answered (100%): status 500 x 30; mend the baseline, or leave these requests out in select"},
		{"all denied in the recording", true, times(30, answered(403, 403)), result.Inconclusive,
			"the baseline refused or failed 30 of 30 requests that it answered (100%): status 403 x 30; the recording is of a service that did not serve: record another one, or leave these requests out in select"},
		{"more than half", false, join(times(51, answered(401, 401)), times(49, ok(1, 1))), result.Inconclusive,
			"the baseline refused or failed 51 of 100 requests that it answered (51%): status 401 x 51" + credential},
		{"half", false, join(times(40, answered(401, 401)), times(10, answered(503, 503)), times(50, ok(1, 1))), result.Pass,
			"the baseline refused or failed 50 of 100 requests that it answered (50%): status 401 x 40, 503 x 10" + credential},
		{"a few", false, join(times(5, answered(401, 401)), times(95, ok(1, 1))), result.Pass, ""},
		{"other refusals", false, times(30, answered(404, 404)), result.Pass, ""},
		{"a limit broken beats it", false, times(30, answered(401, 200)), result.Fail,
			"the baseline refused or failed 30 of 30 requests that it answered (100%): status 401 x 30" + credential},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := finish(t, Config{Gates: []Gate{behaviour}, BaselineRecorded: tt.record}, nil, tt.pairs)
			if f.Verdict != tt.verdict || f.Verdict == result.Inconclusive && f.Reason != tt.text {
				t.Errorf("%v: %s", f.Verdict, f.Reason)
			}
			var warnings []string
			for _, n := range f.Notes {
				warnings = append(warnings, n.Text)
			}
			if got := strings.Join(warnings, "\n"); got != tt.text {
				t.Errorf("warnings %q, want %q", got, tt.text)
			}
		})
	}
}

// What this machine could not send says nothing about either side.
func TestNoResources(t *testing.T) {
	starved := func(baseline, candidate traffic.Failure) Pair {
		p := failed(baseline, candidate)
		p.Outcome, p.Reason = result.PairInconclusive, "this machine had no sockets or ports left"
		return p
	}
	gates := []Gate{
		{Name: "errors", Metric: ErrorsRate, Max: at(0, "0%")},
		{Name: "failures", Metric: FailuresRate, Max: at(0, "0%")},
		{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")},
	}
	const reason = " could not be sent, because this machine had no sockets or ports left: raise `ulimit -n`, or lower max_in_flight"
	tests := []struct {
		name    string
		pairs   []Pair
		verdict result.Verdict
		reason  string
	}{
		{"few at the candidate", join(times(95, ok(1, 1)), times(5, starved("", traffic.NoResources))), result.Pass, "all 3 gate results are within the limits over 100 pairs"},
		{"few at the baseline", join(times(95, ok(1, 1)), times(5, starved(traffic.NoResources, ""))), result.Pass, "all 3 gate results are within the limits over 100 pairs"},
		{"many, on either side", join(times(94, ok(1, 1)), times(3, starved(traffic.NoResources, "")), times(3, starved("", traffic.NoResources))), result.Error, "6 of 100 pairs" + reason},
		{"all", times(3, starved(traffic.NoResources, traffic.NoResources)), result.Error, "3 of 3 pairs" + reason},
		{"many, and a limit broken", join(times(4, answered(200, 500)), times(6, starved("", traffic.NoResources))), result.Error, "6 of 10 pairs" + reason},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := finish(t, Config{Gates: gates}, nil, tt.pairs)
			if f.Verdict != tt.verdict || f.Reason != tt.reason {
				t.Errorf("got  %v: %s\nwant %v: %s", f.Verdict, f.Reason, tt.verdict, tt.reason)
			}
		})
	}
	f := finish(t, Config{Gates: gates}, nil, tests[2].pairs)
	want := map[string]int64{"errors": 97, "failures": 94, "behaviour": 94}
	for _, g := range f.Gates {
		if g.Samples != want[g.Name] || g.Verdict != result.Pass {
			t.Errorf("%s: %v, %d samples, want %d", g.Name, g.Verdict, g.Samples, want[g.Name])
		}
	}
	if e := f.Endpoints[0]; e.Baseline.Errors+e.Candidate.Errors != 0 {
		t.Errorf("errors are laid to a side: %+v", e)
	}
}

func TestNothingCompared(t *testing.T) {
	behaviour := Gate{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")}
	excused := func(path, by string, kind result.DiffKind) Pair {
		p := outcome(result.PairIgnored)
		p.Differences = []Diff{{Path: `.headers.etag`, Kind: result.KindHeader, IgnoredBy: "ignore .headers.etag"}, {Path: path, Kind: kind, IgnoredBy: by}}
		return p
	}
	body := excused(".body", "ignore .body", result.KindValue)
	const said = "every pair differs, and every difference is excused by "
	tests := []struct {
		name  string
		pairs []Pair
		want  string
	}{
		{"the body of every pair", times(30, body), said + "ignore .body (30 pairs); the audit compared nothing there"},
		{"every response", times(2, excused(".", "ignore .", result.KindValue)), said + "ignore . (2 pairs); the audit compared nothing there"},
		{"two rules", join(times(2, body), times(1, excused(".", "ignore select(.status == 200)", result.KindValue))),
			said + "ignore .body (2 pairs), ignore select(.status == 200) (1 pair); the audit compared nothing there"},
		{"one pair matched", join(times(29, body), times(1, ok(1, 1))), ""},
		{"a part of every body", times(30, excused(".body.at", "ignore .body.at", result.KindValue)), ""},
		{"the order of every body", times(30, excused(".body", "unordered .body", result.KindOrder)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, n := range finish(t, Config{Gates: []Gate{behaviour}}, nil, tt.pairs).Notes {
				got = append(got, n.Severity+": "+n.Text)
			}
			want := tt.want
			if want != "" {
				want = "warning: " + want
			}
			if text := strings.Join(got, "\n"); text != want {
				t.Errorf("got %q, want %q", text, want)
			}
		})
	}
}

func TestNewRejects(t *testing.T) {
	limit := at(1, "1")
	tests := []struct {
		name string
		gate Gate
		want string
	}{
		{"unknown metric", Gate{Metric: "latency.p42", Max: limit}, `gate "g": there is no metric "latency.p42"`},
		{"no limit", Gate{Metric: ErrorsRate}, `gate "g": it has no limit: set max, min or max_increase`},
		{"increase without baseline", Gate{Metric: Throughput, MaxIncrease: limit}, `gate "g": throughput has no value at the baseline that max_increase could compare with`},
		{"unknown cohort", Gate{Metric: ErrorsRate, Max: limit, Per: []string{"tenant"}}, `gate "g": there is no cohort "tenant" to judge per`},
		{"twice", Gate{Metric: ErrorsRate, Max: limit, Per: []string{Endpoint, Endpoint}}, `gate "g": "endpoint" stands twice in per`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.gate.Name = "g"
			if _, err := New(Config{Gates: []Gate{tt.gate}}, []string{"region"}); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestPerCohortWorstFirst(t *testing.T) {
	in := func(region, endpoint string, latency int64) []Pair {
		p := ok(10, latency)
		p.Endpoint, p.Cohorts = endpoint, []string{"x:1", region}
		return times(10, p)
	}
	few := in("mars", "GET /b", 999)[:1]
	pairs := join(in("eu", "GET /a", 100), in("us", "GET /a", 300), in("eu", "GET /b", 200), few, in("asia", "GET /a", 20))
	gate := Gate{Name: "tail", Metric: LatencyMean, Max: at(150e6, "150ms"), Per: []string{"region", Endpoint}, MinSamples: 2, Decision: ByPoint}
	f := finish(t, Config{Gates: []Gate{gate}}, []string{"tenant", "region"}, pairs)
	var got []string
	for _, g := range f.Gates {
		got = append(got, fmt.Sprintf("%v %s %s", g.Verdict, g.Cohort["region"], g.Cohort["endpoint"]))
	}
	want := []string{"fail us GET /a", "fail eu GET /b", "inconclusive mars GET /b", "pass eu GET /a", "pass asia GET /a"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPerWithoutLimitlessGroups(t *testing.T) {
	var pairs []Pair
	for i := range maxGroups + 50 {
		p := ok(1, 1)
		p.Cohorts = []string{fmt.Sprintf("user %04d", i)}
		pairs = append(pairs, p)
	}
	pairs = join(pairs)
	gate := Gate{Name: "errors", Metric: ErrorsRate, Max: at(0, "0%"), Per: []string{"user"}}
	f := finish(t, Config{Gates: []Gate{gate}}, []string{"user"}, pairs)
	if len(f.Gates) != maxGroups+1 {
		t.Fatalf("%d results, want %d", len(f.Gates), maxGroups+1)
	}
	var samples int64
	for _, g := range f.Gates {
		samples += g.Samples
		if g.Cohort["user"] == Other && g.Samples != 50 {
			t.Errorf("the rest has %d samples, want 50", g.Samples)
		}
	}
	if samples != int64(len(pairs)) {
		t.Errorf("%d samples in all, want %d", samples, len(pairs))
	}
}

func TestEndpoints(t *testing.T) {
	slow := ok(20, 40)
	broken := failed("", traffic.Reset)
	other := ok(5, 5)
	other.Endpoint, other.Candidate.Status, other.Outcome = "GET /0", 503, result.PairMismatched
	f := finish(t, Config{}, nil, join(times(3, ok(10, 30)), times(1, slow), times(1, broken), times(2, other)))
	if len(f.Endpoints) != 2 || f.Endpoints[0].Endpoint != "GET /0" {
		t.Fatalf("endpoints %+v", f.Endpoints)
	}
	a := f.Endpoints[1]
	if want := (result.Outcomes{Total: 5, Matched: 4, Failed: 1}); a.Outcomes != want {
		t.Errorf("outcomes %+v, want %+v", a.Outcomes, want)
	}
	if want := (result.Latency{P50: ms(30), P90: ms(40), P95: ms(40), P99: ms(40), Max: ms(40), Mean: 32_500_000}); a.Candidate.LatencyNS != want {
		t.Errorf("latency %+v, want %+v", a.Candidate.LatencyNS, want)
	}
	if a.Candidate.Errors != 1 || a.Candidate.Failures["connection reset"] != 1 || a.Candidate.Statuses["200"] != 4 {
		t.Errorf("candidate %+v", a.Candidate)
	}
	if b := f.Endpoints[0].Candidate; b.Errors != 2 || b.Statuses["503"] != 2 {
		t.Errorf("candidate %+v", b)
	}
}

func TestMinSamples(t *testing.T) {
	want := map[Metric]int{LatencyP50: 5, LatencyP90: 29, LatencyP95: 59, LatencyP99: 299, LatencyP999: 2995, LatencyMean: 30, LatencyMax: 1, ErrorsRate: 1}
	for _, m := range Metrics() {
		if n, ok := want[m.Name]; ok && m.MinSamples != n {
			t.Errorf("%s: %d samples, want %d", m.Name, m.MinSamples, n)
		}
		if m.Doc == "" || m.Label == "" || m.Unit == "" || m.MinSamples < 1 {
			t.Errorf("%s: row is not complete: %+v", m.Name, m)
		}
		if got, ok := ParseMetric(string(m.Name)); !ok || got.Name != m.Name {
			t.Errorf("ParseMetric(%q) = %v, %v", m.Name, got.Name, ok)
		}
	}
	if _, ok := ParseMetric("latency"); ok {
		t.Error("latency alone is a metric")
	}
}

func TestQuantileIsNearestRank(t *testing.T) {
	for n := 1; n <= 200; n++ {
		sorted := make([]int64, n)
		for i := range sorted {
			sorted[i] = int64(i + 1)
		}
		for _, permille := range []int{500, 900, 950, 990, 999, 1000} {
			q := int(quantile(sorted, permille))
			// q values are <= q; that must be enough, and one fewer must not be.
			if q*1000 < permille*n || (q-1)*1000 >= permille*n {
				t.Errorf("n %d, permille %d: got %d", n, permille, q)
			}
		}
	}
}

// random makes pairs of all sorts.
func random(rng *rand.Rand, n int) []Pair {
	failures := []traffic.Failure{"", "", "", "", "", "", traffic.TimedOut, traffic.Refused, traffic.Interrupted, traffic.NoResources}
	pairs := make([]Pair, n)
	for i := range pairs {
		seq := int64(i)
		p := Pair{
			Seq:       seq,
			Endpoint:  fmt.Sprintf("GET /%d", rng.IntN(4)),
			Cohorts:   []string{fmt.Sprint("r", rng.IntN(3)), fmt.Sprint("t", rng.IntN(2))},
			Outcome:   result.Outcome(rng.IntN(5)),
			Reason:    fmt.Sprint("reason ", rng.IntN(3)),
			Baseline:  SideFacts{Latency: ms(rng.Int64N(50)), Status: 200, Failure: failures[rng.IntN(len(failures))]},
			Candidate: SideFacts{Latency: ms(rng.Int64N(60)), Status: 200 + 100*rng.IntN(4), Failure: failures[rng.IntN(len(failures))]},
			Example:   func() result.Example { return result.Example{Seq: seq, ID: fmt.Sprint(seq)} },
			Session:   fmt.Sprint("s", rng.IntN(40)),
			Probed:    rng.IntN(2) == 0,
			At:        time.Duration(rng.IntN(1000)) * time.Millisecond,
			Values:    func(d int) (string, string) { return fmt.Sprint(seq, d), fmt.Sprint(d, seq) },
		}
		for range rng.IntN(4) {
			p.Differences = append(p.Differences, Diff{
				Path: fmt.Sprint(".body.f", rng.IntN(9)), Kind: result.KindValue,
				IgnoredBy: []string{"", "", "rule"}[rng.IntN(3)],
			})
		}
		for range rng.IntN(3) {
			p.ProbeDifferences = append(p.ProbeDifferences, Diff{Path: fmt.Sprint(".body.f", rng.IntN(9)), Kind: result.KindValue})
		}
		pairs[i] = p
	}
	return pairs
}

func TestOrderAndGoroutinesChangeNothing(t *testing.T) {
	cfg := Config{
		BaselineRecorded: true,
		WarmUp:           100 * time.Millisecond,
		Noise:            Noise{Probing: true},
		Gates: []Gate{
			{Name: "tail", Metric: LatencyP95, Max: at(50e6, "50ms"), MaxIncrease: relative(0.1, "10%"), Per: []string{Endpoint, "region"}, MinSamples: 5},
			{Name: "errors", Metric: ErrorsRate, MaxIncrease: at(0.1, "10pp"), Per: []string{"tenant"}},
			{Name: "behaviour", Metric: MismatchesRate, Max: at(0, "0%")},
			{Name: "mean", Metric: LatencyMean, MaxIncrease: relative(0.1, "10%")},
			{Name: "slowest", Metric: LatencyMax, MaxIncrease: relative(0.1, "10%")},
		},
	}
	cohorts := []string{"region", "tenant"}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		pairs := random(rng, 1+rng.IntN(600))
		want := finish(t, cfg, cohorts, pairs)
		if o := want.Outcomes; o.Total != int64(len(pairs)) || o.Matched+o.Ignored+o.Mismatched+o.Failed+o.Inconclusive != o.Total {
			t.Fatalf("outcomes do not add up: %+v", o)
		}
		rng.Shuffle(len(pairs), func(i, k int) { pairs[i], pairs[k] = pairs[k], pairs[i] })
		j, err := New(cfg, cohorts)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		workers := 1 + round%4
		for w := range workers {
			wg.Go(func() {
				for i := w; i < len(pairs); i += workers {
					j.Add(&pairs[i])
					j.Live()
				}
			})
		}
		wg.Wait()
		if got := j.Finish(10 * time.Second); !reflect.DeepEqual(got, want) {
			t.Fatalf("round %d: findings depend on the order\ngot  %+v\nwant %+v", round, got, want)
		}
		if _, _, done := j.Live(); done != int64(len(pairs)) {
			t.Errorf("done %d, want %d", done, len(pairs))
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	j, err := New(Config{}, []string{"region", "tenant"})
	if err != nil {
		b.Fatal(err)
	}
	pairs := random(rand.New(rand.NewPCG(1, 2)), 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Add(&pairs[i%len(pairs)])
	}
}

// BenchmarkFinishPaired is a hundred thousand pairs at forty cohorts, held to
// the baseline in every way.
func BenchmarkFinishPaired(b *testing.B) {
	cfg := Config{Gates: []Gate{
		{Name: "tail", Metric: LatencyP95, MaxIncrease: relative(0.1, "10%"), Per: []string{"cohort"}},
		{Name: "all", Metric: LatencyP99, Max: at(1e9, "1s"), MaxIncrease: relative(0.1, "10%")},
		{Name: "errors", Metric: ErrorsRate, MaxIncrease: at(0.001, "0.1pp"), Per: []string{"cohort"}},
	}}
	j, err := New(cfg, []string{"cohort"})
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range (world{cohorts: 40, errors: 0.01}).pairs(rand.New(rand.NewPCG(1, 2)), 100_000) {
		j.Add(&p)
	}
	for b.Loop() {
		j.Finish(time.Second)
	}
}

func BenchmarkFinish(b *testing.B) {
	cfg := Config{Gates: []Gate{
		{Name: "tail", Metric: LatencyP95, Max: at(50e6, "50ms"), Per: []string{Endpoint, "region"}},
		{Name: "errors", Metric: ErrorsRate, Max: at(0, "0%")},
	}}
	j, err := New(cfg, []string{"region", "tenant"})
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range random(rand.New(rand.NewPCG(1, 2)), 100_000) {
		j.Add(&p)
	}
	for b.Loop() {
		j.Finish(time.Second)
	}
}
