package scrub

import (
	"strings"
)

// target scrubs a request-target or a URL: user information, path segments,
// query parameters, fragment. params is where the patterns of rules stand for
// the parameters.
func (w *worker) target(t string, params places) string {
	if t == "" {
		return t
	}
	rest, fragment, hasFragment := strings.Cut(t, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	head := ""
	if scheme, tail, ok := strings.Cut(rest, "://"); ok && !strings.Contains(scheme, "/") {
		slash := strings.IndexByte(tail, '/')
		if slash < 0 {
			slash = len(tail)
		}
		head = scheme + "://" + w.authority(tail[:slash])
		rest = tail[slash:]
		if strings.HasSuffix(strings.ToLower(tail[:slash]), "hooks.slack.com") && strings.HasPrefix(rest, "/services/") {
			head += "/services"
			rest = w.opaque(rest[len("/services"):])
		}
	}
	var b strings.Builder
	b.WriteString(head)
	b.WriteString(w.path(rest))
	if hasQuery {
		b.WriteByte('?')
		b.WriteString(w.query(query, params, "query"))
	}
	if hasFragment {
		b.WriteByte('#')
		b.WriteString(w.query(fragment, nowhere, ""))
	}
	return b.String()
}

// requestTarget scrubs the target of a request. User information in front of
// its host goes without a trace: nobody sends it on, and a host is no secret.
func (w *worker) requestTarget(t string, params places) string {
	if bare := withoutUser(t); bare != t {
		w.hitClass(credential)
		t = bare
	}
	return w.target(t, params)
}

// withoutUser takes the user information out of a target in absolute or
// authority form.
func withoutUser(t string) string {
	if strings.HasPrefix(t, "/") {
		return t
	}
	start := 0
	if i := strings.Index(t, "://"); i >= 0 && !strings.ContainsAny(t[:i], "/?#") {
		start = i + 3
	}
	end := len(t)
	if i := strings.IndexAny(t[start:], "/?#"); i >= 0 {
		end = start + i
	}
	at := strings.LastIndexByte(t[start:end], '@')
	if at < 0 {
		return t
	}
	return t[:start] + t[start+at+1:]
}

// opaque replaces the parts of a path that is a secret as a whole.
func (w *worker) opaque(path string) string {
	w.hitClass(vendorKey)
	return w.surrogate(credential, path)
}

// authority takes the user information out of "user:password@host".
func (w *worker) authority(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || !w.s.enabled[credential] {
		return s
	}
	user, password, both := strings.Cut(s[:at], ":")
	out := w.secret(user)
	if both {
		out += ":" + w.secret(password)
	}
	return out + s[at:]
}

// secret replaces a percent-encoded credential.
func (w *worker) secret(raw string) string {
	decoded := unescape(raw, false)
	if decoded == "" {
		return raw
	}
	w.hitClass(credential)
	return escapeLike(raw, w.stand(credential, decoded), false)
}

// wholePath carries out the verdict of a rule that names .path.
func (w *worker) wholePath(target string, v verdict) string {
	path, query, has := strings.Cut(target, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if s != "" && v.action != Keep {
			segments[i] = escapeLike(s, w.apply(v, nil, s), false)
		}
	}
	if path = strings.Join(segments, "/"); has {
		path += "?" + query
	}
	return path
}

// path scrubs the segments of a path; the one before can say what a segment is:
// /cards/4111..., /reset-password/kJ3....
func (w *worker) path(p string) string {
	if p == "" || p == "/" {
		return p
	}
	var b strings.Builder
	var previous *keyInfo
	for i := 0; i <= len(p); {
		end := strings.IndexByte(p[i:], '/')
		if end < 0 {
			end = len(p) - i
		}
		segment := p[i : i+end]
		b.WriteString(w.segment(previous, segment))
		if i += end; i < len(p) {
			b.WriteByte('/')
		}
		i++
		if segment != "" {
			previous = w.key([]byte(singularName(segment)))
		}
	}
	return b.String()
}

// singularName makes the names of collections, /cards/, those of their members.
func singularName(s string) string { return strings.TrimSuffix(s, "s") }

func (w *worker) segment(previous *keyInfo, segment string) string {
	value, params, has := strings.Cut(segment, ";")
	out := w.segmentValue(previous, value)
	if has {
		out += ";" + w.pairs(params, ';', nowhere, "")
	}
	return out
}

func (w *worker) segmentValue(previous *keyInfo, raw string) string {
	decoded := unescape(raw, false)
	out := decoded
	c := segmentClass(previous, decoded)
	if c == none && w.strictSegment(decoded, raw) {
		c = unlisted
	}
	if c != none {
		if out = w.stand(c, decoded); out != decoded {
			w.hitClass(c)
		}
	} else {
		out = w.plain(decoded)
	}
	if out == decoded {
		return raw
	}
	return escapeLike(raw, out, false)
}

// segmentClass is the class that the segment before gives, if the segment looks
// like a value of it and not like a word: /token/refresh is a route.
func segmentClass(previous *keyInfo, s string) class {
	if previous == nil {
		return none
	}
	row := previous.rows[0]
	if row == nil && previous.invites && len(s) >= 16 && countDigits(s) > 0 && !isUUID(s) {
		return credential
	}
	if previous.patient && countDigits(s) > 0 && (row == nil || row.class == record) {
		return record
	}
	if row == nil && previous.opens&inCard != 0 && countDigits(s) >= 12 {
		return card
	}
	if row == nil || !row.gate.admits(s) || countDigits(s) == 0 {
		return none
	}
	switch row.class {
	case credential:
		if len(s) >= 16 {
			return credential
		}
	case card, iban, bank:
		if countDigits(s) >= 8 {
			return row.class
		}
	case phone, ssn:
		if countDigits(s) >= 7 {
			return row.class
		}
	case ip, email:
		return row.class
	case record, vehicle:
		return row.class
	case nationalID, device:
		if countDigits(s) >= 5 {
			return row.class
		}
	}
	return none
}

// query scrubs parameters; one without a name is a value. name is the section
// of the document in which rules see them.
func (w *worker) query(q string, at places, section string) string {
	return w.pairs(q, '&', at, section)
}

// pairs scrubs name=value pairs. Those that stay are copied as they are. A plus
// is a blank in queries and forms, not in the parameters of a path.
func (w *worker) pairs(q string, sep byte, at places, section string) string {
	if q == "" {
		return q
	}
	var b strings.Builder
	b.Grow(len(q))
	first := true
	for rest, more := q, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, string(sep))
		out, goes := w.pair(pair, sep == '&', at, section)
		if goes {
			continue
		}
		if !first {
			b.WriteByte(sep)
		}
		first = false
		b.WriteString(out)
	}
	return b.String()
}

func (w *worker) pair(pair string, plus bool, at places, section string) (out string, goes bool) {
	rawName, rawValue, has := strings.Cut(pair, "=")
	name := unescape(rawName, plus)
	if !has {
		return w.parameter(where{rule: -1, places: nowhere}, rawName, plus, &goes), goes
	}
	k := w.key([]byte(name))
	root := where{rule: at.rule, places: at, link: true}
	place := w.memberAt(root, k, []byte(name))
	if rule, ok := w.s.byQuery[name]; ok && section == "query" {
		place.rule = rule
	}
	value := w.parameter(place, rawValue, plus, &goes)
	if k.exposed {
		bare := barePluses(rawName, plus)
		name = unescape(bare, plus)
		if out := w.nameOf(w.key([]byte(name)), name); out != name {
			rawName = escapeBare(rawName, bare, out, plus)
		}
	}
	return rawName + "=" + value, goes
}

// parameter scrubs one encoded value.
func (w *worker) parameter(at where, raw string, plus bool, goes *bool) string {
	decoded := unescape(raw, plus)
	v := w.judgeAt(&at, decoded)
	if v.action == Remove {
		w.hit(v.rule)
		*goes = !w.inMemory
		return w.gone(decoded)
	}
	bare := barePluses(raw, plus)
	if bare != raw {
		decoded = unescape(bare, plus)
	}
	out := w.apply(v, at.key, decoded)
	if out == decoded {
		return raw
	}
	return escapeBare(raw, bare, out, plus)
}

// barePluses encodes the pluses that somebody forgot to encode: that of a
// telephone number, "?to=+4915...", which by the standard is a blank, and the
// only one in an address with a bare "@". Other pluses stay blanks.
func barePluses(raw string, plus bool) string {
	if !plus || strings.IndexByte(raw, '+') < 0 {
		return raw
	}
	var b strings.Builder
	start := 0 // of what may be the local part of an address
	for i := 0; i < len(raw); i++ {
		if !isLocalByte(raw[i]) {
			start = i + 1
		}
		if raw[i] == '+' && (startsNumber(raw, i) || isSubaddress(raw, start, i)) {
			b.WriteString("%2B")
			continue
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

func startsNumber(s string, plus int) bool {
	next := after(s, plus+1)
	return next >= '1' && next <= '9' && !isAlnum(before(s, plus))
}

// isSubaddress reports whether the plus is the only one of a local part that
// begins at start and ends at an "@".
func isSubaddress(s string, start, plus int) bool {
	const longest = 64 // RFC 5321 section 4.5.3.1.1
	end := plus + 1
	for end < len(s) && end-start <= longest && isLocalByte(s[end]) && s[end] != '+' {
		end++
	}
	return plus > start && after(s, end) == '@' && strings.IndexByte(s[max(start, plus-longest):plus], '+') < 0
}

// escapeBare encodes s in the style of raw, with the pluses that stand bare
// there bare again.
func escapeBare(raw, bare, s string, plus bool) string {
	out := escapeLike(raw, s, plus)
	if bare == raw || strings.Contains(raw, "%2B") || strings.Contains(raw, "%2b") {
		return out
	}
	return strings.ReplaceAll(strings.ReplaceAll(out, "%2B", "+"), "%2b", "+")
}

// unescape undoes percent-encoding; in forms and queries a plus is a blank. A
// percent sign that begins no escape stands for itself.
func unescape(s string, plus bool) string {
	if strings.IndexByte(s, '%') < 0 && !(plus && strings.IndexByte(s, '+') >= 0) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case s[i] == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func unhex(b byte) byte {
	if isDigit(b) {
		return b - '0'
	}
	return b | 0x20 - 'a' + 10
}

// escapeLike encodes s in the style of original: what stood bare there stays
// bare, hexadecimal digits have its case, blanks its form.
func escapeLike(original, s string, plus bool) string {
	var bare [256]bool
	digits, plusBlank := "0123456789ABCDEF", plus && strings.IndexByte(original, '+') >= 0
	for i := 0; i < len(original); i++ {
		if original[i] == '%' && i+2 < len(original) && isHex(original[i+1]) && isHex(original[i+2]) {
			if isLower(original[i+1]) || isLower(original[i+2]) {
				digits = "0123456789abcdef"
			}
			i += 2
			continue
		}
		bare[original[i]] = true
	}
	bare['%'] = false
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' && plusBlank:
			b.WriteByte('+')
		case isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || bare[c] && !(plus && c == '+'):
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
