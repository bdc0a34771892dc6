package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine"
)

// A difference that comes and goes is not explained by what happened to be left
// out when it came; its example stays.
func TestADifferenceThatDoesNotShowAgainKeepsItsExample(t *testing.T) {
	var n atomic.Int64
	base := serve(t, orders)
	cand := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 20 {
			orders(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path":%q,"total":13}`, r.URL.Path)
	})
	out := run(t, compile(t, 20, base, cand), engine.Options{Only: []string{"one"}, Minimize: true})
	d := out.Audits[0].Differences[0]
	if d.Example.Repro == nil || d.Example.Repro.Minimal {
		t.Errorf("the example became %+v", d.Example.Repro)
	}
	said := false
	for _, note := range out.Audits[0].Notes {
		said = said || strings.Contains(note.Text, "did not show again")
	}
	if !said {
		t.Errorf("nothing is said: %+v", out.Audits[0].Notes)
	}
}

func TestMinimizeSendsNoMoreThanItMay(t *testing.T) {
	var n atomic.Int64
	base := serve(t, orders)
	cand := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path":%q,"total":13}`, r.URL.Path)
	})
	out := run(t, compile(t, 20, base, cand), engine.Options{Only: []string{"one"}, Minimize: true})
	if r := out.Audits[0].Differences[0].Example.Repro; r == nil || !r.Minimal {
		t.Errorf("the example is %+v", r)
	}
	if o := out.Audits[0].Outcomes; o.Total != 20 || n.Load() > 20+50 {
		t.Errorf("%d pairs, %d requests", o.Total, n.Load())
	}
}
