package packet

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// stream is one exchange of an HTTP/2 connection. Its two sides come on their
// own, the response before the end of the request in some protocols.
type stream struct {
	m      *multiplex
	id     uint32
	closed bool

	// Of the request.
	request   traffic.Request
	in        content
	item      *item
	at        int64 // of its first byte
	offset    int64
	sent      int64 // time of its last byte
	asked     bool  // it has begun
	requested bool  // it is complete
	lost      bool  // it could not be read, and is accounted for

	// Of the response.
	response *traffic.Response // nil: not begun
	out      content
	begun    int64 // time of its first byte
	ended    int64 // time of its last byte
	answered bool  // it is complete
	refused  bool  // it could not be read, and is accounted for
}

// open begins a stream.
func (m *multiplex) open(id uint32) *stream {
	limit := m.conn.table.limits.Streams
	for len(m.streams) >= limit {
		m.conn.table.log.streams++
		m.finish(m.streams[slices.Min(slices.Collect(maps.Keys(m.streams)))])
	}
	s := &stream{m: m, id: id}
	s.in = content{conn: m.conn, limit: requestLimits.Body}
	s.out = content{conn: m.conn, limit: http1.DefaultLimits.Body}
	m.streams[id] = s
	m.conn.hold(overhead)
	return s
}

// head takes in the fields of a message, or those behind its body. now is the
// time of the last byte.
func (m *multiplex) head(d *direction, b block, now int64) error {
	if b.stream%2 == 0 {
		if d == &m.server && b.stream != 0 {
			return nil // of what the server pushes
		}
		return errFrame
	}
	fromClient := d == &m.client
	s := m.streams[b.stream]
	if s == nil {
		if b.stream <= m.newest { // closed
			if !fromClient && isFinal(d.fields) {
				m.conn.table.log.Records++
				m.conn.table.log.OrphanResponses++
			}
			return nil
		}
		s = m.open(b.stream)
	}
	if fromClient {
		m.newest = max(m.newest, b.stream)
		s.requestHead(d, b)
	} else {
		s.responseHead(d, b)
	}
	if b.ends && !s.closed {
		m.half(s, fromClient, now)
	}
	return nil
}

// isFinal reports whether the fields are those of a response that is none of
// the interim ones.
func isFinal(fields []hpack.HeaderField) bool {
	return len(fields) > 0 && fields[0].Name == ":status" && !strings.HasPrefix(fields[0].Value, "1")
}

func (s *stream) requestHead(d *direction, b block) {
	log := s.m.conn.table.log
	if s.asked {
		if !s.lost {
			s.request.Trailer, _ = fieldsOf(d.fields)
		}
		return
	}
	s.asked, s.at, s.offset = true, b.at, b.offset
	s.item = s.m.conn.table.window.open(b.at)
	err := errTooLarge
	if d.size <= http1.DefaultLimits.Head {
		s.request, err = requestOf(d.fields)
	}
	if err != nil {
		log.Records++
		log.Malformed++
		log.Warn(d.half.file, b.offset, "request is not HTTP/2, left out: "+err.Error())
		s.drop()
		return
	}
	if s.request.Method == "CONNECT" { // what follows is no HTTP
		s.m.half(s, true, b.at)
	}
}

func (s *stream) responseHead(d *direction, b block) {
	log := s.m.conn.table.log
	switch {
	case s.refused:
		return
	case s.response != nil:
		s.response.Trailer, _ = fieldsOf(d.fields)
		return
	}
	err := errTooLarge
	var r traffic.Response
	if d.size <= http1.DefaultLimits.Head {
		r, err = responseOf(d.fields)
	}
	if err != nil {
		log.Records++
		log.Malformed++
		log.Warn(d.half.file, b.offset, "response is not HTTP/2, left out: "+err.Error())
		s.refused = true
		return
	}
	if r.Status/100 == 1 {
		return
	}
	s.response, s.begun = &r, b.at
	if s.request.Method == "CONNECT" && r.Status/100 == 2 {
		s.m.half(s, false, b.at)
	}
}

// drop forgets the request, which is accounted for.
func (s *stream) drop() {
	s.lost = true
	s.m.conn.table.window.drop(s.item)
	s.in.release()
	s.item = nil
}

// data takes in a piece of a body.
func (s *stream) data(fromClient bool, b []byte) {
	switch {
	case fromClient && s.asked && !s.requested && !s.lost:
		s.in.add(b)
	case !fromClient && s.response != nil && !s.answered:
		s.out.add(b)
	}
}

// half ends one side of a stream. now is the time of its last byte.
func (m *multiplex) half(s *stream, fromClient bool, now int64) {
	if fromClient {
		s.requestEnd(now)
	} else {
		s.answered, s.ended = true, now
	}
	if s.answered && (s.requested || s.lost) || s.id > m.answers {
		m.finish(s)
	}
}

func (s *stream) requestEnd(now int64) {
	if s.requested || s.lost || !s.asked {
		return
	}
	s.request.Body = s.in.body(true)
	if s.request.Body.State != traffic.Complete { // larger than can be kept whole
		s.truncated()
		return
	}
	s.requested, s.sent = true, now
	c := s.m.conn
	c.table.log.Records++
	c.fill(s.item, &s.request, int64(s.id), s.offset)
	s.in.release()
}

// truncated accounts for a request that is not whole.
func (s *stream) truncated() {
	log := s.m.conn.table.log
	log.Records++
	log.Truncated++
	log.TruncatedRequests++
	s.drop()
}

// reset ends a stream before its time.
func (m *multiplex) reset(id uint32) {
	if s := m.streams[id]; s != nil {
		m.finish(s)
	}
}

// finish accounts for a stream, as far as it came.
func (m *multiplex) finish(s *stream) {
	c := m.conn
	s.closed = true
	delete(m.streams, s.id)
	if s.asked && !s.requested && !s.lost {
		s.truncated()
	}
	if s.response != nil {
		s.answer()
	}
	if s.item != nil {
		c.table.window.unanswered(s.item)
	}
	s.in.release()
	s.out.release()
	c.hold(-overhead)
}

// answer gives the request its response, as far as it came.
func (s *stream) answer() {
	window, log := s.m.conn.table.window, s.m.conn.table.log
	log.Records++
	var err error
	if !s.answered {
		log.Truncated++
		err = io.ErrUnexpectedEOF
	}
	s.response.Body = s.out.body(s.answered)
	if s.item == nil || !window.answer(s.item, s.response, timing(s.sent, s.begun, s.ended, err)) {
		log.OrphanResponses++
		return
	}
	s.item = nil
}

var errTooLarge = errors.New("fields larger than is sensible")

// content is a body in the making.
type content struct {
	conn  *conn
	limit int64
	bytes []byte
	size  int64
	sum   hash.Hash // of a body larger than the limit
}

func (c *content) add(b []byte) {
	c.size += int64(len(b))
	keep := b
	if c.sum == nil && c.size > c.limit {
		c.sum = sha256.New()
		c.sum.Write(c.bytes)
		keep = b[:c.limit-int64(len(c.bytes))]
	} else if c.sum != nil {
		keep = nil
	}
	if c.sum != nil {
		c.sum.Write(b)
	}
	c.bytes = append(c.bytes, keep...)
	c.conn.hold(len(keep))
}

// body gives the body. whole says that its end was seen.
func (c *content) body(whole bool) traffic.Body {
	b := traffic.Body{Bytes: c.bytes}
	if c.sum != nil {
		b.State, b.Size = traffic.Oversized, c.size
		c.sum.Sum(b.SHA256[:0])
	}
	if !whole {
		b.State = traffic.Truncated
	}
	return b
}

// release lets go of what is held.
func (c *content) release() {
	c.conn.hold(-len(c.bytes))
	c.bytes = nil
}

// requestOf makes a request of the fields of its head: RFC 9113 section 8.3.1.
// What it returns can be sent as HTTP/1.1.
func requestOf(fields []hpack.HeaderField) (r traffic.Request, err error) {
	var authority string
	pseudo := map[string]*string{":method": &r.Method, ":path": &r.Target, ":authority": &authority, ":scheme": new(string), ":protocol": new(string)}
	rest, err := takePseudo(fields, pseudo)
	if err != nil {
		return r, err
	}
	if r.Header, err = fieldsOf(rest); err != nil {
		return r, err
	}
	if r.Method == "CONNECT" && r.Target == "" {
		r.Target = authority
	}
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method):
		return r, errors.New("bad method")
	case r.Target == "", r.Target[0] != '/' && r.Target != "*" && r.Method != "CONNECT", strings.ContainsFunc(r.Target, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return r, errors.New("bad path")
	case authority != "" && !httpguts.ValidHostHeader(authority):
		return r, errors.New("bad authority")
	}
	r.Proto = "HTTP/2.0"
	r.Header = joinCookies(r.Header)
	if authority != "" && !r.Header.Has("Host") {
		r.Header = append(traffic.Header{{Name: "host", Value: authority}}, r.Header...)
	}
	return r, nil
}

// responseOf makes a response of the fields of its head: RFC 9113 section 8.3.2.
func responseOf(fields []hpack.HeaderField) (r traffic.Response, err error) {
	var status string
	rest, err := takePseudo(fields, map[string]*string{":status": &status})
	if err != nil {
		return r, err
	}
	r.Status, err = strconv.Atoi(status)
	if err != nil || len(status) != 3 || r.Status < 100 {
		return r, errors.New("bad status")
	}
	r.Proto = "HTTP/2.0"
	r.Header, err = fieldsOf(rest)
	return r, err
}

// takePseudo takes the pseudo-header fields, which come first, each at most
// once, and returns the others.
func takePseudo(fields []hpack.HeaderField, into map[string]*string) ([]hpack.HeaderField, error) {
	for i, f := range fields {
		if !f.IsPseudo() {
			return fields[i:], nil // a later one is no field name: fieldsOf
		}
		p := into[f.Name]
		if p == nil {
			return nil, errors.New("unknown or repeated pseudo-header field")
		}
		*p = f.Value
		delete(into, f.Name)
	}
	return nil, nil
}

// fieldsOf checks fields for what HTTP/2 forbids. The fields of a connection
// are among it: RFC 9113 section 8.2.
func fieldsOf(fields []hpack.HeaderField) (traffic.Header, error) {
	h := make(traffic.Header, 0, len(fields)+1)
	for _, f := range fields {
		switch f.Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return nil, errors.New("field that HTTP/2 does not have")
		}
		if !httpguts.ValidHeaderFieldName(f.Name) || f.Name != strings.ToLower(f.Name) {
			return nil, errors.New("bad field name")
		}
		if !httpguts.ValidHeaderFieldValue(f.Value) {
			return nil, errors.New("bad field value")
		}
		h = append(h, traffic.Field{Name: f.Name, Value: strings.Trim(f.Value, " \t")})
	}
	return h, nil
}

// joinCookies makes one field of the cookies, which HTTP/2 splits: RFC 9113
// section 8.2.3.
func joinCookies(h traffic.Header) traffic.Header {
	all := h.Values("cookie")
	if len(all) < 2 {
		return h
	}
	out := make(traffic.Header, 0, len(h))
	for _, f := range h {
		if f.Name != "cookie" {
			out = append(out, f)
		} else if len(all) > 0 {
			out = append(out, traffic.Field{Name: f.Name, Value: strings.Join(all, "; ")})
			all = nil
		}
	}
	return out
}
