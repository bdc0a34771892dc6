package lang

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// instance is one of the blocks that a block with for_each stands for. Without
// for_each there is one, with the zero instance.
type instance struct {
	suffix string // of the name: ["eu"]
	each   cty.Value
}

// instances evaluates for_each of a block. It is false where that cannot be
// done, and something has been reported.
func (l *loader) instances(b *body) ([]instance, bool) {
	attr := b.attrs["for_each"]
	if attr == nil {
		return []instance{{}}, true
	}
	if l.session.instances > maxInstances {
		return nil, false // that has been said
	}
	a, _ := b.schema.Argument("for_each")
	it, ok := l.eval(attr.Expr)
	if !ok {
		return nil, false
	}
	if it.sensitive {
		l.showable(argument{Argument: a, block: b.schema, expr: attr.Expr, set: true}, it)
		return nil, false
	}
	out, why := elements(it.val)
	if l.session.instances += len(out); l.session.instances > maxInstances {
		out, why = nil, fmt.Sprintf("makes more than %d blocks", maxInstances)
	}
	if why == "" {
		return out, true
	}
	l.diags.Add(diag.Diagnostic{
		Code: diag.BadForEach, Summary: "Invalid for_each", Subject: diag.Range(it.rng), Label: why,
		Detail: "for_each goes over a list or set of strings, or over a map or object, whose keys tell the blocks apart.",
		Help:   "for_each = " + a.Example,
	})
	return nil, false
}

// elements splits a collection into instances, or says why it cannot.
func elements(val cty.Value) (out []instance, why string) {
	t := val.Type()
	switch {
	case val.IsNull():
		return nil, "null"
	case t.IsMapType(), t.IsObjectType():
		for e := val.ElementIterator(); e.Next(); {
			k, v := e.Element()
			out = append(out, newInstance(k.AsString(), v))
		}
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		seen := map[string]bool{}
		for e := val.ElementIterator(); e.Next(); {
			_, v := e.Element()
			if v.IsNull() || v.Type() != cty.String {
				return nil, describe(v) + " is in it, not a string"
			}
			key := v.AsString()
			if seen[key] {
				return nil, fmt.Sprintf("has %q twice", key)
			}
			seen[key] = true
			out = append(out, newInstance(key, v))
		}
	default:
		return nil, describe(val) + ", not a list, set or map"
	}
	return out, ""
}

func newInstance(key string, value cty.Value) instance {
	return instance{
		suffix: keySuffix(key),
		each:   cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": value}),
	}
}

// keySuffix is how the key of an instance stands in its name.
func keySuffix(key string) string { return "[" + strconv.Quote(key) + "]" }

// within decodes something in the scope of an instance.
func (l *loader) within(in instance, decode func()) {
	if in.suffix == "" {
		decode()
		return
	}
	outer, wasEach := l.scope, l.each
	l.scope, l.each = outer.NewChild(), true
	l.scope.Variables = map[string]cty.Value{"each": in.each}
	decode()
	l.scope, l.each = outer, wasEach
}

// expand decodes a block once for each of its instances.
func (l *loader) expand(b *body, decode func(suffix string)) bool {
	all, ok := l.instances(b)
	for _, in := range all {
		l.within(in, func() { decode(in.suffix) })
	}
	return ok
}

func (l *loader) checkEach(name string, at pos.Range) bool {
	d := diag.Diagnostic{Code: diag.BadForEach, Summary: "Unknown name", Subject: at}
	switch {
	case !l.each:
		d.Summary, d.Label = "each without for_each", "stands in no block with for_each"
		d.Help = "set for_each in the audit, cohort or gate around it"
	case name != "key" && name != "value":
		d.Label, d.Help = "each has no such attribute", "there are each.key and each.value"
	default:
		return true
	}
	l.diags.Add(d)
	return false
}

// dimensionName gives a dimension as reports name it: endpoint, cohort.region,
// cohort.tenant["eu"]. A key may be computed.
func (l *loader) dimensionName(expr hcl.Expression) (string, bool) {
	if index, ok := indexOf(expr); ok {
		names, ok := dotted(index.collection)
		if !ok {
			return "", false
		}
		it, ok := l.eval(index.key)
		if !ok || it.val.IsNull() || it.val.Type() != cty.String || it.sensitive {
			return "", false
		}
		return joinNames(names) + keySuffix(it.val.AsString()), true
	}
	traversal, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() {
		return "", false
	}
	if last, ok := traversal[len(traversal)-1].(hcl.TraverseIndex); ok && last.Key.Type() == cty.String && !last.Key.IsNull() {
		names, ok := namesOf(traversal[:len(traversal)-1])
		return joinNames(names) + keySuffix(last.Key.AsString()), ok
	}
	names, ok := namesOf(traversal)
	return joinNames(names), ok
}
