package har

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// verdicts on an entry that does not become an exchange.
var (
	errNotHTTP   = errors.New("no HTTP exchange with a server")
	errForeign   = errors.New("another host")
	errTruncated = errors.New("the body of the request was not recorded as it was sent, left out")
)

// hosts is the list of wanted hosts, in lower case; nil means all.
type hosts map[string]bool

func newHosts(names []string) hosts {
	if len(names) == 0 {
		return nil
	}
	h := make(hosts, len(names))
	for _, n := range names {
		h[strings.ToLower(n)] = true
	}
	return h
}

// has reports whether an authority is wanted: as it stands, or without port.
func (h hosts) has(authority string) bool {
	if h == nil {
		return true
	}
	authority = strings.ToLower(authority)
	if h[authority] {
		return true
	}
	host, _, err := net.SplitHostPort(authority)
	return err == nil && h[host]
}

// exchange makes an exchange of an entry. Its errors quote nothing of it.
func (e *entry) exchange(wanted hosts) (*traffic.Exchange, error) {
	authority, target, ok := splitURL(e.Request.URL)
	if !ok || e.neverReachedServer() {
		return nil, errNotHTTP
	}
	if !wanted.has(authority) {
		return nil, errForeign
	}
	at, err := parseTime(e.Started)
	if err != nil {
		return nil, err
	}
	x := &traffic.Exchange{At: at, Session: e.session(authority)}
	if err := e.Request.convert(&x.Request, authority, target); err != nil {
		return nil, err
	}
	if e.Response != nil {
		x.Response = e.Response.convert(e.Request.Method)
		x.Timing = e.Timings.convert()
	}
	return x, nil
}

// neverReachedServer reports whether the browser, a test or a tunnel stood
// between the request and any server, or whether it is more than one request.
func (e *entry) neverReachedServer() bool {
	r := e.Response
	return e.Request.Method == "CONNECT" ||
		bool(e.FromCache || e.Error || e.WasFulfilled || e.WasAborted || e.WebSocket) ||
		r != nil && (r.Status < 100 || r.Status == 101 || bool(r.Error || r.WasFulfilled || r.FromCache))
}

// session is the connection, which browsers number across all hosts.
func (e *entry) session(authority string) string {
	if e.Connection == "" || e.Connection == "0" {
		return ""
	}
	return strings.ToLower(authority) + "#" + string(e.Connection)
}

// splitURL takes an http or https URL apart, leaving path and query exactly as
// they are. The fragment and the user information are not sent to a server.
func splitURL(s string) (authority, target string, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", "", false
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, target = rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, target = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if target[0] == '?' {
		target = "/" + target
	}
	return authority, target, authority != ""
}

func (r *request) convert(out *traffic.Request, authority, target string) error {
	if !http1.IsToken(r.Method) {
		return errors.New("method is not one of HTTP")
	}
	if !isVisible(target) || !isVisible(authority) {
		return errors.New("URL with a space or a control character")
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	*out = traffic.Request{
		Method: r.Method,
		Target: target,
		Proto:  proto(r.Proto),
		Body:   traffic.Body{Bytes: body},
	}
	out.Header, err = r.fields(authority, len(body))
	return err
}

// fields returns the header of the request as HTTP/1.1 would carry it: without
// the pseudo fields of HTTP/2, with a Host, and with the length of the body.
func (r *request) fields(authority string, length int) (traffic.Header, error) {
	out := make(traffic.Header, 1, len(r.Headers)+2) // the first one is for Host
	sized := false
	for _, h := range r.Headers {
		switch {
		case strings.HasPrefix(h.Name, ":"):
			if h.Name == ":authority" && isVisible(h.Value) && h.Value != "" {
				authority = h.Value
			}
			continue
		case traffic.EqualName(h.Name, "Transfer-Encoding"):
			continue
		case traffic.EqualName(h.Name, "Content-Length"):
			if sized {
				continue
			}
			sized = true
			h.Value = strconv.Itoa(length)
		}
		if !http1.IsToken(h.Name) {
			return nil, errors.New("header with a name that is not one of HTTP")
		}
		out = appendLines(out, h)
	}
	if length > 0 && !sized {
		out = append(out, traffic.Field{Name: "Content-Length", Value: strconv.Itoa(length)})
	}
	if out[1:].Has("Host") {
		return out[1:], nil
	}
	out[0] = traffic.Field{Name: "Host", Value: authority}
	return out, nil
}

// appendLines adds a header, as several fields where a browser joined them with
// line feeds.
func appendLines(out traffic.Header, h header) traffic.Header {
	if !strings.ContainsAny(h.Value, "\n\r\x00") {
		return append(out, traffic.Field{Name: h.Name, Value: strings.Trim(h.Value, " \t")})
	}
	for v := range strings.SplitSeq(h.Value, "\n") {
		v = strings.Map(func(r rune) rune {
			if r == '\r' || r == 0 {
				return -1
			}
			return r
		}, v)
		out = append(out, traffic.Field{Name: h.Name, Value: strings.Trim(v, " \t")})
	}
	return out
}

// body returns the bytes of the body. A body that was recorded in part, or as
// text although it was none, is errTruncated.
func (r *request) body() ([]byte, error) {
	announced := r.announced()
	p := r.PostData
	if p == nil {
		if announced > 0 {
			return nil, errTruncated
		}
		return nil, nil
	}
	switch {
	case p.Encoding == "base64":
		body, err := base64.StdEncoding.DecodeString(p.Text)
		if err != nil {
			return nil, errTruncated
		}
		return body, nil
	case p.Text == "" && len(p.Params) > 0:
		return p.form()
	case p.Text == "" && announced > 0:
		return nil, errTruncated
	case announced >= 0 && announced != int64(len(p.Text)) && strings.ContainsRune(p.Text, utf8.RuneError):
		return nil, errTruncated // bytes that are no text were replaced
	}
	if body, ok := narrow(p.Text, announced); ok {
		return body, nil
	}
	return []byte(p.Text), nil
}

// narrow gives the bytes of a body that a producer wrote as text with one
// character for each byte, as mitmproxy 11 does with what is no text: the length
// that it announces is then that of the characters and not that of their UTF-8.
func narrow(text string, announced int64) ([]byte, bool) {
	if int64(len(text)) == announced || int64(utf8.RuneCountInString(text)) != announced {
		return nil, false
	}
	return latin1(text)
}

// latin1 gives text in ISO-8859-1, in which a character is the byte of its code
// point; false where one has none.
func latin1(text string) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

// announced is the length of the body by the recording, or -1.
func (r *request) announced() int64 {
	if r.BodySize > 0 {
		return r.BodySize
	}
	for _, h := range r.Headers {
		if traffic.EqualName(h.Name, "Content-Length") {
			if n, err := strconv.ParseInt(h.Value, 10, 64); err == nil && n >= 0 {
				return n
			}
		}
	}
	return -1
}

// form encodes parameters as application/x-www-form-urlencoded, in their order.
// Uploads are another format, with boundaries that the parameters do not say.
func (p *postData) form() ([]byte, error) {
	if strings.HasPrefix(strings.ToLower(p.MimeType), "multipart/") {
		return nil, errTruncated
	}
	var out []byte
	for i, f := range p.Params {
		if f.FileName != nil && *f.FileName != "" {
			return nil, errTruncated
		}
		if i > 0 {
			out = append(out, '&')
		}
		out = append(out, url.QueryEscape(f.Name)...)
		out = append(out, '=')
		out = append(out, url.QueryEscape(f.Value)...)
	}
	return out, nil
}

func (r *response) convert(method string) *traffic.Response {
	out := &traffic.Response{Status: r.Status, Reason: r.Reason, Proto: proto(r.Proto)}
	for _, h := range r.Headers {
		if http1.IsToken(h.Name) { // which leaves out the pseudo fields of HTTP/2
			out.Header = appendLines(out.Header, h)
		}
	}
	if method == "HEAD" || r.Status == 204 || r.Status == 304 {
		return out
	}
	out.Body = r.body(out.Header)
	if len(out.Body.Bytes) > 0 {
		out.Header = out.Header.Without("Content-Encoding", "Content-Length", "Transfer-Encoding")
	}
	return out
}

// body returns the decoded body. Text stands in the file in UTF-8, whatever the
// response says of itself.
func (r *response) body(h traffic.Header) traffic.Body {
	c := &r.Content
	if c.Text == nil || *c.Text == "" {
		if c.Size != 0 {
			return traffic.Body{State: traffic.Missing}
		}
		return traffic.Body{}
	}
	coded := c.Encoding == "base64"
	var body []byte
	if coded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(*c.Text); err != nil {
			return traffic.Body{State: traffic.Missing}
		}
	} else if bytes, ok := narrow(*c.Text, c.Size); ok && !h.Has("Content-Encoding") {
		body = bytes
	} else {
		body = recode(h, *c.Text)
	}
	out := traffic.Body{Bytes: body}
	// Some producers give the size before decoding, so that it proves nothing
	// about a body with a coding.
	if int64(len(body)) < c.Size && !h.Has("Content-Encoding") && (coded || isASCII(body)) {
		out.State = traffic.Truncated
	}
	return out
}

// recode turns text back into ISO-8859-1 where the response says that it was.
func recode(h traffic.Header, text string) []byte {
	switch content.MediaTypeOf(h).Charset {
	case "iso-8859-1", "latin1":
		if body, ok := latin1(text); ok {
			return body
		}
	}
	return []byte(text)
}

// longest is more milliseconds than any exchange takes: eleven days.
const longest = 1e9

func (t *timings) convert() traffic.Timing {
	if t.Wait == nil || *t.Wait < 0 || *t.Wait > longest {
		return traffic.Timing{}
	}
	receive := 0.0
	if t.Receive != nil && *t.Receive > 0 && *t.Receive < longest {
		receive = *t.Receive
	}
	ttfb := milliseconds(*t.Wait)
	return traffic.Timing{Kind: traffic.TimingClient, TTFB: ttfb, Total: ttfb + milliseconds(receive)}
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// proto names the protocol as other sources do.
func proto(s string) string {
	switch strings.ToLower(s) {
	case "", "unknown":
		return "HTTP/1.1"
	case "h2", "http/2", "http/2.0":
		return "HTTP/2"
	case "h3", "http/3":
		return "HTTP/3"
	}
	return strings.ToUpper(s)
}

// isVisible reports whether s can stand in a request line.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
