package preview

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// probe asks a scrubber what it does at a place, with messages that hold nothing
// else: which rule it is whose hits then grow.
type probe struct {
	scrubber *scrub.Scrubber
	hits     map[string]int64
}

func newProbe(s *plan.Scrub) (*probe, error) {
	rules := slices.Clone(s.Rules)
	for i := range rules {
		if rules[i].Action == scrub.Keep {
			rules[i].Action = scrub.Mask // so that it can be seen where it applies
		}
	}
	scrubber, err := scrub.New(scrub.Config{Packs: s.Packs, Rules: rules, Disabled: s.Disabled, MaxBody: s.MaxBody, Canaries: s.Canaries})
	if err != nil {
		return nil, err
	}
	return &probe{scrubber: scrubber, hits: map[string]int64{}}, nil
}

// rules names the rules that replace a value at a place; none where they need
// more of the message than that.
func (p *probe) rules(of string, path []string, form bool, value any) []string {
	x, ok := message(of, path, form, value)
	if !ok || p.scrubber.Exchange(x) != nil {
		return []string{}
	}
	return p.news()
}

// news names the rules that have replaced something since the last time.
func (p *probe) news() []string {
	names := []string{}
	for _, r := range p.scrubber.Hits() {
		if r.Hits > p.hits[r.Name] && r.Name != integrity {
			names = append(names, r.Name)
		}
		p.hits[r.Name] = r.Hits
	}
	return names
}

// integrity is what the scrubber calls lengths and checksums that it brings up
// to date.
const integrity = "integrity"

// samples are values without a meaning of their own, of shapes that rules ask
// for.
var samples = []string{"Zqxv Wkjr", "8251093", "zq7xv2k4w9t5b8n3", "48.137154"}

// covers reports whether some rule is for a place because of where it is:
// something is done there to a value that is left alone elsewhere, or a rule of
// the user says what to do.
func (p *probe) covers(of string, path []string, form bool) bool {
	for _, sample := range samples {
		if p.touches(of, path, form, sample) && !p.touches("request", []string{"query", "zzz"}, false, sample) {
			return true
		}
	}
	return false
}

func (p *probe) touches(of string, path []string, form bool, sample string) bool {
	x, ok := message(of, path, form, sample)
	if !ok {
		return false
	}
	if p.scrubber.Exchange(x) != nil {
		return true // what is refused is not passed on
	}
	return len(p.news()) > 0
}

// message makes an exchange that has a value at a place and nothing anywhere
// else.
func message(of string, path []string, form bool, value any) (*traffic.Exchange, bool) {
	x := &traffic.Exchange{Request: traffic.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1"}}
	header, body := &x.Request.Header, &x.Request.Body
	cookie := "Cookie"
	if of == "response" {
		x.Response = &traffic.Response{Status: 200, Proto: "HTTP/1.1"}
		header, body = &x.Response.Header, &x.Response.Body
		cookie = "Set-Cookie"
	}
	text, isText := value.(string)
	switch {
	case len(path) == 0:
		return nil, false
	case path[0] == "body" && form && len(path) == 2 && isText:
		*header = traffic.Header{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}
		body.Bytes = []byte(url.Values{path[1]: {text}}.Encode())
	case path[0] == "body" && len(path) == 1 && isText:
		*header = traffic.Header{{Name: "Content-Type", Value: "text/plain"}}
		body.Bytes = []byte(text)
	case path[0] == "body":
		doc, err := encoded(nested(path[1:], value))
		if err != nil {
			return nil, false
		}
		*header = traffic.Header{{Name: "Content-Type", Value: "application/json"}}
		body.Bytes = doc
	case path[0] == "path" && isText:
		x.Request.Target = text
	case len(path) < 2 || !isText:
		return nil, false
	case path[0] == "query":
		x.Request.Target = "/?" + url.Values{path[1]: {text}}.Encode()
	case path[0] == "headers":
		*header = traffic.Header{{Name: path[1], Value: text}}
	case path[0] == "cookies":
		*header = traffic.Header{{Name: cookie, Value: path[1] + "=" + text}}
	default:
		return nil, false
	}
	return x, true
}

// nested puts a value under keys; "" is a list with one element.
func nested(path []string, value any) any {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == "" {
			value = []any{value}
		} else {
			value = map[string]any{path[i]: value}
		}
	}
	return value
}

func encoded(doc any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(doc)
	return bytes.TrimSpace(out.Bytes()), err
}
