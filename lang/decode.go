package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// loader holds what is known while one file is read.
type loader struct {
	session   *session
	file      string
	src       []byte
	json      bool
	opts      Options
	spec      *Spec
	diags     diag.List
	importing *importOf // nil for the spec itself

	vars       map[string]*variable
	locals     map[string]*local // nil until they are declared
	fixed      *hcl.EvalContext  // functions only, for what variables are
	scope      *hcl.EvalContext  // nil until variables have values
	each       bool              // inside a block with for_each
	judging    bool              // in an assert, which sees the result
	args       blockArgs         // of the block that is decoded
	valuesLost bool              // a values file could not be read

	imports    map[string]*imported
	importGaps bool // an import has no name that could be entered
	sources    scope[*Source]
	scrubs     scope[*Scrub]
	targets    scope[*Target]
	ignoreSets scope[*IgnoreSet]
	audits     scope[*hcl.Block]

	// One program often stands in many audits; it is compiled once.
	tests  map[string]compiled[*jq.Predicate]
	values map[string]compiled[*jq.Value]
	paths  map[string]compiled[*jq.Paths] // of compare, with $request
	places map[string]compiled[*jq.Paths] // of scrub
}

type compiled[T any] struct {
	program T
	err     error
}

// body is the content of one block, with everything that the schema does not
// know already reported.
type body struct {
	schema *schema.Block
	header hcl.Range // where something that is missing is reported
	attrs  hcl.Attributes
	blocks hcl.Blocks

	// broken has the types of child blocks of which one had to be left out.
	broken map[string]bool
}

// blocksOf gives the child blocks of one type in the order of the file.
func (b *body) blocksOf(blockType string) hcl.Blocks { return b.blocks.OfType(blockType) }

// has reports whether the block sets an argument.
func (b *body) has(name string) bool { return b.attrs[name] != nil }

// at gives the place of an argument's name, or of the block without it.
func (b *body) at(name string) pos.Range {
	if attr := b.attrs[name]; attr != nil {
		return diag.Range(attr.NameRange)
	}
	return diag.Range(b.header)
}

// openBlock is open for a block with a header.
func (l *loader) openBlock(s *schema.Block, block *hcl.Block) *body {
	return l.open(s, block.Body, headerRange(block))
}

// headerRange covers type and labels. In JSON they do not stand together; the
// last label is the best place.
func headerRange(block *hcl.Block) hcl.Range {
	r := block.TypeRange
	if n := len(block.LabelRanges); n > 0 {
		last := block.LabelRanges[n-1]
		if last.Start.Line != r.Start.Line || last.Start.Byte < r.Start.Byte {
			return last
		}
		r = hcl.RangeBetween(r, last)
	}
	return r
}

// open reads a body by its schema and reports unknown, missing and repeated
// items.
func (l *loader) open(s *schema.Block, b hcl.Body, header hcl.Range) *body {
	if s.Free != nil {
		return l.openFree(s, b, header)
	}
	content, diags := b.Content(bodySchema(s))
	out := &body{schema: s, header: header, attrs: content.Attributes, blocks: content.Blocks, broken: map[string]bool{}}
	for i, d := range diags {
		if d.Summary == "Missing block label" && i > 0 && sameSubject(d, diags[i-1]) {
			continue // of a value that is no block at all
		}
		l.diags = append(l.diags, l.structure(out, d)...)
	}
	slices.SortStableFunc(out.blocks, func(a, b *hcl.Block) int {
		return cmp.Compare(a.DefRange.Start.Byte, b.DefRange.Start.Byte)
	})
	for _, a := range s.Arguments {
		if a.Required && !out.has(a.Name) {
			l.diags.Add(missing(s, a, header))
		}
	}
	for _, child := range s.Blocks {
		l.checkRepeated(child, out.blocksOf(child.Type))
	}
	return out
}

// openFree reads a body whose argument names the user chooses.
func (l *loader) openFree(s *schema.Block, b hcl.Body, header hcl.Range) *body {
	attrs, diags := b.JustAttributes()
	out := &body{schema: s, header: header, attrs: attrs}
	for _, d := range diags {
		if d.Subject != nil && strings.HasPrefix(d.Summary, "Unexpected ") {
			l.diags.Add(l.unknownBlock(s, *d.Subject))
			continue
		}
		l.diags = append(l.diags, diag.FromHCL(hcl.Diagnostics{d}, diag.Syntax, l.src)...)
	}
	return out
}

func sameSubject(a, b *hcl.Diagnostic) bool {
	return a.Subject != nil && b.Subject != nil && *a.Subject == *b.Subject
}

// bodySchemas keeps the HCL form of each block of the language, which never
// changes.
var bodySchemas sync.Map // *schema.Block -> *hcl.BodySchema

// bodySchema gives the HCL form of s. What is required is checked by open,
// which knows better where to point.
func bodySchema(s *schema.Block) *hcl.BodySchema {
	if known, ok := bodySchemas.Load(s); ok {
		return known.(*hcl.BodySchema)
	}
	out := &hcl.BodySchema{}
	for _, a := range s.Arguments {
		out.Attributes = append(out.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for _, b := range s.Blocks {
		out.Blocks = append(out.Blocks, hcl.BlockHeaderSchema{Type: b.Type, LabelNames: b.LabelNames()})
	}
	bodySchemas.Store(s, out)
	return out
}

func missing(s *schema.Block, a schema.Argument, header hcl.Range) diag.Diagnostic {
	return diag.Diagnostic{
		Code: diag.MissingArgument, Summary: "Missing argument", Subject: diag.Range(header),
		Label:  fmt.Sprintf("%q is missing", a.Name),
		Detail: fmt.Sprintf("Every %s block needs %q. %s", s.Type, a.Name, a.Doc),
		Help:   fmt.Sprintf("%s = %s", a.Name, a.Example),
	}
}

func (l *loader) checkRepeated(s schema.Block, blocks hcl.Blocks) {
	if s.Max == 0 || len(blocks) <= s.Max {
		return
	}
	for _, block := range blocks[s.Max:] {
		l.diags.Add(diag.Diagnostic{
			Code: diag.RepeatedBlock, Summary: "Repeated block", Subject: diag.Range(block.TypeRange),
			Label:   fmt.Sprintf("a second %s block", s.Type),
			Detail:  fmt.Sprintf("There can be one %s block here. Its arguments belong together.", s.Type),
			Related: []diag.Related{{Range: diag.Range(blocks[0].TypeRange), Text: "the first one"}},
		})
	}
}

// structure translates what hcl says about a body's structure.
func (l *loader) structure(b *body, d *hcl.Diagnostic) diag.List {
	s := b.schema
	switch {
	case d.Subject == nil:
	case d.Summary == "Unsupported argument":
		return diag.List{l.unknownArgument(b, *d.Subject)}
	case d.Summary == "Unsupported block type":
		return diag.List{l.unknownBlock(s, *d.Subject)}
	case d.Summary == "Extraneous JSON object property":
		name := l.nameAt(*d.Subject)
		if diag.Suggest(name, s.BlockTypes()) != "" || len(s.Arguments) == 0 {
			return diag.List{l.unknownBlock(s, *d.Subject)}
		}
		return diag.List{l.unknownArgument(b, *d.Subject)}
	case strings.HasPrefix(d.Summary, "Extraneous label for "), strings.HasPrefix(d.Summary, "Missing ") && strings.Contains(d.Summary, " for "),
		d.Summary == "Missing block label":
		return diag.List{l.badLabels(b, d)}
	}
	return diag.FromHCL(hcl.Diagnostics{d}, diag.Syntax, l.src)
}

// nameAt reads a name from the source: an identifier, or a JSON string.
func (l *loader) nameAt(r hcl.Range) string {
	text := l.textAt(r)
	if name, err := strconv.Unquote(text); err == nil {
		return name
	}
	return text
}

func (l *loader) textAt(r hcl.Range) string {
	if r.Filename != l.file || !r.CanSliceBytes(l.src) {
		return ""
	}
	return string(r.SliceBytes(l.src))
}

func (l *loader) unknownArgument(b *body, r hcl.Range) diag.Diagnostic {
	s := b.schema
	name := l.nameAt(r)
	d := diag.Diagnostic{
		Code: diag.UnknownArgument, Summary: "Unknown argument", Subject: diag.Range(r),
		Label:  fmt.Sprintf("%s has no such argument", place(s)),
		Detail: fmt.Sprintf("There is no argument %q in %s.", name, placeWithArticle(s)),
	}
	if _, ok := s.Block(name); ok {
		d.Help = fmt.Sprintf("%s is a block: write it without the equals sign", name)
		return d
	}
	var free []string
	for _, a := range s.ArgumentNames() {
		if !b.has(a) {
			free = append(free, a)
		}
	}
	d.Help = suggestion(name, free, "it takes ")
	return d
}

func (l *loader) unknownBlock(s *schema.Block, r hcl.Range) diag.Diagnostic {
	name := l.nameAt(r)
	d := diag.Diagnostic{
		Code: diag.UnknownBlock, Summary: "Unknown block", Subject: diag.Range(r),
		Label:  fmt.Sprintf("no such block in %s", placeWithArticle(s)),
		Detail: fmt.Sprintf("There is no block %q in %s.", name, placeWithArticle(s)),
	}
	if a, ok := s.Argument(name); ok {
		d.Help = fmt.Sprintf("%s is an argument: %s = %s", name, name, a.Example)
		return d
	}
	if home := homeOf(schema.Root(), name); home != "" && diag.Suggest(name, s.BlockTypes()) == "" {
		d.Help = fmt.Sprintf("%s blocks belong into %s", name, home)
		return d
	}
	d.Help = suggestion(name, s.BlockTypes(), "blocks here are ")
	return d
}

// homeOf finds where blocks of a type belong.
func homeOf(b *schema.Block, blockType string) string {
	for i := range b.Blocks {
		if b.Blocks[i].Type == blockType {
			return placeWithArticle(b)
		}
		if home := homeOf(&b.Blocks[i], blockType); home != "" {
			return home
		}
	}
	return ""
}

func (l *loader) badLabels(b *body, d *hcl.Diagnostic) diag.Diagnostic {
	s := b.schema
	out := diag.Diagnostic{Code: diag.BadLabels, Summary: d.Summary, Detail: d.Detail, Subject: diag.Range(*d.Subject)}
	for i := range s.Blocks {
		child := &s.Blocks[i]
		if !strings.HasSuffix(d.Summary, " for "+child.Type) && !strings.Contains(d.Detail, " the "+child.Type+" block") {
			continue
		}
		b.broken[child.Type] = true
		out.Summary = "Wrong labels"
		out.Detail = ""
		switch len(child.Labels) {
		case 0:
			out.Label = fmt.Sprintf("a %s block has no labels", child.Type)
		case 1:
			out.Label = fmt.Sprintf("a %s block has one label, its %s", child.Type, child.Labels[0].Name)
		default:
			out.Label = fmt.Sprintf("a %s block has %d labels: %s", child.Type, len(child.Labels), strings.Join(child.LabelNames(), " and "))
		}
		out.Help = "write " + child.Header() + " {"
	}
	return out
}

// place names a block for a message.
func place(s *schema.Block) string {
	if s.Type == "" {
		return "the file"
	}
	return "the " + s.Type + " block"
}

func placeWithArticle(s *schema.Block) string {
	switch {
	case s.Type == "":
		return "the file"
	case strings.ContainsRune("aeiou", rune(s.Type[0])):
		return "an " + s.Type + " block"
	}
	return "a " + s.Type + " block"
}

// suggestion is a "did you mean", or else the list of what there is.
func suggestion(given string, known []string, lead string) string {
	if s := diag.Suggest(given, known); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	if len(known) == 0 {
		return ""
	}
	return lead + strings.Join(known, ", ")
}

// argument is an argument's expression with its schema: the user's, or the
// default.
type argument struct {
	*schema.Argument
	block *schema.Block
	expr  hcl.Expression
	set   bool
}

func (a argument) rng() pos.Range { return diag.Range(a.expr.Range()) }

// attrOf wraps a decoded value with the argument's place.
func attrOf[T any](a argument, value T) Attr[T] {
	if !a.set {
		return Attr[T]{Value: value}
	}
	return Attr[T]{Value: value, Range: a.rng(), Set: true}
}

// fields says what decoding does with each argument of a block. Its keys are
// the argument names of the block's schema.
type fields[T any] map[string]func(l *loader, a argument, into T)

// decodeArguments decodes all arguments of a block in the order of the schema.
// The default comes first, in the same way as if it had been written down, and
// stays where the argument is left out, null or wrong.
func decodeArguments[T any](l *loader, b *body, f fields[T], into T) {
	outer := l.args
	_, takesArgs := b.schema.Argument("args")
	l.args = blockArgs{taken: takesArgs}
	defer func() { l.args = outer }()
	for i := range b.schema.Arguments {
		s := &b.schema.Arguments[i]
		if s.Default != "" {
			f[s.Name](l, argument{Argument: s, block: b.schema, expr: defaultExpr(s.Default)}, into)
		}
		attr := b.attrs[s.Name]
		switch {
		case attr == nil || s.Type.Base == schema.Collection: // for_each comes before everything else
		case !isNull(attr.Expr):
			f[s.Name](l, argument{Argument: s, block: b.schema, expr: attr.Expr, set: true}, into)
		case s.Required:
			l.diags.Add(missing(b.schema, *s, attr.Expr.Range()))
		}
	}
	l.unusedArgs()
}

// isNull reports whether an expression is the literal null. A variable that is
// null is dealt with where it is evaluated.
func isNull(expr hcl.Expression) bool {
	switch expr := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return expr.Val.IsNull()
	case *hclsyntax.TemplateExpr, *hclsyntax.TupleConsExpr, *hclsyntax.ObjectConsExpr, *hclsyntax.ScopeTraversalExpr:
		return false
	}
	if len(expr.Variables()) > 0 {
		return false
	}
	val, diags := expr.Value(nil)
	return !diags.HasErrors() && val.IsNull()
}

var defaultExprs sync.Map // string -> hcl.Expression

// defaultExpr parses a default of the schema. That each one parses is tested.
func defaultExpr(text string) hcl.Expression {
	if known, ok := defaultExprs.Load(text); ok {
		return known.(hcl.Expression)
	}
	expr, _ := hclsyntax.ParseExpression([]byte(text), "<default>", hcl.InitialPos)
	defaultExprs.Store(text, expr)
	return expr
}
