package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// grain is one value of the corpus under a name.
type grain struct {
	species *species
	field   string
	value   string
}

// corpusPlace puts grains into an exchange.
type corpusPlace struct {
	name  string
	keyed bool // the names of the values can be seen there
	token bool // only values without blanks and line ends
	build func(gs []grain) *traffic.Exchange
}

func jsonOf(gs []grain) string {
	var b strings.Builder
	b.WriteString(`{"kind": "x"`)
	for i, g := range gs {
		fmt.Fprintf(&b, `, "part%c": {%s : %s}`, 'a'+i, quoted(g.field), quoted(g.value))
	}
	return b.String() + ` }`
}

func pairsOf(gs []grain) string {
	out := []string{"a=1"}
	for i, g := range gs {
		out = append(out, url.QueryEscape(fmt.Sprintf("p[%d][%s]", i, g.field))+"="+url.QueryEscape(g.value))
	}
	return strings.Join(out, "&")
}

func coded(coding string) func([]grain) *traffic.Exchange {
	return func(gs []grain) *traffic.Exchange {
		x := answer("application/json", jsonOf(gs))
		x.Response.Header = append(x.Response.Header, traffic.Field{Name: "Content-Encoding", Value: coding})
		x.Response.Body.Bytes, _ = content.Encode(x.Response.Header, x.Response.Body.Bytes)
		return x
	}
}

// fieldName is a name that a header may have.
func fieldName(s string) string { return "X-" + strings.ReplaceAll(s, "_", "-") }

var corpusPlaces = []corpusPlace{
	{"path", false, false, func(gs []grain) *traffic.Exchange {
		t := "/v1"
		for _, g := range gs {
			t += "/things/" + strings.ReplaceAll(url.PathEscape(g.value), ";", "%3B")
		}
		return get(t)
	}},
	{"query", true, false, func(gs []grain) *traffic.Exchange { return get("/a?" + pairsOf(gs)) }},
	{"headers", true, true, func(gs []grain) *traffic.Exchange {
		x := get("/")
		for _, g := range gs {
			x.Request.Header = append(x.Request.Header, traffic.Field{Name: fieldName(g.field), Value: g.value})
		}
		return x
	}},
	{"cookies", true, false, func(gs []grain) *traffic.Exchange {
		x := with("Cookie", "theme=dark")
		for _, g := range gs {
			x.Request.Header[1].Value += "; " + g.field + "=" + url.QueryEscape(g.value)
		}
		return x
	}},
	{"set-cookie", true, false, func(gs []grain) *traffic.Exchange {
		x := answer("application/json", "{}")
		for _, g := range gs {
			x.Response.Header = append(x.Response.Header, traffic.Field{Name: "Set-Cookie", Value: g.field + "=" + strings.ReplaceAll(url.PathEscape(g.value), ";", "%3B") + "; Path=/; Secure"})
		}
		return x
	}},
	{"json", true, false, func(gs []grain) *traffic.Exchange { return post("application/json", jsonOf(gs)) }},
	{"json, duplicate keys", true, false, func(gs []grain) *traffic.Exchange {
		var members []string
		for _, g := range gs {
			members = append(members, quoted(g.field)+":1", quoted(g.field)+":"+quoted(g.value))
		}
		return post("application/json", "{"+strings.Join(members, ",")+"}")
	}},
	{"json in json", true, false, func(gs []grain) *traffic.Exchange {
		return post("application/json", `{"payload":`+quoted(jsonOf(gs))+`}`)
	}},
	{"form", true, false, func(gs []grain) *traffic.Exchange { return post("application/x-www-form-urlencoded", pairsOf(gs)) }},
	{"multipart", true, false, func(gs []grain) *traffic.Exchange {
		var b strings.Builder
		for _, g := range gs {
			fmt.Fprintf(&b, "--B\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", g.field, g.value)
		}
		return post("multipart/form-data; boundary=B", b.String()+"--B--\r\n")
	}},
	{"xml", true, false, func(gs []grain) *traffic.Exchange {
		var b strings.Builder
		for i, g := range gs {
			if i%2 == 0 {
				fmt.Fprintf(&b, "<n:%s>%s</n:%s>\n", g.field, entities(g.value), g.field)
			} else {
				fmt.Fprintf(&b, "<entry %s=%s/>\n", g.field, `"`+entities(g.value)+`"`)
			}
		}
		return answer("application/xml", `<?xml version="1.0"?><r xmlns:n="u">`+b.String()+"</r>")
	}},
	{"html", false, false, func(gs []grain) *traffic.Exchange {
		var b strings.Builder
		for _, g := range gs {
			b.WriteString("<p>see " + entities(g.value) + " there</p>\n")
		}
		return answer("text/html", "<html><body>"+b.String()+"</body></html>")
	}},
	{"graphql variables", true, false, func(gs []grain) *traffic.Exchange {
		return post("application/json", `{"operationName":"Q","query":"mutation Q($in: In!) { put(in: $in) { id } }","variables":`+jsonOf(gs)+`}`)
	}},
	{"ndjson", true, false, func(gs []grain) *traffic.Exchange {
		var b strings.Builder
		for _, g := range gs {
			b.WriteString(jsonOf([]grain{g}) + "\n")
		}
		return answer("application/x-ndjson", b.String())
	}},
	{"events", true, false, func(gs []grain) *traffic.Exchange {
		var b strings.Builder
		for i, g := range gs {
			fmt.Fprintf(&b, "id: %d\nevent: put\ndata: %s\n\n", i, jsonOf([]grain{g}))
		}
		return answer("text/event-stream", b.String())
	}},
	{"base64", true, false, func(gs []grain) *traffic.Exchange {
		return post("application/json", `{"blob":"`+base64.StdEncoding.EncodeToString([]byte(jsonOf(gs)))+`"}`)
	}},
	{"percent-encoded", true, false, func(gs []grain) *traffic.Exchange {
		return get("/a?next=" + url.QueryEscape("https://x.test/cb?"+pairsOf(gs)))
	}},
	{"gzip", true, false, coded("gzip")},
	{"br", true, false, coded("br")},
	{"zstd", true, false, coded("zstd")},
	{"deflate", true, false, coded("deflate")},
	{"csv", true, false, func(gs []grain) *traffic.Exchange {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		head, row := []string{"no"}, []string{"1"}
		for _, g := range gs {
			head, row = append(head, g.field), append(row, g.value)
		}
		w.Write(head)
		w.Write(row)
		w.Flush()
		return answer("text/csv; charset=utf-8", b.String())
	}},
	{"trailers", true, true, func(gs []grain) *traffic.Exchange {
		x := get("/")
		for _, g := range gs {
			x.Request.Trailer = append(x.Request.Trailer, traffic.Field{Name: fieldName(g.field), Value: g.value})
		}
		return x
	}},
	{"prose", false, false, func(gs []grain) *traffic.Exchange {
		var b strings.Builder
		for _, g := range gs {
			b.WriteString("Please use " + g.value + ", thank you. ")
		}
		return post("application/json", `{"text":`+quoted(b.String())+`}`)
	}},
}

// grains draws n values that fit a place.
func grains(r *rand.Rand, from []species, p *corpusPlace, n int) []grain {
	var out []grain
	used := map[string]bool{}
	for len(out) < n {
		sp := &from[r.IntN(len(from))]
		field := pick(r, "note", "detail", "extra", "info", "memo", "what", "aux", "misc") + pick(r, "A", "B", "C", "D", "E")
		if len(sp.fields) > 0 {
			field = pick(r, sp.fields...)
		}
		g := grain{sp, field, sp.make(r)}
		if p.token && strings.ContainsAny(g.value, "\r\n") || used[field] {
			continue
		}
		used[field] = true
		out = append(out, g)
	}
	return out
}

// readings are what a reader can make of the bytes of an exchange.
func readings(text string) []string {
	decoded := unescape(text, true)
	out := []string{text, decoded, unescape(decoded, true), unescape(text, false)}
	for _, f := range strings.FieldsFunc(decoded, func(r rune) bool { return !isBase64(byte(min(r, 0x7f))) || r == '=' }) {
		if len(f) < 32 {
			continue
		}
		for part := range strings.SplitSeq(f, ".") {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				if d, err := enc.DecodeString(part); err == nil {
					out = append(out, string(d))
				}
			}
		}
	}
	for i, s := range out {
		out[i] = strings.ToLower(strings.NewReplacer(`\\n`, "\n", `\\\"`, `"`, `\"`, `"`, `\n`, "\n", "&#64;", "@", `""`, `"`).Replace(s))
	}
	return out
}

func comesOut(texts []string, value string) bool {
	for _, t := range texts {
		if strings.Contains(t, strings.ToLower(value)) {
			return true
		}
	}
	return false
}

// tally counts values and what became of them.
type tally struct{ planted, out, refused int }

func (t tally) recall() float64 {
	if t.planted == 0 {
		return 1
	}
	return 1 - float64(t.out)/float64(t.planted)
}

// What a reader of the recording may want that high.
const (
	wantRecall    = 0.99
	wantPrecision = 0.98
	perExchange   = 6
)

// TestCorpus plants values of every class in every place, and as many that only
// look like one, and counts what comes out and what was changed.
func TestCorpus(t *testing.T) {
	s := newScrubber(t, Config{})
	r := rand.New(rand.NewPCG(2026, 11))
	classes, places, spoiled := map[string]*tally{}, map[string]*tally{}, map[string]*tally{}
	at := func(m map[string]*tally, k string) *tally {
		if m[k] == nil {
			m[k] = &tally{}
		}
		return m[k]
	}
	for i := range corpusPlaces {
		p := &corpusPlaces[i]
		kinds := positives
		if !p.keyed {
			kinds = nil
			for _, sp := range positives {
				if len(sp.fields) == 0 {
					kinds = append(kinds, sp)
				}
			}
		}
		for n := 0; n < perPlace; n += perExchange {
			gs := grains(r, kinds, p, perExchange)
			x := p.build(gs)
			planted := readings(everything(x))
			for _, g := range gs {
				if !comesOut(planted, g.value) {
					t.Fatalf("%s: %s %q cannot be seen before scrubbing", p.name, g.species.name, g.value)
				}
			}
			err := s.Exchange(x)
			var texts []string
			if err == nil {
				texts = readings(everything(x))
			}
			for _, g := range gs {
				c, q := at(classes, g.species.name), at(places, p.name)
				c.planted++
				q.planted++
				if err != nil {
					c.refused++
					q.refused++
				} else if comesOut(texts, g.value) {
					c.out++
					q.out++
					if c.out+q.out < 6 {
						t.Logf("%s: %s %q under %q comes out", p.name, g.species.name, g.value, g.field)
					}
				}
			}
		}
	}
	before := classHits(s)
	harmless := 0
	for i := range corpusPlaces {
		p := &corpusPlaces[i]
		if p.name == "cookies" || p.name == "set-cookie" { // whose values are identifiers, unless known not to be
			continue
		}
		for n := 0; n < perPlace*13/12; n += perExchange {
			gs := grains(r, negatives, p, perExchange)
			harmless += len(gs)
			x, want := p.build(gs), p.build(gs)
			if err := s.Exchange(x); err != nil {
				t.Errorf("%s: %v", p.name, err)
				continue
			}
			if everything(x) == everything(want) {
				continue
			}
			for _, g := range gs {
				one, same := p.build([]grain{g}), p.build([]grain{g})
				if s.Exchange(one) != nil || everything(one) != everything(same) {
					at(spoiled, g.species.name).out++
					t.Errorf("%s: harmless %s %q under %q became\n%s", p.name, g.species.name, g.value, g.field, everything(one))
				}
			}
		}
	}
	after := classHits(s)
	report(t, classes, places, harmless)
	for c, n := range after {
		if found := before[c]; n > found && float64(found)/float64(n) < wantPrecision {
			t.Errorf("%s: %d of %d hits are harmless values", c, n-found, n)
		}
	}
	for _, m := range []map[string]*tally{classes, places} {
		for name, c := range m {
			if c.recall() < wantRecall || c.refused > 0 {
				t.Errorf("%s: recall %.4f of %d, %d refused", name, c.recall(), c.planted, c.refused)
			}
		}
	}
}

func classHits(s *Scrubber) map[string]int64 {
	out := map[string]int64{}
	for _, h := range s.Hits() {
		out[h.Name] = h.Hits
	}
	return out
}

// report prints the table by class and by place.
func report(t *testing.T, classes, places map[string]*tally, harmless int) {
	t.Helper()
	var b strings.Builder
	total := tally{}
	fmt.Fprintf(&b, "%-28s %8s %6s %8s\n", "class", "planted", "out", "recall")
	for i := range positives {
		if c := classes[positives[i].name]; c != nil {
			fmt.Fprintf(&b, "%-28s %8d %6d %8.4f\n", positives[i].name, c.planted, c.out, c.recall())
			total.planted, total.out = total.planted+c.planted, total.out+c.out
		}
	}
	fmt.Fprintf(&b, "%-28s %8s %6s %8s\n", "place", "planted", "out", "recall")
	for i := range corpusPlaces {
		if c := places[corpusPlaces[i].name]; c != nil {
			fmt.Fprintf(&b, "%-28s %8d %6d %8.4f\n", corpusPlaces[i].name, c.planted, c.out, c.recall())
		}
	}
	fmt.Fprintf(&b, "%-28s %8d %6d %8.4f\n", "all", total.planted, total.out, total.recall())
	fmt.Fprintf(&b, "%-28s %8d\n", "harmless", harmless)
	t.Log("\n" + b.String())
}
