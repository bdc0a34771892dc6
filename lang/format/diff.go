package format

import (
	"bytes"
	"fmt"
	"sort"
)

// context is the number of unchanged lines around a change.
const context = 3

// Diff gives what changes between two texts as a unified diff, and nothing for
// equal texts. Lines that stand once in both texts hold it together, so that
// it takes n log n steps and not the square that the shortest diff can cost.
func Diff(oldName, newName string, before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return nil
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	a, b := lineList(before), lineList(after)
	for _, h := range hunks(changes(a, b), len(a)) {
		h.write(&out, a, b)
	}
	return out.Bytes()
}

func lineList(text []byte) []string {
	var lines []string
	for l := range bytes.Lines(text) {
		lines = append(lines, string(l))
	}
	return lines
}

// change says that the lines a[a0:a1] become b[b0:b1].
type change struct{ a0, a1, b0, b1 int }

// changes lists how a becomes b, in order and with unchanged lines between any
// two.
func changes(a, b []string) []change {
	var out []change
	add := func(c change) {
		// Equal lines at the ends of a change are no part of it.
		for c.a0 < c.a1 && c.b0 < c.b1 && a[c.a0] == b[c.b0] {
			c.a0, c.b0 = c.a0+1, c.b0+1
		}
		for c.a0 < c.a1 && c.b0 < c.b1 && a[c.a1-1] == b[c.b1-1] {
			c.a1, c.b1 = c.a1-1, c.b1-1
		}
		if c.a0 < c.a1 || c.b0 < c.b1 {
			out = append(out, c)
		}
	}
	next := change{}
	for _, m := range append(anchors(a, b), match{len(a), len(b)}) {
		if m.a < next.a0 || m.b < next.b0 {
			continue // already part of the stretch around an earlier anchor
		}
		start, end := m, m
		for start.a > next.a0 && start.b > next.b0 && a[start.a-1] == b[start.b-1] {
			start.a, start.b = start.a-1, start.b-1
		}
		for end.a < len(a) && end.b < len(b) && a[end.a] == b[end.b] {
			end.a, end.b = end.a+1, end.b+1
		}
		next.a1, next.b1 = start.a, start.b
		add(next)
		next = change{a0: end.a, b0: end.b}
	}
	return out
}

// match pairs a line of one text with a line of the other.
type match struct{ a, b int }

// anchors pairs lines that stand exactly once in each text: the longest
// series of them that has the same order in both.
func anchors(a, b []string) []match {
	type place struct{ inA, inB, at int } // how often in each, and where in b
	places := map[string]*place{}
	for _, l := range a {
		p := places[l]
		if p == nil {
			p = &place{}
			places[l] = p
		}
		p.inA++
	}
	for i, l := range b {
		if p := places[l]; p != nil {
			p.inB++
			p.at = i
		}
	}
	var once []match
	for i, l := range a {
		if p := places[l]; p.inA == 1 && p.inB == 1 {
			once = append(once, match{i, p.at})
		}
	}
	return rising(once)
}

// rising gives the longest series of matches whose places in b rise, by
// patience sorting: piles keep the smallest end that a series of each length
// can have.
func rising(all []match) []match {
	var piles []int // index into all
	before := make([]int, len(all))
	for i, m := range all {
		n := sort.Search(len(piles), func(k int) bool { return all[piles[k]].b >= m.b })
		before[i] = -1
		if n > 0 {
			before[i] = piles[n-1]
		}
		if n == len(piles) {
			piles = append(piles, i)
		} else {
			piles[n] = i
		}
	}
	out := make([]match, len(piles))
	if len(piles) == 0 {
		return out
	}
	for n, i := len(piles)-1, piles[len(piles)-1]; n >= 0; n, i = n-1, before[i] {
		out[n] = all[i]
	}
	return out
}

// hunk is a group of changes that are shown together, with lines around them.
type hunk struct {
	changes        []change
	a0, a1, b0, b1 int // with context
}

func hunks(all []change, lenA int) []hunk {
	var out []hunk
	for _, c := range all {
		if n := len(out); n > 0 && c.a0-context <= out[n-1].a1 {
			h := &out[n-1]
			h.changes = append(h.changes, c)
			h.extend(c, lenA)
			continue
		}
		lead := min(context, c.a0)
		h := hunk{changes: []change{c}, a0: c.a0 - lead, b0: c.b0 - lead}
		h.extend(c, lenA)
		out = append(out, h)
	}
	return out
}

// extend moves the end of h behind c.
func (h *hunk) extend(c change, lenA int) {
	tail := min(context, lenA-c.a1)
	h.a1, h.b1 = c.a1+tail, c.b1+tail
}

func (h hunk) write(out *bytes.Buffer, a, b []string) {
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(h.a0, h.a1), span(h.b0, h.b1))
	at := h.a0
	for _, c := range h.changes {
		writeLines(out, ' ', a[at:c.a0])
		writeLines(out, '-', a[c.a0:c.a1])
		writeLines(out, '+', b[c.b0:c.b1])
		at = c.a1
	}
	writeLines(out, ' ', a[at:h.a1])
}

// span writes a range of lines as unified diffs do: an empty one is named by
// the line before it, and a length of 1 is left out.
func span(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func writeLines(out *bytes.Buffer, mark byte, lines []string) {
	for _, l := range lines {
		out.WriteByte(mark)
		out.WriteString(l)
		if l[len(l)-1] != '\n' {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
