//go:build e2e

package envoytap

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy/envoytest"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// filter is the configuration that the package comment and the README show.
func filter(prefix, format string, streaming bool, keep int) string {
	limits := ""
	if keep > 0 {
		limits = fmt.Sprintf("\n          max_buffered_rx_bytes: %d\n          max_buffered_tx_bytes: %d", keep, keep)
	}
	return fmt.Sprintf(`
- name: envoy.filters.http.tap
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap
    record_headers_received_time: true
    record_downstream_connection: true
    common_config:
      static_config:
        match: { any_match: true }
        output_config:
          streaming: %v%s
          sinks:
          - format: %s
            file_per_tap: { path_prefix: "%s" }
`, streaming, limits, format, prefix)
}

// TestEnvoy lets a real Envoy write tap files of every kind, and holds what is
// read from them against what the clients and the upstream saw.
func TestEnvoy(t *testing.T) {
	const whole = 16 << 20
	for _, tt := range []struct {
		name, format string
		streaming    bool
		keep         int // bytes of a body that the tap keeps; 0: what it does if not told
	}{
		{"binary", "PROTO_BINARY", false, whole},
		{"delimited", "PROTO_BINARY_LENGTH_DELIMITED", false, whole},
		{"json, bytes", "JSON_BODY_AS_BYTES", false, whole},
		{"json, strings", "JSON_BODY_AS_STRING", false, whole},
		{"json, bytes, default limit", "JSON_BODY_AS_BYTES", false, 0},
		{"binary, streamed", "PROTO_BINARY", true, whole},
		{"delimited, streamed", "PROTO_BINARY_LENGTH_DELIMITED", true, whole},
		{"json, bytes, streamed", "JSON_BODY_AS_BYTES", true, whole},
		{"json, bytes, streamed, default limit", "JSON_BODY_AS_BYTES", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			up := envoytest.NewUpstream(t)
			e := envoytest.Start(t, up.Address, filter(filepath.Join(dir, "tap"), tt.format, tt.streaming, tt.keep), "")
			bodies := map[string][]byte{}
			for proto, client := range envoytest.Clients() {
				defer client.CloseIdleConnections()
				for _, r := range envoytest.Requests() {
					r.Target += map[bool]string{true: "&", false: "?"}[strings.Contains(r.Target, "?")] + "v=" + proto[5:]
					resp, b, err := r.Send(t.Context(), client, e.URL)
					if err != nil || resp.StatusCode/100 != 2 {
						t.Fatalf("%s %s over %s: %v, %v", r.Method, r.Target, proto, resp, err)
					}
					bodies[r.Method+" "+r.Target] = b
				}
			}
			sent := len(bodies)
			e.Stop()
			r := open(t, filepath.Join(dir, "tap_*"))
			xs := readAll(t, r)
			var cut int64
			for _, x := range xs {
				key := x.Request.Method + " " + x.Request.Target
				answered, ok := bodies[key]
				delete(bodies, key)
				if !ok || x.ID == "" || !tt.streaming && (x.Session == "" || time.Since(x.At) > time.Minute) {
					t.Errorf("%s: session %q, at %v", key, x.Session, x.At)
				}
				if asked := up.Body(x.Request.Target); !bytes.Equal(asked, x.Request.Body.Bytes) {
					t.Errorf("%s: body of %d bytes, sent were %d", key, len(x.Request.Body.Bytes), len(asked))
				}
				switch p := x.Response; {
				case p == nil:
					t.Errorf("%s: no response", key)
				case p.Body.State != traffic.Complete:
					cut++
				case !bytes.Equal(p.Body.Bytes, answered):
					t.Errorf("%s: response of %d bytes, the client got %d", key, len(p.Body.Bytes), len(answered))
				case x.Request.Path() == "/trailers" && p.Trailer.Get("X-Sum") != "17", x.Request.Path() == "/with-trailer" && x.Request.Trailer.Get("X-Check") != "9":
					t.Errorf("%s: trailers are missing", key)
				}
			}
			c := r.Counts()
			if c.Records != int64(sent) || int64(len(bodies)) != c.TruncatedRequests {
				t.Errorf("%d sent, counts %+v, missing %v", sent, c, slices.Sorted(maps.Keys(bodies)))
			}
			if exact := tt.keep > 0 && !strings.Contains(tt.format, "STRING"); exact && (cut > 0 || c.TruncatedRequests > 0) {
				t.Errorf("%d responses and %d requests are not whole", cut, c.TruncatedRequests)
			}
			t.Logf("kind envoy_tap, envoy %s, %s: messages in %d, out %d, requests left out %d, responses not whole %d, warnings %v", e.Version, tt.name, sent, len(xs), c.TruncatedRequests, cut, r.Warnings())
		})
	}
}
