package diag

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Range gives r as a position that outlives the parser.
func Range(r hcl.Range) pos.Range {
	return pos.Range{
		File:  r.Filename,
		Start: pos.Pos{Byte: r.Start.Byte, Line: r.Start.Line, Column: r.Start.Column},
		End:   pos.Pos{Byte: r.End.Byte, Line: r.End.Line, Column: r.End.Column},
	}
}

// RangeOf counts lines and columns of src[from:to]. It reads the text from its
// start, so it is for mistakes only.
func RangeOf(src []byte, file string, from, to int) pos.Range {
	from = min(max(from, 0), len(src))
	to = min(max(to, from), len(src))
	cuts := []int{from, to - from}
	if from == 0 {
		cuts = cuts[1:]
	}
	scan := hcl.NewRangeScanner(src, file, func(data []byte, _ bool) (int, []byte, error) {
		n := min(cuts[0], len(data))
		cuts = cuts[1:]
		return n, data[:n], nil
	})
	start := hcl.InitialPos
	if from > 0 && scan.Scan() {
		start = scan.Range().End
	}
	end := start
	if to > from && scan.Scan() {
		end = scan.Range().End
	}
	return Range(hcl.Range{Filename: file, Start: start, End: end})
}

// FromHCL translates the diagnostics of hcl's parser and evaluator. Those that
// have no code of their own get fallback. The source improves some messages;
// it may be nil. Consequences of an unclosed string are left out, because
// everything after it is noise.
func FromHCL(ds hcl.Diagnostics, fallback Code, src []byte) List {
	out := make(List, 0, len(ds))
	for _, d := range ds {
		out.Add(fromHCL(d, fallback, src))
	}
	out.Sort()
	return withoutEchoes(out)
}

func fromHCL(h *hcl.Diagnostic, fallback Code, src []byte) Diagnostic {
	d := Diagnostic{Severity: Error, Code: fallback, Summary: h.Summary, Detail: h.Detail}
	if h.Severity == hcl.DiagWarning {
		d.Severity = Warning
	}
	if h.Subject != nil {
		d.Subject = Range(*h.Subject)
	}
	if rewrite := rewrites[h.Summary]; rewrite != nil {
		rewrite(&d, src)
	}
	if h.Summary == "Unterminated template string" && h.Context != nil {
		d.Subject = opening(src, h.Context.Filename, h.Context.Start.Byte)
	}
	return d
}

// opening finds the quote or the heredoc marker of a string whose text begins
// at offset.
func opening(src []byte, file string, offset int) pos.Range {
	offset = min(offset, len(src))
	if i := bytes.LastIndex(src[:offset], []byte("<<")); i >= 0 && bytes.Count(src[i:offset], []byte("\n")) == 1 {
		return RangeOf(src, file, i, i+bytes.IndexByte(src[i:], '\n'))
	}
	return RangeOf(src, file, offset, offset+1)
}

// withoutEchoes drops what the parser says after it lost its way: all that
// follows an unclosed string, and a second complaint about the same place.
func withoutEchoes(l List) List {
	for i, d := range l {
		if d.Code == UnclosedString {
			return l[:i+1]
		}
		if i > 0 && d.Summary == "Invalid expression" && d.Subject == l[i-1].Subject {
			return append(l[:i:i], withoutEchoes(l[i+1:])...)
		}
	}
	return l
}

// rewrites improves hcl's messages by summary: each entry gives a code and,
// where hcl's text leaves the reader alone, the cause or the cure.
var rewrites = map[string]func(d *Diagnostic, src []byte){
	"Unclosed configuration block": func(d *Diagnostic, _ []byte) {
		d.Code, d.Summary, d.Label = UnclosedBlock, "Unclosed block", "no closing brace for this block"
		d.Detail = "The file ends before the block does. A brace may be missing here, or further down in a block inside this one."
	},
	"Unclosed configuration body": func(d *Diagnostic, _ []byte) {
		d.Code, d.Summary = UnclosedBlock, "Unclosed block"
	},
	"Invalid single-argument block definition": oneLineBlock,
	"Argument definition required":             oneLineBlock,
	"Invalid escape sequence": func(d *Diagnostic, src []byte) {
		d.Code = BadEscape
		if strings.HasPrefix(text(src, d.Subject), `\(`) {
			d.Label = "not an escape sequence in HCL"
			d.Detail = `In a quoted string the backslash belongs to HCL, so jq's \( does not reach jq.`
			d.Help = "write the jq program as a <<-JQ heredoc, or double the backslash:\n\n<<-JQ\n  \"\\(.request.method) \\(.request.path)\"\nJQ"
			return
		}
		d.Help = `a backslash in a quoted string is written twice: "\\"; in a <<-JQ heredoc once`
	},
	"Invalid multi-line string": func(d *Diagnostic, src []byte) {
		d.Code, d.Summary, d.Label = UnclosedString, "Unclosed string", "the line ends before the string does"
		d.Detail = "A quoted string has to end on the line on which it begins."
		d.Help = `close it with ", or use a heredoc (<<-JQ) for text of several lines`
		d.Subject = trimToLine(d.Subject, src)
	},
	"Unterminated template string": func(d *Diagnostic, _ []byte) {
		d.Code, d.Summary = UnclosedString, "Unclosed string"
		d.Detail = "The file ends before the string or heredoc does."
		d.Help = "the end marker of a heredoc stands alone on its line"
	},
	"Attribute redefined": func(d *Diagnostic, _ []byte) {
		d.Code, d.Summary = Duplicate, "Duplicate argument"
	},
	"Duplicate argument":             func(d *Diagnostic, _ []byte) { d.Code = Duplicate },
	"Duplicate attribute definition": func(d *Diagnostic, _ []byte) { d.Code, d.Summary = Duplicate, "Duplicate argument" },
	"Missing newline after argument": func(d *Diagnostic, src []byte) {
		d.Summary = "Two things on one line"
		d.Detail = "An argument ends with its line."
		if q := quantityAt(src, d.Subject.Start.Byte); q != "" {
			unquoted(d, src, q)
		} else if wordRE.MatchString(lineBefore(src, d.Subject.Start.Byte)) {
			d.Help = "text is written in quotes"
		}
	},
	"Invalid expression": func(d *Diagnostic, src []byte) {
		before := lineBefore(src, d.Subject.Start.Byte)
		switch {
		case percentRE.MatchString(before):
			unquoted(d, src, percentRE.FindStringSubmatch(before)[1])
		case strings.HasPrefix(text(src, d.Subject), ".") && d.Code == Syntax:
			d.Help = "jq is written as a string: \".body.id\""
		}
	},
	"Invalid character": func(d *Diagnostic, _ []byte) { d.Code = Syntax },
	"Argument or block definition required": func(d *Diagnostic, src []byte) {
		if d.Subject.End.Byte <= len(src) && bytes.HasPrefix(bytes.TrimLeft(src[d.Subject.End.Byte:], " \t"), []byte(":")) {
			d.Summary, d.Detail = "Colon for equals sign", "An argument and its value are joined by an equals sign."
			d.Help = `write "=" for ":"`
			return
		}
		switch text(src, d.Subject) {
		case "}":
			d.Summary = "Brace without a block"
			d.Detail = "This brace closes nothing: there is one too many, or a block was closed too early."
		case "{":
			if strings.HasPrefix(string(bytes.TrimSpace(src)), "{") {
				d.Help = "a spec in JSON needs a file name that ends in .json"
			}
		}
	},
	"Invalid block definition": func(d *Diagnostic, _ []byte) {
		d.Help = "the opening brace stands on the line of the block's name: audit \"checkout\" {"
	},
	"Variables not allowed": func(d *Diagnostic, _ []byte) {
		d.Code = VariableNotAllowed
		d.Detail = "Only a fixed value can stand here, because it is read before variables have values."
	},
	"Function calls not allowed": func(d *Diagnostic, _ []byte) {
		d.Code = VariableNotAllowed
		d.Detail = "Only a fixed value can stand here, because it is read before functions can be called."
	},
	"Call to unknown function": func(d *Diagnostic, src []byte) {
		d.Code, d.Summary = UnknownFunction, "Unknown function"
		switch text(src, d.Subject) {
		case "env", "timestamp", "uuid":
			d.Detail = "Functions are pure, so that a spec and a recording always give the same plan."
			d.Help = "declare a variable and pass the value with --var"
		}
	},
	"Unsupported attribute": func(d *Diagnostic, _ []byte) { d.Summary = "Unknown attribute" },
	"Error in function call": func(d *Diagnostic, _ []byte) {
		d.Summary = "Function call that fails"
		if _, why, ok := strings.Cut(d.Detail, " failed: "); ok {
			d.Label, d.Detail = strings.TrimSuffix(why, "."), ""
		}
	},
}

// unquoted points at a quantity such as 250ms that ought to be a string.
func unquoted(d *Diagnostic, src []byte, quantity string) {
	d.Summary, d.Detail, d.Label = "Quantity without quotes", "", "a value with a unit is a string"
	d.Help = fmt.Sprintf("write %q", quantity)
	line := len(src[:d.Subject.Start.Byte]) - len(lineBefore(src, d.Subject.Start.Byte))
	if i := bytes.LastIndex(src[:min(d.Subject.Start.Byte+len(quantity), len(src))], []byte(quantity)); i >= line {
		d.Subject = RangeOf(src, d.Subject.File, i, i+len(quantity))
	}
}

func oneLineBlock(d *Diagnostic, _ []byte) {
	d.Code, d.Summary, d.Label = OneLineBlock, "Too much on one line", "a second item on the line of the block"
	d.Detail = "A block on one line may hold one argument and no blocks."
	d.Help = "give every argument and block its own line:\n\ntarget \"stable\" {\n  url     = \"http://127.0.0.1:8080\"\n  timeout = \"2s\"\n}"
}

var (
	percentRE  = regexp.MustCompile(`=\s*(\d+(?:\.\d+)?%)\s*$`)
	quantityRE = regexp.MustCompile(`=\s*(\d+(?:\.\d+)?)$`)
	wordRE     = regexp.MustCompile(`=\s*[A-Za-z][\w-]*$`)
	unitRE     = regexp.MustCompile(`^[\pL/%]+`)
)

// quantityAt gives "250ms" where a number ends and letters begin at offset.
func quantityAt(src []byte, offset int) string {
	number := quantityRE.FindStringSubmatch(lineBefore(src, offset))
	if number == nil {
		return ""
	}
	unit := unitRE.Find(src[offset:])
	if unit == nil {
		return ""
	}
	return number[1] + string(unit)
}

// text gives the source between the ends of r.
func text(src []byte, r pos.Range) string {
	if r.Start.Byte < 0 || r.End.Byte > len(src) || r.Start.Byte > r.End.Byte {
		return ""
	}
	return string(src[r.Start.Byte:r.End.Byte])
}

// lineBefore gives the part of offset's line that stands before it.
func lineBefore(src []byte, offset int) string {
	if offset < 0 || offset > len(src) {
		return ""
	}
	return string(src[bytes.LastIndexByte(src[:offset], '\n')+1 : offset])
}

// trimToLine moves a range that begins at a line's end to that line's last
// visible part, so that the caret stands under something.
func trimToLine(r pos.Range, src []byte) pos.Range {
	if r.Start.Line == r.End.Line {
		return r
	}
	r.End = r.Start
	return r
}
