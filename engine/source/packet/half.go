package packet

import (
	"slices"
)

// half is one direction of a connection: first the bytes in their order, then
// the messages in them; see messages.go.
type half struct {
	conn *conn

	// Of TCP.
	started bool
	next    uint32 // sequence number of the next byte
	queue   []piece
	queued  int    // bytes of the queue
	acked   uint32 // what the other side says it has
	acks    bool   // acked is known
	holeAt  int64  // when it was seen that bytes are missing; 0: none are
	waited  int    // packets since then
	fin     bool
	finSeq  uint32

	reading
}

// piece is a segment's data that came before their turn.
type piece struct {
	seq    uint32
	ack    uint32
	data   []byte
	size   int // on the wire, in bytes
	at     int64
	offset int64
}

// A hole that the receiver has acknowledged will not be filled, unless the
// capture has packets out of order. So it is left open for a while.
const (
	holePackets = 64  // of the connection
	holeTime    = 1e9 // nanoseconds
)

// distance is how far b is behind a, in a sequence space that wraps.
func distance(a, b uint32) int { return int(int32(b - a)) }

// take takes in a segment of this direction.
func (h *half) take(s *segment, at, offset int64) {
	seq := s.seq
	if s.syn {
		seq++
	}
	if !h.started {
		if !s.syn && s.size == 0 && !s.fin {
			return
		}
		h.started, h.next = true, seq
		h.synced = s.syn // else in the middle of something
	}
	if s.fin && !h.fin {
		h.fin, h.finSeq = true, seq+uint32(s.size)
	}
	if s.size > 0 {
		p := piece{seq, s.ack, s.data, s.size, at, offset}
		switch d := distance(h.next, seq); {
		case d <= 0:
			h.deliver(p)
			h.drain()
		case d <= maxQueue:
			h.enqueue(p)
		}
	}
	h.end(at, offset)
}

func (h *half) enqueue(p piece) {
	i := len(h.queue)
	for i > 0 && distance(h.queue[i-1].seq, p.seq) < 0 {
		i--
	}
	if i > 0 && h.queue[i-1].seq == p.seq && len(h.queue[i-1].data) >= len(p.data) {
		return
	}
	p.data = slices.Clone(p.data)
	h.queue = slices.Insert(h.queue, i, p)
	h.queued += len(p.data) + overhead/8
	h.conn.hold(len(p.data) + overhead/8)
}

// drain delivers the pieces whose turn it is.
func (h *half) drain() {
	n := 0
	for n < len(h.queue) && distance(h.next, h.queue[n].seq) <= 0 {
		p := h.queue[n]
		h.queue[n] = piece{}
		n++
		h.queued -= len(p.data) + overhead/8
		h.conn.hold(-len(p.data) - overhead/8)
		h.deliver(p)
	}
	if n > 0 {
		h.queue = slices.Delete(h.queue, 0, n)
	}
}

// deliver hands on what is new in a piece that does not begin behind the next
// byte.
func (h *half) deliver(p piece) {
	old := distance(p.seq, h.next)
	if old < 0 || old >= p.size {
		return
	}
	data := p.data[min(old, len(p.data)):]
	lost := p.size - old - len(data)
	h.holeAt = 0
	seq := h.next
	h.next += uint32(len(data) + lost)
	if len(data) > 0 {
		h.push(event{data: data, seq: seq, ack: p.ack, at: p.at, offset: p.offset})
	}
	if lost > 0 {
		h.push(event{lost: int64(lost), at: p.at, offset: p.offset})
	}
}

// check gives up bytes that will not come any more.
func (h *half) check(at, offset int64) {
	if !h.started || !h.missing() {
		h.holeAt = 0
		return
	}
	if h.holeAt == 0 {
		h.holeAt, h.waited = at, 0
		return
	}
	h.waited++
	if h.waited >= holePackets || at-h.holeAt >= holeTime || h.queued > maxQueue {
		h.skip(at, offset)
		h.end(at, offset)
	}
}

// missing reports whether the other side has bytes that the capture has not.
// One byte more may be the end of the connection, which has a number too.
func (h *half) missing() bool {
	if h.queued > maxQueue {
		return true
	}
	if !h.acks {
		return false
	}
	n := distance(h.next, h.acked)
	if h.fin {
		n = min(n, distance(h.next, h.finSeq))
	}
	return n > 1 || n == 1 && (h.fin || len(h.queue) > 0)
}

// behind reports whether bytes are known of that are not read yet.
func (h *half) behind() bool {
	return h.started && !h.ended && (len(h.queue) > 0 || h.missing())
}

// skip goes on behind a hole.
func (h *half) skip(at, offset int64) {
	to := h.acked
	if len(h.queue) > 0 {
		to = h.queue[0].seq
	} else if h.fin && distance(h.finSeq, to) > 0 {
		to = h.finSeq
	}
	h.holeAt = 0
	if n := distance(h.next, to); n > 0 {
		h.next = to
		h.push(event{lost: int64(n), at: at, offset: offset})
	}
	h.drain()
}

// end hands on the end of the direction, when all before it has come.
func (h *half) end(at, offset int64) {
	if h.fin && h.started && !h.ended && len(h.queue) == 0 && distance(h.next, h.finSeq) <= 0 {
		h.push(event{end: closed, at: at, offset: offset})
	}
}

// finish hands on what has come, with what is missing, and the end.
func (h *half) finish(at int64) {
	for len(h.queue) > 0 {
		h.skip(at, h.queue[0].offset)
	}
	if h.started && h.missing() {
		h.skip(at, h.offset)
	}
	h.end(at, h.offset)
	if !h.ended {
		h.push(event{end: broken, at: at, offset: h.offset})
	}
}
