package jq

import "github.com/itchyny/gojq"

// eachQuery calls f for q and every query inside it, outer ones first.
func eachQuery(q *gojq.Query, f func(*gojq.Query)) {
	if q == nil {
		return
	}
	f(q)
	for _, d := range q.FuncDefs {
		eachQuery(d.Body, f)
	}
	eachInTerm(q.Term, f)
	eachQuery(q.Left, f)
	eachInPatterns(q.Patterns, f)
	eachQuery(q.Right, f)
}

func eachInTerm(t *gojq.Term, f func(*gojq.Query)) {
	if t == nil {
		return
	}
	eachInIndex(t.Index, f)
	if t.Func != nil {
		for _, a := range t.Func.Args {
			eachQuery(a, f)
		}
	}
	if t.Object != nil {
		for _, kv := range t.Object.KeyVals {
			eachInString(kv.KeyString, f)
			eachQuery(kv.KeyQuery, f)
			eachQuery(kv.Val, f)
		}
	}
	if t.Array != nil {
		eachQuery(t.Array.Query, f)
	}
	if t.Unary != nil {
		eachInTerm(t.Unary.Term, f)
	}
	eachInString(t.Str, f)
	eachInControl(t, f)
	eachQuery(t.Query, f)
	for _, s := range t.SuffixList {
		eachInIndex(s.Index, f)
	}
}

// eachInControl visits the parts of if, try, reduce, foreach and label.
func eachInControl(t *gojq.Term, f func(*gojq.Query)) {
	if c := t.If; c != nil {
		eachQuery(c.Cond, f)
		eachQuery(c.Then, f)
		for _, e := range c.Elif {
			eachQuery(e.Cond, f)
			eachQuery(e.Then, f)
		}
		eachQuery(c.Else, f)
	}
	if c := t.Try; c != nil {
		eachQuery(c.Body, f)
		eachQuery(c.Catch, f)
	}
	if c := t.Reduce; c != nil {
		eachQuery(c.Query, f)
		eachInPatterns(c.Patterns, f)
		eachQuery(c.Start, f)
		eachQuery(c.Update, f)
	}
	if c := t.Foreach; c != nil {
		eachQuery(c.Query, f)
		eachInPatterns(c.Patterns, f)
		eachQuery(c.Start, f)
		eachQuery(c.Update, f)
		eachQuery(c.Extract, f)
	}
	if c := t.Label; c != nil {
		eachQuery(c.Body, f)
	}
}

func eachInIndex(x *gojq.Index, f func(*gojq.Query)) {
	if x == nil {
		return
	}
	eachInString(x.Str, f)
	eachQuery(x.Start, f)
	eachQuery(x.End, f)
}

func eachInString(s *gojq.String, f func(*gojq.Query)) {
	if s == nil {
		return
	}
	for _, q := range s.Queries {
		eachQuery(q, f)
	}
}

func eachInPatterns(ps []*gojq.Pattern, f func(*gojq.Query)) {
	for _, p := range ps {
		eachInPatterns(p.Array, f)
		for _, o := range p.Object {
			eachInString(o.KeyString, f)
			eachQuery(o.KeyQuery, f)
			if o.Val != nil {
				eachInPatterns([]*gojq.Pattern{o.Val}, f)
			}
		}
	}
}

// eachCall calls f for every function call and variable in q. Unary terms hide
// a term that is no query of its own, so they are opened here.
func eachCall(q *gojq.Query, f func(*gojq.Func)) {
	eachQuery(q, func(q *gojq.Query) {
		for t := q.Term; t != nil; {
			if t.Func != nil {
				f(t.Func)
			}
			if t.Unary == nil {
				return
			}
			t = t.Unary.Term
		}
	})
}

// writesInPlace reports whether the machine may write into containers that it
// was given: del and delpaths sweep the whole result, and |= ends in the same
// sweep when its right side is empty.
func writesInPlace(q *gojq.Query) bool {
	found := false
	eachQuery(q, func(q *gojq.Query) {
		switch q.Op {
		case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul,
			gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
			found = true
		}
	})
	eachCall(q, func(f *gojq.Func) {
		switch f.Name {
		case "del", "delpaths", "map_values", "with_entries", "walk", "setpath", "pick", "sub", "gsub", "fromstream", "truncate_stream", "INDEX":
			found = true
		}
	})
	return found
}
