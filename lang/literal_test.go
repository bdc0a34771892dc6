package lang

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func TestLiteralPositions(t *testing.T) {
	tests := []struct {
		name, src, find string
		want            string // line:column of start and end
	}{
		{"plain", `a = ".x | foo bar"`, "bar", "1:15-1:18"},
		{"escaped quotes", `a = ".[\"x\"] | bar"`, "bar", "1:17-1:20"},
		{"unicode escape", `a = "\u00e9 bar"`, "bar", "1:13-1:16"},
		{"long unicode escape", `a = "\U0001F600 bar"`, "bar", "1:17-1:20"},
		{"the escape itself", `a = "x \u00e9 y"`, "é", "1:8-1:14"},
		{"multi-byte rune", `a = "é bar"`, "bar", "1:8-1:11"},
		{"template escape", `a = "$${x} bar"`, "bar", "1:12-1:15"},
		{"directive escape", `a = "%%{x} bar"`, "bar", "1:12-1:15"},
		{"heredoc", "a = <<JQ\n  .x |\n  bar\nJQ\n", "bar", "3:3-3:6"},
		{"indented heredoc", "a = <<-JQ\n    .x |\n      bar\n  JQ\n", "bar", "3:7-3:10"},
		{"heredoc with an empty line", "a = <<-JQ\n    .x |\n\n    bar\n  JQ\n", "bar", "4:5-4:8"},
		{"heredoc with tabs", "a = <<-JQ\n\t\t.x |\n\t\tbar\n\tJQ\n", "bar", "3:3-3:6"},
		{"heredoc with a template escape", "a = <<-JQ\n    $${x} bar\n  JQ\n", "bar", "2:11-2:14"},
		{"heredoc with backslashes", "a = <<-JQ\n    \"\\(.x)\" | bar\n  JQ\n", "bar", "2:15-2:18"},
		{"windows line ends", "a = <<-JQ\r\n    .x |\r\n    bar\r\n  JQ\r\n", "bar", "3:5-3:8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, expr := attribute(t, tt.src)
			lit, ok := l.literalOf(argument{}, expr)
			if !ok || lit.offsets == nil {
				t.Fatalf("no position map for %q: %v", tt.src, l.diags)
			}
			start := strings.Index(lit.text, tt.find)
			r := lit.at(l.src, start, start+len(tt.find))
			if got := fmt.Sprintf("%d:%d-%d:%d", r.Start.Line, r.Start.Column, r.End.Line, r.End.Column); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLiteralFallsBackToTheWhole(t *testing.T) {
	// The combining accent makes the parser's NFC form shorter than the source.
	l, expr := attribute(t, "a = \"e\u0301 bar\"")
	lit, ok := l.literalOf(argument{}, expr)
	if !ok || lit.offsets != nil {
		t.Fatalf("offsets %v", lit.offsets)
	}
	if got := lit.at(l.src, 2, 5); got != lit.rng {
		t.Errorf("got %v, want the whole literal", got)
	}
}

func attribute(t testing.TB, src string) (*loader, hcl.Expression) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(src), "a.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	attrs, _ := file.Body.JustAttributes()
	return &loader{file: "a.hcl", src: []byte(src)}, attrs["a"].Expr
}

// FuzzPositionMap holds the map against the parser: where both accept a
// string they read the same text, up to Unicode normalisation, and the map is
// monotone and stays inside the literal.
func FuzzPositionMap(f *testing.F) {
	for _, s := range []string{
		`".x | foo"`, `"\u00e9\n\t\"\\"`, `"$${a} %%{b} $ % $$ %%"`, "<<-JQ\n  .x\n\n    y\n  JQ\n", "<<JQ\n\ta\nJQ\n",
		"<<-JQ\n  $${a}\n \u00a0b\nJQ\n", `"${x}"`, "<<-A\r\n  x\r\nA\r\n", `"$$${"`, "<<-A\n A\nA\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		expr, diags := hclsyntax.ParseExpression([]byte(raw), "a", hcl.InitialPos)
		r := hcl.Range{}
		if !diags.HasErrors() {
			r = expr.Range()
		}
		if diags.HasErrors() || !r.CanSliceBytes([]byte(raw)) {
			mapLiteral([]byte(raw), 0) // must not panic
			return
		}
		text, offsets, ok := mapLiteral(r.SliceBytes([]byte(raw)), r.Start.Byte)
		if !ok {
			return
		}
		if len(offsets) != len(text)+1 {
			t.Fatalf("%d offsets for %d bytes", len(offsets), len(text))
		}
		for i, at := range offsets {
			if at < r.Start.Byte || at > r.End.Byte || i > 0 && at < offsets[i-1] {
				t.Fatalf("%q: offset %d of byte %d is out of order or range", raw, at, i)
			}
		}
		val, diags := expr.Value(nil)
		if diags.HasErrors() || val.Type() != cty.String {
			return
		}
		if want := val.AsString(); want != cty.NormalizeString(text) {
			t.Fatalf("%q: the parser reads %q, the map %q", raw, want, text)
		}
	})
}
