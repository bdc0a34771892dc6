package accesslog

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// entry is what a line says, in whatever format.
type entry struct {
	request               string // the request line; "" where its parts stand alone
	method, target, proto string // target may be an absolute URL

	host, userAgent, referer string
	id, session              string

	at     time.Time
	coarse bool          // at is a whole second, for want of better
	ended  bool          // at is when the request ended
	took   time.Duration // from its beginning to its end; 0: unknown

	status  string
	served  bool          // the server of interest answered, as far as the line tells
	latency time.Duration // of the server itself; -1: unknown
}

// The outcomes of a line that becomes no exchange.
var (
	errComment = errors.New("a comment")
	errNotHTTP = errors.New("no HTTP request that reached a server")
	errShape   = errors.New("not of this format")
	errTime    = errors.New("its time cannot be read")
	errStatus  = errors.New("its status is no number")
)

// exchange makes an exchange of an entry.
func (e *entry) exchange() (*traffic.Exchange, error) {
	if e.request != "" {
		var ok bool
		if e.method, e.target, e.proto, ok = requestLine(e.request); !ok {
			return nil, errNotHTTP
		}
	}
	if !isMethod(e.method) || e.method == "CONNECT" || !e.splitURL() {
		return nil, errNotHTTP
	}
	if e.at.IsZero() || e.at.Year() < 1970 || e.at.Year() > 2261 {
		return nil, errTime
	}
	x := &traffic.Exchange{ID: e.id, Session: e.session, At: e.at}
	if e.ended && e.took > 0 && e.took < 24*time.Hour {
		x.At = x.At.Add(-e.took)
	}
	x.Request = traffic.Request{Method: e.method, Target: e.target, Proto: e.proto, Header: e.header()}
	if !bodiless(e.method) {
		x.Request.Body.State = traffic.Missing
	}
	status, err := e.code()
	if err != nil {
		return nil, err
	}
	if status > 0 && e.served {
		x.Response = &traffic.Response{Status: status, Proto: e.proto, Body: traffic.Body{State: traffic.Missing}}
		if e.latency >= 0 {
			x.Timing = traffic.Timing{Kind: traffic.TimingWire, TTFB: e.latency, Total: e.latency}
		}
	}
	return x, nil
}

// bodiless reports whether requests of a method carry no body that means
// anything.
func bodiless(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS"
}

// code gives the status, 0 where nobody received an answer.
func (e *entry) code() (int, error) {
	switch e.status {
	case "", "-", "0", "000", "444", "499":
		return 0, nil
	}
	n, err := strconv.Atoi(e.status)
	if err != nil || n < 100 || n > 999 {
		return 0, errStatus
	}
	return n, nil
}

// header gives the fields that the line tells.
func (e *entry) header() traffic.Header {
	var h traffic.Header
	for _, f := range []traffic.Field{{Name: "Host", Value: e.host}, {Name: "User-Agent", Value: e.userAgent}, {Name: "Referer", Value: e.referer}} {
		if f.Value != "" && f.Value != "-" && !strings.ContainsFunc(f.Value, isControl) {
			h = append(h, f)
		}
	}
	return h
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// splitURL turns an absolute URL into a host and a target in origin form, and
// reports whether the target can stand in a request line.
func (e *entry) splitURL() bool {
	scheme, rest, ok := strings.Cut(e.target, "://")
	if ok && !strings.ContainsAny(scheme, "/?") {
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end, rest = len(rest), rest+"/"
		}
		host := rest[:end]
		host = host[strings.LastIndexByte(host, '@')+1:]
		switch scheme {
		case "http":
			host = strings.TrimSuffix(host, ":80")
		case "https", "h2", "grpcs":
			host = strings.TrimSuffix(host, ":443")
		default:
			return false
		}
		if rest = rest[end:]; rest[0] == '?' {
			rest = "/" + rest
		}
		e.target = rest
		if host != "" {
			e.host = host
		}
	}
	if strings.ContainsFunc(e.host, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' }) {
		e.host = ""
	}
	if e.target == "*" {
		return e.method == "OPTIONS"
	}
	for i := range len(e.target) {
		if e.target[i] <= ' ' || e.target[i] == 0x7f || e.target[i] == '#' {
			return false
		}
	}
	return strings.HasPrefix(e.target, "/")
}

// requestLine splits "GET /orders?id=7 HTTP/1.1".
func requestLine(s string) (method, target, proto string, ok bool) {
	method, rest, ok := strings.Cut(s, " ")
	end := strings.LastIndexByte(rest, ' ')
	if !ok || end < 0 || !strings.HasPrefix(rest[end+1:], "HTTP/") {
		return "", "", "", false
	}
	return method, rest[:end], rest[end+1:], true
}

// isMethod reports whether s is a token of upper-case letters, as all methods
// are that anybody uses.
func isMethod(s string) bool {
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// seconds reads a duration in seconds, "0.137"; -1 stands for none: "", "-", or
// a negative one. Of the times of several attempts, "0.010, 0.020", the last
// one is that of the answer.
func seconds(s string) time.Duration {
	return duration(s, time.Second)
}

func duration(s string, unit time.Duration) time.Duration {
	if i := strings.LastIndexAny(s, ",:"); i >= 0 {
		s = strings.TrimSpace(s[i+1:])
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0) || v*float64(unit) > float64(24*time.Hour) {
		return -1
	}
	return time.Duration(v*float64(unit) + 0.5)
}

// epoch reads a time as a number of units since 1970. The digits are read as
// they stand: a float would lose the last ones.
func epoch(s string, unit time.Duration) (at time.Time, coarse bool, err error) {
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 62)
	perSecond := uint64(time.Second / unit)
	if err != nil || n/perSecond > 1<<33 || len(fraction) > 18 {
		return time.Time{}, false, errTime
	}
	part := time.Duration(0)
	scale := unit
	for i := range len(fraction) {
		if fraction[i] < '0' || fraction[i] > '9' {
			return time.Time{}, false, errTime
		}
		scale /= 10
		part += time.Duration(fraction[i]-'0') * scale
	}
	at = time.Unix(int64(n/perSecond), int64(n%perSecond)*int64(unit)+int64(part)).UTC()
	return at, unit == time.Second && fraction == "", nil
}

// clock reads a time in RFC 3339 or in the form of nginx and Apache.
func clock(s string) (at time.Time, coarse bool, err error) {
	for _, layout := range [...]string{time.RFC3339Nano, "02/Jan/2006:15:04:05 -0700", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC(), at.Nanosecond() == 0 && !strings.Contains(s, "."), nil
		}
	}
	return time.Time{}, false, errTime
}
