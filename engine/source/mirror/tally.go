package mirror

import (
	"fmt"
	"sync/atomic"

	"github.com/shadowaudit/shadowaudit/engine/source"
)

// tally counts what became of requests and connections.
type tally struct {
	accepted  atomic.Int64 // by the queue
	malformed atomic.Int64
	truncated atomic.Int64
	notHTTP   atomic.Int64
	crowded   atomic.Int64 // dropped because too much was under way

	oversized  atomic.Int64 // of the truncated
	refused    atomic.Int64 // connections
	unaccepted atomic.Int64 // attempts to accept one that failed
}

// Counts returns the counters as they are now. What waits to be read is in
// Records already.
func (s *Source) Counts() source.Counts {
	t := &s.tally
	c := source.Counts{
		Read:              s.read.Load(),
		Paired:            s.paired.Load(),
		Malformed:         t.malformed.Load(),
		Truncated:         t.truncated.Load(),
		TruncatedRequests: t.truncated.Load(),
		NotHTTP:           t.notHTTP.Load(),
		Dropped:           s.queue.Dropped() + t.crowded.Load(),
	}
	waiting := s.log.count(&c)
	c.Records = t.accepted.Load() + waiting + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped + c.OrphanResponses
	return c
}

// Warnings says what a receiver could not take in, beside what is counted.
func (s *Source) Warnings() []source.Warning {
	var j source.Journal
	for _, w := range []struct {
		n    int64
		text string
	}{
		{s.tally.oversized.Load(), "%d mirrored requests have a body larger than 8 MiB and were left out"},
		{s.tally.crowded.Load(), "%d mirrored requests were left out because too many large bodies came at once"},
		{s.tally.refused.Load(), "%d connections were refused, because there were too many at once; what they would have carried is not counted"},
		{s.tally.unaccepted.Load(), "%d times a connection could not be accepted; the limit on open files (ulimit -n) may be too low"},
	} {
		if w.n > 0 {
			j.Warn("", -1, fmt.Sprintf(w.text, w.n))
		}
	}
	return append(j.Warnings(), s.log.warnings()...)
}
