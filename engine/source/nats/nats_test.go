package nats

import "testing"

// TestAddress keeps user and password out of what is shown.
func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":        "127.0.0.1:4222",
		"nats://u:p@h:4222, tls://t@i": "h:4222, i",
		"u:p@h:4222":                   "h:4222",
		"localhost":                    "localhost",
	} {
		if got := address(in); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}
