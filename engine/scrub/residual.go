package scrub

import (
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Finding is something personal in an exchange that was scrubbed. It does not
// say what, only of what kind and where.
type Finding struct {
	Place string // "request target", "request header", "response body", ...
	Class string // "email", "card-number", ...; "canary"
}

// Residual looks for what may not be in an exchange that leaves the scrubber. It
// reads the final bytes as they are, without parsing documents, and knows no field
// names; with the scrubber it shares tables, check digits and the finders of
// single values. It looks for cards, IBANs, e-mail addresses, social security
// numbers, keys of vendors, web tokens, private keys, canaries. What is
// recognised as a surrogate under the scrubber's key is none of them. No
// findings is an empty list.
func (s *Scrubber) Residual(x *traffic.Exchange) []Finding {
	r := residue{s: s}
	r.exchange(x)
	return r.found
}

// residue is one look through the final bytes of an exchange.
type residue struct {
	s     *Scrubber
	w     *worker // that scrubbed it; nil: unknown
	known *sweep  // of the values that it replaced
	found []Finding
	again []int // which of them are still there
}

func (r *residue) exchange(x *traffic.Exchange) {
	r.text("request target", x.Request.Target, true)
	r.header("request", x.Request.Header)
	r.header("request", x.Request.Trailer)
	r.body("request body", x.Request.Header, x.Request.Body)
	if x.Response == nil {
		return
	}
	r.text("response reason", x.Response.Reason, true)
	r.header("response", x.Response.Header)
	r.header("response", x.Response.Trailer)
	r.body("response body", x.Response.Header, x.Response.Body)
}

func (r *residue) header(side string, h traffic.Header) {
	for i := range h {
		form := headerRows[strings.ToLower(h[i].Name)].form
		r.text(side+" header", h[i].Name, false)
		r.text(side+" header", h[i].Value, form != technical && form != madeUp)
	}
}

func (r *residue) body(place string, h traffic.Header, b traffic.Body) {
	if len(b.Bytes) == 0 || b.State == traffic.Oversized && r.s.cfg.InMemory {
		return
	}
	plain, err := content.Decode(h, b.Bytes, r.s.cfg.MaxBody)
	if err != nil {
		r.add(place, "unreadable")
		return
	}
	r.text(place, string(plain), true)
}

func (r *residue) add(place, class string) { r.found = append(r.found, Finding{place, class}) }

// text looks through a text, and through what percent-encoding hides in it.
func (r *residue) text(place, s string, counted bool) {
	r.plain(place, s, counted)
	if strings.IndexByte(s, '%') >= 0 {
		if decoded := unescape(s, false); decoded != s {
			r.plain(place, decoded, counted)
		}
	}
}

func (r *residue) plain(place, s string, counted bool) {
	if r.s.holdsCanary(s) {
		r.add(place, canaryClass)
	}
	report := func(c class, start, end int) {
		if v := s[start:end]; r.s.enabled[c] && !r.excused(c, v) {
			r.add(place, classes[c].name)
		}
	}
	r.mail(s, report)
	r.marks(s, report)
	r.numbers(s, counted, report)
}

// excused reports whether a value is a surrogate, or was kept by a rule.
func (r *residue) excused(c class, v string) bool {
	if row := &classes[c]; row.reserved != nil && row.reserved(v) || r.s.isSealed(c, v) {
		return true
	}
	if r.w == nil {
		return false
	}
	for _, kept := range r.w.kept {
		if strings.Contains(kept, v) {
			return true
		}
	}
	return r.w.issued[v]
}

// mail looks for addresses; the user information of a URL looks like one.
func (r *residue) mail(s string, report func(class, int, int)) {
	if strings.IndexByte(s, '@') < 0 {
		return
	}
	for _, sp := range findEmails(s, nil) {
		head := s[max(0, sp.start-256):sp.start]
		if i := strings.LastIndex(head, "//"); i >= 0 && !strings.ContainsAny(head[i+2:], "/?# \"") {
			continue
		}
		report(email, sp.start, sp.end)
	}
}

// marks looks for what says itself what it is.
func (r *residue) marks(s string, report func(class, int, int)) {
	if strings.Contains(s, "PRIVATE KEY-----") {
		text := lineEnds.Replace(s)
		for _, sp := range findPrivateKeys(text, nil) {
			if r.s.enabled[privateKey] && !r.excused(privateKey, text[sp.start:sp.end]) {
				report(privateKey, 0, 0)
			}
		}
	}
	if strings.Contains(s, "eyJ") {
		for _, sp := range findWebTokens(s, nil) {
			report(webToken, sp.start, sp.end)
		}
	}
}

// lineEnds undoes the escapes of line ends in JSON, and in JSON inside it.
var lineEnds = strings.NewReplacer(`\\\\n`, "\n", `\\n`, "\n", `\n`, "\n", `\\r`, "\r", `\r`, "\r")

// numbers goes through the words of the text once: digits are tried as cards,
// capitals before digits as IBANs, what begins as vendors' keys do as such.
func (r *residue) numbers(s string, counted bool, report func(class, int, int)) {
	again := func(value, _, _ int) { r.again = append(r.again, value) }
	for i := 0; i < len(s); {
		if !wordByte[s[i]] {
			i++
			continue
		}
		end := i + 1
		for end < len(s) && wordByte[s[end]] {
			end++
		}
		n := end - i
		if r.known != nil {
			r.known.word(s, i, end, again)
		}
		switch {
		case counted && isDigit(s[i]) && (n == 3 || n == 4 || n >= 14 && n <= 16):
			if every(s[i:end], isDigit) {
				r.digits(s, i, end, report)
			}
		case n >= 15 && n <= 34 && ibanLengths[s[i:i+2]] == n && isDigit(s[i+2]):
			if stop := ibanEnd(s, i); stop == end {
				report(iban, i, end)
			}
		}
		if i+3 > len(s) || !vendorStart[vendorSlot(s[i:])] {
			i = end
			continue
		}
		for _, v := range vendorsBy[s[i]] {
			if stop := v.match(s, i); stop > 0 {
				report(vendorKey, i, stop)
				end = max(end, stop)
				break
			}
		}
		i = end
	}
}

// vendorStart holds hashes of the first three bytes of the vendors' prefixes.
var vendorStart = func() (table [1 << 12]bool) {
	for i := range vendors {
		table[vendorSlot(vendors[i].prefix)] = true
	}
	return table
}()

func vendorSlot(s string) uint32 {
	return (uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16) * 0x9e3779b1 >> 20
}

// wordByte holds letters and digits.
var wordByte = func() (table [256]bool) {
	for b := range table {
		table[b] = isAlnum(byte(b))
	}
	return table
}()

// digits tries the run s[start:end] as a card, alone or in groups of four, and
// as the first group of a social security number.
func (r *residue) digits(s string, start, end int, report func(class, int, int)) {
	switch n := end - start; {
	case n >= 14 && n <= 16:
		if standsAlone(s, start, end) && isCard(s[start:end]) {
			report(card, start, end)
		}
	case n == 4 && end < len(s) && (s[end] == ' ' || s[end] == '-'):
		sep := s[end : end+1]
		if stop := groupsEnd(s, start, groupings[3], sep); stop > 0 && standsAlone(s, start, stop) && !amongGroups(s, start, stop, s[end]) && isCard(digitsOnly(s[start:stop])) {
			report(card, start, stop)
		}
	case n == 3 && start+11 <= len(s) && s[end] == '-':
		if sp := findSSNs(s[max(0, start-1):min(len(s), start+12)], nil); len(sp) > 0 {
			report(ssn, start, start+11)
		}
	}
}

// amongGroups reports whether groups of digits are part of a longer number, as
// those in the middle of a written IBAN are.
func amongGroups(s string, start, end int, sep byte) bool {
	lead, tail := before(s, start-1), after(s, end+1)
	return before(s, start) == sep && (isDigit(lead) || isUpper(lead)) || after(s, end) == sep && isDigit(tail)
}
