package main

import (
	"flag"

	"github.com/shadowaudit/shadowaudit/engine"
)

// accessFlags gives a command --identity.
func accessFlags(fs *flag.FlagSet, a *engine.Access) { fs.StringVar(&a.Identity, "identity", "", "") }

// access completes what the flags say with what the environment says: the
// identity where no flag names one, and the log, which whoever runs the program
// is not asked about.
func (c *console) access(a engine.Access, command string) engine.Access {
	if a.Identity == "" {
		a.Identity, _ = c.getenv("SHADOWAUDIT_IDENTITY")
	}
	a.Log, _ = c.getenv("SHADOWAUDIT_ACCESS_LOG")
	a.Purpose, _ = c.getenv("SHADOWAUDIT_PURPOSE")
	a.Command = command
	return a
}
