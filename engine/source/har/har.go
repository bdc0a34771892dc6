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
	"errors"
	"io"
	"math"

	"github.com/shadowaudit/shadowaudit/engine/source"
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

// Reader is a source of exchanges, with counters, warnings and its progress.
type Reader struct{ *source.Reader[*file] }

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
	return newReader(cfg, inputs, meter), nil
}

func newReader(cfg Config, inputs []source.Input, meter *source.Meter) *Reader {
	log := new(source.Ledger)
	window := cfg.Window
	if window <= 0 {
		window = 4096
	}
	return &Reader{source.NewReader(inputs, meter, log, func(name string, in io.ReadCloser) (*file, error) {
		f := newFile(name, in, log)
		f.source, f.hosts = cfg.Name, newHosts(cfg.Hosts)
		f.order = source.Order{Exchanges: window, Bytes: windowBytes}
		return f, nil
	})}
}

// firstTime returns the time of the first entry, or the earliest time there is
// where it has none.
func firstTime(name string) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	f := newFile(name, in, new(source.Ledger))
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
