// Package envoytap reads what the tap filter of Envoy writes: files with one
// request each, or with many, as JSON or as protocol buffers, whole or in
// segments. Files come in, plain or compressed; exchanges go out in the order of
// time.
//
// Envoy (or the sidecar of a mesh) is set up like this:
//
//	http_filters:
//	- name: envoy.filters.http.tap
//	  typed_config:
//	    "@type": type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap
//	    record_headers_received_time: true
//	    record_downstream_connection: true
//	    common_config:
//	      static_config:
//	        match: { any_match: true }
//	        output_config:
//	          max_buffered_rx_bytes: 8388608 # of a request; 1 KiB if not set
//	          max_buffered_tx_bytes: 8388608 # of a response
//	          sinks:
//	          - format: PROTO_BINARY # or JSON_BODY_AS_BYTES
//	            file_per_tap: { path_prefix: /var/tap/shop }
//
// The messages are those of envoy/data/tap/v3/wrapper.proto, http.proto and
// common.proto. TraceWrapper.http_buffered_trace is a whole exchange;
// http_streamed_trace_segment is a part of one, and parts are put together by
// their trace_id. JSON may name its fields in either way that the JSON mapping
// of protocol buffers allows, and documents may follow one another, as those of
// the /tap endpoint do. Files of PROTO_TEXT are refused.
//
// Pseudo header fields become the request line and Host; nothing else is
// undone: what Envoy adds on the way (x-forwarded-proto, x-request-id) stays. A
// tap does not tell the version of HTTP, so HTTP/1.1 is written down, or HTTP/2
// for gRPC. Nor does it tell when a response ended, so there is no timing. An
// exchange without headers_received_time, which segments never have, takes the
// time of its file: the moment at which Envoy wrote it.
//
// A record is an exchange that was tapped, in however many segments. Once Next
// has returned io.EOF,
//
//	Records = Read + Malformed + OrphanResponses + TruncatedRequests + NotHTTP
//
// TruncatedRequests are requests whose body the tap cut, or which
// JSON_BODY_AS_STRING has spoiled: it puts spaces where bytes are not UTF-8.
// Text in another charset that does not say so cannot be told from text that
// was sent with spaces. NotHTTP counts tunnels, upgrades and taps of sockets.
// Truncated also counts responses that were cut, which are paired nevertheless,
// and files whose end is missing.
package envoytap

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
)

// ErrNotTap is a file that does not begin with a trace of Envoy.
var ErrNotTap = errors.New("not a tap file of Envoy")

// Config says what to read.
type Config struct {
	Name  string   // of the source block; every exchange carries it
	Paths []string // files or globs

	// Window is how many traces of a file are held, to put them in the order
	// of time and to put their segments together; 0 means 4096.
	Window int
}

const (
	windowBytes = 64 << 20  // held of a file, whatever Window says
	maxTrace    = 256 << 20 // the largest trace that is held, in bytes of the file
)

// Reader is a source of exchanges, with counters, warnings and its progress.
type Reader struct {
	*source.Reader[*file]
	log *ledger
}

var _ source.Warner = (*Reader)(nil)

// ledger is where all files of a reader write down what became of a trace.
type ledger struct {
	source.Ledger

	untimed      int64 // exchanges without a time of their own
	cutRequests  int64 // by the limit of the tap
	cutResponses int64
	spoiled      int64 // bodies that were written as text and are none
	hurried      int64 // streamed traces given up before their file ended
}

// Open finds the files and looks at the first trace of each. A path that
// matches no file is an error that wraps fs.ErrNotExist; a file of another kind
// is one that wraps ErrNotTap.
func Open(cfg Config) (*Reader, error) {
	names, err := source.Files(cfg.Paths)
	if err != nil {
		return nil, err
	}
	if cfg.Window <= 0 {
		cfg.Window = 4096
	}
	written := make(map[string]int64, len(names))
	for i, name := range names {
		if written[name], err = timeWritten(name, i); err != nil {
			return nil, err
		}
	}
	inputs, meter, err := source.Inputs(names, func(name string) (int64, error) { return firstTime(name, written[name]) })
	if err != nil {
		return nil, err
	}
	log := new(ledger)
	return &Reader{source.NewReader(inputs, meter, &log.Ledger, func(name string, in io.ReadCloser) (*file, error) {
		return newFile(cfg, name, in, written[name], log), nil
	}), log}, nil
}

// Is reports whether a file begins with a trace of Envoy, whole. It is stricter
// than Open, which takes a damaged one for what it was said to be.
func Is(name string) (bool, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return false, err
	}
	defer in.Close()
	records, err := newRecords(in, maxTrace)
	if err == nil {
		_, err = records.next()
	}
	switch {
	case err == nil:
		return true, nil
	case isDamage(err), errors.Is(err, envoy.ErrShape), errors.Is(err, ErrNotTap):
		return false, nil
	}
	return false, fmt.Errorf("read %s: %w", name, err)
}

// timeWritten is when a file was last written, in nanoseconds since 1970, plus
// its number among the files. That keeps files apart which have the same time,
// as those of an archive have that knows whole seconds only: all of them would
// be due, and open, at once.
func timeWritten(name string, number int) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixNano() + int64(number), nil
}

// firstTime returns the time of the first trace; written stands for one that
// has none.
func firstTime(name string, written int64) (int64, error) {
	in, err := source.OpenFile(name, nil)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	records, err := newRecords(in, maxTrace)
	if err != nil {
		return 0, err
	}
	rec, err := records.next()
	switch {
	case isDamage(err):
		return written, nil // to be accounted for when it is its turn
	case errors.Is(err, envoy.ErrShape):
		return 0, ErrNotTap
	case err != nil:
		return 0, err
	}
	if rec.trace == nil || rec.trace.request.at.IsZero() {
		return written, nil
	}
	return rec.trace.request.at.UnixNano(), nil
}

// Warnings returns what was found wrong so far.
func (r *Reader) Warnings() []source.Warning {
	var all source.Journal
	for _, w := range []struct {
		n          int64
		noun, what string
	}{
		{r.log.cutRequests, "request", " left out, since the tap cut the body; raise max_buffered_rx_bytes, which is 1 KiB where it is not set"},
		{r.log.cutResponses, "response", " cut by the tap; raise max_buffered_tx_bytes, which is 1 KiB where it is not set"},
		{r.log.spoiled, "body", " spoiled by the format JSON_BODY_AS_STRING; use PROTO_BINARY or JSON_BODY_AS_BYTES"},
		{r.log.untimed, "exchange", " without a time, for which the time of the file stands; set record_headers_received_time, and no streaming"},
		{r.log.hurried, "streamed trace", " taken for whole before the file ended, to bound the memory that is held"},
	} {
		if w.n > 0 {
			all.Warn("", -1, plural(w.n, w.noun)+w.what)
		}
	}
	return append(all.Warnings(), r.Reader.Warnings()...)
}

func plural(n int64, noun string) string {
	if noun == "body" && n != 1 {
		return result.FormatCount(n) + " bodies"
	}
	return result.Plural(n, noun)
}
