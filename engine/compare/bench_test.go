package compare

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

// order is a document of about size bytes, in which three fields are new each
// time.
func order(size, seed int) string {
	var items []string
	for n := 250; n < size; n += 118 {
		items = append(items, fmt.Sprintf(`{"id":%d,"name":"thing number %d","price":%d.50,"tags":["a","b"],"in_stock":true,"supplier":{"id":%d,"city":"Ulm"}}`, 1000+n, n, n, n%7))
	}
	return fmt.Sprintf(`{"generated_at":"2026-03-01T12:00:%02d.%06dZ","request_id":"%032x","order":7,"customer":{"id":42,"name":"A. Customer"},"items":[%s],"total":99.95,"node":"host-%d"}`,
		seed%60, seed, seed, strings.Join(items, ","), seed)
}

const benchHeader = "Date: Sun, 01 Mar 2026 12:00:00 GMT|Content-Type: application/json|Content-Length: 1000|Server: nginx|Cache-Control: no-store|X-Request-Id: abc|Connection: keep-alive|Vary: Accept"

func BenchmarkCompare(b *testing.B) {
	rules := ignoring(".body.generated_at", ".body.request_id", ".body.node")
	for _, bench := range []struct {
		name string
		size int
		cfg  Config
		same bool
		want result.Outcome
	}{
		{"equal 1KB", 1024, rules, true, result.PairMatched},
		{"noisy 1KB", 1024, rules, false, result.PairIgnored},
		{"noisy 64KB", 64 << 10, rules, false, result.PairIgnored},
		{"recursive rules 1KB", 1024, ignoring("..|.generated_at?", "..|.request_id?", "..|.node?"), false, result.PairIgnored},
		{"noise in lists 64KB", 64 << 10, ignoring(".body.generated_at", ".body.request_id", ".body.node", ".body.items[].price"), false, result.PairIgnored},
		{"jq rule 1KB", 1024, ignoring(".body | select(.order == 7) | .generated_at, .request_id, .node"), false, result.PairIgnored},
	} {
		b.Run(bench.name, func(b *testing.B) {
			x, y := response(200, benchHeader, order(bench.size, 1)), response(200, benchHeader, order(bench.size, 2))
			if bench.same {
				y = response(200, benchHeader, order(bench.size, 1))
			}
			c := must(New(bench.cfg))
			b.SetBytes(int64(len(x.Body.Bytes)))
			b.ReportAllocs()
			for b.Loop() {
				if got := c.Compare(b.Context(), getOrder, x, y); got.Outcome != bench.want {
					b.Fatal(show(got))
				}
			}
		})
	}
}

// BenchmarkPlainWay is the yardstick: decode both, delete, compare.
func BenchmarkPlainWay(b *testing.B) {
	for _, size := range []int{1024, 64 << 10} {
		b.Run(fmt.Sprintf("noisy %dKB", size>>10), func(b *testing.B) {
			x, y := []byte(order(size, 1)), []byte(order(size, 2))
			b.SetBytes(int64(len(x)))
			for b.Loop() {
				var docs [2]map[string]any
				for i, text := range [][]byte{x, y} {
					if err := json.Unmarshal(text, &docs[i]); err != nil {
						b.Fatal(err)
					}
					delete(docs[i], "generated_at")
					delete(docs[i], "request_id")
					delete(docs[i], "node")
				}
				if !reflect.DeepEqual(docs[0], docs[1]) {
					b.Fatal("not equal")
				}
			}
		})
	}
}

func TestEqualPairsCostNothing(t *testing.T) {
	x, y := response(200, benchHeader, order(1024, 1)), response(200, benchHeader, order(1024, 1))
	c := must(New(ignoring(".body.a")))
	if n := testing.AllocsPerRun(200, func() { c.Compare(t.Context(), getOrder, x, y) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
