package draft

import (
	"cmp"
	"hash/fnv"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// What is told apart at most.
const (
	maxDimensions = 400
	maxValues     = 20
)

// dimensions are the header fields and query parameters of requests that may
// slice the traffic.
type dimensions struct {
	byKey map[dimensionKey]*dimension
	total int64
}

type dimensionKey struct {
	place string // "headers", "query", "host"
	name  string
}

// dimension is one of them. Its values are known by a hash only.
type dimension struct {
	requests int64
	values   map[uint64]int64
	unfit    bool // too many values, or one that the scrubber changes
}

func newDimensions() *dimensions { return &dimensions{byKey: map[dimensionKey]*dimension{}} }

// add looks at a request before and after scrubbing. What the scrubber changes
// is personal or secret, whatever it is called.
func (d *dimensions) add(original, scrubbed *traffic.Request) {
	d.total++
	for i, f := range scrubbed.Header {
		name := strings.ToLower(f.Name)
		if slicesHeader(name) && !scrubbed.Header[:i].Has(name) {
			d.see(dimensionKey{"headers", name}, scrubbed.Header.Joined(name), original.Header.Joined(name) != scrubbed.Header.Joined(name))
		}
	}
	if host := scrubbed.Host(); host != "" {
		d.see(dimensionKey{"host", ""}, host, host != original.Host())
	}
	if scrubbed.Query() == "" {
		return
	}
	before, _ := url.ParseQuery(original.Query())
	after, _ := url.ParseQuery(scrubbed.Query())
	for _, name := range slices.Sorted(maps.Keys(after)) { // in order, since room may run out
		if slicesQuery(name) {
			d.see(dimensionKey{"query", name}, after[name][0], !slices.Equal(after[name], before[name]))
		}
	}
}

func (d *dimensions) see(k dimensionKey, value string, changed bool) {
	v := d.byKey[k]
	if v == nil {
		if len(d.byKey) >= maxDimensions {
			return
		}
		v = &dimension{values: map[uint64]int64{}}
		d.byKey[k] = v
	}
	v.requests++
	if v.unfit = v.unfit || changed || len(value) > 60; v.unfit {
		return
	}
	h := fnv.New64a()
	io.WriteString(h, value)
	if v.values[h.Sum64()]++; len(v.values) > maxValues {
		v.unfit, v.values = true, nil
	}
}

// unfitHeaders say how a message travels or what a program is, or are new with
// every request.
var unfitHeaders = wordSet(`accept accept-charset accept-encoding age cache-control connection content-encoding content-length content-type
	cookie date dnt expect forwarded from host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive
	max-forwards origin pragma priority proxy-authorization proxy-connection range referer save-data te trailer transfer-encoding
	upgrade upgrade-insecure-requests user-agent via x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip
	x-requested-with x-http-method-override`)

// unfitWords mark names whose values are about one person or one request.
var unfitWords = wordSet(`account address agent auth authorization birth cookie correlation csrf customer device email first fp fingerprint
	id ids ip jwt key last lat latitude lng location lon longitude login mail name nonce otp parent passwd password phone pin request
	secret sess session sid sig sign signature span ssn token trace traceparent tracestate uid user username uuid xsrf zip`)

// unfitParameters ask for something, rather than say who asks.
var unfitParameters = wordSet(`after before begin callback cb count cursor date day end fields filter filters from limit max min month
	offset order page per q query search since size skip sort start t take term text time timestamp to ts until v year`)

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

func slicesHeader(name string) bool {
	return isName(name) && !unfitHeaders[name] && !strings.HasPrefix(name, "sec-") && !hasWord(name, unfitWords)
}

func slicesQuery(name string) bool {
	return isName(name) && !hasWord(name, unfitWords) && !hasWord(name, unfitParameters)
}

// isName accepts what looks like the name of a field: anything may stand where
// a recording has a name.
func isName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s[:1], "0123456789-._") != "" &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == "" && !manyDigits(s)
}

func manyDigits(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n > 3
}

// hasWord reports whether a word of name is in the set: user-id has user and
// id, userId as well.
func hasWord(name string, set map[string]bool) bool {
	return slices.ContainsFunc(wordsOf(name), func(w string) bool { return set[w] })
}

func wordsOf(name string) []string {
	var out []string
	start := 0
	cut := func(end int) {
		if end > start {
			out = append(out, strings.ToLower(name[start:end]))
		}
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-' || c == '_' || c == '.':
			cut(i)
			start = i + 1
		case c >= 'A' && c <= 'Z' && i > start && name[i-1] >= 'a' && name[i-1] <= 'z':
			cut(i)
			start = i
		}
	}
	cut(len(name))
	return out
}

// slice is a dimension that would do as a cohort.
type slice struct {
	name   string // of the cohort
	by     string // jq
	values int
	share  float64 // of the requests that have it
}

// found lists the dimensions that slice the traffic into a few parts, the one
// that most requests have first.
func (d *dimensions) found() []slice {
	var out []slice
	for k, v := range d.byKey {
		n := len(v.values)
		share := float64(v.requests) / float64(d.total)
		if v.unfit || n < 2 || share < 0.1 || v.requests < 3*int64(n) {
			continue
		}
		out = append(out, slice{name: cohortName(k), by: k.jq(), values: n, share: share})
	}
	slices.SortFunc(out, func(a, b slice) int { return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(a.by, b.by)) })
	return out[:min(len(out), 10)]
}

func (k dimensionKey) jq() string {
	p := jq.Pattern{{Kind: jq.Key, Key: "request"}, {Kind: jq.Key, Key: k.place}}
	if k.name != "" {
		p = append(p, jq.Step{Kind: jq.Key, Key: k.name})
	}
	return p.String()
}

// cohortName makes an identifier: region of x-region.
func cohortName(k dimensionKey) string {
	words := wordsOf(cmp.Or(k.name, k.place))
	if len(words) > 1 && words[0] == "x" {
		words = words[1:]
	}
	name := strings.Join(words, "_")
	if name[0] >= '0' && name[0] <= '9' {
		name = "by_" + name
	}
	return name
}
