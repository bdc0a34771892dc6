package junit

import (
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func TestEvidence(t *testing.T) {
	a := &result.Audit{
		Aborted:  &result.Aborted{Pairs: 12, Reason: "error rate is over max 1% beyond doubt"},
		Accepted: []result.Accepted{{State: "known", Endpoint: "GET /a", Path: ".body.x", Kind: result.KindValue, Pairs: 3, Owner: "me", Expires: "2027-01-31"}},
		SelfTest: &result.SelfTest{Applied: 2, Caught: 1, Mutations: []result.Mutation{
			{Name: "null", Pairs: 3, CaughtBy: []string{"behaviour"}}, {Name: "slower", Doc: "10% longer", Pairs: 3}, {Name: "errors"}}},
	}
	want := "aborted after 12 pairs: error rate is over max 1% beyond doubt\n" +
		"accepted, known: GET /a .body.x value in 3 pairs, by me until 2027-01-31\n" +
		"self-test: 1 of 2 broken candidates would have been caught\n" +
		"self-test: NOT caught: slower, 10% longer"
	if got := evidence(a); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := evidence(&result.Audit{}); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
