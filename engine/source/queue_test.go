package source

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestAQueueDropsAndCounts(t *testing.T) {
	q := Queue{Exchanges: 2}
	for i, want := range []bool{true, true, false, false} {
		if got := q.Put(&traffic.Exchange{ID: string(rune('a' + i))}); got != want {
			t.Errorf("exchange %d: let in %v", i, got)
		}
	}
	first, err := q.Next(t.Context())
	if err != nil || first.ID != "a" || first.Arrived.IsZero() || q.Dropped() != 2 {
		t.Errorf("got %+v, %v, %d dropped", first, err, q.Dropped())
	}
	if !q.Put(&traffic.Exchange{ID: "e"}) {
		t.Error("there was room again")
	}
}

func TestAQueueIsBoundedByBytes(t *testing.T) {
	q := Queue{Bytes: 10 << 10}
	body := func(n int) *traffic.Exchange {
		return &traffic.Exchange{Request: traffic.Request{Body: traffic.Body{Bytes: make([]byte, n)}}}
	}
	if !q.Put(body(1 << 20)) {
		t.Error("an empty queue has to take an exchange of any size, or it never would")
	}
	if q.Put(body(0)) || q.Dropped() != 1 {
		t.Error("a full queue took one more")
	}
	q.Next(t.Context())
	for i, want := range []bool{true, true, false} {
		if got := q.Put(body(4 << 10)); got != want {
			t.Errorf("exchange %d: let in %v; bytes are not given back", i, got)
		}
	}
}

func TestAQueueGivesWhatIsLeftAndThenEnds(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct{ end, want error }{{nil, io.EOF}, {broken, broken}} {
		var q Queue
		q.Put(&traffic.Exchange{ID: "a"})
		q.End(tt.end)
		q.End(errors.New("too late"))
		if q.Put(&traffic.Exchange{}) || q.Dropped() != 0 {
			t.Error("an exchange after the end was taken or counted")
		}
		if x, err := q.Next(t.Context()); err != nil || x.ID != "a" {
			t.Errorf("got %v, %v", x, err)
		}
		for range 2 {
			if x, err := q.Next(t.Context()); x != nil || err != tt.want {
				t.Errorf("got %v, %v, want %v", x, err, tt.want)
			}
		}
	}
}

func TestAReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.AfterFunc(time.Second, func() { q.Put(&traffic.Exchange{ID: "late"}) })
		start := time.Now()
		if x, err := q.Next(ctx); err != nil || x.ID != "late" || time.Since(start) != time.Second {
			t.Errorf("got %v, %v after %v", x, err, time.Since(start))
		}
		if _, err := q.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.AfterFunc(time.Second, func() { q.End(nil) })
		if _, err := q.Next(t.Context()); err != io.EOF {
			t.Errorf("error %v", err)
		}
	})
}

func TestAQueueLosesNothingBetweenItsEnds(t *testing.T) {
	const writers, each = 8, 500
	q := Queue{Exchanges: 16}
	var in sync.WaitGroup
	var let [writers]int64
	for w := range writers {
		in.Go(func() {
			for range each {
				if q.Put(&traffic.Exchange{}) {
					let[w]++
				}
			}
		})
	}
	go func() { in.Wait(); q.End(nil) }()
	var out int64
	for {
		if _, err := q.Next(t.Context()); err != nil {
			break
		}
		out++
	}
	var sum int64
	for _, n := range let {
		sum += n
	}
	if out != sum || sum+q.Dropped() != writers*each {
		t.Errorf("%d let in, %d came out, %d dropped of %d", sum, out, q.Dropped(), writers*each)
	}
}
