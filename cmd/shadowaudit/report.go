package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/access"
	"github.com/shadowaudit/shadowaudit/engine/bundle"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

const reportUsage = `Render the reports of a run again, from the bundle that it left behind.

Usage:
  shadowaudit report [flags] BUNDLE

Flags:
  --report KIND=PATH    write a report: junit, json, har or terminal; a PATH of -
                        is stdout; repeat for more
  --identity FILE       file with your age identity, for an encrypted bundle
                        (default: the file that SHADOWAUDIT_IDENTITY names)
  --color MODE          auto, always or never (default auto)

A bundle is written by: shadowaudit run SPEC --bundle FILE

Exit codes: those of the run.

Examples:
  shadowaudit report run.bundle
  shadowaudit report run.bundle --report junit=report.xml --report har=repro.har
`

func reportCommand(_ context.Context, args []string, c *console) int {
	var f runFlags
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	fs.Var(&f.reports, "report", "")
	fs.StringVar(&f.color, "color", "auto", "")
	accessFlags(fs, &f.access)
	paths, code, ok := parse(fs, reportUsage, args, c)
	if !ok {
		return code
	}
	run, code := readBundle("report", paths, f.access, c)
	if run == nil {
		return code
	}
	err := checkColor(f.color)
	if err == nil {
		var outs outputs
		if outs, err = openReports(&f, c); err == nil {
			defer outs.discard()
			if err := outs.write(run); err != nil {
				fmt.Fprintf(c.stderr, "shadowaudit report: %v\n", err)
				return exitError
			}
			return exitCode(run)
		}
	}
	fmt.Fprintf(c.stderr, "shadowaudit report: %v\n", err)
	return exitUsage
}

// readBundle reads the one bundle that a command names.
func readBundle(command string, paths []string, a engine.Access, c *console) (*result.Run, int) {
	if len(paths) != 1 {
		fmt.Fprintf(c.stderr, "shadowaudit %s: name one bundle, for example: shadowaudit %s run.bundle\n", command, command)
		return nil, exitUsage
	}
	a = c.access(a, command)
	err := a.Note(access.Open, paths[0], "")
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit %s: %v\n", command, err)
		return nil, exitError
	}
	run, err := bundle.Read(paths[0], a.Identities)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit %s: %v\n", command, err)
		return nil, exitUsage
	}
	return run, exitPass
}
