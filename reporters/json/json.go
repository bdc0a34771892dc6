// Package json writes the result document itself, for machines and for
// rendering reports again later.
package json

import (
	"io"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Report writes run as the versioned JSON document of package result.
func Report(w io.Writer, run *result.Run) error { return run.Write(w) }
