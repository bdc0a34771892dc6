package compare

// shape is a form of text that stays when its value changes.
type shape uint8

const (
	anyShape shape = iota
	uuidShape
	timeShape
	blankShape
)

// sameShape reports whether b has the form of a, where a has one that is known:
// a UUID (RFC 9562), a time or date (RFC 3339), or nothing at all.
func sameShape(a, b []byte) bool {
	s := shapeOf(a)
	return s == anyShape && len(b) > 0 || s == shapeOf(b)
}

func shapeOf(s []byte) shape {
	switch {
	case len(s) == 0:
		return blankShape
	case len(s) == 36 && follows(s, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"):
		return uuidShape
	case len(s) == 10 && follows(s, "0000-00-00"), len(s) >= 19 && len(s) <= 40 && follows(s, "0000-00-00?00:00:00"):
		return timeShape
	}
	return anyShape
}

// follows reports whether s begins with what a pattern says: 0 is a digit, x a
// hexadecimal digit, ? anything, and the rest itself.
func follows(s []byte, pattern string) bool {
	for i := range len(pattern) {
		c := s[i]
		digit := '0' <= c && c <= '9'
		switch pattern[i] {
		case '?':
		case '0':
			if !digit {
				return false
			}
		case 'x':
			if lower := c | 0x20; !digit && (lower < 'a' || lower > 'f') {
				return false
			}
		default:
			if c != pattern[i] {
				return false
			}
		}
	}
	return true
}
