package compare

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// walker compares one pair at a time. Its memory is used again.
type walker struct {
	c    *Comparer
	over *overlay
	a, b document.Tree

	path   []segment
	diffs  []found
	counts [2]int // differences that count, and ignored ones
	keyed  []*rule
	visits int
	reason string // why the body could not be judged; "" when it could
	full   bool   // no further difference is wanted

	cover *rule // the rule that excuses the whole of what is being walked
	depth int   // length of the path at which it does

	coverKind result.DiffKind

	lists listMemory
}

// segment is one step of the path at which the walk stands.
type segment struct {
	name []byte // nil for a list element
	hash uint64 // of the whole path up to here
}

// found is a difference with what tells it from others.
type found struct {
	Difference
	hash uint64
}

func (w *walker) begin() {
	w.over = nil
	w.path, w.keyed = w.path[:0], w.keyed[:0]
	clear(w.diffs)
	w.diffs = w.diffs[:0]
	w.counts = [2]int{}
	w.visits, w.reason, w.full = w.c.visits, "", false
	w.cover = nil
}

// release gives the walker back. It must keep nothing of the pair alive.
func (w *walker) release() {
	w.begin()
	clear(w.path[:cap(w.path)])
	w.a.Reset()
	w.b.Reset()
	w.lists.reset()
	w.c.walkers.Put(w)
}

// undecided reports whether document-dependent rules could change the outcome.
func (w *walker) undecided() bool { return w.counts[0] > 0 || w.reason != "" }

// comparison counts the hits of the rules and returns what was found.
func (w *walker) comparison() Comparison {
	out := Comparison{Outcome: result.PairMatched, Reason: w.reason}
	if len(w.diffs) > 0 {
		out.Differences = make([]Difference, len(w.diffs))
	}
	for i := range w.diffs {
		out.Differences[i] = w.diffs[i].Difference
		if by := w.diffs[i].IgnoredBy; by >= 0 {
			w.c.rules[by].hits.Add(1)
		}
	}
	for _, r := range w.keyed {
		r.hits.Add(1)
	}
	switch {
	case w.counts[0] > 0:
		out.Outcome = result.PairMismatched
	case w.reason != "":
		out.Outcome = result.PairInconclusive
	case w.counts[1] > 0:
		out.Outcome = result.PairIgnored
	}
	return out
}

const tooLarge = "the bodies are too large to compare within bounds"

// spend takes n from the work that one pair may cause.
func (w *walker) spend(n int) bool {
	if w.visits -= n; w.visits < 0 && !w.full {
		w.full = true
		w.reason = tooLarge
	}
	return !w.full
}

// push enters the member called name, or a list element when name is nil.
func (w *walker) push(name []byte) {
	k := uint64(0x2545F4914F6CDD1D)
	if name != nil {
		k = maphash.Bytes(w.c.seed, name)
	}
	w.path = append(w.path, segment{name: name, hash: mix(w.hashHere(), k)})
}

// hashHere is the hash of the path at which the walk stands.
func (w *walker) hashHere() uint64 {
	if len(w.path) == 0 {
		return 0x9E3779B97F4A7C15
	}
	return w.path[len(w.path)-1].hash
}

func (w *walker) pop() { w.path = w.path[:len(w.path)-1] }

// mix combines two hashes, in order.
func mix(h, k uint64) uint64 {
	h = (h<<5 | h>>59) ^ k
	h *= 0x9E3779B97F4A7C15
	return h ^ h>>29
}

// differ records a difference at the path where the walk stands, unless it is
// there already. by is the rule that excuses it; nil: it counts. The values are
// made only for a difference that is recorded.
func (w *walker) differ(kind result.DiffKind, by *rule, values func() (baseline, candidate string)) {
	if w.cover != nil {
		rest := w.path
		defer func() { w.path = rest }()
		w.path, by, kind = w.path[:w.depth], w.cover, w.coverKind
	}
	index, side := -1, 0
	if by != nil {
		index, side = by.index, 1
	}
	hash := w.hashHere()
	for i := range w.diffs {
		if d := &w.diffs[i]; d.hash == hash && d.Kind == kind && d.IgnoredBy == index {
			return
		}
	}
	if w.counts[side] >= maxDifferences {
		w.full = w.full || side == 0
		return
	}
	w.counts[side]++
	names := w.c.paths.get(hash, w.path)
	baseline, candidate := values()
	w.diffs = append(w.diffs, found{
		hash: hash,
		Difference: Difference{
			Path: names.path, Keys: names.keys, Kind: kind,
			Baseline: baseline, Candidate: candidate, IgnoredBy: index,
		},
	})
}

// text records a difference between two texts.
func (w *walker) text(kind result.DiffKind, by *rule, baseline, candidate string) {
	w.differ(kind, by, func() (string, string) { return cut(baseline), cut(candidate) })
}

// names is a path in the forms in which differences have it.
type names struct {
	path string
	keys []string
}

// pathCache keeps the names of paths: the same ones come in pair after pair.
type pathCache struct {
	m    sync.Map // path hash -> names
	size atomic.Int32
}

const maxCachedPaths = 4096

func (c *pathCache) get(hash uint64, path []segment) names {
	if n, ok := c.m.Load(hash); ok {
		return n.(names)
	}
	n := namesOf(path)
	if len(n.path) < 512 && c.size.Add(1) <= maxCachedPaths {
		c.m.Store(hash, n)
	}
	return n
}

func namesOf(path []segment) names {
	var p jq.Pattern
	var keys []string
	for _, s := range path {
		if s.name == nil {
			p = append(p, jq.Step{Kind: jq.Iterate})
			continue
		}
		key := cut(string(s.name))
		p = append(p, jq.Step{Kind: jq.Key, Key: key})
		keys = append(keys, key)
	}
	return names{path: p.String(), keys: slices.Clip(keys)}
}

// cut shortens s to what a difference may show, between two characters, and
// makes it valid UTF-8.
func cut(s string) string {
	if len(s) > maxShown {
		end := maxShown
		for end > maxShown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// shown is the JSON of a node, cut.
func shown(n document.Node) string {
	var buf [256]byte
	return cut(string(n.AppendJSON(buf[:0], maxShown)))
}
