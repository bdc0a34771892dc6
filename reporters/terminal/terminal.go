// Package terminal writes the report for people: may it ship, which gate said
// no and by how much, where, what exactly differs, what was not looked at, and
// what to type next. What comes in is a result.Run, what goes out is text of a
// bounded width. Color only adds: without it the same characters are there.
//
// Text that comes from traffic cannot do anything to the terminal or to a CI
// system that reads its log: control characters are written as escapes.
package terminal

import (
	"fmt"
	"io"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

const (
	defaultWidth = 80
	minWidth     = 40
)

// Reporter writes reports for people.
type Reporter struct {
	color bool
	width int
}

// New returns a reporter with or without color. width is the number of columns
// that no line exceeds: 80 if it is 0, and never under 40.
func New(color bool, width int) *Reporter {
	if width <= 0 {
		width = defaultWidth
	}
	return &Reporter{color: color, width: max(width, minWidth)}
}

// Report writes the report of run to w in one call.
func (r *Reporter) Report(w io.Writer, run *result.Run) error {
	p := &page{width: r.width, colors: palette(r.color)}
	for i := range run.Audits {
		if i > 0 {
			p.blank()
		}
		p.audit(&run.Audits[i], run.Interrupted && lastBegun(run.Audits) == i)
	}
	p.summary(run)
	_, err := w.Write(p.out.Bytes())
	return err
}

// lastBegun is the last audit that read anything; -1 is none. Audits run one
// after the other, so it is the one in which a run was interrupted.
func lastBegun(audits []result.Audit) int {
	for i := len(audits) - 1; i >= 0; i-- {
		if audits[i].Traffic.Read > 0 {
			return i
		}
	}
	return -1
}

func (p *page) audit(a *result.Audit, interrupted bool) {
	p.verdict(a, interrupted)
	p.gates(a.Gates)
	p.endpoints(a.Endpoints)
	p.differences(a)
	p.accepted(a.Accepted)
	p.selfTest(a.SelfTest)
	p.traffic(a)
	p.privacy(&a.Scrub)
	p.notes(a)
	p.next(a, interrupted)
}

// verdict answers the first question: may it ship.
func (p *page) verdict(a *result.Audit, interrupted bool) {
	word, cut := strings.ToUpper(a.Verdict.String()), ""
	if interrupted {
		cut = "  interrupted after " + result.Plural(a.Outcomes.Total, "pair")
	}
	name := shorten(clean(a.Name), p.width-columns(word)-2-columns(cut))
	p.line(span{word, styleOf(a.Verdict)}, span{"  " + name, strong}, span{cut, doubtful})
	if a.Reason != "" {
		p.text(2, a.Reason, plain)
	}
	if text := losses(&a.Traffic); text != "" {
		p.text(2, text, doubtful)
	}
	p.blank()
	p.field("baseline", target(a.Baseline), plain)
	p.field("candidate", target(a.Candidate), plain)
	if a.Source != "" {
		p.field("source", a.Source, plain)
	}
	o := a.Outcomes
	text := result.FormatCount(o.Total)
	if a.DurationNS > 0 {
		text += " in " + result.FormatDuration(float64(a.DurationNS), result.Digits)
	}
	if o.Total > 0 {
		text += fmt.Sprintf(": %s matched, %s ignored, %s mismatched, %s failed, %s inconclusive",
			result.FormatCount(o.Matched), result.FormatCount(o.Ignored), result.FormatCount(o.Mismatched),
			result.FormatCount(o.Failed), result.FormatCount(o.Inconclusive))
	}
	p.field("pairs", text, plain)
}

// notedLoss is the share of a recording's requests that may be lost before the
// head of a report says so.
const notedLoss = 0.05

// losses says how many requests of the recording were of no use, "" when they
// are few.
func losses(t *result.Traffic) string {
	lost := t.Malformed + t.TruncatedRequests + t.ScrubDropped
	all := t.Read + t.Malformed + t.TruncatedRequests
	if float64(lost) <= notedLoss*float64(all) {
		return ""
	}
	return fmt.Sprintf("%s of %s of the recording could not be used: %s",
		result.FormatCount(lost), result.Plural(all, "request"), counts([]counted{
			{t.Malformed, "malformed"},
			{t.TruncatedRequests, "truncated"},
			{t.ScrubDropped, "dropped by the scrubber"},
		}))
}

func target(t result.Target) string {
	if t.URL == "" {
		return t.Name
	}
	return t.Name + " at " + t.URL
}

// traffic says what was looked at and what was not.
func (p *page) traffic(a *result.Audit) {
	t := &a.Traffic
	p.heading("Traffic")
	read := result.Plural(t.Read, "exchange")
	if t.Read > 0 {
		read += ", " + result.FormatCount(t.Paired) + " with the recorded response"
	}
	p.field("read", read, plain)
	p.field("replayed", result.FormatCount(a.Outcomes.Total), plain)
	p.field("left out", counts([]counted{
		{t.Excluded, "excluded by select"},
		{t.SampledOut, "sampled out"},
		{t.OutsideWindow, "outside the window"},
		{t.UnsafeSkipped, "unsafe and skipped"},
		{t.ScrubDropped, "dropped by the scrubber"},
		{t.NotSent, "not sent"},
	}), plain)
	p.field("unreadable", counts([]counted{
		{t.Malformed, "malformed"},
		{t.OrphanResponses, responses(t.OrphanResponses) + " without request"},
		{t.Truncated, "truncated"},
		{t.ReplayedResponses, responses(t.ReplayedResponses) + " to a replay"},
		{t.NotHTTP, "not HTTP"},
		{t.Gaps, gaps(t.Gaps) + " in the capture"},
		{t.ForeignHost, "for other hosts"},
		{t.Dropped, "dropped for want of room"},
		{t.LostPackets, "packets lost by the kernel"},
	}), plain)
	if !t.Balanced(a.Outcomes) {
		p.field("warning", "these counts do not add up, which is a fault of this tool: do not trust the report", bad)
	}
	p.load(a)
}

func responses(n int64) string {
	if n == 1 {
		return "response"
	}
	return "responses"
}

func gaps(n int64) string {
	if n == 1 {
		return "gap"
	}
	return "gaps"
}

// counted is a number and what it counts.
type counted struct {
	n    int64
	what string
}

// counts lists those that are not zero.
func counts(all []counted) string {
	var parts []string
	for _, c := range all {
		if c.n > 0 {
			parts = append(parts, result.FormatCount(c.n)+" "+c.what)
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func (p *page) load(a *result.Audit) {
	if a.Outcomes.Total == 0 {
		return
	}
	ns := func(v int64) string { return result.FormatDuration(float64(v), result.Digits) }
	r := &a.Replay
	text := fmt.Sprintf("%s; requests left late by p50 %s, p99 %s, max %s", result.PerSecond.Format(r.RatePerS, result.Digits),
		ns(r.LatenessNS.P50), ns(r.LatenessNS.P99), ns(r.LatenessNS.Max))
	if r.MaxInFlight > 0 {
		text += fmt.Sprintf("; at most %s pending, %s in flight allowed", result.FormatCount(r.PeakPending), result.FormatCount(int64(r.MaxInFlight)))
	}
	p.field("load", text, plain)
	if r.UnsafeSent > 0 {
		p.field("", result.Plural(r.UnsafeSent, "pair")+" with a method that may change something at the targets", doubtful)
	}
}

// notes writes the notes, warnings first.
func (p *page) notes(a *result.Audit) {
	warnings, infos := ruleErrors(a.Rules), []string(nil)
	for _, n := range a.Notes {
		if n.Severity == "warning" {
			warnings = append(warnings, n.Text)
		} else {
			infos = append(infos, n.Text)
		}
	}
	if len(warnings)+len(infos) == 0 {
		return
	}
	p.heading("Notes")
	for _, text := range warnings {
		p.hanging("  warning: ", text, doubtful)
	}
	for _, text := range infos {
		p.hanging("  note: ", text, plain)
	}
}

// ruleErrors speaks of compare rules that could not be applied: what they were
// meant to excuse then counted.
func ruleErrors(rules []result.Rule) []string {
	var texts []string
	for i := range rules {
		r := &rules[i]
		if r.Errors == 0 {
			continue
		}
		text := fmt.Sprintf("the rule %s %s failed %s and excused nothing there", r.Rule, r.Path, result.Plural(r.Errors, "time"))
		if r.Origin.File != "" {
			text += fmt.Sprintf(" (%s:%d)", r.Origin.File, r.Origin.Line)
		}
		texts = append(texts, text)
	}
	return texts
}

// summary ends the report: what the whole run says, and what it was.
func (p *page) summary(run *result.Run) {
	if len(run.Audits) > 0 {
		p.blank()
	}
	if run.Interrupted {
		p.text(0, "The run was interrupted: what was measured until then is above.", doubtful)
	}
	if len(run.Audits) != 1 || run.Verdict != run.Audits[0].Verdict {
		p.line(span{strings.ToUpper(run.Verdict.String()), styleOf(run.Verdict)}, span{"  " + tally(run.Audits), plain})
	}
	tool := strings.TrimSpace(run.Tool.Name + " " + run.Tool.Version)
	p.text(0, fmt.Sprintf("%s, seed %d, %s", tool, run.Seed, result.FormatDuration(float64(run.DurationNS), result.Digits)), faint)
}

// tally counts audits by verdict, the worst first.
func tally(audits []result.Audit) string {
	if len(audits) == 0 {
		return "no audit was run"
	}
	byVerdict := map[result.Verdict]int{}
	for i := range audits {
		byVerdict[audits[i].Verdict]++
	}
	var parts []string
	for v := result.Error; ; v-- {
		if n := byVerdict[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
		if v == result.Skipped {
			break
		}
	}
	return result.Plural(int64(len(audits)), "audit") + ": " + strings.Join(parts, ", ")
}
