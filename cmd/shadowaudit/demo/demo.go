// Package demo is the world of "shadowaudit demo": a small shop whose traffic
// was recorded, the build of it that is trusted, and a candidate that looks the
// same and has four faults. Nothing in it is real, and nothing in the engine
// knows about it.
package demo

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:generate go run ./generate

// Spec is the audit spec of the demo. It takes the addresses of the two builds
// as the variables baseline_url and candidate_url.
//
//go:embed shop.audit.hcl
var Spec []byte

// Recording is the recorded traffic, a GoReplay file. The generate folder has
// the program that wrote it.
//
//go:embed shop.gor
var Recording []byte

// SpecName and RecordingName are the names that the files have for each other.
const (
	SpecName      = "shop.audit.hcl"
	RecordingName = "shop.gor"
)

// Faults says what is wrong with the candidate, in the order of Recording's
// endpoints.
var Faults = []string{
	"orders of three or more items lose their discount (a wrong value)",
	"products have no currency any more (a missing field)",
	"one customer in twenty gets a 500",
	"search takes 60ms longer",
}

// Shop is one build of the service.
type Shop struct {
	Faulty bool             // has the faults
	Now    func() time.Time // nil: time.Now
}

// ServeHTTP answers for the shop. Answers depend on the request alone, except
// for the fields that no two answers of a real service share.
func (s Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	work(r)
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	w.Header().Set("X-Request-Id", fmt.Sprintf("%016x", rand.Uint64()))
	switch path := r.URL.Path; {
	case path == "/healthz":
		reply(w, 200, map[string]any{"status": "ok"})
	case path == "/api/products":
		reply(w, 200, s.products(r, now()))
	case path == "/api/search":
		if s.Faulty {
			time.Sleep(60 * time.Millisecond)
		}
		reply(w, 200, s.search(r, now()))
	case strings.HasPrefix(path, "/api/orders/"):
		reply(w, 200, s.order(path[len("/api/orders/"):], now()))
	case strings.HasPrefix(path, "/api/customers/"):
		id := path[len("/api/customers/"):]
		if s.Faulty && number(id)%20 == 0 {
			reply(w, 500, map[string]any{"error": "customer service unavailable"})
			return
		}
		reply(w, 200, customer(id))
	case path == "/api/orders" && r.Method == "POST":
		reply(w, 201, map[string]any{"id": 9000, "status": "accepted"})
	default:
		reply(w, 404, map[string]any{"error": "not found"})
	}
}

// work takes the time that answering takes: 2 to 6 ms.
func work(r *http.Request) {
	time.Sleep(2*time.Millisecond + time.Duration(number(r.RequestURI)%4000)*time.Microsecond)
}

func reply(w http.ResponseWriter, status int, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		http.Error(w, "encode", 500)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func (s Shop) order(id string, now time.Time) any {
	n := number(id)
	quantity := 1 + n%4
	total := 1250 * quantity
	if quantity >= 3 && !s.Faulty {
		total = total * 9 / 10
	}
	return map[string]any{
		"id": id, "status": "shipped", "quantity": quantity, "total_cents": total,
		"items":        []any{map[string]any{"sku": fmt.Sprintf("TEA-%02d", n%30), "quantity": quantity, "price_cents": 1250}},
		"generated_at": now.UTC().Format(time.RFC3339Nano),
	}
}

func (s Shop) products(r *http.Request, now time.Time) any {
	category := r.URL.Query().Get("category")
	var items []any
	for i := range uint64(4) {
		item := map[string]any{"sku": fmt.Sprintf("%s-%02d", strings.ToUpper(category), i), "price_cents": 450 + (number(category)+i)%900, "currency": "EUR"}
		if s.Faulty {
			delete(item, "currency")
		}
		items = append(items, item)
	}
	return map[string]any{"category": category, "items": items, "generated_at": now.UTC().Format(time.RFC3339Nano)}
}

func (s Shop) search(r *http.Request, now time.Time) any {
	q := r.URL.Query().Get("q")
	return map[string]any{"query": q, "hits": number(q) % 12, "generated_at": now.UTC().Format(time.RFC3339Nano)}
}

// customer has an address that no scrubber may let through.
func customer(id string) any {
	n := number(id)
	return map[string]any{"id": id, "name": "Customer " + strconv.FormatUint(n%1000, 10), "email": fmt.Sprintf("customer%d@mail.test", n%1000), "tier": []string{"basic", "plus"}[n%2]}
}

// number is a number that belongs to a text.
func number(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64() >> 11
}
