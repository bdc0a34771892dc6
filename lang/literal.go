package lang

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// literal is a string of the spec that can say where each of its bytes came
// from, so that a mistake inside it can be underlined exactly.
type literal struct {
	text string
	rng  pos.Range // the whole expression

	// offsets has, for each byte of text and for its end, the offset in the
	// file. It is nil where the text cannot be mapped; then rng stands for all.
	offsets []int
}

// at gives the place of text[start:end] in the file src.
func (l literal) at(src []byte, start, end int) pos.Range {
	if l.offsets == nil || start < 0 || end < start || end > len(l.text) {
		return l.rng
	}
	if start == len(l.text) {
		// A program that ends too early is best shown right behind its last
		// word, and not on the line of a heredoc's end marker.
		start = len(strings.TrimRightFunc(l.text, unicode.IsSpace))
		end = start
	}
	from := l.offsets[start]
	to := from
	if end > start {
		to = l.offsets[end-1] + l.widthAt(end-1)
	}
	return diag.RangeOf(src, l.rng.File, from, to)
}

// widthAt is how many bytes of the file the byte i of the text takes. The last
// byte before a gap (an indent, a line's end) takes one.
func (l literal) widthAt(i int) int {
	width := l.offsets[i+1] - l.offsets[i]
	if l.text[i] == '\n' || width < 1 {
		return 1
	}
	return width
}

// mapLiteral undoes the quoting of the string literal that is raw, which
// begins at offset base of its file. It is false for anything but a quoted
// string or heredoc without interpolation.
//
// The rules are those of the HCL native syntax specification, "Template
// Literals" and "Heredoc". The caller has to compare the text with what the
// HCL parser made of it: the parser also brings strings into Unicode's NFC.
func mapLiteral(raw []byte, base int) (text string, offsets []int, ok bool) {
	switch {
	case bytes.HasPrefix(raw, []byte(`"`)):
		return mapQuoted(raw, base)
	case bytes.HasPrefix(raw, []byte("<<")):
		return mapHeredoc(raw, base)
	}
	return "", nil, false
}

// unquoter collects decoded bytes with their offsets.
type unquoter struct {
	text    []byte
	offsets []int
}

func (u *unquoter) add(offset int, b ...byte) {
	for range b {
		u.offsets = append(u.offsets, offset)
	}
	u.text = append(u.text, b...)
}

func (u *unquoter) end(offset int) (string, []int, bool) {
	return string(u.text), append(u.offsets, offset), true
}

func mapQuoted(raw []byte, base int) (string, []int, bool) {
	if len(raw) < 2 || raw[len(raw)-1] != '"' {
		return "", nil, false
	}
	last := len(raw) - 1
	var u unquoter
	for i := 1; i < last; {
		n, ok := u.template(raw[:last], i, base)
		switch {
		case !ok:
			return "", nil, false
		case n > 0:
			i += n
		case raw[i] == '"' || raw[i] == '\n':
			return "", nil, false
		case raw[i] == '\\':
			b, n := unescape(raw[i:last])
			if n == 0 {
				return "", nil, false
			}
			u.add(base+i, b...)
			i += n
		default:
			u.add(base+i, raw[i])
			i++
		}
	}
	return u.end(base + last)
}

// template handles what quoted strings and heredocs share: "$${" and "%%{"
// stand for "${" and "%{", which themselves would begin a template. It gives
// how many bytes of raw it took, and false for a template.
func (u *unquoter) template(raw []byte, i, base int) (int, bool) {
	c := raw[i]
	if c != '$' && c != '%' {
		return 0, true
	}
	rest := raw[i+1:]
	switch {
	case len(rest) > 1 && rest[0] == c && rest[1] == '{':
		u.add(base+i, c)
		u.add(base+i+2, '{')
		return 3, true
	case len(rest) > 0 && rest[0] == '{':
		return 0, false
	}
	return 0, true
}

// unescape decodes the escape sequence that raw begins with, and gives its
// length in raw, or 0 when it is none.
func unescape(raw []byte) ([]byte, int) {
	if len(raw) < 2 {
		return nil, 0
	}
	switch raw[1] {
	case 'n':
		return []byte{'\n'}, 2
	case 'r':
		return []byte{'\r'}, 2
	case 't':
		return []byte{'\t'}, 2
	case '"', '\\':
		return raw[1:2], 2
	case 'u', 'U':
		n := 6
		if raw[1] == 'U' {
			n = 10
		}
		if len(raw) < n {
			return nil, 0
		}
		code, err := strconv.ParseUint(string(raw[2:n]), 16, 32)
		if err != nil || !utf8.ValidRune(rune(code)) {
			return nil, 0
		}
		return utf8.AppendRune(nil, rune(code)), n
	}
	return nil, 0
}

func mapHeredoc(raw []byte, base int) (string, []int, bool) {
	header, body, found := bytes.Cut(raw, []byte("\n"))
	if !found {
		return "", nil, false
	}
	flush := bytes.HasPrefix(header, []byte("<<-"))
	at := base + len(header) + 1

	lines := bytes.SplitAfter(body, []byte("\n"))
	if len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return "", nil, false
	}
	content := lines[:len(lines)-1] // the last one is the end marker
	cut := 0
	if flush {
		cut = commonIndent(content)
	}
	var u unquoter
	for _, line := range content {
		skip := 0
		if !blank(line) {
			skip = indentBytes(line, cut)
		}
		for i := skip; i < len(line); {
			n, ok := u.template(line, i, at)
			if !ok {
				return "", nil, false
			}
			if n == 0 {
				u.add(at+i, line[i])
				n = 1
			}
			i += n
		}
		at += len(line)
	}
	return u.end(at)
}

// blank reports whether a heredoc's line has nothing but space; such lines
// neither count for the common indent nor lose it.
func blank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

// commonIndent is the number of space characters that all lines begin with.
func commonIndent(lines [][]byte) int {
	least := -1
	for _, line := range lines {
		if blank(line) {
			continue
		}
		trimmed := bytes.TrimLeftFunc(line, unicode.IsSpace)
		if n := utf8.RuneCount(line[:len(line)-len(trimmed)]); least < 0 || n < least {
			least = n
		}
	}
	return max(least, 0)
}

// indentBytes is how many bytes the first n characters of line take.
func indentBytes(line []byte, n int) int {
	at := 0
	for range n {
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	return at
}
