package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// When a block ends.
const (
	blockSize = 1 << 20     // bytes of records
	blockAge  = time.Second // since its first exchange
)

// Writer writes a recording. It is safe for concurrent use. After an error of
// the disk it writes no more, and returns that error.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	seal    io.Closer // of CreateSealed: ends the encryption
	file    *os.File  // of Create
	zstd    *zstd.Encoder
	encoder encoder
	timer   *time.Timer
	age     time.Duration
	closed  bool
	err     error

	raw      []byte // records of the open block
	block    header
	sessions map[uint64]struct{}

	stored []byte
	offset int64
	index  []Block
}

// Create makes a file that only its owner may read, and that must not exist
// yet.
func Create(path string) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(f)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	w.file = f
	return w, nil
}

// NewWriter begins a recording on out.
func NewWriter(out io.Writer) (*Writer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(blockSize))
	if err != nil {
		return nil, fmt.Errorf("compress the recording: %w", err)
	}
	w := &Writer{out: out, zstd: z, age: blockAge, sessions: map[uint64]struct{}{}}
	w.put(appendFileHeader(nil))
	return w, w.err
}

// Describe says how the exchanges that follow come about. It is called before
// the first Write.
func (w *Writer) Describe(m Meta) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	w.flush()
	w.putBlock(header{kind: kindMeta}, m.append(nil))
	return w.err
}

// Write adds an exchange and keeps nothing of it. One that is larger than any
// block can be is ErrTooLarge, and the recording goes on without it.
func (w *Writer) Write(x *traffic.Exchange) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if size(x) > maxRaw {
		return ErrTooLarge
	}
	before := len(w.raw)
	w.raw = w.encoder.record(w.raw, x)
	if before > 0 && len(w.raw) > 8*blockSize { // a giant gets a block of its own
		giant := append([]byte(nil), w.raw[before:]...)
		w.raw = w.raw[:before]
		w.flush()
		w.raw = append(w.raw, giant...)
	}
	w.count(x)
	if len(w.raw) >= blockSize {
		w.flush()
	} else if w.block.count == 1 {
		w.startTimer()
	}
	return w.err
}

// size is not less than what x takes in a block.
func size(x *traffic.Exchange) int {
	n := 1024 + len(x.Source) + len(x.ID) + len(x.Session) + len(x.Timing.Kind)
	n += len(x.Request.Method) + len(x.Request.Target) + len(x.Request.Proto) + len(x.Request.Body.Bytes)
	headers := []traffic.Header{x.Request.Header, x.Request.Trailer}
	if r := x.Response; r != nil {
		n += len(r.Reason) + len(r.Proto) + len(r.Body.Bytes)
		headers = append(headers, r.Header, r.Trailer)
	}
	for _, h := range headers {
		for i := range h {
			n += len(h[i].Name) + len(h[i].Value) + 2*binary.MaxVarintLen32
		}
	}
	return n
}

// count brings the header of the open block up to date.
func (w *Writer) count(x *traffic.Exchange) {
	at := nanoseconds(x.At)
	if w.block.count == 0 {
		w.block.first, w.block.last = at, at
	}
	w.block.first, w.block.last = min(w.block.first, at), max(w.block.last, at)
	w.block.count++
	if x.Session != "" {
		w.sessions[hashSession(x.Session)] = struct{}{}
	}
}

// startTimer sees to it that a block is written although no exchange follows.
func (w *Writer) startTimer() {
	if w.timer == nil {
		w.timer = time.AfterFunc(w.age, func() { w.Flush() })
		return
	}
	w.timer.Reset(w.age)
}

// Flush writes what has been collected.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	w.flush()
	return w.err
}

var errClosed = errors.New("write after close")

func (w *Writer) usable() error {
	if w.err == nil && w.closed {
		return errClosed
	}
	return w.err
}

func (w *Writer) flush() {
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.block.count == 0 {
		return
	}
	b := Block{
		Offset: w.offset, Exchanges: int64(w.block.count),
		First: time.Unix(0, w.block.first).UTC(), Last: time.Unix(0, w.block.last).UTC(),
		sessions: newFilter(w.sessions),
	}
	w.block.kind = kindExchanges
	w.putBlock(w.block, w.raw)
	b.Size = w.offset - b.Offset
	w.index = append(w.index, b)
	w.block = header{}
	clear(w.sessions)
	if w.raw = w.raw[:0]; cap(w.raw) > 8*blockSize {
		w.raw = nil
	}
}

// putBlock writes a block in one piece, so that a process that is killed leaves
// at most one unfinished.
func (w *Writer) putBlock(h header, raw []byte) {
	w.stored = append(w.stored[:0], make([]byte, headerSize)...)
	h.raw, h.codec = uint32(len(raw)), codecZstd
	w.stored = w.zstd.EncodeAll(raw, w.stored)
	if len(w.stored)-headerSize >= len(raw) {
		h.codec = codecNone
		w.stored = append(w.stored[:headerSize], raw...)
	}
	h.stored = uint32(len(w.stored) - headerSize)
	h.crc = checksum(w.stored[headerSize:])
	h.append(w.stored[:0])
	w.put(w.stored)
	if cap(w.stored) > 8*blockSize {
		w.stored = nil
	}
}

func (w *Writer) put(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(b)
	w.offset += int64(n)
	w.err = err
}

// Close writes what has been collected, the index and the end, and closes the
// file that Create or CreateSealed made. The second time it does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.flush()
	w.closed = true
	w.end()
	err := errors.Join(w.err, w.zstd.Close())
	if w.seal != nil {
		err = errors.Join(err, w.seal.Close())
	}
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	return err
}

// end writes the index, unless it is larger than any block can be, and where it
// is.
func (w *Writer) end() {
	var raw []byte
	for i := range w.index {
		entry := w.index[i].append(nil)
		raw = append(binary.AppendUvarint(raw, uint64(len(entry))), entry...)
	}
	if len(raw) > maxRaw || w.err != nil {
		return
	}
	h := header{kind: kindIndex}
	for i, b := range w.index {
		first, last := nanoseconds(b.First), nanoseconds(b.Last)
		if i == 0 {
			h.first, h.last = first, last
		}
		h.first, h.last = min(h.first, first), max(h.last, last)
		h.count = uint32(min(int64(h.count)+b.Exchanges, math.MaxUint32))
	}
	at := w.offset
	w.putBlock(h, raw)
	h.kind, h.count = kindEnd, 0
	payload := binary.LittleEndian.AppendUint64(nil, uint64(at))
	h.raw, h.stored, h.crc = 8, 8, checksum(payload)
	w.put(append(h.append(nil), payload...))
}

// Size returns the number of bytes that were written so far, before encryption.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.offset
}
