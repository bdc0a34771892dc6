package mutate

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func outcome(body string) traffic.Outcome {
	return traffic.Outcome{Latency: 100 * time.Millisecond, Response: &traffic.Response{
		Status: 200, Header: traffic.Header{{Name: "Content-Type", Value: "application/json"}}, Body: traffic.Body{Bytes: []byte(body)},
	}}
}

func named(t *testing.T, name string) *Mutation {
	for _, m := range All() {
		if m.Name == name {
			return &m
		}
	}
	t.Fatalf("there is no mutation %q", name)
	return nil
}

func TestMutations(t *testing.T) {
	for _, tt := range []struct{ mutation, body, want string }{
		{"dropped field", `{"a":{"b":1}}`, `{"a":{}}`},
		{"dropped field", `[1,2]`, ""},
		{"dropped field", `"x"`, ""},
		{"off by one", `{"a":"x","b":[9007199254740993]}`, `{"a":"x","b":[9007199254740994]}`},
		{"off by one", `{"price":12.50}`, `{"price":13.50}`},
		{"off by one", `{"v":1e2}`, `{"v":101}`},
		{"off by one", `{"v":"1"}`, ""},
		{"null", `{"a":true,"b":null}`, `{"a":null,"b":null}`},
		{"null", `[]`, ""},
		{"other type", `{"a":[false]}`, `{"a":["false"]}`},
		{"other type", `{"a":1.50}`, `{"a":"1.50"}`},
		{"null", `not json`, ""},
	} {
		t.Run(tt.mutation+" "+tt.body, func(t *testing.T) {
			before := outcome(tt.body)
			after, struck := named(t, tt.mutation).Apply(&Pick{Endpoint: "GET /a"}, before)
			if struck != (tt.want != "") {
				t.Fatalf("struck %v: %s", struck, after.Response.Body.Bytes)
			}
			if struck && string(after.Response.Body.Bytes) != tt.want {
				t.Errorf("got %s", after.Response.Body.Bytes)
			}
			if string(before.Response.Body.Bytes) != tt.body {
				t.Errorf("the original became %s", before.Response.Body.Bytes)
			}
		})
	}
}

// The same place is struck in every response of an endpoint.
func TestTheSamePlace(t *testing.T) {
	m, p := named(t, "dropped field"), &Pick{Seed: 3, Endpoint: "GET /orders/{id}"}
	seen := map[string]bool{}
	for i := range 20 {
		p.Seq = int64(i)
		out, ok := m.Apply(p, outcome(fmt.Sprintf(`{"a":%d,"b":%d,"c":%d}`, i, i, i)))
		if !ok {
			t.Fatal("not struck")
		}
		for _, key := range []string{"a", "b", "c"} {
			if !bytes.Contains(out.Response.Body.Bytes, []byte(`"`+key+`"`)) {
				seen[key] = true
			}
		}
	}
	if len(seen) != 1 {
		t.Errorf("struck %v", seen)
	}
}

func TestContentCodingStays(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, `{"a":1}`)
	w.Close()
	before := outcome(z.String())
	before.Response.Header = append(before.Response.Header, traffic.Field{Name: "Content-Encoding", Value: "gzip"})
	after, ok := named(t, "null").Apply(&Pick{}, before)
	if !ok {
		t.Fatal("not struck")
	}
	r, err := gzip.NewReader(bytes.NewReader(after.Response.Body.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(r); string(got) != `{"a":null}` {
		t.Errorf("got %s", got)
	}
}

func TestSlowerAndErrors(t *testing.T) {
	slow := named(t, "slower")
	if out, ok := slow.Apply(&Pick{Endpoint: "a", Struck: "a"}, outcome("{}")); !ok || out.Latency != 110*time.Millisecond {
		t.Errorf("%v, %v", out.Latency, ok)
	}
	if _, ok := slow.Apply(&Pick{Endpoint: "b", Struck: "a"}, outcome("{}")); ok {
		t.Error("another endpoint was struck")
	}
	failed := 0
	for i := range 10_000 {
		if out, ok := named(t, "errors").Apply(&Pick{Seed: 1, Seq: int64(i)}, outcome("{}")); ok {
			failed++
			if out.Response.Status != 500 {
				t.Fatal(out.Response.Status)
			}
		}
	}
	if failed < 60 || failed > 140 {
		t.Errorf("%d of 10000 failed", failed)
	}
	if _, ok := slow.Apply(&Pick{}, traffic.Outcome{Failure: traffic.Interrupted}); ok {
		t.Error("no response, and yet struck")
	}
}
