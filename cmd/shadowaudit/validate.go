package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/diag"
)

const validateUsage = `Check specs and all that they import. No recording is read and nothing is sent.

Usage:
  shadowaudit validate [flags] SPEC...

Flags:
  --var NAME=VALUE      set a variable of the spec; repeat for more
  --var-file FILE       set variables from a file of NAME = VALUE lines
  --strict              take warnings for mistakes
  --json                print the diagnostics as JSON, for editors and CI
  --color MODE          auto, always or never (default auto)

Diagnostics go to stderr, with --json to stdout. The JSON has the field names of
"terraform validate -json"; "valid" says whether there are mistakes, whatever
--strict makes of warnings.

Exit codes:
  0  all specs are valid
  2  a spec has a mistake, or with --strict a warning

Examples:
  shadowaudit validate checkout.audit.hcl
  shadowaudit validate --strict --json checkout.audit.hcl
`

func validateCommand(_ context.Context, args []string, c *console) int {
	var vars varFlags
	var strict, asJSON bool
	var color string
	fs := flag.NewFlagSet("validate", flag.ContinueOnError)
	vars.register(fs)
	fs.BoolVar(&strict, "strict", false, "")
	fs.BoolVar(&asJSON, "json", false, "")
	fs.StringVar(&color, "color", "auto", "")
	paths, code, ok := parse(fs, validateUsage, args, c)
	if !ok {
		return code
	}
	opts, err := vars.options(c)
	if err == nil {
		err = checkColor(color)
	}
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("name the spec to check, for example: shadowaudit validate checkout.audit.hcl")
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit validate: %v\n", err)
		return exitUsage
	}
	v := validation{strict: strict, code: exitPass}
	opts.Sources = diag.Sources{}
	for _, path := range paths {
		v.check(path, opts)
	}
	width, _ := c.terminal(c.stderr)
	printer := diag.Printer{Sources: opts.Sources, Color: c.colored(color, c.stderr), Width: width}
	if asJSON {
		if err := printer.WriteJSON(c.stdout, v.diags); err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit validate: %v\n", err)
			return exitError
		}
		return v.code
	}
	printer.Print(c.stderr, v.diags)
	for _, s := range v.verdicts {
		w := c.stdout
		if !s.valid {
			w = c.stderr
		}
		fmt.Fprintln(w, s.text)
	}
	return v.code
}

// validation is what is known of the specs so far.
type validation struct {
	strict   bool
	diags    diag.List
	verdicts []verdict
	code     int
}

// verdict is what is said about one spec.
type verdict struct {
	text  string
	valid bool
}

func (v *validation) check(path string, opts lang.Options) {
	spec, diags := lang.Load(path, opts)
	v.diags = append(v.diags, diags...)
	mistakes, warnings := diags.Count()
	if mistakes > 0 || v.strict && warnings > 0 {
		text := result.Plural(int64(mistakes), "mistake")
		if warnings > 0 {
			text += ", " + result.Plural(int64(warnings), "warning")
		}
		v.verdicts = append(v.verdicts, verdict{text: path + " is not valid: " + text})
		v.code = exitUsage
		return
	}
	text := result.Plural(int64(len(spec.Audits)), "audit")
	if warnings > 0 {
		text += ", " + result.Plural(int64(warnings), "warning")
	}
	v.verdicts = append(v.verdicts, verdict{text: path + " is valid: " + text, valid: true})
}
