package scrub

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	numbers = "0123456789"
)

// draws is the keyed random source of one class. Seeded with a text it gives
// the same sequence for the same text and key, on every machine: ChaCha8 is
// specified (C2SP chacha8rand), and the reduction below is our own.
type draws struct {
	mac hash.Hash
	src *rand.ChaCha8
	sum [sha256.Size]byte
}

func newDraws(key []byte) *draws {
	return &draws{mac: hmac.New(sha256.New, key), src: rand.NewChaCha8([32]byte{})}
}

func (d *draws) seed(text string) {
	d.mac.Reset()
	d.mac.Write([]byte(text))
	d.src.Seed([32]byte(d.mac.Sum(d.sum[:0])))
}

// below draws evenly from [0, n): what would favour the low numbers is drawn
// again.
func (d *draws) below(n int) int {
	limit := ^uint64(0) - ^uint64(0)%uint64(n)
	for {
		if v := d.src.Uint64(); v < limit {
			return int(v % uint64(n))
		}
	}
}

func (d *draws) from(alphabet string) byte { return alphabet[d.below(len(alphabet))] }

// attempts bounds the draws of a surrogate that must differ from its original:
// a one-digit value is met again once in ten.
const attempts = 8

// unique replaces the digits of a number by a permutation of all numbers as
// long, so that two accounts never become one. Letters, and numbers too short for
// that, are drawn.
func (w *worker) unique(c class, s string) string {
	digits := digitsOnly(s)
	if w.ff1 == nil {
		w.ff1, _ = newFF1(w.s.others[permutations], 10) // a key of 32 bytes has no error
	}
	out, err := w.ff1.encrypt(digits, []byte(classes[c].name))
	if err != nil {
		return s
	}
	return fill(s, out)
}

// surrogate returns the stand-in for s: never s itself, unless s is recognised
// as a surrogate already or has nothing in it that could identify anybody.
func (w *worker) surrogate(c class, s string) string {
	row := &classes[c]
	if row.reserved != nil && row.reserved(s) {
		return s
	}
	if row.remove {
		return w.gone(s)
	}
	if w.s.isSealed(c, s) {
		return s
	}
	out := w.fresh(c, s)
	w.note(c, s, out)
	return out
}

// fresh draws a surrogate that is not the original.
func (w *worker) fresh(c class, s string) string {
	if c == webToken {
		return w.webToken(s)
	}
	if i := strings.LastIndexByte(s, '/'); c == record && i >= 0 && i+1 < len(s) { // a reference names the kind of record
		return s[:i+1] + w.fresh(c, s[i+1:])
	}
	row, d := &classes[c], w.drawsOf(c)
	d.seed(row.canonical(s))
	for range attempts {
		out := row.surrogate(d, s)
		switch {
		case sealing(c):
			out = w.s.seal(out)
		case (c == bank || c == record) && countDigits(s) >= 6 && every(s, func(b byte) bool { return b < 0x80 && !isLetter(b) }):
			out = w.unique(c, s)
		}
		if out != s {
			return out
		}
	}
	return masked(s, 'x', 'X', '0')
}

// letters replaces letter by letter and digit by digit, case kept. Scripts
// without case give lower-case Latin letters.
func letters(d *draws, s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r < 0x80 && isDigit(byte(r)):
			b.WriteByte(d.from(numbers))
		case unicode.IsUpper(r):
			b.WriteByte(d.from(uppers))
		case unicode.IsLetter(r) || r == utf8.RuneError:
			b.WriteByte(d.from(lowers))
		case unicode.IsNumber(r):
			b.WriteByte(d.from(numbers))
		case unicode.IsMark(r): // belongs to a letter that is gone
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// token replaces every character that could carry a secret; only what
// separates the parts of a token stays. Hexadecimal stays hexadecimal, and a
// UUID keeps version and variant.
func token(d *draws, s string) string {
	hex := len(s) >= 8 && every(s, func(b byte) bool { return isHex(b) || b == '-' })
	uuid := hex && isUUID(s)
	out := make([]byte, 0, len(s))
	for i, r := range s {
		switch {
		case r >= 0x80:
			out = append(out, d.from(lowers))
		case uuid && (i == 14 || i == 19):
			out = append(out, byte(r))
		case isDigit(byte(r)) && hex && i > 0:
			out = append(out, d.from("0123456789abcdef"))
			if hasUpper(s) {
				out[len(out)-1] = upper(out[len(out)-1])
			}
		case isDigit(byte(r)):
			out = append(out, d.from(numbers))
		case isLower(byte(r)) && hex:
			out = append(out, d.from("abcdef"))
		case isUpper(byte(r)) && hex:
			out = append(out, d.from("ABCDEF"))
		case isLower(byte(r)):
			out = append(out, d.from(lowers))
		case isUpper(byte(r)):
			out = append(out, d.from(uppers))
		case strings.IndexByte("-_.~+/=:, \t\r\n", byte(r)) >= 0:
			out = append(out, byte(r))
		default:
			out = append(out, d.from(lowers))
		}
	}
	return string(out)
}

func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

func hasUpper(s string) bool { return strings.ContainsAny(s, uppers) }

func upper(b byte) byte {
	if isLower(b) {
		return b - 0x20
	}
	return b
}

// vendorToken keeps the prefix by which a vendor marks its keys.
func vendorToken(d *draws, s string) string {
	p := vendorPrefix(s)
	return s[:p] + token(d, s[p:])
}

// jwtToken keeps the three parts, their lengths and the two letters that every
// encoded JSON object begins with; it never carries a signature that verifies.
func jwtToken(d *draws, s string) string {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		keep := 0
		if strings.HasPrefix(p, "ey") && i < 2 {
			keep = 2
		}
		b := []byte(p)
		for j := keep; j < len(b); j++ {
			switch {
			case i == 0 && j == 2:
				b[j] = 'J' // {" of the header
			case isAlnum(b[j]), b[j] == '-', b[j] == '_':
				b[j] = d.from(uppers + lowers + numbers)
			}
		}
		parts[i] = string(b)
	}
	return strings.Join(parts, ".")
}

// pemBlock keeps the lines that begin and end a block.
func pemBlock(d *draws, s string) string {
	lines := strings.SplitAfter(s, "\n")
	for i, l := range lines {
		if !strings.HasPrefix(l, "-----") {
			lines[i] = token(d, l)
			continue
		}
		if end := strings.LastIndex(l, "-----"); end > 0 {
			lines[i] = l[:end] + token(d, l[end:]) // a block on one line keeps nothing between
		}
		if j := strings.Index(l, "KEY-----"); j >= 0 && j+8 < len(l) {
			lines[i] = l[:j+8] + token(d, l[j+8:])
		}
	}
	return strings.Join(lines, "")
}

// emailAddress keeps the shape of the local part. Addresses of one domain stay
// in one domain, below the reserved .example (RFC 2606).
func emailAddress(d *draws, s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return letters(d, s)
	}
	local, domain := s[:at], strings.ToLower(s[at+1:])
	d.seed("@" + domain)
	label := make([]byte, 0, 8)
	for range 6 {
		label = append(label, d.from(consonants))
	}
	d.seed(strings.ToLower(s))
	return token(d, local) + "@" + string(append(label, checkLetters(label)...)) + ".example"
}

// consonants spell the domains of surrogates: no word and no company does
// without vowels for eight letters.
const consonants = "bcdfghjklmnpqrstvwxz"

// checkLetters are two letters by which a surrogate domain is known again.
func checkLetters(label []byte) []byte {
	sum := 0
	for _, b := range label {
		sum = (sum*31 + int(b)) % (len(consonants) * len(consonants))
	}
	return []byte{consonants[sum/len(consonants)], consonants[sum%len(consonants)]}
}

func isReservedEmail(s string) bool {
	local, label, ok := strings.Cut(s, "@")
	label, example := strings.CutSuffix(label, ".example")
	if !ok || local == "" || !example || len(label) != 8 {
		return false
	}
	for i := range label {
		if strings.IndexByte(consonants, label[i]) < 0 {
			return false
		}
	}
	return string(checkLetters([]byte(label[:6]))) == label[6:]
}

// fill writes digits into the digit positions of s, from the left.
func fill(s, digits string) string {
	b := []byte(s)
	n := 0
	for i := range b {
		if isDigit(b[i]) && n < len(digits) {
			b[i] = digits[n]
			n++
		}
	}
	return string(b)
}

func (d *draws) digits(n int) string {
	b := make([]byte, max(n, 0))
	for i := range b {
		b[i] = d.from(numbers)
	}
	return string(b)
}

// cardNumber keeps brand, length and separators, begins with a prefix that the
// brand uses for tests only, and ends with the right check digit.
func cardNumber(d *draws, s string) string {
	digits := digitsOnly(s)
	if len(digits) < 12 {
		return letters(d, s)
	}
	prefix := testPrefix(digits)
	body := prefix + d.digits(len(digits)-2-len(prefix))
	body += string(markDigit(body))
	return fill(s, body+string(luhnDigit(body)))
}

// markDigit is the check digit of ISO 7064 MOD 11,10. In front of the check digit
// of the card it marks a surrogate: of the numbers that begin as those for tests
// do, one in ten has it by chance.
func markDigit(body string) byte {
	p := 10
	for i := range len(body) {
		if p = (p + int(body[i]-'0')) % 10; p == 0 {
			p = 10
		}
		p = p * 2 % 11
	}
	return byte('0' + (11-p)%10)
}

func isReservedCard(s string) bool {
	digits := digitsOnly(s)
	n := len(digits)
	b := brandOf(digits)
	return b != nil && !b.keyOnly && strings.HasPrefix(digits, b.test) && digits[n-2] == markDigit(digits[:n-2]) && luhn(digits) &&
		every(s, func(b byte) bool { return !isLetter(b) && b < 0x80 })
}

// reservedBank begins the bank code of surrogates where it has digits; where it
// has letters they are X. Registries assign codes from the low end of the range
// on, and none is known to have given its last ones to a bank that takes
// deposits; but no registry promises that, as those of example domains and
// addresses for documentation do.
const reservedBank = "9999"

// isReservedIBAN recognises a surrogate by its bank code.
func isReservedIBAN(s string) bool {
	compact := alnumOnly(s)
	if len(compact) < 15 || ibanLengths[compact[:2]] != len(compact) {
		return false
	}
	for i := range len(reservedBank) {
		if c := compact[4+i]; c != 'X' && c != reservedBank[i] {
			return false
		}
	}
	return true
}

// ibanNumber keeps country, length and which places hold letters, and has
// valid check digits (ISO 13616).
func ibanNumber(d *draws, s string) string {
	compact := alnumOnly(s)
	if len(compact) < 5 || !isLetter(compact[0]) || !isLetter(compact[1]) {
		return letters(d, s)
	}
	body := []byte(compact)
	for i := 4; i < len(body); i++ {
		if i < 4+len(reservedBank) {
			body[i] = 'X'
			if isDigit(compact[i]) {
				body[i] = reservedBank[i-4]
			}
		} else if isDigit(body[i]) {
			body[i] = d.from(numbers)
		} else {
			body[i] = d.from(uppers)
		}
	}
	body[2], body[3] = '0', '0'
	check := 98 - mod97(string(body))
	body[2], body[3] = byte('0'+check/10), byte('0'+check%10)
	out := []byte(s)
	n := 0
	for i := range out {
		if !isAlnum(out[i]) {
			continue
		}
		lower := isLower(out[i])
		if out[i] = body[n]; lower && isUpper(body[n]) {
			out[i] |= 0x20
		}
		n++
	}
	return string(out)
}

// phoneNumber keeps punctuation and length. North American numbers become
// 555-01xx, which is reserved for fiction; others get two zeros behind the
// country code, or begin with 000 or 999, which nobody is assigned. "00" in
// front of a country code is another way to write the plus.
func phoneNumber(d *draws, s string) string {
	digits := digitsOnly(s)
	n := len(digits)
	plus := strings.Contains(s, "+")
	switch {
	case n < 7:
		return letters(d, s)
	case isNANP(digits, plus):
		lead := digits[:n-10]
		area := string([]byte{d.from("23456789"), d.from("012345678"), d.from(numbers)})
		return fillPhone(d, s, lead+area+"55501"+d.digits(2))
	case plus:
		cc := countryCode(digits)
		return fillPhone(d, s, digits[:cc]+"00"+d.digits(n-cc-2))
	case isZeros(digits):
		cc := 2 + countryCode(digits[2:])
		return fillPhone(d, s, digits[:cc]+"00"+d.digits(n-cc-2))
	case digits[0] == '0':
		return fillPhone(d, s, "000"+d.digits(n-3))
	}
	return fillPhone(d, s, "999"+d.digits(n-3))
}

// isZeros reports whether digits are a number with 00 for the plus.
func isZeros(digits string) bool {
	return len(digits) >= 10 && digits[:2] == "00" && digits[2] != '0'
}

// canonicalPhone is the number whichever way its plus is written.
func canonicalPhone(s string) string {
	digits := digitsOnly(s)
	if isZeros(digits) {
		return digits[2:]
	}
	return digits
}

// fillPhone also replaces the letters of "ext" and of numbers spelled as words.
func fillPhone(d *draws, s, digits string) string {
	b := []byte(fill(s, digits))
	for i := range b {
		if isLetter(b[i]) {
			b[i] = d.from(lowers)
		}
	}
	return string(b)
}

func isReservedPhone(s string) bool {
	for i := range len(s) {
		if isLetter(s[i]) || s[i] >= 0x80 || s[i] == '@' {
			return false
		}
	}
	digits := digitsOnly(s)
	n := len(digits)
	plus := strings.Contains(s, "+")
	switch {
	case n < 7 || n > 15:
		return false
	case isNANP(digits, plus):
		return digits[n-7:n-2] == "55501"
	case plus:
		return strings.HasPrefix(digits[countryCode(digits):], "00")
	case isZeros(digits):
		return strings.HasPrefix(digits[2+countryCode(digits[2:]):], "00")
	}
	return strings.HasPrefix(digits, "000") || strings.HasPrefix(digits, "999") && n >= 10
}

// ssnNumber draws from the areas 900 to 999, which are never issued as social
// security numbers, and of those from the groups below 50, which are never
// issued as taxpayer numbers either (IRS Publication 1915).
func ssnNumber(d *draws, s string) string {
	if countDigits(s) != 9 {
		return letters(d, s)
	}
	return fill(s, "9"+d.digits(2)+strconv.Itoa(10+d.below(40))+strconv.Itoa(1000+d.below(9000)))
}

func isReservedSSN(s string) bool {
	digits := digitsOnly(s)
	return len(digits) == 9 && digits[0] == '9' && digits[3] >= '1' && digits[3] < '5' && every(s, func(b byte) bool { return isDigit(b) || b == '-' || b == ' ' })
}

// documentation ranges: RFC 5737 and RFC 3849.
var documentation = [...]netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("2001:db8::/32"),
}

// splitIP finds the address in "1.2.3.4", "1.2.3.4:80", "[::1]:80" and
// "10.0.0.0/8": its offsets in s.
func splitIP(s string) (addr netip.Addr, start, end int, ok bool) {
	end = len(s)
	if strings.HasPrefix(s, "[") {
		start = 1
		if i := strings.IndexByte(s, ']'); i > 0 {
			end = i
		}
	} else if i := strings.IndexByte(s, '/'); i >= 0 {
		end = i
	} else if strings.Count(s, ":") == 1 {
		end = strings.IndexByte(s, ':')
	}
	addr, err := netip.ParseAddr(s[start:end])
	return addr.Unmap().WithZone(""), start, end, err == nil
}

func canonicalIP(s string) string {
	if a, _, _, ok := splitIP(s); ok {
		return a.String()
	}
	return s
}

// ipAddress gives an address for documentation. Addresses of one network stay in
// one: of a /24, or of a /32, a /48 and a /64.
func ipAddress(d *draws, s string) string {
	a, start, end, ok := splitIP(s)
	if !ok {
		return letters(d, s)
	}
	whole := a.String()
	if a.Is4() {
		net := a.As4()
		d.seed(string(net[:3]))
		b := documentation[d.below(3)].Addr().As4()
		d.seed(whole)
		b[3] = byte(1 + d.below(254))
		return s[:start] + netip.AddrFrom4(b).String() + s[end:]
	}
	b := documentation[3].Addr().As16()
	net := a.As16()
	for _, prefix := range [...]struct{ from, bytes int }{{4, 4}, {6, 6}, {8, 8}} { // of the provider, the site, the link
		d.seed(string(net[:prefix.bytes]))
		b[prefix.from], b[prefix.from+1] = byte(d.below(256)), byte(d.below(256))
	}
	d.seed(whole)
	for i := 10; i < len(b); i++ {
		b[i] = byte(d.below(256))
	}
	return s[:start] + netip.AddrFrom16(b).String() + s[end:]
}

// isReservedIP is true for documentation addresses and for those that say
// nothing about a person: loopback, private, link-local, unspecified.
func isReservedIP(s string) bool {
	a, _, _, ok := splitIP(s)
	if !ok {
		return false
	}
	for _, p := range documentation {
		if p.Contains(a) {
			return true
		}
	}
	return a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || a.IsLinkLocalUnicast()
}

// dayInYear moves a date to another day of its year, in its own format. Where
// day and month cannot be told apart, the result is valid either way.
func dayInYear(d *draws, s string) string {
	digits := digitsOnly(s)
	if len(s) == 7 && s[4] == '-' && len(digits) == 6 && plausibleYear(s[:4]) {
		month := d.below(12) + 1
		return s[:5] + string([]byte{byte('0' + month/10), byte('0' + month%10)})
	}
	if strings.Count(s, "/") == 2 && dateEnd(s, 0) == len(s) {
		return slashedDay(d, s)
	}
	if len(digits) < 8 {
		return letters(d, s)
	}
	lead := 0
	for lead < len(s) && isDigit(s[lead]) {
		lead++
	}
	day := d.below(28) + 1
	month := d.below(12) + 1
	two := func(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
	switch {
	case lead == 4 || lead >= 8 && plausibleYear(digits[:4]): // year first
		return fill(s, digits[:4]+two(month)+two(day))
	case lead <= 2 && plausibleYear(digits[4:8]):
		return fill(s, two(month)+two(d.below(12)+1)+digits[4:8])
	}
	return letters(d, s)
}

// slashedDay draws day and month of a date like 3/14/2026, each as wide as it was.
// Whichever comes first, the result is a date.
func slashedDay(d *draws, s string) string {
	parts := strings.Split(s, "/")
	for i, p := range parts[:2] {
		if n := d.below(12) + 1; len(p) == 2 {
			parts[i] = string([]byte{byte('0' + n/10), byte('0' + n%10)})
		} else {
			parts[i] = string(d.from(numbers[1:]))
		}
	}
	return strings.Join(parts, "/")
}

func plausibleYear(s string) bool {
	y, err := strconv.Atoi(s)
	return err == nil && y >= 1850 && y <= 2100
}

// coordinate keeps one decimal, about eleven kilometres, and draws the rest.
func coordinate(d *draws, s string) string {
	dot := strings.IndexByte(s, '.')
	if dot < 0 || dot+2 > len(s) {
		return letters(d, s)
	}
	b := []byte(s)
	for i := dot + 2; i < len(b) && isDigit(b[i]); i++ {
		b[i] = d.from(numbers)
	}
	return string(b)
}

// masked replaces letters and digits by the given ones.
func masked(s string, lower, upper, digit byte) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsDigit(r) || unicode.IsNumber(r):
			b.WriteByte(digit)
		case unicode.IsUpper(r):
			b.WriteByte(upper)
		case unicode.IsLetter(r) || unicode.IsMark(r) || r == utf8.RuneError:
			b.WriteByte(lower)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// maxSafe is the largest whole number that every JSON reader keeps exactly.
const maxSafe = "9007199254740991"

// number returns a stand-in for a JSON number: a number of the same sign,
// width and precision, without a leading zero.
func (w *worker) number(c class, raw string) string {
	sign, digits := "", raw
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if classes[c].remove {
		if w.inMemory {
			return quoted(w.gone(raw))
		}
		return "0"
	}
	if c == age {
		return sign + w.surrogate(c, digits)
	}
	if every(digits, isDigit) {
		out := w.surrogate(c, digits)
		if len(out) == len(digits) && every(out, isDigit) && out[0] != '0' {
			return sign + out
		}
	}
	if dot := strings.IndexByte(digits, '.'); (c == location || c == coordinates) && dot > 0 && dot+2 < len(digits) && !strings.ContainsAny(digits, "eE") {
		return sign + w.surrogate(c, digits)
	}
	return sign + w.plainNumber(c, digits)
}

func (w *worker) plainNumber(c class, digits string) string {
	d := w.drawsOf(c)
	d.seed(classes[c].canonical(digits))
	mantissa := digits
	if e := strings.IndexAny(digits, "eE"); e >= 0 {
		mantissa = digits[:e]
	}
	b := []byte(digits)
	for range attempts {
		for i := range mantissa {
			switch {
			case !isDigit(mantissa[i]):
			case i > 0:
				b[i] = d.from(numbers)
			case mantissa[0] != '0' || len(mantissa) == 1:
				b[i] = d.from(numbers[1:])
			}
		}
		if string(b) != digits {
			break
		}
	}
	if len(b) == len(maxSafe) && digits <= maxSafe && string(b) > maxSafe {
		b[0] = '1'
	}
	return string(b)
}

// maskedNumber keeps the width: 12.5 becomes 10.0.
func maskedNumber(raw string) string {
	b := []byte(raw)
	first := true
	for i := range b {
		if !isDigit(b[i]) {
			if b[i]|0x20 == 'e' {
				break
			}
			continue
		}
		b[i] = '0'
		if first && i+1 < len(b) && isDigit(b[i+1]) {
			b[i] = '1'
		}
		first = false
	}
	return string(b)
}
