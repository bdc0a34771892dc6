package engine

import (
	"strings"
	"sync"

	"github.com/shadowaudit/shadowaudit/engine/scrub"
)

// pathMemo remembers scrubbed paths of differences, which come again and again.
type pathMemo struct {
	mu   sync.Mutex
	seen map[string]string
}

const maxPaths = 10_000

// scrub replaces what is personal in the keys of a path. A path of plain names
// has nothing that a detector could find.
func (m *pathMemo) scrub(s *scrub.Scrubber, path string) string {
	if !strings.Contains(path, `"`) {
		return path
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if clean, ok := m.seen[path]; ok {
		return clean
	}
	if m.seen == nil || len(m.seen) >= maxPaths {
		m.seen = map[string]string{}
	}
	clean := s.Text(path)
	m.seen[path] = clean
	return clean
}
