package format

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestSource(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"spaces", "a=1\n", "a = 1\n"},
		{"no line break at the end", "a = 1", "a = 1\n"},
		{"only empty lines", "\n\n\n", ""},
		{"byte order mark", "\xef\xbb\xbfa = 1\n", "a = 1\n"},
		{"alignment", "a = 1\nlong = 2 # why\nb = 3 # because\n", "a    = 1\nlong = 2 # why\nb    = 3 # because\n"},
		{"indentation", "gate \"x\" {\nmax=\"1s\"\n\t\tper=[\nendpoint,\n]\n}\n", "gate \"x\" {\n  max = \"1s\"\n  per = [\n    endpoint,\n  ]\n}\n"},
		{"empty lines", "\n\na = 1\n\n\n\nb = 2\n\n\n", "a = 1\n\nb = 2\n"},
		{"empty lines at the ends of a block", "a {\n\n\n  b = 1\n\n  c = 1\n\n}\n", "a {\n  b = 1\n\n  c = 1\n}\n"},
		{"empty lines in a list", "a = [\n\n  1,\n\n\n  2,\n\n]\n", "a = [\n  1,\n\n  2,\n]\n"},
		{"comment at the end of a block", "a {\n  b = 1\n\n  # why\n\n}\n", "a {\n  b = 1\n\n  # why\n}\n"},
		{"comment after the opening brace", "a { # why\n\n  b = 1\n}\n", "a { # why\n  b = 1\n}\n"},
		{"empty lines in a comment", "/* a\n\n\n  b */\na=1\n", "/* a\n\n\n  b */\na = 1\n"},
		{"labels in quotes", "source gor peak {\n}\n", "source \"gor\" \"peak\" {\n}\n"},
		{"needless interpolation", "url = \"${var.x}\"\n", "url = var.x\n"},
		{"needless interpolation with spaces", "url = \"${ var.x }\"\n", "url = var.x\n"},
		{"interpolation that is not all", "url = \"${var.x}/\"\n", "url = \"${var.x}/\"\n"},
		{"interpolation over lines", "url = \"${\n  var.x\n}\"\n", "url = \"${\n  var.x\n}\"\n"},
		{"interpolation in a list", "a = [\"${var.x}\"]\n", "a = [\"${var.x}\"]\n"},
		{"interpolation of a sum", "a = \"${1 + 2}\"\n", "a = 1 + 2\n"},
		{"jq in a heredoc", "a {\njq=<<-JQ\n      .body\n   |  .items[]   |  \"\\(.a)   x\"\n\t# note\n\n\n      .x=1   \n\n      JQ\nb=1\n}\n",
			"a {\n  jq = <<-JQ\n      .body\n   |  .items[]   |  \"\\(.a)   x\"\n\t# note\n\n\n      .x=1   \n\n      JQ\n  b  = 1\n}\n"},
		{"jq in quotes", "a = \".b|.c==\\\"  x\\\"\"\n", "a = \".b|.c==\\\"  x\\\"\"\n"},
		{"foreign line breaks", "a {\r\n\r\n  b=1\r\n\r\n\r\n  c=2\r\n}\r\n", "a {\r\n  b = 1\r\n\r\n  c = 2\r\n}\r\n"},
		{"syntax error", "a = = 1\n", "a = = 1\n"},
		{"unclosed", "a {\n", "a {\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Source([]byte(tt.in))); got != tt.want {
				t.Errorf("got\n%q\nwant\n%q", got, tt.want)
			}
			if again := string(Source([]byte(tt.want))); again != tt.want {
				t.Errorf("the formatted text is formatted again, to\n%q", again)
			}
		})
	}
}

// Every spec of the repository's examples is in canonical form.
func TestExamplesAreFormatted(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"../../examples/*/*.audit.hcl", "../../cmd/shadowaudit/demo/*.audit.hcl", "../schema/*.audit.hcl"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) < 3 {
		t.Fatalf("only %d specs", len(paths))
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := Diff(path, path+" (formatted)", src, Source(src)); d != nil {
			t.Errorf("%s is not formatted:\n%s", path, d)
		}
	}
}

// texts gives the tokens that formatting must not touch: what stands in
// quotes and heredocs, and comments apart from the space around them. Without
// all it gives what stands in heredocs only.
func texts(src []byte, all bool) []string {
	var out []string
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	for _, t := range tokens {
		switch {
		case t.Type == hclsyntax.TokenStringLit,
			all && (t.Type == hclsyntax.TokenQuotedLit || t.Type == hclsyntax.TokenNumberLit):
			out = append(out, string(t.Bytes))
		case all && t.Type == hclsyntax.TokenComment:
			out = append(out, strings.TrimSpace(string(t.Bytes)))
		}
	}
	return out
}

// counted gives how often each text occurs.
func counted(texts []string) map[string]int {
	n := map[string]int{}
	for _, s := range texts {
		n[s]++
	}
	return n
}

func FuzzSource(f *testing.F) {
	paths, _ := filepath.Glob("../testdata/*.txt")
	for _, path := range paths {
		if src, err := os.ReadFile(path); err == nil {
			spec, _, _ := strings.Cut(string(src), "----------\n")
			f.Add([]byte(spec))
		}
	}
	f.Add([]byte("a b c {\r\n\r\n x=<<A\n${<<B\n\n\nB\n}\n\n\nA\n y=\"${ z }\"}"))
	f.Add([]byte("a=[\n<<-JQ\n .a\n\n\n JQ\n,\n/*\n\n\n*/ 1 ]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<12 || bytes.Count(src, []byte("{"))+bytes.Count(src, []byte("["))+bytes.Count(src, []byte("(")) > 200 {
			return
		}
		once := Source(src)
		if twice := Source(once); !bytes.Equal(once, twice) {
			t.Fatalf("formatted twice\n%q\nis not what is formatted once\n%q", twice, once)
		}
		if bytes.Equal(src, once) {
			return
		}
		if _, diags := hclsyntax.ParseConfig(once, "", hcl.InitialPos); diags.HasErrors() {
			t.Fatalf("formatted to something that is no HCL: %v\n%q", diags, once)
		}
		if was, is := texts(src, false), texts(once, false); !slices.Equal(was, is) {
			t.Fatalf("heredocs changed from\n%q\nto\n%q", was, is)
		}
		is := counted(texts(once, true))
		for text, n := range counted(texts(src, true)) {
			if is[text] < n {
				t.Fatalf("%q is lost in\n%q", text, once)
			}
		}
	})
}

func BenchmarkSource(b *testing.B) {
	var src bytes.Buffer
	for range 2000 {
		src.WriteString("gate \"tail latency\" {\n  metric = latency.p95\n  max=\"250ms\"\n  per          = [endpoint, cohort.region]\n}\n\n")
	}
	b.SetBytes(int64(src.Len()))
	for b.Loop() {
		Source(src.Bytes())
	}
}
