package lang

import (
	"bytes"
	"regexp"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/shadowaudit/shadowaudit/lang/diag"
)

// The HCL parser descends once per bracket and operator, and Go cannot recover
// from a stack that is used up. These bounds are far above any real spec and
// far below the stack's end.
const (
	maxNesting   = 200
	maxOperators = 20_000
)

// tooMuch refuses text that the parser could not survive.
func tooMuch(file string, src []byte, json bool) (diag.Diagnostic, bool) {
	if len(src) > MaxFileSize {
		return diag.Diagnostic{
			Code: diag.FileTooLarge, Summary: "Spec too large", Subject: fileStart(file),
			Detail: "The file is larger than 8 MiB. A recording is named in a source block and is not a spec itself.",
		}, true
	}
	if m, ok := measure(src); ok && !json && m.deepest <= maxNesting && m.operators <= maxOperators {
		return diag.Diagnostic{}, false
	}
	tokens, _ := hclsyntax.LexConfig(src, file, hcl.InitialPos)
	depth, operators := 0, 0
	if json {
		// An escape can hide an operator or a bracket of a template.
		operators = bytes.Count(src, []byte(`\u`))
	}
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenTemplateInterp:
			depth++
			operators++
		case hclsyntax.TokenTemplateControl:
			depth++
			operators += maxOperators / maxNesting // "if" and "for" nest without brackets
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth = max(depth-1, 0)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar,
			hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenQuestion, hclsyntax.TokenAnd,
			hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThanEq:
			operators++
		}
		if depth > maxNesting || operators > maxOperators {
			return diag.Diagnostic{
				Code: diag.TooDeep, Summary: "Too deeply nested", Subject: diag.Range(t.Range),
				Detail: "Brackets and operators are nested deeper here than any spec needs, and deeper than the parser can follow.",
			}, true
		}
	}
	return diag.Diagnostic{}, false
}

// measured is what measure finds out about a text.
type measured struct {
	deepest, operators int   // at least what the lexer would count
	cuts               []int // offsets of lines between top-level blocks, about partSize apart
}

// measure gives bounds for what tooMuch counts, without making tokens: the
// lexer takes as long as the parser. It is false where the text has something
// that would need the lexer to be told apart, such as templates in strings.
func measure(src []byte) (m measured, ok bool) {
	if !utf8.Valid(src) {
		return m, false
	}
	last := 0
	depth := 0
	for i := 0; i < len(src); {
		n := 1
		switch c := src[i]; c {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth = max(depth-1, 0)
			if depth == 0 && i+1-last >= partSize && i+1 < len(src) && src[i+1] == '\n' {
				last = i + 2
				m.cuts = append(m.cuts, last)
			}
		case '!', '-', '+', '*', '%', '?', '&', '|', '>':
			m.operators++
		case '=':
			if i+1 < len(src) && src[i+1] == '=' {
				m.operators++
			}
		case '#':
			n = lineLength(src[i:])
		case '/':
			n = commentLength(src[i:])
			m.operators++
		case '"':
			n = stringLength(src[i:])
			m.deepest = max(m.deepest, depth+1)
		case '<':
			m.operators++
			if bytes.HasPrefix(src[i:], []byte("<<")) {
				n = heredocLength(src[i:])
				m.deepest = max(m.deepest, depth+1)
			}
		}
		if n == 0 {
			return m, false
		}
		i += n
		m.deepest = max(m.deepest, depth)
	}
	return m, true
}

func lineLength(src []byte) int {
	if n := bytes.IndexByte(src, '\n'); n >= 0 {
		return n + 1
	}
	return len(src)
}

// commentLength is the length of the comment or operator that begins with a
// slash, 0 for a comment without an end.
func commentLength(src []byte) int {
	switch {
	case bytes.HasPrefix(src, []byte("//")):
		return lineLength(src)
	case bytes.HasPrefix(src, []byte("/*")):
		n := bytes.Index(src[2:], []byte("*/"))
		if n < 0 {
			return 0
		}
		return n + 4
	}
	return 1
}

// stringLength is the length of a quoted string, 0 for one that has a template
// in it or no end.
func stringLength(src []byte) int {
	for i := 1; i < len(src); i++ {
		switch src[i] {
		case '"':
			return i + 1
		case '\n', '\r':
			return 0
		case '\\':
			i++
			if i < len(src) && (src[i] == '\n' || src[i] == '\r') {
				return 0
			}
		case '$', '%':
			if i+1 < len(src) && bytes.IndexByte([]byte(`{$%\`), src[i+1]) >= 0 {
				return 0
			}
		}
	}
	return 0
}

// heredocLength is the length of a heredoc, 0 for one that has a template in
// it or no end.
func heredocLength(src []byte) int {
	head := heredocRE.FindSubmatch(src[:min(len(src), 200)])
	if head == nil {
		return 0
	}
	for at := len(head[0]); at < len(src); {
		line := src[at : at+lineLength(src[at:])]
		if bytes.Equal(bytes.TrimSpace(line), head[1]) {
			if line[len(line)-1] != '\n' {
				return 0
			}
			return at + len(line) - 1
		}
		if bytes.Contains(line, []byte("${")) || bytes.Contains(line, []byte("%{")) {
			return 0
		}
		at += len(line)
	}
	return 0
}

var heredocRE = regexp.MustCompile(`^<<-?([A-Za-z_][A-Za-z0-9_]*)\r?\n`)
