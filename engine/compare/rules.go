package compare

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// maxStates bounds the automaton of the static rules. Real rules need as many
// states as they have steps.
const maxStates = 10_000

// automaton follows all static rules at once. Its states stand for places in a
// response; state 0 is a place that no rule can reach any more.
type automaton struct {
	states []state
}

// root is the state of the response itself.
const root = 1

// state is one state. marks has the first rule of each kind that means this
// very place, or nil.
type state struct {
	keys    map[string]int32
	other   int32 // for keys that are not in keys
	indexes map[int]int32
	element int32 // for positions that are not in indexes
	marks   [ruleKinds]*rule
}

func (a *automaton) key(s int32, name []byte) int32 {
	st := &a.states[s]
	if len(st.keys) > 0 {
		if to, ok := st.keys[string(name)]; ok {
			return to
		}
	}
	return st.other
}

func (a *automaton) index(s int32, i int) int32 {
	st := &a.states[s]
	if len(st.indexes) > 0 {
		if to, ok := st.indexes[i]; ok {
			return to
		}
	}
	return st.element
}

// item is a pattern of which the first at steps have been taken.
type item struct {
	pattern, at int32
}

// builder turns patterns into an automaton by the subset construction.
type builder struct {
	patterns []jq.Pattern
	owners   []*rule
	ids      map[string]int32
	sets     [][]item
	automaton
}

var errTooManyStates = errors.New(`the rules of the compare block have too many combinations: use fewer ".." in them`)

// compileRules builds the automaton of the static ones among rules.
func compileRules(rules []*rule) (*automaton, error) {
	b := builder{ids: map[string]int32{}}
	for _, r := range rules {
		patterns, ok := r.Paths.Patterns()
		if !ok {
			continue
		}
		for _, p := range patterns {
			b.patterns = append(b.patterns, p)
			b.owners = append(b.owners, r)
		}
	}
	b.state(nil)
	start := make([]item, len(b.patterns))
	for i := range start {
		start[i].pattern = int32(i)
	}
	if b.state(start) != root { // no rules at all
		b.sets = append(b.sets, nil)
		b.states = append(b.states, state{})
	}
	for i := 0; i < len(b.sets); i++ {
		if len(b.sets) > maxStates {
			return nil, errTooManyStates
		}
		b.expand(int32(i))
	}
	return &b.automaton, nil
}

// state returns the state for a set of items, a new one where needed. ".."
// takes no step at all as well.
func (b *builder) state(set []item) int32 {
	for i := 0; i < len(set); i++ {
		it := set[i]
		p := b.patterns[it.pattern]
		if int(it.at) < len(p) && p[it.at].Kind == jq.Recurse {
			set = append(set, item{it.pattern, it.at + 1})
		}
	}
	slices.SortFunc(set, func(x, y item) int {
		if x.pattern != y.pattern {
			return int(x.pattern - y.pattern)
		}
		return int(x.at - y.at)
	})
	set = slices.Compact(set)
	var id []byte
	for _, it := range set {
		id = binary.AppendVarint(binary.AppendVarint(id, int64(it.pattern)), int64(it.at))
	}
	if s, ok := b.ids[string(id)]; ok {
		return s
	}
	s := int32(len(b.sets))
	b.ids[string(id)] = s
	b.sets = append(b.sets, set)
	st := state{}
	for _, it := range set {
		owner := b.owners[it.pattern]
		if int(it.at) == len(b.patterns[it.pattern]) && st.marks[owner.kind] == nil {
			st.marks[owner.kind] = owner
		}
	}
	b.states = append(b.states, st)
	return s
}

// expand finds where state s leads.
func (b *builder) expand(s int32) {
	keys, indexes := map[string]int32{}, map[int]int32{}
	for _, it := range b.sets[s] {
		p := b.patterns[it.pattern]
		if int(it.at) == len(p) {
			continue
		}
		switch step := p[it.at]; step.Kind {
		case jq.Key:
			keys[step.Key] = 0
		case jq.Index:
			indexes[step.Index] = 0
		}
	}
	for _, k := range sortedKeys(keys) {
		keys[k] = b.state(b.move(s, func(step jq.Step) bool { return step.Kind == jq.Key && step.Key == k }))
	}
	for _, i := range sortedKeys(indexes) {
		indexes[i] = b.state(b.move(s, func(step jq.Step) bool { return step.Kind == jq.Index && step.Index == i }))
	}
	none := b.state(b.move(s, func(jq.Step) bool { return false }))
	st := &b.states[s]
	st.keys, st.indexes, st.other, st.element = keys, indexes, none, none
}

func sortedKeys[K int | string](m map[K]int32) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// move returns the items that one step leads to from state s; named says
// whether a key or position is the one that is taken.
func (b *builder) move(s int32, named func(jq.Step) bool) []item {
	var out []item
	for _, it := range b.sets[s] {
		p := b.patterns[it.pattern]
		if int(it.at) == len(p) {
			continue
		}
		switch step := p[it.at]; {
		case step.Kind == jq.Recurse:
			out = append(out, it)
		case step.Kind == jq.Iterate, named(step):
			out = append(out, item{it.pattern, it.at + 1})
		}
	}
	return out
}

// overlay has the places that document-dependent rules mean in one pair, for
// each side.
type overlay struct {
	sides [2]placeTree
}

func newOverlay() *overlay {
	return &overlay{sides: [2]placeTree{{nodes: make([]placeNode, 2)}, {nodes: make([]placeNode, 2)}}}
}

// placeTree is a set of concrete paths. Node 0 is off every path, node 1 is the
// response.
type placeTree struct {
	nodes []placeNode
}

type placeNode struct {
	keys    map[string]int32
	indexes map[int]int32
	marks   [ruleKinds]*rule
}

func (t *placeTree) empty() bool { return len(t.nodes) == 2 && t.nodes[1].marks == [ruleKinds]*rule{} }

// add puts the paths of a rule into the tree. Of several rules of one kind for
// one place the first counts.
func (t *placeTree) add(r *rule, paths [][]any) {
	for _, path := range paths {
		at := int32(root)
		for _, e := range path {
			at = t.child(at, e)
		}
		if t.nodes[at].marks[r.kind] == nil {
			t.nodes[at].marks[r.kind] = r
		}
	}
}

func (t *placeTree) child(at int32, e any) int32 {
	n := &t.nodes[at]
	fresh := int32(len(t.nodes))
	switch e := e.(type) {
	case string:
		if to, ok := n.keys[e]; ok {
			return to
		}
		if n.keys == nil {
			n.keys = map[string]int32{}
		}
		n.keys[e] = fresh
	case int:
		if to, ok := n.indexes[e]; ok {
			return to
		}
		if n.indexes == nil {
			n.indexes = map[int]int32{}
		}
		n.indexes[e] = fresh
	}
	t.nodes = append(t.nodes, placeNode{})
	return fresh
}

func (t *placeTree) key(at int32, name []byte) int32 { return t.nodes[at].keys[string(name)] }

func (t *placeTree) index(at int32, i int) int32 { return t.nodes[at].indexes[i] }

// place is where the walk stands, as the rules see it: a state of the automaton
// and a node of the overlay for each side.
type place struct {
	state int32
	sides [2]int32
}

// The sides of a pair; both for what both have.
const (
	baselineSide = iota
	candidateSide
	bothSides
)

func (w *walker) top() place {
	p := place{state: root}
	if w.over != nil {
		p.sides = [2]int32{root, root}
	}
	return p
}

// key is the place of the member called name.
func (w *walker) key(p place, name []byte) place {
	out := place{state: w.c.static.key(p.state, name)}
	if w.over != nil {
		for i := range out.sides {
			out.sides[i] = w.over.sides[i].key(p.sides[i], name)
		}
	}
	return out
}

// element is the place of a list element that stands at i in the baseline and
// at j in the candidate; -1 is nowhere.
func (w *walker) element(p place, i, j int) place {
	at := i
	if at < 0 {
		at = j
	}
	out := place{state: w.c.static.index(p.state, at)}
	if w.over != nil {
		for side, n := range [2]int{i, j} {
			if n >= 0 {
				out.sides[side] = w.over.sides[side].index(p.sides[side], n)
			}
		}
	}
	return out
}

// rule returns the first rule of a kind that means the place. A rule that
// depends on the document must mean it on every side that has the place:
// otherwise a candidate could excuse itself by what it answers.
func (w *walker) rule(p place, kind ruleKind, side int) *rule {
	r := w.c.static.states[p.state].marks[kind]
	if w.over == nil {
		return r
	}
	var d *rule
	if side == bothSides {
		d = w.over.sides[0].nodes[p.sides[0]].marks[kind]
		if other := w.over.sides[1].nodes[p.sides[1]].marks[kind]; other != d {
			return r
		}
	} else {
		d = w.over.sides[side].nodes[p.sides[side]].marks[kind]
	}
	if r == nil || d != nil && d.index < r.index {
		return d
	}
	return r
}
