package result

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Repro is what it takes to see a difference again: a request, scrubbed as it was
// when it was sent, and what both sides answered, scrubbed.
type Repro struct {
	Method    string   `json:"method"`
	URL       string   `json:"url"` // at the candidate
	Headers   []Header `json:"headers"`
	Body      Content  `json:"body"`
	Baseline  *Answer  `json:"baseline"` // null: it could not be scrubbed
	Candidate *Answer  `json:"candidate"`
	Minimal   bool     `json:"minimal"` // parts that do not matter were left out, and the difference was seen again
}

// Answer is a response.
type Answer struct {
	Status  int      `json:"status"`
	Headers []Header `json:"headers"`
	Body    Content  `json:"body"`
}

// Header is one field of a message.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Content is a body, as text where it is text.
type Content struct {
	Text   string `json:"text"`
	Base64 bool   `json:"base64"` // Text is in base64
	Cut    bool   `json:"cut"`    // only the beginning is here
	Size   int64  `json:"size"`   // of all of it, in bytes
}

// NewContent takes at most limit bytes of a body.
func NewContent(body []byte, limit int) Content {
	c := Content{Size: int64(len(body))}
	if len(body) > limit {
		body, c.Cut = body[:limit], true
		for range utf8.UTFMax - 1 { // what is left of a character
			if r, size := utf8.DecodeLastRune(body); r == utf8.RuneError && size == 1 {
				body = body[:len(body)-1]
			}
		}
	}
	if utf8.Valid(body) {
		c.Text = string(body)
		return c
	}
	c.Text, c.Base64 = base64.StdEncoding.EncodeToString(body), true
	return c
}

// Curl is the request as a line for a POSIX shell, "" where its body is not there
// whole or is not text.
func (r *Repro) Curl() string {
	if r.Body.Cut || r.Body.Base64 || strings.ContainsRune(r.Body.Text, 0) {
		return ""
	}
	words := []string{"curl", "-sS", "-i"}
	if strings.ContainsAny(r.URL, "[]{}") {
		words = append(words, "-g") // curl would take them for a list of URLs
	}
	if strings.Contains(r.URL, "/.") {
		words = append(words, "--path-as-is")
	}
	switch {
	case r.Method == "HEAD":
		words = append(words, "-I")
	case r.Method != "GET" || r.Body.Size > 0:
		words = append(words, "-X", quoted(r.Method))
	}
	for _, h := range r.Headers {
		field := h.Name + ": " + h.Value
		if h.Value == "" {
			field = h.Name + ";" // an empty field, which curl would leave out
		}
		words = append(words, "-H", quoted(field))
	}
	words = append(words, r.curlsOwn()...)
	if r.Body.Size > 0 {
		words = append(words, "--data-raw", quoted(r.Body.Text)) // where @ means nothing
	}
	return strings.Join(append(words, quoted(r.URL)), " ")
}

// curlsOwn takes away the fields that curl would add to the recorded ones.
func (r *Repro) curlsOwn() (words []string) {
	for _, name := range []string{"User-Agent", "Accept", "Content-Type"} {
		recorded := slices.ContainsFunc(r.Headers, func(h Header) bool { return strings.EqualFold(h.Name, name) })
		if !recorded && (name != "Content-Type" || r.Body.Size > 0) {
			words = append(words, "-H", name+":")
		}
	}
	return words
}

// quoted makes one word of s for a POSIX shell.
func quoted(s string) string {
	plain := strings.IndexFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_./:,+@%=", c))
	}) < 0
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// String gives the request in short: "GET http://127.0.0.1:8081/a, 2 headers".
func (r *Repro) String() string {
	return r.Method + " " + r.URL + ", " + strconv.Itoa(len(r.Headers)) + " headers"
}
