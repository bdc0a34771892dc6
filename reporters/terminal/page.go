package terminal

import (
	"bytes"
	"strings"

	"github.com/fatih/color"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// style is what a piece of text means; color shows it, where there is color.
type style int

const (
	plain style = iota
	strong
	good
	bad
	doubtful
	faint
	styles
)

// palette has one color per style. They belong to one report: the global
// switch of the color package is for programs with one output.
func palette(on bool) [styles]*color.Color {
	colors := [styles]*color.Color{
		plain:    color.New(),
		strong:   color.New(color.Bold),
		good:     color.New(color.FgGreen),
		bad:      color.New(color.FgRed, color.Bold),
		doubtful: color.New(color.FgYellow),
		faint:    color.New(color.Faint),
	}
	for _, c := range colors {
		if on {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return colors
}

func styleOf(v result.Verdict) style {
	switch v {
	case result.Pass:
		return good
	case result.Inconclusive:
		return doubtful
	case result.Skipped:
		return faint
	}
	return bad
}

// span is a piece of a line. Its text may come from anywhere.
type span struct {
	text  string
	style style
}

// page collects lines that are never wider than width.
type page struct {
	out    bytes.Buffer
	width  int
	colors [styles]*color.Color
}

// line writes one line and cuts what does not fit.
func (p *page) line(spans ...span) {
	room, begun := p.width, false
	var b strings.Builder
	for i, s := range spans {
		text := clean(s.text)
		if !begun {
			text = disarm(text)
			begun = strings.TrimSpace(text) != ""
		}
		if i == len(spans)-1 {
			text = strings.TrimRight(text, " ")
		}
		if columns(text) > room {
			text, _ = head(text, max(room-1, 0))
			text += strings.Repeat("…", min(room, 1))
		}
		room -= columns(text)
		if s.style == plain || text == "" {
			b.WriteString(text)
			continue
		}
		b.WriteString(p.colors[s.style].Sprint(text))
	}
	p.out.WriteString(b.String() + "\n")
}

// disarm keeps CI systems from taking a line for a command: some run what
// follows "::" or "##" at the beginning of a line of a build's log.
func disarm(line string) string {
	text := strings.TrimLeft(line, " ")
	if strings.HasPrefix(text, "::") || strings.HasPrefix(text, "##") {
		return line[:len(line)-len(text)] + `\` + text
	}
	return line
}

func (p *page) blank() { p.out.WriteByte('\n') }

// command writes a command for a shell, over several lines if it must be. It
// breaks only between the given words.
func (p *page) command(words ...string) {
	first, line := "  $ ", ""
	for i, word := range words {
		if i > 0 && columns(first)+columns(line)+columns(word)+len(`  \`) > p.width {
			p.line(span{first, faint}, span{line + ` \`, strong})
			first, line = "      ", ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.line(span{first, faint}, span{line, strong})
}

// heading starts a part of the report.
func (p *page) heading(text string) {
	p.blank()
	p.line(span{text, strong})
}

// text writes a paragraph.
func (p *page) text(indent int, text string, st style) {
	p.hanging(strings.Repeat(" ", indent), text, st)
}

// hanging writes a paragraph that begins behind first and stays there.
func (p *page) hanging(first, text string, st style) {
	indent := columns(first)
	for _, line := range wrap(clean(text), p.width-indent-1) {
		p.line(span{first, plain}, span{line, st})
		first = strings.Repeat(" ", indent)
	}
}

// field writes a labelled paragraph.
func (p *page) field(label, text string, st style) {
	const labels = 12
	p.hanging("  "+label+strings.Repeat(" ", max(labels-columns(label), 1)), text, st)
}

// column is a column of a table.
type column struct {
	head  string
	right bool // aligned to the right
	flex  bool // gives way when the table is too wide
}

const gap = 2

// table writes rows under their heads. Columns without content are left out.
func (p *page) table(cols []column, rows [][]span) {
	p.tableWith(cols, rows, func(int) {})
}

// tableWith writes a table and calls below behind each of its rows.
func (p *page) tableWith(cols []column, rows [][]span, below func(row int)) {
	widths := make([]int, len(cols))
	for i := range cols {
		for _, row := range rows {
			widths[i] = max(widths[i], columns(clean(row[i].text)))
		}
		if widths[i] > 0 {
			widths[i] = max(widths[i], columns(cols[i].head))
		}
	}
	fit(cols, widths, p.width)
	heads := make([]span, len(cols))
	for i, c := range cols {
		heads[i] = span{c.head, faint}
	}
	p.row(cols, widths, heads)
	for i, row := range rows {
		p.row(cols, widths, row)
		below(i)
	}
}

func (p *page) row(cols []column, widths []int, row []span) {
	spans := []span{{"", plain}}
	for i, cell := range row {
		if widths[i] == 0 {
			continue
		}
		text := shorten(clean(cell.text), widths[i])
		pad := strings.Repeat(" ", widths[i]-columns(text))
		if cols[i].right {
			spans = append(spans, span{strings.Repeat(" ", gap) + pad, plain}, span{text, cell.style})
		} else {
			spans = append(spans, span{strings.Repeat(" ", gap), plain}, span{text, cell.style}, span{pad, plain})
		}
	}
	for len(spans) > 0 && strings.TrimSpace(spans[len(spans)-1].text) == "" {
		spans = spans[:len(spans)-1]
	}
	p.line(spans...)
}

// fit takes columns from the widest flexible one until the table fits.
func fit(cols []column, widths []int, room int) {
	const narrowest = 8
	for {
		sum, widest := 0, -1
		for i, w := range widths {
			if w == 0 {
				continue
			}
			sum += w + gap
			if cols[i].flex && w > narrowest && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if sum <= room || widest < 0 {
			return
		}
		widths[widest]--
	}
}
