package compare

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/document"
)

var replacement = []byte("\uFFFD")

// textOf is the value of a string, by which it is compared. Decoding puts
// U+FFFD for whatever is no character; where it may have, the string is decoded
// again so that what differed still differs.
func textOf(n document.Node) []byte {
	text, raw := n.Text(), n.Raw()
	if len(raw) < 2 || !bytes.Contains(text, replacement) || bytes.IndexByte(raw, '\\') < 0 {
		return text
	}
	return unquote(raw[1 : len(raw)-1])
}

// unquote decodes the inside of a JSON string. Bytes that are no UTF-8 stay as
// they are, and an escaped half of a surrogate pair becomes the three bytes
// that UTF-8 would have for it.
func unquote(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			unit := codeUnit(s[i+1:])
			i += 4
			if whole := utf16.DecodeRune(unit, following(s[min(i+1, len(s)):])); whole != utf8.RuneError {
				out = utf8.AppendRune(out, whole)
				i += 6
				continue
			}
			out = appendUnit(out, unit)
		default:
			out = append(out, c)
		}
	}
	return out
}

// codeUnit reads the four hex digits at the beginning of s.
func codeUnit(s []byte) rune {
	n, _ := strconv.ParseUint(string(s[:min(4, len(s))]), 16, 16)
	return rune(n)
}

// following is the code unit that s begins with as an escape, or 0.
func following(s []byte) rune {
	if !bytes.HasPrefix(s, []byte(`\u`)) {
		return 0
	}
	return codeUnit(s[2:])
}

func appendUnit(dst []byte, unit rune) []byte {
	if !utf16.IsSurrogate(unit) {
		return utf8.AppendRune(dst, unit)
	}
	return append(dst, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F)
}
