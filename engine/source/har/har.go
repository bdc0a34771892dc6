// Package har reads HAR files, the archives of HTTP traffic that browsers and
// proxies export: version 1.2, and what their producers make of it. Files come
// in, plain or compressed; exchanges go out in the order of time.
//
// A HAR holds messages as a client saw them: bodies decoded, text in UTF-8,
// traffic with anybody. The reader turns that back into messages that a server
// can be sent, leaves out what never reached one, and accounts for every entry:
//
//	Records = Read + Malformed + NotHTTP + ForeignHost + TruncatedRequests
//
// once Next has returned io.EOF. Truncated also counts responses whose text is
// cut, and files whose end is missing.
package har

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// ErrNotHAR is a file that does not begin as a HAR does.
var ErrNotHAR = errors.New("not a HAR file")

// Config says what to read.
type Config struct {
	Name  string   // of the source block; every exchange carries it
	Paths []string // files or globs

	// Hosts are the hosts whose traffic is wanted, with a port or for any
	// port. None means all hosts of the files, third parties included.
	Hosts []string

	// Window is how many entries are held to put them in the order of time;
	// 0 means 4096. Entries that are further out of order stay where they are.
	Window int
}

// windowBytes bounds what is held to put entries in order, whatever Window says.
const windowBytes = 64 << 20

// maxEntry is the largest entry that is held, in bytes of JSON.
const maxEntry = 256 << 20

// Reader is a source of exchanges. It is used by one goroutine, except for
// Progress.
type Reader struct {
	meter *source.Meter
	merge *source.Merge[*file]
	log   *ledger
	err   error // final
}

var (
	_ source.Source     = (*Reader)(nil)
	_ source.Accountant = (*Reader)(nil)
	_ source.Warner     = (*Reader)(nil)
	_ source.Progress   = (*Reader)(nil)
	_ io.Closer         = (*Reader)(nil)
)

// ledger is where all files of a reader write down what became of an entry.
type ledger struct {
	source.Counts
	source.Journal
}

// Open finds the files and looks at the beginning of each. A path that matches
// no file is an error that wraps fs.ErrNotExist; a file that is no HAR is one
// that wraps ErrNotHAR and says where it is not.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	inputs, meter, err := source.Inputs(names, firstTime)
	if err != nil {
		return nil, err
	}
	r := newReader(cfg, inputs)
	r.meter = meter
	return r, nil
}

func newReader(cfg Config, inputs []source.Input) *Reader {
	log := new(ledger)
	window := cfg.Window
	if window <= 0 {
		window = 4096
	}
	parts := make([]source.Part[*file], 0, len(inputs))
	for _, in := range inputs {
		parts = append(parts, source.Part[*file]{First: in.First, Open: func() (*file, error) {
			rc, err := in.Open()
			if err != nil {
				return nil, err
			}
			f := newFile(in.Name, rc, log)
			f.source, f.window, f.hosts = cfg.Name, window, newHosts(cfg.Hosts)
			return f, nil
		}})
	}
	return &Reader{merge: source.NewMerge(parts), log: log, meter: new(source.Meter)}
}

// firstTime returns the time of the first entry, or the earliest time there is
// where it has none.
func firstTime(name string) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	f := newFile(name, in, new(ledger))
	defer f.Close()
	raw, _, err := f.array.next()
	switch {
	case err == nil:
	case err == io.EOF, err == io.ErrUnexpectedEOF, err == errTooLong, err == errSyntax:
		return math.MinInt64, nil // to be accounted for when it is its turn
	default:
		return 0, err
	}
	e, err := decode(raw)
	if err != nil {
		return math.MinInt64, nil
	}
	at, err := parseTime(e.Started)
	if err != nil {
		return math.MinInt64, nil
	}
	return at.UnixNano(), nil
}

// Next returns the next exchange.
func (r *Reader) Next(ctx context.Context) (*traffic.Exchange, error) {
	if r.err != nil {
		return nil, r.err
	}
	f, err := r.merge.Next(ctx)
	if err != nil {
		r.err = err
		return nil, err
	}
	r.log.Read++
	if f.current.Response != nil {
		r.log.Paired++
	}
	return f.current, nil
}

// Counts returns the counters as they are now.
func (r *Reader) Counts() source.Counts { return r.log.Counts }

// Warnings returns what was found wrong so far.
func (r *Reader) Warnings() []source.Warning { return r.log.Warnings() }

// Progress returns how many bytes of the files were read, and of how many.
func (r *Reader) Progress() (done, total int64) { return r.meter.Progress() }

// Close closes the files; Next then fails.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	return r.merge.Close()
}
