// Package recording is our own format for recorded traffic. Exchanges go in one
// at a time and come out the same: header fields in their order, case and
// repetition, bodies with their content coding and their state, times to the
// nanosecond. Files end in ".sar" by convention.
//
// # Why another format
//
// HAR is one JSON document: it can be neither appended to nor read in part, has
// milliseconds, turns binary bodies into base64 and cannot say that a body is
// cut. WARC has whole messages, but no pairs but by reference, no connections,
// no durations, and one gzip member for each record, which compresses a hundred
// similar small messages badly and is read at the speed of gzip. A .gor file
// has no lengths, no checksums and no escaping, so that a body can end its own
// record, and it has no index. NDJSON has the cost of JSON and base64 for each
// exchange and nothing to tell damage by. A stream of protobuf messages comes
// nearest, and its framing inside of a block is nearly what stands below; but
// it leaves blocks, checksums, compression and the index to be invented, and
// its decoders allocate for each header field. This format is what was missing,
// around records that a decoder can read without copying more than once.
//
// # The file
//
// Fixed integers are little-endian. uvarint is the base-128 integer of protobuf
// (7 bits a byte, the lowest first), varint the same after zigzag: 0, -1, 1, -2
// are 0, 1, 2, 3. CRC is CRC-32C (Castagnoli). A file is a file header and then
// blocks until its end. Files that were closed may be joined with cat: a file
// header is allowed wherever a block may begin.
//
// File header, 16 bytes:
//
//	 0  8  89 53 41 52 0d 0a 1a 0a, which is "\x89SAR\r\n\x1a\n"
//	 8  2  major version, 1: a reader refuses one that it does not know
//	10  2  minor version, 0: a reader ignores it
//	12  4  CRC of the 12 bytes before
//
// Block, 48 bytes and a payload:
//
//	 0  4  53 41 42 6b, "SABk"
//	 4  1  kind: 1 exchanges, 2 index, 3 end, 4 meta; others are passed over
//	 5  1  codec of the payload: 0 none, 1 one zstd frame (RFC 8878)
//	 6  2  zero
//	 8  4  size of the payload when decoded, at most 256 MiB
//	12  4  size of the payload as stored, at most 257 MiB
//	16  4  number of exchanges in the block
//	20  4  CRC of the payload as stored
//	24  8  time of the earliest exchange, nanoseconds since 1970, signed
//	32  8  time of the latest one
//	40  4  zero
//	44  4  CRC of the 44 bytes before
//
// A writer ends a block when it has 1 MiB or is a second old, and writes it at
// once: when it is killed, the block that was not written yet is lost and no
// more. A reader that finds a header which does not fit its CRC looks for the
// next one that does; one that finds a payload which does not goes on behind it.
//
// # Exchanges
//
// The payload of a block of exchanges is records, one behind the other:
//
//	uvarint  size of the head
//	uvarint  size of the bodies
//	         head: fields
//	         bodies: that of the request, then that of the response
//
// A field is a uvarint key, number*2 or number*2+1, and a value: a uvarint when
// the key is even; a uvarint length and as many bytes when it is odd. A reader
// passes over fields that it does not know. A field that is absent is zero or
// empty, and an empty one need not be written.
//
//	head      1 odd   name of the source
//	          2 odd   id
//	          3 odd   session
//	          4 odd   time: varint seconds since 1970, uvarint nanoseconds
//	          5 odd   request, a message
//	          6 odd   response, a message; absent: none was recorded
//	          7 odd   kind of timing: "wire" or "client"
//	          8 even  time to the first byte, varint nanoseconds
//	          9 even  time to the last byte, varint nanoseconds
//	         10 even  offset in the file that the exchange came from, varint
//	message   1 odd   method of a request, reason of a response
//	          2 odd   target of a request
//	          3 odd   protocol
//	          4 even  status of a response, varint
//	          5 odd   header: name and value of each field in turn, each one a
//	                  uvarint length and as many bytes
//	          6 odd   trailer, like the header
//	          7 even  length of the body in the bodies of the record
//	          8 even  state: 0 complete, 1 truncated, 2 missing, 3 oversized
//	          9 even  full size of an oversized body, varint
//	         10 odd   SHA-256 of an oversized body, 32 bytes
//
// Numbers of fields are never used again for something else; the major version
// changes when a reader that passes over what it does not know would be wrong.
//
// # Meta
//
// A meta block says how the exchanges behind it came about, up to the next file
// header or meta block. It comes right behind the file header, or is not there.
// Its payload is fields:
//
//	1 odd   id of the recording, drawn at random
//	2 odd   id of the scrub key: 16 hexadecimal digits, or "ephemeral"
//	3 odd   a scrub pack, "pci@1"; once for each
//	4 odd   digest of what else decides how it was scrubbed
//	5 odd   version of the program that wrote it
//	6 even  time at which it was begun, varint nanoseconds since 1970
//	7 even  time from which on it must not be read, the same; absent: none
//
// # Encryption
//
// A recording for certain eyes only is an age file (https://age-encryption.org/v1)
// whose plaintext is all of the above, the index at its end included. age
// encrypts chunks of 64 KiB: when the writer is killed, the chunk that was not
// full yet is lost as well, and what comes before it can be read.
//
// # Index and end
//
// A file that was closed properly ends with an index block and an end block. The
// payload of the index is an entry for each block of exchanges, in their order,
// each a uvarint length and fields:
//
//	1 even  offset of the block in the file
//	2 even  size of the block, header included
//	3 even  number of exchanges
//	4 even  time of the earliest exchange, varint nanoseconds since 1970
//	5 even  time of the latest one
//	6 odd   Bloom filter of its sessions; absent: there are none
//
// A filter of n bytes has m = 8n bits. Let f be the 64-bit FNV-1a hash of a
// session, g = (f xor f>>32) * 9e3779b97f4a7c15 (hex) modulo 2^64, h = g xor
// g>>32, a the lower and b the upper 32 bits of h. The bits (a + i*(b|1)) mod m
// are set for i from 0 to 3; bit j is bit j mod 8 of byte j/8.
//
// The payload of the end block is stored as it is: 8 bytes, the offset of the
// index block. So the last 56 bytes of a file lead to its index. A file without
// them, cut or not closed, is read from its beginning.
package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Versions of the format that is written.
const (
	major = 1
	minor = 0
)

const (
	magic      = "\x89SAR\r\n\x1a\n"
	blockMagic = "SABk"

	fileHeaderSize = 16
	headerSize     = 48
	endSize        = headerSize + 8

	kindExchanges = 1
	kindIndex     = 2
	kindEnd       = 3
	kindMeta      = 4

	codecNone = 0
	codecZstd = 1

	maxRaw    = 256 << 20
	maxStored = maxRaw + 1<<20
)

var (
	// ErrNotRecording is a file that does not begin like one of this format.
	ErrNotRecording = errors.New("not a shadowaudit recording")
	// ErrNewer is a file of a version that this reader does not know.
	ErrNewer = errors.New("a recording of a newer version: it needs a newer shadowaudit")
	// ErrTooLarge is an exchange that no block can hold.
	ErrTooLarge = fmt.Errorf("exchange larger than %d MiB", maxRaw>>20)
)

// DamageError is a part of a recording that cannot be read. What follows it can:
// it is not final.
type DamageError struct {
	Offset    int64 // of the block, in bytes
	Exchanges int64 // that are lost with it; 0 where that cannot be known
	Cut       bool  // the file ends in the middle of the block
	Text      string
}

// Error says where the damage is and what it did.
func (e *DamageError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Text) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// appendFileHeader adds the first bytes of a file.
func appendFileHeader(b []byte) []byte {
	from := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, major)
	b = binary.LittleEndian.AppendUint16(b, minor)
	return binary.LittleEndian.AppendUint32(b, checksum(b[from:]))
}

// checkFileHeader looks at the first bytes of a file.
func checkFileHeader(b []byte) error {
	if len(b) < fileHeaderSize || string(b[:len(magic)]) != magic || binary.LittleEndian.Uint32(b[12:]) != checksum(b[:12]) {
		return ErrNotRecording
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != major {
		return fmt.Errorf("%w (version %d, known is %d)", ErrNewer, v, major)
	}
	return nil
}

// IsRecording reports whether a file that begins like start is a recording, of
// whatever version. It needs the first 8 bytes.
func IsRecording(start []byte) bool { return bytes.HasPrefix(start, []byte(magic)) }

// header is the head of a block.
type header struct {
	kind, codec byte
	raw, stored uint32
	count, crc  uint32
	first, last int64
}

func (h *header) append(b []byte) []byte {
	from := len(b)
	b = append(b, blockMagic...)
	b = append(b, h.kind, h.codec, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, h.raw)
	b = binary.LittleEndian.AppendUint32(b, h.stored)
	b = binary.LittleEndian.AppendUint32(b, h.count)
	b = binary.LittleEndian.AppendUint32(b, h.crc)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.last))
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, checksum(b[from:]))
}

// parseHeader reads the head of a block; ok is false where there is none.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || string(b[:4]) != blockMagic || binary.LittleEndian.Uint32(b[44:]) != checksum(b[:44]) {
		return h, false
	}
	h = header{
		kind: b[4], codec: b[5],
		raw:    binary.LittleEndian.Uint32(b[8:]),
		stored: binary.LittleEndian.Uint32(b[12:]),
		count:  binary.LittleEndian.Uint32(b[16:]),
		crc:    binary.LittleEndian.Uint32(b[20:]),
		first:  int64(binary.LittleEndian.Uint64(b[24:])),
		last:   int64(binary.LittleEndian.Uint64(b[32:])),
	}
	return h, h.raw <= maxRaw && h.stored <= maxStored
}

// nanoseconds is t since 1970, or the nearest that 64 bits can hold.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s <= math.MinInt64/int64(1e9):
		return math.MinInt64
	case s >= math.MaxInt64/int64(1e9):
		return math.MaxInt64
	}
	return t.UnixNano()
}
