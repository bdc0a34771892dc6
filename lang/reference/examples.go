package reference

import (
	_ "embed"
	"regexp"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/diag"
)

// diagnostics has one rendered diagnostic for each code. It is taken from the
// corpus of the language, so that it is what a user really gets to see.
//
//go:embed diagnostics.txt
var diagnostics string

var firstLineRE = regexp.MustCompile(`(?m)^(?:error|warning): .* \[([a-z-]+)\]$`)

// exampleOf gives a diagnostic with a code as it is shown, or "".
func exampleOf(code diag.Code) string {
	for _, d := range rendered(diagnostics) {
		if d.code == code {
			return d.text
		}
	}
	return ""
}

// shown is a diagnostic as people see it.
type shown struct {
	code diag.Code
	text string
}

// rendered splits what a diag.Printer wrote.
func rendered(text string) []shown {
	var out []shown
	starts := firstLineRE.FindAllStringSubmatchIndex(text, -1)
	for i, m := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		out = append(out, shown{diag.Code(text[m[2]:m[3]]), strings.TrimSpace(text[m[0]:end])})
	}
	return out
}

// Diagnostics picks an example for each code out of texts with rendered
// diagnostics: the one with the fewest lines that fits a page, and of these the
// shortest. The result is what the package embeds.
func Diagnostics(texts []string) string {
	best := map[diag.Code]string{}
	for _, text := range texts {
		for _, d := range rendered(text) {
			if old, ok := best[d.code]; !ok || better(d.text, old) {
				best[d.code] = d.text
			}
		}
	}
	var b strings.Builder
	for _, c := range diag.Codes() {
		if text, ok := best[c.Code]; ok {
			b.WriteString(text + "\n\n")
		}
	}
	return b.String()
}

// pageWidth is what a line of an example should not exceed.
const pageWidth = 78

func better(a, b string) bool {
	if fitsA, fitsB := widest(a) <= pageWidth, widest(b) <= pageWidth; fitsA != fitsB {
		return fitsA
	}
	if la, lb := strings.Count(a, "\n"), strings.Count(b, "\n"); la != lb {
		return la < lb
	}
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

func widest(text string) int {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n = max(n, len([]rune(line)))
	}
	return n
}
