package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/format"
)

const fmtUsage = `Bring specs into their canonical layout: indentation, alignment, empty lines,
labels in quotes. Values and comments stay as they are, and jq in heredocs stays
byte for byte.

Usage:
  shadowaudit fmt [flags] PATH...

A PATH is a file, or a folder with *.audit.hcl and *.auditvars.hcl files, or -
for stdin, which is written to stdout. The names of files that change are
printed. A file with a syntax error is reported and left alone.

Flags:
  -check                change nothing; list the files that are not formatted
  -diff                 show what changes
  -recursive            look into folders of folders, hidden ones left out
  -write=false          change nothing
  --color MODE          auto, always or never (default auto)

Exit codes:
  0  all files are formatted now
  1  with -check: a file is not formatted
  2  a file cannot be read, parsed or written, or there is none

Examples:
  shadowaudit fmt checkout.audit.hcl
  shadowaudit fmt -check -diff -recursive .
`

// stdinName is how messages call stdin.
const stdinName = "<stdin>"

// formatter is the state of one fmt command.
type formatter struct {
	check, diff, recursive, write bool
	c                             *console

	sources diag.Sources
	diags   diag.List
	ragged  bool // some file was not formatted
	failed  bool // something else than a syntax error went wrong
}

func fmtCommand(_ context.Context, args []string, c *console) int {
	f := formatter{c: c, sources: diag.Sources{}}
	var color string
	fs := flag.NewFlagSet("fmt", flag.ContinueOnError)
	fs.BoolVar(&f.check, "check", false, "")
	fs.BoolVar(&f.diff, "diff", false, "")
	fs.BoolVar(&f.recursive, "recursive", false, "")
	fs.BoolVar(&f.write, "write", true, "")
	fs.StringVar(&color, "color", "auto", "")
	paths, code, ok := parse(fs, fmtUsage, args, c)
	if !ok {
		return code
	}
	err := checkColor(color)
	if err == nil && len(paths) == 0 {
		err = errors.New("name a file or a folder, for example: shadowaudit fmt checkout.audit.hcl")
	}
	if err == nil && slices.Contains(paths, "-") && len(paths) > 1 {
		err = errors.New("stdin, which is -, cannot be formatted together with files")
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit fmt: %v\n", err)
		return exitUsage
	}
	f.write = f.write && !f.check
	if paths[0] == "-" {
		f.stream()
	} else {
		for _, path := range f.files(paths) {
			f.file(path)
		}
	}
	return f.conclude(color)
}

// conclude prints the diagnostics and gives the exit code.
func (f *formatter) conclude(color string) int {
	width, _ := f.c.terminal(f.c.stderr)
	printer := diag.Printer{Sources: f.sources, Color: f.c.colored(color, f.c.stderr), Width: width}
	printer.Print(f.c.stderr, f.diags)
	if n, _ := f.diags.Count(); n > 0 {
		fmt.Fprintf(f.c.stderr, "%s; a file that has one is left alone.\n", result.Plural(int64(n), "mistake"))
	}
	switch {
	case f.failed || f.diags.HasErrors():
		return exitUsage
	case f.check && f.ragged:
		return exitFail
	}
	return exitPass
}

// complain reports what went wrong outside of a file's text.
func (f *formatter) complain(err error) {
	fmt.Fprintf(f.c.stderr, "shadowaudit fmt: %v\n", err)
	f.failed = true
}

// files lists the files that paths stand for, each one once. A folder without
// any is a mistake, because a check of nothing would look like a success.
func (f *formatter) files(paths []string) []string {
	var all []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			f.diags.Add(lang.Unreadable(path, err))
		case !info.IsDir():
			all = append(all, path)
		default:
			found := f.folder(path)
			if len(found) == 0 {
				hint := ""
				if !f.recursive {
					hint = "; -recursive looks into its folders, too"
				}
				f.complain(fmt.Errorf("%s has no *.audit.hcl or *.auditvars.hcl file%s", path, hint))
			}
			all = append(all, found...)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(path string) bool {
		clean := filepath.Clean(path)
		again := seen[clean]
		seen[clean] = true
		return again
	})
}

// folder lists the files of a folder that fmt is for, in the order of their
// names.
func (f *formatter) folder(dir string) []string {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			f.complain(fmt.Errorf("%s cannot be read: %w", path, cause(err)))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir():
			if path != dir && (!f.recursive || strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}
		case strings.HasSuffix(path, ".audit.hcl"), strings.HasSuffix(path, ".auditvars.hcl"):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		f.complain(err)
	}
	return found
}

// stream formats stdin.
func (f *formatter) stream() {
	src, err := io.ReadAll(io.LimitReader(f.c.stdin, lang.MaxFileSize+1))
	if err != nil {
		f.complain(fmt.Errorf("stdin cannot be read: %w", err))
		return
	}
	out, ok := f.format(stdinName, src)
	if !ok {
		return
	}
	f.report(stdinName, src, out)
	if !f.check && !f.diff {
		if _, err := f.c.stdout.Write(out); err != nil {
			f.complain(err)
		}
	}
}

func (f *formatter) file(path string) {
	if strings.HasSuffix(path, ".json") {
		f.complain(fmt.Errorf("%s is JSON; fmt is for HCL's native syntax", path))
		return
	}
	src, err := os.ReadFile(path)
	if err != nil {
		f.diags.Add(lang.Unreadable(path, err))
		return
	}
	out, ok := f.format(path, src)
	if !ok {
		return
	}
	if changed := f.report(path, src, out); changed && f.write {
		if err := replace(path, out); err != nil {
			f.complain(fmt.Errorf("%s cannot be written: %w", path, cause(err)))
		}
	}
}

// format gives the canonical form, and false for a text with a syntax error.
func (f *formatter) format(name string, src []byte) ([]byte, bool) {
	f.sources[name] = src
	if diags := lang.Syntax(name, src); diags.HasErrors() {
		f.diags = append(f.diags, diags...)
		return nil, false
	}
	return format.Source(src), true
}

// report names a text that changes, and shows how when that is asked for.
func (f *formatter) report(name string, src, out []byte) (changed bool) {
	if string(src) == string(out) {
		return false
	}
	f.ragged = true
	if f.check || !f.diff && name != stdinName {
		fmt.Fprintln(f.c.stdout, name)
	}
	if f.diff {
		f.c.stdout.Write(format.Diff(name, name+" (formatted)", src, out))
	}
	return true
}

// replace puts a text into a file in one step: a reader sees the old text or
// the new one. A link stays a link, and the file keeps its mode.
func replace(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	// Renaming would get past a mode that forbids writing.
	old, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := old.Stat()
	if err = errors.Join(err, old.Close()); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// cause is what the operating system says, without the path that the message
// names already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
