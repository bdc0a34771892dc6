package lang

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// local is one argument of a locals block.
type local struct {
	name   string
	attr   *hcl.Attribute
	state  localState
	value  cty.Value
	secret bool // the value may not be shown
	used   bool
}

type localState uint8

const (
	waiting localState = iota
	started
	settled
)

// localValues evaluates all locals, each after those that it uses, and adds
// them to the scope.
func (l *loader) localValues(blocks hcl.Blocks) {
	l.locals = map[string]*local{}
	s, _ := schema.Root().Block("locals")
	var order []*local
	for _, block := range blocks {
		order = append(order, l.declareLocals(l.openBlock(s, block))...)
	}
	for _, x := range order {
		l.settle(x, nil)
	}
	values := map[string]cty.Value{}
	for _, x := range order {
		values[x.name] = x.value
	}
	l.scope.Variables["local"] = cty.ObjectVal(values)
}

func (l *loader) declareLocals(b *body) []*local {
	attrs := make([]*hcl.Attribute, 0, len(b.attrs))
	for _, attr := range b.attrs {
		attrs = append(attrs, attr)
	}
	slices.SortFunc(attrs, func(x, y *hcl.Attribute) int { return x.Range.Start.Byte - y.Range.Start.Byte })
	var out []*local
	for _, attr := range attrs {
		if !hclsyntax.ValidIdentifier(attr.Name) {
			l.goodName(attr.Name, attr.NameRange, "local")
			continue
		}
		if first, ok := l.locals[attr.Name]; ok {
			l.duplicateName("local", attr.Name, attr.NameRange, first.attr.NameRange)
			continue
		}
		x := &local{name: attr.Name, attr: attr, value: cty.DynamicVal}
		l.locals[x.name] = x
		out = append(out, x)
	}
	return out
}

// settle gives x its value. path has the locals that wait for it. Where
// something is wrong the value stays unknown, which keeps what depends on it
// quiet.
func (l *loader) settle(x *local, path []*local) {
	if x.state != waiting {
		return
	}
	x.state = started
	defer func() { x.state = settled }()
	path = append(path, x)
	if len(path) > maxNesting {
		l.diags.Add(diag.Diagnostic{
			Code: diag.TooDeep, Summary: "Too deeply nested", Subject: diag.Range(x.attr.NameRange),
			Label: "too many locals that each need the next",
		})
		return
	}
	known := map[string]cty.Value{}
	for _, t := range x.attr.Expr.Variables() {
		if t.RootName() != "local" || len(t) < 2 {
			continue
		}
		y := l.locals[attrName(t[1])]
		if y == nil {
			continue // reported by eval
		}
		if y.state == started {
			y.used = true
			l.localCycle(y, path, t.SourceRange())
			return
		}
		l.settle(y, path)
		known[y.name] = y.value
	}
	outer := l.scope
	l.scope = outer.NewChild()
	l.scope.Variables = map[string]cty.Value{"local": cty.ObjectVal(known)}
	it, ok := l.eval(x.attr.Expr)
	l.scope = outer
	if !ok {
		return
	}
	x.value, x.secret = it.val, it.sensitive
	if it.sensitive {
		x.value = it.val.Mark(sensitiveMark{})
	}
}

func (l *loader) localCycle(first *local, path []*local, at hcl.Range) {
	var names []string
	for _, x := range path[slices.Index(path, first):] {
		names = append(names, x.name)
	}
	names = append(names, first.name)
	l.diags.Add(diag.Diagnostic{
		Code: diag.Cycle, Summary: "Locals in a circle", Subject: diag.Range(at),
		Label:  "needs itself: " + strings.Join(names, " -> "),
		Detail: "A local can only have a value after those that it uses have theirs.",
	})
}
