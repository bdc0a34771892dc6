package scrub

import (
	"net/netip"
	"strings"
)

// findMACs finds EUI-48 addresses, six pairs of hexadecimal digits between
// colons or dashes. Pairs of which none has a letter are dates and times more
// often, and more than six pairs are a fingerprint.
func findMACs(s string, spans []span) []span {
	for i := 2; i+15 <= len(s); i++ {
		if s[i] != ':' && s[i] != '-' || !isHex(s[i-1]) || !isHex(s[i-2]) {
			continue
		}
		start := i - 2
		end := start + 17
		if !isMAC(s[start:end]) || isAddressByte(before(s, start), s[i]) || isAddressByte(after(s, end), s[i]) {
			continue
		}
		spans = append(spans, span{start: start, end: end})
		i = end
	}
	return spans
}

func isAddressByte(b, sep byte) bool { return isAlnum(b) || b == sep || b == '_' }

// isMAC reports whether s is an EUI-48 address with a letter in it.
func isMAC(s string) bool {
	if len(s) != 17 || s[2] != ':' && s[2] != '-' {
		return false
	}
	letter := false
	for i := range len(s) {
		switch {
		case i%3 == 2:
			if s[i] != s[2] {
				return false
			}
		case !isHex(s[i]):
			return false
		default:
			letter = letter || isLetter(s[i])
		}
	}
	return letter
}

// reservedMAC begins the addresses of surrogates: locally administered (IEEE
// 802 sets the second bit of the first octet), so no device was sold with one.
const reservedMAC = "0200ed"

// deviceID is a token, or an address for an address.
func deviceID(d *draws, s string) string {
	if !isMAC(s) {
		return token(d, s)
	}
	hex := reservedMAC + strings.ToLower(hexDigits(d, 6))
	if hasUpper(s) {
		hex = strings.ToUpper(hex)
	}
	sep := s[2:3]
	return hex[:2] + sep + hex[2:4] + sep + hex[4:6] + sep + hex[6:8] + sep + hex[8:10] + sep + hex[10:]
}

func hexDigits(d *draws, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = d.from("0123456789abcdef")
	}
	return string(b)
}

func isReservedMAC(s string) bool {
	return isMAC(s) && strings.EqualFold(s[:2]+s[3:5]+s[6:8], reservedMAC)
}

// findIPv6 finds global unicast addresses (RFC 4291: 2000::/3) of four groups
// or more. Those of version 4 look like version numbers and are known by the
// names of their fields only.
func findIPv6(s string, spans []span) []span {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], ':')
		if i < 0 {
			return spans
		}
		start, end := from+i, from+i
		for start > from && isHex(s[start-1]) {
			start--
		}
		for end < len(s) && (isHex(s[end]) || s[end] == ':') {
			end++
		}
		from = end
		v := strings.TrimRight(s[start:end], ":")
		end = start + len(v)
		if n := strings.Count(v, ":"); n < 3 || n > 7 || v[0] != '2' && v[0] != '3' || strings.IndexByte(v, ':') != 4 {
			continue
		}
		if b := before(s, start); isAlnum(b) || b == '_' || b == '.' || isAlnum(after(s, end)) {
			continue
		}
		if a, err := netip.ParseAddr(v); err == nil && a.Is6() && a.IsGlobalUnicast() {
			spans = append(spans, span{start: start, end: end})
		}
	}
}
