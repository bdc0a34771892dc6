package source

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"io"
	"slices"
)

// Stream is one of several recordings that a Merge interleaves. It stands on
// one item at a time.
type Stream interface {
	// Advance moves to the next item; io.EOF says that there is none.
	Advance(ctx context.Context) error
	// Time is the recorded time of the item, in nanoseconds since 1970.
	Time() int64
	Close() error
}

// Part is a stream that is not open yet.
type Part[S Stream] struct {
	First int64 // time of its first item
	Open  func() (S, error)
}

// Merge interleaves streams by time. It opens each one when its first item is
// due, and closes it at its end, so that a recording in a thousand files needs
// one or two at once.
type Merge[S Stream] struct {
	parts   []Part[S] // not open yet, by time
	open    streams[S]
	current bool // open[0] stands on an item that was handed out
}

// NewMerge returns a merge of the parts. Streams that have an item of the same
// time take turns in the order of parts.
func NewMerge[S Stream](parts []Part[S]) *Merge[S] {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b Part[S]) int { return cmp.Compare(a.First, b.First) })
	return &Merge[S]{parts: parts}
}

// Next returns the stream that stands on the next item. The item is to be taken
// from it before the next call. io.EOF says that all streams have ended.
func (m *Merge[S]) Next(ctx context.Context) (S, error) {
	var none S
	if m.current {
		m.current = false
		if err := m.advance(ctx); err != nil {
			return none, err
		}
	}
	for len(m.parts) > 0 && (len(m.open) == 0 || m.parts[0].First <= m.open[0].stream.Time()) {
		if err := m.openNext(ctx); err != nil {
			return none, err
		}
	}
	if len(m.open) == 0 {
		return none, io.EOF
	}
	m.current = true
	return m.open[0].stream, nil
}

// advance moves the stream whose item was taken.
func (m *Merge[S]) advance(ctx context.Context) error {
	err := m.open[0].stream.Advance(ctx)
	switch {
	case err == nil:
		if len(m.open) > 1 {
			heap.Fix(&m.open, 0)
		}
		return nil
	case err == io.EOF:
		return heap.Pop(&m.open).(ranked[S]).stream.Close()
	}
	return err
}

func (m *Merge[S]) openNext(ctx context.Context) error {
	s, err := m.parts[0].Open()
	if err != nil {
		return err
	}
	rank := -len(m.parts)
	m.parts = m.parts[1:]
	switch err := s.Advance(ctx); {
	case err == io.EOF:
		return s.Close()
	case err != nil:
		return errors.Join(err, s.Close())
	}
	heap.Push(&m.open, ranked[S]{s, rank})
	return nil
}

// Close closes the streams that are open; there will be no other.
func (m *Merge[S]) Close() error {
	var errs []error
	for _, s := range m.open {
		errs = append(errs, s.stream.Close())
	}
	m.open, m.parts, m.current = nil, nil, false
	return errors.Join(errs...)
}

// ranked is an open stream with its place among those of equal time.
type ranked[S Stream] struct {
	stream S
	rank   int
}

// streams is a heap of open streams, the earliest first.
type streams[S Stream] []ranked[S]

func (h streams[S]) Len() int { return len(h) }
func (h streams[S]) Less(i, j int) bool {
	if a, b := h[i].stream.Time(), h[j].stream.Time(); a != b {
		return a < b
	}
	return h[i].rank < h[j].rank
}
func (h streams[S]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *streams[S]) Push(x any)   { *h = append(*h, x.(ranked[S])) }
func (h *streams[S]) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = ranked[S]{}
	*h = old[:len(old)-1]
	return last
}
