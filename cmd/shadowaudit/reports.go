package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/bundle"
	"github.com/shadowaudit/shadowaudit/engine/record"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/reporters"
)

// output is a report on its way to a file or a stream.
type output struct {
	reporter reporters.Reporter
	path     string // "": w is a stream
	w        io.Writer
	file     *os.File // what path becomes when it is complete
	direct   bool     // file is path itself
	private  bool     // only its owner may read it
}

type outputs []*output

// openReports prepares all reports before anything is sent, so that a path
// that cannot be written is found out in time.
func openReports(f *runFlags, c *console) (outs outputs, err error) {
	taken := false
	for _, r := range f.reports {
		kind, path, ok := strings.Cut(r, "=")
		if !ok || path == "" {
			outs.discard()
			return nil, fmt.Errorf("--report takes KIND=PATH, as in --report junit=report.xml, not %q", r)
		}
		o := &output{}
		if path == "-" {
			if taken {
				outs.discard()
				return nil, fmt.Errorf("two reports cannot both go to stdout")
			}
			taken = true
			o.w = c.stdout
		} else if err := o.create(path); err != nil {
			outs.discard()
			return nil, err
		}
		if !o.direct && slices.ContainsFunc(outs, func(other *output) bool { return o.path != "" && other.path == o.path }) {
			append(outs, o).discard()
			return nil, fmt.Errorf("two reports cannot both go to %s", path)
		}
		outs = append(outs, o)
		colored := o.path == "" && c.colored(f.color, c.stdout)
		if o.reporter, err = reporters.New(kind, reporters.Options{Color: colored, Width: reportWidth(c, o.w)}); err != nil {
			outs.discard()
			return nil, err
		}
	}
	if f.bundle == "" && len(f.to)+len(f.toFiles) > 0 {
		outs.discard()
		return nil, errors.New("--recipient encrypts a bundle: name it with --bundle")
	}
	if f.bundle != "" {
		to, err := record.Recipients(f.to, f.toFiles)
		if err != nil {
			outs.discard()
			return nil, err
		}
		o := &output{reporter: reporters.Func(bundle.Sealed(to)), private: true}
		if err := o.create(f.bundle); err != nil {
			outs.discard()
			return nil, err
		}
		outs = append(outs, o)
	}
	people := c.stdout
	if taken {
		people = c.stderr
	}
	forPeople, err := reporters.New("terminal", reporters.Options{Color: c.colored(f.color, people), Width: reportWidth(c, people)})
	if err != nil {
		outs.discard()
		return nil, err
	}
	return append(outs, &output{reporter: forPeople, w: people}), nil
}

// reportWidth is the width to write for: that of the terminal, up to where
// lines become hard to read.
func reportWidth(c *console, w io.Writer) int {
	width, ok := c.terminal(w)
	if !ok {
		return 80
	}
	return min(max(width, 40), 120)
}

// create opens the file at path for writing. A regular file is replaced in one
// step when the report is complete; anything else, such as /dev/null or a pipe,
// is written to as it is.
func (o *output) create(path string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	var file *os.File
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("the report %s cannot be written: it is a folder", path)
	case err == nil && !info.Mode().IsRegular():
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
		o.direct = true
	default:
		file, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	}
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("the report %s cannot be written: %w", path, err)
	}
	o.path, o.file, o.w = path, file, file
	return nil
}

// finish puts a complete report in its place.
func (o *output) finish() error {
	err := o.file.Close()
	if o.direct {
		o.file = nil
		return err
	}
	mode := os.FileMode(0o644)
	if o.private {
		mode = 0o600
	}
	err = errors.Join(err, os.Chmod(o.file.Name(), mode))
	if err != nil {
		return err
	}
	if err := os.Rename(o.file.Name(), o.path); err != nil {
		return err
	}
	o.file = nil
	return nil
}

// write writes the reports, files first, so that what people see last is the
// verdict.
func (outs outputs) write(run *result.Run) error {
	var errs []error
	for _, o := range outs {
		err := o.reporter.Report(o.w, run)
		if err == nil && o.file != nil {
			err = o.finish()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write report: %w", err))
		}
	}
	return errors.Join(errs...)
}

// discard removes what was not completed.
func (outs outputs) discard() {
	for _, o := range outs {
		if o.file != nil {
			o.file.Close()
			if !o.direct {
				os.Remove(o.file.Name())
			}
		}
	}
}
