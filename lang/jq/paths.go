package jq

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/itchyny/gojq"
)

// asPaths makes of a program EXPR the total program path(EXPR). It works on the
// tree and not on the text, so that comments and definitions survive.
func asPaths(q *gojq.Query) *gojq.Query {
	total(q)
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "path", Args: []*gojq.Query{q}}}}
}

// total makes every step optional that stands where the program walks along
// paths.
func total(q *gojq.Query) {
	if q == nil {
		return
	}
	for _, d := range q.FuncDefs {
		total(d.Body)
	}
	if q.Term != nil {
		totalTerm(q.Term)
		return
	}
	switch q.Op {
	case gojq.OpPipe:
		if len(q.Patterns) == 0 {
			total(q.Left)
		}
		total(q.Right)
	case gojq.OpComma, gojq.OpAlt:
		total(q.Left)
		total(q.Right)
	}
}

func totalTerm(t *gojq.Term) {
	optionalSteps(t)
	switch t.Type {
	case gojq.TermTypeFunc:
		for i, a := range t.Func.Args {
			switch pathArgs[t.Func.Name+"/"+strconv.Itoa(len(t.Func.Args))].at(i) {
			case argPath:
				total(a)
			case argCondition:
				guard(a)
			}
		}
	case gojq.TermTypeQuery:
		total(t.Query)
	case gojq.TermTypeIf:
		guard(t.If.Cond)
		total(t.If.Then)
		for _, e := range t.If.Elif {
			guard(e.Cond)
			total(e.Then)
		}
		total(t.If.Else)
	case gojq.TermTypeTry:
		if t.Try.Catch == nil { // with a catch, errors are part of the program
			total(t.Try.Body)
		}
	case gojq.TermTypeReduce:
		total(t.Reduce.Start)
		total(t.Reduce.Update)
	case gojq.TermTypeForeach:
		total(t.Foreach.Start)
		total(t.Foreach.Update)
		total(t.Foreach.Extract)
	case gojq.TermTypeLabel:
		total(t.Label.Body)
	}
}

// optionalSteps puts a "?" behind every step of a term that has none.
func optionalSteps(t *gojq.Term) {
	var out []*gojq.Suffix
	step := t.Type == gojq.TermTypeIndex
	for _, s := range t.SuffixList {
		if step && !s.Optional {
			out = append(out, &gojq.Suffix{Optional: true})
		}
		out = append(out, s)
		step = !s.Optional
	}
	if step {
		out = append(out, &gojq.Suffix{Optional: true})
	}
	t.SuffixList = out
}

// guard makes the steps of a condition optional where an absent value can only
// make the condition yield nothing: then a select passes nothing on, which is
// what "not there" should mean. Inside constructors and function arguments an
// absent value could turn into a yes, so errors stay errors there.
func guard(q *gojq.Query) {
	if q == nil {
		return
	}
	if q.Term != nil {
		switch q.Term.Type {
		case gojq.TermTypeIndex, gojq.TermTypeIdentity, gojq.TermTypeRecurse, gojq.TermTypeFunc:
			optionalSteps(q.Term)
		case gojq.TermTypeQuery:
			optionalSteps(q.Term)
			guard(q.Term.Query)
		}
		return
	}
	switch q.Op {
	case gojq.OpComma, gojq.OpAlt:
		return
	}
	guard(q.Left)
	guard(q.Right)
}

// argUse says how a function uses an argument.
type argUse uint8

const (
	argValue     argUse = iota // as a value
	argPath                    // as a path that it passes on
	argCondition               // as a condition
)

type argUses []argUse

func (u argUses) at(i int) argUse {
	if i < len(u) {
		return u[i]
	}
	return argValue
}

// pathArgs has the functions that may stand in a path expression, with the use
// they make of their arguments.
var pathArgs = map[string]argUses{
	"empty/0": nil, "error/0": nil, "error/1": nil, "getpath/1": nil,
	"select/1":  {argCondition},
	"recurse/0": nil, "recurse/1": {argPath}, "recurse/2": {argPath, argCondition},
	"first/0": nil, "last/0": nil, "nth/1": nil,
	"first/1": {argPath}, "last/1": {argPath},
	"limit/2": {argValue, argPath}, "skip/2": {argValue, argPath}, "nth/2": {argValue, argPath},
	"until/2": {argCondition, argPath}, "while/2": {argCondition, argPath}, "repeat/1": {argPath},
	"arrays/0": nil, "objects/0": nil, "iterables/0": nil, "booleans/0": nil, "numbers/0": nil,
	"finites/0": nil, "normals/0": nil, "strings/0": nil, "nulls/0": nil, "values/0": nil, "scalars/0": nil,
}

// mustBePath refuses programs that cannot be path expressions, whatever the
// document: they would fail on every one.
func mustBePath(src string, q *gojq.Query) error {
	defined := map[string]bool{}
	eachQuery(q, func(q *gojq.Query) {
		for _, d := range q.FuncDefs {
			defined[d.Name] = true
			for _, a := range d.Args {
				defined[a] = true
			}
		}
	})
	bad := findNonPath(q, defined)
	if bad == nil {
		return nil
	}
	start, end := bad.locate(src)
	return &SyntaxError{Start: start, End: end, Msg: "not a path: " + bad.what, Hint: cmp.Or(pathHints[bad.word], "a rule needs paths, such as .body.items[].price or .. | .updated_at?")}
}

// pathHints says what to write in place of functions that are often tried.
var pathHints = map[string]string{
	"map":      "in place of map(f), write .[] | f",
	"del":      "name the places alone, without del",
	"delpaths": "name the places alone, without delpaths",
	"path":     "name the places alone, without path",
	"paths":    "write .. for every place at any depth",
	"sort":     "declare the list as unordered",
	"sort_by":  "declare the list as unordered, or as keyed",
}

// nonPath is a part of a program that yields something else than a place in the
// document.
type nonPath struct {
	what   string
	word   string // a function or variable to find in the text
	symbol string // an operator or bracket to find in the text
}

func (n *nonPath) locate(src string) (start, end int) {
	if n.word != "" {
		return wordRange(src, n.word)
	}
	if n.symbol == "[" {
		for _, t := range scan(src) {
			if t.list {
				return t.start, t.end
			}
		}
	}
	return symbolRange(src, n.symbol)
}

func findNonPath(q *gojq.Query, defined map[string]bool) *nonPath {
	if q == nil {
		return nil
	}
	if q.Term != nil {
		return nonPathTerm(q.Term, defined)
	}
	switch q.Op {
	case gojq.OpPipe:
		if len(q.Patterns) == 0 {
			if bad := findNonPath(q.Left, defined); bad != nil {
				return bad
			}
		}
		return findNonPath(q.Right, defined)
	case gojq.OpComma, gojq.OpAlt:
		if bad := findNonPath(q.Left, defined); bad != nil {
			return bad
		}
		return findNonPath(q.Right, defined)
	}
	op := q.Op.String()
	return &nonPath{what: strconv.Quote(op) + " computes a new value", symbol: op}
}

func nonPathTerm(t *gojq.Term, defined map[string]bool) *nonPath {
	switch t.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber, gojq.TermTypeUnary,
		gojq.TermTypeString, gojq.TermTypeFormat:
		return &nonPath{what: "a literal is a new value"}
	case gojq.TermTypeObject:
		return &nonPath{what: "{} builds a new object", symbol: "{"}
	case gojq.TermTypeArray:
		return &nonPath{what: "[] builds a new list", symbol: "["}
	case gojq.TermTypeQuery:
		return findNonPath(t.Query, defined)
	case gojq.TermTypeIf:
		return nonPathIf(t.If, defined)
	case gojq.TermTypeTry:
		return findNonPath(t.Try.Body, defined)
	case gojq.TermTypeLabel:
		return findNonPath(t.Label.Body, defined)
	case gojq.TermTypeFunc:
		return nonPathCall(t.Func, defined)
	}
	return nil
}

func nonPathIf(c *gojq.If, defined map[string]bool) *nonPath {
	parts := []*gojq.Query{c.Then, c.Else}
	for _, e := range c.Elif {
		parts = append(parts, e.Then)
	}
	for _, p := range parts {
		if bad := findNonPath(p, defined); bad != nil {
			return bad
		}
	}
	return nil
}

func nonPathCall(f *gojq.Func, defined map[string]bool) *nonPath {
	if defined[f.Name] {
		return nil // its body decides, and that may depend on the document
	}
	if f.Name[0] == '$' {
		return &nonPath{what: f.Name + " is a value, not a place in the document", word: f.Name}
	}
	uses, ok := pathArgs[f.Name+"/"+strconv.Itoa(len(f.Args))]
	if !ok {
		return &nonPath{what: f.Name + " computes a new value", word: f.Name}
	}
	for i, a := range f.Args {
		if uses.at(i) != argPath {
			continue
		}
		if bad := findNonPath(a, defined); bad != nil {
			return bad
		}
	}
	return nil
}

var errSlice = errors.New("jq program: a slice of something that is no list is no path")

// appendConcrete appends the paths that raw, as gojq gives it, means in doc:
// negative positions count from the end, and a slice stands for the elements in
// it.
func appendConcrete(out [][]any, doc any, raw []any) ([][]any, error) {
	for i, e := range raw {
		switch e := e.(type) {
		case string:
			continue
		case map[string]any: // a slice
			return appendSlice(out, doc, raw, i, e)
		default:
			n, ok := toInt(e)
			if ok && n >= 0 {
				raw[i] = n
				continue
			}
			list, isList := descend(doc, raw[:i]).([]any)
			if !ok || !isList || n+len(list) < 0 {
				return out, nil // a place that no list can have
			}
			raw[i] = n + len(list)
		}
	}
	return append(out, raw), nil
}

// appendSlice expands the slice at raw[i].
func appendSlice(out [][]any, doc any, raw []any, i int, slice map[string]any) ([][]any, error) {
	switch at := descend(doc, raw[:i]).(type) {
	case nil:
		return out, nil
	case []any:
		from, to := bound(slice["start"], 0, len(at)), bound(slice["end"], len(at), len(at))
		for n := from; n < to; n++ {
			one := append(slices.Clone(raw[:i]), n)
			if i+1 < len(raw) { // an index into the slice counts from its start
				k, ok := toInt(raw[i+1])
				if !ok {
					return out, errSlice
				}
				if k < 0 {
					k += to - from
				}
				if n-from != k {
					continue
				}
				one = append(one, raw[i+2:]...)
			}
			var err error
			if out, err = appendConcrete(out, doc, one); err != nil {
				return out, err
			}
			if len(out) > maxPaths {
				return out, ErrTooManyPaths
			}
		}
		return out, nil
	}
	return out, errSlice
}

// bound gives one end of a slice, within 0 and n.
func bound(v any, none, n int) int {
	i, ok := toInt(v)
	if !ok {
		return none
	}
	if i < 0 {
		i += n
	}
	return min(max(i, 0), n)
}

// descend returns what stands at path in doc, nil when nothing does.
func descend(doc any, path []any) any {
	for _, e := range path {
		switch v := doc.(type) {
		case map[string]any:
			k, _ := e.(string)
			doc = v[k]
		case []any:
			i, ok := e.(int)
			if !ok || i < 0 || i >= len(v) {
				return nil
			}
			doc = v[i]
		default:
			return nil
		}
	}
	return doc
}

// toInt gives a number as gojq may hold it as an int.
func toInt(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case float64:
		return int(n), n == float64(int(n))
	case json.Number:
		if i, err := strconv.Atoi(string(n)); err == nil {
			return i, true
		}
		f, err := n.Float64()
		return int(f), err == nil && f == float64(int(f))
	}
	return 0, false
}
