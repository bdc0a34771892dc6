package proxy

import (
	"fmt"
	"sync/atomic"

	"github.com/shadowaudit/shadowaudit/engine/source"
)

// tally counts what became of exchanges.
type tally struct {
	read, paired atomic.Int64 // handed out
	accepted     atomic.Int64 // by the queue
	requests     atomic.Int64 // truncated
	responses    atomic.Int64 // truncated
	notHTTP      atomic.Int64
	crowded      atomic.Int64 // dropped because too much was under way
	unended      atomic.Int64 // dropped because the recording ended first
	unanswered   atomic.Int64 // without a response of the service
	oversized    atomic.Int64 // of the requests
}

// Counts returns the counters as they are now. What waits to be read is in
// Records already.
func (s *Source) Counts() source.Counts {
	t := &s.tally
	c := source.Counts{
		Read:              t.read.Load(),
		Paired:            t.paired.Load(),
		Truncated:         t.requests.Load() + t.responses.Load(),
		TruncatedRequests: t.requests.Load(),
		NotHTTP:           t.notHTTP.Load(),
		Dropped:           s.queue.Dropped() + t.crowded.Load() + t.unended.Load(),
	}
	c.Records = t.accepted.Load() + c.TruncatedRequests + c.NotHTTP + c.Dropped
	return c
}

// Warnings says what could not be recorded as it should be, beside what is
// counted.
func (s *Source) Warnings() []source.Warning {
	var j source.Journal
	for _, w := range []struct {
		n    int64
		text string
	}{
		{s.tally.unanswered.Load(), "%d requests got no response of the upstream and were answered with 502"},
		{s.tally.oversized.Load(), "%d requests have a body larger than 8 MiB; they passed and were not recorded"},
		{s.tally.crowded.Load(), "%d exchanges passed and were not recorded because too many large bodies came at once"},
		{s.tally.unended.Load(), "%d exchanges passed and were not recorded because they had not ended when the recording did"},
	} {
		if w.n > 0 {
			j.Warn("", -1, fmt.Sprintf(w.text, w.n))
		}
	}
	return j.Warnings()
}
