// Package replay sends exchanges at their due times, whatever the responses
// do: a slow target makes requests late, never fewer. Steps come in, pairs of
// outcomes go out, and how late each request left is measured on the way.
package replay

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// DefaultMaxInFlight bounds the pairs in flight when the spec does not.
const DefaultMaxInFlight = 256

// Config says how to replay.
type Config struct {
	Timing      Timing        `json:"timing"`
	Speed       float64       `json:"speed,omitempty"`      // recorded: 2 is twice as fast
	Rate        float64       `json:"rate,omitempty"`       // constant, ramp: requests per second, at last
	StartRate   float64       `json:"start_rate,omitempty"` // ramp: at first
	Over        time.Duration `json:"over_ns,omitempty"`    // ramp: how long it takes
	MaxGap      time.Duration `json:"max_gap_ns,omitempty"` // recorded: longer idle times are cut to this
	Live        bool          `json:"live,omitempty"`       // requests are due when they arrive
	MaxInFlight int           `json:"max_in_flight"`        // pairs sent and not answered; 0: DefaultMaxInFlight
	Probe       float64       `json:"probe,omitempty"`      // share of the pairs that are probed for noise
	Seed        uint64        `json:"-"`                    // decides which side goes first, and which pairs are probed
}

// Sides are those who are asked.
type Sides struct {
	Baseline, Candidate Target
	// Probe answers for the baseline a second time, for the share of the pairs
	// that Config.Probe gives. It is asked once the pair is complete, so that it
	// takes no part in what the pair measures. It may be nil.
	Probe Target
}

// Conn is a conversation with one side of an audit, over one connection.
type Conn interface {
	// Do obtains the side's answer to the request of x.
	Do(x *traffic.Exchange) traffic.Outcome
	Close() error
}

// Target opens conversations.
type Target interface{ Open() Conn }

// TargetFunc is a function that is a Target.
type TargetFunc func() Conn

// Open calls f.
func (f TargetFunc) Open() Conn { return f() }

// Step is one exchange that is to be sent.
type Step struct {
	Seq      int64 // place among the exchanges read, from 0
	Exchange *traffic.Exchange
	Endpoint string
	Cohorts  []string // one value for each declared cohort
}

// Pair is what came of a step.
type Pair struct {
	*Step
	Due                 time.Duration // from the start of the replay
	Lateness            time.Duration // from the due time to the moment of sending
	Sent                time.Duration // from the start of the replay
	CandidateFirst      bool          // the candidate was asked first
	Baseline, Candidate traffic.Outcome
	Probe               *traffic.Outcome // nil: not probed
}

// Stats says how true a replay was to its plan.
type Stats struct {
	Sent, NotSent       int64
	P50, P99, Max       time.Duration // lateness
	PeakPending         int64
	FirstDue, LastDue   time.Duration
	FirstSent, LastDone time.Time
	CutGaps             int           // idle times of the recording that were cut
	CutTime             time.Duration // how long they were beyond what was kept
}

// Scheduler replays the steps of one audit.
type Scheduler struct {
	cfg       Config
	timetable *Timetable
	sides     Sides
	done      func(*Pair)

	// sleep waits until a moment, or until ctx ends. Tests replace it.
	sleep func(ctx context.Context, until time.Time)

	slots chan struct{} // one for each pair that may be in flight
	wg    sync.WaitGroup

	mu       sync.Mutex
	room     sync.Cond // pending or pendingSize fell
	pending  int64     // steps handed out and not finished
	bytes    int64     // their bodies
	lanes    map[string]*lane
	idle     []*lane // lanes of sessions without work, longest idle first
	spare    []*lane // lanes for steps without session
	stopped  bool
	stats    Stats
	lateness []int64 // of each pair sent, ns
}

// Live gives the number of pairs that are due and not done, and the lateness
// of the pair that was done last.
func (s *Scheduler) Live() (pending int64, lateness time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.lateness); n > 0 {
		lateness = time.Duration(s.lateness[n-1])
	}
	return s.pending, lateness
}

// New prepares a replay. done is called once for each pair, from several
// goroutines at once.
func New(cfg Config, sides Sides, done func(*Pair)) (*Scheduler, error) {
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	timetable, err := NewTimetable(cfg)
	if err != nil {
		return nil, err
	}
	s := &Scheduler{
		cfg: cfg, timetable: timetable, sides: sides, done: done,
		sleep: sleepUntil,
		slots: make(chan struct{}, cfg.MaxInFlight),
		lanes: map[string]*lane{},
	}
	s.room.L = &s.mu
	return s, nil
}

// What may wait for its session or for a slot. The first bound is for
// bookkeeping, the second for memory.
const (
	maxQueued      = 4096
	maxQueuedBytes = 128 << 20
	// maxIdle is how many sessions keep their connections between requests.
	maxIdle = 256
)

// Run sends every step that arrives until steps is closed or ctx ends, and
// returns when each of them is done. What was handed to Run and not sent
// because ctx ended is counted in Stats.NotSent.
func (s *Scheduler) Run(ctx context.Context, steps <-chan *Step) Stats {
	var start time.Time
	release := context.AfterFunc(ctx, s.stop)
	defer release()
	for step := range steps {
		due := s.timetable.Due(step.Exchange)
		if start.IsZero() {
			start, s.stats.FirstDue = time.Now(), due
		}
		s.stats.LastDue = due
		when := start.Add(due)
		if s.cfg.Timing == Unpaced {
			when = time.Now() // nothing is late that was never due
		}
		s.sleep(ctx, when)
		s.dispatch(ctx, job{step: step, due: due, at: when, start: start})
	}
	s.wg.Wait()
	s.closeAll()
	return s.finish()
}

// stop keeps everything that has not been sent from being sent.
func (s *Scheduler) stop() {
	s.mu.Lock()
	s.stopped = true
	s.room.Broadcast()
	s.mu.Unlock()
}

// job is a step that has its due time.
type job struct {
	step *Step
	due  time.Duration
	at   time.Time // the due time on the clock

	start time.Time // of the replay
}

// lane carries the pairs of one session, one after the other, over its own
// connection to each side.
type lane struct {
	session             string
	baseline, candidate Conn
	probe               Conn // nil until a pair of the lane is probed
	queue               []job
	busy                bool
}

// dispatch hands a step to its lane. It waits while too much waits already;
// then requests become late, and the lateness shows it.
func (s *Scheduler) dispatch(ctx context.Context, j job) {
	step := j.step
	size := sizeOf(step)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = s.stopped || ctx.Err() != nil
	for !s.stopped && s.pending > 0 && (s.pending >= int64(s.cfg.MaxInFlight+maxQueued) || s.bytes+size > maxQueuedBytes) {
		s.room.Wait()
	}
	if s.stopped {
		s.stats.NotSent++
		return
	}
	s.pending++
	s.bytes += size
	s.stats.PeakPending = max(s.stats.PeakPending, s.pending)
	if session := step.Exchange.Session; session != "" {
		s.enqueue(session, j)
		return
	}
	s.wg.Go(func() { s.runAlone(j) })
}

// enqueue adds j to the lane of its session and starts the lane when it
// sleeps. s.mu is held.
func (s *Scheduler) enqueue(session string, j job) {
	l := s.lanes[session]
	if l == nil {
		l = s.newLane()
		l.session = session
		s.lanes[session] = l
	}
	l.queue = append(l.queue, j)
	if l.busy {
		return
	}
	l.busy = true
	if i := slices.Index(s.idle, l); i >= 0 {
		s.idle = slices.Delete(s.idle, i, i+1)
	}
	s.wg.Go(func() { s.runLane(l) })
}

func (s *Scheduler) newLane() *lane {
	return &lane{baseline: s.sides.Baseline.Open(), candidate: s.sides.Candidate.Open()}
}

// runLane sends what is queued in l, in order, until nothing is.
func (s *Scheduler) runLane(l *lane) {
	for {
		s.mu.Lock()
		if len(l.queue) == 0 {
			l.queue, l.busy = nil, false
			evicted := s.park(l)
			s.mu.Unlock()
			evicted.close()
			return
		}
		j := l.queue[0]
		l.queue[0] = job{}
		l.queue = l.queue[1:]
		s.mu.Unlock()
		s.send(l, j)
	}
}

// park puts an idle lane aside with its connections, and returns the lane that
// has been idle longest when there are too many. Its session may come back; it
// then gets new connections. s.mu is held.
func (s *Scheduler) park(l *lane) (evicted *lane) {
	s.idle = append(s.idle, l)
	if len(s.idle) <= maxIdle {
		return nil
	}
	evicted = s.idle[0]
	s.idle = slices.Delete(s.idle, 0, 1)
	delete(s.lanes, evicted.session)
	return evicted
}

// runAlone sends a step that belongs to no session over any spare connection.
func (s *Scheduler) runAlone(j job) {
	s.mu.Lock()
	var l *lane
	if n := len(s.spare); n > 0 {
		l, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		l = s.newLane()
	}
	s.mu.Unlock()
	s.send(l, j)
	s.mu.Lock()
	s.spare = append(s.spare, l)
	s.mu.Unlock()
}

// send asks both sides at the same moment, which of them first being a matter
// of chance that the seed decides, and passes the pair on.
func (s *Scheduler) send(l *lane, j job) {
	s.slots <- struct{}{}
	s.mu.Lock()
	if s.stopped {
		s.stats.NotSent++
		s.settle(j)
		s.mu.Unlock()
		<-s.slots
		return
	}
	s.mu.Unlock()

	p := &Pair{Step: j.step, Due: j.due}
	x := j.step.Exchange
	now := time.Now()
	if s.cfg.Timing != Unpaced {
		p.Lateness = max(0, now.Sub(j.at))
	}
	var other sync.WaitGroup
	p.Sent = now.Sub(j.start)
	p.CandidateFirst = coin(s.cfg.Seed, j.step.Seq)
	if p.CandidateFirst {
		other.Go(func() { p.Baseline = l.baseline.Do(x) })
		p.Candidate = l.candidate.Do(x)
	} else {
		other.Go(func() { p.Candidate = l.candidate.Do(x) })
		p.Baseline = l.baseline.Do(x)
	}
	other.Wait()
	end := time.Now()
	if s.probed(j.step.Seq) {
		p.Probe = s.probe(l, x)
	}
	<-s.slots // judging takes no part in the load
	s.done(p)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Sent++
	s.lateness = append(s.lateness, int64(p.Lateness))
	if s.stats.FirstSent.IsZero() || now.Before(s.stats.FirstSent) {
		s.stats.FirstSent = now
	}
	if end.After(s.stats.LastDone) {
		s.stats.LastDone = end
	}
	s.settle(j)
}

// probed decides by the seed whether a pair is probed.
func (s *Scheduler) probed(seq int64) bool {
	if s.sides.Probe == nil {
		return false
	}
	return float64(mix(^s.cfg.Seed, seq)>>11)/(1<<53) < s.cfg.Probe
}

// probe asks for the baseline's answer again. It has a connection of its own,
// which is as old as the pair's after the first time.
func (s *Scheduler) probe(l *lane, x *traffic.Exchange) *traffic.Outcome {
	if l.probe == nil {
		l.probe = s.sides.Probe.Open()
	}
	out := l.probe.Do(x)
	return &out
}

// settle gives back the room that j took. s.mu is held.
func (s *Scheduler) settle(j job) {
	s.pending--
	s.bytes -= sizeOf(j.step)
	s.room.Signal()
}

// sizeOf is what a step holds in memory while it waits, in bytes, as far as
// bodies go.
func sizeOf(step *Step) int64 {
	x := step.Exchange
	size := len(x.Request.Body.Bytes)
	if x.Response != nil {
		size += len(x.Response.Body.Bytes)
	}
	return int64(size)
}

// coin decides by the seed which side of a pair is asked first.
func coin(seed uint64, seq int64) bool { return mix(seed, seq)&1 == 1 }

// mix is SplitMix64 (Steele, Lea, Flood 2014) over seed and number.
func mix(seed uint64, seq int64) uint64 {
	z := seed + uint64(seq+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (l *lane) close() {
	if l != nil {
		l.baseline.Close()
		l.candidate.Close()
		if l.probe != nil {
			l.probe.Close()
		}
	}
}

func (s *Scheduler) closeAll() {
	for _, l := range s.lanes {
		l.close()
	}
	for _, l := range s.spare {
		l.close()
	}
}

func (s *Scheduler) finish() Stats {
	s.mu.Lock() // somebody may still ask Live
	defer s.mu.Unlock()
	if n := len(s.lateness); n > 0 {
		slices.Sort(s.lateness)
		at := func(q float64) time.Duration { return time.Duration(s.lateness[rank(q, n)]) }
		s.stats.P50, s.stats.P99, s.stats.Max = at(0.5), at(0.99), time.Duration(s.lateness[n-1])
	}
	s.stats.CutGaps, s.stats.CutTime = s.timetable.Cut()
	return s.stats
}

// rank is the index of the smallest of n sorted values that has at least a
// share q of them at or below it.
func rank(q float64, n int) int {
	i := int(q * float64(n))
	if float64(i) == q*float64(n) && i > 0 {
		i--
	}
	return min(i, n-1)
}
