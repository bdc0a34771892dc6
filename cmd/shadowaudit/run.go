package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/reporters"
)

const runUsage = `Run every audit of the specs, print the report, and exit with the verdict.

Usage:
  shadowaudit run [flags] SPEC...

Flags:
  --var NAME=VALUE      set a variable of the spec; repeat for more
  --only AUDIT          run only this audit; repeat for more
  --report KIND=PATH    write a report as well: junit, json or terminal; a PATH
                        of - is stdout; repeat for more
  --seed N              decides samples and which side is asked first (default 1)
  --color MODE          auto, always or never (default auto)
  --progress MODE       auto, bar, plain or none (default auto)

The report for people goes to stdout unless another report took it; progress
and diagnostics go to stderr. Ctrl-C stops sending, waits for what is in flight
and reports; a second one leaves at once.

Exit codes:
  0    every audit passed
  1    a gate failed
  2    the spec or the command line is wrong; nothing was sent
  3    could not measure: a source unreadable, the baseline unreachable
  4    inconclusive: not enough evidence for a verdict
  130  interrupted; what was measured so far is reported

Examples:
  shadowaudit run checkout.audit.hcl
  shadowaudit run checkout.audit.hcl --var candidate_url=http://127.0.0.1:8081
  shadowaudit run checkout.audit.hcl --report junit=report.xml --report json=-
`

// runFlags are the flags of run, and of demo as far as it has them.
type runFlags struct {
	vars     values
	only     values
	reports  values
	seed     uint64
	color    string
	progress string
}

// values collects a flag that may be repeated.
type values []string

func (v *values) String() string     { return strings.Join(*v, ",") }
func (v *values) Set(s string) error { *v = append(*v, s); return nil }

func runCommand(ctx context.Context, args []string, c *console) int {
	var f runFlags
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	fs.Var(&f.vars, "var", "")
	fs.Var(&f.only, "only", "")
	fs.Var(&f.reports, "report", "")
	fs.Uint64Var(&f.seed, "seed", 1, "")
	fs.StringVar(&f.color, "color", "auto", "")
	fs.StringVar(&f.progress, "progress", "auto", "")
	paths, code, ok := parse(fs, runUsage, args, c)
	if !ok {
		return code
	}
	if err := f.check(); err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit run: %v\nRun \"shadowaudit help run\" for its arguments.\n", err)
		return exitUsage
	}
	if len(paths) == 0 {
		fmt.Fprintf(c.stderr, "shadowaudit run: name the spec to run, for example: shadowaudit run checkout.audit.hcl\n")
		return exitUsage
	}
	vars, err := parseVars(f.vars)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit run: %v\n", err)
		return exitUsage
	}
	plans, ok := load(paths, lang.Options{Vars: vars, Version: version()}, &f, c)
	if !ok {
		return exitUsage
	}
	return execute(ctx, plans, &f, c)
}

func (f *runFlags) check() error {
	if !slices.Contains([]string{"auto", "always", "never"}, f.color) {
		return fmt.Errorf("--color is auto, always or never, not %q", f.color)
	}
	if !slices.Contains([]string{"auto", "bar", "plain", "none"}, f.progress) {
		return fmt.Errorf("--progress is auto, bar, plain or none, not %q", f.progress)
	}
	return nil
}

func parseVars(given []string) (map[string]string, error) {
	vars := map[string]string{}
	for _, v := range given {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" || strings.TrimSpace(name) != name {
			return nil, fmt.Errorf("--var takes NAME=VALUE without spaces around the =, as in --var candidate_url=http://127.0.0.1:8081")
		}
		vars[name] = value
	}
	return vars, nil
}

// load reads the specs and prints every diagnostic there is.
func load(paths []string, opts lang.Options, f *runFlags, c *console) ([]*plan.Plan, bool) {
	opts.Sources = diag.Sources{}
	var plans []*plan.Plan
	var all diag.List
	for _, path := range paths {
		spec, diags := lang.Load(path, opts)
		all = append(all, diags...)
		if spec != nil {
			plans = append(plans, plan.Compile(spec))
		}
	}
	width, _ := c.terminal(c.stderr)
	printer := diag.Printer{Sources: opts.Sources, Color: c.colored(f.color, c.stderr), Width: width}
	printer.Print(c.stderr, all)
	if all.HasErrors() {
		n, _ := all.Count()
		fmt.Fprintf(c.stderr, "%s in the spec; nothing was sent.\n", result.Plural(int64(n), "mistake"))
		return nil, false
	}
	return plans, true
}

// execute runs the plans and writes the reports.
func execute(ctx context.Context, plans []*plan.Plan, f *runFlags, c *console) int {
	outputs, err := openReports(f, c)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit run: %v\n", err)
		return exitUsage
	}
	defer outputs.discard()
	run, err := audit(ctx, plans, f, c)
	if err != nil {
		var unknown *engine.UnknownAuditError
		if errors.As(err, &unknown) {
			fmt.Fprintf(c.stderr, "shadowaudit run: --only: %v\n", err)
			return exitUsage
		}
		fmt.Fprintf(c.stderr, "shadowaudit run: %v\n", err)
		return exitError
	}
	if err := outputs.write(run); err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit run: %v\n", err)
		return max(exitError, exitCode(run))
	}
	return exitCode(run)
}

// audit runs the plans until they are done or somebody interrupts: the first
// time what is in flight is waited for, the second time it is not.
func audit(ctx context.Context, plans []*plan.Plan, f *runFlags, c *console) (*result.Run, error) {
	soft, stop := context.WithCancel(ctx)
	defer stop()
	hard, abort := context.WithCancel(context.Background())
	defer abort()
	progress := newProgress(f.progress, c)
	defer progress.close()

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	over := make(chan struct{})
	defer close(over)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-signals:
			case <-over:
				return
			}
			if n == 0 {
				progress.say("Interrupted: waiting for what is in flight. Interrupt again to leave at once.")
				stop()
			} else {
				abort()
			}
		}
	}()
	opts := engine.Options{Version: version(), Seed: f.seed, Hard: hard, Getenv: c.getenv, Observer: progress}
	if len(f.only) > 0 {
		opts.Only = f.only
	}
	return engine.Run(soft, plans, opts)
}

// output is a report on its way to a file or a stream.
type output struct {
	reporter reporters.Reporter
	path     string // "": w is a stream
	w        io.Writer
	file     *os.File // temporary; renamed to path when it is complete
}

type outputs []*output

// openReports prepares all reports before anything is sent, so that a path
// that cannot be written is found out in time.
func openReports(f *runFlags, c *console) (outs outputs, err error) {
	taken := false
	for _, r := range f.reports {
		kind, path, ok := strings.Cut(r, "=")
		if !ok || path == "" {
			outs.discard()
			return nil, fmt.Errorf("--report takes KIND=PATH, as in --report junit=report.xml, not %q", r)
		}
		o := &output{}
		if path == "-" {
			if taken {
				outs.discard()
				return nil, fmt.Errorf("two reports cannot both go to stdout")
			}
			taken = true
			o.w = c.stdout
		} else if err := o.create(path); err != nil {
			outs.discard()
			return nil, err
		}
		outs = append(outs, o)
		colored := o.path == "" && c.colored(f.color, c.stdout)
		if o.reporter, err = reporters.New(kind, reporters.Options{Color: colored, Width: reportWidth(c, o.w)}); err != nil {
			outs.discard()
			return nil, err
		}
	}
	people := c.stdout
	if taken {
		people = c.stderr
	}
	forPeople, err := reporters.New("terminal", reporters.Options{Color: c.colored(f.color, people), Width: reportWidth(c, people)})
	if err != nil {
		outs.discard()
		return nil, err
	}
	return append(outs, &output{reporter: forPeople, w: people}), nil
}

// reportWidth is the width to write for: that of the terminal, up to where
// lines become hard to read.
func reportWidth(c *console, w io.Writer) int {
	width, ok := c.terminal(w)
	if !ok {
		return 80
	}
	return min(max(width, 40), 120)
}

func (o *output) create(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("the report %s cannot be written: %w", path, errors.Unwrap(err))
	}
	o.path, o.file, o.w = path, file, file
	return nil
}

// write writes the reports, files first, so that what people see last is the
// verdict.
func (outs outputs) write(run *result.Run) error {
	var errs []error
	for _, o := range outs {
		err := o.reporter.Report(o.w, run)
		if o.file != nil {
			err = errors.Join(err, o.file.Chmod(0o644), o.file.Close())
			if err == nil {
				err = os.Rename(o.file.Name(), o.path)
				o.file = nil
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write report: %w", err))
		}
	}
	return errors.Join(errs...)
}

// discard removes what was not completed.
func (outs outputs) discard() {
	for _, o := range outs {
		if o.file != nil {
			o.file.Close()
			os.Remove(o.file.Name())
		}
	}
}
