package selection_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

var epoch = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func exchange(method, target string, at time.Duration) *traffic.Exchange {
	return &traffic.Exchange{At: epoch.Add(at), Request: traffic.Request{Method: method, Target: target, Proto: "HTTP/1.1", Header: traffic.Header{{Name: "Host", Value: "h"}}}}
}

func rule(t *testing.T, src string) selection.Rule {
	t.Helper()
	p, err := jq.CompilePredicate(src)
	if err != nil {
		t.Fatal(err)
	}
	return selection.Rule{When: p}
}

// decide runs both steps as the engine does.
func decide(t *testing.T, s *selection.Selector, x *traffic.Exchange) selection.Decision {
	t.Helper()
	if d := s.ByEnvelope(x); d != selection.Selected {
		return d
	}
	return s.ByRules(t.Context(), x)
}

func TestMethods(t *testing.T) {
	upgrade := exchange("GET", "/ws", 0)
	upgrade.Request.Header = append(upgrade.Request.Header, traffic.Field{Name: "Upgrade", Value: "websocket"})
	unrecorded := exchange("POST", "/", 0)
	unrecorded.Request.Body.State = traffic.Missing
	bodiless := exchange("GET", "/", 0)
	bodiless.Request.Body.State = traffic.Missing
	for _, tt := range []struct {
		name    string
		methods []string
		x       *traffic.Exchange
		want    selection.Decision
	}{
		{"a GET by default", nil, exchange("GET", "/", 0), selection.Selected},
		{"a HEAD by default", nil, exchange("HEAD", "/", 0), selection.Selected},
		{"a POST by default", nil, exchange("POST", "/", 0), selection.UnsafeSkipped},
		{"an unknown method by default", nil, exchange("PURGE", "/", 0), selection.UnsafeSkipped},
		{"a method in lower case is another method", nil, exchange("get", "/", 0), selection.UnsafeSkipped},
		{"a safe method that is not asked for", nil, exchange("OPTIONS", "/", 0), selection.Excluded},
		{"a POST that is asked for", []string{"POST"}, exchange("POST", "/", 0), selection.Selected},
		{"a GET that is not asked for", []string{"POST"}, exchange("GET", "/", 0), selection.Excluded},
		{"an upgrade", []string{"GET"}, upgrade, selection.UnsafeSkipped},
		{"a POST whose body was not recorded", []string{"POST"}, unrecorded, selection.UnsafeSkipped},
		{"a GET whose body was not recorded", []string{"GET"}, bodiless, selection.Selected},
		{"a tunnel", []string{"CONNECT"}, exchange("CONNECT", "h:443", 0), selection.UnsafeSkipped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := decide(t, selection.New(selection.Config{Methods: tt.methods}), tt.x); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestRulesAndWindow(t *testing.T) {
	s := selection.New(selection.Config{
		Include: []selection.Rule{rule(t, `.request.path | startswith("/api")`)},
		Exclude: []selection.Rule{rule(t, `.request.query.debug == "1"`), rule(t, `.request.nothing.at.all[3].of == "this"`), rule(t, `.request.query.id | startswith("t")`)},
		From:    time.Second, To: 3 * time.Second, Limit: 2,
	})
	for i, tt := range []struct {
		target string
		at     time.Duration
		want   selection.Decision
	}{
		{"/api/a?id=1", 0, selection.OutsideWindow},
		{"/api/a?id=1", time.Second, selection.Selected},
		{"/other?id=1", time.Second, selection.Excluded},
		{"/api/a?id=1&debug=1", time.Second, selection.Excluded},
		{"/api/a", time.Second, selection.Excluded}, // a rule that cannot be evaluated protects
		{"/api/b?id=2", 2 * time.Second, selection.Selected},
		{"/api/c?id=3", 2 * time.Second, selection.OutsideWindow}, // the limit
		{"/api/a?id=4", 3 * time.Second, selection.OutsideWindow},
	} {
		if got := decide(t, s, exchange("GET", tt.target, tt.at)); got != tt.want {
			t.Errorf("%d: %s at %v: got %d, want %d", i, tt.target, tt.at, got, tt.want)
		}
	}
	if s.Errors() == 0 {
		t.Error("a predicate that fails is not counted")
	}
}

// Recordings are a little out of order; without a window none is outside it.
func TestEarlierThanTheFirst(t *testing.T) {
	s := selection.New(selection.Config{})
	for _, at := range []time.Duration{time.Second, 0, 2 * time.Second} {
		if got := decide(t, s, exchange("GET", "/", at)); got != selection.Selected {
			t.Errorf("at %v: %d", at, got)
		}
	}
}

func TestSampleKeepsWholeSessionsAndAlwaysTheSame(t *testing.T) {
	kept := func(seed uint64, session string) bool {
		s := selection.New(selection.Config{Sample: 0.1, Seed: seed})
		x := exchange("GET", "/", 0)
		x.Session = session
		return s.ByEnvelope(x) == selection.Selected
	}
	n, moved := 0, 0
	for i := range 10_000 {
		session := fmt.Sprint("user ", i)
		first := kept(1, session)
		if first != kept(1, session) {
			t.Fatal("a session is kept once and left out once")
		}
		if first {
			n++
		}
		if first != kept(2, session) {
			moved++
		}
	}
	if n < 850 || n > 1150 {
		t.Errorf("10%% of 10000 sessions are %d", n)
	}
	if moved < 1500 {
		t.Errorf("another seed moves only %d sessions", moved)
	}
}

func TestCountAddsUp(t *testing.T) {
	var c result.Traffic
	for d := selection.Selected; d <= selection.UnsafeSkipped; d++ {
		selection.Count(&c, d)
		c.Read++
	}
	if !c.Balanced(result.Outcomes{Total: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestRulesSayHowOftenTheyDecided(t *testing.T) {
	s := selection.New(selection.Config{
		Include: []selection.Rule{rule(t, `.request.path | startswith("/api")`), rule(t, `.request.path == "/x"`)},
		Exclude: []selection.Rule{rule(t, `.request.path == "/api/a"`), rule(t, `.request.path | endswith("a")`), rule(t, `.request.path == "/"`)},
	})
	for _, path := range []string{"/api/a", "/api/aa", "/api/b", "/y", "/api/a"} {
		s.ByRules(t.Context(), exchange("GET", path, 0))
	}
	var got []int64
	for _, r := range s.Rules() {
		got = append(got, r.Hits)
	}
	if want := []int64{4, 0, 2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("hits %v, want %v", got, want)
	}
}

// Where nothing is sent no method is unsafe; the other rules still hold.
func TestAnyMethod(t *testing.T) {
	s := selection.New(selection.Config{AnyMethod: true, Limit: 2})
	want := []selection.Decision{selection.Selected, selection.Selected, selection.OutsideWindow}
	for i, method := range []string{"DELETE", "CONNECT", "GET"} {
		if got := decide(t, s, exchange(method, "/", 0)); got != want[i] {
			t.Errorf("%s: %v, want %v", method, got, want[i])
		}
	}
}
