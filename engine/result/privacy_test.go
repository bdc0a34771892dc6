package result

import (
	"strings"
	"testing"
)

func TestStatement(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Scrub
		want string
	}{
		{"nothing read", Scrub{}, "no traffic was read"},
		{"switched off", Scrub{Disabled: true, Reason: "made up"}, "not pseudonymised: the spec says scrub = none, because: made up"},
		{"a kept key", Scrub{KeyID: "0123456789abcdef", Packs: []string{"gdpr@1", "pci@1"}, Rules: []ScrubRule{{"a", 1200}, {"b", 1}, {"c", 0}}, Dropped: []ScrubCount{{"x", 2}, {"y", 1}}},
			"pseudonymised under key 0123456789abcdef with packs gdpr@1, pci@1: 1,201 values by 2 rules, 3 exchanges dropped, residual 0"},
		{"no key kept", Scrub{KeyID: "ephemeral", Rules: []ScrubRule{{"a", 1}}, Dropped: []ScrubCount{{"x", 1}}, Residual: 4},
			"pseudonymised under a key of this run that nobody keeps: 1 value by 1 rule, 1 exchange dropped, residual 4"},
	} {
		got := tt.s.Statement()
		if got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
		if strings.Contains(got, "anonymi") {
			t.Errorf("%s: it says anonymised", tt.name)
		}
	}
}
