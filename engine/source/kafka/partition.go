package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/shadowaudit/shadowaudit/engine/source/message"
)

// fetched is how many messages of a partition are held before it is paused.
const fetched = 4096

// partition is one partition of the topic, with the messages that were fetched
// and those that are not fully handed out.
type partition struct {
	number  int32
	next    int64 // offset of the next message to come
	end     int64 // as it was last heard of; without Follow it stays as it was at first
	records []*kgo.Record
	paused  bool

	pending  []pending // taken, in their order
	settled  int64     // all before it are accounted for
	accepted int64     // what Kafka knows of that
}

// pending is a message that was taken.
type pending struct {
	offset  int64
	receipt *message.Receipt // nil: nothing comes of it
}

// ended reports whether nothing more is to be waited for.
func (p *partition) ended() bool { return p.next >= p.end }

func (p *partition) full() bool { return len(p.records) >= fetched }

// time is that of the first message, by the clock of the bus.
func (p *partition) time() int64 { return p.records[0].Timestamp.UnixNano() }

// receive notes that a message was taken.
func (p *partition) receive(offset int64, r *message.Receipt) {
	p.pending = append(p.pending, pending{offset, r})
	if len(p.pending)%fetched == 0 {
		p.settle()
	}
}

// settle moves the position over all that is accounted for.
func (p *partition) settle() int64 {
	n := 0
	for n < len(p.pending) && (p.pending[n].receipt == nil || p.pending[n].receipt.Settled()) {
		p.settled = p.pending[n].offset + 1
		n++
	}
	p.pending = append(p.pending[:0], p.pending[n:]...)
	return p.settled
}
