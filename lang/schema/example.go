package schema

import (
	_ "embed"
	"strings"
)

// Example is a spec that uses every block of the language. It imports
// ExampleImport, which stands beside it as common.audit.hcl.
//
//go:embed example.audit.hcl
var Example string

// ExampleImport is the spec that Example imports.
//
//go:embed common.audit.hcl
var ExampleImport string

// ExampleOf gives the first block of Example at a path such as "audit.gate",
// without indentation and without the comment after its opening brace. Blocks
// inside of it are left out. It is "" when there is none.
func ExampleOf(path string) string {
	lines := strings.Split(Example, "\n")
	for depth, name := range strings.Split(path, ".") {
		if lines = firstBlock(lines, strings.Repeat("  ", depth)+name); lines == nil {
			return ""
		}
	}
	return strings.Join(withoutBlocks(lines, strings.Count(path, ".")), "\n")
}

// ExampleOfKind is ExampleOf for one kind of a block of the top level.
func ExampleOfKind(block, kind string) string {
	lines := firstBlock(strings.Split(Example, "\n"), block+` "`+kind+`"`)
	return strings.Join(withoutBlocks(lines, 0), "\n")
}

// firstBlock cuts the first block that begins with a header, indentation
// included, out of formatted lines. Labels may follow the header.
func firstBlock(lines []string, header string) []string {
	indent := header[:len(header)-len(strings.TrimLeft(header, " "))]
	for i, l := range lines {
		if l == header+" {" || strings.HasPrefix(l, header+` "`) && strings.HasSuffix(l, "{") {
			for j := i; j < len(lines); j++ {
				if lines[j] == indent+"}" {
					return lines[i : j+1]
				}
			}
		}
	}
	return nil
}

// withoutBlocks takes the indentation of a block's lines away, and the blocks
// in it with the empty lines before them.
func withoutBlocks(lines []string, depth int) []string {
	indent := strings.Repeat("  ", depth)
	var out []string
	skip := false
	for _, l := range lines {
		l = strings.TrimPrefix(l, indent)
		inner := strings.HasPrefix(l, "  ") && !strings.HasPrefix(l, "   ")
		switch {
		case skip:
			skip = l != "  }"
			continue
		case inner && strings.HasSuffix(l, " {") && !strings.Contains(l, "="):
			for len(out) > 0 && out[len(out)-1] == "" {
				out = out[:len(out)-1]
			}
			skip = true
			continue
		case l == "" || l == "}":
			for len(out) > 0 && out[len(out)-1] == "" {
				out = out[:len(out)-1]
			}
		}
		out = append(out, l)
	}
	return out
}
