// Command shadowaudit replays recorded HTTP traffic against a candidate build
// and the trusted baseline, and says in CI whether the candidate may ship.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	if _, set := os.LookupEnv("GOGC"); !set {
		// Little is alive at any time and much is short-lived, so half of the
		// usual headroom costs hardly any time and a third of the memory less.
		debug.SetGCPercent(50)
	}
	os.Exit(run(context.Background(), os.Args[1:], process()))
}

// console is everything that a command may touch of the outside world.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) (string, bool)
	terminal       func(io.Writer) (width int, ok bool) // of a stream, when it is a terminal
}

// command is a verb of the command line.
type command struct {
	name  string
	short string
	usage string
	run   func(ctx context.Context, args []string, c *console) int
}

func commands() []command {
	return []command{
		{"run", "run the audits of specs and exit with the verdict", runUsage, runCommand},
		{"init", "write a first spec from a recording", initUsage, initCommand},
		{"plan", "say what a run would send, and send nothing", planUsage, planCommand},
		{"record", "write the traffic of an audit to a file, scrubbed", recordUsage, recordCommand},
		{"scrub", "try the scrub blocks of a spec on messages of your own", scrubUsage, scrubCommand},
		{"purge", "remove recordings that may no longer be kept", purgeUsage, purgeCommand},
		{"report", "render the reports of a run again", reportUsage, reportCommand},
		{"accept", "let differences of a run pass from now on", acceptUsage, acceptCommand},
		{"inspect", "say what is in a recording or capture", inspectUsage, inspectCommand},
		{"validate", "check specs, and send nothing", validateUsage, validateCommand},
		{"fmt", "bring specs into their canonical layout", fmtUsage, fmtCommand},
		{"explain", "explain a word of the language, or the code of a diagnostic", explainUsage, explainCommand},
		{"schema", "print the language as JSON, for editors", schemaUsage, schemaCommand},
		{"demo", "show a first report: recorded traffic, a sound baseline, a faulty candidate", demoUsage, demoCommand},
		{"completion", "print a completion script for bash, zsh or fish", completionUsage, completionCommand},
		{"version", "print the version", versionUsage, versionCommand},
	}
}

// run finds the command and runs it. It returns the exit code.
func run(ctx context.Context, args []string, c *console) int {
	if len(args) == 0 {
		writeUsage(c.stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(args[1:], c)
	case "-version", "--version":
		return versionCommand(ctx, nil, c)
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			return cmd.run(ctx, args[1:], c)
		}
	}
	fmt.Fprintf(c.stderr, "shadowaudit: there is no command %q%s\nRun \"shadowaudit help\" for the commands there are.\n", args[0], didYouMean(args[0]))
	return exitUsage
}

func help(args []string, c *console) int {
	if len(args) == 0 {
		writeUsage(c.stdout)
		return exitPass
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			io.WriteString(c.stdout, cmd.usage)
			return exitPass
		}
	}
	fmt.Fprintf(c.stderr, "shadowaudit: there is no command %q%s\n", args[0], didYouMean(args[0]))
	return exitUsage
}

func writeUsage(w io.Writer) {
	io.WriteString(w, `shadowaudit replays recorded HTTP traffic against a candidate build and the
trusted baseline, compares what both answer, and says whether the candidate may
ship.

Usage:
  shadowaudit COMMAND [arguments]

Commands:
`)
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", cmd.name, cmd.short)
	}
	io.WriteString(w, `
Run "shadowaudit help COMMAND" for its arguments, and "shadowaudit demo" to see
a report without writing anything first.
`)
}

// parse reads flags wherever they stand among the arguments, and returns the
// others. ok is false when the command has to end with the given exit code.
func parse(fs *flag.FlagSet, usage string, args []string, c *console) (rest []string, code int, ok bool) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			io.WriteString(c.stdout, usage)
			return nil, exitPass, false
		}
		if err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit %s: %s\nRun \"shadowaudit help %s\" for its arguments.\n", fs.Name(), flagError(err), fs.Name())
			return nil, exitUsage, false
		}
		if fs.NArg() == 0 {
			return rest, 0, true
		}
		if at := len(args) - fs.NArg(); at > 0 && args[at-1] == "--" {
			return append(rest, fs.Args()...), 0, true
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// flagError says in our words what package flag says in its own.
func flagError(err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "there is no flag --" + strings.TrimPrefix(name, "-")
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "the flag --" + name + " needs a value"
	}
	return text
}

const versionUsage = `Print the version.

Usage:
  shadowaudit version
`

func versionCommand(_ context.Context, args []string, c *console) int {
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		io.WriteString(c.stdout, versionUsage)
		return exitPass
	}
	fmt.Fprintln(c.stdout, "shadowaudit", version())
	return exitPass
}

// release is set by the linker for a release build.
var release string

// version gives the version of this build: the release, or what the Go
// toolchain knows about the source.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "dev"
}
