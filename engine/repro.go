package engine

import (
	"net/http"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What a repro holds of the bodies, in bytes.
const (
	maxReproRequest = 16 << 10
	maxReproAnswer  = 8 << 10
)

// repro is what it takes to see the difference of a pair again. The request was
// scrubbed before it was sent; the answers are scrubbed here. Fields that the
// spec adds to requests are left out, since they may hold credentials.
func (a *audit) repro(p *replay.Pair) *result.Repro {
	if a.plan.Scrub.Disabled != "" {
		return nil // nothing tells what may be shown
	}
	r := &p.Exchange.Request
	if r.Body.State != traffic.Complete {
		return nil
	}
	out := &result.Repro{
		Method: r.Method, URL: urlOf(&a.plan.Candidate.Config, r),
		Headers: reproHeaders(r.Header, &a.plan.Candidate.Config), Body: result.NewContent(r.Body.Bytes, maxReproRequest),
	}
	out.Baseline = a.answer(p.Baseline.Response, a.plan.Baseline.Recorded)
	out.Candidate = a.answer(p.Candidate.Response, false)
	return out
}

// urlOf is where a request goes.
func urlOf(cfg *target.Config, r *traffic.Request) string {
	where := strings.TrimSuffix(cfg.URL, "/") + "/" + strings.TrimPrefix(r.Path(), "/")
	if query := r.Query(); query != "" {
		where += "?" + query
	}
	return where
}

// reproHeaders leaves out what belongs to a connection and what the target puts
// its own in place of, and marks the request as the replay does.
func reproHeaders(h traffic.Header, cfg *target.Config) []result.Header {
	out := []result.Header{}
	for _, f := range h {
		switch http.CanonicalHeaderKey(f.Name) {
		case "Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Proxy-Connection", "Expect", target.ShadowHeader:
			continue
		case "Host":
			if cfg.Host != "" {
				f.Value = cfg.Host
			}
		}
		if !cfg.Headers.Has(f.Name) {
			out = append(out, result.Header{Name: f.Name, Value: f.Value})
		}
	}
	if cfg.Host != "" && !h.Has("Host") {
		out = append(out, result.Header{Name: "Host", Value: cfg.Host})
	}
	return append(out, result.Header{Name: target.ShadowHeader, Value: "true"})
}

// answer is a response as a report may show it, with its content codings undone;
// nil where there is none or where it cannot be scrubbed.
func (a *audit) answer(r *traffic.Response, scrubbed bool) *result.Answer {
	if r == nil {
		return nil
	}
	if !scrubbed {
		var err error
		if r, err = a.scrubber.Response(r); err != nil {
			return nil
		}
	}
	out := &result.Answer{Status: r.Status, Headers: []result.Header{}}
	for _, f := range r.Header {
		if !traffic.EqualName(f.Name, "Content-Encoding") && !traffic.EqualName(f.Name, "Content-Length") && !traffic.EqualName(f.Name, "Transfer-Encoding") {
			out.Headers = append(out.Headers, result.Header{Name: f.Name, Value: a.withhold.Replace(f.Value)})
		}
	}
	body := r.Body.Bytes
	if plain, err := content.Decode(r.Header, body, content.Limit); err == nil {
		body = plain
	}
	out.Body = result.NewContent([]byte(a.withhold.Replace(string(body))), maxReproAnswer)
	return out
}
