package proxy

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// recordKey is the key of a record in the context of its request.
type recordKey struct{}

// record is an exchange that is passing.
type record struct {
	source   *Source
	exchange *traffic.Exchange
	length   int64 // of the request's body as announced; -1: not
	request  tape
	trailer  http.Header // of the request; complete when the body has ended

	response tape
	answer   *http.Response // nil: there is none. Its trailer comes with the end of its body
	header   http.Header    // of answer, as it was
	tunnel   bool           // the answer is that it is not HTTP any more

	mu                        sync.Mutex
	connected, answered, over time.Time // with the service; head and end of response
}

// serve passes a request on and records the exchange.
func (s *Source) serve(w http.ResponseWriter, r *http.Request) {
	rec, ok := s.begin(r)
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.running.Done()
	if r.Method == http.MethodConnect {
		s.leave(rec, func() { s.tally.notHTTP.Add(1) })
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if rec != nil {
		r = rec.follow(r)
		defer rec.finish()
	}
	// Else net/http would take the rest of a request away from a service that
	// answers before it has read all of it.
	http.NewResponseController(w).EnableFullDuplex()
	s.proxy.ServeHTTP(plain{w}, r)
}

// begin makes a record for the request; nil where recording has stopped. It is
// false where the proxy is closed. Else the caller calls running.Done.
func (s *Source) begin(r *http.Request) (rec *record, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	s.running.Add(1)
	if s.stopped {
		return nil, true
	}
	s.open++
	return s.newRecord(r), true
}

func (s *Source) newRecord(r *http.Request) *record {
	conn, _ := r.Context().Value(connKey{}).(int64)
	rec := &record{source: s, length: r.ContentLength, trailer: r.Trailer}
	rec.request.room, rec.response.room = &s.room, &s.room
	rec.exchange = &traffic.Exchange{
		Source:  s.name,
		ID:      r.Header.Get("X-Request-Id"),
		Session: strconv.FormatInt(conn, 10),
		At:      time.Now().UTC(),
		Request: traffic.Request{
			Method: r.Method,
			Target: r.RequestURI,
			Proto:  r.Proto,
			Header: append(traffic.Header{{Name: "Host", Value: r.Host}}, fields(r.Header)...),
		},
	}
	h := &rec.exchange.Request.Header
	*h = append(*h, framing(r.TransferEncoding)...)
	return rec
}

// follow lets the record see what becomes of the request.
func (rec *record) follow(r *http.Request) *http.Request {
	if r.ContentLength == 0 {
		rec.request.end()
	} else {
		r.Body = &taped{ReadCloser: r.Body, tape: &rec.request}
	}
	ctx := context.WithValue(r.Context(), recordKey{}, rec)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// WroteRequest is told too late: the response may be there already.
		GotConn: func(httptrace.GotConnInfo) { rec.note(&rec.connected) },
	})
	return r.WithContext(ctx)
}

// note writes the time down.
func (rec *record) note(at *time.Time) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	*at = time.Now()
}

// respond records a response while it passes.
func respond(resp *http.Response) error {
	rec, ok := resp.Request.Context().Value(recordKey{}).(*record)
	if !ok {
		return nil
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		rec.tunnel = true
		rec.source.leave(rec, func() { rec.source.tally.notHTTP.Add(1) })
		return nil
	}
	rec.note(&rec.answered)
	rec.answer, rec.header = resp, resp.Header.Clone()
	resp.Body = &taped{ReadCloser: resp.Body, tape: &rec.response, done: func() { rec.note(&rec.over) }}
	return nil
}

// fail answers for a service that did not.
func fail(w http.ResponseWriter, r *http.Request, _ error) {
	rec, ok := r.Context().Value(recordKey{}).(*record)
	if ok && r.Context().Err() == nil { // else it is the client who left
		rec.source.tally.unanswered.Add(1)
	}
	w.WriteHeader(http.StatusBadGateway)
}

// finish hands the exchange on when it has passed.
func (rec *record) finish() {
	s := rec.source
	defer rec.response.settle()
	defer rec.request.settle()
	if rec.tunnel {
		return
	}
	s.leave(rec, func() {
		t := &s.tally
		x := rec.exchange
		body, crowded := rec.request.body(rec.length)
		x.Request.Body = body
		switch {
		case crowded:
			t.crowded.Add(1)
			return
		case body.State != traffic.Complete:
			if body.State == traffic.Oversized {
				t.oversized.Add(1)
			}
			t.requests.Add(1)
			return
		}
		x.Request.Trailer = fields(rec.trailer)
		if rec.answer != nil && !rec.respond(x) {
			t.crowded.Add(1)
			return
		}
		cut := x.Response != nil && x.Response.Body.State == traffic.Truncated
		if !s.queue.Put(x) { // from here on it is the reader's
			return
		}
		t.accepted.Add(1)
		if cut {
			t.responses.Add(1)
		}
	})
}

// leave ends a record with what account does, unless the recording has ended
// before and has counted it.
func (s *Source) leave(rec *record, account func()) {
	if rec == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.ended {
		return
	}
	account()
	if s.stopped && s.open == 0 {
		s.end()
	}
}

// respond gives the exchange its response. It is false where there was no room
// for it.
func (rec *record) respond(x *traffic.Exchange) bool {
	a := rec.answer
	body, crowded := rec.response.body(-1)
	_, reason, _ := strings.Cut(a.Status, " ")
	x.Response = &traffic.Response{
		Status:  a.StatusCode,
		Reason:  reason,
		Proto:   a.Proto,
		Header:  append(fields(rec.header), framing(a.TransferEncoding)...),
		Body:    body,
		Trailer: fields(a.Trailer),
	}
	x.Timing = rec.timing()
	return !crowded
}

// timing is how long the service took.
func (rec *record) timing() traffic.Timing {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	sent := rec.connected
	if last := rec.request.last(); last.After(sent) {
		sent = last
	}
	if sent.IsZero() || rec.over.IsZero() {
		return traffic.Timing{}
	}
	return traffic.Timing{
		Kind:  traffic.TimingProxy,
		TTFB:  max(rec.answered.Sub(sent), 0), // an answer may come before the end of its request
		Total: max(rec.over.Sub(sent), 0),
	}
}

// rewrite sends the request on as it came. ReverseProxy has removed what says
// where a request came from, and what it could not parse of the query.
func (s *Source) rewrite(p *httputil.ProxyRequest) {
	p.Out.Host = p.In.Host
	p.Out.Trailer = p.In.Trailer // filled when the body has ended
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = values
		}
	}
	u := &url.URL{Scheme: s.upstream.Scheme, Host: s.upstream.Host, Path: p.In.URL.Path, RawPath: p.In.URL.RawPath, RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery}
	if path, _, _ := strings.Cut(p.In.RequestURI, "?"); strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") || path == "*" {
		u.Opaque = path // as it came, whatever escapes it has
	}
	p.Out.URL = u
}

// plain is a ResponseWriter that adds nothing by itself.
type plain struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController find what this writer can do.
func (w plain) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader keeps net/http from adding the fields that it would.
func (w plain) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		h := w.Header()
		for _, name := range []string{"Date", "Content-Type"} {
			if _, ok := h[name]; !ok {
				h[name] = nil
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func fields(h http.Header) traffic.Header {
	var out traffic.Header
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, traffic.Field{Name: name, Value: value})
		}
	}
	return out
}

// framing is the field that net/http takes out of a header.
func framing(codings []string) traffic.Header {
	if len(codings) == 0 {
		return nil
	}
	return traffic.Header{{Name: "Transfer-Encoding", Value: strings.Join(codings, ", ")}}
}
