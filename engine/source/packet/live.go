package packet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

const (
	// patience is for how long live exchanges wait for the response to an
	// earlier one: most have theirs by then, and a stream of events, which never
	// ends, holds nobody up for longer.
	patience = 2 * time.Second

	// grace is for how long exchanges that have begun when Stop is called may go
	// on.
	grace = time.Second

	// tickTime is how often it is looked for what was waited for in vain.
	tickTime = time.Second
)

// Origin is where live packets come from. It is used by one goroutine, except
// for Lost.
type Origin interface {
	// Read hands over packets that are there. Where there are none it waits for
	// some, for a tenth of a second: what it returns without, nothing was there.
	// Every error is final.
	Read(take func(*Packet)) error
	// Lost is how many packets the system has dropped so far because they were
	// not read in time.
	Lost() int64
	// Close lets go of everything.
	Close() error
}

// Live makes exchanges of packets as they pass. Packets are read by a goroutine
// of its own, whether or not anybody calls Next; what Next is too slow for is
// dropped, and so
//
//	Records = Read + Paired + OrphanResponses + Malformed + TruncatedRequests + NotHTTP + Dropped
//
// once Next has returned io.EOF: an exchange that is dropped is one record, with
// or without its response. Packets that were lost before they could be read are
// in LostPackets. What they cost shows in Gaps, Truncated and OrphanResponses;
// an exchange or a connection of which every packet was lost shows nowhere else.
type Live struct {
	origin Origin
	queue  source.Queue

	mu       sync.Mutex // guards all that follows
	packets  *Assembler
	read     source.Counts // Read and Paired, by Next
	answered int64         // responses of exchanges that were dropped
	stopped  time.Time     // when Stop was called; zero: it was not
	closed   bool
	ended    error

	done chan struct{} // closed when no packet is read any more
}

var (
	_ source.Source     = (*Live)(nil)
	_ source.Accountant = (*Live)(nil)
	_ source.Warner     = (*Live)(nil)
)

// Listen begins to read packets from an origin, which it closes in the end.
func Listen(cfg Config, origin Origin) *Live {
	if cfg.Limits.Patience == 0 {
		cfg.Limits.Patience = int64(patience)
	}
	l := &Live{origin: origin, packets: New(cfg), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *Live) run() {
	defer close(l.done)
	err := l.receive()
	l.mu.Lock()
	if l.closed {
		l.packets.Abandon()
	} else {
		l.packets.Finish()
		l.flush()
	}
	l.mu.Unlock()
	l.queue.End(err)
}

// receive reads packets until there is reason to stop.
func (l *Live) receive() error {
	ticked := time.Now()
	for {
		began, fresh := time.Now(), false
		err := l.origin.Read(func(p *Packet) { fresh = l.packet(p) || fresh })
		now := time.Now()
		if now.Sub(ticked) >= tickTime {
			ticked = now
			l.tick(now)
		}
		if err != nil || l.over(began, now, fresh) {
			return err
		}
	}
}

// packet takes in a packet, and reports whether it had been there before Stop.
func (l *Live) packet(p *Packet) (fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	late := !l.stopped.IsZero() && p.At > l.stopped.UnixNano()
	if late {
		l.packets.Close()
	}
	l.packets.Packet(p)
	l.flush()
	return !late
}

// flush passes on what is complete. l.mu is held.
func (l *Live) flush() {
	for x := l.packets.Next(); x != nil; x = l.packets.Next() {
		if !l.queue.Put(x) && x.Response != nil {
			l.answered++
		}
	}
}

func (l *Live) tick(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.packets.Tick(now.UnixNano())
	l.flush()
}

// over reports whether it is time to stop: at once after Close; after Stop, when
// what was there has been read and what had begun has ended, or takes too long.
// began is when the last read began, and fresh whether it brought something that
// had been there before.
func (l *Live) over(began, now time.Time, fresh bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return true
	case l.stopped.IsZero(), fresh, began.Before(l.stopped):
		return false
	}
	return !l.packets.Busy() || now.Sub(l.stopped) >= grace
}

// Next returns the next exchange. It waits for one.
func (l *Live) Next(ctx context.Context) (*traffic.Exchange, error) {
	l.mu.Lock()
	err := l.ended
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	x, err := l.queue.Next(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read.Read++
	if x.Response != nil {
		l.read.Paired++
	}
	return x, nil
}

// Stop takes no more traffic in than what has begun, and that for a second at
// most. Next then gives what has arrived, and io.EOF after it.
func (l *Live) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped.IsZero() {
		l.stopped = time.Now()
	}
}

// Close ends everything at once; Next then fails.
func (l *Live) Close() error {
	l.mu.Lock()
	again := l.closed
	l.closed, l.ended = true, errors.New("read after close")
	l.mu.Unlock()
	<-l.done
	if again {
		return nil
	}
	return l.origin.Close()
}

// Counts returns the counters as they are now.
func (l *Live) Counts() source.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.packets.Counts()
	c.Records -= l.answered
	c.Read, c.Paired = l.read.Read, l.read.Paired
	c.Dropped = l.queue.Dropped()
	c.LostPackets = l.origin.Lost()
	return c
}

// Warnings returns what was found wrong so far.
func (l *Live) Warnings() []source.Warning {
	l.mu.Lock()
	defer l.mu.Unlock()
	ws := l.packets.Warnings()
	if n := l.origin.Lost(); n > 0 {
		ws = append(ws, source.Warning{Offset: -1, Text: result.Plural(n, "packet") + " lost by the system, which could not hold them until they were read"})
	}
	return ws
}
