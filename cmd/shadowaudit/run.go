package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/diag"
)

const runUsage = `Run every audit of the specs, print the report, and exit with the verdict.

Usage:
  shadowaudit run [flags] SPEC...

Flags:
  --var NAME=VALUE      set a variable of the spec; repeat for more
  --var-file FILE       set variables from a file of NAME = VALUE lines
  --only AUDIT          run only this audit; repeat for more
  --report KIND=PATH    write a report as well: junit, json, har or terminal; a
                        PATH of - is stdout; repeat for more
  --bundle FILE         write what was found to a file, for shadowaudit report
                        and shadowaudit accept
  --recipient KEY       encrypt the bundle for this age recipient, age1...; repeat
                        for more
  --recipients-file FILE
                        encrypt the bundle for the recipients in this file
  --for DURATION        listen to a live source for this long, as in 90s or 10m
  --count N             send at most N requests in each audit
  --self-test           break the candidate's answers on purpose, and say which
                        gates would have noticed
  --minimize            send the example of each difference again, in parts, to find
                        the smallest request that shows it; safe methods only
  --calibrate           compare the baseline with itself first: where a gate fails
                        then, this machine cannot judge latencies
  --seed N              decides samples and which side is asked first (default 1)
  --identity FILE       file with your age identity, for encrypted recordings
                        (default: the file that SHADOWAUDIT_IDENTITY names)
  --color MODE          auto, always or never (default auto)
  --progress MODE       auto, bar, plain or none (default auto)

The report for people goes to stdout unless another report took it; progress
and diagnostics go to stderr. Ctrl-C stops sending, waits for what is in flight
and reports; a second one leaves at once. An audit of a live source goes on until
--for, --count, its limit or Ctrl-C ends it; what comes faster than it can be sent
is dropped and counted, and whoever sends it never waits.

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
  shadowaudit run mirror.audit.hcl --for 10m
`

// runFlags are the flags of run, and of demo as far as it has them.
type runFlags struct {
	vars    varFlags
	only    values
	reports values
	bundle  string
	to      values // who can read the bundle; nobody named: everybody
	toFiles values
	budget  engine.Budget
	access  engine.Access
	seed    uint64

	selfTest, calibrate, minimize bool

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
	f.vars.register(fs)
	fs.Var(&f.only, "only", "")
	fs.Var(&f.reports, "report", "")
	fs.StringVar(&f.bundle, "bundle", "", "")
	fs.Var(&f.to, "recipient", "")
	fs.Var(&f.toFiles, "recipients-file", "")
	budgetFlags(fs, &f.budget)
	fs.BoolVar(&f.selfTest, "self-test", false, "")
	fs.BoolVar(&f.minimize, "minimize", false, "")
	fs.BoolVar(&f.calibrate, "calibrate", false, "")
	accessFlags(fs, &f.access)
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
	opts, err := f.vars.options(c)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit run: %v\n", err)
		return exitUsage
	}
	plans, ok := load(paths, opts, &f, c)
	if !ok {
		return exitUsage
	}
	return execute(ctx, plans, &f, c)
}

func (f *runFlags) check() error {
	if err := checkColor(f.color); err != nil {
		return err
	}
	if !slices.Contains([]string{"auto", "bar", "plain", "none"}, f.progress) {
		return fmt.Errorf("--progress is auto, bar, plain or none, not %q", f.progress)
	}
	return nil
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
		if run.Verdict == result.Pass {
			return exitError
		}
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
	progress.budget = f.budget
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
				// Whatever still holds on must not hold the user.
				last := time.AfterFunc(2*time.Second, func() { os.Exit(exitInterrupted) })
				defer last.Stop()
			}
		}
	}()
	opts := engine.Options{
		Version: version(), Seed: f.seed, Budget: f.budget, SelfTest: f.selfTest, Calibrate: f.calibrate, Minimize: f.minimize,
		Access: c.access(f.access, "run"), Hard: hard, Getenv: c.getenv, Observer: progress,
	}
	if len(f.only) > 0 {
		opts.Only = f.only
	}
	return engine.Run(soft, plans, opts)
}
