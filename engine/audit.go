package engine

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/gor"
	"github.com/shadowaudit/shadowaudit/engine/source/har"
	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// audit is one audit while it runs. The reader goroutine owns the fields that
// count what was read; pairs end on many goroutines.
type audit struct {
	plan *plan.Audit
	opts Options

	source    source.Source
	scrubber  *scrub.Scrubber
	selector  *selection.Selector
	endpoints *cohort.Endpoints
	labeler   *cohort.Labeler
	comparer  *compare.Comparer
	judge     *judge.Judge
	scheduler *replay.Scheduler

	traffic       result.Traffic
	ruleNames     []string // of the compare rules, in their order
	needsResponse bool     // somebody looks at the recorded response
	sourceErr     error
	sessionErrors int64
	read          atomic.Int64 // for progress
	selected      atomic.Int64
	unsafeSent    atomic.Int64
	candidateDown traffic.Failure

	result result.Audit
}

// runAudit runs one audit. Whatever happens, it returns a result.
func runAudit(ctx context.Context, p *plan.Audit, opts Options) result.Audit {
	a := &audit{plan: p, opts: opts}
	start := time.Now()
	a.result = result.Audit{
		Name:       p.Name,
		Origin:     result.OriginOf(p.Origin),
		PlanDigest: p.Digest(),
		StartedAt:  start.UTC(),
		Source:     p.Source.String() + ": " + strings.Join(p.Source.Shown, ", "),
		Baseline:   result.Target{Name: p.Baseline.Name, URL: p.Baseline.URL},
		Candidate:  result.Target{Name: p.Candidate.Name, URL: p.Candidate.URL},
	}
	opts.Observer.Observe(AuditStarted{
		Name: p.Name, Source: a.result.Source,
		BaselineName: p.Baseline.Name, Baseline: p.Baseline.URL,
		CandidateName: p.Candidate.Name, Candidate: p.Candidate.URL,
	})
	if err := a.run(ctx); err != nil {
		a.result.Verdict = result.Error
		a.result.Reason = err.Error()
	}
	a.result.DurationNS = int64(time.Since(start))
	opts.Observer.Observe(AuditDone{Result: &a.result})
	return a.result
}

// run returns an error when nothing could be measured.
func (a *audit) run(ctx context.Context) error {
	if err := a.prepare(); err != nil {
		return err
	}
	if c, ok := a.source.(io.Closer); ok {
		defer c.Close()
	}
	stop, err := a.connect()
	if err != nil {
		return err
	}
	defer stop()

	steps := make(chan *replay.Step, 256)
	go a.feed(ctx, steps)
	finished := a.report(time.Now())
	stats := a.scheduler.Run(ctx, steps)
	finished()
	a.conclude(ctx, stats)
	return nil
}

// prepare makes the stages. Nothing is read or sent yet.
func (a *audit) prepare() error {
	p := a.plan
	key, err := a.scrubKey()
	if err != nil {
		return err
	}
	a.scrubber, err = scrub.New(scrub.Config{Key: key, Packs: p.Scrub.Packs, Rules: p.Scrub.Rules, Disabled: p.Scrub.Disabled, MaxBody: p.Scrub.MaxBody})
	if err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	sel := p.Select
	sel.Seed = a.opts.Seed
	a.selector = selection.New(sel)
	if a.endpoints, err = cohort.NewEndpoints(p.Endpoints); err != nil {
		return err
	}
	a.labeler = cohort.NewLabeler(p.Cohorts)
	if a.comparer, err = compare.New(p.Compare.Config); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	for _, r := range a.comparer.Rules() {
		a.ruleNames = append(a.ruleNames, r.Rule+" "+r.Path)
	}
	cfg := judge.Config{BaselineRecorded: p.Baseline.Recorded}
	for _, g := range p.Gates {
		cfg.Gates = append(cfg.Gates, g.Gate)
	}
	var names []string
	for _, c := range p.Cohorts {
		names = append(names, c.Name)
	}
	if a.judge, err = judge.New(cfg, names); err != nil {
		return err
	}
	a.needsResponse = p.Baseline.Recorded || len(p.Select.Include)+len(p.Select.Exclude)+len(p.Cohorts) > 0
	a.source, err = openSource(p.Source)
	return err
}

// scrubKey reads the key from the environment. Without a name for it in the
// spec there is none, and the scrubber makes one for this run.
func (a *audit) scrubKey() ([]byte, error) {
	name := a.plan.Scrub.KeyEnv
	if name == "" {
		return nil, nil
	}
	text, ok := a.opts.Getenv(name)
	if !ok || text == "" {
		return nil, fmt.Errorf("scrub: the environment variable %s, which is to hold the key, is not set", name)
	}
	return decodeKey(text), nil
}

// decodeKey takes a key in hex or base64, or as it stands.
func decodeKey(text string) []byte {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) >= 32 {
		return key
	}
	if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) >= 32 {
		return key
	}
	return []byte(text)
}

func openSource(s plan.Source) (source.Source, error) {
	var src source.Source
	var err error
	switch s.Kind {
	case "gor":
		src, err = gor.Open(gor.Config{Name: s.Name, Paths: s.Paths})
	case "har":
		src, err = har.Open(har.Config{Name: s.Name, Paths: s.Paths, Hosts: s.Hosts})
	default:
		err = errors.New("there is no such kind of source")
	}
	if err != nil {
		return nil, fmt.Errorf("source.%s: %w", s, err)
	}
	return src, nil
}

// connect makes the clients and the scheduler, and makes sure that somebody
// answers on the baseline side: without a baseline nothing can be measured,
// and nothing is sent to the candidate. The candidate may be dead; then its
// pairs fail, and the gates say so.
func (a *audit) connect() (stop func(), err error) {
	candidate, err := target.New(a.plan.Candidate.Config)
	if err != nil {
		return nil, err
	}
	var baseline replay.Target = replay.TargetFunc(func() replay.Conn { return recorded{} })
	clients := []*target.Client{candidate}
	if !a.plan.Baseline.Recorded {
		client, err := target.New(a.plan.Baseline.Config)
		if err != nil {
			return nil, err
		}
		if failure := client.Check(); failure != traffic.NoFailure {
			return nil, fmt.Errorf("the baseline target.%s (%s) cannot be reached: %s; nothing was sent", a.plan.Baseline.Name, a.plan.Baseline.URL, failure)
		}
		baseline = replay.TargetFunc(func() replay.Conn { return client.Open() })
		clients = append(clients, client)
	}
	a.candidateDown = candidate.Check()
	cfg := a.plan.Replay
	cfg.Seed = a.opts.Seed
	a.scheduler, err = replay.New(cfg, baseline, replay.TargetFunc(func() replay.Conn { return candidate.Open() }), a.done)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	release := context.AfterFunc(a.opts.Hard, func() {
		for _, c := range clients {
			c.Abort()
		}
	})
	return func() { release() }, nil
}

// recorded is the baseline that answers what it answered then.
type recorded struct{}

func (recorded) Close() error { return nil }

func (recorded) Do(x *traffic.Exchange) traffic.Outcome {
	if x.Response == nil {
		return traffic.Outcome{Failure: traffic.NotRecorded}
	}
	return traffic.Outcome{Response: x.Response, TTFB: x.Timing.TTFB, Latency: x.Timing.Total}
}

// feed reads the source to its end or to the end of ctx, and passes on what is
// to be sent. Every exchange that it reads ends in one counter.
func (a *audit) feed(ctx context.Context, steps chan<- *replay.Step) {
	defer close(steps)
	for seq := int64(0); ; seq++ {
		x, err := a.source.Next(ctx)
		if err != nil {
			if err != io.EOF && ctx.Err() == nil {
				a.sourceErr = err
			}
			return
		}
		a.traffic.Read++
		if x.Response != nil {
			a.traffic.Paired++
		}
		a.read.Store(a.traffic.Read)
		step := a.step(ctx, seq, x)
		if step == nil {
			continue
		}
		a.selected.Store(a.traffic.Selected)
		select {
		case steps <- step:
		case <-ctx.Done():
			a.traffic.NotSent++
			return
		}
	}
}

// step takes an exchange through scrubbing and selection; nil means that it
// stays here, and is counted.
func (a *audit) step(ctx context.Context, seq int64, x *traffic.Exchange) *replay.Step {
	if a.plan.Session != nil {
		a.setSession(ctx, x)
	}
	if d := a.selector.ByEnvelope(x); d != selection.Selected {
		selection.Count(&a.traffic, d)
		return nil
	}
	if !a.needsResponse {
		x.Response = nil // nobody looks at it: not worth the scrubbing
	}
	if err := a.scrubber.Exchange(x); err != nil {
		a.traffic.ScrubDropped++
		return nil
	}
	d := a.selector.ByRules(ctx, x)
	selection.Count(&a.traffic, d)
	if d != selection.Selected {
		return nil
	}
	if a.traffic.FirstAt.IsZero() {
		a.traffic.FirstAt = x.At.UTC()
	}
	a.traffic.LastAt = x.At.UTC()
	return &replay.Step{
		Seq:      seq,
		Exchange: x,
		Endpoint: a.endpoints.Name(x.Request.Method, x.Request.Path()),
		Cohorts:  a.labeler.Labels(ctx, x),
	}
}

// setSession replaces the recorded connection by what the spec says. It comes
// before scrubbing, because the same sessions must be sampled whatever key
// the scrubber has; the value goes nowhere.
func (a *audit) setSession(ctx context.Context, x *traffic.Exchange) {
	var v any
	if p, ok := a.plan.Session.Pattern(); ok {
		v, _ = document.Lookup(x, p)
	} else {
		var err error
		if v, err = a.plan.Session.Eval(ctx, document.Exchange(x, a.plan.Session.NeedsBody())); err != nil {
			a.sessionErrors++
		}
	}
	if v != nil && v != "" {
		x.Session = fmt.Sprint(v)
	}
}

// done judges one pair. It runs on the goroutine that sent it.
func (a *audit) done(p *replay.Pair) {
	if !selection.Safe(p.Exchange.Request.Method) {
		a.unsafeSent.Add(1)
	}
	pair := &judge.Pair{
		Seq:       p.Seq,
		Endpoint:  p.Endpoint,
		Cohorts:   p.Cohorts,
		Baseline:  facts(&p.Baseline),
		Candidate: facts(&p.Candidate),
		Example:   func() result.Example { return a.example(p) },
	}
	switch {
	case p.Baseline.Failure == traffic.NotRecorded:
		pair.Outcome, pair.Reason = result.PairInconclusive, "the recording has no response"
	case p.Baseline.Failure == traffic.Interrupted || p.Candidate.Failure == traffic.Interrupted:
		pair.Outcome, pair.Reason = result.PairInconclusive, "interrupted while in flight"
	case !p.Baseline.OK() || !p.Candidate.OK():
		pair.Outcome = result.PairFailed
	default:
		a.compare(p, pair)
	}
	a.judge.Add(pair)
}

func (a *audit) compare(p *replay.Pair, pair *judge.Pair) {
	candidate := p.Candidate.Response
	if a.plan.Baseline.Recorded {
		// The recorded response went through the scrubber, so the fresh one has
		// to as well: the same value then has the same surrogate on both sides.
		scrubbed, err := a.scrubber.Response(candidate)
		if err != nil {
			pair.Outcome, pair.Reason = result.PairInconclusive, "the candidate's response cannot be scrubbed"
			return
		}
		candidate = scrubbed
	}
	c := a.comparer.Compare(context.Background(), &p.Exchange.Request, p.Baseline.Response, candidate)
	pair.Outcome, pair.Reason = c.Outcome, c.Reason
	if len(c.Differences) == 0 {
		return
	}
	pair.Differences = make([]judge.Diff, len(c.Differences))
	for i, d := range c.Differences {
		pair.Differences[i] = judge.Diff{Path: d.Path, Kind: d.Kind, IgnoredBy: a.ruleName(d.IgnoredBy)}
	}
	pair.Values = func(i int) (string, string) { return a.shown(c.Differences[i]) }
}

// ruleName names the rule that excuses a difference; it is "" when none does.
func (a *audit) ruleName(i int) string {
	if i < 0 {
		return ""
	}
	return a.ruleNames[i]
}

// redacted stands for two values that differ, where that is all that may be
// said about them.
const redacted = "differs (redacted)"

// shown gives the values of a difference as a report may have them.
func (a *audit) shown(d compare.Difference) (baseline, candidate string) {
	baseline, candidate = a.scrubbed(d.Keys, d.Baseline), a.scrubbed(d.Keys, d.Candidate)
	if baseline == candidate && d.Baseline != d.Candidate {
		return redacted, redacted
	}
	return clip(baseline), clip(candidate)
}

// scrubbed gives one value as a report may have it. A JSON value that was cut
// for its length is not shown: without its end the scrubber cannot tell which
// key each part of it belongs to.
func (a *audit) scrubbed(keys []string, literal string) string {
	if literal == "" {
		return ""
	}
	if strings.ContainsRune("{[\"", rune(literal[0])) && !json.Valid([]byte(literal)) {
		return "(too long to show)"
	}
	return a.scrubber.Shown(keys, literal)
}

// maxShown bounds what a report shows of a value, in bytes.
const maxShown = 200

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

func (a *audit) example(p *replay.Pair) result.Example {
	return result.Example{
		Seq:     p.Seq,
		ID:      clip(p.Exchange.ID),
		Request: clip(p.Exchange.Request.Method + " " + a.scrubber.Path(p.Exchange.Request.Target)),
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
	p := Progress{Name: a.plan.Name, Elapsed: time.Since(start), Read: a.read.Load(), Selected: a.selected.Load()}
	p.Mismatched, p.Failed, p.Sent = a.judge.Live()
	p.Pending, p.Lateness = a.scheduler.Live()
	if s, ok := a.source.(source.Progress); ok {
		p.SourceDone, p.SourceTotal = s.Progress()
	}
	return p
}
