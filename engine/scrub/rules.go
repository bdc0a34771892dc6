package scrub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// pattern is a static path of a rule.
type pattern struct {
	rule  int
	steps jq.Pattern
}

// dynamicRule is a jq program whose paths depend on the message.
type dynamicRule struct {
	rule  int
	paths *jq.Paths
}

func (s *Scrubber) setRules() error {
	s.byKey, s.byHeader = map[string]int{}, map[string]int{}
	s.byCookie, s.byQuery = map[string]int{}, map[string]int{}
	for i := range s.cfg.Rules {
		r := &s.cfg.Rules[i]
		if !slices.Contains([]Action{Remove, Pseudonymize, Mask, Keep}, r.Action) {
			return fmt.Errorf("scrub rule %q: unknown action %q: use remove, pseudonymize, mask or keep", r.Name, r.Action)
		}
		if len(r.JQ)+len(r.Keys)+len(r.Headers)+len(r.Cookies)+len(r.Query) == 0 {
			return fmt.Errorf("scrub rule %q names nothing: give it jq, keys, headers, cookies or query", r.Name)
		}
		if err := s.checkKeep(r); err != nil {
			return err
		}
		s.lowerJQ(i, r)
		index(s.byKey, r.Keys, i, func(n string) string { return strings.Join(wordsOf(n), " ") })
		index(s.byHeader, r.Headers, i, strings.ToLower)
		index(s.byCookie, r.Cookies, i, same)
		index(s.byQuery, r.Query, i, same)
	}
	return nil
}

// index notes the rule of each name; the first rule that names it has it.
func index(table map[string]int, names []string, rule int, fold func(string) string) {
	for _, n := range names {
		if _, taken := table[fold(n)]; !taken {
			table[fold(n)] = rule
		}
	}
}

// checkKeep refuses exemptions that would not be honoured.
func (s *Scrubber) checkKeep(r *Rule) error {
	if r.Action != Keep {
		return nil
	}
	for _, h := range r.Headers {
		if c := headerRows[strings.ToLower(h)].class; classes[c].protected && s.enabled[c] {
			return fmt.Errorf("scrub rule %q may not keep header %q: it holds a credential", r.Name, h)
		}
	}
	for _, k := range r.Keys {
		if row := s.classify(k).rows[0]; row != nil && row.gate == anyValue && classes[row.class].protected {
			return fmt.Errorf("scrub rule %q may not keep field %q: it holds a credential or card verification data", r.Name, k)
		}
	}
	return nil
}

func (s *Scrubber) lowerJQ(rule int, r *Rule) {
	for _, p := range r.JQ {
		static, ok := p.Patterns()
		if !ok {
			s.dynamic = append(s.dynamic, dynamicRule{rule, p})
			continue
		}
		for _, steps := range static {
			s.patterns = append(s.patterns, pattern{rule, steps})
		}
	}
}

// state is a place in a pattern: its first n steps have matched.
type state struct{ pattern, n int }

// places is where the patterns stand at one node of a document.
type places struct {
	states []state
	rule   int // of the patterns that end here, the first; -1: none does
}

var nowhere = places{rule: -1}

// start is where the patterns stand at the root of a document.
func (w *worker) start() places {
	p := nowhere
	for i := range w.patterns {
		w.place(&p, i, 0, false)
	}
	return p
}

// place adds a state, and those that are reached without a step. A loose match
// also skips steps into lists, for paths that leave list positions out.
func (w *worker) place(p *places, i, n int, loose bool) {
	steps := w.patterns[i].steps
	if n == len(steps) {
		if r := w.patterns[i].rule; p.rule < 0 || r < p.rule {
			p.rule = r
		}
		return
	}
	p.states = append(p.states, state{i, n})
	if k := steps[n].Kind; k == jq.Recurse || loose && (k == jq.Index || k == jq.Iterate) {
		w.place(p, i, n+1, loose)
	}
}

// member steps into the member of an object.
func (w *worker) member(p places, key string, loose bool) places {
	out := nowhere
	for _, st := range p.states {
		switch step := w.patterns[st.pattern].steps[st.n]; step.Kind {
		case jq.Key:
			if step.Key == key {
				w.place(&out, st.pattern, st.n+1, loose)
			}
		case jq.Iterate:
			w.place(&out, st.pattern, st.n+1, loose)
		case jq.Recurse:
			w.place(&out, st.pattern, st.n, loose)
		}
	}
	return out
}

// element steps into an element of a list.
func (w *worker) element(p places, i int) places {
	out := nowhere
	for _, st := range p.states {
		switch step := w.patterns[st.pattern].steps[st.n]; step.Kind {
		case jq.Index:
			if step.Index == i || step.Index < 0 { // from the end: every element, to be safe
				w.place(&out, st.pattern, st.n+1, false)
			}
		case jq.Iterate:
			w.place(&out, st.pattern, st.n+1, false)
		case jq.Recurse:
			w.place(&out, st.pattern, st.n, false)
		}
	}
	return out
}

// at steps from the root through members.
func (w *worker) at(keys ...string) places {
	if len(w.patterns) == 0 {
		return nowhere
	}
	p := w.start()
	for _, k := range keys {
		rule := p.rule
		if p = w.member(p, k, false); p.rule < 0 {
			p.rule = rule
		}
	}
	return p
}

// named is the verdict of a rule that names a place, if there is one.
func (w *worker) named(p places, k *keyInfo) (verdict, bool) {
	if p.rule < 0 {
		return verdict{}, false
	}
	return w.judge(k, 0, none, p.rule, ""), true
}

// bind evaluates the dynamic rules for one message.
func (w *worker) bind(doc any) bool {
	w.patterns = slices.Clip(w.s.patterns)
	for _, d := range w.s.dynamic {
		found, err := d.paths.Eval(context.Background(), doc)
		if err != nil {
			w.fail(badRule)
			return false
		}
		for _, path := range found {
			w.patterns = append(w.patterns, pattern{d.rule, concrete(path)})
		}
	}
	return true
}

func concrete(path []any) jq.Pattern {
	steps := make(jq.Pattern, 0, len(path))
	for _, e := range path {
		switch e := e.(type) {
		case string:
			steps = append(steps, jq.Step{Kind: jq.Key, Key: e})
		case int:
			steps = append(steps, jq.Step{Kind: jq.Index, Index: e})
		default:
			steps = append(steps, jq.Step{Kind: jq.Iterate})
		}
	}
	return steps
}

// requestDocument is the request as dynamic rules see it.
func requestDocument(w *worker, r *traffic.Request) any {
	return map[string]any{"method": r.Method, "path": r.Path(), "host": r.Host(), "query": fields(r.Query()),
		"headers": headerDocument(r.Header), "cookies": cookieDocument(r.Header, "Cookie"), "body": bodyDocument(w, r.Header, r.Body.Bytes)}
}

func responseDocument(w *worker, r *traffic.Response) any {
	return map[string]any{"status": r.Status, "headers": headerDocument(r.Header),
		"cookies": cookieDocument(r.Header, "Set-Cookie"), "body": bodyDocument(w, r.Header, r.Body.Bytes)}
}

func headerDocument(h traffic.Header) map[string]any {
	out := map[string]any{}
	for _, f := range h {
		name := strings.ToLower(f.Name)
		out[name] = h.Joined(name)
	}
	return out
}

func cookieDocument(h traffic.Header, field string) map[string]any {
	out := map[string]any{}
	for _, v := range h.Values(field) {
		for pair := range strings.SplitSeq(v, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if field == "Set-Cookie" {
				out[name] = map[string]any{"value": value}
				break
			}
			out[name] = value
		}
	}
	return out
}

func fields(query string) map[string]any {
	out := map[string]any{}
	values, _ := url.ParseQuery(query) // what does not parse cannot be named
	for k, vs := range values {
		if len(vs) == 1 {
			out[k] = vs[0]
			continue
		}
		list := make([]any, len(vs))
		for i := range vs {
			list[i] = vs[i]
		}
		out[k] = list
	}
	return out
}

// bodyDocument is null for a body that does not read: it will not be passed on
// in any case.
func bodyDocument(w *worker, h traffic.Header, raw []byte) any {
	plain, err := content.Decode(h, raw, w.s.cfg.MaxBody)
	if err != nil || len(plain) == 0 {
		return nil
	}
	switch kind := content.Sniff(content.MediaTypeOf(h), plain); kind {
	case content.Form:
		return fields(string(plain))
	case content.JSON, content.NDJSON:
		dec := json.NewDecoder(bytes.NewReader(plain))
		dec.UseNumber()
		docs := []any{}
		for dec.More() {
			var v any
			if dec.Decode(&v) != nil {
				return nil
			}
			docs = append(docs, v)
		}
		if kind == content.JSON && len(docs) == 1 {
			return docs[0]
		}
		return docs
	default:
		return string(plain)
	}
}
