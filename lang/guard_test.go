package lang

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// lexed counts as tooMuch does, with the lexer of the parser.
func lexed(src string) (deepest, operators int) {
	tokens, _ := hclsyntax.LexConfig([]byte(src), "a.hcl", hcl.InitialPos)
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth = max(depth-1, 0)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
			hclsyntax.TokenLessThan, hclsyntax.TokenGreaterThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThanEq:
			operators++
		}
		deepest = max(deepest, depth)
	}
	return deepest, operators
}

func checkMeasure(t *testing.T, src string) bool {
	t.Helper()
	m, ok := measure([]byte(src))
	if !ok {
		return false
	}
	deepest, operators := lexed(src)
	if m.deepest < deepest || m.operators < operators {
		t.Errorf("%.200q: measured %d deep with %d operators, the lexer says %d and %d", src, m.deepest, m.operators, deepest, operators)
	}
	return true
}

func TestMeasureIsNeverBelowTheLexer(t *testing.T) {
	decided := 0
	for _, path := range corpus(t) {
		for _, src := range readCase(t, path).files {
			if checkMeasure(t, src) {
				decided++
			}
		}
	}
	if decided == 0 {
		t.Error("nothing was decided without the lexer")
	}
}

func TestMeasure(t *testing.T) {
	tests := []struct {
		name, src          string
		deepest, operators int
		ok                 bool
	}{
		{"nothing", "", 0, 0, true},
		{"block", "a {\n  b = [1, (2)]\n}\n", 3, 0, true},
		{"operators", "a = 1 + 2 == 3 && !b", 0, 5, true},
		{"string hides brackets", `a = "[[[[" # {{{`, 1, 0, true},
		{"share", `a = "10%"`, 1, 0, true},
		{"escape", `a = "\"[["`, 1, 0, true},
		{"heredoc hides brackets", "a = <<-JQ\n  .a[[[\n  JQ\n", 1, 1, true},
		{"comment", "/* [[[ */ a = 1 // [[[", 0, 2, true},
		{"template", `a = "${b}"`, 0, 0, false},
		{"template in a heredoc", "a = <<X\n${b}\nX\n", 0, 0, false},
		{"string without end", `a = "`, 0, 0, false},
		{"string over two lines", "a = \"b\n\"", 0, 0, false},
		{"heredoc without end", "a = <<X\n[[", 0, 0, false},
		{"no heredoc", "a = << 1", 0, 0, false},
		{"comment without end", "/* [[", 0, 0, false},
		{"no UTF-8", "a = \xff", 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := measure([]byte(tt.src))
			if ok != tt.ok || ok && (m.deepest != tt.deepest || m.operators != tt.operators) {
				t.Errorf("got %+v, %v, want %d, %d, %v", m, ok, tt.deepest, tt.operators, tt.ok)
			}
			checkMeasure(t, tt.src)
		})
	}
}

func FuzzMeasure(f *testing.F) {
	f.Add("a {\n  b = \"x\" # y\n}\n")
	f.Add("a = <<-JQ\n  .b\n  JQ\n/* c */")
	f.Add(`a = "\\" + "$x" - "5%"`)
	f.Fuzz(func(t *testing.T, src string) {
		checkMeasure(t, src)
		checkMeasure(t, strings.Repeat(src, 3))
	})
}
