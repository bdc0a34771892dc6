// Package pos has source positions that survive serialisation: every decoded
// argument and every step of a plan keeps one, so that a finding made long
// after the spec was read can still point at the line that asked for it.
package pos

import "fmt"

// Pos is a point in a source file.
type Pos struct {
	Byte   int `json:"byte"`   // offset in bytes, from 0
	Line   int `json:"line"`   // from 1
	Column int `json:"column"` // in grapheme clusters, from 1
}

// Range is a stretch of a source file; End is exclusive. The zero Range stands
// for "nowhere".
type Range struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end"`
}

// IsZero reports whether r points nowhere.
func (r Range) IsZero() bool { return r == Range{} }

// String gives file:line:column, the form that editors and CI systems turn
// into a link.
func (r Range) String() string {
	if r.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Start.Line, r.Start.Column)
}

// Compare orders ranges by file, then by where they start, then by where they
// end.
func (r Range) Compare(s Range) int {
	switch {
	case r.File < s.File:
		return -1
	case r.File > s.File:
		return 1
	case r.Start.Byte != s.Start.Byte:
		return r.Start.Byte - s.Start.Byte
	}
	return r.End.Byte - s.End.Byte
}
