// Package cohort names the slices of the traffic that an exchange belongs to:
// its endpoint and the cohorts that the spec declares. Exchanges come in,
// labels go out.
package cohort

import (
	"fmt"
	"net/url"
	"strings"
)

// Other is the label of what does not get one of its own.
const Other = "(other)"

// maxEndpoints bounds the endpoints of an audit. A service whose paths are not
// templated by the rules below would otherwise have one for each request.
const maxEndpoints = 2000

// Endpoints names endpoints: method and path template, "GET /api/orders/{id}".
// It belongs to one goroutine.
type Endpoints struct {
	declared []template
	seen     map[string]struct{}
	memo     map[string]string // "GET /api/orders/17" -> its name
}

// template is a declared endpoint.
type template struct {
	method   string // "": any
	segments []string
	path     string
}

// NewEndpoints makes a namer that knows the declared templates, each a path
// with or without a method before it: "/api/orders/{id}", "GET /files/{name}".
// A segment in braces stands for any one segment. The first that fits wins.
func NewEndpoints(declared []string) (*Endpoints, error) {
	e := &Endpoints{seen: map[string]struct{}{}, memo: map[string]string{}}
	for _, d := range declared {
		method, path, ok := strings.Cut(d, " ")
		if !ok {
			method, path = "", d
		}
		path = strings.TrimSpace(path)
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("endpoint %q: the path must begin with /", d)
		}
		e.declared = append(e.declared, template{method, strings.Split(path, "/"), path})
	}
	return e, nil
}

// Name gives the endpoint of a request with this method and path. A path that
// no template fits gets one of its own: segments that look like identifiers
// become {id}.
func (e *Endpoints) Name(method, path string) string {
	key := method + " " + path
	if name, ok := e.memo[key]; ok {
		return name
	}
	name := e.name(method, path)
	if _, ok := e.seen[name]; !ok {
		if len(e.seen) >= maxEndpoints {
			return Other
		}
		e.seen[name] = struct{}{}
	}
	if len(e.memo) >= 4*maxEndpoints { // paths with identifiers in them are never asked for twice
		clear(e.memo)
	}
	e.memo[key] = name
	return name
}

func (e *Endpoints) name(method, path string) string {
	segments := strings.Split(path, "/")
	for _, t := range e.declared {
		if t.fits(method, segments) {
			return method + " " + t.path
		}
	}
	return method + " " + templated(segments)
}

// Template gives the template that a path gets when none is declared for it:
// segments that look like identifiers become {id}.
func Template(path string) string { return templated(strings.Split(path, "/")) }

func templated(segments []string) string {
	for i, s := range segments {
		if isIdentifier(s) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}

func (t template) fits(method string, segments []string) bool {
	if t.method != "" && t.method != method || len(segments) != len(t.segments) {
		return false
	}
	for i, s := range t.segments {
		if len(s) > 1 && s[0] == '{' && s[len(s)-1] == '}' && segments[i] != "" {
			continue
		}
		if s != segments[i] {
			return false
		}
	}
	return true
}

// isIdentifier reports whether a path segment names a thing rather than a kind
// of thing. Words, versions (v2) and short names with a digit (top-10) do not.
func isIdentifier(s string) bool {
	if strings.Contains(s, "%") {
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
	}
	if s == "" {
		return false
	}
	if strings.ContainsRune(s, '@') {
		return true
	}
	var digits, hex, upper, lower, others int
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'z':
			lower++
			if c <= 'f' {
				hex++
			}
		case c >= 'A' && c <= 'Z':
			upper++
			if c <= 'F' {
				hex++
			}
		case c == '-' || c == '_' || c == '.' || c == ':' || c == '~' || c == '=':
			others++
		default:
			return false // not an identifier by any convention: a sentence, a formula
		}
	}
	n := len(s)
	switch {
	case digits == 0:
		return false
	case digits+others == n && digits > 0 && (others == 0 || digits >= 4):
		return true // 17, 2026-11-20
	case hex == n && n >= 8:
		return true // a digest or a part of one
	case n == 36 && strings.Count(s, "-") == 4 && hex == 32:
		return true // a UUID
	case hasNumericTail(s):
		return true // ord_00017, INV-2024-0042
	case n >= 16 && digits*8 >= n && others*4 <= n:
		return true // ULID, KSUID, nanoid, base64
	case n >= 20 && upper > 0 && lower > 0 && others*4 <= n:
		return true
	}
	return false
}

// hasNumericTail reports whether s ends in a separator and at least three
// digits, the way of prefixed identifiers.
func hasNumericTail(s string) bool {
	i := strings.LastIndexAny(s, "-_:.")
	if i < 1 || len(s)-i-1 < 3 {
		return false
	}
	for _, c := range s[i+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
