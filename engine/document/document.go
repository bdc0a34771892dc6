// Package document makes of a message what a jq program sees: an exchange goes
// in as bytes and comes out as the object that the language of specs describes.
// It also has the compact form in which two bodies are compared.
//
// Documents are gojq values. Numbers are json.Number, so that their literal
// survives: 9007199254740993 stays what it is.
package document

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// timeLayout is RFC 3339 in UTC and whole seconds: the form that jq's fromdate
// reads, and one whose text sorts like the time.
const timeLayout = "2006-01-02T15:04:05Z"

// Exchange returns the document of an exchange:
//
//	{"request": {...}, "response": {...} or null, "source", "session", "time"}
//
// Without withBody the bodies are null, for programs that do not look at them.
func Exchange(x *traffic.Exchange, withBody bool) map[string]any {
	doc := map[string]any{
		"request":  Request(&x.Request, withBody),
		"response": nil,
		"source":   x.Source,
		"session":  valid(x.Session),
		"time":     timeOf(x),
	}
	if x.Response != nil {
		doc["response"] = response(x.Response, withBody)
	}
	return doc
}

// timeOf returns when the exchange began, or null when nobody knows.
func timeOf(x *traffic.Exchange) any {
	if x.At.IsZero() {
		return nil
	}
	return x.At.UTC().Truncate(time.Second).Format(timeLayout)
}

// Request returns the document of a request:
//
//	{"method", "path", "query", "host", "headers", "cookies", "body"}
//
// Without withBody the body is null.
func Request(r *traffic.Request, withBody bool) map[string]any {
	doc := map[string]any{
		"method":  valid(r.Method),
		"path":    valid(r.Path()),
		"query":   pairs(r.Query(), '&'),
		"host":    valid(r.Host()),
		"headers": headers(r.Header),
		"cookies": requestCookies(r.Header),
		"body":    nil,
	}
	if withBody {
		doc["body"] = Body(r.Header, r.Body)
	}
	return doc
}

// Response returns the document of a response:
//
//	{"status", "headers", "cookies", "body"}
func Response(r *traffic.Response) map[string]any { return response(r, true) }

func response(r *traffic.Response, withBody bool) map[string]any {
	doc := map[string]any{
		"status":  json.Number(strconv.Itoa(r.Status)),
		"headers": headers(r.Header),
		"cookies": responseCookies(r.Header),
		"body":    nil,
	}
	if withBody {
		doc["body"] = Body(r.Header, r.Body)
	}
	return doc
}

// headers maps lower-case names to values, those of repeated lines joined.
func headers(h traffic.Header) map[string]any {
	out := make(map[string]any, len(h))
	for _, f := range h {
		name := strings.ToLower(f.Name)
		if before, ok := out[name]; ok {
			out[name] = before.(string) + ", " + valid(f.Value)
			continue
		}
		out[name] = valid(f.Value)
	}
	return out
}

// Body returns the document in a body. A JSON body is its value, a form an
// object of its fields, NDJSON a list of documents, text/event-stream a list of
// events, other text a string; the rest, and what claims to be one of these but
// is not and is no text either, is {"bytes", "sha256"}. Content codings are
// undone first. An empty body and one that was not recorded are null.
func Body(h traffic.Header, b traffic.Body) any {
	switch {
	case b.State == traffic.Oversized:
		return opaque(b.Size, b.SHA256)
	case b.State == traffic.Missing || len(b.Bytes) == 0:
		return nil
	case b.State == traffic.Truncated:
		return opaque(int64(len(b.Bytes)), sha256.Sum256(b.Bytes))
	}
	plain, err := content.Decode(h, b.Bytes, content.Limit)
	if err != nil {
		return opaque(int64(len(b.Bytes)), sha256.Sum256(b.Bytes))
	}
	if len(plain) == 0 {
		return nil
	}
	m := content.MediaTypeOf(h)
	kind := content.Sniff(m, plain)
	var t Tree
	if t.Parse(kind, plain) {
		return t.Root().Value()
	}
	if IsText(kind) {
		if text, err := content.UTF8(m, plain); err == nil {
			return string(text)
		}
	}
	return opaque(int64(len(plain)), sha256.Sum256(plain))
}

// IsText reports whether bodies of the kind are text, whatever else they are.
func IsText(k content.Kind) bool {
	return k != content.Binary && k != content.Multipart
}

// opaque is the document of a body known only by its length and hash.
func opaque(size int64, sum [32]byte) map[string]any {
	return map[string]any{
		"bytes":  json.Number(strconv.FormatInt(size, 10)),
		"sha256": hex.EncodeToString(sum[:]),
	}
}

// valid makes valid UTF-8 of a text that may not be.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
