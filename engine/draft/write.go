package draft

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/selection"
)

// What a draft lists at most.
const (
	maxListed   = 30
	maxDeclared = 40
)

// writer writes the spec.
type writer struct {
	cfg     Config
	kind    string
	format  string // of access logs
	hosts   []count
	limited bool // to the first of the hosts
	*survey

	out bytes.Buffer
}

// line writes a line, or an empty one.
func (w *writer) line(indent int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text != "" {
		w.out.WriteString(strings.Repeat("  ", indent) + text)
	}
	w.out.WriteByte('\n')
}

// comment writes a paragraph of comment, wrapped.
func (w *writer) comment(indent int, format string, args ...any) {
	room := 78 - 2*indent
	line := ""
	for _, word := range strings.Fields(printable(fmt.Sprintf(format, args...))) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			w.line(indent, "# %s", line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	w.line(indent, "# %s", line)
}

// printable keeps text in one line and harmless.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// quote gives s as a string of the language.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case !unicode.IsPrint(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// list writes name = [...], one element a line, elements with a comment above
// them where there is a new one.
func (w *writer) list(indent int, name string, elements []suggestion) {
	w.line(indent, "%s = [", name)
	why := ""
	for _, e := range elements {
		if e.why != why {
			why = e.why
			w.comment(indent+1, "%s", why)
		}
		w.line(indent+1, "%s,", quote(e.path))
	}
	w.line(indent, "]")
}

func (w *writer) spec() []byte {
	w.comment(0, "A first audit, made of what is in %s. Change what you know better. Instead of run, plan says what would be sent and sends nothing.", strings.Join(w.cfg.Shown, ", "))
	w.line(0, "#")
	w.line(0, `#   shadowaudit run %s \`, printable(w.cfg.Spec))
	w.line(0, "#     --var baseline_url=URL --var candidate_url=URL")
	w.line(0, "")
	w.variable("baseline_url", "The build that is trusted, for example http://127.0.0.1:8080.")
	w.variable("candidate_url", "The build under audit, for example http://127.0.0.1:8081.")
	w.source()
	w.scrubbing()
	w.target("stable", "baseline_url")
	w.target("next", "candidate_url")
	w.audit()
	return w.out.Bytes()
}

func (w *writer) variable(name, doc string) {
	w.line(0, "variable %q {", name)
	w.line(1, "type        = string")
	w.line(1, "description = %s", quote(doc))
	w.line(0, "}")
	w.line(0, "")
}

func (w *writer) source() {
	if w.limited {
		w.comment(0, "The recording has traffic with %s. The busiest one is taken.", result.Plural(int64(len(w.hosts)), "host"))
	}
	w.line(0, "source %q %q {", w.kind, w.cfg.Name)
	width := ""
	switch {
	case w.limited:
		width = " " // hosts is one longer
	case w.format != "":
		width = "  " // format is two longer
	}
	if len(w.cfg.Shown) == 1 {
		w.line(1, "path%s = %s", width, quote(w.cfg.Shown[0]))
	} else {
		quoted := make([]string, len(w.cfg.Shown))
		for i, p := range w.cfg.Shown {
			quoted[i] = quote(p)
		}
		w.line(1, "path%s = [%s]", width, strings.Join(quoted, ", "))
	}
	if w.limited {
		w.line(1, "hosts = [%s]", quote(w.hosts[0].name))
	}
	if w.format != "" {
		w.line(1, "format = %s", w.format)
	}
	w.line(0, "}")
	w.line(0, "")
}

func (w *writer) scrubbing() {
	w.comment(0, "Personal data and credentials are replaced before anything is sent, stored or shown. The default packs know their usual forms and names. What else is personal in this traffic goes into rules:")
	w.line(0, "#")
	for _, l := range []string{`scrub "customer" {`, `  rule "order note" {`, `    jq     = [".body.note"]`, `    action = remove`, `  }`, `}`} {
		w.line(0, "# %s", l)
	}
	w.line(0, "#")
	if hits := w.hits(); hits == "" {
		w.comment(0, "They found nothing to replace in the recording.")
	} else {
		w.comment(0, "In the recording they replaced: %s.", hits)
	}
	if n := w.dropped(); n > 0 {
		w.comment(0, "They cannot read %s, which will not be sent.", result.Plural(n, "exchange"))
	}
	w.line(0, "")
}

func (w *writer) hits() string {
	var parts []string
	for _, r := range w.scrub.Rules {
		if r.Hits > 0 {
			parts = append(parts, r.Name+" "+result.FormatCount(r.Hits))
		}
	}
	return strings.Join(parts, ", ")
}

func (w *writer) dropped() (n int64) {
	for _, d := range w.scrub.Dropped {
		n += d.Count
	}
	return n
}

func (w *writer) target(name, variable string) {
	w.line(0, "target %q {", name)
	w.line(1, "url = var.%s", variable)
	w.line(0, "}")
	w.line(0, "")
}

func (w *writer) audit() {
	w.line(0, "audit %q {", w.cfg.Name)
	w.line(1, "source    = source.%s.%s", w.kind, w.cfg.Name)
	w.line(1, "baseline  = target.stable")
	w.line(1, "candidate = target.next")
	w.line(0, "")
	w.endpoints()
	w.selects()
	w.compare()
	w.cohorts()
	w.gates()
	w.line(0, "}")
}

// endpoint is a method at a route.
type endpoint struct {
	name        string
	total, sent int64
}

func (w *writer) named() []endpoint {
	var out []endpoint
	for _, r := range w.paths.routes() {
		for method, n := range r.total {
			out = append(out, endpoint{method + " " + r.path, n, r.sent[method]})
		}
	}
	slices.SortFunc(out, func(a, b endpoint) int { return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.name, b.name)) })
	return out
}

func (w *writer) endpoints() {
	all := w.named()
	w.comment(1, "%s: requests of the recording, by method and path.", result.Plural(int64(len(all)), "endpoint"))
	w.line(1, "#")
	width := 0
	shown := all[:min(len(all), maxListed)]
	for _, e := range shown {
		width = max(width, len(result.FormatCount(e.total)))
	}
	for _, e := range shown {
		w.line(1, "#   %*s  %s", width, result.FormatCount(e.total), shortened(printable(e.name), 70-width))
	}
	if n := len(all) - len(shown); n > 0 {
		w.line(1, "#   and %s more", result.FormatCount(int64(n)))
	}
	var declared []suggestion
	for _, r := range w.paths.routes() {
		if r.declare && isTemplate(r.path) && len(declared) < maxDeclared {
			declared = append(declared, suggestion{path: r.path})
		}
	}
	if len(declared) > 0 {
		w.line(1, "#")
		w.comment(1, "Parts of these paths name things, but do not look like it. The first template that fits a path wins.")
		w.list(1, "endpoints", declared)
	}
	w.line(0, "")
}

// isTemplate reports whether a path can be declared.
func isTemplate(path string) bool {
	return !strings.ContainsAny(path, "?# ") && path == printable(path)
}

func shortened(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

func (w *writer) selects() {
	var seen, unsafe []string
	for _, m := range rankedCounts(w.methods) {
		seen = append(seen, m.name+" "+result.FormatCount(m.n))
		if !selection.Safe(m.name) && m.name != cohort.Other {
			unsafe = append(unsafe, m.name)
		}
	}
	w.line(1, "select {")
	w.comment(2, "The recording has %s.", strings.Join(seen, ", "))
	if len(unsafe) > 0 {
		w.comment(2, "%s can change something at a target and would have to be named here. Do that only where nothing real can happen.", strings.Join(unsafe, ", "))
	}
	if w.selected == 0 {
		w.comment(2, "There is nothing that only reads, so that this audit sends nothing as it is.")
	}
	w.line(2, `methods = ["GET", "HEAD"]`)
	w.line(1, "}")
	w.line(0, "")
}

func (w *writer) compare() {
	volatile, doubtful := w.volatile.found()
	w.line(1, "compare {")
	switch {
	case w.answered == 0:
		w.comment(2, "The recording has no responses, so that nothing is known of fields that are new in every answer, such as times. The first run will show them; they go here:")
		w.line(2, "#")
		w.line(2, `# ignore = [".body.generated_at"]`)
	case len(volatile) == 0:
		w.comment(2, "No field of the recorded responses looks new in every answer. Those that are go here:")
		w.line(2, "#")
		w.line(2, `# ignore = [".body.generated_at"]`)
	default:
		w.list(2, "ignore", volatile)
	}
	if len(doubtful) > 0 {
		w.line(0, "")
		w.comment(2, "These also differ between answers to the same request. Ignore them only if they mean nothing:")
		w.line(2, "#")
		for _, d := range doubtful {
			w.line(2, "#   %s", d.path)
		}
	}
	w.line(1, "}")
	w.line(0, "")
}

func (w *writer) cohorts() {
	found := w.slices.found()
	if len(found) == 0 {
		return
	}
	w.comment(1, "These slice the traffic into a few parts. A gate with per = [cohort.NAME] judges each part on its own.")
	names := map[string]bool{}
	for _, s := range found {
		for name, i := s.name, 2; names[s.name]; i++ {
			s.name = fmt.Sprintf("%s_%d", name, i)
		}
		names[s.name] = true
		w.line(1, "#")
		w.line(1, "# # %s, in %s of the requests", result.Plural(int64(s.values), "value"), result.FormatShare(s.share, 2))
		w.line(1, "# cohort %q {", s.name)
		w.line(1, "#   by = %s", quote(s.by))
		w.line(1, "# }")
	}
	w.line(0, "")
}

func (w *writer) gates() {
	w.line(1, `gate "behaviour" {`)
	w.line(2, "metric = mismatches.rate")
	w.line(2, `max    = "0%%"`)
	w.line(1, "}")
	w.line(0, "")
	w.line(1, `gate "errors" {`)
	if w.errors > 0 {
		w.comment(2, "%s of the recorded answers were errors, so that the candidate is held to the baseline and not to a number.", result.FormatShare(float64(w.errors)/float64(w.answered), 2))
		w.line(2, "metric       = errors.rate")
		w.line(2, `max_increase = "0.1pp"`)
		w.point(2, manyForShares)
	} else {
		w.comment(2, "None may fail: a share such as 0.1%% takes about %s requests to decide.", result.FormatCount(manyForShares))
		w.line(2, "metric = errors.rate")
		w.line(2, `max    = "0%%"`)
	}
	w.line(1, "}")
	w.line(0, "")
	w.latency()
}

// With so many requests a share of a thousandth, and the increase of a p95, can
// be decided by an interval.
const (
	manyForShares    = 3000
	manyForQuantiles = 1000
)

// point makes a gate compare figures where there is too little traffic to tell
// them from chance.
func (w *writer) point(indent int, many int64) {
	if w.selected >= many {
		return
	}
	w.comment(indent, "So few requests decide little beyond chance; leave this line out once there are %s.", result.FormatCount(many))
	w.line(indent, "decision = point")
}

// fewest is the number of requests below which a quantile per endpoint says
// nothing worth a gate.
const fewest = 20

// latency writes a gate on p95 that the traffic has the samples for.
func (w *writer) latency() {
	need := int64(1)
	if info, ok := judge.ParseMetric(string(judge.LatencyP95)); ok {
		need = int64(info.MinSamples)
	}
	least := w.smallest()
	w.line(1, `gate "tail latency" {`)
	samples, per := need, true
	switch {
	case least >= need:
		samples = 0 // what the metric needs is there
	case least >= fewest:
		samples = least
		w.comment(2, "A p95 of fewer than %d requests is a rough one, but the quietest endpoint has only %s.", need, result.FormatCount(least))
	default:
		per, samples = false, min(need, max(w.selected, 1))
		w.comment(2, "Judged over all the traffic: the quietest endpoint has only %s. With more of it, add per = [endpoint].", result.Plural(least, "request"))
		if samples < need {
			w.comment(2, "Even so a p95 of fewer than %d requests is a rough one.", need)
		}
	}
	w.line(2, "metric       = latency.p95")
	w.line(2, `max_increase = "50ms"`)
	if per {
		w.line(2, "per          = [endpoint]")
	}
	if samples > 0 {
		w.line(2, "min_samples  = %d", samples)
	}
	w.point(2, manyForQuantiles)
	w.line(1, "}")
}

// smallest gives the number of requests that the quietest endpoint would be
// sent.
func (w *writer) smallest() int64 {
	least := int64(-1)
	for _, e := range w.named() {
		if e.sent > 0 && (least < 0 || e.sent < least) {
			least = e.sent
		}
	}
	return max(least, 0)
}
