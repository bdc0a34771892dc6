package receive

import (
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// sound reports whether an exchange can be written as HTTP. A sender may be
// written by anybody, and a line break in a field would become a field of its
// own when the request is sent again.
func sound(x *traffic.Exchange) bool {
	r := &x.Request
	if !http1.IsToken(r.Method) || r.Target == "" || strings.ContainsFunc(r.Target, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return false
	}
	if !plain(r.Proto) || !soundFields(r.Header) || !soundFields(r.Trailer) || !soundTiming(&x.Timing) {
		return false
	}
	p := x.Response
	return p == nil || p.Status >= 200 && p.Status <= 999 && plain(p.Proto) && plain(p.Reason) && soundFields(p.Header) && soundFields(p.Trailer)
}

func soundFields(h traffic.Header) bool {
	for i := range h {
		if !http1.IsToken(h[i].Name) || strings.ContainsAny(h[i].Value, "\r\n\x00") {
			return false
		}
	}
	return true
}

func soundTiming(t *traffic.Timing) bool {
	switch t.Kind {
	case "", traffic.TimingWire, traffic.TimingClient, traffic.TimingProxy:
		return t.TTFB >= 0 && t.Total >= t.TTFB
	}
	return false
}

// plain reports whether a text has no line break and no other control character.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
