// Package middleware records what a Go service receives and answers, from
// inside: it wraps an http.Handler, or an http.RoundTripper for the calls that
// the service makes itself. Whole exchanges go to an auditor over a socket, or
// into a scrubbed recording.
//
//	rec, err := middleware.New(middleware.Config{Address: "unix:/run/shadowaudit.sock"})
//	if err != nil {
//		return err
//	}
//	defer rec.Close(context.Background())
//	http.ListenAndServe(addr, rec.Handler(mux))
//
// On the other side stands package receive, or whatever else reads the protocol
// of package wire.
//
// # What it does to the service
//
// It never waits. What is recorded stands in a bounded queue between the service
// and the sink; what finds no room is dropped and counted. The service gets the
// same bytes out as without it: a request body is copied as the handler reads
// it, and not a byte ahead, so that "100 Continue" is sent when it was; Flush,
// Hijack, Push, ReadFrom, CloseNotify and http.ResponseController go where they
// went. A panic passes through untouched. Two differences are left. Bodies that
// are recorded are not sent with sendfile; files larger than MaxBody and what is
// not recorded are. And http.MaxBytesReader, which knows the writer of net/http
// by a method that nobody else can have, does not close the connection of its
// own accord any more.
//
// # What is recorded
//
// The request as the handler got it: the exact request-target, Host first, then
// the fields by name, since net/http has not kept their order. The body is
// complete when the handler has read it to its end or to its Content-Length;
// without the whole body a request cannot be sent again, so it is counted as
// Truncated and left out. The response as the handler gave it: the fields as
// they were when it wrote the first byte, with the Content-Type that net/http
// finds where there is none, but without Date, Content-Length, Connection and
// Transfer-Encoding, which the server adds later. Informational responses (1xx)
// are none. A response that the handler abandoned, by a panic or after a failed
// write, or that is larger than MaxBody, is truncated; one of which it wrote
// nothing before it panicked is absent. Exchanges that go on as something else
// (Hijack, Upgrade, CONNECT) are counted as Upgraded and left out.
//
// A response ends when the handler returns or, for RoundTrip, when its body is
// read to its end or closed.
//
// # What is lost, and how it is counted
//
//	Seen = Skipped + SampledOut + Upgraded + Truncated + Dropped + Withheld + Sent
//
// once Close has returned.
package middleware

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/shadowaudit/shadowaudit/engine/source/middleware/wire"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What a Recorder takes when its limits are not set.
const (
	DefaultMaxBody = 1 << 20  // bytes of one body
	DefaultQueue   = 1024     // exchanges that wait for the sink
	DefaultMemory  = 64 << 20 // bytes, all exchanges together
)

// maxBody is the largest MaxBody: what a receiver takes in.
const maxBody = 8 << 20

// Config says what to record, and where it goes: one of Address and File.
type Config struct {
	// Address is where a shadowaudit process listens: "unix:/path" or
	// "host:port". It need not be there yet. What goes over it is not scrubbed.
	Address string

	// File is a recording to be written, which must not exist yet. It is
	// scrubbed with all packs before it is written.
	File string

	// Key is the scrub key of File, at least 32 bytes, so that surrogates are the
	// same in other recordings; nil: one that nobody keeps.
	Key []byte

	// Session names what keeps exchanges in order and decides Sample: a user, a
	// client. "" stands for none. Nil: the connection of the client, and none
	// for RoundTrip.
	Session func(*http.Request) string

	// Sample is the share of sessions that are recorded, from 0 to 1, the same
	// sessions in every process; 0 stands for 1. Exchanges without a session are
	// sampled one by one.
	Sample float64

	// Skip leaves out requests for which it is true; nil: none.
	Skip func(*http.Request) bool

	MaxBody int   // largest body that is kept whole, in bytes; 0: DefaultMaxBody; 8 MiB at most
	Queue   int   // exchanges that wait; 0: DefaultQueue
	Memory  int64 // bytes of all that are under way or wait; 0: DefaultMemory
}

// Stats are what became of the exchanges of a Recorder so far.
type Stats struct {
	Seen       int64 // that have begun
	Skipped    int64 // by Skip
	SampledOut int64
	Upgraded   int64 // to something else than HTTP
	Truncated  int64 // without the whole body of the request
	Dropped    int64 // for want of room, of a connection or of the disk
	Withheld   int64 // by the scrubber, which could not read them (File)
	Sent       int64 // to the sink
}

// Recorder records exchanges. It is safe for concurrent use.
type Recorder struct {
	cfg     Config
	sampler sampler
	memory  memory
	sink    sink
	queue   chan *entry
	tally   tally

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	done    chan struct{} // closed when the sink has ended
	err     error         // of the sink; to be read when done is closed
}

// tally are the counters behind Stats.
type tally struct {
	seen, skipped, sampledOut, upgraded, truncated, dropped, withheld, sent atomic.Int64
}

// entry is an exchange that waits for the sink.
type entry struct {
	exchange *traffic.Exchange
	size     int64 // what it takes of the memory
}

// New starts a recorder. An error says what is wrong with the configuration, or
// that the file cannot be created. That nobody listens at Address is none.
func New(cfg Config) (*Recorder, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	r := &Recorder{
		cfg:     cfg,
		sampler: newSampler(cfg.Sample),
		memory:  memory{size: cfg.Memory},
		queue:   make(chan *entry, cfg.Queue),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	if cfg.File != "" {
		f, err := newFile(r, cfg.File, cfg.Key)
		if err != nil {
			return nil, err
		}
		r.sink = f
	} else {
		var id wire.Instance
		if _, err := rand.Read(id[:]); err != nil {
			return nil, fmt.Errorf("draw a random id: %w", err)
		}
		r.sink = newStream(r, cfg.Address, id)
	}
	go func() {
		defer close(r.done)
		r.err = r.sink.run()
	}()
	return r, nil
}

// complete fills in what is not set.
func (cfg *Config) complete() error {
	switch {
	case (cfg.Address == "") == (cfg.File == ""):
		return errors.New("name either Address or File, so that it is clear where the recorded exchanges go")
	case !(cfg.Sample >= 0 && cfg.Sample <= 1):
		return errors.New("the share in Sample is from 0 to 1")
	case cfg.MaxBody < 0 || cfg.MaxBody > maxBody:
		return fmt.Errorf("the size in MaxBody is from 0 to %d bytes, which is all that a receiver takes in", maxBody)
	case cfg.Queue < 0 || cfg.Memory < 0:
		return errors.New("neither Queue nor Memory can be less than 0")
	}
	if cfg.Sample == 0 {
		cfg.Sample = 1
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Queue == 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Memory == 0 {
		cfg.Memory = DefaultMemory
	}
	return nil
}

// sink is where exchanges go. run takes them from the queue until the recorder
// is closed and the queue is empty; halt makes it give up what is left.
type sink interface {
	run() error
	halt()
}

// Close records nothing new, hands what waits to the sink, and ends it. When ctx
// ends first, or nobody listens, the rest is dropped. The error is that of ctx or
// of the sink. Handlers and transports go on working, without being recorded.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.closing)
	}
	r.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		r.sink.halt()
		<-r.done
		return ctx.Err()
	}
}

// Stats returns the counters as they are now.
func (r *Recorder) Stats() Stats {
	t := &r.tally
	return Stats{
		Seen: t.seen.Load(), Skipped: t.skipped.Load(), SampledOut: t.sampledOut.Load(), Upgraded: t.upgraded.Load(),
		Truncated: t.truncated.Load(), Dropped: t.dropped.Load(), Withheld: t.withheld.Load(), Sent: t.sent.Load(),
	}
}

// put queues an exchange, or drops it. It never waits.
func (r *Recorder) put(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		select {
		case r.queue <- e:
			return
		default:
		}
	}
	r.drop(e)
}

// drop counts an exchange that goes nowhere.
func (r *Recorder) drop(e *entry) {
	r.tally.dropped.Add(1)
	r.memory.give(e.size)
}

// dropRest drops what waits in the queue, once nothing is added to it any more.
func (r *Recorder) dropRest() (dropped int) {
	for {
		select {
		case e := <-r.queue:
			r.drop(e)
			dropped++
		default:
			return dropped
		}
	}
}
