package preview

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestLooksPersonal(t *testing.T) {
	for name, want := range map[string]bool{
		"firstName": true, "guest_first_name": true, "X-Customer-Name": true, "birthDate": true, "HomePhone": true, "contact_email": true,
		"driverLicense": true, "accountHolder": true, "note": true, "shoe_owner_alias": true, "salary": true, "patientID": true, "bookerAge": true,
		"": false, "name": false, "title": false, "age": false, "token": false, "product_name": false, "fileName": false, "total": false, "status": false,
		"next_page_token": false, "max-age": false, "host": false, "message": false, "shipping": false, "state": false, "country": false, "renaming": false,
	} {
		if got := looksPersonal(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// json makes an exchange whose request and response are JSON.
func jsonExchange(target, request, response string) *traffic.Exchange {
	h := traffic.Header{{Name: "Content-Type", Value: "application/json"}}
	return &traffic.Exchange{
		Request:  traffic.Request{Method: "POST", Target: target, Proto: "HTTP/1.1", Header: h, Body: traffic.Body{Bytes: []byte(request)}},
		Response: &traffic.Response{Status: 200, Proto: "HTTP/1.1", Header: append(traffic.Header{{Name: "Set-Cookie", Value: "user_alias=sam; Path=/"}}, h...), Body: traffic.Body{Bytes: []byte(response)}},
	}
}

// see runs an exchange through a scrubber and lists what is found.
func see(t *testing.T, s *plan.Scrub, x *traffic.Exchange) (replaced, uncovered []string) {
	t.Helper()
	p, err := newPersons(s)
	if err != nil {
		t.Fatal(err)
	}
	scrubber, err := scrub.New(scrub.Config{Packs: s.Packs, Rules: s.Rules})
	if err != nil {
		t.Fatal(err)
	}
	before := *x
	if err := scrubber.Exchange(x); err != nil {
		t.Fatal(err)
	}
	p.look(&before, x)
	p.add("E")
	show := func(all []Place) (lines []string) {
		for _, place := range all {
			lines = append(lines, fmt.Sprintf("%d %s %s %s", place.Values, place.Of, place.Path, strings.Join(place.Rules, "+")))
		}
		slices.Sort(lines)
		return lines
	}
	return show(p.list(p.replaced)), show(p.list(p.uncovered))
}

func TestPersons(t *testing.T) {
	mask := []scrub.Rule{
		{Name: "strange", Keys: []string{"stage_alias"}, Action: scrub.Mask},
		{Name: "fine", Keys: []string{"dog_alias"}, Action: scrub.Keep},
	}
	for _, tt := range []struct {
		name                string
		s                   plan.Scrub
		x                   *traffic.Exchange
		replaced, uncovered []string
	}{
		{"values by their names and by their form", plan.Scrub{Packs: []string{"gdpr@1"}}, jsonExchange("/a?email=jane.roe%40corp.test", `{"first_name":"Jane","q":["x","jane.roe@corp.test"]}`, `{}`),
			[]string{"1 request .body.first_name gdpr@1/name", "1 request .body.q[] gdpr@1/email", "1 request .query.email gdpr@1/email"},
			[]string{"1 response .cookies.user_alias.value "}},
		{"names that no rule is for", plan.Scrub{Packs: []string{"gdpr@1"}}, jsonExchange("/a", `{"stage_alias":"K","dog_alias":["a","b",""],"cat_alias":null,"bird_alias":true,"fish_alias":7}`, `{}`),
			nil, []string{"1 request .body.fish_alias ", "1 request .body.stage_alias ", "1 response .cookies.user_alias.value ", "2 request .body.dog_alias[] "}},
		{"rules of the user", plan.Scrub{Packs: []string{"gdpr@1"}, Rules: mask}, jsonExchange("/a", `{"stage_alias":"Kay","dog_alias":"Rex"}`, `{}`),
			[]string{"1 request .body.stage_alias strange"}, []string{"1 response .cookies.user_alias.value "}},
		{"what is removed", plan.Scrub{Packs: []string{"pci@1"}}, jsonExchange("/a", `{}`, `{"card":{"cvv":"731","number":"4111111111111111"}}`),
			[]string{"1 response .body.card.cvv pci@1/card-verification", "1 response .body.card.number pci@1/card-number"}, []string{"1 response .cookies.user_alias.value "}},
		{"names that are values", plan.Scrub{Packs: []string{"gdpr@1"}}, jsonExchange("/a", `{"mails":{"jane.roe@corp.test":{"n":1}}}`, `{}`),
			[]string{"1 request .body.mails[\"*\"] gdpr@1/email"}, []string{"1 response .cookies.user_alias.value "}},
	} {
		replaced, uncovered := see(t, &tt.s, tt.x)
		if !slices.Equal(replaced, tt.replaced) || !slices.Equal(uncovered, tt.uncovered) {
			t.Errorf("%s:\nreplaced  %q\nwant      %q\nuncovered %q\nwant      %q", tt.name, replaced, tt.replaced, uncovered, tt.uncovered)
		}
	}
}

// Bodies are walked as they were parsed, with what a walk over their documents
// would find.
func TestBodies(t *testing.T) {
	h := traffic.Header{{Name: "Content-Type", Value: "application/json"}}
	body := func(text string) traffic.Body { return traffic.Body{Bytes: []byte(text)} }
	for _, tt := range [][2]string{
		{`{"a":1,"b":"x"}`, `{"a":1,"b":"y"}`},
		{`{"first_name":"J","b":[1,2,{"c":"x"}]}`, `{"first_name":"J","b":[1,2,{"c":"y"}]}`},
		{`{"cvv":"1","b":{"alias":"x"},"c":3}`, `{"b":{"alias":"x"},"c":4}`},
		{`{"a":{"jane@corp.test":{"n":1},"z":2}}`, `{"a":{"other@x.example":{"n":1},"z":3}}`},
		{`{"a":[1,2],"b":[]}`, `{"a":[1],"b":[]}`},
		{`{"a":{"alias":7},"d":null,"e":true}`, `{"a":"x","d":null,"e":false}`},
		{`{"b":2,"a":1}`, `{"a":1,"b":3}`},
		{`["jane",{"alias":""}]`, `["x",{"alias":""}]`},
		{`"jane"`, `"x"`},
		{`{}`, `{}`},
	} {
		found := func(walk func(*walker)) []string {
			p, err := newPersons(&plan.Scrub{})
			if err != nil {
				t.Fatal(err)
			}
			walk(&walker{persons: p, of: "request", path: []string{"body"}})
			var lines []string
			for _, s := range p.pending {
				lines = append(lines, fmt.Sprint(s))
			}
			slices.Sort(lines)
			return lines
		}
		parsed := found(func(w *walker) { w.bodies(h, body(tt[0]), h, body(tt[1])) })
		walked := found(func(w *walker) { w.walk(document.Body(h, body(tt[0])), document.Body(h, body(tt[1]))) })
		if !slices.Equal(parsed, walked) {
			t.Errorf("%s to %s:\n%q\n%q", tt[0], tt[1], parsed, walked)
		}
	}
}
