package judge

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Noise says what is made of a second answer of the baseline.
//
// A field in which the baseline differs from itself is noisy, and there a
// difference of the candidate counts only if candidate and baseline differ more
// often than the baseline differs from itself: by McNemar's exact test on the
// requests at which only one of the two does, Holm's correction for the number
// of noisy fields included. That is decided for the field, not for the request,
// so no request excuses itself. A field in which the baseline never differs from
// itself is not noisy, and a single difference counts. That finds a fault in one
// request, and it has a price: of equal builds with a field so seldom noisy that
// it is expected about once in a run, about one audit in five fails. A difference
// of another kind counts as well: a noisy value does not excuse a missing one.
// Where only a few requests of an endpoint were sent to the baseline twice, a
// noisy field may pass for a steady one; a gate that would fail by nothing else
// is inconclusive.
type Noise struct {
	Probing    bool    // some pairs are Probed
	Confidence float64 // that a noisy field is not blamed for nothing; 0: DefaultNoiseConfidence
}

// DefaultNoiseConfidence is higher than that of a gate, because what is decided
// here comes before any gate and adds to what can go wrong.
const DefaultNoiseConfidence = 0.99

// ByNoise stands in place of the rule that excuses a difference.
const ByNoise = "noise"

const (
	maxNoiseKeys = 1 << 16 // fields that are told apart; with more, none is excused
	maxPairKeys  = 64      // fields of one pair; a pair with more is not excused
)

// noise collects how often candidate and baseline differ from the baseline.
type noise struct {
	ids     map[fieldKey]uint32
	fields  []field
	sets    names  // lists of fields, as text
	excuses []suit // of pairs that mismatch unless noise excuses all of it
	many    bool   // more than maxNoiseKeys
	probed  int64
	asked   map[string]*probes // by endpoint
	pair    map[uint32]int     // of the pair at hand: 1 the candidate, 2 the baseline, 3 both
}

// probes counts the pairs of an endpoint with two complete responses, and those
// of them that were probed.
type probes struct{ pairs, asked int64 }

type fieldKey struct {
	endpoint, path string
	kind           result.DiffKind
}

// field counts pairs that were probed.
type field struct {
	key         fieldKey
	worse       int64 // only the candidate differs
	better      int64 // only the baseline's second answer does
	both        int64
	differs     int64 // pairs at which the candidate does, probed or not
	unproven    bool  // settled: steady as far as is known, and little is known
	excused     bool  // settled: differences here mean nothing
	significant bool  // settled: noisy, and yet they mean something
	suspect     bool  // settled: they may
}

func (f *field) noisy() bool { return f.better+f.both > 0 }

// suit is a pair whose outcome waits for the verdict on its fields.
type suit struct {
	row int
	set uint32
}

// add takes in pair p, which becomes the row of that number.
func (n *noise) add(p *Pair, row int) {
	if n.pair == nil {
		n.ids, n.pair, n.asked = map[fieldKey]uint32{}, map[uint32]int{}, map[string]*probes{}
	}
	if p.Outcome > result.PairMismatched {
		return // there were no two responses to compare
	}
	clear(n.pair)
	n.ask(p)
	n.mark(p, p.Differences, 1)
	n.count()
	if p.Probed {
		n.probed++
		n.mark(p, p.ProbeDifferences, 2)
		n.tally()
	}
	if p.Outcome == result.PairMismatched {
		n.wait(row)
	}
}

// ask counts a pair at its endpoint.
func (n *noise) ask(p *Pair) {
	a := n.asked[p.Endpoint]
	if a == nil {
		a = &probes{}
		n.asked[strings.Clone(p.Endpoint)] = a
	}
	a.pairs++
	a.asked += one(p.Probed)
}

// mark notes the fields in which an answer differs where it counts.
func (n *noise) mark(p *Pair, differences []Diff, bit int) {
	for i := range differences {
		d := &differences[i]
		if d.IgnoredBy != "" {
			continue
		}
		if id, ok := n.id(fieldKey{p.Endpoint, d.Path, d.Kind}); ok {
			n.pair[id] |= bit
		}
	}
}

func (n *noise) id(key fieldKey) (uint32, bool) {
	if id, ok := n.ids[key]; ok {
		return id, true
	}
	if len(n.fields) == maxNoiseKeys {
		n.many = true
		return 0, false
	}
	key.endpoint, key.path = strings.Clone(key.endpoint), strings.Clone(key.path)
	id := uint32(len(n.fields))
	n.ids[key] = id
	n.fields = append(n.fields, field{key: key})
	return id, true
}

// count counts the fields in which the candidate differs, probed or not.
func (n *noise) count() {
	for id, bits := range n.pair {
		n.fields[id].differs += int64(bits & 1)
	}
}

// tally counts the fields of a probed pair by who differs.
func (n *noise) tally() {
	for id, bits := range n.pair {
		f := &n.fields[id]
		switch bits {
		case 1:
			f.worse++
		case 2:
			f.better++
		default:
			f.both++
		}
	}
}

// wait remembers in which fields a mismatched pair differs.
func (n *noise) wait(row int) {
	var ids []uint32
	for id, bits := range n.pair {
		if bits&1 != 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || len(ids) > maxPairKeys {
		return
	}
	slices.Sort(ids)
	text := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		text = binary.LittleEndian.AppendUint32(text, id)
	}
	n.excuses = append(n.excuses, suit{row, n.sets.id(string(text))})
}

// settle decides which fields are noise, and gives the pairs that waited for it
// their outcome.
func (n *noise) settle(r *rows, confidence float64) {
	n.judge(confidence)
	excused, unproven := make([]bool, n.sets.len()), make([]bool, n.sets.len())
	for i, text := range n.sets.text {
		excused[i] = n.all([]byte(text), func(f *field) bool { return f.excused })
		unproven[i] = n.all([]byte(text), func(f *field) bool { return f.excused || f.unproven })
	}
	for _, s := range n.excuses {
		row := r.at(s.row)
		row.outcome = result.PairMismatched
		row.flags &^= isUnproven
		switch {
		case excused[s.set]:
			row.outcome = result.PairIgnored
		case unproven[s.set]:
			row.flags |= isUnproven
		}
	}
}

// few reports whether so little is known of a field that it may be noisy: there
// were few probes, others of its endpoint were left out, and if it were noisy it
// could well be the candidate alone that showed it.
func (n *noise) few(f *field, confidence float64) bool {
	a := n.asked[f.key.endpoint]
	if f.noisy() || f.differs == 0 || a.asked >= fewestProbes || a.asked == a.pairs {
		return false
	}
	alone := float64(a.pairs) / float64(a.pairs+a.asked)
	return math.Pow(alone, float64(f.differs)) > 1-confidence
}

func (n *noise) judge(confidence float64) {
	if n.many {
		return
	}
	var noisy []*field
	var p []float64
	for i := range n.fields {
		f := &n.fields[i]
		f.unproven = n.few(f, confidence)
		if f.noisy() {
			noisy = append(noisy, f)
			p = append(p, stat.McNemar(float64(f.worse), float64(f.better)))
		}
	}
	holm, listed := stat.Holm(p), stat.BenjaminiHochberg(p)
	for i, f := range noisy {
		f.significant = holm[i] <= 1-confidence
		f.suspect = listed[i] <= 1-confidence && !f.significant
		f.excused = !f.significant
	}
}

// all reports whether something holds for all fields of a set.
func (n *noise) all(set []byte, holds func(*field) bool) bool {
	for ; len(set) > 0; set = set[4:] {
		if !holds(&n.fields[binary.LittleEndian.Uint32(set)]) {
			return false
		}
	}
	return true
}

// excuse reports whether noise excuses differences of this key.
func (n *noise) excuse(key diffKey) bool {
	if key.ignoredBy != "" {
		return false
	}
	id, ok := n.ids[fieldKey{key.endpoint, key.path, key.kind}]
	return ok && n.fields[id].excused
}

// fewestProbes is the number of probes of an endpoint that very likely show a
// field that is noisy in one answer out of twenty.
const fewestProbes = 59

// warnFew says where so few requests were sent to the baseline twice that a
// noisy field may have passed for a steady one.
func (n *noise) warnFew(f *Findings) {
	few := map[string]bool{}
	for i := range n.fields {
		if x := &n.fields[i]; x.unproven {
			few[x.key.endpoint] = true
		}
	}
	for _, endpoint := range slices.Sorted(maps.Keys(few)) {
		asked := n.asked[endpoint].asked
		f.warn(fmt.Sprintf("the baseline was asked again at only %s of %s, where the candidate differs: a field that is noisy in less than %s of the answers may not have shown it",
			result.Plural(asked, "request"), endpoint, result.FormatShare(stat.ShareBounds(0, float64(asked), DefaultConfidence).Upper, result.Digits)))
	}
}

// annotate says what the probe found out, the clearest first.
func (n *noise) annotate(f *Findings) {
	const most = 5
	n.warnFew(f)
	if n.many {
		f.warn(fmt.Sprintf("the responses differ at more than %s places, and so none is taken for noise: ignore what has data in its keys", result.FormatCount(maxNoiseKeys)))
	}
	for _, c := range []struct {
		text string
		has  func(*field) bool
	}{
		{"differs more often than the baseline does from itself", func(x *field) bool { return x.significant }},
		{"is noisy, and may yet differ more often than it should", func(x *field) bool { return x.suspect }},
	} {
		var found []*field
		for i := range n.fields {
			if x := &n.fields[i]; c.has(x) {
				found = append(found, x)
			}
		}
		slices.SortFunc(found, func(a, b *field) int {
			return cmp.Or(cmp.Compare(b.worse-b.better, a.worse-a.better), strings.Compare(a.key.endpoint, b.key.endpoint),
				strings.Compare(a.key.path, b.key.path), cmp.Compare(a.key.kind, b.key.kind))
		})
		for _, x := range found[:min(len(found), most)] {
			f.Notes = append(f.Notes, result.Note{Severity: "info", Text: fmt.Sprintf("%s %s (%s) %s: the candidate alone in %s, the baseline alone in %s of %s asked twice",
				x.key.endpoint, x.key.path, x.key.kind, c.text,
				result.FormatCount(x.worse), result.FormatCount(x.better), result.Plural(n.probed, "request"))})
		}
	}
}
