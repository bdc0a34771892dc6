package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// The keys that the documents of jq programs begin with.
var (
	exchangeKeys = []string{"request", "response", "source", "session", "time"}
	responseKeys = []string{"status", "headers", "cookies", "body"}
	messageKeys  = []string{"method", "path", "query", "host", "headers", "cookies", "body", "status"}
)

// literalOf reads a jq program, which has to be a literal string.
func (l *loader) literalOf(a argument, expr hcl.Expression) (literal, bool) {
	val, diags := expr.Value(nil)
	if len(expr.Variables()) > 0 || diags.HasErrors() {
		l.notLiteral(expr.Range(), "not a literal string")
		return literal{}, false
	}
	if val.IsNull() || val.Type() != cty.String {
		l.wrongType(a, item{val: val, rng: expr.Range()}, "jq program in quotes")
		return literal{}, false
	}
	lit := literal{text: val.AsString(), rng: diag.Range(expr.Range())}
	if l.json {
		return lit, true
	}
	if text, offsets, ok := mapLiteral([]byte(l.textAt(expr.Range())), expr.Range().Start.Byte); ok && text == lit.text {
		lit.offsets = offsets
	}
	return lit, true
}

func (l *loader) notLiteral(r hcl.Range, label string) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.JQNotLiteral, Summary: "jq is not literal", Subject: diag.Range(r), Label: label,
		Detail: "A jq program must be a literal string, so that mistakes in it can be underlined and no value can change its meaning.",
		Help:   `write it in quotes or as a <<-JQ heredoc, without ${ }`,
	})
}

// program compiles one jq program, once for all its appearances in the file.
// The mistake, if there is one, is underlined in this appearance.
func program[T any](l *loader, known *map[string]compiled[T], lit literal, compile func(string) (T, error)) (T, bool) {
	if *known == nil {
		*known = map[string]compiled[T]{}
	}
	c, ok := (*known)[lit.text]
	if !ok {
		c.program, c.err = compile(lit.text)
		(*known)[lit.text] = c
	}
	if c.err != nil {
		l.jqError(lit, c.err)
	}
	return c.program, c.err == nil
}

func (l *loader) jqError(lit literal, err error) {
	d := diag.Diagnostic{
		Code: diag.JQSyntax, Summary: "Invalid jq expression", Subject: lit.rng, Label: err.Error(),
	}
	if syntax, ok := errors.AsType[*jq.SyntaxError](err); ok {
		d.Label, d.Help = syntax.Msg, syntax.Hint
		d.Subject = lit.at(l.src, syntax.Start, syntax.End)
	}
	l.diags.Add(d)
}

func (l *loader) test(lit literal) (*jq.Predicate, bool) {
	p, ok := program(l, &l.tests, lit, func(src string) (*jq.Predicate, error) { return jq.CompilePredicate(src) })
	return p, ok && l.checkRoot(lit, exchangeKeys, diag.Error)
}

func (l *loader) value(lit literal) (*jq.Value, bool) {
	v, ok := program(l, &l.values, lit, func(src string) (*jq.Value, error) { return jq.CompileValue(src) })
	return v, ok && l.checkRoot(lit, exchangeKeys, diag.Error)
}

// responsePaths compiles a path expression of compare.
func (l *loader) responsePaths(lit literal) (*jq.Paths, bool) {
	p, ok := program(l, &l.paths, lit, func(src string) (*jq.Paths, error) { return jq.CompilePaths(src, "$request") })
	if !ok {
		return nil, false
	}
	l.checkPatterns(lit, p)
	return p, true
}

// checkRoot looks at the key that a program begins with. A key that the
// document never has makes a rule that never applies.
func (l *loader) checkRoot(lit literal, keys []string, severity diag.Severity) bool {
	key, start, end, ok := leadingKey(lit.text)
	if !ok || slices.Contains(keys, key) {
		return true
	}
	l.badRoot(lit, key, start, end, keys, severity)
	return severity != diag.Error
}

func (l *loader) badRoot(lit literal, key string, start, end int, keys []string, severity diag.Severity) {
	d := diag.Diagnostic{
		Severity: severity, Code: diag.JQRoot, Summary: "jq path that matches nothing", Subject: lit.at(l.src, start, end),
		Label:  fmt.Sprintf("there is no .%s here", key),
		Detail: "The document begins with " + orList(prefixed(".", keys)) + ".",
	}
	if near := diag.Suggest(key, keys); near != "" {
		d.Help = fmt.Sprintf("did you mean %q?", "."+near)
	} else if home := homeOfKey(keys); home != "" {
		rest := strings.TrimPrefix(lit.text[start:], ".")
		if word, _, _ := strings.Cut(rest, " "); word != "" && jq.IsIdentifier(key) && lit.text[start] == '.' {
			d.Help = fmt.Sprintf("did you mean %q?", home+"."+word)
		}
	}
	l.diags.Add(d)
}

// homeOfKey says where a stray key most likely belongs.
func homeOfKey(keys []string) string {
	switch {
	case slices.Contains(keys, "request"):
		return ".request"
	case slices.Contains(keys, "body"):
		return ".body"
	}
	return ""
}

// checkPatterns looks at what the paths of a compare rule begin with.
func (l *loader) checkPatterns(lit literal, p *jq.Paths) {
	patterns, static := p.Patterns()
	if !static {
		l.checkRoot(lit, responseKeys, diag.Warning)
		return
	}
	for _, pattern := range patterns {
		switch {
		case len(pattern) == 0:
			l.diags.Add(diag.Diagnostic{
				Severity: diag.Warning, Code: diag.WholeResponse, Summary: "Rule for the whole response", Subject: lit.rng,
				Label: "covers status, headers, cookies and body",
				Help:  `name the part that is meant, such as ".body.generated_at"`,
			})
		case pattern[0].Kind == jq.Key && !slices.Contains(responseKeys, pattern[0].Key):
			start, end := findKey(lit.text, pattern[0].Key)
			l.badRoot(lit, pattern[0].Key, start, end, responseKeys, diag.Warning)
		}
	}
}

// findKey finds a key in the text of a program: as .key, or as a quoted key,
// or else the whole program.
func findKey(text, key string) (start, end int) {
	if i := strings.Index(text, "."+key); i >= 0 {
		return i, i + 1 + len(key)
	}
	if i := strings.Index(text, jq.Quote(key)); i >= 0 {
		return i, i + len(jq.Quote(key))
	}
	return 0, len(text)
}

// leadingKey gives the key of a program that begins with .key, and where it
// stands. Such a key is always read from the document itself.
func leadingKey(text string) (key string, start, end int, ok bool) {
	start = len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	rest := text[start:]
	if !strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "..") {
		return "", 0, 0, false
	}
	end = start + 1
	for end < len(text) && (text[end] == '_' || 'a' <= text[end]|0x20 && text[end]|0x20 <= 'z' || end > start+1 && '0' <= text[end] && text[end] <= '9') {
		end++
	}
	key = text[start+1 : end]
	return key, start, end, key != ""
}

// jqList decodes a list of jq programs, each with its place. A string instead
// of a list is a mistake with an easy cure.
func (l *loader) jqList(a argument) ([]literal, bool) {
	exprs, diags := hcl.ExprList(a.expr)
	if diags.HasErrors() {
		if val, diags := a.expr.Value(nil); !diags.HasErrors() {
			l.wrongList(a, item{val: val, rng: a.expr.Range()})
		} else {
			l.notLiteral(a.expr.Range(), "not a list of literal strings")
		}
		return nil, false
	}
	var out []literal
	all := true
	for _, expr := range exprs {
		lit, ok := l.literalOf(a, expr)
		if ok {
			out = append(out, lit)
		}
		all = all && ok
	}
	return out, all
}
