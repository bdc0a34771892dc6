package envoy

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func header(pairs ...string) (h traffic.Header) {
	for i := 0; i < len(pairs); i += 2 {
		h = append(h, traffic.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return h
}

func TestRequestLine(t *testing.T) {
	for _, tt := range []struct {
		name           string
		header, answer traffic.Header
		want           string
		err            error
	}{
		{"whole", header(":method", "GET", ":path", "/a", ":authority", "shop"), nil, "GET /a shop", nil},
		{"no authority", header(":method", "GET", ":path", "/a"), header(":status", "200"), "GET /a ", nil},
		{"tunnel", header(":method", "CONNECT", ":authority", "shop"), nil, "  ", ErrNotHTTP},
		{"upgrade", header(":method", "GET", ":path", "/a"), header(":status", "101"), "  ", ErrNotHTTP},
		{"no method", header(":path", "/a"), nil, "  ", ErrShape},
		{"odd method", header(":method", "G T", ":path", "/a"), nil, "  ", ErrShape},
		{"odd path", header(":method", "GET", ":path", "/a b"), nil, "  ", ErrShape},
		{"odd authority", header(":method", "GET", ":path", "/a", ":authority", "a\r"), nil, "  ", ErrShape},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, target, authority, err := RequestLine(tt.header, tt.answer)
			if got := method + " " + target + " " + authority; got != tt.want || err != tt.err {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	r, err := Response(header(":status", "204", "a", " b\t"), header("sum", "1"), "HTTP/2")
	if got := fmt.Sprintf("%+v, %v", r, err); err != nil || r.Status != 204 || r.Proto != "HTTP/2" || r.Header.Get("a") != "b" || len(r.Header) != 1 || r.Trailer.Get("sum") != "1" {
		t.Error(got)
	}
	for _, status := range []string{"", "20", "0200", "+20", "099", "abc"} {
		if _, err := Response(header(":status", status), nil, ""); err != ErrShape {
			t.Errorf("status %q: %v", status, err)
		}
	}
	for _, trailer := range []traffic.Header{header("a b", ""), header("a", "b\r\nc")} {
		if _, err := Response(header(":status", "200"), trailer, ""); err != ErrShape {
			t.Errorf("trailer %v: %v", trailer, err)
		}
	}
}

func TestFieldsHaveOneHost(t *testing.T) {
	got, err := Fields(header(":authority", "shop", "host", "other", "accept", "*/*"), "shop")
	if want := header("Host", "shop", "accept", "*/*"); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := Fields(header("host", "other"), ""); err != nil || got.Get("Host") != "other" {
		t.Errorf("without an authority: %v, %v", got, err)
	}
}

func TestEachFieldKnowsTypes(t *testing.T) {
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("x"))
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 7)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 3, protowire.Fixed32Type), 8)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), 9)
	var got string
	visit := func(num protowire.Number, v []byte, n uint64) error {
		got += fmt.Sprintf("%d:%s:%d ", num, v, n)
		return nil
	}
	if err := EachField(b, visit); err != nil || got != "1:x:0 2::7 4::9 " {
		t.Errorf("got %s, %v", got, err)
	}
	if err := EachField(b[:len(b)-1], visit); err != ErrShape {
		t.Errorf("cut: %v", err)
	}
}

// FuzzHeaderMap reads foreign bytes: no panic, and fields that can be sent.
func FuzzHeaderMap(f *testing.F) {
	value := append(protowire.AppendBytes([]byte{1<<3 | 2}, []byte("a")), protowire.AppendBytes([]byte{3<<3 | 2}, []byte("b"))...)
	f.Add(protowire.AppendBytes([]byte{1<<3 | 2}, value))
	f.Add([]byte{1<<3 | 2, 9, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h traffic.Header
		if err := DecodeHeaderMap(b, &h); err != nil && err != ErrShape {
			t.Error(err)
		}
		fields, _ := Fields(h, "shop")
		for _, field := range fields {
			if !http1.IsToken(field.Name) {
				t.Errorf("odd field name in %x", b)
			}
		}
	})
}
