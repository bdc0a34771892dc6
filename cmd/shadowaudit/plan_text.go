package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/preview"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// maxListed is how many rows of a kind the text shows; the JSON has them all.
const maxListed = 20

// writePlan writes a preview for people, in lines of at most width columns.
func writePlan(w io.Writer, doc *preview.Document, width int) error {
	p := &sheet{width: width}
	for _, s := range doc.Specs {
		p.variables(s)
	}
	for i := range doc.Audits {
		p.audit(&doc.Audits[i])
	}
	_, err := w.Write(bytes.TrimLeft(p.out.Bytes(), "\n"))
	return err
}

// sheet collects the lines of the text.
type sheet struct {
	out   bytes.Buffer
	width int
}

func (p *sheet) heading(text string) { fmt.Fprintf(&p.out, "\n%s\n", printable(text)) }

// field writes a labelled paragraph, unless there is nothing to say.
func (p *sheet) field(label, text string) {
	if text == "" {
		return
	}
	p.paragraph(fmt.Sprintf("  %-10s ", label), text)
}

// paragraph writes text behind first, and indents the lines that follow.
func (p *sheet) paragraph(first, text string) {
	indent := utf8.RuneCountInString(first)
	line, room := first, p.width-indent
	used := 0
	for _, word := range strings.Fields(printable(text)) {
		n := utf8.RuneCountInString(word)
		if used > 0 && used+1+n > room {
			p.out.WriteString(line + "\n")
			line, used = strings.Repeat(" ", indent), 0
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		for n > room { // a word that is wider than the page
			cut := []rune(word)
			p.out.WriteString(line + string(cut[:room-used]) + "\n")
			word, line = string(cut[room-used:]), strings.Repeat(" ", indent)
			n, used = utf8.RuneCountInString(word), 0
		}
		line, used = line+word, used+n
	}
	p.out.WriteString(line + "\n")
}

// table writes rows in columns that are as wide as they need to be. The column
// wide gives way when a row is wider than the page.
func (p *sheet) table(wide int, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	total := 2 * len(widths)
	for i := range widths {
		for _, row := range rows {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	if total > p.width {
		widths[wide] = max(12, widths[wide]-(total-p.width))
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = shortened(cell, widths[i])
			line.WriteString("  " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		p.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// shortened cuts the middle out of text that has more than n characters.
func shortened(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	end := (n - 1) / 2
	return string(runes[:n-1-end]) + "…" + string(runes[len(runes)-end:])
}

// printable keeps text that comes from traffic from doing anything to a
// terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// right aligns the texts of a column.
func right(texts ...string) []string {
	width := 0
	for _, t := range texts {
		width = max(width, utf8.RuneCountInString(t))
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = strings.Repeat(" ", width-utf8.RuneCountInString(t)) + t
	}
	return out
}

// shares writes a table of counts, their shares and their names, and says how
// many were left out of it.
func shares[T any](p *sheet, rows []T, row func(T) (n int64, share float64, name string)) {
	counts, parts, names := []string{}, []string{}, []string{}
	for _, r := range rows[:min(len(rows), maxListed)] {
		n, share, name := row(r)
		counts, parts, names = append(counts, result.FormatCount(n)), append(parts, result.FormatShare(share, 2)), append(names, name)
	}
	counts, parts = right(counts...), right(parts...)
	table := make([][]string, len(names))
	for i := range names {
		table[i] = []string{counts[i], parts[i], names[i]}
	}
	p.table(2, table)
	p.more(len(rows))
}

func (p *sheet) more(n int) {
	if n > maxListed {
		p.paragraph("  ", fmt.Sprintf("and %s more; --json lists them", result.FormatCount(int64(n-maxListed))))
	}
}

func (p *sheet) variables(s preview.Spec) {
	if len(s.Variables) == 0 {
		return
	}
	p.heading("Variables of " + s.Path)
	rows := make([][]string, len(s.Variables))
	for i, v := range s.Variables {
		rows[i] = []string{v.Name, valueOf(v), originOf(v)}
	}
	p.table(1, rows)
}

func valueOf(v plan.Variable) string {
	if v.Sensitive {
		return "(sensitive)"
	}
	return v.Value
}

func originOf(v plan.Variable) string {
	if len(v.Overridden) == 0 {
		return v.From
	}
	return v.From + ", over " + strings.Join(v.Overridden, ", ")
}

func (p *sheet) audit(a *preview.Audit) {
	p.heading("PLAN  " + a.Name)
	p.field("digest", a.PlanDigest)
	if a.Disabled {
		p.field("skipped", "enabled = false: this audit would not run")
		return
	}
	p.field("source", a.Source)
	p.field("baseline", targetText(a.Baseline))
	p.field("candidate", targetText(a.Candidate))
	p.field("error", a.Error)
	p.settings(a.Settings)
	if a.Error == "" || a.Traffic.Read > 0 {
		p.traffic(a)
		p.load(a)
		p.endpoints(a)
		p.cohorts(a)
		p.gates(a)
		p.scrub(&a.Scrub)
	}
	p.notes(a.Notes)
}

func targetText(t result.Target) string {
	if t.URL == "" {
		return t.Name
	}
	return t.Name + " at " + t.URL
}

func (p *sheet) settings(settings []plan.Setting) {
	p.heading("Settings")
	rows := make([][]string, len(settings))
	for i, s := range settings {
		from := filepath.Base(s.From)
		if s.Via != "" {
			from = s.Via // it leads to the place
		}
		rows[i] = []string{s.Name, s.Value, from}
	}
	p.table(1, rows)
}

func (p *sheet) traffic(a *preview.Audit) {
	t := &a.Traffic
	p.heading("Traffic")
	p.field("read", fmt.Sprintf("%s, %s with the recorded response", result.Plural(t.Read, "exchange"), result.FormatCount(t.Paired)))
	p.field("to send", result.FormatCount(t.Selected))
	p.field("left out", counted(
		count{t.Excluded, "excluded by select"}, count{t.SampledOut, "sampled out"}, count{t.OutsideWindow, "outside the window"},
		count{t.UnsafeSkipped, "unsafe and skipped"}, count{t.ScrubDropped, "dropped by the scrubber"}))
	p.field("unreadable", unreadable(t))
	for _, r := range a.Select {
		p.field(r.Rule, fmt.Sprintf("%s by %s", result.FormatCount(r.Hits), r.JQ))
	}
}

// unreadable counts what a source could not make exchanges of.
func unreadable(t *result.Traffic) string {
	return counted(
		count{t.Malformed, "malformed"}, count{t.OrphanResponses, "responses without their request"}, count{t.Truncated, "truncated"},
		count{t.ReplayedResponses, "replayed responses"}, count{t.NotHTTP, "not HTTP"}, count{t.Gaps, "gaps in the capture"}, count{t.ForeignHost, "for other hosts"},
		count{t.Dropped, "dropped for want of room"}, count{t.LostPackets, "packets lost by the kernel"})
}

type count struct {
	n    int64
	what string
}

// counted joins the counts that are not zero.
func counted(counts ...count) string {
	var parts []string
	for _, c := range counts {
		if c.n > 0 {
			parts = append(parts, result.FormatCount(c.n)+" "+c.what)
		}
	}
	return strings.Join(parts, ", ")
}

func (p *sheet) load(a *preview.Audit) {
	if a.Traffic.Selected == 0 {
		return
	}
	l, s := &a.Load, &a.Sessions
	p.heading("Load")
	p.field("recorded", durationText(l.RecordedNS))
	if l.Timing == "unpaced" {
		p.field("planned", "unpaced: as fast as max_in_flight allows")
	} else {
		p.field("planned", fmt.Sprintf("%s (%s)", durationText(l.PlannedNS), l.Timing))
		rate := "at most " + result.FormatCount(int64(l.PeakPerS)) + " within a second"
		if l.MeanPerS > 0 {
			rate = "mean " + result.PerSecond.Format(l.MeanPerS, result.Digits) + ", " + rate
		}
		p.field("rate", rate)
	}
	p.field("sessions", sessionsText(s))
}

func sessionsText(s *preview.Sessions) string {
	sessions := result.FormatCount(s.Count)
	if s.AtLeast {
		sessions = "at least " + sessions
	}
	if s.Count > 0 {
		sessions += ", the longest of " + result.Plural(s.Longest, "exchange")
	}
	if s.Without > 0 {
		sessions += "; " + result.Plural(s.Without, "exchange") + " without one"
	}
	return sessions
}

func durationText(ns int64) string { return result.FormatDuration(float64(ns), result.Digits) }

func (p *sheet) endpoints(a *preview.Audit) {
	if len(a.Endpoints) == 0 {
		return
	}
	p.heading("Endpoints")
	shares(p, a.Endpoints, func(e preview.Endpoint) (int64, float64, string) { return e.Exchanges, e.Share, e.Endpoint })
}

func (p *sheet) cohorts(a *preview.Audit) {
	for _, c := range a.Cohorts {
		if len(c.Values) == 0 {
			continue
		}
		p.heading("Cohort " + c.Name)
		shares(p, c.Values, func(v preview.Value) (int64, float64, string) { return v.Exchanges, v.Share, v.Value })
	}
}

func (p *sheet) gates(a *preview.Audit) {
	if len(a.Gates)+len(a.Asserts) == 0 {
		return
	}
	p.heading("Gates")
	rows := make([][]string, len(a.Gates))
	for i, g := range a.Gates {
		rows[i] = []string{g.Name, g.Metric + " " + strings.Join(g.Limits, ", "), groupsText(&g)}
	}
	for _, c := range a.Asserts {
		rows = append(rows, []string{c.Name, c.Condition, "assert"})
	}
	p.table(1, rows)
}

func groupsText(g *preview.Gate) string {
	if g.Disabled {
		return "skipped: enabled = false"
	}
	if len(g.Per) == 0 {
		return "over all the traffic"
	}
	n := result.Plural(int64(g.Groups), "group")
	if g.AtLeast {
		n = "at least " + n
	}
	return n + " per " + strings.Join(g.Per, ", ")
}

func (p *sheet) scrub(s *preview.Scrub) {
	p.heading("Scrub")
	if s.Disabled {
		p.field("off", s.Reason)
		return
	}
	p.field("packs", strings.Join(s.Packs, ", "))
	if s.Before > 0 {
		p.field("before", result.Plural(s.Before, "exchange")+" came pseudonymised by the same key, packs and rules")
	}
	counts, names := []string{}, []string{}
	for _, r := range s.Rules {
		counts, names = append(counts, result.FormatCount(r.Hits)), append(names, r.Name)
	}
	rows := make([][]string, len(names))
	for i, n := range right(counts...) {
		rows[i] = []string{n, names[i]}
	}
	p.table(1, rows)
	p.scrubPlaces("Scrubbed places", s.Replaced)
	p.scrubPlaces("Personal by name, and covered by no rule", s.Uncovered)
}

// scrubPlaces lists places in messages, with what replaces values there.
func (p *sheet) scrubPlaces(heading string, places []preview.Place) {
	if len(places) == 0 {
		return
	}
	p.heading(heading)
	var counts []string
	var rows [][]string
	for _, place := range places[:min(len(places), maxListed)] {
		counts = append(counts, result.FormatCount(place.Values))
		rows = append(rows, []string{"", place.Endpoint, place.Of + " " + place.Path, strings.Join(place.Rules, ", ")})
	}
	for i, n := range right(counts...) {
		rows[i][0] = n
	}
	p.table(1, rows)
	p.more(len(places))
}

func (p *sheet) notes(notes []result.Note) {
	if len(notes) == 0 {
		return
	}
	p.heading("Notes")
	for _, n := range notes {
		mark := "  - "
		if n.Severity == "warning" {
			mark = "  ! "
		}
		p.paragraph(mark, n.Text)
	}
}
