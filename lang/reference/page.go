package reference

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// Style says how pages look.
type Style struct {
	Width int                 // columns; lines are filled up to here
	Bold  func(string) string // for headings; nil leaves them alone
}

func (s Style) bold(text string) string {
	if s.Bold == nil {
		return text
	}
	return s.Bold(text)
}

// Page writes the page of a topic.
func (t Topic) Page(w io.Writer, s Style) error {
	p := &page{style: s}
	p.printf("%s (%s)\n", s.bold(t.Name), t.Kind)
	t.page(p)
	_, err := io.WriteString(w, p.String())
	return err
}

// Entries writes one entry for each topic: its full name, its kind and a
// sentence.
func Entries(w io.Writer, s Style, topics []Topic) error {
	p := &page{style: s}
	for _, t := range topics {
		p.printf("  %s (%s)\n", s.bold(t.Name), t.Kind)
		p.text(6, t.Short)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// Index writes the names of all topics, those of blocks with what they are
// for.
func Index(w io.Writer, s Style) error {
	p := &page{style: s}
	p.heading("Blocks")
	eachBlock(schema.Root(), "", func(path string, b *schema.Block) {
		p.entry(26, path, firstSentence(b.Doc))
	})
	all := Topics()
	for _, group := range []struct{ kind, title string }{
		{Metric, "Metrics"}, {Keyword, "Keywords"}, {Pack, "Scrub packs"}, {Type, "Types"},
		{Document, "What expressions look at"}, {Function, "Functions"}, {CodeTopic, "Diagnostic codes"},
	} {
		p.heading(group.title)
		p.names(2, all, group.kind)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// page is a text under construction.
type page struct {
	strings.Builder
	style Style
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *page) heading(title string) { p.printf("\n%s\n", p.style.bold(title)) }

// text writes a paragraph, filled.
func (p *page) text(indent int, text string) {
	for _, line := range fill(text, p.style.Width-indent) {
		p.printf("%s%s\n", strings.Repeat(" ", indent), line)
	}
}

// verbatim writes lines as they are.
func (p *page) verbatim(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		p.WriteString(strings.TrimRight("  "+line, " "))
		p.WriteByte('\n')
	}
}

// entry writes a name with a text beside it, or below it when the name is
// long.
func (p *page) entry(column int, name, text string) {
	lines := fill(text, p.style.Width-column)
	head := "  " + name
	if utf8.RuneCountInString(head) > column-2 {
		p.printf("%s\n", head)
		head = ""
	}
	for _, line := range lines {
		p.printf("%-*s%s\n", column, head, line)
		head = ""
	}
}

// names writes the names of all topics of a kind, once each.
func (p *page) names(indent int, all []Topic, kind string) {
	var names []string
	seen := map[string]bool{}
	for _, t := range all {
		name := t.Name
		if kind == Keyword {
			name = lastWord(name)
		}
		if t.Kind == kind && !seen[name] {
			seen[name] = true
			names = append(names, noBreaks(strings.TrimSuffix(name, typeSuffix)))
		}
	}
	p.text(indent, strings.Join(names, ", "))
}

// noBreak stands for a space at which lines are not broken.
const noBreak = "\u00a0"

// fill breaks a text at spaces into lines of at most width characters, where
// its words allow it.
func fill(text string, width int) []string {
	var lines []string
	line, size := "", 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' }) {
		word = strings.ReplaceAll(word, noBreak, " ")
		n := utf8.RuneCountInString(word)
		switch {
		case size == 0:
			line, size = word, n
		case size+1+n > width:
			lines = append(lines, line)
			line, size = word, n
		default:
			line, size = line+" "+word, size+1+n
		}
	}
	return append(lines, line)
}

func (p *page) block(path string, b *schema.Block) {
	p.printf("\n")
	p.text(2, b.Doc)
	p.printf("\n")
	where := "at the top of a spec"
	if parent := parentOf(path); parent != "" {
		where = "in " + parent
	}
	p.text(2, fmt.Sprintf("Written %s { }, %s, %s.", noBreaks(b.Header()), where, occurrence(b)))
	if len(b.Labels) > 0 {
		p.heading("Labels")
		for _, l := range b.Labels {
			p.entry(17, strings.ToUpper(l.Name), l.Doc)
		}
	}
	p.arguments("Arguments", b.Arguments)
	if b.Free != nil {
		p.arguments("Arguments with names of your own", []schema.Argument{*b.Free})
	}
	for _, k := range b.Kinds {
		p.arguments(fmt.Sprintf("Arguments of %s %q", b.Type, k.Name), k.Arguments)
	}
	if len(b.Blocks) > 0 {
		p.heading("Blocks")
		for i := range b.Blocks {
			p.entry(17, b.Blocks[i].Type, firstSentence(b.Blocks[i].Doc))
		}
	}
	p.example(schema.ExampleOf(path))
}

func (p *page) kind(path string, b *schema.Block, k schema.Kind) {
	p.printf("\n")
	p.text(2, k.Doc)
	p.arguments("Arguments", append(append([]schema.Argument{}, b.Arguments...), k.Arguments...))
	p.example(schema.ExampleOfKind(path, k.Name))
}

func (p *page) arguments(title string, arguments []schema.Argument) {
	if len(arguments) == 0 {
		return
	}
	p.heading(title)
	for _, a := range arguments {
		p.entry(17, a.Name, traits(a)+".")
		p.text(17, a.Doc)
	}
}

func (p *page) argument(path string, parent *schema.Block, a schema.Argument) {
	p.printf("\n")
	p.text(2, a.Doc)
	p.printf("\n")
	p.text(2, "Takes: "+traits(a)+".")
	bases := []schema.Base{a.Type.Base}
	if a.Type.Shape == schema.Object && a.Type.Key != schema.String {
		bases = append(bases, a.Type.Key)
	}
	for _, base := range bases {
		if base != schema.Keyword {
			p.text(2, fmt.Sprintf("%s: %s", strings.ToUpper(base.String()[:1])+base.String()[1:], base.Doc()))
		}
	}
	switch a.Type.Base {
	case schema.Metric:
		p.text(2, "Metrics: "+strings.Join(schema.MetricNames(), ", ")+".")
	case schema.JQTest, schema.JQValue:
		p.text(2, `The exchange that it sees: "shadowaudit explain exchange".`)
	case schema.JQPath:
		p.text(2, `The response that it sees: "shadowaudit explain response".`)
	}
	header := parent.Header()
	if kind := lastWord(parentOf(path)); len(parent.Kinds) > 0 && kind != parent.Type {
		header = strings.Replace(header, "KIND", kind, 1)
	}
	p.example(fmt.Sprintf("%s {\n  %s = %s\n}", header, a.Name, a.Example))
}

func (p *page) metric(m schema.MetricInfo) {
	p.printf("\n")
	p.text(2, m.Doc)
	p.printf("\n")
	p.text(2, "Limits: "+limits(m))
	p.example(gateOn(m))
}

func (p *page) pack(k schema.Pack) {
	p.printf("\n")
	p.text(2, k.Doc)
	p.printf("\n")
	applies := "It applies only where a spec names it. "
	if k.Default {
		applies = "It applies where a spec names no packs. "
	}
	p.text(2, applies+"The number is a version: what a pack finds changes only with it.")
	p.example(fmt.Sprintf("scrub \"NAME\" {\n  packs = [%q]\n}", k.Name))
}

func (p *page) typ(t schema.TypeInfo) {
	p.printf("\n")
	p.text(2, t.Doc)
	var users []string
	eachArgument(func(path string, _ *schema.Block, a schema.Argument) {
		if a.Type.Base == t.Base || a.Type.Shape == schema.Object && a.Type.Key == t.Base {
			users = append(users, path)
		}
	})
	if len(users) > 0 {
		p.heading("Arguments of this type")
		p.text(2, strings.Join(users, ", "))
	}
	p.example(t.Example)
}

func (p *page) document(d schema.Document) {
	p.printf("\n")
	p.text(2, d.Doc)
	p.heading("Fields")
	for _, f := range d.Fields {
		p.entry(30, f.Path, fmt.Sprintf("%s. %s", f.Type, f.Doc))
	}
	if d.Name == "result" {
		return
	}
	p.heading("Bodies, by media type")
	for _, b := range schema.Bodies() {
		p.entry(30, b.Media, b.Doc)
	}
}

func (p *page) function(f schema.Function) {
	p.printf("\n")
	p.text(2, f.Doc)
	p.heading("Usage")
	p.verbatim(f.Usage)
}

func (p *page) code(c diag.CodeInfo) {
	p.printf("\n")
	p.text(2, c.Doc)
	p.example(exampleOf(c.Code))
}

func (p *page) example(text string) {
	if text == "" {
		return
	}
	p.heading("Example")
	p.verbatim(text)
}

// noBreaks keeps a piece of a spec on one line.
func noBreaks(s string) string { return strings.ReplaceAll(s, " ", noBreak) }
