package compare

import (
	"context"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Measure looks for the places of the rules in one response, whether it differs
// from anything or not, and notes which rules find one and how much of the
// body's values each leaves out. It costs about as much as a comparison, so it
// is meant for some of the responses. Rules gives what came of it.
func (c *Comparer) Measure(ctx context.Context, req *traffic.Request, resp *traffic.Response) {
	if len(c.rules) == 0 {
		return
	}
	m := gauge{w: c.walkers.Get().(*walker), seen: make([]int64, len(c.rules)), found: make([]bool, len(c.rules))}
	defer m.w.release()
	m.w.begin()
	if len(c.dynamic) > 0 {
		m.w.over = c.evaluate(ctx, req, resp, resp)
	}
	top := m.w.top()
	m.at(top)
	m.headers(m.w.key(top, headersKey), resp.Header)
	m.at(m.w.key(top, statusKey))
	body := m.w.key(top, bodyKey)
	total := m.body(body, resp)
	for i, r := range c.rules {
		if !m.found[i] {
			continue
		}
		r.matches.Add(1)
		if total > 0 {
			r.masked.Add(m.seen[i])
			r.beside.Add(total)
		}
	}
}

// share is how much of the values of the responses in which it was found a rule
// leaves out.
func (r *rule) share() float64 {
	if all := r.beside.Load(); all > 0 && r.kind == ignoreRule {
		return float64(r.masked.Load()) / float64(all)
	}
	return 0
}

// gauge measures the rules at one response.
type gauge struct {
	w     *walker
	seen  []int64 // values under the places of each rule
	found []bool
}

// at notes the rules that mean a place, and returns the one that ignores it.
func (m *gauge) at(p place) (ignored *rule) {
	for kind := range ruleKinds {
		r := m.w.rule(p, kind, bothSides)
		if r == nil {
			continue
		}
		m.found[r.index] = true
		if kind == ignoreRule {
			ignored = r
		}
	}
	return ignored
}

func (m *gauge) headers(p place, h traffic.Header) {
	m.at(p)
	for i := range h {
		m.at(m.w.key(p, []byte(strings.ToLower(h[i].Name))))
	}
	cookies := m.w.key(m.w.top(), cookiesKey)
	m.at(cookies)
	for _, c := range document.Cookies(h) {
		m.at(m.w.key(cookies, []byte(c.Name)))
	}
}

// body returns how many values there are in the body.
func (m *gauge) body(p place, resp *traffic.Response) int64 {
	text, err := content.Decode(resp.Header, resp.Body.Bytes, content.Limit)
	if err != nil || resp.Body.State != traffic.Complete || len(text) == 0 {
		m.at(p)
		return 0
	}
	if !m.w.a.Parse(content.Sniff(content.MediaTypeOf(resp.Header), text), text) {
		if r := m.at(p); r != nil {
			m.seen[r.index]++
		}
		return 1
	}
	return m.values(m.w.a.Root(), p, nil)
}

// values counts the values of n. by is the rule that leaves them out already.
func (m *gauge) values(n document.Node, p place, by *rule) int64 {
	if r := m.at(p); by == nil {
		by = r
	}
	var count int64
	switch n.Kind() {
	case document.List:
		for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
			count += m.values(c, m.w.element(p, i, i), by)
		}
	case document.Object:
		for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
			count += m.values(c, m.w.key(p, c.Name()), by)
		}
	default:
		if by != nil {
			m.seen[by.index]++
		}
		return 1
	}
	return count
}
