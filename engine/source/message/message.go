// Package message turns the messages of a bus into exchanges, whatever bus they
// came from. Four formats come in; exchanges go out with a receipt for each
// message that they were made of, so that a bus is told only about messages
// that somebody has seen the exchange of.
//
// Gor is what GoReplay produces: one record per message, requests and responses
// apart, brought together by their id here. GorJSON is what it produces with
// --output-kafka-json-format; that loses the status, so that responses are left
// out and a warning says so. Exchange is our own contract, which contract.go
// describes, and a jq program makes one of every other JSON.
//
// Every record is accounted for:
//
//	Records = handed out + Paired + OrphanResponses + ReplayedResponses + Malformed + TruncatedRequests + NotHTTP
//
// once Flush was called, where Paired counts only for Gor: in the other formats
// a response is part of its record. A message of Gor and GorJSON is one record;
// of the others it is one JSON value or one in every line. NotHTTP counts what
// the jq program made null of. Interim responses are no record. Truncated also
// counts responses of which a part is missing.
package message

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// Format says how messages are written.
type Format string

// The formats.
const (
	Gor      Format = "gor"
	GorJSON  Format = "gor_json"
	Exchange Format = "exchange" // the default
)

// Formats lists them all.
var Formats = []Format{Gor, GorJSON, Exchange}

// Config says how messages become exchanges.
type Config struct {
	Name   string    // of the source block; every exchange carries it
	Format Format    // "": Exchange
	Map    *jq.Value // makes an object of the contract of a message in JSON; nil: it is one already
	Wait   time.Duration
	Window Window
}

// Window bounds how much is held until the response to a request comes, in the
// format Gor. A zero field means the default.
type Window struct {
	Records int   // held at once; default 16384
	Bytes   int64 // held at once; default 64 MiB
}

// Message is a message as the bus delivers it.
type Message struct {
	Value   []byte
	Key     string    // what keeps messages in order; the session where the value names none
	At      time.Time // by the clock of the bus; the time where the value names none
	Offset  int64     // of the message, as the bus counts
	Receipt *Receipt  // may be nil
}

// Receipt counts what is still to come of one message. Its zero value is one
// that nothing is to come of.
type Receipt struct{ open int }

// Settled reports whether everything in the message is accounted for.
func (r *Receipt) Settled() bool { return r.open == 0 }

func (r *Receipt) hold() {
	if r != nil {
		r.open++
	}
}

func (r *Receipt) release() {
	if r != nil {
		r.open--
	}
}

// Item is an exchange with the receipts of the messages that it was made of.
type Item struct {
	Exchange *traffic.Exchange
	receipts [2]*Receipt
}

// Settle says that the exchange was handed out.
func (it *Item) Settle() {
	for _, r := range it.receipts {
		r.release()
	}
}

// Decoder makes exchanges of messages. It belongs to one goroutine.
type Decoder struct {
	cfg   Config
	log   ledger
	pairs *pairs // of Gor
}

// ledger is where all parts of a decoder write down what became of a record.
type ledger struct {
	source.Counts
	source.Journal
}

// DefaultWait is how long the response to a request is waited for.
const DefaultWait = 10 * time.Second

// MaxBody is the largest body that is kept, in bytes. A larger one of a request
// makes it a truncated request; of a response only its digest is kept.
const MaxBody = 8 << 20

// NewDecoder makes a decoder. The error names a format that does not exist, or
// one that leaves nothing for the jq program to do.
func NewDecoder(cfg Config) (*Decoder, error) {
	d := &Decoder{cfg: cfg}
	if cfg.Wait <= 0 {
		d.cfg.Wait = DefaultWait
	}
	switch cfg.Format {
	case "":
		d.cfg.Format = Exchange
	case Exchange:
	case Gor, GorJSON:
		if cfg.Map != nil {
			return nil, fmt.Errorf("the format %s needs no jq: take one of the two away", cfg.Format)
		}
	default:
		return nil, errors.New("there is no such format of messages: it is gor, gor_json or exchange")
	}
	if cfg.Format == Gor {
		d.pairs = newPairs(d.cfg, &d.log)
	}
	return d, nil
}

// Add takes a message in and returns the exchanges that can leave. now serves
// to measure how long a response takes to come.
func (d *Decoder) Add(ctx context.Context, m Message, now time.Time) []Item {
	switch d.cfg.Format {
	case Gor:
		return d.pairs.add(m, now)
	case GorJSON:
		return d.gorJSON(m)
	}
	var items []Item
	for _, value := range values(m.Value) {
		if x := d.exchange(ctx, m, value); x != nil {
			items = append(items, d.item(x, m.Receipt))
		}
	}
	return items
}

// Expire returns the exchanges that have waited long enough for a response.
func (d *Decoder) Expire(now time.Time) []Item {
	if d.pairs == nil {
		return nil
	}
	return d.pairs.expire(now)
}

// Flush returns all that is left: there will be no more messages.
func (d *Decoder) Flush() []Item {
	if d.pairs == nil {
		return nil
	}
	return d.pairs.flush()
}

// Holding reports whether something waits for more messages.
func (d *Decoder) Holding() bool { return d.pairs != nil && d.pairs.held > 0 }

func (d *Decoder) item(x *traffic.Exchange, r *Receipt) Item {
	r.hold()
	x.Source = d.cfg.Name
	return Item{Exchange: x, receipts: [2]*Receipt{r}}
}

// malformed accounts for a record that is no exchange.
func (d *Decoder) malformed(m Message, what string) {
	d.log.Malformed++
	d.log.Warn("", -1, fmt.Sprintf("message %d: %s, left out", m.Offset, what))
}

// truncated accounts for a request of which a part is missing.
func (d *Decoder) truncated(m Message, what string) {
	d.log.Truncated++
	d.log.TruncatedRequests++
	d.log.Warn("", -1, fmt.Sprintf("message %d: %s, left out", m.Offset, what))
}

// Counts returns the counters. Read is left to whoever hands the items out.
func (d *Decoder) Counts() source.Counts { return d.log.Counts }

// Warnings returns what was found wrong so far.
func (d *Decoder) Warnings() []source.Warning {
	ws := d.log.Warnings()
	if d.cfg.Format == GorJSON && d.log.OrphanResponses > 0 {
		ws = append(ws, source.Warning{Offset: -1, Text: fmt.Sprintf(
			"GoReplay's JSON has no status: %d responses are left out; without --output-kafka-json-format it sends whole ones (format = gor)", d.log.OrphanResponses)})
	}
	if d.pairs != nil && d.pairs.forced > 0 && d.log.OrphanResponses+d.log.Paired > 0 {
		ws = append(ws, source.Warning{Offset: -1, Text: fmt.Sprintf("%d requests had to leave before their response came, because too much waited", d.pairs.forced)})
	}
	return ws
}
