// Package har writes the request of every difference that counts as an HTTP
// archive (HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/), so that a
// browser or an API client can send it again. The response of an entry is the
// candidate's; that of the baseline stands beside it as _baseline.
package har

import (
	"cmp"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

type archive struct {
	Log log `json:"log"`
}

type log struct {
	Version string  `json:"version"`
	Creator creator `json:"creator"`
	Entries []entry `json:"entries"`
}

type creator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type entry struct {
	StartedDateTime string    `json:"startedDateTime"`
	Time            int       `json:"time"`
	Request         request   `json:"request"`
	Response        response  `json:"response"`
	Cache           struct{}  `json:"cache"`
	Timings         timings   `json:"timings"`
	Comment         string    `json:"comment"`
	Baseline        *response `json:"_baseline,omitempty"`
	Fingerprint     string    `json:"_fingerprint"`
}

type timings struct {
	Send    int `json:"send"`
	Wait    int `json:"wait"`
	Receive int `json:"receive"`
}

type request struct {
	Method      string          `json:"method"`
	URL         string          `json:"url"`
	HTTPVersion string          `json:"httpVersion"`
	Cookies     []struct{}      `json:"cookies"`
	Headers     []result.Header `json:"headers"`
	QueryString []result.Header `json:"queryString"`
	PostData    *postData       `json:"postData,omitempty"`
	HeadersSize int             `json:"headersSize"`
	BodySize    int64           `json:"bodySize"`
}

type postData struct {
	MimeType string `json:"mimeType"`
	Text     string `json:"text"`
	Encoding string `json:"encoding,omitempty"` // HAR 1.3
	Comment  string `json:"comment,omitempty"`
}

type response struct {
	Status      int             `json:"status"`
	StatusText  string          `json:"statusText"`
	HTTPVersion string          `json:"httpVersion"`
	Cookies     []struct{}      `json:"cookies"`
	Headers     []result.Header `json:"headers"`
	Content     contents        `json:"content"`
	RedirectURL string          `json:"redirectURL"`
	HeadersSize int             `json:"headersSize"`
	BodySize    int64           `json:"bodySize"`
}

type contents struct {
	Size     int64  `json:"size"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text"`
	Encoding string `json:"encoding,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

// Report writes an entry for each difference of run that counts and can be shown.
func Report(w io.Writer, run *result.Run) error {
	out := archive{Log: log{Version: "1.2", Creator: creator{run.Tool.Name, run.Tool.Version}, Entries: []entry{}}}
	for i := range run.Audits {
		a := &run.Audits[i]
		for j := range a.Differences {
			if d := &a.Differences[j]; d.IgnoredBy == "" && d.Example.Repro != nil {
				out.Log.Entries = append(out.Log.Entries, entryOf(a, d))
			}
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func entryOf(a *result.Audit, d *result.Diff) entry {
	r := d.Example.Repro
	e := entry{
		StartedDateTime: a.StartedAt.UTC().Format(time.RFC3339Nano),
		Request: request{
			Method: r.Method, URL: r.URL, HTTPVersion: "HTTP/1.1", Cookies: []struct{}{}, Headers: r.Headers,
			QueryString: query(r.URL), HeadersSize: -1, BodySize: r.Body.Size,
		},
		Response:    answer(r.Candidate),
		Comment:     d.Endpoint + " " + d.Path + " " + string(d.Kind) + ": " + d.Baseline + " -> " + d.Candidate,
		Fingerprint: d.Fingerprint,
	}
	if r.Body.Size > 0 {
		e.Request.PostData = &postData{MimeType: mediaType(r.Headers), Text: r.Body.Text, Encoding: encoding(r.Body), Comment: cut(r.Body)}
	}
	if r.Baseline != nil {
		b := answer(r.Baseline)
		e.Baseline = &b
	}
	return e
}

func answer(a *result.Answer) response {
	out := response{HTTPVersion: "HTTP/1.1", Cookies: []struct{}{}, Headers: []result.Header{}, HeadersSize: -1, BodySize: -1, Content: contents{MimeType: "x-unknown"}}
	if a == nil {
		return out
	}
	out.Status, out.Headers, out.BodySize = a.Status, a.Headers, a.Body.Size
	out.Content = contents{Size: a.Body.Size, MimeType: mediaType(a.Headers), Text: a.Body.Text, Encoding: encoding(a.Body), Comment: cut(a.Body)}
	for _, h := range a.Headers {
		if strings.EqualFold(h.Name, "location") {
			out.RedirectURL = h.Value
		}
	}
	return out
}

func mediaType(headers []result.Header) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, "content-type") {
			return h.Value
		}
	}
	return "x-unknown"
}

func encoding(c result.Content) string {
	if c.Base64 {
		return "base64"
	}
	return ""
}

func cut(c result.Content) string {
	if c.Cut {
		return "only the beginning of the body is here"
	}
	return ""
}

// query lists the parameters in their order.
func query(rawURL string) []result.Header {
	out := []result.Header{}
	_, raw, _ := strings.Cut(rawURL, "?")
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		out = append(out, result.Header{Name: unescaped(name), Value: unescaped(value)})
	}
	return out
}

func unescaped(s string) string {
	plain, _ := url.QueryUnescape(s)
	return cmp.Or(plain, s)
}
