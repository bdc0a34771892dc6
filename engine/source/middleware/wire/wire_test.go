package wire

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

var example = &traffic.Exchange{
	ID: "7", At: time.Unix(1, 2).UTC(),
	Request: traffic.Request{Method: "GET", Target: "/", Header: traffic.Header{{Name: "Host", Value: "a"}}},
}

// The bytes that the package comment promises to other languages.
func TestBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"preface", AppendPreface(nil, Instance{1, 2, 3, 4, 5, 6, 7, 8}), "53416d77" + "01000000" + "0102030405060708"},
		{"report", AppendReport(nil, Report{Sent: 1, Dropped: 300, Upgraded: 0, Truncated: 4}), "02" + "09000000" + "0101" + "02ac02" + "0300" + "0404"},
		{"exchange", AppendExchange(nil, example), "01" + "1c000000" +
			"1a00" + "0501" + "37" + "0902" + "0202" + "0b11" + "0303" + "474554" + "0501" + "2f" + "0b07" + "04486f7374" + "0161"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s is\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	id := Instance{9}
	if got, err := ParsePreface(AppendPreface(nil, id)); got != id || err != nil {
		t.Error(got, err)
	}
	r := Report{Sent: 1 << 40, Dropped: 2, Upgraded: 3, Truncated: 4}
	b := AppendReport(nil, r)
	if k, n := ParseHead(b); k != KindReport || int(n) != len(b)-HeadSize {
		t.Error(k, n)
	}
	if got, err := ParseReport(b[HeadSize:]); got != r || err != nil {
		t.Error(got, err)
	}
	if got, err := ParseExchange(AppendExchange(nil, example)[HeadSize:]); !reflect.DeepEqual(got, example) || err != nil {
		t.Error(got, err)
	}
}

func TestPrefaceOfOthers(t *testing.T) {
	for name, want := range map[string]error{"": ErrNotOurs, "GET / HTTP/1.1\r\n\r\n": ErrNotOurs, "SAmw\x02\x00\x00\x0012345678": ErrVersion} {
		if _, err := ParsePreface([]byte(name)); err != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(AppendReport(nil, Report{Sent: 9, Dropped: 1 << 50})[HeadSize:])
	f.Add(AppendExchange(nil, example)[HeadSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseReport(b); err == nil {
			if again, err := ParseReport(AppendReport(nil, r)[HeadSize:]); again != r || err != nil {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
		if x, err := ParseExchange(b); err == nil {
			if again, err := ParseExchange(AppendExchange(nil, x)[HeadSize:]); err != nil || !reflect.DeepEqual(again, x) {
				t.Errorf("%+v became %+v, %v", x, again, err)
			}
		}
		if len(b) >= HeadSize {
			ParseHead(b)
		}
		ParsePreface(b)
	})
}
