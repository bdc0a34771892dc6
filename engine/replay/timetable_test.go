package replay

import (
	"slices"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestTimetableCountsFromTheFirstStep(t *testing.T) {
	first := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	timetable, err := NewTimetable(Config{Timing: Recorded, Speed: 2})
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	for _, s := range []int{0, 2, 1, -5, 6} {
		got = append(got, timetable.Due(&traffic.Exchange{At: first.Add(time.Duration(s) * time.Second)}))
	}
	if want := []time.Duration{0, time.Second, time.Second, time.Second, 3 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("due %v, want %v", got, want)
	}
	if _, err := NewTimetable(Config{Timing: "sometimes"}); err == nil {
		t.Error("an unknown timing has a timetable")
	}
}
