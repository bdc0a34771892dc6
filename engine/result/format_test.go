package result

import (
	"testing"
	"time"
)

func TestFormatDuration(t *testing.T) {
	tests := []struct {
		name   string
		ns     float64
		digits int
		want   string
	}{
		{"zero", 0, 3, "0ns"},
		{"nanoseconds", 850, 3, "850ns"},
		{"microseconds", 12_345, 3, "12.3µs"},
		{"milliseconds", 312e6, 3, "312ms"},
		{"rounded", 250.4e6, 3, "250ms"},
		{"more digits", 250.4e6, 4, "250.4ms"},
		{"carried into the next unit", 999_960, 3, "1ms"},
		{"carried into seconds", 999.96e6, 3, "1s"},
		{"seconds", 1.2351e9, 3, "1.24s"},
		{"many seconds", 99.95e9, 3, "100s"},
		{"minutes", float64(125 * time.Second), 3, "2m5s"},
		{"whole minutes", float64(10 * time.Minute), 3, "10m"},
		{"hours", float64(3*time.Hour + 20*time.Minute), 3, "3h20m"},
		{"whole hours", float64(20 * time.Hour), 3, "20h"},
		{"negative", -20e6, 3, "-20ms"},
		{"beyond int64", 1e30, 3, "2562047h47m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := FormatDuration(tt.ns, tt.digits); got != tt.want {
				t.Errorf("FormatDuration(%v) = %q, want %q", tt.ns, got, tt.want)
			}
		})
	}
}

func TestFormatShare(t *testing.T) {
	tests := []struct {
		name  string
		share float64
		want  string
	}{
		{"zero", 0, "0%"},
		{"one", 1, "100%"},
		{"one of 340", 1.0 / 340, "0.29%"},
		{"one in a million", 1e-6, "0.0001%"},
		{"eighth", 0.125, "12.5%"},
		{"not quite one", 0.99999, "99.999%"},
		{"above one", 1.6, "160%"},
		{"negative", -0.04, "-4%"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := FormatShare(tt.share, Digits); got != tt.want {
				t.Errorf("FormatShare(%v) = %q, want %q", tt.share, got, tt.want)
			}
		})
	}
}

func TestFormatCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12_340: "12,340", 1_234_567: "1,234,567", -1000: "-1,000", -100: "-100",
	} {
		if got := FormatCount(n); got != want {
			t.Errorf("FormatCount(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int64]string{0: "0 pairs", 1: "1 pair", 2: "2 pairs", 1500: "1,500 pairs"} {
		if got := Plural(n, "pair"); got != want {
			t.Errorf("Plural(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestUnitFormat(t *testing.T) {
	tests := []struct {
		unit Unit
		v    float64
		want string
	}{{Nanoseconds, 312e6, "312ms"}, {Share, 0.5, "50%"}, {PerSecond, 480.04, "480/s"}, {Unit(""), 12, "12"}}
	for _, tt := range tests {
		if got := tt.unit.Format(tt.v, Digits); got != tt.want {
			t.Errorf("%q.Format(%v) = %q, want %q", tt.unit, tt.v, got, tt.want)
		}
	}
}

func TestOutcomesCountAddsUp(t *testing.T) {
	var o Outcomes
	for p := PairMatched; p <= PairInconclusive+1; p++ {
		o.Count(p)
	}
	if o.Total != 6 || o.Matched+o.Ignored+o.Mismatched+o.Failed+o.Inconclusive != o.Total {
		t.Errorf("outcomes do not add up: %+v", o)
	}
	if o.Inconclusive != 2 {
		t.Errorf("an unknown outcome is not inconclusive: %+v", o)
	}
}
