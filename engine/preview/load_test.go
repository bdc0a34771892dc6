package preview

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	ms := func(values ...int) []time.Duration {
		out := make([]time.Duration, len(values))
		for i, v := range values {
			out[i] = time.Duration(v) * time.Millisecond
		}
		return out
	}
	var even []time.Duration
	for i := range 1000 {
		even = append(even, time.Duration(i)*5*time.Millisecond)
	}
	tests := []struct {
		name string
		due  []time.Duration
		peak int64
		mean float64
		span time.Duration
	}{
		{"nothing", nil, 0, 0, 0},
		{"one", ms(7), 1, 0, 0},
		{"all at once", ms(3, 3, 3), 3, 0, 0},
		{"even", even, 200, 200, 4995 * time.Millisecond},
		{"a second apart is not the same second", ms(0, 1000), 1, 1, time.Second},
		{"just within a second", ms(0, 999), 2, 1 / 0.999, 999 * time.Millisecond},
		{"burst across a full second", ms(0, 900, 950, 1050, 1100, 3000), 4, 5.0 / 3, 3 * time.Second},
		{"a long pause empties the window", ms(0, 1, 2, 60_000, 60_001), 3, 4 / 60.001, 60001 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m meter
			for _, d := range tt.due {
				m.add(d)
			}
			if m.peak != tt.peak || m.mean() != tt.mean || m.span() != tt.span {
				t.Errorf("peak %d, mean %v, span %v; want %d, %v, %v", m.peak, m.mean(), m.span(), tt.peak, tt.mean, tt.span)
			}
		})
	}
}

// TestMeterAgainstCounting compares the peak with that of counting every window
// of a thousand milliseconds.
func TestMeterAgainstCounting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		cells := make([]int64, 6000)
		var due []time.Duration
		for range 300 {
			at := r.IntN(5000)
			if r.IntN(3) == 0 {
				at = at / 50
			}
			cells[at]++
			due = append(due, time.Duration(at)*time.Millisecond)
		}
		slices.Sort(due)
		var want int64
		for from := range 5000 {
			var n int64
			for _, c := range cells[from:min(from+1000, len(cells))] {
				n += c
			}
			want = max(want, n)
		}
		var m meter
		for _, d := range due {
			m.add(d)
		}
		if m.peak != want {
			t.Fatalf("peak %d, want %d", m.peak, want)
		}
	}
}
