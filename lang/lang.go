// Package lang reads audit specs: HCL text in, a checked and immutable *Spec
// out. Every mistake in a spec becomes a diagnostic with a place, and all
// mistakes of a phase are reported together. Nothing is decoded lazily: jq is
// compiled, references are resolved and quantities are converted while the
// file loads, so that a spec which loads does not fail later for a reason that
// stood in it.
//
// What leaves the package is plain Go: no HCL values, no HCL positions.
package lang

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// Options are what a spec needs from outside.
type Options struct {
	// Vars are values of variables by name, for callers that have no order.
	// Assignments win over them.
	Vars map[string]string
	// Assignments are --var and --var-file in the order of the command line.
	Assignments []Assignment
	// Getenv finds environment variables, of which only those that begin with
	// EnvPrefix are asked for. It may be nil: there are none then.
	Getenv func(name string) (value string, ok bool)
	// Version is this program's version, for required_version. A version that
	// is no release, such as "" or "dev", satisfies every constraint.
	Version string
	// ReadFile reads the spec and all that it names: imports, values files and
	// what the function file is asked for. nil means the disk.
	ReadFile func(name string) ([]byte, error)
	// ReadDir gives the names in a folder, to find values files. nil means the
	// disk, or, with a ReadFile, that folders are empty.
	ReadDir func(dir string) ([]string, error)
	// Sources, when it is not nil, receives every text that diagnostics point
	// into, for rendering them. Values of sensitive variables are left out.
	Sources diag.Sources
}

// MaxFileSize is the size in bytes beyond which a file is not parsed.
const MaxFileSize = 8 << 20

// Load reads and checks the spec file at path. The spec is nil when the list
// has errors; the list is sorted.
func Load(path string, opts Options) (*Spec, diag.List) {
	src, err := newSession(opts).read(path)
	if err != nil {
		return nil, diag.List{unreadable(path, err)}
	}
	return Parse(path, src, opts)
}

func unreadable(path string, err error) diag.Diagnostic {
	d := diag.Diagnostic{Code: diag.UnreadableFile, Summary: "Unreadable spec", Subject: fileStart(path)}
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Detail = "There is no file of this name."
	case errors.Is(err, fs.ErrPermission):
		d.Detail = "The file may not be read."
	case errors.As(err, &pathErr):
		d.Detail = "The file cannot be read: " + pathErr.Err.Error() + "."
	default:
		d.Detail = "The file cannot be read: " + err.Error() + "."
	}
	return d
}

// Parse checks a spec that is already in memory. The name says where it came
// from: relative paths in the spec start at its folder, and a name that ends
// in .json announces HCL's JSON syntax. Parse keeps src; the caller must not
// change it.
func Parse(filename string, src []byte, opts Options) (*Spec, diag.List) {
	flags := make([]Assignment, 0, len(opts.Vars)+len(opts.Assignments))
	for _, name := range sortedKeys(opts.Vars) {
		flags = append(flags, Assignment{Kind: Var, Name: name, Value: opts.Vars[name]})
	}
	opts.Assignments = append(flags, opts.Assignments...)
	s := newSession(opts)
	l := newLoader(s, filename, src)
	l.load()
	s.hideSecrets(l.diags)
	l.diags.Sort()
	l.diags = l.diags.Dedupe()
	if l.diags.HasErrors() {
		return nil, l.diags
	}
	l.spec.Files, l.spec.texts, l.spec.secrets = s.files, s.texts, s.secrets
	return l.spec, l.diags
}

func newLoader(s *session, file string, src []byte) *loader {
	l := &loader{session: s, file: file, src: src, json: isJSON(file), opts: s.opts}
	l.fixed = &hcl.EvalContext{Functions: s.functionsIn(file)}
	return l
}

// load runs the phases: parse, version, everything else. The spec stays nil
// when the file cannot be read as one.
func (l *loader) load() {
	file, ok := l.begin()
	if !ok {
		return
	}
	if l.checkVersion(file.Body); l.diags.HasErrors() {
		return
	}
	sum := sha256.Sum256(l.src)
	l.spec = &Spec{Path: l.file, SHA256: hex.EncodeToString(sum[:]), Dir: folderOf(l.file), Src: l.src}
	l.root(file.Body)
}

// begin makes the file known to the session and parses it.
func (l *loader) begin() (*hcl.File, bool) {
	l.session.enter(l.file, l.src)
	l.session.texts[l.file] = l.src
	l.session.record(l.file, l.src)
	l.session.loaded++
	if d, ok := tooMuch(l.file, l.src, l.json); ok {
		l.diags.Add(d)
		return nil, false
	}
	file, diags := l.parse()
	l.diags = append(l.diags, l.syntax(diags)...)
	return file, !l.diags.HasErrors()
}

func (l *loader) parse() (*hcl.File, hcl.Diagnostics) {
	if l.json {
		return hcljson.Parse(l.src, l.file)
	}
	if file, ok := parseInParts(l.src, l.file); ok {
		return file, nil
	}
	return hclsyntax.ParseConfig(l.src, l.file, hcl.InitialPos)
}

// syntax translates the parser's diagnostics. The JSON parser does not find
// its way back after a mistake, so that only its first message means anything.
func (l *loader) syntax(diags hcl.Diagnostics) diag.List {
	if l.json {
		diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
			return d.Summary == "Root value must be object" && len(diags) > 1
		})
	}
	list := diag.FromHCL(diags, diag.Syntax, l.src)
	if l.json && len(list) > 1 {
		return list[:1]
	}
	for i := range list {
		if suspect, ok := leftOpen(l.src, l.file); ok && list[i].Code == diag.UnclosedBlock && suspect != list[i].Subject {
			list[i].Related = []diag.Related{{Range: suspect, Text: "by its indentation this one was left open"}}
		}
	}
	return list
}

// leftOpen guesses which brace has lost its partner, since the parser only
// knows that braces run out: the first one whose closing brace is indented
// less than the line that opens it.
func leftOpen(src []byte, file string) (pos.Range, bool) {
	tokens, _ := hclsyntax.LexConfig(src, file, hcl.InitialPos)
	var open []hclsyntax.Token
	var indents []int
	line, indent := 0, 0
	for _, t := range tokens {
		if t.Range.Start.Line != line && t.Type != hclsyntax.TokenNewline {
			line, indent = t.Range.Start.Line, t.Range.Start.Column
		}
		switch t.Type {
		case hclsyntax.TokenOBrace:
			open, indents = append(open, t), append(indents, indent)
		case hclsyntax.TokenCBrace:
			last := len(open) - 1
			if last < 0 {
				return pos.Range{}, false
			}
			if indent < indents[last] {
				return diag.Range(open[last].Range), true
			}
			open, indents = open[:last], indents[:last]
		}
	}
	return pos.Range{}, false
}

// folderOf gives the absolute folder of a file. Without a working directory
// it stays relative.
func folderOf(path string) string {
	dir := filepath.Dir(path)
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// root decodes the file's top level. Variables and locals come first, because
// all other arguments may use them; then all names are declared, so that
// references may point forwards.
func (l *loader) root(b hcl.Body) {
	root := l.open(schema.Root(), b, hcl.Range{Filename: l.file, Start: hcl.InitialPos, End: hcl.InitialPos})
	l.variables(root.blocksOf("variable"))
	l.localValues(root.blocksOf("locals"))
	l.importAll(root)
	l.declare(root)
	for _, block := range root.blocksOf("shadowaudit") {
		l.settings(block)
	}
	for _, d := range l.sources.all {
		l.source(d)
	}
	for _, d := range l.scrubs.all {
		l.scrub(d)
	}
	for _, d := range l.targets.all {
		l.target(d)
	}
	for _, d := range l.ignoreSets.all {
		l.ignoreSet(d)
	}
	if l.importing != nil {
		return
	}
	for _, d := range l.audits.all {
		l.auditBlock(d)
	}
	l.acceptBlocks(root.blocksOf("accept"))
	l.acceptedFile()
	if len(l.spec.Audits) == 0 && !l.diags.HasErrors() {
		l.diags.Add(missingAudit(l.file, root.blocksOf("audit")))
	}
	if !l.diags.HasErrors() {
		l.checkUnused()
	}
}

func fileStart(file string) pos.Range {
	start := pos.Pos{Line: 1, Column: 1}
	return pos.Range{File: file, Start: start, End: start}
}
