package compare

import (
	"bytes"
	"hash/maphash"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// pair compares two values that belong together.
func (w *walker) pair(a, b document.Node, p place) {
	if identical(a, b) || !w.spend(1) {
		return
	}
	if w.rule(p, ignoreRule, bothSides) != nil {
		if !w.same(a, b, place{}) {
			kind := kindBetween(a, b)
			w.nodes(kind, w.excuse(p, kind, bothSides, isNull(a) || isNull(b)), a, b)
		}
		return
	}
	if a.Kind() != b.Kind() {
		w.nodes(result.KindType, w.excuse(p, result.KindType, bothSides, isNull(a) || isNull(b)), a, b)
		return
	}
	switch a.Kind() {
	case document.Bool:
		if !bytes.Equal(a.Raw(), b.Raw()) {
			w.nodes(result.KindValue, nil, a, b)
		}
	case document.Number:
		w.numbers(a, b, p)
	case document.String:
		if !bytes.Equal(textOf(a), textOf(b)) {
			w.nodes(result.KindValue, nil, a, b)
		}
	case document.List:
		w.listPair(a, b, p)
	case document.Object:
		w.objects(a, b, p)
	}
}

// identical reports whether two values stand in the same words.
func identical(a, b document.Node) bool {
	x, y := a.Raw(), b.Raw()
	return x != nil && bytes.Equal(x, y)
}

// kindBetween says in what way two values differ of which the value itself means
// nothing.
func kindBetween(a, b document.Node) result.DiffKind {
	switch {
	case a.Kind() != b.Kind():
		return result.KindType
	case a.Kind() == document.String && !sameShape(textOf(a), textOf(b)):
		return result.KindFormat
	}
	return result.KindValue
}

func isNull(n document.Node) bool { return n.Kind() == document.Null }

// excuse returns the rule that excuses a difference of a kind at a place. What
// is ignored is the value: that it is there, of its type and in its shape, is
// compared all the same. Only what is optional may be absent, or null in place
// of a value, and only what is both may be anything.
func (w *walker) excuse(p place, kind result.DiffKind, side int, null bool) *rule {
	ignored, optional := w.rule(p, ignoreRule, side), w.rule(p, optionalRule, side)
	switch kind {
	case result.KindMissing, result.KindExtra:
		return optional
	case result.KindType:
		if null || ignored != nil && optional != nil {
			return optional
		}
		return nil
	case result.KindFormat:
		if optional == nil {
			return nil
		}
	}
	return ignored
}

// nodes records a difference between two values.
func (w *walker) nodes(kind result.DiffKind, by *rule, a, b document.Node) {
	w.differ(kind, by, func() (string, string) { return shown(a), shown(b) })
}

// numbers compares two numbers whose literals differ. Numbers of one value in
// two forms (1 and 1.0, 1e3 and 1000) differ in format, and that counts:
// clients in typed languages break on it.
func (w *walker) numbers(a, b document.Node, p place) {
	x, y := a.Raw(), b.Raw()
	if bytes.Equal(x, y) {
		return
	}
	by := w.rule(p, toleranceRule, bothSides)
	if by != nil && !by.limit.allows(x, y) {
		by = nil
	}
	kind := result.KindValue
	if sameNumber(x, y) {
		kind = result.KindFormat
	}
	w.nodes(kind, by, a, b)
}

// objects compares two objects member by member. The order of members means
// nothing. Of members with one name the last counts, but how many there are is
// compared.
func (w *walker) objects(a, b document.Node, p place) {
	if (a.HasDuplicates() || b.HasDuplicates()) && superseded(a) != superseded(b) {
		w.nodes(result.KindFormat, nil, a, b)
	}
	x, y, i, j := a.First(), b.First(), 0, 0
	for i < a.Len() && j < b.Len() && !x.Superseded() && !y.Superseded() && bytes.Equal(x.Name(), y.Name()) {
		w.member(x, y, p)
		x, i = x.Next(), i+1
		y, j = y.Next(), j+1
	}
	if i < a.Len() || j < b.Len() {
		w.members(rest{x, a.Len() - i}, rest{y, b.Len() - j}, p)
	}
}

func superseded(n document.Node) int {
	count := 0
	for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
		if c.Superseded() {
			count++
		}
	}
	return count
}

func (w *walker) member(x, y document.Node, p place) {
	if identical(x, y) {
		return
	}
	w.push(x.Name())
	w.pair(x, y, w.key(p, x.Name()))
	w.pop()
}

// rest is what is left of an object's members: n of them from first on.
type rest struct {
	first document.Node
	n     int
}

// members compares members that do not stand in the same order.
func (w *walker) members(a, b rest, p place) {
	index := newMemberIndex(b)
	for x, i := a.first, 0; i < a.n; x, i = x.Next(), i+1 {
		if x.Superseded() {
			continue
		}
		if !w.spend(1) {
			return // members that nobody looked for are not missing
		}
		if y, ok := index.take(w, x.Name()); ok {
			w.member(x, y, p)
			continue
		}
		w.push(x.Name())
		w.alone(x, w.key(p, x.Name()), baselineSide)
		w.pop()
	}
	for y, j := b.first, 0; j < b.n; y, j = y.Next(), j+1 {
		if y.Superseded() || index.taken[j] {
			continue
		}
		w.push(y.Name())
		w.alone(y, w.key(p, y.Name()), candidateSide)
		w.pop()
	}
}

// memberIndex finds members by name. Few members are searched, from where the
// last one was found, because objects of one origin mostly have one order.
type memberIndex struct {
	nodes []document.Node
	taken []bool
	next  int
	names map[string]int
}

func newMemberIndex(r rest) *memberIndex {
	m := &memberIndex{nodes: make([]document.Node, 0, r.n), taken: make([]bool, r.n)}
	for y, j := r.first, 0; j < r.n; y, j = y.Next(), j+1 {
		m.nodes = append(m.nodes, y)
	}
	if r.n > 32 {
		m.names = make(map[string]int, r.n)
		for j, y := range m.nodes {
			m.names[string(y.Name())] = j // the last one stays
		}
	}
	return m
}

// take returns the member called name, once.
func (m *memberIndex) take(w *walker, name []byte) (document.Node, bool) {
	if m.names != nil {
		j, ok := m.names[string(name)]
		if !ok {
			return document.Node{}, false
		}
		m.taken[j] = true
		return m.nodes[j], true
	}
	for k := range m.nodes {
		j := m.next + k
		if j >= len(m.nodes) {
			j -= len(m.nodes)
		}
		if y := m.nodes[j]; !y.Superseded() && bytes.Equal(y.Name(), name) {
			m.taken[j], m.next = true, j+1
			return y, true
		}
	}
	return document.Node{}, false
}

// alone records a value that only one side has.
func (w *walker) alone(n document.Node, p place, side int) {
	by := w.excuse(p, result.KindMissing, side, false)
	if side == baselineSide {
		w.differ(result.KindMissing, by, func() (string, string) { return shown(n), "" })
		return
	}
	w.differ(result.KindExtra, by, func() (string, string) { return "", shown(n) })
}

// same reports whether a walk over two values would find nothing that counts.
// Lists in another order are not the same here, unless a rule says that their
// order means nothing.
func (w *walker) same(a, b document.Node, p place) bool {
	if identical(a, b) {
		return true
	}
	if !w.spend(1) {
		return true
	}
	if w.rule(p, ignoreRule, bothSides) != nil {
		kind := kindBetween(a, b)
		return kind == result.KindValue || w.excuse(p, kind, bothSides, isNull(a) || isNull(b)) != nil
	}
	if a.Kind() != b.Kind() {
		return w.excuse(p, result.KindType, bothSides, isNull(a) || isNull(b)) != nil
	}
	switch a.Kind() {
	case document.Bool:
		return bytes.Equal(a.Raw(), b.Raw())
	case document.Number:
		if bytes.Equal(a.Raw(), b.Raw()) {
			return true
		}
		r := w.rule(p, toleranceRule, bothSides)
		return r != nil && r.limit.allows(a.Raw(), b.Raw())
	case document.String:
		return bytes.Equal(textOf(a), textOf(b))
	case document.List:
		return w.sameLists(a, b, p)
	case document.Object:
		return w.sameObjects(a, b, p)
	}
	return true
}

func (w *walker) sameLists(a, b document.Node, p place) bool {
	if a.Len() != b.Len() {
		return false
	}
	if w.rule(p, unorderedRule, bothSides) != nil {
		return w.sameBags(a, b, p)
	}
	x, y := a.First(), b.First()
	for i := range a.Len() {
		if !w.same(x, y, w.element(p, i, i)) {
			return false
		}
		x, y = x.Next(), y.Next()
	}
	return true
}

// sameBags compares two lists whose order means nothing.
func (w *walker) sameBags(a, b document.Node, p place) bool {
	if !w.c.tolerant {
		return w.hash(a, p, baselineSide) == w.hash(b, p, candidateSide)
	}
	nodes, hashes := len(w.lists.nodes), len(w.lists.hashes)
	defer func() { w.lists.nodes, w.lists.hashes = w.lists.nodes[:nodes], w.lists.hashes[:hashes] }()

	as, bs := w.elementsOf(a, baselineSide), w.elementsOf(b, candidateSide)
	looseA, looseB, near := w.joinNear(&alignment{}, as, bs, p, w.hashesOf(as, p), w.hashesOf(bs, p))
	return near && len(looseA)+len(looseB) == 0
}

func (w *walker) sameObjects(a, b document.Node, p place) bool {
	if (a.HasDuplicates() || b.HasDuplicates()) && superseded(a) != superseded(b) {
		return false
	}
	x, y, i, j := a.First(), b.First(), 0, 0
	for i < a.Len() && j < b.Len() && !x.Superseded() && !y.Superseded() && bytes.Equal(x.Name(), y.Name()) {
		if !identical(x, y) && !w.same(x, y, w.key(p, x.Name())) {
			return false
		}
		x, i = x.Next(), i+1
		y, j = y.Next(), j+1
	}
	index := newMemberIndex(rest{y, b.Len() - j})
	for ; i < a.Len(); x, i = x.Next(), i+1 {
		if x.Superseded() {
			continue
		}
		at := w.key(p, x.Name())
		if y, ok := index.take(w, x.Name()); ok && !w.same(x, y, at) || !ok && w.rule(at, optionalRule, baselineSide) == nil {
			return false
		}
	}
	for k, y := range index.nodes {
		if !index.taken[k] && !y.Superseded() && w.rule(w.key(p, y.Name()), optionalRule, candidateSide) == nil {
			return false
		}
	}
	return true
}

// hash gives equal numbers for values between which a walk would find nothing
// that counts, and different ones for others: what rules excuse is left out, and
// the order of members, and that of lists that are declared unordered. Only
// numbers with a tolerance are all alike to it.
func (w *walker) hash(n document.Node, p place, side int) uint64 {
	w.spend(1)
	h := uint64(n.Kind()) + 2
	if w.rule(p, ignoreRule, side) != nil {
		return h // a walk looks closer; another type has another hash
	}
	switch n.Kind() {
	case document.Bool:
		return mix(h, uint64(n.Raw()[0]))
	case document.Number:
		if w.rule(p, toleranceRule, side) != nil {
			return h
		}
		return mix(h, maphash.Bytes(w.c.seed, n.Raw()))
	case document.String:
		return mix(h, maphash.Bytes(w.c.seed, textOf(n)))
	case document.List:
		return w.hashList(n, p, side, h)
	case document.Object:
		var sum uint64 // a sum, because members have no order
		for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
			at := w.key(p, c.Name())
			if c.Superseded() || w.rule(at, optionalRule, side) != nil {
				continue // alike to every value, and to none
			}
			sum += mix(maphash.Bytes(w.c.seed, c.Name()), w.hash(c, at, side))
		}
		return mix(h, sum)
	}
	return h
}

func (w *walker) hashList(n document.Node, p place, side int, h uint64) uint64 {
	loose := w.rule(p, unorderedRule, side) != nil
	for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
		e := w.hash(c, w.elementOf(p, i, side), side)
		if loose {
			h += mix(0, e)
		} else {
			h = mix(h, e)
		}
	}
	return mix(h, uint64(n.Len()))
}

// elementOf is the place of an element that only one side is asked about.
func (w *walker) elementOf(p place, i, side int) place {
	if side == baselineSide {
		return w.element(p, i, -1)
	}
	return w.element(p, -1, i)
}
