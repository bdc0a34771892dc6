package jq

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// Pattern is one static path: what ".body.items[].price" stands for. The empty
// pattern is the document itself.
type Pattern []Step

// Step is one step of a pattern.
type Step struct {
	Kind  StepKind
	Key   string // for Key
	Index int    // for Index, from 0
}

// StepKind says how a step descends.
type StepKind uint8

// The kinds of step.
const (
	Key     StepKind = iota // to the member of an object
	Index                   // to the element of a list
	Iterate                 // [] to every element of a list and every value of an object
	Recurse                 // .. to the value itself and to everything inside it
)

// maxPatterns bounds what one program may lower to: (.a,.b)|(.c,.d)|... doubles
// with every part.
const maxPatterns = 1000

// String gives the pattern as jq, such as .body.items[].price or
// .headers["x-request-id"]. Steps behind ".." are optional ones, so that the
// text also works in a plain jq.
func (p Pattern) String() string {
	if len(p) == 0 {
		return "."
	}
	var b strings.Builder
	fresh, optional := true, false // fresh: nothing to the left to attach to
	for _, s := range p {
		if s.Kind == Recurse {
			if b.Len() > 0 {
				b.WriteByte('|')
			}
			b.WriteString("..")
			fresh, optional = true, true
			continue
		}
		if fresh && b.Len() > 0 {
			b.WriteByte('|')
		}
		writeStep(&b, s, fresh)
		if optional {
			b.WriteByte('?')
		}
		fresh = false
	}
	return b.String()
}

func writeStep(b *strings.Builder, s Step, fresh bool) {
	if s.Kind == Key && isWord(s.Key) {
		b.WriteByte('.')
		b.WriteString(s.Key)
		return
	}
	if fresh {
		b.WriteByte('.')
	}
	switch s.Kind {
	case Key:
		b.WriteByte('[')
		b.WriteString(Quote(s.Key))
		b.WriteByte(']')
	case Index:
		b.WriteByte('[')
		b.WriteString(strconv.Itoa(s.Index))
		b.WriteByte(']')
	case Iterate:
		b.WriteString("[]")
	}
}

// Quote gives s as a jq string literal.
func Quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// IsIdentifier reports whether key can stand behind a dot without quotes.
func IsIdentifier(key string) bool { return isWord(key) }

// single reports whether the pattern leads to at most one place.
func (p Pattern) single() bool {
	for _, s := range p {
		if s.Kind == Iterate || s.Kind == Recurse {
			return false
		}
	}
	return true
}

// lower turns a program into the patterns that it stands for, in order; false
// when it is more than static paths.
func lower(q *gojq.Query) ([]Pattern, bool) {
	if q == nil || len(q.FuncDefs) > 0 || len(q.Patterns) > 0 {
		return nil, false
	}
	if q.Term != nil {
		return lowerTerm(q.Term)
	}
	left, ok := lower(q.Left)
	if !ok {
		return nil, false
	}
	right, ok := lower(q.Right)
	if !ok {
		return nil, false
	}
	switch q.Op {
	case gojq.OpComma:
		out := append(append([]Pattern{}, left...), right...)
		return out, len(out) <= maxPatterns
	case gojq.OpPipe:
		if len(left)*len(right) > maxPatterns {
			return nil, false
		}
		var out []Pattern
		for _, l := range left {
			for _, r := range right {
				out = append(out, append(append(Pattern{}, l...), r...))
			}
		}
		return out, true
	}
	return nil, false
}

func lowerTerm(t *gojq.Term) ([]Pattern, bool) {
	var out []Pattern
	switch t.Type {
	case gojq.TermTypeIdentity:
		out = []Pattern{{}}
	case gojq.TermTypeRecurse:
		out = []Pattern{{{Kind: Recurse}}}
	case gojq.TermTypeIndex:
		s, ok := lowerIndex(t.Index)
		if !ok {
			return nil, false
		}
		out = []Pattern{{s}}
	case gojq.TermTypeQuery:
		inner, ok := lower(t.Query)
		if !ok {
			return nil, false
		}
		out = inner
	case gojq.TermTypeFunc:
		if t.Func.Name != "recurse" || len(t.Func.Args) > 0 {
			return nil, false
		}
		out = []Pattern{{{Kind: Recurse}}}
	default:
		return nil, false
	}
	for _, s := range t.SuffixList {
		var step Step
		switch {
		case s.Optional:
			continue
		case s.Iter:
			step = Step{Kind: Iterate}
		default:
			var ok bool
			if step, ok = lowerIndex(s.Index); !ok {
				return nil, false
			}
		}
		for i := range out {
			out[i] = append(out[i], step)
		}
	}
	return out, true
}

func lowerIndex(x *gojq.Index) (Step, bool) {
	switch {
	case x == nil || x.IsSlice:
		return Step{}, false
	case x.Name != "":
		return Step{Kind: Key, Key: x.Name}, true
	case x.Str != nil:
		return Step{Kind: Key, Key: x.Str.Str}, len(x.Str.Queries) == 0
	}
	q := x.Start
	if q == nil || q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 {
		return Step{}, false
	}
	switch q.Term.Type {
	case gojq.TermTypeString:
		return Step{Kind: Key, Key: q.Term.Str.Str}, len(q.Term.Str.Queries) == 0
	case gojq.TermTypeNumber:
		n, err := strconv.Atoi(q.Term.Number)
		return Step{Kind: Index, Index: n}, err == nil && n >= 0
	}
	return Step{}, false
}
