package scrub

import (
	"slices"
	"strings"
)

// A detector recognises values by their own form. It appends the spans that it
// finds to spans; what it finds must satisfy every check the class knows
// (checksum, issuer, country, boundary), because a false find changes a request.
type detector struct {
	class class
	gate  func(t traits) bool // cheap: can there be anything at all?
	find  func(s string, spans []span) []span
}

// detectors in order of precedence: where two finds overlap, the longer one
// wins, then the earlier detector.
var detectors = []detector{
	{privateKey, longRun, findPrivateKeys},
	{webToken, longRun, findWebTokens},
	{vendorKey, longRun, findVendorKeys},
	{cardCheck, manyDigits, findTracks},
	{email, func(t traits) bool { return t.has&hasAt != 0 }, findEmails},
	{iban, func(t traits) bool { return t.digits >= 8 || t.digits >= 4 && t.run >= minToken }, findIBANs},
	{card, func(t traits) bool { return t.digits >= 13 }, findCards},
	{phone, manyDigits, findPhones},
	{ssn, func(t traits) bool { return t.digits >= 9 && t.has&hasDash != 0 }, findSSNs},
	{nationalID, func(t traits) bool { return t.digits >= 7 && t.run >= 11 }, findNationalIDs},
	{ip, func(t traits) bool { return t.has&hasColon != 0 }, findIPv6},
	{vehicle, func(t traits) bool { return t.run >= 17 && t.digits >= 4 }, findVINs},
	{record, func(t traits) bool { return t.run >= 11 && t.digits >= 5 }, findBeneficiaries},
	{date, func(t traits) bool { return t.digits >= 8 && t.has&(hasDash|hasSlash) != 0 }, findDates},
	{device, func(t traits) bool { return t.has&hasColon != 0 || t.has&hasDash != 0 && t.run >= 17 }, findMACs},
}

func longRun(t traits) bool    { return t.run >= minToken }
func manyDigits(t traits) bool { return t.digits >= 8 }

// span is a find: s[start:end] is of a class.
type span struct {
	start, end int
	class      class
}

// traits is what one pass over the bytes of a value tells: enough to leave most
// values alone without a closer look.
type traits struct {
	has    byteSet
	digits int
	run    int // longest run of token characters
}

type byteSet uint16

const (
	hasAt byteSet = 1 << iota
	hasPercent
	hasSlash
	hasColon
	hasEquals
	hasQuote
	hasDash
	hasAmpersand
	hasWide // the first byte of full width letters, digits and signs in UTF-8
)

// minToken is the shortest run in which a key of any vendor fits.
const minToken = 15

const (
	digitBit = 1 << 7
	tokenBit = 1 << 6
)

// traitOf gives the set of a byte in the low bits, and what it counts for.
var traitOf = func() (table [256]struct {
	set    byteSet
	counts uint8
}) {
	for b := range table {
		if isDigit(byte(b)) {
			table[b].counts |= digitBit
		}
		if isAlnum(byte(b)) || strings.IndexByte("_-.+/=~", byte(b)) >= 0 {
			table[b].counts |= tokenBit
		}
	}
	for b, set := range map[byte]byteSet{'@': hasAt, '%': hasPercent, '/': hasSlash, ':': hasColon,
		'=': hasEquals, '"': hasQuote, '\'': hasQuote, '-': hasDash, '&': hasAmpersand, 0xef: hasWide} {
		table[b].set = set
	}
	return table
}()

func traitsOf[T []byte | string](s T) traits {
	var set byteSet
	digits, run, longest := 0, 0, 0
	for i := 0; i < len(s); i++ {
		t := &traitOf[s[i]]
		set |= t.set
		digits += int(t.counts >> 7)
		if t.counts&tokenBit != 0 {
			run++
			continue
		}
		longest = max(longest, run)
		run = 0
	}
	return traits{set, digits, max(longest, run)}
}

// dull reports that no detector and no decoder has anything to look for.
func (t traits) dull() bool {
	return t.has&(hasAt|hasPercent|hasEquals|hasColon|hasAmpersand|hasWide) == 0 && t.digits < 8 && t.run < minToken
}

// find runs the detectors over s and returns what they find, in order, without
// overlaps.
func find(ds []detector, s string, t traits, spans []span) []span {
	for i := range ds {
		if !ds[i].gate(t) {
			continue
		}
		from := len(spans)
		spans = ds[i].find(s, spans)
		for j := from; j < len(spans); j++ {
			spans[j].class = ds[i].class
		}
	}
	return settle(spans)
}

// settle sorts spans and resolves overlaps. A span inside another is dropped;
// where two merely overlap, the later one keeps its remainder, so that no byte
// that a detector found is left alone.
func settle(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	out := spans[:1]
	for _, sp := range spans[1:] {
		last := out[len(out)-1]
		if sp.end <= last.end {
			continue
		}
		sp.start = max(sp.start, last.end)
		out = append(out, sp)
	}
	return out
}

// before and after give the neighbours of a find, 0 at the ends.
func before(s string, i int) byte {
	if i <= 0 {
		return 0
	}
	return s[i-1]
}

func after(s string, i int) byte {
	if i >= len(s) {
		return 0
	}
	return s[i]
}

// standsAlone reports whether the digits s[start:end] are not part of a longer
// word or of a decimal.
func standsAlone(s string, start, end int) bool {
	b, a := before(s, start), after(s, end)
	if isAlnum(b) || isAlnum(a) || b == '_' || a == '_' {
		return false
	}
	if b == '.' && start >= 2 && isDigit(s[start-2]) {
		return false
	}
	return a != '.' || !isDigit(after(s, end+1))
}

func findEmails(s string, spans []span) []span {
	from := 0
	for {
		i := strings.IndexByte(s[from:], '@')
		if i < 0 {
			return spans
		}
		at := from + i
		start := at
		for start > from && isLocalByte(s[start-1]) {
			start--
		}
		for start < at && strings.IndexByte(".'-!#*~", s[start]) >= 0 {
			start++
		}
		end := at + 1
		for end < len(s) && isDomainByte(s[end]) {
			end++
		}
		for end > at && (s[end-1] == '.' || s[end-1] == '-') {
			end--
		}
		from = at + 1
		if start < at && end > at && isMailDomain(s[at+1:end]) {
			spans = append(spans, span{start: start, end: end})
			from = end
		}
	}
}

func isLocalByte(b byte) bool {
	return isAlnum(b) || b >= 0x80 || strings.IndexByte("._+-'!#$*^~", b) >= 0
}

func isDomainByte(b byte) bool { return isAlnum(b) || b >= 0x80 || b == '.' || b == '-' }

// isMailDomain wants a dot and a top-level domain, which "logo@2x.png" and
// "react@18.2.0" do not have.
func isMailDomain(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot <= 0 || strings.Contains(s, "..") {
		return false
	}
	tld := strings.ToLower(s[dot+1:])
	if strings.HasPrefix(tld, "xn--") {
		return true
	}
	return len(tld) >= 2 && every(tld, func(b byte) bool { return isLower(b) || b >= 0x80 }) && !fileSuffixes[tld]
}

var fileSuffixes = map[string]bool{"png": true, "jpg": true, "jpeg": true, "gif": true, "svg": true, "webp": true, "avif": true,
	"css": true, "js": true, "mjs": true, "json": true, "html": true, "ico": true, "pdf": true, "woff": true, "ttf": true}

func findWebTokens(s string, spans []span) []span {
	for from := 0; ; {
		i := strings.Index(s[from:], "eyJ")
		if i < 0 {
			return spans
		}
		start := from + i
		from = start + 3
		if b := before(s, start); isTokenByte(b) {
			continue
		}
		end, parts := start, [5]int{}
		n := 0
		for end < len(s) && (isTokenByte(s[end]) || s[end] == '.' && n < 4) {
			if s[end] == '.' {
				n++
			} else {
				parts[n]++
			}
			end++
		}
		for n > 2 && s[end-1] == '.' { // the full stop of a sentence
			end--
			n--
		}
		if n >= 2 && parts[0] >= 10 && (parts[1] >= 4 || n == 4) {
			spans = append(spans, span{start: start, end: end})
		}
		from = end
	}
}

func isTokenByte(b byte) bool { return isAlnum(b) || b == '-' || b == '_' }

func findPrivateKeys(s string, spans []span) []span {
	for from := 0; ; {
		i := strings.Index(s[from:], "-----BEGIN ")
		if i < 0 {
			return spans
		}
		start := from + i
		from = start + 11
		label := s[from:min(from+60, len(s))]
		if j := strings.Index(label, "-----"); j < 0 || !strings.Contains(label[:j], "PRIVATE KEY") {
			continue
		}
		end := len(s) // a block that is cut off is secret to its end
		if j := strings.Index(s[from:], "-----END "); j >= 0 {
			end = from + j + 9
			if k := strings.Index(s[end:], "-----"); k >= 0 && k < 60 {
				end += k + 5
			}
		}
		spans = append(spans, span{start: start, end: end})
		from = end
	}
}

// vendorRow is a kind of key that says itself what it is.
type vendorRow struct {
	prefix   string
	min, max int // length behind the prefix; max 0: any
	more     string
	mixed    bool // a digit is required: the prefix alone is a word
}

// vendors lists prefixes that the vendors document for their keys (the
// selection follows the value-shaped rules of gitleaks). more has what may
// follow beside letters and digits.
var vendors = []vendorRow{
	{prefix: "AKIA", min: 16, max: 16},
	{prefix: "ASIA", min: 16, max: 16},
	{prefix: "ABIA", min: 16, max: 16},
	{prefix: "ACCA", min: 16, max: 16},
	{prefix: "AIza", min: 35, more: "_-"},
	{prefix: "ya29.", min: 20, more: "_-"},
	{prefix: "GOCSPX-", min: 20, more: "_-"},
	{prefix: "ghp_", min: 36}, {prefix: "gho_", min: 36}, {prefix: "ghu_", min: 36}, {prefix: "ghs_", min: 36}, {prefix: "ghr_", min: 36},
	{prefix: "github_pat_", min: 22, more: "_"},
	{prefix: "glpat-", min: 20, more: "_-."}, {prefix: "gldt-", min: 20, more: "_-"}, {prefix: "glrt-", min: 20, more: "_-"},
	{prefix: "sk_live_", min: 10}, {prefix: "sk_test_", min: 10}, {prefix: "rk_live_", min: 10}, {prefix: "rk_test_", min: 10},
	{prefix: "whsec_", min: 20, more: "+/="},
	{prefix: "sk-ant-", min: 20, more: "_-"},
	{prefix: "sk-proj-", min: 20, more: "_-"},
	{prefix: "sk-", min: 20, more: "_-", mixed: true},
	{prefix: "xoxb-", min: 10, more: "-"}, {prefix: "xoxa-", min: 10, more: "-"}, {prefix: "xoxp-", min: 10, more: "-"},
	{prefix: "xoxr-", min: 10, more: "-"}, {prefix: "xoxs-", min: 10, more: "-"}, {prefix: "xoxe-", min: 10, more: "-"},
	{prefix: "xapp-", min: 10, more: "-"},
	{prefix: "hooks.slack.com/services/", min: 20, more: "/"},
	{prefix: "SG.", min: 60, more: "_-."},
	{prefix: "key-", min: 32, max: 32, mixed: true},
	{prefix: "npm_", min: 36, max: 36},
	{prefix: "pypi-", min: 50, more: "_-"},
	{prefix: "dop_v1_", min: 64, max: 64}, {prefix: "doo_v1_", min: 64, max: 64},
	{prefix: "dapi", min: 32, max: 34, mixed: true},
	{prefix: "hvs.", min: 20, more: "_-"}, {prefix: "hvb.", min: 20, more: "_-"},
	{prefix: "hf_", min: 30},
	{prefix: "shpat_", min: 32}, {prefix: "shpca_", min: 32}, {prefix: "shppa_", min: 32}, {prefix: "shpss_", min: 32},
	{prefix: "sq0atp-", min: 22, more: "_-"}, {prefix: "sq0csp-", min: 43, more: "_-"}, {prefix: "EAAAE", min: 50, more: "_-"},
	{prefix: "lin_api_", min: 40}, {prefix: "PMAK-", min: 40, more: "-"}, {prefix: "secret_", min: 43, max: 43, mixed: true},
	{prefix: "dckr_pat_", min: 20, more: "_-"}, {prefix: "NRAK-", min: 27}, {prefix: "glsa_", min: 32, more: "_"},
	{prefix: "AGE-SECRET-KEY-1", min: 58},
}

// vendorsBy finds the candidates by their first byte.
var vendorsBy = func() (table [256][]*vendorRow) {
	for i := range vendors {
		b := vendors[i].prefix[0]
		table[b] = append(table[b], &vendors[i])
	}
	return table
}()

// longestKey bounds the look ahead.
const longestKey = 2048

func findVendorKeys(s string, spans []span) []span {
	for i := 0; i < len(s); i++ {
		rows := vendorsBy[s[i]]
		if rows == nil || isAlnum(before(s, i)) {
			continue
		}
		for _, v := range rows {
			if end := v.match(s, i); end > 0 {
				spans = append(spans, span{start: i, end: end})
				i = end - 1
				break
			}
		}
	}
	return spans
}

// match returns where the key that begins at i ends, or 0.
func (v *vendorRow) match(s string, i int) int {
	if !strings.HasPrefix(s[i:], v.prefix) {
		return 0
	}
	start := i + len(v.prefix)
	end, digits := start, 0
	for end < len(s) && end-start < longestKey && (isAlnum(s[end]) || strings.IndexByte(v.more, s[end]) >= 0) {
		if isDigit(s[end]) {
			digits++
		} else if v.mixed && digits == 0 && end-start > 64 { // words and dashes; looking on would take long
			return 0
		}
		end++
	}
	n := end - start
	if n < v.min || v.max > 0 && n > v.max || v.mixed && digits == 0 {
		return 0
	}
	return end
}

// vendorPrefix is the length of the prefix that s begins with.
func vendorPrefix(s string) int {
	if s == "" {
		return 0
	}
	for _, v := range vendorsBy[s[0]] {
		if strings.HasPrefix(s, v.prefix) {
			return len(v.prefix)
		}
	}
	return 0
}
