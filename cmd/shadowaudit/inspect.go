package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/preview"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

const inspectUsage = `Say what is in a recording or capture: how much, when, what for, and what was
lost. Nothing is sent.

Usage:
  shadowaudit inspect [flags] FILE...

Flags:
  --identity FILE  file with your age identity, for encrypted recordings
                   (default: the file that SHADOWAUDIT_IDENTITY names)
  --json           print a document for machines

The files are read as one, and are of one kind, which their content tells:
recordings of GoReplay or of shadowaudit record, HAR files, packet captures,
flows of mitmproxy, traces of Envoy's tap filter, access logs. Personal data is
scrubbed before anything is shown. The same files give the same output.

Exit codes:
  0  there is something in the files
  2  the command line is wrong
  3  the files cannot be read
  4  there is nothing in them

Examples:
  shadowaudit inspect traffic/peak_hour.gor
  shadowaudit inspect traffic/*.sar --json
`

func inspectCommand(ctx context.Context, args []string, c *console) int {
	asJSON := false
	var access engine.Access
	fs := flag.NewFlagSet("inspect", flag.ContinueOnError)
	fs.BoolVar(&asJSON, "json", false, "")
	accessFlags(fs, &access)
	paths, code, ok := parse(fs, inspectUsage, args, c)
	if !ok {
		return code
	}
	if len(paths) == 0 {
		fmt.Fprintf(c.stderr, "shadowaudit inspect: name the recording, for example: shadowaudit inspect traffic/peak_hour.gor\n")
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	doc, err := preview.Inspect(ctx, version(), paths, c.access(access, "inspect"))
	if ctx.Err() != nil {
		return exitInterrupted
	}
	if err == nil && asJSON {
		err = doc.WriteJSON(c.stdout)
	} else if err == nil {
		err = writeContents(doc, reportWidth(c, c.stdout), c)
	}
	switch {
	case err != nil:
		fmt.Fprintf(c.stderr, "shadowaudit inspect: %v\n", err)
		return exitError
	case doc.Error != "":
		return exitError
	case doc.Traffic.Read == 0:
		return exitInconclusive
	}
	return exitPass
}

// writeContents writes what is in a recording for people.
func writeContents(doc *preview.Contents, width int, c *console) error {
	p := &sheet{width: width}
	p.heading("INSPECT  " + strings.Join(doc.Files, ", "))
	p.field("kind", doc.Kind)
	for _, m := range doc.Made {
		p.field("made", madeText(&m))
	}
	p.field("error", doc.Error)
	p.counts(doc)
	p.rate(doc)
	if len(doc.Endpoints) > 0 {
		p.heading("Endpoints")
		shares(p, doc.Endpoints, func(e preview.Endpoint) (int64, float64, string) { return e.Exchanges, e.Share, e.Endpoint })
	}
	p.scrub(&doc.Scrub)
	p.notes(doc.Notes)
	_, err := c.stdout.Write([]byte(strings.TrimLeft(p.out.String(), "\n")))
	return err
}

// madeText is what a recording says of itself.
func madeText(m *preview.Made) string {
	text := "by shadowaudit " + m.Tool + " at " + m.CreatedAt + ", pseudonymised under key " + m.KeyID + " with packs " + strings.Join(m.Packs, ", ")
	if m.ExpiresAt != "" {
		text += "; to be kept until " + m.ExpiresAt
	}
	return text
}

func (p *sheet) counts(doc *preview.Contents) {
	t, b := &doc.Traffic, &doc.Bodies
	p.field("read", fmt.Sprintf("%s, %s with the recorded response", result.Plural(t.Read, "exchange"), result.FormatCount(t.Paired)))
	p.field("unreadable", unreadable(t))
	p.field("dropped", droppedText(&result.Scrub{Dropped: doc.Scrub.Dropped}, 0))
	p.field("methods", countsText(doc.Methods))
	p.field("statuses", countsText(doc.Statuses))
	p.field("sessions", sessionsText(&doc.Sessions))
	p.field("bodies", fmt.Sprintf("%s of requests, %s of responses", result.Plural(b.RequestBytes, "byte"), result.Plural(b.ResponseBytes, "byte")))
	p.field("incomplete", counted(count{b.Truncated, "responses truncated"}, count{b.Missing, "responses without their body"}, count{b.Oversized, "responses oversized"}))
}

// countsText lists names with their counts: "GET 1,200, POST 3".
func countsText(counts []preview.Count) string {
	var parts []string
	for _, n := range counts {
		parts = append(parts, n.Name+" "+result.FormatCount(n.Exchanges))
	}
	return strings.Join(parts, ", ")
}

func (p *sheet) rate(doc *preview.Contents) {
	r := &doc.Rate
	if len(r.Buckets) == 0 {
		return
	}
	p.heading("Time")
	p.field("first", doc.FirstAt)
	p.field("last", doc.LastAt)
	p.field("span", durationText(doc.SpanNS))
	rate := "at most " + result.FormatCount(int64(r.PeakPerS)) + " within a second"
	if r.MeanPerS > 0 {
		rate = "mean " + result.PerSecond.Format(r.MeanPerS, result.Digits) + ", " + rate
	}
	p.field("rate", rate)
	if len(r.Buckets) > 1 {
		bar, peak := plot(r.Buckets)
		fmt.Fprintf(&p.out, "\n  %s\n", bar)
		p.paragraph("  ", fmt.Sprintf("each column is %s, the highest has %s", time.Duration(r.BucketNS), result.Plural(peak, "request")))
	}
}

// plot draws counts as columns, one character each. A column that is not empty
// can be seen.
func plot(counts []int64) (bar string, peak int64) {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	for _, n := range counts {
		peak = max(peak, n)
	}
	var out strings.Builder
	top := int64(len(levels) - 1)
	for _, n := range counts {
		level := int64(0)
		if n > 0 {
			level = 1 + int64(float64(n)/float64(peak)*float64(top-1))
		}
		out.WriteRune(levels[min(level, top)])
	}
	return strings.TrimRight(out.String(), " "), peak
}
