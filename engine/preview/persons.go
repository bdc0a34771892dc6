package preview

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Place is a place in the messages of an endpoint, with how many values it had.
// Path is jq, as rules of a scrub block write it.
type Place struct {
	Endpoint string   `json:"endpoint"`
	Of       string   `json:"of"`   // "request" or "response"
	Path     string   `json:"path"` // ".body.customer.email", ".query.email"
	Values   int64    `json:"values"`
	Rules    []string `json:"rules"` // that replace values there; [] where it cannot be told, and where none does
}

// maxPlaces is how many places of a kind are told apart.
const maxPlaces = 1 << 12

// spot is a place without its endpoint.
type spot struct{ of, path string }

// sight is what is found at a spot of one exchange.
type sight struct {
	spot
	uncovered bool // its name looks personal, and no rule is for it; else something was replaced
}

// persons compares exchanges as they were read with what the scrubber made of
// them: where it replaced something, and where it left values whose names look as
// if they were about somebody.
type persons struct {
	probe     *probe
	pending   []sight // of the exchange that is on its way through the intake
	replaced  map[string]map[spot]int64
	uncovered map[string]map[spot]int64
	rules     map[spot][]string // of replaced values
	covered   map[spot]bool     // by name, though a value may have been left
	personal  map[string]bool   // names, as looksPersonal judges them
	places    int
	more      bool // than maxPlaces

	before, after document.Tree     // of bodies; their memory is kept
	names         map[string]string // of members, each one once
}

func newPersons(s *plan.Scrub) (*persons, error) {
	probe, err := newProbe(s)
	if err != nil {
		return nil, err
	}
	return &persons{
		probe: probe, replaced: map[string]map[spot]int64{}, uncovered: map[string]map[spot]int64{},
		rules: map[spot][]string{}, covered: map[spot]bool{}, personal: map[string]bool{}, names: map[string]string{},
	}, nil
}

// look compares an exchange before and after scrubbing.
func (p *persons) look(before, after *traffic.Exchange) {
	p.pending = p.pending[:0]
	b, a := document.Exchange(before, false), document.Exchange(after, false)
	w := walker{persons: p, of: "request", form: isForm(before.Request.Header)}
	w.walk(b["request"], a["request"])
	w.bodies(before.Request.Header, before.Request.Body, after.Request.Header, after.Request.Body)
	if before.Response != nil && after.Response != nil {
		w := walker{persons: p, of: "response", form: isForm(before.Response.Header)}
		w.walk(b["response"], a["response"])
		w.bodies(before.Response.Header, before.Response.Body, after.Response.Header, after.Response.Body)
	}
}

func isForm(h traffic.Header) bool { return content.Sniff(content.MediaTypeOf(h), nil) == content.Form }

// add counts what look found, for the endpoint that the exchange belongs to.
func (p *persons) add(endpoint string) {
	for _, s := range p.pending {
		all := p.replaced
		if s.uncovered {
			all = p.uncovered
		}
		if all[endpoint] == nil {
			all[endpoint] = map[spot]int64{}
		}
		if _, known := all[endpoint][s.spot]; !known {
			if p.places >= maxPlaces {
				p.more = true
				continue
			}
			p.places++
		}
		all[endpoint][s.spot]++
	}
	p.pending = p.pending[:0]
}

// list gives places, those with the most values first.
func (p *persons) list(all map[string]map[spot]int64) []Place {
	out := []Place{}
	for _, endpoint := range slices.Sorted(maps.Keys(all)) {
		for s, n := range all[endpoint] {
			place := Place{Endpoint: endpoint, Of: s.of, Path: s.path, Values: n, Rules: p.rules[s]}
			list(&place.Rules)
			out = append(out, place)
		}
	}
	slices.SortFunc(out, func(a, b Place) int {
		return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Of, b.Of), cmp.Compare(a.Path, b.Path))
	})
	return out
}

// walker goes through a document before and after scrubbing, side by side.
type walker struct {
	*persons
	of   string
	form bool     // the body is a form
	path []string // keys; "" is an element of a list
}

// unspoken are the headers that say nothing of their own: cookies have a place
// of their own, and lengths follow from bodies.
var unspoken = []string{"cookie", "set-cookie", "content-length"}

func (w *walker) walk(before, after any) {
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok {
			w.differs(before)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(b)) {
			if len(w.path) == 1 && w.path[0] == "headers" && slices.Contains(unspoken, key) {
				continue
			}
			value, kept := a[key]
			w.path = append(w.path, key)
			if kept {
				w.walk(b[key], value)
			} else {
				w.gone(key, b[key])
			}
			w.path = w.path[:len(w.path)-1]
		}
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) != len(b) {
			w.differs(before)
			return
		}
		w.path = append(w.path, "")
		for i := range b {
			w.walk(b[i], a[i])
		}
		w.path = w.path[:len(w.path)-1]
	default:
		if before != after {
			w.differs(before)
			return
		}
		w.same(before)
	}
}

// gone is a member that was removed, or whose own name was replaced: then the
// name is not shown.
func (w *walker) gone(key string, value any) {
	if w.probe.scrubber.Text(key) != key {
		w.path[len(w.path)-1] = "*"
	}
	w.differs(value)
}

// differs is a value that was replaced.
func (w *walker) differs(before any) {
	s := w.spot()
	if _, known := w.rules[s]; !known && len(w.rules) < maxPlaces {
		w.rules[s] = w.probe.rules(w.of, w.path, w.form, before)
	}
	w.pending = append(w.pending, sight{spot: s})
}

// same is a value that was left as it was.
func (w *walker) same(v any) {
	switch v := v.(type) {
	case string:
		if v != "" {
			w.left()
		}
	case json.Number:
		w.left()
	} // the rest is a flag, or nothing
}

// left is a value that says something and was left as it was.
func (w *walker) left() {
	if !w.isPersonal(w.name()) {
		return
	}
	s := w.spot()
	covered, known := w.covered[s]
	if !known {
		covered = w.probe.covers(w.of, w.path, w.form)
		if len(w.covered) < maxPlaces {
			w.covered[s] = covered
		}
	}
	if !covered {
		w.pending = append(w.pending, sight{s, true})
	}
}

// isPersonal is looksPersonal, remembered: names come again and again.
func (p *persons) isPersonal(name string) bool {
	personal, known := p.personal[name]
	if !known {
		personal = looksPersonal(name)
		if len(p.personal) < maxPlaces {
			p.personal[name] = personal
		}
	}
	return personal
}

// name is the name of what is looked at: of a list, that of its elements. What a
// message has beside parameters, headers, cookies and its body has none.
func (w *walker) name() string {
	path := w.path
	if len(path) < 2 {
		return ""
	}
	if path[0] == "cookies" && w.of == "response" && len(path) == 3 {
		if path[2] != "value" {
			return "" // an attribute
		}
		return path[1]
	}
	for i := len(path) - 1; i >= 1; i-- {
		if path[i] != "" {
			return path[i]
		}
	}
	return ""
}

func (w *walker) spot() spot {
	var path strings.Builder
	for _, key := range w.path {
		switch {
		case key == "":
			path.WriteString("[]")
		case isIdentifier(key):
			path.WriteString("." + key)
		default:
			path.WriteString("[" + strconv.Quote(key) + "]")
		}
	}
	return spot{w.of, path.String()}
}

// isIdentifier reports whether jq takes a name behind a dot.
func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
