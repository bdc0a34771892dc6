package lang

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

const separator = "----------\n"

// corpusCase is one file of testdata: a spec, a line of ten dashes, and what
// comes of it. The spec's first lines may hold options in comments:
//
//	#opt var NAME=VALUE
//	#opt varfile PATH
//	#opt env NAME=VALUE
//	#opt version 1.2.3
//	#opt json
//
// Other files follow the spec, each behind a line "-- PATH --".
type corpusCase struct {
	path, file string
	src, want  string
	files      map[string]string
	opts       Options
}

var fileRE = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

var optRE = regexp.MustCompile(`(?m)^#opt (\w+) ?(.*)\n`)

func readCase(t testing.TB, path string) corpusCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	src, want, ok := strings.Cut(string(data), separator)
	if !ok {
		src, want = string(data), ""
	}
	c := corpusCase{path: path, file: "spec.audit.hcl", src: src, want: want}
	c.opts = Options{Version: "0.3.0", Sources: diag.Sources{}}
	env := map[string]string{}
	c.opts.Getenv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, m := range optRE.FindAllStringSubmatch(src, -1) {
		switch m[1] {
		case "var":
			name, value, _ := strings.Cut(m[2], "=")
			c.opts.Assignments = append(c.opts.Assignments, Assignment{Var, name, value})
		case "varfile":
			c.opts.Assignments = append(c.opts.Assignments, Assignment{Kind: VarFile, Name: m[2]})
		case "env":
			name, value, _ := strings.Cut(m[2], "=")
			env[name] = value
		case "version":
			c.opts.Version = m[2]
		case "json":
			c.file = "spec.audit.json"
		default:
			t.Fatalf("%s: unknown option %q", path, m[1])
		}
	}
	c.files = splitFiles(optRE.ReplaceAllString(src, ""), c.file)
	c.opts.ReadFile = func(name string) ([]byte, error) {
		if text, ok := c.files[filepath.ToSlash(name)]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	c.opts.ReadDir = func(dir string) (names []string, err error) {
		for _, name := range slices.Sorted(maps.Keys(c.files)) {
			if filepath.ToSlash(filepath.Dir(name)) == filepath.ToSlash(dir) {
				names = append(names, filepath.Base(name))
			}
		}
		return names, nil
	}
	return c
}

// splitFiles splits a case into the spec, under the name first, and what
// stands behind "-- PATH --" lines.
func splitFiles(src, first string) map[string]string {
	out := map[string]string{}
	name, from := first, 0
	for _, m := range fileRE.FindAllStringSubmatchIndex(src, -1) {
		out[name] = src[from:m[0]]
		name, from = src[m[2]:m[3]], m[1]
	}
	out[name] = src[from:]
	return out
}

func (c corpusCase) parse() (*Spec, diag.List) {
	return Parse(c.file, []byte(c.files[c.file]), c.opts)
}

// outcome is what the file has to say: the diagnostics, and the spec unless
// there are errors.
func (c corpusCase) outcome(t testing.TB) (string, diag.List) {
	t.Helper()
	spec, diags := c.parse()
	var b bytes.Buffer
	if err := (diag.Printer{Sources: c.opts.Sources}).Print(&b, diags); err != nil {
		t.Fatal(err)
	}
	if spec != nil {
		b.WriteString(dump(t, spec))
	}
	return b.String(), diags
}

func corpus(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	return paths
}

func TestCorpus(t *testing.T) {
	for _, path := range corpus(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			c := readCase(t, path)
			got, diags := c.outcome(t)
			for _, d := range diags {
				if d.Subject.IsZero() || d.Subject.Start.Line < 1 || d.Code == "" || d.Summary == "" {
					t.Errorf("incomplete diagnostic: %+v", d)
				}
			}
			if *update {
				if err := os.WriteFile(path, []byte(c.src+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// outsideCorpus lists codes that no spec of the corpus can have, with the test
// that shows them.
var outsideCorpus = map[diag.Code]string{
	diag.UnreadableFile: "TestLoadReportsUnreadableFiles",
	diag.FileTooLarge:   "TestGuard",
	diag.TooDeep:        "TestGuard",
}

func TestEveryCodeHasACase(t *testing.T) {
	seen := map[diag.Code]bool{}
	for _, path := range corpus(t) {
		_, diags := readCase(t, path).parse()
		for _, d := range diags {
			seen[d.Code] = true
		}
	}
	known := map[diag.Code]bool{}
	for _, info := range diag.Codes() {
		known[info.Code] = true
		if !seen[info.Code] && outsideCorpus[info.Code] == "" {
			t.Errorf("no case in testdata shows %q", info.Code)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(seen)) {
		if !known[code] {
			t.Errorf("code %q is not in diag.Codes", code)
		}
	}
}

func TestOrderNeverChanges(t *testing.T) {
	for _, path := range corpus(t) {
		want, diags := readCase(t, path).outcome(t)
		if len(diags) < 3 {
			continue // too few to come in another order
		}
		for range 50 {
			if got, _ := readCase(t, path).outcome(t); got != want {
				t.Fatalf("%s: two loads differ:\n%s\nand\n%s", path, got, want)
			}
		}
	}
}

// dump gives a spec as JSON in which places are short and the folder of the
// tests does not show.
func dump(t testing.TB, spec *Spec) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(plainValue(reflect.ValueOf(spec))); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), spec.Dir, "DIR")
}

var (
	rangeType    = reflect.TypeFor[pos.Range]()
	durationType = reflect.TypeFor[time.Duration]()
	marshaler    = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)

// plainValue gives v as JSON can hold it, without what is empty. References to
// other blocks become their names.
func plainValue(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return nil
	case v.Type() == rangeType:
		r := v.Interface().(pos.Range)
		if r.IsZero() {
			return nil
		}
		return strings.TrimPrefix(r.String(), r.File+":")
	case v.Type() == durationType:
		return v.Interface().(time.Duration).String()
	case v.Type().Implements(marshaler):
		text, _ := v.Interface().(interface{ MarshalText() ([]byte, error) }).MarshalText()
		return string(text)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plainValue(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil // Src
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plainValue(v.Index(i))
		}
		return out
	case reflect.Struct:
		return plainStruct(v)
	}
	if v.IsZero() {
		return nil
	}
	return v.Interface()
}

func plainStruct(v reflect.Value) any {
	if strings.HasPrefix(v.Type().Name(), "Attr[") {
		value := plainValue(v.FieldByName("Value"))
		if !v.FieldByName("Set").Bool() {
			if value == nil {
				return nil
			}
			return map[string]any{"default": value}
		}
		return map[string]any{"value": value, "at": plainValue(v.FieldByName("Range"))}
	}
	out := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch {
		case !field.IsExported() || field.Name == "SHA256" || field.Name == "Dir" || field.Type.Kind() == reflect.Func:
			continue
		case field.Name == "Files" && v.Field(i).Len() < 2:
			continue // the spec alone
		case field.Name == "Enabled" && !v.Field(i).FieldByName("Set").Bool():
			continue
		case field.Name == "Use":
			var names []any
			for _, set := range v.Field(i).Interface().([]*IgnoreSet) {
				names = append(names, set.Name)
			}
			if names != nil {
				out["Use"] = names
			}
			continue
		}
		if v.Type() == reflect.TypeFor[Audit]() || v.Type() == reflect.TypeFor[Role]() {
			if ref := v.Field(i); ref.Kind() == reflect.Pointer && ref.Elem().IsValid() && ref.Elem().Kind() == reflect.Struct {
				if name := ref.Elem().FieldByName("Name"); name.IsValid() {
					out[field.Name] = name.String()
					continue
				}
			}
		}
		if value := plainValue(v.Field(i)); value != nil {
			out[field.Name] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// What newcomers get wrong is told once, with a cause and a cure or both in
// one.
func TestNewcomersAreToldOnce(t *testing.T) {
	paths, err := filepath.Glob("testdata/newcomer-*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	for _, path := range paths {
		_, diags := readCase(t, path).parse()
		if len(diags) != 1 {
			t.Errorf("%s: %d diagnostics", path, len(diags))
			continue
		}
		if d := diags[0]; d.Label == "" || d.Help+d.Detail+strings.Join(relatedTexts(d), "") == "" {
			t.Errorf("%s: cause or cure is missing: %+v", path, d)
		}
	}
}

func relatedTexts(d diag.Diagnostic) []string {
	var out []string
	for _, r := range d.Related {
		out = append(out, r.Text)
	}
	return out
}
