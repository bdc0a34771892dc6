package intake

import (
	"maps"
	"slices"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/source/accesslog"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// TestLogWords keeps the words of the language and those of the reader of access
// logs the same, which cannot import each other.
func TestLogWords(t *testing.T) {
	block, _ := schema.Root().Block("source")
	kind, ok := block.OfKind("access_log")
	if !ok {
		t.Fatal("no such kind")
	}
	fields, _ := kind.Argument("fields")
	format, _ := kind.Argument("format")
	if !slices.Equal(fields.OneOf, accesslog.FieldNames()) {
		t.Errorf("fields %v, reader %v", fields.OneOf, accesslog.FieldNames())
	}
	var formats []string
	for _, f := range accesslog.Formats() {
		formats = append(formats, string(f))
	}
	if !slices.Equal(format.Keywords, formats) {
		t.Errorf("formats %v, reader %v", format.Keywords, formats)
	}
}

// TestEveryKindOpens: the language offers no kind of source that cannot be
// opened, and there is none that it does not offer.
func TestEveryKindOpens(t *testing.T) {
	block, _ := schema.Root().Block("source")
	names := block.KindNames()
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, names) {
		t.Errorf("kinds %v, language %v", got, names)
	}
}
