// Package nats reads the messages of a NATS subject: those that a JetStream
// stream keeps, or with Follow and without a Stream those that are published
// while it listens. Package message says what may stand in a message; exchanges
// go out in the order in which the server has them.
//
// A stream without Follow is read up to the message that was its last one when
// the source was opened. Without a Consumer that is done with an ordered
// consumer, which leaves nothing behind on the server and acknowledges nothing.
// A Consumer is durable: its messages are acknowledged one by one when
// Acknowledge says that what was handed out is accounted for. A reader that is
// killed gets what it had not acknowledged again when the server's wait for it
// is over, 30 seconds where this package makes the consumer. What the server
// sends twice while the source still has it is passed over.
//
// A stream keeps what is not read yet, so nothing of it is dropped. Without a
// stream a message that finds no room here, because the reader is too slow, is
// gone: it is counted in Dropped, beside Records, one for each message. The
// publisher never waits. The other counters are those of package message, where
// Read stands for what was handed out. What a stream deletes before it is read
// is not noticed.
//
//	nats stream add SHADOW --subjects 'shadow.>' --defaults
//	nats pub shadow.orders "$(cat exchange.json)"
package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/message"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// Start says where reading of a stream begins.
type Start string

// The starts.
const (
	Earliest Start = "earliest" // the default
	Latest   Start = "latest"
)

// Config says what to read.
type Config struct {
	Name            string // of the source block; every exchange carries it
	URL             string // nats://host:4222, tls://host:4222; several with commas
	Stream          string // of JetStream; "": the subject itself, which needs Follow
	Subject         string // may have * and >; "": all of the stream
	Consumer        string // durable name; "": none is left behind
	Start           Start  // of a stream; a Consumer that exists goes on where it was
	Follow          bool   // go on after the end
	CredentialsFile string // as nsc writes it; may be empty

	Format message.Format
	Map    *jq.Value
}

const (
	patience = 10 * time.Second       // for an answer of the server
	idle     = 200 * time.Millisecond // without a message, before those that wait for a response are looked at
)

// Source reads a subject. It is used by one goroutine, except for Stop.
type Source struct {
	cfg     Config
	conn    *nats.Conn
	feed    feed
	decoder *message.Decoder
	ready   []message.Item
	pending []pending // of a durable consumer: taken, not acknowledged

	read int64
	log  source.Journal
	err  error // final

	stopped atomic.Bool
	running context.Context
	stop    context.CancelFunc
}

// feed is where messages come from. next waits for one until ctx ends; io.EOF
// says that there will be none.
type feed interface {
	next(ctx context.Context) (*delivery, error)
	counts(*source.Counts)
	close()
}

// delivery is one message.
type delivery struct {
	value   []byte
	subject string
	at      time.Time
	offset  int64
	ack     func() error // nil: nobody waits for one
}

// pending is a message that the server waits for an answer to.
type pending struct {
	offset  int64
	receipt *message.Receipt
	ack     func() error
}

var (
	_ source.Source       = (*Source)(nil)
	_ source.Live         = (*Source)(nil)
	_ source.Acknowledger = (*Source)(nil)
	_ source.Accountant   = (*Source)(nil)
	_ source.Warner       = (*Source)(nil)
	_ io.Closer           = (*Source)(nil)
)

// Open connects, and finds the stream and its end. It fails within some ten
// seconds where no server answers.
func Open(cfg Config) (*Source, error) {
	switch {
	case cfg.URL == "":
		return nil, errors.New("the url of a server is needed, as in nats://127.0.0.1:4222")
	case cfg.Stream == "" && cfg.Subject == "":
		return nil, errors.New("a stream or a subject is needed")
	case cfg.Stream == "" && !cfg.Follow:
		return nil, errors.New("a subject without a stream has no past: name its stream, or set follow")
	case cfg.Stream == "" && cfg.Consumer != "":
		return nil, errors.New("only a stream has consumers: name it")
	}
	decoder, err := message.NewDecoder(message.Config{Name: cfg.Name, Format: cfg.Format, Map: cfg.Map})
	if err != nil {
		return nil, err
	}
	opts := []nats.Option{nats.Name("shadowaudit"), nats.Timeout(patience / 2), nats.NoCallbacksAfterClientClose(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	if cfg.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredentialsFile))
	}
	conn, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("no server at %s could be asked; is the address right, and the credentials as the server wants them? %w", address(cfg.URL), err)
	}
	s := &Source{cfg: cfg, conn: conn, decoder: decoder}
	s.running, s.stop = context.WithCancel(context.Background())
	if cfg.Stream != "" {
		s.feed, err = openStream(s.running, conn, cfg)
	} else {
		s.feed, err = openSubject(conn, cfg.Subject)
	}
	if err != nil {
		s.stop()
		conn.Close()
		return nil, err
	}
	return s, nil
}

// address gives urls without user and password.
func address(urls string) string {
	var out []string
	for _, u := range strings.Split(urls, ",") {
		if parsed, err := url.Parse(strings.TrimSpace(u)); err == nil && parsed.Host != "" {
			out = append(out, parsed.Host)
			continue
		}
		out = append(out, u[strings.LastIndexByte(u, '@')+1:])
	}
	return strings.Join(out, ", ")
}

// Next returns the next exchange. It waits for one, with Follow for as long as
// it takes.
func (s *Source) Next(ctx context.Context) (*traffic.Exchange, error) {
	for {
		if s.err != nil && s.err != io.EOF {
			return nil, s.err
		}
		if len(s.ready) > 0 {
			it := s.ready[0]
			s.ready = s.ready[1:]
			it.Settle()
			s.read++
			return it.Exchange, nil
		}
		if s.err != nil {
			return nil, s.err
		}
		if err := s.take(ctx); err != nil {
			return nil, err
		}
	}
}

// take takes one message in, or looks after those that wait when none comes.
func (s *Source) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	defer context.AfterFunc(s.running, cancel)()
	d, err := s.feed.next(limited)
	switch {
	case err == io.EOF, err != nil && s.stopped.Load():
		s.add(s.decoder.Flush())
		s.err = io.EOF
		return nil
	case err != nil && limited.Err() != nil:
		if s.cfg.Follow {
			s.add(s.decoder.Expire(time.Now()))
		}
		return ctx.Err()
	case err != nil:
		s.err = fmt.Errorf("read from %s: %w", address(s.cfg.URL), err)
		return s.err
	}
	var receipt *message.Receipt
	if d.ack != nil {
		receipt = new(message.Receipt)
		s.pending = append(s.pending, pending{d.offset, receipt, d.ack})
	}
	s.add(s.decoder.Add(ctx, message.Message{Value: d.value, At: d.at, Offset: d.offset, Receipt: receipt}, d.at))
	s.add(s.decoder.Expire(d.at))
	return nil
}

func (s *Source) add(items []message.Item) {
	if s.cfg.Follow {
		now := time.Now()
		for _, it := range items {
			it.Exchange.Arrived = now
		}
	}
	s.ready = append(s.ready, items...)
}

// Acknowledge acknowledges the messages of a durable consumer that were handed
// out. Without one it does nothing. An error says that some were not: they will
// come again.
func (s *Source) Acknowledge(ctx context.Context) error {
	kept := s.pending[:0]
	var failed error
	for i, p := range s.pending {
		if !p.receipt.Settled() || failed != nil {
			kept = append(kept, s.pending[i])
			continue
		}
		if failed = p.ack(); failed != nil {
			kept = append(kept, s.pending[i])
		}
	}
	clear(s.pending[len(kept):])
	s.pending = kept
	if failed == nil && s.cfg.Consumer != "" {
		failed = s.conn.FlushWithContext(within(ctx))
	}
	if failed != nil {
		return fmt.Errorf("acknowledge to consumer %s: %w", s.cfg.Consumer, failed)
	}
	return nil
}

// Listening names the subject and the server.
func (s *Source) Listening() string {
	what := "subject " + s.cfg.Subject
	if s.cfg.Stream != "" {
		what = "stream " + s.cfg.Stream
	}
	return what + " at " + address(s.cfg.URL)
}

// Stop takes no more messages in: Next gives what has come, and io.EOF.
func (s *Source) Stop() {
	s.stopped.Store(true)
	s.stop()
}

// Counts returns the counters as they are now.
func (s *Source) Counts() source.Counts {
	c := s.decoder.Counts()
	c.Read = s.read
	s.feed.counts(&c)
	return c
}

// Warnings returns what was found wrong so far.
func (s *Source) Warnings() []source.Warning {
	ws := append(s.log.Warnings(), s.decoder.Warnings()...)
	return ws
}

// Close leaves the server; nothing is acknowledged by it.
func (s *Source) Close() error {
	s.stop()
	s.feed.close()
	s.conn.Close()
	s.err = errors.New("read after close")
	return nil
}
