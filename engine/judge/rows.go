package judge

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// row is what the judge keeps of a pair.
type row struct {
	baselineLatency  int64 // ns; 0: none
	candidateLatency int64
	endpoint         uint32
	cohorts          uint32
	seq              uint32 // place in the traffic; the last number stands for all beyond it
	session          uint32 // 0: unknown
	baselineStatus   uint16
	candidateStatus  uint16
	baselineFailure  uint8 // 0: the response is complete
	candidateFailure uint8
	outcome          result.Outcome
	flags            flags
}

// flags are what else is known of a pair.
type flags uint8

const (
	isWarm     flags = 1 << iota // sent too early for its latency to count
	isUnproven                   // mismatched, unless its fields are noisy after all
)

// rows grows in pieces, so that growth copies nothing.
type rows struct {
	pieces [][]row
	count  int
}

const pieceLen = 4096

func (r *rows) add(x row) {
	if r.count%pieceLen == 0 {
		r.pieces = append(r.pieces, make([]row, 0, pieceLen))
	}
	last := &r.pieces[len(r.pieces)-1]
	*last = append(*last, x)
	r.count++
}

func (r *rows) all() iter.Seq[*row] {
	return func(yield func(*row) bool) {
		for _, piece := range r.pieces {
			for i := range piece {
				if !yield(&piece[i]) {
					return
				}
			}
		}
	}
}

// cluster numbers the session of the row with place i in the traffic. A pair
// of which no session is known stands for itself.
func (r *row) cluster(i int) uint32 {
	if r.session == 0 {
		return 1<<31 | uint32(i)
	}
	return r.session
}

// bySeq gives the rows in the order of the traffic.
func (r *rows) bySeq() []*row {
	ordered := make([]*row, 0, r.count)
	for x := range r.all() {
		ordered = append(ordered, x)
	}
	slices.SortFunc(ordered, func(a, b *row) int { return cmp.Compare(a.seq, b.seq) })
	return ordered
}

// at gives the row that was added as number i.
func (r *rows) at(i int) *row { return &r.pieces[i/pieceLen][i%pieceLen] }

// names gives texts small numbers. The numbers depend on the order of arrival,
// so nothing may be sorted by them.
type names struct {
	ids  map[string]uint32
	text []string
}

func (n *names) id(s string) uint32 {
	if id, ok := n.ids[s]; ok {
		return id
	}
	if n.ids == nil {
		n.ids = map[string]uint32{}
	}
	s = strings.Clone(s) // it may be part of something large
	id := uint32(len(n.text))
	n.ids[s] = id
	n.text = append(n.text, s)
	return id
}

func (n *names) has(s string) bool { _, ok := n.ids[s]; return ok }
func (n *names) len() int          { return len(n.text) }

// joined writes n values as one text that split takes apart again. Values that
// are missing are empty.
func joined(values []string, n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		if len(values) > 0 {
			return values[0]
		}
		return ""
	}
	var b strings.Builder
	for i := range n {
		v := ""
		if i < len(values) {
			v = values[i]
		}
		b.WriteString(strconv.Itoa(len(v)))
		b.WriteByte(':')
		b.WriteString(v)
	}
	return b.String()
}

// split is the inverse of joined.
func split(text string, n int) []string {
	switch n {
	case 0:
		return nil
	case 1:
		return []string{text}
	}
	values := make([]string, n)
	for i := range values {
		length, rest, _ := strings.Cut(text, ":")
		size, _ := strconv.Atoi(length)
		values[i], text = rest[:size], rest[size:]
	}
	return values
}
