package scrub

import "strings"

// tableKinds are the media types of tables (RFC 4180 and its kin).
var tableKinds = map[string]bool{"text/csv": true, "application/csv": true, "text/x-csv": true, "application/x-csv": true,
	"text/comma-separated-values": true, "text/tab-separated-values": true}

// table scrubs a table whose first row names the columns. Fields that stay are
// copied as they are, quotes and line ends included. A table without such a row
// has values for names, which say nothing: its fields are judged by their form.
func (w *worker) table(s string, at where) string {
	sep := separatorOf(s)
	var columns []*keyInfo
	var names []string
	var b strings.Builder
	b.Grow(len(s))
	inside := at.inside()
	headed := w.s.strict && w.isHead(s, sep)
	for first, column := true, 0; s != ""; {
		field, rest := nextField(s, sep)
		place := where{rule: at.rule, places: nowhere}
		text := fieldText(field)
		switch {
		case first:
			columns, names = append(columns, w.key([]byte(text))), append(names, text)
		case column < len(columns):
			place = w.memberAt(inside, columns[column], []byte(names[column]))
		}
		if first && headed {
			b.WriteString(inField(w.plain(text), field, text, sep))
		} else {
			b.WriteString(inField(w.leaf(place, text), field, text, sep))
		}
		if s = rest; s == "" {
			break
		}
		b.WriteByte(s[0])
		column++
		if s[0] != sep {
			first, column = false, 0
		}
		s = s[1:]
	}
	return b.String()
}

// separatorOf is what separates the names in the first row most often.
func separatorOf(s string) byte {
	row := s
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		row = s[:i]
	}
	best := byte(',')
	for _, sep := range []byte{';', '\t', '|'} {
		if strings.Count(row, string(sep)) > strings.Count(row, string(best)) {
			best = sep
		}
	}
	return best
}

// nextField cuts the first field of s; rest begins with what ends it. Separators
// and line ends within quotes belong to the field.
func nextField(s string, sep byte) (field, rest string) {
	i := 0
	if s != "" && s[0] == '"' {
		for i = 1; i < len(s); i++ {
			if s[i] != '"' {
				continue
			}
			if after(s, i+1) != '"' {
				i++
				break
			}
			i++
		}
	}
	for i < len(s) && s[i] != sep && s[i] != '\n' && s[i] != '\r' {
		i++
	}
	return s[:i], s[i:]
}

// fieldText is the text of a field without its quotes.
func fieldText(field string) string {
	if len(field) < 2 || field[0] != '"' || field[len(field)-1] != '"' {
		return field
	}
	return strings.ReplaceAll(field[1:len(field)-1], `""`, `"`)
}

// isHead reports whether the first row of a table has names: one of them is known,
// and none is a number.
func (w *worker) isHead(s string, sep byte) bool {
	known := false
	for {
		field, rest := nextField(s, sep)
		text := fieldText(field)
		k := w.key([]byte(text))
		known = known || k.says() || k.traits != nameTraits{}
		if isNumeral(text) || k.exposed {
			return false
		}
		if rest == "" || rest[0] != sep {
			return known
		}
		s = rest[1:]
	}
}

// inField writes what became of the text of a field as the field was written.
func inField(out, field, text string, sep byte) string {
	if out == text {
		return field
	}
	if field != text || strings.IndexByte(out, sep) >= 0 || strings.ContainsAny(out, "\"\r\n") {
		return `"` + strings.ReplaceAll(out, `"`, `""`) + `"`
	}
	return out
}
