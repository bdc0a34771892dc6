package lang

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/lang/diag"
)

func TestSyntax(t *testing.T) {
	tests := []struct {
		name, file, src string
		code            diag.Code // "": no diagnostic
		sensitive       bool
	}{
		{"sound", "a.audit.hcl", "audit \"x\" {}\n", "", false},
		{"sound and without meaning", "a.audit.hcl", "nonsense = 1\n", "", false},
		{"unclosed", "a.audit.hcl", "audit \"x\" {\n", diag.UnclosedBlock, false},
		{"values", "a.auditvars.hcl", "password = \"hunter2\n", diag.UnclosedString, true},
		{"values in JSON", "a.auto.auditvars.json", "{\"password\": }", diag.Syntax, true},
		{"JSON", "a.audit.json", "{", diag.Syntax, false},
		{"too deep", "a.audit.hcl", "a = " + strings.Repeat("(", 10_000), diag.TooDeep, false},
		{"too large", "a.audit.hcl", strings.Repeat("# comment\n", MaxFileSize/10+1), diag.FileTooLarge, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			diags := Syntax(tt.file, []byte(tt.src))
			if tt.code == "" {
				if len(diags) > 0 {
					t.Errorf("%v", diags)
				}
				return
			}
			if len(diags) == 0 || diags[0].Code != tt.code || diags[0].Sensitive != tt.sensitive || diags[0].Subject.File != tt.file {
				t.Errorf("got %+v", diags)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	d := Unreadable("a.audit.hcl", &fs.PathError{Op: "open", Path: "a.audit.hcl", Err: fs.ErrNotExist})
	if d.Code != diag.UnreadableFile || d.Detail != "There is no file of this name." {
		t.Errorf("got %+v", d)
	}
}
