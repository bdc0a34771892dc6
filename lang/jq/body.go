package jq

import (
	"maps"

	"github.com/itchyny/gojq"
)

// reach is what the analysis knows about a value: how far it is from a body.
type reach uint8

const (
	bare    reach = iota // holds no body
	message              // a request or response: its "body" is one
	outer                // an exchange or a message: the document itself
	unknown              // may hold a body, or is one
)

// needsBody reports whether q may look at a body in the document. It follows
// values through the program and gives up, with true, where it loses track. A
// predicate looks only at whether its output is true; wantValue is set where
// the whole output is used.
func needsBody(q *gojq.Query, wantValue bool) bool {
	a := bodyAnalysis{}
	out := a.query(q, outer)
	if wantValue {
		return out != bare
	}
	return out == unknown
}

// bodyAnalysis has what is known about the variables in scope. Variables that
// are bound from outside are $request, a message, or plain values.
type bodyAnalysis map[string]reach

// query gives the reach of the outputs of q for an input of reach in.
func (a bodyAnalysis) query(q *gojq.Query, in reach) reach {
	if q == nil {
		return in
	}
	if len(q.FuncDefs) > 0 {
		return unknown
	}
	if q.Term != nil {
		return a.term(q.Term, in)
	}
	switch q.Op {
	case gojq.OpPipe:
		if len(q.Patterns) > 0 {
			return a.bind(q, in)
		}
		left := a.query(q.Left, in)
		if left == unknown {
			return unknown
		}
		return a.query(q.Right, left)
	case gojq.OpComma, gojq.OpAlt:
		return join(a.query(q.Left, in), a.query(q.Right, in))
	case gojq.OpAnd, gojq.OpOr:
		return truth(a.query(q.Left, in), a.query(q.Right, in))
	case gojq.OpEq, gojq.OpNe:
		if isNull(q.Left) || isNull(q.Right) { // .response == null looks at no body
			return truth(a.query(q.Left, in), a.query(q.Right, in))
		}
	}
	return all(a.query(q.Left, in), a.query(q.Right, in))
}

// bind is "LEFT as $name | RIGHT".
func (a bodyAnalysis) bind(q *gojq.Query, in reach) reach {
	left := a.query(q.Left, in)
	if left == unknown || left != bare && (len(q.Patterns) != 1 || q.Patterns[0].Name == "") {
		return unknown
	}
	inner := maps.Clone(a)
	for _, p := range q.Patterns {
		inner.define(p, left)
	}
	return inner.query(q.Right, in)
}

// define binds the names in a pattern.
func (a bodyAnalysis) define(p *gojq.Pattern, r reach) {
	if p.Name != "" {
		a[p.Name] = r
	}
	for _, e := range p.Array {
		a.define(e, r)
	}
	for _, o := range p.Object {
		if o.Key != "" {
			a[o.Key] = r
		}
		if o.Val != nil {
			a.define(o.Val, r)
		}
	}
}

func (a bodyAnalysis) term(t *gojq.Term, in reach) reach {
	out := a.head(t, in)
	for _, s := range t.SuffixList {
		switch {
		case out == unknown:
			return unknown
		case s.Optional:
		case s.Iter:
			out = all(out)
		default:
			out = a.index(s.Index, out, in)
		}
	}
	return out
}

// head gives the reach of a term without its suffixes.
func (a bodyAnalysis) head(t *gojq.Term, in reach) reach {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber, gojq.TermTypeBreak:
		return bare
	case gojq.TermTypeIndex:
		return a.index(t.Index, in, in)
	case gojq.TermTypeQuery:
		return a.query(t.Query, in)
	case gojq.TermTypeString:
		return a.text(t.Str, in)
	case gojq.TermTypeFormat:
		if t.Str != nil {
			return a.text(t.Str, in)
		}
		return all(in)
	case gojq.TermTypeUnary:
		return all(a.term(t.Unary.Term, in))
	case gojq.TermTypeArray:
		if t.Array.Query == nil {
			return bare
		}
		return all(a.query(t.Array.Query, in))
	case gojq.TermTypeObject:
		return a.object(t.Object, in)
	case gojq.TermTypeIf:
		return a.conditional(t.If, in)
	case gojq.TermTypeFunc:
		return a.call(t.Func, in)
	}
	if in != bare {
		return unknown // .., try, reduce, foreach and label over a message
	}
	return a.closed(t)
}

// closed gives the reach of a term over a value without a body: nothing inside
// it can reach one except through a variable.
func (a bodyAnalysis) closed(t *gojq.Term) reach {
	out := bare
	eachInTerm(t, func(q *gojq.Query) {
		if len(q.FuncDefs) > 0 {
			out = unknown
		}
		eachCall(q, func(f *gojq.Func) {
			if f.Name[0] == '$' && a.variable(f.Name) != bare {
				out = unknown
			}
		})
	})
	return out
}

func (a bodyAnalysis) index(x *gojq.Index, of, in reach) reach {
	for _, q := range []*gojq.Query{x.Start, x.End} {
		if q != nil && a.query(q, in) != bare {
			return unknown
		}
	}
	if of == bare || of == unknown {
		return of
	}
	step, ok := lowerIndex(x)
	if !ok || step.Kind != Key || step.Key == "body" {
		return unknown
	}
	if of == outer && (step.Key == "request" || step.Key == "response") {
		return message
	}
	return bare
}

func (a bodyAnalysis) text(s *gojq.String, in reach) reach {
	out := bare
	for _, q := range s.Queries {
		out = join(out, all(a.query(q, in)))
	}
	return out
}

func (a bodyAnalysis) object(o *gojq.Object, in reach) reach {
	for _, kv := range o.KeyVals {
		if kv.Val == nil && (kv.KeyQuery != nil || kv.KeyString != nil || kv.Key[0] != '$') && in != bare {
			return unknown // {body} is short for {body: .body}
		}
		if kv.Val == nil && kv.Key != "" && kv.Key[0] == '$' && a.variable(kv.Key) != bare {
			return unknown
		}
		if kv.KeyString != nil && a.text(kv.KeyString, in) != bare {
			return unknown
		}
		for _, q := range []*gojq.Query{kv.KeyQuery, kv.Val} {
			if q != nil && a.query(q, in) != bare {
				return unknown
			}
		}
	}
	return bare
}

func (a bodyAnalysis) conditional(c *gojq.If, in reach) reach {
	cond := a.query(c.Cond, in)
	out := join(a.query(c.Then, in), a.query(c.Else, in))
	for _, e := range c.Elif {
		cond = truth(cond, a.query(e.Cond, in))
		out = join(out, a.query(e.Then, in))
	}
	if cond == unknown {
		return unknown
	}
	return out
}

func (a bodyAnalysis) variable(name string) reach {
	if r, ok := a[name]; ok {
		return r
	}
	if name == "$request" || name == "$response" {
		return message
	}
	return bare
}

func (a bodyAnalysis) call(f *gojq.Func, in reach) reach {
	if f.Name[0] == '$' {
		return a.variable(f.Name)
	}
	arg := func(i int, in reach) reach { return a.query(f.Args[i], in) }
	switch n := len(f.Args); {
	case f.Name == "empty" && n == 0, f.Name == "not" && n == 0 && in != unknown:
		return bare
	case f.Name == "select" && n == 1:
		if arg(0, in) == unknown {
			return unknown
		}
		return in
	case f.Name == "first" && n == 1:
		return arg(0, in)
	case f.Name == "isempty" && n == 1:
		return truth(arg(0, in))
	case (f.Name == "any" || f.Name == "all") && n == 2:
		items := arg(0, in)
		if items == unknown {
			return unknown
		}
		return truth(arg(1, items))
	}
	if in != bare {
		return unknown
	}
	out := bare
	for i := range f.Args {
		out = join(out, all(arg(i, in)))
	}
	return out
}

// isNull reports whether q is the literal null.
func isNull(q *gojq.Query) bool {
	return q != nil && q.Term != nil && q.Term.Type == gojq.TermTypeNull && len(q.Term.SuffixList) == 0
}

// join is the reach of a value that is one of several.
func join(rs ...reach) reach {
	out := rs[0]
	for _, r := range rs[1:] {
		if r != out {
			return unknown
		}
	}
	return out
}

// all is the reach of a value that is made from the whole of others.
func all(rs ...reach) reach {
	for _, r := range rs {
		if r != bare {
			return unknown
		}
	}
	return bare
}

// truth is the reach of a value that depends only on whether others are true.
func truth(rs ...reach) reach {
	for _, r := range rs {
		if r == unknown {
			return unknown
		}
	}
	return bare
}
