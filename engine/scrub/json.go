package scrub

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxNesting is how many objects and lists may stand inside each other.
const maxNesting = 256

// reader is a JSON decoder that is used again and again.
type reader struct {
	buf bytes.Buffer
	dec *jsontext.Decoder
}

var lenient = jsontext.AllowDuplicateNames(true)
var anyUTF8 = jsontext.AllowInvalidUTF8(true)

func (r *reader) reset(data []byte) *jsontext.Decoder {
	r.buf = *bytes.NewBuffer(data)
	if r.dec == nil {
		r.dec = jsontext.NewDecoder(&r.buf, lenient, anyUTF8)
	} else {
		r.dec.Reset(&r.buf, lenient, anyUTF8)
	}
	return r.dec
}

func (w *worker) reader() *reader {
	for len(w.readers) <= w.depth {
		w.readers = append(w.readers, &reader{})
	}
	return w.readers[w.depth]
}

// where is what the names around a value say about it. The elements of a list
// stand where the list does.
type where struct {
	key    *keyInfo // nil at the root
	in     scope
	class  class // handed down by a container
	rule   int   // the user's, of this place or around it; -1: none
	places places
	link   bool // a parameter of a query or form
}

func (w *worker) root(p places) where { return where{rule: p.rule, places: p} }

// inside is where the members of an object at a are.
func (a where) inside() where {
	out := where{class: containerClass(a.key, a.in, a.class), rule: a.rule, places: a.places}
	out.in = a.in & (inCard | inClaims)
	if a.key != nil {
		out.in = scopeInside(a.key, a.in)
	}
	return out
}

// memberAt is where the member called name of an object is; a is what inside
// returned.
func (w *worker) memberAt(a where, k *keyInfo, name []byte) where {
	a.key = k
	own := k.rule
	if len(a.places.states) > 0 {
		a.places = w.member(a.places, string(name), false)
		if r := a.places.rule; r >= 0 && (own < 0 || r < own) {
			own = r
		}
	}
	if own >= 0 {
		a.rule = own
	}
	return a
}

// quiet reports that only the value itself can say what it is.
func (a *where) quiet() bool {
	return a.class == none && a.rule < 0 && (a.key == nil || a.key.rows[0] == nil && a.key.rows[1] == nil)
}

func (w *worker) judgeAt(a *where, text string) verdict {
	if v := w.judge(a.key, a.in, a.class, a.rule, text); v.action != "" {
		return v
	}
	if a.link && a.key != nil && a.key.link != anyValue && a.key.link.admits(text) && w.s.enabled[credential] {
		return verdict{Pseudonymize, credential, w.classHit(credential)}
	}
	return w.strictly(a.key, text)
}

// frame is an open object or list.
type frame struct {
	inside where
	object bool
	index  int
	member where // of an object: the member whose value comes next
	named  bool  // its name has been read

	name, nameEnd int // offsets of its name
	nameKey       *keyInfo
	label         []byte // of a pair: the name that it carries as data, quoted
	looked        bool   // for a label behind the value
	kept          int    // where the last member that stays ended; -1: none yet
	cut, cutEnd   int    // the members that go since then; cut -1: none
}

// walk goes through JSON text once and copies it with replacements spliced in.
type walk struct {
	w     *worker
	dec   *jsontext.Decoder
	data  []byte
	out   []byte
	done  int // how far data has been copied
	stack []frame

	removed bool // something is gone with its comma: the whole has to be looked at again
	unsound bool // a value was replaced by what is none
}

// json scrubs JSON text: one value, or a sequence of them. It returns data
// itself when there is nothing to replace; ok is false when it does not parse.
func (w *worker) json(data []byte, root where, sequence bool) (out []byte, ok bool) {
	j := &walk{w: w, dec: w.reader().reset(data), data: data}
	if !w.enter() {
		return data, true
	}
	defer w.leave()
	if !j.run(root, sequence) {
		return data, false
	}
	if j.done == 0 && j.out == nil {
		return data, true
	}
	out = append(j.out, data[j.done:]...)
	if j.unsound || j.removed && !w.valid(out) {
		w.fail(unstable)
	}
	return out, true
}

// valid reports whether data is a sequence of JSON values.
func (w *worker) valid(data []byte) bool {
	dec := w.reader().reset(data)
	for dec.PeekKind() != 0 {
		if dec.SkipValue() != nil {
			return false
		}
	}
	return len(bytes.TrimLeft(dec.UnreadBuffer(), " \t\r\n")) == 0
}

func (j *walk) run(root where, sequence bool) bool {
	at := root
	for n := 0; ; n++ {
		if sequence {
			at.places = j.w.element(root.places, n)
		}
		if kind := j.dec.PeekKind(); kind == 0 {
			_, err := j.dec.ReadToken()
			return n > 0 && isEOF(err)
		}
		if !j.value(at) {
			return false
		}
		if j.w.failed() {
			return true
		}
	}
}

// value reads one value at the top, with everything inside it.
func (j *walk) value(at where) bool {
	if !j.next(at, nil) {
		return false
	}
	for len(j.stack) > 0 && !j.w.failed() {
		f := &j.stack[len(j.stack)-1]
		switch kind := j.dec.PeekKind(); {
		case kind == '}' || kind == ']':
			if _, err := j.dec.ReadToken(); err != nil {
				return false
			}
			j.close(f)
		case f.object && !f.named:
			if !j.readName(f) {
				return false
			}
		case f.object:
			f.named = false
			if !j.next(f.member, f) {
				return false
			}
		default:
			at := f.inside
			if len(at.places.states) > 0 {
				at.places = j.w.element(at.places, f.index)
				if at.places.rule >= 0 {
					at.rule = at.places.rule
				}
			}
			f.index++
			if !j.next(at, nil) {
				return false
			}
		}
	}
	return true
}

// readName reads the name of a member and looks up what it says.
func (j *walk) readName(f *frame) bool {
	raw, err := j.dec.ReadValue()
	if err != nil || len(raw) < 2 {
		return false
	}
	f.named = true
	f.nameEnd = int(j.dec.InputOffset())
	f.name = f.nameEnd - len(raw)
	last := f.nameKey
	if last != nil && last.next != nil && last.next.raw == string(raw) { // members follow each other as they did in the object before
		f.nameKey = last.next
	} else {
		f.nameKey = j.w.key(unquoted(raw))
		if last != nil && len(raw) <= longestName && bytes.IndexByte(raw, '\\') < 0 {
			if f.nameKey.raw == "" {
				f.nameKey.raw = string(raw)
			}
			last.next = f.nameKey
		}
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = unquoted(raw)
	}
	k := f.nameKey
	if k.named && !k.says() {
		if l := j.label(f); l != nil && l.says() {
			k = l
		}
	}
	f.member = j.w.memberAt(f.inside, k, text)
	return true
}

// longestPair bounds, in bytes, how far behind a value its name is looked for.
const longestPair = 4096

// label is what the name says that a pair carries as data: the "password" of
// {"name":"password","value":"..."}, in whatever order.
func (j *walk) label(f *frame) *keyInfo {
	if f.label == nil && !f.looked {
		f.looked = true // once an object, or hostile ones would be read again and again
		f.label = j.w.labelIn(j.data[f.nameEnd:min(len(j.data), f.nameEnd+longestPair)])
	}
	if f.label == nil {
		return nil
	}
	return j.w.key(unquoted(f.label))
}

// labelIn looks for the name of a pair in the members that follow; data begins
// behind the name of a member.
func (w *worker) labelIn(data []byte) []byte {
	isName := false
	for {
		data = bytes.TrimLeft(data, " \t\r\n:")
		n := valueLength(data)
		if isName && n > 1 && data[0] == '"' {
			return data[:n]
		}
		data = bytes.TrimLeft(data[n:], " \t\r\n")
		if n == 0 || len(data) == 0 || data[0] != ',' {
			return nil
		}
		data = bytes.TrimLeft(data[1:], " \t\r\n")
		if n = valueLength(data); n < 2 || data[0] != '"' {
			return nil
		}
		isName = n <= longestName && w.key(unquoted(data[:n])).names
		data = data[n:]
	}
}

// valueLength is the length of the JSON value that data begins with, 0 if it
// does not end there. It trusts data: the decoder reads it after all.
func valueLength(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if i < len(data) && depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}

// next reads the value that comes next. f is the object it is a member of; nil
// for list elements and at the top.
func (j *walk) next(at where, f *frame) bool {
	if kind := j.dec.PeekKind(); kind != '{' && kind != '[' {
		return j.scalar(at, f)
	}
	if v, goes := j.goes(at); goes && j.w.inMemory {
		raw, err := j.dec.ReadValue()
		if err != nil {
			return false
		}
		end := int(j.dec.InputOffset())
		start, with := end-len(raw), j.w.goneJSON(raw)
		j.w.hit(v.rule)
		j.keep(f)
		j.splice(start, end, with)
		if f != nil {
			f.kept = end
		}
		return true
	} else if goes {
		start := len(j.data) - len(j.dec.UnreadBuffer())
		if j.dec.SkipValue() != nil {
			return false
		}
		j.w.hit(v.rule)
		j.remove(start, f)
		return true
	}
	j.keep(f)
	if len(j.stack) >= maxNesting {
		j.w.fail(tooDeep)
		return true
	}
	tok, err := j.dec.ReadToken()
	if err != nil {
		return false
	}
	fr := frame{object: tok.Kind() == '{', inside: at, kept: -1, cut: -1}
	if fr.object {
		fr.inside = at.inside()
	}
	j.stack = append(j.stack, fr)
	return true
}

// goes reports whether an object or list is removed whole.
func (j *walk) goes(at where) (verdict, bool) {
	if at.rule >= 0 && j.w.s.cfg.Rules[at.rule].Action == Remove {
		return verdict{rule: at.rule}, true
	}
	c := containerClass(at.key, at.in, at.class)
	return verdict{rule: j.w.classHit(c)}, classes[c].remove
}

// remove takes the value out that was just read: a member with its name, a
// list element by null.
func (j *walk) remove(start int, f *frame) {
	end := int(j.dec.InputOffset())
	if f == nil {
		for start < end && (j.data[start] <= ' ' || j.data[start] == ',' || j.data[start] == ':') {
			start++
		}
		j.splice(start, end, "null")
		return
	}
	if f.cut < 0 {
		f.cut = f.name
	}
	f.cutEnd = end
}

// keep settles that the member of f stays: what was removed before it is cut
// out up to its name, and the name itself is looked at.
func (j *walk) keep(f *frame) {
	if f == nil {
		return
	}
	if f.cut >= 0 {
		j.splice(f.cut, f.name, "")
		f.cut = -1
	}
	if k := f.nameKey; k.exposed {
		name := string(unquoted(j.data[f.name:f.nameEnd]))
		if out := j.w.nameOf(k, name); out != name {
			j.splice(f.name, f.nameEnd, quoted(out))
		}
	}
}

// ended notes that the value of the current member has been read.
func (j *walk) ended() {
	if len(j.stack) > 0 {
		j.stack[len(j.stack)-1].kept = int(j.dec.InputOffset())
	}
}

func (j *walk) close(f *frame) {
	if f.cut >= 0 {
		from := f.cut
		if f.kept >= 0 { // the comma before goes too
			from = f.kept
		}
		j.splice(from, f.cutEnd, "")
	}
	j.stack = j.stack[:len(j.stack)-1]
	j.ended()
}

func (j *walk) splice(start, end int, with string) {
	if j.out == nil {
		j.out = make([]byte, 0, len(j.data)+len(j.data)/16)
	}
	j.out = append(j.out, j.data[j.done:start]...)
	j.out = append(j.out, with...)
	j.done = end
	// A value in the place of a value leaves the text around it what it was.
	if with == "" {
		j.removed = true
	} else if !jsontext.Value(with).IsValid() {
		j.unsound = true
	}
}

func (j *walk) scalar(at where, f *frame) bool {
	raw, err := j.dec.ReadValue()
	if err != nil || len(raw) == 0 {
		return false
	}
	end := int(j.dec.InputOffset())
	start := end - len(raw)
	if f != nil && f.nameKey.names && raw[0] == '"' && len(raw) <= longestName {
		f.label = j.data[start:end]
	}
	with, goes := j.w.scalar(&at, raw)
	if goes {
		j.remove(start, f)
		return true
	}
	j.keep(f)
	if with != "" {
		j.splice(start, end, with)
	}
	if f != nil {
		f.kept = end
	}
	return true
}

// scalar judges one scalar: its replacement as JSON text, "" for none, or that
// it goes.
func (w *worker) scalar(at *where, raw []byte) (with string, goes bool) {
	switch raw[0] {
	case '"':
		return w.jsonString(at, raw)
	case 't', 'f', 'n':
		if at.rule >= 0 && w.s.cfg.Rules[at.rule].Action == Remove {
			w.hit(at.rule)
			return w.goneJSON(raw), !w.inMemory
		}
		return "", false
	}
	return w.jsonNumber(at, raw)
}

func (w *worker) jsonString(at *where, raw []byte) (with string, goes bool) {
	inner := raw[1 : len(raw)-1]
	quiet := at.quiet() && !at.link && w.literals == nil && !w.s.medical && !w.s.strict
	if quiet && len(inner) < 6 { // shorter than anything that shows by its form
		return "", false
	}
	escaped := bytes.IndexByte(inner, '\\') >= 0
	if quiet && !escaped && !opens(inner) && (traitsOf(inner).dull() || isTimestamp(inner)) {
		return "", false
	}
	text := string(unquoted(raw))
	v := w.judgeAt(at, text)
	if v.action == Remove {
		w.hit(v.rule)
		return w.goneJSON(raw), !w.inMemory
	}
	if out := w.apply(v, at.key, text); out != text {
		return quoted(out), false
	}
	return "", false
}

func (w *worker) jsonNumber(at *where, raw []byte) (with string, goes bool) {
	if at.quiet() && !w.s.strict {
		if n := len(raw); n < 13 || n > 24 || at.key != nil && at.key.technical && n > 16 {
			return "", false
		}
	}
	text := string(raw)
	v := w.judgeAt(at, text)
	switch v.action {
	case Remove:
		w.hit(v.rule)
		return w.goneJSON(raw), !w.inMemory
	case Mask:
		w.hit(v.rule)
		return maskedNumber(text), false
	case Pseudonymize:
		w.hit(v.rule)
		if head, digits, tail := wholeNumber(text); isCard(digits) && w.s.enabled[card] { // the same surrogate as everywhere else
			return head + w.number(card, digits) + tail, false
		}
		return w.number(v.class, text), false
	case Keep:
		w.kept = append(w.kept, text)
		return "", false
	}
	if head, digits, tail := wholeNumber(text); w.s.enabled[card] && every(digits, isDigit) && isCard(digits) {
		w.hitClass(card)
		return head + w.number(card, digits) + tail, false
	}
	return "", false
}

// wholeNumber splits off the sign and decimals that are all zero, with which a
// number that was never one to reckon with may have been written.
func wholeNumber(s string) (sign, digits, zeros string) {
	digits = strings.TrimPrefix(s, "-")
	sign = s[:len(s)-len(digits)]
	if dot := strings.IndexByte(digits, '.'); dot >= 0 && strings.Trim(digits[dot+1:], "0") == "" {
		return sign, digits[:dot], digits[dot:]
	}
	return sign, digits, ""
}

// goneJSON is what a removed JSON value leaves behind, as JSON text: in memory
// a string that is the same for values that say the same, whatever their white
// space and the order of their members; otherwise nothing.
func (w *worker) goneJSON(raw []byte) string {
	if !w.inMemory {
		return ""
	}
	v := jsontext.Value(bytes.Clone(raw))
	if v.Canonicalize(lenient, anyUTF8, jsontext.CanonicalizeRawInts(false)) != nil {
		v = raw
	}
	return quoted(w.gone(string(v)))
}

// isTimestamp reports whether s is an RFC 3339 time: full of digits, and in
// every other field of a document.
func isTimestamp(s []byte) bool {
	if len(s) < 19 || len(s) > 35 || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return false
	}
	for i, b := range s {
		if !isDigit(b) && (i < 19 && b != '-' && b != 'T' && b != ' ' && b != ':' || i >= 19 && bytes.IndexByte([]byte(".+-:Z"), b) < 0) {
			return false
		}
	}
	return true
}

// opens reports whether text may begin a document of its own.
func opens(s []byte) bool {
	return len(s) > 0 && (s[0] == '{' || s[0] == '[' || s[0] == '<' || s[0] == '"' || s[0] <= ' ')
}

// unquoted returns the text of a JSON string; without escapes it is a part of
// raw.
func unquoted(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	out, _ := jsontext.AppendUnquote(nil, raw) // invalid UTF-8 becomes U+FFFD
	return out
}

func quoted(s string) string {
	out, _ := jsontext.AppendQuote(nil, s)
	return string(out)
}
