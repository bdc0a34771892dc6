package preview

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Whatever comes is counted once, in few enough parts, and in the right one.
func TestHistogram(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		span := time.Duration(1) << (10 + r.IntN(40))
		var h histogram
		var all []time.Duration
		for range 1 + r.IntN(1000) {
			at := time.Duration(r.Int64N(int64(span)))
			all = append(all, at)
			h.add(at)
		}
		width, got := h.buckets()
		if len(got) > columns {
			t.Fatalf("seed %d: %d parts", seed, len(got))
		}
		want := make([]int64, len(got))
		for _, at := range all {
			want[at/width]++
		}
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: %v, want %v", seed, got, want)
		}
		if got[len(got)-1] == 0 {
			t.Errorf("seed %d: the last part is empty", seed)
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var none histogram
	if _, got := none.buckets(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	var h histogram
	h.add(0)
	h.add(-time.Hour) // before the first one
	if width, got := h.buckets(); width != time.Millisecond || !slices.Equal(got, []int64{2}) {
		t.Errorf("%s %v", width, got)
	}
	h.add(1<<63 - 1)
	if _, got := h.buckets(); len(got) > columns || got[0] != 2 || got[len(got)-1] != 1 {
		t.Errorf("%v", got)
	}
}
