package lang

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// Limit is a bound of a gate.
type Limit struct {
	Value    float64 // ns for latencies, 0 to 1 for shares, per second for throughput
	Relative bool    // Value is a part of the baseline's value
	Text     string  // as the spec says it
}

// decimalRE keeps the notations of strconv that nobody means out: hex,
// underscores, exponents, infinities.
var decimalRE = regexp.MustCompile(`^(\d+(?:\.\d+)?)\s*(.*)$`)

// number splits "250ms" into 250 and "ms".
func number(s string) (digits, unit string, err error) {
	m := decimalRE.FindStringSubmatch(s)
	switch {
	case strings.TrimSpace(s) == "":
		return "", "", errors.New("it is empty")
	case strings.HasPrefix(s, "-"):
		return "", "", errors.New("it is negative")
	case m == nil:
		return "", "", errors.New("it does not begin with a number")
	case len(m[1]) > 18:
		return "", "", errors.New("the number is too long")
	}
	return m[1], m[2], nil
}

var durationUnits = []string{"ns", "us", "µs", "ms", "s", "m", "h"}

// ParseDuration reads a duration such as "250ms", "2s" or "1m30s". It is never
// negative, and a bare "0" needs no unit.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	digits, unit, err := number(s)
	if err != nil {
		return 0, err
	}
	if unit == "" {
		return 0, fmt.Errorf("it has no unit; write %q or %q", digits+"s", digits+"ms")
	}
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	if first := strings.TrimRight(unit, "0123456789. "); !strings.ContainsAny(first, "0123456789") {
		switch first {
		case "d", "day", "days":
			return 0, fmt.Errorf("there is no unit for days; write hours, such as %q", "24h")
		case "sec", "secs", "second", "seconds", "min", "mins", "minute", "minutes", "msec", "hour", "hours":
			short := map[byte]string{'s': "s", 'h': "h", 'm': "m"}[first[0]]
			if first == "msec" {
				short = "ms"
			}
			return 0, fmt.Errorf("the unit is written %q: %q", short, digits+short)
		}
	}
	if strings.ContainsAny(s, " \t") {
		return 0, errors.New("there is a space in it")
	}
	return 0, fmt.Errorf("its unit is none of %s", strings.Join(durationUnits, ", "))
}

var sizeUnits = map[string]int64{
	"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// ParseSize reads a size such as "8MiB", "500kB" or "64B" and gives bytes.
func ParseSize(s string) (int64, error) {
	digits, unit, err := number(s)
	if err != nil {
		return 0, err
	}
	if unit == "" {
		return 0, fmt.Errorf("it has no unit; write %q or %q", digits+"MiB", digits+"B")
	}
	factor, ok := sizeUnits[unit]
	if !ok {
		return 0, errors.New("its unit is none of B, kB, MB, GB, KiB, MiB, GiB")
	}
	n, _ := strconv.ParseFloat(digits, 64)
	bytes := n * float64(factor)
	if bytes > math.MaxInt64/2 {
		return 0, errors.New("it is too large")
	}
	if bytes != math.Trunc(bytes) {
		return 0, errors.New("it is not a whole number of bytes")
	}
	return int64(bytes), nil
}

// ParseRate reads a rate such as "500/s", "30/m" or "1000/h" and gives it per
// second. It is above zero.
func ParseRate(s string) (float64, error) {
	digits, unit, err := number(s)
	if err != nil {
		return 0, err
	}
	n, _ := strconv.ParseFloat(digits, 64)
	if n == 0 {
		return 0, errors.New("it is zero")
	}
	switch unit {
	case "/s":
		return n, nil
	case "/m":
		return n / 60, nil
	case "/h":
		return n / 3600, nil
	case "":
		return 0, fmt.Errorf("it does not say per what; write %q", digits+"/s")
	}
	return 0, errors.New(`it does not end in "/s", "/m" or "/h"`)
}

// ParseShare reads a share such as "0.1%" and gives a number from 0 to 1.
func ParseShare(s string) (float64, error) {
	share, err := percent(s, "%")
	if err != nil {
		return 0, err
	}
	if share > 1 {
		return 0, errors.New("it is more than 100%")
	}
	return share, nil
}

// percent reads "12.5%" or "0.5pp" as a part of one. The shift by two decimal
// places is left to ParseFloat, which rounds only once.
func percent(s, unit string) (float64, error) {
	digits, got, err := number(s)
	if err != nil {
		return 0, err
	}
	if got != unit {
		if got == "" {
			return 0, fmt.Errorf("it has no unit; write %q", digits+unit)
		}
		return 0, fmt.Errorf("it does not end in %q", unit)
	}
	return strconv.ParseFloat(digits+"e-2", 64)
}

// ParseLimit reads max or min of a gate on a metric: a duration for latencies,
// a share for shares, a rate for throughput.
func ParseLimit(m schema.MetricInfo, s string) (Limit, error) {
	limit := Limit{Text: s}
	var err error
	switch m.Dimension {
	case schema.Time:
		var d time.Duration
		d, err = ParseDuration(s)
		limit.Value = float64(d)
	case schema.Part:
		limit.Value, err = ParseShare(s)
	default:
		limit.Value, err = ParseRate(s)
	}
	return limit, err
}

// ParseIncrease reads max_increase of a gate on a metric: "10%" is relative to
// the baseline's value, a duration (latencies) or "0.5pp" (shares) absolute.
func ParseIncrease(m schema.MetricInfo, s string) (Limit, error) {
	limit := Limit{Text: s}
	var err error
	switch {
	case strings.HasSuffix(s, "%"):
		limit.Relative = true
		limit.Value, err = percent(s, "%")
	case m.Dimension == schema.Time:
		limit, err = ParseLimit(m, s)
	case m.Dimension == schema.Part:
		if limit.Value, err = percent(s, "pp"); err == nil && limit.Value > 1 {
			err = errors.New("it is more than 100 percentage points")
		}
	default:
		limit, err = ParseLimit(m, s)
	}
	return limit, err
}

// limitForms says what max and min of a metric look like.
func limitForms(m schema.MetricInfo) string {
	switch m.Dimension {
	case schema.Time:
		return `a duration such as "250ms"`
	case schema.Part:
		return `a share such as "0.1%"`
	}
	return `a rate such as "500/s"`
}

// increaseForms says what max_increase of a metric looks like.
func increaseForms(m schema.MetricInfo) string {
	switch m.Dimension {
	case schema.Time:
		return `a part of the baseline's value such as "10%", or a duration such as "20ms"`
	case schema.Part:
		return `a part of the baseline's value such as "10%", or percentage points such as "0.5pp"`
	}
	return `a part of the baseline's value such as "10%", or a rate such as "50/s"`
}
