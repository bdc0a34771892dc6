package jq

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

var someArgs = Args{
	{Name: "host", Value: "shop"},
	{Name: "limits", Value: map[string]any{"low": 1, "list": []any{"a", json.Number("1.5")}}},
	{Name: "n", Value: 3},
}

func TestArgsAreBound(t *testing.T) {
	tests := []struct{ name, src, doc, want string }{
		{"string", ".host == $host", `{"host": "shop"}`, "true"},
		{"number", ".n == $n", `{"n": 3.0}`, "true"},
		{"object", "$limits.low + $limits.list[1]", `null`, "2.5"},
		{"shorthand", "{$host, $n} | tojson", `null`, `"{\"host\":\"shop\",\"n\":3}"`},
		{"inside text", `"\($host)!"`, `null`, `"shop!"`},
		{"beside a variable of the run", "[$host, $request.method] | join(\" \")", `null`, `"shop GET"`},
		{"changed in place", "$limits | del(.low) | keys", `null`, `["list"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := someArgs.CompileValue(tt.src, "$request")
			if err != nil {
				t.Fatal(err)
			}
			var doc any
			if err := json.Unmarshal([]byte(tt.doc), &doc); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time sees what the first left behind
				got, err := v.Eval(context.Background(), doc, map[string]any{"method": "GET"})
				if err != nil {
					t.Fatal(err)
				}
				if text, _ := json.Marshal(got); string(text) != tt.want {
					t.Errorf("got %s, want %s", text, tt.want)
				}
			}
		})
	}
}

func TestArgsOfPredicatesAndPaths(t *testing.T) {
	ctx := context.Background()
	p, err := someArgs.CompilePredicate(".host == $host and .n < $n")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := p.Match(ctx, map[string]any{"host": "shop", "n": 2}); !ok || err != nil {
		t.Errorf("no match: %v", err)
	}
	paths, err := someArgs.CompilePaths(".body[$host], .body.x", "$request")
	if err != nil {
		t.Fatal(err)
	}
	got, err := paths.Eval(ctx, map[string]any{}, nil)
	if want := [][]any{{"body", "shop"}, {"body", "x"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestArgsAreSafeForConcurrentUse(t *testing.T) {
	v, err := someArgs.CompileValue("$limits | del(.low) | length")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got, err := v.Eval(context.Background(), nil); got != 1 || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestMarshalledProgramHasItsArgs(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"none used", ".host", ".host"},
		{"one used", ".host == $host", `"shop" as $host | .host == $host`},
		{"in a comment only", ".host # $host", ".host # $host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := someArgs.CompileValue(tt.src)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := v.MarshalText()
			if string(text) != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
			if v.Source() != tt.src {
				t.Errorf("the source became %s", v.Source())
			}
			if _, err := CompileValue(string(text)); err != nil {
				t.Errorf("what stands in a plan is no jq: %v", err)
			}
		})
	}
}

func TestArgsInErrors(t *testing.T) {
	_, err := someArgs.CompileValue(".host == $hots")
	if e, ok := err.(*SyntaxError); !ok || e.Hint != "did you mean $host?" || e.Start != 9 || e.End != 14 {
		t.Errorf("got %#v", err)
	}
}

func TestValidArg(t *testing.T) {
	for name, want := range map[string]bool{"host": true, "_x1": true, "": false, "x-y": false, "1a": false, "ENV": false, "__loc__": false} {
		if got := ValidArg(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

func TestRootKeys(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"leading", ".request.path", ".request@0"},
		{"both sides", `(.path == "x") or .host`, ".path@1 .host@18"},
		{"not a suffix", `.request.path == "x" or .path`, ".request@0 .path@24"},
		{"behind a space", ". | .path", ".path@4"},
		{"behind a select", "select(.hots) | .request", ".hots@7 .request@16"},
		{"behind something else", ".request | .path", ".request@0"},
		{"not", ".path | not", ".path@0"},
		{"any over another document", "any(.request.items[]; .path)", ""},
		{"argument of test", ".request.path | test(.pattern)", ".request@0"},
		{"in an object", "{a: .path, b: [.host]}", ".path@4 .host@15"},
		{"in text", `"\(.path) x"`, ".path@3"},
		{"quoted", `.["x-y"] == 1`, `.x-y@2`},
		{"variable", "$request.path", ""},
		{"bound", ".a as $x | .b", ".a@0 .b@11"},
		{"condition", "if .a then .b else .c end", ".a@3 .b@11 .c@19"},
		{"definition", "def f: .x; f | .y", ""},
		{"iteration", ".[] | .x", ""},
		{"twice", ".a or .a", ".a@0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := CompileValue(tt.src, "$request")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range v.RootKeys() {
				got = append(got, fmt.Sprintf(".%s@%d", k.Key, k.Start))
				if text := tt.src[k.Start:k.End]; !strings.Contains(text, k.Key) {
					t.Errorf("%s: the range covers %q", k.Key, text)
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}
