package judge

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

const (
	maxListed  = 1000 // differences in Findings
	maxTracked = 8192 // differences kept while pairs arrive; up to twice as many between two clean-ups
	maxRepros  = 256  // differences whose example can be seen again, for that takes up to 32 KiB of each
	maxShown   = 240  // bytes of a value in Findings
)

// Fingerprint names a difference in a way that is stable from run to run:
// "1:" and the first 16 hex digits of the SHA-256 of endpoint, path and kind,
// each preceded by its length in bytes as a 32-bit big-endian number. The 1 is
// the version of this recipe.
func Fingerprint(endpoint, path string, kind result.DiffKind) string {
	var b []byte
	for _, s := range []string{endpoint, path, string(kind)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return "1:" + hex.EncodeToString(sum[:8])
}

// differences sums differences over pairs. Responses with data in their keys
// can differ at any number of paths, so only maxTracked are kept: those that
// come first in the order of compareKeys. That order looks at nothing but the
// key. A key that is turned away stands behind maxTracked others, which never
// changes for the better; so what is left in the end is the same for every
// order of arrival, and its counts are complete.
type differences struct {
	groups map[diffKey]*diffGroup
	last   *diffKey             // nothing behind it is tracked any more
	seen   map[diffKey]struct{} // of the pair at hand
	count  int64                // differences of all pairs
	repros int                  // groups whose example can be seen again
}

type diffKey struct {
	endpoint, path string
	kind           result.DiffKind
	ignoredBy      string
}

// clone lets go of whatever the texts are part of.
func (k diffKey) clone() diffKey {
	k.endpoint, k.path = strings.Clone(k.endpoint), strings.Clone(k.path)
	return k
}

type diffGroup struct {
	pairs               int64
	seq                 int64  // of the example
	which               uint64 // sum over the pairs; groups with the same pairs have the same
	from, to            string // classes of the values of the example
	baseline, candidate string
	example             result.Example
}

// compareKeys puts differences that count before those that a rule excuses,
// and short paths before long ones: a path with data in its keys is long.
func compareKeys(a, b diffKey) int {
	return cmp.Or(
		compareBool(a.ignoredBy != "", b.ignoredBy != ""),
		cmp.Compare(len(a.path), len(b.path)),
		strings.Compare(a.path, b.path),
		strings.Compare(a.endpoint, b.endpoint),
		cmp.Compare(a.kind, b.kind),
		strings.Compare(a.ignoredBy, b.ignoredBy),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (d *differences) add(p *Pair) {
	if len(p.Differences) == 0 {
		return
	}
	if d.groups == nil {
		d.groups, d.seen = map[diffKey]*diffGroup{}, map[diffKey]struct{}{}
	}
	clear(d.seen)
	for i, diff := range p.Differences {
		key := diffKey{p.Endpoint, diff.Path, diff.Kind, diff.IgnoredBy}
		if _, dup := d.seen[key]; dup {
			continue
		}
		d.seen[key] = struct{}{}
		d.count++
		d.addOne(p, i, key)
	}
	if len(d.groups) > 2*maxTracked {
		d.trim()
	}
	if d.repros > 2*maxRepros {
		d.trimRepros()
	}
}

func (d *differences) addOne(p *Pair, i int, key diffKey) {
	g := d.groups[key]
	if g == nil {
		if d.last != nil && compareKeys(key, *d.last) > 0 {
			return
		}
		g = &diffGroup{seq: p.Seq + 1}
		d.groups[key.clone()] = g
	}
	g.pairs++
	g.which += number(p.Seq)
	if p.Seq >= g.seq {
		return
	}
	g.seq = p.Seq
	g.from, g.to = p.Differences[i].From, p.Differences[i].To
	had := g.example.Repro != nil
	g.example = result.Example{Seq: p.Seq}
	if p.Example != nil {
		g.example = p.Example()
	}
	if key.ignoredBy != "" {
		g.example.Repro = nil // what does not count is not looked into
	}
	d.repros += int(one(g.example.Repro != nil) - one(had))
	if p.Values != nil {
		baseline, candidate := p.Values(i)
		g.baseline, g.candidate = cut(baseline), cut(candidate)
	}
}

// trim keeps the first maxTracked groups.
func (d *differences) trim() {
	if len(d.groups) <= maxTracked {
		return
	}
	keys := slices.SortedFunc(maps.Keys(d.groups), compareKeys)
	d.last = &keys[maxTracked-1]
	for _, key := range keys[maxTracked:] {
		delete(d.groups, key)
	}
}

// trimRepros keeps what it takes to see an example again for the first maxRepros
// groups. As with trim, a group that is behind so many others stays there.
func (d *differences) trimRepros() {
	keys := slices.SortedFunc(maps.Keys(d.groups), compareKeys)
	for _, key := range keys[min(len(keys), maxRepros):] {
		d.groups[key].example.Repro = nil
	}
	d.repros = min(d.repros, maxRepros)
}

// number turns the number of a pair into 64 bits (SplitMix64), so that sums of
// different pairs differ.
func number(seq int64) uint64 {
	z := uint64(seq+1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// list gives the differences, the ones that count first, then by the number of
// pairs that show them, and how many occurrences of others it leaves out.
// compared has the number of compared pairs of each endpoint, and noise says
// which differences mean nothing.
func (d *differences) list(compared map[string]int64, noise func(diffKey) bool) (diffs []result.Diff, leftOut int64) {
	d.trim()
	d.trimRepros()
	which := map[string]uint64{} // of those that count, by fingerprint
	for key, g := range d.groups {
		diff := result.Diff{
			Fingerprint: Fingerprint(key.endpoint, key.path, key.kind),
			Endpoint:    key.endpoint,
			Path:        key.path,
			Kind:        key.kind,
			Pairs:       g.pairs,
			Baseline:    g.baseline,
			Candidate:   g.candidate,
			Example:     g.example,
			IgnoredBy:   key.ignoredBy,
			From:        g.from,
			To:          g.to,
		}
		if noise(key) {
			diff.IgnoredBy, diff.Example.Repro = ByNoise, nil
		}
		if diff.IgnoredBy == "" {
			which[diff.Fingerprint] = g.which
		}
		if n := compared[key.endpoint]; n > 0 {
			diff.Share = float64(g.pairs) / float64(n)
		}
		diffs = append(diffs, diff)
	}
	slices.SortFunc(diffs, func(a, b result.Diff) int {
		return cmp.Or(
			compareBool(a.IgnoredBy != "", b.IgnoredBy != ""),
			cmp.Compare(b.Pairs, a.Pairs),
			strings.Compare(a.Endpoint, b.Endpoint),
			strings.Compare(a.Path, b.Path),
			cmp.Compare(a.Kind, b.Kind),
			strings.Compare(a.IgnoredBy, b.IgnoredBy),
		)
	})
	diffs = diffs[:min(len(diffs), maxListed)]
	together(diffs, which)
	leftOut = d.count
	for _, diff := range diffs {
		leftOut -= diff.Pairs
	}
	return diffs, leftOut
}

// cut shortens a value to maxShown bytes without breaking a character.
func cut(s string) string {
	if len(s) <= maxShown {
		return strings.Clone(s)
	}
	end := maxShown
	for end > maxShown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
