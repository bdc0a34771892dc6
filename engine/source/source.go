// Package source is where traffic enters: it defines what a reader of
// recordings gives to the engine. Exchanges cross its border one at a time, and
// beside them the counters that account for every record that did not become
// an exchange. The kinds of source are the packages below it.
package source

import (
	"context"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Source yields exchanges in the order of their recorded time, as nearly as
// its window allows. io.EOF ends it; every other error is final too. It is used
// by one goroutine at a time.
type Source interface {
	Next(ctx context.Context) (*traffic.Exchange, error)
}

// Func is a function that is a Source.
type Func func(ctx context.Context) (*traffic.Exchange, error)

// Next calls f.
func (f Func) Next(ctx context.Context) (*traffic.Exchange, error) { return f(ctx) }

// Counts is what a source has read so far and what was lost on the way. The
// names are those of result.Traffic. Each kind of source documents how its
// counters add up to Records.
type Counts struct {
	Read   int64 // exchanges handed out
	Paired int64 // of them, with their recorded response

	Records           int64 // what the recording calls a record, whatever came of it
	Malformed         int64 // records that are no HTTP message
	OrphanResponses   int64 // responses without their request
	Truncated         int64 // messages of which a part is missing
	TruncatedRequests int64 // of them, requests: not handed out, since they cannot be replayed truthfully
	ReplayedResponses int64 // answers to a replay, not production's
	Gaps              int64 // places at which bytes of a connection are missing; beside Records, not in it
	NotHTTP           int64 // entries that never reached a server, or that are not plain HTTP
	ForeignHost       int64 // entries for hosts that the source leaves out
	Dropped           int64 // whole exchanges that a live source had no room or no time for
	LostPackets       int64 // packets or datagrams that the kernel dropped before they were read; beside Records, not in it
}

// Live is a source whose traffic has no end of its own. It takes traffic in from
// the moment at which it is opened, and drops what its reader is too slow for.
type Live interface {
	// Listening says where traffic is expected, in words for people:
	// "127.0.0.1:9900", "lo, port 8080".
	Listening() string
	// Stop takes no more traffic in. Next then gives what has arrived, and
	// io.EOF after it. It may be called from any goroutine, more than once.
	Stop()
}

// Acknowledger is a source that keeps a position at its origin, a consumer group
// of a message bus for example. Acknowledge says that everything that Next has
// handed out is accounted for, so that it need not be handed out again. It is
// called from the goroutine that reads.
type Acknowledger interface {
	Acknowledge(ctx context.Context) error
}

// Accountant is a source that counts. Counts is called from the goroutine that
// reads, while it reads or afterwards.
type Accountant interface {
	Counts() Counts
}

// Warning is something about a recording that its user should know, in words
// that quote nothing of what was recorded.
type Warning struct {
	File   string // "" where it is about all files
	Offset int64  // in bytes, after decompression; -1 where it is about all of the file
	Text   string
}

// String gives the warning in the form "file: offset: text".
func (w Warning) String() string {
	switch {
	case w.File == "":
		return w.Text
	case w.Offset < 0:
		return w.File + ": " + w.Text
	}
	return fmt.Sprintf("%s: byte %d: %s", w.File, w.Offset, w.Text)
}

// Warner is a source that has warnings. Warnings is called like Counts.
type Warner interface {
	Warnings() []Warning
}

// Progress is a source that knows how far it is, in bytes of its files as they
// lie on the disk. It may be asked from any goroutine.
type Progress interface {
	Progress() (done, total int64)
}

// maxWarnings is how many warnings a Journal keeps: a broken recording has one
// for each of its records, and nobody reads the thousandth.
const maxWarnings = 20

// Journal collects warnings: it keeps the first ones and counts the rest. The
// zero value is ready for use.
type Journal struct {
	kept []Warning
	more int64
}

// Warn adds a warning.
func (j *Journal) Warn(file string, offset int64, text string) {
	if len(j.kept) == maxWarnings {
		j.more++
		return
	}
	j.kept = append(j.kept, Warning{File: file, Offset: offset, Text: text})
}

// Warnings returns the warnings that were kept, in the order in which they came
// up, and a last one that counts the others.
func (j *Journal) Warnings() []Warning {
	ws := append([]Warning(nil), j.kept...)
	if j.more > 0 {
		ws = append(ws, Warning{Offset: -1, Text: fmt.Sprintf("%d more warnings about the recording", j.more)})
	}
	return ws
}
