package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// sensitiveMark marks values that must not be shown. It follows a value
// through functions and templates.
type sensitiveMark struct{}

// variable is a variable while its file is read.
type variable struct {
	Variable
	block    *hcl.Block
	body     *body
	label    hcl.Range
	typ      cty.Type
	nullable bool
	def      hcl.Expression // nil: no default
	value    cty.Value
	at       pos.Range // where the value stands; zero when nothing can be shown
	secret   bool      // the value may not be shown
	broken   bool      // something about it has been reported
	used     bool
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
	"nullable": func(l *loader, a argument, v *variable) {
		var b Attr[bool]
		l.boolAttr(a, &b)
		v.nullable = b.Value
	},
}

// variables declares the variable blocks, gives each its value, and opens the
// scope in which all other arguments are evaluated.
func (l *loader) variables(blocks hcl.Blocks) {
	l.vars = map[string]*variable{}
	var order []*variable
	for _, block := range blocks {
		if v := l.declareVariable(block); v != nil {
			order = append(order, v)
		}
	}
	all := l.assignments()
	l.undeclared(all)
	given := map[string][]*given{}
	for i := range all {
		given[all[i].name] = append(given[all[i].name], &all[i])
	}

	object := map[string]cty.Value{}
	for _, v := range order {
		v.value = l.variableValue(v, given[v.Name])
		v.secret = v.Sensitive || v.value.ContainsMarked()
		object[v.Name] = v.value
		l.spec.Variables = append(l.spec.Variables, &v.Variable)
	}
	l.scope = &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(object)},
		Functions: l.fixed.Functions,
	}
	for _, v := range order {
		if !l.validations(v) {
			object[v.Name] = cty.UnknownVal(v.typ) // what uses it stays quiet
		}
	}
	l.scope.Variables["var"] = cty.ObjectVal(object)
}

// declareVariable reads a variable block. It is nil where its name is taken.
func (l *loader) declareVariable(block *hcl.Block) *variable {
	s, _ := schema.Root().Block("variable")
	v := &variable{block: block, label: block.LabelRanges[0], typ: cty.DynamicPseudoType, nullable: true}
	v.Name, v.Type, v.Origin = block.Labels[0], "any", diag.Range(headerRange(block))
	before := len(l.diags)
	v.body = l.openBlock(s, block)
	decodeArguments(l, v.body, variableFields, v)
	if attr := v.body.attrs["default"]; attr != nil {
		v.def = attr.Expr // null is a value here: it leaves out what uses it
	}
	if v.Sensitive {
		l.secretRange(block)
	}
	v.broken = l.diags[before:].HasErrors()
	if !l.goodName(v.Name, v.label, "variable") {
		return nil
	}
	if first, ok := l.vars[v.Name]; ok {
		l.duplicateName("variable", v.Name, v.label, first.label)
		return nil
	}
	l.vars[v.Name] = v
	return v
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

// variableValue gives a variable the value that wins. Where something is wrong
// with it the value is unknown, which keeps everything that depends on it
// quiet.
func (l *loader) variableValue(v *variable, from []*given) cty.Value {
	unknown := cty.UnknownVal(v.typ)
	val := cty.NilVal
	if v.def != nil {
		var ok bool
		if val, ok = l.defaultValue(v); !ok {
			return unknown
		}
		v.From = "default"
	}
	from = l.withEnvironment(v, from)
	for _, g := range from {
		if v.From != "" {
			v.Overridden = append(v.Overridden, v.From)
		}
		v.From = g.from
		if v.Sensitive && g.attr != nil {
			l.session.hide(g.rng)
		}
	}
	if len(from) > 0 {
		winner := from[len(from)-1]
		var ok bool
		if val, ok = l.valueOf(v, winner); !ok {
			return unknown
		}
		v.at = winner.at
	}
	if v.broken {
		return unknown
	}
	if val == cty.NilVal {
		l.withoutValue(v)
		return unknown
	}
	if v.Sensitive {
		return val.Mark(sensitiveMark{})
	}
	if val.ContainsMarked() {
		return val
	}
	if text, err := ctyjson.Marshal(val, val.Type()); err == nil {
		v.Value = string(text)
	}
	return val
}

// withEnvironment puts what the environment has for a variable below what
// files and flags say. It does not reach imported files.
func (l *loader) withEnvironment(v *variable, from []*given) []*given {
	if l.importing != nil {
		return from
	}
	name := EnvPrefix + v.Name
	text, ok := l.session.getenv(name)
	if !ok {
		return from
	}
	return append([]*given{{name: v.Name, from: name, text: text, file: "<" + name + ">"}}, from...)
}

func (l *loader) defaultValue(v *variable) (cty.Value, bool) {
	before := len(l.diags)
	it, ok := l.eval(v.def)
	if !ok {
		if v.Sensitive {
			l.diags[before:].HideValues()
		}
		return cty.NilVal, false
	}
	v.at = diag.Range(it.rng)
	val, err := convert.Convert(it.val, v.typ)
	if err == nil && (v.nullable || !val.IsNull()) {
		if !v.body.has("type") && !val.IsNull() && val.Type().IsPrimitiveType() {
			v.typ, v.Type = val.Type(), typeexpr.TypeString(val.Type())
		}
		return val, true
	}
	d := diag.Diagnostic{
		Code: diag.BadVariableValue, Summary: "Invalid default", Subject: diag.Range(it.rng), Sensitive: v.Sensitive,
		Label: fmt.Sprintf("%s, but the type is %s", describe(it.val), v.Type),
	}
	if err == nil {
		d.Label = "null, and the variable is not nullable"
	}
	l.diags.Add(d)
	return cty.NilVal, false
}

func (l *loader) withoutValue(v *variable) {
	if l.valuesLost {
		return // it may have been there
	}
	d := diag.Diagnostic{
		Code: diag.MissingVariableValue, Summary: "Variable without a value", Subject: v.Origin,
		Label: "has no default, and no value was given",
		Help:  fmt.Sprintf("pass --var %s=VALUE, or add a default to the block", v.Name),
	}
	if l.importing != nil {
		d.Help = fmt.Sprintf("give it where the file is imported: variables = { %s = VALUE }", v.Name)
		d.Related = []diag.Related{{Range: l.importing.origin, Text: "imported here"}}
	}
	l.diags.Add(d)
}

// validation is a condition with what is said when it does not hold.
type validation struct {
	condition, message hcl.Expression
}

var validationFields = fields[*validation]{
	"condition":     func(_ *loader, a argument, v *validation) { v.condition = a.expr },
	"error_message": func(_ *loader, a argument, v *validation) { v.message = a.expr },
}

// validations decides the validation blocks of a variable. It is false where
// the value was refused.
func (l *loader) validations(v *variable) bool {
	good := true
	s, _ := v.body.schema.Block("validation")
	for _, block := range v.body.blocksOf("validation") {
		var c validation
		decodeArguments(l, l.openBlock(s, block), validationFields, &c)
		if c.condition == nil || c.message == nil {
			continue
		}
		if !mentions(c.condition, "var", v.Name) {
			l.diags.Add(diag.Diagnostic{
				Code: diag.BadCondition, Summary: "Condition that judges nothing", Subject: diag.Range(c.condition.Range()),
				Label: fmt.Sprintf("does not look at var.%s", v.Name),
				Help:  fmt.Sprintf("the condition of a validation has to use var.%s", v.Name),
			})
			continue
		}
		message, ok := l.errorMessage(c.message)
		if !ok {
			continue
		}
		holds, ok := l.holds(c.condition)
		if !ok || holds {
			continue
		}
		d := diag.Diagnostic{
			Code: diag.ValidationFailed, Summary: "Invalid value for variable", Subject: v.at, Sensitive: v.secret,
			Label:   fmt.Sprintf("not a value for %s", v.Name),
			Detail:  message,
			Related: []diag.Related{{Range: diag.Range(c.condition.Range()), Text: "this has to be true"}},
		}
		if v.at.IsZero() {
			d.Subject = v.Origin
		}
		l.diags.Add(d)
		good = false
	}
	return good
}

// mentions reports whether an expression reads root.name, or anything of root
// when name is "".
func mentions(expr hcl.Expression, root, name string) bool {
	for _, t := range expr.Variables() {
		if t.RootName() != root {
			continue
		}
		if name == "" || len(t) > 1 && attrName(t[1]) == name {
			return true
		}
	}
	return false
}

func attrName(step hcl.Traverser) string {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && !step.Key.IsNull() {
			return step.Key.AsString()
		}
	}
	return ""
}

// holds evaluates a condition. ok is false when something was reported, or
// when the condition depends on what was.
func (l *loader) holds(expr hcl.Expression) (holds, ok bool) {
	it, ok := l.eval(expr)
	if !ok {
		return false, false
	}
	if it.val.IsNull() || it.val.Type() != cty.Bool {
		l.notACondition(expr, it.val)
		return false, false
	}
	return it.val.True(), true
}

func (l *loader) notACondition(expr hcl.Expression, val cty.Value) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.WrongType, Summary: "Wrong type", Subject: diag.Range(expr.Range()),
		Label: describe(val) + ", not true or false",
		Help:  "a condition compares something: length(var.name) > 0",
	})
}

// errorMessage evaluates the message of a condition.
func (l *loader) errorMessage(expr hcl.Expression) (string, bool) {
	it, ok := l.eval(expr)
	if !ok {
		return "", false
	}
	return it.text(), l.goodMessage(it)
}

func (it item) text() string {
	if it.val.Type() != cty.String || it.val.IsNull() || !it.val.IsKnown() {
		return ""
	}
	return it.val.AsString()
}

// goodMessage checks that a message is a sentence that may be shown.
func (l *loader) goodMessage(it item) bool {
	d := diag.Diagnostic{Code: diag.BadCondition, Summary: "Unfit error message", Subject: diag.Range(it.rng)}
	switch text := strings.TrimSpace(it.text()); {
	case it.val.Type() != cty.String || it.val.IsNull():
		d.Code, d.Summary, d.Label = diag.WrongType, "Wrong type", describe(it.val)+", not a string"
	case it.sensitive:
		d.Code, d.Label = diag.SensitiveShown, "holds a sensitive value, and everybody reads it"
	case !isSentence(text):
		d.Label = "not a full sentence"
		d.Help = `begin with a capital and end with a period: "The URL begins with http:// or https://."`
	default:
		return true
	}
	l.diags.Add(d)
	return false
}

func isSentence(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return s != "" && !unicode.IsLower(first) && strings.ContainsRune(".!?", rune(s[len(s)-1]))
}

// usesSecret reports whether an expression reads a sensitive value, so that
// messages about it could quote it.
func (l *loader) usesSecret(expr hcl.Expression) bool {
	for _, t := range expr.Variables() {
		if len(t) < 2 {
			return true
		}
		name := attrName(t[1])
		switch t.RootName() {
		case "var":
			if v := l.vars[name]; v != nil && (v.Sensitive || v.secret) {
				return true
			}
		case "local":
			if x := l.locals[name]; x != nil && x.secret {
				return true
			}
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
	name := ""
	if len(t) > 1 {
		name = attrName(t[1])
	}
	root := t.RootName()
	switch {
	case root == "each" && l.scope != nil:
		return l.checkEach(name, at)
	case root == "result" && l.judging:
		return l.checkResult(t)
	case root != "var" && root != "local":
		l.diags.Add(l.unknownName(t, at))
		return false
	case l.scope == nil:
		l.notAllowed(at, "This argument says what a variable is, and is read before variables have values.")
		return false
	case root == "local":
		return l.checkLocal(name, at)
	}
	if v, ok := l.vars[name]; ok {
		v.used = true
		return true
	}
	l.unknownValue("var", name, sortedKeys(l.vars), at, fmt.Sprintf("declare it: variable %q {}", name))
	return false
}

func (l *loader) notAllowed(at pos.Range, why string) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.VariableNotAllowed, Summary: "Variables not allowed", Subject: at,
		Label: "only a fixed value can stand here", Detail: why,
	})
}

func (l *loader) checkLocal(name string, at pos.Range) bool {
	if l.locals == nil {
		l.notAllowed(at, "Validations are decided before locals have values.")
		return false
	}
	if x, ok := l.locals[name]; ok {
		x.used = true
		return true
	}
	l.unknownValue("local", name, sortedKeys(l.locals), at, fmt.Sprintf("set it: locals { %s = VALUE }", orElse(name, "NAME")))
	return false
}

// unknownValue reports root.name for which there is no such name.
func (l *loader) unknownValue(root, name string, known []string, at pos.Range, declare string) {
	d := diag.Diagnostic{Code: diag.UnknownVariable, Summary: "Unknown variable", Subject: at, Label: "no such variable"}
	if root == "local" {
		d.Summary, d.Label = "Unknown local", "no such local"
	}
	d.Help = orElse(suggestion(root+"."+name, prefixed(root+".", known), "there are "), declare)
	l.diags.Add(d)
}

// unknownName explains a bare word where a value should stand.
func (l *loader) unknownName(t hcl.Traversal, at pos.Range) diag.Diagnostic {
	root := t.RootName()
	d := diag.Diagnostic{
		Code: diag.UnknownVariable, Summary: "Unknown name", Subject: at, Label: "stands for nothing here",
		Help: fmt.Sprintf("text is written in quotes: %q", l.textAt(t.SourceRange())),
	}
	if root == "locals" {
		d.Help = "locals are written local.NAME"
	} else if _, ok := l.vars[root]; ok {
		d.Help = fmt.Sprintf("variables are written var.%s", root)
	} else if _, ok := schema.Root().Block(root); ok {
		d.Help = "a reference to a block cannot stand here; use a variable"
	} else if _, ok := l.locals[root]; ok {
		d.Help = fmt.Sprintf("locals are written local.%s", root)
	} else if root == "result" {
		d.Help = "only the condition and the message of an assert can look at the result"
	} else if near := diag.Suggest(root, []string{"var", "local"}); near != "" && len(t) > 1 {
		d.Help = map[string]string{"var": "variables are written var.NAME", "local": "locals are written local.NAME"}[near]
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
	l.session.hide(hcl.RangeBetween(headerRange(block), end))
}
