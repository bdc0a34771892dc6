package receive

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/middleware/wire"
)

// tally counts what became of exchanges and connections here.
type tally struct {
	read, paired atomic.Int64
	accepted     atomic.Int64 // by the queue
	cut          atomic.Int64 // of them, with a response that is not complete
	malformed    atomic.Int64
	truncated    atomic.Int64 // requests
	crowded      atomic.Int64 // dropped because too much was under way

	foreign    atomic.Int64 // connections that speak something else
	refused    atomic.Int64
	unaccepted atomic.Int64
	unknown    atomic.Int64 // connections of services for which there was no more room
}

// service is one that sends, over however many connections, one after the other.
type service struct {
	mu     sync.Mutex
	known  bool
	zero   wire.Report // as it was when it was met
	last   wire.Report
	frames uint64 // exchange frames that arrived
}

// service finds the service of a connection.
func (s *Source) service(id wire.Instance) *service {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.services[id]
	if v == nil {
		v = new(service)
		if len(s.services) >= maxInstances {
			s.tally.unknown.Add(1)
			return v
		}
		s.services[id] = v
	}
	return v
}

// arrived counts a frame with an exchange.
func (v *service) arrived() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.frames++
}

// report takes in what the service says. Counts only grow, whatever it says.
func (v *service) report(r wire.Report) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.known {
		v.known, v.zero, v.last = true, r, r
		return
	}
	v.last = wire.Report{
		Sent: max(v.last.Sent, r.Sent), Dropped: max(v.last.Dropped, r.Dropped),
		Upgraded: max(v.last.Upgraded, r.Upgraded), Truncated: max(v.last.Truncated, r.Truncated),
	}
}

// losses are what the service lost since it was met, lost being exchanges that
// it sent and that did not arrive.
func (v *service) losses() (dropped, lost, upgraded, truncated int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if sent := v.last.Sent - v.zero.Sent; sent > v.frames {
		lost = int64(sent - v.frames)
	}
	return int64(v.last.Dropped - v.zero.Dropped), lost, int64(v.last.Upgraded - v.zero.Upgraded), int64(v.last.Truncated - v.zero.Truncated)
}

// losses are those of all services.
func (s *Source) losses() (dropped, lost, upgraded, truncated int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.services {
		d, l, u, t := v.losses()
		dropped, lost, upgraded, truncated = dropped+d, lost+l, upgraded+u, truncated+t
	}
	return dropped, lost, upgraded, truncated
}

// Counts returns the counters as they are now. What waits to be read is in
// Records already.
func (s *Source) Counts() source.Counts {
	t := &s.tally
	dropped, lost, upgraded, truncated := s.losses()
	c := source.Counts{
		Read: t.read.Load(), Paired: t.paired.Load(),
		Malformed:         t.malformed.Load(),
		TruncatedRequests: t.truncated.Load() + truncated,
		NotHTTP:           upgraded,
		Dropped:           s.queue.Dropped() + t.crowded.Load() + dropped + lost,
	}
	c.Truncated = c.TruncatedRequests + t.cut.Load()
	c.Records = t.accepted.Load() + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped
	return c
}

// Warnings says what a receiver could not take in, and where losses arose.
func (s *Source) Warnings() []source.Warning {
	var j source.Journal
	dropped, lost, _, truncated := s.losses()
	for _, w := range []struct {
		n    int64
		text string
	}{
		{dropped, "%d exchanges were dropped in the services, which had no room for them or no connection"},
		{lost, "%d exchanges were on their way when a connection broke, and did not arrive"},
		{truncated, "%d requests were left out because their service did not read the whole body, or it was too large for its recorder"},
		{s.tally.crowded.Load(), "%d exchanges were left out because too many large ones came at once"},
		{s.tally.foreign.Load(), "%d connections spoke something else than the protocol of the middleware, or another version of it"},
		{s.tally.refused.Load(), "%d connections were refused, because there were too many at once; services count what they drop for that"},
		{s.tally.unaccepted.Load(), "%d times a connection could not be accepted; the limit on open files (ulimit -n) may be too low"},
		{s.tally.unknown.Load(), "%d connections came from more services than are told apart; what those dropped is not counted"},
	} {
		if w.n > 0 {
			j.Warn("", -1, fmt.Sprintf(w.text, w.n))
		}
	}
	return j.Warnings()
}
