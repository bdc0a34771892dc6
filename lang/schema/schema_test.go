package schema

import (
	"slices"
	"strings"
	"testing"
)

// walk visits every block with its path, kinds included.
func walk(b *Block, path string, visit func(path string, b *Block)) {
	visit(path, b)
	for _, k := range b.Kinds {
		of, ok := b.OfKind(k.Name)
		if !ok {
			continue
		}
		visit(path+"."+k.Name, of)
	}
	for i := range b.Blocks {
		walk(&b.Blocks[i], strings.TrimPrefix(path+"."+b.Blocks[i].Type, "."), visit)
	}
}

func TestEveryEntryIsDocumented(t *testing.T) {
	walk(Root(), "", func(path string, b *Block) {
		if b.Doc == "" {
			t.Errorf("block %q has no doc", path)
		}
		for _, a := range b.Arguments {
			if a.Doc == "" || !strings.HasSuffix(a.Doc, ".") {
				t.Errorf("%s.%s: doc %q is not a sentence", path, a.Name, a.Doc)
			}
			if a.Example == "" {
				t.Errorf("%s.%s has no example", path, a.Name)
			}
			if a.Required && a.Default != "" {
				t.Errorf("%s.%s is required and has a default", path, a.Name)
			}
			if a.Type.Base == Keyword && len(a.Keywords) == 0 {
				t.Errorf("%s.%s is a keyword of an empty set", path, a.Name)
			}
			if a.Type.Base == Reference && len(a.Type.To) == 0 {
				t.Errorf("%s.%s refers to nothing", path, a.Name)
			}
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	walk(Root(), "", func(path string, b *Block) {
		names := append(b.ArgumentNames(), b.BlockTypes()...)
		slices.Sort(names)
		if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
			t.Errorf("block %q: names %v repeat", path, names)
		}
	})
}

func TestTypeString(t *testing.T) {
	tests := []struct {
		name string
		in   Type
		want string
	}{
		{"one", Type{Base: Duration}, "duration"},
		{"list", Type{Base: JQPath, Shape: List}, "list of jq paths"},
		{"one or list", Type{Base: Path, Shape: OneOrList}, "path or list of paths"},
		{"object", Type{Base: String, Shape: Object, Key: JQPath}, "object of strings by jq path"},
		{"references", Type{Base: Reference, Shape: List, To: []string{"ignore_set"}}, "list of references to ignore_sets"},
		{"reference with an", Type{Base: Reference, To: []string{"ignore_set"}}, "reference to an ignore_set"},
		{"reference", Type{Base: Reference, To: []string{"target"}}, "reference to a target"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.in.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	b, _ := Root().Block("source")
	if got, want := b.Header(), `source "KIND" "NAME"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFindMetric(t *testing.T) {
	for _, name := range MetricNames() {
		if m, ok := FindMetric(name); !ok || m.Name != name || m.Doc == "" {
			t.Errorf("%s: found %+v, %v", name, m, ok)
		}
	}
	if _, ok := FindMetric("latency.p42"); ok {
		t.Error("found a metric that does not exist")
	}
}

func TestFunctionsAreDocumented(t *testing.T) {
	names := FunctionNames()
	if !slices.IsSorted(names) {
		t.Errorf("the functions are not in alphabetical order: %v", names)
	}
	for _, f := range Functions() {
		if !strings.HasPrefix(f.Usage, f.Name+"(") || !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: usage %q, doc %q", f.Name, f.Usage, f.Doc)
		}
		if found, ok := FindFunction(f.Name); !ok || found != f {
			t.Errorf("%s: found %+v, %v", f.Name, found, ok)
		}
	}
	if _, ok := FindFunction("timestamp"); ok {
		t.Error("found a function that is not pure")
	}
}

func TestFreeBlocksAreDocumented(t *testing.T) {
	walk(Root(), "", func(path string, b *Block) {
		if a := b.Free; a != nil && (a.Name == "" || a.Example == "" || !strings.HasSuffix(a.Doc, ".")) {
			t.Errorf("%s: %+v", path, a)
		}
	})
}
