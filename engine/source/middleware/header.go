package middleware

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// sniffed is how many bytes of a body net/http looks at to find its type.
const sniffed = 512

// requestOf is a request without its body.
func requestOf(req *http.Request) traffic.Request {
	host := req.Host
	if host == "" && req.URL != nil {
		host = req.URL.Host
	}
	target := req.RequestURI
	if target == "" && req.URL != nil { // of a client
		target = req.URL.RequestURI()
	}
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	first := traffic.Header{{Name: "Host", Value: host}}
	if slices.Contains(req.TransferEncoding, "chunked") {
		first = append(first, traffic.Field{Name: "Transfer-Encoding", Value: "chunked"})
	} else if req.ContentLength > 0 && req.Header.Get("Content-Length") == "" {
		first = append(first, traffic.Field{Name: "Content-Length", Value: strconv.FormatInt(req.ContentLength, 10)})
	}
	return traffic.Request{Method: method, Target: target, Proto: req.Proto, Header: fields(req.Header, first)}
}

// fields gives the fields in the order of their names, behind those of first.
func fields(h http.Header, first traffic.Header) traffic.Header {
	out := make(traffic.Header, 0, len(first)+len(h))
	out = append(out, first...)
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if first.Has(name) || strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		for _, v := range h[name] {
			out = append(out, traffic.Field{Name: name, Value: clean(v)})
		}
	}
	return out
}

// clean does to a value what net/http does when it writes one.
func clean(v string) string {
	if strings.ContainsAny(v, "\r\n") {
		v = strings.NewReplacer("\r", " ", "\n", " ").Replace(v)
	}
	return strings.Trim(v, " \t\r\n")
}

// trailerOf is the trailer that a handler has left in its fields: those that it
// announced, and those with http.TrailerPrefix.
func trailerOf(announced traffic.Header, h http.Header) traffic.Header {
	var out traffic.Header
	add := func(name string, values []string) {
		for _, v := range values {
			out = append(out, traffic.Field{Name: name, Value: clean(v)})
		}
	}
	for _, list := range announced.Values("Trailer") {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" {
				add(name, h[name])
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok {
			add(http.CanonicalHeaderKey(name), h[key])
		}
	}
	byName(out)
	return out
}

// byName puts fields in the order of their names.
func byName(h traffic.Header) {
	slices.SortStableFunc(h, func(a, b traffic.Field) int { return strings.Compare(a.Name, b.Name) })
}

// contentless reports whether a response has no content, whatever its handler
// has written (RFC 9110 section 6.4.1).
func contentless(method string, status int) bool {
	return method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}
