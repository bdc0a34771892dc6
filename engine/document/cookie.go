package document

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Cookie is what one Set-Cookie field says, see RFC 6265 section 5.2.
type Cookie struct {
	Name, Value string
	Path        string // "" when not given
	Domain      string // lower case, without a leading dot; "" when not given
	MaxAge      string // digits, with a sign perhaps; "" when not given
	SameSite    string // lower case; "" when not given
	Secure      bool
	HTTPOnly    bool
}

// ParseCookie reads the value of a Set-Cookie field. It is false for a field
// without a name, which clients ignore.
func ParseCookie(field string) (Cookie, bool) {
	pair, rest, _ := strings.Cut(field, ";")
	name, value, ok := strings.Cut(pair, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return Cookie{}, false
	}
	c := Cookie{Name: name, Value: unquoteCookie(strings.TrimSpace(value))}
	for rest != "" {
		var attr string
		attr, rest, _ = strings.Cut(rest, ";")
		key, value, _ := strings.Cut(attr, "=")
		c.set(strings.TrimSpace(key), strings.TrimSpace(value))
	}
	return c, true
}

// set applies one attribute. Expires is left out: it is a clock reading, and
// Max-Age says the same where it matters.
func (c *Cookie) set(key, value string) {
	switch {
	case strings.EqualFold(key, "Path"):
		c.Path = value
	case strings.EqualFold(key, "Domain"):
		c.Domain = strings.ToLower(strings.TrimPrefix(value, "."))
	case strings.EqualFold(key, "Max-Age"):
		if _, err := strconv.ParseInt(value, 10, 64); err == nil {
			c.MaxAge = strings.TrimPrefix(value, "+")
		}
	case strings.EqualFold(key, "SameSite"):
		c.SameSite = strings.ToLower(value)
	case strings.EqualFold(key, "Secure"):
		c.Secure = true
	case strings.EqualFold(key, "HttpOnly"):
		c.HTTPOnly = true
	}
}

func unquoteCookie(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// value is the cookie as a document. What was not given is null.
func (c Cookie) value() map[string]any {
	out := map[string]any{
		"value": valid(c.Value), "path": optional(c.Path), "domain": optional(c.Domain),
		"max_age": nil, "secure": c.Secure, "http_only": c.HTTPOnly, "same_site": optional(c.SameSite),
	}
	if n, err := strconv.ParseInt(c.MaxAge, 10, 64); err == nil {
		out["max_age"] = json.Number(strconv.FormatInt(n, 10))
	}
	return out
}

func optional(s string) any {
	if s == "" {
		return nil
	}
	return valid(s)
}

// Cookies returns what the Set-Cookie fields of h say, in order.
func Cookies(h traffic.Header) []Cookie {
	var out []Cookie
	for _, f := range h {
		if !traffic.EqualName(f.Name, "Set-Cookie") {
			continue
		}
		if c, ok := ParseCookie(f.Value); ok {
			out = append(out, c)
		}
	}
	return out
}

// responseCookies maps the names of the cookies that a response sets to what it
// says about them; of several with one name the last counts.
func responseCookies(h traffic.Header) map[string]any {
	out := map[string]any{}
	for _, c := range Cookies(h) {
		out[c.Name] = c.value()
	}
	return out
}

// eachCookie calls f for every cookie that a request sends, until f returns
// false.
func eachCookie(h traffic.Header, f func(name, value string) bool) {
	for _, line := range h {
		if !traffic.EqualName(line.Name, "Cookie") {
			continue
		}
		for rest := line.Value; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			name, value, ok := strings.Cut(pair, "=")
			if name = strings.TrimSpace(name); !ok || name == "" {
				continue
			}
			if !f(name, valid(unquoteCookie(strings.TrimSpace(value)))) {
				return
			}
		}
	}
}

// requestCookies maps the names of the cookies that a request sends to their
// values; of several with one name the first, most specific one counts.
func requestCookies(h traffic.Header) map[string]any {
	out := map[string]any{}
	eachCookie(h, func(name, value string) bool {
		if _, ok := out[name]; !ok {
			out[name] = value
		}
		return true
	})
	return out
}
