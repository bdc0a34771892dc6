package replay

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// coarse is how far before the moment the runtime's timer is asked to wake: it
// does so about half a millisecond late, now and then a whole one.
const coarse = 2 * time.Millisecond

// sleepUntil waits until a moment, or until ctx ends. The last stretch is
// slept by the kernel's own timer, which is some ten microseconds late where
// the runtime's is some five hundred.
func sleepUntil(ctx context.Context, until time.Time) {
	wait := time.Until(until)
	if wait > coarse {
		t := time.NewTimer(wait - coarse)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
	for ctx.Err() == nil {
		wait := time.Until(until)
		if wait <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(wait))
		unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // an interruption only means another turn
	}
}
