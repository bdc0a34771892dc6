package judge

import (
	"fmt"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Harness says when the machine that sends the requests is fit to measure. One
// that is not says nothing about the time that anything took: gates on latency
// and throughput are inconclusive then, whatever the figures, and others stand.
type Harness struct {
	MaxLate      time.Duration // a request sent later than this after its due time is late; 0: DefaultMaxLate
	MaxLateShare float64       // the share that may be; 0: DefaultTolerance, negative: none
	RandomOrder  bool          // which of two sides is sent its copy first is meant to be a matter of chance
	Unfit        []string      // reasons found elsewhere, for example by Calibrated
}

// DefaultMaxLate is a delay that people notice.
const DefaultMaxLate = 100 * time.Millisecond

// Fitness says whether a run is fit to be judged by the time that things took.
type Fitness struct {
	Fit     bool
	Reasons []string // why it is not
}

func (f *Fitness) add(reason string) {
	if reason != "" {
		f.Fit = false
		f.Reasons = append(f.Reasons, reason)
	}
}

// harness counts what Harness looks at.
type harness struct {
	sent, late, candidateFirst int64
	unfit                      string // the first reason; "" when fit
}

func (h *harness) add(p *Pair, cfg *Harness) {
	limit := cfg.MaxLate
	if limit == 0 {
		limit = DefaultMaxLate
	}
	h.sent++
	h.late += one(p.Late > limit)
	h.candidateFirst += one(p.CandidateFirst)
}

func (h *harness) judge(cfg *Harness, recorded bool) Fitness {
	f := Fitness{Fit: true}
	for _, reason := range cfg.Unfit {
		f.add(reason)
	}
	f.add(tooLate(h.late, h.sent, tolerance(cfg.MaxLateShare)))
	if cfg.RandomOrder && !recorded {
		f.add(lopsided(h.candidateFirst, h.sent))
	}
	h.unfit = ""
	if !f.Fit {
		h.unfit = f.Reasons[0]
	}
	return f
}

// tooLate says why a run with so many late requests is not fit. A machine that
// sends late applies less load than it says.
func tooLate(late, sent int64, most float64) string {
	if float64(late) <= most*float64(sent) {
		return ""
	}
	return fmt.Sprintf("%s of %s left late, so the load was not the one asked for: lower speed, or use a faster machine",
		result.FormatCount(late), result.Plural(sent, "request"))
}

// lopsided says why the order of sending was not a matter of chance: a fair coin
// would do this in one run of a thousand. Whoever comes second finds warm caches.
func lopsided(candidateFirst, sent int64) string {
	k, n := float64(candidateFirst), float64(sent)
	if 2*min(stat.AtLeast(k, n, 0.5), stat.AtMost(k, n, 0.5)) >= 0.001 {
		return ""
	}
	return fmt.Sprintf("the candidate was sent its copy first in %s of %s, which is not by chance",
		result.FormatCount(candidateFirst), result.Plural(sent, "request"))
}

// Calibrated judges a machine by what its gates said of the baseline compared
// with itself. Had one failed, it would fail good candidates too.
func Calibrated(f Findings) Fitness {
	fit := Fitness{Fit: true}
	for i := range f.Gates {
		if g := &f.Gates[i]; g.Verdict == result.Fail {
			fit.add(fmt.Sprintf("the baseline compared with itself failed gate %q%s: %s", g.Name, place(g.Cohort), g.Reason))
		}
	}
	return fit
}
