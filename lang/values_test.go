package lang

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

func TestFunctionsAndSchemaAgree(t *testing.T) {
	have := sortedKeys(newSession(Options{}).functionsIn("a.hcl"))
	if want := schema.FunctionNames(); !slices.Equal(have, want) {
		t.Errorf("expressions have %v, the schema describes %v", have, want)
	}
}

func TestFunctionsAreReproducible(t *testing.T) {
	for _, name := range []string{"timestamp", "uuid", "env", "bcrypt", "pathexpand"} {
		if _, ok := pure[name]; ok {
			t.Errorf("%s gives another value every time", name)
		}
	}
}

// withVariable makes the small spec declare one more variable, used as a
// header so that nothing is unused.
func withVariable(block string) string {
	return strings.Replace(smallSpec, "var.token", "\"${var.x}\"", 1) + block + "\n"
}

func TestPrecedence(t *testing.T) {
	files := map[string]string{
		"b.auto.auditvars.hcl":  "x = \"auto b\"\n",
		"a.auto.auditvars.json": `{"x": "auto a"}`,
		"env/p.auditvars.hcl":   "\n\nx = \"file\"\n",
	}
	all := Options{
		ReadFile: func(name string) ([]byte, error) { return []byte(files[filepath.ToSlash(name)]), nil },
		ReadDir: func(string) ([]string, error) {
			return []string{"b.auto.auditvars.hcl", "a.auto.auditvars.json", "notes.txt"}, nil
		},
		Getenv:      func(name string) (string, bool) { return "env", name == "SHADOWAUDIT_VAR_x" },
		Assignments: []Assignment{{Var, "x", "first"}, {Kind: VarFile, Name: "env/p.auditvars.hcl"}, {Var, "x", "last"}},
	}
	levels := []string{"default", "SHADOWAUDIT_VAR_x", "a.auto.auditvars.json:1", "b.auto.auditvars.hcl:1", "--var", "env/p.auditvars.hcl:3", "--var"}
	tests := []struct {
		name  string
		opts  func(o Options) Options
		value string
		from  []string
	}{
		{"default", func(Options) Options { return Options{ReadFile: noFile} }, `"default"`, levels[:1]},
		{"environment", func(o Options) Options { o.ReadDir, o.Assignments = nil, nil; return o }, `"env"`, levels[:2]},
		{"files beside the spec", func(o Options) Options { o.Assignments = nil; return o }, `"auto b"`, levels[:4]},
		{"flag", func(o Options) Options { o.Assignments = o.Assignments[:1]; return o }, `"first"`, levels[:5]},
		{"file behind a flag", func(o Options) Options { o.Assignments = o.Assignments[:2]; return o }, `"file"`, levels[:6]},
		{"flag behind a file", func(o Options) Options { return o }, `"last"`, levels},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec, diags := Parse("spec.audit.hcl", []byte(withVariable("variable \"x\" {\n  default = \"default\"\n}")), tt.opts(all))
			if spec == nil {
				t.Fatal(diags)
			}
			v := spec.Variables[1]
			if got := append(slices.Clone(v.Overridden), v.From); v.Value != tt.value || !slices.Equal(got, tt.from) {
				t.Errorf("value %s from %q, want %s from %q", v.Value, got, tt.value, tt.from)
			}
		})
	}
}

func TestFileStaysInTheFolder(t *testing.T) {
	dir := t.TempDir()
	spec := filepath.Join(dir, "spec")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "outside.txt"), "outside")
	write(filepath.Join(spec, "in", "side.txt"), "inside")
	write(filepath.Join(spec, "big.txt"), strings.Repeat("x", maxFileText+1))
	write(filepath.Join(spec, "binary"), "\xff\xfe")
	if err := os.Symlink(filepath.Join(dir, "outside.txt"), filepath.Join(spec, "link.txt")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	tests := []struct{ name, path, want string }{
		{"inside", "in/side.txt", ""},
		{"the same by a detour", "in/../in/side.txt", ""},
		{"above", "../outside.txt", "leaves the folder"},
		{"absolute", filepath.Join(dir, "outside.txt"), "leaves the folder"},
		{"link to outside", "link.txt", "a link in its path leaves"},
		{"folder", "in", "cannot be read"},
		{"missing", "none.txt", "no such file"},
		{"too large", "big.txt", "larger than 1 MiB"},
		{"not text", "binary", "not text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSession(Options{})
			got, err := s.functionsIn(filepath.Join(spec, "a.audit.hcl"))["file"].Call([]cty.Value{cty.StringVal(tt.path)})
			if tt.want == "" {
				if err != nil || got.AsString() != "inside" || len(s.files) != 1 {
					t.Errorf("got %#v, %v, files %v", got, err, s.files)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(s.files) > 0 {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), dir) {
				t.Errorf("the folder shows: %v", err)
			}
		})
	}
}

func TestSecretsInValuesFilesStayInside(t *testing.T) {
	const secret = "s3cret-zz"
	declared := "variable \"x\" {\n  type      = string\n  sensitive = true\n  validation {\n    condition     = length(var.x) > 99\n    error_message = \"It is long.\"\n  }\n}"
	tests := []struct{ name, values string }{
		{"refused by a validation", `x = "s3cret-zz"`},
		{"wrong type", `x = ["s3cret-zz"]`},
		{"heredoc", "x = <<E\ns3cret-zz\nE"},
		{"misspelt", `y = "s3cret-zz"`},
		{"without quotes", `x = s3cret-zz`},
		{"without an end", `x = "s3cret-zz`},
		{"in a block", `x { y = "s3cret-zz" }`},
		{"a variable", `x = var.s3cret-zz`},
		{"a function", `x = f("s3cret-zz")`},
		{"twice", "x = \"s3cret-zz\"\nx = \"s3cret-zz\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := Options{
				Sources: diag.Sources{}, Assignments: []Assignment{{Kind: VarFile, Name: "p.auditvars.hcl"}},
				ReadFile: func(string) ([]byte, error) { return []byte(tt.values + "\n"), nil },
			}
			_, diags := Parse("a.hcl", []byte(withVariable(declared)), opts)
			if !diags.HasErrors() {
				t.Fatal("nothing was said")
			}
			var out strings.Builder
			printer := diag.Printer{Sources: opts.Sources}
			if err := printer.Print(&out, diags); err != nil {
				t.Fatal(err)
			}
			if err := printer.WriteJSON(&out, diags); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), secret) {
				t.Errorf("the value shows:\n%s", out.String())
			}
		})
	}
}

func TestAssertions(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	view := ResultView{
		Outcomes: OutcomesView{Total: 100, Mismatched: 3},
		Endpoints: map[string]EndpointView{
			"GET /":  {Pairs: 90, ErrorsRate: 0.5, Baseline: SideView{P95MS: ms(10)}, Candidate: SideView{P95MS: ms(12.5)}},
			"GET /x": {Pairs: 10},
		},
		Gates: map[string]GateView{"errors": {Verdict: "pass", Samples: 100}},
	}
	tests := []struct{ name, condition, message, want string }{
		{"holds", "result.outcomes.mismatched < 4", "It failed.", "true"},
		{"does not", "result.outcomes.mismatched < 3", "Only ${result.outcomes.mismatched}.", "false: Only 3."},
		{"share", "result.outcomes.mismatched / result.outcomes.total <= 0.03", "It failed.", "true"},
		{"endpoint", `result.endpoints["GET /"].candidate.p95_ms < 2 * result.endpoints["GET /"].baseline.p95_ms`, "It failed.", "true"},
		{"all endpoints", "alltrue([for e in result.endpoints : e.errors_rate < 0.1])", "It failed.", "false: It failed."},
		{"gate", `result.gates.errors.verdict == "pass"`, "It failed.", "true"},
		{"not measured", `result.endpoints["GET /x"].candidate.p95_ms < 2`, "It failed.", "it compares something that was not measured"},
		{"not there", `result.endpoints["GET /none"].pairs > 0`, "It failed.", "it looks at an endpoint or gate that is not in the result"},
		{"never there", `try(result.endpoints["GET /none"].pairs, 0) > 0`, "It failed.", "false: It failed."},
		{"message that cannot be had", "false == (result.outcomes.total > 0)", `There are ${result.endpoints["GET /none"].pairs}.`, "false: The condition is false."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			block := "  assert \"a\" {\n    condition     = " + tt.condition + "\n    error_message = \"" + tt.message + "\"\n  }\n\n  gate \"behaviour\""
			spec := mustParse(t, strings.Replace(smallSpec, "  gate \"behaviour\"", block, 1))
			ok, message, err := spec.Audits[0].Assertions[0].Check(view)
			got := "true"
			if err != nil {
				got = err.Error()
			} else if !ok {
				got = "false: " + message
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFilesListsEverythingThatWasRead(t *testing.T) {
	files := map[string]string{
		"sub/common.audit.hcl": "target \"stable\" {\n  url = trimspace(file(\"url.txt\"))\n}\n",
		"sub/url.txt":          "http://127.0.0.1:8080\n",
	}
	src := "import \"common\" {\n  path = \"sub/common.audit.hcl\"\n}\n" + strings.Replace(smallSpec, "baseline  = target.stable", "baseline  = common.target.stable", 1)
	read := func(name string) ([]byte, error) { return []byte(files[filepath.ToSlash(name)]), nil }
	spec, diags := Parse("spec.audit.hcl", []byte(src), Options{ReadFile: read})
	if spec == nil {
		t.Fatal(diags)
	}
	var got []string
	for _, f := range spec.Files {
		got = append(got, filepath.ToSlash(f.Path))
		if len(f.SHA256) != 64 {
			t.Errorf("%s has the digest %q", f.Path, f.SHA256)
		}
	}
	if want := []string{"spec.audit.hcl", "sub/common.audit.hcl", "sub/url.txt"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if line := spec.Line(spec.Audits[0].Baseline.Target.URL.Range); line != `url = trimspace(file("url.txt"))` {
		t.Errorf("the line of the imported file is %q", line)
	}
}

func TestImportsOnDisk(t *testing.T) {
	dir := t.TempDir()
	common := filepath.Join(dir, "shared", "common.audit.hcl")
	path := filepath.Join(dir, "team", "spec.audit.hcl")
	for name, text := range map[string]string{
		common: "source \"gor\" \"peak\" {\n  path = \"peak.gor\"\n}\n",
		path:   "import \"common\" {\n  path = \"../shared/common.audit.hcl\"\n}\n" + strings.Replace(smallSpec, "= source.gor.peak", "= common.source.gor.peak", 1),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spec, diags := Load(path, Options{})
	if spec == nil {
		t.Fatal(diags)
	}
	if got, want := spec.Audits[0].Source.Paths.Value[0], filepath.Join(dir, "shared", "peak.gor"); got != want {
		t.Errorf("the recording is %s, want %s", got, want)
	}
}

func TestLimits(t *testing.T) {
	many := "audit \"a\" {\n  for_each = [for x in range(1000) : tostring(x)]\n  source = source.gor.peak\n  baseline = target.stable\n  candidate = target.next\n" +
		"  gate \"g\" {\n    for_each = [for x in range(1000) : tostring(x)]\n    metric = errors.rate\n    max = \"1%\"\n  }\n}\n"
	chain := func(name string) ([]byte, error) { // every file imports the next one
		return []byte("import \"next\" {\n  path = \"" + filepath.Base(name) + "x\"\n}\n"), nil
	}
	var locals strings.Builder
	locals.WriteString("locals {\n  l0 = 1\n")
	for i := range 3 * maxNesting {
		locals.WriteString("  m" + strings.Repeat("x", i) + "a = local.m" + strings.Repeat("x", i+1) + "a\n")
	}
	locals.WriteString("  m" + strings.Repeat("x", 3*maxNesting) + "a = 1\n}\n")
	tests := []struct {
		name, src string
		want      diag.Code
	}{
		{"instances", smallSpec + many, diag.BadForEach},
		{"imports", "import \"next\" {\n  path = \"a\"\n}\n" + smallSpec, diag.BadImport},
		{"locals", locals.String() + smallSpec, diag.TooDeep},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := Parse("a.hcl", []byte(tt.src), Options{ReadFile: chain})
			if !slices.ContainsFunc(diags, func(d diag.Diagnostic) bool { return d.Code == tt.want }) {
				t.Errorf("got %.300v", diags)
			}
		})
	}
}
