package source

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What a Queue holds when its limits are not set.
const (
	DefaultQueued      = 4096
	DefaultQueuedBytes = 128 << 20
)

// Queue stands between production, which must never wait, and the reader of a
// live source, which may be slow. It is bounded; what finds no room is dropped
// and counted. The zero value is ready for use, by any number of goroutines.
type Queue struct {
	Exchanges int   // held at once; 0: DefaultQueued
	Bytes     int64 // of bodies held at once; 0: DefaultQueuedBytes

	mu      sync.Mutex
	held    []*traffic.Exchange
	bytes   int64
	dropped int64
	ended   bool
	err     error
	changed chan struct{} // closed when the queue is no longer as it was; nil: nobody waits
}

// Put adds an exchange and notes when it did. It never waits: where there is no
// room, or the queue has ended, the exchange is dropped and Put returns false.
// What arrives after the end is not counted as dropped, since nobody asked for
// it any more.
func (q *Queue) Put(x *traffic.Exchange) bool {
	size := SizeOf(x)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return false
	case len(q.held) >= limit(q.Exchanges, DefaultQueued), len(q.held) > 0 && q.bytes+size > limit(q.Bytes, DefaultQueuedBytes):
		q.dropped++
		return false
	}
	x.Arrived = time.Now()
	q.held = append(q.held, x)
	q.bytes += size
	q.wake()
	return true
}

// Next takes the exchange that has waited longest. It waits for one until the
// queue ends, when it gives what is left and then the error of End, or until ctx
// does.
func (q *Queue) Next(ctx context.Context) (*traffic.Exchange, error) {
	for {
		x, wait, err := q.take()
		if x != nil || err != nil {
			return x, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *Queue) take() (x *traffic.Exchange, wait <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.held) > 0:
		x = q.held[0]
		q.held[0] = nil
		q.held = q.held[1:]
		q.bytes -= SizeOf(x)
		return x, nil, nil
	case q.ended:
		return nil, nil, q.err
	case q.changed == nil:
		q.changed = make(chan struct{})
	}
	return nil, q.changed, nil
}

// End lets nothing more in. Readers get what is held, and then err; nil stands
// for io.EOF. Only the first call counts.
func (q *Queue) End(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if err == nil {
		err = io.EOF
	}
	q.ended, q.err = true, err
	q.wake()
}

// Dropped is how many exchanges found no room.
func (q *Queue) Dropped() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// wake wakes those who wait for a change. q.mu is held.
func (q *Queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// SizeOf is what an exchange takes in memory, in bytes, as far as its bodies go
// and what every exchange has beside them.
func SizeOf(x *traffic.Exchange) int64 {
	const rest = 1 << 10
	size := rest + len(x.Request.Body.Bytes)
	if x.Response != nil {
		size += len(x.Response.Body.Bytes)
	}
	return int64(size)
}

func limit[T int | int64](given, otherwise T) T {
	if given > 0 {
		return given
	}
	return otherwise
}
