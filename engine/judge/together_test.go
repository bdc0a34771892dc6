package judge

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// differsAt is a pair that mismatches at places of one endpoint.
func differsAt(seq int64, endpoint string, paths ...string) *Pair {
	p := &Pair{Seq: seq, Endpoint: endpoint, Outcome: result.PairMismatched}
	for _, path := range paths {
		p.Differences = append(p.Differences, Diff{Path: path, Kind: result.KindValue, From: "number", To: "string"})
	}
	p.Example = func() result.Example { return result.Example{Seq: seq, Repro: &result.Repro{}} }
	return p
}

func listed(pairs []*Pair) []result.Diff {
	var d differences
	for _, p := range pairs {
		d.add(p)
	}
	list, _ := d.list(map[string]int64{}, func(diffKey) bool { return false })
	return list
}

func with(t *testing.T, list []result.Diff, endpoint, path string) (root string) {
	t.Helper()
	for _, d := range list {
		if d.Endpoint != endpoint || d.Path != path {
			continue
		}
		for _, r := range list {
			if r.Fingerprint == d.With {
				return r.Path
			}
		}
		return ""
	}
	t.Fatalf("%s is not listed", path)
	return ""
}

func TestDifferencesOfTheSamePairsHaveOneRoot(t *testing.T) {
	var pairs []*Pair
	for i := range int64(10) {
		pairs = append(pairs, differsAt(i, "GET /a", ".body.items[].price", ".body.total", `.headers["location"]`, ".body.items"))
		pairs = append(pairs, differsAt(100+i, "GET /b", ".body.total"))
	}
	pairs = append(pairs, differsAt(50, "GET /b", ".body.other"), differsAt(51, "GET /b", ".body.else")) // as often, in other pairs
	for range 5 {
		rand.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		list := listed(pairs)
		for _, path := range []string{".body.items[].price", ".body.total", ".body.items"} {
			if root := with(t, list, "GET /a", path); root != `.headers["location"]` {
				t.Errorf("%s goes with %q", path, root)
			}
		}
		for _, d := range []string{".body.total", ".body.other", ".body.else"} {
			if root := with(t, list, "GET /b", d); root != "" {
				t.Errorf("%s goes with %q", d, root)
			}
		}
		if root := with(t, list, "GET /a", `.headers["location"]`); root != "" {
			t.Errorf("the root goes with %q", root)
		}
	}
}

func TestIgnoredDifferencesHaveNoRootAndNothingToSeeAgain(t *testing.T) {
	p := differsAt(1, "GET /a", ".body.x", ".body.y")
	p.Differences[0].IgnoredBy = "ignore .body.x"
	for _, d := range listed([]*Pair{p}) {
		if d.With != "" || (d.Example.Repro == nil) != (d.IgnoredBy != "") || d.From != "number" || d.To != "string" {
			t.Errorf("%+v", d)
		}
	}
}

// What it takes to see examples again is kept for few differences, and for the
// same ones whatever the order of the pairs.
func TestReprosAreBounded(t *testing.T) {
	var pairs []*Pair
	for i := range int64(3 * maxRepros) {
		pairs = append(pairs, differsAt(i, "GET /a", fmt.Sprintf(".body.k%04d", i)))
	}
	kept := func() (paths [2]int) {
		for _, d := range listed(pairs) {
			if d.Example.Repro != nil {
				paths[0]++
				paths[1] += int(d.Example.Seq)
			}
		}
		return paths
	}
	want := kept()
	if want[0] != maxRepros {
		t.Fatalf("%d are kept", want[0])
	}
	rand.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	if got := kept(); got != want {
		t.Errorf("in another order others are kept: %v, %v", got, want)
	}
	var d differences
	for _, p := range pairs {
		d.add(p)
		if d.repros > 2*maxRepros {
			t.Fatalf("%d at a time", d.repros)
		}
	}
}
