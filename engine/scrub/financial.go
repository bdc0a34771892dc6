package scrub

import "strings"

// brand is one issuer range of ISO/IEC 7812 and the prefix that its surrogates
// get: the one of the numbers that the brand publishes for tests.
type brand struct {
	low, high string // inclusive, same length
	lengths   []int
	test      string
	keyOnly   bool // told from other numbers only where the field's name says so
}

var brands = []brand{
	{"4", "4", []int{16, 19}, "424242", false},
	{"4", "4", []int{13}, "422222", true}, // none issued any more; one EAN-13 in ten that begins with 4 would do
	{"51", "55", []int{16}, "555555", false},
	{"2221", "2720", []int{16}, "222300", false},
	{"34", "34", []int{15}, "343434", false},
	{"37", "37", []int{15}, "378282", false},
	{"6011", "6011", []int{16, 19}, "601111", false},
	{"644", "649", []int{16, 19}, "645000", false},
	{"65", "65", []int{16, 19}, "650000", false},
	{"3528", "3589", []int{16, 17, 18, 19}, "353011", false},
	{"300", "305", []int{14, 16}, "305693", false},
	{"36", "36", []int{14, 16}, "362272", false},
	{"38", "39", []int{14, 16}, "385200", false},
	{"62", "62", []int{16, 17, 18, 19}, "620000", false},
	{"50", "50", []int{12, 13, 14, 15, 16, 17, 18, 19}, "501800", true},
	{"56", "69", []int{12, 13, 14, 15, 16, 17, 18, 19}, "675900", true},
}

func brandOf(digits string) *brand {
	for i := range brands {
		b := &brands[i]
		p := digits[:min(len(b.low), len(digits))]
		if p < b.low || p > b.high {
			continue
		}
		for _, n := range b.lengths {
			if n == len(digits) {
				return b
			}
		}
	}
	return nil
}

// testPrefix gives the first digits of a surrogate; a card of no known brand
// gets the major industry identifier 9, national use.
func testPrefix(digits string) string {
	if b := brandOf(digits); b != nil {
		return b.test
	}
	return "9"
}

// isCard checks issuer range, length and check digit of bare digits.
func isCard(digits string) bool {
	b := brandOf(digits)
	return b != nil && !b.keyOnly && luhn(digits)
}

// luhn checks the check digit of ISO/IEC 7812-1 annex B.
func luhn(digits string) bool {
	n := len(digits)
	return n > 1 && luhnDigit(digits[:n-1]) == digits[n-1]
}

func luhnDigit(body string) byte {
	sum := 0
	for i := 0; i < len(body); i++ {
		v := int(body[len(body)-1-i] - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return byte('0' + (10-sum%10)%10)
}

// groupings are the ways in which cards print their number.
var groupings = [...][]int{
	{4, 4, 4, 4, 3}, {4, 4, 4, 4, 2}, {4, 4, 4, 4, 1}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}, {6, 13}, {6, 10}, {8, 8},
}

func findCards(s string, spans []span) []span {
	for i := 0; i < len(s); {
		if !isDigit(s[i]) || isDigit(before(s, i)) {
			i++
			continue
		}
		end := i
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		if n := end - i; n >= 13 && n <= 19 && cardStandsAlone(s, i, end) && isCard(s[i:end]) {
			spans = append(spans, span{start: i, end: end})
		} else if stop := groupedCard(s, i, end); stop > 0 {
			spans = append(spans, span{start: i, end: stop})
			end = stop
		}
		i = end
	}
	return spans
}

// groupedCard returns where the card in groups that begins at start ends, or 0;
// first is the end of its first group.
func groupedCard(s string, start, first int) int {
	n, sep := first-start, groupSeparator(s, first)
	if n != 4 && n != 6 && n != 8 || sep == "" {
		return 0
	}
	for _, g := range groupings {
		end := groupsEnd(s, start, g, sep)
		if end > 0 && cardStandsAlone(s, start, end) && isCard(digitsOnly(s[start:end])) {
			return end
		}
	}
	return 0
}

// groupSeparator is what separates the groups of a number at i: a blank or two,
// a dash, a dot, a blank that does not break the line.
func groupSeparator(s string, i int) string {
	for _, sep := range [...]string{"  ", " ", "-", ".", "\u00a0", "\u202f", "\u2009", "\u2007"} {
		if strings.HasPrefix(s[i:], sep) {
			return sep
		}
	}
	return ""
}

// cardStandsAlone is standsAlone for numbers that issuer, length and check
// digit vouch for: they may hang on a word, "card4111...", "pay_4111..._x", but
// not on what may be hexadecimal, and be an amount of money without cents.
func cardStandsAlone(s string, start, end int) bool {
	if before(s, start) == '.' && start >= 2 && isDigit(s[start-2]) {
		return false
	}
	if after(s, end) == '.' && isDigit(after(s, end+1)) {
		tail := end + 1
		for after(s, tail) == '0' {
			tail++
		}
		if isAlnum(after(s, tail)) || after(s, tail) == '.' && isDigit(after(s, tail+1)) {
			return false
		}
	}
	left, right := start, end
	for left > 0 && start-left <= maxWord && isAlnum(s[left-1]) {
		left--
	}
	for right < len(s) && right-end <= maxWord && isAlnum(s[right]) {
		right++
	}
	return isWordBeside(s[left:start]) && isWordBeside(s[end:right])
}

// maxWord bounds how long a word may be that a number hangs on.
const maxWord = 24

// isWordBeside accepts nothing, and letters of which one is no hexadecimal
// digit.
func isWordBeside(s string) bool {
	return s == "" || len(s) <= maxWord && every(s, isLetter) && !every(s, isHex)
}

// groupsEnd returns where digit groups of the given sizes end, or 0.
func groupsEnd(s string, i int, sizes []int, sep string) int {
	for k, size := range sizes {
		if k > 0 {
			if !strings.HasPrefix(s[i:], sep) {
				return 0
			}
			i += len(sep)
		}
		if len(s)-i < size || !every(s[i:i+size], isDigit) {
			return 0
		}
		i += size
	}
	if isDigit(after(s, i)) {
		return 0
	}
	return i
}

// findTracks finds magnetic stripe data: track 1 "%B4111...^NAME^..." and track
// 2 ";4111...=2512..." (ISO/IEC 7813).
func findTracks(s string, spans []span) []span {
	for i := 0; i < len(s); i++ {
		start, sep := i, byte('=')
		switch {
		case s[i] == '%' && i+1 < len(s) && s[i+1]|0x20 == 'b':
			i++
			sep = '^'
		case s[i] != ';':
			continue
		}
		end := i + 1
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		if n := end - i - 1; n < 12 || n > 19 || after(s, end) != sep {
			continue
		}
		body := end + 1
		if sep == '=' {
			for end = body; end < len(s) && isDigit(s[end]); {
				end++
			}
			if end-body < 4 {
				continue
			}
		} else if j := strings.IndexAny(s[body:], "?\r\n\""); j >= 0 {
			end = body + j
		} else {
			end = len(s)
		}
		if after(s, end) == '?' {
			end++
		}
		spans = append(spans, span{start: start, end: end})
		i = end - 1
	}
	return spans
}

// ibanLengths is the length per country of the SWIFT IBAN registry.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
	"IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
	"LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18,
	"NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31,
	"SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29,
	"VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// mod97 is the remainder of ISO 7064 MOD 97-10 with the first four characters
// moved to the end.
func mod97(compact string) int {
	r := 0
	for i := range len(compact) {
		c := compact[(i+4)%len(compact)]
		if isDigit(c) {
			r = (r*10 + int(c-'0')) % 97
		} else {
			r = (r*100 + int(c-'A') + 10) % 97
		}
	}
	return r
}

func findIBANs(s string, spans []span) []span {
	for i := 0; i+15 <= len(s); i++ {
		if !isLetter(s[i]) || !isDigit(s[i+2]) || !isLetter(s[i+1]) || !isDigit(s[i+3]) || isAlnum(before(s, i)) {
			continue
		}
		if end := ibanEnd(s, i); end > 0 {
			spans = append(spans, span{start: i, end: end})
			i = end - 1
		}
	}
	return spans
}

// ibanEnd returns where the IBAN that begins at i ends, or 0. Groups may be
// separated by one space or dash.
func ibanEnd(s string, i int) int {
	want := ibanLengths[strings.ToUpper(s[i:i+2])]
	if check := s[i+2 : i+4]; want == 0 || check < "02" || check > "98" { // 98 less a remainder by 97
		return 0
	}
	compact := make([]byte, 0, 34)
	for ; i < len(s) && len(compact) < want; i++ {
		switch {
		case isAlnum(s[i]):
			compact = append(compact, upper(s[i]))
		case (s[i] == ' ' || s[i] == '-') && isAlnum(after(s, i+1)):
		default:
			return 0
		}
	}
	if len(compact) < want || isAlnum(after(s, i)) || mod97(string(compact)) != 1 {
		return 0
	}
	return i
}
