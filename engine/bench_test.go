package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
)

// BenchmarkPair is the cost of one pair from the recording to the verdict,
// beside the floor in the same run: the same two requests written and read with
// nothing around them. 64 sessions, answers of 1.2 KB.
func BenchmarkPair(b *testing.B) {
	noise := func(n int) string { return fmt.Sprintf(`"generated_at":"%016d"`, n) }
	fixed := func(int) string { return `"generated_at":"0000000000000000"` }
	b.Run("floor", benchmarkFloor)
	b.Run("equal", func(b *testing.B) { benchmarkAudit(b, fixed) })
	b.Run("noisy", func(b *testing.B) { benchmarkAudit(b, noise) })
}

const request = "GET /api/orders/17 HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\nX-Shadow-Traffic: true\r\n\r\n"

// answers serves every request on a kept-alive connection as cheaply as
// possible; field makes the part that may differ from answer to answer.
func answers(b *testing.B, field func(n int) string) (addr string, length int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	items := strings.Repeat(`{"sku":"TEA-01","price":12.50,"quantity":1},`, 25)
	answer := func(n int) []byte {
		body := `{` + field(n) + `,"items":[` + items + `{}]}`
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 8<<10)
				for n := 0; ; n++ {
					if k, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:k], []byte("\r\n\r\n")) {
						return
					}
					c.Write(answer(n*7919 + len(c.RemoteAddr().String())))
				}
			}()
		}
	}()
	return ln.Addr().String(), len(answer(0))
}

func benchmarkFloor(b *testing.B) {
	addr, length := answers(b, func(int) string { return `"generated_at":"0000000000000000"` })
	const lanes = 64
	var wg sync.WaitGroup
	for lane := range lanes {
		n := b.N / lanes
		if lane < b.N%lanes {
			n++
		}
		wg.Go(func() {
			var sides sync.WaitGroup
			for range 2 {
				sides.Go(func() {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						b.Error(err)
						return
					}
					defer c.Close()
					buf := make([]byte, length)
					for range n {
						io.WriteString(c, request)
						if _, err := io.ReadFull(c, buf); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			sides.Wait()
		})
	}
	wg.Wait()
}

func benchmarkAudit(b *testing.B, field func(int) string) {
	base, _ := answers(b, field)
	cand, _ := answers(b, field)
	dir := b.TempDir()
	var rec bytes.Buffer
	for i := range b.N {
		fmt.Fprintf(&rec, "1 %04x1f907f000001%08x %d 0\nGET /api/orders/%d HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\n\r\n\n🐵🙈🙉\n", 40000+i%64, i, 1795166295000000000+int64(i)*1000, i%1000)
	}
	if err := os.WriteFile(filepath.Join(dir, "day.gor"), rec.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	src := strings.Replace(spec, `  gate "behaviour"`, "  compare {\n    ignore = [\".body.generated_at\"]\n  }\n  gate \"behaviour\"", 1)
	s, diags := lang.Parse(filepath.Join(dir, "spec.audit.hcl"), []byte(src), lang.Options{Vars: map[string]string{"base": "http://" + base, "cand": "http://" + cand}})
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	p := plan.Compile(s)
	b.ReportAllocs()
	b.ResetTimer()
	r, err := engine.Run(b.Context(), []*plan.Plan{p}, engine.Options{Only: []string{"one"}})
	if err != nil || r.Verdict != result.Pass || r.Audits[0].Outcomes.Total != int64(b.N) {
		b.Fatal(err, r.Verdict, r.Audits[0].Reason)
	}
}
