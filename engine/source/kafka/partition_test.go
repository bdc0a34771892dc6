package kafka

import (
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/message"
)

// TestSettle moves over what nothing is to come of, and no further than the
// first message that is held.
func TestSettle(t *testing.T) {
	d, err := message.NewDecoder(message.Config{Format: message.Gor})
	if err != nil {
		t.Fatal(err)
	}
	p := &partition{settled: 5}
	waits := new(message.Receipt)
	d.Add(t.Context(), message.Message{Value: []byte("1 a 1795166295952376787 0\nGET / HTTP/1.1\r\n\r\n"), Receipt: waits}, time.Unix(0, 0))
	p.receive(7, nil) // offsets may leave gaps
	p.receive(8, new(message.Receipt))
	p.receive(9, waits)
	p.receive(10, nil)
	if got := p.settle(); got != 9 {
		t.Errorf("settled up to %d", got)
	}
	for _, it := range d.Flush() {
		it.Settle()
	}
	if got := p.settle(); got != 11 || len(p.pending) != 0 {
		t.Errorf("settled up to %d", got)
	}
}
