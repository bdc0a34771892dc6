// Package format brings spec files into their one canonical layout and shows
// what that changes. It moves spaces and line breaks, writes labels in quotes
// and takes needless "${ }" away; no value changes, and what stands inside a
// heredoc, jq above all, stays as it is byte for byte.
package format

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// maxPasses bounds the search for a layout that formatting leaves alone. One
// pass nearly always finds it.
const maxPasses = 5

// Source gives the canonical form of a file in HCL's native syntax. Its result
// is a fixed point: formatting it again changes nothing. A text that is not
// HCL, or that finds no rest, comes back unchanged. The caller has to have
// refused texts that nest without bound, as lang.Syntax does.
func Source(src []byte) []byte {
	text := bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	file, diags := hclsyntax.ParseConfig(text, "", hcl.InitialPos)
	if diags.HasErrors() || !utf8.Valid(text) {
		return src
	}
	out := plain(text, file)
	for range maxPasses {
		next := tidy(hclwrite.Format(out))
		if bytes.Equal(next, out) {
			return out
		}
		out = next
	}
	return src
}

// edit replaces a stretch of a text.
type edit struct {
	from, to int
	with     []byte
}

// plain writes the labels of blocks in quotes and unwraps "${name}".
func plain(src []byte, file *hcl.File) []byte {
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return src
	}
	edits := bodyEdits(nil, src, body)
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(src[at:e.from])
		out.Write(e.with)
		at = e.to
	}
	out.Write(src[at:])
	return out.Bytes()
}

func bodyEdits(edits []edit, src []byte, body *hclsyntax.Body) []edit {
	for _, a := range body.Attributes {
		if wrap, ok := a.Expr.(*hclsyntax.TemplateWrapExpr); ok {
			edits = unwrap(edits, src, wrap)
		}
	}
	for _, b := range body.Blocks {
		for _, r := range b.LabelRanges {
			if label := r.SliceBytes(src); len(label) > 0 && label[0] != '"' {
				edits = append(edits, edit{r.Start.Byte, r.End.Byte, slices.Concat([]byte{'"'}, label, []byte{'"'})})
			}
		}
		edits = bodyEdits(edits, src, b.Body)
	}
	return edits
}

// unwrap turns "${name}" into name. Line breaks are allowed inside of the
// braces and not without them, so that an expression with one stays.
func unwrap(edits []edit, src []byte, wrap *hclsyntax.TemplateWrapExpr) []edit {
	inner := wrap.Wrapped.Range()
	if outer := wrap.SrcRange; !bytes.HasPrefix(outer.SliceBytes(src), []byte(`"${`)) || bytes.ContainsAny(outer.SliceBytes(src), "\r\n#") {
		return edits
	}
	text := bytes.TrimSuffix(bytes.TrimPrefix(wrap.SrcRange.SliceBytes(src), []byte(`"${`)), []byte(`}"`))
	text = bytes.Trim(text, " \t")
	// What the parser took for the expression has to be all that there was:
	// parentheses and ~ markers do not belong to its range.
	if !bytes.Equal(text, inner.SliceBytes(src)) {
		return edits
	}
	return append(edits, edit{wrap.SrcRange.Start.Byte, wrap.SrcRange.End.Byte, text})
}

// line is a line of a text, its line break included.
type line struct {
	text          []byte
	kept          bool // inside of a heredoc or a comment: none of our business
	opens, closes bool // ends with an opening bracket, begins with a closing one
}

// tidy takes superfluous empty lines away: all but one between two things, and
// all at the ends of the file and of blocks. The last line ends with a line
// break.
func tidy(src []byte) []byte {
	lines := split(src)
	out := make([]byte, 0, len(src)+1)
	empty := []byte(nil) // an empty line that was held back
	afterOpen := true    // as the start of the file is
	for _, l := range lines {
		switch {
		case l.kept:
		case len(bytes.TrimSpace(l.text)) == 0:
			if !afterOpen && empty == nil {
				empty = l.text
			}
			continue
		case l.closes:
			empty = nil
		}
		out = append(append(out, empty...), l.text...)
		empty, afterOpen = nil, l.opens
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return out
}

// split gives the lines of a text and what tidy wants to know of them.
func split(src []byte) []line {
	var lines []line
	for text := range bytes.Lines(src) {
		lines = append(lines, line{text: text})
	}
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	seen := 0          // the last line with a token
	var heredocs []int // the lines on which open heredocs began
	for _, t := range tokens {
		first, last := t.Range.Start.Line, min(t.Range.End.Line, len(lines))
		switch t.Type {
		case hclsyntax.TokenEOF, hclsyntax.TokenNewline:
			continue
		case hclsyntax.TokenOHeredoc:
			heredocs = append(heredocs, first)
		case hclsyntax.TokenCHeredoc:
			if n := len(heredocs) - 1; n >= 0 {
				keep(lines, heredocs[n]+1, last)
				heredocs = heredocs[:n]
			}
		case hclsyntax.TokenComment:
			if t.Range.End.Column == 1 {
				last-- // a comment's own line break
			}
			keep(lines, first+1, last)
			continue
		}
		if first > len(lines) {
			break
		}
		l := &lines[first-1]
		if first > seen {
			l.closes = closing(t.Type)
		}
		l.opens = opening(t.Type)
		seen = first
	}
	return lines
}

// keep marks the lines from first to last, counted from 1.
func keep(lines []line, first, last int) {
	for n := first; n <= last && n <= len(lines); n++ {
		lines[n-1].kept = true
	}
}

func opening(t hclsyntax.TokenType) bool {
	return t == hclsyntax.TokenOBrace || t == hclsyntax.TokenOBrack || t == hclsyntax.TokenOParen
}

func closing(t hclsyntax.TokenType) bool {
	return t == hclsyntax.TokenCBrace || t == hclsyntax.TokenCBrack || t == hclsyntax.TokenCParen
}
