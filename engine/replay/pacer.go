package replay

import (
	"fmt"
	"math"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Timing is the way in which due times are made.
type Timing string

// The timings.
const (
	Recorded Timing = "recorded" // as the traffic came, sped up or slowed down
	Constant Timing = "constant" // evenly, at a rate
	Ramp     Timing = "ramp"     // evenly, at a rate that grows or falls
	Unpaced  Timing = "unpaced"  // as fast as the bound on pairs in flight allows
)

// Pacer says when a request is due. It never looks at responses: otherwise a
// stalled target would slow the load down and hide its own latency, which is
// known as coordinated omission.
type Pacer interface {
	// Due gives the offset from the start of the replay at which the request
	// with this number leaves. recorded is its offset from the first one in
	// the recording. Due does not fall as seq grows.
	Due(seq int64, recorded time.Duration) time.Duration
}

// PacerFunc is a function that is a Pacer.
type PacerFunc func(seq int64, recorded time.Duration) time.Duration

// Due calls f.
func (f PacerFunc) Due(seq int64, recorded time.Duration) time.Duration { return f(seq, recorded) }

// NewPacer makes the pacer that cfg asks for. A pacer serves one run.
func NewPacer(cfg Config) (Pacer, error) {
	if cfg.Live && cfg.Timing != Unpaced {
		return new(livePacer), nil
	}
	switch cfg.Timing {
	case Recorded, "":
		speed := cfg.Speed
		if speed == 0 {
			speed = 1
		}
		if speed < 0 || math.IsInf(speed, 0) || math.IsNaN(speed) {
			return nil, fmt.Errorf("speed must be more than 0")
		}
		return &recordedPacer{speed: speed, maxGap: cfg.MaxGap}, nil
	case Constant:
		if cfg.Rate <= 0 {
			return nil, fmt.Errorf("constant timing needs a rate above 0")
		}
		return PacerFunc(func(seq int64, _ time.Duration) time.Duration {
			return time.Duration(float64(seq) / cfg.Rate * float64(time.Second))
		}), nil
	case Ramp:
		if cfg.StartRate < 0 || cfg.Rate <= 0 || cfg.Over <= 0 {
			return nil, fmt.Errorf("ramp timing needs a start rate, a rate above 0 and a duration")
		}
		return rampPacer{from: cfg.StartRate, to: cfg.Rate, over: cfg.Over.Seconds()}, nil
	case Unpaced:
		return PacerFunc(func(int64, time.Duration) time.Duration { return 0 }), nil
	}
	return nil, fmt.Errorf("unknown timing %q", cfg.Timing)
}

// Timetable gives the steps of one replay their due times, in their order.
type Timetable struct {
	pacer Pacer
	live  bool
	first time.Time
	n     int64
}

// NewTimetable makes the timetable of a replay that cfg describes.
func NewTimetable(cfg Config) (*Timetable, error) {
	pacer, err := NewPacer(cfg)
	if err != nil {
		return nil, err
	}
	return &Timetable{pacer: pacer, live: cfg.Live}, nil
}

// Cut gives the number of idle times that were cut so far, and how long they
// were beyond what was kept.
func (t *Timetable) Cut() (gaps int, total time.Duration) {
	if p, ok := t.pacer.(*recordedPacer); ok {
		return p.gaps, p.cut
	}
	return 0, 0
}

// Due returns when the next step is due, counted from the start of the replay:
// by the time at which its exchange was recorded, or arrived where it is live.
func (t *Timetable) Due(x *traffic.Exchange) time.Duration {
	at := x.At
	if t.live {
		at = x.Arrived
	}
	if t.n == 0 {
		t.first = at
	}
	due := t.pacer.Due(t.n, max(0, at.Sub(t.first)))
	t.n++
	return due
}

const (
	wildGap     = time.Hour   // an idle time that is cut although nobody asked for it
	wildGapKept = time.Minute // what is left of it
)

// recordedPacer keeps the recorded distances. Requests that the recording has
// out of order become due together with the one before them. Without a cut gap
// every due time is computed from the beginning, so no error adds up.
//
// Without a maxGap of the spec's only an idle time that no recording has reason
// to hold is cut: one record with a clock of its own must not stop a replay for
// years.
type recordedPacer struct {
	speed  float64
	maxGap time.Duration // longer idle times are cut to this; 0: see above
	gaps   int           // idle times that were cut
	last   time.Duration // recorded offset of the request before
	cut    time.Duration // idle time left out so far
	due    time.Duration
}

func (p *recordedPacer) Due(_ int64, recorded time.Duration) time.Duration {
	over, keep := p.maxGap, p.maxGap
	if p.maxGap == 0 {
		over, keep = wildGap, wildGapKept
	}
	if gap := recorded - p.last; gap > over {
		p.cut += gap - keep
		p.gaps++
	}
	p.last = max(p.last, recorded)
	p.due = max(p.due, time.Duration(float64(recorded-p.cut)/p.speed))
	return p.due
}

// livePacer lets requests leave as they arrive, however long nothing did.
type livePacer struct{ due time.Duration }

func (p *livePacer) Due(_ int64, arrived time.Duration) time.Duration {
	p.due = max(p.due, arrived)
	return p.due
}

// rampPacer changes its rate linearly from one value to another, then stays
// there. The number of requests by time t is the area under the rate:
// n(t) = from*t + (to-from)*t²/(2*over); Due inverts it.
type rampPacer struct{ from, to, over float64 }

func (p rampPacer) Due(seq int64, _ time.Duration) time.Duration {
	n := float64(seq)
	whole := (p.from + p.to) / 2 * p.over // requests that the ramp takes
	var t float64
	if n >= whole {
		t = p.over + (n-whole)/p.to
	} else if slope := (p.to - p.from) / p.over; slope == 0 {
		t = n / p.from
	} else {
		t = (math.Sqrt(max(0, p.from*p.from+2*slope*n)) - p.from) / slope
	}
	return time.Duration(t * float64(time.Second))
}
