package document

import "strings"

// eachPair calls f for every name and value of a query or form, decoded, in
// order, until f returns false. What is not well escaped is taken as it stands:
// recorded traffic has everything.
func eachPair(raw string, sep byte, f func(name, value string) bool) {
	for raw != "" {
		var one string
		if i := strings.IndexByte(raw, sep); i >= 0 {
			one, raw = raw[:i], raw[i+1:]
		} else {
			one, raw = raw, ""
		}
		if one == "" {
			continue
		}
		name, value, _ := strings.Cut(one, "=")
		if !f(unescape(name), unescape(value)) {
			return
		}
	}
}

// pairs maps the names of a query to their value, or to the list of their
// values when there are several.
func pairs(raw string, sep byte) map[string]any {
	out := map[string]any{}
	eachPair(raw, sep, func(name, value string) bool {
		switch before := out[name].(type) {
		case nil:
			out[name] = value
		case string:
			out[name] = []any{before, value}
		case []any:
			out[name] = append(before, value)
		}
		return true
	})
	return out
}

// pairOf returns what pairs would have under name.
func pairOf(raw string, sep byte, name string) (any, bool) {
	var out any
	eachPair(raw, sep, func(n, value string) bool {
		if n != name {
			return true
		}
		switch before := out.(type) {
		case nil:
			out = value
		case string:
			out = []any{before, value}
		case []any:
			out = append(before, value)
		}
		return true
	})
	return out, out != nil
}

// unescape undoes form encoding: "+" is a space and %XX a byte. A "%" that no
// two hex digits follow stands for itself. The result is valid UTF-8.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return valid(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			out = append(out, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return valid(string(out))
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
