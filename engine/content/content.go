// Package content undoes and redoes content codings and names media types: the
// step between the bytes of a body and the document in it.
package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Limit is the largest decoded body, in bytes; what inflates beyond it is a
// mistake or an attack.
const Limit = 32 << 20

var (
	// ErrTooLarge is a body that inflates beyond the limit.
	ErrTooLarge = errors.New("decoded body too large")
	// ErrCoding is a content coding that is unknown, or a body that is not in
	// the coding it claims.
	ErrCoding = errors.New("content coding cannot be undone")
)

// Decode undoes the content codings that h names, last applied first, and
// returns the plain body. A body without coding is returned as it is, not
// copied.
func Decode(h traffic.Header, body []byte, limit int) ([]byte, error) {
	codings := Codings(h)
	for i := len(codings) - 1; i >= 0; i-- {
		var err error
		if body, err = decode(codings[i], body, limit); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// Codings lists the content codings of a message in the order in which they
// were applied, in lower case; identity is left out.
func Codings(h traffic.Header) []string {
	var out []string
	for _, f := range h {
		if !traffic.EqualName(f.Name, "Content-Encoding") {
			continue
		}
		for c := range strings.SplitSeq(f.Value, ",") {
			if c = strings.ToLower(strings.TrimSpace(c)); c != "" && c != "identity" {
				out = append(out, c)
			}
		}
	}
	return out
}

func decode(coding string, body []byte, limit int) ([]byte, error) {
	if len(body) == 0 {
		return body, nil // an empty body under a coding: HEAD, 304, or nothing to code
	}
	var r io.Reader
	switch coding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, ErrCoding
		}
		r = z
	case "deflate": // zlib by the standard, raw deflate by some servers
		if z, err := zlib.NewReader(bytes.NewReader(body)); err == nil {
			r = z
		} else {
			r = flate.NewReader(bytes.NewReader(body))
		}
	case "br":
		r = brotli.NewReader(bytes.NewReader(body))
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1<<20))
		if err != nil {
			return nil, ErrCoding
		}
		defer z.Close()
		r = z
	default:
		return nil, fmt.Errorf("%w: unknown coding", ErrCoding)
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case len(out) > limit:
		return nil, ErrTooLarge
	case err != nil:
		return nil, ErrCoding
	}
	return out, nil
}

// Encode applies the codings of h to a plain body, in order. It is the inverse
// of Decode up to the choices that a compressor is free to make.
func Encode(h traffic.Header, body []byte) ([]byte, error) {
	for _, coding := range Codings(h) {
		var buf bytes.Buffer
		var w io.WriteCloser
		switch coding {
		case "gzip", "x-gzip":
			w = gzip.NewWriter(&buf)
		case "deflate":
			w = zlib.NewWriter(&buf)
		case "br":
			w = brotli.NewWriterLevel(&buf, brotli.DefaultCompression)
		case "zstd":
			z, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			w = z
		default:
			return nil, fmt.Errorf("%w: unknown coding", ErrCoding)
		}
		if _, err := w.Write(body); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		body = buf.Bytes()
	}
	return body, nil
}

// Kind is what a media type means for somebody who wants to look inside.
type Kind uint8

// The kinds of content.
const (
	Binary      Kind = iota // known by its length and hash
	JSON                    // application/json, +json
	NDJSON                  // one JSON document a line
	Form                    // application/x-www-form-urlencoded
	Multipart               // multipart/form-data and its kin
	XML                     // text/xml, application/xml, +xml
	HTML                    // text/html
	EventStream             // text/event-stream
	Text                    // any other text
)

// MediaType is a parsed Content-Type field.
type MediaType struct {
	Name    string // "application/json", in lower case; "" when there is none
	Charset string // in lower case; "" when not given
	Params  map[string]string
	Kind    Kind
}

// mediaTypes remembers parsed Content-Type values, of which services use a
// handful. It stops learning when a peer sends ever new ones.
var mediaTypes struct {
	sync.Map
	n atomic.Int64
}

const maxMediaTypes = 256

// MediaTypeOf parses the Content-Type of a message. A field that does not parse
// is taken up to its first ";".
func MediaTypeOf(h traffic.Header) MediaType {
	value := h.Get("Content-Type")
	if m, ok := mediaTypes.Load(value); ok {
		return m.(MediaType)
	}
	name, params, err := mime.ParseMediaType(value)
	if err != nil && name == "" {
		name, _, _ = strings.Cut(value, ";")
		name = strings.ToLower(strings.TrimSpace(name))
	}
	m := MediaType{Name: name, Charset: strings.ToLower(params["charset"]), Params: params, Kind: kindOf(name)}
	if len(value) < 128 && mediaTypes.n.Load() < maxMediaTypes {
		if _, known := mediaTypes.LoadOrStore(strings.Clone(value), m); !known { // cloned: it is part of a whole head
			mediaTypes.n.Add(1)
		}
	}
	return m
}

func kindOf(name string) Kind {
	switch name {
	case "application/json", "text/json", "application/graphql-response+json":
		return JSON
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq":
		return NDJSON
	case "application/x-www-form-urlencoded":
		return Form
	case "application/xml", "text/xml":
		return XML
	case "text/html", "application/xhtml+xml":
		return HTML
	case "text/event-stream":
		return EventStream
	case "application/javascript", "application/ecmascript", "application/graphql", "application/yaml", "application/x-yaml", "application/toml",
		"application/csv", "application/x-csv":
		return Text
	}
	switch {
	case strings.HasSuffix(name, "+json"):
		return JSON
	case strings.HasSuffix(name, "+xml"):
		return XML
	case strings.HasPrefix(name, "multipart/"):
		return Multipart
	case strings.HasPrefix(name, "text/"):
		return Text
	}
	return Binary
}

// Sniff names the kind of a body that has no Content-Type: a JSON object or
// list is taken as JSON, other valid text as text, the rest as binary.
func Sniff(m MediaType, body []byte) Kind {
	if m.Name != "" {
		return m.Kind
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		return JSON
	}
	if isText(body) {
		return Text
	}
	return Binary
}
