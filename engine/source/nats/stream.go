package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowaudit/shadowaudit/engine/source"
)

// stream reads a stream of JetStream.
type stream struct {
	messages jetstream.MessagesContext
	follow   bool
	durable  bool

	left uint64          // messages that are to come before the end; unused with follow
	last uint64          // sequence of the last one that belongs to the audit; unused with follow
	held map[uint64]bool // of a durable consumer: taken, not acknowledged
}

func openStream(ctx context.Context, conn *nats.Conn, cfg Config) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	in, err := js.Stream(ctx, cfg.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s at %s: %w", cfg.Stream, address(cfg.URL), err)
	}
	consumer, err := consume(ctx, in, cfg)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Stream, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Stream, err)
	}
	state, err := in.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Stream, err)
	}
	s := &stream{
		follow: cfg.Follow, durable: cfg.Consumer != "", held: make(map[uint64]bool),
		left: info.NumPending + uint64(info.NumAckPending), last: state.State.LastSeq,
	}
	if s.messages, err = consumer.Messages(jetstream.PullMaxMessages(512)); err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Stream, err)
	}
	return s, nil
}

// consume makes the consumer, or takes up the durable one that exists.
func consume(ctx context.Context, in jetstream.Stream, cfg Config) (jetstream.Consumer, error) {
	policy := jetstream.DeliverAllPolicy
	if cfg.Start == Latest {
		policy = jetstream.DeliverNewPolicy
	}
	if cfg.Consumer == "" {
		ordered := jetstream.OrderedConsumerConfig{DeliverPolicy: policy}
		if cfg.Subject != "" {
			ordered.FilterSubjects = []string{cfg.Subject}
		}
		return in.OrderedConsumer(ctx, ordered)
	}
	c, err := in.Consumer(ctx, cfg.Consumer)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		if err == nil && c.CachedInfo().Config.AckPolicy != jetstream.AckExplicitPolicy {
			err = fmt.Errorf("consumer %s does not acknowledge explicitly: take another name, and one is made", cfg.Consumer)
		}
		return c, err
	}
	return in.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       cfg.Consumer,
		Description:   "shadowaudit",
		DeliverPolicy: policy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
		MaxAckPending: -1, // a reader acknowledges when it likes
		FilterSubject: cfg.Subject,
	})
}

func (s *stream) next(ctx context.Context) (*delivery, error) {
	for {
		if !s.follow && s.left == 0 {
			return nil, io.EOF
		}
		m, err := s.messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		if d := s.accept(m, meta); d != nil {
			return d, nil
		}
	}
}

// accept returns nil for what is here already, or does not belong to the audit.
func (s *stream) accept(m jetstream.Msg, meta *jetstream.MsgMetadata) *delivery {
	seq := meta.Sequence.Stream
	if s.durable && s.held[seq] {
		_ = m.InProgress() // it was late, not lost
		return nil
	}
	if !s.follow {
		if seq > s.last {
			if !s.durable { // one that is durable may still give older ones again
				s.left = 0
			}
			return nil
		}
		s.left--
		if meta.NumPending == 0 && !s.durable {
			s.left = 0
		}
	}
	d := &delivery{value: slices.Clone(m.Data()), subject: m.Subject(), at: meta.Timestamp, offset: int64(seq)}
	if s.durable {
		s.held[seq] = true
		d.ack = func() error {
			if err := m.Ack(); err != nil {
				return err
			}
			delete(s.held, seq)
			return nil
		}
	}
	return d
}

func (s *stream) counts(*source.Counts) {}

func (s *stream) close() { s.messages.Stop() }

// within gives ctx an end where it has none, as flushing wants it.
func within(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return ctx
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	context.AfterFunc(limited, cancel)
	return limited
}
