package reference

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// intro is what the reference begins with: how a spec is read.
//
//go:embed intro.md
var intro string

// Markdown writes the whole reference.
func Markdown(w io.Writer) error {
	m := &markdown{}
	m.printf("<!-- Generated from lang/schema, lang/diag and lang/reference/intro.md. Do not edit: run go generate ./lang/... -->\n\n")
	m.printf("%s", intro)
	m.printf("\n## Blocks\n\n")
	m.contents()
	eachBlock(schema.Root(), "", m.block)
	m.types()
	m.metrics()
	m.packs()
	m.documents()
	m.functions()
	m.codes()
	m.editors()
	m.example()
	_, err := io.WriteString(w, m.String())
	return err
}

// markdown is a text under construction.
type markdown struct{ strings.Builder }

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(m, format, args...) }

// table writes a table; cells are Markdown already.
func (m *markdown) table(head []string, rows [][]string) {
	m.printf("| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		m.printf("| %s |\n", strings.Join(r, " | "))
	}
	m.printf("\n")
}

func (m *markdown) contents() {
	eachBlock(schema.Root(), "", func(path string, b *schema.Block) {
		m.printf("%s- [`%s`](#%s): %s\n", strings.Repeat("  ", strings.Count(path, ".")), b.Type, anchor(path), prose(firstSentence(b.Doc)))
	})
	m.printf("\n")
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case strings.ContainsRune(".@()[]\"`", r):
			return -1
		}
		return r
	}, strings.ToLower(heading))
}

func (m *markdown) block(path string, b *schema.Block) {
	m.printf("### %s\n\n%s\n\n", path, prose(b.Doc))
	for _, l := range b.Labels {
		m.printf("- Label `%s`: %s\n", strings.ToUpper(l.Name), prose(l.Doc))
	}
	where := "at the top of a spec"
	if parent := parentOf(path); parent != "" {
		where = fmt.Sprintf("in [`%s`](#%s)", parent, anchor(parent))
	}
	m.printf("- Stands %s, %s.\n\n", where, occurrence(b))
	m.arguments(b.Arguments)
	if b.Free != nil {
		m.arguments([]schema.Argument{*b.Free})
	}
	for _, k := range b.Kinds {
		m.printf("`%s %q`: %s\n\n", b.Type, k.Name, prose(k.Doc))
		m.arguments(slices.Concat(b.Arguments, k.Arguments))
	}
	if len(b.Blocks) > 0 {
		var names []string
		for _, c := range b.Blocks {
			names = append(names, fmt.Sprintf("[`%s`](#%s)", c.Type, anchor(path+"."+c.Type)))
		}
		m.printf("Blocks: %s.\n\n", strings.Join(names, ", "))
	}
	m.code(schema.ExampleOf(path))
}

func (m *markdown) arguments(arguments []schema.Argument) {
	if len(arguments) == 0 {
		return
	}
	var rows [][]string
	for _, a := range arguments {
		rows = append(rows, []string{code(a.Name), takes(a), prose(cell(a.Doc)), code(cell(a.Example))})
	}
	m.table([]string{"argument", "takes", "what it does", "for example"}, rows)
}

// takes is traits in Markdown.
func takes(a schema.Argument) string {
	t := cell(a.Type.String())
	var words []string
	for _, k := range a.Keywords {
		words = append(words, code(k))
	}
	if a.Type.Base == schema.Keyword {
		t = orList(words)
	} else if len(words) > 0 {
		t += ", or " + orList(words)
	}
	if len(a.OneOf) > 0 {
		var set []string
		for _, v := range a.OneOf {
			set = append(set, code(v))
		}
		t += " out of " + strings.Join(set, ", ")
	}
	switch {
	case a.Required:
		return t + "; **required**"
	case a.Default != "":
		return t + "; default " + code(cell(a.Default))
	}
	return t
}

func (m *markdown) types() {
	m.printf("## Types\n\n")
	var rows [][]string
	for _, t := range schema.Types() {
		rows = append(rows, []string{t.Name(), prose(cell(t.Doc)), code(cell(t.Example))})
	}
	m.table([]string{"type", "what it is", "for example"}, rows)
}

func (m *markdown) metrics() {
	m.printf("## Metrics\n\n")
	var rows [][]string
	for _, x := range schema.Metrics() {
		rows = append(rows, []string{code(x.Name), x.Dimension.LimitOf().String(), cell(x.Doc)})
	}
	m.table([]string{"metric", "limits are", "what it measures"}, rows)
	for _, d := range []schema.Dimensional{schema.Time, schema.Part, schema.Speed} {
		var names []string
		for _, x := range schema.Metrics() {
			if x.Dimension == d {
				names = append(names, code(x.Name))
			}
		}
		x := schema.MetricInfo{Dimension: d}
		m.printf("- %s: %s\n", strings.Join(names, ", "), limits(x))
	}
	m.printf("\n")
}

func (m *markdown) packs() {
	m.printf("## Scrub packs\n\n")
	var rows [][]string
	for _, k := range schema.Packs() {
		applies := "where it is named"
		if k.Default {
			applies = "by default"
		}
		rows = append(rows, []string{code(k.Name), applies, cell(k.Doc)})
	}
	m.table([]string{"pack", "applies", "what it finds"}, rows)
}

func (m *markdown) documents() {
	m.printf("## What expressions look at\n\n")
	for _, d := range schema.Documents() {
		m.printf("### The %s\n\n%s\n\n", d.Name, prose(d.Doc))
		m.table([]string{"field", "type", "what it is"}, fieldRows(d.Fields))
	}
	m.printf("### Bodies\n\nContent codings are undone first. A body that is empty or was not recorded is `null`.\n\n")
	var rows [][]string
	for _, b := range schema.Bodies() {
		rows = append(rows, []string{cell(b.Media), cell(b.Doc)})
	}
	m.table([]string{"media type", "`.body` is"}, rows)
}

func fieldRows(fields []schema.Field) [][]string {
	var rows [][]string
	for _, f := range fields {
		rows = append(rows, []string{code(cell(f.Path)), f.Type, prose(cell(f.Doc))})
	}
	return rows
}

func (m *markdown) functions() {
	m.printf("## Functions\n\n")
	var rows [][]string
	for _, f := range schema.Functions() {
		rows = append(rows, []string{code(cell(f.Usage)), prose(cell(f.Doc))})
	}
	m.table([]string{"function", "what it gives"}, rows)
}

func (m *markdown) codes() {
	m.printf("## Diagnostics\n\nEvery mistake has a code that never changes its meaning. `shadowaudit explain CODE` shows an example of it.\n\n")
	var rows [][]string
	for _, c := range diag.Codes() {
		rows = append(rows, []string{code(string(c.Code)), prose(cell(c.Doc))})
	}
	m.table([]string{"code", "what is wrong"}, rows)
}

func (m *markdown) editors() {
	m.printf("## For editors\n\n`shadowaudit schema` prints the language as one JSON document.\n\n")
	m.table([]string{"field", "type", "what it is"}, fieldRows(schema.JSONFields()))
	m.printf("`shadowaudit validate --json SPEC` prints diagnostics with the field names of Terraform's `validate -json`, and beside them `code`, `help`, `related` and `rendered`, the text for people. Lines and columns count from 1, bytes from 0.\n\n")
}

func (m *markdown) example() {
	m.printf("## All of it in one spec\n\n")
	m.code(strings.TrimSpace(schema.Example))
	m.printf("`common.audit.hcl`, which it imports:\n\n")
	m.code(strings.TrimSpace(schema.ExampleImport))
}

func (m *markdown) code(text string) {
	if text != "" {
		m.printf("```hcl\n%s\n```\n\n", text)
	}
}

// code puts a text into backticks.
func code(text string) string {
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// cell makes a text fit into a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// prose keeps Markdown from reading signs that a sentence means as they are.
func prose(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`).Replace(text)
}
