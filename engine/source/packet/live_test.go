package packet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
)

// passing is an Origin whose packets pass when a test says so.
type passing struct {
	frames chan []wire.Frame
	lost   atomic.Int64
	closed atomic.Bool
}

func newPassing() *passing { return &passing{frames: make(chan []wire.Frame, 100)} }

func (p *passing) Read(take func(*Packet)) error {
	select {
	case frames, ok := <-p.frames:
		if !ok {
			return errors.New("the device is gone")
		}
		for _, f := range frames {
			take(&Packet{At: f.At, Link: layers.LinkTypeEthernet, Data: f.Data})
		}
	case <-time.After(100 * time.Millisecond):
	}
	return nil
}

func (p *passing) Lost() int64 { return p.lost.Load() }

func (p *passing) Close() error {
	p.closed.Store(true)
	return nil
}

// pass lets packets of w pass that have not, with the time of now.
func (p *passing) pass(w *wire.Wire) {
	for i := range w.Frames {
		w.Frames[i].At = time.Now().UnixNano()
	}
	p.frames <- w.Frames
	w.Frames = nil
	synctest.Wait()
}

// rest gives what a stopped source has left.
func rest(t *testing.T, l *Live) string {
	t.Helper()
	var all []string
	for {
		x, err := l.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, show(x))
	}
	c := l.Counts()
	if sum := c.Read + c.Paired + c.OrphanResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP + c.Dropped; sum != c.Records {
		t.Errorf("counters do not add up: %+v", c)
	}
	return strings.Join(all, "|")
}

func live(t *testing.T, f func(t *testing.T, p *passing, l *Live, w *wire.Wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPassing()
		l := Listen(Config{Name: "peak"}, p)
		f(t, p, l, wire.New())
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if !p.closed.Load() {
			t.Error("the origin is still open")
		}
		if _, err := l.Next(t.Context()); err == nil || err == io.EOF {
			t.Errorf("after close: %v", err)
		}
		if err := l.Close(); err != nil { // twice does no harm
			t.Error(err)
		}
	})
}

func TestLive(t *testing.T) {
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")))
		x, err := l.Next(t.Context())
		if err != nil || show(x) != "GET /a 200 <A>" || x.Source != "peak" || x.Arrived.IsZero() {
			t.Fatalf("%+v, %v", x, err)
		}
		p.lost.Store(3)
		if c := l.Counts(); c != (source.Counts{Records: 2, Read: 1, Paired: 1, LostPackets: 3}) || len(l.Warnings()) != 1 {
			t.Errorf("%+v, %v", c, l.Warnings())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing passes: %v", err)
		}
		p.pass(w.HangUp().Dial().Send(wire.Client, wire.Get("/b")).Send(wire.Server, wire.OK("B")))
		l.Stop()
		l.Stop()
		if _, err := l.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Next(t.Context()); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	})
}

// A reader that does not read at all costs what passes nothing; what it misses
// is counted.
func TestLiveDrops(t *testing.T) {
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		const n = source.DefaultQueued + 1000
		began := time.Now()
		for i := range n {
			w.Dial().Send(wire.Client, wire.Get(fmt.Sprint("/", i))).Send(wire.Server, wire.OK("A")).HangUp()
		}
		p.pass(w)
		if took := time.Since(began); took != 0 {
			t.Errorf("reading packets waited for %v", took)
		}
		if c := l.Counts(); c.Dropped != 1000 {
			t.Errorf("%+v", c)
		}
		l.Stop()
		if got := rest(t, l); strings.Count(got, "|")+1 != source.DefaultQueued {
			t.Errorf("%d exchanges", strings.Count(got, "|")+1)
		}
	})
}

// What has begun when the source is stopped may end; nothing else begins.
func TestLiveStop(t *testing.T) {
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")))
		l.Stop()
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		p.pass(w.Send(wire.Server, wire.OK("A")).Send(wire.Client, wire.Get("/late")).Send(wire.Server, wire.OK("late")))
		p.pass(w.Dial().Send(wire.Client, wire.Get("/new")).Send(wire.Server, wire.OK("new")))
		if got := rest(t, l); got != "GET /a 200 <A>" {
			t.Errorf("got %s", got)
		}
	})
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")))
		stopped := time.Now()
		l.Stop()
		if got := rest(t, l); got != "GET /a none" {
			t.Errorf("got %s", got)
		}
		if took := time.Since(stopped); took < grace || took > grace+200*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// The clock goes on where no packet comes.
func TestLiveClock(t *testing.T) {
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("0123456789")[:45]).Lose(wire.Server, 4))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if c := l.Counts(); c.Gaps != 1 {
			t.Errorf("a gap on a silent connection: %+v", c)
		}
	})
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")))
		time.Sleep(idleTime + 2*time.Second)
		if x, err := l.Next(t.Context()); err != nil || show(x) != "GET /a none" {
			t.Errorf("an idle connection: %v, %v", x, err)
		}
	})
}

// An answer that does not come, or not soon, holds nobody up for long, and is
// not given up either.
func TestLivePatience(t *testing.T) {
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		slow := wire.New()
		slow.Port = 50000
		p.pass(slow.Dial().Send(wire.Client, wire.Get("/slow")))
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")))
		began := time.Now()
		if x, err := l.Next(t.Context()); err != nil || show(x) != "GET /a 200 <A>" {
			t.Errorf("%v, %v", x, err)
		}
		if waited := time.Since(began); waited > patience+2*tickTime {
			t.Errorf("waited for %v", waited)
		}
		p.pass(slow.Send(wire.Server, wire.OK("S")))
		l.Stop()
		if got := rest(t, l); got != "GET /slow 200 <S>" {
			t.Errorf("got %s", got)
		}
		if c := l.Counts(); c.OrphanResponses != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestLiveOriginFails(t *testing.T) {
	live(t, func(t *testing.T, p *passing, l *Live, w *wire.Wire) {
		p.pass(w.Dial().Send(wire.Client, wire.Get("/a")).Send(wire.Server, wire.OK("A")))
		close(p.frames)
		if x, err := l.Next(t.Context()); err != nil || show(x) != "GET /a 200 <A>" {
			t.Errorf("%v, %v", x, err)
		}
		if _, err := l.Next(t.Context()); err == nil || err.Error() != "the device is gone" {
			t.Errorf("error %v", err)
		}
	})
}
