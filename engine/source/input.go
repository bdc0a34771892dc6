package source

import (
	"errors"
	"fmt"
	"io"
)

// Input is one file of a recording that can be opened when its time has come.
type Input struct {
	Name  string
	First int64 // time of its first record, in nanoseconds since 1970
	Open  func() (io.ReadCloser, error)
}

// Inputs prepares files for a Merge: it looks at the first record of each. The
// meter follows how much of them is read. An error names the file and wraps
// that of first.
func Inputs(names []string, first func(name string) (int64, error)) ([]Input, *Meter, error) {
	meter := NewMeter(names)
	inputs := make([]Input, 0, len(names))
	for _, name := range names {
		at, err := first(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", name, err)
		}
		inputs = append(inputs, Input{name, at, func() (io.ReadCloser, error) { return OpenFile(name, meter) }})
	}
	return inputs, meter, nil
}

// Parts makes streams of inputs, each when it is due. A stream closes what it
// was given; open need not, where it fails.
func Parts[S Stream](inputs []Input, open func(name string, in io.ReadCloser) (S, error)) []Part[S] {
	parts := make([]Part[S], 0, len(inputs))
	for _, input := range inputs {
		parts = append(parts, Part[S]{First: input.First, Open: func() (s S, err error) {
			in, err := input.Open()
			if err != nil {
				return s, err
			}
			if s, err = open(input.Name, in); err != nil {
				return s, errors.Join(err, in.Close())
			}
			return s, nil
		}})
	}
	return parts
}
