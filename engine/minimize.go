package engine

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The bounds of what is sent to make examples smaller.
const (
	minimizeDiffs    = 10               // differences, the first ones of a report
	minimizeRequests = 100              // for one difference, both sides together
	minimizeTime     = 60 * time.Second // for all of them
)

// minimize finds, for the differences that a report shows first, the smallest
// request that still shows each. It sends the example again, without one part
// after the other, once the replay is over and nothing is measured any more.
// Methods that may change something are not sent again, and a candidate on which
// the replay gave up is left alone.
func (a *audit) minimize(ctx context.Context) {
	if !a.opts.Minimize || a.calibrating || a.result.Aborted != nil || ctx.Err() != nil {
		return
	}
	if a.plan.Baseline.Recorded {
		a.result.Notes = append(a.result.Notes, result.Note{Severity: "info", Text: "Examples were not made smaller: a recorded baseline cannot be asked about another request."})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, minimizeTime)
	defer cancel()
	left, lost := minimizeDiffs, int64(0)
	for i := range a.result.Differences {
		d := &a.result.Differences[i]
		if left == 0 || ctx.Err() != nil {
			break
		}
		if d.IgnoredBy != "" || d.With != "" || d.Example.Repro == nil {
			continue
		}
		left--
		if m := a.newMinimizer(ctx, d); m != nil {
			if !m.run() {
				lost++
			}
			m.close()
		}
	}
	if lost > 0 {
		a.result.Notes = append(a.result.Notes, result.Note{Severity: "info", Text: result.Plural(lost, "difference") +
			" did not show again when the example alone was sent a second time: what was sent before may matter, or chance."})
	}
}

// minimizer makes the example of one difference smaller.
type minimizer struct {
	audit               *audit
	ctx                 context.Context
	diff                *result.Diff
	dissection          *dissection
	baseline, candidate replay.Conn
	left                int // requests
}

// newMinimizer returns nil for a request that is not to be sent again, or not
// whole.
func (a *audit) newMinimizer(ctx context.Context, d *result.Diff) *minimizer {
	r := d.Example.Repro
	if !selection.Safe(r.Method) || r.Body.Cut || r.Body.Base64 {
		return nil
	}
	request := traffic.Request{Method: r.Method, Target: strings.TrimPrefix(r.URL, strings.TrimSuffix(a.plan.Candidate.URL, "/")), Proto: "HTTP/1.1"}
	for _, h := range r.Headers {
		if h.Name != target.ShadowHeader { // which is sent with every request
			request.Header = append(request.Header, traffic.Field{Name: h.Name, Value: h.Value})
		}
	}
	request.Body.Bytes = []byte(r.Body.Text)
	request.Body.Size = int64(len(r.Body.Text))
	return &minimizer{
		audit: a, ctx: ctx, diff: d, dissection: dissect(request), left: minimizeRequests - 2,
		baseline: a.sides.Baseline.Open(), candidate: a.sides.Candidate.Open(),
	}
}

func (m *minimizer) close() {
	m.baseline.Close()
	m.candidate.Close()
}

// run reports whether the example showed its difference again. It leaves out
// parts, half of them at a time, then a quarter, down to single ones, as delta
// debugging does (Zeller and Hildebrandt 2002); the last look is at the outcome,
// because a difference that comes and goes would have led it astray.
func (m *minimizer) run() bool {
	if _, shown := m.shows(m.dissection.request); !shown {
		return m.ctx.Err() != nil
	}
	gone := map[piece]bool{}
	rest := m.dissection.pieces
	for size := len(rest); size > 0; size /= 2 {
		for start := 0; start < len(rest); {
			end := min(start+size, len(rest))
			if m.holds(gone, rest[start:end]) {
				rest = append(rest[:start:start], rest[end:]...)
				continue
			}
			start = end
		}
	}
	smallest := m.dissection.without(gone)
	m.left = 2 // kept for this
	if repro, shown := m.shows(smallest); shown {
		m.diff.Example.Repro = repro
	}
	return true
}

// holds reports whether the difference shows without some more parts, which are
// gone then.
func (m *minimizer) holds(gone map[piece]bool, more []piece) bool {
	less := maps.Clone(gone)
	for _, p := range more {
		less[p] = true
	}
	smaller := m.dissection.without(less)
	shown := sameRequest(smaller, m.dissection.without(gone)) // what they are part of is gone already
	if !shown {
		_, shown = m.shows(smaller)
	}
	if shown {
		for _, p := range more {
			gone[p] = true
		}
	}
	return shown
}

func sameRequest(a, b traffic.Request) bool {
	return a.Target == b.Target && slices.Equal(a.Header, b.Header) && bytes.Equal(a.Body.Bytes, b.Body.Bytes)
}

// shows reports whether a request shows the difference, with what it takes to see
// it again.
func (m *minimizer) shows(r traffic.Request) (*result.Repro, bool) {
	if m.left < 2 || m.ctx.Err() != nil {
		return nil, false
	}
	m.left -= 2
	a := m.audit
	r.Body.Size = int64(len(r.Body.Bytes))
	x := &traffic.Exchange{Request: r}
	p := &replay.Pair{Step: &replay.Step{Exchange: x}, Baseline: m.baseline.Do(x), Candidate: m.candidate.Do(x)}
	if !p.Baseline.OK() || !p.Candidate.OK() {
		return nil, false
	}
	for _, d := range a.showcase.Compare(m.ctx, &x.Request, p.Baseline.Response, p.Candidate.Response).Differences {
		if d.IgnoredBy < 0 && d.Kind == m.diff.Kind && a.paths.scrub(a.scrubber, d.Path) == m.diff.Path {
			repro := a.repro(p)
			if repro != nil {
				repro.Minimal = true
			}
			return repro, repro != nil
		}
	}
	return nil, false
}
