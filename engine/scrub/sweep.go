package scrub

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// known is a value that was replaced.
type known struct {
	class class
	text  string
}

// sweep looks for many values at once: the hash of the first eight bytes of
// a word, case folded, says whether any value may begin there.
type sweep struct {
	filter [1 << 12]bool
	forms  map[uint64][]spelling
}

// spelling is a way in which a value may be written.
type spelling struct {
	text  string
	value int  // index of the value
	whole bool // stands alone; what is encoded may begin anywhere
}

// windowBytes is the length of the window, and of the shortest form.
const windowBytes = 8

// windowAt is the beginning of s, case folded, as a number.
func windowAt(s string) uint64 {
	_ = s[windowBytes-1]
	return (uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56) | 0x2020202020202020
}

func slotOf(w uint64) uint64 { return w * 0x9e3779b97f4a7c15 >> 52 }

func newSweep() *sweep { return &sweep{forms: map[uint64][]spelling{}} }

// sweepFor prepares the worker's sweep for values; nil when there are none.
func (w *worker) sweepFor(values []known) *sweep {
	if len(values) == 0 {
		return nil
	}
	if w.sweep == nil {
		w.sweep = newSweep()
	}
	s := w.sweep
	clear(s.filter[:])
	clear(s.forms)
	for i, v := range values {
		s.add(v.text, i, true)
		inner := quoted(v.text)
		for _, coded := range [...]string{url.QueryEscape(v.text), url.PathEscape(v.text), inner[1 : len(inner)-1]} {
			if coded != v.text {
				s.add(coded, i, true)
			}
		}
		for shift := range 3 {
			s.add(base64Of(v.text, shift), i, false)
		}
	}
	return s
}

// base64Of is what the base64 of a text that holds v behind shift other bytes
// has in every case.
func base64Of(v string, shift int) string {
	coded := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:shift] + v))
	skip := [...]int{0, 2, 3}[shift]
	end := (len(v) + shift) / 3 * 4
	if skip >= end {
		return ""
	}
	return coded[skip:end]
}

func (s *sweep) add(text string, value int, whole bool) {
	lead := 0
	for whole && lead < len(text) && !wordByte[text[lead]] {
		lead++
	}
	if text = text[lead:]; len(text) < windowBytes {
		return
	}
	w := windowAt(text)
	for _, f := range s.forms[w] {
		if f.text == text {
			return
		}
	}
	s.filter[slotOf(w)] = true
	s.forms[w] = append(s.forms[w], spelling{text, value, whole})
}

// each calls f with the values that are in text and where they begin and end.
// They begin where a word does, but for those that are encoded: these may begin
// anywhere in a long one.
func (s *sweep) each(text string, f func(value, start, end int)) {
	for i := 0; i+windowBytes <= len(text); {
		if !wordByte[text[i]] {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && wordByte[text[end]] {
			end++
		}
		s.word(text, i, end, f)
		i = end
	}
}

// word looks for values that begin in the word text[start:end].
func (s *sweep) word(text string, start, end int, f func(value, start, end int)) {
	s.at(text, start, f)
	switch before(text, start) {
	case '\\':
		s.at(text, start+1, f)
	case '%':
		s.at(text, start+2, f)
	}
	if end-start < longWord {
		return
	}
	for i := start + 1; i < end; i++ {
		s.at(text, i, f)
	}
}

// longWord is the length from which a word may be base64.
const longWord = 20

func (s *sweep) at(text string, i int, f func(value, start, end int)) {
	if i+windowBytes > len(text) {
		return
	}
	w := windowAt(text[i:])
	if !s.filter[slotOf(w)] {
		return
	}
	for _, form := range s.forms[w] {
		if end := i + len(form.text); form.stands(text, i, end) {
			f(form.value, i, end)
		}
	}
}

// stands reports whether the form is text[start:end], and no part of a longer
// word. A letter before it may belong to an escape, "\\n" or "%2F".
func (f *spelling) stands(text string, start, end int) bool {
	if end > len(text) || !strings.EqualFold(text[start:end], f.text) {
		return false
	}
	if !f.whole {
		return true
	}
	b := isAlnum(before(text, start)) && before(text, start-1) != '\\' && before(text, start-2) != '%'
	return !b && !isAlnum(after(text, end))
}

// distinctive reports whether a value of a class says enough to be looked for
// where nothing names it: "Berlin" is a town and a handbag, "Jane Doe" is not.
func distinctive(c class, v string) bool {
	if len(v) < windowBytes || len(v) > 512 {
		return false
	}
	switch c {
	case email, card, iban, ssn, vendorKey:
		return true
	case credential, cookie:
		return len(v) >= 12 && isOpaque(v)
	case name:
		return strings.IndexByte(v, ' ') > 0
	case username:
		return isOpaque(v)
	case address:
		return len(v) >= 10 && strings.IndexByte(v, ' ') > 0 && countDigits(v) > 0
	case phone, nationalID, bank:
		return countDigits(v) >= 8
	case device:
		return len(v) >= 12 && isOpaque(v)
	}
	return false
}

// note remembers that a value was replaced, for the look at the final bytes.
func (w *worker) note(c class, original, surrogate string) {
	if !w.noting {
		return
	}
	w.issued[surrogate] = true
	if distinctive(c, original) && !w.seen[original] {
		w.seen[original] = true
		w.replacedValues = append(w.replacedValues, known{c, original})
	}
}

// replaceEverywhere makes values be replaced wherever they stand.
func (w *worker) replaceEverywhere(values []known) {
	w.literals = newSweep()
	w.literalValues = values
	for i, v := range values {
		w.literals.add(v.text, i, true)
	}
}

// findLiterals finds the values that are to be replaced wherever they stand.
func (w *worker) findLiterals(s string, spans []span) []span {
	if w.literals == nil {
		return spans
	}
	w.literals.each(s, func(value, start, end int) {
		spans = append(spans, span{start, end, w.literalValues[value].class})
	})
	return spans
}
