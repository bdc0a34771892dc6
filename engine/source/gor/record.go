package gor

import (
	"bytes"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The types of record.
const (
	typeRequest  = '1'
	typeResponse = '2'
	typeReplayed = '3'
)

// meta is the first line of a record: "TYPE ID TIME [LATENCY]". What the two
// numbers are depends on the release that wrote them; see timing.
type meta struct {
	kind    byte
	id      []byte // a piece of the line
	at      int64  // nanoseconds since 1970; meaningless unless timed
	latency int64  // nanoseconds; noLatency where there is none
	timed   bool   // at is a time: up to 0.14, responses have only a duration
	wide    bool   // the line has a fourth field
}

// noLatency is how GoReplay writes that it did not measure.
const noLatency = -1

const (
	// A number of nanoseconds below it (11 days) is a duration, not a time.
	leastTime = 1e15
	// A number above it (1973) is a time, not a duration.
	surelyTime = 1e17
)

// parseMeta splits a chunk into first line and payload.
func parseMeta(chunk []byte) (m meta, payload []byte, ok bool) {
	if len(chunk) < 2 || chunk[0] < typeRequest || chunk[0] > typeReplayed || chunk[1] != ' ' {
		return meta{}, nil, false
	}
	line, payload, ok := bytes.Cut(chunk, []byte{'\n'})
	if !ok {
		return meta{}, nil, false
	}
	m.kind = chunk[0]
	id, rest, ok := bytes.Cut(line[2:], []byte{' '})
	if !ok || !isID(id) {
		return meta{}, nil, false
	}
	m.id = id
	first, rest, wide := bytes.Cut(rest, []byte{' '})
	if m.at, ok = parseInt(first); !ok || m.at < 0 {
		return meta{}, nil, false
	}
	m.latency, m.timed, m.wide = noLatency, true, wide
	if wide {
		second, _, _ := bytes.Cut(rest, []byte{' '})
		if m.latency, ok = parseInt(second); !ok {
			return meta{}, nil, false
		}
		if m.at < leastTime && m.latency > surelyTime {
			m.at, m.latency = m.latency, m.at
		}
	} else if m.kind != typeRequest && m.at < leastTime {
		m.at, m.latency, m.timed = 0, m.at, false
	}
	return m, payload, true
}

// beginsRecord reports whether b begins with the first line of a record.
func beginsRecord(b []byte) bool {
	_, _, ok := parseMeta(b)
	return ok
}

// isID reports whether b can be an id: short, printable, without a space.
func isID(b []byte) bool {
	if len(b) == 0 || len(b) > 128 {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func parseInt(b []byte) (int64, bool) {
	negative := len(b) > 1 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 && string(b) > "9223372036854775807" || len(b) > 19 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// Lengths of ids, in hex digits.
const (
	packedID = 24 // since 1.3: ports, client address, and TCP acknowledgement number
	hashID   = 40 // before: a SHA-1
)

// session returns what requests of one connection have in common, or "" where
// the release that wrote the record did not say. From 1.3 on the first half of
// an id is the client's port, the server's port and the client's address; in
// 1.2, the only release with hashed ids and a latency for requests, the id is
// that of the connection.
func session(id string, wide bool) string {
	switch {
	case len(id) == packedID && isHex(id):
		return id[:16]
	case len(id) == hashID && wide && isHex(id):
		return id
	}
	return ""
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// stamp is what the first line of a record says about time.
type stamp struct {
	at, latency int64
	timed, wide bool
}

// timing computes how long the server took, which no release writes down:
//
//	up to 0.14   response: REQ.start..RESP.end, no time
//	0.16         response: REQ.start, REQ.start..RESP.end
//	1.0, 1.1     response: RESP.start, REQ.end..RESP.end
//	from 1.2     request: REQ.start, REQ.start..REQ.end; response: RESP.start, RESP.start..RESP.end
//
// Up to 0.16 the time to first byte is not known and stays zero. For 1.0 and
// 1.1 it is measured from the request's beginning, at most the total. Numbers
// that contradict each other give no timing at all.
func timing(id string, req, resp stamp) traffic.Timing {
	if resp.latency < 0 || resp.latency >= leastTime || req.latency >= leastTime {
		return traffic.Timing{}
	}
	var ttfb, total int64
	switch {
	case !resp.timed:
		total = resp.latency
	case req.wide || len(id) == packedID:
		ttfb = resp.at - req.at - max(req.latency, 0)
		total = ttfb + resp.latency
	default:
		total = resp.latency
		ttfb = min(resp.at-req.at, total)
	}
	if ttfb < 0 || total < ttfb {
		return traffic.Timing{}
	}
	return traffic.Timing{Kind: traffic.TimingWire, TTFB: time.Duration(ttfb), Total: time.Duration(total)}
}
