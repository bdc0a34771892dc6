package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The values of the corpus are made from the definitions of their formats
// (check digits, alphabets, lengths), not from what the detectors look for.

// species is one kind of value that must not come out, or of what only looks
// like one.
type species struct {
	name   string
	fields []string // names under which it is known; none: it shows by its form
	make   func(r *rand.Rand) string
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func drawn(r *rand.Rand, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func randomDigits(r *rand.Rand, n int) string { return drawn(r, numbers, n) }

const base62 = uppers + lowers + numbers

var syllables = strings.Fields("ba ke lo mi nu ra se to vi wa zen dor fel gar hul jin kas lor mar nis pol qua rin sol tam ur ver wil xan yor")

// word is a name that is in no list.
func word(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(pick(r, syllables...))
	}
	s := b.String()
	return strings.ToUpper(s[:1]) + s[1:]
}

func corpusEmail(r *rand.Rand) string {
	local := strings.ToLower(word(r, 2))
	switch r.IntN(5) {
	case 0:
		local += "." + strings.ToLower(word(r, 3))
	case 1:
		local += "+" + drawn(r, lowers, 4) + randomDigits(r, 2)
	case 2:
		local += randomDigits(r, 2+r.IntN(3))
	case 3:
		local = word(r, 2) + "_" + word(r, 2)
	}
	return local + "@" + strings.ToLower(word(r, 3)) + pick(r, ".com", ".de", ".co.uk", ".io", ".com.br", ".museum")
}

// isoCard makes a number by ISO/IEC 7812: an issuer's range, a length, a check
// digit from a sum over doubled digits.
func isoCard(r *rand.Rand) string {
	type issuer struct {
		prefix string
		length int
	}
	ranges := []issuer{{"4", 16}, {"4", 16}, {fmt.Sprint(51 + r.IntN(5)), 16}, {fmt.Sprint(2221 + r.IntN(500)), 16}, {pick(r, "34", "37"), 15},
		{"6011", 16}, {"65", 16}, {fmt.Sprint(3528 + r.IntN(62)), 16}, {pick(r, "36", "300", "305", "38"), 14}, {"62", 16}}
	is := ranges[r.IntN(len(ranges))]
	body := is.prefix + randomDigits(r, is.length-1-len(is.prefix))
	sum := 0
	for i := range body {
		v := int(body[i] - '0')
		if (is.length-i)%2 == 0 {
			v *= 2
		}
		sum += v/10 + v%10
	}
	full := body + strconv.Itoa((10-sum%10)%10)
	if is.length == 16 && r.IntN(3) == 0 {
		sep := pick(r, " ", "-")
		return full[:4] + sep + full[4:8] + sep + full[8:12] + sep + full[12:]
	}
	return full
}

// isoIBAN makes a number by ISO 13616: the structure of the country's registry
// entry, check digits that make the remainder by 97 one.
func isoIBAN(r *rand.Rand) string {
	structures := []struct{ country, bban string }{{"DE", "18n"}, {"FR", "10n11c2n"}, {"GB", "4a14n"}, {"ES", "20n"}, {"IT", "1a10n12c"}, {"NL", "4a10n"},
		{"BE", "12n"}, {"AT", "16n"}, {"CH", "5n12c"}, {"PL", "24n"}, {"NO", "11n"}, {"SE", "20n"}, {"PT", "21n"}, {"IE", "4a14n"}, {"MT", "4a5n18c"}, {"BR", "23n1a1c"}}
	st := structures[r.IntN(len(structures))]
	var bban strings.Builder
	n := 0
	for _, c := range st.bban {
		switch c {
		case 'n':
			bban.WriteString(randomDigits(r, n))
		case 'a':
			bban.WriteString(drawn(r, uppers, n))
		case 'c':
			bban.WriteString(drawn(r, uppers+numbers, n))
		default:
			n = n*10 + int(c-'0')
			continue
		}
		n = 0
	}
	rest := 0
	for _, c := range bban.String() + st.country + "00" {
		if c <= '9' {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	compact := fmt.Sprintf("%s%02d%s", st.country, 98-rest, bban.String())
	if r.IntN(3) > 0 {
		return compact
	}
	var groups []string
	for len(compact) > 4 {
		groups, compact = append(groups, compact[:4]), compact[4:]
	}
	return strings.Join(append(groups, compact), " ")
}

func corpusSSN(r *rand.Rand) string {
	area := 1 + r.IntN(898)
	if area == 666 {
		area = 667
	}
	return fmt.Sprintf("%03d-%02d-%04d", area, 1+r.IntN(99), 1+r.IntN(9999))
}

func corpusToken(r *rand.Rand) string {
	enc := base64.RawURLEncoding.EncodeToString
	head := fmt.Sprintf(`{"alg":"%s","typ":"JWT"}`, pick(r, "HS256", "RS256", "ES256"))
	claims := fmt.Sprintf(`{"sub":"auth0|%s","email":%q,"exp":%d}`, drawn(r, base62, 12), corpusEmail(r), 1_700_000_000+r.IntN(1e8))
	sig := make([]byte, 32)
	for i := range sig {
		sig[i] = byte(r.IntN(256))
	}
	return enc([]byte(head)) + "." + enc([]byte(claims)) + "." + enc(sig)
}

func corpusVendorKey(r *rand.Rand) string {
	hexes := func(n int) string { return drawn(r, "0123456789abcdef", n) }
	switch r.IntN(14) {
	case 0:
		return pick(r, "AKIA", "ASIA") + drawn(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
	case 1:
		return "AIza" + drawn(r, base62+"-_", 35)
	case 2:
		return pick(r, "ghp_", "gho_", "ghs_") + drawn(r, base62, 36)
	case 3:
		return "github_pat_" + drawn(r, base62, 22) + "_" + drawn(r, base62, 59)
	case 4:
		return "glpat-" + drawn(r, base62, 20)
	case 5:
		return pick(r, "sk_live_", "rk_live_", "sk_test_") + drawn(r, base62, 24)
	case 6:
		return "xoxb-" + randomDigits(r, 12) + "-" + randomDigits(r, 12) + "-" + drawn(r, base62, 24)
	case 7:
		return "SG." + drawn(r, base62, 22) + "." + drawn(r, base62, 43)
	case 8:
		return "npm_" + drawn(r, base62, 36)
	case 9:
		return "sk-proj-" + drawn(r, base62, 48)
	case 10:
		return "dop_v1_" + hexes(64)
	case 11:
		return "hvs." + drawn(r, base62, 90)
	case 12:
		return "shpat_" + hexes(32)
	}
	return "hf_" + drawn(r, lowers+uppers, 34)
}

func corpusPEM(r *rand.Rand) string {
	kind := pick(r, "", "RSA ", "EC ", "OPENSSH ")
	var b strings.Builder
	b.WriteString("-----BEGIN " + kind + "PRIVATE KEY-----\n")
	for range 4 {
		b.WriteString(drawn(r, base62+"+/", 64) + "\n")
	}
	return b.String() + "-----END " + kind + "PRIVATE KEY-----"
}

func corpusPhone(r *rand.Rand) string {
	cc := pick(r, "44", "49", "33", "34", "39", "31", "48", "46", "61", "81", "91", "351", "420")
	n := randomDigits(r, 8)
	switch r.IntN(3) {
	case 0:
		return "+" + cc + pick(r, "1", "2", "7") + n
	case 1:
		return "+" + cc + " " + pick(r, "20", "30", "79") + " " + n[:4] + " " + n[4:]
	}
	return "+" + cc + "-" + pick(r, "20", "30", "79") + "-" + n[:4] + "-" + n[4:]
}

func corpusNANP(r *rand.Rand) string {
	area, exchange, line := fmt.Sprint(201+r.IntN(780)), fmt.Sprint(201+r.IntN(780)), randomDigits(r, 4)
	if exchange == "555" {
		exchange = "556"
	}
	switch r.IntN(3) {
	case 0:
		return "(" + area + ") " + exchange + "-" + line
	case 1:
		return area + "-" + exchange + "-" + line
	}
	return "+1" + area + exchange + line
}

// Tax number of Brazil: two check digits, mod 11, weights from 10 and 11 down.
func corpusCPF(r *rand.Rand) string {
	d := randomDigits(r, 9)
	for _, top := range []int{10, 11} {
		sum := 0
		for i := range d {
			sum += int(d[i]-'0') * (top - i)
		}
		check := (sum * 10) % 11 % 10
		d += strconv.Itoa(check)
	}
	return d[:3] + "." + d[3:6] + "." + d[6:9] + "-" + d[9:]
}

// Codice fiscale: letters of the names, year, month letter, day (women: plus
// 40), place, a check letter over odd and even places.
func corpusFiscal(r *rand.Rand) string {
	day := 1 + r.IntN(28) + 40*r.IntN(2)
	body := drawn(r, "BCDFGLMNPRSTV", 6) + randomDigits(r, 2) + drawn(r, "ABCDEHLMPRST", 1) + fmt.Sprintf("%02d", day) + drawn(r, "ABCDEFGHIL", 1) + randomDigits(r, 3)
	odd := []int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i := range body {
		v := int(body[i] - '0')
		if body[i] >= 'A' {
			v = int(body[i] - 'A')
		}
		if i%2 == 0 {
			v = odd[v]
		}
		sum += v
	}
	return body + string(rune('A'+sum%26))
}

// Number of Swiss social insurance: 756, nine digits, the check digit of EAN-13.
func corpusAHV(r *rand.Rand) string {
	d := "756" + randomDigits(r, 9)
	sum := 0
	for i := range d {
		sum += int(d[i]-'0') * (1 + 2*(i%2))
	}
	d += strconv.Itoa((10 - sum%10) % 10)
	return d[:3] + "." + d[3:7] + "." + d[7:11] + "." + d[11:]
}

// Number of a resident of China (GB 11643): region, birth date, sequence, ISO
// 7064 MOD 11-2.
func corpusResident(r *rand.Rand) string {
	d := pick(r, "110101", "310104", "440305", "510107") + fmt.Sprintf("%d%02d%02d", 1950+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)) + randomDigits(r, 3)
	sum := 0
	for i := range d {
		sum = (sum + int(d[i]-'0')) * 2 % 11
	}
	return d + string("0123456789X"[(12-sum)%11])
}

// Number of Finnish personal identity: day, century, sequence, check by 31.
func corpusHetu(r *rand.Rand) string {
	date, serial := fmt.Sprintf("%02d%02d%02d", 1+r.IntN(28), 1+r.IntN(12), r.IntN(100)), fmt.Sprintf("%03d", 2+r.IntN(898))
	n, _ := strconv.Atoi(date + serial)
	return date + pick(r, "-", "A") + serial + string("0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31])
}

func corpusNational(r *rand.Rand) string {
	return [](func(*rand.Rand) string){corpusCPF, corpusFiscal, corpusAHV, corpusResident}[r.IntN(4)](r)
}

func publicIPv4(r *rand.Rand) string {
	return fmt.Sprintf("%s.%d.%d.%d", pick(r, "81", "93", "151", "5", "62", "212"), r.IntN(256), r.IntN(256), 1+r.IntN(254))
}

func publicIPv6(r *rand.Rand) string {
	return fmt.Sprintf("%s:%x:%x:%x::%x", pick(r, "2a02", "2003", "2600", "2409"), 0x1000+r.IntN(0xefff), 0x1000+r.IntN(0xefff), 1+r.IntN(0xfffe), 1+r.IntN(0xfffe))
}

func macAddress(r *rand.Rand) string {
	b := []byte{byte(r.IntN(64)) << 2, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}
	parts := make([]string, 6)
	for i := range b {
		parts[i] = hex.EncodeToString(b[i : i+1])
	}
	return strings.Join(parts, pick(r, ":", "-"))
}

func uuid4(r *rand.Rand) string {
	h := drawn(r, "0123456789abcdef", 32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// positives are the kinds of values that must not come out.
var positives = []species{
	{"email", nil, corpusEmail},
	{"card", nil, isoCard},
	{"iban", nil, isoIBAN},
	{"phone international", nil, corpusPhone},
	{"phone north american", nil, corpusNANP},
	{"social security", nil, corpusSSN},
	{"national id", nil, corpusNational},
	{"web token", nil, corpusToken},
	{"vendor key", nil, corpusVendorKey},
	{"private key", nil, corpusPEM},
	{"mac address", nil, macAddress},
	{"ipv6", nil, publicIPv6},
	{"card track", nil, func(r *rand.Rand) string {
		return ";" + strings.NewReplacer(" ", "", "-", "").Replace(isoCard(r)) + "=" + randomDigits(r, 4) + "101" + randomDigits(r, 6) + "?"
	}},
	{"password", []string{"password", "new_password", "passwd", "passwordConfirmation"}, func(r *rand.Rand) string {
		return drawn(r, base62, 7) + drawn(r, "!-_*.", 1) + drawn(r, base62, 4)
	}},
	{"api secret", []string{"apiKey", "client_secret", "access_token", "refreshToken"}, func(r *rand.Rand) string { return drawn(r, base62, 16+r.IntN(24)) }},
	{"session", []string{"session_id", "sessionToken", "csrf_token"}, func(r *rand.Rand) string { return drawn(r, "0123456789abcdef", 32) }},
	{"name", []string{"firstName", "last_name", "full_name", "cardholder_name"}, func(r *rand.Rand) string { return word(r, 3) + " " + word(r, 3) }},
	{"username", []string{"username", "user_name", "login"}, func(r *rand.Rand) string { return strings.ToLower(word(r, 3)) + randomDigits(r, 2) }},
	{"street", []string{"street", "addressLine1", "street_address"}, func(r *rand.Rand) string { return fmt.Sprint(10+r.IntN(980)) + " " + word(r, 3) + " Street" }},
	{"postal code", []string{"zip_code", "postalCode"}, func(r *rand.Rand) string { return randomDigits(r, 5) + "-" + randomDigits(r, 4) }},
	{"birth date", []string{"dob", "date_of_birth", "birthDate"}, func(r *rand.Rand) string {
		return fmt.Sprintf("%d-%02d-%02d", 1930+r.IntN(80), 1+r.IntN(12), 1+r.IntN(28))
	}},
	{"passport", []string{"passportNumber", "driver_license_number"}, func(r *rand.Rand) string { return drawn(r, uppers, 2) + randomDigits(r, 7) }},
	{"tax number", []string{"tax_id", "bsn", "pesel", "nhsNumber", "aadhaar_number"}, func(r *rand.Rand) string { return randomDigits(r, 11) }},
	{"finnish identity", []string{"hetu", "personalIdentityCode"}, corpusHetu},
	{"bank account", []string{"accountNumber", "bank_account_number"}, func(r *rand.Rand) string { return "1" + randomDigits(r, 10) }},
	{"ipv4", []string{"client_ip", "remoteAddr", "ipAddress"}, publicIPv4},
	{"device", []string{"device_id", "advertisingId", "androidId"}, uuid4},
	{"coordinates", []string{"latitude", "longitude"}, func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%s", 10+r.IntN(60), "1"+randomDigits(r, 5)+"7")
	}},
}

// negatives look like something and are nothing; they stand under names that say
// so, or say nothing.
var negatives = []species{
	{"epoch ms", []string{"created_at", "ts", "v", "updatedAt"}, func(r *rand.Rand) string { return fmt.Sprint(1_500_000_000_000 + r.Int64N(4e11)) }},
	{"epoch us", []string{"created_at", "v", "event_time"}, func(r *rand.Rand) string { return fmt.Sprint(1_500_000_000_000_000 + r.Int64N(4e14)) }},
	{"snowflake", []string{"id", "tweetId", "message_id"}, func(r *rand.Rand) string { return fmt.Sprint(1_100_000_000_000_000_000 + r.Int64N(6e17)) }},
	{"uuid", []string{"id", "orderId", "trace"}, uuid4},
	{"sha1", []string{"commit", "sha", "digest"}, func(r *rand.Rand) string { return drawn(r, "0123456789abcdef", 40) }},
	{"sha256", []string{"checksum", "hash", "image"}, func(r *rand.Rand) string { return drawn(r, "0123456789abcdef", 64) }},
	{"order number", []string{"order", "order_no", "reference"}, func(r *rand.Rand) string {
		return "ORD-" + fmt.Sprint(2015+r.IntN(12)) + "-" + randomDigits(r, 8)
	}},
	{"sku", []string{"sku", "article", "part"}, func(r *rand.Rand) string {
		return randomDigits(r, 3) + "-" + randomDigits(r, 4) + "-" + drawn(r, uppers, 2)
	}},
	{"sku in letters", []string{"sku", "article"}, func(r *rand.Rand) string { return drawn(r, uppers, 2) + randomDigits(r, 6) + drawn(r, uppers, 1) }},
	{"semver", []string{"version", "build"}, func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d.%d-rc.%d+%s", r.IntN(20), r.IntN(99), r.IntN(999), r.IntN(9), drawn(r, "0123456789abcdef", 7))
	}},
	{"version of four", []string{"version", "firmware"}, func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d.%d.%d", r.IntN(20), r.IntN(99), r.IntN(250), r.IntN(250))
	}},
	{"price", []string{"price", "total", "amount"}, func(r *rand.Rand) string { return fmt.Sprintf("%d.%02d", r.IntN(100000), r.IntN(100)) }},
	{"16 digits without a check", []string{"number_of", "counter", "v"}, func(r *rand.Rand) string {
		for {
			if s := "4" + randomDigits(r, 15); !luhn(s) {
				return s
			}
		}
	}},
	{"check without an issuer", []string{"ref", "v", "batch"}, func(r *rand.Rand) string {
		body := pick(r, "1", "7", "8", "9") + randomDigits(r, 14)
		return body + string(luhnDigit(body))
	}},
	{"ean", []string{"ean", "gtin", "barcode"}, func(r *rand.Rand) string {
		d := pick(r, "400", "401", "500", "761", "871") + randomDigits(r, 9)
		sum := 0
		for i := range d {
			sum += int(d[i]-'0') * (1 + 2*(i%2))
		}
		return d + strconv.Itoa((10-sum%10)%10)
	}},
	{"isbn", []string{"isbn", "book"}, func(r *rand.Rand) string {
		return "978-3-" + randomDigits(r, 2) + "-" + randomDigits(r, 6) + "-" + randomDigits(r, 1)
	}},
	{"iban without a check", []string{"ref", "v"}, func(r *rand.Rand) string { return "DE00" + randomDigits(r, 18) }},
	{"timestamp", []string{"created_at", "time"}, func(r *rand.Rand) string {
		return fmt.Sprintf("20%02d-%02d-%02dT%02d:%02d:%02d.%03dZ", r.IntN(30), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000))
	}},
	{"date", []string{"valid_from", "due"}, func(r *rand.Rand) string {
		return fmt.Sprintf("20%02d-%02d-%02d", r.IntN(30), 1+r.IntN(12), 1+r.IntN(28))
	}},
	{"float", []string{"score", "ratio", "v"}, func(r *rand.Rand) string { return "0." + randomDigits(r, 16) + "1" }},
	{"page token", []string{"nextPageToken", "page_token", "cursor"}, func(r *rand.Rand) string { return "CA" + drawn(r, base62, 20) }},
	{"idempotency key", []string{"idempotencyKey", "partitionKey"}, func(r *rand.Rand) string { return drawn(r, "0123456789abcdef", 32) }},
	{"package", []string{"dependency", "module"}, func(r *rand.Rand) string {
		return strings.ToLower(word(r, 2)) + "@" + fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(9), r.IntN(9))
	}},
	{"picture", []string{"icon", "logo"}, func(r *rand.Rand) string {
		return strings.ToLower(word(r, 2)) + "@2x." + pick(r, "png", "jpg", "webp")
	}},
	{"trace", []string{"traceparent", "v"}, func(r *rand.Rand) string {
		h := drawn(r, "0123456789abcdef", 48)
		return "00-" + h[:32] + "-" + h[32:] + "-01"
	}},
	{"colour", []string{"color", "background"}, func(r *rand.Rand) string { return "#" + drawn(r, "0123456789abcdef", 6) }},
	{"title", []string{"title", "label", "name"}, func(r *rand.Rand) string { return word(r, 2) + " chair, size " + randomDigits(r, 2) }},
	{"sentence", []string{"summary", "text"}, func(r *rand.Rand) string {
		return "Ships in " + randomDigits(r, 1) + " to 9 days; see page " + randomDigits(r, 3) + "."
	}},
	{"fingerprint", []string{"fingerprint", "thumbprint"}, func(r *rand.Rand) string {
		parts := make([]string, 20)
		for i := range parts {
			parts[i] = drawn(r, "0123456789abcdef", 2)
		}
		return strings.Join(parts, ":")
	}},
	{"private address", []string{"upstream", "v"}, func(r *rand.Rand) string {
		return fmt.Sprintf("10.%d.%d.%d:8080", r.IntN(256), r.IntN(256), r.IntN(256))
	}},
	{"dotted digits", []string{"oid", "v"}, func(r *rand.Rand) string { return "1.3.6.1.4.1." + randomDigits(r, 5) + "." + randomDigits(r, 2) }},
	{"scope", []string{"resource", "v"}, func(r *rand.Rand) string {
		return "std::" + strings.ToLower(word(r, 2)) + "::" + strings.ToLower(word(r, 2))
	}},
	{"invoice by date", []string{"invoice", "reference"}, func(r *rand.Rand) string {
		return fmt.Sprintf("%02d%02d%02d-%s", r.IntN(30), 1+r.IntN(12), 1+r.IntN(28), randomDigits(r, 4))
	}},
	{"key of a page", []string{"slug", "v"}, func(r *rand.Rand) string {
		return "sk-" + strings.ToLower(word(r, 2)) + "-" + strings.ToLower(word(r, 2))
	}},
}
