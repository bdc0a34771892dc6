package intake

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/source"
)

// TestMirrorWithLog opens a mirror as a spec names it: what the proxy logged is
// the response, and that its log was opened is noted.
func TestMirrorWithLog(t *testing.T) {
	dir := t.TempDir()
	log, notes := filepath.Join(dir, "shadow.log"), filepath.Join(dir, "notes")
	s := plan.Source{
		Kind: "mirror", Name: "edge", Live: true, Listen: "127.0.0.1:0", AccessLog: log, Format: "json",
		Fields: map[string]string{"time": "ts", "time_unit": "s", "id": "trace", "method": "m", "uri": "u", "status": "code"},
	}
	src, err := OpenSource(s, nil, Access{Log: notes, Command: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer src.(interface{ Close() error }).Close()
	c, err := net.Dial("tcp", src.(source.Live).Listening())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: t1\r\n\r\n")
	if err := os.WriteFile(log, []byte(`{"ts":1795166295,"trace":"t1","m":"GET","u":"/a","code":404}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := src.Next(t.Context())
	if err != nil || x.Response == nil || x.Response.Status != 404 {
		t.Errorf("%+v, %v", x, err)
	}
	if noted, err := os.ReadFile(notes); err != nil || !bytes.Contains(noted, []byte("shadow.log")) {
		t.Errorf("%s, %v", noted, err)
	}
}
