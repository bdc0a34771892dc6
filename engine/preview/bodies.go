package preview

import (
	"bytes"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// bodies goes through a body before and after scrubbing. Where both have a
// structure it is walked as it was parsed, since bodies are most of what there
// is to look at; the result is that of walk over their documents.
func (w *walker) bodies(bh traffic.Header, b traffic.Body, ah traffic.Header, a traffic.Body) {
	w.path = append(w.path[:0], "body")
	defer w.before.Reset() // it holds what must not be kept
	if parse(&w.before, bh, b) && parse(&w.after, ah, a) {
		w.nodes(w.before.Root(), w.after.Root())
		return
	}
	w.walk(document.Body(bh, b), document.Body(ah, a))
}

func parse(t *document.Tree, h traffic.Header, b traffic.Body) bool {
	if b.State != traffic.Complete || len(b.Bytes) == 0 {
		return false
	}
	plain, err := content.Decode(h, b.Bytes, content.Limit)
	return err == nil && t.Parse(content.Sniff(content.MediaTypeOf(h), plain), plain)
}

func (w *walker) nodes(b, a document.Node) {
	if b.Kind() != a.Kind() {
		w.differs(b.Value())
		return
	}
	switch b.Kind() {
	case document.Object:
		w.members(b, a)
	case document.List:
		if b.Len() != a.Len() {
			w.differs(b.Value())
			return
		}
		w.path = append(w.path, "")
		for x, y, i := b.First(), a.First(), 0; i < b.Len(); x, y, i = x.Next(), y.Next(), i+1 {
			w.nodes(x, y)
		}
		w.path = w.path[:len(w.path)-1]
	case document.String:
		switch {
		case !bytes.Equal(b.Text(), a.Text()):
			w.differs(b.Value())
		case len(b.Text()) > 0:
			w.left()
		}
	default:
		switch {
		case !bytes.Equal(b.Raw(), a.Raw()):
			w.differs(b.Value())
		case b.Kind() == document.Number:
			w.left()
		}
	}
}

// members goes through two objects. The scrubber keeps the order of members, so
// that the next one is nearly always where it is expected.
func (w *walker) members(b, a document.Node) {
	at, n := a.First(), 0
	for c, i := b.First(), 0; i < b.Len(); c, i = c.Next(), i+1 {
		w.path = append(w.path, w.nameOf(c))
		switch {
		case n < a.Len() && bytes.Equal(at.Name(), c.Name()):
			w.nodes(c, at)
			at, n = at.Next(), n+1
		default:
			if m, ok := a.Member(c.Name()); ok {
				w.nodes(c, m)
			} else {
				w.gone(w.path[len(w.path)-1], c.Value())
				if b.Len() == a.Len() && n < a.Len() { // it stands there under another name
					at, n = at.Next(), n+1
				}
			}
		}
		w.path = w.path[:len(w.path)-1]
	}
}

// nameOf gives the name of a member, without a copy where it is known.
func (p *persons) nameOf(n document.Node) string {
	if name, known := p.names[string(n.Name())]; known {
		return name
	}
	name := strings.ToValidUTF8(string(n.Name()), "\uFFFD")
	if len(p.names) < maxPlaces {
		p.names[name] = name
	}
	return name
}
