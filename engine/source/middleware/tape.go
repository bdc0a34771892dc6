package middleware

// tape keeps the beginning of a body, up to a limit. Its take guards it.
type tape struct {
	limit int
	bytes []byte
	cut   bool  // something of the body is not in bytes
	size  int64 // of all that passed
}

// add copies p, as far as there is room; short reports that memory has run out.
func (t *tape) add(p []byte, m *memory) (short bool) {
	t.size += int64(len(p))
	if t.cut {
		return false
	}
	if len(t.bytes)+len(p) > t.limit {
		p, t.cut = p[:t.limit-len(t.bytes)], true
	}
	if need := len(t.bytes) + len(p); need > cap(t.bytes) {
		grown := max(need, min(2*cap(t.bytes), t.limit), 512)
		if !m.take(int64(grown - cap(t.bytes))) {
			return true
		}
		t.bytes = append(make([]byte, 0, grown), t.bytes...)
	}
	t.bytes = append(t.bytes, p...)
	return false
}

// erase forgets what passed, and returns its memory.
func (t *tape) erase(m *memory) {
	m.give(int64(cap(t.bytes)))
	*t = tape{limit: t.limit}
}
