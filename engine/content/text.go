package content

import (
	"errors"
	"unicode/utf8"
)

// ErrCharset is a text in a character set that cannot be read losslessly.
var ErrCharset = errors.New("character set cannot be read")

// UTF8 returns the text of body in UTF-8. Only character sets that can be
// turned back without loss are read: UTF-8, US-ASCII and ISO-8859-1. An unnamed
// one is taken as UTF-8.
func UTF8(m MediaType, body []byte) ([]byte, error) {
	switch m.Charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		if !utf8.Valid(body) {
			return nil, ErrCharset
		}
		return body, nil
	case "iso-8859-1", "latin1":
		out := make([]byte, 0, len(body)+len(body)/8)
		for _, b := range body {
			out = utf8.AppendRune(out, rune(b))
		}
		return out, nil
	}
	return nil, ErrCharset
}

// isText reports whether body is valid UTF-8 without control characters other
// than white space.
func isText(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	for _, b := range body {
		if b < 0x20 && b != '\n' && b != '\r' && b != '\t' && b != '\f' {
			return false
		}
	}
	return true
}
