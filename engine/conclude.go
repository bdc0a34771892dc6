package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// conclude writes down what was found, and makes the verdict of the audit:
// that of its gates, unless something stands in the way of any.
func (a *audit) conclude(ctx context.Context, stats replay.Stats) {
	r := &a.result
	a.acknowledge()
	elapsed := stats.LastDone.Sub(stats.FirstSent)
	f := a.judge.Finish(elapsed)
	a.findings = f
	r.Verdict, r.Reason = f.Verdict, f.Reason
	r.Outcomes, r.Endpoints, r.Gates, r.Differences = f.Outcomes, f.Endpoints, f.Gates, f.Differences
	r.Notes, r.Unfit = f.Notes, f.Fitness.Reasons

	r.Traffic = a.intake.Traffic()
	r.Traffic.NotSent = a.unsent + stats.NotSent
	r.Replay = a.replayed(stats, elapsed)
	r.Rules = a.rules()
	r.Scrub = a.intake.Scrub()
	if trip, ok := a.judge.Tripped(); ok {
		r.Aborted = &result.Aborted{Metric: string(trip.Metric), Limit: trip.Limit, Pairs: trip.Pairs, Evidence: trip.Evidence, Reason: trip.Reason}
	}
	a.judgeKnown()
	a.selfTest(elapsed)
	a.assert()
	a.annotate(stats)
	a.overrule(ctx)
	a.minimize(ctx) // to interrupt this takes nothing from what was measured
}

// acknowledge tells the source that everything it gave is accounted for. It has
// a moment of its own, since the run may be over because somebody interrupted.
func (a *audit) acknowledge() {
	if a.calibrating {
		return
	}
	ctx, cancel := context.WithTimeout(a.opts.Hard, 10*time.Second)
	defer cancel()
	if err := a.intake.Acknowledge(ctx); err != nil && a.sourceErr == nil {
		a.ackErr = err
	}
}

func (a *audit) replayed(stats replay.Stats, elapsed time.Duration) result.Replay {
	out := result.Replay{
		LatenessNS:  result.Lateness{P50: int64(stats.P50), P99: int64(stats.P99), Max: int64(stats.Max)},
		PeakPending: stats.PeakPending,
		PlannedNS:   int64(stats.LastDue - stats.FirstDue),
		SentNS:      int64(max(0, elapsed)),
		UnsafeSent:  a.unsafeSent.Load(),
		Retries:     a.retries.Load(),
		MaxInFlight: a.plan.Replay.MaxInFlight,
	}
	if out.MaxInFlight == 0 {
		out.MaxInFlight = replay.DefaultMaxInFlight
	}
	if elapsed > 0 {
		out.RatePerS = float64(stats.Sent) / elapsed.Seconds()
	}
	return out
}

// overrule replaces the verdict of the gates where they were not asked the
// whole question. It only ever makes a verdict worse.
func (a *audit) overrule(ctx context.Context) {
	r, t := &a.result, &a.result.Traffic
	worse := func(v result.Verdict, reason string) {
		if v > r.Verdict || v == r.Verdict && r.Outcomes.Total == 0 {
			r.Verdict, r.Reason = v, reason
		}
	}
	if !t.Balanced(r.Outcomes) {
		worse(result.Error, "the counters of the traffic do not add up; this is a bug in shadowaudit")
	}
	if r.Aborted != nil && r.Verdict <= result.Fail {
		r.Verdict, r.Reason = result.Fail, "ended early: "+r.Aborted.Reason
	}
	if a.sourceErr != nil {
		worse(result.Error, fmt.Sprintf("source.%s could not be read to its end: %v", a.plan.Source, a.sourceErr))
	}
	if ctx.Err() != nil {
		worse(result.Inconclusive, "interrupted after "+result.Plural(r.Outcomes.Total, "pair")+"; what was measured until then is below")
	}
	for _, d := range r.Scrub.Dropped {
		if d.Reason == scrub.CanaryReason {
			worse(result.Error, "the scrubber let "+result.Plural(d.Count, "planted canary")+" through: nothing it passed on can be trusted")
		}
	}
	if most := a.plan.Scrub.MaxDropped; most != nil && float64(t.ScrubDropped) > *most*float64(t.Read) {
		worse(result.Error, fmt.Sprintf("the scrubber dropped %s of %s, over max_dropped %s",
			result.FormatCount(t.ScrubDropped), result.Plural(t.Read, "exchange"), result.FormatShare(*most, result.Digits)))
	}
	src := &a.plan.Source
	if share, lost := lostShare(t, src.Strict); share > src.MaxLoss {
		worse(src.LossIs, fmt.Sprintf("%s of the traffic was lost before it could be sent, over max_loss %s: %s",
			result.FormatShare(share, result.Digits), result.FormatShare(src.MaxLoss, result.Digits), lost))
	}
	if stale := staleRules(r.Rules, a.looked(), a.plan.Compare.MaxMasked); len(stale) > 0 && a.plan.Compare.StaleIs == result.Fail {
		worse(result.Fail, stale[0])
	}
	if r.Outcomes.Total == 0 && ctx.Err() == nil {
		v, reason := nothingSent(t, a.plan.Source.Live)
		worse(v, reason)
	}
}

// lostShare is how much of the traffic could not be used for a reason that is
// nobody's wish, and of what kind it is. A strict count takes in what may be an
// exchange that was lost whole: a response whose request is missing, a place at
// which a capture has a gap, a packet that the kernel dropped.
func lostShare(t *result.Traffic, strict bool) (share float64, what string) {
	whole := t.Malformed + t.TruncatedRequests + t.Dropped
	parts := []part{{t.Malformed, "malformed"}, {t.TruncatedRequests, "truncated"}, {t.Dropped, "dropped for want of room"}}
	if strict {
		whole += t.OrphanResponses + t.Gaps + t.LostPackets
		parts = append(parts, part{t.OrphanResponses, "responses without a request"}, part{t.Gaps, "gaps"}, part{t.LostPackets, "packets lost"})
	}
	lost := whole + t.ScrubDropped // which was read
	if lost == 0 {
		return 0, ""
	}
	return float64(lost) / float64(t.Read+whole), list(append(parts, part{t.ScrubDropped, "dropped by the scrubber"})...)
}

// nothingSent says why there is not a single pair.
func nothingSent(t *result.Traffic, live bool) (result.Verdict, string) {
	if t.Read == 0 {
		if t.Malformed+t.Truncated+t.OrphanResponses+t.NotHTTP+t.ForeignHost+t.Dropped > 0 {
			return result.Error, "there is no exchange in the source, only " + list(
				part{t.Malformed, "malformed"}, part{t.Truncated, "truncated"}, part{t.OrphanResponses, "without a request"},
				part{t.NotHTTP, "not HTTP"}, part{t.ForeignHost, "for other hosts"}, part{t.Dropped, "dropped for want of room"})
		}
		if live {
			return result.Inconclusive, "nothing arrived while the source listened: no traffic was replayed"
		}
		return result.Inconclusive, "the source is empty: no traffic was replayed"
	}
	v := result.Inconclusive
	if t.ScrubDropped > 0 && t.Selected == 0 && t.ScrubDropped > t.Excluded {
		v = result.Error // a scrubber that refused
	}
	return v, fmt.Sprintf("none of %s exchanges was sent: %s", result.FormatCount(t.Read), list(
		part{t.UnsafeSkipped, "skipped for an unsafe method"}, part{t.Excluded, "excluded by select"}, part{t.SampledOut, "sampled out"},
		part{t.OutsideWindow, "outside the window"}, part{t.ScrubDropped, "dropped by the scrubber"}))
}

type part struct {
	n    int64
	what string
}

// list joins the parts that are not zero: "12 malformed, 1 truncated".
func list(parts ...part) string {
	var out []string
	for _, p := range parts {
		if p.n > 0 {
			out = append(out, result.FormatCount(p.n)+" "+p.what)
		}
	}
	return strings.Join(out, ", ")
}

// lateNote is the lateness at which the figures of a replay deserve a word of
// caution: ten requests' distance at a hundred requests per second.
const lateNote = 100 * time.Millisecond

// annotate adds the notes that only the engine can give.
func (a *audit) annotate(stats replay.Stats) {
	r, t := &a.result, &a.result.Traffic
	note := func(severity, format string, args ...any) {
		r.Notes = append(r.Notes, result.Note{Severity: severity, Text: fmt.Sprintf(format, args...)})
	}
	r.Notes = append(r.Notes, a.intake.SourceNotes()...)
	if a.candidateDown != traffic.NoFailure {
		note("warning", "The candidate target.%s (%s) could not be reached before the first request: %s.", a.plan.Candidate.Name, a.plan.Candidate.URL, a.candidateDown)
	}
	if a.opts.Calibrate && !a.calibrating && len(a.unfit) == 0 {
		note("info", "%s", a.calibrationNote())
	}
	if a.ackErr != nil {
		note("warning", "source.%s was not told that its traffic is accounted for, and will give it again: %v", a.plan.Source, a.ackErr)
	}
	if stats.CutGaps > 0 && a.plan.Replay.MaxGap == 0 {
		note("warning", "%s of more than an hour in the recording %s cut to a minute, %s in all. Say max_gap in replay to choose.",
			result.Plural(int64(stats.CutGaps), "idle time"), map[bool]string{true: "was", false: "were"}[stats.CutGaps == 1], result.FormatDuration(float64(stats.CutTime), result.Digits))
	}
	if stats.P99 > lateNote {
		cure := "raise max_in_flight or lower speed"
		if a.plan.Source.Live {
			cure = "the targets answer slower than traffic comes, so mirror a share of it"
		}
		note("warning", "Requests left late: %s at p99, %s at most. The load was less than the plan's; %s.",
			result.FormatDuration(float64(stats.P99), result.Digits), result.FormatDuration(float64(stats.Max), result.Digits), cure)
	}
	if n := r.Replay.UnsafeSent; n > 0 {
		note("warning", "%s requests with an unsafe method were sent, as select.methods asks.", result.FormatCount(n))
	}
	if a.plan.Baseline.Recorded && t.Paired < t.Read {
		note("info", "%s of %s exchanges have no recorded response to compare with.", result.FormatCount(t.Read-t.Paired), result.FormatCount(t.Read))
	}
	if a.plan.Compare.StaleIs != result.Fail {
		for _, text := range staleRules(r.Rules, a.looked(), a.plan.Compare.MaxMasked) {
			note("warning", "%s", text)
		}
	}
	if r.Scrub.Disabled {
		note("warning", "Scrubbing is off: scrub = none, because: %s", r.Scrub.Reason)
	}
	r.Notes = append(r.Notes, a.intake.RuleNotes()...)
}
