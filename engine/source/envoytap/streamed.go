package envoytap

// streamed puts the segments of traces together. Nothing in a segment says that
// it is the last one, so a trace is whole when another one begins with its
// number, when the file ends, or when too much is held.
type streamed struct {
	limit int // traces held
	open  map[uint64]*trace
	line  []uint64 // numbers of the open traces, the oldest first
	bytes int64
}

// add takes a segment in. It returns the trace that had its number before, if
// that is whole now.
func (s *streamed) add(rec *record) []*trace {
	p := rec.piece
	if s.open == nil {
		s.open = make(map[uint64]*trace)
	}
	var whole []*trace
	t := s.open[p.id]
	if t != nil && p.part == requestHeaders {
		whole = append(whole, s.remove(p.id))
		t = nil
	}
	if t == nil {
		t = &trace{offset: rec.offset}
		s.open[p.id] = t
		s.line = append(s.line, p.id)
	}
	t.add(p)
	t.size += rec.size
	s.bytes += rec.size
	return whole
}

// full reports whether a trace has to leave.
func (s *streamed) full() bool { return len(s.open) > s.limit || s.bytes > windowBytes }

// oldest takes out the trace that began first; nil: there is none.
func (s *streamed) oldest() *trace {
	if len(s.line) == 0 {
		return nil
	}
	return s.remove(s.line[0])
}

func (s *streamed) remove(id uint64) *trace {
	t := s.open[id]
	delete(s.open, id)
	s.bytes -= t.size
	for i, held := range s.line {
		if held == id {
			s.line = append(s.line[:i], s.line[i+1:]...)
			break
		}
	}
	return t
}
