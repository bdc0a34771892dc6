package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// TestRunMirrorWithLog compares a build with the statuses that the proxy logged
// beside the requests that it mirrored.
func TestRunMirrorWithLog(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int // of the candidate
		code    int
		verdict result.Verdict
	}{
		{"equal", 200, exitPass, result.Pass},
		{"faulty", 500, exitFail, result.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(tt.status)
			}))
			t.Cleanup(next.Close)
			dir := t.TempDir()
			log, report := filepath.Join(dir, "shadow.log"), filepath.Join(dir, "result.json")
			src := strings.Replace(mirrorSource, "}", fmt.Sprintf("  access_log = %q\n  access_log_format = nginx_json\n}", log), 1)
			spec := liveSpec(t, src, "", next.URL, patient+"\n  compare {\n    ignore = [\".body\"]\n  }")
			l := startLive(t, "run", spec, "--progress", "none", "--report", "json="+report, "--count", "20")
			mirrorAndLog(t, l.addr, log, 20)
			l.ends(tt.code)
			a := readResult(t, report)
			if a.Verdict != tt.verdict || a.Outcomes.Total != 20 || a.Traffic.Paired != 20 || a.Traffic.OrphanResponses != 0 {
				t.Errorf("%v, %+v, %+v\n%s", a.Verdict, a.Outcomes, a.Traffic, l.out.String())
			}
		})
	}
}

// mirrorAndLog does what a proxy does: it mirrors a request, and writes a line
// about it once the service has answered.
func mirrorAndLog(t *testing.T, addr, log string, n int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(c, "GET /api/orders/%d HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: r%d\r\n\r\n", i, i)
		fmt.Fprintf(&lines, `{"msec":"%d.250","request_id":"r%d","request":"GET /api/orders/%d HTTP/1.1","status":"200","upstream_response_time":"0.004"}`+"\n", time.Now().Unix(), i, i)
	}
	answer := make([]byte, n*len("HTTP/1.1 204 No Content\r\n\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
