package scrub

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestCanaries(t *testing.T) {
	const canary = "Marker-7f3c/x"
	for _, tt := range []struct {
		name  string
		x     *traffic.Exchange
		found bool
	}{
		{"under no name", post("application/json", `{"stage":"Marker-7f3c/x"}`), true},
		{"in another case", post("application/json", `{"stage":"MARKER-7F3C/x"}`), true},
		{"in a query", get("/a?b=Marker-7f3c%2Fx"), true},
		{"in a header", with("X-A", "Marker-7f3c/x"), true},
		{"in a response", answer("text/html", "<p>Marker-7f3c/x</p>"), true},
		{"in base64", post("application/json", `{"a":"`+base64.StdEncoding.EncodeToString([]byte("of Marker-7f3c/x, and"))+`"}`), true},
		{"beside something else that is left", post("application/json", `{"a":"x@","stage":"Marker-7f3c/x"}`), true},
		{"where a name is", post("application/json", `{"last_name":"Marker-7f3c/x"}`), false},
		{"in part", post("application/json", `{"stage":"Marker-7f3c"}`), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScrubber(t, Config{Canaries: []string{canary}})
			err := s.Exchange(tt.x)
			var drop *DropError
			if found := errors.As(err, &drop) && drop.Reason == CanaryReason; found != tt.found {
				t.Fatalf("%v", err)
			}
			dropped := s.Report().Dropped
			if tt.found && (len(dropped) != 1 || dropped[0] != result.ScrubCount{Reason: CanaryReason, Count: 1}) || !tt.found && len(dropped) > 0 {
				t.Errorf("dropped %v", dropped)
			}
		})
	}
}

// Without canaries nobody looks for them, and an empty one is none.
func TestNoCanaries(t *testing.T) {
	for _, canaries := range [][]string{nil, {""}} {
		s := newScrubber(t, Config{Canaries: canaries})
		if err := s.Exchange(post("application/json", `{"stage":"Marker-7f3c/x"}`)); err != nil {
			t.Errorf("%q: %v", canaries, err)
		}
	}
}
