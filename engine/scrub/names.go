package scrub

import "strings"

// Names are data too, where somebody files things under an address or a number:
// {"jane@acme.com": {...}}, ?jane%40acme.com=1, Cookie: 4111111111111111=1.

// nameOf scrubs a name by its own form. What it finds to be harmless it does
// not look at again.
func (w *worker) nameOf(k *keyInfo, name string) string {
	if !k.exposed {
		return name
	}
	out := w.plain(name)
	if out == name && !w.failed() {
		k.exposed = false
	}
	return out
}

// tokenName scrubs the name of a header field or of a cookie, which stays a
// token (RFC 9110 section 5.6.2) if it was one.
func (w *worker) tokenName(k *keyInfo, name string) string {
	out := w.nameOf(k, name)
	if out == name || !every(name, isTokenChar) || every(out, isTokenChar) {
		return out
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isTokenChar(byte(r)) {
			return r
		}
		return '-'
	}, out)
}

func isTokenChar(b byte) bool {
	return isAlnum(b) || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

// preferences are cookies that say how somebody likes a page, and what such a
// cookie looks like: one with another value is taken for an identifier, as
// every other cookie is.
var preferences = map[string]func(string) bool{
	"lang": isLanguage, "language": isLanguage, "locale": isLanguage,
	"theme": isTheme, "color_scheme": isTheme, "dark_mode": isTheme,
	"currency": isCurrency, "country": isRegion, "region": isRegion,
	"timezone": isTimeZone, "tz": isTimeZone,
	"consent": isConsent, "cookie_consent": isConsent, "cookieconsent": isConsent,
}

func isPreference(name, value string) bool {
	is := preferences[strings.ToLower(name)]
	return is != nil && is(value)
}

// isLanguage accepts the usual part of BCP 47, also in the spelling of POSIX:
// de, pt-BR, zh_Hans_CN.
func isLanguage(s string) bool {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '_' })
	if len(parts) == 0 || len(parts) > 3 || len(parts[0]) < 2 || len(parts[0]) > 3 || !every(parts[0], isLetter) {
		return false
	}
	for _, p := range parts[1:] {
		if !(every(p, isLetter) && (len(p) == 2 || len(p) == 4)) && !(every(p, isDigit) && len(p) == 3) {
			return false
		}
	}
	return true
}

func isTheme(s string) bool {
	switch strings.ToLower(s) {
	case "dark", "light", "auto", "system", "default", "dim", "high-contrast", "no-preference":
		return true
	}
	return isFlag(s)
}

func isCurrency(s string) bool { return len(s) == 3 && every(s, isLetter) }

// isRegion accepts the codes of ISO 3166 and the regions of clouds: DE, DEU,
// eu-west-1.
func isRegion(s string) bool {
	if len(s) == 2 || len(s) == 3 {
		return every(s, isLetter)
	}
	parts := strings.Split(strings.ToLower(s), "-")
	if len(parts) != 3 || len(parts[0]) != 2 || !every(parts[0], isLower) || len(parts[2]) != 1 || !isDigit(parts[2][0]) {
		return false
	}
	return strings.Contains(" north south east west central northeast northwest southeast southwest ", " "+parts[1]+" ")
}

// isTimeZone accepts names of the IANA time zone database, and offsets.
func isTimeZone(s string) bool {
	area, place, ok := strings.Cut(s, "/")
	if !ok {
		offset := strings.TrimPrefix(strings.TrimPrefix(s, "UTC"), "GMT")
		return len(offset) <= 6 && every(offset, func(b byte) bool { return isDigit(b) || b == '+' || b == '-' || b == ':' })
	}
	if !strings.Contains(" Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific Etc ", " "+area+" ") {
		return false
	}
	return len(place) <= 32 && every(place, func(b byte) bool { return isLetter(b) || b == '_' || b == '/' || b == '-' })
}

func isConsent(s string) bool {
	switch strings.ToLower(s) {
	case "accepted", "accept", "denied", "deny", "rejected", "granted", "all", "none", "necessary", "essential", "partial", "dismissed", "dismiss":
		return true
	}
	return isFlag(s)
}
