package preview

import (
	"context"
	"encoding/json"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// place is a rule of a compare block that is looked for in recorded responses.
type place struct {
	rule   string
	paths  *jq.Paths
	origin pos.Range
	fits   func(v any) bool // what the rule can do something with
	what   string           // the same in words
	found  bool             // there is something at the place
	fit    bool             // something of the right kind is
}

// places are all rules of a compare block.
type places struct {
	all       []*place
	missing   int   // rules that have not found anything that fits
	responses int64 // that were looked at
}

func newPlaces(c *plan.Compare) *places {
	p := &places{}
	anything := func(any) bool { return true }
	for _, r := range c.Config.Ignore {
		p.all = append(p.all, &place{rule: "ignore", paths: r.Paths, origin: r.Origin, fits: anything})
	}
	for _, r := range c.Config.Optional {
		p.all = append(p.all, &place{rule: "optional", paths: r.Paths, origin: r.Origin, fits: anything})
	}
	for _, r := range c.Config.Unordered {
		p.all = append(p.all, &place{rule: "unordered", paths: r.Paths, origin: r.Origin, fits: isList, what: "a list"})
	}
	for _, r := range c.Config.Keyed {
		p.all = append(p.all, &place{rule: "keyed", paths: r.Paths, origin: r.Origin, fits: hasKey(r.Key), what: "a list of objects with its key"})
	}
	for _, r := range c.Config.Tolerance {
		p.all = append(p.all, &place{rule: "tolerance", paths: r.Paths, origin: r.Origin, fits: isNumber, what: "a number"})
	}
	p.missing = len(p.all)
	return p
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

// hasKey accepts a list with an element that can be aligned by the key. An
// empty list says nothing against it.
func hasKey(key string) func(any) bool {
	return func(v any) bool {
		elements, ok := v.([]any)
		for _, e := range elements {
			if m, is := e.(map[string]any); is {
				if _, has := m[key]; has {
					return true
				}
			}
		}
		return ok && len(elements) == 0
	}
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

// look searches a recorded response for the places that were not found yet. A
// rule that cannot be evaluated finds nothing.
func (p *places) look(ctx context.Context, step *replay.Step) {
	x := step.Exchange
	if x.Response == nil {
		return
	}
	p.responses++
	if p.missing == 0 {
		return
	}
	doc := document.Response(x.Response)
	var request any
	for _, r := range p.all {
		if r.fit {
			continue
		}
		if patterns, ok := r.paths.Patterns(); ok {
			for _, pattern := range patterns {
				p.see(r, doc, pattern)
			}
			continue
		}
		if request == nil {
			request = document.Request(&x.Request, true)
		}
		concrete, err := r.paths.Eval(ctx, doc, request)
		if err != nil {
			continue
		}
		for _, path := range concrete {
			p.see(r, doc, patternOf(path))
		}
	}
}

func (p *places) see(r *place, doc any, pattern jq.Pattern) {
	each(doc, pattern, func(v any) bool {
		r.found = true
		if !r.fit && r.fits(v) {
			r.fit = true
			p.missing--
		}
		return !r.fit
	})
}

// patternOf makes a pattern of a concrete path.
func patternOf(path []any) jq.Pattern {
	out := make(jq.Pattern, len(path))
	for i, e := range path {
		switch e := e.(type) {
		case string:
			out[i] = jq.Step{Kind: jq.Key, Key: e}
		case int:
			out[i] = jq.Step{Kind: jq.Index, Index: e}
		}
	}
	return out
}

// each calls f with every value at pattern in doc until f returns false, and
// reports whether it never did.
func each(v any, pattern jq.Pattern, f func(any) bool) bool {
	if len(pattern) == 0 {
		return f(v)
	}
	step, rest := pattern[0], pattern[1:]
	switch step.Kind {
	case jq.Key:
		if m, ok := v.(map[string]any); ok {
			if inner, has := m[step.Key]; has {
				return each(inner, rest, f)
			}
		}
		return true
	case jq.Index:
		if l, ok := v.([]any); ok && step.Index >= 0 && step.Index < len(l) {
			return each(l[step.Index], rest, f)
		}
		return true
	case jq.Recurse:
		if !each(v, rest, f) {
			return false
		}
		rest = pattern
	}
	switch v := v.(type) {
	case []any:
		for _, inner := range v {
			if !each(inner, rest, f) {
				return false
			}
		}
	case map[string]any:
		for _, inner := range v {
			if !each(inner, rest, f) {
				return false
			}
		}
	}
	return true
}
