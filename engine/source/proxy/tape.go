package proxy

import (
	"crypto/sha256"
	"hash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// room is what all bodies that are being recorded may take in memory together,
// in bytes.
type room struct {
	size  int64
	taken atomic.Int64
}

// take asks for n bytes more.
func (r *room) take(n int) bool {
	if r.taken.Add(int64(n)) > r.size {
		r.taken.Add(-int64(n))
		return false
	}
	return true
}

// give returns n bytes.
func (r *room) give(n int64) { r.taken.Add(-n) }

// tape records a body as it passes. The body may still be read by others when
// somebody looks at what was recorded.
type tape struct {
	room *room

	mu      sync.Mutex
	buf     []byte
	size    int64     // of what has passed, in bytes
	sum     hash.Hash // of what has passed; nil while all of it is in buf
	at      time.Time // when something passed last
	ended   bool      // all of it has passed
	crowded bool      // there was no room for it
}

// add takes in what has passed.
func (t *tape) add(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size += int64(len(p))
	t.at = time.Now()
	switch {
	case t.crowded:
	case t.sum != nil:
		t.sum.Write(p)
	case int64(len(t.buf)+len(p)) > http1.DefaultLimits.Body:
		t.sum = sha256.New()
		t.sum.Write(t.buf)
		t.sum.Write(p)
	case !t.room.take(len(p)):
		t.crowded = true
	default:
		t.buf = append(t.buf, p...)
	}
}

// last is when something of the body passed last.
func (t *tape) last() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// end notes that all of the body has passed.
func (t *tape) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// body is what was recorded. length is what the message announced, -1 where it
// did not: a body is whole too when so much has passed and nobody looked for
// its end. crowded tells that it is not there for want of room.
func (t *tape) body(length int64) (b traffic.Body, crowded bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.Bytes = t.buf
	switch {
	case !t.ended && t.size != length:
		b.State = traffic.Truncated
	case t.sum != nil:
		b.State, b.Size = traffic.Oversized, t.size
		t.sum.Sum(b.SHA256[:0])
	}
	return b, t.crowded
}

// settle gives the room back.
func (t *tape) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room.give(int64(len(t.buf)))
	t.buf, t.crowded = nil, true
}

// taped is a body that is recorded while it is read.
type taped struct {
	io.ReadCloser
	tape *tape
	done func() // called at its end, once
}

// Read reads on.
func (b *taped) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.tape.add(p[:n])
	}
	if err == io.EOF {
		b.tape.end()
		if b.done != nil {
			b.done()
			b.done = nil
		}
	}
	return n, err
}
