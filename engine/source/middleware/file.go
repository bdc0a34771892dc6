package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
)

// file is a sink that scrubs and writes a recording.
type file struct {
	rec    *Recorder
	scrub  *scrub.Scrubber
	out    *recording.Writer
	halted context.Context
	giveUp context.CancelFunc
}

func newFile(r *Recorder, path string, key []byte) (*file, error) {
	s, err := scrub.New(scrub.Config{Key: key})
	if err != nil {
		return nil, err
	}
	out, err := recording.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create the recording: %w", err)
	}
	f := &file{rec: r, scrub: s, out: out}
	f.halted, f.giveUp = context.WithCancel(context.Background())
	return f, nil
}

func (f *file) halt() { f.giveUp() }

// run writes until the recorder is closed. After an error of the disk it drops
// what comes.
func (f *file) run() error {
	var failed error
	write := func(e *entry) {
		if failed == nil {
			failed = f.write(e)
		} else {
			f.rec.drop(e)
		}
	}
	for open := true; open; {
		select {
		case e := <-f.rec.queue:
			write(e)
		case <-f.rec.closing:
			open = false
		}
	}
	for f.halted.Err() == nil && len(f.rec.queue) > 0 {
		write(<-f.rec.queue)
	}
	f.rec.dropRest()
	return errors.Join(failed, f.out.Close())
}

// write scrubs an exchange and writes it. The error is that of the disk.
func (f *file) write(e *entry) error {
	x := *e.exchange
	if f.scrub.Exchange(&x) != nil {
		f.rec.tally.withheld.Add(1)
		f.rec.memory.give(e.size)
		return nil
	}
	x.ID, x.Session = "", f.scrub.Session(x.Session) // both may hold the address of a client
	err := f.out.Write(&x)
	if err != nil {
		f.rec.drop(e)
		if errors.Is(err, recording.ErrTooLarge) {
			return nil
		}
		return err
	}
	f.rec.tally.sent.Add(1)
	f.rec.memory.give(e.size)
	return nil
}
