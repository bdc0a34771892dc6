package engine

import (
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// Observer is told how a run goes. Observe must not block: the run waits for
// it.
type Observer interface{ Observe(Event) }

// ObserverFunc is a function that is an Observer.
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Event is AuditStarted, Listening, Progress or AuditDone.
type Event interface{ event() }

// AuditStarted says that an audit begins to read.
type AuditStarted struct {
	Name                        string
	Source                      string
	Baseline, Candidate         string // URL, or "recorded"
	BaselineName, CandidateName string
}

// Listening says that an audit of a live source expects traffic from now on.
type Listening struct {
	Name   string
	Source string // "mirror.edge"
	Where  string // "127.0.0.1:9900"
}

// Progress says how far an audit is. It comes several times a second.
type Progress struct {
	Name       string
	Elapsed    time.Duration
	Read       int64 // exchanges read
	Selected   int64 // of them, to be sent
	Sent       int64 // pairs that are done
	Pending    int64 // pairs due and not done
	Mismatched int64
	Failed     int64
	Lateness   time.Duration // of the latest pair

	// How much of the source was read, in bytes; Total is 0 where the source
	// cannot tell.
	SourceDone, SourceTotal int64
}

// AuditDone has the result of an audit.
type AuditDone struct{ Result *result.Audit }

func (AuditStarted) event() {}
func (Listening) event()    {}
func (Progress) event()     {}
func (AuditDone) event()    {}
