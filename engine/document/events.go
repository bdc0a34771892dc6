package document

import (
	"bytes"
	"cmp"
	"strings"
)

// lines appends NDJSON as a list: one document a line, empty lines left out. A
// body that begins with a record separator is a JSON text sequence (RFC 7464).
func (t *Tree) lines(body []byte) bool {
	sep := byte('\n')
	if len(body) > 0 && body[0] == 0x1E {
		sep = 0x1E
	}
	t.begin(node{kind: List})
	for len(body) > 0 {
		line := body
		if i := bytes.IndexByte(body, sep); i >= 0 {
			line, body = body[:i], body[i+1:]
		} else {
			body = nil
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !t.json(line, nil) {
			return false
		}
	}
	t.finish()
	return true
}

// form appends the fields of a form as an object; a name that is repeated has
// the list of its values.
func (t *Tree) form(body []byte) bool {
	var names []string
	values := map[string][]string{}
	eachPair(string(bytes.TrimRight(body, "\r\n")), '&', func(name, value string) bool {
		if _, ok := values[name]; !ok {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
		return true
	})
	t.begin(node{kind: Object})
	for _, name := range names {
		if vs := values[name]; len(vs) == 1 {
			t.push(node{kind: String, name: []byte(name), text: []byte(vs[0])})
			continue
		}
		t.begin(node{kind: List, name: []byte(name)})
		for _, v := range values[name] {
			t.push(node{kind: String, text: []byte(v)})
		}
		t.finish()
	}
	t.finish()
	return true
}

// event is one event of an event stream, as far as it has been read.
type event struct {
	event, id, retry string
	data             []string
	any              bool // some field was given
}

// events appends an event stream as a list of {"event", "id", "retry", "data"},
// each with the fields that it has. Comments are left out: they keep
// connections alive. Data that is JSON is a value, other data a string. The
// grammar is that of https://html.spec.whatwg.org/#parsing-an-event-stream,
// but an event that the end of the stream cuts off is kept: it was sent.
func (t *Tree) events(body []byte) bool {
	t.begin(node{kind: List})
	var e event
	rest := strings.TrimPrefix(string(body), "\uFEFF")
	for rest != "" {
		var line string
		line, rest = cutLine(rest)
		if line == "" {
			t.event(&e)
			continue
		}
		e.field(line)
	}
	t.event(&e)
	t.finish()
	return true
}

// cutLine splits s behind its first line, which ends in CR LF, LF or CR.
func cutLine(s string) (line, rest string) {
	i := strings.IndexAny(s, "\r\n")
	if i < 0 {
		return s, ""
	}
	if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
		return s[:i], s[i+2:]
	}
	return s[:i], s[i+1:]
}

// field takes one line of an event.
func (e *event) field(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		e.event = value
	case "data":
		e.data = append(e.data, value)
	case "id":
		e.id = value
	case "retry":
		if value == "" || strings.Trim(value, "0123456789") != "" {
			return
		}
		e.retry = cmp.Or(strings.TrimLeft(value, "0"), "0")
	default:
		return // a comment, or a field that clients ignore
	}
	e.any = true
}

// event appends what e has, and empties it.
func (t *Tree) event(e *event) {
	if !e.any {
		return
	}
	t.begin(node{kind: Object})
	if e.event != "" {
		t.push(node{kind: String, name: []byte("event"), text: []byte(e.event)})
	}
	if e.id != "" {
		t.push(node{kind: String, name: []byte("id"), text: []byte(e.id)})
	}
	if e.retry != "" {
		t.push(node{kind: Number, name: []byte("retry"), raw: []byte(e.retry)})
	}
	if e.data != nil {
		t.data([]byte(strings.Join(e.data, "\n")))
	}
	t.finish()
	*e = event{}
}

// data appends the data of an event.
func (t *Tree) data(data []byte) {
	before, parent := len(t.nodes), t.open[len(t.open)-1]
	count := t.nodes[parent].count
	if t.json(data, []byte("data")) {
		return
	}
	t.nodes = t.nodes[:before]
	t.nodes[parent].count = count
	t.push(node{kind: String, name: []byte("data"), text: data})
}
