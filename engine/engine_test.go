package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
)

const spec = `
variable "base" {
  type = string
}
variable "cand" {
  type = string
}
source "gor" "day" {
  path = "day.gor"
}
target "a" {
  url     = var.base
  timeout = "1h"
}
target "b" {
  url     = var.cand
  timeout = "1h"
}
audit "one" {
  source    = source.gor.day
  baseline  = target.a
  candidate = target.b
  replay {
    timing = unpaced
  }
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
  gate "errors" {
    metric = errors.rate
    max    = "0%"
    per    = [endpoint]
  }
}
audit "two" {
  source    = source.gor.day
  baseline  = target.a
  candidate = target.b
  select {
    limit = 10
  }
  replay {
    timing = unpaced
  }
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
}
`

// compile writes a recording of n requests and gives the plan over it.
func compile(t *testing.T, n int, base, cand string) *plan.Plan {
	t.Helper()
	dir := t.TempDir()
	var rec bytes.Buffer
	for i := range n {
		fmt.Fprintf(&rec, "1 %04x1f907f000001%08x %d 0\nGET /api/orders/%d HTTP/1.1\r\nHost: h\r\n\r\n\n🐵🙈🙉\n", 40000+i%5, i, 1795166295000000000+i*1000000, i%30)
	}
	if err := os.WriteFile(filepath.Join(dir, "day.gor"), rec.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "spec.audit.hcl")
	s, diags := lang.Parse(path, []byte(spec), lang.Options{Vars: map[string]string{"base": base, "cand": cand}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return plan.Compile(s)
}

func serve(t *testing.T, h http.HandlerFunc) string {
	srv := httptest.NewServer(h)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

func orders(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q,"total":12.50}`, r.URL.Path)
}

func run(t *testing.T, p *plan.Plan, opts engine.Options) *result.Run {
	t.Helper()
	r, err := engine.Run(t.Context(), []*plan.Plan{p}, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Audits {
		if !a.Traffic.Balanced(a.Outcomes) {
			t.Errorf("%s: the counters do not add up: %+v %+v", a.Name, a.Traffic, a.Outcomes)
		}
	}
	return r
}

func TestARunWithItselfHasNoDifferences(t *testing.T) {
	url := serve(t, orders)
	var events []string
	var mu sync.Mutex
	r := run(t, compile(t, 300, url, url), engine.Options{Version: "1.2.3", Seed: 7, Observer: engine.ObserverFunc(func(e engine.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf("%T", e))
	})})
	if r.Verdict != result.Pass || len(r.Audits) != 2 {
		t.Fatalf("%v %+v", r.Verdict, r.Audits)
	}
	one, two := r.Audits[0], r.Audits[1]
	if one.Outcomes.Matched != 300 || len(one.Differences) != 0 {
		t.Errorf("%+v %+v", one.Outcomes, one.Differences)
	}
	if two.Outcomes.Total != 10 || two.Traffic.OutsideWindow != 290 {
		t.Errorf("%+v %+v", two.Outcomes, two.Traffic)
	}
	if len(events) < 6 || events[0] != "engine.AuditStarted" || events[len(events)-1] != "engine.AuditDone" {
		t.Errorf("events %v", events)
	}
	if r.Tool.Version != "1.2.3" || r.Seed != 7 || r.Specs[0].SHA256 == "" || one.PlanDigest == two.PlanDigest {
		t.Errorf("%+v", r)
	}
}

// What a report is made of depends on the traffic and the answers, not on
// which goroutine was faster.
func TestSameResultsSameBytes(t *testing.T) {
	base, cand := serve(t, orders), serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path":%q,"total":"12.50","extra":[%d]}`, r.URL.Path, len(r.URL.Path))
	})
	p := compile(t, 300, base, cand)
	var want string
	for range 3 {
		r := run(t, p, engine.Options{Only: []string{"one"}})
		r.StartedAt, r.DurationNS = time.Time{}, 0
		a := &r.Audits[0]
		a.StartedAt, a.DurationNS, a.Replay, a.Scrub.KeyID = time.Time{}, 0, result.Replay{}, ""
		for i := range a.Endpoints {
			a.Endpoints[i].Baseline.LatencyNS, a.Endpoints[i].Candidate.LatencyNS = result.Latency{}, result.Latency{}
		}
		for i := range a.Differences {
			repro := a.Differences[i].Example.Repro
			if repro == nil || repro.Baseline.Headers != nil && len(repro.Baseline.Headers) == 0 || repro.Curl() == "" {
				t.Fatalf("no way to see %s again: %+v", a.Differences[i].Path, repro)
			}
			repro.Baseline.Headers, repro.Candidate.Headers = nil, nil // they hold the date; differences of one pair share them
		}
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = out.String()
		}
		if out.String() != want {
			t.Fatal("two runs with the same answers give two reports")
		}
	}
	if !strings.Contains(want, `"path": ".body.extra"`) || !strings.Contains(want, `"kind": "type"`) {
		t.Error(want)
	}
}

func TestOnlyNamesAnAuditThatThereIs(t *testing.T) {
	_, err := engine.Run(t.Context(), []*plan.Plan{compile(t, 1, "http://h", "http://h")}, engine.Options{Only: []string{"three"}})
	var unknown *engine.UnknownAuditError
	if !errors.As(err, &unknown) || unknown.Name != "three" || len(unknown.Known) != 2 {
		t.Errorf("%v", err)
	}
}

// The first interrupt keeps more from being sent and waits; the second one
// does not wait. Neither loses a pair from the accounts, neither passes.
func TestInterrupts(t *testing.T) {
	for _, hard := range []bool{false, true} {
		t.Run(fmt.Sprintf("hard=%v", hard), func(t *testing.T) {
			soft, stop := context.WithCancel(t.Context())
			hardly, abort := context.WithCancel(t.Context())
			defer abort()
			release := make(chan struct{})
			var got atomic.Int64
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got.Add(1) == 4 {
					stop()
					if hard {
						abort()
					} else {
						close(release)
					}
				}
				select {
				case <-release:
				case <-r.Context().Done():
				}
				orders(w, r)
			})
			r, err := engine.Run(soft, []*plan.Plan{compile(t, 5000, url, url)}, engine.Options{Only: []string{"one"}, Hard: hardly})
			if err != nil {
				t.Fatal(err)
			}
			a := r.Audits[0]
			if !r.Interrupted || r.Verdict == result.Pass || !a.Traffic.Balanced(a.Outcomes) {
				t.Errorf("interrupted %v, %v: %+v %+v", r.Interrupted, r.Verdict, a.Traffic, a.Outcomes)
			}
			if a.Traffic.NotSent == 0 || hard && a.Outcomes.Inconclusive == 0 || !hard && a.Outcomes.Matched == 0 {
				t.Errorf("%+v %+v", a.Traffic, a.Outcomes)
			}
		})
	}
}

func TestSessionsBySpecStayInOrder(t *testing.T) {
	var mu sync.Mutex
	var busy, overlaps int
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if busy++; busy > 1 {
			overlaps++
		}
		mu.Unlock()
		orders(w, r)
		mu.Lock()
		busy--
		mu.Unlock()
	})
	dir := t.TempDir()
	src := strings.Replace(spec, `  source    = source.gor.day`, `  source    = source.gor.day
  session   = ".request.host"`, 2)
	p := compile(t, 200, url, serve(t, orders))
	s, diags := lang.Parse(filepath.Join(dir, "spec.audit.hcl"), []byte(src), lang.Options{Vars: map[string]string{"base": url, "cand": p.Audits[0].Candidate.URL}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	q := plan.Compile(s)
	for i := range q.Audits {
		q.Audits[i].Source = p.Audits[i].Source
	}
	run(t, q, engine.Options{Only: []string{"one"}})
	if overlaps > 0 {
		t.Errorf("%d requests of one session ran beside another", overlaps)
	}
}
