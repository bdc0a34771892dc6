package judge

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func differing(seq int64, endpoint string, diffs ...Diff) Pair {
	p := ok(1, 1)
	p.Seq, p.Endpoint, p.Outcome, p.Differences = seq, endpoint, result.PairMismatched, diffs
	p.Values = func(i int) (string, string) { return fmt.Sprint("b", seq), fmt.Sprint("c", seq) }
	p.Example = func() result.Example { return result.Example{Seq: seq, Request: endpoint} }
	return p
}

func TestDifferencesAreGrouped(t *testing.T) {
	price := Diff{Path: ".body.price", Kind: result.KindValue}
	note := Diff{Path: ".body.note", Kind: result.KindMissing}
	at := Diff{Path: ".body.at", Kind: result.KindValue, IgnoredBy: "ignore .body.at"}
	matched := ok(1, 1)
	matched.Seq = 9
	f := finish(t, Config{}, nil, []Pair{
		differing(5, "GET /a", price, at),
		differing(3, "GET /a", price, price, at, note),
		differing(4, "GET /a", at),
		matched,
	})
	type row struct {
		path, ignoredBy string
		pairs           int64
		share           float64
		baseline        string
		seq             int64
	}
	var got []row
	for _, d := range f.Differences {
		got = append(got, row{d.Path, d.IgnoredBy, d.Pairs, d.Share, d.Baseline, d.Example.Seq})
	}
	want := []row{
		{".body.price", "", 2, 0.5, "b3", 3},
		{".body.note", "", 1, 0.25, "b3", 3},
		{".body.at", "ignore .body.at", 3, 0.75, "b3", 3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFingerprint(t *testing.T) {
	// printf '\0\0\0\6GET /a\0\0\0\5.body\0\0\0\5value' | sha256sum
	if got, want := Fingerprint("GET /a", ".body", result.KindValue), "1:171e6341e3a96f72"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if Fingerprint("ab", "c", "") == Fingerprint("a", "bc", "") {
		t.Error("parts run into each other")
	}
}

func TestDifferencesAreBounded(t *testing.T) {
	var pairs []Pair
	n := 3*maxTracked + 100
	for i := range n {
		pairs = append(pairs, differing(int64(i), "GET /a",
			Diff{Path: fmt.Sprintf(".body.users[%q].name", fmt.Sprint(i)), Kind: result.KindValue},
			Diff{Path: ".body.total", Kind: result.KindValue},
			Diff{Path: ".body.at", Kind: result.KindValue, IgnoredBy: "rule"}))
	}
	want := finish(t, Config{}, nil, pairs)
	if len(want.Differences) != maxListed {
		t.Fatalf("%d differences, want %d", len(want.Differences), maxListed)
	}
	if d := want.Differences[0]; d.Path != ".body.total" || d.Pairs != int64(n) {
		t.Errorf("the most frequent difference is %s with %d pairs, want .body.total with %d", d.Path, d.Pairs, n)
	}
	note := fmt.Sprintf("1,000 differences are listed; %s occurrences at other places are counted but not listed",
		result.FormatCount(int64(3*n-n-(maxListed-1))))
	if last := want.Notes[len(want.Notes)-1].Text; last != note {
		t.Errorf("note %q, want %q", last, note)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(pairs), func(i, k int) { pairs[i], pairs[k] = pairs[k], pairs[i] })
	if got := finish(t, Config{}, nil, pairs); !reflect.DeepEqual(got, want) {
		t.Error("what is kept depends on the order")
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	for pad := range 4 {
		s := strings.Repeat("x", pad) + strings.Repeat("€", 200)
		got := cut(s)
		if !utf8.ValidString(got) || len(got) > maxShown+len("…") || !strings.HasPrefix(s, strings.TrimSuffix(got, "…")) {
			t.Errorf("cut broke the text: %q", got)
		}
	}
	if got := cut("short"); got != "short" {
		t.Errorf("got %q", got)
	}
	if got := cut(strings.Repeat("\x80", 500)); len(got) > maxShown+len("…") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestJoinedAndSplit(t *testing.T) {
	for _, values := range [][]string{nil, {""}, {"a"}, {"", ""}, {"1:a", ":", "x"}, {"a", "b:3:c", ""}} {
		if got := split(joined(values, len(values)), len(values)); !reflect.DeepEqual(got, values) {
			t.Errorf("got %q, want %q", got, values)
		}
	}
	if got := split(joined([]string{"a"}, 2), 2); !reflect.DeepEqual(got, []string{"a", ""}) {
		t.Errorf("a missing value: %q", got)
	}
}
