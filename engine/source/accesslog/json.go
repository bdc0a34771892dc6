package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var errFormat = errors.New("there is no such format of a log")

// Fields says under which names a JSON line has what is read of it. A name with
// dots leads into objects, unless the line has it as it stands. Each key of the
// map is one of FieldNames.
type Fields map[string]string

// FieldNames lists what Fields may say. Three of them are no names of fields:
// time_unit is s, ms, us, ns or text (of RFC 3339, or as nginx writes it; the
// default), time_is is start (the default) or end, and latency_unit is s, ms
// (the default), us or ns. latency is the time of the server itself; took is
// the time from the beginning of a request to its end, in the same unit.
func FieldNames() []string {
	return []string{"host", "id", "latency", "latency_unit", "method", "proto", "query", "referer", "request", "session", "status", "time", "time_is", "time_unit", "took", "uri", "user_agent"}
}

// Check says what is wrong with the fields, as a whole sentence would without
// its full stop.
func (f Fields) Check() error {
	for _, name := range sorted(f) {
		if !slices.Contains(FieldNames(), name) {
			return fmt.Errorf("there is no field %q", name)
		}
		if f[name] == "" {
			return fmt.Errorf("%s is empty", name)
		}
	}
	switch {
	case f["time"] == "":
		return errors.New("time is missing")
	case f["request"] == "" && (f["method"] == "" || f["uri"] == ""):
		return errors.New("request is missing, or method and uri")
	}
	for _, set := range [][]string{{"time_unit", "text", "s", "ms", "us", "ns"}, {"time_is", "start", "end"}, {"latency_unit", "ms", "s", "us", "ns"}} {
		name, words := set[0], set[1:]
		if v, ok := f[name]; ok && !slices.Contains(words, v) {
			return fmt.Errorf("%s is one of %s", name, strings.Join(words, ", "))
		}
	}
	return nil
}

func sorted(f Fields) []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// jsonParser reads an object per line. Of the names that a value may have, the
// first one that the line has counts.
type jsonParser struct {
	names   map[string][]string
	at      []stamp
	latency time.Duration // unit
}

// stamp is a name under which a line may have its time.
type stamp struct {
	name  string
	unit  time.Duration // 0: text
	ended bool
}

var units = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}

func newJSON(f Fields) (*jsonParser, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	p := &jsonParser{names: make(map[string][]string), latency: time.Millisecond}
	for name, key := range f {
		p.names[name] = []string{key}
	}
	p.at = []stamp{{f["time"], units[f["time_unit"]], f["time_is"] == "end"}}
	if u, ok := units[f["latency_unit"]]; ok {
		p.latency = u
	}
	return p, nil
}

// nginxJSON knows the names of nginx's variables, and the short ones that its
// users like.
var nginxJSON = &jsonParser{
	names: map[string][]string{
		"request":    {"request"},
		"method":     {"request_method", "method"},
		"uri":        {"request_uri", "uri", "url"},
		"query":      {"args", "query_string"},
		"proto":      {"server_protocol"},
		"host":       {"http_host", "host"},
		"user_agent": {"http_user_agent", "user_agent"},
		"referer":    {"http_referer", "http_referrer", "referer"},
		"status":     {"status"},
		"id":         {"request_id", "id"},
		"session":    {"connection", "conn", "remote_addr", "remote"},
		"took":       {"request_time", "rt"},
		"latency":    {"upstream_response_time", "urt"},
	},
	at: []stamp{
		{"msec", time.Second, true}, {"ts", time.Second, true}, {"time", 0, true},
		{"time_iso8601", 0, true}, {"time_local", 0, true}, {"timestamp", 0, true}, {"@timestamp", 0, true},
	},
	latency: time.Second,
}

// istioJSON knows the names that Istio gives to what Envoy logs.
var istioJSON = &jsonParser{
	names: map[string][]string{
		"method":     {"method"},
		"uri":        {"x_envoy_original_path", "path"},
		"proto":      {"protocol"},
		"host":       {"authority"},
		"user_agent": {"user_agent"},
		"status":     {"response_code"},
		"id":         {"request_id"},
		"session":    {"downstream_remote_address", "x_forwarded_for"},
		"latency":    {"upstream_service_time"},
	},
	at:      []stamp{{"start_time", 0, false}},
	latency: time.Millisecond,
}

func (p *jsonParser) parse(line []byte) (*entry, error) {
	// nginx passes bytes above 0x7f as the client sent them. They are read as
	// Latin-1 and turned back, so that they are still the same in the target.
	raw := !utf8.Valid(line)
	if raw {
		line = widen(line)
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(line, &doc); err != nil {
		return nil, errShape
	}
	get := func(what string) string {
		for _, name := range p.names[what] {
			if s := lookup(doc, name); s != "" {
				if raw {
					s = narrow(s)
				}
				return dashless(s)
			}
		}
		return ""
	}
	e := &entry{
		method: get("method"), target: get("uri"), proto: get("proto"),
		host: get("host"), userAgent: get("user_agent"), referer: get("referer"),
		id: get("id"), session: get("session"), status: get("status"), served: true,
		latency: duration(get("latency"), p.latency), took: max(0, duration(get("took"), p.latency)),
	}
	if e.method == "" || e.target == "" {
		if e.request = get("request"); e.request == "" {
			if len(p.names["request"]) > 0 && has(doc, p.names["request"]) || has(doc, p.names["method"]) {
				return nil, errNotHTTP // an empty one: a connection without a request
			}
			return nil, errShape
		}
	} else if query := get("query"); query != "" && !strings.Contains(e.target, "?") {
		e.target += "?" + query
	}
	if e.proto == "" {
		e.proto = "HTTP/1.1"
	}
	return e, p.time(doc, e)
}

// time finds the time of a line.
func (p *jsonParser) time(doc map[string]json.RawMessage, e *entry) (err error) {
	for _, st := range p.at {
		s := lookup(doc, st.name)
		if s == "" {
			continue
		}
		e.ended = st.ended
		if st.unit == 0 {
			e.at, e.coarse, err = clock(s)
		} else {
			e.at, e.coarse, err = epoch(s, st.unit)
		}
		return err
	}
	return errTime
}

func has(doc map[string]json.RawMessage, names []string) bool {
	for _, name := range names {
		if _, ok := doc[name]; ok {
			return true
		}
	}
	return false
}

// lookup gives a string, or the literal of a number, "" for everything else.
func lookup(doc map[string]json.RawMessage, name string) string {
	v, ok := doc[name]
	if !ok {
		outer, inner, dotted := strings.Cut(name, ".")
		if !dotted || doc[outer] == nil {
			return ""
		}
		var nested map[string]json.RawMessage
		if json.Unmarshal(doc[outer], &nested) != nil {
			return ""
		}
		return lookup(nested, inner)
	}
	switch {
	case v[0] == '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return ""
		}
		return s
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return string(v)
	}
	return ""
}

// widen makes a code point of every byte.
func widen(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/2)
	for _, c := range b {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// narrow is the opposite of widen.
func narrow(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r < 0x100 {
			out = append(out, byte(r))
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}
