package engine

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// audit is one audit while it runs. The reader goroutine owns the intake and
// what is said about reading; pairs end on many goroutines.
type audit struct {
	plan *plan.Audit
	opts Options

	intake    *intake.Intake
	scrubber  *scrub.Scrubber // of the intake
	comparer  *compare.Comparer
	showcase  *compare.Comparer // compares again what is to be shown; counts for nothing
	judge     *judge.Judge
	scheduler *replay.Scheduler
	sides     replay.Sides

	paths         pathMemo
	known         *known
	withhold      *strings.Replacer // for what is shown of answers
	lastHits      []atomic.Int64    // of the compare rules: place of the last exchange that was excused, from 1
	measured      atomic.Int64      // pairs whose responses were seen by the rules
	ruleNames     []string          // of the compare rules, in their order
	sourceErr     error
	ackErr        error
	unsent        int64 // selected, but never handed to the scheduler
	unsafeSent    atomic.Int64
	retries       atomic.Int64
	candidateDown traffic.Failure
	unfit         []string      // what a calibration said of the machine
	trials        []*trial      // of a self-test
	struck        string        // the endpoint that a self-test makes slower; the reader sets it before it passes on the first step
	trip          chan struct{} // closed when the judge needs to see no more
	tripOnce      sync.Once

	calibrated  int64 // pairs of the calibration
	calibrating bool  // the baseline is compared with itself
	findings    judge.Findings
	result      result.Audit
}

// runAudit runs one audit. Whatever happens, it returns a result.
func runAudit(ctx context.Context, p *plan.Audit, opts Options) result.Audit {
	a := newAudit(p, opts)
	start := time.Now()
	a.result = result.Audit{
		Name:       p.Name,
		Origin:     result.OriginOf(p.Origin),
		PlanDigest: p.Digest(),
		StartedAt:  start.UTC(),
		Source:     p.Source.String() + ": " + p.Source.Where(),
		Baseline:   result.Target{Name: p.Baseline.Name, URL: p.Baseline.URL},
		Candidate:  result.Target{Name: p.Candidate.Name, URL: p.Candidate.URL},
	}
	opts.Observer.Observe(AuditStarted{
		Name: p.Name, Source: a.result.Source,
		BaselineName: p.Baseline.Name, Baseline: p.Baseline.URL,
		CandidateName: p.Candidate.Name, Candidate: p.Candidate.URL,
	})
	if err := a.calibrate(ctx); err != nil {
		a.result.Verdict = result.Error
		a.result.Reason = err.Error()
	} else if err := a.run(ctx); err != nil {
		a.result.Verdict = result.Error
		a.result.Reason = err.Error()
	}
	a.result.DurationNS = int64(time.Since(start))
	opts.Observer.Observe(AuditDone{Result: &a.result})
	return a.result
}

func newAudit(p *plan.Audit, opts Options) *audit {
	return &audit{plan: p, opts: opts, withhold: withholder(p), trip: make(chan struct{})}
}

// run returns an error when nothing could be measured.
func (a *audit) run(ctx context.Context) error {
	a.result.Scrub = result.Scrub{Disabled: a.plan.Scrub.Disabled != "", Reason: a.plan.Scrub.Disabled}
	switch {
	case a.plan.Disabled:
		a.result.Verdict, a.result.Reason = result.Skipped, "switched off in the spec: enabled = false"
		return nil
	case ctx.Err() != nil:
		a.result.Verdict, a.result.Reason = result.Inconclusive, "interrupted before it began"
		return nil
	}
	if err := a.prepare(); err != nil {
		return err
	}
	defer a.intake.Close()
	stop, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer stop()

	if where := a.intake.Listening(); where != "" {
		a.opts.Observer.Observe(Listening{Name: a.plan.Name, Source: a.plan.Source.String(), Where: where})
	}
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	go func() {
		select {
		case <-a.trip:
			stopSending()
		case <-sending.Done():
		}
	}()
	steps := make(chan *replay.Step, 256)
	go a.feed(sending, steps)
	finished := a.report(time.Now())
	stats := a.scheduler.Run(sending, steps)
	finished()
	a.conclude(ctx, stats)
	return nil
}

// prepare makes the stages. Nothing is read or sent yet.
func (a *audit) prepare() error {
	p := a.plan
	var err error
	rules := p.Compare.Config
	rules.Now = time.Now()
	if a.comparer, err = compare.New(rules); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if a.showcase, err = compare.New(rules); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	for _, r := range a.comparer.Rules() {
		a.ruleNames = append(a.ruleNames, r.Rule+" "+r.Path)
	}
	a.known = newKnown(p.Accepted, rules.Now)
	a.lastHits = make([]atomic.Int64, len(a.ruleNames))
	if a.judge, err = a.newJudge(true); err != nil {
		return err
	}
	if a.opts.SelfTest {
		if a.trials, err = a.newTrials(); err != nil {
			return err
		}
	}
	key, err := intake.Key(&p.Scrub, a.opts.Getenv)
	if err != nil {
		return err
	}
	if a.intake, err = intake.Open(p, intake.Options{Seed: a.opts.Seed, Key: key, InMemory: p.Baseline.Recorded, Budget: a.opts.Budget, Access: a.opts.Access, Getenv: a.opts.Getenv}); err != nil {
		return err
	}
	a.scrubber = a.intake.Scrubber()
	return nil
}

// newJudge makes a judge with the gates of the plan. Whether it may end the run
// early is up to the caller.
func (a *audit) newJudge(aborts bool) (*judge.Judge, error) {
	p := a.plan
	cfg := judge.Config{
		BaselineRecorded: p.Baseline.Recorded,
		WarmUp:           p.WarmUp,
		Noise:            judge.Noise{Probing: p.Probe != nil},
		Harness:          judge.Harness{MaxLate: p.MaxLateness, MaxLateShare: lateShare, RandomOrder: true, Unfit: a.unfit},
	}
	for _, g := range p.Gates {
		cfg.Gates = append(cfg.Gates, g.Gate)
		for _, limit := range []judge.Abort{{Metric: g.Gate.Metric, Max: g.Gate.Max}, {Metric: g.Gate.Metric, MaxIncrease: g.Gate.MaxIncrease}} {
			if aborts && g.Abort && (limit.Max != nil || limit.MaxIncrease != nil) {
				cfg.Aborts = append(cfg.Aborts, limit)
			}
		}
	}
	var names []string
	for _, c := range p.Cohorts {
		names = append(names, c.Name)
	}
	return judge.New(cfg, names)
}

// lateShare is the share of the requests that may leave later than
// max_lateness: the ninety-ninth percentile has to be in time.
const lateShare = 0.01

// connect makes the clients and the scheduler, and makes sure that somebody
// answers on the baseline side: without a baseline nothing can be measured,
// and nothing is sent to the candidate. The candidate may be dead; then its
// pairs fail, and the gates say so.
func (a *audit) connect(ctx context.Context) (stop func(), err error) {
	candidate, err := target.New(a.plan.Candidate.Config)
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(a.opts.Hard, candidate.Abort)
	stops := []func() bool{release}
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	var baseline replay.Target = replay.TargetFunc(func() replay.Conn { return recorded{} })
	if !a.plan.Baseline.Recorded {
		client, err := target.New(a.plan.Baseline.Config)
		if err != nil {
			return nil, err
		}
		stops = append(stops, context.AfterFunc(a.opts.Hard, client.Abort))
		if failure := client.Check(ctx); failure != traffic.NoFailure && ctx.Err() == nil {
			stop()
			return nil, fmt.Errorf("the baseline target.%s (%s) cannot be reached: %s; nothing was sent", a.plan.Baseline.Name, a.plan.Baseline.URL, failure)
		}
		baseline = replay.TargetFunc(func() replay.Conn { return client.Open() })
	}
	a.candidateDown = candidate.Check(ctx)
	cfg := a.plan.Replay
	cfg.Seed = a.opts.Seed
	sides := replay.Sides{Baseline: baseline, Candidate: replay.TargetFunc(func() replay.Conn { return candidate.Open() })}
	if a.plan.Probe != nil {
		probe, err := target.New(a.plan.Probe.Config)
		if err != nil {
			return nil, err
		}
		stops = append(stops, context.AfterFunc(a.opts.Hard, probe.Abort))
		sides.Probe = replay.TargetFunc(func() replay.Conn { return onlySafe{probe.Open()} })
	}
	a.sides = sides
	a.scheduler, err = replay.New(cfg, sides, a.done)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return stop, nil
}

// recorded is the baseline that answers what it answered then.
type recorded struct{}

func (recorded) Close() error { return nil }

func (recorded) Do(x *traffic.Exchange) traffic.Outcome {
	if x.Response == nil {
		return traffic.Outcome{Failure: traffic.NotRecorded}
	}
	out := traffic.Outcome{Response: x.Response}
	if x.Timing.Kind == traffic.TimingWire { // a browser's figure holds its own network, which the candidate's does not
		out.Latency = x.Timing.Total
	}
	return out
}

// onlySafe asks again only what changes nothing: an order that was placed once
// is not placed again to learn about noise.
type onlySafe struct{ replay.Conn }

func (c onlySafe) Do(x *traffic.Exchange) traffic.Outcome {
	if !selection.Safe(x.Request.Method) {
		return traffic.Outcome{Failure: traffic.Interrupted}
	}
	return c.Conn.Do(x)
}

// acknowledgeEvery is how often a source that keeps a position is told of it.
const acknowledgeEvery = time.Second

// feed reads the source to its end or to the end of ctx, and passes on what is
// to be sent.
func (a *audit) feed(ctx context.Context, steps chan<- *replay.Step) {
	defer close(steps)
	acknowledged := time.Now()
	for {
		if time.Since(acknowledged) > acknowledgeEvery {
			a.acknowledge() // a bus hands out only so many messages that nobody has confirmed
			acknowledged = time.Now()
		}
		step, err := a.intake.Next(ctx)
		if err != nil {
			if err != io.EOF && ctx.Err() == nil {
				a.sourceErr = err
			}
			return
		}
		if a.struck == "" {
			a.struck = step.Endpoint
		}
		select {
		case steps <- step:
		case <-ctx.Done():
			a.unsent++
			return
		}
	}
}

// done judges one pair. It runs on the goroutine that sent it.
func (a *audit) done(p *replay.Pair) {
	if !selection.Safe(p.Exchange.Request.Method) {
		a.unsafeSent.Add(1)
	}
	if p.Baseline.Retried || p.Candidate.Retried {
		a.retries.Add(1)
	}
	pair := &judge.Pair{
		Seq:       p.Seq,
		Endpoint:  p.Endpoint,
		Cohorts:   p.Cohorts,
		Session:   p.Exchange.Session,
		Baseline:  facts(&p.Baseline),
		Candidate: facts(&p.Candidate),
		At:        p.Sent, Late: p.Lateness, CandidateFirst: p.CandidateFirst,
	}
	switch {
	case p.Baseline.Failure == traffic.NotRecorded:
		pair.Outcome, pair.Reason = result.PairInconclusive, "the recording has no response"
	case p.Baseline.Failure == traffic.Interrupted || p.Candidate.Failure == traffic.Interrupted:
		pair.Outcome, pair.Reason = result.PairInconclusive, "interrupted while in flight"
	case p.Baseline.Failure == traffic.NoResources || p.Candidate.Failure == traffic.NoResources:
		pair.Outcome, pair.Reason = result.PairInconclusive, string(traffic.NoResources)
	case !p.Baseline.OK() || !p.Candidate.OK():
		pair.Outcome = result.PairFailed
	default:
		a.compare(p, pair)
		a.probe(p, pair)
	}
	pair.Example = a.example(p, pair)
	a.judge.Add(pair)
	if _, tripped := a.judge.Tripped(); tripped {
		a.tripOnce.Do(func() { close(a.trip) })
	}
	for _, t := range a.trials {
		t.add(a, p, pair)
	}
}

func facts(o *traffic.Outcome) judge.SideFacts {
	f := judge.SideFacts{Latency: int64(o.Latency), Failure: o.Failure}
	if o.Response != nil {
		f.Status = o.Response.Status
	}
	return f
}

// report sends progress to the observer until the function that it returns is
// called.
func (a *audit) report(start time.Time) (finished func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				a.opts.Observer.Observe(a.progress(start))
			case <-quit:
				a.opts.Observer.Observe(a.progress(start))
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}

func (a *audit) progress(start time.Time) Progress {
	p := Progress{Name: a.plan.Name, Elapsed: time.Since(start)}
	p.Read, p.Selected = a.intake.Live()
	p.Mismatched, p.Failed, p.Sent = a.judge.Live()
	p.Pending, p.Lateness = a.scheduler.Live()
	p.SourceDone, p.SourceTotal = a.intake.Progress()
	return p
}
