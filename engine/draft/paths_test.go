package draft

import (
	"fmt"
	"reflect"
	"testing"
)

func TestRoutes(t *testing.T) {
	many := func(format string, n, times int) []string {
		var out []string
		for i := range n {
			for range times {
				out = append(out, fmt.Sprintf(format, word(i)))
			}
		}
		return out
	}
	tests := []struct {
		name     string
		paths    []string
		routes   []string
		declared []string
	}{
		{"a few", []string{"/", "/a", "/a/b", "/a"}, []string{"/", "/a", "/a/b"}, nil},
		{"identifiers are templates already", []string{"/orders/{id}", "/orders/{id}/items"}, []string{"/orders/{id}", "/orders/{id}/items"}, nil},
		{"names that go on and on", many("/products/%s", 24, 1), []string{"/products/{product}"}, []string{"/products/{product}"}},
		{"with something below", append(many("/categories/%s/items", 24, 1), "/categories"),
			[]string{"/categories", "/categories/{category}/items"}, []string{"/categories/{category}/items"}},
		{"many kinds that all come again", many("/rpc/%s", 24, 3), func() (out []string) {
			for i := range 24 {
				out = append(out, "/rpc/"+word(i))
			}
			return out
		}(), nil},
		{"more than can be", many("/tags/%s", maxChildren+50, 2), []string{"/tags/{tag}"}, []string{"/tags/{tag}"}},
		{"people", []string{"/users/jane", "/users/me", "/users/{id}", "/users/jane/orders"},
			[]string{"/users/me", "/users/{id}", "/users/{user}", "/users/{user}/orders"}, []string{"/users/me", "/users/{id}", "/users/{user}", "/users/{user}/orders"}},
		{"people without names", []string{"/users/me", "/users/{id}", "/users"}, []string{"/users", "/users/me", "/users/{id}"}, nil},
		{"a parent that names nothing", many("/x-1/%s", 24, 1), []string{"/x-1/{name}"}, []string{"/x-1/{name}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPaths()
			for _, path := range tt.paths {
				p.add("GET", path, true)
			}
			p.finish()
			var routes, declared []string
			var requests int64
			for _, r := range p.routes() {
				routes = append(routes, r.path)
				requests += r.total["GET"]
				if r.declare {
					declared = append(declared, r.path)
				}
			}
			if !reflect.DeepEqual(sorted(tt.routes), sorted(routes)) {
				t.Errorf("routes %q, want %q", routes, tt.routes)
			}
			if !reflect.DeepEqual(declared, tt.declared) {
				t.Errorf("declared %q, want %q", declared, tt.declared)
			}
			if requests != int64(len(tt.paths)) {
				t.Errorf("%d requests, want %d", requests, len(tt.paths))
			}
		})
	}
}

// word gives a word without digits.
func word(i int) string {
	return "w" + string(rune('a'+i%26)) + string(rune('a'+i/26))
}

func TestPathsAreBounded(t *testing.T) {
	p := newPaths()
	const n = 60_000
	for i := range n {
		p.add("GET", fmt.Sprintf("/%s/%s/%s", word(i%50), word(i/50%50), word(i/2500)), true)
	}
	if p.nodes > maxNodes || p.other == 0 {
		t.Errorf("%d nodes, %d requests without room", p.nodes, p.other)
	}
	if got := p.root.requests() + p.other; got != n {
		t.Errorf("%d requests are accounted for, want %d", got, n)
	}
}
