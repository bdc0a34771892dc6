package accesslog

import (
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestLineParser(t *testing.T) {
	p, err := NewLineParser(NginxJSON, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.Exchange([]byte(`{"msec":"1795166295.952","request_id":"r1","request":"POST /a?b=1 HTTP/1.1","status":"201","upstream_response_time":"0.250"}`))
	if err != nil || x.ID != "r1" || x.Request.Method != "POST" || x.Request.Target != "/a?b=1" || x.Response.Status != 201 ||
		x.Response.Body.State != traffic.Missing || x.Timing.Total != 250*time.Millisecond {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := p.Exchange([]byte(`{"msec":"1795166295.952","request":"","status":"400"}`)); x != nil || err != nil {
		t.Errorf("a connection without a request: %+v, %v", x, err)
	}
	for _, line := range []string{"", "nothing", `{"request":"GET / HTTP/1.1","status":"200"}`, `{"msec":"1","request":"GET / HTTP/1.1","status":"ok"}`} {
		if x, err := p.Exchange([]byte(line)); err == nil {
			t.Errorf("%q: %+v", line, x)
		}
	}
	if _, err := NewLineParser("w3c", nil); err == nil {
		t.Error("a format that there is not")
	}
	if _, err := NewLineParser(JSON, Fields{"time": "t"}); err == nil {
		t.Error("fields without a request")
	}
}
