package gor

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// start0 is when the live tests begin.
var start0 = time.Unix(1_700_000_000, 0)

// clockwork feeds a Pairer records at times of its own.
type clockwork struct {
	*Pairer
	out []*traffic.Exchange
}

func newClockwork(w Window) *clockwork {
	return &clockwork{Pairer: NewPairer("live", 5*time.Second, w)}
}

// add takes in all records of a text, so many seconds after the beginning.
func (c *clockwork) add(after float64, text string) {
	s := NewStream(io.NopCloser(strings.NewReader(text)), maxRecord)
	now := start0.Add(time.Duration(after * float64(time.Second)))
	for s.Advance(context.Background()) == nil {
		c.out = append(c.out, c.Add(s, now)...)
	}
	c.Account(s)
}

func (c *clockwork) expire(after float64) {
	c.out = append(c.out, c.Expire(start0.Add(time.Duration(after*float64(time.Second))))...)
}

// end flushes and holds the pairer to the equation.
func (c *clockwork) end(t testing.TB) {
	t.Helper()
	c.out = append(c.out, c.Flush()...)
	checkBalance(t, c.Counts(), c.out)
	if w := c.window; w.held != 0 || w.bytes != 0 || len(w.threads) != 0 || len(c.sessions) != 0 || len(w.lone) != 0 {
		t.Errorf("left behind: %d records, %d bytes, %d threads, %d sessions, %d lone answers", w.held, w.bytes, len(w.threads), len(c.sessions), len(w.lone))
	}
}

// id is that of the n-th request of a connection.
func id(conn, n int) string { return fmt.Sprintf("%04x1f907f000001%08x", conn, n) }

func at(ms int) int64 { return start0.Add(time.Duration(ms) * time.Millisecond).UnixNano() }

func liveReq(conn, n, ms int) string {
	return req(fmt.Sprintf("1 %s %d 0", id(conn, n), at(ms)), fmt.Sprintf("/%d/%d", conn, n))
}

func liveResp(conn, n, ms int) string {
	return resp(fmt.Sprintf("2 %s %d 1000", id(conn, n), at(ms)), fmt.Sprintf("%d/%d", conn, n))
}

func TestLivePairsLeaveAtOnce(t *testing.T) {
	c := newClockwork(Window{})
	c.add(0, liveReq(1, 1, 0))
	if len(c.out) != 0 {
		t.Error("a request left before its response")
	}
	c.add(0.1, liveResp(1, 1, 100))
	checkLines(t, c.out, `GET /1/1 -> 200 "1/1"`)
	if x := c.out[0]; x.Source != "live" || x.Session == "" || x.Timing.TTFB != 100*time.Millisecond || !x.At.Equal(start0) {
		t.Errorf("%+v", x)
	}
	c.end(t)
}

func TestLiveResponseBeforeItsRequest(t *testing.T) { // over another connection
	c := newClockwork(Window{})
	c.add(0, liveResp(1, 1, 100))
	c.add(1, liveReq(1, 1, 0))
	checkLines(t, c.out, `GET /1/1 -> 200 "1/1"`)
	c.end(t)
}

func TestLiveWaitEnds(t *testing.T) {
	c := newClockwork(Window{})
	c.add(0, liveReq(1, 1, 0)+liveResp(2, 1, 0))
	c.expire(4.9)
	if len(c.out) != 0 || c.Counts().OrphanResponses != 0 {
		t.Error("it did not wait")
	}
	c.expire(5)
	c.add(6, liveResp(1, 1, 6000))
	checkLines(t, c.out, `GET /1/1 -> none`)
	c.expire(11)
	if got := c.Counts().OrphanResponses; got != 2 {
		t.Errorf("%d orphans", got)
	}
	c.end(t)
}

func TestLiveSessionsKeepTheirOrder(t *testing.T) {
	c := newClockwork(Window{})
	c.add(0, liveReq(1, 1, 0)+liveReq(1, 2, 10)+liveReq(2, 1, 20))
	c.add(1, liveResp(1, 2, 100)+liveResp(2, 1, 100)) // that of 1/1 is lost
	checkLines(t, c.out, `GET /2/1 -> 200 "2/1"`)
	c.expire(5)
	checkLines(t, c.out, `GET /2/1 -> 200 "2/1"`, `GET /1/1 -> none`, `GET /1/2 -> 200 "1/2"`)
	c.end(t)
}

func TestLiveIDOfAConnection(t *testing.T) { // as in release 1.2
	c := newClockwork(Window{})
	conn := strings.Repeat("a", 40)
	c.add(0, req(fmt.Sprintf("1 %s %d 0", conn, at(0)), "/a")+resp(fmt.Sprintf("2 %s %d 0", conn, at(5)), "a"))
	c.add(1, req(fmt.Sprintf("1 %s %d 0", conn, at(10)), "/b")+resp(fmt.Sprintf("2 %s %d 0", conn, at(15)), "b"))
	checkLines(t, c.out, `GET /a -> 200 "a"`, `GET /b -> 200 "b"`)
	c.end(t)
}

func TestLiveReplayedAndMalformed(t *testing.T) {
	c := newClockwork(Window{})
	c.add(0, rec("3 a 1700000000000000000 5", "HTTP/1.1 200 OK\r\n\r\n")+"junk"+separator+liveReq(1, 1, 0)+"1 b 1700000000000000000 0\nGET / HT")
	c.end(t)
	got := c.Counts()
	if got.ReplayedResponses != 1 || got.Malformed != 1 || got.TruncatedRequests != 1 || got.Read != 1 || got.Records != 4 {
		t.Errorf("%+v", got)
	}
}

func TestLiveRoomIsBounded(t *testing.T) {
	c := newClockwork(Window{Records: 100})
	for i := range 300 {
		c.add(0, liveReq(i, 1, i))
		if c.window.held > 100 {
			t.Fatalf("%d records are held", c.window.held)
		}
	}
	for i := range 300 {
		c.add(0, liveResp(5000+i, 1, i))
		if c.window.held > 100 {
			t.Fatalf("%d records are held", c.window.held)
		}
	}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0].Text, "had to leave") {
		t.Errorf("%v", w)
	}
	c.end(t)
}

// TestLiveInAnyOrder shuffles records and loses some: whatever comes in, the
// accounts balance, every request leaves once, and those of a session leave in
// the order of their time if they came in that order.
func TestLiveInAnyOrder(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newClockwork(Window{Records: 1 + r.IntN(60)})
		want := 0
		for n := range 40 {
			var texts []string
			for conn := range 5 {
				if r.IntN(10) > 0 {
					c.add(float64(n), liveReq(conn, n, n*1000))
					want++
				}
				if r.IntN(10) > 0 {
					texts = append(texts, liveResp(conn, n, n*1000+500))
				}
			}
			r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
			for _, text := range texts {
				c.add(float64(n), text)
			}
			c.expire(float64(n))
		}
		c.end(t)
		if len(c.out) != want {
			t.Errorf("seed %d: %d requests came, %d left", seed, want, len(c.out))
		}
		last := make(map[string]time.Time)
		for _, x := range c.out {
			if x.At.Before(last[x.Session]) {
				t.Fatalf("seed %d: out of order in its session: %s", seed, line(x))
			}
			last[x.Session] = x.At
			if x.Response != nil && string(x.Response.Body.Bytes) != x.Request.Target[1:] {
				t.Fatalf("seed %d: a response that belongs to another request: %s", seed, line(x))
			}
		}
	}
}

// TestStreamDoesNotWaitForTheNextRecord reads from a pipe that stays open: a
// whole message is handed out when its separator is there.
func TestStreamDoesNotWaitForTheNextRecord(t *testing.T) {
	out, in := io.Pipe()
	s := NewStream(out, maxRecord)
	defer out.Close()
	for _, text := range []string{liveReq(1, 1, 0), liveResp(1, 1, 1), liveReq(1, 2, 2)} {
		go io.WriteString(in, text)
		if err := s.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreamRejoins holds live streams to what files can: a body may have a
// separator in it.
func TestStreamRejoins(t *testing.T) {
	body := "a" + separator + "b"
	text := rec(fmt.Sprintf("1 %s %d 0", id(1, 1), at(0)), fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)) + liveReq(1, 2, 1)
	s := NewStream(io.NopCloser(strings.NewReader(text)), maxRecord)
	if err := s.Advance(t.Context()); err != nil || string(s.file.record.request.Body.Bytes) != body {
		t.Fatal(err)
	}
	if err := s.Advance(t.Context()); err != nil || s.file.record.request.Target != "/1/2" {
		t.Fatal(err)
	}
}

func FuzzLive(f *testing.F) {
	f.Add([]byte(liveReq(1, 1, 0)+liveResp(1, 1, 1)), 10)
	f.Add([]byte(liveReq(1, 1, 0)+liveReq(1, 1, 0)+liveResp(1, 1, 1)+liveResp(1, 1, 2)), 2)
	f.Fuzz(func(t *testing.T, text []byte, records int) {
		c := newClockwork(Window{Records: min(records, 100)})
		for i, piece := range slices.Collect(slices.Chunk(text, 1+len(text)/3)) {
			c.add(float64(i), string(piece))
			c.expire(float64(2 * i))
		}
		c.end(t)
	})
}
