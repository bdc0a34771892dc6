package envoytap

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// documents reads records of JSON, one document after the other.
type documents struct {
	in  *budget
	dec *jsontext.Decoder
	end int64 // of the document read last
}

func newDocuments(in io.Reader, limit int64) *documents {
	b := &budget{in: in, limit: limit, left: limit}
	return &documents{in: b, dec: jsontext.NewDecoder(b, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
}

func (d *documents) next() (*record, error) {
	d.in.left = d.in.limit
	raw, err := d.dec.ReadValue()
	switch {
	case err == nil:
	case err == io.EOF:
		return nil, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, errTooLong):
		return nil, errTooLong
	case errors.As(err, new(*jsontext.SyntacticError)):
		return nil, errSyntax
	default:
		return nil, err
	}
	d.end = d.dec.InputOffset()
	var w jsonWrapper
	if err := json.Unmarshal(raw, &w, jsonOptions); err != nil {
		return nil, envoy.ErrShape
	}
	rec, err := w.record()
	if err != nil {
		return nil, err
	}
	rec.offset, rec.size = d.end-int64(len(raw)), int64(len(raw))
	return rec, nil
}

func (d *documents) at() int64 { return d.end }

// budget is a reader that refuses to give more than a document may have.
type budget struct {
	in          io.Reader
	limit, left int64
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.in.Read(p)
	b.left -= int64(n)
	return n, err
}

// jsonOptions read a field by either of its names, as_bytes or asBytes, which
// differ in case and underscores.
var jsonOptions = json.JoinOptions(
	json.MatchCaseInsensitiveNames(true),
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
)

type jsonWrapper struct {
	Buffered *jsonTrace     `json:"http_buffered_trace"`
	Segment  *jsonSegment   `json:"http_streamed_trace_segment"`
	Socket   jsontext.Value `json:"socket_buffered_trace"`
	Stream   jsontext.Value `json:"socket_streamed_trace_segment"`
}

type jsonTrace struct {
	Request    *jsonMessage `json:"request"`
	Response   *jsonMessage `json:"response"`
	Downstream struct {
		Remote struct {
			Socket struct {
				Address string `json:"address"`
				Port    uint64 `json:"port_value"`
			} `json:"socket_address"`
		} `json:"remote_address"`
	} `json:"downstream_connection"`
}

type jsonMessage struct {
	Headers  []jsonHeader `json:"headers"`
	Body     jsonBody     `json:"body"`
	Trailers []jsonHeader `json:"trailers"`
	Received string       `json:"headers_received_time"`
}

type jsonHeader struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Raw   []byte `json:"raw_value"`
}

type jsonBody struct {
	Bytes     []byte  `json:"as_bytes"`
	Text      *string `json:"as_string"`
	Truncated bool    `json:"truncated"`
}

type jsonHeaders struct {
	Headers []jsonHeader `json:"headers"`
}

type jsonSegment struct {
	TraceID          jsontext.Value `json:"trace_id"` // a string, or a number
	RequestHeaders   *jsonHeaders   `json:"request_headers"`
	RequestChunk     *jsonBody      `json:"request_body_chunk"`
	RequestTrailers  *jsonHeaders   `json:"request_trailers"`
	ResponseHeaders  *jsonHeaders   `json:"response_headers"`
	ResponseChunk    *jsonBody      `json:"response_body_chunk"`
	ResponseTrailers *jsonHeaders   `json:"response_trailers"`
}

func (w *jsonWrapper) record() (*record, error) {
	switch {
	case w.Buffered != nil:
		return &record{trace: w.Buffered.trace()}, nil
	case w.Segment != nil:
		return &record{piece: w.Segment.piece()}, nil
	case w.Socket != nil, w.Stream != nil:
		return &record{socket: true}, nil
	}
	return nil, envoy.ErrShape
}

func (j *jsonTrace) trace() *trace {
	s := j.Downstream.Remote.Socket
	return &trace{request: j.Request.message(), response: j.Response.message(), client: address(s.Address, s.Port)}
}

func (j *jsonMessage) message() message {
	if j == nil {
		return message{}
	}
	m := message{header: header(j.Headers), body: j.Body.body(), trailer: header(j.Trailers)}
	if at, err := time.Parse(time.RFC3339Nano, j.Received); err == nil {
		m.at = clock(at.Unix(), int64(at.Nanosecond()))
	}
	return m
}

func (j *jsonBody) body() body {
	if j.Text != nil {
		return body{bytes: []byte(*j.Text), text: true, cut: j.Truncated}
	}
	return body{bytes: j.Bytes, cut: j.Truncated}
}

func (j *jsonSegment) piece() *piece {
	id, _ := strconv.ParseUint(strings.Trim(string(j.TraceID), `"`), 10, 64)
	p := &piece{id: id}
	switch {
	case j.RequestHeaders != nil:
		p.part, p.header = requestHeaders, header(j.RequestHeaders.Headers)
	case j.RequestChunk != nil:
		p.part, p.chunk = requestChunk, j.RequestChunk.body()
	case j.RequestTrailers != nil:
		p.part, p.header = requestTrailers, header(j.RequestTrailers.Headers)
	case j.ResponseHeaders != nil:
		p.part, p.header = responseHeaders, header(j.ResponseHeaders.Headers)
	case j.ResponseChunk != nil:
		p.part, p.chunk = responseChunk, j.ResponseChunk.body()
	case j.ResponseTrailers != nil:
		p.part, p.header = responseTrailers, header(j.ResponseTrailers.Headers)
	}
	return p
}

func header(fields []jsonHeader) traffic.Header {
	if len(fields) == 0 {
		return nil
	}
	h := make(traffic.Header, 0, len(fields))
	for _, f := range fields {
		if len(f.Raw) > 0 {
			f.Value = string(f.Raw)
		}
		h = append(h, traffic.Field{Name: f.Key, Value: f.Value})
	}
	return h
}
