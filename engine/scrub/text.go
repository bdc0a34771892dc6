package scrub

import (
	"bytes"
	"encoding/base64"
	"html"
	"strings"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// apply carries out a verdict on a text. Removing is up to the caller, who
// knows what a removed value leaves behind.
func (w *worker) apply(v verdict, k *keyInfo, s string) string {
	switch v.action {
	case Keep:
		w.kept = append(w.kept, s)
		if looksJSON(s) {
			if out, ok := w.json([]byte(s), where{rule: v.rule, places: nowhere}, false); ok {
				return string(out)
			}
		}
		return w.found(w.s.protectors, s)
	case Mask:
		w.hit(v.rule)
		out := masked(s, 'x', 'X', '0')
		w.kept = append(w.kept, out) // a masked address is still one by its form
		return out
	case Pseudonymize:
		return w.keyed(v, s)
	case Remove:
		w.hit(v.rule)
		return w.gone(s)
	}
	if k != nil && k.technical && (len(s) > 16 && every(s, isDigit) || isDay(s)) { // versions of interfaces are days
		return s
	}
	return w.plain(s)
}

// keyed replaces a value that its place gives a class. Where the value shows a
// class of its own it gets that one's surrogate, so that an address is the same
// surrogate whether it stands below "email" or "login".
func (w *worker) keyed(v verdict, s string) string {
	if strings.TrimSpace(s) == "" {
		return s
	}
	if looksJSON(s) {
		at := where{class: v.class, rule: -1, places: nowhere}
		if v.class == unlisted { // what is inside has names of its own
			at.class = none
		}
		if v.rule < len(w.s.cfg.Rules) {
			at.rule = v.rule
		}
		if out, ok := w.json([]byte(s), at, false); ok {
			return string(out)
		}
	}
	out := w.stand(v.class, s)
	if out != s {
		w.hit(v.rule)
	}
	return out
}

// stand returns the stand-in for a whole value of a class.
func (w *worker) stand(c class, s string) string {
	scheme := ""
	if c == credential || c == cookie {
		scheme, s = authScheme(s)
	}
	return scheme + w.standFor(c, s)
}

func (w *worker) standFor(c class, s string) string {
	spans := find(w.s.detectors, s, traitsOf(s), nil)
	if len(spans) == 1 && spans[0].start == 0 && spans[0].end == len(s) && c != born { // which looks like any date
		return w.surrogate(spans[0].class, s)
	}
	if len(spans) == 0 || !mixes(c) {
		return w.surrogate(c, s)
	}
	var b strings.Builder
	done := 0
	between := func(gap string) {
		if strings.Trim(gap, " \t<>()[]\"',;:") != "" {
			gap = w.surrogate(c, gap)
		}
		b.WriteString(gap)
	}
	for _, sp := range spans {
		between(s[done:sp.start])
		b.WriteString(w.surrogate(sp.class, s[sp.start:sp.end]))
		done = sp.end
	}
	between(s[done:])
	return b.String()
}

// mixes reports whether values of a class are prose that may hold others:
// "Jane Doe <jane@example.com>".
func mixes(c class) bool {
	switch c {
	case email, phone, name, username, address, unlisted, other:
		return true
	}
	return false
}

// authScheme splits a credential that carries its scheme.
func authScheme(s string) (scheme, rest string) {
	i := strings.IndexByte(s, ' ')
	if i < 0 || i+1 == len(s) || !isScheme(s[:i]) {
		return "", s
	}
	return s[:i+1], s[i+1:]
}

func isScheme(s string) bool {
	if len(s) > 10 {
		return false
	}
	switch strings.ToLower(s) {
	case "bearer", "basic", "token", "negotiate", "dpop", "apikey", "api-key", "ntlm":
		return true
	}
	return false
}

// found replaces what the detectors find in s.
func (w *worker) found(ds []detector, s string) string {
	w.spans = find(ds, s, traitsOf(s), w.findLiterals(s, w.spans[:0]))
	return w.replaced(s, w.spans)
}

func (w *worker) replaced(s string, spans []span) string {
	if len(spans) == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	done := 0
	for _, sp := range spans {
		was := s[sp.start:sp.end]
		is := w.surrogate(sp.class, was)
		if is != was {
			w.hitClass(sp.class)
		}
		b.WriteString(s[done:sp.start])
		b.WriteString(is)
		done = sp.end
	}
	b.WriteString(s[done:])
	return b.String()
}

// plain replaces what shows by its own form, in a text of any length: values,
// and values inside the documents, URLs and encodings that the text is or holds.
func (w *worker) plain(s string) string {
	t := traitsOf(s)
	if w.failed() || w.literals == nil && !w.s.medical && t.dull() && (s == "" || !opens([]byte(s[:1]))) {
		return s
	}
	if looksJSON(s) {
		if out, ok := w.json([]byte(s), where{rule: -1, places: nowhere}, false); ok {
			return string(out)
		}
	}
	if t.run >= minToken {
		if out, ok := w.base64(s); ok {
			return out
		}
		s = w.dataURIs(s)
	}
	if strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "<") && strings.IndexByte(s, '>') > 0 && w.enter() {
		defer w.leave()
		return w.markup(s, false)
	}
	isTarget := strings.HasPrefix(s, "/") && t.has&hasEquals != 0 && !strings.ContainsAny(s, " \n")
	if !isTarget && (t.has&(hasColon|hasSlash) != hasColon|hasSlash || !strings.Contains(s, "://")) {
		return w.prose(s)
	}
	if !w.enter() { // parameters of URLs may hold URLs
		return s
	}
	defer w.leave()
	if isTarget {
		return w.target(s, nowhere)
	}
	return w.linked(s)
}

// looksJSON reports whether s may be a JSON object or list.
func looksJSON(s string) bool {
	s = strings.Trim(s, " \t\r\n")
	return len(s) > 1 && (s[0] == '{' && s[len(s)-1] == '}' || s[0] == '[' && s[len(s)-1] == ']')
}

// linked splits a text at the URLs in it.
func (w *worker) linked(s string) string {
	var b strings.Builder
	done := 0
	for from := 0; ; {
		i := strings.Index(s[from:], "://")
		if i < 0 {
			break
		}
		mid := from + i
		start, end := mid, mid+3
		for start > done && start > mid-16 && isAlnum(s[start-1]) {
			start--
		}
		for end < len(s) && s[end] > ' ' && strings.IndexByte("\"'<>`\\", s[end]) < 0 {
			end++
		}
		for end > mid+3 && strings.IndexByte(".,;:!?)", s[end-1]) >= 0 {
			end--
		}
		from = end
		if start == mid {
			continue
		}
		b.WriteString(w.prose(s[done:start]))
		b.WriteString(w.target(s[start:end], nowhere))
		done = end
	}
	b.WriteString(w.prose(s[done:]))
	return b.String()
}

// prose replaces values in text without URLs; where percent-encoding hides
// them, in the decoded text.
func (w *worker) prose(s string) string {
	if s == "" {
		return s
	}
	if strings.IndexByte(s, '%') >= 0 {
		if decoded := unescape(s, false); decoded != s && w.enter() {
			out := w.plain(decoded)
			w.leave()
			if out != decoded {
				return escapeLike(s, out, false)
			}
			return s
		}
	}
	t := traitsOf(s)
	if t.has&(hasAmpersand|hasWide) != 0 {
		if spelled := narrow(withoutEntities(s)); spelled != s && w.enter() {
			out := w.plain(spelled)
			w.leave()
			if out != spelled {
				return out
			}
		}
	}
	w.spans = w.assignments(s, t, w.findLiterals(s, w.spans[:0]))
	w.spans = find(w.s.detectors, s, t, w.spans)
	return w.replaced(s, w.spans)
}

// withoutEntities writes out the entities of HTML that stand for what needs
// none: "jane&#64;acme.com". Those that markup would be read differently
// without, and all others, stay.
func withoutEntities(s string) string {
	if !strings.Contains(s, "&#") && !strings.Contains(s, "&commat;") && !strings.Contains(s, "&period;") {
		return s
	}
	var b strings.Builder
	for s != "" {
		amp := strings.IndexByte(s, '&')
		if amp < 0 {
			break
		}
		b.WriteString(s[:amp])
		s = s[amp:]
		end := strings.IndexByte(s[:min(len(s), 12)], ';') + 1
		if end > 0 {
			if c := html.UnescapeString(s[:end]); len(c) == 1 && (isAlnum(c[0]) || strings.IndexByte("@.+-_ ()/:", c[0]) >= 0) {
				b.WriteString(c)
				s = s[end:]
				continue
			}
		}
		b.WriteByte('&')
		s = s[1:]
	}
	b.WriteString(s)
	return b.String()
}

// narrow writes the full width forms of ASCII (U+FF01 to U+FF5E) and the small
// at sign as what they are forms of, as NFKC does.
func narrow(s string) string {
	if strings.IndexByte(s, 0xef) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0xff01 && r <= 0xff5e:
			return r - 0xfee0
		case r == 0xfe6b:
			return '@'
		}
		return r
	}, s)
}

// assignments finds values that a text names: password=..., "token": "...".
// Without quotes only credentials count. Behind a colon or blanks the name has
// to begin a line or a field, and the value to look like one: "Password: must
// be long" is a sentence.
func (w *worker) assignments(s string, t traits, spans []span) []span {
	if t.has&(hasEquals|hasColon) == 0 {
		return spans
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '=' && s[i] != ':' {
			continue
		}
		k, name := w.nameBefore(s, i)
		if k == nil {
			continue
		}
		start, end, inQuotes := valueAfter(s, i+1)
		if !inQuotes && isScheme(s[start:end]) && after(s, end) == ' ' { // Authorization: Bearer ...
			start, end, inQuotes = valueAfter(s, end)
		}
		if start == end {
			continue
		}
		c := w.classOf(k, 0, none, s[start:end])
		if c == none || !inQuotes && (!classes[c].protected || s[start] == '=') {
			continue
		}
		if !inQuotes && (s[i] == ':' || start > i+1) && !(beginsField(s, name) && isSetting(s, start, end)) {
			continue
		}
		spans = append(spans, span{start, end, c})
		i = end
	}
	return spans
}

// beginsField reports whether what begins at i begins a line, an element of a
// list or a field of a log line.
func beginsField(s string, i int) bool {
	for i > 0 && strings.IndexByte(" \t-*#\"'", s[i-1]) >= 0 {
		i--
	}
	return i == 0 || strings.IndexByte("\r\n,;|&{[(", s[i-1]) >= 0
}

// isSetting reports whether s[start:end], behind the name of a credential, is a
// value and not a word about one, a call or a place that a value is put into.
func isSetting(s string, start, end int) bool {
	v := s[start:end]
	if strings.IndexByte("$%{<(*.", v[0]) >= 0 || strings.IndexByte(v, '(') >= 0 {
		return false
	}
	if remarks[strings.ToLower(strings.TrimRight(v, "!.?:"))] {
		return false
	}
	rest := strings.TrimLeft(s[end:], " \t")
	return rest == "" || strings.IndexByte("\r\n,;|&}])\"'<#", rest[0]) >= 0 || isOpaque(v)
}

// remarks are what else is said behind "password:" and "token:": what is wrong
// with it, or its type.
var remarks = func() map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq("required optional missing invalid expired revoked unknown wrong incorrect weak strong empty blank ok valid unset set hidden redacted " +
		"changed reset null nil none undefined true false yes no string text int integer id number boolean bool object array list any file password secret token") {
		out[w] = true
	}
	return out
}()

// nameBefore looks up the name that ends at i, if a rule or a pack knows it, and
// says where it begins.
func (w *worker) nameBefore(s string, i int) (k *keyInfo, start int) {
	end := i
	for end > 0 && (s[end-1] == ' ' || s[end-1] == '"' || s[end-1] == '\'' || s[end-1] == '\\') {
		end--
	}
	start = end
	for start > 0 && end-start < 48 && (isAlnum(s[start-1]) || s[start-1] == '_' || s[start-1] == '-') {
		start--
	}
	for start < end && s[start] == '-' { // of a list
		start++
	}
	if end-start < 3 || i-end > 4 {
		return nil, 0
	}
	if k = w.key([]byte(s[start:end])); k.rows[0] == nil {
		return nil, 0
	}
	return k, start
}

// valueAfter finds the value behind a separator: up to its closing quote, or up
// to what cannot be part of it.
func valueAfter(s string, i int) (start, end int, inQuotes bool) {
	for i < len(s) && s[i] == ' ' {
		i++
	}
	start = i
	for start < len(s) && s[start] == '\\' {
		start++
	}
	if start < len(s) && (s[start] == '"' || s[start] == '\'') {
		quote := s[start]
		start++
		end = start
		for end < len(s) && s[end] != quote {
			end++
		}
		for end > start && s[end-1] == '\\' {
			end--
		}
		return start, end, true
	}
	for end = i; end < len(s) && s[end] > ' ' && strings.IndexByte("&;,)}]\"'<>", s[end]) < 0; {
		end++
	}
	return i, end, false
}

var base64s = [...]*base64.Encoding{base64.StdEncoding.Strict(), base64.RawStdEncoding.Strict(), base64.URLEncoding.Strict(), base64.RawURLEncoding.Strict()}

// base64 looks into a value that is the base64 of a text, in lines or in one,
// which may be compressed. ok is false when it is not, or when there is nothing
// in it to replace.
func (w *worker) base64(s string) (out string, ok bool) {
	if !every(s, func(b byte) bool { return isBase64(b) || b == '\r' || b == '\n' }) {
		return s, false
	}
	compact := s
	if strings.IndexByte(s, '\n') >= 0 {
		compact = strings.NewReplacer("\r", "", "\n", "").Replace(s)
	}
	for _, enc := range base64s {
		decoded, err := enc.DecodeString(compact)
		if err != nil {
			continue
		}
		text, h := decoded, traffic.Header(nil)
		if bytes.HasPrefix(decoded, []byte("\x1f\x8b")) {
			h = gzipped
			if text, err = content.Decode(h, decoded, w.s.cfg.MaxBody); err != nil {
				continue
			}
		}
		if !isText(text) {
			continue
		}
		if !w.enter() {
			return s, true
		}
		scrubbed := w.plain(string(text))
		w.leave()
		if scrubbed == string(text) { // another alphabet would say the same
			return s, false
		}
		coded, err := content.Encode(h, []byte(scrubbed))
		if err != nil {
			w.fail(badCoding)
		}
		return inLines(s, enc.EncodeToString(coded)), true
	}
	return s, false
}

var gzipped = traffic.Header{{Name: "Content-Encoding", Value: "gzip"}}

func isBase64(b byte) bool { return isAlnum(b) || strings.IndexByte("+/=-_", b) >= 0 }

// inLines breaks s into lines as like is.
func inLines(like, s string) string {
	width := strings.IndexByte(like, '\n')
	if width < 0 {
		return s
	}
	end := "\n"
	if width > 0 && like[width-1] == '\r' {
		width--
		end = "\r\n"
	}
	if width == 0 {
		return s
	}
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width])
		b.WriteString(end)
		s = s[width:]
	}
	b.WriteString(s)
	if strings.HasSuffix(like, "\n") {
		b.WriteString(end)
	}
	return b.String()
}

// dataURIs looks into the base64 of the data: URIs in a text.
func (w *worker) dataURIs(s string) string {
	const mark = ";base64,"
	if !strings.Contains(s, mark) {
		return s
	}
	var b strings.Builder
	for {
		head, rest, found := strings.Cut(s, mark)
		b.WriteString(head)
		if !found {
			return b.String()
		}
		b.WriteString(mark)
		end := 0
		for end < len(rest) && isBase64(rest[end]) {
			end++
		}
		out, _ := w.base64(rest[:end])
		b.WriteString(out)
		s = rest[end:]
	}
}

// isText reports whether b is UTF-8 without control characters.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// markup scrubs XML and HTML: texts and attribute values, entities undone, with
// the names of elements and attributes as field names.
func (w *worker) markup(s string, isHTML bool) string {
	m := markup{w: w, html: isHTML}
	for m.rest = s; m.rest != ""; {
		m.step()
	}
	return m.out.String()
}

type markup struct {
	w    *worker
	html bool
	rest string
	out  strings.Builder
	open []*keyInfo
}

func (m *markup) step() {
	lt := strings.IndexByte(m.rest, '<')
	if lt != 0 {
		if lt < 0 {
			lt = len(m.rest)
		}
		m.text(m.rest[:lt])
		m.rest = m.rest[lt:]
		return
	}
	switch {
	case strings.HasPrefix(m.rest, "<![CDATA["):
		m.enclosed("<![CDATA[", "]]>", m.raw)
	case strings.HasPrefix(m.rest, "<!--"):
		m.enclosed("<!--", "-->", m.w.free)
	case strings.HasPrefix(m.rest, "<!"), strings.HasPrefix(m.rest, "<?"):
		m.enclosed(m.rest[:2], ">", m.w.prose)
	default:
		m.tag()
	}
}

func (m *markup) enclosed(from, to string, f func(string) string) {
	body := m.rest[len(from):]
	end := strings.Index(body, to)
	if end < 0 {
		end, to = len(body), ""
	}
	m.out.WriteString(from)
	m.out.WriteString(f(body[:end]))
	m.out.WriteString(to)
	m.rest = body[end+len(to):]
}

// here is where the text inside the open elements is.
func (m *markup) here() where {
	at := where{rule: -1, places: nowhere}
	for _, k := range m.open {
		inner := at.inside()
		inner.key = k
		if k.rule >= 0 {
			inner.rule = k.rule
		}
		at = inner
	}
	return at
}

func (m *markup) raw(s string) string { return m.w.leaf(m.here(), s) }

func (m *markup) text(s string) { m.out.WriteString(m.encoded(m.here(), s)) }

// encoded scrubs text in which entities may stand for characters.
func (m *markup) encoded(at where, s string) string {
	if strings.TrimSpace(s) == "" {
		return s
	}
	decoded := s
	if strings.IndexByte(s, '&') >= 0 {
		decoded = html.UnescapeString(s)
	}
	lead := len(decoded) - len(strings.TrimLeft(decoded, " \t\r\n"))
	tail := len(strings.TrimRight(decoded, " \t\r\n"))
	out := m.w.leaf(at, decoded[lead:tail])
	if out == decoded[lead:tail] {
		return s
	}
	return html.EscapeString(decoded[:lead] + out + decoded[tail:])
}

// leaf scrubs one text at a place.
func (w *worker) leaf(at where, s string) string {
	return w.apply(w.judgeAt(&at, s), at.key, s)
}

// tag copies a tag with its attribute values scrubbed. In HTML, inputs and meta
// elements say by an attribute what their value is.
func (m *markup) tag() {
	end := tagEnd(m.rest)
	tag := m.rest[:end]
	m.rest = m.rest[end:]
	closing := strings.HasPrefix(tag, "</")
	i := 1
	if closing {
		i = 2
	}
	start := i
	for i < len(tag) && tag[i] > ' ' && tag[i] != '>' && tag[i] != '/' {
		i++
	}
	if i == start || !every(tag[start:i], isNameByte) { // "<jane@example.com>" is no tag
		m.out.WriteString(m.w.prose(tag))
		return
	}
	name := localName(tag[start:i])
	k := m.w.key([]byte(name))
	m.out.WriteString(tag[:i-len(name)])
	m.out.WriteString(m.elementName(k, name))
	label := m.label(tag[i:])
	if !k.says() && label.says() { // <field name="password">
		k = label
	}
	m.nest(k, closing, strings.HasSuffix(tag, "/>"))
	m.attributes(tag[i:], label)
}

// elementName scrubs a name, which stays one; a closing tag has the same.
func (m *markup) elementName(k *keyInfo, name string) string {
	out := m.w.nameOf(k, name)
	if out == name || every(out, isNameByte) {
		return out
	}
	return masked(name, 'x', 'X', '0')
}

// label is what a tag says by an attribute that its content or value is.
func (m *markup) label(tag string) *keyInfo {
	name := attribute(tag, "name")
	if name == "" {
		name = attribute(tag, "key")
	}
	return m.w.key([]byte(name))
}

// nest keeps the stack of open elements. HTML does not close what it opens, and
// its element names are no field names.
func (m *markup) nest(k *keyInfo, closing, empty bool) {
	switch {
	case m.html:
	case closing:
		if len(m.open) > 0 {
			m.open = m.open[:len(m.open)-1]
		}
	case !empty && len(m.open) >= maxNesting:
		m.w.fail(tooDeep)
	case !empty:
		m.open = append(m.open, k)
	}
}

func isNameByte(b byte) bool {
	return isAlnum(b) || b >= 0x80 || b == ':' || b == '_' || b == '-' || b == '.'
}

func localName(s string) string { return s[strings.LastIndexByte(s, ':')+1:] }

// tagEnd is where the tag that s begins with ends; quotes may hold a ">".
func tagEnd(s string) int {
	quote := byte(0)
	for i := 1; i < len(s); i++ {
		switch {
		case quote != 0:
			if s[i] == quote {
				quote = 0
			}
		case s[i] == '"' || s[i] == '\'':
			quote = s[i]
		case s[i] == '>':
			return i + 1
		}
	}
	return len(s)
}

func (m *markup) attributes(s string, label *keyInfo) {
	for s != "" {
		eq := strings.IndexByte(s, '=')
		if eq < 0 {
			m.out.WriteString(m.w.prose(s))
			return
		}
		fieldsBefore := strings.Fields(s[:eq])
		key := ""
		if n := len(fieldsBefore); n > 0 {
			key = localName(fieldsBefore[n-1])
		}
		start, end, _ := valueAfter(s, eq+1)
		k := m.w.key([]byte(key))
		if key == "value" || key == "content" {
			k = label
		}
		at := m.here()
		if label.says() && (key == "name" || key == "key") {
			at = where{rule: -1, places: nowhere} // the label is not what it is a label of
		}
		if !m.html && !strings.EqualFold(key, "value") {
			at = at.inside()
		}
		at.key = k
		m.out.WriteString(m.w.prose(s[:start]))
		if n := len(fieldsBefore); n > 0 && strings.HasPrefix(fieldsBefore[n-1], "xmlns") { // a namespace is part of the names
			m.out.WriteString(m.w.prose(s[start:end]))
		} else {
			m.out.WriteString(m.encoded(at, s[start:end]))
		}
		s = s[end:]
	}
}

// attribute returns the value of an attribute of a tag, or "".
func attribute(s, name string) string {
	for from := 0; ; {
		i := strings.Index(s[from:], name+"=")
		if i < 0 {
			return ""
		}
		from += i
		if b := before(s, from); b <= ' ' {
			start, end, _ := valueAfter(s, from+len(name)+1)
			return s[start:end]
		}
		from += len(name)
	}
}
