// Package selection decides which of the exchanges that were read are sent.
// Exchanges come in, a decision comes out for each, and nothing is left out
// without one.
package selection

import (
	"context"
	"hash/fnv"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// DefaultMethods are the methods that are sent when the spec names none: those
// that only read.
func DefaultMethods() []string { return []string{"GET", "HEAD"} }

// Config says what to select.
type Config struct {
	Methods []string      `json:"methods"` // nil: DefaultMethods
	Include []Rule        `json:"include,omitempty"`
	Exclude []Rule        `json:"exclude,omitempty"`
	Sample  float64       `json:"sample"`            // share of sessions, 0 to 1; 0 is taken as 1
	From    time.Duration `json:"from_ns,omitempty"` // from the first exchange of the recording
	To      time.Duration `json:"to_ns,omitempty"`   // 0: to the end
	Limit   int64         `json:"limit,omitempty"`   // at most so many are selected; 0: no limit
	Seed    uint64        `json:"-"`

	AnyMethod bool `json:"-"` // nothing will be sent: no method is unsafe
}

// Rule is one predicate over the exchange.
type Rule struct {
	When   *jq.Predicate `json:"when"`
	Origin pos.Range     `json:"-"`
}

// Decision is what becomes of an exchange.
type Decision uint8

// The decisions.
const (
	Selected Decision = iota
	Excluded
	SampledOut
	OutsideWindow
	UnsafeSkipped
)

// Selector decides. It belongs to one goroutine.
type Selector struct {
	cfg      Config
	first    time.Time
	started  bool
	selected int64
	body     bool    // a rule looks at bodies
	included []int64 // how often each include decided
	excluded []int64
	errors   atomic.Int64
}

// New makes a selector.
func New(cfg Config) *Selector {
	if cfg.Methods == nil {
		cfg.Methods = DefaultMethods()
	}
	if cfg.Sample == 0 {
		cfg.Sample = 1
	}
	s := &Selector{cfg: cfg, included: make([]int64, len(cfg.Include)), excluded: make([]int64, len(cfg.Exclude))}
	for _, r := range slices.Concat(cfg.Include, cfg.Exclude) {
		s.body = s.body || r.When.NeedsBody()
	}
	return s
}

// ByEnvelope decides by what can be seen without looking at content: method,
// time and session. It comes first because it is cheap, and because the same
// sessions have to be sampled whatever a scrubber makes of their names.
func (s *Selector) ByEnvelope(x *traffic.Exchange) Decision {
	if !s.started {
		s.first, s.started = x.At, true
	}
	if d := s.byMethod(&x.Request); d != Selected {
		return d
	}
	if s.Exhausted() {
		return OutsideWindow
	}
	at := x.At.Sub(s.first) // below 0 where a recording is out of order
	if s.cfg.From > 0 && at < s.cfg.From || s.cfg.To > 0 && at >= s.cfg.To {
		return OutsideWindow
	}
	if s.cfg.Sample < 1 && !s.sampled(x) {
		return SampledOut
	}
	return Selected
}

// Exhausted reports whether limit is reached, so that nothing more can be
// selected.
func (s *Selector) Exhausted() bool { return s.cfg.Limit > 0 && s.selected >= s.cfg.Limit }

// byMethod leaves out what could change something at a target unless the spec
// names the method, and what does not end in a response: tunnels and upgrades.
func (s *Selector) byMethod(r *traffic.Request) Decision {
	if s.cfg.AnyMethod {
		return Selected
	}
	if r.Method == "CONNECT" || r.Header.Has("Upgrade") {
		return UnsafeSkipped
	}
	if r.Body.State == traffic.Missing && !Safe(r.Method) {
		return UnsafeSkipped // even where the spec names the method: nobody meant to send it empty
	}
	switch {
	case slices.Contains(s.cfg.Methods, r.Method):
		return Selected
	case Safe(r.Method):
		return Excluded
	}
	return UnsafeSkipped
}

// Safe reports whether a method only reads: RFC 9110 section 9.2.1.
func Safe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// sampled hashes what identifies the session, so that whole sessions are kept,
// and the same ones every time. An exchange without session stands for itself.
func (s *Selector) sampled(x *traffic.Exchange) bool {
	h := fnv.New64a()
	switch {
	case x.Session != "":
		io.WriteString(h, x.Session)
	case x.ID != "":
		io.WriteString(h, x.ID)
	default:
		io.WriteString(h, x.At.UTC().Format(time.RFC3339Nano))
		io.WriteString(h, x.Request.Target)
	}
	return float64(mix(h.Sum64()^s.cfg.Seed)>>11)/(1<<53) < s.cfg.Sample
}

// mix spreads the bits of a hash (the finaliser of SplitMix64): FNV alone is
// weak in its high bits for short inputs.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ByRules decides by the predicates of the spec, which see the exchange as a
// document. A predicate that cannot be evaluated leaves the exchange out,
// whichever kind it is, and is counted: an exclude may be there to protect what
// must not be called.
func (s *Selector) ByRules(ctx context.Context, x *traffic.Exchange) Decision {
	if len(s.cfg.Include)+len(s.cfg.Exclude) > 0 {
		doc := document.Exchange(x, s.body)
		if len(s.cfg.Include) > 0 && !s.any(ctx, s.cfg.Include, s.included, doc, false) || s.any(ctx, s.cfg.Exclude, s.excluded, doc, true) {
			return Excluded
		}
	}
	s.selected++
	return Selected
}

// any reports whether one of the rules matches; the first that does has
// decided. A rule that cannot be evaluated counts as broken says.
func (s *Selector) any(ctx context.Context, rules []Rule, hits []int64, doc any, broken bool) bool {
	for i, r := range rules {
		ok, err := r.When.Match(ctx, doc)
		if err != nil && ctx.Err() == nil {
			s.errors.Add(1)
			ok = broken
		}
		if ok {
			hits[i]++
			return true
		}
	}
	return false
}

// RuleCount is what one rule of a select block did.
type RuleCount struct {
	Rule   string // "include" or "exclude"
	JQ     string
	Hits   int64 // exchanges that it decided, being the first of its kind to match
	Origin pos.Range
}

// Rules returns what each rule did so far, in the order of the spec.
func (s *Selector) Rules() []RuleCount {
	var out []RuleCount
	for i, r := range s.cfg.Include {
		out = append(out, RuleCount{"include", r.When.Source(), s.included[i], r.Origin})
	}
	for i, r := range s.cfg.Exclude {
		out = append(out, RuleCount{"exclude", r.When.Source(), s.excluded[i], r.Origin})
	}
	return out
}

// Errors is how often a predicate could not be evaluated.
func (s *Selector) Errors() int64 { return s.errors.Load() }

// Count adds one exchange with the decision d to the counters of t.
func Count(t *result.Traffic, d Decision) {
	switch d {
	case Selected:
		t.Selected++
	case Excluded:
		t.Excluded++
	case SampledOut:
		t.SampledOut++
	case OutsideWindow:
		t.OutsideWindow++
	case UnsafeSkipped:
		t.UnsafeSkipped++
	}
}
