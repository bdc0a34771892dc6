package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

func header(lines ...string) traffic.Header {
	var h traffic.Header
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h = append(h, traffic.Field{Name: name, Value: value})
	}
	return h
}

func body(text string) traffic.Body { return traffic.Body{Bytes: []byte(text)} }

func asJSON(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func example() *traffic.Exchange {
	return &traffic.Exchange{
		Source: "gor.peak", Session: "s1", At: time.Date(2026, 3, 1, 12, 0, 0, 5000, time.FixedZone("", 3600)),
		Request: traffic.Request{
			Method: "POST", Target: "/orders?id=7&tag=a&tag=b+c&x=%C3%A9%zz&flag",
			Header: header("Host: shop.example", "X-Region: eu", "Accept: a", "accept: b", "Cookie: sid=1; theme=\"dark\"; sid=2", "Content-Type: application/json"),
			Body:   body(`{"n":9007199254740993,"list":[1.0,{"k":null}]}`),
		},
		Response: &traffic.Response{
			Status: 201,
			Header: header("Content-Type: application/x-www-form-urlencoded", "Set-Cookie: sid=abc; Path=/; Domain=.Shop.example; Max-Age=60; Secure; HttpOnly; SameSite=Lax; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "Set-Cookie: plain=1"),
			Body:   body("a=1&b=2&a=3"),
		},
	}
}

func TestExchange(t *testing.T) {
	want := `{"request":{"body":{"list":[1.0,{"k":null}],"n":9007199254740993},"cookies":{"sid":"1","theme":"dark"},` +
		`"headers":{"accept":"a, b","content-type":"application/json","cookie":"sid=1; theme=\"dark\"; sid=2","host":"shop.example","x-region":"eu"},` +
		`"host":"shop.example","method":"POST","path":"/orders","query":{"flag":"","id":"7","tag":["a","b c"],"x":"é%zz"}},` +
		`"response":{"body":{"a":["1","3"],"b":"2"},"cookies":{"plain":{"domain":null,"http_only":false,"max_age":null,"path":null,"same_site":null,"secure":false,"value":"1"},` +
		`"sid":{"domain":"shop.example","http_only":true,"max_age":60,"path":"/","same_site":"lax","secure":true,"value":"abc"}},` +
		`"headers":{"content-type":"application/x-www-form-urlencoded","set-cookie":"sid=abc; Path=/; Domain=.Shop.example; Max-Age=60; Secure; HttpOnly; SameSite=Lax; Expires=Wed, 21 Oct 2026 07:28:00 GMT, plain=1"},` +
		`"status":201},"session":"s1","source":"gor.peak","time":"2026-03-01T11:00:00Z"}`
	if got := asJSON(t, Exchange(example(), true)); got != want {
		t.Errorf("document\n%s\nwant\n%s", got, want)
	}
	bare := Exchange(&traffic.Exchange{Request: example().Request}, false)
	if bare["response"] != nil || bare["time"] != nil || bare["request"].(map[string]any)["body"] != nil {
		t.Errorf("without response and body: %s", asJSON(t, bare))
	}
}

func gzipped(text string) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write([]byte(text))
	w.Close()
	return buf.Bytes()
}

func TestBody(t *testing.T) {
	const sumX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // sha256 of "x"
	for _, c := range []struct {
		name, contentType string
		body              traffic.Body
		want              string
	}{
		{"json", "application/json", body(` {"a":1e3} `), `{"a":1e3}`},
		{"vendor json", "application/vnd.shop+json; charset=utf-8", body(`[]`), `[]`},
		{"json with a byte order mark", "application/json", body("\uFEFF[1]"), `[1]`},
		{"duplicate keys", "application/json", body(`{"a":1,"a":2}`), `{"a":2}`},
		{"broken json is text", "application/json", body(`{"a":`), `"{\"a\":"`},
		{"two json values are text", "application/json", body(`1 2`), `"1 2"`},
		{"broken json of bytes", "application/json", body("{\xff"), `{"bytes":2,"sha256":"` + sum("{\xff") + `"}`},
		{"escapes", "application/json", body(`{"\u0061\n":"\ud83d\ude00"}`), `{"a\n":"😀"}`},
		{"no media type, json", "", body(`{"a":1}`), `{"a":1}`},
		{"no media type, text", "", body(`hello`), `"hello"`},
		{"no media type, bytes", "", body("\x00\x01"), `{"bytes":2,"sha256":"` + sum("\x00\x01") + `"}`},
		{"form", "application/x-www-form-urlencoded", body("a=1&b=%20&a=2&c"), `{"a":["1","2"],"b":" ","c":""}`},
		{"ndjson", "application/x-ndjson", body("{\"a\":1}\n\n[2]\r\n"), `[{"a":1},[2]]`},
		{"json sequence", "application/json-seq", body("\x1e{\"a\":\n1}\n\x1e2\n"), `[{"a":1},2]`},
		{"broken ndjson is text", "application/x-ndjson", body("1,2\n"), `"1,2\n"`},
		{"events", "text/event-stream", body(": hi\nevent: add\nid: 7\ndata: {\"a\":1}\n\ndata: one\ndata:two\r\n\r\nretry: 0100\n\n: ping\n\ndata: [DONE]"),
			`[{"data":{"a":1},"event":"add","id":"7"},{"data":"one\ntwo"},{"retry":100},{"data":"[DONE]"}]`},
		{"text", "text/plain", body("héllo"), `"héllo"`},
		{"latin-1", "text/plain; charset=iso-8859-1", body("h\xe9llo"), `"héllo"`},
		{"text that is not utf-8", "text/plain", body("h\xe9"), `{"bytes":2,"sha256":"` + sum("h\xe9") + `"}`},
		{"html", "text/html", body("<p>"), `"\u003cp\u003e"`},
		{"binary", "image/png", body("x"), `{"bytes":1,"sha256":"` + sumX + `"}`},
		{"empty", "application/json", body(""), `null`},
		{"missing", "application/json", traffic.Body{State: traffic.Missing, Bytes: []byte("1")}, `null`},
		{"truncated", "application/json", traffic.Body{State: traffic.Truncated, Bytes: []byte("x")}, `{"bytes":1,"sha256":"` + sumX + `"}`},
		{"oversized", "application/json", traffic.Body{State: traffic.Oversized, Size: 99}, `{"bytes":99,"sha256":"` + strings.Repeat("0", 64) + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h traffic.Header
			if c.contentType != "" {
				h = header("Content-Type: " + c.contentType)
			}
			if got := asJSON(t, Body(h, c.body)); got != c.want {
				t.Errorf("body %s, want %s", got, c.want)
			}
		})
	}
}

func sum(s string) string {
	o := opaque(0, sha256.Sum256([]byte(s)))
	return o["sha256"].(string)
}

func TestBodyCodings(t *testing.T) {
	h := header("Content-Type: application/json", "Content-Encoding: gzip")
	if got := asJSON(t, Body(h, traffic.Body{Bytes: gzipped(`{"a":1}`)})); got != `{"a":1}` {
		t.Errorf("gzip: %s", got)
	}
	if got := asJSON(t, Body(h, body("x"))); !strings.HasPrefix(got, `{"bytes":1,`) {
		t.Errorf("not gzip: %s", got)
	}
}

func TestDeepNesting(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	var tree Tree
	if tree.Parse(content.JSON, []byte(deep)) {
		t.Error("a document deeper than the bound parses")
	}
	if !tree.Parse(content.JSON, []byte(deep[1:len(deep)-1])) {
		t.Error("a document of the bound's depth does not parse")
	}
}

func TestParseCookie(t *testing.T) {
	for _, c := range []struct {
		name, field string
		want        Cookie
		ok          bool
	}{
		{"all", "a=b=c; path=/x; DOMAIN=.Y.z; max-age=-1; secure; httponly; samesite=None", Cookie{"a", "b=c", "/x", "y.z", "-1", "none", true, true}, true},
		{"plain", " a = b ", Cookie{Name: "a", Value: "b"}, true},
		{"quoted", `a="b"`, Cookie{Name: "a", Value: "b"}, true},
		{"empty value", "a=", Cookie{Name: "a"}, true},
		{"bad max-age", "a=1; Max-Age=soon", Cookie{Name: "a", Value: "1"}, true},
		{"expires is left out", "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", Cookie{Name: "a", Value: "1"}, true},
		{"no name", "=x; Path=/", Cookie{}, false},
		{"no pair", "Secure", Cookie{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseCookie(c.field)
			if got != c.want || ok != c.ok {
				t.Errorf("%+v, %v; want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

// Lookup must say what the whole document would say.
func TestLookup(t *testing.T) {
	x := example()
	doc := Exchange(x, true)
	for _, src := range []string{`.`, `.request`, `.request.method`, `.request.path`, `.request.host`, `.request.headers`, `.request.headers["x-region"]`,
		`.request.headers["X-Region"]`, `.request.headers.accept`, `.request.headers.nope`, `.request.query`, `.request.query.id`, `.request.query.tag`,
		`.request.query.tag[1]`, `.request.query.tag[2]`, `.request.query.nope`, `.request.query.id.deeper`, `.request.cookies`, `.request.cookies.sid`,
		`.request.cookies.nope`, `.request.body`, `.request.body.list[1].k`, `.request.body.n`, `.request.nope`, `.request[0]`, `.response`, `.response.status`,
		`.response.headers["content-type"]`, `.response.cookies.sid.path`, `.response.body.a[0]`, `.response.nope`, `.response[1]`, `.source`, `.session`, `.time`, `.nope`, `.[0]`, `.source.x`} {
		p := pattern(t, src)
		got, ok := Lookup(x, p)
		want, wantOK := descend(doc, p)
		if ok != wantOK || asJSON(t, got) != asJSON(t, want) {
			t.Errorf("%s: %v, %v; want %v, %v", src, got, ok, want, wantOK)
		}
	}
	x.Response = nil
	if v, ok := Lookup(x, pattern(t, `.response`)); v != nil || !ok {
		t.Errorf("no response: %v, %v", v, ok)
	}
	if _, ok := Lookup(x, pattern(t, `.response.status`)); ok {
		t.Error("status of no response")
	}
}

func pattern(t testing.TB, src string) jq.Pattern {
	t.Helper()
	v, err := jq.CompileValue(src)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := v.Pattern()
	if !ok {
		t.Fatalf("%s is no plain path", src)
	}
	return p
}

func TestLookupDoesNotBuildTheDocument(t *testing.T) {
	x, p := example(), pattern(t, `.request.headers["x-region"]`)
	if n := testing.AllocsPerRun(100, func() { Lookup(x, p) }); n > 1 { // the string as a value
		t.Errorf("%v allocations", n)
	}
}

func TestTreeKeepsWhatMapsLose(t *testing.T) {
	var tree Tree
	if !tree.Parse(content.JSON, []byte(` {"b": 1.0, "a" :[ true , null ,"x\ty"],"b":2, "\u0062":3} `)) {
		t.Fatal("does not parse")
	}
	var got []string
	root := tree.Root()
	for c, i := root.First(), 0; i < root.Len(); c, i = c.Next(), i+1 {
		got = append(got, fmt.Sprintf("%s %s %s %v", c.Name(), c.Kind(), c.Raw(), c.Superseded()))
	}
	want := []string{"b number 1.0 true", `a array [ true , null ,"x\ty"] false`, "b number 2 true", "b number 3 false"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("members %q, want %q", got, want)
	}
	if !root.HasDuplicates() || root.Extent() != tree.Size() || tree.Size() != 8 {
		t.Errorf("duplicates %v, extent %d of %d", root.HasDuplicates(), root.Extent(), tree.Size())
	}
	if m, ok := root.Member([]byte("b")); !ok || string(m.Raw()) != "3" {
		t.Errorf("member b is %s", m.Raw())
	}
	if _, ok := root.Member([]byte("c")); ok {
		t.Error("there is a member c")
	}
	if got := string(root.First().Next().First().Next().Next().Text()); got != "x\ty" {
		t.Errorf("text %q", got)
	}
}

func TestManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"k7":0`)
	for i := range 200 {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	b.WriteString("}")
	var tree Tree
	if !tree.Parse(content.JSON, []byte(b.String())) {
		t.Fatal("does not parse")
	}
	if root := tree.Root(); !root.HasDuplicates() || !root.First().Superseded() || root.First().Next().Superseded() {
		t.Error("the first k7 is the only superseded member")
	}
}

func TestAppendJSON(t *testing.T) {
	var tree Tree
	tree.Parse(content.Form, []byte("a=%22x%22&b=1&b=2"))
	if got := string(tree.Root().AppendJSON(nil, 1000)); got != `{"a":"\"x\"","b":["1","2"]}` {
		t.Errorf("form as JSON: %s", got)
	}
	if got := tree.Root().AppendJSON(nil, 5); len(got) > 20 {
		t.Errorf("limit 5 gives %d bytes", len(got))
	}
	tree.Parse(content.JSON, []byte(`{"a": [1, 2]}`))
	if got := string(tree.Root().AppendJSON(nil, 1000)); got != `{"a": [1, 2]}` {
		t.Errorf("JSON as it stood: %s", got)
	}
}

// The tree and encoding/json must agree on what is JSON and what it means.
func FuzzTree(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}],"a":"x\u00e9"}`, `[1e400,-0]`, `"\ud800"`, "{\"\xff\":1}", `[[[]]]`, `{"":{"":0}}`, ` 1 `, `tru`, `{"a":1,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var tree Tree
		for _, k := range []content.Kind{content.NDJSON, content.Form, content.EventStream, content.JSON} {
			if tree.Parse(k, data) {
				root := tree.Root()
				if root.Extent() != tree.Size() {
					t.Fatalf("%v: extent %d, size %d", k, root.Extent(), tree.Size())
				}
				if _, err := json.Marshal(root.Value()); err != nil {
					t.Fatalf("%v: %v", k, err)
				}
			}
		}
		if bytes.HasPrefix(data, []byte("\uFEFF")) || !utf8.Valid(data) {
			return // encoding/json takes no byte order mark, and counts replaced bytes otherwise
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want any
		err := dec.Decode(&want)
		if err == nil && dec.More() {
			err = fmt.Errorf("more than one value")
		}
		if (err == nil) != (tree.Size() > 0) && json.Valid(data) != (tree.Size() > 0) {
			t.Fatalf("encoding/json says %v, the tree has %d nodes", err, tree.Size())
		}
		if tree.Size() > 0 && asJSON(t, want) != asJSON(t, tree.Root().Value()) {
			t.Fatalf("%s, want %s", asJSON(t, tree.Root().Value()), asJSON(t, want))
		}
	})
}

func BenchmarkTree(b *testing.B) {
	var list []string
	for i := range 10 {
		list = append(list, fmt.Sprintf(`{"id":%d,"name":"thing %d","price":%d.50,"tags":["a","b"],"ok":true}`, i, i, i))
	}
	data := []byte(`{"items":[` + strings.Join(list, ",") + `]}`)
	var tree Tree
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if !tree.Parse(content.JSON, data) {
			b.Fatal("does not parse")
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	x := example()
	b.ReportAllocs()
	for b.Loop() {
		Exchange(x, true)
	}
}
