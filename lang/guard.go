package lang

import (
	"bytes"

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
