package lang

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
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
func program[T any](l *loader, known *map[string]compiled[T], lit literal, compile func(src string, vars ...string) (T, error), vars ...string) (T, bool) {
	if *known == nil {
		*known = map[string]compiled[T]{}
	}
	key := lit.text
	if len(l.args.values) > 0 {
		key = l.args.values.Key() + "\x00" + key
	}
	c, ok := (*known)[key]
	if !ok {
		c.program, c.err = compile(lit.text, vars...)
		(*known)[key] = c
	}
	if c.err != nil {
		l.jqError(lit, c.err)
	} else if u, ok := any(c.program).(interface{ Uses(string) bool }); ok {
		for i := range l.args.at {
			l.args.at[i].used = l.args.at[i].used || u.Uses(l.args.at[i].name)
		}
	}
	return c.program, c.err == nil
}

func (l *loader) jqError(lit literal, err error) {
	d := diag.Diagnostic{
		Code: diag.JQSyntax, Summary: "Invalid jq expression", Subject: lit.rng, Label: err.Error(),
	}
	if syntax, ok := errors.AsType[*jq.SyntaxError](err); ok {
		d.Label, d.Help = syntax.Msg, syntax.Hint
		if name, unbound := strings.CutPrefix(syntax.Msg, "there is no variable $"); unbound {
			switch {
			case l.args.lost:
				return // it may be among the arguments that could not be read
			case l.args.taken && !strings.HasPrefix(syntax.Hint, "did you mean"):
				d.Help = fmt.Sprintf("give it a value in this block: args = { %s = VALUE }", name)
			}
		}
		d.Subject = lit.at(l.src, syntax.Start, syntax.End)
	}
	l.diags.Add(d)
}

func (l *loader) test(lit literal) (*jq.Predicate, bool) {
	p, ok := program(l, &l.tests, lit, l.args.values.CompilePredicate)
	return p, ok && l.checkRoots(lit, p, exchangeKeys, diag.Error)
}

func (l *loader) value(lit literal) (*jq.Value, bool) {
	v, ok := program(l, &l.values, lit, l.args.values.CompileValue)
	return v, ok && l.checkRoots(lit, v, exchangeKeys, diag.Error)
}

// responsePaths compiles a path expression of compare.
func (l *loader) responsePaths(lit literal) (*jq.Paths, bool) {
	p, ok := program(l, &l.paths, lit, l.args.values.CompilePaths, requestVar)
	if !ok {
		return nil, false
	}
	l.checkPatterns(lit, p)
	return p, true
}

// requestVar is bound to the request in jq of compare.
const requestVar = "$request"

// rooted is what all compiled programs have in common.
type rooted interface{ RootKeys() []jq.RootKey }

// checkRoots looks at the keys that a program reads from the document itself.
// A key that the document never has makes a rule that never applies.
func (l *loader) checkRoots(lit literal, p rooted, keys []string, severity diag.Severity) bool {
	good := true
	for _, k := range p.RootKeys() {
		if !slices.Contains(keys, k.Key) {
			l.badRoot(lit, k.Key, k.Start, k.End, keys, severity)
			good = severity != diag.Error
		}
	}
	return good
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
		word := pathRE.FindString(rest)
		if word != "" && jq.IsIdentifier(key) && lit.text[start] == '.' {
			d.Help = fmt.Sprintf("did you mean %q?", home+"."+word)
		}
	}
	l.diags.Add(d)
}

// pathRE is as much of a path as a suggestion repeats.
var pathRE = regexp.MustCompile(`^\w+(?:\.\w+|\[[^\]]*\])*`)

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
		l.checkRoots(lit, p, responseKeys, diag.Warning)
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

// blockArgs are the constants that the jq programs of a block can read.
type blockArgs struct {
	values jq.Args
	at     []blockArg
	taken  bool // the block takes args
	lost   bool // args could not be read
}

type blockArg struct {
	name string
	at   pos.Range
	used bool
}

// jqArgs decodes args: constants for the jq programs of a block. An argument
// with a wrong value is null, so that its name is known.
func (l *loader) jqArgs(a argument) {
	pairs, ok := l.pairs(a, false)
	l.args.lost = !ok
	first := map[string]hcl.Range{}
	for _, p := range pairs {
		d := diag.Diagnostic{Code: diag.BadName, Summary: "Invalid name", Subject: diag.Range(p.at)}
		switch before, twice := first[p.key]; {
		case twice:
			l.duplicateKey(p.at, before)
			continue
		case !jq.ValidArg(p.key):
			d.Label, d.Help = "not a name that jq can use", "a name has letters, digits and underscores; jq reads it as $name"
			l.diags.Add(d)
			l.args.lost = true
			continue
		case "$"+p.key == requestVar:
			d.Label, d.Help = "$request is the request already", "choose another name"
			l.diags.Add(d)
			continue
		}
		first[p.key] = p.at
		l.args.at = append(l.args.at, blockArg{name: p.key, at: diag.Range(p.at)})
		arg := jq.Arg{Name: p.key}
		if l.showable(a, p.value) {
			var ok bool
			if arg.Value, ok = jqValue(p.value.val); !ok {
				l.wrongType(a, p.value, "string, number, bool, list or object")
			}
		}
		l.args.values = append(l.args.values, arg)
	}
	slices.SortFunc(l.args.values, func(x, y jq.Arg) int { return strings.Compare(x.Name, y.Name) })
}

// unusedArgs warns about arguments that no program of the block reads.
func (l *loader) unusedArgs() {
	for _, arg := range l.args.at {
		if arg.used || l.diags.HasErrors() {
			continue
		}
		l.diags.Add(diag.Diagnostic{
			Severity: diag.Warning, Code: diag.Unused, Summary: "Unused argument of jq", Subject: arg.at,
			Label: "no jq of this block uses it", Help: fmt.Sprintf("use $%s, or remove it", arg.name),
		})
	}
}

// jqValue gives a value as jq programs see it.
func jqValue(val cty.Value) (any, bool) {
	if val.IsNull() {
		return nil, true
	}
	switch t := val.Type(); {
	case t == cty.String:
		return val.AsString(), true
	case t == cty.Bool:
		return val.True(), true
	case t == cty.Number:
		f := val.AsBigFloat()
		if n, exact := f.Int64(); exact == big.Exact && int64(int(n)) == n {
			return int(n), true
		}
		return json.Number(f.Text('g', -1)), true
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		out := make([]any, 0, val.LengthInt())
		for e := val.ElementIterator(); e.Next(); {
			_, v := e.Element()
			x, ok := jqValue(v)
			if !ok {
				return nil, false
			}
			out = append(out, x)
		}
		return out, true
	case t.IsObjectType(), t.IsMapType():
		out := map[string]any{}
		for e := val.ElementIterator(); e.Next(); {
			k, v := e.Element()
			x, ok := jqValue(v)
			if !ok {
				return nil, false
			}
			out[k.AsString()] = x
		}
		return out, true
	}
	return nil, false
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
