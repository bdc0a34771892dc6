package lang

import (
	"fmt"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// checkVersion looks at required_version alone, so that a file for a newer
// version is told apart from a file with unknown arguments.
func (l *loader) checkVersion(root hcl.Body) {
	content, _, _ := root.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "shadowaudit"}}})
	for _, block := range content.Blocks {
		attrs, _, _ := block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "required_version"}}})
		if attr := attrs.Attributes["required_version"]; attr != nil {
			l.checkConstraint(attr.Expr)
		}
	}
}

func (l *loader) checkConstraint(expr hcl.Expression) {
	at := diag.Range(expr.Range())
	val, diags := expr.Value(nil)
	if diags.HasErrors() {
		l.diags = append(l.diags, diag.FromHCL(diags, diag.BadExpression, l.src)...)
		return
	}
	if val.IsNull() {
		return
	}
	if val.Type() != cty.String {
		l.diags.Add(diag.Diagnostic{
			Code: diag.WrongType, Summary: "Wrong type", Subject: at,
			Label: fmt.Sprintf("%s, not a version constraint", describe(val)),
			Help:  `required_version = ">= 0.1"`,
		})
		return
	}
	want, err := version.NewConstraint(val.AsString())
	if err != nil {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadVersion, Summary: "Invalid version constraint", Subject: at,
			Label: "not a version constraint",
			Help:  `a constraint is an operator and a version, several are joined by commas: ">= 0.1, < 1.0"`,
		})
		return
	}
	have, err := version.NewVersion(l.opts.Version)
	if err != nil {
		return // a build without a release number
	}
	if !want.Check(have.Core()) {
		l.diags.Add(diag.Diagnostic{
			Code: diag.UnsupportedVersion, Summary: "Unsupported version", Subject: at,
			Label:  fmt.Sprintf("this is shadowaudit %s", have),
			Detail: "The spec asks for another version of shadowaudit, so the rest of it was not read.",
			Help:   "install a version that fits, or change required_version",
		})
	}
}

// settings decodes the rest of a shadowaudit block; its only argument has been
// read by checkVersion.
func (l *loader) settings(block *hcl.Block) {
	s, _ := schema.Root().Block("shadowaudit")
	decodeArguments(l, l.openBlock(s, block), settingsFields, struct{}{})
}

var settingsFields = fields[struct{}]{
	"required_version": func(*loader, argument, struct{}) {},
}
