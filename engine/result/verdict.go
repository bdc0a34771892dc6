package result

import "fmt"

// Verdict is what an audit, a gate or a whole run says. Verdicts are ordered
// by severity, so the verdict of a whole is the largest of its parts.
type Verdict uint8

// The verdicts, mildest first.
const (
	Skipped      Verdict = iota // nothing was asked
	Pass                        // measured, and within every limit
	Inconclusive                // measured, but the evidence carries no verdict
	Fail                        // a limit was broken
	Error                       // could not measure
)

var verdictNames = [...]string{"skipped", "pass", "inconclusive", "fail", "error"}

// String gives the word that users read.
func (v Verdict) String() string { return verdictNames[v] }

// Merge returns the verdict of a whole that has v and w as parts.
func (v Verdict) Merge(w Verdict) Verdict { return max(v, w) }

// MarshalText gives the word of the verdict.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the word of a verdict.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if string(text) == name {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("unknown verdict %q", text)
}
