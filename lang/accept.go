package lang

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// AcceptedFile is the file beside a spec that holds the differences that
// somebody has accepted: NAME.accepted.hcl beside NAME.audit.hcl.
func AcceptedFile(spec string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(spec), ".json"), ".hcl")
	return filepath.Join(filepath.Dir(spec), strings.TrimSuffix(base, ".audit")+".accepted.hcl")
}

// acceptedFile reads that file, where there is one.
func (l *loader) acceptedFile() {
	path := AcceptedFile(l.file)
	names, err := l.session.list(filepath.Dir(l.file))
	if err != nil || !slices.Contains(names, filepath.Base(path)) || sameFile(path, l.file) {
		return // a folder that cannot be listed has been reported where values files are sought
	}
	src, err := l.session.read(path)
	if err != nil {
		l.diags.Add(unreadable(path, err))
		return
	}
	child := newLoader(l.session, path, src)
	child.spec = l.spec
	if file, ok := child.begin(); ok {
		b := child.open(onlyAccept, file.Body, hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos})
		child.acceptBlocks(b.blocksOf("accept"))
	}
	l.diags = append(l.diags, child.diags...)
}

// onlyAccept is the language of a file of accepted differences.
var onlyAccept = func() *schema.Block {
	accept, _ := schema.Root().Block("accept")
	return &schema.Block{Blocks: []schema.Block{*accept}}
}()

func (l *loader) acceptBlocks(blocks hcl.Blocks) {
	s, _ := schema.Root().Block("accept")
	for _, block := range blocks {
		a := &Accepted{Fingerprint: block.Labels[0], Origin: diag.Range(headerRange(block))}
		decodeArguments(l, l.openBlock(s, block), acceptFields, a)
		if first := l.acceptedBefore(a); first != nil {
			l.diags.Add(diag.Diagnostic{
				Code: diag.DuplicateName, Summary: "Duplicate name", Subject: diag.Range(block.LabelRanges[0]), Label: "accepted twice for one audit",
				Related: []diag.Related{{Range: first.Origin, Text: "the first time"}}, Help: "remove one of them",
			})
			continue
		}
		l.spec.Accepted = append(l.spec.Accepted, a)
	}
}

func (l *loader) acceptedBefore(a *Accepted) *Accepted {
	for _, b := range l.spec.Accepted {
		if b.Fingerprint == a.Fingerprint && b.Audit.Value == a.Audit.Value {
			return b
		}
	}
	return nil
}

var acceptFields = fields[*Accepted]{
	"audit":    func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.Audit) },
	"endpoint": func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.Endpoint) },
	"path":     func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.Path) },
	"kind":     keywordAttr(func(x *Accepted) *Attr[string] { return &x.Kind }),
	"from":     func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.From) },
	"to":       func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.To) },
	"max":      func(l *loader, a argument, x *Accepted) { l.shareAttr(a, &x.Max) },
	"reason":   func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.Reason) },
	"owner":    func(l *loader, a argument, x *Accepted) { l.textAttr(a, &x.Owner) },
	"expires":  func(l *loader, a argument, x *Accepted) { l.dateAttr(a, &x.Expires) },
}

// ReadAccepted reads a file of accepted differences. A file that is not there
// has none.
func ReadAccepted(path string, opts Options) ([]*Accepted, diag.List) {
	s := newSession(opts)
	src, err := s.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.List{unreadable(path, err)}
	}
	l := newLoader(s, path, src)
	l.spec = &Spec{Path: path, Dir: folderOf(path), Src: src}
	if file, ok := l.begin(); ok {
		b := l.open(onlyAccept, file.Body, hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos})
		l.acceptBlocks(b.blocksOf("accept"))
	}
	l.diags.Sort()
	return l.spec.Accepted, l.diags
}

// FormatAccepted writes accepted differences as a file of them, sorted by audit,
// endpoint, path and kind.
func FormatAccepted(all []*Accepted) []byte {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *Accepted) int {
		return cmp.Or(
			strings.Compare(a.Audit.Value, b.Audit.Value), strings.Compare(a.Endpoint.Value, b.Endpoint.Value),
			strings.Compare(a.Path.Value, b.Path.Value), strings.Compare(a.Kind.Value, b.Kind.Value), strings.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
	file := hclwrite.NewEmptyFile()
	file.Body().AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# Differences that somebody has looked at. Written by shadowaudit accept; comments are not kept.\n")}})
	for _, a := range all {
		file.Body().AppendNewline()
		b := file.Body().AppendNewBlock("accept", []string{a.Fingerprint}).Body()
		text := func(name, value string) {
			if value != "" {
				b.SetAttributeValue(name, cty.StringVal(value))
			}
		}
		text("audit", a.Audit.Value)
		text("endpoint", a.Endpoint.Value)
		text("path", a.Path.Value)
		b.SetAttributeTraversal("kind", hcl.Traversal{hcl.TraverseRoot{Name: a.Kind.Value}})
		text("from", a.From.Value)
		text("to", a.To.Value)
		text("max", strconv.FormatFloat(a.Max.Value*100, 'g', 10, 64)+"%")
		text("reason", a.Reason.Value)
		text("owner", a.Owner.Value)
		text("expires", a.Expires.Value.Format(time.DateOnly))
	}
	return hclwrite.Format(file.Bytes())
}
