package result

import (
	"fmt"
	"strings"
)

// Statement says in one sentence what was done about personal data. It speaks of
// pseudonyms, since what has them is personal data still to whoever has the key
// (GDPR, article 4 (5) and recital 26).
func (s *Scrub) Statement() string {
	switch {
	case s.Disabled:
		return "not pseudonymised: the spec says scrub = none, because: " + s.Reason
	case s.KeyID == "":
		return "no traffic was read"
	}
	text := "pseudonymised under "
	if s.KeyID == "ephemeral" {
		text += "a key of this run that nobody keeps"
	} else {
		text += "key " + s.KeyID
	}
	if len(s.Packs) > 0 {
		text += " with packs " + strings.Join(s.Packs, ", ")
	}
	values, rules := s.hits()
	return fmt.Sprintf("%s: %s by %s, %s dropped, residual %s", text,
		Plural(values, "value"), Plural(rules, "rule"), Plural(s.drops(), "exchange"), FormatCount(s.Residual))
}

// hits counts the values that were replaced, and the rules that did it.
func (s *Scrub) hits() (values, rules int64) {
	for _, r := range s.Rules {
		if r.Hits > 0 {
			values += r.Hits
			rules++
		}
	}
	return values, rules
}

// drops counts the exchanges that were not passed on.
func (s *Scrub) drops() int64 {
	n := int64(0)
	for _, d := range s.Dropped {
		n += d.Count
	}
	return n
}
