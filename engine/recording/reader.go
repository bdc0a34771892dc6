package recording

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Reader reads a recording from its beginning, or from the beginning of one of
// its blocks. It is used by one goroutine.
type Reader struct {
	in   *bufio.Reader
	zstd *zstd.Decoder
	err  error // final

	offset int64 // of what has not been read
	at     int64 // of the block below
	stored []byte
	raw    []byte // its memory is kept
	rest   []byte // of raw: records to come
	left   int64  // how many
	closed bool   // the end block was the last one
	meta   *Meta  // of the exchanges to come; nil: unknown
}

// NewReader begins to read a recording. The error wraps ErrNotRecording or
// ErrNewer, or is that of in.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 256<<10)}
	start, err := r.in.Peek(fileHeaderSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if err := checkFileHeader(start); err != nil {
		return nil, err
	}
	r.discard(fileHeaderSize)
	if r.zstd, err = newDecoder(); err != nil {
		return nil, err
	}
	return r, nil
}

// Next returns the next exchange, which shares no memory with the reader. A
// *DamageError tells of a part that was passed over, and is not final; io.EOF
// and everything else are.
func (r *Reader) Next() (*traffic.Exchange, error) {
	for r.err == nil {
		if r.left > 0 {
			return r.record()
		}
		if err := r.block(); err != nil {
			return nil, err
		}
	}
	return nil, r.err
}

// record takes the next record of the block.
func (r *Reader) record() (*traffic.Exchange, error) {
	head, bodies, rest, ok := cutRecord(r.rest)
	if !ok {
		lost := r.left
		r.left = 0
		return nil, &DamageError{Offset: r.at, Exchanges: lost, Text: "the rest of the block does not follow the format, left out"}
	}
	r.rest = rest
	r.left--
	x, err := decodeRecord(head, bodies)
	if err != nil {
		return nil, &DamageError{Offset: r.at, Exchanges: 1, Text: err.Error()}
	}
	return x, nil
}

// block reads the next block, whatever its kind. An error that is final is in
// r.err as well.
func (r *Reader) block() error {
	start, err := r.in.Peek(headerSize)
	if err != nil && err != io.EOF {
		return r.fail(err)
	}
	if len(start) == 0 {
		return r.fail(io.EOF)
	}
	r.at = r.offset
	if h, ok := parseHeader(start); ok {
		r.discard(headerSize)
		return r.payload(h)
	}
	r.closed = false
	if err := checkFileHeader(start); err == nil {
		r.discard(fileHeaderSize)
		r.meta = nil // another recording, of which nothing is known yet
		return nil
	} else if err != ErrNotRecording {
		return r.fail(err)
	}
	if len(start) < headerSize {
		r.discard(len(start))
		return &DamageError{Offset: r.at, Cut: true, Text: "the last block is unfinished"}
	}
	if err := r.resync(); err != nil {
		return r.fail(err)
	}
	return &DamageError{Offset: r.at, Text: "damaged, left out up to the next block"}
}

// payload reads what follows the header of a block.
func (r *Reader) payload(h header) error {
	r.closed = h.kind == kindEnd
	if h.kind == kindMeta {
		r.meta = nil // whatever comes of it, the one before holds no longer
	}
	if h.kind != kindExchanges && h.kind != kindMeta {
		n, err := io.CopyN(io.Discard, r.in, int64(h.stored))
		return r.advance(n, err, h)
	}
	if err := r.fill(int(h.stored)); err != nil {
		return r.advance(int64(len(r.stored)), err, h)
	}
	r.offset += int64(h.stored)
	if checksum(r.stored) != h.crc {
		return &DamageError{Offset: r.at, Exchanges: int64(h.count), Text: "the block does not fit its checksum, left out"}
	}
	raw, err := decodePayload(r.zstd, h, r.stored, r.raw)
	r.raw = raw
	if err != nil {
		return &DamageError{Offset: r.at, Exchanges: int64(h.count), Text: err.Error() + ", left out"}
	}
	if h.kind == kindMeta {
		if r.meta, err = parseMeta(string(raw)); err != nil {
			return &DamageError{Offset: r.at, Text: err.Error()}
		}
		return nil
	}
	r.rest, r.left = raw, int64(h.count)
	return nil
}

// fill reads n bytes of a payload. A header can promise more than the file
// has, so that memory is only taken as it comes.
func (r *Reader) fill(n int) error {
	const step = 4 << 20
	r.stored = r.stored[:0]
	for len(r.stored) < n {
		more := min(n-len(r.stored), step)
		if cap(r.stored)-len(r.stored) < more {
			r.stored = append(make([]byte, 0, min(n, 2*cap(r.stored)+step)), r.stored...)
			more = min(n-len(r.stored), cap(r.stored)-len(r.stored))
		}
		from := len(r.stored)
		got, err := io.ReadFull(r.in, r.stored[from:from+more])
		r.stored = r.stored[:from+got]
		if err != nil {
			return err
		}
	}
	return nil
}

// advance accounts for the end of a payload that was passed over or is cut.
func (r *Reader) advance(n int64, err error, h header) error {
	r.offset += n
	switch err {
	case nil:
		return nil
	case io.EOF, io.ErrUnexpectedEOF:
		r.closed = false
		d := &DamageError{Offset: r.at, Cut: true, Text: "the last block is unfinished"}
		if h.kind == kindExchanges {
			d.Exchanges = int64(h.count)
		}
		return d
	}
	return r.fail(err)
}

// resync passes over bytes up to the next header of a block or of a file, or to
// the end.
func (r *Reader) resync() error {
	r.discard(1)
	for {
		window, err := r.in.Peek(r.in.Size())
		if err != nil && err != io.EOF {
			return err
		}
		for from := 0; ; {
			i := next(window[from:])
			if i < 0 {
				break
			}
			from += i
			if _, ok := parseHeader(window[from:]); ok || checkFileHeader(window[from:]) == nil {
				r.discard(from)
				return nil
			}
			if len(window)-from < headerSize && err == nil { // its end is not here yet
				break
			}
			from++
		}
		if err == io.EOF {
			r.discard(len(window))
			return nil
		}
		r.discard(len(window) - headerSize + 1)
	}
}

// next finds the first bytes that could begin a header.
func next(b []byte) int {
	i, j := bytes.Index(b, []byte(blockMagic)), bytes.Index(b, []byte(magic))
	if i < 0 || j >= 0 && j < i {
		return j
	}
	return i
}

func (r *Reader) discard(n int) {
	n, _ = r.in.Discard(n)
	r.offset += int64(n)
}

func (r *Reader) fail(err error) error {
	r.err = err
	return err
}

// Meta returns what the recording says of the last exchange, or before the first
// one, of those to come; nil where it says nothing.
func (r *Reader) Meta() *Meta { return r.meta }

// Describe reads ahead to the first exchange, so that Meta knows what the
// recording says of it. Damage on the way is left to Next.
func (r *Reader) Describe() error {
	start, err := r.in.Peek(headerSize)
	if err != nil && err != io.EOF {
		return err
	}
	h, ok := parseHeader(start)
	if !ok || h.kind != kindMeta {
		return nil
	}
	whole, err := r.in.Peek(headerSize + int(min(h.stored, maxMeta)))
	if err != nil && err != io.EOF {
		return err
	}
	if len(whole) < headerSize+int(h.stored) || checksum(whole[headerSize:]) != h.crc {
		return nil
	}
	if raw, err := decodePayload(r.zstd, h, whole[headerSize:], nil); err == nil {
		r.meta, _ = parseMeta(string(raw))
	}
	return nil
}

// maxMeta is the largest meta block that Describe looks into, in bytes.
const maxMeta = 64 << 10

// Offset returns where the block of the last exchange begins, in bytes.
func (r *Reader) Offset() int64 { return r.at }

// Closed reports, once Next has returned io.EOF, whether the file ended as it
// does when its writer was closed.
func (r *Reader) Closed() bool { return r.closed }

// Close frees what decoding needs. It does not close what is read from.
func (r *Reader) Close() error {
	r.zstd.Close()
	r.err, r.left = errors.New("read after close"), 0
	return nil
}
