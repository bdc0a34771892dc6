// Package reporters renders results. What comes in is a result.Run, what goes
// out is bytes on a writer, and nothing else plays a part: no clock, no
// environment, no terminal. The same run gives the same bytes.
//
// Each format has a package of its own below this one; the table of kinds here
// is what the command line offers.
package reporters

import (
	"fmt"
	"io"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/reporters/har"
	"github.com/shadowaudit/shadowaudit/reporters/json"
	"github.com/shadowaudit/shadowaudit/reporters/junit"
	"github.com/shadowaudit/shadowaudit/reporters/terminal"
)

// Reporter writes a run in one format.
type Reporter interface {
	Report(w io.Writer, run *result.Run) error
}

// Func makes a Reporter of a function.
type Func func(w io.Writer, run *result.Run) error

// Report calls f.
func (f Func) Report(w io.Writer, run *result.Run) error { return f(w, run) }

// Options is what a caller knows about the place where a report goes. Formats
// for machines ignore it.
type Options struct {
	Color bool
	Width int // in columns; 0: the format's default
}

// kind is a row of the table of formats.
type kind struct {
	name string
	new  func(Options) Reporter
}

func kinds() []kind {
	return []kind{
		{"terminal", func(o Options) Reporter { return terminal.New(o.Color, o.Width) }},
		{"junit", func(Options) Reporter { return junit.New() }},
		{"json", func(Options) Reporter { return Func(json.Report) }},
		{"har", func(Options) Reporter { return Func(har.Report) }},
	}
}

// Kinds lists the names that New knows.
func Kinds() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// New returns the reporter of the given kind.
func New(name string, o Options) (Reporter, error) {
	for _, k := range kinds() {
		if k.name == name {
			return k.new(o), nil
		}
	}
	return nil, fmt.Errorf("there is no report %q; the kinds are %s", name, strings.Join(Kinds(), ", "))
}
