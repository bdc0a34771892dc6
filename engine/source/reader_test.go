package source

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// answered is a stream of exchanges, one for each time; those of even time have
// a response.
type answered struct{ numbers }

func (a *answered) Exchange() *traffic.Exchange {
	x := &traffic.Exchange{ID: a.name}
	if a.Time()%2 == 0 {
		x.Response = new(traffic.Response)
	}
	return x
}

// text is an input of the name that remembers that it was closed.
func text(name string, first int64, closed *[]string) Input {
	return Input{Name: name, First: first, Open: func() (io.ReadCloser, error) {
		return struct {
			io.Reader
			io.Closer
		}{strings.NewReader(name), &numbers{name: name, closed: closed}}, nil
	}}
}

func TestReader(t *testing.T) {
	var closed []string
	log := new(Ledger)
	inputs := []Input{text("a", 1, &closed), text("b", 2, &closed)}
	r := NewReader(inputs, new(Meter), log, func(name string, in io.ReadCloser) (*answered, error) {
		log.Reject(name, 0, "odd")
		return &answered{numbers{name: name, times: map[string][]int64{"a": {1, 4}, "b": {2, 3}}[name], closed: &closed}}, nil
	})
	var got string
	x, err := r.Next(t.Context())
	for ; err == nil; x, err = r.Next(t.Context()) {
		got += x.ID
	}
	if _, again := r.Next(t.Context()); err != io.EOF || again != io.EOF || got != "abba" {
		t.Errorf("got %s, %v, then %v", got, err, again)
	}
	if c := r.Counts(); c != (Counts{Read: 4, Paired: 2, Records: 2, Malformed: 2}) || len(r.Warnings()) != 2 {
		t.Errorf("counts %+v, warnings %v", c, r.Warnings())
	}
	if err := r.Close(); err != nil || len(closed) != 2 {
		t.Errorf("closed %v, %v", closed, err)
	}
}

func TestReaderFailsForGood(t *testing.T) {
	broken := errors.New("broken")
	var closed []string
	inputs := []Input{text("a", 1, &closed)}
	open := func(string, io.ReadCloser) (*answered, error) { return nil, broken }
	r := NewReader(inputs, new(Meter), new(Ledger), open)
	for range 2 {
		if _, err := r.Next(t.Context()); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	}
	if strings.Join(closed, " ") != "a" {
		t.Errorf("closed %v", closed)
	}
	r = NewReader(inputs, new(Meter), new(Ledger), open)
	r.Close()
	if _, err := r.Next(context.Background()); err == nil || err == io.EOF || errors.Is(err, broken) {
		t.Errorf("after close: %v", err)
	}
}
