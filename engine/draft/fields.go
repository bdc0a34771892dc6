package draft

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// What is remembered at most.
const (
	maxFields   = 2000 // places in responses
	maxRequests = 2000 // different requests whose last answer is kept
	maxMembers  = 60   // of an object; one with more has names of things for keys
	maxSeen     = 256  // values of a field, to see whether one comes again
	maxDeep     = 12
)

// fields are the places in recorded responses, and how their values change.
type fields struct {
	body field
	all  []*field
	last map[uint64]map[*field]uint64 // request to the values of its last answer
}

// field is one place. Its values are known by a hash only.
type field struct {
	path    jq.Pattern
	members map[string]*field
	element *field

	responses int64 // that have a value here
	values    int64
	clocks    int64 // values that are a time close to that of the request
	times     int64 // values that are a time
	tokens    int64 // values that look like an identifier
	again     bool  // a value came twice
	seen      map[uint64]bool

	compared int64 // pairs of answers to the same request
	differed int64 // of them, those that have another value
}

func newFields() *fields {
	return &fields{
		body: field{path: jq.Pattern{{Kind: jq.Key, Key: "body"}}, members: map[string]*field{}},
		last: map[uint64]map[*field]uint64{},
	}
}

// member returns the place of a member of what is at f; nil when there are too
// many places, or when its name may be a value.
func (f *fields) member(of *field, name string) *field {
	if known, ok := of.members[name]; ok {
		return known
	}
	if len(f.all) >= maxFields || !isName(name) {
		return nil
	}
	m := f.place(of, jq.Step{Kind: jq.Key, Key: name})
	of.members[name] = m
	return m
}

// elements returns the place of the elements of the list at f.
func (f *fields) elements(of *field) *field {
	if of.element == nil && len(f.all) < maxFields {
		of.element = f.place(of, jq.Step{Kind: jq.Iterate})
	}
	return of.element
}

func (f *fields) place(of *field, step jq.Step) *field {
	p := &field{path: append(of.path[:len(of.path):len(of.path)], step), members: map[string]*field{}, seen: map[uint64]bool{}}
	f.all = append(f.all, p)
	return p
}

// add looks at the body of a recorded response.
func (f *fields) add(x *traffic.Exchange) {
	body := document.Body(x.Response.Header, x.Response.Body)
	switch body.(type) {
	case map[string]any, []any:
	default:
		return // no places in it
	}
	v := visit{fields: f, at: x.At, hashes: map[*field]uint64{}}
	v.walk(&f.body, body)
	request := hashOf(x.Request.Method + " " + x.Request.Host() + x.Request.Target + "\x00" + string(x.Request.Body.Bytes))
	before, known := f.last[request]
	if !known && len(f.last) >= maxRequests {
		return
	}
	f.last[request] = v.hashes
	for field, hash := range v.hashes {
		if old, ok := before[field]; ok {
			field.compared++
			if old != hash {
				field.differed++
			}
		}
	}
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, s)
	return h.Sum64()
}

// visit walks through one response.
type visit struct {
	fields *fields
	at     time.Time
	hashes map[*field]uint64 // of all values at a place, in their order
}

func (v *visit) walk(f *field, value any) {
	if f == nil || len(f.path) > maxDeep {
		return
	}
	switch value := value.(type) {
	case map[string]any:
		if len(value) > maxMembers {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(value)) { // in order, since places may run out
			v.walk(v.fields.member(f, name), value[name])
		}
	case []any:
		for _, inner := range value {
			v.walk(v.fields.elements(f), inner)
		}
	case string:
		v.leaf(f, value)
	case json.Number:
		v.leaf(f, value.String())
	}
}

func (v *visit) leaf(f *field, text string) {
	before, again := v.hashes[f]
	if !again {
		f.responses++
	}
	hash := hashOf(text)
	v.hashes[f] = before*1099511628211 ^ hash
	f.values++
	f.again = f.again || f.seen[hash]
	if len(f.seen) < maxSeen {
		f.seen[hash] = true
	}
	if t, ok := timeIn(text); ok {
		f.times++
		if !v.at.IsZero() && t.Sub(v.at).Abs() <= clockSlack {
			f.clocks++
		}
	} else if isToken(text) {
		f.tokens++
	}
}

// clockSlack is how far a clock that answers may be from the recorder's.
const clockSlack = 2 * time.Minute

// timeIn reads the forms in which services write times: RFC 3339 and its
// relatives, the date of HTTP, and seconds or milliseconds since 1970.
func timeIn(s string) (time.Time, bool) {
	if len(s) < 10 || len(s) > 40 || s[0] != '+' && s[0] != '-' && strings.Trim(s[:1], "0123456789MTWFS") != "" {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", time.RFC1123, time.RFC1123Z} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	whole, _, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, false
	case n > 1e9 && n < 4e9:
		return time.Unix(n, 0), true
	case n > 1e12 && n < 4e12:
		return time.UnixMilli(n), true
	}
	return time.Time{}, false
}

// isToken reports whether a value looks drawn at random: long, one word, with
// digits in it.
func isToken(s string) bool {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("-_=+/.:", c) >= 0:
		default:
			return false
		}
	}
	return len(s) >= 16 && digits*8 >= len(s) || len(s) >= 12 && digits == len(s)
}

// freshWords mark names of what is drawn anew for every answer.
var freshWords = wordSet("correlation nonce request span trace traceparent")

// The reasons for which a field is ignored.
const (
	clock   = "a time close to that of the request"
	differs = "differs between answers to the same request"
	fresh   = "new in every answer"
)

// why says for what reason a field should be ignored; "" when it should not.
func (f *field) why() string {
	most := func(n int64) bool { return n*10 >= f.values*9 }
	last := f.path[len(f.path)-1].Key
	switch {
	case f.responses < 2:
		return ""
	case most(f.clocks):
		return clock
	case f.differed > 0 && f.differed*2 >= f.compared && (most(f.times) || most(f.tokens)):
		return differs
	case f.responses > 2 && !f.again && most(f.tokens) && hasWord(last, freshWords):
		return fresh
	}
	return ""
}

// suggestion is a path that should be ignored, or may have to be.
type suggestion struct{ path, why string }

// found lists the fields that look volatile, and those that are not the same
// in all answers to a request but do not look it.
func (f *fields) found() (volatile, doubtful []suggestion) {
	for _, field := range f.all {
		path := field.path.String()
		switch why := field.why(); {
		case why != "":
			volatile = append(volatile, suggestion{path, why})
		case field.differed > 0 && field.responses > 2:
			doubtful = append(doubtful, suggestion{path, differs})
		}
	}
	order := func(a, b suggestion) int { return cmp.Or(cmp.Compare(a.why, b.why), cmp.Compare(a.path, b.path)) }
	slices.SortFunc(volatile, order)
	slices.SortFunc(doubtful, order)
	return volatile[:min(len(volatile), 50)], doubtful[:min(len(doubtful), 20)]
}
