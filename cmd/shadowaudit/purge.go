package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/record"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

const purgeUsage = `Remove recordings that were to be kept until a day that is over.

Usage:
  shadowaudit purge [flags] FILE...

Flags:
  --dry-run        say what would be removed, and remove nothing
  --identity FILE  file with your age identity, for encrypted recordings
                   (default: the file that SHADOWAUDIT_IDENTITY names)

A FILE is a recording, or a folder with recordings in it and below it; other files
there are left alone. Until when a recording may be kept is what record
--retain wrote into it. Recordings without such a day are left alone, too. A file
of several recordings that were joined goes by the first of them.

Exit codes:
  0  everything that had to be removed was
  2  the command line is wrong
  3  a file could not be read or removed

Examples:
  shadowaudit purge traffic
  shadowaudit purge --dry-run traffic/peak_hour.sar
`

func purgeCommand(ctx context.Context, args []string, c *console) int {
	var opts record.PurgeOptions
	var access engine.Access
	fs := flag.NewFlagSet("purge", flag.ContinueOnError)
	fs.BoolVar(&opts.DryRun, "dry-run", false, "")
	accessFlags(fs, &access)
	paths, code, ok := parse(fs, purgeUsage, args, c)
	if !ok {
		return code
	}
	if len(paths) == 0 {
		fmt.Fprintf(c.stderr, "shadowaudit purge: name a recording or a folder, for example: shadowaudit purge traffic\n")
		return exitUsage
	}
	opts.Access = c.access(access, "purge")
	done, err := record.Purge(ctx, paths, opts)
	code = exitPass
	removed := int64(0)
	for _, p := range done {
		switch {
		case p.Err != nil:
			fmt.Fprintf(c.stderr, "shadowaudit purge: %s: %v\n", printable(p.Path), p.Err)
			code = exitError
		case p.Removed:
			removed++
			verb := "removed"
			if opts.DryRun {
				verb = "would remove"
			}
			fmt.Fprintf(c.stdout, "%s %s, which was to be kept until %s\n", verb, printable(p.Path), day(p.Expires))
		}
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit purge: %v\n", err)
		return exitError
	}
	fmt.Fprintf(c.stdout, "%s of %s\n", result.FormatCount(removed), result.Plural(int64(len(done)), "recording"))
	return code
}
