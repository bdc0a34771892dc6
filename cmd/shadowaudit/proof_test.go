//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
	"github.com/shadowaudit/shadowaudit/engine/judge/stat"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

var full = flag.Bool("full", false, "make as many runs on real sockets as a figure needs")

// build is a build of the shop as production has it: its latencies have a heavy
// tail, and one field is another one in three answers of ten. The rest of it is
// what a candidate can have broken.
type build struct {
	slower float64 // by which every answer takes longer: 0.2 is 20 %
	errors float64 // share of the requests that end in a 500
	wrong  float64 // share of the orders with a wrong total
}

func (b build) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	time.Sleep(serviceTime(r.RequestURI))
	answer := httptest.NewRecorder()
	demo.Shop{}.ServeHTTP(answer, r)
	var doc map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &doc); err != nil {
		http.Error(w, "the shop spoke no JSON", http.StatusBadGateway)
		return
	}
	doc["served_by"] = "a"
	if rand.Float64() < 0.3 {
		doc["served_by"] = strconv.FormatUint(rand.Uint64(), 36)
	}
	if rand.Float64() < b.wrong {
		doc["total_cents"] = 1
	}
	status := answer.Code
	if rand.Float64() < b.errors {
		status, doc = http.StatusInternalServerError, map[string]any{"error": "unavailable"}
	}
	time.Sleep(time.Duration(b.slower * float64(time.Since(began))))
	body, _ := json.Marshal(doc)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// serviceTime is how long a request takes beside the shop's own 2 to 6 ms: what it
// asks for counts most (log-normal), chance adds 15 %, and one in a hundred
// waits for something else.
func serviceTime(uri string) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(uri))
	request := rand.New(rand.NewPCG(h.Sum64(), 1)).NormFloat64()
	ms := 2 * math.Exp(0.8*request+0.15*rand.NormFloat64())
	if rand.Float64() < 0.01 {
		ms += 20 * rand.ExpFloat64()
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// orders writes a GoReplay file of requests for orders, and its spec.
func orders(t *testing.T, n int) (spec string) {
	t.Helper()
	start := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	for i := range n {
		const address = "1f900a000009" // port and address of the server's side
		client := 50000 + i%100        // its port: one of a hundred connections
		fmt.Fprintf(&out, "1 %04x%s%08x %d 0\nGET /api/orders/%d HTTP/1.1\r\nHost: shop.example\r\n\r\n\n🐵🙈🙉\n",
			client, address, i+1, start.Add(time.Duration(i)*time.Millisecond).UnixNano(), 1000+i*7919%5000)
	}
	return writeAudit(t, out.Bytes(), `
  replay {
    timing       = constant
    rate         = "400/s"
    max_lateness = "1m" # a machine that runs tests is busy
  }
  compare {
    ignore = [".body.generated_at"]
  }
  noise {
    sample = "100%"
  }
  gate "tail, no slower" {
    metric       = latency.p95
    max_increase = "0ms"
  }
  gate "tail, 50%" {
    metric       = latency.p95
    max_increase = "50%"
  }
  gate "errors" {
    metric       = errors.rate
    max_increase = "0pp"
  }
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
`)
}

// writeAudit writes a recording, and a spec with this in its audit.
func writeAudit(t *testing.T, recording []byte, audit string) (spec string) {
	t.Helper()
	dir := t.TempDir()
	text := `variable "baseline_url" { type = string }
variable "candidate_url" { type = string }
source "gor" "traffic" { path = "traffic.gor" }
target "stable" { url = var.baseline_url }
target "next" { url = var.candidate_url }
audit "proof" {
  source    = source.gor.traffic
  baseline  = target.stable
  candidate = target.next
` + audit + "}\n"
	spec = filepath.Join(dir, "proof.audit.hcl")
	for path, content := range map[string][]byte{spec: []byte(text), filepath.Join(dir, "traffic.gor"): recording} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return spec
}

// audited runs a spec and gives what it found.
func audited(t *testing.T, spec, baseline, candidate string, seed int) result.Audit {
	t.Helper()
	report := filepath.Join(t.TempDir(), "result.json")
	_, _, errs := inProcess("run", spec, "--seed", strconv.Itoa(seed), "--report", "json="+report, "--progress", "none",
		"--var", "baseline_url="+baseline, "--var", "candidate_url="+candidate)
	f, err := os.Open(report)
	if err != nil {
		t.Fatal(err, errs)
	}
	defer f.Close()
	run, err := result.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return run.Audits[0]
}

// tallies count verdicts by gate; "audit" stands for the audit itself.
type tallies map[string]map[result.Verdict]int

func (c tallies) count(name string, v result.Verdict) {
	if c[name] == nil {
		c[name] = map[result.Verdict]int{}
	}
	c[name][v]++
}

// verdicts runs the audit of n pairs so many times and counts what came out.
func verdicts(t *testing.T, name string, candidate build, n, runs int) tallies {
	t.Helper()
	spec := orders(t, n)
	stable := httptest.NewServer(build{})
	defer stable.Close()
	next := httptest.NewServer(candidate)
	defer next.Close()
	counts := tallies{}
	for i := range runs {
		a := audited(t, spec, stable.URL, next.URL, i+1)
		if a.Outcomes.Total != int64(n) || a.Outcomes.Failed+a.Outcomes.Inconclusive > 0 {
			t.Fatalf("%s: %d pairs were to be judged: %+v", name, n, a.Outcomes)
		}
		counts.count("audit", a.Verdict)
		for _, g := range a.Gates {
			counts.count(g.Name, g.Verdict)
			if candidate == (build{}) && g.Verdict == result.Fail {
				t.Logf("run %d, gate %q: %s", i+1, g.Name, g.Reason)
			}
		}
	}
	for _, gate := range slices.Sorted(maps.Keys(counts)) {
		c := counts[gate]
		t.Logf("%-22s %5d pairs, %2d runs: %-16s pass %2d  inconclusive %2d  fail %2d", name, n, runs, gate, c[result.Pass], c[result.Inconclusive], c[result.Fail])
	}
	return counts
}

// TestRealEqualBuilds audits a build against itself on real sockets. At most one
// such audit in twenty may fail; so few runs cannot show that to the last one,
// so the test fails where chance would bring as many in one case of a thousand.
func TestRealEqualBuilds(t *testing.T) {
	const pairs = 400
	runs := 6
	if *full {
		runs = 100
	}
	c := verdicts(t, "A/A", build{}, pairs, runs)
	if failed := float64(c["audit"][result.Fail]); stat.AtLeast(failed, float64(runs), 0.05) < 0.001 {
		t.Errorf("%.0f of %d audits of equal builds failed", failed, runs)
	}
	if passed := c["behaviour"][result.Pass]; passed < runs*2/3 {
		t.Errorf("noise kept the behaviour from passing: %d of %d runs did", passed, runs)
	}
}

// TestRealRegressions shows how often faults are found. Of latencies it prints
// that and asks for nothing, since a busy machine can drown any of them.
func TestRealRegressions(t *testing.T) {
	const pairs = 2000
	runs := 1
	if *full {
		runs = 12
	}
	if c := verdicts(t, "a field wrong in 1%", build{wrong: 0.01}, pairs, runs); c["behaviour"][result.Fail] < runs {
		t.Errorf("a wrong field was found in %d of %d runs", c["behaviour"][result.Fail], runs)
	}
	c := verdicts(t, "1% of 500s", build{errors: 0.01}, pairs, runs)
	if c["audit"][result.Fail] < runs || c["errors"][result.Pass] > 0 {
		t.Errorf("errors were found in %d of %d runs", c["audit"][result.Fail], runs)
	}
	if slow := verdicts(t, "20% slower", build{slower: 0.2}, pairs, runs); slow["behaviour"][result.Fail] == runs && runs > 1 {
		t.Errorf("a slow build was taken for a wrong one in all of %d runs", runs)
	}
}

// gatekeeper is a shop that takes what is well-formed and nothing else, and
// notes the answer to each numbered request.
type gatekeeper struct {
	mu     sync.Mutex
	owners map[string]string // the session cookie that came with a token
	status map[string]int
}

var (
	orderPath    = regexp.MustCompile(`^/api/orders/1[0-9]{3}$`)
	customerPath = regexp.MustCompile(`^/api/customers/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	searchTerms  = []string{"oolong", "teapot", "green tea", "sencha", "gift card"}
)

func (k *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := k.check(r); status != http.StatusOK {
		k.note(r, status)
		http.Error(w, "refused", status)
		return
	}
	answer := httptest.NewRecorder()
	demo.Shop{}.ServeHTTP(answer, r)
	k.note(r, answer.Code)
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

func (k *gatekeeper) note(r *http.Request, status int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status[r.Header.Get("X-Number")] = status
}

// check gives the status of a request that a strict service would turn down.
func (k *gatekeeper) check(r *http.Request) int {
	sid, err := r.Cookie("sid")
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err != nil || !bearer || token == "" || !k.owns(token, sid.Value) {
		return http.StatusUnauthorized
	}
	query := r.URL.Query()
	switch path := r.URL.Path; {
	case path == "/api/products":
		if page, err := strconv.Atoi(query.Get("page")); err != nil || page < 1 || !slices.Contains([]string{"tea", "cups", "gifts"}, query.Get("category")) {
			return http.StatusBadRequest
		}
	case path == "/api/search":
		if !slices.Contains(searchTerms, query.Get("q")) {
			return http.StatusBadRequest
		}
	case path == "/api/orders" && r.Method == http.MethodPost:
		return placed(r)
	case path != "/healthz" && !orderPath.MatchString(path) && !customerPath.MatchString(path):
		return http.StatusNotFound
	}
	return http.StatusOK
}

// owns reports whether a token always came with the same session.
func (k *gatekeeper) owns(token, sid string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.owners[token]; !ok {
		k.owners[token] = sid
	}
	return k.owners[token] == sid
}

// placed checks an order as it is placed: the address, the card, the items.
func placed(r *http.Request) int {
	var order struct {
		Email, Card string
		Items       []struct {
			SKU      string
			Quantity int
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		return http.StatusBadRequest
	}
	if _, err := mail.ParseAddress(order.Email); err != nil || !luhn(order.Card) || len(order.Items) != 1 || order.Items[0].Quantity < 1 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// luhn reports whether the check digit of a card number is right.
func luhn(card string) bool {
	digits := strings.ReplaceAll(card, " ", "")
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d = d*2%10 + d*2/10
		}
		sum += d
	}
	return len(digits) == 16 && sum%10 == 0
}

// TestRealScrubbingBreaksNothing replays the demo's recording scrubbed and as it
// is against a strict service. A request that is answered in another class of
// status because it was scrubbed is broken, and a pair that ended otherwise is.
func TestRealScrubbingBreaksNothing(t *testing.T) {
	requests := 0
	host := []byte("Host: shop.example\r\n")
	recording := bytes.Join(bytes.Split(demo.Recording, host), []byte{0})
	var numbered bytes.Buffer
	for _, b := range recording {
		if b != 0 {
			numbered.WriteByte(b)
			continue
		}
		requests++
		fmt.Fprintf(&numbered, "%sX-Number: %d\r\n", host, requests)
	}
	const audit = `
  select {
    methods = ["GET", "POST"]
  }
  replay {
    timing        = unpaced
    max_in_flight = 32
  }
  compare {
    ignore = [".body.generated_at"]
  }
  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
`
	scrubbed := writeAudit(t, numbered.Bytes(), audit)
	bare := writeAudit(t, numbered.Bytes(), "  scrub        = none\n  scrub_reason = \"nobody in it is real\"\n"+audit)

	run := func(spec string, seed int) (map[string]int, result.Audit) {
		k := &gatekeeper{owners: map[string]string{}, status: map[string]int{}}
		next := httptest.NewServer(k)
		defer next.Close()
		stable := httptest.NewServer(&gatekeeper{owners: map[string]string{}, status: map[string]int{}})
		defer stable.Close()
		a := audited(t, spec, stable.URL, next.URL, seed)
		k.mu.Lock()
		defer k.mu.Unlock()
		return maps.Clone(k.status), a
	}
	want, plain := run(bare, 1)
	if len(want) != requests {
		t.Fatalf("%d of %d requests arrived: %+v", len(want), requests, plain.Traffic)
	}
	for number, status := range want {
		if status/100 != 2 {
			t.Fatalf("request %s is answered with %d as it was recorded", number, status)
		}
	}
	const rounds = 8 // with another key for pseudonyms each
	var replayed, broken, hits int64
	for seed := range rounds {
		got, a := run(scrubbed, seed+1)
		for number, status := range want {
			replayed++
			if got[number]/100 != status/100 {
				broken++
				if broken <= 5 {
					t.Logf("request %s: %d as it was recorded, %d scrubbed", number, status, got[number])
				}
			}
		}
		broken += max(0, plain.Outcomes.Matched+plain.Outcomes.Ignored-a.Outcomes.Matched-a.Outcomes.Ignored)
		for _, r := range a.Scrub.Rules {
			hits += r.Hits
		}
	}
	share := float64(broken) / float64(replayed)
	t.Logf("%d requests replayed with %d values scrubbed: %d broken by it, %.3f%%; at 95%% confidence fewer than %.3f%%",
		replayed, hits, broken, 100*share, 100*stat.ShareBounds(float64(broken), float64(replayed), 0.95).Upper)
	if replayed < 2000 || hits == 0 || share >= 0.001 {
		t.Errorf("%d of %d requests were broken by scrubbing, with %d values scrubbed", broken, replayed, hits)
	}
}
