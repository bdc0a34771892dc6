package main

import "github.com/shadowaudit/shadowaudit/engine/result"

// The exit codes. No flag renumbers them.
const (
	exitPass         = 0
	exitFail         = 1   // a gate failed
	exitUsage        = 2   // the spec or the command line is wrong; nothing was sent
	exitError        = 3   // could not measure
	exitInconclusive = 4   // not enough evidence for a verdict
	exitInterrupted  = 130 // 128 + SIGINT
)

// exitCodes says what each exit code means.
var exitCodes = []struct {
	code int
	doc  string
}{
	{exitPass, "every audit passed; the command did what it is for"},
	{exitFail, "a gate failed; with fmt -check, a file is not formatted"},
	{exitUsage, "the spec or the command line is wrong; nothing was sent"},
	{exitError, "could not measure: a source unreadable, the baseline unreachable"},
	{exitInconclusive, "inconclusive: not enough evidence for a verdict"},
	{exitInterrupted, "interrupted; what was measured so far is reported"},
}

// exitCode gives the exit code of a run.
func exitCode(run *result.Run) int {
	if run.Interrupted {
		return exitInterrupted
	}
	switch run.Verdict {
	case result.Pass:
		return exitPass
	case result.Fail:
		return exitFail
	case result.Error:
		return exitError
	}
	return exitInconclusive // a run of which nothing was asked has shown nothing
}
