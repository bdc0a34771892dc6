// Package mitm reads the flow files of mitmproxy: what mitmdump -w writes, of
// every release since the format has had requests and responses in it. Files
// come in, plain or compressed; exchanges go out in the order of time.
//
// A file is a row of tnetstrings, one for each flow. Flows are written when they
// end, so a window of them is put in the order in which they began. Bodies are as
// they were sent, except that chunks are put together; Content-Length then
// takes the place of Transfer-Encoding. Content that mitmproxy streamed is not
// in the file: such a body is missing, not empty. Every flow is accounted for:
//
//	Records = Read + Malformed + NotHTTP
//
// once Next has returned io.EOF. NotHTTP counts tcp, udp, dns and websocket
// flows, tunnels, and requests that ended in an error without a response.
// ReplayedResponses counts responses that mitmproxy itself replayed; their
// requests are read without them. Truncated counts responses that an error cut
// short, which are paired nevertheless, and files whose end is missing. A
// tnetstring that is none leaves no way to find the next one: it counts as one
// malformed record, and a warning tells that the rest of its file is lost.
package mitm

import (
	"errors"
	"io"
	"math"

	"github.com/shadowaudit/shadowaudit/engine/source"
)

// ErrNotFlows is a file that does not begin with a flow of mitmproxy.
var ErrNotFlows = errors.New("not a flow file of mitmproxy")

// Config says what to read.
type Config struct {
	Name  string   // of the source block; every exchange carries it
	Paths []string // files or globs

	// Window is how many flows are held to put them in the order of time; 0
	// means 4096. Flows that are further out of order stay where they are.
	Window int
}

const (
	windowBytes = 64 << 20  // held to put flows in order, whatever Window says
	maxFlow     = 256 << 20 // the largest flow that is held, in bytes
)

// Reader is a source of exchanges, with counters, warnings and its progress.
type Reader struct{ *source.Reader[*file] }

// Open finds the files and looks at the first flow of each. A path that matches
// no file is an error that wraps fs.ErrNotExist; a file that begins with
// something else than a flow is one that wraps ErrNotFlows.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	inputs, meter, err := source.Inputs(names, firstTime)
	if err != nil {
		return nil, err
	}
	return newReader(cfg, inputs, meter, maxFlow), nil
}

func newReader(cfg Config, inputs []source.Input, meter *source.Meter, limit int64) *Reader {
	log := new(source.Ledger)
	window := cfg.Window
	if window <= 0 {
		window = 4096
	}
	return &Reader{source.NewReader(inputs, meter, log, func(name string, in io.ReadCloser) (*file, error) {
		return &file{
			name: name, in: in, flows: newStream(in, limit), log: log, source: cfg.Name,
			order: source.Order{Exchanges: window, Bytes: windowBytes},
		}, nil
	})}
}

// firstTime returns the time of the first flow, or the earliest time there is
// where that is no exchange. It is the flow that ended first; one that began
// before it is found when the file is open.
func firstTime(name string) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	v, _, err := newStream(in, maxFlow).next()
	switch {
	case err == errSyntax, err == nil && v.tag != tagDict:
		return 0, ErrNotFlows
	case err == io.EOF, err == io.ErrUnexpectedEOF, err == errTooLong:
		return math.MinInt64, nil // to be accounted for when it is its turn
	case err != nil:
		return 0, err
	}
	f, err := decode(v)
	if err != nil {
		return math.MinInt64, nil
	}
	if f.kind == "" && f.request == nil {
		return 0, ErrNotFlows
	}
	if f.request == nil || f.request.start.IsZero() {
		return math.MinInt64, nil
	}
	return f.request.start.UnixNano(), nil
}
