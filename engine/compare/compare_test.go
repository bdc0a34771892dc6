package compare

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func rules(srcs ...string) []Rule {
	var out []Rule
	for _, s := range srcs {
		out = append(out, Rule{Paths: must(jq.CompilePaths(s, RequestVariable))})
	}
	return out
}

func ignoring(srcs ...string) Config { return Config{Ignore: rules(srcs...)} }

// response is built from lines of header and a body: "Name: value|Name: value".
func response(status int, header, body string) *traffic.Response {
	r := &traffic.Response{Status: status, Body: traffic.Body{Bytes: []byte(body)}}
	for _, line := range strings.Split(header, "|") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header = append(r.Header, traffic.Field{Name: name, Value: value})
		}
	}
	return r
}

const jsonType = "Content-Type: application/json"

func jsonResponse(body string) *traffic.Response { return response(200, jsonType, body) }

var getOrder = &traffic.Request{Method: "GET", Target: "/orders/7?mode=fast", Header: traffic.Header{{Name: "Host", Value: "shop"}}}

// show writes a comparison in short: the outcome, then "path kind baseline ->
// candidate" lines, those of ignored ones with the rule in brackets.
func show(c Comparison) string {
	var b strings.Builder
	b.WriteString(c.Outcome.String())
	if c.Reason != "" {
		b.WriteString(" (" + c.Reason + ")")
	}
	for _, d := range c.Differences {
		fmt.Fprintf(&b, "\n%s %s", d.Path, d.Kind)
		if d.Baseline != "" || d.Candidate != "" {
			fmt.Fprintf(&b, " %s -> %s", d.Baseline, d.Candidate)
		}
		if d.IgnoredBy >= 0 {
			fmt.Fprintf(&b, " [%d]", d.IgnoredBy)
		}
	}
	return b.String()
}

func check(t *testing.T, cfg Config, a, b *traffic.Response, want ...string) {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := show(c.Compare(t.Context(), getOrder, a, b))
	if w := strings.Join(want, "\n"); got != w {
		t.Errorf("got\n%s\nwant\n%s", got, w)
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       []string
	}{
		{"white space", `{"a": 1, "b":[1,2]}`, `{"a":1,"b":[ 1, 2 ]}`, []string{"matched"}},
		{"order of members", `{"a":1,"b":{"c":2,"d":3}}`, `{"b":{"d":3,"c":2},"a":1}`, []string{"matched"}},
		{"escapes", `{"a":"\u00e9\/"}`, `{"a":"é/"}`, []string{"matched"}},
		{"value", `{"a":"x"}`, `{"a":"y"}`, []string{"mismatched", `.a value "x" -> "y"`}},
		{"halves of surrogate pairs", `{"a":"\ud800"}`, `{"a":"\udfff"}`, []string{"mismatched", `.a value "\ud800" -> "\udfff"`}},
		{"half of a pair and its stand-in", `["\ud800"]`, `["\ufffd"]`, []string{"mismatched", `.[] value "\ud800" -> "\ufffd"`}},
		{"halves of pairs in a list", `[["\ud800"],["x"]]`, `[["x"],["\udc00"]]`, []string{"mismatched", `.[] missing ["\ud800"] -> `, `.[] extra  -> ["\udc00"]`}},
		{"pair in other words", `["\ufffd\ud83d\ude00\n\/"]`, `["\uFFFD😀\u000a/"]`, []string{"matched"}},
		{"boolean", `{"a":true}`, `{"a":false}`, []string{"mismatched", `.a value true -> false`}},
		{"type", `{"a":"1"}`, `{"a":1}`, []string{"mismatched", `.a type "1" -> 1`}},
		{"null is a type", `{"a":null}`, `{"a":0}`, []string{"mismatched", `.a type null -> 0`}},
		{"missing", `{"a":1,"b":{"c":2}}`, `{"a":1}`, []string{"mismatched", `.b missing {"c":2} -> `}},
		{"extra", `{"a":1}`, `{"b":2,"a":1}`, []string{"mismatched", `.b extra  -> 2`}},
		{"missing and extra", `{"a":1,"z":0}`, `{"b":2,"z":0}`, []string{"mismatched", `.a missing 1 -> `, `.b extra  -> 2`}},
		{"number", `{"a":1}`, `{"a":2}`, []string{"mismatched", `.a value 1 -> 2`}},
		{"beyond float64", `{"a":9007199254740993}`, `{"a":9007199254740992}`, []string{"mismatched", `.a value 9007199254740993 -> 9007199254740992`}},
		{"number in another form", `{"a":1,"b":1e3}`, `{"a":1.0,"b":1000}`, []string{"mismatched", `.a format 1 -> 1.0`, `.b format 1e3 -> 1000`}},
		{"deep", `{"a":{"b-c":[{"d":1}]}}`, `{"a":{"b-c":[{"d":2}]}}`, []string{"mismatched", `.a["b-c"][].d value 1 -> 2`}},
		{"root scalar", `1`, `2`, []string{"mismatched", `. value 1 -> 2`}},
		{"root list", `[1]`, `[2]`, []string{"mismatched", `.[] value 1 -> 2`}},
		{"duplicate keys, the last counts", `{"a":1,"a":2}`, `{"a":3,"a":2}`, []string{"matched"}},
		{"duplicate keys, other last", `{"a":1,"a":2}`, `{"a":1,"a":3}`, []string{"mismatched", `.a value 2 -> 3`}},
		{"duplicate keys appear", `{"a":2}`, `{"a":1,"a":2}`, []string{"mismatched", `. format {"a":2} -> {"a":1,"a":2}`}},
		{"empty key", `{"":1}`, `{"":2}`, []string{"mismatched", `.[""] value 1 -> 2`}},
		{"same path once", `[{"a":1,"z":1},{"a":1,"z":2}]`, `[{"a":2,"z":1},{"a":3,"z":2}]`, []string{"mismatched", `.[].a value 1 -> 2`}},
		{"not JSON any more", `{"a":1}`, `{"a":1`, []string{"mismatched", `. format {"a":1} -> {"a":1`}},
		{"neither is JSON", `oops`, `oups`, []string{"mismatched", `. value oops -> oups`}},
		{"appears", ``, `{}`, []string{"mismatched", `. extra  -> {}`}},
		{"disappears", `{}`, ``, []string{"mismatched", `. missing {} -> `}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			for i := 1; i < len(want); i++ { // paths are written without their .body
				if p, rest, _ := strings.Cut(want[i], " "); p == "." {
					want[i] = ".body " + rest
				} else {
					want[i] = ".body" + strings.TrimPrefix(strings.Replace(p, ".[", "[", 1), "") + " " + rest
				}
			}
			check(t, Config{}, jsonResponse(c.a), jsonResponse(c.b), want...)
		})
	}
}

func TestLists(t *testing.T) {
	keyed := Config{Keyed: []Keyed{{Rule: rules(".body")[0], Key: "k"}}}
	unordered := Config{Unordered: rules(".body")}
	both := Config{Keyed: keyed.Keyed, Unordered: unordered.Unordered}
	for _, c := range []struct {
		name string
		cfg  Config
		a, b string
		want []string
	}{
		{"scalars, one changed", Config{}, `[1,2,3]`, `[1,9,3]`, []string{"mismatched", `.body[] value 2 -> 9`}},
		{"scalars, one inserted", Config{}, `[1,2,3]`, `[0,1,2,3]`, []string{"mismatched", `.body[] extra  -> 0`}},
		{"scalars, one removed", Config{}, `[1,2,3,4]`, `[1,3,4]`, []string{"mismatched", `.body[] missing 2 -> `}},
		{"becomes empty", Config{}, `[1]`, `[]`, []string{"mismatched", `.body[] missing 1 -> `}},
		{"order", Config{}, `[1,2,3]`, `[3,1,2]`, []string{"mismatched", `.body order [1,2,3] -> [3,1,2]`}},
		{"order and change", Config{}, `[1,2,3,4]`, `[2,1,3,5]`, []string{"mismatched", `.body order [1,2,3,4] -> [2,1,3,5]`, `.body[] value 4 -> 5`}},
		{"repeated elements", Config{}, `["a","a","b"]`, `["a","b","b"]`, []string{"mismatched", `.body[] value "a" -> "b"`}},
		{"evident key, inserted and changed", Config{}, `[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":0,"v":0},{"id":1,"v":1},{"id":2,"v":3}]`,
			[]string{"mismatched", `.body[].v value 2 -> 3`, `.body[] extra  -> {"id":0,"v":0}`}},
		{"evident key, moved", Config{}, `[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":2,"v":2},{"id":1,"v":1}]`,
			[]string{"mismatched", `.body order [1,2] -> [2,1]`}},
		{"key that is new each time", Config{}, `[{"id":1,"v":1}]`, `[{"id":7,"v":1}]`, []string{"mismatched", `.body[].id value 1 -> 7`}},
		{"key that is ignored", ignoring(".body[].id"), `[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":2,"v":1},{"id":1,"v":2}]`,
			[]string{"ignored", `.body[].id value 1 -> 2 [0]`}},
		{"inserted beside noise", ignoring(".body[].t"), `[{"a":"x","t":1},{"a":"y","t":2}]`, `[{"a":"w","t":3},{"a":"x","t":4},{"a":"y","t":5}]`,
			[]string{"mismatched", `.body[].t value 1 -> 4 [0]`, `.body[] extra  -> {"a":"w","t":3}`}},
		{"declared key", keyed, `[{"k":"a","v":1},{"k":"b","v":2}]`, `[{"k":"b","v":2},{"k":"a","v":3}]`,
			[]string{"mismatched", `.body order ["a","b"] -> ["b","a"]`, `.body[].v value 1 -> 3`}},
		{"declared key, order declared", both, `[{"k":"a","v":1},{"k":"b","v":2}]`, `[{"k":"b","v":2},{"k":"a","v":3}]`,
			[]string{"mismatched", `.body order ["a","b"] -> ["b","a"] [0]`, `.body[].v value 1 -> 3`}},
		{"declared key that is not unique", keyed, `[{"k":"a","v":1},{"k":"a","v":2}]`, `[{"k":"a","v":1},{"k":"a","v":3}]`,
			[]string{"mismatched", `.body[].v value 2 -> 3`}},
		{"declared key that nothing has", keyed, `[1,2]`, `[1,3]`, []string{"mismatched", `.body[] value 2 -> 3`}},
		{"unordered, other order", unordered, `["a","b","c"]`, `["c","a","b"]`, []string{"ignored", `.body order ["a","b","c"] -> ["c","a","b"] [0]`}},
		{"unordered, one replaced", unordered, `["a","b"]`, `["c","a"]`, []string{"mismatched", `.body[] missing "b" -> `, `.body[] extra  -> "c"`}},
		{"unordered objects, one changed", unordered, `[{"x":1,"y":1},{"x":2,"y":2}]`, `[{"x":2,"y":3},{"x":1,"y":1}]`,
			[]string{"mismatched", `.body[].y value 2 -> 3`}},
		{"unordered inside a list", Config{Unordered: rules(".body[].tags")}, `[{"tags":[1,2]},{"tags":[]}]`, `[{"tags":[2,1]},{"tags":[]}]`,
			[]string{"ignored", `.body[].tags order [1,2] -> [2,1] [0]`}},
		{"order of an ignored list", ignoring(".body"), `[1,2]`, `[2,1]`, []string{"ignored", `.body value [1,2] -> [2,1] [0]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, c.cfg, jsonResponse(c.a), jsonResponse(c.b), c.want...)
		})
	}
}

// What cannot be told element by element is told by the length.
func TestLongListsWithoutAnythingInCommon(t *testing.T) {
	list := func(n, from int) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`"%d"`, from+i))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	check(t, Config{}, jsonResponse(list(500, 0)), jsonResponse(list(400, 1000)),
		"mismatched", `.body[] value "0" -> "1000"`, `.body length 500 -> 400`)
}

func TestIgnore(t *testing.T) {
	a := response(200, jsonType+"|Date: x|Location: /a|Set-Cookie: sid=1; Path=/a|Content-Encoding: identity", `{"a":1,"b":[{"x":1},{"x":2}],"o":{"n":null,"t":{"updated_at":1}},"s":"x"}`)
	b := response(200, jsonType+"|Location: /b|Set-Cookie: sid=2; Path=/b", `{"a":2,"b":[{"x":3},{"y":2}],"o":{"n":0,"t":{}}}`)
	all := []string{
		`.headers.location header /a -> /b`,
		`.headers.date missing x -> `,
		`.cookies.sid.path header /a -> /b`,
		`.body.a value 1 -> 2`,
		`.body.b[].x value 1 -> 3`,
		`.body.b[].x missing 2 -> `,
		`.body.b[].y extra  -> 2`,
		`.body.o.n type null -> 0`,
		`.body.o.t.updated_at missing 1 -> `,
		`.body.s missing "x" -> `,
	}
	for _, c := range []struct {
		name string
		cfg  Config
		drop map[int]string // differences that look otherwise
	}{
		{"nothing", Config{}, nil},
		{"a member", ignoring(".body.a"), map[int]string{3: all[3] + " [0]"}},
		{"presence is compared all the same", ignoring(".body.s", `.headers["date"]`), nil},
		{"type is compared all the same", ignoring(".body.o.n"), nil},
		{"what may be absent", Config{Optional: rules(".body.s", `.headers["date"]`)}, map[int]string{9: all[9] + " [0]", 1: all[1] + " [1]"}},
		{"what may be null", Config{Optional: rules(".body.o.n")}, map[int]string{7: all[7] + " [0]"}},
		{"in a list", ignoring(".body.b[].x"), map[int]string{4: all[4] + " [0]"}},
		{"in a list, and absent", Config{Ignore: rules(".body.b[].x"), Optional: rules(".body.b[].x")}, map[int]string{4: all[4] + " [0]", 5: all[5] + " [1]"}},
		{"a whole list", ignoring(".body.b"), map[int]string{4: `.body.b value [{"x":1},{"x":2}] -> [{"x":3},{"y":2}] [0]`, 5: "", 6: ""}},
		{"at any depth", Config{Optional: rules("..|.updated_at?")}, map[int]string{8: all[8] + " [0]"}},
		{"several paths", ignoring(".body.a, .body.b"), map[int]string{3: all[3] + " [0]", 4: `.body.b value [{"x":1},{"x":2}] -> [{"x":3},{"y":2}] [0]`, 5: "", 6: ""}},
		{"several rules", ignoring(".body.a", ".body.b"), map[int]string{3: all[3] + " [0]", 4: `.body.b value [{"x":1},{"x":2}] -> [{"x":3},{"y":2}] [1]`, 5: "", 6: ""}},
		{"the first of several rules", ignoring(".body.a", ".body[]"), map[int]string{3: all[3] + " [0]", 4: `.body.b value [{"x":1},{"x":2}] -> [{"x":3},{"y":2}] [1]`, 5: "", 6: "",
			7: `.body.o value {"n":null,"t":{"updated_at":1}} -> {"n":0,"t":{}} [1]`, 8: ""}},
		{"a header", ignoring(`.headers["location"]`), map[int]string{0: all[0] + " [0]"}},
		{"all headers", ignoring(`.headers`), map[int]string{0: `.headers header /a -> /b [0]`, 1: ""}},
		{"a cookie", ignoring(`.cookies.sid`), map[int]string{2: `.cookies.sid header path=/a -> path=/b [0]`}},
		{"an attribute of all cookies", ignoring(`.cookies[].path`), map[int]string{2: all[2] + " [0]"}},
		{"a rule for what is not there", ignoring(`.body.nope.deep[].er`, `.body.a.b`), nil},
		{"a position", ignoring(`.body.b[1]`), map[int]string{5: `.body.b[] value {"x":2} -> {"y":2} [0]`, 6: ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := []string{"mismatched"}
			for i, line := range all {
				if other, ok := c.drop[i]; ok {
					line = other
				}
				if line != "" {
					want = append(want, line)
				}
			}
			check(t, c.cfg, a, b, want...)
		})
	}
	check(t, ignoring(".body", ".headers", ".cookies"), a, b, "ignored", `.headers header /a -> /b [1]`, `.cookies header /a -> /b [2]`,
		`.body value `+string(a.Body.Bytes)+" -> "+string(b.Body.Bytes)+" [0]")
	check(t, ignoring("."), a, b, "ignored", `. value /a -> /b [0]`)
}

// What is ignored is a value: what it is a value of is still looked at.
func TestIgnoredValuesKeepTheirForm(t *testing.T) {
	both := Config{Ignore: rules(".body.v"), Optional: rules(".body.v")}
	for _, c := range []struct {
		name string
		cfg  Config
		a, b string
		want string // of the outcome
	}{
		{"another value", ignoring(".body.v"), `"abc"`, `"xyz"`, "ignored"},
		{"another number", ignoring(".body.v"), `1`, `2.5`, "ignored"},
		{"a number for a text", ignoring(".body.v"), `"abc"`, `1`, "mismatched"},
		{"null for a text", ignoring(".body.v"), `"abc"`, `null`, "mismatched"},
		{"null for a text that may be null", both, `"abc"`, `null`, "ignored"},
		{"a number for a text that may be anything", both, `"abc"`, `1`, "ignored"},
		{"an object for a list", ignoring(".body.v"), `[1]`, `{"a":1}`, "mismatched"},
		{"another list", ignoring(".body.v"), `[1]`, `["a",{}]`, "ignored"},
		{"UUIDs", ignoring(".body.v"), `"3fa85f64-5717-4562-b3fc-2c963f66afa6"`, `"0195f3a8-5717-7562-B3FC-2c963f66afa6"`, "ignored"},
		{"a word for a UUID", ignoring(".body.v"), `"3fa85f64-5717-4562-b3fc-2c963f66afa6"`, `"undefined"`, "mismatched"},
		{"times", ignoring(".body.v"), `"2026-11-21T10:00:00Z"`, `"2026-11-21 10:00:01.5+01:00"`, "ignored"},
		{"a day for a time", ignoring(".body.v"), `"2026-11-21T10:00:00Z"`, `"2026-11-21"`, "ignored"},
		{"nothing for a time", ignoring(".body.v"), `"2026-11-21T10:00:00Z"`, `""`, "mismatched"},
		{"nothing for a word", ignoring(".body.v"), `"abc"`, `""`, "mismatched"},
		{"a time for a word", ignoring(".body.v"), `"abc"`, `"2026-11-21T10:00:00Z"`, "ignored"},
		{"a word for a UUID that may be anything", both, `"3fa85f64-5717-4562-b3fc-2c963f66afa6"`, `"undefined"`, "ignored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, wrap := range []string{`{"v":%s}`, `{"l":[{"v":%s,"k":1},{"v":0,"k":2}]}`} {
				cfg := c.cfg
				if strings.Contains(wrap, "l") {
					in := func(rs []Rule) []Rule {
						if rs == nil {
							return nil
						}
						return rules(".body.l[].v")
					}
					cfg = Config{Ignore: in(cfg.Ignore), Optional: in(cfg.Optional), Unordered: rules(".body.l")}
				}
				cmp, err := New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				got := cmp.Compare(t.Context(), getOrder, jsonResponse(fmt.Sprintf(wrap, c.a)), jsonResponse(fmt.Sprintf(wrap, c.b)))
				if outcome := got.Outcome.String(); outcome != c.want && !(outcome == "matched" && c.want == "ignored") {
					t.Errorf("%s: %s", wrap, show(got))
				}
			}
		})
	}
}

// Measure says what a rule finds and how much it leaves out, in responses that
// do not differ as well.
func TestMeasure(t *testing.T) {
	cfg := Config{
		Ignore:    rules(".body.at", ".body.items[].tag", `.headers["x-trace"]`, ".body.dead", `.body | select(.kind == "ad") | .items`, ".cookies.sid"),
		Unordered: rules(".body.items"),
		Tolerance: []Tolerance{{Rule: rules(".body.nope")[0], Limit: "1"}},
		Optional:  rules(".body.at"),
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Measure(t.Context(), getOrder, response(200, jsonType+"|X-Trace: a|Set-Cookie: sid=1", `{"at":1,"kind":"x","items":[{"tag":1,"v":1},{"tag":2,"v":2}]}`))
	c.Measure(t.Context(), getOrder, response(200, jsonType, `{"kind":"ad","items":[{"v":1},{"v":2},{"v":3}]}`))
	c.Measure(t.Context(), getOrder, response(200, "Content-Type: text/plain", "hello"))
	var got []string
	for _, r := range c.Rules() {
		got = append(got, fmt.Sprintf("%s %s %d %.3f", r.Rule, r.Path, r.Found, r.Masked))
	}
	want := []string{
		"ignore .body.at 1 0.167", "ignore .body.items[].tag 1 0.333", `ignore .headers["x-trace"] 1 0.000`, "ignore .body.dead 0 0.000",
		`ignore .body | select(.kind == "ad") | .items 1 0.750`, "ignore .cookies.sid 1 0.000",
		"unordered .body.items 2 0.000", "tolerance .body.nope 0 0.000", "optional .body.at 1 0.000",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestIgnoreThatDependsOnTheDocument(t *testing.T) {
	a := jsonResponse(`{"items":[{"id":1,"kind":"ad","price":1},{"id":2,"kind":"real","price":1}]}`)
	b := jsonResponse(`{"items":[{"id":2,"kind":"real","price":2},{"id":1,"kind":"ad","price":2}]}`)
	ads := `.body.items[] | select(.kind == "ad") | .price`
	order := `.body.items order [1,2] -> [2,1]`
	for _, c := range []struct {
		name string
		cfg  Config
		a, b *traffic.Response
		want []string
	}{
		{"selects elements that moved", ignoring(ads), a, b, []string{"mismatched", order, `.body.items[].price value 1 -> 2 [0]`, `.body.items[].price value 1 -> 2`}},
		{"beside a static rule", ignoring(".body.items", ads), a, b, []string{"ignored", `.body.items value ` + cutJSON(a) + " -> " + cutJSON(b) + " [0]"}},
		{"by the request", ignoring(`select($request.query.mode == "fast") | .body.items`), a, b, []string{"ignored", `.body.items value ` + cutJSON(a) + " -> " + cutJSON(b) + " [0]"}},
		{"not by the request", ignoring(`select($request.query.mode == "slow") | .body.items`), a, jsonResponse(`{"items":1}`),
			[]string{"mismatched", `.body.items type ` + cutJSON(a) + ` -> 1`}},
		{"a candidate cannot excuse itself", ignoring(`.body | select(.error)`), jsonResponse(`{"a":1}`), jsonResponse(`{"error":"x"}`),
			[]string{"mismatched", `.body.a missing 1 -> `, `.body.error extra  -> "x"`}},
		{"one side only", Config{Optional: rules(`.body | select(.v == 2) | .note`)}, jsonResponse(`{"v":2,"note":1}`), jsonResponse(`{"v":2}`),
			[]string{"ignored", `.body.note missing 1 ->  [0]`}},
		{"an error hides nothing", ignoring(`.body | select(.a | test("x")) | .a`), jsonResponse(`{"a":1}`), jsonResponse(`{"a":2}`),
			[]string{"mismatched", `.body.a value 1 -> 2`}},
		{"a negative position", ignoring(`.body[-1]`), jsonResponse(`[1,2]`), jsonResponse(`[1,3]`), []string{"ignored", `.body[] value 2 -> 3 [0]`}},
		{"unordered", Config{Unordered: rules(`.body | select(.loose) | .l`)}, jsonResponse(`{"loose":true,"l":[1,2]}`), jsonResponse(`{"loose":true,"l":[2,1]}`),
			[]string{"ignored", `.body.l order [1,2] -> [2,1] [0]`}},
		{"status", ignoring(`select(.status >= 400) | .status`), response(500, "", ""), response(502, "", ""), []string{"ignored", `.status status 500 -> 502 [0]`}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c.cfg, c.a, c.b, c.want...) })
	}
}

func cutJSON(r *traffic.Response) string {
	return strings.TrimSuffix(strings.TrimPrefix(string(r.Body.Bytes), `{"items":`), "}")
}

func TestTolerance(t *testing.T) {
	for _, c := range []struct {
		limit, a, b string
		want        string
	}{
		{"0.01", "1.00", "1.01", "ignored"},
		{"0.01", "1.00", "1.0100000000000000000001", "mismatched"},
		{"0.01", "0.1", "0.11", "ignored"}, // 0.11-0.1 > 0.01 in float64
		{"0", "1", "1.0", "ignored"},
		{"1%", "100", "101", "ignored"},
		{"1%", "100", "99", "ignored"},
		{"1%", "100", "101.1", "mismatched"},
		{"1%", "-100", "-101", "ignored"},
		{"1%", "0", "0.1", "mismatched"},
		{"0.5", "1e2", "100.5", "ignored"},
		{"1", "1e999999999", "1e999999998", "mismatched"},
		{"1", "1e99999999999999999999", "1e99999999999999999998", "mismatched"},
		{"1", `"1"`, `"2"`, "mismatched"},
		{"1", `1`, `null`, "mismatched"},
	} {
		cfg := Config{Tolerance: []Tolerance{{Rule: rules(".body[].total")[0], Limit: c.limit}}}
		got := must(New(cfg)).Compare(t.Context(), getOrder, jsonResponse(`[{"total":`+c.a+`}]`), jsonResponse(`[{"total":`+c.b+`}]`))
		if got.Outcome.String() != c.want {
			t.Errorf("%s, %s with %s: %s, want %s", c.a, c.b, c.limit, got.Outcome, c.want)
		}
	}
	for _, bad := range []string{"", "x", "-1", "1e500", "1/2", "0x1p4", "1%%", "%", "Inf"} {
		if _, err := New(Config{Tolerance: []Tolerance{{Rule: rules(".body")[0], Limit: bad}}}); err == nil {
			t.Errorf("tolerance %q is accepted", bad)
		}
	}
}

func TestSameNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1", "1.0", true}, {"1e3", "1000", true}, {"0.001", "1E-3", true}, {"-0", "0", true}, {"0e5", "0.00", true}, {"120", "1.2e+2", true},
		{"0.10", "0.1", true}, {"10e-1", "1", true}, {"1", "-1", false}, {"1", "10", false}, {"1.01", "1.1", false},
		{"9007199254740993", "9007199254740992", false}, {"9007199254740993.0", "9007199254740993", true},
		{"1e400", "1e401", false}, {"1e99999999999999999999", "1e99999999999999999999", true}, {"1e99999999999999999999", "1e99999999999999999998", false},
		{"100000000000000000000000000000000000000000", "1e41", true},
	} {
		if got := sameNumber([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       []string
	}{
		{"date may differ", "Date: a", "Date: b", []string{"matched"}},
		{"names ignore case", "X-Request-ID: a", "x-request-id: b", []string{"matched"}},
		{"order of fields", "Date: a|Etag: b", "ETag: c|Date: d", []string{"matched"}},
		{"date disappears", "Date: a", "", []string{"mismatched", ".headers.date missing a -> "}},
		{"etag appears", "", "ETag: x", []string{"mismatched", ".headers.etag extra  -> x"}},
		{"connection fields", "Connection: keep-alive|Keep-Alive: 5|Transfer-Encoding: chunked|Upgrade: h2c|Proxy-Authenticate: x", "Connection: close|Content-Length: 0|Trailer: x", []string{"matched"}},
		{"other fields", "X-Foo: 1", "X-Bar: 1", []string{"matched"}},
		{"location", "Location: /a", "Location: /b", []string{"mismatched", ".headers.location header /a -> /b"}},
		{"repeated fields are joined", "WWW-Authenticate: a|WWW-Authenticate: b", "WWW-Authenticate: a, b", []string{"matched"}},
		{"repeated fields differ", "WWW-Authenticate: a|WWW-Authenticate: b", "WWW-Authenticate: a", []string{"mismatched", `.headers["www-authenticate"] header a, b -> a`}},
		{"cache-control is a set", "Cache-Control: no-store, max-age=0", "Cache-Control: Max-Age=0,no-store", []string{"matched"}},
		{"cache-control", "Cache-Control: max-age=1", "Cache-Control: max-age=2", []string{"mismatched", `.headers["cache-control"] header max-age=1 -> max-age=2`}},
		{"media type", "Content-Type: text/plain", "Content-Type: text/html", []string{"mismatched", `.headers["content-type"] format text/plain -> text/html`}},
		{"media type in other words", "Content-Type: text/html;charset=UTF-8", `Content-Type: Text/HTML; charset="utf-8"`, []string{"matched"}},
		{"silent about utf-8", "Content-Type: text/html", `Content-Type: text/html; charset=utf-8`, []string{"matched"}},
		{"character set", "Content-Type: text/html", `Content-Type: text/html; charset=iso-8859-1`, []string{"mismatched", `.headers["content-type"] format text/html -> text/html; charset=iso-8859-1`}},
		{"identity is no coding", "Content-Encoding: identity", "", []string{"matched"}},
		{"asked for", "X-Price-Currency: EUR", "X-Price-Currency: USD", []string{"mismatched", `.headers["x-price-currency"] header EUR -> USD`}},
		{"asked for, volatile otherwise", "Server: a", "Server: b", []string{"mismatched", `.headers.server header a -> b`}},
		{"cookie values", "Set-Cookie: a=1; Path=/; Expires=x", "Set-Cookie: a=2; path=/", []string{"matched"}},
		{"cookie names", "Set-Cookie: a=1; Secure", "Set-Cookie: b=1", []string{"mismatched", ".cookies.a missing secure=true -> ", ".cookies.b extra"}},
		{"cookie attributes", "Set-Cookie: a=1; Max-Age=5; Secure; SameSite=Lax", "Set-Cookie: a=1; Max-Age=6; HttpOnly; samesite=lax",
			[]string{"mismatched", ".cookies.a.max_age header 5 -> 6", ".cookies.a.secure missing true -> ", ".cookies.a.http_only extra  -> true"}},
		{"cookies in another order", "Set-Cookie: a=1|Set-Cookie: b=1", "Set-Cookie: b=1|Set-Cookie: a=1", []string{"matched"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, Config{Headers: []string{"x-price-currency", "Server"}}, response(200, c.a, ""), response(200, c.b, ""), c.want...)
		})
	}
}

func TestManyHeadersToCompare(t *testing.T) {
	var names, line []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("x-h-%d", i))
		line = append(line, fmt.Sprintf("X-H-%d: %d", i, i))
	}
	names = append(names, strings.Repeat("x", 80))
	a := response(200, strings.Join(line, "|")+"|"+strings.Repeat("X", 80)+": 1", "")
	b := response(200, strings.Join(line[1:], "|")+"|"+strings.Repeat("x", 80)+": 2", "")
	check(t, Config{Headers: names}, a, b, "mismatched", `.headers["x-h-0"] missing 0 -> `, `.headers.`+strings.Repeat("x", 80)+` header 1 -> 2`)
}

func TestStatus(t *testing.T) {
	a, b := jsonResponse(`{"a":1}`), response(500, jsonType+"|Date: x", `{"error":"x"}`)
	check(t, Config{}, a, b, "mismatched", `.status status 200 -> 500`)
	check(t, ignoring(".status"), a, b, "mismatched", `.status status 200 -> 500 [0]`, `.headers.date extra  -> x`, `.body.a missing 1 -> `, `.body.error extra  -> "x"`)
	check(t, ignoring(".status"), a, response(201, jsonType, `{"a":1}`), "ignored", `.status status 200 -> 201 [0]`)
}

func TestOtherBodies(t *testing.T) {
	state := func(s traffic.BodyState, text string) *traffic.Response {
		r := jsonResponse(text)
		r.Body.State = s
		return r
	}
	oversized := func(sum byte) *traffic.Response {
		r := state(traffic.Oversized, "{")
		r.Body.Size, r.Body.SHA256 = 1<<30, [32]byte{sum}
		return r
	}
	known := func(size int64) *traffic.Response { // by its length and digest alone
		r := oversized(1)
		r.Body.Bytes, r.Body.Size = nil, size
		return r
	}
	sums := func(a, b *traffic.Response) string {
		return ".body.sha256 value " + summary(&a.Body) + " -> " + summary(&b.Body)
	}
	multipart := func(boundary, body string) *traffic.Response {
		return response(200, "Content-Type: multipart/mixed; boundary="+boundary, body)
	}
	banana, bnn := multipart("a", "--a\r\n\r\nbanana\r\n--a--"), multipart("a", "--a\r\n\r\nbnn\r\n--a--")
	ended, open := multipart("a", "--a\r\n\r\nx\r\n--a--"), multipart("b", "--b\r\n\r\nx\r\n--b")
	hex := func(sum string) string { return sum + strings.Repeat("0", 64-len(sum)) + " (1073741824 bytes)" }
	text := strings.Repeat("é", 100)
	for _, c := range []struct {
		name string
		cfg  Config
		a, b *traffic.Response
		want []string
	}{
		{"text", Config{}, response(200, "Content-Type: text/plain", text+"a"+text), response(200, "Content-Type: text/plain", text+"b"+text),
			[]string{"mismatched", ".body value …" + strings.Repeat("é", 30) + "a" + text[:200] + " -> …" + strings.Repeat("é", 30) + "b" + text[:200]}},
		{"text in another character set", ignoring(`.headers["content-type"]`), response(200, "Content-Type: text/plain; charset=utf-8", "é"), response(200, "Content-Type: text/plain; charset=latin1", "\xe9"),
			[]string{"ignored", `.headers["content-type"] format text/plain; charset=utf-8 -> text/plain; charset=latin1 [0]`}},
		{"binary", Config{}, response(200, "Content-Type: image/png", "a"), response(200, "Content-Type: image/png", "b"),
			[]string{"mismatched", ".body.sha256 value ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb (1 bytes) -> 3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d (1 bytes)"}},
		{"form", Config{}, response(200, "Content-Type: application/x-www-form-urlencoded", "a=1&b=2"), response(200, "Content-Type: application/x-www-form-urlencoded", "b=2&a=3"),
			[]string{"mismatched", `.body.a value "1" -> "3"`}},
		{"ndjson", Config{}, response(200, "Content-Type: application/x-ndjson", "{\"n\":1}\n{\"n\":2}\n"), response(200, "Content-Type: application/x-ndjson", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}"),
			[]string{"mismatched", `.body[] extra  -> {"n":0}`}},
		{"events", ignoring(".body[].id"), response(200, "Content-Type: text/event-stream", "id: 1\ndata: {\"a\":1}\n\n"), response(200, "Content-Type: text/event-stream", ": hi\nid: 2\ndata: {\"a\":2}\n\n"),
			[]string{"mismatched", `.body[].id value "1" -> "2" [0]`, `.body[].data.a value 1 -> 2`}},
		{"multipart with other boundaries", Config{}, response(200, "Content-Type: multipart/mixed; boundary=abc", "--abc\r\n\r\nx\r\n--abc--"), response(200, "Content-Type: multipart/mixed; boundary=def", "--def\r\n\r\nx\r\n--def--"),
			[]string{"matched"}},
		{"multipart, the boundary occurs in the content", Config{}, banana, bnn, []string{"mismatched", sums(banana, bnn)}},
		{"multipart, more parts to come", Config{}, ended, open, []string{"mismatched", sums(ended, open)}},
		{"multipart, padding and an epilogue", Config{}, multipart("a", "--a \r\n\r\n--ab\r\n--a--\t\r\nz"), multipart("b", "--b\r\n\r\n--ab\r\n--b--\r\nz"), []string{"matched"}},
		{"oversized without bytes", Config{}, known(5), known(5), []string{"matched"}},
		{"oversized, only one with bytes", Config{}, oversized(1), known(1 << 30), []string{"matched"}},
		{"oversized on one side", Config{}, known(5), jsonResponse("12345"), []string{"inconclusive (the body is too large to compare with what was kept)"}},
		{"oversized on the other side", Config{}, jsonResponse("12345"), known(5), []string{"inconclusive (the body is too large to compare with what was kept)"}},
		{"oversized on one side, another length", Config{}, known(5), jsonResponse("1234"), []string{"mismatched", sums(known(5), jsonResponse("1234"))}},
		{"oversized on one side, ignored", ignoring(".body"), known(5), jsonResponse("12345"), []string{"matched"}},
		{"json becomes text", Config{}, jsonResponse(`{}`), response(200, "Content-Type: text/plain", `[]`),
			[]string{"mismatched", `.headers["content-type"] format application/json -> text/plain`, `.body value {} -> []`}},
		{"json with another media type", Config{}, jsonResponse(`{"a": 1}`), response(200, "Content-Type: application/problem+json", `{"a":1}`),
			[]string{"mismatched", `.headers["content-type"] format application/json -> application/problem+json`}},
		{"json becomes binary", Config{}, jsonResponse(`{}`), response(200, "Content-Type: image/png", `[]`),
			[]string{"mismatched", `.headers["content-type"] format application/json -> image/png`}},
		{"json becomes binary, and nobody looks at the media type", ignoring(`.headers["content-type"]`), jsonResponse(`{}`), response(200, "Content-Type: image/png", `[]`),
			[]string{"mismatched", `.headers["content-type"] format application/json -> image/png [0]`,
				`.body format 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a (2 bytes) -> 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945 (2 bytes)`}},
		{"not recorded", Config{}, state(traffic.Missing, ""), jsonResponse(`{}`), []string{"inconclusive (the body of the baseline was not recorded)"}},
		{"a status alone was recorded", Config{}, &traffic.Response{Status: 200, Body: traffic.Body{State: traffic.Missing}}, jsonResponse(`{}`), []string{"inconclusive (the body of the baseline was not recorded)"}},
		{"a status alone was recorded, another one", Config{}, &traffic.Response{Status: 200, Body: traffic.Body{State: traffic.Missing}}, response(500, jsonType, `{}`), []string{"mismatched", ".status status 200 -> 500"}},
		{"a status alone was recorded, and the body is ignored", ignoring(".body"), &traffic.Response{Status: 200, Body: traffic.Body{State: traffic.Missing}}, jsonResponse(`{}`), []string{"matched"}},
		{"truncated", Config{}, state(traffic.Truncated, "{"), jsonResponse(`{}`), []string{"inconclusive (the body of the baseline is truncated)"}},
		{"not recorded, and ignored", ignoring(".body"), state(traffic.Missing, ""), jsonResponse(`{}`), []string{"matched"}},
		{"not recorded, mismatch elsewhere", Config{}, func() *traffic.Response {
			r := state(traffic.Missing, "")
			r.Header = append(r.Header, traffic.Field{Name: "Date"})
			return r
		}(), jsonResponse(`{}`),
			[]string{"mismatched (the body of the baseline was not recorded)", ".headers.date missing"}},
		{"oversized", Config{}, oversized(1), oversized(1), []string{"matched"}},
		{"oversized, other", Config{}, oversized(1), oversized(2), []string{"mismatched", ".body.sha256 value " + hex("01") + " -> " + hex("02")}},
		{"oversized, ignored", ignoring(".body"), oversized(1), oversized(2), []string{"ignored", ".body value " + hex("01") + " -> " + hex("02") + " [0]"}},
		{"bad coding on one side", Config{}, response(200, jsonType+"|Content-Encoding: gzip", "x"), response(200, jsonType, "x"),
			[]string{"mismatched", `.headers["content-encoding"] encoding gzip -> `, `.body format content coding cannot be undone -> decodes`}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c.cfg, c.a, c.b, c.want...) })
	}
}

func TestCounters(t *testing.T) {
	cfg := ignoring(".body.t", ".body.dead", `.body | select(.a | test("x")) | .a`)
	cfg.Unordered = rules(".body.l")
	cfg.Keyed = []Keyed{{Rule: rules(".body.k")[0], Key: "n"}}
	cfg.Tolerance = []Tolerance{{Rule: rules(".body.p")[0], Limit: "1"}}
	c := must(New(cfg))
	a, b := jsonResponse(`{"t":1,"l":[1,2],"k":[{"n":1,"v":1}],"p":1,"a":1}`), jsonResponse(`{"t":2,"l":[2,1],"k":[{"n":1,"v":2}],"p":2,"a":1}`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if got := c.Compare(context.Background(), getOrder, a, b); got.Outcome != result.PairMismatched || len(got.Differences) != 4 {
					t.Error(show(got))
				}
			}
		})
	}
	wg.Wait()
	var got []string
	for _, r := range c.Rules() {
		got = append(got, fmt.Sprintf("%s %s %d %d", r.Rule, r.Path, r.Hits, r.Errors))
	}
	want := []string{"ignore .body.t 20 0", "ignore .body.dead 0 0", `ignore .body | select(.a | test("x")) | .a 0 40`, "unordered .body.l 20 0", "keyed .body.k 20 0", "tolerance .body.p 20 0"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rules\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestKeys(t *testing.T) {
	got := must(New(Config{})).Compare(t.Context(), getOrder, jsonResponse(`{"a":[{"b c":[1]}]}`), jsonResponse(`{"a":[{"b c":[2]}]}`))
	if want := []string{"body", "a", "b c"}; !reflect.DeepEqual(got.Differences[0].Keys, want) || got.Differences[0].Path != `.body.a[]["b c"][]` {
		t.Errorf("%+v", got.Differences[0])
	}
}

func TestBounds(t *testing.T) {
	many := func(v int) string {
		var b strings.Builder
		for i := range 500 {
			fmt.Fprintf(&b, `,"k%d":%d`, i, v)
		}
		return "{" + b.String()[1:] + "}"
	}
	got := must(New(Config{})).Compare(t.Context(), getOrder, jsonResponse(many(1)), jsonResponse(many(2)))
	if len(got.Differences) != maxDifferences || got.Outcome != result.PairMismatched {
		t.Errorf("%d differences, %s", len(got.Differences), got.Outcome)
	}
	// Ignored differences must not crowd out one that counts.
	got = must(New(ignoring(".body.x[]"))).Compare(t.Context(), getOrder, jsonResponse(`{"x":`+many(1)+`,"z":1}`), jsonResponse(`{"x":`+many(2)+`,"z":2}`))
	if got.Outcome != result.PairMismatched || len(got.Differences) != maxDifferences+1 {
		t.Errorf("%d differences, %s", len(got.Differences), got.Outcome)
	}
	long := strings.Repeat("é", 10_000)
	got = must(New(Config{})).Compare(t.Context(), getOrder, jsonResponse(`["`+long+`"]`), jsonResponse(`["x`+long+`"]`))
	if d := got.Differences[0]; len(d.Baseline) > maxShown+8 || !strings.HasSuffix(d.Baseline, "é…") {
		t.Errorf("a value of %d bytes is shown, ending in %q", len(d.Baseline), d.Baseline[len(d.Baseline)-5:])
	}
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	for _, c := range []struct {
		a, b string
		want string
	}{{deep, deep + " ", "inconclusive (" + tooLarge + ")"}, {deep, "1", "mismatched"}, {"1", deep, "mismatched"}, {"{", deep, "mismatched"}} {
		got = must(New(Config{})).Compare(t.Context(), getOrder, jsonResponse(c.a), jsonResponse(c.b))
		first, _, _ := strings.Cut(show(got), "\n")
		if first != c.want || got.Outcome == result.PairMismatched && (got.Differences[0].Path != ".body" || got.Differences[0].Kind != result.KindFormat) {
			t.Errorf("too deep: %s", show(got))
		}
	}
	if _, err := New(ignoring(strings.Repeat("..|.a|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|.[]|", 1) + ".b")); err == nil {
		t.Error("rules with too many combinations are accepted")
	}
}

func TestWorkIsBounded(t *testing.T) {
	c := must(New(Config{}))
	c.visits = 50
	list := "[" + strings.Repeat(`{"a":1},`, 100)
	got := c.Compare(t.Context(), getOrder, jsonResponse(list+"1]"), jsonResponse("[0,"+list[1:]+"2]"))
	if got.Outcome != result.PairInconclusive || got.Reason != tooLarge {
		t.Errorf("work beyond the bound: %s", show(got))
	}
	got = c.Compare(t.Context(), getOrder, jsonResponse(`{"x":0,"l":`+list+`1]}`), jsonResponse(`{"x":1,"l":[0,`+list[1:]+`2]}`))
	if got.Outcome != result.PairMismatched || got.Reason != tooLarge {
		t.Errorf("a mismatch before the bound: %s", show(got))
	}
}

// What nobody had the time to look for is not missing, and not extra either.
func TestSpentWorkInventsNothing(t *testing.T) {
	list := func(from, step int) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `,{"id":%d,"v":[%d]}`, from+step*i, from+step*i)
		}
		return "[" + b.String()[1:] + "]"
	}
	object := func(from, step int) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `,"k%d":{"v":%d}`, from+step*i, from+step*i)
		}
		return "{" + b.String()[1:] + "}"
	}
	cfg := Config{Unordered: rules(".body.bag"), Keyed: []Keyed{{Rule: rules(".body.keyed")[0], Key: "id"}}}
	c := must(New(cfg))
	for _, tt := range []struct{ name, a, b string }{
		{"members", object(0, 1), object(99, -1)},
		{"members inside", `{"x":` + object(0, 1) + `}`, `{"x":` + object(99, -1) + `}`},
		{"bag", `{"bag":` + list(0, 1) + `}`, `{"bag":` + list(99, -1) + `}`},
	} {
		for visits := 1; visits < 1200; visits += 7 {
			c.visits = visits
			got := c.Compare(t.Context(), getOrder, jsonResponse(tt.a), jsonResponse(tt.b))
			if got.Outcome == result.PairMismatched {
				t.Fatalf("%s, after %d visits: %s", tt.name, visits, show(got))
			}
		}
	}
	for visits := 1; visits < 1200; visits += 7 { // elements of lists do move here, but none is new
		c.visits = visits
		for _, d := range c.Compare(t.Context(), getOrder, jsonResponse(`{"keyed":`+list(0, 1)+`}`), jsonResponse(`{"keyed":`+list(99, -1)+`}`)).Differences {
			if d.Kind != result.KindOrder {
				t.Fatalf("keyed, after %d visits: %s", visits, d.Kind)
			}
		}
	}
}

func TestUnorderedWithTolerance(t *testing.T) {
	cfg := Config{Unordered: rules(".body, .body[].l, .body[].in"), Tolerance: []Tolerance{{Rule: rules(".body[], .body[].p, .body[].q, .body[].l[], .body[].in[].p")[0], Limit: "0.01"}}}
	order := func(a, b string) string { return ".body order " + a + " -> " + b + " [0]" }
	for _, c := range []struct {
		name, a, b string
		want       []string
	}{
		{"numbers", `[1,5,9]`, `[5,9,1]`, []string{"ignored", order(`[1,5,9]`, `[5,9,1]`)}},
		{"numbers, nearly", `[1,5,9]`, `[5.01,9,0.99]`, []string{"ignored", order(`[1,5,9]`, `[5.01,9,0.99]`), `.body[] value 1 -> 0.99 [1]`}},
		{"chain", `[1.00,1.01]`, `[1.02,1.01]`, []string{"ignored", order(`[1.00,1.01]`, `[1.02,1.01]`), `.body[] value 1.00 -> 1.01 [1]`}},
		{"one is off", `[1,5,9]`, `[9.5,1,5]`, []string{"mismatched", order(`[1,5,9]`, `[9.5,1,5]`), `.body[] value 9 -> 9.5`}},
		{"one too many", `[5,9]`, `[9,1,5]`, []string{"mismatched", order(`[5,9]`, `[9,1,5]`), `.body[] extra  -> 1`}},
		{"one too few", `[9,1,5]`, `[5,9]`, []string{"mismatched", order(`[9,1,5]`, `[5,9]`), `.body[] missing 1 -> `}},
		{"beyond float64", `[9007199254740993,9007199254740991]`, `[9007199254740991,9007199254740993]`,
			[]string{"ignored", order(`[9007199254740993,9007199254740991]`, `[9007199254740991,9007199254740993]`)}},
		{"objects", `[{"p":1},{"p":5}]`, `[{"p":5.001},{"p":1}]`, []string{"ignored", order(`[{"p":1},{"p":5}]`, `[{"p":5.001},{"p":1}]`), `.body[].p value 5 -> 5.001 [1]`}},
		{"objects, members in another order", `[{"p":1,"q":2},{"p":2,"q":1}]`, `[{"q":1,"p":2},{"q":2,"p":1}]`,
			[]string{"ignored", order(`[{"p":1,"q":2},{"p":2,"q":1}]`, `[{"q":1,"p":2},{"q":2,"p":1}]`)}},
		{"objects, the first number says nothing", `[{"p":1.000,"q":7},{"p":1.001,"q":3}]`, `[{"p":1.000,"q":3},{"p":1.001,"q":7}]`,
			[]string{"ignored", order(`[{"p":1.000,"q":7},{"p":1.001,"q":3}]`, `[{"p":1.000,"q":3},{"p":1.001,"q":7}]`), `.body[].p value 1.000 -> 1.001 [1]`}},
		{"lists inside", `[{"l":[1,9]},{"l":[5,7]}]`, `[{"l":[7,5]},{"l":[9,1]}]`,
			[]string{"ignored", order(`[{"l":[1,9]},{"l":[5,7]}]`, `[{"l":[7,5]},{"l":[9,1]}]`), `.body[].l order [1,9] -> [9,1] [0]`}},
		{"lists of objects inside", `[{"in":[{"p":1},{"p":9}]},{"in":[{"p":5},{"p":7}]}]`, `[{"in":[{"p":7},{"p":5}]},{"in":[{"p":9},{"p":1}]}]`,
			[]string{"ignored", order(`[{"in":[{"p":1},{"p":9}]},{"in":[{"p":5},{"p":7}]}]`, `[{"in":[{"p":7},{"p":5}]},{"in":[{"p":9},{"p":1}]}]`), `.body[].in order [{"p":1},{"p":9}] -> [{"p":9},{"p":1}] [0]`}},
		{"lists inside, one is off", `[{"l":[1,9]}]`, `[{"l":[9,2]}]`, []string{"mismatched", `.body[].l order [1,9] -> [9,2] [0]`, `.body[].l[] value 1 -> 2`}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, cfg, jsonResponse(c.a), jsonResponse(c.b), c.want...) })
	}
}

// Whatever the order and within the tolerance, a list is like itself.
func TestShuffledBagsAreTheSame(t *testing.T) {
	cfg := Config{Unordered: rules(".body"), Tolerance: []Tolerance{{Rule: rules(".body[], .body[].p, .body[].q")[0], Limit: "0.5"}}}
	c := must(New(cfg))
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		n := 1 + rng.IntN(60)
		var a, b []string
		for range n {
			p, q := rng.IntN(40), rng.IntN(40)
			d := float64(rng.IntN(11)-5) / 10
			if round%2 == 0 {
				a, b = append(a, fmt.Sprint(p)), append(b, fmt.Sprint(float64(p)+d))
				continue
			}
			a = append(a, fmt.Sprintf(`{"p":%d,"q":%d,"s":"x"}`, p, q))
			b = append(b, fmt.Sprintf(`{"q":%d,"s":"x","p":%d}`, q, p))
		}
		rng.Shuffle(n, func(i, j int) { b[i], b[j] = b[j], b[i] })
		x, y := "["+strings.Join(a, ",")+"]", "["+strings.Join(b, ",")+"]"
		for _, sides := range [][2]string{{x, y}, {y, x}} {
			if got := c.Compare(t.Context(), getOrder, jsonResponse(sides[0]), jsonResponse(sides[1])); got.Outcome == result.PairMismatched || got.Outcome == result.PairInconclusive {
				t.Fatalf("round %d: %s and %s: %s", round, sides[0], sides[1], show(got))
			}
		}
	}
}

// A difference in a text shows its surroundings and nothing else of the text.
func TestTextIsShownInPart(t *testing.T) {
	far := strings.Repeat("far ", 1000)
	got := must(New(Config{})).Compare(t.Context(), getOrder, response(200, "Content-Type: text/plain", "begin "+far+"one"+far), response(200, "Content-Type: text/plain", "begin "+far+"two"+far))
	if len(got.Differences) != 1 || !reflect.DeepEqual(got.Differences[0].Keys, []string{"body"}) {
		t.Fatalf("%s", show(got))
	}
	d := got.Differences[0]
	for _, s := range []string{d.Baseline, d.Candidate} {
		if len(s) > 420 || strings.Contains(s, "begin") {
			t.Errorf("%d bytes are shown: %q", len(s), s)
		}
	}
}

// swap exchanges what swaps when the sides do.
func swap(c Comparison) []string {
	var out []string
	for _, d := range c.Differences {
		kind := d.Kind
		switch kind {
		case result.KindMissing:
			kind = result.KindExtra
		case result.KindExtra:
			kind = result.KindMissing
		}
		out = append(out, d.Path+" "+string(kind))
	}
	sort.Strings(out)
	return out
}

func plain(c Comparison) []string {
	var out []string
	for _, d := range c.Differences {
		out = append(out, d.Path+" "+string(d.Kind))
	}
	sort.Strings(out)
	return out
}

func laws(t *testing.T, c *Comparer, a, b *traffic.Response) {
	t.Helper()
	for _, r := range []*traffic.Response{a, b} {
		if got := c.Compare(t.Context(), getOrder, r, r); got.Outcome != result.PairMatched || len(got.Differences) > 0 {
			t.Fatalf("a response differs from itself: %s", show(got))
		}
	}
	there, back := c.Compare(t.Context(), getOrder, a, b), c.Compare(t.Context(), getOrder, b, a)
	if (there.Outcome == result.PairMatched) != (back.Outcome == result.PairMatched) {
		t.Fatalf("one way %s\nother way %s", show(there), show(back))
	}
	if (there.Outcome == result.PairMatched) != (len(there.Differences) == 0) && there.Outcome != result.PairInconclusive {
		t.Fatalf("outcome and differences disagree: %s", show(there))
	}
	for _, d := range there.Differences {
		if len(d.Baseline) > maxShown+8 || len(d.Candidate) > maxShown+8 || d.Path == "" {
			t.Fatalf("difference out of bounds: %+v", d)
		}
	}
}

func TestMissingAndExtraSwap(t *testing.T) {
	c := must(New(Config{Unordered: rules(".body.u")}))
	bodies := []string{`{"a":1,"b":[1,2,3]}`, `{"b":[1,3],"c":{}}`, `{"b":[3,2,1],"a":"x"}`, `{"u":[1,2,{"a":1}]}`, `{"u":[{"a":2},2]}`,
		`{"b":[{"id":1,"x":1},{"id":2}]}`, `{"b":[{"id":2},{"id":3},{"id":1,"x":2}]}`, `[]`, `{}`, `1`}
	for _, x := range bodies {
		for _, y := range bodies {
			there := c.Compare(t.Context(), getOrder, jsonResponse(x), jsonResponse(y))
			back := c.Compare(t.Context(), getOrder, jsonResponse(y), jsonResponse(x))
			if !reflect.DeepEqual(plain(there), swap(back)) {
				t.Errorf("%s and %s:\n%s\nback:\n%s", x, y, show(there), show(back))
			}
			laws(t, c, jsonResponse(x), jsonResponse(y))
		}
	}
}

func FuzzCompare(f *testing.F) {
	types := []string{"application/json", "application/x-ndjson", "text/event-stream", "application/x-www-form-urlencoded", "text/plain", "image/png", ""}
	f.Add(`{"a":[1,2,{"id":1}]}`, `{"a":[2,{"id":1},1],"t":3}`, byte(0), "Date: x", "Set-Cookie: a=1")
	f.Add("data: 1\n\ndata: {}\n", "data: 2\n", byte(2), "", "Content-Encoding: gzip")
	f.Add(`[{"id":1},{"id":2}]`, `[{"id":2},{"id":1}]`, byte(0), "Cache-Control: a", "Cache-Control: \"")
	f.Add(`{"a":1,"a":2}`, `{"a":2.0}`, byte(0), "Location: é", "")
	cfg := ignoring(".body.t", "..|.noise?", `.body[]? | select(.kind == "x") | .v`)
	cfg.Unordered = rules(".body.u")
	cfg.Keyed = []Keyed{{Rule: rules(".body.k, .body[]")[0], Key: "n"}}
	cfg.Tolerance = []Tolerance{{Rule: rules(".body.p")[0], Limit: "0.5"}}
	c := must(New(cfg))
	f.Fuzz(func(t *testing.T, x, y string, kind byte, hx, hy string) {
		ct := "Content-Type: " + types[int(kind)%len(types)] + "|"
		laws(t, c, response(200, ct+hx, x), response(200, ct+hy, y))
	})
}
