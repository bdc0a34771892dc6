package nats

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shadowaudit/shadowaudit/engine/source"
)

// What is held of a subject while the reader is slow.
const (
	roomMessages = 16 << 10
	roomBytes    = 128 << 20
)

// subject reads what is published while it listens.
type subject struct {
	sub *nats.Subscription
	n   int64
	// The client forgets how many it dropped when the subscription ends.
	dropped atomic.Int64
}

func openSubject(conn *nats.Conn, name string) (*subject, error) {
	sub, err := conn.SubscribeSync(name)
	if err != nil {
		return nil, fmt.Errorf("subject %s: %w", name, err)
	}
	if err := sub.SetPendingLimits(roomMessages, roomBytes); err != nil {
		return nil, fmt.Errorf("subject %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.FlushWithContext(ctx); err != nil { // the server knows of it when this returns
		return nil, fmt.Errorf("subject %s: %w", name, err)
	}
	return &subject{sub: sub}, nil
}

func (s *subject) next(ctx context.Context) (*delivery, error) {
	for {
		m, err := s.sub.NextMsgWithContext(ctx)
		if err == nats.ErrSlowConsumer { // said once for each time that messages were dropped
			continue
		}
		if err != nil {
			return nil, err
		}
		s.n++
		return &delivery{value: m.Data, subject: m.Subject, at: time.Now(), offset: s.n}, nil
	}
}

func (s *subject) counts(c *source.Counts) {
	if n, err := s.sub.Dropped(); err == nil {
		s.dropped.Store(int64(n))
	}
	c.Dropped = s.dropped.Load()
}

func (s *subject) close() {
	s.counts(new(source.Counts))
	_ = s.sub.Unsubscribe()
}
