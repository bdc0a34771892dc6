package lang

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// AssignmentKind says what an Assignment is.
type AssignmentKind uint8

// The kinds of assignments.
const (
	Var     AssignmentKind = iota // --var: Name and Value
	VarFile                       // --var-file: Name is the path of the file
)

// Assignment gives values to variables. Of several for one variable the last
// wins.
type Assignment struct {
	Kind  AssignmentKind
	Name  string
	Value string
}

// EnvPrefix begins the names of environment variables that give values.
const EnvPrefix = "SHADOWAUDIT_VAR_"

// given is a value for a variable from outside of its block.
type given struct {
	name string
	from string // as Variable.From has it

	text string         // of a flag or of the environment
	attr *hcl.Attribute // of a values file
	val  *cty.Value     // of an import
	src  []byte         // what at points into
	at   pos.Range      // of the value; zero for a text
	rng  hcl.Range      // of the whole assignment in a file
	key  pos.Range      // of the name in a file
	file string         // pseudo-file of a text
}

// assignments gives all values from outside, lowest first: values files beside
// the spec, then the flags. The environment is asked variable by variable.
func (l *loader) assignments() []given {
	if l.importing != nil {
		return l.importing.given
	}
	out := l.autoFiles()
	for _, a := range l.opts.Assignments {
		if a.Kind == VarFile {
			out = append(out, l.valuesFile(a.Name)...)
			continue
		}
		out = append(out, given{name: a.Name, from: "--var", text: a.Value, file: varFile(a.Name)})
	}
	return out
}

// varFile is the name under which diagnostics show a --var value.
func varFile(name string) string { return "<--var " + name + ">" }

// autoFiles reads *.auto.auditvars.hcl and *.auto.auditvars.json beside the
// spec, in the order of their names.
func (l *loader) autoFiles() []given {
	dir := filepath.Dir(l.file)
	names, err := l.session.list(dir)
	if err != nil {
		d := unreadable(dir, err)
		d.Summary = "Unreadable folder"
		d.Detail = strings.Replace(d.Detail, "The file", "The folder of the spec", 1)
		l.diags.Add(d)
		return nil
	}
	slices.Sort(names)
	var out []given
	for _, name := range names {
		if strings.HasSuffix(name, ".auto.auditvars.hcl") || strings.HasSuffix(name, ".auto.auditvars.json") {
			out = append(out, l.valuesFile(filepath.Join(dir, name))...)
		}
	}
	return out
}

// valuesFile reads NAME = VALUE lines.
func (l *loader) valuesFile(path string) []given {
	src, err := l.session.read(path)
	if err != nil {
		d := unreadable(path, err)
		d.Summary = "Unreadable values file"
		l.diags.Add(d)
		l.valuesLost = true
		return nil
	}
	l.session.enter(path, src)
	before := len(l.diags)
	attrs := l.parseValues(path, src)
	l.valuesLost = l.valuesLost || l.diags[before:].HasErrors()
	if l.hasSecrets() {
		// A line that was not understood may hold one.
		for i := range l.diags[before:] {
			l.diags[before+i].Sensitive = true
		}
	}
	slices.SortFunc(attrs, func(a, b *hcl.Attribute) int { return a.Range.Start.Byte - b.Range.Start.Byte })
	out := make([]given, len(attrs))
	for i, attr := range attrs {
		out[i] = given{
			name: attr.Name, from: fmt.Sprintf("%s:%d", path, attr.NameRange.Start.Line),
			attr: attr, src: src, at: diag.Range(attr.Expr.Range()), rng: attr.Range, key: diag.Range(attr.NameRange),
		}
	}
	return out
}

func (l *loader) hasSecrets() bool {
	for _, v := range l.vars {
		if v.Sensitive {
			return true
		}
	}
	return false
}

func (l *loader) parseValues(path string, src []byte) []*hcl.Attribute {
	if d, bad := tooMuch(path, src, isJSON(path)); bad {
		l.diags.Add(d)
		return nil
	}
	if isJSON(path) {
		file, diags := hcljson.Parse(src, path)
		if diags.HasErrors() {
			list := diag.FromHCL(diags, diag.Syntax, src)
			l.diags = append(l.diags, list[:1]...) // the parser does not find its way back
			return nil
		}
		attrs, diags := file.Body.JustAttributes()
		l.diags = append(l.diags, diag.FromHCL(diags, diag.Syntax, src)...)
		return slices.Collect(maps.Values(attrs))
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		l.diags = append(l.diags, diag.FromHCL(diags, diag.Syntax, src)...)
		return nil
	}
	body := file.Body.(*hclsyntax.Body)
	for _, block := range body.Blocks {
		l.blockInValues(block)
	}
	attrs := make([]*hcl.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		attrs = append(attrs, a.AsHCLAttribute())
	}
	return attrs
}

// blockInValues explains what people write who take a values file for a spec.
func (l *loader) blockInValues(block *hclsyntax.Block) {
	d := diag.Diagnostic{
		Code: diag.BadValuesFile, Summary: "Block in a values file", Subject: diag.Range(block.TypeRange),
		Label: "only NAME = VALUE can stand here",
		Help:  "blocks belong into the spec",
	}
	if block.Type == "variable" {
		d.Summary, d.Label = "Declaration in a values file", "variables are declared in the spec"
		d.Help = "write NAME = VALUE here, without a block"
		if len(block.Labels) == 1 && hclsyntax.ValidIdentifier(block.Labels[0]) {
			d.Help = fmt.Sprintf("write %s = VALUE here, without a block", block.Labels[0])
		}
	}
	l.diags.Add(d)
}

// undeclared reports values for variables that do not exist. They are not
// shown: a misspelt name may hold a secret.
func (l *loader) undeclared(all []given) {
	seen := map[string]bool{}
	for _, g := range all {
		if _, ok := l.vars[g.name]; ok || g.attr == nil && seen[g.name] {
			continue
		}
		seen[g.name] = seen[g.name] || g.attr == nil
		d := diag.Diagnostic{
			Code: diag.UndeclaredVariable, Summary: "Undeclared variable", Subject: fileStart(g.file),
			Detail: fmt.Sprintf("The spec %s declares no variable %q.", l.file, g.name),
			Help:   fmt.Sprintf("add a block: variable %q {}", g.name),
		}
		if g.attr != nil || g.val != nil {
			d.Subject, d.Label, d.Detail = g.key, fmt.Sprintf("%s declares no such variable", l.file), ""
			d.Sensitive = g.attr != nil && l.hasSecrets()
		}
		if near := diag.Suggest(g.name, slices.Collect(maps.Keys(l.vars))); near != "" {
			d.Help = fmt.Sprintf("did you mean %q?", near)
			d.Related = []diag.Related{{Range: l.vars[near].Origin, Text: "declared here"}}
		} else if g.name == "variable" && isJSON(g.key.File) {
			d.Code, d.Summary, d.Label = diag.BadValuesFile, "Declaration in a values file", "variables are declared in the spec"
			d.Detail, d.Help = "", `write {"NAME": VALUE} here`
		}
		l.diags.Add(d)
	}
}

// valueOf converts what was given for a variable to its type.
func (l *loader) valueOf(v *variable, g *given) (cty.Value, bool) {
	switch {
	case g.val != nil:
		return l.fitting(v, g, *g.val)
	case g.attr != nil:
		val, diags := g.attr.Expr.Value(nil)
		if diags.HasErrors() {
			l.badValue(v, diags, g.src)
			return cty.NilVal, false
		}
		return l.fitting(v, g, val)
	}
	g.src = []byte(g.text)
	g.at = diag.RangeOf(g.src, g.file, 0, len(g.src))
	if !v.Sensitive {
		l.session.enter(g.file, g.src)
	}
	val := cty.StringVal(g.text)
	if !v.typ.IsPrimitiveType() && v.typ != cty.DynamicPseudoType {
		var ok bool
		if val, ok = l.givenExpression(v, g); !ok {
			return cty.NilVal, false
		}
	}
	return l.fitting(v, g, val)
}

func (l *loader) fitting(v *variable, g *given, val cty.Value) (cty.Value, bool) {
	out, err := convert.Convert(val, v.typ)
	plain, _ := out.UnmarkDeep()
	if err == nil && (v.nullable || !plain.IsNull()) {
		return out, true
	}
	d := diag.Diagnostic{
		Code: diag.BadVariableValue, Summary: "Invalid value for variable", Sensitive: v.Sensitive || val.ContainsMarked(),
		Subject: g.at,
		Label:   fmt.Sprintf("not a value of type %s", v.Type),
		Related: []diag.Related{{Range: v.Origin, Text: "declared here"}},
	}
	if err == nil {
		d.Label = "null, and the variable is not nullable"
	}
	l.diags.Add(d)
	return cty.NilVal, false
}

func (l *loader) badValue(v *variable, diags hcl.Diagnostics, src []byte) {
	list := diag.FromHCL(diags, diag.BadVariableValue, src)
	if v.Sensitive {
		list.HideValues()
	}
	for _, d := range list {
		if d.Code == diag.VariableNotAllowed {
			d.Detail = "A value from outside is fixed: it can use neither variables nor functions."
		}
		d.Code, d.Sensitive = diag.BadVariableValue, v.Sensitive
		l.diags.Add(d)
	}
}

// givenExpression reads a value of a type that has parts, as a spec would
// write it.
func (l *loader) givenExpression(v *variable, g *given) (cty.Value, bool) {
	src := bytes.Clone(g.src)
	if d, bad := tooMuch(g.file, src, false); bad {
		d.Sensitive = v.Sensitive
		l.diags.Add(d)
		return cty.NilVal, false
	}
	expr, diags := hclsyntax.ParseExpression(src, g.file, hcl.InitialPos)
	var val cty.Value
	if !diags.HasErrors() {
		val, diags = expr.Value(nil)
	}
	if diags.HasErrors() {
		l.badValue(v, diags, src)
		return cty.NilVal, false
	}
	return val, true
}
