package diag

import (
	"fmt"
	"slices"
	"strings"
)

// Suggest gives the known name that given is most likely a misspelling of, or
// "". The distance counts insertions, deletions, replacements and swaps of
// neighbours, and a third of the name may be wrong, two letters at least. A
// name of which given is the beginning counts as near, too. Among equally near
// names the first in alphabetical order wins.
func Suggest(given string, known []string) string {
	if given == "" || len(given) > maxSuggestLen {
		return ""
	}
	low := strings.ToLower(given)
	best, bestDistance := "", max(2, len(given)/3)+1
	for _, name := range slices.Sorted(slices.Values(known)) {
		d := distance(low, strings.ToLower(name))
		if len(low) >= 3 && strings.HasPrefix(strings.ToLower(name), low) {
			d = min(d, 2)
		}
		// Two letters of two would make any short word a misspelling of any other.
		if d < bestDistance && d < max(len(given), len(name)) && d*2 <= max(len(given), len(name)) {
			best, bestDistance = name, d
		}
	}
	return best
}

// DidYouMean wraps what Suggest finds in a sentence with a leading space, or
// gives "".
func DidYouMean(given string, known []string) string {
	if s := Suggest(given, known); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}

// maxSuggestLen bounds the work for names that nobody mistyped.
const maxSuggestLen = 64

// distance is the optimal string alignment distance of a and b: edits to get
// from one to the other where no part is edited twice.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before := make([]int, len(t)+1)
	last := make([]int, len(t)+1)
	row := make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
