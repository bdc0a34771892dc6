package lang

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// functions are what expressions may call. All are pure: the same spec and the
// same --var values give the same plan everywhere.
var functions = map[string]function.Function{
	"coalesce":   stdlib.CoalesceFunc,
	"concat":     stdlib.ConcatFunc,
	"contains":   stdlib.ContainsFunc,
	"distinct":   stdlib.DistinctFunc,
	"flatten":    stdlib.FlattenFunc,
	"format":     stdlib.FormatFunc,
	"join":       stdlib.JoinFunc,
	"keys":       stdlib.KeysFunc,
	"length":     stdlib.LengthFunc,
	"lookup":     stdlib.LookupFunc,
	"lower":      stdlib.LowerFunc,
	"max":        stdlib.MaxFunc,
	"merge":      stdlib.MergeFunc,
	"min":        stdlib.MinFunc,
	"replace":    stdlib.ReplaceFunc,
	"split":      stdlib.SplitFunc,
	"substr":     stdlib.SubstrFunc,
	"tobool":     stdlib.MakeToFunc(cty.Bool),
	"tonumber":   stdlib.MakeToFunc(cty.Number),
	"tostring":   stdlib.MakeToFunc(cty.String),
	"trimprefix": stdlib.TrimPrefixFunc,
	"trimspace":  stdlib.TrimSpaceFunc,
	"trimsuffix": stdlib.TrimSuffixFunc,
	"upper":      stdlib.UpperFunc,
	"values":     stdlib.ValuesFunc,
}

// FunctionNames lists the functions that expressions may call.
func FunctionNames() []string { return slices.Sorted(maps.Keys(functions)) }

// fixedScope is the scope of arguments that are read before variables have
// values: functions only.
var fixedScope = sync.OnceValue(func() *hcl.EvalContext {
	return &hcl.EvalContext{Functions: functions}
})

// sensitiveMark marks values that must not be shown. It follows a value
// through functions and templates.
type sensitiveMark struct{}

// variable is a variable while its file is read.
type variable struct {
	Variable
	block  *hcl.Block
	label  hcl.Range
	typ    cty.Type
	def    hcl.Expression // nil: no default
	broken bool           // something about it has been reported
	used   bool
}

var variableFields = fields[*variable]{
	"type":    func(l *loader, a argument, v *variable) { l.variableType(a, v) },
	"default": func(_ *loader, a argument, v *variable) { v.def = a.expr },
	"description": func(l *loader, a argument, v *variable) {
		var s Attr[string]
		l.textAttr(a, &s)
		v.Description = s.Value
	},
	"sensitive": func(l *loader, a argument, v *variable) {
		var b Attr[bool]
		l.boolAttr(a, &b)
		v.Sensitive = b.Value
	},
}

// variables declares the variable blocks, gives each its value, and opens the
// scope in which all other arguments are evaluated.
func (l *loader) variables(blocks hcl.Blocks) {
	l.vars = map[string]*variable{}
	s, _ := schema.Root().Block("variable")
	var order []*variable
	for _, block := range blocks {
		v := &variable{block: block, label: block.LabelRanges[0], typ: cty.DynamicPseudoType}
		v.Name, v.Type, v.Origin = block.Labels[0], "any", diag.Range(headerRange(block))
		before := len(l.diags)
		content := l.openBlock(s, block)
		decodeArguments(l, content, variableFields, v)
		if attr := content.attrs["default"]; attr != nil {
			v.def = attr.Expr // null is a value here: it leaves out what uses it
		}
		if v.Sensitive {
			l.secretRange(block)
		}
		v.broken = l.diags[before:].HasErrors()
		if !l.goodName(v.Name, v.label, "variable") {
			continue
		}
		if first, ok := l.vars[v.Name]; ok {
			l.duplicateName("variable", v.Name, v.label, first.label)
			continue
		}
		l.vars[v.Name] = v
		order = append(order, v)
	}
	l.undeclared()

	object := map[string]cty.Value{}
	for _, v := range order {
		object[v.Name] = l.variableValue(v)
		l.spec.Variables = append(l.spec.Variables, &v.Variable)
	}
	l.scope = &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(object)},
		Functions: functions,
	}
}

func (l *loader) variableType(a argument, v *variable) {
	typ, diags := typeexpr.TypeConstraint(a.expr)
	if !diags.HasErrors() {
		v.typ, v.Type = typ, typeexpr.TypeString(typ)
		return
	}
	d := diag.Diagnostic{
		Code: diag.BadVariableType, Summary: "Invalid type", Subject: a.rng(), Label: "not a type",
		Help: "types are string, number, bool, list(string), map(string), object({ name = string }) and the like",
	}
	if s, ok := stringLiteral(a.expr); ok && !l.json {
		d.Label = "a type stands without quotes"
		if typeWords[s] {
			d.Help = "type = " + s
		}
	} else if word := hcl.ExprAsKeyword(a.expr); word != "" {
		if near := diag.Suggest(word, slices.Collect(maps.Keys(typeWords))); near != "" {
			d.Help = fmt.Sprintf("did you mean %q?", near)
		}
	}
	l.diags.Add(d)
}

var typeWords = map[string]bool{"string": true, "number": true, "bool": true, "any": true}

// variableValue gives a variable its value: from --var, or else the default.
// Where something is wrong with it the value is unknown, which keeps
// everything that depends on it quiet.
func (l *loader) variableValue(v *variable) cty.Value {
	unknown := cty.UnknownVal(v.typ)
	given, isGiven := l.opts.Vars[v.Name]
	val := cty.NilVal
	if v.def != nil {
		before := len(l.diags)
		it, ok := l.eval(v.def)
		if !ok {
			if v.Sensitive {
				l.diags[before:].HideValues()
			}
			return unknown
		}
		converted, err := convert.Convert(it.val, v.typ)
		if err != nil {
			l.diags.Add(diag.Diagnostic{
				Code: diag.BadVariableValue, Summary: "Invalid default", Subject: diag.Range(it.rng), Sensitive: v.Sensitive,
				Label: fmt.Sprintf("%s, but the type is %s", describe(it.val), v.Type),
			})
			return unknown
		}
		val, v.From = converted, "default"
	}
	if isGiven {
		converted, ok := l.givenValue(v, given)
		if !ok {
			return unknown
		}
		val, v.From = converted, "--var"
	}
	if v.broken {
		return unknown
	}
	if val == cty.NilVal {
		l.diags.Add(diag.Diagnostic{
			Code: diag.MissingVariableValue, Summary: "Variable without a value", Subject: v.Origin,
			Label: "has no default, and no value was given",
			Help:  fmt.Sprintf("pass --var %s=VALUE, or add a default to the block", v.Name),
		})
		return unknown
	}
	if v.Sensitive {
		return val.Mark(sensitiveMark{})
	}
	if text, err := ctyjson.Marshal(val, val.Type()); err == nil {
		v.Value = string(text)
	}
	return val
}

// varFile is the name under which diagnostics show a --var value.
func varFile(name string) string { return "<--var " + name + ">" }

// givenValue converts the text of a --var. Strings, numbers and bools are
// taken as they are; values of other types are written as in a spec.
func (l *loader) givenValue(v *variable, text string) (cty.Value, bool) {
	file := varFile(v.Name)
	if l.opts.Sources != nil && !v.Sensitive {
		l.opts.Sources[file] = []byte(text)
	}
	val := cty.StringVal(text)
	if !v.typ.IsPrimitiveType() && v.typ != cty.DynamicPseudoType {
		var ok bool
		if val, ok = l.givenExpression(v, file, text); !ok {
			return cty.NilVal, false
		}
	}
	val, err := convert.Convert(val, v.typ)
	if err != nil || val.IsNull() {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadVariableValue, Summary: "Invalid value for variable", Sensitive: v.Sensitive,
			Subject: diag.RangeOf([]byte(text), file, 0, len(text)),
			Label:   fmt.Sprintf("not a value of type %s", v.Type),
			Related: []diag.Related{{Range: v.Origin, Text: "declared here"}},
		})
		return cty.NilVal, false
	}
	return val, true
}

func (l *loader) givenExpression(v *variable, file, text string) (cty.Value, bool) {
	if d, bad := tooMuch(file, []byte(text), false); bad {
		d.Sensitive = v.Sensitive
		l.diags.Add(d)
		return cty.NilVal, false
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), file, hcl.InitialPos)
	var val cty.Value
	if !diags.HasErrors() {
		val, diags = expr.Value(nil)
	}
	if !diags.HasErrors() {
		return val, true
	}
	list := diag.FromHCL(diags, diag.BadVariableValue, []byte(text))
	if v.Sensitive {
		list.HideValues()
	}
	for _, d := range list {
		d.Code, d.Sensitive = diag.BadVariableValue, v.Sensitive
		l.diags.Add(d)
	}
	return cty.NilVal, false
}

// undeclared reports --var values for variables that do not exist. Their
// values are not shown: a misspelt name may hold a secret.
func (l *loader) undeclared() {
	for _, name := range slices.Sorted(maps.Keys(l.opts.Vars)) {
		if _, ok := l.vars[name]; ok {
			continue
		}
		d := diag.Diagnostic{
			Code: diag.UndeclaredVariable, Summary: "Undeclared variable", Subject: fileStart(varFile(name)),
			Detail: fmt.Sprintf("The spec %s declares no variable %q.", l.file, name),
			Help:   fmt.Sprintf("add a block: variable %q {}", name),
		}
		if near := diag.Suggest(name, slices.Collect(maps.Keys(l.vars))); near != "" {
			d.Help = fmt.Sprintf("did you mean %q?", near)
			d.Related = []diag.Related{{Range: l.vars[near].Origin, Text: "declared here"}}
		}
		l.diags.Add(d)
	}
}

// usesSecret reports whether an expression reads a sensitive variable, so that
// messages about it could quote the value.
func (l *loader) usesSecret(expr hcl.Expression) bool {
	for _, t := range expr.Variables() {
		if len(t) < 2 {
			return true
		}
		if step, ok := t[1].(hcl.TraverseAttr); ok && l.vars[step.Name] != nil && l.vars[step.Name].Sensitive {
			return true
		}
	}
	return false
}

// checkVariables reports names in an expression that stand for nothing, in our
// words and not in hcl's.
func (l *loader) checkVariables(expr hcl.Expression) bool {
	good := true
	for _, t := range expr.Variables() {
		good = l.checkTraversal(t) && good
	}
	return good
}

func (l *loader) checkTraversal(t hcl.Traversal) bool {
	at := diag.Range(t.SourceRange())
	root := t.RootName()
	switch {
	case root != "var":
		l.diags.Add(l.unknownName(t, at))
		return false
	case l.scope == nil:
		l.diags.Add(diag.Diagnostic{
			Code: diag.VariableNotAllowed, Summary: "Variables not allowed", Subject: at,
			Label:  "only a fixed value can stand here",
			Detail: "This argument says what a variable is, and is read before variables have values.",
		})
		return false
	}
	var name string
	if len(t) > 1 {
		if step, ok := t[1].(hcl.TraverseAttr); ok {
			name = step.Name
		}
	}
	if v, ok := l.vars[name]; ok {
		v.used = true
		return true
	}
	known := slices.Sorted(maps.Keys(l.vars))
	l.diags.Add(diag.Diagnostic{
		Code: diag.UnknownVariable, Summary: "Unknown variable", Subject: at,
		Label: "no such variable",
		Help:  orElse(suggestion("var."+name, prefixed("var.", known), "there are "), fmt.Sprintf("declare it: variable %q {}", name)),
	})
	return false
}

// unknownName explains a bare word where a value should stand.
func (l *loader) unknownName(t hcl.Traversal, at pos.Range) diag.Diagnostic {
	root := t.RootName()
	d := diag.Diagnostic{
		Code: diag.UnknownVariable, Summary: "Unknown name", Subject: at, Label: "stands for nothing here",
		Help: fmt.Sprintf("text is written in quotes: %q", l.textAt(t.SourceRange())),
	}
	if _, ok := l.vars[root]; ok {
		d.Help = fmt.Sprintf("variables are written var.%s", root)
	} else if _, ok := schema.Root().Block(root); ok {
		d.Help = "a reference to a block cannot stand here; use a variable"
	} else if near := diag.Suggest(root, []string{"var"}); near != "" && len(t) > 1 {
		d.Help = "variables are written var.NAME"
	}
	return d
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// secretRange keeps the lines of a sensitive variable out of every output.
func (l *loader) secretRange(block *hcl.Block) {
	end := block.Body.MissingItemRange()
	if native, ok := block.Body.(*hclsyntax.Body); ok {
		end = native.SrcRange
	}
	l.spec.secrets = append(l.spec.secrets, diag.Range(hcl.RangeBetween(headerRange(block), end)))
}

// hideSecrets marks diagnostics whose source line shows a sensitive variable.
func (l *loader) hideSecrets() {
	if l.spec == nil {
		return
	}
	for i := range l.diags {
		d := &l.diags[i]
		for _, secret := range l.spec.secrets {
			if d.Subject.File == secret.File && touches(secret, d.Subject.Start.Line) {
				d.Sensitive = true
			}
			for _, r := range d.Related {
				// Where a block begins may be shown, unless all of it stands on that line.
				if r.Range.File == secret.File && touches(secret, r.Range.Start.Line) && (l.json || secret.Start.Line == secret.End.Line) {
					d.Sensitive = true
				}
			}
		}
	}
}
