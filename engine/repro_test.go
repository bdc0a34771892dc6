package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestURLOf(t *testing.T) {
	for _, tt := range []struct{ base, target, want string }{
		{"http://h:1", "/a?b=c", "http://h:1/a?b=c"},
		{"http://h:1/", "/a", "http://h:1/a"},
		{"http://h:1/v2/", "/a/", "http://h:1/v2/a/"},
		{"http://h:1", "http://recorded.example/a?b", "http://h:1/a?b"},
		{"http://h:1", "http://recorded.example", "http://h:1/"},
	} {
		if got := urlOf(&target.Config{URL: tt.base}, &traffic.Request{Target: tt.target}); got != tt.want {
			t.Errorf("%s and %s: %s", tt.base, tt.target, got)
		}
	}
}

// The fields are those that the target was sent, without what the spec adds.
func TestReproHeaders(t *testing.T) {
	recorded := traffic.Header{{Name: "Host", Value: "shop.example"}, {Name: "Authorization", Value: "surrogate"}, {Name: "connection", Value: "close"}, {Name: "X-A", Value: "1"}, {Name: "content-length", Value: "3"}}
	cfg := &target.Config{Host: "next.example", Headers: traffic.Header{{Name: "authorization", Value: "Bearer secret"}}}
	mark := result.Header{Name: target.ShadowHeader, Value: "true"}
	want := []result.Header{{Name: "Host", Value: "next.example"}, {Name: "X-A", Value: "1"}, mark}
	if got := reproHeaders(recorded, cfg); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := reproHeaders(nil, cfg); !slices.Equal(got, []result.Header{want[0], mark}) {
		t.Errorf("of no fields: %v", got)
	}
	if got := reproHeaders(nil, &target.Config{}); !slices.Equal(got, []result.Header{mark}) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestWithholder(t *testing.T) {
	p := &plan.Audit{}
	p.Candidate.Headers = traffic.Header{{Name: "X-Edge", Value: `quote"Edge01`}, {Name: "Authorization", Value: "Bearer tokenOfSpec"}, {Name: "X-Mode", Value: "on"}}
	r := withholder(p)
	for _, text := range []string{`quote"Edge01`, `{"a":"quote\"Edge01"}`, "Bearer tokenOfSpec", "x tokenOfSpec y"} {
		if got := r.Replace(text); strings.Contains(got, "Edge01") || strings.Contains(got, "tokenOfSpec") {
			t.Errorf("%s became %s", text, got)
		}
	}
	if got := r.Replace(`{"on":"Bearer"}`); got != `{"on":"Bearer"}` {
		t.Errorf("too much is withheld: %s", got)
	}
}
