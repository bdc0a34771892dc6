package source

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window int
		bytes  int64
		in     string // one exchange per letter, its time
		want   string
		late   int64
	}{
		{"sorted", 3, 100, "abcd", "abcd", 0},
		{"within the window", 3, 100, "dcba", "abcd", 0},
		{"beyond the window", 1, 100, "cdab", "cabd", 2},
		{"beyond the bytes", 100, 1, "cba", "bac", 1},
		{"times before 1970", 3, 100, "BA", "AB", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Order{Exchanges: tt.window, Bytes: tt.bytes}
			var got strings.Builder
			for _, r := range tt.in {
				o.Add(&traffic.Exchange{ID: string(r), At: time.Unix(int64(r)-'a', 0)}, 1)
				if o.Full() {
					got.WriteString(o.Next().ID)
				}
			}
			for o.First() != nil {
				got.WriteString(o.Next().ID)
			}
			if got.String() != tt.want || o.Late() != tt.late || o.Next() != nil {
				t.Errorf("got %s, %d late", got.String(), o.Late())
			}
		})
	}
}

func TestOrderKeepsEqualTimesAsTheyCame(t *testing.T) {
	o := Order{Exchanges: 10, Bytes: 10}
	for _, id := range []string{"x", "y", "z"} {
		o.Add(&traffic.Exchange{ID: id}, 1)
	}
	if got := o.Next().ID + o.Next().ID + o.Next().ID; got != "xyz" {
		t.Errorf("got %s", got)
	}
}
