package diag

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fatih/color"

	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// mark gives a diagnostic for the part of src between two § signs, and src
// without them.
func mark(t *testing.T, src string) (Sources, Diagnostic) {
	t.Helper()
	parts := strings.Split(src, "§")
	if len(parts) != 3 {
		t.Fatalf("%q has no two marks", src)
	}
	text := []byte(strings.Join(parts, ""))
	d := Diagnostic{
		Code: Syntax, Summary: "Wrong", Label: "here",
		Subject: RangeOf(text, "a.hcl", len(parts[0]), len(parts[0])+len(parts[1])),
	}
	return Sources{"a.hcl": text}, d
}

func TestPrint(t *testing.T) {
	tests := []struct {
		name, src string
		width     int
		want      string
	}{
		{"plain", "a = §b§\n", 0, "1 | a = b\n  |     ^ here\n"},
		{"second line", "a = 1\nb = §xyz§", 0, "2 | b = xyz\n  |     ^^^ here\n"},
		{"empty range", "a = §§b", 0, "1 | a = b\n  |     ^ here\n"},
		{"empty range at the end", "a =§§\nb", 0, "1 | a =\n  |    ^ here\n"},
		{"empty file", "§§", 0, "1 |\n  | ^ here\n"},
		{"several lines", "a = §[\n  1\n]§", 0, "1 | a = [\n  |     ^ here\n"},
		{"tab", "\ta\t= §b§", 0, "1 |     a    = b\n  |            ^ here\n"},
		{"wide characters", "\"日本\" §b§", 0, "1 | \"日本\" b\n  |        ^ here\n"},
		{"wide characters marked", "a §日本§", 0, "1 | a 日本\n  |   ^^^^ here\n"},
		{"combining accent", "e\u0301 §b§", 0, "1 | e\u0301 b\n  |   ^ here\n"},
		{"windows line end", "a = §b§\r\nc", 0, "1 | a = b\n  |     ^ here\n"},
		{"escape sequence", "a\x1b[31m §b§", 0, "1 | a␛[31m b\n  |        ^ here\n"},
		{"no UTF-8", "a\xff §b§", 0, "1 | a\uFFFD b\n  |    ^ here\n"},
		{"long line, middle", strings.Repeat("x", 60) + "§bad§" + strings.Repeat("y", 60), 44,
			"1 | …" + strings.Repeat("x", 18) + "bad" + strings.Repeat("y", 17) + "…\n  | " + strings.Repeat(" ", 19) + "^^^ here\n"},
		{"long line, start", "§bad§" + strings.Repeat("y", 60), 44, "1 | bad" + strings.Repeat("y", 35) + "…\n  | ^^^ here\n"},
		{"long line, end", strings.Repeat("x", 60) + "§§", 44, "1 | …" + strings.Repeat("x", 37) + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sources, d := mark(t, tt.src)
			got := Printer{Sources: sources, Width: tt.width}.Text(d)
			_, snippet, _ := strings.Cut(got, "  |\n")
			if tt.name == "long line, end" {
				snippet, _, _ = strings.Cut(snippet, "\n")
				snippet = strings.TrimRight(snippet, " ") + "\n"
			}
			if snippet != tt.want {
				t.Errorf("got\n%swant\n%s", snippet, tt.want)
			}
		})
	}
}

func TestPrintWholeDiagnostic(t *testing.T) {
	sources, d := mark(t, strings.Repeat("\n", 13)+`  path = ".items[] | .pri §ce§"`)
	d.Code, d.Summary, d.Label = JQSyntax, "Invalid jq expression", `unexpected token "ce"`
	d.Detail = "A field name ends at a space."
	d.Help = "write it in brackets:\n\n.items[]\n  | .[\"pri ce\"]"
	d.Related = []Related{{Range: RangeOf(sources["a.hcl"], "a.hcl", 15, 19), Text: "this argument"}}
	want := `error: Invalid jq expression [jq-syntax]
  --> a.hcl:14:27
   |
14 |   path = ".items[] | .pri ce"
   |                           ^^ unexpected token "ce"
  ::: a.hcl:14:3
   |
14 |   path = ".items[] | .pri ce"
   |   ---- this argument
   |
   = A field name ends at a space.
   = help: write it in brackets:

       .items[]
         | .["pri ce"]
`
	if got := (Printer{Sources: sources}).Text(d); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPrintWithoutSource(t *testing.T) {
	d := Diagnostic{Code: Syntax, Summary: "Wrong", Label: "not a type", Subject: pos.Range{File: "x", Start: pos.Pos{Line: 3, Column: 4}}}
	want := "error: Wrong [syntax]\n --> x:3:4\n  = Not a type.\n"
	if got := (Printer{}).Text(d); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPrintKeepsSensitiveLinesBack(t *testing.T) {
	sources, d := mark(t, `key = §"s3cret"§`)
	d.Sensitive = true
	d.Related = []Related{{Range: d.Subject, Text: "there"}}
	var out strings.Builder
	p := Printer{Sources: sources}
	if err := p.Print(&out, List{d}); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteJSON(&out, List{d}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "s3cret") {
		t.Errorf("the line shows:\n%s", out.String())
	}
}

func TestColorOnlyAdds(t *testing.T) {
	before := color.NoColor
	defer func() { color.NoColor = before }()
	sources, d := mark(t, "a = §b§")
	d.Help = "do this"
	plain := Printer{Sources: sources}.Text(d)
	for _, global := range []bool{true, false} {
		color.NoColor = global
		colored := Printer{Sources: sources, Color: true}.Text(d)
		if !strings.Contains(colored, "\x1b[") {
			t.Errorf("global switch %v: no color", global)
		}
		if got := stripColor(colored); got != plain {
			t.Errorf("global switch %v: got\n%s\nwant\n%s", global, got, plain)
		}
		if got := (Printer{Sources: sources}).Text(d); got != plain {
			t.Errorf("global switch %v: plain output changed to %q", global, got)
		}
	}
}

func stripColor(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}

func TestSort(t *testing.T) {
	at := func(file string, b int) pos.Range { return pos.Range{File: file, Start: pos.Pos{Byte: b}} }
	l := List{
		{Summary: "e", Subject: at("b", 0)},
		{Summary: "d", Subject: at("a", 9)},
		{Summary: "c", Subject: at("a", 5), Severity: Warning},
		{Summary: "b", Subject: at("a", 5)},
		{Summary: "a", Subject: at("a", 5)},
		{Summary: "a", Subject: at("a", 5)},
	}
	l.Sort()
	var got []string
	for _, d := range l.Dedupe() {
		got = append(got, d.Summary)
	}
	if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWriteJSON(t *testing.T) {
	sources, d := mark(t, "a = §b§")
	d.Detail, d.Help = "Detail.", "help"
	var out strings.Builder
	if err := (Printer{Sources: sources, Color: true}).WriteJSON(&out, List{d}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Valid       bool
		ErrorCount  int `json:"error_count"`
		Diagnostics []struct {
			Severity, Code, Rendered string
			Range                    struct{ Start pos.Pos }
			Snippet                  struct {
				Code  string
				Start int `json:"highlight_start_offset"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	one := got.Diagnostics[0]
	if got.Valid || got.ErrorCount != 1 || one.Severity != "error" || one.Code != "syntax" ||
		one.Snippet.Code != "a = b" || one.Snippet.Start != 4 || one.Range.Start.Column != 5 || strings.Contains(one.Rendered, "\x1b") {
		t.Errorf("got %+v", got)
	}
	out.Reset()
	if err := (Printer{}).WriteJSON(&out, nil); err != nil || !strings.Contains(out.String(), `"diagnostics": []`) {
		t.Errorf("an empty list is written as %s (%v)", out.String(), err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"methods", "include", "exclude", "sample", "from", "to", "limit"}
	tests := []struct{ given, want string }{
		{"methds", "methods"},
		{"Methods", "methods"},
		{"mehtods", "methods"},
		{"includ", "include"},
		{"exclued", "exclude"},
		{"form", "from"},
		{"too", "to"},
		{"lim", "limit"},
		{"verbs", ""},
		{"xy", ""},
		{"", ""},
		{strings.Repeat("x", 1000), ""},
	}
	for _, tt := range tests {
		if got := Suggest(tt.given, known); got != tt.want {
			t.Errorf("Suggest(%q) = %q, want %q", tt.given, got, tt.want)
		}
	}
}

func TestDistanceIsAMetricOfEdits(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"é", "e", 1},
	}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if there, back := distance(tt.a, tt.b), distance(tt.b, tt.a); there != back {
			t.Errorf("distance(%q, %q) depends on the direction: %d, %d", tt.a, tt.b, there, back)
		}
	}
}

func TestCodesAreKebabCaseAndUnique(t *testing.T) {
	seen := map[Code]bool{}
	for _, info := range Codes() {
		if seen[info.Code] {
			t.Errorf("%q stands twice", info.Code)
		}
		seen[info.Code] = true
		if strings.Trim(string(info.Code), "abcdefghijklmnopqrstuvwxyz-") != "" || info.Code == "" {
			t.Errorf("%q is not kebab-case", info.Code)
		}
		if !strings.HasSuffix(info.Doc, ".") {
			t.Errorf("%q: doc %q is not a sentence", info.Code, info.Doc)
		}
	}
}

func FuzzPrint(f *testing.F) {
	f.Add("a = b\n\tc", 4, 2, 60)
	f.Add("日本\x00", 0, 3, 0)
	f.Fuzz(func(t *testing.T, src string, from, size, width int) {
		if from < 0 || size < 0 || from+size < from {
			return
		}
		d := Diagnostic{Code: Syntax, Summary: "s", Label: "l", Help: src, Subject: RangeOf([]byte(src), "a", from, from+size)}
		got := Printer{Sources: Sources{"a": []byte(src)}, Width: width}.Text(d)
		if strings.ContainsAny(got, "\x1b\r\x07") {
			t.Fatalf("control characters in %q", got)
		}
		if !strings.Contains(got, "^") {
			t.Fatalf("no caret in %q", got)
		}
	})
}
