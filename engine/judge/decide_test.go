package judge

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// mixed puts the pairs into an order in which equal ones are apart.
func mixed(lists ...[]Pair) []Pair {
	pairs := join(lists...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(pairs), func(i, k int) { pairs[i], pairs[k] = pairs[k], pairs[i] })
	return join(pairs)
}

// spread makes n pairs with latencies from 100 ms on, and a candidate that takes
// longer by so much.
func spread(n int, longer time.Duration) []Pair {
	rng := rand.New(rand.NewPCG(3, 4))
	pairs := make([]Pair, n)
	for i := range pairs {
		pairs[i] = ok(0, 0)
		service := 100e6 + 100e6*rng.Float64()
		pairs[i].Baseline.Latency = int64(service + 5e6*rng.Float64())
		pairs[i].Candidate.Latency = int64(service+5e6*rng.Float64()) + int64(longer)
	}
	return join(pairs)
}

func TestInterval(t *testing.T) {
	broken := func() []Pair { return times(1, failed("", traffic.Reset)) }
	mended := func() []Pair { return times(1, failed(traffic.Reset, "")) }
	rate := func(max float64, text string) Gate { return Gate{Metric: ErrorsRate, Max: at(max, text)} }
	more := func(l *Limit) Gate { return Gate{Metric: ErrorsRate, MaxIncrease: l} }
	p95 := func(l *Limit) Gate { return Gate{Metric: LatencyP95, MaxIncrease: l} }
	tests := []struct {
		name    string
		gate    Gate
		pairs   []Pair
		verdict result.Verdict
		reason  string
	}{
		{"no error in few, max 0%", rate(0, "0%"), times(60, ok(1, 1)), result.Pass, "error rate 0% (0 of 60) is within max 0%, baseline 0%"},
		{"one error, max 0%", rate(0, "0%"), join(times(59, ok(1, 1)), broken()), result.Fail, "error rate 1.67% (1 of 60) is over max 0%, baseline 0%"},
		{"no error in few, max 0.1%", rate(0.001, "0.1%"), times(60, ok(1, 1)), result.Inconclusive,
			"error rate 0% (0 of 60) is within max 0.1%, but may be as high as 4.87%; about 2,935 more samples would decide"},
		{"no error in enough", rate(0.001, "0.1%"), times(2995, ok(1, 1)), result.Pass, "error rate 0% (0 of 2,995) is within max 0.1%, baseline 0%"},
		{"one error too many, by chance", rate(0.01, "1%"), mixed(times(98, ok(1, 1)), broken(), broken()), result.Inconclusive,
			"error rate 2% (2 of 100) is over max 1% (+100%), but may be as low as 0.36%; about 301 more samples would decide"},
		{"too many errors", rate(0.01, "1%"), mixed(times(90, ok(1, 1)), times(10, failed("", traffic.Reset))), result.Fail,
			"error rate 10% (10 of 100) is over max 1% (+900%), baseline 0%"},
		{"errors in one burst count less", rate(0.01, "1%"), join(times(500, ok(1, 1)), times(10, failed("", traffic.Reset)), times(490, ok(1, 1))), result.Inconclusive,
			"error rate 1% (10 of 1,000) is within max 1%, but may be as high as 4.19%"},

		{"no request got worse", more(at(0, "0pp")), mixed(times(57, ok(1, 1)), mended(), mended(), mended()), result.Pass,
			"error rate 0% (0 of 60) is within max_increase 0pp, baseline 5%"},
		{"some got worse, some better", more(at(0, "0pp")), mixed(times(56, ok(1, 1)), mended(), broken(), broken(), broken()), result.Inconclusive,
			"error rate 5% (3 of 60) is 3.33pp above the baseline's 1.67% (max_increase 0pp), but may be as low as -4.31pp; about 163 more samples would decide"},
		{"many got worse", more(at(0, "0pp")), mixed(times(900, ok(1, 1)), times(9, failed("", traffic.Reset))), result.Fail,
			"error rate 0.99% (9 of 909) is 0.99pp above the baseline's 0% (max_increase 0pp)"},
		{"within the margin", more(at(0.01, "1pp")), mixed(times(990, ok(1, 1)), mended(), mended(), mended(), broken(), broken(), broken()), result.Pass,
			"error rate 0.3% (3 of 996) is within max_increase 1pp, baseline 0.3%"},
		{"a margin that few cannot show", more(at(0.01, "1pp")), times(60, ok(1, 1)), result.Inconclusive,
			"error rate 0% (0 of 60) is within max_increase 1pp of the baseline's 0%, but may be as high as +4.87pp; about 239 more samples would decide"},
		{"a share of no error is none", more(relative(0.1, "10%")), times(60, ok(1, 1)), result.Pass,
			"error rate 0% (0 of 60) is within max_increase 10%, baseline 0%"},

		{"the same", p95(relative(0.1, "10%")), spread(1000, 0), result.Pass, "p95 197ms is within max_increase 10%, baseline 197ms, 1,000 samples"},
		{"the same, no margin", p95(relative(0, "0%")), spread(1000, 0), result.Inconclusive,
			"p95 197ms is 0.054% above the baseline's 197ms (max_increase 0%), 1,000 samples, but may be as low as -0.37%; about 60,691 more samples would decide"},
		{"slower, and few", p95(at(10e6, "10ms")), spread(60, 30*time.Millisecond), result.Fail,
			"p95 230ms is 30.2ms above the baseline's 200ms (max_increase 10ms), 60 samples"},
		{"slower, within", p95(at(50e6, "50ms")), spread(200, 30*time.Millisecond), result.Pass,
			"p95 227ms is within max_increase 50ms, baseline 198ms, 200 samples"},
		{"mean the same", Gate{Metric: LatencyMean, MaxIncrease: relative(0.05, "5%")}, spread(200, 0), result.Pass,
			"mean latency 152ms is within max_increase 5%, baseline 152ms, 200 samples"},
		{"mean slower", Gate{Metric: LatencyMean, MaxIncrease: relative(0.05, "5%")}, spread(200, 30*time.Millisecond), result.Fail,
			"mean latency 182ms is 19.8% above the baseline's 152ms (max_increase 5%), 200 samples"},
		{"mean over", Gate{Metric: LatencyMean, Max: at(140e6, "140ms")}, spread(2000, 0), result.Fail,
			"mean latency 153ms is over max 140ms (+9.03%), baseline 153ms, 2,000 samples"},

		{"quantile too close to its limit", Gate{Metric: LatencyP95, Max: at(200e6, "200ms")}, spread(100, 0), result.Inconclusive, "*as low as*"},
		{"quantile under its limit", Gate{Metric: LatencyP95, Max: at(210e6, "210ms")}, spread(59, 0), result.Pass, "*is within max 210ms*"},
		{"quantile over its limit", Gate{Metric: LatencyP95, Max: at(150e6, "150ms")}, spread(100, 0), result.Fail, "*is over max 150ms*"},
		{"one slowest answer", Gate{Metric: LatencyMax, MaxIncrease: relative(0, "0%")}, mixed(times(99, ok(10, 9)), times(1, ok(5, 11))), result.Inconclusive,
			"slowest answer 11ms is 10% above the baseline's 10ms (max_increase 0%), 100 samples, but there are too few samples to be sure"},
		{"slow again and again", Gate{Metric: LatencyMax, MaxIncrease: relative(0, "0%")}, mixed(times(380, ok(10, 9)), times(20, ok(5, 11))), result.Fail,
			"slowest answer 11ms is 10% above the baseline's 10ms (max_increase 0%), 400 samples"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.gate.Name = "g"
			g := finish(t, Config{Gates: []Gate{tt.gate}}, nil, tt.pairs).Gates[0]
			said := g.Reason == tt.reason
			if part := strings.Trim(tt.reason, "*"); part != tt.reason {
				said = strings.Contains(g.Reason, part)
			}
			if g.Verdict != tt.verdict || !said {
				t.Errorf("got  %v: %s\nwant %v: %s", g.Verdict, g.Reason, tt.verdict, tt.reason)
			}
			for _, b := range []*result.Bounds{g.Value, g.Increase} {
				if b != nil && (b.Lower != nil && *b.Lower > b.Estimate+1e-9 || b.Upper != nil && *b.Upper < b.Estimate-1e-9) {
					t.Errorf("bounds %v and %v do not hold %v", *b.Lower, *b.Upper, b.Estimate)
				}
			}
		})
	}
}

func TestBoundsAreReported(t *testing.T) {
	gates := []Gate{
		{Name: "both", Metric: LatencyP95, Max: at(1e9, "1s"), MaxIncrease: relative(0.1, "10%"), Confidence: 0.99},
		{Name: "fact", Metric: ErrorsRate, Max: at(0, "0%")},
		{Name: "point", Metric: LatencyP95, Max: at(1e9, "1s"), Decision: ByPoint},
	}
	f := finish(t, Config{Gates: gates}, nil, spread(500, 0))
	both, fact, point := f.Gates[0], f.Gates[1], f.Gates[2]
	if both.Decision != "interval" || both.Confidence != 0.99 || both.Value == nil || both.Increase == nil || !both.Increase.Relative {
		t.Errorf("%+v", both)
	}
	if v := both.Value; v != nil && !(*v.Lower < v.Estimate && v.Estimate < *v.Upper && *v.Detectable > 1e9) {
		t.Errorf("value %v %v %v, detectable %v", *v.Lower, v.Estimate, *v.Upper, *v.Detectable)
	}
	if v := both.Increase; v != nil && !(*v.Lower < v.Estimate && v.Estimate < *v.Upper && *v.Detectable > 0.1) {
		t.Errorf("increase %v %v %v, detectable %v", *v.Lower, v.Estimate, *v.Upper, *v.Detectable)
	}
	if fact.Decision != "fact" || fact.Confidence != 0 || fact.Value != nil {
		t.Errorf("%+v", fact)
	}
	if point.Decision != "point" || point.Value != nil {
		t.Errorf("%+v", point)
	}
}

// Of forty cohorts one is odd by chance; a cohort that is bad is found all the
// same, and comes first.
func TestManyCohorts(t *testing.T) {
	var pairs []Pair
	for c := range 40 {
		n := 1
		if c == 7 {
			n = 2 // p = 0.04, alone enough for a verdict
		}
		if c == 9 {
			n = 30
		}
		in := mixed(times(100-n, ok(1, 1)), times(n, failed("", traffic.Reset)))
		for i := range in {
			in[i].Cohorts = []string{fmt.Sprintf("c%02d", c)}
		}
		pairs = append(pairs, in...)
	}
	gate := Gate{Name: "errors", Metric: ErrorsRate, Max: at(0.003, "0.3%"), Per: []string{"cohort"}}
	all := finish(t, Config{Gates: []Gate{gate}}, []string{"cohort"}, join(pairs)).Gates
	if g := all[0]; g.Verdict != result.Fail || g.Cohort["cohort"] != "c09" {
		t.Errorf("first is %v %v", g.Verdict, g.Cohort)
	}
	if g := all[1]; g.Verdict != result.Inconclusive || g.Cohort["cohort"] != "c07" || !strings.Contains(g.Reason, "among 40 results one may well be so by chance") {
		t.Errorf("second is %v %v: %s", g.Verdict, g.Cohort, g.Reason)
	}
	var only []Pair
	for _, p := range pairs {
		if p.Cohorts[0] == "c07" {
			only = append(only, p)
		}
	}
	if g := finish(t, Config{Gates: []Gate{gate}}, []string{"cohort"}, join(only)).Gates[0]; g.Verdict != result.Fail {
		t.Errorf("alone it is %v: %s", g.Verdict, g.Reason)
	}
}

// Requests of one session that fail together are one piece of evidence.
func TestSessions(t *testing.T) {
	pairs := make([]Pair, 0, 1000)
	for i := range 1000 {
		p := ok(1, 1)
		if i%100 == 50 { // one user, whose requests are far apart
			p = failed("", traffic.Reset)
			p.Session = "broken"
		} else {
			p.Session = fmt.Sprint("user ", i%100)
		}
		pairs = append(pairs, p)
	}
	gate := Gate{Name: "errors", Metric: ErrorsRate, Max: at(0.003, "0.3%")}
	if g := finish(t, Config{Gates: []Gate{gate}}, nil, join(pairs)).Gates[0]; g.Verdict != result.Inconclusive {
		t.Errorf("with sessions %v: %s", g.Verdict, g.Reason)
	}
	for i := range pairs {
		pairs[i].Session = ""
	}
	if g := finish(t, Config{Gates: []Gate{gate}}, nil, join(pairs)).Gates[0]; g.Verdict != result.Fail {
		t.Errorf("without %v: %s", g.Verdict, g.Reason)
	}
}

func TestWarmUp(t *testing.T) {
	pairs := join(times(20, ok(10, 900)), spread(100, 0))
	for i := range pairs {
		pairs[i].At = time.Duration(i) * time.Second
	}
	gate := Gate{Name: "slowest", Metric: LatencyMax, Max: at(250e6, "250ms")}
	for _, tt := range []struct {
		name string
		cfg  Config
		want result.Verdict
		n    int64
	}{
		{"none", Config{}, result.Fail, 120},
		{"by time", Config{WarmUp: 20 * time.Second}, result.Pass, 100},
		{"by pairs", Config{WarmUpPairs: 20}, result.Pass, 100},
		{"too short", Config{WarmUpPairs: 19}, result.Fail, 101},
	} {
		tt.cfg.Gates = []Gate{gate}
		f := finish(t, tt.cfg, nil, pairs)
		if g := f.Gates[0]; g.Verdict != tt.want || g.Samples != tt.n {
			t.Errorf("%s: %v, %d samples", tt.name, g.Verdict, g.Samples)
		}
		if f.Outcomes.Total != 120 {
			t.Errorf("%s: %d pairs", tt.name, f.Outcomes.Total)
		}
	}
}

func TestNewRejectsDecisions(t *testing.T) {
	for want, g := range map[string]Gate{
		"its confidence is not between 50% and 100%": {Metric: ErrorsRate, Max: at(0, "0%"), Confidence: 0.2},
		`there is no decision "vote"`:                {Metric: ErrorsRate, Max: at(0, "0%"), Decision: "vote"},
	} {
		if _, err := New(Config{Gates: []Gate{g}}, nil); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
