package traffic_test

import (
	"reflect"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestHeader(t *testing.T) {
	h := traffic.Header{{Name: "Accept", Value: "a"}, {Name: "x-One", Value: "1"}, {Name: "ACCEPT", Value: "b"}, {Name: "X_One", Value: "2"}}
	if h.Get("accept") != "a" || h.Joined("accept") != "a, b" || h.Joined("none") != "" || !h.Has("X-ONE") || h.Has("X-Two") {
		t.Errorf("%v", h)
	}
	if got := h.Values("accept"); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
	before := append(traffic.Header(nil), h...)
	if got := h.Without("accept"); len(got) != 2 || got[0].Name != "x-One" || got[1].Name != "X_One" {
		t.Errorf("%v", got)
	}
	if !reflect.DeepEqual(h, before) {
		t.Error("Without changed its receiver")
	}
}

func TestEqualName(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"Host", "hOST", true}, {"", "", true}, {"a", "ab", false},
		{"@", "`", false}, {"[", "{", false}, {"-", "\r", false}, // differ in the bit that tells cases apart
	} {
		if got := traffic.EqualName(tt.a, tt.b); got != tt.want {
			t.Errorf("%q %q: %v", tt.a, tt.b, got)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, tt := range []struct{ target, path, query, host string }{
		{"/a/b?c=d?e", "/a/b", "c=d?e", "h"},
		{"/", "/", "", "h"},
		{"//a//b", "//a//b", "", "h"},
		{"http://shop.example/a?b", "/a", "b", "shop.example"},
		{"http://shop.example?b", "", "b", "shop.example"},
		{"http://jane:secret@shop.example:81/a", "/a", "", "shop.example:81"},
		{"http://shop.example", "/", "", "shop.example"},
		{"*", "*", "", "h"},
	} {
		r := traffic.Request{Target: tt.target, Header: traffic.Header{{Name: "host", Value: "h"}}}
		if r.Path() != tt.path || r.Query() != tt.query || r.Host() != tt.host {
			t.Errorf("%s: %q %q %q", tt.target, r.Path(), r.Query(), r.Host())
		}
	}
}
