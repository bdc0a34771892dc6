package judge

import (
	"cmp"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// together finds differences that are most likely one: those that count, of one
// endpoint, in the very same pairs. which stands for the pairs, by fingerprint.
// All but the root of such a group get its fingerprint as With.
func together(diffs []result.Diff, which map[string]uint64) {
	type same struct {
		endpoint string
		pairs    int64
		which    uint64
	}
	roots := map[same]*result.Diff{}
	of := func(d *result.Diff) same { return same{d.Endpoint, d.Pairs, which[d.Fingerprint]} }
	for i := range diffs {
		d := &diffs[i]
		if d.IgnoredBy != "" {
			continue
		}
		if root := roots[of(d)]; root == nil || compareRoots(d, root) < 0 {
			roots[of(d)] = d
		}
	}
	for i := range diffs {
		d := &diffs[i]
		if root := roots[of(d)]; d.IgnoredBy == "" && root != d {
			d.With = root.Fingerprint
		}
	}
}

// compareRoots puts the difference first that the others likely come from: the
// status, then the media type and fields before the body, and in the body what
// is nearest to its top.
func compareRoots(a, b *result.Diff) int {
	return cmp.Or(
		cmp.Compare(depth(a.Path), depth(b.Path)),
		cmp.Compare(len(a.Path), len(b.Path)),
		strings.Compare(a.Path, b.Path),
		cmp.Compare(a.Kind, b.Kind),
	)
}

func depth(path string) int {
	switch {
	case path == ".status":
		return 0
	case !strings.HasPrefix(path, ".body"):
		return 1
	}
	return 2 + strings.Count(path, ".") + strings.Count(path, "[")
}
