package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/record"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

const recordUsage = `Record the traffic of an audit: scrubbed, compressed, and ready to be replayed.

Usage:
  shadowaudit record [flags] SPEC

Flags:
  -o FILE                 write to this file, which must not exist yet (default:
                          the name of the audit and .sar)
  --only AUDIT            record the traffic of this audit, where the spec has
                          several
  --var NAME=VALUE        set a variable of the spec; repeat for more
  --var-file FILE         set variables from a file of NAME = VALUE lines
  --for DURATION          listen to a live source for this long, as in 90s or 10m
  --count N               record at most N exchanges
  --seed N                decides samples, as in run (default 1)
  --recipient KEY         encrypt for this age recipient, age1...; repeat for more
  --recipients-file FILE  encrypt for the recipients in this file, one a line
  --retain DURATION       how long the recording may be read, as in 720h; after
                          that every command refuses it and purge removes it
  --identity FILE         file with your age identity, where the source of the
                          audit is an encrypted recording (default: the file that
                          SHADOWAUDIT_IDENTITY names)

The traffic goes through the source, the scrubber and the select block of the
audit as in a run, except that requests of every method are recorded, since
nothing is sent. Nothing that was not scrubbed touches the disk. A spec reads the
file with: source "recording" "NAME" { path = "FILE" }

A live source is recorded until --for, --count, the limit of select or Ctrl-C.
Ctrl-C ends every recording and closes the file. When the process is killed, the
last second at most is lost; the rest of the file can be read. Of an encrypted
recording up to 64 KiB more are lost, since age encrypts parts of that size.

The file is readable for its owner only. With recipients it is an age file
(age-encryption.org/v1), which plain age can decrypt too. It says with which key
and packs it was scrubbed: an audit with the same key_env, packs and rules does
not scrub it again, so that its responses can be a baseline.

Where SHADOWAUDIT_ACCESS_LOG names a file, every file of traffic that any command
opens, writes or removes is noted there, a line of JSON each, with who did it and
what for: the audit, or what SHADOWAUDIT_PURPOSE says. When it cannot be written,
nothing is opened.

Exit codes:
  0    the recording was written
  2    the spec or the command line is wrong, or the file exists already
  3    the source cannot be read, the scrubber refused, or the disk did
  4    there was nothing to record; no file was written
  130  interrupted before the end of a file; what was read so far is recorded

Examples:
  shadowaudit record checkout.audit.hcl -o traffic/peak_hour.sar
  shadowaudit record shop.audit.hcl --only checkout
  shadowaudit record mirror.audit.hcl --for 10m -o traffic/today.sar
  shadowaudit record shop.audit.hcl --recipients-file team.txt --retain 720h
`

func recordCommand(ctx context.Context, args []string, c *console) int {
	f := runFlags{color: "auto"}
	var out string
	var to, toFiles values
	var retain time.Duration
	fs := flag.NewFlagSet("record", flag.ContinueOnError)
	f.vars.register(fs)
	fs.Var(&f.only, "only", "")
	budgetFlags(fs, &f.budget)
	fs.Uint64Var(&f.seed, "seed", 1, "")
	fs.StringVar(&out, "o", "", "")
	fs.Var(&to, "recipient", "")
	fs.Var(&toFiles, "recipients-file", "")
	durationFlag(fs, "retain", &retain)
	accessFlags(fs, &f.access)
	paths, code, ok := parse(fs, recordUsage, args, c)
	if !ok {
		return code
	}
	if len(paths) != 1 {
		fmt.Fprintf(c.stderr, "shadowaudit record: name one spec, for example: shadowaudit record checkout.audit.hcl\n")
		return exitUsage
	}
	opts, err := f.vars.options(c)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit record: %v\n", err)
		return exitUsage
	}
	recipients, err := record.Recipients(to, toFiles)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit record: %v\n", err)
		return exitUsage
	}
	plans, ok := load(paths, opts, &f, c)
	if !ok {
		return exitUsage
	}
	audit, err := auditToRecord(plans, f.only)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit record: %v\n", err)
		return exitUsage
	}
	if out == "" {
		out = identifier(audit.Name) + ".sar"
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := record.Make(ctx, audit, record.Options{
		Path: out, Seed: f.seed, Budget: f.budget, Getenv: c.getenv,
		Version: version(), Retain: retain, Recipients: recipients, Access: c.access(f.access, "record"),
		Listening: func(source, where string) { fmt.Fprintln(c.stderr, listening(source, where, f.budget)) },
	})
	if audit.Source.Live {
		ctx = context.WithoutCancel(ctx) // an end like any other
	}
	return recorded(ctx, s, out, err, c)
}

// auditToRecord finds the one audit that is meant.
func auditToRecord(plans []*plan.Plan, only []string) (*plan.Audit, error) {
	chosen, err := plan.Choose(plans, only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	var enabled []*plan.Audit
	var names []string
	for _, a := range chosen {
		if !a.Disabled {
			enabled, names = append(enabled, a), append(names, a.Name)
		}
	}
	switch len(enabled) {
	case 0:
		return nil, errors.New("every audit has enabled = false: there is none to record")
	case 1:
		return enabled[0], nil
	}
	return nil, fmt.Errorf("name the audit to record with --only: %s", strings.Join(names, ", "))
}

// recorded says what became of a recording.
func recorded(ctx context.Context, s *record.Summary, out string, err error, c *console) int {
	var file *record.FileError
	switch {
	case errors.As(err, &file) && errors.Is(err, fs.ErrExist):
		fmt.Fprintf(c.stderr, "shadowaudit record: %s exists already and is left as it is; name another file with -o\n", out)
		return exitUsage
	case errors.Is(err, record.ErrNotScrubbed):
		fmt.Fprintf(c.stderr, "shadowaudit record: %v\n", err)
		return exitUsage
	case err != nil && ctx.Err() == nil:
		fmt.Fprintf(c.stderr, "shadowaudit record: %v\n", err)
		if s.Recorded == 0 {
			return exitError
		}
	}
	writeRecorded(s, out, reportWidth(c, c.stdout), c)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		return exitError
	case s.Recorded == 0:
		return exitInconclusive
	}
	return exitPass
}

func writeRecorded(s *record.Summary, out string, width int, c *console) {
	p := &sheet{width: width}
	t := &s.Traffic
	p.heading("RECORD  " + out)
	p.field("read", fmt.Sprintf("%s, %s with a response", result.Plural(t.Read, "exchange"), result.FormatCount(t.Paired)))
	p.field("recorded", recordedText(s))
	p.field("keep until", day(s.Expires))
	p.field("left out", counted(
		count{t.Excluded, "excluded"}, count{t.SampledOut, "sampled out"}, count{t.OutsideWindow, "outside the window"}))
	p.field("dropped", droppedText(&s.Scrub, s.TooLarge))
	p.field("unreadable", unreadable(t))
	p.notes(s.Notes)
	c.stdout.Write([]byte(strings.TrimLeft(p.out.String(), "\n")))
}

// day says until when something may be kept, "" where there is no such time.
func day(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04 MST")
}

func recordedText(s *record.Summary) string {
	if s.Recorded == 0 {
		return "nothing; no file was written"
	}
	text := fmt.Sprintf("%s in %s", result.Plural(s.Recorded, "exchange"), result.Plural(s.Bytes, "byte"))
	if s.Scrub.KeyID != "" {
		text += ", scrubbed with key " + s.Scrub.KeyID
	}
	if s.Sealed > 0 {
		text += ", encrypted for " + result.Plural(int64(s.Sealed), "recipient")
	}
	return text
}

// droppedText says why exchanges were not passed on.
func droppedText(s *result.Scrub, tooLarge int64) string {
	var parts []string
	for _, d := range s.Dropped {
		parts = append(parts, result.FormatCount(d.Count)+" by scrub: "+d.Reason)
	}
	if tooLarge > 0 {
		parts = append(parts, result.FormatCount(tooLarge)+" too large for a recording")
	}
	return strings.Join(parts, "; ")
}
