package engine

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func request() traffic.Request {
	return traffic.Request{Method: "GET", Target: "/a?x=1&y&x=2", Header: traffic.Header{
		{Name: "Host", Value: "h"}, {Name: "Content-Type", Value: "application/json"}, {Name: "Cookie", Value: "a=1;b=2; c=3"}, {Name: "Cookie", Value: "d=4"},
	}, Body: traffic.Body{Bytes: []byte(`{"b/c": [1, {"d": 9007199254740993}], "a": null}`)}}
}

func TestDissect(t *testing.T) {
	want := []piece{"header 1", "header 2", "header 3", "query 0", "query 1", "query 2", "cookie 2 0", "cookie 2 1", "cookie 2 2",
		"/a", "/b~1c", "/b~1c/0", "/b~1c/1", "/b~1c/1/d"}
	if got := dissect(request()).pieces; !slices.Equal(got, want) && !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("got %q", got)
	}
}

func TestWithout(t *testing.T) {
	for _, tt := range []struct {
		gone                   string
		target, cookies, fully string
	}{
		{"", "/a?x=1&y&x=2", "a=1; b=2; c=3|d=4", `{"b/c": [1, {"d": 9007199254740993}], "a": null}`},
		{"query 0,query 1", "/a?x=2", "a=1; b=2; c=3|d=4", `{"b/c": [1, {"d": 9007199254740993}], "a": null}`},
		{"query 0,query 1,query 2", "/a", "a=1; b=2; c=3|d=4", `{"b/c": [1, {"d": 9007199254740993}], "a": null}`},
		{"cookie 2 1,header 3", "/a?x=1&y&x=2", "a=1; c=3", `{"b/c": [1, {"d": 9007199254740993}], "a": null}`},
		{"header 2,/a,/b~1c/0", "/a?x=1&y&x=2", "d=4", `{"b/c":[{"d":9007199254740993}]}`},
		{"/b~1c", "/a?x=1&y&x=2", "a=1; b=2; c=3|d=4", `{"a":null}`},
	} {
		gone := map[piece]bool{}
		for _, p := range strings.Split(tt.gone, ",") {
			gone[piece(p)] = p != ""
		}
		maps.DeleteFunc(gone, func(_ piece, is bool) bool { return !is })
		r := dissect(request()).without(gone)
		if cookies := strings.Join(r.Header.Values("Cookie"), "|"); r.Target != tt.target || cookies != tt.cookies || string(r.Body.Bytes) != tt.fully {
			t.Errorf("without %s: %s, %s, %s", tt.gone, r.Target, cookies, r.Body.Bytes)
		}
	}
}

// Whatever is left out, the original stays as it was, and without everything
// there is the path and the host.
func TestWithoutAll(t *testing.T) {
	d := dissect(request())
	gone := map[piece]bool{}
	for _, p := range d.pieces {
		gone[p] = true
	}
	r := d.without(gone)
	if r.Target != "/a" || len(r.Header) != 1 || string(r.Body.Bytes) != "{}" {
		t.Errorf("got %s %v %s", r.Target, r.Header, r.Body.Bytes)
	}
	if again := d.without(nil); !sameRequest(again, dissect(request()).without(nil)) {
		t.Errorf("the original became %+v", again)
	}
}

func FuzzDissect(f *testing.F) {
	f.Add("/a?b=1&&c", "a=1; b=2", `{"a":[1]}`, uint16(5))
	f.Fuzz(func(t *testing.T, target, cookie, body string, which uint16) {
		r := traffic.Request{Method: "GET", Target: target, Header: traffic.Header{{Name: "Cookie", Value: cookie}, {Name: "Content-Type", Value: "application/json"}}, Body: traffic.Body{Bytes: []byte(body)}}
		d := dissect(r)
		gone := map[piece]bool{}
		for i, p := range d.pieces {
			if which>>(i%16)&1 == 1 {
				gone[p] = true
			}
		}
		less := d.without(gone)
		if len(less.Header) > len(r.Header) || strings.Count(less.Target, "&") > strings.Count(target, "&") {
			t.Errorf("more than before: %+v", less)
		}
	})
}
