package format

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestDiff(t *testing.T) {
	numbered := func(from, to int) string {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		return b.String()
	}
	tests := []struct{ name, before, after, want string }{
		{"equal", "a\n", "a\n", ""},
		{"one line", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"from nothing", "", "a\n", "@@ -0,0 +1 @@\n+a\n"},
		{"to nothing", "a\n", "", "@@ -1 +0,0 @@\n-a\n"},
		{"line break added", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		{"insertion", numbered(1, 9), numbered(1, 5) + "new\n" + numbered(6, 9), "@@ -3,6 +3,7 @@\n line 3\n line 4\n line 5\n+new\n line 6\n line 7\n line 8\n"},
		{"two hunks", numbered(1, 20), strings.Replace(strings.Replace(numbered(1, 20), "line 2\n", "two\n", 1), "line 19\n", "", 1),
			"@@ -1,5 +1,5 @@\n line 1\n-line 2\n+two\n line 3\n line 4\n line 5\n@@ -16,5 +16,4 @@\n line 16\n line 17\n line 18\n-line 19\n line 20\n"},
		{"one hunk of two changes", numbered(1, 9), strings.Replace(strings.Replace(numbered(1, 9), "line 2\n", "two\n", 1), "line 8\n", "eight\n", 1),
			"@@ -1,9 +1,9 @@\n line 1\n-line 2\n+two\n line 3\n line 4\n line 5\n line 6\n line 7\n-line 8\n+eight\n line 9\n"},
		{"lines that repeat", "}\n\n}\n", "}\n}\n", "@@ -1,3 +1,2 @@\n }\n-\n }\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := ""
			if tt.want != "" {
				want = "--- old\n+++ new\n" + tt.want
			}
			if got := string(Diff("old", "new", []byte(tt.before), []byte(tt.after))); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// apply patches before with a diff, and trusts nothing that the diff says: it
// checks each line that is kept or taken away, and every number.
func apply(before, diff []byte) (string, error) {
	lines := lineList(before)
	var out strings.Builder
	at, written := 0, 0
	parts := strings.SplitAfter(string(diff), "\n")
	for i := 2; i < len(parts) && parts[i] != ""; i++ {
		l := parts[i]
		if rest, ok := strings.CutPrefix(l, "@@ -"); ok {
			from, to, _ := strings.Cut(strings.TrimSuffix(rest, " @@\n"), " +")
			a, an := numbers(from)
			b, _ := numbers(to)
			if an > 0 {
				a--
			}
			for ; at < a; at++ {
				out.WriteString(lines[at])
				written++
			}
			if _, bn := numbers(to); bn > 0 {
				b--
			}
			if written != b {
				return "", fmt.Errorf("the hunk %q begins at line %d of the new text", l, written)
			}
			continue
		}
		text := l[1:]
		if i+1 < len(parts) && strings.HasPrefix(parts[i+1], `\`) {
			text = strings.TrimSuffix(text, "\n")
			i++
		}
		if l[0] != '+' {
			if at >= len(lines) || lines[at] != text {
				return "", fmt.Errorf("line %d is not %q", at+1, text)
			}
			at++
		}
		if l[0] != '-' {
			out.WriteString(text)
			written++
		}
	}
	for ; at < len(lines); at++ {
		out.WriteString(lines[at])
	}
	return out.String(), nil
}

func numbers(span string) (from, count int) {
	count = 1
	fmt.Sscanf(span, "%d,%d", &from, &count)
	return from, count
}

func TestDiffApplies(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() []byte {
		var b bytes.Buffer
		for range rng.IntN(40) {
			fmt.Fprintf(&b, "%c\n", 'a'+rng.IntN(12))
		}
		if rng.IntN(4) == 0 {
			b.WriteString("end")
		}
		return b.Bytes()
	}
	for range 3000 {
		before, after := text(), text()
		diff := Diff("a", "b", before, after)
		got, err := apply(before, diff)
		if err != nil || got != string(after) {
			t.Fatalf("%v: the diff of\n%q\nand\n%q\nis\n%s\nand gives\n%q", err, before, after, diff, got)
		}
	}
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("b\na"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		got, err := apply(before, Diff("a", "b", before, after))
		if err != nil || got != string(after) {
			t.Fatalf("%v: got %q, want %q", err, got, after)
		}
	})
}

// A file in which every line changes must not take the square of its length.
func TestDiffOfEverything(t *testing.T) {
	var before, after bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&before, "line %d\n", i)
		fmt.Fprintf(&after, "  line %d\n", i)
	}
	start := time.Now()
	if n := bytes.Count(Diff("a", "b", before.Bytes(), after.Bytes()), []byte("\n")); n != 200_003 {
		t.Errorf("%d lines", n)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
