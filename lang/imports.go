package lang

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// imported is an import block: the other spec and the name it has here.
type imported struct {
	path   string // as diagnostics show the other file
	at     hcl.Range
	given  []given
	label  hcl.Range
	loader *loader // nil when the other file could not be read as a spec
	used   bool
}

// importOf says on whose behalf a file is loaded.
type importOf struct {
	by     *loader
	given  []given
	origin pos.Range // of the import block
}

// taken are names that mean something else at the beginning of a reference.
var taken = []string{"var", "local", "each", "result", "path", "endpoint", "cohort", "recorded", "none", "url"}

// importAll loads the files that the import blocks name.
func (l *loader) importAll(root *body) {
	l.imports = map[string]*imported{}
	s, _ := schema.Root().Block("import")
	for _, block := range root.blocksOf("import") {
		name := block.Labels[0]
		imp := &imported{label: block.LabelRanges[0]}
		decodeArguments(l, l.openBlock(s, block), importFields, imp)
		if !l.goodName(name, imp.label, "import") {
			l.importGaps = true
			continue
		}
		if _, isBlock := schema.Root().Block(name); isBlock || slices.Contains(taken, name) {
			l.diags.Add(diag.Diagnostic{
				Code: diag.BadName, Summary: "Invalid name", Subject: diag.Range(imp.label), Label: "means something else already",
				Help: fmt.Sprintf("references that begin with %s would be ambiguous; choose another name", name),
			})
			l.importGaps = true
			continue
		}
		if first, ok := l.imports[name]; ok {
			l.duplicateName("import", name, imp.label, first.label)
			continue
		}
		l.imports[name] = imp
		if imp.path != "" {
			l.importFile(name, imp, diag.Range(headerRange(block)))
		}
	}
}

var importFields = fields[*imported]{
	"path":      func(l *loader, a argument, imp *imported) { l.importPath(a, imp) },
	"variables": func(l *loader, a argument, imp *imported) { l.importVariables(a, imp) },
}

// importPath takes only what is fixed, so that the files of a spec are known
// without evaluating anything.
func (l *loader) importPath(a argument, imp *imported) {
	if len(a.expr.Variables()) > 0 {
		l.notAllowed(a.rng(), "The files that belong to a spec must be known before anything in them is read.")
		return
	}
	path, it, ok := l.text(a)
	if !ok {
		return
	}
	if err := checkImport(path); err != nil {
		l.invalid(diag.BadImport, a, it, err.Error(), "import a file of this machine by a relative path: path = "+a.Example)
		return
	}
	imp.path, imp.at = filepath.Join(filepath.Dir(l.file), filepath.FromSlash(path)), it.rng
}

func checkImport(path string) error {
	switch {
	case strings.TrimSpace(path) == "":
		return errors.New("empty")
	case strings.ContainsRune(path, 0):
		return errors.New("has a zero byte")
	case strings.Contains(path, "://") || strings.HasPrefix(path, "git@"):
		return errors.New("not a local path")
	case filepath.IsAbs(filepath.FromSlash(path)) || strings.HasPrefix(path, "/"):
		return errors.New("not a relative path")
	}
	return nil
}

// importVariables evaluates the values here, where the import stands.
func (l *loader) importVariables(a argument, imp *imported) {
	pairs, _ := l.pairs(a, false)
	first := map[string]hcl.Range{}
	for _, p := range pairs {
		if before, ok := first[p.key]; ok {
			l.duplicateKey(p.at, before)
			continue
		}
		first[p.key] = p.at
		val := p.value.val
		if p.value.sensitive {
			val = val.Mark(sensitiveMark{})
		}
		imp.given = append(imp.given, given{name: p.key, val: &val, at: diag.Range(p.value.rng), rng: p.value.rng, key: diag.Range(p.at)})
	}
}

func (l *loader) importFile(name string, imp *imported, origin pos.Range) {
	for i := range imp.given {
		imp.given[i].from = fmt.Sprintf("import %q", name)
	}
	if cycle := l.importCycle(imp.path); cycle != nil {
		l.diags.Add(diag.Diagnostic{
			Code: diag.Cycle, Summary: "Imports in a circle", Subject: diag.Range(imp.at),
			Label: "imports itself: " + strings.Join(cycle, " -> "),
		})
		return
	}
	if l.session.loaded >= maxFiles {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadImport, Summary: "Too many imports", Subject: diag.Range(imp.at),
			Label: fmt.Sprintf("%d files belong to the spec already", maxFiles),
		})
		return
	}
	src, err := l.session.read(imp.path)
	if err != nil {
		d := unreadable(imp.path, err)
		d.Code, d.Summary, d.Subject, d.Label = diag.BadImport, "Unreadable import", diag.Range(imp.at), "cannot be read"
		d.Detail = strings.Replace(d.Detail, "There is no file of this name.", fmt.Sprintf("There is no file %s.", imp.path), 1)
		l.diags.Add(d)
		return
	}
	child := newLoader(l.session, imp.path, src)
	child.importing = &importOf{by: l, given: imp.given, origin: origin}
	child.load()
	l.diags = append(l.diags, child.diags...)
	if child.spec != nil {
		imp.loader = child
	}
}

// importCycle gives the way from path back to itself, when the file is among
// those that led here.
func (l *loader) importCycle(path string) []string {
	names := []string{path}
	for at := l; at != nil; {
		names = append(names, at.file)
		if sameFile(at.file, path) {
			slices.Reverse(names)
			return names
		}
		if at.importing == nil {
			return nil
		}
		at = at.importing.by
	}
	return nil
}

func sameFile(a, b string) bool {
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	return a == b || errX == nil && errY == nil && x == y
}
