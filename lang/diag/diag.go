// Package diag has what a spec's author is told: diagnostics with a stable
// code and a place in the source, their order, and their forms for people and
// for machines. Diagnostics of the HCL parser are translated here, so that
// nothing behind this package needs to know hcl's wording.
package diag

import (
	"cmp"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Severity says whether a spec can be used in spite of a diagnostic.
type Severity uint8

// An Error makes a spec unusable; a Warning does not.
const (
	Error Severity = iota
	Warning
)

// String gives "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText gives the same word as String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Diagnostic is one mistake, with its place, its cause and its cure.
type Diagnostic struct {
	Severity Severity
	Code     Code
	Summary  string // a noun phrase without a period: "Unknown argument"
	Label    string // a few words beside the caret; may be empty
	Detail   string // sentences; may be empty
	Help     string // what to do, or text to paste; may be empty
	Subject  pos.Range
	Related  []Related

	// Sensitive keeps the source line out of every output, because it may
	// show a secret.
	Sensitive bool
}

// Related is a second place that explains the first, such as an earlier
// declaration of the same name.
type Related struct {
	Range pos.Range
	Text  string
}

// List is a set of diagnostics. The zero List is empty.
type List []Diagnostic

// Add appends one diagnostic.
func (l *List) Add(d Diagnostic) { *l = append(*l, d) }

// HasErrors reports whether at least one diagnostic is an error.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Count gives the number of errors and of warnings.
func (l List) Count() (errors, warnings int) {
	for _, d := range l {
		if d.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Sort brings the list into its one order: by file, by place, errors before
// warnings, then by text.
func (l List) Sort() { slices.SortStableFunc(l, compare) }

func compare(a, b Diagnostic) int {
	return cmp.Or(
		cmp.Compare(a.Subject.File, b.Subject.File),
		cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
		cmp.Compare(a.Severity, b.Severity),
		cmp.Compare(a.Subject.End.Byte, b.Subject.End.Byte),
		cmp.Compare(a.Summary, b.Summary),
		cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Detail, b.Detail),
	)
}

// Dedupe drops diagnostics that equal their predecessor in place, code and
// text. The list has to be sorted.
func (l List) Dedupe() List {
	return slices.CompactFunc(l, func(a, b Diagnostic) bool { return compare(a, b) == 0 })
}

// HideValues drops the parts of hcl's messages that may quote a value: all but
// summary and place.
func (l List) HideValues() {
	for i := range l {
		l[i].Label, l[i].Help = "", ""
		l[i].Detail = "A sensitive variable is involved, so that no more is shown."
	}
}

// Sources holds the text that diagnostics point into, by file name. Pseudo
// files such as "<--var url>" are named in angle brackets.
type Sources map[string][]byte

// Error is one line for logs and for callers that want a Go error: the place,
// the summary, and what the caret would say.
func (d Diagnostic) Error() string {
	var b strings.Builder
	b.WriteString(d.Subject.String())
	b.WriteString(": ")
	b.WriteString(d.Summary)
	if text := cmp.Or(d.Label, d.Detail); text != "" {
		b.WriteString(": ")
		b.WriteString(text)
	}
	return b.String()
}
