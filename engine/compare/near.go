package compare

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/shadowaudit/shadowaudit/engine/document"
)

// maxNear bounds how many elements are tried for one in which several numbers
// have a tolerance.
const maxNear = 256

// alike are the elements of two lists that are the same but for numbers that
// have a tolerance.
type alike struct{ as, bs []int }

// joinNear joins the elements that are the same, wherever they stand, where
// numbers inside them may have a tolerance. Elements that are alike are joined
// so that as many as possible are within it; those that are not are joined as
// well, in the order of their numbers, and near is false.
func (w *walker) joinNear(al *alignment, as, bs elements, p place, ha, hb []uint64) (looseA, looseB []int, near bool) {
	groups := make(map[uint64]*alike, len(ha))
	var order []*alike
	find := func(h uint64) *alike {
		g := groups[h]
		if g == nil {
			g = &alike{}
			groups[h], order = g, append(order, g)
		}
		return g
	}
	for i, h := range ha {
		g := find(h)
		g.as = append(g.as, i)
	}
	for j, h := range hb {
		g := find(h)
		g.bs = append(g.bs, j)
	}
	near = true
	for _, g := range order {
		if len(g.as) > 0 && len(g.bs) > 0 {
			near = w.joinAlike(al, as, bs, p, g) && near
		}
		looseA, looseB = append(looseA, g.as...), append(looseB, g.bs...)
	}
	slices.Sort(looseA)
	slices.Sort(looseB)
	slices.SortFunc(al.pairs, func(x, y [2]int) int { return x[0] - y[0] })
	return looseA, looseB, near
}

// joinAlike joins the elements of a group, and leaves in it those that one side
// has too many of. It reports whether all that it joined are within tolerance.
func (w *walker) joinAlike(al *alignment, as, bs elements, p place, g *alike) bool {
	xs, ys := w.byNumbers(as, g.as, p), w.byNumbers(bs, g.bs, p)
	var far []int // baseline positions
	joined := make([]bool, len(ys))
	first := 0 // all before it are joined, or too small for what is left
	for _, x := range xs {
		k := w.nearest(as, bs, p, x, ys, joined, &first)
		if k < 0 {
			far = append(far, x.at)
			continue
		}
		joined[k] = true
		al.pairs = append(al.pairs, [2]int{x.at, ys[k].at})
	}
	var others []int
	for k, y := range ys {
		if !joined[k] {
			others = append(others, y.at)
		}
	}
	n := min(len(far), len(others))
	for i := range n {
		al.pairs = append(al.pairs, [2]int{far[i], others[i]})
	}
	g.as, g.bs = far[n:], others[n:]
	return n == 0
}

// nearest finds the first element of ys from *first on that is the same as x,
// within tolerance; -1 when there is none. For elements with one number, in
// rising order on both sides, that joins as many as can be joined: what is too
// small for x is too small for all that follow it.
func (w *walker) nearest(as, bs elements, p place, x numbered, ys []numbered, joined []bool, first *int) int {
	for *first < len(ys) && joined[*first] {
		*first++
	}
	for k, tried := *first, 0; k < len(ys) && tried < maxNear && !w.full; k++ {
		if joined[k] {
			continue
		}
		y := ys[k]
		if w.same(as.nodes[x.at], bs.nodes[y.at], w.element(p, x.at, y.at)) {
			return k
		}
		switch {
		case len(x.values) != 1 || len(y.values) != 1:
			tried++
		case y.values[0] > x.values[0]:
			return -1
		case k == *first:
			*first++
		}
	}
	return -1
}

// numbered is an element, by its position, with the numbers in it that have a
// tolerance.
type numbered struct {
	at     int
	values []float64
}

// byNumbers sorts elements that are alike by their numbers. float64 is exact
// enough for that: it decides only in which order elements are tried.
func (w *walker) byNumbers(es elements, positions []int, p place) []numbered {
	out := make([]numbered, len(positions))
	for k, i := range positions {
		out[k].at = i
		out[k].values = w.numbersIn(nil, es.nodes[i], w.elementOf(p, i, es.side), es.side)
	}
	slices.SortStableFunc(out, func(a, b numbered) int { return slices.Compare(a.values, b.values) })
	return out
}

// numbersIn appends the numbers in n that have a tolerance. Their order depends
// neither on that of members nor on that of lists whose order means nothing.
func (w *walker) numbersIn(dst []float64, n document.Node, p place, side int) []float64 {
	if !w.spend(1) || w.rule(p, ignoreRule, side) != nil {
		return dst
	}
	start := len(dst)
	switch n.Kind() {
	case document.Number:
		if w.rule(p, toleranceRule, side) != nil {
			v, _ := strconv.ParseFloat(string(n.Raw()), 64) // infinite when it is out of range
			dst = append(dst, v)
		}
	case document.List:
		for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
			dst = w.numbersIn(dst, c, w.elementOf(p, i, side), side)
		}
		if w.rule(p, unorderedRule, side) != nil {
			slices.Sort(dst[start:])
		}
	case document.Object:
		for _, c := range membersByName(n) {
			dst = w.numbersIn(dst, c, w.key(p, c.Name()), side)
		}
	}
	return dst
}

// membersByName lists the members of an object that count, by name.
func membersByName(n document.Node) []document.Node {
	out := make([]document.Node, 0, n.Len())
	for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
		if !c.Superseded() {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b document.Node) int { return bytes.Compare(a.Name(), b.Name()) })
	return out
}
