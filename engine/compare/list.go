package compare

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Elements of two lists are brought together in the most telling way that is
// affordable:
//
//   - by a declared key, or by an evident one: a member that names its element;
//   - as a bag, where the order is declared to mean nothing;
//   - otherwise as a sequence, by the shortest edit script.
//
// Elements that belong together are then compared. Elements that are the same
// on both sides but stand elsewhere give one difference of kind order for the
// list, and elements that are left over are missing or extra.

// evidentKeys are the members by which elements are told apart when no rule
// says how, in the order in which they are tried.
var evidentKeys = [][]byte{[]byte("id"), []byte("uuid"), []byte("key"), []byte("sku"), []byte("name"), []byte("code")}

const (
	maxEdits = 200 // length of an edit script that is searched for
	maxAlike = 32  // elements of a bag that are searched for the most similar one
)

// listMemory is memory of lists that is used again. Nested lists stack up in
// it.
type listMemory struct {
	nodes  []document.Node
	hashes []uint64
}

// reset gives back what is too much to keep. Nodes point to the walker's own
// trees, so they hold nothing of a pair.
func (m *listMemory) reset() {
	const keep = 1 << 14
	if m.nodes, m.hashes = m.nodes[:0], m.hashes[:0]; cap(m.nodes) > keep {
		*m = listMemory{}
	}
}

// elements are the elements of one list.
type elements struct {
	nodes []document.Node
	side  int
}

// elementsOf lists the elements of n.
func (w *walker) elementsOf(n document.Node, side int) elements {
	base := len(w.lists.nodes)
	for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
		w.lists.nodes = append(w.lists.nodes, c)
	}
	return elements{nodes: w.lists.nodes[base:len(w.lists.nodes):len(w.lists.nodes)], side: side}
}

// hashesOf hashes the elements of es.
func (w *walker) hashesOf(es elements, p place) []uint64 {
	base := len(w.lists.hashes)
	for i, n := range es.nodes {
		w.lists.hashes = append(w.lists.hashes, w.hash(n, w.elementOf(p, i, es.side), es.side))
	}
	return w.lists.hashes[base:len(w.lists.hashes):len(w.lists.hashes)]
}

// alignment says which elements of two lists belong together.
type alignment struct {
	pairs   [][2]int // baseline position, candidate position
	missing []int    // baseline positions
	extra   []int    // candidate positions
	moved   bool     // some of the same elements stand in another order
	gaveUp  bool     // too many edits: what is left over is told by the length alone
	keys    [2][][]byte
}

// listPair compares two lists.
func (w *walker) listPair(a, b document.Node, p place) {
	nodes, hashes := len(w.lists.nodes), len(w.lists.hashes)
	defer func() { w.lists.nodes, w.lists.hashes = w.lists.nodes[:nodes], w.lists.hashes[:hashes] }()

	as, bs := w.elementsOf(a, baselineSide), w.elementsOf(b, candidateSide)
	unordered, keyed := w.rule(p, unorderedRule, bothSides), w.rule(p, keyedRule, bothSides)
	if keyed == nil && w.sameInPlace(as, bs, p) {
		for i := range as.nodes {
			w.elementPair(as.nodes[i], bs.nodes[i], w.element(p, i, i))
		}
		return
	}
	al := w.align(as, bs, p, unordered != nil, keyed)
	if w.full {
		return
	}
	if al.moved {
		w.differ(result.KindOrder, unordered, func() (string, string) {
			if al.keys[0] != nil {
				return keyList(al.keys[0]), keyList(al.keys[1])
			}
			return shown(a), shown(b)
		})
	}
	slices.SortFunc(al.pairs, func(x, y [2]int) int { return x[0] - y[0] })
	for _, x := range al.pairs {
		w.elementPair(as.nodes[x[0]], bs.nodes[x[1]], w.element(p, x[0], x[1]))
	}
	if al.gaveUp && len(as.nodes) != len(bs.nodes) {
		w.text(result.KindLength, nil, strconv.Itoa(len(as.nodes)), strconv.Itoa(len(bs.nodes)))
		return
	}
	w.push(nil)
	defer w.pop()
	for _, i := range al.missing {
		w.alone(as.nodes[i], w.element(p, i, -1), baselineSide)
	}
	for _, j := range al.extra {
		w.alone(bs.nodes[j], w.element(p, -1, j), candidateSide)
	}
}

func (w *walker) elementPair(a, b document.Node, p place) {
	if identical(a, b) {
		return
	}
	w.push(nil)
	w.pair(a, b, p)
	w.pop()
}

// sameInPlace reports whether the elements are the same, position by position.
func (w *walker) sameInPlace(as, bs elements, p place) bool {
	if len(as.nodes) != len(bs.nodes) {
		return false
	}
	for i := range as.nodes {
		if !w.same(as.nodes[i], bs.nodes[i], w.element(p, i, i)) {
			return false
		}
	}
	return true
}

// align finds the elements that belong together.
func (w *walker) align(as, bs elements, p place, unordered bool, keyed *rule) *alignment {
	if keyed != nil {
		if al := w.byKey(as, bs, []byte(keyed.key), p); al != nil {
			w.keyed = append(w.keyed, keyed)
			return al
		}
	}
	for _, key := range evidentKeys {
		if w.evident(as, bs, key, p) {
			if al := w.byKey(as, bs, key, p); al != nil {
				return al
			}
		}
	}
	ha, hb := w.hashesOf(as, p), w.hashesOf(bs, p)
	if unordered {
		return w.asBag(as, bs, p, ha, hb)
	}
	return w.asSequence(ha, hb)
}

// keyOf returns the literal of an element's key; nil when it has none that
// could tell it apart.
func keyOf(n document.Node, key []byte) []byte {
	m, ok := n.Member(key)
	if !ok || m.Kind() != document.String && m.Kind() != document.Number {
		return nil
	}
	if raw := m.Raw(); raw != nil {
		return raw
	}
	return m.AppendJSON(nil, maxShown)
}

// evident reports whether key tells the elements of both lists apart: every one
// has it, no two share it, and half of the shorter list is known to the other
// side. A key that a rule excuses tells nothing.
func (w *walker) evident(as, bs elements, key []byte, p place) bool {
	if len(as.nodes) == 0 || len(bs.nodes) == 0 || keyOf(as.nodes[0], key) == nil || keyOf(bs.nodes[0], key) == nil {
		return false
	}
	if w.rule(w.key(w.element(p, 0, 0), key), ignoreRule, bothSides) != nil {
		return false
	}
	seen := map[string]int{}
	common := 0
	for side, es := range []elements{as, bs} {
		for _, n := range es.nodes {
			k := keyOf(n, key)
			if k == nil || !w.spend(1) {
				return false
			}
			before := seen[string(k)]
			if before&(1<<side) != 0 {
				return false
			}
			if before != 0 {
				common++
			}
			seen[string(k)] = before | 1<<side
		}
	}
	return common*2 >= min(len(as.nodes), len(bs.nodes))
}

// byKey joins elements that have the same key. Elements without one, or with
// one that is not unique on their side, are joined in order. It returns nil
// when no element has a key.
func (w *walker) byKey(as, bs elements, key []byte, p place) *alignment {
	known := uniqueKeys(bs, key)
	mine := uniqueKeys(as, key)
	if len(known) == 0 && len(mine) == 0 {
		return nil
	}
	al := &alignment{}
	taken := make([]bool, len(bs.nodes))
	last := -1
	var looseA, looseB []int
	for i, n := range as.nodes {
		k := keyOf(n, key)
		if at, ok := mine[string(k)]; k == nil || !ok || at < 0 {
			looseA = append(looseA, i)
			continue
		}
		j, ok := known[string(k)]
		if !ok || j < 0 {
			al.missing = append(al.missing, i)
			continue
		}
		taken[j] = true
		al.moved = al.moved || j < last
		last = j
		al.pairs = append(al.pairs, [2]int{i, j})
	}
	for j, n := range bs.nodes {
		if taken[j] {
			continue
		}
		k := keyOf(n, key)
		if at, ok := known[string(k)]; k == nil || !ok || at < 0 {
			looseB = append(looseB, j)
			continue
		}
		al.extra = append(al.extra, j)
	}
	if al.moved {
		al.keys = [2][][]byte{keysOf(as, key), keysOf(bs, key)}
	}
	al.inOrder(looseA, looseB)
	return al
}

// uniqueKeys maps keys to positions, -1 for keys that come again.
func uniqueKeys(es elements, key []byte) map[string]int {
	out := make(map[string]int, len(es.nodes))
	for i, n := range es.nodes {
		k := keyOf(n, key)
		if k == nil {
			continue
		}
		if _, ok := out[string(k)]; ok {
			i = -1
		}
		out[string(k)] = i
	}
	return out
}

func keysOf(es elements, key []byte) [][]byte {
	out := make([][]byte, 0, len(es.nodes))
	for _, n := range es.nodes {
		out = append(out, keyOf(n, key))
	}
	return out
}

// keyList shows the keys of a list in their order.
func keyList(keys [][]byte) string {
	out := []byte{'['}
	for i, k := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		if k == nil {
			k = []byte("null")
		}
		if out = append(out, k...); len(out) > maxShown {
			break
		}
	}
	return cut(string(append(out, ']')))
}

// inOrder joins what is left over position by position.
func (al *alignment) inOrder(as, bs []int) {
	n := min(len(as), len(bs))
	for i := range n {
		al.pairs = append(al.pairs, [2]int{as[i], bs[i]})
	}
	al.missing = append(al.missing, as[n:]...)
	al.extra = append(al.extra, bs[n:]...)
}

// asBag joins elements that are the same, wherever they stand, and then objects
// and lists that are alike.
func (w *walker) asBag(as, bs elements, p place, ha, hb []uint64) *alignment {
	al := &alignment{}
	var looseA, looseB []int
	if w.c.tolerant {
		looseA, looseB, _ = w.joinNear(al, as, bs, p, ha, hb)
	} else {
		looseA, looseB = al.joinSame(positions(len(ha)), positions(len(hb)), ha, hb)
	}
	al.moved = outOfOrder(al.pairs)
	taken := make([]bool, len(looseB))
	var alone []int
	for _, i := range looseA {
		best, score := -1, 0
		for k := 0; k < min(len(looseB), maxAlike); k++ {
			if taken[k] || !w.spend(1) {
				continue
			}
			if s := likeness(as.nodes[i], bs.nodes[looseB[k]]); s > score {
				best, score = k, s
			}
		}
		if best < 0 {
			alone = append(alone, i)
			continue
		}
		taken[best] = true
		al.pairs = append(al.pairs, [2]int{i, looseB[best]})
	}
	al.missing = append(al.missing, alone...)
	for k, j := range looseB {
		if !taken[k] {
			al.extra = append(al.extra, j)
		}
	}
	return al
}

// likeness counts what two containers have in common; scalars have nothing.
func likeness(a, b document.Node) int {
	if a.Kind() != b.Kind() || a.Kind() != document.Object {
		return 0
	}
	score := 0
	for c, i := a.First(), 0; i < min(a.Len(), maxAlike); c, i = c.Next(), i+1 {
		if d, ok := b.Member(c.Name()); ok {
			score++
			if c.Kind() == d.Kind() && bytes.Equal(c.Raw(), d.Raw()) && bytes.Equal(c.Text(), d.Text()) {
				score += maxAlike
			}
		}
	}
	return score
}

func positions(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func outOfOrder(pairs [][2]int) bool {
	for i := 1; i < len(pairs); i++ {
		if pairs[i][1] < pairs[i-1][1] {
			return true
		}
	}
	return false
}

// joinSame joins the elements among as and bs that have the same hash, first
// with first, and returns the others.
func (al *alignment) joinSame(as, bs []int, ha, hb []uint64) (looseA, looseB []int) {
	if len(as) == 0 || len(bs) == 0 {
		return as, bs
	}
	at := make(map[uint64][]int, len(bs))
	for _, j := range bs {
		at[hb[j]] = append(at[hb[j]], j)
	}
	taken := make(map[int]bool, len(bs))
	for _, i := range as {
		js := at[ha[i]]
		if len(js) == 0 {
			looseA = append(looseA, i)
			continue
		}
		at[ha[i]] = js[1:]
		taken[js[0]] = true
		al.pairs = append(al.pairs, [2]int{i, js[0]})
	}
	for _, j := range bs {
		if !taken[j] {
			looseB = append(looseB, j)
		}
	}
	return looseA, looseB
}

// asSequence joins elements by the shortest edit script. Elements that the
// script takes out at one place and puts in at another have moved; the others
// between two joined elements are joined in order.
func (w *walker) asSequence(ha, hb []uint64) *alignment {
	al := &alignment{}
	from, endA, endB := 0, len(ha), len(hb)
	for from < endA && from < endB && ha[from] == hb[from] {
		from++
	}
	for endA > from && endB > from && ha[endA-1] == hb[endB-1] {
		endA--
		endB--
	}
	kept, ok := w.editScript(ha[from:endA], hb[from:endB])
	al.gaveUp = !ok

	for i := range from {
		al.pairs = append(al.pairs, [2]int{i, i})
	}
	gapOf := [2]map[int]int{{}, {}} // left over position -> number of the gap that it is in
	var looseA, looseB []int
	i, j := from, from
	for gap := 0; gap <= len(kept); gap++ {
		toA, toB := endA, endB
		if gap < len(kept) {
			toA, toB = from+kept[gap][0], from+kept[gap][1]
		}
		for ; i < toA; i++ {
			looseA, gapOf[0][i] = append(looseA, i), gap
		}
		for ; j < toB; j++ {
			looseB, gapOf[1][j] = append(looseB, j), gap
		}
		if gap < len(kept) {
			al.pairs = append(al.pairs, [2]int{i, j})
			i, j = i+1, j+1
		}
	}
	for k := 0; endA+k < len(ha); k++ {
		al.pairs = append(al.pairs, [2]int{endA + k, endB + k})
	}
	before := len(al.pairs)
	looseA, looseB = al.joinSame(looseA, looseB, ha, hb)
	al.moved = len(al.pairs) > before && (ok || outOfOrder(al.pairs[before:]))
	al.byGap(looseA, looseB, gapOf)
	return al
}

// byGap joins in order what is left over in the same gap.
func (al *alignment) byGap(as, bs []int, gapOf [2]map[int]int) {
	for len(as) > 0 || len(bs) > 0 {
		gap := -1
		for side, s := range [2][]int{as, bs} {
			if len(s) > 0 && (gap < 0 || gapOf[side][s[0]] < gap) {
				gap = gapOf[side][s[0]]
			}
		}
		x, y := 0, 0
		for x < len(as) && gapOf[0][as[x]] == gap {
			x++
		}
		for y < len(bs) && gapOf[1][bs[y]] == gap {
			y++
		}
		al.inOrder(as[:x], bs[:y])
		as, bs = as[x:], bs[y:]
	}
}

// editScript returns the positions that the shortest edit script from a to b
// keeps, by the greedy algorithm of Myers (An O(ND) Difference Algorithm and
// Its Variations, 1986). It is false when the script has more than maxEdits
// edits.
func (w *walker) editScript(a, b []uint64) (kept [][2]int, ok bool) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return nil, true
	}
	bound := min(n+m, maxEdits)
	// reach[bound+1+k] is how far down a the scripts on diagonal k have come.
	reach := make([]int, 2*bound+3)
	var trace [][]int
	for d := 0; d <= bound; d++ {
		if !w.spend(d + 1) {
			return nil, false
		}
		trace = append(trace, append([]int(nil), reach[bound-d:bound+d+3]...))
		for k := -d; k <= d; k += 2 {
			x := 0
			if at := bound + 1 + k; k == -d || k != d && reach[at-1] < reach[at+1] {
				x = reach[at+1]
			} else {
				x = reach[at-1] + 1
			}
			y := x - k
			for x < n && y < m && a[x] == b[y] {
				x, y = x+1, y+1
			}
			reach[bound+1+k] = x
			if x >= n && y >= m {
				return backtrack(trace, n, m), true
			}
		}
	}
	return nil, false
}

// backtrack walks from the end of both sequences to their start and collects
// what was kept. trace[d] holds the reach before round d, for the diagonals
// from -d-1 to d+1.
func backtrack(trace [][]int, x, y int) [][2]int {
	var kept [][2]int
	for d := len(trace) - 1; d >= 0; d-- {
		before := func(k int) int { return trace[d][k+d+1] }
		k := x - y
		from := k - 1
		if k == -d || k != d && before(k-1) < before(k+1) {
			from = k + 1
		}
		px := before(from)
		py := px - from
		if d == 0 {
			px, py = 0, 0
		}
		for x > px && y > py {
			x, y = x-1, y-1
			kept = append(kept, [2]int{x, y})
		}
		x, y = px, py
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	return kept
}
