package mirror

import "bytes"

// expectation follows the bytes of a request and finds out whether its sender
// waits for 100 (Continue) before it sends the body: RFC 9110 section 10.1.1.
// The parser reads head and body in one go, so nobody else could tell in time.
type expectation struct {
	line   []byte // the beginning of the line in hand
	begun  bool   // a line that is not empty was seen
	ended  bool   // the head was
	wanted bool   // and asks for an answer
}

// longest is how much of a line is looked at.
const longest = 64

// see takes the next bytes in.
func (e *expectation) see(b []byte) {
	for len(b) > 0 && !e.ended {
		piece, rest, whole := bytes.Cut(b, []byte{'\n'})
		e.line = append(e.line, piece[:min(len(piece), longest-len(e.line))]...)
		if !whole {
			return
		}
		b = rest
		e.endLine()
	}
}

func (e *expectation) endLine() {
	line := bytes.TrimSpace(e.line)
	e.line = e.line[:0]
	if len(line) == 0 {
		e.ended = e.begun
		return
	}
	e.begun = true
	name, value, _ := bytes.Cut(line, []byte{':'})
	if bytes.EqualFold(name, []byte("expect")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("100-continue")) {
		e.wanted = true
	}
}

// due reports once that the answer is to be given now.
func (e *expectation) due() bool {
	if !e.ended || !e.wanted {
		return false
	}
	e.wanted = false
	return true
}

// reset begins another request, of which b is here already.
func (e *expectation) reset(b []byte) {
	*e = expectation{line: e.line[:0]}
	e.see(b)
}
