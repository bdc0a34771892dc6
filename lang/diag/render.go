package diag

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fatih/color"
	"golang.org/x/text/width"

	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Printer writes diagnostics for people: the user's own line with carets under
// the mistake. Carets are drawn with and without color.
type Printer struct {
	Sources Sources
	Color   bool
	Width   int // columns; 0 means 100
}

const (
	defaultWidth = 100
	minWidth     = 40
	tabWidth     = 4
)

// Print writes l in its order, with an empty line after each diagnostic.
func (p Printer) Print(w io.Writer, l List) error {
	var b bytes.Buffer
	for _, d := range l {
		p.render(&b, d)
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Text gives one diagnostic as Print writes it, without the empty line.
func (p Printer) Text(d Diagnostic) string {
	var b bytes.Buffer
	p.render(&b, d)
	return b.String()
}

func (p Printer) render(b *bytes.Buffer, d Diagnostic) {
	ink := newPalette(p.Color, d.Severity)
	fmt.Fprintf(b, "%s%s %s\n", ink.severity(d.Severity.String()), ink.strong(": "+clean(d.Summary)), ink.dim("["+string(d.Code)+"]"))

	gutter := p.gutter(d)
	margin := strings.Repeat(" ", gutter)
	if !d.Subject.IsZero() {
		fmt.Fprintf(b, "%s%s %s\n", margin, ink.frame("-->"), d.Subject)
	}
	framed := false
	if line, ok := p.line(d.Subject); ok && !d.Sensitive {
		p.snippet(b, ink, gutter, line, '^', d.Label)
		framed = true
	}
	for _, r := range d.Related {
		fmt.Fprintf(b, "%s%s %s\n", margin, ink.frame(":::"), r.Range)
		if line, ok := p.line(r.Range); ok && !d.Sensitive {
			p.snippet(b, ink, gutter, line, '-', r.Text)
			framed = true
		} else if r.Text != "" {
			p.note(b, ink, margin, "", r.Text)
		}
	}
	if !framed && d.Label != "" {
		p.note(b, ink, margin, "", sentence(d.Label))
	}
	if framed && d.Detail+d.Help != "" {
		fmt.Fprintf(b, "%s %s\n", margin, ink.frame("|"))
	}
	if d.Detail != "" {
		p.note(b, ink, margin, "", d.Detail)
	}
	if d.Help != "" {
		p.note(b, ink, margin, "help: ", d.Help)
	}
}

// gutter is the width of the widest line number that d shows.
func (p Printer) gutter(d Diagnostic) int {
	last := d.Subject.Start.Line
	for _, r := range d.Related {
		last = max(last, r.Range.Start.Line)
	}
	return max(len(strconv.Itoa(last)), 1)
}

// note writes a paragraph behind the frame. What follows an empty line in text
// is kept as it is, so that it can be copied.
func (p Printer) note(b *bytes.Buffer, ink palette, margin, lead, text string) {
	prose, verbatim, _ := strings.Cut(text, "\n\n")
	indent := strings.Repeat(" ", utf8.RuneCountInString(lead))
	room := max(p.width()-len(margin)-3-len(lead), minWidth/2)
	for i, line := range wrap(clean(prose), room) {
		if i == 0 {
			fmt.Fprintf(b, "%s %s %s%s\n", margin, ink.frame("="), ink.strong(lead), line)
			continue
		}
		fmt.Fprintf(b, "%s   %s%s\n", margin, indent, line)
	}
	if verbatim == "" {
		return
	}
	b.WriteByte('\n')
	for line := range strings.SplitSeq(verbatim, "\n") {
		b.WriteString(strings.TrimRight(margin+"     "+clean(line), " "))
		b.WriteByte('\n')
	}
}

func (p Printer) width() int {
	if p.Width == 0 {
		return defaultWidth
	}
	return max(p.Width, minWidth)
}

// wrap breaks text at spaces into lines of at most room characters, where the
// words allow it.
func wrap(text string, room int) []string {
	var lines []string
	var line strings.Builder
	size := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if size > 0 && size+1+n > room {
			lines = append(lines, line.String())
			line.Reset()
			size = 0
		}
		if size > 0 {
			line.WriteByte(' ')
			size++
		}
		line.WriteString(word)
		size += n
	}
	return append(lines, line.String())
}

// sourceLine is the line of a range, and which bytes of it the range covers.
type sourceLine struct {
	number     int
	text       []byte
	start, end int
}

// line finds the first line of r. A range over several lines is cut to it.
func (p Printer) line(r pos.Range) (sourceLine, bool) {
	src, ok := p.Sources[r.File]
	if !ok || r.Start.Byte < 0 || r.Start.Byte > len(src) || r.Start.Line < 1 {
		return sourceLine{}, false
	}
	from := bytes.LastIndexByte(src[:r.Start.Byte], '\n') + 1
	rest := src[from:]
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		rest = rest[:n]
	}
	l := sourceLine{number: r.Start.Line, text: bytes.TrimRight(rest, " \t\r")}
	l.start = min(r.Start.Byte-from, len(l.text))
	l.end = min(max(r.End.Byte-from, l.start), len(l.text))
	return l, true
}

// cell is one character as a terminal shows it.
type cell struct {
	text  string
	width int
	mark  bool // the caret stands under it
}

// cells lays out a line: tabs become spaces, control characters become
// visible, and characters that share a cell with their predecessor join it.
func cells(l sourceLine) (row []cell, mark bool) {
	for i := 0; i < len(l.text); {
		r, size := utf8.DecodeRune(l.text[i:])
		c := cell{mark: i >= l.start && i < l.end}
		mark = mark || c.mark
		switch {
		case r == '\t':
			c.text, c.width = strings.Repeat(" ", tabWidth), tabWidth
		case r == utf8.RuneError && size == 1:
			c.text, c.width = "\uFFFD", 1
		case r < 0x20:
			c.text, c.width = string(rune(0x2400)+r), 1
		case r == 0x7f:
			c.text, c.width = "\u2421", 1
		case unicode.Is(unicode.C, r) && r != '\u200d':
			c.text, c.width = "\uFFFD", 1
		default:
			c.text, c.width = string(r), runeWidth(r)
		}
		if c.width == 0 && len(row) > 0 {
			row[len(row)-1].text += c.text
		} else {
			row = append(row, c)
		}
		i += size
	}
	return row, mark
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) || r == '\u200d' {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// snippet writes the line and the carets under it. A line that is too wide
// shows the part around the carets.
func (p Printer) snippet(b *bytes.Buffer, ink palette, gutter int, l sourceLine, caret byte, label string) {
	row, marked := cells(l)
	if !marked {
		row = markPoint(row, l)
	}
	row = window(row, p.width()-gutter-3)

	margin := strings.Repeat(" ", gutter)
	fmt.Fprintf(b, "%s %s\n", margin, ink.frame("|"))
	number := fmt.Sprintf("%*d", gutter, l.number)
	fmt.Fprintf(b, "%s %s", ink.frame(number), ink.frame("|"))
	var text, carets strings.Builder
	before, under := 0, 0
	for _, c := range row {
		text.WriteString(c.text)
		switch {
		case c.mark:
			under += c.width
		case under == 0:
			before += c.width
		}
	}
	if line := strings.TrimRight(text.String(), " "); line != "" {
		fmt.Fprintf(b, " %s", line)
	}
	b.WriteByte('\n')
	carets.WriteString(strings.Repeat(string(caret), max(under, 1)))
	if label != "" {
		carets.WriteString(" " + clean(label))
	}
	paint := ink.severity
	if caret != '^' {
		paint = ink.frame
	}
	fmt.Fprintf(b, "%s %s %s%s\n", margin, ink.frame("|"), strings.Repeat(" ", before), paint(carets.String()))
}

// markPoint puts the mark of an empty range on the cell that begins there, or
// behind the line's end.
func markPoint(row []cell, l sourceLine) []cell {
	probe := sourceLine{text: l.text, start: l.start, end: len(l.text)}
	marked, any := cells(probe)
	if !any {
		return append(row, cell{text: " ", width: 1, mark: true})
	}
	for i := range marked {
		if marked[i].mark {
			row[i].mark = true
			return row
		}
	}
	return row
}

// window cuts row to room columns around its mark, with an ellipsis where
// something was left out.
func window(row []cell, room int) []cell {
	total, first, last := 0, -1, 0
	for i, c := range row {
		total += c.width
		if c.mark {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if total <= room || first < 0 {
		return row
	}
	from, to, used := first, first, row[first].width
	for to < last && used+row[to+1].width <= room-2 {
		to++
		used += row[to].width
	}
	for grew := true; grew; {
		grew = false
		if from > 0 && used+row[from-1].width <= room-2 {
			from--
			used += row[from].width
			grew = true
		}
		if to+1 < len(row) && used+row[to+1].width <= room-2 {
			to++
			used += row[to].width
			grew = true
		}
	}
	var out []cell
	if from > 0 {
		out = append(out, cell{text: "…", width: 1})
	}
	out = append(out, row[from:to+1]...)
	if to+1 < len(row) {
		out = append(out, cell{text: "…", width: 1})
	}
	return out
}

// clean makes control characters of user text visible, so that no message can
// move the cursor of a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7f:
			return 0x2421
		case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// sentence makes a caret's label stand on its own.
func sentence(label string) string {
	r, n := utf8.DecodeRuneInString(label)
	return string(unicode.ToUpper(r)) + label[n:] + "."
}

// palette paints parts of the output; without color it leaves them alone.
type palette struct {
	severity, strong, frame, dim func(string) string
}

func newPalette(on bool, s Severity) palette {
	main := color.FgRed
	if s == Warning {
		main = color.FgYellow
	}
	return palette{
		severity: painter(on, main, color.Bold),
		strong:   painter(on, color.Bold),
		frame:    painter(on, color.FgBlue),
		dim:      painter(on, color.Faint),
	}
}

// painter builds its own color, because fatih/color's switch is global and
// another writer may want it the other way.
func painter(on bool, attrs ...color.Attribute) func(string) string {
	c := color.New(attrs...)
	if on {
		c.EnableColor()
	} else {
		c.DisableColor()
	}
	return func(s string) string {
		if s == "" {
			return ""
		}
		return c.Sprint(s)
	}
}
