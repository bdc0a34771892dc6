// Package compare says in what two responses to the same request differ. A pair
// of responses goes in with the rules of a spec; differences come out, each at
// a path, with its kind, and with the rule that excuses it where there is one.
//
// The work is done in the cheapest way that is exact: equal bytes end it, then
// equal decoded bytes. Only then are bodies parsed, and walked side by side
// under an automaton that knows all static rules. Documents for jq are built
// only for rules that depend on the document, and only when the pair still
// differs without them.
package compare

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// RequestVariable is the variable that rules see bound to the request.
const RequestVariable = "$request"

const (
	maxDifferences = 100      // distinct ones of a pair, counting and ignored each
	maxShown       = 4 << 10  // bytes of a value in a Difference
	maxVisits      = 10 << 20 // values looked at for one pair
)

// Config says what counts as a difference. Its programs are compiled with
// RequestVariable.
type Config struct {
	Ignore    []Rule // the value may differ; presence, type and shape may not
	Optional  []Rule // may be absent or null on one side; where it is ignored as well, of another type and shape
	Unordered []Rule
	Keyed     []Keyed
	Tolerance []Tolerance
	Headers   []string // response headers whose value is compared beside the usual ones

	// Now is the time by which rules expire; zero: none does.
	Now time.Time
}

// Rule names places in a response.
type Rule struct {
	Paths   *jq.Paths
	Origin  pos.Range
	Reason  string
	Expires time.Time // the last day on which it holds, in UTC; zero: all days
}

// expired reports whether the last day of r is over.
func (r *Rule) expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.IsZero() && !now.UTC().Before(r.Expires.AddDate(0, 0, 1))
}

// Keyed aligns the elements of lists by the member called Key.
type Keyed struct {
	Rule
	Key string
}

// Tolerance lets numbers differ by Limit: an amount such as "0.01", or a share
// of the baseline's value such as "1%".
type Tolerance struct {
	Rule
	Limit string
}

// Difference is one way in which the responses of a pair differ.
type Difference struct {
	// Path is jq with [] for list positions: .body.items[].price,
	// .headers["etag"], .cookies.sid.path, .status.
	Path string
	// Keys are the keys on the path without list positions; the first is
	// "status", "headers", "cookies" or "body". They are shared: do not change
	// them.
	Keys []string
	Kind result.DiffKind

	// Baseline and Candidate are what the sides have there: a JSON literal, or
	// the text of a header or of a body that is not JSON. They are "" where a
	// side has nothing, and cut to a bounded length.
	Baseline, Candidate string

	// IgnoredBy is the place in Rules of the rule that excuses the difference,
	// -1 when it counts.
	IgnoredBy int
}

// Comparison is what came of comparing one pair.
type Comparison struct {
	// Outcome is matched, ignored, mismatched or inconclusive.
	Outcome result.Outcome
	// Reason says why a pair, or the body of one that mismatches elsewhere, could
	// not be judged.
	Reason string
	// Differences are in the order of the response: status, headers, cookies,
	// body. A path and kind comes once, with the first values seen there.
	Differences []Difference
}

// Comparer compares pairs. It is safe for concurrent use.
type Comparer struct {
	headers headerTable
	rules   []*rule
	static  *automaton
	// tolerant says that there are rules of tolerance: then the same hash does
	// not mean the same value.
	tolerant bool
	dynamic  []*rule // rules that depend on the document

	visits  int          // values looked at for one pair
	seed    maphash.Seed // of the hashes by which elements are aligned
	paths   pathCache
	walkers sync.Pool
}

// ruleKind says what a rule does.
type ruleKind uint8

const (
	ignoreRule ruleKind = iota
	unorderedRule
	keyedRule
	toleranceRule
	optionalRule
	ruleKinds
)

var ruleNames = [ruleKinds]string{"ignore", "unordered", "keyed", "tolerance", "optional"}

// rule is one rule of the spec, ready for use.
type rule struct {
	index int
	kind  ruleKind
	Rule
	key   string    // of keyed rules
	limit tolerance // of tolerance rules
	over  bool      // expired: it is reported, and does nothing

	hits, errors atomic.Int64

	matches, masked, beside atomic.Int64 // see Measure
}

// New prepares a comparer. The error tells of a rule that makes no sense.
func New(cfg Config) (*Comparer, error) {
	c := &Comparer{visits: maxVisits, seed: maphash.MakeSeed(), tolerant: len(cfg.Tolerance) > 0}
	c.walkers.New = func() any { return &walker{c: c} }
	c.headers = newHeaderTable(cfg.Headers)

	add := func(r *rule) { r.index = len(c.rules); c.rules = append(c.rules, r) }
	for _, r := range cfg.Ignore {
		add(&rule{kind: ignoreRule, Rule: r})
	}
	for _, r := range cfg.Unordered {
		add(&rule{kind: unorderedRule, Rule: r})
	}
	for _, k := range cfg.Keyed {
		if k.Key == "" {
			return nil, fmt.Errorf("%v: a keyed rule needs the name of a key", k.Origin)
		}
		add(&rule{kind: keyedRule, Rule: k.Rule, key: k.Key})
	}
	for _, t := range cfg.Tolerance {
		limit, err := parseTolerance(t.Limit)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", t.Origin, err)
		}
		add(&rule{kind: toleranceRule, Rule: t.Rule, limit: limit})
	}
	for _, r := range cfg.Optional {
		add(&rule{kind: optionalRule, Rule: r})
	}
	var inForce []*rule
	for _, r := range c.rules {
		if r.over = r.expired(cfg.Now); !r.over {
			inForce = append(inForce, r)
		}
	}
	var err error
	if c.static, err = compileRules(inForce); err != nil {
		return nil, err
	}
	for _, r := range inForce {
		if _, ok := r.Paths.Patterns(); !ok {
			c.dynamic = append(c.dynamic, r)
		}
	}
	return c, nil
}

// Rules returns what each rule did so far: ignore rules first, then unordered,
// keyed, tolerance and optional, each in the order of the spec. The hits of a keyed rule
// are the lists that it aligned, those of the others the differences that they
// excused; a path and kind counts once in a pair.
func (c *Comparer) Rules() []result.Rule {
	out := make([]result.Rule, len(c.rules))
	for i, r := range c.rules {
		out[i] = result.Rule{
			Rule:   ruleNames[r.kind],
			Path:   r.Paths.Source(),
			Hits:   r.hits.Load(),
			Errors: r.errors.Load(),
			Found:  r.matches.Load(),
			Masked: r.share(),
			Origin: result.OriginOf(r.Origin),

			LastHit: -1,
			Expired: r.over,
		}
	}
	return out
}

// Compare compares the responses of one pair. Both must be complete as far as
// the transport goes; what a recorder left out makes the pair inconclusive.
func (c *Comparer) Compare(ctx context.Context, req *traffic.Request, baseline, candidate *traffic.Response) Comparison {
	w := c.walkers.Get().(*walker)
	defer w.release()
	w.begin()
	w.response(baseline, candidate)
	if len(c.dynamic) > 0 && w.undecided() {
		if over := c.evaluate(ctx, req, baseline, candidate); over != nil {
			w.begin()
			w.over = over
			w.response(baseline, candidate)
		}
	}
	return w.comparison()
}

// evaluate runs the rules that depend on the document. It returns nil when they
// point nowhere. A rule that errs excuses nothing; the error is counted.
func (c *Comparer) evaluate(ctx context.Context, req *traffic.Request, baseline, candidate *traffic.Response) *overlay {
	request := document.Request(req, true)
	over := newOverlay()
	for i, r := range []*traffic.Response{baseline, candidate} {
		doc := document.Response(r)
		for _, rule := range c.dynamic {
			paths, err := rule.Paths.Eval(ctx, doc, request)
			if err != nil {
				rule.errors.Add(1)
				continue
			}
			over.sides[i].add(rule, paths)
		}
	}
	if over.sides[0].empty() && over.sides[1].empty() {
		return nil
	}
	return over
}
