package engine

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestClasses(t *testing.T) {
	for _, tt := range []struct {
		difference compare.Difference
		from, to   string
	}{
		{compare.Difference{Keys: []string{"status"}, Kind: result.KindStatus, Baseline: "200", Candidate: "503"}, "200", "503"},
		{compare.Difference{Keys: []string{"body", "a"}, Baseline: `"x"`, Candidate: "-1.5"}, "string", "number"},
		{compare.Difference{Keys: []string{"body", "a"}, Baseline: "null", Candidate: "true"}, "null", "boolean"},
		{compare.Difference{Keys: []string{"body", "a"}, Baseline: "{}", Candidate: "[1]"}, "object", "list"},
		{compare.Difference{Keys: []string{"body", "a"}, Baseline: "", Candidate: "0"}, "absent", "number"},
		{compare.Difference{Keys: []string{"headers", "location"}, Baseline: "7", Candidate: "/x"}, "text", "text"},
		{compare.Difference{Keys: []string{"body"}, Baseline: "plain", Candidate: "<x>"}, "text", "text"},
		{compare.Difference{}, "absent", "absent"},
	} {
		if from, to := classes(&tt.difference); from != tt.from || to != tt.to {
			t.Errorf("%+v: %s, %s", tt.difference, from, to)
		}
	}
}

// excused says whether a pair with differences at paths of numbers passes.
func excused(k *known, paths ...string) bool {
	var found []compare.Difference
	var diffs []judge.Diff
	for _, path := range paths {
		found = append(found, compare.Difference{Path: path, Keys: []string{"body", "x"}, Kind: result.KindValue, Baseline: "1", Candidate: "2", IgnoredBy: -1})
		diffs = append(diffs, judge.Diff{Path: path, Kind: result.KindValue})
	}
	return k.excuse("GET /a", found, diffs, true)
}

func TestWhatIsExcused(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	accept := func(path, from, to string, last time.Time) plan.Accepted {
		return plan.Accepted{Fingerprint: "1:label", Endpoint: "GET /a", Path: path, Kind: result.KindValue, From: from, To: to, Expires: last, Max: 1}
	}
	today := now.Truncate(24 * time.Hour)
	for _, tt := range []struct {
		name     string
		accepted plan.Accepted
		paths    []string
		want     bool
	}{
		{"the one", accept(".body.a", "number", "number", today), []string{".body.a"}, true},
		{"one of two", accept(".body.a", "number", "number", today), []string{".body.a", ".body.b"}, false},
		{"another", accept(".body.a", "number", "number", today), []string{".body.b"}, false},
		{"of any class", accept(".body.a", "", "", today), []string{".body.a"}, true},
		{"of another class", accept(".body.a", "number", "string", today), []string{".body.a"}, false},
		{"yesterday was the last day", accept(".body.a", "", "", today.AddDate(0, 0, -1)), []string{".body.a"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := excused(newKnown([]plan.Accepted{tt.accepted}, now), tt.paths...); got != tt.want {
				t.Errorf("excused: %v", got)
			}
		})
	}
}

// Of a pair with very many differences only so many are known, and the rest may
// be anything.
func TestAPairWithMoreDifferencesThanAreToldIsNotExcused(t *testing.T) {
	var all []plan.Accepted
	var paths []string
	for i := range toldOf {
		paths = append(paths, fmt.Sprintf(".body.k%d", i))
		all = append(all, plan.Accepted{Endpoint: "GET /a", Path: paths[i], Kind: result.KindValue, Expires: time.Now().AddDate(1, 0, 0), Max: 1})
	}
	k := newKnown(all, time.Now())
	if !excused(k, paths[1:]...) {
		t.Error("fewer are not excused")
	}
	if excused(k, paths...) {
		t.Error("as many as are told of are excused")
	}
}

func TestAsManyDifferencesAreToldOf(t *testing.T) {
	c, err := compare.New(compare.Config{})
	if err != nil {
		t.Fatal(err)
	}
	response := func(value int) *traffic.Response {
		doc := map[string]int{}
		for i := range 2 * toldOf {
			doc[fmt.Sprintf("k%d", i)] = value
		}
		body, _ := json.Marshal(doc)
		return &traffic.Response{Status: 200, Header: traffic.Header{{Name: "Content-Type", Value: "application/json"}}, Body: traffic.Body{Bytes: body}}
	}
	if got := len(c.Compare(t.Context(), &traffic.Request{Method: "GET", Target: "/"}, response(1), response(2)).Differences); got != toldOf {
		t.Errorf("package compare tells of %d", got)
	}
}
