package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func coded(values ...string) traffic.Header {
	var h traffic.Header
	for _, v := range values {
		h = append(h, traffic.Field{Name: "content-encoding", Value: v})
	}
	return h
}

func TestEncodeDecode(t *testing.T) {
	body := []byte(strings.Repeat(`{"a":1,"b":"text"}`, 50))
	for _, codings := range [][]string{nil, {"identity"}, {"gzip"}, {"x-gzip"}, {"deflate"}, {"br"}, {"zstd"}, {"gzip, br"}, {"deflate", "GZIP"}} {
		h := coded(codings...)
		enc, err := content.Encode(h, body)
		if err != nil {
			t.Fatalf("%v: %v", codings, err)
		}
		dec, err := content.Decode(h, enc, content.Limit)
		if err != nil || !bytes.Equal(dec, body) {
			t.Errorf("%v: %v", codings, err)
		}
	}
	var raw bytes.Buffer // raw deflate, as some servers send it
	w, _ := flate.NewWriter(&raw, 6)
	w.Write(body)
	w.Close()
	if dec, err := content.Decode(coded("deflate"), raw.Bytes(), content.Limit); err != nil || !bytes.Equal(dec, body) {
		t.Errorf("raw deflate: %v", err)
	}
}

func TestWhatCannotBeDecoded(t *testing.T) {
	zeros := make([]byte, 1<<20)
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		bomb, err := content.Encode(coded(coding), zeros)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := content.Decode(coded(coding), bomb, 1<<16); !errors.Is(err, content.ErrTooLarge) && !errors.Is(err, content.ErrCoding) {
			t.Errorf("%s: a bomb gave %v", coding, err)
		}
		if _, err := content.Decode(coded(coding), bomb[:len(bomb)/2], content.Limit); !errors.Is(err, content.ErrCoding) {
			t.Errorf("%s: a cut body gave %v", coding, err)
		}
		if _, err := content.Decode(coded(coding), []byte("no such thing at all"), content.Limit); !errors.Is(err, content.ErrCoding) {
			t.Errorf("%s: junk gave %v", coding, err)
		}
		if out, err := content.Decode(coded(coding), nil, content.Limit); err != nil || len(out) != 0 {
			t.Errorf("%s: an empty body gave %v", coding, err)
		}
	}
	if _, err := content.Decode(coded("compress"), []byte("x"), content.Limit); !errors.Is(err, content.ErrCoding) {
		t.Errorf("an unknown coding gave %v", err)
	}
	if _, err := content.Encode(coded("compress"), []byte("x")); !errors.Is(err, content.ErrCoding) {
		t.Errorf("an unknown coding gave %v", err)
	}
}

func TestMediaTypes(t *testing.T) {
	for value, want := range map[string]struct {
		name    string
		kind    content.Kind
		charset string
	}{
		"application/json":                   {"application/json", content.JSON, ""},
		"Application/JSON; charset=UTF-8":    {"application/json", content.JSON, "utf-8"},
		"application/problem+json":           {"application/problem+json", content.JSON, ""},
		"application/x-ndjson":               {"application/x-ndjson", content.NDJSON, ""},
		"application/x-www-form-urlencoded":  {"application/x-www-form-urlencoded", content.Form, ""},
		"multipart/form-data; boundary=x":    {"multipart/form-data", content.Multipart, ""},
		"text/event-stream":                  {"text/event-stream", content.EventStream, ""},
		"image/svg+xml":                      {"image/svg+xml", content.XML, ""},
		"text/html":                          {"text/html", content.HTML, ""},
		"text/plain; charset=ISO-8859-1":     {"text/plain", content.Text, "iso-8859-1"},
		"image/png":                          {"image/png", content.Binary, ""},
		"":                                   {"", content.Binary, ""},
		"application/json; charset=\"broken": {"application/json", content.JSON, ""},
	} {
		m := content.MediaTypeOf(traffic.Header{{Name: "Content-Type", Value: value}})
		if m.Name != want.name || m.Kind != want.kind || m.Charset != want.charset {
			t.Errorf("%q: %+v", value, m)
		}
	}
	for i := range 2000 { // ever new values are parsed all the same
		m := content.MediaTypeOf(traffic.Header{{Name: "Content-Type", Value: fmt.Sprintf("application/json; v=%d", i)}})
		if m.Kind != content.JSON {
			t.Fatalf("%d: %+v", i, m)
		}
	}
}

func TestSniff(t *testing.T) {
	for body, want := range map[string]content.Kind{` {"a":1}`: content.JSON, "[1]": content.JSON, "hello": content.Text, "\x00\x01": content.Binary, "\xff\xfe": content.Binary} {
		if got := content.Sniff(content.MediaType{}, []byte(body)); got != want {
			t.Errorf("%q: %v", body, got)
		}
	}
	if got := content.Sniff(content.MediaType{Name: "text/plain", Kind: content.Text}, []byte("{}")); got != content.Text {
		t.Error("a media type that is given is believed")
	}
}

func TestUTF8(t *testing.T) {
	for _, tt := range []struct {
		charset, in, want string
		ok                bool
	}{
		{"", "é", "é", true},
		{"utf-8", "\xff", "", false},
		{"iso-8859-1", "caf\xe9", "café", true},
		{"shift_jis", "x", "", false},
	} {
		out, err := content.UTF8(content.MediaType{Charset: tt.charset}, []byte(tt.in))
		if (err == nil) != tt.ok || string(out) != tt.want {
			t.Errorf("%s %q: %q %v", tt.charset, tt.in, out, err)
		}
	}
}
