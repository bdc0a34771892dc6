package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/preview"
)

const planUsage = `Read the traffic of the specs and say what a run would do. Nothing is sent.

Usage:
  shadowaudit plan [flags] SPEC...

Flags:
  --var NAME=VALUE  set a variable of the spec; repeat for more
  --var-file FILE   set variables from a file of NAME = VALUE lines
  --only AUDIT      look at this audit only; repeat for more
  --for DURATION    listen to a live source for this long, as in 90s or 10m
  --count N         look at no more than N exchanges that would be sent
  --seed N          decides samples, as in run (default 1)
  --identity FILE   file with your age identity, for encrypted recordings
                    (default: the file that SHADOWAUDIT_IDENTITY names)
  --json            print a document for machines

For each audit: the effective settings and where they come from, what would be
sent, when and how fast, what is left out and why, what the scrubber replaces,
and warnings about whatever in the spec has nothing to do. Personal data is
scrubbed here too. The same spec, recording and seed give the same output.

Exit codes:
  0  every audit would send something
  2  the spec or the command line is wrong
  3  a source cannot be read
  4  an audit would send nothing

Examples:
  shadowaudit plan checkout.audit.hcl
  shadowaudit plan checkout.audit.hcl --only checkout --json
`

func planCommand(ctx context.Context, args []string, c *console) int {
	f := runFlags{color: "auto"}
	asJSON := false
	fs := flag.NewFlagSet("plan", flag.ContinueOnError)
	f.vars.register(fs)
	fs.Var(&f.only, "only", "")
	budgetFlags(fs, &f.budget)
	accessFlags(fs, &f.access)
	fs.Uint64Var(&f.seed, "seed", 1, "")
	fs.BoolVar(&asJSON, "json", false, "")
	paths, code, ok := parse(fs, planUsage, args, c)
	if !ok {
		return code
	}
	if len(paths) == 0 {
		fmt.Fprintf(c.stderr, "shadowaudit plan: name the spec to look at, for example: shadowaudit plan checkout.audit.hcl\n")
		return exitUsage
	}
	opts, err := f.vars.options(c)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit plan: %v\n", err)
		return exitUsage
	}
	plans, ok := load(paths, opts, &f, c)
	if !ok {
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return showPlan(ctx, plans, &f, asJSON, c)
}

func showPlan(ctx context.Context, plans []*plan.Plan, f *runFlags, asJSON bool, c *console) int {
	doc, err := preview.Make(ctx, plans, preview.Options{
		Version: version(), Seed: f.seed, Only: f.only, Budget: f.budget, Access: c.access(f.access, "plan"), Getenv: c.getenv,
		Listening: func(source, where string) { fmt.Fprintln(c.stderr, listening(source, where, f.budget)) },
	})
	var unknown *plan.UnknownAuditError
	switch {
	case errors.As(err, &unknown):
		fmt.Fprintf(c.stderr, "shadowaudit plan: --only: %v\n", err)
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(c.stderr, "Interrupted: what was seen until then is no plan.")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(c.stderr, "shadowaudit plan: %v\n", err)
		return exitError
	}
	if asJSON {
		err = doc.WriteJSON(c.stdout)
	} else {
		err = writePlan(c.stdout, doc, reportWidth(c, c.stdout))
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit plan: %v\n", err)
		return exitError
	}
	switch {
	case !doc.Complete():
		return exitError
	case !doc.Sends():
		return exitInconclusive
	}
	return exitPass
}
