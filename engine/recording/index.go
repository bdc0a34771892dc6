package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Block says what is in one block of a recording.
type Block struct {
	Offset    int64 // in the file, in bytes
	Size      int64 // its header included
	Exchanges int64
	First     time.Time // of its exchanges
	Last      time.Time
	sessions  filter
}

// May reports whether the block may have exchanges of a session. Where it says
// no, there are none.
func (b *Block) May(session string) bool { return b.sessions.has(hashSession(session)) }

// Keys of an entry of the index.
const (
	keyAt       = 1 << 1
	keyBytes    = 2 << 1
	keyCount    = 3 << 1
	keyFirst    = 4 << 1
	keyLast     = 5 << 1
	keySessions = 6<<1 | 1
)

func (b *Block) append(e []byte) []byte {
	e = appendUint(e, keyAt, uint64(b.Offset))
	e = appendUint(e, keyBytes, uint64(b.Size))
	e = appendUint(e, keyCount, uint64(b.Exchanges))
	e = appendInt(e, keyFirst, nanoseconds(b.First))
	e = appendInt(e, keyLast, nanoseconds(b.Last))
	if len(b.sessions) > 0 {
		e = appendBytes(e, keySessions, b.sessions)
	}
	return e
}

// ErrNoIndex is a recording that was not closed properly, or was joined from
// several: it is to be read from its beginning.
var ErrNoIndex = errors.New("the recording has no index")

// ReadIndex returns the blocks of a recording of the given size, in their
// order, from the index at its end.
func ReadIndex(r io.ReaderAt, size int64) ([]Block, error) {
	if size < fileHeaderSize+headerSize+endSize {
		return nil, ErrNoIndex
	}
	var end [endSize]byte
	if _, err := r.ReadAt(end[:], size-endSize); err != nil && err != io.EOF {
		return nil, err
	}
	h, ok := parseHeader(end[:])
	if !ok || h.kind != kindEnd || h.crc != checksum(end[headerSize:]) {
		return nil, ErrNoIndex
	}
	at := int64(binary.LittleEndian.Uint64(end[headerSize:]))
	if at < fileHeaderSize || at > size-endSize-headerSize {
		return nil, ErrNoIndex
	}
	block := make([]byte, size-endSize-at)
	if _, err := r.ReadAt(block, at); err != nil && err != io.EOF {
		return nil, err
	}
	h, ok = parseHeader(block)
	if !ok || h.kind != kindIndex || int(h.stored) != len(block)-headerSize || h.crc != checksum(block[headerSize:]) {
		return nil, ErrNoIndex
	}
	z, err := newDecoder()
	if err != nil {
		return nil, err
	}
	defer z.Close()
	raw, err := decodePayload(z, h, block[headerSize:], nil)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return parseIndex(string(raw), at)
}

// parseIndex reads the entries; all blocks are before limit.
func parseIndex(s string, limit int64) ([]Block, error) {
	var blocks []Block
	for s != "" {
		entry, rest, ok := cutText(s)
		if !ok {
			return nil, ErrNoIndex
		}
		s = rest
		var b Block
		for entry != "" {
			key, num, text, next, ok := cutField(entry)
			if !ok {
				return nil, ErrNoIndex
			}
			entry = next
			switch key {
			case keyAt:
				b.Offset = int64(num)
			case keyBytes:
				b.Size = int64(num)
			case keyCount:
				b.Exchanges = int64(num)
			case keyFirst:
				b.First = time.Unix(0, unzigzag(num)).UTC()
			case keyLast:
				b.Last = time.Unix(0, unzigzag(num)).UTC()
			case keySessions:
				b.sessions = filter(text)
			}
		}
		if b.Offset < fileHeaderSize || b.Offset > limit || b.Size < headerSize || b.Size > limit-b.Offset {
			return nil, ErrNoIndex
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// filter is a Bloom filter.
type filter []byte

const (
	filterProbes = 4
	minFilter    = 8    // bytes
	maxFilter    = 1024 // bytes; with a thousand sessions one in 40 is there by mistake
)

// newFilter makes a filter of the hashes: with at least a byte for each, as far
// as there is room.
func newFilter(hashes map[uint64]struct{}) filter {
	if len(hashes) == 0 {
		return nil
	}
	n := minFilter
	for n < len(hashes) && n < maxFilter {
		n *= 2
	}
	f := make(filter, n)
	for h := range hashes {
		for i := range uint64(filterProbes) {
			bit := f.bit(h, i)
			f[bit/8] |= 1 << (bit % 8)
		}
	}
	return f
}

func (f filter) bit(h, i uint64) uint64 { return (h&0xffffffff + i*(h>>32|1)) % uint64(8*len(f)) }

func (f filter) has(h uint64) bool {
	if len(f) == 0 {
		return false
	}
	for i := range uint64(filterProbes) {
		if bit := f.bit(h, i); f[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

func hashSession(session string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, session)
	f := h.Sum64()
	g := (f ^ f>>32) * 0x9e3779b97f4a7c15 // FNV alone spreads short names badly
	return g ^ g>>32
}

// newDecoder makes a decoder that no frame can lead into more memory than a
// block may have.
func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderLowmem(true))
}

var errPayload = errors.New("the block cannot be decoded")

// decodePayload undoes the codec, into the memory of buf where that is enough.
func decodePayload(z *zstd.Decoder, h header, stored, buf []byte) ([]byte, error) {
	switch h.codec {
	case codecNone:
		buf = append(buf[:0], stored...)
	case codecZstd:
		var err error
		if buf, err = z.DecodeAll(stored, buf[:0]); err != nil {
			return buf[:0], errPayload
		}
	default:
		return buf[:0], errPayload
	}
	if uint32(len(buf)) != h.raw {
		return buf[:0], errPayload
	}
	return buf, nil
}
