package jq

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/itchyny/gojq"
)

// SyntaxError is a program that does not compile. Start and End are byte
// offsets in the program text; they are equal to its length where the end came
// too soon.
type SyntaxError struct {
	Start, End int
	Msg        string
	Hint       string // what to write instead; may be empty
}

// Error returns Msg.
func (e *SyntaxError) Error() string { return e.Msg }

// parse parses src, and turns gojq's error into one with a range.
func parse(src string) (*gojq.Query, error) {
	q, err := gojq.Parse(src)
	if err != nil {
		return nil, parseError(src, err)
	}
	if q.Term == nil && q.Op == 0 { // white space, a comment, or definitions alone
		return nil, &SyntaxError{Start: len(src), End: len(src), Msg: "the jq program is empty", Hint: `write "." for the whole document`}
	}
	if len(q.Imports) > 0 || q.Meta != nil {
		start, end := wordRange(src, "import", "include", "module")
		return nil, &SyntaxError{Start: start, End: end, Msg: "jq modules are not available", Hint: "define the function in the program with def"}
	}
	return q, nil
}

func parseError(src string, err error) *SyntaxError {
	var pe *gojq.ParseError
	if !errors.As(err, &pe) {
		return &SyntaxError{End: len(src), Msg: "not a jq program"}
	}
	end := min(max(pe.Offset, 0), len(src))
	start := max(end-len(pe.Token), 0)
	switch text := pe.Error(); {
	case text == "unexpected EOF":
		return &SyntaxError{Start: len(src), End: len(src), Msg: "unexpected end of the jq program", Hint: unclosed(src)}
	case strings.HasPrefix(text, "unterminated"):
		return &SyntaxError{Start: lastString(src, end), End: len(src), Msg: "the string does not end", Hint: `strings end with a double quote; write a double quote inside as \"`}
	case strings.HasPrefix(text, "invalid escape"):
		return &SyntaxError{Start: start, End: end, Msg: "invalid escape sequence " + strconv.Quote(pe.Token), Hint: `jq knows \" \\ \/ \b \f \n \r \t \uXXXX and \(expression)`}
	}
	return &SyntaxError{Start: start, End: end, Msg: "unexpected " + strconv.Quote(pe.Token), Hint: tokenHint(src, pe.Token, start)}
}

// tokenHint guesses what the user meant by a token that does not fit.
func tokenHint(src, tok string, start int) string {
	switch tok {
	case "&":
		return `write "and"`
	case "|":
		if start > 0 && src[start-1] == '|' {
			return `write "or"`
		}
	case "'":
		return "jq strings have double quotes"
	case "!":
		return `write "| not" behind the expression`
	case "=":
		return `compare with "=="`
	case "[":
		return "a list position is written .list[0]"
	}
	if !isWord(tok) || keyword(tok) {
		return ""
	}
	tokens := scan(src)
	i := slices.IndexFunc(tokens, func(t token) bool { return t.start == start })
	if i <= 0 {
		return ""
	}
	before := tokens[i-1]
	switch text := src[before.start:before.end]; {
	case before.kind == fieldToken:
		return "a field name with a space in it is written .[" + strconv.Quote(text[1:]+" "+tok) + "]"
	case text == "-" && i > 1 && tokens[i-2].kind == fieldToken:
		return "a field name with a dash in it is written .[" + strconv.Quote(src[tokens[i-2].start+1:before.start]+"-"+tok) + "]"
	}
	return ""
}

// unclosed names the bracket that is still open at the end of src.
func unclosed(src string) string {
	var open []byte
	for _, t := range scan(src) {
		if t.kind != symbolToken {
			continue
		}
		switch c := src[t.start]; c {
		case '(', '[', '{':
			open = append(open, c)
		case ')', ']', '}':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) == 0 {
		return ""
	}
	return strconv.Quote(string(open[len(open)-1])) + " is not closed"
}

// lastString returns where the string literal before end begins.
func lastString(src string, end int) int {
	at := end
	for _, t := range scan(src) {
		if t.kind == stringToken && t.start < end {
			at = t.start
		}
	}
	return min(at, len(src))
}

// compileError turns an error of gojq's compiler, which names a word but no
// place, into one with a range.
func compileError(src string, vars []string, err error) *SyntaxError {
	text := err.Error()
	what, name, _ := strings.Cut(text, ": ")
	switch what {
	case "function not defined":
		name, arity, _ := strings.Cut(name, "/")
		start, end := wordRange(src, name)
		return &SyntaxError{Start: start, End: end, Msg: "there is no jq function " + name + "/" + arity, Hint: functionHint(name)}
	case "variable not defined":
		start, end := wordRange(src, name)
		return &SyntaxError{Start: start, End: end, Msg: "there is no variable " + name, Hint: variableHint(name, vars)}
	case "label not defined":
		start, end := wordRange(src, "break")
		return &SyntaxError{Start: start, End: end, Msg: "break without its label"}
	case "invalid variable name":
		return &SyntaxError{End: len(src), Msg: "invalid variable name " + strconv.Quote(name)}
	}
	return &SyntaxError{End: len(src), Msg: text}
}

// wordRange finds the first use of one of words in src, outside of strings and
// comments; the whole program when there is none.
func wordRange(src string, words ...string) (start, end int) {
	for _, t := range scan(src) {
		if t.kind <= formatToken && t.kind != fieldToken && !t.key && slices.Contains(words, src[t.start:t.end]) {
			return t.start, t.end
		}
	}
	return 0, len(src)
}

// builtins lists jq's functions: name to the numbers of arguments it takes.
var builtins = sync.OnceValue(func() map[string][]int {
	out := map[string][]int{}
	q, err := gojq.Parse("builtins[]")
	if err != nil {
		return out
	}
	iter := q.Run(nil)
	for {
		v, ok := iter.Next()
		if !ok {
			return out
		}
		s, _ := v.(string)
		name, arity, _ := strings.Cut(s, "/")
		if n, err := strconv.Atoi(arity); err == nil && impure[name] == "" {
			out[name] = append(out[name], n)
		}
	}
})

// functionHint says what the user may have meant by the function name.
func functionHint(name string) string {
	if arities, ok := builtins()[name]; ok {
		slices.Sort(arities)
		var list []string
		for _, n := range arities {
			list = append(list, strconv.Itoa(n))
		}
		noun := " arguments"
		if len(arities) == 1 && arities[0] == 1 {
			noun = " argument"
		}
		return name + " takes " + strings.Join(list, " or ") + noun + `; arguments are separated by ";"`
	}
	names := make([]string, 0, len(builtins()))
	for n := range builtins() {
		if !strings.HasPrefix(n, "_") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if hint := didYouMean(name, names); hint != "" {
		return hint
	}
	return "a field is written with a dot: ." + name
}

func variableHint(name string, vars []string) string {
	if hint := didYouMean(name, vars); hint != "" {
		return hint
	}
	if len(vars) == 0 {
		return "no variables are bound here"
	}
	return "bound here: " + strings.Join(vars, ", ")
}

// didYouMean returns a question with the candidate nearest to word, the first
// one among equals; "" when none is near.
func didYouMean(word string, candidates []string) string {
	best, at := "", min(3, len(word)/2+1)
	for _, c := range candidates {
		if d := editDistance(word, c); d < at {
			best, at = c, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}

// impure has the functions that a spec may not call, with the reason.
var impure = map[string]string{
	"now":               "it reads the clock, and a plan must be reproducible",
	"localtime":         "it depends on the time zone of the machine, and a plan must be reproducible",
	"strflocaltime":     "it depends on the time zone of the machine, and a plan must be reproducible",
	"input":             "there is one document and no further input",
	"inputs":            "there is one document and no further input",
	"input_filename":    "there is one document and no further input",
	"input_line_number": "there is one document and no further input",
	"env":               "it reads the environment, and a plan must be reproducible",
	"$ENV":              "it reads the environment, and a plan must be reproducible",
	"debug":             "it prints message content, which may be personal data",
	"stderr":            "it prints message content, which may be personal data",
	"halt":              "it would stop the run",
	"halt_error":        "it would stop the run",
	"modulemeta":        "jq modules are not available",
	"get_search_list":   "jq modules are not available",
}

var impureHints = map[string]string{
	"now":           "compare with a fixed time, such as 1700000000",
	"localtime":     "use gmtime",
	"strflocaltime": "use strftime",
	"env":           "pass the value as a variable",
	"$ENV":          "pass the value as a variable",
}

// refuseImpure refuses programs whose result does not depend on the document
// alone.
func refuseImpure(src string, q *gojq.Query) error {
	name := ""
	eachCall(q, func(f *gojq.Func) {
		if name == "" && impure[f.Name] != "" {
			name = f.Name
		}
	})
	if name == "" {
		return nil
	}
	start, end := wordRange(src, name)
	return &SyntaxError{Start: start, End: end, Msg: name + " is not available: " + impure[name], Hint: impureHints[name]}
}

// notAssignment refuses programs that assign at the top: as a condition such a
// program is always true, and nobody means that.
func notAssignment(src string, q *gojq.Query) error {
	for q.Term != nil && q.Term.Type == gojq.TermTypeQuery && len(q.Term.SuffixList) == 0 {
		q = q.Term.Query
	}
	if q.Op != gojq.OpAssign {
		return nil
	}
	start, end := symbolRange(src, "=")
	return &SyntaxError{Start: start, End: end, Msg: `"=" assigns, it does not compare`, Hint: `compare with "=="`}
}

var formats = []string{"@text", "@json", "@html", "@uri", "@urid", "@csv", "@tsv", "@sh", "@base64", "@base64d"}

// refuseFormats refuses formats that do not exist, which gojq finds out only
// when it runs.
func refuseFormats(src string, q *gojq.Query) error {
	name := ""
	eachQuery(q, func(q *gojq.Query) {
		for t := q.Term; t != nil && name == ""; {
			if t.Format != "" && !slices.Contains(formats, t.Format) {
				name = t.Format
			}
			if t.Unary == nil {
				return
			}
			t = t.Unary.Term
		}
	})
	if name == "" {
		return nil
	}
	start, end := wordRange(src, name)
	return &SyntaxError{Start: start, End: end, Msg: "there is no jq format " + name, Hint: didYouMean(name, formats)}
}

// symbolRange finds the only place of a symbol in src; the whole program when
// there is more than one.
func symbolRange(src, symbol string) (start, end int) {
	start, end = 0, len(src)
	found := 0
	for _, t := range scan(src) {
		if (t.kind == symbolToken || t.kind == identToken && !t.key) && src[t.start:t.end] == symbol {
			if found++; found > 1 {
				return 0, len(src)
			}
			start, end = t.start, t.end
		}
	}
	return start, end
}
