package compare

import (
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// headerUse says what is compared of a header.
type headerUse uint8

const (
	useValue    headerUse = iota // its value
	usePresence                  // only whether it is there
	useSet                       // its value as a set of directives
	useType                      // the media type in it
	useCoding                    // the content codings in it
	useCookies                   // Set-Cookie: names and attributes
)

// compared has the headers that are compared when nothing is said. Fields that
// speak of a connection (Connection, Keep-Alive, Transfer-Encoding,
// Content-Length, TE, Trailer, Upgrade, Proxy-*) are not among them: they say
// how a message travelled, not what it says.
var compared = []struct {
	name string
	use  headerUse
}{
	{"content-type", useType},
	{"content-encoding", useCoding},
	{"location", useValue},
	{"cache-control", useSet},
	{"www-authenticate", useValue},
	{"set-cookie", useCookies},

	// New with every response, so their value means nothing.
	{"date", usePresence},
	{"age", usePresence},
	{"etag", usePresence},
	{"server", usePresence},
	{"via", usePresence},
	{"server-timing", usePresence},
	{"x-request-id", usePresence},
	{"request-id", usePresence},
	{"x-correlation-id", usePresence},
	{"x-runtime", usePresence},
	{"traceparent", usePresence},
	{"tracestate", usePresence},
	{"b3", usePresence},
	{"x-b3-traceid", usePresence},
	{"x-b3-spanid", usePresence},
	{"x-b3-parentspanid", usePresence},
	{"x-b3-sampled", usePresence},
	{"x-datadog-trace-id", usePresence},
	{"x-datadog-parent-id", usePresence},
	{"x-amzn-trace-id", usePresence},
	{"x-cloud-trace-context", usePresence},
	{"sentry-trace", usePresence},
}

// headerTable finds the compared headers of a message in one pass over it.
type headerTable struct {
	names  [][]byte // lower case
	uses   []headerUse
	length [64][]int16 // by the length of the name
	long   []int16     // longer names
}

func newHeaderTable(more []string) headerTable {
	var t headerTable
	for _, h := range compared {
		t.add(h.name, h.use)
	}
	for _, name := range more {
		name = strings.ToLower(name)
		i := slices.IndexFunc(t.names, func(n []byte) bool { return string(n) == name })
		switch {
		case i < 0:
			t.add(name, useValue)
		case t.uses[i] == usePresence:
			t.uses[i] = useValue
		}
	}
	return t
}

func (t *headerTable) add(name string, use headerUse) {
	i := int16(len(t.names))
	t.names, t.uses = append(t.names, []byte(name)), append(t.uses, use)
	if len(name) < len(t.length) {
		t.length[len(name)] = append(t.length[len(name)], i)
		return
	}
	t.long = append(t.long, i)
}

// lines is where the compared headers stand in a message: 0 is nowhere, n the
// field before n, -n the first of several.
type lines []int16

// find fills at, which is zero, with the lines of h.
func (t *headerTable) find(h traffic.Header, at lines) {
	for i := range h {
		candidates := t.long
		if n := len(h[i].Name); n < len(t.length) {
			candidates = t.length[n]
		}
		for _, c := range candidates {
			if !traffic.EqualName(h[i].Name, string(t.names[c])) {
				continue
			}
			switch {
			case at[c] == 0 && i < 1<<15-1:
				at[c] = int16(i + 1)
			case at[c] > 0:
				at[c] = -at[c]
			}
			break
		}
	}
}

// value returns the value of the header c of h.
func (t *headerTable) value(h traffic.Header, at lines, c int) string {
	switch n := at[c]; {
	case n > 0:
		return h[n-1].Value
	case n < 0:
		return h.Joined(string(t.names[c]))
	}
	return ""
}

var (
	statusKey  = []byte("status")
	headersKey = []byte("headers")
	cookiesKey = []byte("cookies")
	bodyKey    = []byte("body")
	sumKey     = []byte("sha256")
)

// headers compares the headers and cookies of two messages.
func (w *walker) headers(a, b traffic.Header) {
	t := &w.c.headers
	var stack [2][64]int16
	at, bt := lines(stack[0][:]), lines(stack[1][:])
	if len(t.names) > len(at) {
		at, bt = make(lines, len(t.names)), make(lines, len(t.names))
	}
	t.find(a, at)
	t.find(b, bt)

	p, outer := w.enter(headersKey, result.KindHeader)
	cookies := false
	for c := range t.names {
		if at[c] == 0 && bt[c] == 0 {
			continue
		}
		if t.uses[c] == useCookies {
			cookies = true
			continue
		}
		if at[c] != 0 && bt[c] != 0 {
			if t.uses[c] == usePresence {
				continue
			}
			if at[c] > 0 && bt[c] > 0 && a[at[c]-1].Value == b[bt[c]-1].Value {
				continue
			}
		}
		w.header(w.key(p, t.names[c]), c, a, b, at, bt)
	}
	w.leave(outer)
	if cookies {
		w.cookies(a, b)
	}
}

// enter goes to a top-level member of the response, which a rule may excuse as
// a whole: then everything inside is one difference of the given kind. The
// caller leaves with the outer rule.
func (w *walker) enter(name []byte, kind result.DiffKind) (p place, outer *rule) {
	p, outer = w.key(w.top(), name), w.cover
	w.push(name)
	if by := w.rule(p, ignoreRule, bothSides); outer == nil && by != nil {
		w.cover, w.depth, w.coverKind = by, len(w.path), kind
	}
	return p, outer
}

func (w *walker) leave(outer *rule) {
	w.pop()
	w.cover = outer
}

// header compares one header that is not simply the same.
func (w *walker) header(p place, c int, a, b traffic.Header, at, bt lines) {
	t := &w.c.headers
	x, y := t.value(a, at, c), t.value(b, bt, c)
	kind, same := result.KindHeader, x == y
	switch t.uses[c] {
	case useType:
		kind, same = result.KindFormat, sameMediaType(a, b)
	case useCoding:
		kind, same = result.KindEncoding, slices.Equal(content.Codings(a), content.Codings(b))
	case useSet:
		same = same || directives(x) == directives(y)
	}
	w.push(t.names[c])
	defer w.pop()
	switch {
	case t.uses[c] == useCoding: // no coding and identity are the same
		if same {
			return
		}
		w.leaf(p, kind, bothSides, x, y)
	case at[c] == 0:
		w.leaf(p, result.KindExtra, candidateSide, "", y)
	case bt[c] == 0:
		w.leaf(p, result.KindMissing, baselineSide, x, "")
	case !same:
		w.leaf(p, kind, bothSides, x, y)
	}
}

// leaf records a difference between two texts at place p, under the rules that
// hold there.
func (w *walker) leaf(p place, kind result.DiffKind, side int, baseline, candidate string) {
	by := w.rule(p, ignoreRule, side)
	if kind == result.KindMissing || kind == result.KindExtra {
		by = w.excuse(p, kind, side, false)
	}
	if by == nil && side == bothSides {
		if r := w.rule(p, toleranceRule, side); r != nil && r.limit.allows([]byte(baseline), []byte(candidate)) {
			by = r
		}
	}
	w.text(kind, by, baseline, candidate)
}

// sameMediaType compares name and character set. A side that names none means
// UTF-8.
func sameMediaType(a, b traffic.Header) bool {
	x, y := content.MediaTypeOf(a), content.MediaTypeOf(b)
	return x.Name == y.Name && charset(x) == charset(y)
}

func charset(m content.MediaType) string {
	switch m.Charset {
	case "", "utf8":
		return "utf-8"
	}
	return m.Charset
}

// directives gives the directives of a Cache-Control field in a normal form:
// their order and the spaces between them mean nothing.
func directives(value string) string {
	var out []string
	quoted, start := false, 0
	for i := 0; i <= len(value); i++ {
		switch {
		case i == len(value) || value[i] == ',' && !quoted:
			if d := strings.TrimSpace(value[start:i]); d != "" {
				name, arg, ok := strings.Cut(d, "=")
				if d = strings.ToLower(strings.TrimSpace(name)); ok {
					d += "=" + strings.TrimSpace(arg)
				}
				out = append(out, d)
			}
			start = i + 1
		case value[i] == '"':
			quoted = !quoted
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// cookies compares what the sides say about the cookies that they set: names
// and attributes, but not values, which are new for every visitor.
func (w *walker) cookies(a, b traffic.Header) {
	p, outer := w.enter(cookiesKey, result.KindHeader)
	defer w.leave(outer)
	as, bs := lastByName(document.Cookies(a)), lastByName(document.Cookies(b))
	for _, x := range as {
		name := []byte(x.Name)
		at := w.key(p, name)
		w.push(name)
		if y, ok := cookieNamed(bs, x.Name); ok {
			w.cookie(at, x, y)
		} else {
			w.leaf(at, result.KindMissing, baselineSide, attributes(x), "")
		}
		w.pop()
	}
	for _, y := range bs {
		if _, ok := cookieNamed(as, y.Name); ok {
			continue
		}
		name := []byte(y.Name)
		w.push(name)
		w.leaf(w.key(p, name), result.KindExtra, candidateSide, "", attributes(y))
		w.pop()
	}
}

// lastByName keeps the last of several cookies with one name.
func lastByName(cs []document.Cookie) []document.Cookie {
	out := cs[:0]
	for i, c := range cs {
		if !slices.ContainsFunc(cs[i+1:], func(d document.Cookie) bool { return d.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}

func cookieNamed(cs []document.Cookie, name string) (document.Cookie, bool) {
	i := slices.IndexFunc(cs, func(c document.Cookie) bool { return c.Name == name })
	if i < 0 {
		return document.Cookie{}, false
	}
	return cs[i], true
}

// attributes describes a cookie without its value.
func attributes(c document.Cookie) string {
	var out []string
	for _, a := range cookieAttributes {
		if v := a.get(c); v != "" {
			out = append(out, a.name+"="+v)
		}
	}
	return strings.Join(out, "; ")
}

// cookieAttributes are named as in the document of a response.
var cookieAttributes = []struct {
	name string
	get  func(document.Cookie) string // "" when not given
}{
	{"path", func(c document.Cookie) string { return c.Path }},
	{"domain", func(c document.Cookie) string { return c.Domain }},
	{"max_age", func(c document.Cookie) string { return c.MaxAge }},
	{"secure", func(c document.Cookie) string { return given(c.Secure) }},
	{"http_only", func(c document.Cookie) string { return given(c.HTTPOnly) }},
	{"same_site", func(c document.Cookie) string { return c.SameSite }},
}

func given(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func (w *walker) cookie(p place, a, b document.Cookie) {
	if by := w.rule(p, ignoreRule, bothSides); by != nil {
		if a.Value = b.Value; a != b {
			w.text(result.KindHeader, by, attributes(a), attributes(b))
		}
		return
	}
	for _, attr := range cookieAttributes {
		x, y := attr.get(a), attr.get(b)
		if x == y {
			continue
		}
		name := []byte(attr.name)
		at := w.key(p, name)
		w.push(name)
		switch {
		case x == "":
			w.leaf(at, result.KindExtra, candidateSide, "", y)
		case y == "":
			w.leaf(at, result.KindMissing, baselineSide, x, "")
		default:
			w.leaf(at, result.KindHeader, bothSides, x, y)
		}
		w.pop()
	}
}
