// Package kafka reads the messages of a Kafka topic. Package message says what
// may stand in one; exchanges go out in the order of time, as nearly as a
// window of them allows.
//
// Partitions are assigned directly: no consumer group is joined, and nobody
// else's messages are taken away. Without Follow the end of every partition is
// looked up first, and reading stops there. Partitions are merged by the time
// of their messages: as long as one of them lags, the others wait, so that
// nothing is held but what the client has fetched ahead. Kafka keeps what is
// not read yet, so nothing is ever dropped, however slow the reader is.
//
// A Group is only a name under which positions are kept. Acknowledge writes
// those up to which everything was handed out; a reader that is killed begins
// there again, so that every message is handed out at least once, and again
// only those that came after the last Acknowledge. A group that has members is
// refused by Kafka: the positions of a running consumer cannot be overwritten.
//
// The counters are those of package message, where Read stands for what was
// handed out. Gaps counts partitions' stretches that retention had deleted
// before they could be read.
//
//	kcat -P -b 127.0.0.1:9092 -t shadow -k user-81 exchange.json
//
// A partition that is added while the source is open is not read. Messages of
// transactions that were aborted are not handed out.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/message"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// Start says where reading begins where no position is kept.
type Start string

// The starts.
const (
	Earliest Start = "earliest" // the default
	Latest   Start = "latest"
)

// Mechanism says how User and Password are proved.
type Mechanism string

// The mechanisms.
const (
	Plain       Mechanism = "plain" // the default
	ScramSHA256 Mechanism = "scram_sha_256"
	ScramSHA512 Mechanism = "scram_sha_512"
)

// Config says what to read.
type Config struct {
	Name    string   // of the source block; every exchange carries it
	Brokers []string // host:port; one that answers is enough
	Topic   string
	Group   string // under which positions are kept; "": nowhere
	Start   Start
	Follow  bool // go on after the end

	Format message.Format
	Map    *jq.Value

	TLS            bool // with the certificates that the system trusts
	User, Password string
	Mechanism      Mechanism
}

const (
	patience = 10 * time.Second       // for an answer of the brokers
	idle     = 200 * time.Millisecond // without a message, before those that wait for an earlier one leave
	ordered  = 1024                   // exchanges that are held to put them in order
)

// Source reads a topic. It is used by one goroutine, except for Stop.
type Source struct {
	cfg     Config
	client  *kgo.Client
	brokers string // for errors
	topicID [16]byte

	partitions []*partition // in the order of their number
	decoder    *message.Decoder
	order      source.Order
	items      map[*traffic.Exchange]message.Item // those in order
	flushed    bool
	quiet      bool // nothing came for a while: what is in order may leave

	read int64
	gaps int64
	log  source.Journal
	err  error // final

	stopped atomic.Bool
	stop    context.CancelFunc
	running context.Context
}

var (
	_ source.Source       = (*Source)(nil)
	_ source.Live         = (*Source)(nil)
	_ source.Acknowledger = (*Source)(nil)
	_ source.Accountant   = (*Source)(nil)
	_ source.Warner       = (*Source)(nil)
	_ io.Closer           = (*Source)(nil)
)

// Open asks the brokers where the topic begins and ends. It fails within some
// ten seconds where none of them answers, and where the topic does not exist.
func Open(cfg Config) (*Source, error) {
	if len(cfg.Brokers) == 0 || cfg.Topic == "" {
		return nil, errors.New("a broker and a topic are needed")
	}
	decoder, err := message.NewDecoder(message.Config{Name: cfg.Name, Format: cfg.Format, Map: cfg.Map})
	if err != nil {
		return nil, err
	}
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	s := &Source{
		cfg: cfg, client: client, decoder: decoder, brokers: strings.Join(cfg.Brokers, ", "),
		order: source.Order{Exchanges: ordered, Bytes: 64 << 20},
		items: make(map[*traffic.Exchange]message.Item),
	}
	s.running, s.stop = context.WithCancel(context.Background())
	if err := s.begin(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func options(cfg Config) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID("shadowaudit"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last record before the end may be one
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(16 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.MaxConcurrentFetches(4),
		kgo.FetchMaxWait(idle),
		kgo.DialTimeout(patience / 2),
		kgo.RetryTimeout(patience),
	}
	if cfg.TLS {
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if cfg.User == "" {
		return opts, nil
	}
	var m sasl.Mechanism
	switch cfg.Mechanism {
	case "", Plain:
		m = plain.Auth{User: cfg.User, Pass: cfg.Password}.AsMechanism()
	case ScramSHA256:
		m = scram.Auth{User: cfg.User, Pass: cfg.Password}.AsSha256Mechanism()
	case ScramSHA512:
		m = scram.Auth{User: cfg.User, Pass: cfg.Password}.AsSha512Mechanism()
	default:
		return nil, errors.New("there is no such mechanism: it is plain, scram_sha_256 or scram_sha_512")
	}
	return append(opts, kgo.SASL(m)), nil
}

// Next returns the next exchange. It waits for one, with Follow for as long as
// it takes.
func (s *Source) Next(ctx context.Context) (*traffic.Exchange, error) {
	for {
		if s.err != nil && s.err != io.EOF {
			return nil, s.err
		}
		if x := s.leave(); x != nil {
			return x, nil
		}
		if s.err != nil {
			return nil, s.err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch p, waiting := s.first(); {
		case p != nil:
			s.take(ctx, p)
		case waiting && !s.stopped.Load():
			if err := s.poll(ctx); err != nil {
				return nil, err
			}
		default:
			s.add(s.decoder.Flush())
			s.flushed, s.err = true, io.EOF
		}
	}
}

// leave takes out the first exchange, if no earlier one is to be expected.
func (s *Source) leave() *traffic.Exchange {
	if !s.flushed && !s.quiet && !s.order.Full() {
		return nil
	}
	x := s.order.Next()
	if x == nil {
		s.quiet = false
		return nil
	}
	it := s.items[x]
	delete(s.items, x)
	it.Settle()
	s.read++
	return x
}

// first picks the partition whose message is the earliest, nil where one that
// is to be waited for has none here. waiting says that more are to come.
func (s *Source) first() (best *partition, waiting bool) {
	missing := false
	for _, p := range s.partitions {
		switch {
		case len(p.records) == 0:
			waiting = waiting || s.cfg.Follow || !p.ended()
			missing = missing || !p.ended()
		case best == nil || cmp.Compare(p.time(), best.time()) < 0:
			best = p
		}
	}
	if missing && !s.stopped.Load() {
		return nil, true
	}
	return best, waiting
}

// take decodes the first message of a partition.
func (s *Source) take(ctx context.Context, p *partition) {
	r := p.records[0]
	p.records[0] = nil
	p.records = p.records[1:]
	if len(p.records) == 0 || !p.full() {
		s.resume(p)
	}
	if r.Attrs.IsControl() {
		p.receive(r.Offset, nil)
		return
	}
	receipt := new(message.Receipt)
	s.add(s.decoder.Add(ctx, message.Message{
		Value: r.Value, Key: string(r.Key), At: r.Timestamp, Offset: r.Offset, Receipt: receipt,
	}, r.Timestamp))
	s.add(s.decoder.Expire(r.Timestamp))
	p.receive(r.Offset, receipt)
}

func (s *Source) add(items []message.Item) {
	for _, it := range items {
		if s.cfg.Follow {
			it.Exchange.Arrived = time.Now()
		}
		s.items[it.Exchange] = it
		s.order.Add(it.Exchange, source.SizeOf(it.Exchange))
	}
}

// Listening names the topic and the brokers.
func (s *Source) Listening() string { return fmt.Sprintf("topic %s at %s", s.cfg.Topic, s.brokers) }

// Stop takes no more messages in: Next gives what was fetched, and io.EOF.
func (s *Source) Stop() {
	s.stopped.Store(true)
	s.stop()
}

// Counts returns the counters as they are now.
func (s *Source) Counts() source.Counts {
	c := s.decoder.Counts()
	c.Read, c.Gaps = s.read, s.gaps
	if s.cfg.Format != message.Gor {
		c.Paired = 0
	}
	return c
}

// Warnings returns what was found wrong so far.
func (s *Source) Warnings() []source.Warning {
	ws := append(s.log.Warnings(), s.decoder.Warnings()...)
	if n := s.order.Late(); n > 0 {
		ws = append(ws, source.Warning{Offset: -1, Text: fmt.Sprintf("%d requests are so far out of order that they were handed out after later ones", n)})
	}
	return ws
}

// Close leaves the brokers; nothing is acknowledged by it.
func (s *Source) Close() error {
	s.stop()
	s.client.Close()
	s.err = errors.New("read after close")
	return nil
}
