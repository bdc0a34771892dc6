// Package mutate breaks responses on purpose, in the ways in which builds break
// them: a field is gone, a number is off by one, a value is null or of another
// type, one endpoint is slower, some requests fail. A set of gates that lets
// such a candidate pass would let a real one pass as well.
package mutate

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Mutation is one way in which a candidate could be wrong.
type Mutation struct {
	Name string
	Doc  string // what it does, as a report says it

	apply func(p *Pick, out traffic.Outcome) (traffic.Outcome, bool)
}

// Pick says where a mutation strikes, the same in every run with one seed.
type Pick struct {
	Seed     uint64
	Seq      int64  // of the pair
	Endpoint string // of the pair
	Struck   string // the endpoint that is made slower
}

// The sizes of the mutations that have one.
const (
	slowdown    = 10  // percent
	failureOne  = 100 // in so many requests
	failureCode = 500
)

// All lists the mutations.
func All() []Mutation {
	return []Mutation{
		{"dropped field", "one member of every JSON response of each endpoint is gone", atMember(func(m *member) bool { m.remove(); return true })},
		{"off by one", "one number in every JSON response of each endpoint is one more", atValue(isNumber, addOne)},
		{"null", "one value in every JSON response of each endpoint is null", atValue(notNull, func(any) any { return nil })},
		{"other type", "one number or boolean in every JSON response of each endpoint is a string", atValue(isScalar, asText)},
		{"slower", "every answer of one endpoint takes 10% longer", slower},
		{"errors", "one request in a hundred is answered with status 500", failing},
	}
}

// Apply returns the outcome as the mutated candidate would have given it, and
// whether it is another one. out is not changed.
func (m *Mutation) Apply(p *Pick, out traffic.Outcome) (traffic.Outcome, bool) {
	if out.Response == nil {
		return out, false
	}
	return m.apply(p, out)
}

func slower(p *Pick, out traffic.Outcome) (traffic.Outcome, bool) {
	if p.Endpoint != p.Struck {
		return out, false
	}
	out.Latency += out.Latency * slowdown / time.Duration(100)
	return out, true
}

func failing(p *Pick, out traffic.Outcome) (traffic.Outcome, bool) {
	if p.number(p.Seq)%failureOne != 0 {
		return out, false
	}
	r := *out.Response
	r.Status, r.Body = failureCode, traffic.Body{}
	out.Response = &r
	return out, true
}

// number is a number that depends on the seed and n.
func (p *Pick) number(n int64) uint64 {
	z := p.Seed + uint64(n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// place chooses one of n places, the same one in every response of an endpoint
// that has as many.
func (p *Pick) place(n int) int {
	h := fnv.New64a()
	io.WriteString(h, p.Endpoint)
	return int(p.number(int64(h.Sum64()>>1)) % uint64(n))
}

// member is a member of an object.
type member struct {
	in  map[string]any
	key string
}

func (m *member) remove() { delete(m.in, m.key) }

// atMember strikes one member of an object.
func atMember(strike func(*member) bool) func(*Pick, traffic.Outcome) (traffic.Outcome, bool) {
	return inJSON(func(p *Pick, doc *any) bool {
		var all []member
		walk(doc, func(in map[string]any, key string, _ *any) {
			if in != nil {
				all = append(all, member{in, key})
			}
		})
		return len(all) > 0 && strike(&all[p.place(len(all))])
	})
}

// atValue strikes one of the values that fit.
func atValue(fits func(any) bool, change func(any) any) func(*Pick, traffic.Outcome) (traffic.Outcome, bool) {
	return inJSON(func(p *Pick, doc *any) bool {
		type spot struct {
			in   map[string]any
			key  string
			slot *any
		}
		var all []spot
		walk(doc, func(in map[string]any, key string, slot *any) {
			if fits(*slot) {
				all = append(all, spot{in, key, slot})
			}
		})
		if len(all) == 0 {
			return false
		}
		s := all[p.place(len(all))]
		*s.slot = change(*s.slot)
		if s.in != nil {
			s.in[s.key] = *s.slot
		}
		return true
	})
}

// walk visits the scalar values of a document in a fixed order. slot holds the
// value; for a member of an object it is a copy.
func walk(doc *any, visit func(in map[string]any, key string, slot *any)) {
	switch v := (*doc).(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			inner := v[k]
			if leaf(inner) {
				visit(v, k, &inner)
			} else {
				walk(&inner, visit)
			}
		}
	case []any:
		for i := range v {
			if leaf(v[i]) {
				visit(nil, "", &v[i])
			} else {
				walk(&v[i], visit)
			}
		}
	}
}

func leaf(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

func notNull(v any) bool { return v != nil }

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

func isScalar(v any) bool {
	_, boolean := v.(bool)
	return boolean || isNumber(v)
}

func addOne(v any) any {
	n := v.(json.Number)
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return json.Number("1")
	}
	_, fraction, _ := strings.Cut(n.String(), ".")
	if strings.ContainsAny(fraction, "eE") {
		fraction = ""
	}
	return json.Number(r.Add(r, big.NewRat(1, 1)).FloatString(len(fraction)))
}

func asText(v any) any {
	if b, ok := v.(bool); ok {
		return map[bool]string{true: "true", false: "false"}[b]
	}
	return v.(json.Number).String()
}

// inJSON makes a mutation of a change to the document in a response's body.
// What is no complete JSON stays as it is.
func inJSON(change func(*Pick, *any) bool) func(*Pick, traffic.Outcome) (traffic.Outcome, bool) {
	return func(p *Pick, out traffic.Outcome) (traffic.Outcome, bool) {
		r := *out.Response
		if r.Body.State != traffic.Complete {
			return out, false
		}
		text, err := content.Decode(r.Header, r.Body.Bytes, content.Limit)
		if err != nil || content.Sniff(content.MediaTypeOf(r.Header), text) != content.JSON {
			return out, false
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var doc any
		if dec.Decode(&doc) != nil || !change(p, &doc) {
			return out, false
		}
		body, err := json.Marshal(doc)
		if err != nil {
			return out, false
		}
		if r.Body.Bytes, err = content.Encode(r.Header, body); err != nil {
			return out, false
		}
		out.Response = &r
		return out, true
	}
}
