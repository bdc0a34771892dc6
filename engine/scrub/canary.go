package scrub

import "strings"

// A canary is a text that was planted in the traffic on purpose, where a scrubber
// has to replace it. One that comes out shows that this scrubber does not.

// canaryClass is the class of a Finding that is a canary.
const canaryClass = "canary"

// CanaryReason is the reason under which exchanges with a canary are counted as
// dropped: see DropError and Report.
const CanaryReason = "a canary was found"

// setCanaries prepares the forms in which a canary may come out: in any case, as
// JSON writes it, and as a part of something in base64.
func (s *Scrubber) setCanaries() {
	for _, c := range s.cfg.Canaries {
		if c == "" {
			continue
		}
		lower := strings.ToLower(c)
		s.canaries = append(s.canaries, lower)
		if inner := quoted(c); inner[1:len(inner)-1] != c {
			s.canaries = append(s.canaries, strings.ToLower(inner[1:len(inner)-1]))
		}
		for shift := range 3 {
			if coded := base64Of(c, shift); len(coded) >= windowBytes {
				s.canariesInBase64 = append(s.canariesInBase64, coded)
			}
		}
	}
}

// holdsCanary reports whether a canary is in a text. Percent-encoding is undone
// by the caller.
func (s *Scrubber) holdsCanary(text string) bool {
	if len(s.canaries) == 0 {
		return false
	}
	lower := strings.ToLower(text)
	for _, c := range s.canaries {
		if strings.Contains(lower, c) {
			return true
		}
	}
	for _, c := range s.canariesInBase64 {
		if strings.Contains(text, c) {
			return true
		}
	}
	return false
}
