package junit

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// document writes XML. Text is escaped, and what XML 1.0 cannot hold does not
// get through: encoding/xml would write line feeds as references, which some
// consumers show as such.
type document struct {
	out   bytes.Buffer
	depth int
	open  []string
}

// attr is an attribute of an element.
type attr struct{ name, value string }

func (d *document) begin(name string, attrs ...attr) {
	d.tag(name, attrs, ">\n")
	d.open = append(d.open, name)
	d.depth++
}

func (d *document) end() {
	d.depth--
	name := d.open[d.depth]
	d.open = d.open[:d.depth]
	d.indent()
	fmt.Fprintf(&d.out, "</%s>\n", name)
}

func (d *document) empty(name string, attrs ...attr) { d.tag(name, attrs, "/>\n") }

// text writes an element with text in it.
func (d *document) text(name, text string, attrs ...attr) {
	d.tag(name, attrs, ">")
	d.out.WriteString(textEscapes.Replace(hygienic(text)))
	fmt.Fprintf(&d.out, "</%s>\n", name)
}

func (d *document) tag(name string, attrs []attr, end string) {
	d.indent()
	d.out.WriteString("<" + name)
	for _, a := range attrs {
		fmt.Fprintf(&d.out, ` %s="%s"`, a.name, attrEscapes.Replace(hygienic(a.value)))
	}
	d.out.WriteString(end)
}

func (d *document) indent() { d.out.WriteString(strings.Repeat("  ", d.depth)) }

var (
	textEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	attrEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;", "\n", "&#10;", "\t", "&#9;")

	// ansi matches the control sequences of ECMA-48 and operating system
	// commands such as the one that sets a window's title.
	ansi = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\^_])")
)

// hygienic removes terminal sequences and replaces what the Char production of
// XML 1.0 excludes by U+FFFD.
func hygienic(s string) string {
	if strings.Contains(s, "\x1b") {
		s = ansi.ReplaceAllString(s, "")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', 0x20 <= r && r <= 0xd7ff, 0xe000 <= r && r <= 0xfffd, 0x10000 <= r && r <= utf8.MaxRune:
			return r
		}
		return utf8.RuneError
	}, s)
}

// brief shortens what stands in an attribute, where some consumers keep only
// so much.
func brief(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return s[:boundary(s, most)] + "…"
}

// cut shortens s to at most n bytes, and says that it did.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "\n(cut: the JSON report has all of it)"
	return s[:boundary(s, max(n-len(mark), 0))] + mark
}

// boundary is the last place up to n where a character of s begins.
func boundary(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
