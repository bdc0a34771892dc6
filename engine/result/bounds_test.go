package result

import (
	"strings"
	"testing"
)

func TestLikely(t *testing.T) {
	at := func(v float64) *float64 { return &v }
	tests := []struct {
		name string
		gate Gate
		want string
	}{
		{"decided by no bounds", Gate{Unit: Share}, ""},
		{"a share", Gate{Unit: Share, Confidence: 0.95, Value: &Bounds{Lower: at(0), Upper: at(0.0088), Detectable: at(0.02)}},
			"the value is likely between 0% and 0.88% (95% confidence for each bound); from 2% on the gate would very likely have failed"},
		{"a quantile from few", Gate{Unit: Nanoseconds, Confidence: 0.99, Value: &Bounds{Lower: at(2e8)}},
			"the value is likely 200ms or more (99% confidence for each bound)"},
		{"a relative increase", Gate{Unit: Nanoseconds, Confidence: 0.95, Increase: &Bounds{Relative: true, Lower: at(-0.02), Upper: at(0.125), Detectable: at(0.15)}},
			"the increase is likely between -2% and +12.5% (95% confidence for each bound); from +15% on the gate would very likely have failed"},
		{"percentage points", Gate{Unit: Share, Confidence: 0.95, Increase: &Bounds{Upper: at(0.0031)}},
			"the increase is likely +0.31pp or less (95% confidence for each bound)"},
		{"milliseconds, and both", Gate{Unit: Nanoseconds, Confidence: 0.95, Value: &Bounds{}, Increase: &Bounds{Lower: at(-1e6), Upper: at(2e6)}},
			"the value is not bounded by so few samples (95% confidence for each bound)\nthe increase is likely between -1ms and +2ms (95% confidence for each bound)"},
	}
	for _, tt := range tests {
		if got := strings.Join(tt.gate.Likely(), "\n"); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
