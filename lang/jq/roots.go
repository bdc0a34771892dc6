package jq

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// RootKey is a key that a program reads from the document itself. Start and
// End are byte offsets in the program text.
type RootKey struct {
	Key        string
	Start, End int
}

// RootKeys lists the keys that the program certainly reads from the document
// itself, wherever in it that happens: both of (.path == "x") or .host. Where
// the analysis cannot follow the document through the program it says nothing.
func (p *program) RootKeys() []RootKey {
	var keys []string
	rootsOf(p.query, func(key string) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	})
	if len(keys) == 0 {
		return nil
	}
	tokens := scan(p.src)
	out := make([]RootKey, len(keys))
	for i, key := range keys {
		out[i] = rootKeyAt(p.src, tokens, key)
	}
	slices.SortStableFunc(out, func(a, b RootKey) int { return a.Start - b.Start })
	return out
}

// rootKeyAt finds where a key stands that is no suffix of something else.
func rootKeyAt(src string, tokens []token, key string) RootKey {
	for i, t := range tokens {
		suffix := i > 0 && tokens[i-1].end == t.start && endsTerm(src, tokens[i-1])
		if t.kind == fieldToken && src[t.start+1:t.end] == key && !suffix {
			return RootKey{key, t.start, t.end}
		}
	}
	if i := strings.Index(src, Quote(key)); i >= 0 {
		return RootKey{key, i, i + len(Quote(key))}
	}
	return RootKey{key, 0, len(src)}
}

// endsTerm reports whether a field right behind t belongs to what t ends.
func endsTerm(src string, t token) bool {
	switch t.kind {
	case symbolToken:
		return strings.ContainsAny(src[t.start:t.end], ")]}?")
	case stringToken: // or its piece before an interpolation
		return src[t.end-1] == '"'
	}
	return t.kind != numberToken && !keyword(src[t.start:t.end])
}

// rootsOf calls found for every key that q reads from its input.
func rootsOf(q *gojq.Query, found func(string)) {
	switch {
	case q == nil || len(q.FuncDefs) > 0:
	case q.Term != nil:
		rootsOfTerm(q.Term, found)
	case q.Op == gojq.OpPipe:
		rootsOf(q.Left, found)
		if len(q.Patterns) > 0 || passesOn(q.Left) {
			rootsOf(q.Right, found)
		}
	default:
		rootsOf(q.Left, found)
		rootsOf(q.Right, found)
	}
}

// passesOn reports whether q yields nothing but its input.
func passesOn(q *gojq.Query) bool {
	if q == nil || len(q.FuncDefs) > 0 {
		return false
	}
	if q.Term == nil {
		return q.Op == gojq.OpPipe && len(q.Patterns) == 0 && passesOn(q.Left) && passesOn(q.Right)
	}
	t := q.Term
	if len(t.SuffixList) > 0 {
		return false
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return true
	case gojq.TermTypeQuery:
		return passesOn(t.Query)
	case gojq.TermTypeFunc:
		return t.Func.Name == "select" && len(t.Func.Args) == 1
	}
	return false
}

// onInput are functions that evaluate all their arguments on their own input.
var onInput = []string{
	"select", "first", "last", "isempty", "test", "startswith", "endswith", "contains", "inside", "has", "IN", "error",
	"ltrimstr", "rtrimstr", "split", "join", "ascii", "index", "rindex", "indices", "range", "getpath",
}

func rootsOfTerm(t *gojq.Term, found func(string)) {
	switch t.Type {
	case gojq.TermTypeIdentity:
		if len(t.SuffixList) > 0 {
			rootOfIndex(t.SuffixList[0].Index, found)
		}
	case gojq.TermTypeIndex:
		rootOfIndex(t.Index, found)
	case gojq.TermTypeQuery:
		rootsOf(t.Query, found)
		if len(t.SuffixList) > 0 && passesOn(t.Query) {
			rootOfIndex(t.SuffixList[0].Index, found)
		}
	case gojq.TermTypeArray:
		rootsOf(t.Array.Query, found)
	case gojq.TermTypeUnary:
		rootsOfTerm(t.Unary.Term, found)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			rootsOf(kv.KeyQuery, found)
			rootsOf(kv.Val, found)
		}
	case gojq.TermTypeIf:
		rootsOf(t.If.Cond, found)
		rootsOf(t.If.Then, found)
		for _, e := range t.If.Elif {
			rootsOf(e.Cond, found)
			rootsOf(e.Then, found)
		}
		rootsOf(t.If.Else, found)
	case gojq.TermTypeTry:
		rootsOf(t.Try.Body, found)
	case gojq.TermTypeFunc:
		if slices.Contains(onInput, t.Func.Name) {
			for _, a := range t.Func.Args {
				rootsOf(a, found)
			}
		}
	case gojq.TermTypeString:
		if t.Str != nil {
			for _, q := range t.Str.Queries {
				rootsOf(q, found)
			}
		}
	}
}

func rootOfIndex(x *gojq.Index, found func(string)) {
	if step, ok := lowerIndex(x); ok && step.Kind == Key {
		found(step.Key)
	}
}
