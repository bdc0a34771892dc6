package mirror

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/accesslog"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// TestPairs plays requests and lines in some order. A request is "id target
// session", a line "=id target status", and "+" lets a second pass; - stands for
// nothing. A request goes out as "target:status".
func TestPairs(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         string
		unmatched    int64
		orphans      int64
	}{
		{"one of each", "a /a -,=a /a 200", "/a:200", 0, 0},
		{"the line comes first", "=a /a 200,a /a -", "/a:200", 0, 0},
		{"lines in another order", "a /a -,b /b -,=b /b 201,=a /a 200", "/b:201 /a:200", 0, 0},
		{"a session stays in order", "a /a s,b /b s,c /c -,=b /b 201,=c /c 202,=a /a 200", "/c:202 /a:200 /b:201", 0, 0},
		{"no line", "a /a -,+,+,b /b -,=b /b 200,+,+,+", "/b:200 /a:-", 1, 0},
		{"no line, in a session", "a /a s,b /b s,=b /b 200,+,+,+,+,+", "/a:- /b:200", 1, 0},
		{"no request", "=a /a 200,+,+,+,+,+,a /a -,+,+,+,+,+", "/a:-", 1, 1},
		{"no id", "- /a -,=- /a 200", "/a:-", 0, 1},
		{"no id, in a session", "a /a s,- /b s,=a /a 200", "/a:200 /b:-", 0, 0},
		{"an id twice", "a /a -,a /b -,=a /b 201,=a /a 200", "/b:201 /a:200", 0, 0},
		{"an id twice, lines first", "=a /b 201,=a /a 200,a /a -,a /b -", "/a:200 /b:201", 0, 0},
		{"a target that was rewritten", "a /v2/a -,=a /a 200", "/v2/a:200", 0, 0},
		{"nobody received an answer", "a /a -,=a /a -", "/a:-", 0, 0},
		{"204 is believed in the end", "a /a -,=a /a 204,+,+,+,+,+", "/a:204", 0, 0},
		{"a line of a subrequest", "a /a -,=a /a 204,=a /a 200", "/a:200", 0, 0},
		{"a line of a subrequest, lines first", "=a /a 204,=a /a 200,a /a -", "/a:200", 0, 0},
		{"a second line", "a /a -,=a /a 200,=a /a 200", "/a:200", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPairs(5*time.Second, true)
			var got []string
			p.deliver = func(x *traffic.Exchange) {
				status := "-"
				if x.Response != nil {
					status = fmt.Sprint(x.Response.Status)
				}
				got = append(got, x.Request.Target+":"+status)
			}
			play(p, tt.script)
			if out := strings.Join(got, " "); out != tt.want {
				t.Errorf("got %s, want %s", out, tt.want)
			}
			p.flush()
			if p.unmatched != tt.unmatched || p.orphans != tt.orphans {
				t.Errorf("%d unmatched, %d orphans", p.unmatched, p.orphans)
			}
			empty(t, p)
		})
	}
}

func play(p *pairs, script string) {
	now := time.Now()
	for step := range strings.SplitSeq(script, ",") {
		if step == "+" {
			now = now.Add(time.Second)
			p.expire(now)
			continue
		}
		text, isLine := strings.CutPrefix(step, "=")
		f := strings.Fields(text)
		x := &traffic.Exchange{ID: strings.Trim(f[0], "-"), Request: traffic.Request{Method: "GET", Target: f[1]}}
		if !isLine {
			x.Session = strings.Trim(f[2], "-")
			p.request(x, now)
			continue
		}
		var status int
		if _, err := fmt.Sscan(f[2], &status); err == nil {
			x.Response = &traffic.Response{Status: status}
		}
		p.answer(x, now)
	}
}

// empty makes sure that nothing is left behind.
func empty(t *testing.T, p *pairs) {
	t.Helper()
	if n := p.waiting.Len() + len(p.byID) + len(p.sessions) + p.early.Len() + len(p.earlyByID); n > 0 || p.bytes != 0 {
		t.Errorf("%d things and %d bytes were left behind", n, p.bytes)
	}
}

// TestPairsKeepOrderAndLoseNothing plays requests and lines in any order: every
// request goes out once, those of a session in their order.
func TestPairsKeepOrderAndLoseNothing(t *testing.T) {
	for run := range uint64(200) {
		rng := rand.New(rand.NewPCG(run, 1))
		p := newPairs(5*time.Second, run%2 == 0)
		last := map[string]int64{}
		out, responses := 0, int64(0)
		p.deliver = func(x *traffic.Exchange) {
			if x.Session != "" && x.Offset < last[x.Session] {
				t.Fatalf("run %d: session %s is out of order", run, x.Session)
			}
			last[x.Session] = x.Offset
			out++
			if x.Response != nil {
				responses++
			}
		}
		now, requests, lines := time.Now(), 0, int64(0)
		for range 300 {
			id, target := fmt.Sprint(rng.IntN(40)), fmt.Sprint("/", rng.IntN(2))
			x := &traffic.Exchange{ID: id, Request: traffic.Request{Method: "GET", Target: target}}
			switch rng.IntN(5) {
			case 0, 1:
				requests++
				x.Offset, x.Session = int64(requests), [...]string{"", "s", "t"}[rng.IntN(3)]
				p.request(x, now)
			case 2, 3:
				lines++
				x.Response = &traffic.Response{Status: [...]int{200, 204}[rng.IntN(2)]}
				p.answer(x, now)
			default:
				now = now.Add(time.Duration(rng.IntN(1000)) * time.Millisecond)
				p.expire(now)
			}
		}
		p.flush()
		empty(t, p)
		if out != requests || responses+p.orphans > lines || int64(out)-responses != p.unmatched+p.nameless {
			t.Fatalf("run %d: %d of %d requests, %d responses, %d orphans of %d lines, %d unmatched", run, out, requests, responses, p.orphans, lines, p.unmatched)
		}
		if run%2 == 1 && responses+p.orphans != lines {
			t.Fatalf("run %d: %d responses and %d orphans of %d lines", run, responses, p.orphans, lines)
		}
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	p := newPairs(time.Hour, false)
	out := 0
	p.deliver = func(*traffic.Exchange) { out++ }
	now := time.Now()
	for n := range maxWaiting + 10 {
		p.request(&traffic.Exchange{ID: fmt.Sprint(n)}, now)
		p.answer(&traffic.Exchange{ID: fmt.Sprint("other", n)}, now)
	}
	if out != 10 || p.hurried != 10 || p.waiting.Len() != maxWaiting || p.orphans != 10 || p.early.Len() != maxEarly {
		t.Errorf("%d out, %d hurried, %d wait; %d orphans, %d early", out, p.hurried, p.waiting.Len(), p.orphans, p.early.Len())
	}
	p.flush()
	for range 20 {
		x := &traffic.Exchange{ID: "a"}
		x.Request.Body.Bytes = make([]byte, waitRoom/10)
		p.request(x, now)
	}
	if p.bytes > waitRoom {
		t.Errorf("%d bytes wait", p.bytes)
	}
	p.flush()
	for range 3 * maxSame {
		p.request(&traffic.Exchange{ID: "a"}, now)
		p.answer(&traffic.Exchange{ID: "b"}, now)
	}
	if len(p.byID["a"]) > maxSame || len(p.earlyByID["b"]) > maxSame {
		t.Error("an id that everybody has is not bounded")
	}
	p.flush()
	empty(t, p)
}

// logged opens a receiver that follows a log, and gives a way to write to it.
func logged(t *testing.T) (s *Source, write func(id, request, status string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	s, err := Open(Config{Name: "m", Listen: "127.0.0.1:0", Log: Log{Path: path, Format: accesslog.NginxJSON}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, func(id, request, status string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fmt.Fprintf(f, `{"msec":"%d.000","request_id":%q,"request":%q,"status":%q,"upstream_response_time":"0.025"}`+"\n", time.Now().Unix(), id, request, status)
	}
}

func TestAnswersComeFromTheLog(t *testing.T) {
	s, write := logged(t)
	c := dial(t, s)
	for n := range 10 {
		send(t, c, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\nX-Request-Id: r%d\r\n\r\n", n, n), 1)
	}
	for n := range 8 {
		write(fmt.Sprint("r", n), fmt.Sprintf("GET /%d HTTP/1.1", n), fmt.Sprint(200+n%4))
	}
	write("elsewhere", "GET /elsewhere HTTP/1.1", "200")
	write("bad", "GET /bad HTTP/1.1", "none")
	for range 6 {
		x := next(t, s)
		n := x.Request.Target[1:]
		if x.ID != "r"+n || x.Response == nil || x.Response.Body.State != traffic.Missing || x.Response.Header != nil ||
			x.Timing != (traffic.Timing{Kind: traffic.TimingProxy, TTFB: 25 * time.Millisecond, Total: 25 * time.Millisecond}) {
			t.Errorf("%+v", x)
		}
	}
	if c := s.Counts(); c.Records != c.Malformed+c.OrphanResponses+10 {
		t.Errorf("what waits is not counted: %+v", c)
	}
	if rest := drain(t, s); len(rest) != 4 {
		t.Errorf("%d were left", len(rest))
	}
	if got, want := s.Counts(), (source.Counts{Records: 12, Read: 10, Paired: 8, Malformed: 1, OrphanResponses: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if w := s.Warnings(); len(w) != 2 || !strings.Contains(w[1].Text, "2 mirrored requests found no line") {
		t.Errorf("%v", w)
	}
}

// TestStopWaitsForLines stops while requests wait: lines that come in the time of
// grace still count.
func TestStopWaitsForLines(t *testing.T) {
	s, write := logged(t)
	send(t, dial(t, s), "GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: r\r\n\r\n", 1)
	s.Stop()
	write("r", "GET /a HTTP/1.1", "200")
	if xs := drain(t, s); len(xs) != 1 || xs[0].Response == nil {
		t.Errorf("%+v", xs)
	}
}

func TestALogThatIsNotThere(t *testing.T) {
	s, _ := logged(t)
	send(t, dial(t, s), "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 1)
	drain(t, s)
	texts := []string{}
	for _, w := range s.Warnings() {
		texts = append(texts, w.Text)
	}
	for _, want := range []string{"there was no such access log", "1 mirrored requests have no X-Request-Id"} {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, want) }) {
			t.Errorf("%q is not in %q", want, texts)
		}
	}
}

// TestWaiting holds the wait to a clock: a request without a line leaves after
// it, and Close does not wait.
func TestWaiting(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log, err := openLog(Log{Path: filepath.Join(dir, "log"), Format: accesslog.Envoy})
		if err != nil {
			t.Fatal(err)
		}
		ln := newPipes()
		s := open("m", ln, log)
		client, server := net.Pipe()
		go io.Copy(io.Discard, client)
		ln.conns <- server
		begin := time.Now()
		io.WriteString(client, "GET /a HTTP/1.1\r\nX-Request-Id: a\r\n\r\n")
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < defaultWait || took > defaultWait+2*lookEvery {
			t.Errorf("it waited %v", took)
		}
		io.WriteString(client, "GET /b HTTP/1.1\r\nX-Request-Id: b\r\n\r\n")
		begin = time.Now()
		s.Close()
		client.Close()
		if took := time.Since(begin); took > lookEvery {
			t.Errorf("closing took %v", took)
		}
	})
}

// BenchmarkPairs measures what bringing a request and its line together takes.
func BenchmarkPairs(b *testing.B) {
	p := newPairs(5*time.Second, true)
	p.deliver = func(*traffic.Exchange) {}
	now := time.Now()
	ok := &traffic.Response{Status: 200}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		x := &traffic.Exchange{ID: strconv.Itoa(n), Session: strconv.Itoa(n % 100)}
		p.request(x, now)
		p.answer(&traffic.Exchange{ID: x.ID, Response: ok}, now)
	}
}
