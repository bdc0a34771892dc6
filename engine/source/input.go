package source

import (
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
