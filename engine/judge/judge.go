// Package judge turns pairs into a verdict. What comes in is one Pair per
// request: how both sides answered, and where the answers differ. What goes
// out is Findings: the results of the gates, the endpoints, the differences
// summed over the pairs, and the verdict of the audit with its reason.
//
// A pair is kept as 40 bytes, so quantiles are exact. Everything in Findings
// is a function of the set of pairs: neither the order in which they come nor
// the goroutines that bring them change a byte of it.
//
// A run is a sample, and two runs of the same build differ. So a gate does not
// ask on which side of its limit a figure fell, but on which side the evidence
// puts it: it fails if the confidence bound on the near side is over the limit,
// passes if the one on the far side is within, and is inconclusive otherwise.
// Package stat has the methods, decide.go says which one a metric gets.
//
// The judge decides nothing without evidence. Without samples, with fewer
// than the metric needs, or with a baseline that failed too often to be a
// measure, the verdict is inconclusive, and so it is with a baseline that
// answered but refused what it was asked. A baseline that never answered is an
// error, and so is a machine that could not send the requests.
package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Endpoint is the name that a gate's Per has for the endpoint of a pair. All
// other names are those of cohorts.
const Endpoint = "endpoint"

// Config says what to judge, and by what.
type Config struct {
	Gates []Gate

	// BaselineRecorded says that the baseline is the recording. Its latencies
	// may be unknown, and then a gate can still hold the candidate to max.
	BaselineRecorded bool

	// MaxBaselineFailures is the share of pairs to which the baseline may give
	// no complete response before the audit can no longer pass. 0 stands for
	// DefaultTolerance, a negative value for none at all.
	MaxBaselineFailures float64

	// MaxUnjudged is the share of pairs that may be inconclusive before a gate
	// on mismatches can no longer pass. Its zero and negative values are those
	// of MaxBaselineFailures.
	MaxUnjudged float64

	// WarmUp and WarmUpPairs say which pairs come too early for their latency to
	// mean anything: those sent within that time, and the first so many of the
	// traffic. Whatever else they show counts.
	WarmUp      time.Duration
	WarmUpPairs int

	Harness Harness // what makes a run unfit to judge latencies by
	Noise   Noise   // what differences between two answers of the baseline prove
	Aborts  []Abort // what ends a run early
}

// DefaultTolerance is the share of pairs without evidence that a verdict bears
// when nothing is said.
const DefaultTolerance = 0.05

// Gate is a declared limit. At least one of Max, Min and MaxIncrease is set.
type Gate struct {
	Name        string
	Metric      Metric
	Max         *Limit // the candidate's value is at most this
	Min         *Limit // the candidate's value is at least this
	MaxIncrease *Limit // the candidate's value is above the baseline's by at most this
	Per         []string
	MinSamples  int      // 0: the metric's default
	Decision    Decision // "": ByInterval
	Confidence  float64  // of each bound, between 0.5 and 1; 0: DefaultConfidence
	Origin      pos.Range
	Snippet     string // the line of the spec
}

// Limit is a bound. A value that equals it is within it.
type Limit struct {
	Value    float64 // ns, share or per second, after the metric; a share of the baseline's value if Relative
	Relative bool    // only for MaxIncrease
	Text     string  // as the spec says it: "250ms"
}

// Pair is what came of one request.
type Pair struct {
	Seq      int64 // place among the exchanges read; no two pairs share one
	Endpoint string
	Cohorts  []string // values, in the order of the names given to New
	Outcome  result.Outcome
	Reason   string // why the pair is inconclusive; one of a few fixed texts

	// Session is whoever sent the request, as far as it is known: requests of
	// one session are not independent evidence. It may be "".
	Session string

	At             time.Duration // when it was sent, from the beginning of the replay
	Late           time.Duration // how long after its due time
	CandidateFirst bool          // the candidate was sent its copy first

	Baseline, Candidate SideFacts

	Differences []Diff

	// Probed says that the baseline was asked a second time and gave a complete
	// response, and ProbeDifferences in what its two answers differ.
	Probed           bool
	ProbeDifferences []Diff

	// Values gives the values of Differences[i] at both sides, and Example the
	// request, as a report may show them: scrubbed. They are called while Add
	// runs and only for the earliest pair that shows a difference, because to
	// scrub every value of every pair would cost more than to compare them.
	// Either may be nil.
	Values  func(i int) (baseline, candidate string)
	Example func() result.Example
}

// SideFacts is how one side answered.
type SideFacts struct {
	Latency int64 // ns, first byte sent to last byte received or to the time-out; 0: unknown
	Status  int
	Failure traffic.Failure
}

// Diff is one difference of a pair.
type Diff struct {
	// Path goes into reports and fingerprints as it is, so whoever adds the pair
	// has scrubbed it: a key of a body may be somebody's address. It is also by
	// this path that differences of different pairs are the same.
	Path      string
	Kind      result.DiffKind
	IgnoredBy string // the rule that excuses it, "ignore .body.etag"; "" when it counts
	From, To  string // classes of the two values, of a few fixed texts: "number"
}

// whole reports whether d stands for all of a response or of its body, which
// a rule left out of the comparison.
func (d *Diff) whole() bool {
	return (d.Path == "." || d.Path == ".body") && strings.HasPrefix(d.IgnoredBy, "ignore ")
}

// Judge collects pairs. Its methods may be called by many goroutines.
type Judge struct {
	cfg     Config
	gates   []*gate
	cohorts []string

	mu          sync.Mutex
	rows        rows
	ordered     []*row // by seq, while Finish runs
	endpoints   names
	values      names // cohort values of a pair, joined
	failures    names
	sessions    names
	reasons     map[string]int64 // of inconclusive pairs
	uncompared  int64            // ignored pairs of which a rule left the whole body out
	excuses     map[string]int64 // the rules that did, with their pairs
	differences differences
	noise       noise
	harness     harness
	aborts      []*abort
	trip        atomic.Pointer[Trip]

	mismatched, failed, done atomic.Int64
}

// New returns a judge for pairs with cohort values of the given names. A gate
// without a limit, with an unknown metric or a limit that its metric cannot
// have, or per something that is not a cohort is an error: it would judge
// nothing, and silently.
func New(cfg Config, cohorts []string) (*Judge, error) {
	cfg.MaxBaselineFailures = tolerance(cfg.MaxBaselineFailures)
	cfg.MaxUnjudged = tolerance(cfg.MaxUnjudged)
	if cfg.Noise.Confidence == 0 {
		cfg.Noise.Confidence = DefaultNoiseConfidence
	}
	j := &Judge{cfg: cfg, cohorts: slices.Clone(cohorts), reasons: map[string]int64{}, excuses: map[string]int64{}}
	for _, g := range cfg.Gates {
		c, err := compile(g, j.cohorts)
		if err != nil {
			return nil, fmt.Errorf("gate %q: %w", g.Name, err)
		}
		j.gates = append(j.gates, c)
	}
	for _, a := range cfg.Aborts {
		c, err := newAbort(a, cfg.Noise.Probing)
		if err != nil {
			return nil, fmt.Errorf("abort on %s: %w", a.Metric, err)
		}
		j.aborts = append(j.aborts, c)
	}
	return j, nil
}

func tolerance(v float64) float64 {
	switch {
	case v == 0:
		return DefaultTolerance
	case v > 0:
		return v
	}
	return 0 // what is not a number tolerates nothing either
}

// Add takes in a pair. It keeps nothing of p but strings.
func (j *Judge) Add(p *Pair) {
	j.mu.Lock()
	defer j.mu.Unlock()

	endpoint := j.endpoints.id(p.Endpoint)
	if j.cfg.Noise.Probing {
		j.noise.add(p, j.rows.count)
	}
	j.rows.add(row{
		seq:              uint32(min(max(p.Seq, 0), 1<<32-1)),
		session:          j.session(p.Session),
		flags:            flags(one(p.At < j.cfg.WarmUp)) * isWarm,
		endpoint:         endpoint,
		cohorts:          j.values.id(joined(p.Cohorts, len(j.cohorts))),
		outcome:          p.Outcome,
		baselineLatency:  latency(p.Baseline),
		candidateLatency: latency(p.Candidate),
		baselineStatus:   status(p.Baseline),
		candidateStatus:  status(p.Candidate),
		baselineFailure:  j.failure(p.Baseline.Failure),
		candidateFailure: j.failure(p.Candidate.Failure),
	})
	if p.Outcome >= result.PairInconclusive {
		j.reasons[cmp.Or(p.Reason, "no reason given")]++
	}
	j.differences.add(p)
	j.excuse(p)
	j.harness.add(p, &j.cfg.Harness)
	j.watch(p)

	j.done.Add(1)
	switch p.Outcome {
	case result.PairMismatched:
		j.mismatched.Add(1)
	case result.PairFailed:
		j.failed.Add(1)
	}
}

// excuse counts a pair whose body was left out of the comparison as a whole.
func (j *Judge) excuse(p *Pair) {
	if p.Outcome != result.PairIgnored {
		return
	}
	i := slices.IndexFunc(p.Differences, func(d Diff) bool { return d.whole() })
	if i < 0 {
		return
	}
	j.uncompared++
	j.excuses[p.Differences[i].IgnoredBy]++
}

// Live gives counts of the pairs so far, for a progress display.
func (j *Judge) Live() (mismatched, failed, done int64) {
	return j.mismatched.Load(), j.failed.Load(), j.done.Load()
}

// latency is the latency that counts: of a complete response, or of a
// time-out, which took at least as long as that. Other failures have none: a
// connection refused in a microsecond is not a fast answer.
func latency(s SideFacts) int64 {
	if s.Failure != traffic.NoFailure && s.Failure != traffic.TimedOut {
		return 0
	}
	return max(s.Latency, 0)
}

// session interns the session of a pair; 0 stands for none.
func (j *Judge) session(s string) uint32 {
	if j.sessions.len() == 0 {
		j.sessions.id("")
	}
	return j.sessions.id(s)
}

func status(s SideFacts) uint16 {
	return uint16(min(max(s.Status, 0), 1<<16-1))
}

// failure interns f. There are far fewer kinds of failure than numbers for
// them; if it should be otherwise, the rest shares the last one.
func (j *Judge) failure(f traffic.Failure) uint8 {
	if f == traffic.NoFailure {
		return 0
	}
	if j.failures.len() == 0 {
		j.failures.id("") // 0 is the complete response
	}
	if j.failures.len() >= 255 && !j.failures.has(string(f)) {
		f = "other failure"
	}
	return uint8(j.failures.id(string(f)))
}
