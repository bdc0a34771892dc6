package reference

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/format"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

func TestManualIsFresh(t *testing.T) {
	var want bytes.Buffer
	if err := Markdown(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("lang/README.md is not what the language gives; run go generate ./lang/...\n%s", format.Diff("README.md", "generated", got, want.Bytes()))
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, topic := range Topics() {
		if other, ok := seen[topic.Name]; ok {
			t.Errorf("%q is the name of a %s and of a %s", topic.Name, other, topic.Kind)
		}
		seen[topic.Name] = topic.Kind
		if topic.Short == "" || !strings.HasSuffix(topic.Short, ".") {
			t.Errorf("%s: %q is not a sentence", topic.Name, topic.Short)
		}
	}
}

// Whatever has a full name is found by it, and fits a page of 80 columns apart
// from what has to stay on one line.
func TestPages(t *testing.T) {
	for _, topic := range Topics() {
		found, _ := Find(topic.Name)
		if len(found) != 1 || found[0].Name != topic.Name {
			t.Errorf("%q finds %v", topic.Name, names(found))
			continue
		}
		var page bytes.Buffer
		if err := topic.Page(&page, Style{Width: 80}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.String(), noBreak) {
			t.Errorf("%s: a no-break space is left", topic.Name)
		}
		_, example, _ := strings.Cut(page.String(), "\nExample\n")
		for line := range strings.SplitSeq(page.String(), "\n") {
			if strings.TrimRight(line, " ") != line && topic.Kind != CodeTopic {
				t.Errorf("%s: %q ends with a space", topic.Name, line)
			}
			if utf8.RuneCountInString(line) > 80 && strings.Contains(strings.TrimSpace(line), " ") && !strings.Contains(example, line) {
				t.Errorf("%s: %q is longer than 80 columns", topic.Name, line)
			}
		}
		if topic.Kind != Function && topic.Kind != Document && topic.Kind != CodeTopic && example == "" {
			t.Errorf("%s has no example", topic.Name)
		}
	}
}

func names(topics []Topic) []string {
	var out []string
	for _, t := range topics {
		out = append(out, t.Name)
	}
	return out
}

func TestFind(t *testing.T) {
	tests := []struct {
		word    string
		found   []string
		related []string
	}{
		{"gate", []string{"audit.gate"}, nil},
		{"audit.replay", []string{"audit.replay"}, nil},
		{"max_in_flight", []string{"audit.replay.max_in_flight"}, nil},
		{"gate.per", []string{"audit.gate.per"}, nil},
		{"gate per", []string{"audit.gate.per"}, nil},
		{"PER", []string{"audit.gate.per"}, nil},
		{"latency.p95", []string{"latency.p95"}, nil},
		{"latency", []string{"latency.p50", "latency.p90", "latency.p95", "latency.p99", "latency.p999", "latency.mean", "latency.max"}, nil},
		{"jq-syntax", []string{"jq-syntax"}, nil},
		{"recorded", []string{"audit.baseline=recorded", "audit.replay.timing=recorded"}, nil},
		{"timing = recorded", []string{"audit.replay.timing=recorded"}, nil},
		{"timing=recorded", []string{"audit.replay.timing=recorded"}, nil},
		{"gdpr@1", []string{"gdpr@1"}, nil},
		{"gdpr", []string{"gdpr@1"}, nil},
		{"source", []string{"source"}, []string{"audit.source"}},
		{"har", []string{"source.har"}, nil},
		{"hosts", []string{"source.har.hosts"}, nil},
		{"duration", []string{"duration type"}, nil},
		{"url", []string{"target.url", "target.host=url", "URL type"}, nil},
		{"jq path", []string{"jq path type"}, nil},
		{"exchange", []string{"exchange"}, []string{"source.kafka.format=exchange", "source.nats.format=exchange"}},
		{"max", []string{"latency.max", "accept.max", "audit.gate.max", "max()"}, nil},
		{"max()", []string{"max()"}, nil},
		{"timeout:", []string{"target.timeout"}, nil},
		{"nothing", nil, nil},
		{"", nil, nil},
		{"ax", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.word, func(t *testing.T) {
			found, related := Find(tt.word)
			got := names(found)
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.found))
			if !slices.Equal(got, want) || !slices.Equal(names(related), tt.related) {
				t.Errorf("found %v, related %v", names(found), names(related))
			}
		})
	}
}

func TestWordsAreFound(t *testing.T) {
	words := Words()
	if len(words) < 150 || !slices.IsSorted(words) {
		t.Errorf("%d words", len(words))
	}
	for _, w := range words {
		if found, _ := Find(w); len(found) == 0 {
			t.Errorf("%q finds nothing", w)
		}
	}
}

func TestNearest(t *testing.T) {
	if got := Nearest("latency.p59"); len(got) == 0 || got[0] != "latency.p50" && got[0] != "latency.p95" {
		t.Errorf("latency.p59: %v", got)
	}
	if got := Nearest("max_in_fligth"); !slices.Contains(got, "max_in_flight") {
		t.Errorf("max_in_fligth: %v", got)
	}
	if got := Nearest("exti", "exit"); !slices.Contains(got, "exit") {
		t.Errorf("exti: %v", got)
	}
	if got := Nearest("qqqqqqqqqqqq"); len(got) > 0 {
		t.Errorf("qqqqqqqqqqqq: %v", got)
	}
}

// Every code that a spec can have has an example out of the corpus.
func TestCodesHaveExamples(t *testing.T) {
	outside := []diag.Code{diag.UnreadableFile, diag.FileTooLarge, diag.TooDeep}
	for _, c := range diag.Codes() {
		text := exampleOf(c.Code)
		if slices.Contains(outside, c.Code) {
			continue
		}
		if !strings.Contains(text, "["+string(c.Code)+"]\n") || !strings.Contains(text, "-->") {
			t.Errorf("%s: %q", c.Code, text)
		}
	}
}

func TestDiagnosticsPicksTheSmallest(t *testing.T) {
	long := "error: Unknown block [unknown-block]\n --> a:1:1\n  |\n1 | x\n  | ^\n"
	short := "error: Unknown block [unknown-block]\n --> a:1:1\n"
	other := "warning: Unused [unused]\n --> a:1:1\n"
	if got := Diagnostics([]string{other + "\n" + long, short}); got != short+"\n"+other+"\n" {
		t.Errorf("got\n%s", got)
	}
}

// The example uses every block and argument that there is, is formatted, and
// loads without a word, but for this: it has a source of every kind, and fewer
// audits.
func TestTheExampleIsSound(t *testing.T) {
	files := map[string][]byte{"shop.audit.hcl": []byte(schema.Example), "common.audit.hcl": []byte(schema.ExampleImport)}
	sources := diag.Sources{}
	spec, diags := lang.Load("shop.audit.hcl", lang.Options{Sources: sources, ReadFile: func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return text, nil
		}
		return nil, os.ErrNotExist
	}})
	diags = slices.DeleteFunc(diags, func(d diag.Diagnostic) bool { return d.Summary == "Unused source" })
	if len(diags) > 0 {
		var b bytes.Buffer
		diag.Printer{Sources: sources}.Print(&b, diags)
		t.Fatalf("\n%s", b.String())
	}
	if len(spec.Audits) != 3 {
		t.Errorf("%d audits", len(spec.Audits))
	}
	for name, text := range files {
		if d := format.Diff(name, "formatted", text, format.Source(text)); d != nil {
			t.Errorf("%s", d)
		}
	}
}

// What conditions look at is what lang gives them.
func TestResultDocumentIsComplete(t *testing.T) {
	var want []string
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for f := range typ.Fields() {
				walk(path+"."+f.Tag.Get("cty"), f.Type)
			}
		case reflect.Map:
			walk(path+`["NAME"]`, typ.Elem())
		default:
			want = append(want, path)
		}
	}
	walk("result", reflect.TypeFor[lang.ResultView]())
	var got []string
	for _, d := range schema.Documents() {
		if d.Name == "result" {
			for _, f := range d.Fields {
				got = append(got, f.Path)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("documented are\n%s\nthere are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var codeRE = regexp.MustCompile("(?ms)^```hcl\n(.*?)^```$")

// The manuals show what fmt leaves alone.
func TestManualsAreFormatted(t *testing.T) {
	for _, path := range []string{"../README.md", "../../README.md"} {
		manual, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		snippets := codeRE.FindAllSubmatch(manual, -1)
		if len(snippets) == 0 {
			t.Errorf("%s shows no HCL", path)
		}
		for _, m := range snippets {
			if diags := lang.Syntax("snippet.hcl", m[1]); len(diags) > 0 {
				t.Errorf("%s: %v in\n%s", path, diags, m[1])
			}
			if d := format.Diff(path, "formatted", m[1], format.Source(m[1])); d != nil {
				t.Errorf("%s", d)
			}
		}
	}
}

// Examples and defaults are written as fmt would write them.
func TestValuesAreFormatted(t *testing.T) {
	check := func(what, value string) {
		src := []byte("x = " + value + "\n")
		if diags := lang.Syntax("value.hcl", src); len(diags) > 0 {
			t.Errorf("%s: %v", what, diags)
		}
		if d := format.Diff(what, "formatted", src, format.Source(src)); d != nil {
			t.Errorf("%s", d)
		}
	}
	eachArgument(func(path string, _ *schema.Block, a schema.Argument) {
		check(path, a.Example)
		if a.Default != "" {
			check(path, a.Default)
		}
	})
	for _, typ := range schema.Types() {
		check(typ.Name(), typ.Example)
	}
}
