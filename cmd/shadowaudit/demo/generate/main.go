// Command generate writes the recordings of the demo and of the examples: what
// GoReplay 1.3, or a browser, would have recorded in front of the shop. The
// same program writes the same bytes.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
)

func main() {
	log.SetFlags(0)
	for _, f := range []struct {
		path    string
		content []byte
	}{
		{demo.RecordingName, gor(record(420, 24, 6*time.Second))},
		{"../../../examples/live-baseline/traffic/shop.gor", gor(record(120, 8, 2*time.Second))},
		{"../../../examples/recorded-baseline/traffic/shop.har", har(record(60, 2, time.Second))},
	} {
		if err := os.WriteFile(f.path, f.content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

var start = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// exchange is one recorded request with its answer.
type exchange struct {
	n, conn    int
	at         time.Time
	took       time.Duration
	method     string
	target     string
	head       [][2]string
	body       string
	answer     *httptest.ResponseRecorder
	answerHead [][2]string
}

// record makes up traffic: requests on connections over a span of time.
func record(requests, connections int, span time.Duration) []exchange {
	rng := rand.New(rand.NewPCG(1, 2))
	shop := demo.Shop{Now: func() time.Time { return start }}
	busy := make([]time.Time, connections)
	var out []exchange
	for i := range requests {
		x := exchange{n: i, conn: rng.IntN(connections)}
		x.at = start.Add(span * time.Duration(i) / time.Duration(requests)).Add(time.Duration(rng.IntN(8000)) * time.Microsecond)
		if x.at.Before(busy[x.conn]) {
			x.at = busy[x.conn]
		}
		x.took = 2*time.Millisecond + time.Duration(rng.IntN(4000))*time.Microsecond
		busy[x.conn] = x.at.Add(x.took + time.Millisecond)
		x.fill(rng)
		x.answer = httptest.NewRecorder()
		shop.ServeHTTP(x.answer, httptest.NewRequest(x.method, x.target, nil))
		x.answerHead = [][2]string{
			{"Content-Type", "application/json"}, {"X-Request-Id", fmt.Sprintf("%016x", rng.Uint64())},
			{"Content-Length", fmt.Sprint(x.answer.Body.Len())}, {"Date", "Fri, 20 Nov 2026 09:00:00 GMT"},
		}
		out = append(out, x)
	}
	return out
}

// fill makes up a request with everything in it that must not leave
// production: a token, a session cookie, a card, an address.
func (x *exchange) fill(rng *rand.Rand) {
	x.head = [][2]string{
		{"Host", "shop.example"}, {"User-Agent", "ShopApp/4.2 (Android 15)"}, {"Accept", "application/json"},
		{"X-Region", []string{"eu", "us"}[x.conn%2]},
		{"Authorization", fmt.Sprintf("Bearer tok_%016x", uint64(x.conn+1)*0x9e3779b97f4a7c15)},
		{"Cookie", fmt.Sprintf("sid=s%012d; theme=dark", 700000+x.conn*31)},
	}
	x.method = "GET"
	switch n := rng.IntN(100); {
	case n < 34:
		x.target = fmt.Sprintf("/api/orders/%d", 1000+rng.IntN(400))
	case n < 58:
		x.target = fmt.Sprintf("/api/products?category=%s&page=%d", []string{"tea", "cups", "gifts"}[rng.IntN(3)], 1+rng.IntN(3))
	case n < 76:
		x.target = fmt.Sprintf("/api/customers/%08x-0000-4000-8000-%012x", rng.Uint32(), rng.Uint64()>>16)
	case n < 94:
		x.target = "/api/search?q=" + []string{"oolong", "teapot", "green+tea", "sencha", "gift+card"}[rng.IntN(5)]
	case n < 97:
		x.target = "/healthz"
	default:
		x.method, x.target = "POST", "/api/orders"
		x.body = fmt.Sprintf(`{"email":"buyer%d@mail.test","card":"4111 1111 1111 1111","items":[{"sku":"TEA-01","quantity":1}]}`, x.conn)
		x.head = append(x.head, [2]string{"Content-Type", "application/json"}, [2]string{"Content-Length", fmt.Sprint(len(x.body))})
	}
}

// gor writes a GoReplay file with the record headers of release 1.3: records
// in the order in which messages were complete.
func gor(xs []exchange) []byte {
	type entry struct {
		at    time.Time
		bytes []byte
	}
	var entries []entry
	for _, x := range xs {
		// port of the client, port of the server, address of the client, TCP ack
		id := fmt.Sprintf("%04x%04x%02x%02x%02x%02x%08x", 50000+x.conn, 8080, 10, 0, 0, 9, 1000+x.n*977)
		done := x.at.Add(x.took)
		entries = append(entries,
			entry{x.at, fmt.Appendf(nil, "1 %s %d 0\n%s %s HTTP/1.1\r\n%s\r\n%s", id, x.at.UnixNano(), x.method, x.target, lines(x.head), x.body)},
			entry{done, fmt.Appendf(nil, "2 %s %d 20000\nHTTP/1.1 %d %s\r\n%s\r\n%s", id, done.UnixNano(), x.answer.Code, http.StatusText(x.answer.Code), lines(x.answerHead), x.answer.Body)})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	var out bytes.Buffer
	for _, e := range entries {
		out.Write(e.bytes)
		out.WriteString("\n🐵🙈🙉\n")
	}
	return out.Bytes()
}

func lines(fields [][2]string) string {
	var out strings.Builder
	for _, f := range fields {
		out.WriteString(f[0] + ": " + f[1] + "\r\n")
	}
	return out.String()
}

// har writes a HAR 1.2 file as a browser exports it.
func har(xs []exchange) []byte {
	type field struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type content struct {
		Size     int    `json:"size"`
		MimeType string `json:"mimeType"`
		Text     string `json:"text"`
	}
	fields := func(in [][2]string) []field {
		var out []field
		for _, f := range in {
			out = append(out, field{f[0], f[1]})
		}
		return out
	}
	var entries []any
	for _, x := range xs {
		wait := float64(x.took.Microseconds()) / 1000
		request := map[string]any{
			"method": x.method, "url": "https://shop.example" + x.target, "httpVersion": "HTTP/1.1", "headers": fields(x.head),
			"queryString": []field{}, "cookies": []field{}, "headersSize": -1, "bodySize": len(x.body),
		}
		if x.body != "" {
			request["postData"] = map[string]any{"mimeType": "application/json", "text": x.body}
		}
		entries = append(entries, map[string]any{
			"startedDateTime": x.at.Format("2006-01-02T15:04:05.000000Z07:00"), "time": wait, "connection": fmt.Sprint(x.conn + 1), "request": request,
			"response": map[string]any{
				"status": x.answer.Code, "statusText": http.StatusText(x.answer.Code), "httpVersion": "HTTP/1.1", "headers": fields(x.answerHead), "cookies": []field{},
				"content": content{x.answer.Body.Len(), "application/json", x.answer.Body.String()}, "redirectURL": "", "headersSize": -1, "bodySize": x.answer.Body.Len(),
			},
			"cache": map[string]any{}, "timings": map[string]any{"send": 0, "wait": wait, "receive": 0},
		})
	}
	out, err := json.MarshalIndent(map[string]any{"log": map[string]any{
		"version": "1.2", "creator": map[string]any{"name": "shop recorder", "version": "1.0"}, "entries": entries,
	}}, "", " ")
	if err != nil {
		log.Fatal(err)
	}
	return append(out, '\n')
}
