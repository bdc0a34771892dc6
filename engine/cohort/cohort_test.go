package cohort_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

func TestEndpointsByThemselves(t *testing.T) {
	for path, want := range map[string]string{
		"/":                "/",
		"/api/orders":      "/api/orders",
		"/api/orders/17":   "/api/orders/{id}",
		"/api/orders/17/":  "/api/orders/{id}/",
		"/api/v2/orders":   "/api/v2/orders",
		"/2026-11-20/logs": "/{id}/logs",
		"/users/3fa85f64-5717-4562-b3fc-2c963f66afa6/pets/4": "/users/{id}/pets/{id}",
		"/users/3FA85F64-5717-4562-B3FC-2C963F66AFA6":        "/users/{id}",
		"/u/jane@shop.example":                               "/u/{id}",
		"/u/jane%40shop.example":                             "/u/{id}",
		"/commits/da39a3ee5e6b4b0d3255bfef95601890afd80709":  "/commits/{id}",
		"/commits/da39a3e":                                   "/commits/da39a3e", // seven letters and digits may be a name
		"/orders/ord_00017":                                  "/orders/{id}",
		"/invoices/INV-2024-0042":                            "/invoices/{id}",
		"/objects/01ARZ3NDEKTSV4RRFFQ69G5FAV":                "/objects/{id}",
		"/s/dQw4w9WgXcQdQw4w9WgXcQ":                          "/s/{id}",
		"/news/top-10":                                       "/news/top-10",
		"/covid-19/cases":                                    "/covid-19/cases",
		"/search.json":                                       "/search.json",
		"/assets/app.js":                                     "/assets/app.js",
		"/deadbeef-cafe":                                     "/deadbeef-cafe",
		"/caf%C3%A9/menu":                                    "/caf%C3%A9/menu",
		"/sustainability-report":                             "/sustainability-report",
		"/internationalization-guide":                        "/internationalization-guide",
	} {
		e, err := cohort.NewEndpoints(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Name("GET", path); got != "GET "+want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestDeclaredEndpointsComeFirst(t *testing.T) {
	e, err := cohort.NewEndpoints([]string{"GET /files/{name}", "/shop/{region}/cart"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/files/report", "GET /files/{name}"},
		{"GET", "/files/", "GET /files/"},
		{"POST", "/files/report", "POST /files/report"},
		{"POST", "/shop/eu/cart", "POST /shop/{region}/cart"},
		{"GET", "/shop/eu/cart/17", "GET /shop/eu/cart/{id}"},
	} {
		if got := e.Name(tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.path, got, tt.want)
		}
	}
	if _, err := cohort.NewEndpoints([]string{"files"}); err == nil {
		t.Error("a template without / was accepted")
	}
}

func TestEndpointsAreBounded(t *testing.T) {
	e, _ := cohort.NewEndpoints(nil)
	names := map[string]bool{}
	for i := range 50_000 {
		names[e.Name("GET", "/word"+strings.Repeat("x", i%7)+letters(i))] = true
	}
	if len(names) > 2001 || !names[cohort.Other] {
		t.Errorf("%d endpoints", len(names))
	}
}

// letters spells n without digits.
func letters(n int) string {
	s := ""
	for ; n > 0; n /= 26 {
		s += string(rune('a' + n%26))
	}
	return s
}

func TestLabels(t *testing.T) {
	var cohorts []cohort.Cohort
	for _, src := range []string{
		`.request.headers["x-region"]`,
		`.request.query.n | tonumber > 5`,
		`.request.headers["x-missing"]`,
		`error("no")`,
		`.request.query`,
	} {
		v, err := jq.CompileValue(src)
		if err != nil {
			t.Fatal(err)
		}
		cohorts = append(cohorts, cohort.Cohort{Name: src, By: v})
	}
	l := cohort.NewLabeler(cohorts)
	x := &traffic.Exchange{Request: traffic.Request{Method: "GET", Target: "/a?n=7", Header: traffic.Header{{Name: "X-Region", Value: "eu"}}}}
	want := []string{"eu", "true", "(none)", "(none)", `{"n":"7"}`}
	if got := l.Labels(t.Context(), x); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if l.Errors() != 1 {
		t.Errorf("%d errors", l.Errors())
	}
	seen := map[string]bool{}
	for i := range 3000 {
		x.Request.Header[0].Value = fmt.Sprint(i)
		seen[l.Labels(t.Context(), x)[0]] = true
	}
	if len(seen) > 1001 || !seen[cohort.Other] {
		t.Errorf("%d values", len(seen))
	}
	x.Request.Header[0].Value = strings.Repeat("é", 100)
	if got := cohort.NewLabeler(cohorts[:1]).Labels(t.Context(), x)[0]; len(got) > 90 || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("%q", got)
	}
}
