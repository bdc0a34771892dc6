package replay

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

var epoch = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// simulated is a side whose answers take a while on the fake clock.
type simulated struct {
	takes func(x *traffic.Exchange) time.Duration

	mu       sync.Mutex
	sent     map[string]time.Time // by id
	opened   int
	inFlight int
	peak     int
}

func (s *simulated) Open() Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return &simulatedConn{s}
}

type simulatedConn struct{ s *simulated }

func (c *simulatedConn) Close() error { return nil }

func (c *simulatedConn) Do(x *traffic.Exchange) traffic.Outcome {
	c.s.mu.Lock()
	sent := time.Now()
	if c.s.sent == nil {
		c.s.sent = map[string]time.Time{}
	}
	c.s.sent[x.ID] = sent
	c.s.inFlight++
	c.s.peak = max(c.s.peak, c.s.inFlight)
	c.s.mu.Unlock()
	if c.s.takes != nil {
		time.Sleep(c.s.takes(x))
	}
	c.s.mu.Lock()
	c.s.inFlight--
	c.s.mu.Unlock()
	return traffic.Outcome{Response: &traffic.Response{Status: 200}, Latency: time.Since(sent)}
}

func constantly(d time.Duration) func(*traffic.Exchange) time.Duration {
	return func(*traffic.Exchange) time.Duration { return d }
}

// step is a step recorded at an offset.
func step(seq int, session string, at time.Duration) *Step {
	return &Step{Seq: int64(seq), Exchange: &traffic.Exchange{ID: fmt.Sprint(seq), Session: session, At: epoch.Add(at)}}
}

// run replays steps on the fake clock and gives the pairs by number.
func run(t *testing.T, cfg Config, base, cand Target, steps []*Step) (map[int64]*Pair, Stats) {
	t.Helper()
	pairs := map[int64]*Pair{}
	var mu sync.Mutex
	s, err := New(cfg, Sides{Baseline: base, Candidate: cand}, func(p *Pair) {
		mu.Lock()
		defer mu.Unlock()
		pairs[p.Seq] = p
	})
	if err != nil {
		t.Fatal(err)
	}
	s.sleep = onFakeClock
	ch := make(chan *Step)
	go func() {
		defer close(ch)
		for _, s := range steps {
			ch <- s
		}
	}()
	stats := s.Run(t.Context(), ch)
	return pairs, stats
}

func onFakeClock(ctx context.Context, until time.Time) {
	select {
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
	}
}

func TestRecordedTimesAreKeptWhateverTheTargetsDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := &simulated{takes: constantly(5 * time.Second)}
		var steps []*Step
		for i := range 100 {
			steps = append(steps, step(i, "", time.Duration(i)*100*time.Millisecond))
		}
		pairs, stats := run(t, Config{Timing: Recorded, Speed: 2}, slow, &simulated{}, steps)
		if len(pairs) != 100 || stats.Sent != 100 || stats.NotSent != 0 {
			t.Fatalf("%d pairs, %+v", len(pairs), stats)
		}
		for i := range int64(100) {
			if want := time.Duration(i) * 50 * time.Millisecond; pairs[i].Due != want || pairs[i].Lateness != 0 {
				t.Errorf("pair %d: due %v late %v, want %v on time", i, pairs[i].Due, pairs[i].Lateness, want)
			}
			if got := slow.sent[fmt.Sprint(i)].Sub(start); got != pairs[i].Due {
				t.Errorf("pair %d left at %v", i, got)
			}
		}
	})
}

func TestAFullWindowMakesRequestsLateNeverFewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &simulated{takes: constantly(time.Second)}
		var steps []*Step
		for i := range 40 {
			steps = append(steps, step(i, "", time.Duration(i)*time.Millisecond))
		}
		pairs, stats := run(t, Config{MaxInFlight: 10}, slow, &simulated{}, steps)
		if len(pairs) != 40 || slow.peak != 10 {
			t.Fatalf("%d pairs, %d at a time", len(pairs), slow.peak)
		}
		if pairs[9].Lateness != 0 || pairs[10].Lateness != 990*time.Millisecond || stats.Max < 2900*time.Millisecond {
			t.Errorf("lateness %v, %v, at most %v", pairs[9].Lateness, pairs[10].Lateness, stats.Max)
		}
	})
}

func TestASessionKeepsItsOrderAndItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, cand := &simulated{takes: constantly(30 * time.Millisecond)}, &simulated{takes: constantly(70 * time.Millisecond)}
		var steps []*Step
		for i := range 30 {
			steps = append(steps, step(i, fmt.Sprint("session ", i%3), time.Duration(i)*time.Millisecond))
		}
		pairs, _ := run(t, Config{}, base, cand, steps)
		for i := int64(3); i < 30; i++ {
			end := cand.sent[fmt.Sprint(i-3)].Add(pairs[i-3].Candidate.Latency)
			if base.sent[fmt.Sprint(i)].Before(end) {
				t.Errorf("pair %d left before pair %d of its session was done", i, i-3)
			}
		}
		if base.opened != 3 || cand.opened != 3 {
			t.Errorf("%d and %d connections for 3 sessions", base.opened, cand.opened)
		}
	})
}

func TestBothSidesGetTheSameMomentInRandomOrder(t *testing.T) {
	first := 0
	for seq := range int64(1000) {
		if coin(7, seq) {
			first++
		}
	}
	if first < 430 || first > 570 {
		t.Errorf("one side goes first %d times in 1000", first)
	}
	synctest.Test(t, func(t *testing.T) {
		base, cand := &simulated{}, &simulated{}
		run(t, Config{}, base, cand, []*Step{step(0, "a", 0), step(1, "", time.Second)})
		for id, at := range base.sent {
			if !at.Equal(cand.sent[id]) {
				t.Errorf("pair %s: sides %v apart", id, cand.sent[id].Sub(at))
			}
		}
	})
}

// Which side is asked first is a matter of chance, and the seed decides.
func TestTheCoinDecidesWhoGoesFirst(t *testing.T) {
	var mu sync.Mutex
	first := map[string]string{}
	side := func(name string) Target {
		return TargetFunc(func() Conn {
			return doer(func(x *traffic.Exchange) traffic.Outcome {
				mu.Lock()
				defer mu.Unlock()
				if first[x.ID] == "" {
					first[x.ID] = name
				}
				return traffic.Outcome{Response: &traffic.Response{Status: 200}}
			})
		})
	}
	var steps []*Step
	for i := range 400 {
		steps = append(steps, step(i, "one", 0))
	}
	run(t, Config{Timing: Unpaced, Seed: 7}, side("baseline"), side("candidate"), steps)
	agree := 0
	for i := range int64(400) {
		if (first[fmt.Sprint(i)] == "candidate") == coin(7, i) {
			agree++
		}
	}
	if agree < 300 { // the other goroutine may win now and then
		t.Errorf("the coin decided %d of 400 times", agree)
	}
}

// The probe comes after the pair, on a connection of its own, and to the share
// of the pairs that was asked for.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, cand := &simulated{takes: constantly(30 * time.Millisecond)}, &simulated{takes: constantly(70 * time.Millisecond)}
		again := &simulated{takes: constantly(10 * time.Millisecond)}
		var steps []*Step
		for i := range 1000 {
			steps = append(steps, step(i, fmt.Sprint(i%5), time.Duration(i)*100*time.Millisecond))
		}
		var mu sync.Mutex
		probed := 0
		s, err := New(Config{Probe: 0.25, Seed: 3}, Sides{Baseline: base, Candidate: cand, Probe: again}, func(p *Pair) {
			mu.Lock()
			defer mu.Unlock()
			if p.Probe == nil {
				return
			}
			probed++
			id := fmt.Sprint(p.Seq)
			if end := cand.sent[id].Add(p.Candidate.Latency); again.sent[id].Before(end) || p.Lateness != 0 {
				t.Errorf("pair %s was probed before it was complete, or late by %v", id, p.Lateness)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		s.sleep = onFakeClock
		ch := make(chan *Step)
		go func() {
			defer close(ch)
			for _, s := range steps {
				ch <- s
			}
		}()
		s.Run(t.Context(), ch)
		if probed < 200 || probed > 300 || len(again.sent) != probed || again.opened != 5 {
			t.Errorf("%d pairs probed, %d requests over %d connections", probed, len(again.sent), again.opened)
		}
	})
}

// doer is a Conn made of a function.
type doer func(*traffic.Exchange) traffic.Outcome

func (d doer) Do(x *traffic.Exchange) traffic.Outcome { return d(x) }
func (doer) Close() error                             { return nil }

// Bodies that wait are bounded, those of recorded responses included.
func TestWaitingBodiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		slow := TargetFunc(func() Conn {
			return doer(func(*traffic.Exchange) traffic.Outcome {
				<-release
				return traffic.Outcome{Response: &traffic.Response{Status: 200}}
			})
		})
		s, err := New(Config{Timing: Unpaced, MaxInFlight: 4}, Sides{Baseline: slow, Candidate: slow}, func(*Pair) {})
		if err != nil {
			t.Fatal(err)
		}
		steps := make(chan *Step)
		handed := 0
		go func() {
			defer close(steps)
			body := make([]byte, maxQueuedBytes/8)
			for i := range 40 {
				st := step(i, "", 0)
				st.Exchange.Response = &traffic.Response{Body: traffic.Body{Bytes: body}}
				steps <- st
				handed++
			}
		}()
		go func() { s.Run(t.Context(), steps) }()
		synctest.Wait()
		if handed > 10 {
			t.Errorf("%d steps of an eighth of the bound each were let in", handed)
		}
		close(release)
		synctest.Wait()
	})
}

func TestInterruptLosesNothingSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		done := 0
		s, err := New(Config{}, Sides{Baseline: &simulated{takes: constantly(300 * time.Millisecond)}, Candidate: &simulated{}}, func(*Pair) {
			mu.Lock()
			defer mu.Unlock()
			done++
		})
		if err != nil {
			t.Fatal(err)
		}
		s.sleep = onFakeClock
		steps := make(chan *Step)
		sent := int64(0)
		go func() {
			defer close(steps)
			for i := range 1000 {
				select {
				case steps <- step(i, fmt.Sprint(i%2), time.Duration(i)*100*time.Millisecond):
					sent++
				case <-ctx.Done():
					return
				}
			}
		}()
		time.AfterFunc(3*time.Second, cancel)
		stats := s.Run(ctx, steps)
		if stats.Sent+stats.NotSent != sent || int64(done) != stats.Sent || stats.NotSent == 0 {
			t.Errorf("handed out %d, sent %d, not sent %d, done %d", sent, stats.Sent, stats.NotSent, done)
		}
		if took := stats.LastDone.Sub(stats.FirstSent); took > 3400*time.Millisecond {
			t.Errorf("went on for %v", took)
		}
	})
}

func TestManySessionsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &simulated{}
		s, err := New(Config{Timing: Unpaced, MaxInFlight: 8}, Sides{Baseline: base, Candidate: &simulated{}}, func(*Pair) {})
		if err != nil {
			t.Fatal(err)
		}
		steps := make(chan *Step)
		go func() {
			defer close(steps)
			for i := range 5000 {
				steps <- step(i, fmt.Sprint("s", i), 0)
			}
		}()
		if stats := s.Run(t.Context(), steps); stats.Sent != 5000 || stats.Max != 0 {
			t.Errorf("%+v", stats)
		}
		if len(s.lanes) > maxIdle+8 {
			t.Errorf("%d lanes kept", len(s.lanes))
		}
	})
}

func TestPacers(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		name     string
		cfg      Config
		recorded []time.Duration
		want     []time.Duration
	}{
		{"recorded", Config{Timing: Recorded}, []time.Duration{0, 10 * ms, 30 * ms}, []time.Duration{0, 10 * ms, 30 * ms}},
		{"recorded at double speed", Config{Timing: Recorded, Speed: 2}, []time.Duration{0, 10 * ms, 30 * ms}, []time.Duration{0, 5 * ms, 15 * ms}},
		{"recorded out of order", Config{Timing: Recorded}, []time.Duration{0, 30 * ms, 10 * ms, 40 * ms}, []time.Duration{0, 30 * ms, 30 * ms, 40 * ms}},
		{"idle time cut", Config{Timing: Recorded, MaxGap: 100 * ms}, []time.Duration{0, 50 * ms, 10050 * ms, 10060 * ms}, []time.Duration{0, 50 * ms, 150 * ms, 160 * ms}},
		{"a clock of its own", Config{Timing: Recorded}, []time.Duration{0, 50 * 365 * 24 * time.Hour, 50*365*24*time.Hour + 10*ms}, []time.Duration{0, time.Minute, time.Minute + 10*ms}},
		{"live", Config{Timing: Recorded, Live: true}, []time.Duration{0, 50 * ms, 40 * ms, 5 * time.Hour}, []time.Duration{0, 50 * ms, 50 * ms, 5 * time.Hour}},
		{"constant", Config{Timing: Constant, Rate: 100}, make([]time.Duration, 4), []time.Duration{0, 10 * ms, 20 * ms, 30 * ms}},
		{"ramp from nothing", Config{Timing: Ramp, Rate: 2, Over: 4 * time.Second}, make([]time.Duration, 6), []time.Duration{0, 2000 * ms, 2828427124, 3464101615, 4000 * ms, 4500 * ms}},
		{"ramp that is level", Config{Timing: Ramp, StartRate: 10, Rate: 10, Over: time.Second}, make([]time.Duration, 3), []time.Duration{0, 100 * ms, 200 * ms}},
		{"ramp downwards", Config{Timing: Ramp, StartRate: 3, Rate: 1, Over: 2 * time.Second}, make([]time.Duration, 6), []time.Duration{0, 354248688, 763932022, 1267949192, 2000 * ms, 3000 * ms}},
		{"unpaced", Config{Timing: Unpaced}, []time.Duration{0, time.Hour}, []time.Duration{0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPacer(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			var got []time.Duration
			for i, r := range tt.recorded {
				got = append(got, p.Due(int64(i), r).Round(10*time.Nanosecond))
			}
			for i := range tt.want {
				tt.want[i] = tt.want[i].Round(10 * time.Nanosecond)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
	for _, cfg := range []Config{{Timing: Constant}, {Timing: Ramp, Rate: 1}, {Timing: "hourly"}, {Speed: -1}} {
		if _, err := NewPacer(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// An error that adds up over the schedule is how other replayers end seconds
// late: see the drift over a long recording at an awkward speed.
func TestScheduleDoesNotDrift(t *testing.T) {
	p, _ := NewPacer(Config{Timing: Recorded, Speed: 3})
	var due time.Duration
	for i := range int64(1_000_000) {
		due = p.Due(i, time.Duration(i)*time.Millisecond)
	}
	if want := 999_999 * time.Millisecond / 3; due-want > time.Microsecond || want-due > time.Microsecond {
		t.Errorf("the last of a million is due at %v, want %v", due, want)
	}
}

// BenchmarkSleep shows how late the sleeper wakes, against the runtime's own
// timer in the same run.
func BenchmarkSleep(b *testing.B) {
	measure := func(sleep func(time.Time)) func(*testing.B) {
		return func(b *testing.B) {
			var late time.Duration
			for b.Loop() {
				until := time.Now().Add(time.Millisecond)
				sleep(until)
				late += time.Since(until)
			}
			b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-late/op")
		}
	}
	b.Run("replay", measure(func(until time.Time) { sleepUntil(b.Context(), until) }))
	b.Run("time.Sleep", measure(func(until time.Time) { time.Sleep(time.Until(until)) }))
}
