package mirror

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The fields by which a proxy tells what a mirrored request does not show.
const (
	clientField = "X-Shadow-Client"
	connField   = "X-Shadow-Conn"
	startField  = "X-Shadow-Start"
)

// skew is how far the clock of a proxy may be from ours.
const skew = time.Hour

// undo makes the request of x what the service got, and takes id, session and
// time from what the proxy added to it.
func undo(x *traffic.Exchange, peer string) {
	r := &x.Request
	x.ID = r.Header.Get("X-Request-Id")
	x.Session = session(r.Header, peer)
	if at, ok := parseStart(r.Header.Get(startField)); ok && at.Sub(x.At).Abs() < skew {
		x.At = at
	}
	names := []string{clientField, connField, startField, "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Upgrade"}
	r.Header = r.Header.Without(append(names, connectionFields(r.Header)...)...)
	if r.Proto == "HTTP/1.0" {
		r.Proto = "HTTP/1.1"
	}
	undoEnvoy(r)
}

// session is the client's connection, as far as the proxy tells.
func session(h traffic.Header, peer string) string {
	client, number := h.Get(clientField), h.Get(connField)
	switch {
	case number == "":
		return client
	case client == "": // then at least the proxies are told apart
		client, _, _ = net.SplitHostPort(peer)
	}
	return client + "#" + number
}

// parseStart reads seconds since 1970 with an optional fraction, as $msec of
// nginx is written.
func parseStart(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseUint(whole, 10, 40)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, false
	}
	nanos := uint64(0)
	if fraction != "" {
		if nanos, err = strconv.ParseUint((fraction + "00000000")[:9], 10, 32); err != nil {
			return time.Time{}, false
		}
	}
	return time.Unix(int64(seconds), int64(nanos)).UTC(), true
}

// connectionFields are the fields that Connection names. What frames the body
// is none of them, whatever a sender says.
func connectionFields(h traffic.Header) []string {
	var names []string
	for item := range strings.SplitSeq(h.Joined("Connection"), ",") {
		name := strings.Trim(item, " \t")
		switch strings.ToLower(name) {
		case "", "close", "host", "content-length", "transfer-encoding", "x-forwarded-for":
		default:
			names = append(names, name)
		}
	}
	return names
}

// undoEnvoy undoes what Envoy does to its copies, where the host shows that it
// is one.
func undoEnvoy(r *traffic.Request) {
	marked := false
	for i := range r.Header {
		if f := &r.Header[i]; traffic.EqualName(f.Name, "Host") {
			if host, ok := cutShadow(f.Value); ok {
				f.Value, marked = host, true
			}
		}
	}
	if !marked {
		return
	}
	r.Header = r.Header.Without("X-Envoy-Internal")
	dropLastHop(r)
}

// cutShadow takes "-shadow" off the end of a host's name, before the port.
func cutShadow(host string) (string, bool) {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i:]
	}
	name, ok := strings.CutSuffix(name, "-shadow")
	return name + port, ok
}

// dropLastHop takes the last address off x-forwarded-for, and the field itself
// where it had only that one.
func dropLastHop(r *traffic.Request) {
	for i := len(r.Header) - 1; i >= 0; i-- {
		f := &r.Header[i]
		if !traffic.EqualName(f.Name, "X-Forwarded-For") {
			continue
		}
		if last := strings.LastIndexByte(f.Value, ','); last >= 0 {
			f.Value = strings.TrimRight(f.Value[:last], " \t")
		} else {
			r.Header = append(r.Header[:i], r.Header[i+1:]...)
		}
		return
	}
}
