package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// progress shows on stderr how a run goes: as a line that is rewritten, as a
// line now and then, or not at all.
type progress struct {
	w     io.Writer
	bar   bool
	plain bool
	width int

	budget engine.Budget // of the run, for what is said of a live source

	mu    sync.Mutex
	shown int // columns of the line that stands there
	last  time.Duration
	sent  int64
	at    time.Duration
	rate  float64
}

// plainEvery is the distance of progress lines in a log.
const plainEvery = 10 * time.Second

func newProgress(mode string, c *console) *progress {
	width, tty := c.terminal(c.stderr)
	if mode == "auto" {
		mode = "plain"
		if tty {
			mode = "bar"
		}
	}
	if width == 0 {
		width = 80
	}
	return &progress{w: c.stderr, bar: mode == "bar", plain: mode == "plain", width: width}
}

// Observe shows an event of the engine.
func (p *progress) Observe(e engine.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case engine.AuditStarted:
		p.last, p.sent, p.at, p.rate = 0, 0, 0, 0
	case engine.Listening:
		p.clear()
		fmt.Fprintln(p.w, listening(e.Source, e.Where, p.budget))
	case engine.Progress:
		p.measure(e)
		switch {
		case p.bar:
			p.rewrite(p.line(e))
		case p.plain && e.Elapsed-p.last >= plainEvery:
			p.last = e.Elapsed
			fmt.Fprintln(p.w, p.line(e))
		}
	case engine.AuditDone:
		p.clear()
	}
}

// measure keeps a rate that is smooth enough to read.
func (p *progress) measure(e engine.Progress) {
	if dt := (e.Elapsed - p.at).Seconds(); dt > 0 {
		now := float64(e.Sent-p.sent) / dt
		if p.at == 0 {
			p.rate = now
		}
		p.rate += 0.3 * (now - p.rate)
		p.sent, p.at = e.Sent, e.Elapsed
	}
}

func (p *progress) line(e engine.Progress) string {
	parts := []string{
		fmt.Sprintf("%s: sent %s", e.Name, result.FormatCount(e.Sent)),
		fmt.Sprintf("%s in flight", result.FormatCount(e.Pending)),
		fmt.Sprintf("%.0f/s", p.rate),
		"late " + result.FormatDuration(float64(e.Lateness), 2),
		fmt.Sprintf("%s mismatched", result.FormatCount(e.Mismatched)),
	}
	if e.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%s failed", result.FormatCount(e.Failed)))
	}
	if left, ok := timeLeft(e); ok {
		parts = append(parts, "about "+result.FormatDuration(float64(left.Round(time.Second)), 2)+" left")
	}
	return strings.Join(parts, ", ")
}

// timeLeft estimates from how much of the source is read. Reading is a little
// ahead of sending, so it waits until there is something to go by.
func timeLeft(e engine.Progress) (time.Duration, bool) {
	if e.SourceTotal <= 0 || e.Elapsed < 2*time.Second {
		return 0, false
	}
	share := float64(e.SourceDone) / float64(e.SourceTotal)
	if share < 0.05 || share >= 1 {
		return 0, false
	}
	return time.Duration(float64(e.Elapsed) * (1 - share) / share), true
}

// rewrite puts text in place of the line that stands there.
func (p *progress) rewrite(text string) {
	if r := []rune(text); len(r) >= p.width {
		text = string(r[:p.width-1])
	}
	pad := max(0, p.shown-len([]rune(text)))
	fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", pad))
	p.shown = len([]rune(text))
}

func (p *progress) clear() {
	if p.shown > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.shown))
		p.shown = 0
	}
}

// say prints a line of its own.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.w, text)
}

func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}
