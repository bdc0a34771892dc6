package preview

import (
	"context"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

const recordedBody = `{"at":"x","tags":["a"],"total":"12","n":3,"items":[{"id":1,"etag":"e"},{"sku":2}],"none":[],"deep":{"er":{"at":1}}}`

func TestPlaces(t *testing.T) {
	tests := []struct {
		name, rule, jq, key string
		found, fit          bool
	}{
		{"a member", "ignore", ".body.at", "", true, true},
		{"no such member", "ignore", ".body.missing", "", false, false},
		{"below every element", "ignore", ".body.items[].etag", "", true, true},
		{"at a position", "ignore", ".body.items[1].sku", "", true, true},
		{"beyond the end", "ignore", ".body.items[9]", "", false, false},
		{"anywhere", "ignore", "..|.er?", "", true, true},
		{"anywhere, and nowhere", "ignore", "..|.nothing?", "", false, false},
		{"one of two", "ignore", ".body.nothing, .body.at", "", true, true},
		{"a header", "ignore", `.headers["x-request-id"]`, "", true, true},
		{"depends on the document", "ignore", `.body.items[] | select(.id == 1) | .etag`, "", true, true},
		{"depends on the document, and nowhere", "ignore", `.body.items[] | select(.id == 7) | .etag`, "", false, false},
		{"depends on the request", "ignore", `if $request.path == "/orders" then .body.at else empty end`, "", true, true},
		{"a list without order", "unordered", ".body.tags", "", true, true},
		{"no list", "unordered", ".body.total", "", true, false},
		{"a keyed list", "keyed", ".body.items", "id", true, true},
		{"a keyed list without the key", "keyed", ".body.items", "uuid", true, false},
		{"an empty keyed list", "keyed", ".body.none", "id", true, true},
		{"a number", "tolerance", ".body.n", "", true, true},
		{"a number in a string", "tolerance", ".body.total", "", true, false},
	}
	step := &replay.Step{Exchange: &traffic.Exchange{
		Request: traffic.Request{Method: "GET", Target: "/orders"},
		Response: &traffic.Response{Status: 200, Body: traffic.Body{Bytes: []byte(recordedBody)}, Header: traffic.Header{
			{Name: "Content-Type", Value: "application/json"}, {Name: "X-Request-Id", Value: "1"},
		}},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			paths, err := jq.CompilePaths(tt.jq, compare.RequestVariable)
			if err != nil {
				t.Fatal(err)
			}
			var c plan.Compare
			switch rule := (compare.Rule{Paths: paths}); tt.rule {
			case "ignore":
				c.Config.Ignore = []compare.Rule{rule}
			case "unordered":
				c.Config.Unordered = []compare.Rule{rule}
			case "keyed":
				c.Config.Keyed = []compare.Keyed{{Rule: rule, Key: tt.key}}
			case "tolerance":
				c.Config.Tolerance = []compare.Tolerance{{Rule: rule, Limit: "1"}}
			}
			p := newPlaces(&c)
			p.look(context.Background(), &replay.Step{Exchange: &traffic.Exchange{}})
			p.look(context.Background(), step)
			if r := p.all[0]; r.found != tt.found || r.fit != tt.fit || r.rule != tt.rule {
				t.Errorf("%s: found %v, fit %v", r.rule, r.found, r.fit)
			}
			if p.responses != 1 || (p.missing == 0) != tt.fit {
				t.Errorf("%d responses, %d rules missing", p.responses, p.missing)
			}
		})
	}
}
