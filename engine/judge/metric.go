package judge

import (
	"math"
	"slices"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Metric is what a gate measures.
type Metric string

// The metrics.
const (
	LatencyP50     Metric = "latency.p50"
	LatencyP90     Metric = "latency.p90"
	LatencyP95     Metric = "latency.p95"
	LatencyP99     Metric = "latency.p99"
	LatencyP999    Metric = "latency.p999"
	LatencyMean    Metric = "latency.mean"
	LatencyMax     Metric = "latency.max"
	ErrorsRate     Metric = "errors.rate"
	MismatchesRate Metric = "mismatches.rate"
	FailuresRate   Metric = "failures.rate"
	Throughput     Metric = "throughput"
)

// MetricInfo describes a metric.
type MetricInfo struct {
	Name       Metric
	Label      string      // what reasons call it: "p95"
	Unit       result.Unit // of its values
	Doc        string      // one sentence
	MinSamples int         // fewest samples that carry a verdict, unless the gate says otherwise
	Paired     bool        // has a value at the baseline, so that max_increase means something

	measure func(*group, time.Duration) measurement

	// Which evidence there is for the value; see decide.go.
	permille int  // of a quantile
	of, hit  mark // of a share: the pairs that count, and those that are counted
}

// metrics is the table behind Metrics; a metric is a row in it.
var metrics = []MetricInfo{
	quantileMetric(LatencyP50, "p50", 500),
	quantileMetric(LatencyP90, "p90", 900),
	quantileMetric(LatencyP95, "p95", 950),
	quantileMetric(LatencyP99, "p99", 990),
	quantileMetric(LatencyP999, "p99.9", 999),
	{
		Name: LatencyMean, Label: "mean latency", Unit: result.Nanoseconds, MinSamples: 30, Paired: true,
		Doc:     "The mean of the latencies.",
		measure: latencyMeasure(mean),
	},
	{
		Name: LatencyMax, Label: "slowest answer", Unit: result.Nanoseconds, MinSamples: 1, Paired: true,
		Doc:     "The largest latency.",
		measure: latencyMeasure(func(sorted []int64) float64 { return quantile(sorted, 1000) }),
	},
	{
		Name: ErrorsRate, Label: "error rate", Unit: result.Share, MinSamples: 1, Paired: true,
		Doc:     "The share of requests that got a status of 500 or more, or no complete response.",
		measure: measureErrors, of: isKnown, hit: isError,
	},
	{
		Name: MismatchesRate, Label: "mismatch rate", Unit: result.Share, MinSamples: 1,
		Doc: "The share of pairs that differ where it counts, or to which only the candidate gave no complete response, " +
			"among the pairs that the baseline completed and that could be judged.",
		measure: measureMismatches, of: isJudged, hit: isMismatched,
	},
	{
		Name: FailuresRate, Label: "failure rate", Unit: result.Share, MinSamples: 1,
		Doc:     "The share of pairs to which at least one side gave no complete response.",
		measure: measureFailures, of: isFinished, hit: isFailed,
	},
	{
		Name: Throughput, Label: "throughput", Unit: result.PerSecond, MinSamples: 1,
		Doc:     "Pairs per second, from the first request sent to the last answer.",
		measure: measureThroughput,
	},
}

// Abortable reports whether a limit on the metric can end a run early, which is
// so for shares and quantiles.
func (m MetricInfo) Abortable() bool { return m.of != 0 || m.permille > 0 }

// Metrics lists the metrics, in the order in which references name them.
func Metrics() []MetricInfo { return slices.Clone(metrics) }

// ParseMetric finds the metric called name.
func ParseMetric(name string) (MetricInfo, bool) {
	i := slices.IndexFunc(metrics, func(m MetricInfo) bool { return string(m.Name) == name })
	if i < 0 {
		return MetricInfo{}, false
	}
	return metrics[i], true
}

func quantileMetric(name Metric, label string, permille int) MetricInfo {
	return MetricInfo{
		Name:       name,
		Label:      label,
		Unit:       result.Nanoseconds,
		Doc:        "The " + label + " of the latencies: the smallest one that at least that share of the requests kept to.",
		MinSamples: quantileSamples(permille),
		Paired:     true,
		permille:   permille,
		measure:    latencyMeasure(func(sorted []int64) float64 { return quantile(sorted, permille) }),
	}
}

// quantileSamples is the smallest n for which the largest of n values is, with
// 95 % confidence and whatever the distribution, no less than the quantile:
// 1 - q^n >= 0.95.
func quantileSamples(permille int) int {
	return int(math.Ceil(math.Log(0.05) / math.Log(float64(permille)/1000)))
}

// measurement is a metric at one group of pairs.
type measurement struct {
	all      figure  // what max and min look at
	paired   figure  // the same where the baseline's value is known: what max_increase looks at
	baseline float64 // the baseline's value at the paired ones
}

// figure is a value and the evidence for it.
type figure struct {
	value   float64
	count   int64 // of a share, its numerator
	samples int64
}

func share(count, samples int64) figure {
	f := figure{count: count, samples: samples}
	if samples > 0 {
		f.value = float64(count) / float64(samples)
	}
	return f
}

// quantile gives the nearest-rank quantile: the smallest value such that at
// least permille thousandths of the values are no larger. sorted is not empty.
func quantile(sorted []int64, permille int) float64 {
	return float64(sorted[rank(len(sorted), permille)])
}

func rank(n, permille int) int {
	return max((n*permille+999)/1000-1, 0)
}

func mean(values []int64) float64 {
	return float64(total(values)) / float64(len(values))
}

func total(values []int64) (sum int64) {
	for _, v := range values {
		sum += v
	}
	return sum
}

func latencyMeasure(stat func(sorted []int64) float64) func(*group, time.Duration) measurement {
	of := func(sorted []int64) figure {
		if len(sorted) == 0 {
			return figure{}
		}
		return figure{value: stat(sorted), samples: int64(len(sorted))}
	}
	return func(g *group, _ time.Duration) measurement {
		m := measurement{paired: of(g.candidate), baseline: of(g.baseline).value}
		m.all = m.paired
		if len(g.unpaired) > 0 {
			m.all = of(g.unpaired)
		}
		return m
	}
}

func measureErrors(g *group, _ time.Duration) measurement {
	return measurement{
		all:      share(g.errors, g.known),
		paired:   share(g.errorsPaired, g.knownPaired),
		baseline: share(g.baselineErrors, g.knownPaired).value,
	}
}

func measureMismatches(g *group, _ time.Duration) measurement {
	return measurement{all: share(g.mismatched, g.judged)}
}

func measureFailures(g *group, _ time.Duration) measurement {
	return measurement{all: share(g.failed, g.finished)}
}

func measureThroughput(g *group, elapsed time.Duration) measurement {
	if elapsed <= 0 || g.pairs == 0 {
		return measurement{}
	}
	return measurement{all: figure{value: float64(g.pairs) / elapsed.Seconds(), samples: g.pairs}}
}
