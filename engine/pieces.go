package engine

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// maxPieces bounds how finely a request is taken apart. What is beyond stays.
const maxPieces = 500

// piece is what a request can be without: "header 3", "cookie 3 0",
// "query 1", or the place of a member or element in a JSON body as a JSON pointer
// (RFC 6901), "/items/0/id".
type piece string

func pieceOf(kind string, at ...int) piece {
	for _, i := range at {
		kind += " " + strconv.Itoa(i)
	}
	return piece(kind)
}

// dissection is a request taken apart.
type dissection struct {
	request traffic.Request
	doc     any     // of a JSON body
	pieces  []piece // coarse ones before those inside them
}

func dissect(r traffic.Request) *dissection {
	d := &dissection{request: r}
	for i, f := range r.Header {
		if !traffic.EqualName(f.Name, "Host") {
			d.add(pieceOf("header", i))
		}
	}
	for i := range parameters(r.Target) {
		d.add(pieceOf("query", i))
	}
	for i, f := range r.Header {
		for k := range cookies(f) {
			d.add(pieceOf("cookie", i, k))
		}
	}
	if !r.Header.Has("Content-Encoding") && content.Sniff(content.MediaTypeOf(r.Header), r.Body.Bytes) == content.JSON {
		dec := json.NewDecoder(bytes.NewReader(r.Body.Bytes))
		dec.UseNumber()
		if dec.Decode(&d.doc) == nil {
			d.walk(d.doc, "")
		}
	}
	return d
}

func (d *dissection) add(p piece) {
	if len(d.pieces) < maxPieces {
		d.pieces = append(d.pieces, p)
	}
}

// walk adds what is in a document, in a fixed order.
func (d *dissection) walk(v any, at piece) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			d.add(member(at, key))
			d.walk(v[key], member(at, key))
		}
	case []any:
		for i := range v {
			d.add(element(at, i))
			d.walk(v[i], element(at, i))
		}
	}
}

func member(at piece, key string) piece {
	return at + "/" + piece(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
}

func element(at piece, i int) piece { return at + "/" + piece(strconv.Itoa(i)) }

// without gives the request without some of its pieces. A body that stays whole
// stays as it was, byte for byte.
func (d *dissection) without(gone map[piece]bool) traffic.Request {
	r := d.request
	r.Header = nil
	for i, f := range d.request.Header {
		if gone[pieceOf("header", i)] {
			continue
		}
		if all := cookies(f); all != nil {
			f.Value = strings.Join(kept(all, gone, "cookie", i), "; ")
		}
		r.Header = append(r.Header, f)
	}
	path, _, _ := strings.Cut(r.Target, "?")
	if query := kept(parameters(r.Target), gone, "query"); len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	r.Target = path
	for p := range gone {
		if strings.HasPrefix(string(p), "/") {
			r.Body.Bytes, _ = json.Marshal(thinned(d.doc, "", gone))
			break
		}
	}
	return r
}

// kept gives those of a list that are not gone.
func kept(all []string, gone map[piece]bool, kind string, at ...int) (out []string) {
	for i, text := range all {
		if !gone[pieceOf(kind, append(slices.Clone(at), i)...)] {
			out = append(out, text)
		}
	}
	return out
}

// thinned gives a document without some of its pieces.
func thinned(v any, at piece, gone map[piece]bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			if p := member(at, key); !gone[p] {
				out[key] = thinned(inner, p, gone)
			}
		}
		return out
	case []any:
		out := []any{}
		for i, inner := range v {
			if p := element(at, i); !gone[p] {
				out = append(out, thinned(inner, p, gone))
			}
		}
		return out
	}
	return v
}

// parameters gives the parameters of a request-target.
func parameters(target string) []string {
	_, query, _ := strings.Cut(target, "?")
	if query == "" {
		return nil
	}
	return strings.Split(query, "&")
}

// cookies gives the cookies of a field that has more than one.
func cookies(f traffic.Field) []string {
	if !traffic.EqualName(f.Name, "Cookie") || !strings.Contains(f.Value, ";") {
		return nil
	}
	all := strings.Split(f.Value, ";")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}
