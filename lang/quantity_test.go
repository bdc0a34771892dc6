package lang

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// checkParse runs one row of a table: either a value or a part of an error.
func checkParse[T comparable](t *testing.T, in string, want T, wantErr string, parse func(string) (T, error)) {
	t.Helper()
	got, err := parse(in)
	switch {
	case wantErr == "" && err != nil:
		t.Errorf("%q: %v", in, err)
	case wantErr == "" && got != want:
		t.Errorf("%q: got %v, want %v", in, got, want)
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Errorf("%q: error %v, want one with %q", in, err, wantErr)
	}
}

func TestParseDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration
		err  string
	}{
		{"250ms", 250 * time.Millisecond, ""},
		{"2s", 2 * time.Second, ""},
		{"1m30s", 90 * time.Second, ""},
		{"1.5h", 90 * time.Minute, ""},
		{"10µs", 10 * time.Microsecond, ""},
		{"0", 0, ""},
		{"0s", 0, ""},
		{"", 0, "empty"},
		{"5", 0, `write "5s"`},
		{"-5s", 0, "negative"},
		{"fast", 0, "does not begin with a number"},
		{"5 s", 0, "space"},
		{"5 sec", 0, `written "s"`},
		{"5minutes", 0, `"5m"`},
		{"2d", 0, "days"},
		{"5x", 0, "none of ns"},
		{"5s5", 0, "none of ns"},
		{"99999999999999999h", 0, "none of"},
		{"9999999999999999999s", 0, "too long"},
	}
	for _, tt := range tests {
		checkParse(t, tt.in, tt.want, tt.err, ParseDuration)
	}
}

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		err  string
	}{
		{"8MiB", 8 << 20, ""},
		{"1.5KiB", 1536, ""},
		{"500kB", 500_000, ""},
		{"64B", 64, ""},
		{"2 GB", 2e9, ""},
		{"8", 0, `write "8MiB"`},
		{"8Mb", 0, "none of B"},
		{"0.3B", 0, "whole number"},
		{"999999999999GiB", 0, "too large"},
		{"-1B", 0, "negative"},
	}
	for _, tt := range tests {
		checkParse(t, tt.in, tt.want, tt.err, ParseSize)
	}
}

func TestParseRate(t *testing.T) {
	tests := []struct {
		in   string
		want float64
		err  string
	}{
		{"500/s", 500, ""},
		{"30/m", 0.5, ""},
		{"3600/h", 1, ""},
		{"0.5/s", 0.5, ""},
		{"500", 0, `write "500/s"`},
		{"500rps", 0, "does not end in"},
		{"0/s", 0, "zero"},
		{"1e3/s", 0, "does not end in"},
	}
	for _, tt := range tests {
		checkParse(t, tt.in, tt.want, tt.err, ParseRate)
	}
}

func TestParseShare(t *testing.T) {
	tests := []struct {
		in   string
		want float64
		err  string
	}{
		{"0.1%", 0.001, ""},
		{"0.29%", 0.0029, ""},
		{"7%", 0.07, ""},
		{"100%", 1, ""},
		{"0%", 0, ""},
		{"0.1", 0, `write "0.1%"`},
		{"101%", 0, "more than 100%"},
		{"5pp", 0, `end in "%"`},
		{"NaN%", 0, "does not begin with a number"},
	}
	for _, tt := range tests {
		checkParse(t, tt.in, tt.want, tt.err, ParseShare)
	}
}

func TestParseLimits(t *testing.T) {
	metric := func(name string) schema.MetricInfo {
		m, ok := schema.FindMetric(name)
		if !ok {
			t.Fatalf("no metric %s", name)
		}
		return m
	}
	tests := []struct {
		name     string
		metric   string
		increase bool
		in       string
		want     Limit
		err      string
	}{
		{"latency", "latency.p95", false, "250ms", Limit{Value: 250e6}, ""},
		{"latency as share", "latency.p95", false, "10%", Limit{}, "unit"},
		{"errors", "errors.rate", false, "0.1%", Limit{Value: 0.001}, ""},
		{"errors in points", "errors.rate", false, "0.5pp", Limit{}, `"%"`},
		{"throughput", "throughput", false, "500/s", Limit{Value: 500}, ""},
		{"relative latency", "latency.p95", true, "10%", Limit{Value: 0.1, Relative: true}, ""},
		{"relative above one", "latency.p95", true, "250%", Limit{Value: 2.5, Relative: true}, ""},
		{"absolute latency", "latency.p95", true, "20ms", Limit{Value: 20e6}, ""},
		{"points", "errors.rate", true, "0.5pp", Limit{Value: 0.005}, ""},
		{"too many points", "errors.rate", true, "101pp", Limit{}, "100 percentage points"},
		{"relative share", "errors.rate", true, "10%", Limit{Value: 0.1, Relative: true}, ""},
		{"absolute throughput", "throughput", true, "5/s", Limit{Value: 5}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.err == "" {
				tt.want.Text = tt.in
			}
			checkParse(t, tt.in, tt.want, tt.err, func(s string) (Limit, error) {
				if tt.increase {
					return ParseIncrease(metric(tt.metric), s)
				}
				return ParseLimit(metric(tt.metric), s)
			})
		})
	}
}
