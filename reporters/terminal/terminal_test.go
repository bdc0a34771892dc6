package terminal

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var fixtures = []string{"pass", "fail", "inconclusive", "error", "interrupted", "empty", "no_audits", "several"}

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

func render(t testing.TB, r *Reporter, run *result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Report(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, name := range fixtures {
		for _, c := range []struct {
			suffix string
			color  bool
		}{{".txt", false}, {".color.txt", true}} {
			t.Run(name+c.suffix, func(t *testing.T) {
				got := render(t, New(c.color, 0), load(t, name))
				path := filepath.Join("testdata", name+c.suffix)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("the report differs from %s:\n%s", path, got)
				}
			})
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestColorOnlyAdds(t *testing.T) {
	for _, name := range fixtures {
		run := load(t, name)
		without, with := render(t, New(false, 0), run), render(t, New(true, 0), run)
		if strings.Contains(without, "\x1b") {
			t.Errorf("%s: escapes without color", name)
		}
		if with == without {
			t.Errorf("%s: no color with color", name)
		}
		if escapes.ReplaceAllString(with, "") != without {
			t.Errorf("%s: color changes the text", name)
		}
	}
}

// hostile replaces every text of a run by nasty ones.
func hostile(run *result.Run, text string) {
	for i := range run.Audits {
		a := &run.Audits[i]
		for _, s := range []*string{&a.Name, &a.Reason, &a.Source, &a.Baseline.Name, &a.Baseline.URL, &a.Candidate.URL, &a.Origin.File} {
			*s = text
		}
		for k := range a.Endpoints {
			a.Endpoints[k].Endpoint = text
		}
		for k := range a.Gates {
			g := &a.Gates[k]
			g.Name, g.Limit, g.Reason, g.Snippet, g.Origin.File = text, text, text, text, text
			g.Cohort = map[string]string{text: text, "endpoint": text}
		}
		for k := range a.Differences {
			d := &a.Differences[k]
			d.Endpoint, d.Path, d.Baseline, d.Candidate, d.Example.Request = text, text, text, text, text
			d.Kind = result.DiffKind(text)
		}
		a.Notes = append(a.Notes, result.Note{Severity: "warning", Text: text})
		a.Scrub.Packs = []string{text}
		a.Scrub.Dropped = []result.ScrubCount{{Reason: text, Count: 1 << 60}}
		a.Traffic.Excluded = 1 << 61
	}
	run.Tool.Name = text
}

func TestHostileText(t *testing.T) {
	texts := map[string]string{
		"empty":         "",
		"long word":     strings.Repeat("abcdefghij", 50),
		"long sentence": strings.Repeat("words and spaces ", 50),
		"wide":          strings.Repeat("東京タワー", 40),
		"escapes":       "\x1b[2J\x1b]0;title\x07\x9b31m" + strings.Repeat("x", 90),
		"lines":         "one\r\ntwo\n::error file=x::oops\n##vso[task]",
		"command":       "::error::oops ::add-mask::x ##[error]y ##teamcity[x] " + strings.Repeat("::x ", 60),
		"direction":     "a\u202eb\u2066c\u200bd\ufeff",
		"no text":       "\xff\xfe\x80" + strings.Repeat("\xc3", 100),
	}
	for name, text := range texts {
		for _, fixture := range []string{"fail", "several", "error"} {
			for _, width := range []int{0, 1, 60, 120} {
				run := load(t, fixture)
				hostile(run, text)
				r := New(false, width)
				for _, line := range strings.Split(render(t, r, run), "\n") {
					if n := columns(line); n > r.width {
						t.Errorf("%s: %d columns of %d: %q", name, n, r.width, line)
					}
					if strings.ContainsFunc(line, hidden) || !utf8.ValidString(line) {
						t.Errorf("%s: control characters: %q", name, line)
					}
					if start := strings.TrimSpace(line); strings.HasPrefix(start, "::") || strings.HasPrefix(start, "##") {
						t.Errorf("%s: a CI system would run %q", name, line)
					}
				}
			}
		}
	}
}

func TestUnbalancedTrafficIsSaid(t *testing.T) {
	run := load(t, "pass")
	run.Audits[0].Traffic.Read++
	if text := render(t, New(false, 0), run); !strings.Contains(text, "do not add up") {
		t.Errorf("nothing is said of it:\n%s", text)
	}
}

// report renders what edit makes of the audit of a fixture.
func report(t *testing.T, fixture string, edit func(*result.Run, *result.Audit)) string {
	t.Helper()
	run := load(t, fixture)
	edit(run, &run.Audits[0])
	return strings.Join(strings.Fields(render(t, New(false, 0), run)), " ")
}

func TestNext(t *testing.T) {
	first := func(path string, kind result.DiffKind) func(*result.Run, *result.Audit) {
		return func(_ *result.Run, a *result.Audit) { a.Differences[0].Path, a.Differences[0].Kind = path, kind }
	}
	failed := func(reason string) func(*result.Run, *result.Audit) {
		return func(_ *result.Run, a *result.Audit) {
			a.Verdict, a.Reason = result.Error, reason
			a.Traffic, a.Outcomes, a.Endpoints, a.Gates = result.Traffic{}, result.Outcomes{}, nil, nil
		}
	}
	for _, tt := range []struct {
		name, fixture string
		edit          func(*result.Run, *result.Audit)
		want, not     string
	}{
		{"a field", "fail", first(".body.total", result.KindValue), `ignore = [".body.total"]`, "unordered ="},
		{"order", "fail", first(".body.items", result.KindOrder), `unordered = [".body.items"]`, "ignore ="},
		{"order of the whole body", "fail", first(".body", result.KindOrder), `unordered = [".body"]`, "ignore ="},
		{"status", "fail", first(".status", result.KindStatus), "Look at its example first", "ignore ="},
		{"whole body", "fail", first(".body", result.KindType), "Look at its example first", "ignore ="},
		{"elements of the body", "fail", first(".body[]", result.KindValue), "Look at its example first", "ignore ="},
		{"binary body", "fail", first(".body.sha256", result.KindValue), "Look at its example first", "ignore ="},
		{"header", "fail", first(".headers.location", result.KindHeader), "Run this audit again", "ignore ="},
		{"wrong path", "error", failed("source.gor.peak: no file matches traffic/peak.gor"), "Check the source block", "baseline answers"},
		{"junk", "error", func(run *result.Run, a *result.Audit) {
			failed("there is no exchange in the source, only 9 malformed")(run, a)
			a.Traffic.Records, a.Traffic.Malformed = 9, 9
		}, "Check the source block", "baseline answers"},
		{"no key", "error", failed("scrub: the environment variable KEY, which is to hold the key, is not set"), "ERROR", "Next"},
		{"no sockets", "error", func(_ *result.Run, a *result.Audit) { a.Reason = "90 of 90 pairs could not be sent" }, "ERROR", "Next"},
		{"baseline not there", "error", failed("the baseline target.stable (http://127.0.0.1:8080) cannot be reached: connection refused; nothing was sent"),
			"Check that the baseline answers at http://127.0.0.1:8080", "source block"},
		{"interrupted", "interrupted", func(*result.Run, *result.Audit) {}, "Let it come to its end:", "Replay more traffic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text := report(t, tt.fixture, tt.edit); !strings.Contains(text, tt.want) || strings.Contains(text, tt.not) {
				t.Errorf("the report does not say %q, or does say %q:\n%s", tt.want, tt.not, text)
			}
		})
	}
}

func TestInterruptionIsSaidAtTheTop(t *testing.T) {
	text := report(t, "fail", func(run *result.Run, _ *result.Audit) { run.Interrupted = true })
	if want := "FAIL checkout interrupted after 600 pairs "; !strings.HasPrefix(text, want) {
		t.Errorf("the report does not begin with %q:\n%s", want, text)
	}
	long := strings.Repeat("long name ", 20)
	text = report(t, "fail", func(run *result.Run, a *result.Audit) { run.Interrupted, a.Name = true, long })
	if !strings.Contains(text[:100], "interrupted after 600 pairs") {
		t.Errorf("a long name hides it:\n%s", text)
	}
	run := load(t, "several")
	run.Interrupted = true
	run.Audits[2] = result.Audit{Name: "login", Verdict: result.Inconclusive, Reason: "interrupted before it began"}
	text = render(t, New(false, 0), run)
	if n := strings.Count(text, "interrupted after"); n != 1 || !strings.Contains(text, "PASS  search  interrupted after 400 pairs\n") {
		t.Errorf("said of %d audits:\n%s", n, text)
	}
}

func TestStatuses(t *testing.T) {
	for _, tt := range []struct {
		name                string
		baseline, candidate map[string]int64
		want                string // "" when nothing is to be said
	}{
		{"successes", map[string]int64{"200": 20, "304": 10}, map[string]int64{"200": 30}, ""},
		{"a few not found, both sides", map[string]int64{"200": 20, "404": 10}, map[string]int64{"200": 20, "404": 10}, ""},
		{"denied", map[string]int64{"401": 1030}, map[string]int64{"401": 1030}, "status 401 x 1,030 -> 401 x 1,030"},
		{"an error more", map[string]int64{"200": 30}, map[string]int64{"200": 29, "503": 1}, "status 200 x 30 -> 200 x 29, 503 x 1"},
		{"no answer", map[string]int64{"404": 2}, nil, "status 404 x 2 -> none"},
		{"all sorts", map[string]int64{"400": 1, "401": 1, "402": 1, "403": 1, "404": 1, "405": 2}, map[string]int64{"200": 1},
			"status 405 x 2, 400 x 1, 401 x 1, 402 x 1, 2 more -> 200 x 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := report(t, "pass", func(_ *result.Run, a *result.Audit) {
				a.Endpoints = a.Endpoints[:1]
				a.Endpoints[0].Baseline.Statuses, a.Endpoints[0].Candidate.Statuses = tt.baseline, tt.candidate
			})
			if said := strings.Contains(text, "status "); said != (tt.want != "") || !strings.Contains(text, tt.want) {
				t.Errorf("the report does not say %q:\n%s", tt.want, text)
			}
		})
	}
}

func TestLossesAreSaidAtTheTop(t *testing.T) {
	for _, tt := range []struct {
		read, malformed, truncated, dropped int64
		want                                string
	}{
		{30, 1000, 0, 0, "1,000 of 1,030 requests of the recording could not be used: 1,000 malformed"},
		{90, 3, 7, 5, "15 of 100 requests of the recording could not be used: 3 malformed, 7 truncated, 5 dropped by the scrubber"},
		{95, 5, 0, 0, ""},
	} {
		text := report(t, "pass", func(_ *result.Run, a *result.Audit) {
			a.Traffic.Read, a.Traffic.Malformed, a.Traffic.TruncatedRequests, a.Traffic.ScrubDropped = tt.read, tt.malformed, tt.truncated, tt.dropped
		})
		head, _, _ := strings.Cut(text, "baseline stable")
		if said := strings.Contains(head, "could not be used"); said != (tt.want != "") || !strings.Contains(head, tt.want) {
			t.Errorf("%+v: %s", tt, head)
		}
	}
}

func TestOneIsSingular(t *testing.T) {
	text := report(t, "pass", func(_ *result.Run, a *result.Audit) { a.Traffic.OrphanResponses, a.Traffic.ReplayedResponses = 1, 1 })
	if want := "1 response without request, 1 response to a replay"; !strings.Contains(text, want) {
		t.Errorf("the report does not say %q:\n%s", want, text)
	}
	text = report(t, "pass", func(_ *result.Run, a *result.Audit) { a.Traffic.OrphanResponses, a.Traffic.ReplayedResponses = 2, 1000 })
	if want := "2 responses without request, 1,000 responses to a replay"; !strings.Contains(text, want) {
		t.Errorf("the report does not say %q:\n%s", want, text)
	}
}

func TestRuleErrorsAreSaid(t *testing.T) {
	run := load(t, "pass")
	run.Audits[0].Rules[0].Errors = 12
	want := "warning: the rule ignore .body.generated_at failed 12 times"
	if text := render(t, New(false, 0), run); !strings.Contains(text, want) {
		t.Errorf("the report does not say %q:\n%s", want, text)
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "µs": 2, "東京": 4, "e\u0301": 1, "…": 1, "🙂": 2} {
		if got := columns(s); got != want {
			t.Errorf("columns(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	tests := []struct {
		s    string
		n    int
		want string
	}{
		{"short", 5, "short"},
		{"GET /api/orders/{id}/lines", 15, "GET /ap…}/lines"},
		{"abc", 1, "…"},
		{"abc", 0, ""},
		{"東京タワー", 5, "東…ー"},
	}
	for _, tt := range tests {
		if got := shorten(tt.s, tt.n); got != tt.want || columns(got) > tt.n {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"a/b-c.hcl": "a/b-c.hcl", "": "''", "my spec.hcl": "'my spec.hcl'", "it's; rm": `'it'\''s; rm'`, "$(x)": "'$(x)'",
	} {
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain", 10)
	f.Add("\x1b[31mred\u202e\xff東", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		text := clean(s)
		if strings.ContainsFunc(text, hidden) || !utf8.ValidString(text) {
			t.Errorf("clean(%q) = %q", s, text)
		}
		n = 2 + n&63
		if got := shorten(text, n); columns(got) > n {
			t.Errorf("shorten(%q, %d) has %d columns", text, n, columns(got))
		}
		for _, line := range wrap(text, n) {
			if columns(line) > n {
				t.Errorf("wrap(%q, %d) has %q", text, n, line)
			}
		}
	})
}
