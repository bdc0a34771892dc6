package mirror

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/accesslog"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Log is the access log of the proxy that mirrors.
type Log struct {
	Path   string           // "": there is none
	Format accesslog.Format // of its lines
	Fields accesslog.Fields // of JSON

	// Wait is how long a request waits for its line; 0: five seconds.
	Wait time.Duration
}

const (
	defaultWait = 5 * time.Second
	lookEvery   = 50 * time.Millisecond // at the log
)

// follower reads a log as it grows and pairs it with requests.
type follower struct {
	parser *accesslog.LineParser
	quit   chan struct{} // closed when nothing is waited for any more
	once   sync.Once
	until  chan time.Time // when to give up, from finish
	done   chan struct{}

	tail *tail // of run alone

	mu        sync.Mutex // held for a line at a time, so that nobody waits for the disk
	pairs     *pairs
	existed   bool // the log
	malformed int64
	broken    string // what went wrong with the log first
}

// openLog is nil where there is no log.
func openLog(l Log) (*follower, error) {
	if l.Path == "" {
		return nil, nil
	}
	parser, err := accesslog.NewLineParser(l.Format, l.Fields)
	if err != nil {
		return nil, err
	}
	t, err := openTail(l.Path)
	if err != nil {
		return nil, err
	}
	if l.Wait <= 0 {
		l.Wait = defaultWait
	}
	return &follower{
		parser: parser, tail: t, pairs: newPairs(l.Wait, l.Format != accesslog.Envoy),
		quit: make(chan struct{}), until: make(chan time.Time, 1), done: make(chan struct{}),
	}, nil
}

// request takes in a request that was mirrored. It never waits for the log.
func (f *follower) request(x *traffic.Exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pairs.request(x, time.Now())
}

// run looks at the log again and again, until finish or hurry.
func (f *follower) run() {
	defer close(f.done)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var until time.Time
	for {
		select {
		case now := <-tick.C:
			f.look(now)
		case until = <-f.until:
			f.look(time.Now())
		case <-f.quit:
			f.end()
			return
		}
		if !until.IsZero() && (f.settled() || !time.Now().Before(until)) {
			f.end()
			return
		}
	}
}

// look takes in what was written since, and lets go of what waited too long.
func (f *follower) look(now time.Time) {
	err := f.tail.look(now, func(line []byte) { f.take(line, now) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.existed = f.tail.existed
	if err != nil && f.broken == "" {
		f.broken = err.Error()
	}
	f.pairs.expire(now)
}

// take takes in one line.
func (f *follower) take(line []byte, now time.Time) {
	x, err := f.parser.Exchange(line)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.malformed++
	case x != nil:
		f.pairs.answer(x, now)
	}
}

// settled reports whether no request waits.
func (f *follower) settled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pairs.waiting.Len() == 0
}

// end lets go of everything.
func (f *follower) end() {
	f.tail.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pairs.flush()
}

// finish waits until no request waits for its line, and at most until then.
func (f *follower) finish(until time.Time) {
	f.until <- until
	<-f.done
}

// hurry lets finish return at once.
func (f *follower) hurry() { f.once.Do(func() { close(f.quit) }) }

// close closes a log that was opened in vain.
func (f *follower) close() {
	if f != nil {
		f.tail.close()
	}
}

// count adds what became of the lines, and returns how many requests wait.
func (f *follower) count(c *source.Counts) (waiting int64) {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Malformed += f.malformed
	c.OrphanResponses = f.pairs.orphans
	return int64(f.pairs.waiting.Len())
}

// warnings says what about the log its user should know.
func (f *follower) warnings() []source.Warning {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var j source.Journal
	warn := func(is bool, text string) {
		if is {
			j.Warn(f.tail.path, -1, text)
		}
	}
	p := f.pairs
	warn(f.broken != "", "the access log could not be read: "+strings.ReplaceAll(f.broken, "\n", "; "))
	warn(!f.existed, "there was no such access log, so no request has a response")
	warn(f.malformed > 0, fmt.Sprintf("%d lines of the access log are not of the format and were left out", f.malformed))
	warn(p.nameless > 0, fmt.Sprintf("%d mirrored requests have no X-Request-Id of their own, so no line of the access log can be theirs", p.nameless))
	warn(p.unmatched > 0, fmt.Sprintf("%d mirrored requests found no line of their id in the access log within %v; it has to log the id that the mirror sends, and without a buffer, or with flush=1s", p.unmatched, p.wait))
	warn(p.hurried > 0, fmt.Sprintf("%d mirrored requests waited less than %v for their line, because there were too many", p.hurried, p.wait))
	return j.Warnings()
}
