package envoytap

import (
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// record is a TraceWrapper: one of the three is set.
type record struct {
	trace  *trace // http_buffered_trace
	piece  *piece // http_streamed_trace_segment
	socket bool   // a tap of bytes, which is not read

	offset int64 // where it stands in the file
	size   int64 // in bytes of the file
}

// trace is a tapped request with its response.
type trace struct {
	request, response message
	client            string // address and port of the downstream connection
	offset, size      int64
}

// message is a request or a response as Envoy has it: pseudo header fields
// stand among the others.
type message struct {
	header  traffic.Header
	body    body
	trailer traffic.Header
	at      time.Time // when its header had come; zero: not recorded
}

// body is the content of a message, or a chunk of it.
type body struct {
	bytes []byte
	text  bool // written as a string, which not every body is
	cut   bool // the tap kept only the beginning
}

// piece is a segment of a streamed trace.
type piece struct {
	id     uint64
	part   part
	header traffic.Header // of headers and trailers
	chunk  body
}

// part says what a segment has. The numbers are those of the fields of
// HttpStreamedTraceSegment in envoy/data/tap/v3/http.proto.
type part uint8

const (
	requestHeaders   part = 2
	requestChunk     part = 3
	requestTrailers  part = 4
	responseHeaders  part = 5
	responseChunk    part = 6
	responseTrailers part = 7
)

// add puts a segment where it belongs.
func (t *trace) add(p *piece) {
	m := &t.request
	if p.part >= responseHeaders {
		m = &t.response
	}
	switch p.part {
	case requestHeaders, responseHeaders:
		m.header = p.header
	case requestChunk, responseChunk:
		m.body.bytes = append(m.body.bytes, p.chunk.bytes...)
		m.body.text = m.body.text || p.chunk.text
		m.body.cut = m.body.cut || p.chunk.cut
	case requestTrailers, responseTrailers:
		m.trailer = p.header
	}
}
