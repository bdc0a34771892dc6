package lang

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// item is one evaluated value with its place: an argument's, a list element's
// or an object value's.
type item struct {
	val       cty.Value
	rng       hcl.Range
	sensitive bool
	literal   bool // the value can be read from the source line
}

// eval evaluates an expression. It is false when something was reported, here
// or earlier for a variable that the expression uses.
func (l *loader) eval(expr hcl.Expression) (item, bool) {
	if !l.checkVariables(expr) {
		return item{}, false
	}
	scope := l.scope
	if scope == nil {
		scope = l.fixed
	}
	val, diags := expr.Value(scope)
	if diags.HasErrors() {
		list := diag.FromHCL(diags, diag.BadExpression, l.src)
		if l.usesSecret(expr) {
			list.HideValues()
		}
		l.diags = append(l.diags, list...)
		return item{}, false
	}
	return itemOf(val, expr.Range(), len(expr.Variables()) == 0)
}

func itemOf(val cty.Value, rng hcl.Range, literal bool) (item, bool) {
	val, marks := val.UnmarkDeep()
	return item{val: val, rng: rng, sensitive: len(marks) > 0, literal: literal}, val.IsWhollyKnown()
}

// plain is eval for arguments that reports show: a sensitive value is refused,
// and null counts as left out.
func (l *loader) plain(a argument) (item, bool) {
	it, ok := l.eval(a.expr)
	if !ok || !l.showable(a, it) {
		return it, false
	}
	if it.val.IsNull() && a.Required {
		l.diags.Add(missing(a.block, *a.Argument, it.rng))
	}
	return it, !it.val.IsNull()
}

func (l *loader) showable(a argument, it item) bool {
	if !it.sensitive {
		return true
	}
	l.diags.Add(diag.Diagnostic{
		Code: diag.SensitiveShown, Summary: "Sensitive value in a visible place", Subject: diag.Range(it.rng),
		Label:  "comes from a sensitive variable",
		Detail: fmt.Sprintf("Plans and reports show %q, so it cannot hold a secret. Header values of targets can.", a.Name),
	})
	return false
}

// describe names the type of a value for a message.
func describe(val cty.Value) string {
	t := val.Type()
	switch {
	case val.IsNull():
		return "null"
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "a bool"
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		return "a list"
	case t.IsObjectType(), t.IsMapType():
		return "an object"
	}
	return "a value of another type"
}

// article puts "a" or "an" before a noun.
func article(noun string) string {
	if strings.ContainsRune("aeio", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

func (l *loader) wrongType(a argument, it item, want string) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.WrongType, Summary: "Wrong type", Subject: diag.Range(it.rng),
		Label:  fmt.Sprintf("%s, not %s", describe(it.val), article(want)),
		Detail: fmt.Sprintf("%q takes %s.", a.Name, article(a.Type.String())),
		Help:   fmt.Sprintf("%s = %s", a.Name, a.Example),
	})
}

// invalid reports a value of the right type and the wrong form. The text of
// why stands beside the caret; the value itself is repeated only where the
// line does not show it.
func (l *loader) invalid(code diag.Code, a argument, it item, why, help string) {
	d := diag.Diagnostic{
		Code: code, Summary: "Invalid " + nounOf(code, a), Subject: diag.Range(it.rng), Label: why, Help: help,
	}
	switch {
	case it.sensitive:
		d.Label = "not " + article(nounOf(code, a))
	case !it.literal && it.val.Type() == cty.String:
		d.Detail = fmt.Sprintf("The value here is %q.", it.val.AsString())
	case !it.literal && it.val.Type() == cty.Number:
		d.Detail = fmt.Sprintf("The value here is %s.", it.val.AsBigFloat().Text('g', 10))
	}
	l.diags.Add(d)
}

func nounOf(code diag.Code, a argument) string {
	if code == diag.BadValue {
		return a.Name
	}
	return a.Type.Base.String()
}

// text decodes a string.
func (l *loader) text(a argument) (string, item, bool) {
	it, ok := l.plain(a)
	if !ok {
		return "", it, false
	}
	return l.asText(a, it)
}

func (l *loader) asText(a argument, it item) (string, item, bool) {
	if it.val.IsNull() || it.val.Type() != cty.String {
		l.wrongType(a, it, a.Type.Base.String())
		return "", it, false
	}
	return it.val.AsString(), it, true
}

// textAttr decodes a string that may not be empty.
func (l *loader) textAttr(a argument, into *Attr[string]) {
	s, it, ok := l.text(a)
	if !ok {
		return
	}
	if strings.TrimSpace(s) == "" {
		l.invalid(diag.BadValue, a, it, "empty", "")
		return
	}
	*into = attrOf(a, s)
}

func (l *loader) boolAttr(a argument, into *Attr[bool]) {
	it, ok := l.plain(a)
	if !ok {
		return
	}
	if it.val.Type() != cty.Bool {
		l.wrongType(a, it, "bool")
		return
	}
	*into = attrOf(a, it.val.True())
}

// countAttr decodes a whole number of at least 1.
func (l *loader) countAttr(a argument, into *Attr[int]) {
	it, ok := l.plain(a)
	if !ok {
		return
	}
	if it.val.Type() != cty.Number {
		l.wrongType(a, it, "integer")
		return
	}
	n, exact := it.val.AsBigFloat().Int64()
	switch {
	case exact != 0:
		l.invalid(diag.BadValue, a, it, "not a whole number", "")
	case n < 1:
		l.invalid(diag.BadValue, a, it, "has to be at least 1", "")
	case n > 1<<31-1:
		l.invalid(diag.BadValue, a, it, "too large", "")
	default:
		*into = attrOf(a, int(n))
	}
}

// factorAttr decodes a number above zero.
func (l *loader) factorAttr(a argument, into *Attr[float64]) {
	it, ok := l.plain(a)
	if !ok {
		return
	}
	if it.val.Type() != cty.Number {
		l.wrongType(a, it, "number")
		return
	}
	n, _ := it.val.AsBigFloat().Float64()
	switch {
	case n <= 0:
		l.invalid(diag.BadValue, a, it, "has to be above 0", "")
	case n > 1e6:
		l.invalid(diag.BadValue, a, it, "has to be at most 1000000", "")
	default:
		*into = attrOf(a, n)
	}
}

// quantity decodes a string with a unit.
func quantity[T any](l *loader, a argument, code diag.Code, parse func(string) (T, error), forms string, into *Attr[T]) bool {
	s, it, ok := l.text(a)
	if !ok {
		return false
	}
	v, err := parse(s)
	if err != nil {
		l.invalid(code, a, it, err.Error(), forms)
		return false
	}
	*into = attrOf(a, v)
	return true
}

func (l *loader) durationAttr(a argument, into *Attr[time.Duration]) {
	quantity(l, a, diag.BadDuration, ParseDuration, `a duration is written "250ms", "2s" or "1m30s"`, into)
}

// periodAttr decodes a duration above zero.
func (l *loader) periodAttr(a argument, into *Attr[time.Duration]) {
	before := *into
	l.durationAttr(a, into)
	if into.Value == 0 && into.Set {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadValue, Summary: "Invalid " + a.Name, Subject: into.Range, Label: "has to be above 0",
		})
		*into = before
	}
}

func (l *loader) sizeAttr(a argument, into *Attr[int64]) {
	quantity(l, a, diag.BadSize, ParseSize, `a size is written "8MiB", "500kB" or "64B"`, into)
}

func (l *loader) rateAttr(a argument, into *Attr[float64]) {
	quantity(l, a, diag.BadRate, ParseRate, `a rate is written "500/s", "30/m" or "1000/h"`, into)
}

func (l *loader) shareAttr(a argument, into *Attr[float64]) {
	quantity(l, a, diag.BadShare, ParseShare, `a share is written "10%" or "0.1%"`, into)
}

// items decodes a list into its elements, each with its own place where the
// list is written out. Where the type allows one value instead of a list, that
// is a list of one.
func (l *loader) items(a argument) ([]item, bool) {
	if exprs, diags := hcl.ExprList(a.expr); !diags.HasErrors() {
		out := make([]item, 0, len(exprs))
		all := true
		for _, expr := range exprs {
			it, ok := l.eval(expr)
			if ok = ok && l.showable(a, it); ok {
				out = append(out, it)
			}
			all = all && ok
		}
		return out, all
	}
	it, ok := l.plain(a)
	if !ok {
		return nil, false
	}
	if a.Type.Shape == schema.OneOrList && it.val.Type() == cty.String {
		return []item{it}, true
	}
	if t := it.val.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		l.wrongList(a, it)
		return nil, false
	}
	var out []item
	for e := it.val.ElementIterator(); e.Next(); {
		_, v := e.Element()
		out = append(out, item{val: v, rng: it.rng})
	}
	return out, true
}

func (l *loader) wrongList(a argument, it item) {
	l.wrongType(a, it, "list")
	if text := l.textAt(it.rng); it.val.Type() == cty.String && text != "" && len(text) < 60 && !strings.Contains(text, "\n") {
		l.diags[len(l.diags)-1].Help = fmt.Sprintf("%s = [%s]", a.Name, text)
	}
}

// texts decodes a list of strings, each of which check accepts or refuses with
// a reason, and may rewrite. The list is given only when all of it is good.
func (l *loader) texts(a argument, code diag.Code, check func(string) (string, error)) ([]string, bool) {
	items, all := l.items(a)
	out := make([]string, 0, len(items))
	for _, it := range items {
		s, it, ok := l.asText(a, it)
		if !ok {
			all = false
			continue
		}
		s, err := check(s)
		if err != nil {
			l.invalid(code, a, it, err.Error(), l.oneOf(a, it))
			all = false
			continue
		}
		if slices.Contains(out, s) {
			l.diags.Add(diag.Diagnostic{
				Severity: diag.Warning, Code: diag.DuplicateKey, Summary: "Repeated value", Subject: diag.Range(it.rng),
				Label: fmt.Sprintf("stands twice in %q", a.Name),
			})
			continue
		}
		out = append(out, s)
	}
	return out, all
}

func (l *loader) oneOf(a argument, it item) string {
	if len(a.OneOf) == 0 {
		return ""
	}
	return suggestion(it.val.AsString(), a.OneOf, "there are ")
}

// pair is one entry of an object argument.
type pair struct {
	key   string
	keyed hcl.Expression // nil when the object was not written out
	at    hcl.Range      // of the key
	value item
}

// pairs decodes an object with keys that the user chose, in the order of the
// spec. keysAreJQ leaves the keys to the caller, which needs them literally.
func (l *loader) pairs(a argument, keysAreJQ bool) ([]pair, bool) {
	entries, diags := hcl.ExprMap(a.expr)
	if diags.HasErrors() {
		return l.computedPairs(a, keysAreJQ)
	}
	out := make([]pair, 0, len(entries))
	all := true
	for _, e := range entries {
		p := pair{keyed: e.Key, at: e.Key.Range()}
		if !keysAreJQ {
			k, ok := l.eval(e.Key)
			if ok && k.val.Type() != cty.String {
				l.wrongType(a, k, "string")
				ok = false
			}
			if !ok {
				all = false
				continue
			}
			p.key = k.val.AsString()
		}
		v, ok := l.eval(e.Value)
		if !ok {
			all = false
			continue
		}
		p.value = v
		out = append(out, p)
	}
	return out, all
}

// computedPairs reads an object that an expression gives, such as a variable.
func (l *loader) computedPairs(a argument, keysAreJQ bool) ([]pair, bool) {
	it, ok := l.eval(a.expr)
	if !ok || it.val.IsNull() {
		return nil, false
	}
	if t := it.val.Type(); !t.IsObjectType() && !t.IsMapType() {
		l.wrongType(a, it, "object")
		return nil, false
	}
	if keysAreJQ {
		l.notLiteral(it.rng, "keys of this object are jq programs")
		return nil, false
	}
	var out []pair
	for e := it.val.ElementIterator(); e.Next(); {
		k, v := e.Element()
		out = append(out, pair{key: k.AsString(), at: it.rng, value: item{val: v, rng: it.rng, sensitive: it.sensitive}})
	}
	return out, true
}

// keyword decodes a bare word of a closed set. It gives "" and reports what is
// wrong with anything else.
func (l *loader) keyword(a argument) string {
	word := hcl.ExprAsKeyword(a.expr)
	if slices.Contains(a.Keywords, word) {
		return word
	}
	d := diag.Diagnostic{
		Code: diag.UnknownKeyword, Summary: "Unknown keyword", Subject: a.rng(),
		Label: "has to be " + orList(a.Keywords), Help: suggestion(word, a.Keywords, "write one of them without quotes: "),
	}
	if s, ok := stringLiteral(a.expr); ok && word == "" {
		d.Label = "a keyword stands without quotes"
		if slices.Contains(a.Keywords, s) {
			d.Help = fmt.Sprintf("%s = %s", a.Name, s)
		} else {
			d.Help = suggestion(s, a.Keywords, "write one of them without quotes: ")
		}
	}
	l.diags.Add(d)
	return ""
}

// stringLiteral gives the text of a string without interpolation.
func stringLiteral(expr hcl.Expression) (string, bool) {
	if len(expr.Variables()) > 0 {
		return "", false
	}
	val, diags := expr.Value(nil)
	if diags.HasErrors() || val.IsNull() || val.Type() != cty.String {
		return "", false
	}
	return val.AsString(), true
}

// orList joins words as a sentence does: "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// dotted gives a traversal as it is written, "source.gor.peak_hour", and false
// for one with anything but names.
func dotted(expr hcl.Expression) ([]string, bool) {
	traversal, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() {
		return nil, false
	}
	return namesOf(traversal)
}

func namesOf(traversal hcl.Traversal) ([]string, bool) {
	var names []string
	for _, step := range traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			names = append(names, step.Name)
		case hcl.TraverseAttr:
			names = append(names, step.Name)
		default:
			return nil, false
		}
	}
	return names, true
}

func joinNames(names []string) string { return strings.Join(names, ".") }

// indexExpr is collection[key] with a key that has to be computed.
type indexExpr struct{ collection, key hcl.Expression }

func indexOf(expr hcl.Expression) (indexExpr, bool) {
	index, ok := hcl.UnwrapExpression(expr).(*hclsyntax.IndexExpr)
	if !ok {
		return indexExpr{}, false
	}
	return indexExpr{index.Collection, index.Key}, true
}

// validName reports whether a name can be referred to.
func validName(name string) bool { return hclsyntax.ValidIdentifier(name) }
