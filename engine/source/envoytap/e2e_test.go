//go:build e2e

package envoytap

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// seen is what the upstream was sent.
type seen struct {
	mu   sync.Mutex
	body map[string][]byte // by path
}

// upstream is the service behind Envoy.
func upstream(t *testing.T) (*httptest.Server, *seen) {
	s := &seen{body: map[string][]byte{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.body[r.URL.RequestURI()] = b
		s.mu.Unlock()
		switch {
		case strings.HasPrefix(r.URL.Path, "/gzip"):
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(squeezed(r.URL.Path))
		case strings.HasPrefix(r.URL.Path, "/trailers"):
			w.Header().Set("Trailer", "X-Sum")
			w.Write([]byte("some"))
			w.(http.Flusher).Flush()
			w.Write([]byte(" more"))
			w.Header().Set("X-Sum", "17")
		case strings.HasPrefix(r.URL.Path, "/big"):
			w.Write(page(3 << 20))
		case strings.HasPrefix(r.URL.Path, "/huge"):
			w.Write(page(9 << 20))
		case strings.HasPrefix(r.URL.Path, "/none"):
			w.WriteHeader(204)
		case strings.HasPrefix(r.URL.Path, "/die"):
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("half"))
			w.(http.Flusher).Flush()
			time.Sleep(200 * time.Millisecond) // for Envoy to pass it on
			panic(http.ErrAbortHandler)
		default:
			w.Write([]byte("ok " + r.URL.Path))
		}
	}))
	t.Cleanup(srv.Close)
	return srv, s
}

func squeezed(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, strings.Repeat(text, 50))
	z.Close()
	return b.Bytes()
}

// page is a body of all bytes, the same every time.
func page(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// request is one that is driven through Envoy.
type request struct {
	method, target string
	body           []byte
	chunked        bool
	trailer        string
	header         [2]string
}

func requests() []request {
	list := []request{
		{method: "GET", target: "/orders?id=7&x=%2F", header: [2]string{"Cookie", "a=b; c=d"}},
		{method: "HEAD", target: "/head"},
		{method: "POST", target: "/post", body: page(1000)},
		{method: "PUT", target: "/chunked", body: []byte("in chunks"), chunked: true},
		{method: "POST", target: "/with-trailer", body: []byte("and a trailer"), chunked: true, trailer: "9"},
		{method: "GET", target: "/gzip"},
		{method: "GET", target: "/trailers"},
		{method: "GET", target: "/big", header: [2]string{"X-Latin", "caf\xe9"}},
		{method: "GET", target: "/huge"},
		{method: "POST", target: "/upload", body: page(2 << 20)},
		{method: "DELETE", target: "/none"},
		{method: "POST", target: "/grpc", body: append([]byte{0, 0, 0, 0, 3}, "abc"...), header: [2]string{"Content-Type", "application/grpc"}},
	}
	for i := range 200 {
		list = append(list, request{method: "POST", target: fmt.Sprintf("/item/%d", i), body: page(i * 50)})
	}
	return list
}

// send sends a request and returns the body of the response.
func (r request) send(ctx context.Context, client *http.Client, url string) (*http.Response, []byte, error) {
	var body io.Reader = bytes.NewReader(r.body)
	if r.chunked {
		body = io.MultiReader(body) // of unknown length
	}
	req, err := http.NewRequestWithContext(ctx, r.method, url+r.target, body)
	if err != nil {
		return nil, nil, err
	}
	if r.trailer != "" {
		req.Trailer = http.Header{"X-Check": {r.trailer}}
	}
	if r.header[0] != "" {
		req.Header.Set(r.header[0], r.header[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

func clients() map[string]*http.Client {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{DisableCompression: true}},
		"HTTP/2":   {Transport: &http.Transport{DisableCompression: true, Protocols: h2}},
	}
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
			up, there := upstream(t)
			e := startEnvoy(t, up.Listener.Addr().String(), filter(filepath.Join(dir, "tap"), tt.format, tt.streaming, tt.keep))
			bodies := map[string][]byte{}
			for proto, client := range clients() {
				defer client.CloseIdleConnections()
				for _, r := range requests() {
					r.target += map[bool]string{true: "&", false: "?"}[strings.Contains(r.target, "?")] + "v=" + proto[5:]
					resp, b, err := r.send(t.Context(), client, e.url)
					if err != nil || resp.StatusCode/100 != 2 {
						t.Fatalf("%s %s over %s: %v, %v", r.method, r.target, proto, resp, err)
					}
					bodies[r.method+" "+r.target] = b
				}
			}
			sent := len(bodies)
			e.stop()
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
				if asked := there.body[x.Request.Target]; !bytes.Equal(asked, x.Request.Body.Bytes) {
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
			t.Logf("kind envoy_tap, envoy %s, %s: messages in %d, out %d, requests left out %d, responses not whole %d, warnings %v", e.version, tt.name, sent, len(xs), c.TruncatedRequests, cut, r.Warnings())
		})
	}
}
