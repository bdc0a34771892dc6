// Package reference is the manual of the language, made from lang/schema and
// lang/diag: topics that can be looked up by the words of a spec, as pages for
// a terminal, and all of them together in Markdown. Text comes out; nothing in
// here reads a spec.
package reference

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

//go:generate go run ../generate ../README.md

// Topic is one thing that can be looked up.
type Topic struct {
	Name  string // the full name, unique: "audit.gate.per", "latency.p95", "join()"
	Kind  string // "block", "argument", ...
	Short string // one sentence
	page  func(*page)
}

// The kinds of topics, in the order of the index.
const (
	Block     = "block"
	SourceOf  = "kind"
	Argument  = "argument"
	Keyword   = "keyword"
	Metric    = "metric"
	Pack      = "scrub pack"
	Type      = "type"
	Document  = "document"
	Function  = "function"
	CodeTopic = "diagnostic code"
)

// Topics lists all topics, in the order of the index.
func Topics() []Topic {
	var all []Topic
	eachBlock(schema.Root(), "", func(path string, b *schema.Block) {
		all = append(all, Topic{path, Block, firstSentence(b.Doc), func(p *page) { p.block(path, b) }})
		for _, k := range b.Kinds {
			all = append(all, Topic{path + "." + k.Name, SourceOf, k.Doc, func(p *page) { p.kind(path, b, k) }})
		}
	})
	eachArgument(func(path string, parent *schema.Block, a schema.Argument) {
		all = append(all, Topic{path, Argument, firstSentence(a.Doc), func(p *page) { p.argument(path, parent, a) }})
	})
	eachArgument(func(path string, parent *schema.Block, a schema.Argument) {
		for _, k := range a.Keywords {
			all = append(all, Topic{path + "=" + k, Keyword, keywordDoc(a, k), func(p *page) { p.argument(path, parent, a) }})
		}
	})
	for _, m := range schema.Metrics() {
		all = append(all, Topic{m.Name, Metric, m.Doc, func(p *page) { p.metric(m) }})
	}
	for _, k := range schema.Packs() {
		all = append(all, Topic{k.Name, Pack, firstSentence(k.Doc), func(p *page) { p.pack(k) }})
	}
	for _, t := range schema.Types() {
		all = append(all, Topic{t.Name() + typeSuffix, Type, firstSentence(t.Doc), func(p *page) { p.typ(t) }})
	}
	for _, d := range schema.Documents() {
		all = append(all, Topic{d.Name, Document, firstSentence(d.Doc), func(p *page) { p.document(d) }})
	}
	for _, f := range schema.Functions() {
		all = append(all, Topic{f.Name + "()", Function, f.Doc, func(p *page) { p.function(f) }})
	}
	for _, c := range diag.Codes() {
		all = append(all, Topic{string(c.Code), CodeTopic, c.Doc, func(p *page) { p.code(c) }})
	}
	return all
}

// Find gives the topics that a word can mean. A full name, or a name that only
// one topic ends with, gives one topic; others may be given as related. A word
// that several end with, or several begin with, gives all of these.
func Find(word string) (found, related []Topic) {
	word = normal(word)
	dotted := strings.ReplaceAll(word, " ", ".")
	if word == "" {
		return nil, nil
	}
	all := Topics()
	for _, t := range all {
		switch {
		case strings.ToLower(t.Name) == word || strings.ToLower(t.Name) == dotted:
			found = append(found, t)
		case endsWith(t.Name, word) || endsWith(t.Name, dotted):
			related = append(related, t)
		}
	}
	if len(found) == 0 {
		found, related = related, nil
	}
	if len(found) == 0 {
		for _, t := range all {
			if strings.HasPrefix(t.Name, word+".") || strings.HasPrefix(t.Name, word+"@") {
				found = append(found, t)
			}
		}
	}
	return found, related
}

// typeSuffix sets the names of types apart from arguments: "path type".
const typeSuffix = " type"

// normal brings a word into the form of names: "timing = recorded" is written
// without spaces, and a block's braces, quotes and commas mean nothing.
func normal(word string) string {
	word = strings.ToLower(strings.Trim(word, " \t\"'`{}[]:,;"))
	return strings.TrimSuffix(strings.ReplaceAll(word, " = ", "="), "=")
}

// endsWith reports whether word is the end of a name, or a function or a type
// without what sets it apart.
func endsWith(name, word string) bool {
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(name, "()"), typeSuffix))
	if name == word {
		return true
	}
	rest, ok := strings.CutSuffix(name, word)
	return ok && (strings.HasSuffix(rest, ".") || strings.HasSuffix(rest, "="))
}

// Words lists what can be looked up, without repetition and in alphabetical
// order: full names and their last words.
func Words() []string {
	var words []string
	for _, t := range Topics() {
		words = append(words, strings.TrimSuffix(strings.TrimSuffix(t.Name, "()"), typeSuffix))
		if t.Kind == Block || t.Kind == Argument || t.Kind == Keyword || t.Kind == SourceOf {
			words = append(words, lastWord(t.Name))
		}
		if t.Kind == Pack {
			short, _, _ := strings.Cut(t.Name, "@")
			words = append(words, short)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func lastWord(name string) string { return name[strings.LastIndexAny(name, ".=")+1:] }

// Nearest gives the words that an unknown one is most likely a misspelling of,
// best first.
func Nearest(word string, more ...string) []string {
	words := append(Words(), more...)
	var near []string
	for len(near) < 3 {
		s := diag.Suggest(normal(word), words)
		if s == "" {
			break
		}
		near = append(near, s)
		words = slices.DeleteFunc(words, func(w string) bool { return w == s })
	}
	return near
}

// eachBlock visits every block below b with its path.
func eachBlock(b *schema.Block, parent string, visit func(path string, b *schema.Block)) {
	for i := range b.Blocks {
		child := &b.Blocks[i]
		path := join(parent, child.Type)
		visit(path, child)
		eachBlock(child, path, visit)
	}
}

// eachArgument visits every argument of every block, kinds included.
func eachArgument(visit func(path string, parent *schema.Block, a schema.Argument)) {
	eachBlock(schema.Root(), "", func(path string, b *schema.Block) {
		for _, a := range b.Arguments {
			visit(join(path, a.Name), b, a)
		}
		for _, k := range b.Kinds {
			for _, a := range k.Arguments {
				visit(join(path, k.Name, a.Name), b, a)
			}
		}
	})
}

func join(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, ".")
}

// firstSentence cuts a text behind its first sentence.
func firstSentence(text string) string {
	for i := range len(text) - 2 {
		if text[i] == '.' && text[i+1] == ' ' && 'A' <= text[i+2] && text[i+2] <= 'Z' {
			return text[:i+1]
		}
	}
	return text
}

// keywordDoc finds the part of an argument's doc that speaks of a keyword.
func keywordDoc(a schema.Argument, keyword string) string {
	for part := range strings.FieldsFuncSeq(a.Doc, func(r rune) bool { return r == ',' || r == '.' || r == ';' }) {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, keyword+" ") {
			return part + "."
		}
	}
	return firstSentence(a.Doc)
}

// occurrence says how often a block may stand in its parent.
func occurrence(b *schema.Block) string {
	switch {
	case b.Min > 0 && b.Max == b.Min:
		return fmt.Sprintf("exactly %d", b.Min)
	case b.Min > 0:
		return fmt.Sprintf("at least %d", b.Min)
	case b.Max > 0:
		return fmt.Sprintf("at most %d", b.Max)
	}
	return "any number"
}

// parentOf says where a block or an argument stands.
func parentOf(path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// traits says in a line what an argument takes.
func traits(a schema.Argument) string {
	t := a.Type.String()
	if a.Type.Base == schema.Keyword {
		t = orList(a.Keywords)
	} else if len(a.Keywords) > 0 {
		t += ", or " + orList(a.Keywords)
	}
	if len(a.OneOf) > 0 {
		t += " out of " + strings.Join(a.OneOf, ", ")
	}
	switch {
	case a.Required:
		return t + "; required"
	case a.Default != "":
		return t + "; default " + a.Default
	}
	return t + "; optional"
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// limits says what the limits of a metric look like.
func limits(m schema.MetricInfo) string {
	switch m.Dimension {
	case schema.Part:
		return `max and min are shares ("0.1%"); max_increase is a part of the baseline's value ("10%") or percentage points ("0.5pp").`
	case schema.Speed:
		return `min and max are rates ("500/s"). More is better, so that min is the limit that guards it.`
	}
	return `max and min are durations ("250ms"); max_increase is a part of the baseline's value ("10%") or a duration ("20ms").`
}

// gateOn is a gate that guards a metric.
func gateOn(m schema.MetricInfo) string {
	limit := map[schema.Dimensional]string{schema.Time: `max    = "250ms"`, schema.Part: `max    = "0.1%"`, schema.Speed: `min    = "500/s"`}[m.Dimension]
	name := cmp.Or(strings.NewReplacer(".", " ").Replace(m.Name), m.Name)
	return fmt.Sprintf("gate %q {\n  metric = %s\n  %s\n}", name, m.Name, limit)
}
