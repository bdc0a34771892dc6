package lang

import (
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/diag"
)

// Syntax says what keeps a spec or a values file from being parsed, and
// nothing of what it means. A file without errors here can be formatted. The
// list is sorted.
func Syntax(filename string, src []byte) diag.List {
	if d, bad := tooMuch(filename, src, isJSON(filename)); bad {
		return diag.List{d}
	}
	l := newLoader(newSession(Options{}), filename, src)
	_, diags := l.parse()
	list := l.syntax(diags)
	if strings.HasSuffix(strings.TrimSuffix(filename, ".json"), ".auditvars") || strings.HasSuffix(filename, ".auditvars.hcl") {
		for i := range list {
			list[i].Sensitive = true // any line may have a secret
		}
	}
	list.Sort()
	return list.Dedupe()
}

// Unreadable is the diagnostic of a file that cannot be read.
func Unreadable(filename string, err error) diag.Diagnostic { return unreadable(filename, err) }
