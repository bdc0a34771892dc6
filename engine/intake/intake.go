// Package intake is the first half of an audit: it takes exchanges from their
// source through scrubbing and selection and gives each one that is to be sent
// its place, its endpoint and its cohort values. Steps of a replay go out;
// everything else stays here and is counted. A run sends the steps, a preview
// only looks at them, so that both see the same traffic.
package intake

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Options are what an intake needs beside the plan.
type Options struct {
	Seed uint64 // decides samples
	Key  []byte // of the scrubber; nil: one that nobody keeps

	// Responses keeps the recorded responses of the steps even where nothing in
	// the plan looks at them.
	Responses bool

	// AnyMethod takes requests of every method, whatever the plan says: for
	// those who look at steps and send nothing.
	AnyMethod bool

	// InMemory says that responses are compared and never stored: what a rule
	// would remove from them then keeps a stand-in, so that it still counts.
	InMemory bool

	// Budget ends the intake before its source does.
	Budget Budget

	// Getenv finds environment variables that the source names. It may be nil:
	// there are none then.
	Getenv func(name string) (value string, ok bool)

	// Access is with what right the files of the source are read.
	Access Access

	// Scrubbed is shown each exchange as it was read and as the scrubber left it.
	// It must keep nothing of the first. It may be nil.
	Scrubbed func(before, after *traffic.Exchange)

	// Skipped is told of every exchange that selection leaves out. It may be
	// nil.
	Skipped func(method string, why selection.Decision)
}

// Budget says how much traffic is taken from a source. The zero value takes what
// there is, which of a live source never ends.
type Budget struct {
	For   time.Duration // how long a live source is listened to; 0: no bound. Files do not mind
	Count int64         // exchanges to send or to record, at most; 0: no bound
}

// Intake reads the traffic of one audit. It belongs to one goroutine, except
// for Live, Progress and the scrubber.
type Intake struct {
	plan *plan.Audit
	opts Options

	source    source.Source
	scrubber  *scrub.Scrubber
	selector  *selection.Selector
	endpoints *cohort.Endpoints
	labeler   *cohort.Labeler

	keyID  string // of the scrubber, like the next two
	packs  []string
	rules  string // digest
	before int64  // exchanges that came scrubbed and were not scrubbed again

	needsResponse bool // somebody looks at the recorded response
	seq           int64
	traffic       result.Traffic
	sessionErrors int64
	timer         *time.Timer // stops a live source; nil: nothing does
	read          atomic.Int64
	selected      atomic.Int64
}

// Open makes the stages and opens the source. An error says what in the plan
// or in the world around it stands in the way.
func Open(p *plan.Audit, opts Options) (*Intake, error) {
	in := &Intake{plan: p, opts: opts}
	var err error
	cfg := scrub.Config{Key: opts.Key, Packs: p.Scrub.Packs, Rules: p.Scrub.Rules, Disabled: p.Scrub.Disabled, MaxBody: p.Scrub.MaxBody, Canaries: p.Scrub.Canaries, InMemory: opts.InMemory}
	if in.scrubber, err = scrub.New(cfg); err != nil {
		return nil, fmt.Errorf("scrub: %w", err)
	}
	report := in.scrubber.Report()
	in.keyID, in.packs, in.rules = report.KeyID, report.Packs, RulesDigest(&p.Scrub)
	sel := p.Select
	sel.Seed, sel.AnyMethod = opts.Seed, opts.AnyMethod
	in.selector = selection.New(sel)
	if in.endpoints, err = cohort.NewEndpoints(p.Endpoints); err != nil {
		return nil, err
	}
	in.labeler = cohort.NewLabeler(p.Cohorts)
	in.needsResponse = opts.Responses || p.Baseline.Recorded || len(p.Select.Include)+len(p.Select.Exclude)+len(p.Cohorts) > 0
	if in.source, err = OpenSource(p.Source, opts.Getenv, opts.Access.For(p.Name)); err != nil {
		return nil, err
	}
	if cfg.InMemory && in.allScrubbedBefore() {
		// What was removed from these responses left nothing behind, so that in
		// those of a target nothing may stand in its place either.
		cfg.InMemory = false
		if in.scrubber, err = scrub.New(cfg); err != nil {
			return nil, errors.Join(fmt.Errorf("scrub: %w", err), in.Close())
		}
	}
	if opts.Budget.For > 0 {
		in.timer = time.AfterFunc(opts.Budget.For, in.Stop)
	}
	return in, nil
}

// Listening says where a live source expects its traffic, "" where the source
// is not live.
func (in *Intake) Listening() string {
	if live, ok := in.source.(source.Live); ok && in.plan.Source.Live {
		return live.Listening()
	}
	return ""
}

// Stop takes no more traffic from a live source; Next gives what has arrived.
// It may be called from any goroutine. Files are read on.
func (in *Intake) Stop() {
	if live, ok := in.source.(source.Live); ok {
		live.Stop()
	}
}

// Acknowledge tells a source that keeps a position that all that was read is
// accounted for.
func (in *Intake) Acknowledge(ctx context.Context) error {
	if a, ok := in.source.(source.Acknowledger); ok {
		return a.Acknowledge(ctx)
	}
	return nil
}

// spent reports whether no more is to be read: the budget is used up, or a live
// source, which would go on forever, could give nothing more that is selected.
func (in *Intake) spent() bool {
	return in.opts.Budget.Count > 0 && in.traffic.Selected >= in.opts.Budget.Count ||
		in.plan.Source.Live && in.selector.Exhausted()
}

// MissingKeyError is a plan that names an environment variable for the key of
// its scrubber, which is not set.
type MissingKeyError struct{ Name string }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("scrub: the environment variable %s, which is to hold the key, is not set", e.Name)
}

// Key reads the key of the scrubber from the environment: in hex or base64, or
// as it stands. It is nil when the plan names no variable for it, and the error
// is a *MissingKeyError when the variable is not set.
func Key(s *plan.Scrub, getenv func(name string) (value string, ok bool)) ([]byte, error) {
	if s.KeyEnv == "" {
		return nil, nil
	}
	text, ok := getenv(s.KeyEnv)
	if !ok || text == "" {
		return nil, &MissingKeyError{s.KeyEnv}
	}
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) >= 32 {
		return key, nil
	}
	if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) >= 32 {
		return key, nil
	}
	return []byte(text), nil
}

// RecordingKey makes a scrub key of everything that is in the files of a
// recording. It serves output that has to be the same every time and is not
// traffic: nobody who lacks the recording can go back from a surrogate.
func RecordingKey(patterns []string) ([]byte, error) {
	files, err := source.Files(patterns)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return h.Sum(nil), nil
}

// Next returns the next exchange that is to be sent. io.EOF says that there is
// none; every other error is that of the source, or of ctx, and final too.
func (in *Intake) Next(ctx context.Context) (*replay.Step, error) {
	for {
		if in.spent() {
			return nil, io.EOF
		}
		x, err := in.source.Next(ctx)
		if err != nil {
			return nil, err
		}
		if in.plan.Source.Live && x.Arrived.IsZero() {
			x.Arrived = time.Now()
		}
		seq := in.seq
		in.seq++
		in.traffic.Read++
		if x.Response != nil {
			in.traffic.Paired++
		}
		in.read.Store(in.traffic.Read)
		if step := in.step(ctx, seq, x); step != nil {
			in.selected.Store(in.traffic.Selected)
			return step, nil
		}
	}
}

// step takes an exchange through scrubbing and selection; nil means that it
// stays here, and is counted.
func (in *Intake) step(ctx context.Context, seq int64, x *traffic.Exchange) *replay.Step {
	if in.plan.Session != nil {
		in.setSession(ctx, x)
	}
	if d := in.selector.ByEnvelope(x); d != selection.Selected {
		in.skip(x, d)
		return nil
	}
	if !in.needsResponse {
		x.Response = nil // nobody looks at it: not worth the scrubbing
	}
	if !in.scrub(x) {
		in.traffic.ScrubDropped++
		return nil
	}
	x.Session = in.scrubber.Session(x.Session)
	if d := in.selector.ByRules(ctx, x); d != selection.Selected {
		in.skip(x, d)
		return nil
	}
	selection.Count(&in.traffic, selection.Selected)
	if in.traffic.FirstAt.IsZero() {
		in.traffic.FirstAt = x.At.UTC()
	}
	in.traffic.LastAt = x.At.UTC()
	step := &replay.Step{
		Seq:      seq,
		Exchange: x,
		Endpoint: in.endpoints.Name(x.Request.Method, x.Request.Path()),
		Cohorts:  in.labeler.Labels(ctx, x),
	}
	if !in.opts.Responses && !in.plan.Baseline.Recorded {
		x.Response = nil // nobody looks at it any more: not worth the memory while the step waits
	}
	return step
}

// scrub scrubs an exchange, and reports whether it may be passed on.
func (in *Intake) scrub(x *traffic.Exchange) bool {
	if in.scrubbedBefore() && len(in.scrubber.Residual(x)) == 0 {
		in.before++
		return true
	}
	read := *x
	if err := in.scrubber.Exchange(x); err != nil {
		return false
	}
	if in.opts.Scrubbed != nil {
		in.opts.Scrubbed(&read, x)
	}
	return true
}

func (in *Intake) skip(x *traffic.Exchange, d selection.Decision) {
	selection.Count(&in.traffic, d)
	if in.opts.Skipped != nil {
		in.opts.Skipped(x.Request.Method, d)
	}
}

// setSession replaces the recorded connection by what the spec says. It comes
// before scrubbing, because the same sessions must be sampled whatever key
// the scrubber has; after that the scrubber gives the session another name.
func (in *Intake) setSession(ctx context.Context, x *traffic.Exchange) {
	var v any
	if p, ok := in.plan.Session.Pattern(); ok {
		v, _ = document.Lookup(x, p)
	} else {
		var err error
		if v, err = in.plan.Session.Eval(ctx, document.Exchange(x, in.plan.Session.NeedsBody())); err != nil {
			in.sessionErrors++
		}
	}
	if v != nil && v != "" {
		x.Session = fmt.Sprint(v)
	}
}

// Traffic accounts for what was read so far, and for what the source could not
// turn into exchanges.
func (in *Intake) Traffic() result.Traffic {
	t := in.traffic
	s, ok := in.source.(source.Accountant)
	if !ok {
		return t
	}
	c := s.Counts()
	t.Records = c.Records
	t.Malformed = c.Malformed
	t.OrphanResponses = c.OrphanResponses
	t.Truncated = c.Truncated
	t.TruncatedRequests = c.TruncatedRequests
	t.ReplayedResponses = c.ReplayedResponses
	t.Gaps = c.Gaps
	t.NotHTTP = c.NotHTTP
	t.ForeignHost = c.ForeignHost
	t.Dropped = c.Dropped
	t.LostPackets = c.LostPackets
	return t
}

// SourceNotes gives the warnings of the source.
func (in *Intake) SourceNotes() []result.Note {
	w, ok := in.source.(source.Warner)
	if !ok {
		return nil
	}
	var notes []result.Note
	for _, warning := range w.Warnings() {
		if rel, err := filepath.Rel(in.plan.Source.Dir, warning.File); err == nil && warning.File != "" {
			warning.File = filepath.ToSlash(rel)
		}
		notes = append(notes, warn("source.%s: %s", in.plan.Source, warning))
	}
	return notes
}

// RuleNotes says which jq of the plan could not be evaluated.
func (in *Intake) RuleNotes() []result.Note {
	var notes []result.Note
	for _, e := range []struct {
		n    int64
		what string
	}{
		{in.selector.Errors(), "include or exclude"},
		{in.labeler.Errors(), "cohort"},
		{in.sessionErrors, "session"},
	} {
		if e.n > 0 {
			notes = append(notes, warn("jq of %s could not be evaluated %s times; it then matched nothing.", e.what, result.FormatCount(e.n)))
		}
	}
	return notes
}

func warn(format string, args ...any) result.Note {
	return result.Note{Severity: "warning", Text: fmt.Sprintf(format, args...)}
}

// Rules says how often each rule of select decided.
func (in *Intake) Rules() []selection.RuleCount { return in.selector.Rules() }

// Scrubber returns the scrubber that the exchanges went through.
func (in *Intake) Scrubber() *scrub.Scrubber { return in.scrubber }

// Live gives the number of exchanges that were read, and of those that are to
// be sent. It may be asked from any goroutine.
func (in *Intake) Live() (read, selected int64) { return in.read.Load(), in.selected.Load() }

// Progress returns how many bytes of the source were read, and of how many; 0
// of 0 where it cannot tell. It may be asked from any goroutine.
func (in *Intake) Progress() (done, total int64) {
	if s, ok := in.source.(source.Progress); ok {
		return s.Progress()
	}
	return 0, 0
}

// Close closes the source.
func (in *Intake) Close() error {
	if in.timer != nil {
		in.timer.Stop()
	}
	if c, ok := in.source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
