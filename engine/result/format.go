package result

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Digits is the number of significant digits that reports show.
const Digits = 3

// Format gives v in people's units with at least digits significant digits:
// "312ms", "0.29%", "480/s".
func (u Unit) Format(v float64, digits int) string {
	switch u {
	case Nanoseconds:
		return FormatDuration(v, digits)
	case Share:
		return FormatShare(v, digits)
	case PerSecond:
		return decimal(v, digits) + "/s"
	}
	return decimal(v, digits)
}

// FormatDuration gives a duration in nanoseconds in the largest unit that
// leaves a figure before the point, seconds at most: "850µs", "1.24s". From
// two minutes on it counts minutes and hours: "2m5s", "3h20m".
func FormatDuration(ns float64, digits int) string {
	if ns < 0 {
		return "-" + FormatDuration(-ns, digits)
	}
	if ns >= float64(2*time.Minute) {
		return longDuration(ns)
	}
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"ns", 1}, {"µs", time.Microsecond}, {"ms", time.Millisecond}} {
		// Rounding can carry into the next unit: 999.9µs is 1ms.
		if text := decimal(ns/float64(u.size), digits); len(text) < 4 || !carried(text) {
			return text + u.name
		}
	}
	return decimal(ns/float64(time.Second), digits) + "s"
}

// carried reports whether a rounded figure has four or more digits before the
// point.
func carried(text string) bool {
	whole, _, _ := strings.Cut(text, ".")
	return len(whole) > 3
}

// longDuration counts in the two largest of hours, minutes and seconds, and
// leaves the second out when it is zero.
func longDuration(ns float64) string {
	seconds := int64(math.Round(min(ns, math.MaxInt64) / float64(time.Second)))
	big, small, units := seconds/60, seconds%60, [2]string{"m", "s"}
	if seconds >= 3600 {
		minutes := (seconds + 30) / 60
		big, small, units = minutes/60, minutes%60, [2]string{"h", "m"}
	}
	text := strconv.FormatInt(big, 10) + units[0]
	if small == 0 {
		return text
	}
	return text + strconv.FormatInt(small, 10) + units[1]
}

// FormatShare gives a share as a percentage: "0.29%", "12.5%". Only 0 reads
// "0%", and only 1 reads "100%": a share close to them gets the digits that
// tell it apart.
func FormatShare(share float64, digits int) string {
	for ; digits < 15; digits++ {
		// Below one percent two digits say enough.
		n := digits
		if math.Abs(share) < 0.01 && n == Digits {
			n--
		}
		text := decimal(share*100, n)
		if text != "100" || share == 1 {
			return text + "%"
		}
	}
	return decimal(share*100, digits) + "%"
}

// FormatCount gives a count with its thousands set apart: "12,340".
func FormatCount(n int64) string {
	text := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Plural gives n and its noun: "1 pair", "12,340 pairs".
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return FormatCount(n) + " " + noun + "s"
}

// decimal writes v without exponent, rounded to digits significant digits but
// never before the point, and without zeros at the end.
func decimal(v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if v == 0 {
		return "0"
	}
	places := digits - 1 - int(math.Floor(math.Log10(math.Abs(v))))
	places = min(max(places, 0), 20)
	text := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
