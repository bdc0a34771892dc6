package har

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/content"
)

// TestProducers reads what real producers wrote of the same requests to a server
// on loopback: Playwright 1.65.1 with Chromium 156 (recordHar), and mitmdump
// 11.0.2 in reverse mode (hardump).
func TestProducers(t *testing.T) {
	const (
		page     = `GET / "" 200 69`
		query    = `GET /json?q=a%20b&r=1&r=2 "" 200 56`
		binary   = `GET /bin "" 200 256`
		missing  = `GET /missing/42 "" 404 25`
		redirect = `GET /redirect "" 302 0`
		follow   = `GET /json?from=redirect "" 200 54`
		head     = `HEAD /json "" 200 0`
		post     = `POST /post "{\"a\":1,\"s\":\"é\"}" 201 39`
	)
	for _, tt := range []struct {
		name string
		want []string
		lost losses
	}{
		{"playwright", []string{page, query, binary, missing, redirect, follow, head, post,
			`POST /form "name=x+y&empty=" 201 70`}, losses{truncated: 1, notHTTP: 1}}, // a binary upload has no text; a refused connection is no exchange
		{"mitmproxy", []string{page, query, binary, missing, redirect, head, post,
			`POST /form "name=x+y&empty=" 201 56`, `POST /upload "\x00\x01\xfe\xff" 201 46`}, losses{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Open(Config{Name: "x", Paths: []string{filepath.Join(corpus, tt.name+".har")}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var got []string
			for {
				x, err := r.Next(t.Context())
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				body := x.Response.Body.Bytes
				if plain, err := content.Decode(x.Response.Header, body, content.Limit); err == nil {
					body = plain
				}
				got = append(got, fmt.Sprintf("%s %s %q %d %d", x.Request.Method, x.Request.Target, x.Request.Body.Bytes, x.Response.Status, len(body)))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			c := r.Counts()
			if c.TruncatedRequests != tt.lost.truncated || c.NotHTTP != tt.lost.notHTTP || c.Malformed != 0 {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

// losses are what a producer left out.
type losses struct{ truncated, notHTTP int64 }
