package scrub

import "strings"

// A strict pack turns the question around: a text is replaced unless something
// says that it may stay. What may stay without a rule of the user is listed here:
// numbers that identify nobody, flags, and the values of fields that have a few
// values each, as long as they look like one.

// listedFields are names of fields whose values come from a short list, or say
// how to read others. They match whole or as the end of a name: status, order_status.
var listedFields = func() map[string]bool {
	out := map[string]bool{}
	for n := range strings.FieldsSeq("status type kind currency locale language lang timezone tz unit units sort order direction format encoding charset " +
		"method object typename mode level severity phase priority alg typ cty enc use scheme protocol event operationname algorithm system rank xmlns") {
		out[n] = true
	}
	for n := range strings.SplitSeq("media type,content type,token type,grant type,response type,resource type,country code,currency code,error code,status code,operation name", ",") {
		out[n] = true
	}
	return out
}()

// countingWords end the names of fields whose long numbers count or measure.
var countingWords = func() map[string]bool {
	out := map[string]bool{}
	for n := range strings.FieldsSeq("at time times date timestamp ts expires expiry exp iat nbf created updated modified since until epoch ms millis nanos ns seconds " +
		"duration ttl age size bytes length count total amount price sum balance cents offset limit page version max min height width") {
		out[n] = true
	}
	return out
}()

// numberingWords end the names of fields whose numbers stand for something.
var numberingWords = func() map[string]bool {
	out := map[string]bool{}
	for n := range strings.FieldsSeq("id ids number no num nr ref reference key uid uuid guid serial code identifier") {
		out[n] = true
	}
	return out
}()

// nameTraits are what a strict pack knows about a field by its name.
type nameTraits struct {
	listed, counts, numbers bool
}

func nameTraitsOf(words []string) (t nameTraits) {
	if len(words) == 0 {
		return t
	}
	last := words[len(words)-1]
	pair := ""
	if len(words) > 1 {
		pair = words[len(words)-2] + " " + last
	}
	t.listed = listedFields[last] || listedFields[pair]
	t.counts = countingWords[last]
	t.numbers = numberingWords[last] && !listedFields[pair]
	return t
}

// longNumber is how many digits make a number that counts nothing an identifier.
const longNumber = 7

// listed reports whether a text may stay under a strict pack.
func (k *keyInfo) listed(s string) bool {
	trimmed := strings.TrimSpace(s)
	if trimmed == "" || isFlag(trimmed) || trimmed == "null" {
		return true
	}
	traits := nameTraits{}
	if k != nil {
		traits = k.traits
	}
	if isNumeral(trimmed) {
		return !traits.numbers && (traits.counts || k != nil && k.technical || countDigits(trimmed) < longNumber)
	}
	if k != nil && isPreference(k.full, trimmed) {
		return true
	}
	return traits.listed && isConstant(trimmed)
}

// isNumeral reports whether s is a number in JSON's sense, also in quotes.
func isNumeral(s string) bool {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || !isDigit(digits[0]) {
		return false
	}
	return every(digits, func(b byte) bool { return isDigit(b) || strings.IndexByte(".eE+-", b) >= 0 }) && strings.Count(digits, ".") <= 1 && strings.Count(digits, "-") <= 1
}

// isConstant reports whether s may be one of a few values: a short word, with
// digits only as in HS256.
func isConstant(s string) bool {
	return len(s) <= 40 && countDigits(s) <= 4 && every(s, func(b byte) bool { return isAlnum(b) || strings.IndexByte("_-./+;=:", b) >= 0 })
}

// strictly is the verdict of a strict pack on a text that nothing else judges.
func (w *worker) strictly(k *keyInfo, s string) verdict {
	if !w.s.strict || k.listed(s) {
		return verdict{}
	}
	c := unlisted
	if len(s) >= 10 && isDay(s[:10]) && (len(s) == 10 || isTimestamp([]byte(s))) {
		c = date
	}
	if c == date && k != nil && k.technical { // the version of an interface
		return verdict{}
	}
	return verdict{Pseudonymize, c, w.classHit(c)}
}

// free is plain for a text of which nothing says what it is.
func (w *worker) free(s string) string {
	if v := w.strictly(nil, s); v.action != "" {
		return w.apply(v, nil, s)
	}
	return w.plain(s)
}

// anyText keeps the shape of a text: the scheme of a URL, the form of a UUID and
// of hexadecimal digits, the words of a GraphQL document, and of all others
// which places hold letters and which digits.
func anyText(d *draws, s string) string {
	if isUUID(s) || len(s) >= 16 && every(s, isHex) {
		return token(d, s)
	}
	if isGraphQL(s) {
		return quotedLetters(d, s)
	}
	if i := strings.Index(s, "://"); i > 0 && i <= 8 && every(s[:i], isAlnum) {
		return s[:i+3] + letters(d, s[i+3:])
	}
	return letters(d, s)
}

// isGraphQL reports whether s looks like a document of GraphQL.
func isGraphQL(s string) bool {
	t := strings.TrimLeft(s, " \t\r\n")
	if !strings.HasSuffix(strings.TrimRight(s, " \t\r\n"), "}") {
		return false
	}
	for _, word := range []string{"query", "mutation", "subscription", "fragment"} {
		if rest, ok := strings.CutPrefix(t, word); ok && rest != "" && strings.IndexByte(" {(\n\t", rest[0]) >= 0 {
			return true
		}
	}
	return strings.HasPrefix(t, "{") && !strings.HasPrefix(strings.TrimLeft(t[1:], " \t\r\n"), `"`)
}

// quotedLetters replaces what stands between double quotes, and numbers long
// enough to be identifiers.
func quotedLetters(d *draws, s string) string {
	var b strings.Builder
	inside := false
	for s != "" {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			i = len(s)
		}
		if inside {
			b.WriteString(letters(d, s[:i]))
		} else {
			b.WriteString(longDigits(d, s[:i]))
		}
		if i == len(s) {
			break
		}
		b.WriteByte('"')
		s, inside = s[i+1:], !inside
	}
	return b.String()
}

// longDigits replaces runs of digits that are long enough for an identifier.
func longDigits(d *draws, s string) string {
	b := []byte(s)
	for i := 0; i < len(b); {
		end := i
		for end < len(b) && isDigit(b[end]) {
			end++
		}
		for k := i; end-i >= longNumber && k < end; k++ {
			b[k] = d.from(numbers)
		}
		i = max(end, i+1)
	}
	return string(b)
}

// standardFields begin the names of header fields that speak of the message and
// not of anybody, beside those in headerRows.
var standardFields = []string{"access-control-", "sec-fetch-", "sec-websocket-", "cross-origin-", "content-", "accept-", "x-content-type-", "x-frame-", "x-xss-",
	"x-ratelimit-", "ratelimit-", "strict-transport-", "permissions-policy", "referrer-policy", "retry-after", "allow", "alt-svc", "pragma", "te", "expect",
	"priority", "dnt", "upgrade-insecure-requests", "keep-alive", "via", "server-timing", "timing-allow-origin", "trailer", "www-authenticate", "proxy-authenticate",
	"x-powered-by", "x-http-method", "stripe-version", "api-version", "x-api-version", "x-requested-with", "nel", "report-to"}

// isStandard reports whether a header field is one of standardFields: those that
// end in a dash are the beginnings of many.
func isStandard(lower string) bool {
	for _, f := range standardFields {
		if lower == f || strings.HasSuffix(f, "-") && strings.HasPrefix(lower, f) {
			return true
		}
	}
	return false
}

// strictSegment reports whether a segment of a path is replaced by a strict pack:
// one with a digit that is no version, and one with encoded characters. Words
// stay, since they are the route.
func (w *worker) strictSegment(s, raw string) bool {
	if !w.s.strict || s == "" {
		return false
	}
	if raw != s || strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) >= 0 {
		return true
	}
	version := strings.TrimLeft(strings.TrimPrefix(s, "v"), numbers+".") == "" && s[0] == 'v' && len(s) <= 6
	return countDigits(s) > 0 && !version
}
