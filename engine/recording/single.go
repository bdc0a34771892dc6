package recording

import "github.com/shadowaudit/shadowaudit/engine/traffic"

// AppendExchange adds x to b as one record, in the form in which the blocks of a
// recording hold them. It is for protocols that carry exchanges one at a time.
func AppendExchange(b []byte, x *traffic.Exchange) []byte {
	return new(encoder).record(b, x)
}

// ParseExchange reads a record that is all of b, and keeps nothing of b. Its
// error quotes nothing.
func ParseExchange(b []byte) (*traffic.Exchange, error) {
	head, bodies, rest, ok := cutRecord(b)
	if !ok || len(rest) > 0 {
		return nil, errRecord
	}
	return decodeRecord(head, bodies)
}
