// Package accesslog reads access logs: of nginx and Apache, of Envoy, of AWS
// load balancers and CloudFront, and JSON lines with fields that the user names.
// Files come in, plain or compressed; exchanges go out in the order of time.
//
// A line tells the request line, the status, and little more: no body, and of
// the fields at most Host, User-Agent and Referer. So a request of a method that
// carries no body (GET, HEAD, OPTIONS) is complete; the body of every other is
// missing, and whoever replays has to leave it out. A response is a status
// without fields, and its body is missing. Timing is given only where the log
// has the time of the server itself; logs have one such time, which stands for
// the first byte and the last. Every line is accounted for:
//
//	Records = Read + Malformed + NotHTTP
//
// once Next has returned io.EOF. Records are lines, without empty ones and
// those that begin with "#" in a text format. NotHTTP counts what reached no
// server or was no HTTP request: connections without a request, TLS sent to a
// plain port, WebSocket and tunnels, answers that a load balancer gave by rule
// or CloudFront from its cache, and the lines that nginx writes for subrequests of
// its own (mirror, auth_request) where log_subrequest is on. Those are known in
// nginx_json by an id and a connection that they share with the request itself;
// in the combined format nothing tells them apart. A status that stands for an answer that nobody
// received (nginx's 444 and 499) is no response. Truncated counts compressed
// files whose end is missing.
//
// Times are those at which requests began. Where a log has the end and the
// duration, one is taken from the other; where it has the end alone (combined),
// that has to do. Times of whole seconds are spread evenly over their second, in
// the order of the lines.
package accesslog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/shadowaudit/shadowaudit/engine/source"
)

// ErrNotLog is a file without a line of the format.
var ErrNotLog = errors.New("not a log of this format: no line of it can be read")

// Config says what to read.
type Config struct {
	Name   string   // of the source block; every exchange carries it
	Paths  []string // files or globs
	Format Format   // "": what Detect says of the first file
	Fields Fields   // of JSON

	// Window is how many lines are held to put them in the order of time; 0
	// means 65536. Lines that are further out of order stay where they are.
	Window int
}

const (
	windowBytes = 64 << 20 // held to put lines in order, whatever Window says
	maxLine     = 1 << 20  // the longest line that is held, in bytes
	firstLook   = 100      // lines that are looked at to know a format
)

// Reader is a source of exchanges, with counters, warnings and its progress.
type Reader struct{ *source.Reader[*file] }

// Open finds the files and looks at the first lines of each. A path that matches
// no file is an error that wraps fs.ErrNotExist; a file that has lines, none of
// which is of the format, is one that wraps ErrNotLog.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	if cfg.Format == "" {
		if cfg.Format, err = Detect(names[0]); err != nil {
			return nil, fmt.Errorf("read %s: %w", names[0], err)
		}
	}
	if _, err := newParser(cfg.Format, cfg.Fields); err != nil {
		return nil, err
	}
	inputs, meter, err := source.Inputs(names, func(name string) (int64, error) { return firstTime(cfg, name) })
	if err != nil {
		return nil, err
	}
	return newReader(cfg, inputs, meter), nil
}

func newReader(cfg Config, inputs []source.Input, meter *source.Meter) *Reader {
	log := new(source.Ledger)
	return &Reader{source.NewReader(inputs, meter, log, func(name string, in io.ReadCloser) (*file, error) {
		return newFile(cfg, name, in, log)
	})}
}

// firstTime returns the earliest time of the first lines, or the earliest time
// there is where none of them is an exchange.
func firstTime(cfg Config, name string) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	log := new(source.Ledger)
	f, err := newFile(cfg, name, in, log)
	if err != nil {
		return 0, errors.Join(err, in.Close())
	}
	defer f.Close()
	first := int64(math.MaxInt64)
	for log.Records < firstLook && !f.ended {
		if err := f.read(); err != nil {
			return 0, err
		}
		if x := f.order.First(); x != nil {
			first = x.At.UnixNano()
		}
	}
	switch {
	case log.Records > 0 && log.Records == log.Malformed:
		return 0, ErrNotLog
	case first == math.MaxInt64:
		return math.MinInt64, nil // to be accounted for when it is its turn
	}
	return first, nil
}

// Detect tells by its first lines in which format a file is written. It is
// ErrNotLog for a file in none, or in JSON whose fields are not those of a
// known producer.
func Detect(name string) (Format, error) {
	if info, err := os.Stat(name); err != nil {
		return "", err
	} else if info.Size() == 0 {
		return "", ErrNotLog
	}
	for _, format := range Formats() {
		if format == JSON {
			continue
		}
		ok, err := speaks(name, format)
		if err != nil {
			return "", err
		}
		if ok {
			return format, nil
		}
	}
	return "", ErrNotLog
}

// speaks reports whether most of the first lines are of the format, and one at
// least is a request.
func speaks(name string, format Format) (bool, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return false, err
	}
	log := new(source.Ledger)
	f, err := newFile(Config{Format: format}, name, in, log)
	if err != nil {
		return false, errors.Join(err, in.Close())
	}
	defer f.Close()
	for log.Records < firstLook && !f.ended {
		if err := f.read(); err != nil {
			return false, err
		}
	}
	return f.order.First() != nil && log.Malformed*2 < log.Records, nil
}
