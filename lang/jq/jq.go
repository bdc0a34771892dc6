// Package jq compiles the jq programs of a spec and runs them: predicates that
// select, values that name cohorts, paths that say where to look away. What
// crosses its border is program text with byte offsets on the way in, and
// compiled programs on the way out; it knows nothing of HCL or of HTTP.
//
// Documents are gojq values: nil, bool, json.Number (or int, float64,
// *big.Int), string, []any and map[string]any. A program never changes the
// document that it is given.
//
// A plan must be reproducible and a run must end, so a program may not ask the
// clock, the environment or other inputs, and every evaluation has a deadline.
package jq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/itchyny/gojq"
)

// Timeout is the deadline of one evaluation.
const Timeout = 2 * time.Second

// maxPaths bounds what one evaluation of a path expression may yield.
const maxPaths = 100_000

var (
	// ErrTimeout is an evaluation that did not end before its deadline.
	ErrTimeout = fmt.Errorf("jq program ran longer than %v", Timeout)
	// ErrTooManyPaths is a path expression that yielded more paths than a
	// document can sensibly have.
	ErrTooManyPaths = fmt.Errorf("jq program yielded more than %d paths", maxPaths)
)

// Predicate is a compiled program that says yes or no about a document. It is
// immutable and safe for concurrent use.
type Predicate struct {
	program
	needsBody bool
}

// CompilePredicate compiles src as a predicate. vars names the variables that
// Match will bind, each with its dollar. The error is a *SyntaxError.
func CompilePredicate(src string, vars ...string) (*Predicate, error) {
	return Args(nil).CompilePredicate(src, vars...)
}

// CompilePredicate is the function of the same name with constants in scope.
func (args Args) CompilePredicate(src string, vars ...string) (*Predicate, error) {
	p, err := compile(src, args, vars, notAssignment, nil)
	if err != nil {
		return nil, err
	}
	return &Predicate{program: *p, needsBody: needsBody(p.query, false)}, nil
}

// Match reports whether the first output of the program for doc is anything
// but false and null. A program without output does not match.
func (p *Predicate) Match(ctx context.Context, doc any, values ...any) (bool, error) {
	match := false
	err := p.run(ctx, doc, values, func(v any) (bool, error) {
		match = v != nil && v != false
		return false, nil
	})
	return match && err == nil, err
}

// NeedsBody reports whether the program may look at a body. It is false only
// when the program provably does not.
func (p *Predicate) NeedsBody() bool { return p.needsBody }

// Value is a compiled program that computes one value from a document. It is
// immutable and safe for concurrent use.
type Value struct {
	program
	pattern   Pattern
	static    bool
	needsBody bool
}

// CompileValue compiles src as a value. vars names the variables that Eval will
// bind, each with its dollar. The error is a *SyntaxError.
func CompileValue(src string, vars ...string) (*Value, error) {
	return Args(nil).CompileValue(src, vars...)
}

// CompileValue is the function of the same name with constants in scope.
func (args Args) CompileValue(src string, vars ...string) (*Value, error) {
	p, err := compile(src, args, vars, notAssignment, nil)
	if err != nil {
		return nil, err
	}
	v := &Value{program: *p, needsBody: needsBody(p.query, true)}
	if ps, ok := lower(p.query); ok && len(ps) == 1 && ps[0].single() {
		v.pattern, v.static = ps[0], true
	}
	return v, nil
}

// Eval returns the first output of the program for doc, or nil when it has
// none.
func (v *Value) Eval(ctx context.Context, doc any, values ...any) (any, error) {
	var out any
	err := v.run(ctx, doc, values, func(x any) (bool, error) {
		out = x
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Pattern returns the path that the program stands for, when it is nothing but
// one plain path without [] and "..".
func (v *Value) Pattern() (Pattern, bool) { return v.pattern, v.static }

// NeedsBody reports whether the program may look at a body. It is false only
// when the program provably does not.
func (v *Value) NeedsBody() bool { return v.needsBody }

// Paths is a compiled path expression: it says which places of a document are
// meant. It is immutable and safe for concurrent use.
//
// Path expressions are total: a step that a document does not have, or cannot
// have because something else stands there, leads nowhere and is no error.
type Paths struct {
	program
	patterns []Pattern
	static   bool
}

// CompilePaths compiles src as a path expression. vars names the variables that
// Eval will bind, each with its dollar. A program that cannot be a path
// expression, such as ".a | sort", is an error. The error is a *SyntaxError.
func CompilePaths(src string, vars ...string) (*Paths, error) {
	return Args(nil).CompilePaths(src, vars...)
}

// CompilePaths is the function of the same name with constants in scope.
func (args Args) CompilePaths(src string, vars ...string) (*Paths, error) {
	p, err := compile(src, args, vars, mustBePath, asPaths)
	if err != nil {
		return nil, err
	}
	out := &Paths{program: *p}
	out.patterns, out.static = lower(p.query)
	return out, nil
}

// Patterns returns the paths that the program stands for. It is false when they
// depend on the document, so that only Eval can tell.
func (p *Paths) Patterns() ([]Pattern, bool) { return p.patterns, p.static }

// Eval returns the paths that the program points at in doc, each a list of
// object keys (string) and list positions (int, from 0). The places need not
// exist: ".a.b" points into an empty object as well.
func (p *Paths) Eval(ctx context.Context, doc any, values ...any) ([][]any, error) {
	var out [][]any
	err := p.run(ctx, doc, values, func(v any) (bool, error) {
		raw, ok := v.([]any)
		if !ok {
			return false, errors.New("jq program yielded something that is no path")
		}
		var err error
		if out, err = appendConcrete(out, doc, raw); err != nil {
			return false, err
		}
		if len(out) > maxPaths {
			return false, ErrTooManyPaths
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// program is what the three kinds have in common.
type program struct {
	src   string
	args  Args
	vars  []string    // bound by each run, behind args
	fixed []any       // the values of args
	query *gojq.Query // as written; never handed to the compiler again

	code *gojq.Code
	// private is set for programs whose machine writes into containers that it
	// was given (del and its kin): every run then gets code and documents of
	// its own. See https://github.com/itchyny/gojq/pull/296.
	private *sync.Pool
}

// Source returns the program as it was written.
func (p *program) Source() string { return p.src }

// String returns the program as it was written.
func (p *program) String() string { return p.src }

// MarshalText gives the program as it stands in a plan: as it was written, with
// the constants that it was compiled with bound before it.
func (p *program) MarshalText() ([]byte, error) {
	return append(p.args.prologue(), p.src...), nil
}

// compile parses and compiles src. check may refuse the parsed program; rewrite
// may change the copy that is compiled.
func compile(src string, args Args, vars []string, check func(string, *gojq.Query) error, rewrite func(*gojq.Query) *gojq.Query) (*program, error) {
	query, err := parse(src)
	if err != nil {
		return nil, err
	}
	if err := refuseImpure(src, query); err != nil {
		return nil, err
	}
	if err := refuseFormats(src, query); err != nil {
		return nil, err
	}
	all := append(args.names(), vars...)
	args = args.usedBy(src)
	names := append(args.names(), vars...)
	build := func() (*gojq.Code, error) {
		q, err := gojq.Parse(src)
		if err != nil {
			return nil, err
		}
		if rewrite != nil {
			q = rewrite(q)
		}
		return gojq.Compile(q, gojq.WithVariables(names))
	}
	code, err := build()
	if err != nil {
		return nil, compileError(src, all, err)
	}
	if err := check(src, query); err != nil {
		return nil, err
	}
	p := &program{src: src, args: args, vars: vars, fixed: args.values(), query: query, code: code}
	if writesInPlace(query) {
		p.private = &sync.Pool{New: func() any {
			c, err := build()
			if err != nil { // the same text compiled before
				panic("jq: " + err.Error())
			}
			return c
		}}
	}
	return p, nil
}

// run evaluates the program and hands its outputs to yield until that returns
// false or an error.
func (p *program) run(ctx context.Context, doc any, values []any, yield func(any) (bool, error)) error {
	if len(values) != len(p.vars) {
		return fmt.Errorf("jq program takes %d values (%s), got %d", len(p.vars), strings.Join(p.vars, ", "), len(values))
	}
	if len(p.fixed) > 0 {
		values = append(p.fixed[:len(p.fixed):len(p.fixed)], values...)
	}
	limited, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()

	code := p.code
	if p.private != nil {
		code = p.private.Get().(*gojq.Code)
		defer p.private.Put(code)
		doc = clone(doc)
		own := make([]any, len(values))
		for i := range values {
			own[i] = clone(values[i])
		}
		values = own
	}
	iter := code.RunWithContext(limited, doc, values...)
	for {
		v, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, ok := v.(error); ok {
			return runtimeError(ctx, limited, err)
		}
		if more, err := yield(v); err != nil || !more {
			return err
		}
	}
}

// clone copies the containers of a document.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = clone(x)
		}
		return out
	}
	return v
}

// runtimeError gives err in words that hold nothing of the document: gojq
// quotes the values that it trips over, and those may be personal.
func runtimeError(parent, limited context.Context, err error) error {
	if e := parent.Err(); e != nil {
		return e
	}
	if limited.Err() != nil && errors.Is(err, limited.Err()) {
		return ErrTimeout
	}
	text := err.Error()
	for _, known := range []struct{ prefix, say string }{
		{"cannot iterate over: ", "cannot iterate over %s"},
		{"expected an object but got: ", "expected an object but got %s"},
		{"expected an array but got: ", "expected an array but got %s"},
		{"expected a number for indexing an array but got: ", "expected a number as a list position but got %s"},
		{"expected a string for object key but got: ", "expected a string as an object key but got %s"},
		{"invalid path", "not a path expression%s"},
		{"cannot divide ", "cannot divide these values%s"},
	} {
		if rest, ok := strings.CutPrefix(text, known.prefix); ok {
			return errors.New("jq program: " + fmt.Sprintf(known.say, typeName(rest)))
		}
	}
	if name, _, ok := strings.Cut(text, " cannot be applied to"); ok {
		name, _, _ = strings.Cut(name, "(")
		if isWord(name) {
			return errors.New("jq program: " + name + " cannot be applied to this value")
		}
	}
	return errors.New("jq program stopped with an error")
}

// typeName takes the name of a type from the start of rest, or nothing.
func typeName(rest string) string {
	for _, name := range []string{"null", "boolean", "number", "string", "array", "object"} {
		if strings.HasPrefix(rest, name) {
			return name
		}
	}
	return ""
}

func isWord(s string) bool {
	for i := range len(s) {
		if !isIdentByte(s[i], i > 0) {
			return false
		}
	}
	return s != ""
}
