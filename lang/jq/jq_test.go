package jq

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// decode reads a document as the engine does: numbers keep their literal.
func decode(t testing.TB, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, src, doc string
		want           bool
	}{
		{"true", `.a == 1`, `{"a":1}`, true},
		{"false", `.a == 2`, `{"a":1}`, false},
		{"truthy value", `.a`, `{"a":0}`, true},
		{"null is false", `.a`, `{}`, false},
		{"no output is false", `empty`, `{}`, false},
		{"first output decides", `false, true`, `{}`, false},
		{"variable", `.a == $v`, `{"a":"x"}`, true},
		{"regexp", `.path | test("^/api/")`, `{"path":"/api/x"}`, true},
		{"integers beyond float64", `.a == 9007199254740992`, `{"a":9007199254740993}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := CompilePredicate(c.src, "$v")
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Match(t.Context(), decode(t, c.doc), "x")
			if err != nil || got != c.want {
				t.Errorf("Match = %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestValue(t *testing.T) {
	v, err := CompileValue(`.request.headers["x-region"]`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Eval(t.Context(), decode(t, `{"request":{"headers":{"x-region":"eu"}}}`))
	if err != nil || got != "eu" {
		t.Errorf("Eval = %v, %v", got, err)
	}
	want := Pattern{{Kind: Key, Key: "request"}, {Kind: Key, Key: "headers"}, {Kind: Key, Key: "x-region"}}
	if p, ok := v.Pattern(); !ok || !reflect.DeepEqual(p, want) {
		t.Errorf("Pattern = %v, %v", p, ok)
	}
	for _, src := range []string{`.a[]`, `..`, `.a,.b`, `.a|length`, `.a // "x"`} {
		v, err := CompileValue(src)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := v.Pattern(); ok {
			t.Errorf("%s has the pattern %v", src, p)
		}
	}
	if got, err := must(CompileValue("empty")).Eval(t.Context(), nil); got != nil || err != nil {
		t.Errorf("empty gives %v, %v", got, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		name, src string
		at        string // the text that is underlined; "" is the end
		msg, hint string
	}{
		{"field with a space", `.items[] | .pri ce`, "ce", `unexpected "ce"`, `.["pri ce"]`},
		{"unexpected end", `.a | (.b`, "", "unexpected end", `"(" is not closed`},
		{"empty", ``, "", "empty", `write "."`},
		{"only a comment", `# hello`, "", "empty", ""},
		{"string without end", `.a == "x`, `"x`, "string does not end", "double quote"},
		{"bad escape", `"a\qb"`, `\q`, "escape", ""},
		{"single quotes", `.a == 'x'`, `'`, "unexpected", "double quotes"},
		{"logical and", `.a && .b`, `&`, "unexpected", `"and"`},
		{"logical or", `.a || .b`, `|`, "unexpected", `"or"`},
		{"multi-byte before", `.x == "é" | )`, ")", `unexpected ")"`, ""},
		{"unknown function", `.a | selct(.b)`, "selct", "no jq function selct/1", "did you mean select?"},
		{"a field without dot", `customer`, "customer", "no jq function customer/0", ".customer"},
		{"unknown function in a string first", `"foo" | foo`, "foo", "no jq function foo/0", ""},
		{"wrong number of arguments", `.a | test`, "test", "no jq function test/0", "test takes 1 or 2"},
		{"unknown variable", `.a == $reqest`, "$reqest", "no variable $reqest", "did you mean $request?"},
		{"unknown format", `@base46`, "@base46", "no jq format", "@base64"},
		{"clock", `.t < now`, "now", "now is not available", "reproducible"},
		{"clock in a string", `"\(now)"`, "now", "now is not available", ""},
		{"a field called now comes first", `.now | {now: now}`, "now", "now is not available", ""},
		{"environment", `$ENV.HOME`, "$ENV", "$ENV is not available", ""},
		{"environment function", `env.HOME`, "env", "env is not available", ""},
		{"input", `input`, "input", "input is not available", ""},
		{"inputs", `[inputs]`, "inputs", "inputs is not available", ""},
		{"debug", `.a | debug`, "debug", "debug is not available", ""},
		{"debug with a message", `debug("x")`, "debug", "debug is not available", ""},
		{"halt", `halt`, "halt", "halt is not available", ""},
		{"halt behind a sign", `-(halt_error)`, "halt_error", "halt_error is not available", ""},
		{"time zone", `0 | localtime`, "localtime", "localtime is not available", "gmtime"},
		{"import", `import "a" as a; .`, "import", "modules", ""},
		{"assignment", `.a = 1`, "=", "assigns", `"=="`},
		{"break without label", `break $x`, "break", "break without its label", ""},
		{"dash", `.a.foo-bar`, "bar", "no jq function bar/0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := CompilePredicate(c.src, "$request")
			checkSyntaxError(t, c.src, err, c.at, c.msg, c.hint)
		})
	}
}

func checkSyntaxError(t *testing.T, src string, err error, at, msg, hint string) {
	t.Helper()
	var se *SyntaxError
	if !errors.As(err, &se) {
		t.Fatalf("error is %v, not a syntax error", err)
	}
	if se.Start < 0 || se.End > len(src) || se.Start > se.End {
		t.Fatalf("range %d-%d is not in a text of %d bytes", se.Start, se.End, len(src))
	}
	if got := src[se.Start:se.End]; got != at {
		t.Errorf("underlines %q, want %q", got, at)
	}
	if at == "" && se.Start != len(src) {
		t.Errorf("starts at %d, want the end", se.Start)
	}
	if !strings.Contains(se.Msg, msg) {
		t.Errorf("message %q lacks %q", se.Msg, msg)
	}
	if !strings.Contains(se.Msg+se.Hint, hint) {
		t.Errorf("hint %q lacks %q", se.Hint, hint)
	}
}

func TestSyntaxErrorIsTheRightOccurrence(t *testing.T) {
	src := `.now | {now: now}`
	_, err := CompilePredicate(src)
	var se *SyntaxError
	if !errors.As(err, &se) || se.Start != strings.LastIndex(src, "now") {
		t.Errorf("error %+v, want offset %d", se, strings.LastIndex(src, "now"))
	}
}

func TestNonPaths(t *testing.T) {
	for _, c := range []struct{ src, at string }{
		{`.a | sort`, "sort"},
		{`.a | map(.x)`, "map"},
		{`.a + 1`, "+"},
		{`.a and .b`, "and"},
		{`"x"`, `"x"`},
		{`12`, `12`},
		{`[.a["x"]]`, `[`},
		{`.a["x"] | [.b]`, `[`},
		{`{a: 1}`, `{`},
		{`$request`, `$request`},
		{`.a |= 1`, `|=`},
		{`del(.a)`, `del`},
		{`if .x then .a else length end`, `length`},
		{`first(keys)`, `keys`},
	} {
		t.Run(c.src, func(t *testing.T) {
			_, err := CompilePaths(c.src, "$request")
			checkSyntaxError(t, c.src, err, c.at, "not a path", "")
		})
	}
}

func TestPathsEval(t *testing.T) {
	doc := `{"a":{"b":[{"c":1,"k":"x"},{"c":2,"k":"y"},7]},"s":"text","n":null,"list":[10,11,12,13]}`
	for _, c := range []struct{ name, src, want string }{
		{"field", `.s`, `[["s"]]`},
		{"absent field", `.nope.deeper`, `[["nope","deeper"]]`},
		{"into a scalar", `.s.x`, `[]`},
		{"iterate", `.a.b[].c`, `[["a","b",0,"c"],["a","b",1,"c"]]`},
		{"iterate what is absent", `.nope[].c`, `[]`},
		{"iterate a scalar", `.s[]`, `[]`},
		{"index an object", `.a[0]`, `[]`},
		{"select", `.a.b[] | select(.c > 1) | .k`, `[["a","b",1,"k"]]`},
		{"select with a pipe", `.a.b[] | select(.k | . == "y")`, `[["a","b",1]]`},
		{"variable", `.a.b[] | select(.k == $request.k)`, `[["a","b",0]]`},
		{"comment and definition", "def f: .a; f # why", `[["a"]]`},
		{"negative index", `.list[-1]`, `[["list",3]]`},
		{"negative index too far", `.list[-9]`, `[]`},
		{"slice", `.list[1:3]`, `[["list",1],["list",2]]`},
		{"open slice", `.list[2:]`, `[["list",2],["list",3]]`},
		{"index into a slice", `.list[1:3][1]`, `[["list",2]]`},
		{"step behind a slice", `.a.b[0:2][].c`, `[["a","b",0,"c"],["a","b",1,"c"]]`},
		{"slice of nothing", `.nope[1:3]`, `[]`},
		{"recurse", `.. | .c?`, `[["c"],["a","c"],["a","b",0,"c"],["a","b",1,"c"],["n","c"]]`},
		{"strings", `.a.b[] | objects | .k`, `[["a","b",0,"k"],["a","b",1,"k"]]`},
		{"alternative", `.nope // .s`, `[["s"]]`},
		{"if", `if .s then .s else .a end`, `[["s"]]`},
		{"try", `try .s.x`, `[]`},
		{"first", `first(.a.b[])`, `[["a","b",0]]`},
		{"getpath", `getpath(["a","b"])`, `[["a","b"]]`},
		{"recursion with an update inside", `.a.b[] | select(type == "object" and (del(.c) | has("c") | not)) | .c`, `[["a","b",0,"c"],["a","b",1,"c"]]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := CompilePaths(c.src, "$request")
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Eval(t.Context(), decode(t, doc), map[string]any{"k": "x"})
			if err != nil {
				t.Fatal(err)
			}
			if got == nil {
				got = [][]any{}
			}
			text, _ := json.Marshal(got)
			if string(text) != c.want {
				t.Errorf("paths %s, want %s", text, c.want)
			}
		})
	}
}

// A rule written for one shape of document must not fail on another: error
// bodies look nothing like the real ones.
func TestPathsAreTotal(t *testing.T) {
	docs := []string{`null`, `1`, `"x"`, `true`, `[]`, `{}`, `[1,"x",null]`, `{"a":5}`, `{"a":"x"}`, `{"a":[1]}`, `{"a":{"b":7}}`, `{"a":[{"b":[]}]}`}
	for _, src := range []string{`.a`, `.a.b.c`, `.a[].b`, `.a[0].b`, `.[]`, `.a[][].b`, `..|.x`, `.a["x"][1]`, `.a[-1]`,
		`.a[] | select(.b > 1)`, `.a[] | select(.b.c == "x") | .d`, `.a | .b | .[0]`, `(.a, .b).c`, `.a[] | select(.b and .c)`, `.a.b // .c.d`} {
		p, err := CompilePaths(src)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range docs {
			if _, err := p.Eval(t.Context(), decode(t, doc)); err != nil {
				t.Errorf("%s on %s: %v", src, doc, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		src  string
		want error
	}{
		{`def f: f; f`, ErrTimeout},
		{`repeat(.a)`, ErrTooManyPaths},
	} {
		p, err := CompilePaths(c.src)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(t.Context(), nil); !errors.Is(err, c.want) && !errors.Is(err, ErrTimeout) {
			t.Errorf("%s: %v, want %v", c.src, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := must(CompilePredicate(`def f: f; f`))
	if _, err := p.Match(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := must(CompilePredicate(`.a == $x`, "$x")).Match(t.Context(), nil); err == nil {
		t.Error("a missing value is no error")
	}
}

func TestRuntimeErrorsQuoteNothing(t *testing.T) {
	doc := decode(t, `{"mail":"erika@example.com","n":4711}`)
	for _, src := range []string{`.mail[]`, `.mail.x`, `.mail | test(.)|.[]`, `.n | test("a")`, `.mail + 1`, `.mail | tonumber`, `error`, `error(.mail)`,
		`.mail | fromjson`, `{(.n|tostring): 1} | .[0]`, `.mail | test("(")`, `.n / 0`, `.mail | strptime("%Y")`, `[.mail] | implode`, `@csv`} {
		_, err := must(CompileValue(src)).Eval(t.Context(), doc)
		if err == nil {
			t.Errorf("%s: no error", src)
			continue
		}
		if strings.Contains(err.Error(), "erika") || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v quotes the document", src, err)
		}
	}
}

func TestNeedsBody(t *testing.T) {
	for _, c := range []struct {
		src  string
		want bool
	}{
		{`.request.path == "/healthz"`, false},
		{`.request.path | startswith("/api")`, false},
		{`.request.method == "GET" and (.request.path | test("^/x"))`, false},
		{`.request.headers["x-region"] == "eu"`, false},
		{`.request.headers | has("x-region")`, false},
		{`.request.query.tenant // "none"`, false},
		{`.response == null`, false},
		{`.response`, false},
		{`.response.status >= 500`, false},
		{`.response and .response.status == 200`, false},
		{`.response | not`, false},
		{`.request | .path`, false},
		{`.request | select(.method == "GET") | .path == "/"`, false},
		{`.request as $r | $r.path == $r.host`, false},
		{`any(.request.headers[]; . == "x")`, false},
		{`[.request.path, .request.method] | join(" ") == "x"`, false},
		{`if .response then .response.status == 1 else true end`, false},
		{`"\(.request.path)" == "x"`, false},
		{`.session == "x"`, false},
		{`.status == 200`, false},
		{`$request.path == "/x"`, false},
		{`.request.path | split("/") | .[1] as $x | $x == "api"`, false},
		{`reduce (1,2) as $x (0; . + $x)`, true}, // gives up, harmlessly
		{`true`, false},

		{`.request.body.x == 1`, true},
		{`.body`, true},
		{`.request["body"] == 1`, true},
		{`.request | .body`, true},
		{`.request[("bo" + "dy")]`, true},
		{`.request[]`, true},
		{`..`, true},
		{`.. == 1`, true},
		{`. == 1`, true},
		{`.request == 1`, true},
		{`tojson | test("x")`, true},
		{`.request | tojson | test("x")`, true},
		{`.request | has("body")`, true},
		{`.request as $r | "x" | . == $r.body`, true},
		{`.request as {body: $b} | $b == 1`, true},
		{`.request | {body}`, true},
		{`[.request] | .[0].body == 1`, true},
		{`def f: .body; .request | f == 1`, true},
		{`getpath(["request","body"]) == 1`, true},
		{`$request.body == 1`, true},
		{`.request.path | . == $request.body`, true},
		{`"x" | reduce $request[] as $v (0; 1)`, true},
		{`.request.headers[.request.body]`, true},
		{`first(.request.body) == 1`, true},
		{`(.request, .response) | .body`, true},
	} {
		p, err := CompilePredicate(c.src, "$request")
		if err != nil {
			t.Fatalf("%s: %v", c.src, err)
		}
		if got := p.NeedsBody(); got != c.want {
			t.Errorf("%s: NeedsBody = %v", c.src, got)
		}
	}
	if !must(CompileValue(`.request`)).NeedsBody() {
		t.Error("a value that is the whole request needs the body")
	}
	if must(CompileValue(`.request.headers`)).NeedsBody() {
		t.Error("headers hold no body")
	}
}

// The sweep of del writes into containers that it does not own; documents and
// constants must survive it, also when goroutines share them.
func TestProgramsLeaveDocumentsAlone(t *testing.T) {
	doc := decode(t, `{"a":{"x":1,"y":[1,2]},"b":[{"z":null}]}`)
	p := must(CompilePredicate(`({"k":{"x":1}} | del(.k.x)) == {"k":{}} and (del(.a.x, .b[0]) | .a.x == null)`))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if ok, err := p.Match(context.Background(), doc); !ok || err != nil {
					t.Errorf("Match = %v, %v", ok, err)
				}
			}
		})
	}
	wg.Wait()
	if want := decode(t, `{"a":{"x":1,"y":[1,2]},"b":[{"z":null}]}`); !reflect.DeepEqual(doc, want) {
		t.Errorf("document is now %v", doc)
	}
}

func TestMarshal(t *testing.T) {
	p := must(CompilePaths(`.a # why`))
	text, err := json.Marshal(map[string]any{"p": p})
	if err != nil || string(text) != `{"p":".a # why"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`.a.b[]`, `.a | sort`, `"\(.x)" | foo`, `"a\(`, `{a, "b": 1}`, `$x::y`, `# \`, `..|.a?`, `def f(g): g; f(.x)`, `.[1:2]`, `now`, `@x "y"`, "\xff", `import "a" as b; .`, `-(halt)`} {
		f.Add(s)
	}
	docs := []any{nil, map[string]any{"a": []any{json.Number("1"), "x"}}}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 200 {
			return
		}
		p, err := CompilePaths(src, "$x")
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) {
				t.Fatalf("%q: %v is no syntax error", src, err)
			}
			if se.Start < 0 || se.Start > se.End || se.End > len(src) || se.Msg == "" {
				t.Fatalf("%q: bad range %d-%d", src, se.Start, se.End)
			}
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		patterns, static := p.Patterns()
		for _, doc := range docs {
			paths, err := p.Eval(ctx, doc, "v")
			if err != nil || !static {
				continue
			}
			for _, path := range paths {
				if !covered(patterns, path) {
					t.Fatalf("%q: path %v is in no pattern of %v", src, path, patterns)
				}
			}
		}
	})
}

func covered(patterns []Pattern, path []any) bool {
	for _, p := range patterns {
		if matches(p, path) {
			return true
		}
	}
	return false
}

func matches(p Pattern, path []any) bool {
	if len(p) > 0 && p[0].Kind == Recurse {
		for i := range len(path) + 1 {
			if matches(p[1:], path[i:]) {
				return true
			}
		}
		return false
	}
	if len(p) == 0 || len(path) == 0 {
		return len(p) == 0 && len(path) == 0
	}
	switch e := path[0].(type) {
	case string:
		return (p[0].Kind == Iterate || p[0].Kind == Key && p[0].Key == e) && matches(p[1:], path[1:])
	case int:
		return (p[0].Kind == Iterate || p[0].Kind == Index && p[0].Index == e) && matches(p[1:], path[1:])
	}
	return false
}

func BenchmarkMatch(b *testing.B) {
	p := must(CompilePredicate(`.request.path == "/healthz"`))
	doc := decode(b, `{"request":{"path":"/orders","method":"GET"}}`)
	for b.Loop() {
		if ok, err := p.Match(b.Context(), doc); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
