package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/shadowaudit/shadowaudit/engine/fixture"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

const scrubUsage = `Try the scrub blocks of a spec on messages of your own.

Usage:
  shadowaudit scrub test|show [flags] SPEC FIXTURE...

Flags:
  --var NAME=VALUE  set a variable of the spec; repeat for more
  --var-file FILE   set variables from a file of NAME = VALUE lines

test scrubs each message and checks what its fixture expects; show prints what
becomes of it. Nothing is sent. A fixture is a text file with a request, and its
response where that matters, and before them what is expected:

  # gone: jane.roe@corp.test     must be nowhere in it, in no encoding
  # kept: EUR                    must still be there
  # dropped: yes                 the scrubber must refuse the request
  # scrub: customer              the scrub block, where the spec has several
  # Other comments have no colon behind their first word.
  POST /orders HTTP/1.1
  Host: shop.example
  Content-Type: application/json

  {"email": "jane.roe@corp.test", "currency": "EUR"}

  HTTP/1.1 201 Created
  Content-Type: application/json

  {"id": 17}

Lengths need not be given. A value that is expected to be gone has to be in the
message first, so that a misspelt one does not pass. A key_env is not needed: the
key is a fixed one, the same on every machine, so write down made-up data only.

Exit codes:
  0  everything is as expected
  1  something is not
  2  the spec, a fixture or the command line is wrong

Examples:
  shadowaudit scrub test checkout.audit.hcl privacy/*.http
  shadowaudit scrub show checkout.audit.hcl privacy/order.http
`

func scrubCommand(_ context.Context, args []string, c *console) int {
	var f runFlags
	fs := flag.NewFlagSet("scrub", flag.ContinueOnError)
	f.vars.register(fs)
	rest, code, ok := parse(fs, scrubUsage, args, c)
	if !ok {
		return code
	}
	if len(rest) < 3 || rest[0] != "test" && rest[0] != "show" {
		fmt.Fprintf(c.stderr, "shadowaudit scrub: say test or show, and name a spec and fixtures, for example: shadowaudit scrub test checkout.audit.hcl privacy/*.http\n")
		return exitUsage
	}
	opts, err := f.vars.options(c)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit scrub: %v\n", err)
		return exitUsage
	}
	f.color = "auto"
	plans, ok := load(rest[1:2], opts, &f, c)
	if !ok {
		return exitUsage
	}
	if rest[0] == "show" {
		return showScrubbed(plans, rest[2:], c)
	}
	return testScrub(plans, rest[2:], c)
}

// readFixture reads a fixture and finds the scrub block that it is for.
func readFixture(plans []*plan.Plan, path string) (*fixture.Fixture, *plan.Scrub, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	fx, err := fixture.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := fixture.Scrub(plans, fx.Scrub)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return fx, s, nil
}

// testScrub checks the fixtures, one line each and one more for each failure.
func testScrub(plans []*plan.Plan, paths []string, c *console) int {
	failed, wrong := int64(0), false
	for _, path := range paths {
		fx, s, err := readFixture(plans, path)
		if err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit scrub: %v\n", err)
			wrong = true
			continue
		}
		failures, err := fx.Check(s)
		if err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit scrub: %s: %v\n", path, err)
			wrong = true
			continue
		}
		if len(failures) == 0 {
			fmt.Fprintf(c.stdout, "ok    %s  (%d gone, %d kept)\n", printable(path), len(fx.Gone), len(fx.Kept))
			continue
		}
		failed++
		fmt.Fprintf(c.stdout, "FAIL  %s\n", printable(path))
		for _, failure := range failures {
			fmt.Fprintf(c.stdout, "      %s\n", printable(failure.String()))
		}
	}
	switch {
	case wrong:
		return exitUsage
	case failed > 0:
		fmt.Fprintf(c.stdout, "%s of %s failed\n", result.FormatCount(failed), result.Plural(int64(len(paths)), "fixture"))
		return exitFail
	}
	fmt.Fprintf(c.stdout, "%s passed\n", result.Plural(int64(len(paths)), "fixture"))
	return exitPass
}

// showScrubbed prints what the scrubber makes of the fixtures.
func showScrubbed(plans []*plan.Plan, paths []string, c *console) int {
	for i, path := range paths {
		fx, s, err := readFixture(plans, path)
		if err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit scrub: %v\n", err)
			return exitUsage
		}
		x, err := fx.Apply(s)
		if err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit scrub: %s: %v\n", path, err)
			return exitFail
		}
		if len(paths) > 1 {
			if i > 0 {
				fmt.Fprintln(c.stdout)
			}
			fmt.Fprintf(c.stdout, "# %s\n", printable(path))
		}
		c.stdout.Write(fixture.Text(x))
	}
	return exitPass
}
