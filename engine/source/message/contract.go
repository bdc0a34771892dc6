package message

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// contract is an exchange as JSON, in UTF-8, for whoever produces messages:
//
//	{
//	  "id":      "7f3c",                            // optional
//	  "session": "user-81",                         // optional; else the key of the message
//	  "time":    "2026-11-21T08:30:00.125Z",        // RFC 3339, or nanoseconds since 1970; else the time of the message
//	  "request": {
//	    "method":  "POST",
//	    "target":  "/orders?dry=1",                 // as in the request line
//	    "proto":   "HTTP/1.1",                      // optional, the default
//	    "headers": [["Host", "shop"], ["Accept", "*/*"]],  // in order; or {"Host": "shop", "Accept": ["a", "b"]}
//	    "body":    "{\"item\":7}"                   // text; or "body_base64" for other bytes; neither: empty
//	  },
//	  "response": {                                 // optional, or null
//	    "status":  201,
//	    "reason":  "Created",                       // optional
//	    "proto":   "HTTP/1.1",                      // optional, the default
//	    "headers": [["Content-Type", "application/json"]],
//	    "body":    "{}",                            // like that of a request
//	    "latency_ns": 1250000,                      // optional: end of request to last byte, as the producer measured it
//	    "ttfb_ns":    1100000                       // optional: end of request to first byte
//	  }
//	}
//
// Bodies are without transfer coding and with their content coding (gzip) still
// on. "body_state" beside a body is "truncated" where it is cut and "missing"
// where it was not recorded. Other members are ignored. Names are in this case,
// no member comes twice (RFC 8259 section 4 leaves open what that means), and
// header fields and targets hold no control characters: what breaks one of
// these rules is malformed, and so is everything that is no JSON in UTF-8.
type contract struct {
	ID       string         `json:"id"`
	Session  string         `json:"session"`
	Time     jsontext.Value `json:"time"`
	Request  *request       `json:"request"`
	Response *response      `json:"response"`
}

type request struct {
	Method  string         `json:"method"`
	Target  string         `json:"target"`
	Proto   string         `json:"proto"`
	Headers jsontext.Value `json:"headers"`
	content
}

type response struct {
	Status  int            `json:"status"`
	Reason  string         `json:"reason"`
	Proto   string         `json:"proto"`
	Headers jsontext.Value `json:"headers"`
	Latency *int64         `json:"latency_ns"`
	TTFB    *int64         `json:"ttfb_ns"`
	content
}

type content struct {
	Body   *string `json:"body"`
	Base64 *string `json:"body_base64"`
	State  string  `json:"body_state"`
}

// The ways in which a record is no exchange. They quote nothing.
var (
	errJSON     = errors.New("not an object of the contract in JSON")
	errRequest  = errors.New("no request in it")
	errMethod   = errors.New("the method is no token")
	errTarget   = errors.New("the target is none of a request line")
	errProto    = errors.New("the proto is not HTTP/N")
	errHeaders  = errors.New("the headers are no list of [name, value] and no object of them")
	errBody     = errors.New("the body is neither a string nor base64")
	errState    = errors.New("the body_state is neither truncated nor missing")
	errStatus   = errors.New("the status is not from 200 to 999, or 101")
	errTime     = errors.New("the time is neither RFC 3339 nor nanoseconds since 1970")
	errLatency  = errors.New("a latency is negative")
	errNothing  = errors.New("nothing for us")
	errCut      = errors.New("the body of the request is cut")
	errTooLarge = errors.New("the body of the request is larger than 8 MiB")
	errMap      = errors.New("the jq of the source fails on it")
)

// values splits a message into JSON values: it is one, or has one in each line.
func values(b []byte) [][]byte {
	if jsontext.Value(b).IsValid() || !bytes.ContainsRune(bytes.TrimSpace(b), '\n') {
		return [][]byte{b}
	}
	var lines [][]byte
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// exchange makes an exchange of one value, and accounts for it.
func (d *Decoder) exchange(ctx context.Context, m Message, value []byte) *traffic.Exchange {
	d.log.Records++
	x, err := d.parse(ctx, value)
	switch {
	case err == errNothing:
		d.log.NotHTTP++
		return nil
	case err == errCut, err == errTooLarge:
		d.truncated(m, err.Error())
		return nil
	case err != nil:
		d.malformed(m, err.Error())
		return nil
	}
	if x.Session == "" {
		x.Session = m.Key
	}
	if x.At.IsZero() {
		x.At = m.At.UTC()
	}
	x.Offset = m.Offset
	if x.Response != nil && x.Response.Body.State == traffic.Truncated {
		d.log.Truncated++
	}
	return x
}

func (d *Decoder) parse(ctx context.Context, value []byte) (*traffic.Exchange, error) {
	if d.cfg.Map == nil {
		return parseContract(value)
	}
	if !utf8.Valid(value) {
		return nil, errJSON
	}
	dec := stdjson.NewDecoder(bytes.NewReader(value))
	dec.UseNumber() // a number keeps its literal
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, errJSON
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errJSON
	}
	out, err := d.cfg.Map.Eval(ctx, doc)
	if err != nil {
		return nil, errMap
	}
	if out == nil {
		return nil, errNothing
	}
	text, err := stdjson.Marshal(out)
	if err != nil {
		return nil, errMap
	}
	return parseContract(text)
}

// parseContract reads one exchange of the contract.
func parseContract(value []byte) (*traffic.Exchange, error) {
	var c contract
	if err := json.Unmarshal(value, &c); err != nil {
		return nil, errJSON
	}
	if c.Request == nil {
		return nil, errRequest
	}
	x := &traffic.Exchange{ID: c.ID, Session: c.Session}
	var err error
	if x.At, err = parseTime(c.Time); err != nil {
		return nil, err
	}
	if x.Request, err = c.Request.convert(); err != nil {
		return nil, err
	}
	if c.Response == nil {
		return x, nil
	}
	if x.Response, err = c.Response.convert(x.Request.Method); err != nil {
		return nil, err
	}
	x.Timing, err = c.Response.timing()
	return x, err
}

func (r *request) convert() (traffic.Request, error) {
	out := traffic.Request{Method: r.Method, Target: r.Target}
	var err error
	switch {
	case !http1.IsToken(r.Method):
		return out, errMethod
	case !isTarget(r.Target):
		return out, errTarget
	}
	if out.Proto, err = proto(r.Proto); err != nil {
		return out, err
	}
	if out.Header, err = parseHeaders(r.Headers); err != nil {
		return out, err
	}
	if out.Body, err = r.body(); err != nil {
		return out, err
	}
	switch {
	case out.Body.State == traffic.Oversized:
		return out, errTooLarge
	case out.Body.State == traffic.Truncated, out.Body.State == traffic.Complete && short(out.Header, out.Body):
		return out, errCut
	}
	return out, nil
}

func (r *response) convert(method string) (*traffic.Response, error) {
	if r.Status < 200 && r.Status != 101 || r.Status > 999 {
		return nil, errStatus
	}
	if strings.ContainsFunc(r.Reason, isControl) {
		return nil, errStatus
	}
	out := &traffic.Response{Status: r.Status, Reason: r.Reason}
	var err error
	if out.Proto, err = proto(r.Proto); err != nil {
		return nil, err
	}
	if out.Header, err = parseHeaders(r.Headers); err != nil {
		return nil, err
	}
	if out.Body, err = r.body(); err != nil {
		return nil, err
	}
	bodiless := method == "HEAD" || r.Status == 304 || r.Status == 204 || r.Status == 101 // RFC 9110 section 6.4.1
	if out.Body.State == traffic.Complete && !bodiless && short(out.Header, out.Body) {
		out.Body.State = traffic.Truncated
	}
	return out, nil
}

func (r *response) timing() (traffic.Timing, error) {
	if r.Latency == nil {
		return traffic.Timing{}, nil
	}
	t := traffic.Timing{Kind: traffic.TimingProxy, Total: time.Duration(*r.Latency)}
	if r.TTFB != nil {
		t.TTFB = time.Duration(*r.TTFB)
	}
	if t.Total < 0 || t.TTFB < 0 || t.TTFB > t.Total {
		return traffic.Timing{}, errLatency
	}
	return t, nil
}

// body gives the body; that of a request that is too large is Oversized too.
func (c *content) body() (traffic.Body, error) {
	var b traffic.Body
	switch {
	case c.Body != nil && c.Base64 != nil:
		return b, errBody
	case c.Body != nil:
		b.Bytes = []byte(*c.Body)
	case c.Base64 != nil:
		var err error
		if b.Bytes, err = base64.StdEncoding.DecodeString(*c.Base64); err != nil {
			return b, errBody
		}
	}
	if len(b.Bytes) == 0 {
		b.Bytes = nil
	}
	switch c.State {
	case "":
	case "truncated":
		b.State = traffic.Truncated
	case "missing":
		return traffic.Body{State: traffic.Missing}, nil
	default:
		return b, errState
	}
	if len(b.Bytes) > MaxBody {
		b.Size, b.SHA256 = int64(len(b.Bytes)), sha256.Sum256(b.Bytes)
		b.Bytes, b.State = bytes.Clone(b.Bytes[:MaxBody]), traffic.Oversized
	}
	return b, nil
}

// short reports whether the header announces more than the body has.
func short(h traffic.Header, b traffic.Body) bool {
	if h.Has("Transfer-Encoding") || !h.Has("Content-Length") {
		return false
	}
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	return err == nil && n > int64(len(b.Bytes))
}

func proto(s string) (string, error) {
	if s == "" {
		return "HTTP/1.1", nil
	}
	if !strings.HasPrefix(s, "HTTP/") || len(s) > 16 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", errProto
	}
	return s, nil
}

// parseTime reads a time, the zero one where there is none.
func parseTime(v jsontext.Value) (time.Time, error) {
	switch v.Kind() {
	case 0, 'n':
		return time.Time{}, nil
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return time.Time{}, errTime
		}
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || at.Year() < 1970 || at.Year() > 2261 {
			return time.Time{}, errTime
		}
		return at.UTC(), nil
	case '0':
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n < 0 {
			return time.Time{}, errTime
		}
		return time.Unix(0, n).UTC(), nil
	}
	return time.Time{}, errTime
}

// parseHeaders reads fields in the order in which they stand, in both forms.
func parseHeaders(v jsontext.Value) (traffic.Header, error) {
	switch v.Kind() {
	case 0, 'n':
		return nil, nil
	case '[':
		return listedHeaders(v)
	case '{':
		return namedHeaders(v)
	}
	return nil, errHeaders
}

func listedHeaders(v jsontext.Value) (traffic.Header, error) {
	var pairs [][]string
	if json.Unmarshal(v, &pairs) != nil {
		return nil, errHeaders
	}
	var h traffic.Header
	for _, p := range pairs {
		if len(p) != 2 {
			return nil, errHeaders
		}
		if h = appendField(h, p[0], p[1]); h == nil {
			return nil, errHeaders
		}
	}
	return h, nil
}

func namedHeaders(v jsontext.Value) (traffic.Header, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := dec.ReadToken(); err != nil {
		return nil, errHeaders
	}
	var h traffic.Header
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, errHeaders
		}
		field := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, errHeaders
		}
		var one string
		many := []string{}
		if value.Kind() == '[' {
			err = json.Unmarshal(value, &many)
		} else if err = json.Unmarshal(value, &one); value.Kind() == '"' {
			many = append(many, one)
		} else {
			return nil, errHeaders
		}
		if err != nil {
			return nil, errHeaders
		}
		for _, s := range many {
			if h = appendField(h, field, s); h == nil {
				return nil, errHeaders
			}
		}
	}
	return h, nil
}

// appendField adds a field, or returns nil where it could break out of its line.
func appendField(h traffic.Header, name, value string) traffic.Header {
	value = strings.Trim(value, " \t")
	if !http1.IsToken(name) || strings.ContainsFunc(value, isControl) {
		return nil
	}
	return append(h, traffic.Field{Name: name, Value: value})
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isTarget reports whether s can stand in a request line: RFC 9112 section 3.2.
func isTarget(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	return strings.HasPrefix(s, "/") || s == "*" || strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}
