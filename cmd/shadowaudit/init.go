package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/draft"
)

const initUsage = `Write a first spec from a recording.

Usage:
  shadowaudit init [flags] FILE...

Flags:
  -o SPEC          write to this file, which must not exist yet; without it the
                   spec goes to stdout
  --identity FILE  file with your age identity, for encrypted recordings
                   (default: the file that SHADOWAUDIT_IDENTITY names)

The files are of one kind, which their content tells: recordings of GoReplay or
of shadowaudit record, HAR files, packet captures, flows of mitmproxy, traces
of Envoy's tap filter, access logs.
The spec has comments about what the recording holds: its endpoints, what could
slice it into cohorts, which fields of its responses are new in every answer.
It runs as it is once its two targets are given with --var. No value of the
traffic stands in it.

Exit codes:
  0  the spec was written
  2  the command line is wrong, or the file exists already
  3  the recording cannot be read, or there is nothing in it

Examples:
  shadowaudit init traffic/peak_hour.gor -o checkout.audit.hcl
  shadowaudit init session.har > checkout.audit.hcl
`

func initCommand(ctx context.Context, args []string, c *console) int {
	fs := flag.NewFlagSet("init", flag.ContinueOnError)
	var out string
	var access engine.Access
	fs.StringVar(&out, "o", "", "")
	accessFlags(fs, &access)
	paths, code, ok := parse(fs, initUsage, args, c)
	if !ok {
		return code
	}
	if len(paths) == 0 {
		fmt.Fprintf(c.stderr, "shadowaudit init: name the recording, for example: shadowaudit init traffic/peak_hour.gor\n")
		return exitUsage
	}
	if _, err := os.Lstat(out); out != "" && err == nil {
		return refuse(out, c)
	}
	cfg := draftConfig(paths, out)
	cfg.Access = c.access(access, "init")
	spec, err := draft.Make(ctx, cfg)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit init: %v\n", err)
		return exitError
	}
	if out == "" {
		if _, err := c.stdout.Write(spec); err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit init: %v\n", err)
			return exitError
		}
		return exitPass
	}
	return writeSpec(out, spec, c)
}

func refuse(out string, c *console) int {
	fmt.Fprintf(c.stderr, "shadowaudit init: %s exists already and is left as it is; name another file with -o\n", out)
	return exitUsage
}

func writeSpec(out string, spec []byte, c *console) int {
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return refuse(out, c)
	}
	if err == nil {
		_, err = f.Write(spec)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit init: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(c.stderr, "Wrote %s. Next: shadowaudit plan %s --var baseline_url=URL --var candidate_url=URL\n", out, out)
	return exitPass
}

// draftConfig names the recordings as seen from the folder of the spec, which
// is the working directory where the spec goes to stdout.
func draftConfig(paths []string, out string) draft.Config {
	name := identifier(paths[0])
	cfg := draft.Config{Name: name, Paths: paths, Spec: out}
	if out == "" {
		cfg.Spec = name + ".audit.hcl"
	}
	dir, err := filepath.Abs(filepath.Dir(out))
	for _, p := range paths {
		shown := p
		if abs, absErr := filepath.Abs(p); err == nil && absErr == nil {
			shown = abs
			if rel, err := filepath.Rel(dir, abs); err == nil {
				shown = rel
			}
		}
		cfg.Shown = append(cfg.Shown, filepath.ToSlash(shown))
	}
	return cfg
}

// identifier makes a name of a file's: peak_hour of traffic/peak-hour.gor.gz.
func identifier(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".")
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, base), "_")
	switch {
	case name == "":
		return "traffic"
	case name[0] >= '0' && name[0] <= '9':
		return "traffic_" + name
	}
	return name
}
