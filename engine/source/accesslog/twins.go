package accesslog

import (
	"slices"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// twins finds the lines that nginx writes for its own subrequests where
// log_subrequest is on, as for a mirror: the client sent one request, and the log
// has two lines of it, with the same id, connection and request line. That of the
// client comes last, since nginx ends a request after its subrequests, and began
// no later (ngx_http_finalize_request in ngx_http_request.c of nginx).
type twins struct {
	held  map[twin][]*traffic.Exchange // those that have not left, in the order of the lines
	stale map[*traffic.Exchange]bool   // those that are to leave without being read
}

// twin is what the two lines have in common.
type twin struct{ id, conn, method, target string }

func twinOf(x *traffic.Exchange) twin {
	return twin{x.ID, x.Session, x.Request.Method, x.Request.Target}
}

func newTwins(format Format) twins {
	if format != NginxJSON {
		return twins{} // no other format tells enough
	}
	return twins{map[twin][]*traffic.Exchange{}, map[*traffic.Exchange]bool{}}
}

// add takes a line in, and returns how many of those that are held are
// subrequests of it. A request that a client sends again on its connection, with
// the same id, begins after the first one, and is none.
func (t *twins) add(x *traffic.Exchange) (subrequests int64) {
	if t.held == nil || x.ID == "" || x.Session == "" {
		return 0
	}
	key := twinOf(x)
	same := t.held[key]
	for n := len(same); n > 0 && !same[n-1].At.Before(x.At); n-- {
		t.stale[same[n-1]] = true
		same = same[:n-1]
		subrequests++
	}
	t.held[key] = append(same, x)
	return subrequests
}

// leaves forgets a line that is not held any more, and reports whether it was a
// subrequest.
func (t *twins) leaves(x *traffic.Exchange) bool {
	if t.held == nil {
		return false
	}
	key := twinOf(x)
	switch same := t.held[key]; {
	case len(same) > 1 && same[0] == x:
		t.held[key] = same[1:]
	case len(same) == 1 && same[0] == x:
		delete(t.held, key)
	default:
		if i := slices.Index(same, x); i >= 0 {
			t.held[key] = slices.Delete(same, i, i+1)
		}
	}
	stale := t.stale[x]
	delete(t.stale, x)
	return stale
}
