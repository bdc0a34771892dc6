package scrub

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// body returns the body of a message with everything inside it scrubbed and its
// content coding redone, or raw itself. What it cannot read fails the worker.
func (w *worker) body(h traffic.Header, raw []byte) []byte {
	if len(raw) == 0 || w.failed() {
		return raw
	}
	plain, err := content.Decode(h, raw, w.s.cfg.MaxBody)
	switch {
	case errors.Is(err, content.ErrTooLarge) || err == nil && len(plain) > w.s.cfg.MaxBody:
		w.fail(tooLarge)
		return nil
	case err != nil:
		w.fail(badCoding)
		return nil
	}
	out := w.content(content.MediaTypeOf(h), plain, w.root(w.at("body")))
	if w.failed() {
		return nil
	}
	if sameBytes(out, plain) {
		return raw
	}
	coded, err := content.Encode(h, out)
	if err != nil {
		w.fail(badCoding)
	}
	return coded
}

// content scrubs a plain body of a media type.
func (w *worker) content(m content.MediaType, plain []byte, at where) []byte {
	if len(plain) == 0 {
		return plain
	}
	kind := content.Sniff(m, plain)
	switch kind {
	case content.Multipart:
		return w.multipart(m.Params["boundary"], plain, at)
	case content.Binary:
		if out, ok := w.guessJSON(plain, at); ok {
			return out
		}
		w.fail(binaryBody)
		return nil
	}
	text, back := w.utf8(m, kind, plain)
	if w.failed() {
		return nil
	}
	body, marked := bytes.CutPrefix(text, byteOrderMark)
	var out []byte
	if tableKinds[m.Name] {
		out = changed(body, w.table(string(body), at))
	} else {
		out = w.document(kind, body, at)
	}
	if w.failed() || sameBytes(out, body) {
		return plain
	}
	if marked {
		out = append(bytes.Clone(byteOrderMark), out...)
	}
	return back(out)
}

// utf8 returns the text of a body, and the way back to its character set.
func (w *worker) utf8(m content.MediaType, kind content.Kind, plain []byte) (text []byte, back func([]byte) []byte) {
	back = func(b []byte) []byte { return b }
	text, err := content.UTF8(m, plain)
	if err != nil && (kind == content.JSON || kind == content.NDJSON) && (m.Charset == "" || m.Charset == "utf-8") {
		return plain, back // broken strings do not hide the tokens around them
	}
	if err != nil || bytes.IndexByte(text, 0) >= 0 { // zero bytes: UTF-16 that does not say so
		w.fail(badCharset)
		return nil, back
	}
	if m.Charset == "iso-8859-1" || m.Charset == "latin1" {
		back = w.latin1
	}
	return text, back
}

func (w *worker) latin1(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			w.fail(badCharset)
			return nil
		}
		out = append(out, byte(r))
	}
	return out
}

var byteOrderMark = []byte("\ufeff")

func (w *worker) document(kind content.Kind, text []byte, at where) []byte {
	switch {
	case kind == content.JSON, kind == content.NDJSON:
		return w.jsonBody(text, at, kind == content.NDJSON)
	case at.key != nil && w.judgeAt(&at, string(text)).named(): // a part whose name says what it is
		if out, ok := w.guessJSON(text, at); ok {
			return out
		}
		return changed(text, w.leaf(at, string(text)))
	case kind == content.EventStream:
		return changed(text, w.events(string(text), at))
	}
	if out, ok := w.guessJSON(text, at); ok { // media types are not to be trusted
		return out
	}
	s := string(text)
	switch {
	case kind == content.Form, kind == content.Text && looksForm(s):
		return changed(text, w.pairs(s, '&', at.places, "form"))
	case kind == content.Text || at.rule >= 0:
		return changed(text, w.leaf(at, s))
	}
	return changed(text, w.markup(s, kind == content.HTML))
}

// changed is text itself when out says the same.
func changed(text []byte, out string) []byte {
	if string(text) == out {
		return text
	}
	return []byte(out)
}

func (w *worker) jsonBody(text []byte, at where, lines bool) []byte {
	if bytes.IndexByte(text, 0x1e) >= 0 { // record separators of RFC 7464 are white space to everybody else
		clean := bytes.ReplaceAll(text, []byte{0x1e}, []byte{'\n'})
		if out, ok := w.json(clean, at, lines); ok {
			if sameBytes(out, clean) {
				return text
			}
			return out
		}
	} else if out, ok := w.json(text, at, lines); ok {
		return out
	}
	w.fail(badJSON)
	return nil
}

// guessJSON tries a body as JSON that does not say that it is.
func (w *worker) guessJSON(text []byte, at where) (out []byte, ok bool) {
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
		return nil, false
	}
	return w.json(text, at, false)
}

// looksForm reports whether a text without a media type is a form.
func looksForm(s string) bool {
	eq := strings.IndexByte(s, '=')
	if eq <= 0 || strings.ContainsAny(s, " \t\r\n<>\"") {
		return false
	}
	return every(s[:eq], func(b byte) bool { return isAlnum(b) || strings.IndexByte("_-.[]%+", b) >= 0 })
}

// events scrubs a text/event-stream: the data of each event as a document of
// its own, other lines as text.
func (w *worker) events(s string, at where) string {
	var b strings.Builder
	for i := 0; s != ""; {
		line, rest := nextLine(s)
		if !isData(line) {
			b.WriteString(w.eventLine(line))
			s = rest
			continue
		}
		var data, ends []string
		event := s
		for isData(line) {
			text := strings.TrimRight(line, "\r\n")
			data = append(data, strings.TrimPrefix(strings.TrimPrefix(text, "data:"), " "))
			ends = append(ends, line[len(text):])
			s = rest
			line, rest = nextLine(s)
		}
		place := at
		place.places = w.member(w.element(at.places, i), "data", false)
		i++
		joined := strings.Join(data, "\n")
		out := w.eventData(joined, place)
		if out == joined {
			b.WriteString(event[:len(event)-len(s)])
			continue
		}
		for n, l := range strings.Split(out, "\n") {
			b.WriteString("data: ")
			b.WriteString(l)
			b.WriteString(ends[min(n, len(ends)-1)])
		}
	}
	return b.String()
}

// eventLine scrubs a line of an event that is none of its data. What is said by
// event and retry is the kind of event and a time.
func (w *worker) eventLine(line string) string {
	text := strings.TrimRight(line, "\r\n")
	name, value, ok := strings.Cut(text, ":")
	if !w.s.strict || !ok || name == "event" || name == "retry" {
		return w.prose(line)
	}
	bare := strings.TrimPrefix(value, " ")
	return name + ":" + value[:len(value)-len(bare)] + w.free(bare) + line[len(text):]
}

func (w *worker) eventData(data string, at where) string {
	if strings.HasPrefix(data, "{") || strings.HasPrefix(data, "[{") || looksJSON(data) {
		if out, ok := w.json([]byte(data), at, false); ok {
			return string(out)
		}
		if strings.HasPrefix(data, `{"`) || strings.HasPrefix(data, `[{"`) { // names in it would not be seen
			w.fail(badJSON)
			return ""
		}
	}
	if at.places.rule >= 0 {
		at.rule = at.places.rule
	}
	return w.leaf(at, data)
}

// nextLine cuts a line with its end.
func nextLine(s string) (line, rest string) {
	i := strings.IndexAny(s, "\r\n")
	if i < 0 {
		return s, ""
	}
	if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
		i++
	}
	return s[:i+1], s[i+1:]
}

func isData(line string) bool { return strings.HasPrefix(line, "data:") }

// shown scrubs one value at a path of a document.
func (w *worker) shown(path []string, literal string) string {
	if !isText([]byte(literal)) { // bytes of who knows what
		return redacted
	}
	at := where{rule: -1, places: nowhere}
	section := ""
	if len(path) > 0 {
		section = path[0]
	}
	switch {
	case len(path) == 2 && section == "headers":
		return w.reshaped(literal, func(s string) string { out, _ := w.field(path[1], s); return out })
	case len(path) >= 2 && section == "cookies" && (len(path) == 2 || path[2] == "value"):
		at.class = cookie
		if !w.s.enabled[cookie] {
			at.class = none
		}
		at.key = w.key([]byte(path[1]))
		return w.shownValue(at, literal)
	}
	return w.shownValue(w.along(path), literal)
}

// along is where a path leads. Patterns are matched loosely: list positions
// are not in the path.
func (w *worker) along(path []string) where {
	at := where{rule: -1, places: nowhere}
	for i := range w.patterns {
		w.place(&at.places, i, 0, true)
	}
	at.rule = at.places.rule
	for i, name := range path {
		if i > 0 {
			at = at.inside()
			at.key = w.key([]byte(name))
			at.link = path[0] == "query"
			if at.key.rule >= 0 {
				at.rule = at.key.rule
			}
		}
		at.places = w.member(at.places, name, true)
		if at.places.rule >= 0 {
			at.rule = at.places.rule
		}
	}
	return at
}

func (w *worker) shownValue(at where, literal string) string {
	if v := w.judgeAt(&at, inText(literal)); v.action == Remove {
		if strings.HasPrefix(literal, `"`) {
			return `"` + redacted + `"`
		}
		return redacted
	}
	if !jsontext.Value(literal).IsValid(lenient, anyUTF8) {
		return w.leaf(at, literal)
	}
	if out, ok := w.json([]byte(literal), at, false); ok {
		return string(out)
	}
	return w.leaf(at, literal)
}

// inText is the text of a JSON string, or the literal itself.
func inText(literal string) string {
	if len(literal) >= 2 && literal[0] == '"' && literal[len(literal)-1] == '"' {
		return string(unquoted([]byte(literal)))
	}
	return literal
}

// reshaped applies f to the text of a literal and gives it the literal's form.
func (w *worker) reshaped(literal string, f func(string) string) string {
	text := inText(literal)
	out := f(text)
	switch {
	case out == text:
		return literal
	case text != literal:
		return quoted(out)
	}
	return out
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
