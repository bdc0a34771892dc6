//go:build !linux

package replay

import (
	"context"
	"time"
)

// sleepUntil waits until a moment, or until ctx ends.
func sleepUntil(ctx context.Context, until time.Time) {
	wait := time.Until(until)
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
