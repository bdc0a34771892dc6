package junit

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var fixtures = []string{"pass", "fail", "inconclusive", "error", "interrupted", "empty", "no_audits", "several"}

// The shape of the document, as consumers read it.
type parsed struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Errors   int           `xml:"errors,attr"`
	Skipped  int           `xml:"skipped,attr"`
	Suites   []parsedSuite `xml:"testsuite"`
}

type parsedSuite struct {
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Cases    []parsedCase `xml:"testcase"`
}

type parsedCase struct {
	Class    string         `xml:"classname,attr"`
	Name     string         `xml:"name,attr"`
	Failures []parsedReason `xml:"failure"`
	Errors   []parsedReason `xml:"error"`
	Skipped  []parsedReason `xml:"skipped"`
	Out      []string       `xml:"system-out"`
}

type parsedReason struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func load(t testing.TB, name string) *result.Run {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run, err := result.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func render(t testing.TB, r *Reporter, run *result.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Report(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(t testing.TB, doc []byte) parsed {
	t.Helper()
	var p parsed
	if err := xml.Unmarshal(doc, &p); err != nil {
		t.Fatalf("not XML: %v\n%s", err, doc)
	}
	return p
}

// check holds a document to the rules that consumers force on it.
func check(t *testing.T, p parsed) {
	t.Helper()
	var all parsedSuite
	names := map[string]bool{}
	for _, s := range p.Suites {
		var got parsedSuite
		for _, c := range s.Cases {
			got.Tests++
			got.Failures += len(c.Failures)
			got.Errors += len(c.Errors)
			got.Skipped += len(c.Skipped)
			if n := len(c.Failures) + len(c.Errors) + len(c.Skipped); n > 1 {
				t.Errorf("%s: %d endings", c.Name, n)
			}
			if len(c.Out) > 1 {
				t.Errorf("%s: %d times system-out", c.Name, len(c.Out))
			}
			for _, r := range append(c.Failures, c.Errors...) {
				if r.Message == "" || r.Type == "" || !strings.HasPrefix(r.Text, r.Message) {
					t.Errorf("%s: the text does not begin with the message: %+v", c.Name, r)
				}
				if len(r.Text) > maxText {
					t.Errorf("%s: %d bytes", c.Name, len(r.Text))
				}
			}
			id := c.Class + "\x00" + c.Name
			if names[id] {
				t.Errorf("two cases are %s %s", c.Class, c.Name)
			}
			names[id] = true
		}
		if got.Tests != s.Tests || got.Failures != s.Failures || got.Errors != s.Errors || got.Skipped != s.Skipped {
			t.Errorf("suite %s counts %d/%d/%d/%d, has %d/%d/%d/%d", s.Name,
				s.Tests, s.Failures, s.Errors, s.Skipped, got.Tests, got.Failures, got.Errors, got.Skipped)
		}
		all.Tests, all.Failures, all.Errors, all.Skipped = all.Tests+got.Tests, all.Failures+got.Failures, all.Errors+got.Errors, all.Skipped+got.Skipped
	}
	if all.Tests != p.Tests || all.Failures != p.Failures || all.Errors != p.Errors || all.Skipped != p.Skipped {
		t.Errorf("the document does not count its suites: %+v", p)
	}
}

func TestGolden(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			got := render(t, New(), load(t, name))
			path := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the report differs from %s:\n%s", path, got)
			}
			check(t, parse(t, got))
		})
	}
}

func TestRedUnlessPassed(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			run := load(t, name)
			p := parse(t, render(t, New(), run))
			if red := p.Failures+p.Errors > 0; red != (run.Verdict != result.Pass) {
				t.Errorf("red is %v, verdict %v", red, run.Verdict)
			}
			for i := range run.Audits {
				s := p.Suites[i]
				if red := s.Failures+s.Errors > 0; red != (run.Audits[i].Verdict != result.Pass) {
					t.Errorf("suite %s: red is %v, verdict %v", s.Name, red, run.Audits[i].Verdict)
				}
			}
		})
	}
}

func TestEndings(t *testing.T) {
	tests := []struct {
		verdict result.Verdict
		want    string
	}{
		{result.Pass, ""},
		{result.Fail, "failure gate.errors.rate"},
		{result.Inconclusive, "error inconclusive"},
		{result.Error, "error error"},
		{result.Skipped, "skipped"},
	}
	for _, tt := range tests {
		t.Run(tt.verdict.String(), func(t *testing.T) {
			run := &result.Run{Verdict: tt.verdict, Audits: []result.Audit{{
				Name: "a", Verdict: tt.verdict,
				Gates: []result.Gate{{Name: "errors", Metric: "errors.rate", Verdict: tt.verdict, Reason: "because"}},
			}}}
			p := parse(t, render(t, New(), run))
			check(t, p)
			c := p.Suites[0].Cases[1]
			got := ""
			for kind, reasons := range map[string][]parsedReason{"failure": c.Failures, "error": c.Errors, "skipped": c.Skipped} {
				for _, r := range reasons {
					got = strings.TrimSpace(kind + " " + r.Type)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInterruptedAfterAPass(t *testing.T) {
	run := &result.Run{Verdict: result.Inconclusive, Interrupted: true, Audits: []result.Audit{{Name: "a", Verdict: result.Pass}}}
	p := parse(t, render(t, New(), run))
	check(t, p)
	if p.Errors != 1 || p.Suites[1].Cases[0].Errors[0].Message != "the run was interrupted" {
		t.Errorf("the interruption does not show: %+v", p)
	}
}

func TestEndpointIsRedOnlyWhereAGateMinds(t *testing.T) {
	endpoint := func(name string, mismatched int64) result.Endpoint {
		return result.Endpoint{Endpoint: name, Outcomes: result.Outcomes{Total: 10, Matched: 10 - mismatched, Mismatched: mismatched}}
	}
	audit := func(gates ...result.Gate) *result.Run {
		a := result.Audit{Name: "a", Gates: gates, Verdict: result.Pass, Endpoints: []result.Endpoint{endpoint("GET /a", 2), endpoint("GET /b", 1), endpoint("GET /c", 0)}}
		for _, g := range gates {
			a.Verdict = a.Verdict.Merge(g.Verdict)
		}
		return &result.Run{Verdict: a.Verdict, Audits: []result.Audit{a}}
	}
	gate := func(v result.Verdict, cohort map[string]string) result.Gate {
		return result.Gate{Name: "behaviour", Metric: "mismatches.rate", Verdict: v, Reason: "r", Cohort: cohort}
	}
	tests := []struct {
		name string
		run  *result.Run
		want []string
	}{
		{"all the traffic", audit(gate(result.Fail, nil)), []string{"GET /a", "GET /b"}},
		{"one endpoint", audit(gate(result.Fail, map[string]string{"endpoint": "GET /a"}), gate(result.Pass, map[string]string{"endpoint": "GET /b"})), []string{"GET /a"}},
		{"tolerated", audit(gate(result.Pass, nil)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var red []string
			for _, c := range parse(t, render(t, New(), tt.run)).Suites[0].Cases {
				if c.Class == "shadowaudit.a.endpoints" && len(c.Failures) > 0 {
					red = append(red, strings.TrimSuffix(c.Name, " behaves like the baseline"))
				}
			}
			if fmt.Sprint(red) != fmt.Sprint(tt.want) {
				t.Errorf("red: %q, want %q", red, tt.want)
			}
		})
	}
}

func TestHostileText(t *testing.T) {
	texts := map[string]string{
		"nul":       "a\x00b",
		"ansi":      "\x1b[31mred\x1b[0m \x1b]0;title\x07rest",
		"no text":   "\xff\xfe",
		"markup":    `]]> </failure> <x a="b"> & '`,
		"surrogate": "\xed\xa0\x80 \ufffe \uffff",
		"lines":     "one\ntwo\r\n[[ATTACHMENT|/etc/passwd]]",
		"long":      strings.Repeat("äöü", 60_000),
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			run := load(t, "fail")
			a := &run.Audits[0]
			a.Name, a.Reason, a.Origin.File = text, text, text
			for i := range a.Gates {
				a.Gates[i].Name, a.Gates[i].Reason, a.Gates[i].Snippet = text, text, text
			}
			for i := range a.Endpoints {
				a.Endpoints[i].Endpoint = text
			}
			for i := range a.Differences {
				d := &a.Differences[i]
				d.Endpoint, d.Path, d.Baseline = text, ".a", text
			}
			doc := render(t, New(), run)
			check(t, parse(t, doc))
			if !utf8.Valid(doc) || bytes.ContainsAny(doc, "\x00\x1b") {
				t.Error("the document holds what XML cannot")
			}
			for _, line := range strings.Split(string(doc), "\n") {
				if strings.HasPrefix(strings.TrimSpace(line), "[[") {
					t.Errorf("a CI system would attach %q", line)
				}
			}
		})
	}
}

func TestCasesAreBounded(t *testing.T) {
	run := load(t, "several")
	r := &Reporter{maxCases: 7, maxTotal: maxTotal}
	p := parse(t, render(t, r, run))
	check(t, p)
	if p.Tests != 7 {
		t.Errorf("%d cases, want 7", p.Tests)
	}
	if p.Errors == 0 {
		t.Error("red cases were left out before green ones")
	}
	last := p.Suites[len(p.Suites)-1].Cases[0]
	if len(last.Out) != 1 || !strings.Contains(last.Out[0], "left out") {
		t.Errorf("nothing says that cases are missing: %+v", last)
	}
}

func TestTextIsBounded(t *testing.T) {
	run := load(t, "fail")
	for i := range run.Audits[0].Gates {
		run.Audits[0].Gates[i].Snippet = strings.Repeat("x", 10_000)
	}
	doc := render(t, &Reporter{maxCases: maxCases, maxTotal: 12_000}, run)
	check(t, parse(t, doc))
	if len(doc) > 30_000 {
		t.Errorf("%d bytes", len(doc))
	}
}

func FuzzHygienic(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[31m\x00\xff]]>&<\"\r\n\t")
	f.Fuzz(func(t *testing.T, s string) {
		d := &document{}
		d.text("a", s, attr{"b", s})
		var got struct {
			B    string `xml:"b,attr"`
			Text string `xml:",chardata"`
		}
		if err := xml.Unmarshal(d.out.Bytes(), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := hygienic(s); got.B != want || got.Text != want {
			t.Errorf("%q: attribute %q, text %q, want %q", s, got.B, got.Text, want)
		}
	})
}
