package jq

import (
	"encoding/json"
	"slices"
)

// Arg is a constant that programs read as $NAME. The value is a gojq value;
// nothing may change it after it was handed over.
type Arg struct {
	Name  string // without the dollar
	Value any
}

// Args are the constants of a group of programs. They are part of what they
// are compiled into, so that running needs no word about them.
type Args []Arg

// reserved are the variables that jq itself has.
var reserved = []string{"ENV", "__loc__", "__prog_args"}

// ValidArg reports whether programs can read an argument of that name.
func ValidArg(name string) bool {
	return isWord(name) && !slices.Contains(reserved, name)
}

func (args Args) names() []string {
	out := make([]string, 0, len(args)+1)
	for _, a := range args {
		out = append(out, "$"+a.Name)
	}
	return out
}

func (args Args) values() []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a.Value
	}
	return out
}

// prologue is jq that binds the arguments.
func (args Args) prologue() []byte {
	var out []byte
	for _, a := range args {
		value, err := json.Marshal(a.Value)
		if err != nil { // no gojq value that a spec can hold
			value = []byte("null")
		}
		out = append(out, value...)
		out = append(out, " as $"+a.Name+" | "...)
	}
	return out
}

// usedBy gives the arguments that src reads. The others would only make plans
// differ that do the same.
func (args Args) usedBy(src string) Args {
	if len(args) == 0 {
		return nil
	}
	tokens := scan(src)
	return slices.DeleteFunc(slices.Clone(args), func(a Arg) bool { return !mentions(src, tokens, a.Name) })
}

func mentions(src string, tokens []token, name string) bool {
	return slices.ContainsFunc(tokens, func(t token) bool { return t.kind == varToken && src[t.start+1:t.end] == name })
}

// Key tells two sets of arguments apart: equal keys mean equal arguments.
func (args Args) Key() string { return string(args.prologue()) }

// Uses reports whether the program reads the variable of that name, given
// without its dollar.
func (p *program) Uses(name string) bool {
	return mentions(p.src, scan(p.src), name)
}
