package lang

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// largeSpec is a spec of several parts.
func largeSpec(insert string) string {
	var b strings.Builder
	head, rest, _ := strings.Cut(smallSpec, "audit \"checkout\"")
	b.WriteString(head)
	for i := range 1500 {
		fmt.Fprintf(&b, "# é {\naudit \"checkout_%d\"%s\n", i, rest)
		if i == 1000 {
			b.WriteString(insert)
		}
	}
	return b.String()
}

func TestPartsGiveTheSameBlocks(t *testing.T) {
	src := []byte(largeSpec(""))
	file, ok := parseInParts(src, "a.hcl")
	if !ok {
		t.Fatal("was not parsed in parts")
	}
	whole, diags := hclsyntax.ParseConfig(src, "a.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got, want := file.Body.(*hclsyntax.Body), whole.Body.(*hclsyntax.Body)
	if len(got.Blocks) != len(want.Blocks) || got.SrcRange != want.SrcRange || got.EndRange != want.EndRange {
		t.Fatalf("%d blocks in %v, want %d in %v", len(got.Blocks), got.SrcRange, len(want.Blocks), want.SrcRange)
	}
	for i, b := range got.Blocks {
		if b.Range() != want.Blocks[i].Range() || b.Body.SrcRange != want.Blocks[i].Body.SrcRange || b.Labels[0] != want.Blocks[i].Labels[0] {
			t.Fatalf("block %d: %v, want %v", i, b.Range(), want.Blocks[i].Range())
		}
	}
}

func TestMistakesInPartsAreThoseOfTheWhole(t *testing.T) {
	tests := []struct{ name, insert string }{
		{"syntax", "target \"x\" {\n  url = = 1\n}\n"},
		{"brace too many", "}\n"},
		{"brace missing", "target \"x\" {\n"},
		{"argument", "x = 1\n"},
		{"unknown block", "targte \"x\" {\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := largeSpec(tt.insert)
			_, diags := Parse("a.hcl", []byte(src), Options{ReadFile: noFile})
			if !diags.HasErrors() {
				t.Fatal("nothing was said")
			}
			lines := strings.Count(src[:strings.Index(src, "checkout_1001")], "\n") + 1
			if line := diags[0].Subject.Start.Line; tt.name != "brace missing" && (line > lines || line < lines-10) {
				t.Errorf("points at line %d of %d: %v", line, lines, diags[0])
			}
		})
	}
}
