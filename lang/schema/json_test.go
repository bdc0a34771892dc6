package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden file is the language as editors know it: what changes in it
// changes for them.
func TestWriteJSON(t *testing.T) {
	var got bytes.Buffer
	if err := WriteJSON(&got, []Code{{"jq-syntax", "A jq program does not compile."}}); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/language.json"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the language is not the one of %s; if that is meant, run the test with -update", golden)
	}
	if bytes.Contains(got.Bytes(), []byte(`": null`)) {
		t.Error("a list is null")
	}
}

// Every key of the document is explained in JSONFields.
func TestJSONFieldsAreDocumented(t *testing.T) {
	var text bytes.Buffer
	if err := WriteJSON(&text, nil); err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	var collect func(any)
	collect = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				keys[k] = true
				collect(inner)
			}
		case []any:
			for _, inner := range v {
				collect(inner)
			}
		}
	}
	collect(doc)
	var words []string
	for _, f := range JSONFields() {
		words = append(words, strings.FieldsFunc(f.Path+" "+f.Doc, func(r rune) bool { return strings.ContainsRune(" .,[];:", r) })...)
	}
	words = append(words, "limit", "better", "path") // of metrics and of fields
	for k := range keys {
		if !slices.Contains(words, k) {
			t.Errorf("no word about the key %q", k)
		}
	}
}

func TestTypesAreDocumented(t *testing.T) {
	for b := range Base(len(baseNames)) {
		if !strings.HasSuffix(b.Doc(), ".") {
			t.Errorf("%s: doc %q is not a sentence", b, b.Doc())
		}
	}
	if len(Types()) != len(baseNames) {
		t.Errorf("%d types are documented, there are %d", len(Types()), len(baseNames))
	}
}

func TestPacksAgree(t *testing.T) {
	var names []string
	for _, p := range Packs() {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, PackNames()) {
		t.Errorf("%v are documented, there are %v", names, PackNames())
	}
}

// The default of the argument is what the packs say of themselves.
func TestDefaultPacksAgree(t *testing.T) {
	var quoted []string
	for _, p := range Packs() {
		if p.Default {
			quoted = append(quoted, strconv.Quote(p.Name))
		}
	}
	for _, a := range scrub.Arguments {
		if want := "[" + strings.Join(quoted, ", ") + "]"; a.Name == "packs" && a.Default != want {
			t.Errorf("default %s, the packs say %s", a.Default, want)
		}
	}
}

func TestEveryBlockHasAnExample(t *testing.T) {
	walk(Root(), "", func(path string, b *Block) {
		parts := strings.Split(path, ".")
		if path == "" || parts[len(parts)-1] != b.Type {
			return
		}
		e := ExampleOf(path)
		if !strings.HasPrefix(e, b.Type+" ") || !strings.HasSuffix(e, "\n}") {
			t.Errorf("%s: %q", path, e)
		}
		for _, a := range b.Arguments {
			if a.Required && !strings.Contains(e, "\n  "+a.Name+" ") {
				t.Errorf("the example of %s has no %s:\n%s", path, a.Name, e)
			}
		}
	})
	if e := ExampleOf("audit.nothing"); e != "" {
		t.Errorf("an example of nothing: %q", e)
	}
}
