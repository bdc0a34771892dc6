package document

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/shadowaudit/shadowaudit/engine/content"
)

const (
	maxDepth = 1000    // how deep a document may nest
	maxNodes = 1 << 20 // how many values it may hold: about 90 MiB of them
)

// Kind is the JSON type of a node.
type Kind uint8

// The kinds of node.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// String gives the name of the kind, as jq's type would.
func (k Kind) String() string {
	return [...]string{"null", "boolean", "number", "string", "array", "object"}[k]
}

// Tree is a parsed body in compact form: number literals, key order and
// duplicate keys survive. Its nodes point into the text that was parsed, which
// must not change while the tree is in use. A Tree can be parsed into again; it
// then reuses its memory.
type Tree struct {
	nodes []node // in document order
	open  []int32
	seen  map[string]int32
	large bool
}

// node is one value. The elements of a container follow it, each with all that
// is inside it.
type node struct {
	kind  Kind
	dup   bool   // a member whose name comes again in the same object
	dups  bool   // an object with such members
	count int32  // elements or members
	end   int32  // index of the node behind this one and all that is inside it
	raw   []byte // the literal; nil for values that did not stand in JSON
	text  []byte // a string, decoded
	name  []byte // the name of a member, decoded
}

// Parse reads a body of the given kind: a JSON value, the documents of NDJSON
// as a list, the fields of a form as an object, the events of an event stream
// as a list. It is false when the kind has no structure or the body is not what
// it says; the tree is then empty.
func (t *Tree) Parse(kind content.Kind, body []byte) bool {
	t.nodes, t.open, t.large = t.nodes[:0], t.open[:0], false
	ok := false
	switch kind {
	case content.JSON:
		ok = t.json(bytes.TrimPrefix(body, []byte("\uFEFF")), nil)
	case content.NDJSON:
		ok = t.lines(body)
	case content.Form:
		ok = t.form(body)
	case content.EventStream:
		ok = t.events(body)
	}
	if t.large = t.large || len(t.nodes) > maxNodes; !ok || t.large {
		t.Reset()
		return false
	}
	return true
}

// TooLarge reports whether the last Parse gave up because the body holds too
// many values or nests too deep, and not because it is malformed.
func (t *Tree) TooLarge() bool { return t.large }

// Reset empties the tree and lets go of the text. What memory it keeps for the
// next Parse is bounded.
func (t *Tree) Reset() {
	const keep = 1 << 14
	clear(t.nodes)
	if t.nodes = t.nodes[:0]; cap(t.nodes) > keep {
		t.nodes, t.seen = nil, nil
	}
}

// Root returns the top of a tree that Parse filled.
func (t *Tree) Root() Node { return Node{t, 0} }

// Size returns the number of nodes.
func (t *Tree) Size() int { return len(t.nodes) }

func (t *Tree) push(n node) int32 {
	at := int32(len(t.nodes))
	n.end = at + 1
	t.nodes = append(t.nodes, n)
	if len(t.open) > 0 {
		t.nodes[t.open[len(t.open)-1]].count++
	}
	return at
}

func (t *Tree) begin(n node) { t.open = append(t.open, t.push(n)) }

func (t *Tree) finish() *node {
	at := t.open[len(t.open)-1]
	t.open = t.open[:len(t.open)-1]
	n := &t.nodes[at]
	n.end = int32(len(t.nodes))
	if n.kind == Object {
		t.markDuplicates(at)
	}
	return n
}

// unquote decodes a JSON string. Without escapes it is a part of raw.
func unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	out, _ := jsontext.AppendUnquote(make([]byte, 0, len(inner)), raw) // an error says only that U+FFFD stands in
	return out
}

// markDuplicates flags the members of the object at index at whose name comes
// again. A set of 64 bits rules most names out.
func (t *Tree) markDuplicates(at int32) {
	obj := &t.nodes[at]
	if obj.count > 64 {
		t.markDuplicatesLarge(at)
		return
	}
	var seen uint64
	for i, n := at+1, int32(0); n < obj.count; i, n = t.nodes[i].end, n+1 {
		name := t.nodes[i].name
		h := uint(len(name)) * 7
		if len(name) > 0 {
			h += uint(name[0])*31 + uint(name[len(name)-1])*17 + uint(name[len(name)/2])*5
		}
		bit := uint64(1) << (h & 63)
		if seen&bit == 0 {
			seen |= bit
			continue
		}
		for j := at + 1; j < i; j = t.nodes[j].end {
			if bytes.Equal(t.nodes[j].name, name) {
				t.nodes[j].dup, obj.dups = true, true
			}
		}
	}
}

func (t *Tree) markDuplicatesLarge(at int32) {
	if t.seen == nil {
		t.seen = map[string]int32{}
	}
	clear(t.seen)
	obj := &t.nodes[at]
	for i, n := at+1, int32(0); n < obj.count; i, n = t.nodes[i].end, n+1 {
		name := string(t.nodes[i].name)
		if j, ok := t.seen[name]; ok {
			t.nodes[j].dup, obj.dups = true, true
		}
		t.seen[name] = i
	}
}

// Node is one value of a tree.
type Node struct {
	t  *Tree
	at int32
}

// IsZero reports whether n is no node at all.
func (n Node) IsZero() bool { return n.t == nil }

// Index returns the place of the node in document order, from 0.
func (n Node) Index() int { return int(n.at) }

// Extent returns the number of nodes in n, itself included.
func (n Node) Extent() int { return int(n.t.nodes[n.at].end - n.at) }

// Kind returns the type of the value.
func (n Node) Kind() Kind { return n.t.nodes[n.at].kind }

// Raw returns the literal as it stood in the text. It is nil for values that
// did not stand in JSON, such as the fields of a form.
func (n Node) Raw() []byte { return n.t.nodes[n.at].raw }

// Text returns the decoded value of a string. It may hold invalid UTF-8.
func (n Node) Text() []byte { return n.t.nodes[n.at].text }

// Name returns the decoded name of an object's member.
func (n Node) Name() []byte { return n.t.nodes[n.at].name }

// Len returns the number of elements or members.
func (n Node) Len() int { return int(n.t.nodes[n.at].count) }

// Superseded reports whether n is a member whose name comes again later in the
// same object: most readers take the last one.
func (n Node) Superseded() bool { return n.t.nodes[n.at].dup }

// HasDuplicates reports whether n is an object with superseded members.
func (n Node) HasDuplicates() bool { return n.t.nodes[n.at].dups }

// First returns the first element or member; only where Len is not 0.
func (n Node) First() Node { return Node{n.t, n.at + 1} }

// Next returns the value behind n in the same container; only where there is
// one.
func (n Node) Next() Node { return Node{n.t, n.t.nodes[n.at].end} }

// Member returns the member called name, the last of several; false when there
// is none.
func (n Node) Member(name []byte) (Node, bool) {
	if n.Kind() != Object {
		return Node{}, false
	}
	var found Node
	for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
		if bytes.Equal(c.Name(), name) {
			found = c
		}
	}
	return found, found.t != nil
}

// Value returns the node as a gojq value. Of members with one name the last
// counts.
func (n Node) Value() any {
	switch n.Kind() {
	case Null:
		return nil
	case Bool:
		return n.Raw()[0] == 't'
	case Number:
		return json.Number(n.Raw())
	case String:
		return valid(string(n.Text()))
	case List:
		out := make([]any, 0, n.Len())
		for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
			out = append(out, c.Value())
		}
		return out
	}
	out := make(map[string]any, n.Len())
	for c, i := n.First(), 0; i < n.Len(); c, i = c.Next(), i+1 {
		out[valid(string(c.Name()))] = c.Value()
	}
	return out
}

// AppendJSON appends the node as JSON, and stops when dst has grown to limit
// bytes or a little more: what is shown to people is cut anyway.
func (n Node) AppendJSON(dst []byte, limit int) []byte {
	if len(dst) > limit {
		return dst
	}
	if raw := n.Raw(); raw != nil {
		return append(dst, raw[:min(len(raw), limit-len(dst)+1)]...)
	}
	switch n.Kind() {
	case String:
		return appendQuoted(dst, n.Text())
	case List, Object:
		return n.appendContainer(dst, limit)
	}
	return dst
}

func (n Node) appendContainer(dst []byte, limit int) []byte {
	left, right := byte('['), byte(']')
	if n.Kind() == Object {
		left, right = '{', '}'
	}
	dst = append(dst, left)
	for c, i := n.First(), 0; i < n.Len() && len(dst) <= limit; c, i = c.Next(), i+1 {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.Kind() == Object {
			dst = append(appendQuoted(dst, c.Name()), ':')
		}
		dst = c.AppendJSON(dst, limit)
	}
	return append(dst, right)
}

func appendQuoted(dst, s []byte) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // an error says only that U+FFFD stands in
	return dst
}
