package envoytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Request is one that is driven through Envoy.
type Request struct {
	Method, Target string
	Body           []byte

	chunked bool
	trailer string
	header  [2]string
}

// Requests is a list of requests of every shape.
func Requests() []Request {
	list := []Request{
		{Method: "GET", Target: "/orders?id=7&x=%2F", header: [2]string{"Cookie", "a=b; c=d"}},
		{Method: "HEAD", Target: "/head"},
		{Method: "POST", Target: "/post", Body: Page(1000)},
		{Method: "PUT", Target: "/chunked", Body: []byte("in chunks"), chunked: true},
		{Method: "POST", Target: "/with-trailer", Body: []byte("and a trailer"), chunked: true, trailer: "9"},
		{Method: "GET", Target: "/gzip"},
		{Method: "GET", Target: "/trailers"},
		{Method: "GET", Target: "/big", header: [2]string{"X-Latin", "caf\xe9"}},
		{Method: "GET", Target: "/huge"},
		{Method: "POST", Target: "/upload", Body: Page(2 << 20)},
		{Method: "DELETE", Target: "/none"},
		{Method: "POST", Target: "/grpc", Body: append([]byte{0, 0, 0, 0, 3}, "abc"...), header: [2]string{"Content-Type", "application/grpc"}},
	}
	for i := range 200 {
		list = append(list, Request{Method: "POST", Target: fmt.Sprintf("/item/%d", i), Body: Page(i * 50)})
	}
	return list
}

// Send sends a request to a URL, and returns the response and its body.
func (r Request) Send(ctx context.Context, client *http.Client, url string) (*http.Response, []byte, error) {
	var body io.Reader = bytes.NewReader(r.Body)
	if r.chunked {
		body = io.MultiReader(body) // of unknown length
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, url+r.Target, body)
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

// Clients are clients by the protocol that they speak.
func Clients() map[string]*http.Client {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{DisableCompression: true}},
		"HTTP/2":   {Transport: &http.Transport{DisableCompression: true, Protocols: h2}},
	}
}
