package document

import (
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// Lookup returns what stands at p in the document of x, as Exchange would have
// it, but builds only the part that p enters: for .request.headers["x-region"]
// nothing at all. It is false when nothing stands there, or when p does not
// lead to exactly one place.
func Lookup(x *traffic.Exchange, p jq.Pattern) (any, bool) {
	if len(p) == 0 {
		return Exchange(x, true), true
	}
	if p[0].Kind != jq.Key {
		return nil, false
	}
	switch p[0].Key {
	case "request":
		return lookupRequest(&x.Request, p[1:])
	case "response":
		if x.Response == nil {
			return nil, len(p) == 1
		}
		return lookupResponse(x.Response, p[1:])
	case "source":
		return descend(x.Source, p[1:])
	case "session":
		return descend(valid(x.Session), p[1:])
	case "time":
		return descend(timeOf(x), p[1:])
	}
	return nil, false
}

func lookupRequest(r *traffic.Request, p jq.Pattern) (any, bool) {
	if len(p) == 0 {
		return Request(r, true), true
	}
	if p[0].Kind != jq.Key {
		return nil, false
	}
	rest := p[1:]
	switch p[0].Key {
	case "method":
		return descend(valid(r.Method), rest)
	case "path":
		return descend(valid(r.Path()), rest)
	case "host":
		return descend(valid(r.Host()), rest)
	case "body":
		return descend(Body(r.Header, r.Body), rest)
	case "headers":
		return lookupHeader(r.Header, rest)
	case "query":
		if len(rest) == 0 || rest[0].Kind != jq.Key {
			return descend(pairs(r.Query(), '&'), rest)
		}
		v, ok := pairOf(r.Query(), '&', rest[0].Key)
		if !ok {
			return nil, false
		}
		return descend(v, rest[1:])
	case "cookies":
		return lookupCookie(r.Header, rest)
	}
	return nil, false
}

func lookupCookie(h traffic.Header, p jq.Pattern) (any, bool) {
	if len(p) == 0 || p[0].Kind != jq.Key {
		return descend(requestCookies(h), p)
	}
	var found any
	eachCookie(h, func(name, value string) bool {
		if name == p[0].Key {
			found = value
		}
		return found == nil
	})
	if found == nil {
		return nil, false
	}
	return descend(found, p[1:])
}

func lookupResponse(r *traffic.Response, p jq.Pattern) (any, bool) {
	if len(p) == 0 {
		return Response(r), true
	}
	if p[0].Kind != jq.Key {
		return nil, false
	}
	switch p[0].Key {
	case "headers":
		return lookupHeader(r.Header, p[1:])
	case "cookies":
		return descend(responseCookies(r.Header), p[1:])
	case "body":
		return descend(Body(r.Header, r.Body), p[1:])
	}
	return descend(response(r, false), p)
}

func lookupHeader(h traffic.Header, p jq.Pattern) (any, bool) {
	if len(p) == 0 || p[0].Kind != jq.Key {
		return descend(headers(h), p)
	}
	name := p[0].Key
	if name != strings.ToLower(name) || !h.Has(name) {
		return nil, false
	}
	return descend(valid(h.Joined(name)), p[1:])
}

// descend follows p into a document.
func descend(v any, p jq.Pattern) (any, bool) {
	for _, s := range p {
		switch s.Kind {
		case jq.Key:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[s.Key]; !ok {
				return nil, false
			}
		case jq.Index:
			l, ok := v.([]any)
			if !ok || s.Index < 0 || s.Index >= len(l) {
				return nil, false
			}
			v = l[s.Index]
		default:
			return nil, false
		}
	}
	return v, true
}
