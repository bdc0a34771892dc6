package preview

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/draft"
	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// Contents says what is in a recording or capture. Durations are integers in
// nanoseconds, shares are numbers from 0 to 1, empty lists are []. Everything
// that comes from the traffic is scrubbed.
type Contents struct {
	FormatVersion string      `json:"format_version"`
	Tool          result.Tool `json:"tool"`
	Kind          string      `json:"kind"` // of source: "gor"
	Files         []string    `json:"files"`
	Made          []Made      `json:"made"`  // what the files say of themselves, where they are recordings of our own
	Error         string      `json:"error"` // why it could not be read to its end; "" when it could

	Traffic result.Traffic `json:"traffic"`  // Selected are those that are described below
	FirstAt string         `json:"first_at"` // RFC 3339; "" where there is none
	LastAt  string         `json:"last_at"`
	SpanNS  int64          `json:"span_ns"`
	Rate    Rate           `json:"rate"`

	Endpoints []Endpoint    `json:"endpoints"`
	Methods   []Count       `json:"methods"`  // largest first
	Statuses  []Count       `json:"statuses"` // of the recorded responses, in their order
	Sessions  Sessions      `json:"sessions"`
	Bodies    Bodies        `json:"bodies"`
	Scrub     Scrub         `json:"scrub"`
	Notes     []result.Note `json:"notes"`
}

// Rate is when the requests came.
type Rate struct {
	MeanPerS float64 `json:"mean_per_s"` // over the span; 0 where there is none
	PeakPerS float64 `json:"peak_per_s"` // most within one second
	BucketNS int64   `json:"bucket_ns"`  // length of each part of the plot
	Buckets  []int64 `json:"buckets"`    // requests in each, from the first one on
}

// Count is a name and how often it came.
type Count struct {
	Name      string `json:"name"`
	Exchanges int64  `json:"exchanges"`
}

// Bodies are the bodies after scrubbing, with their content coding on.
type Bodies struct {
	RequestBytes  int64 `json:"request_bytes"`
	ResponseBytes int64 `json:"response_bytes"`
	Truncated     int64 `json:"truncated"` // of responses, like the next two
	Missing       int64 `json:"missing"`   // not recorded, or withheld by the scrubber
	Oversized     int64 `json:"oversized"`
}

// WriteJSON writes the document, indented and with a final line feed.
func (c *Contents) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(c)
}

// Inspect reads recordings of one kind, which their content tells, and says
// what is in them. What goes wrong on the way is in the document; the error is
// about files that cannot be opened, or that of ctx. The scrub key is made of the
// files, so that the same files give the same bytes.
func Inspect(ctx context.Context, version string, paths []string, access intake.Access) (*Contents, error) {
	kind, err := draft.Kind(paths)
	if err != nil {
		return nil, err
	}
	key, err := intake.RecordingKey(paths)
	if err != nil {
		return nil, err
	}
	p := &plan.Audit{
		Source: plan.Source{Kind: kind, Name: "recording", Paths: paths, Shown: paths},
		Replay: replay.Config{Timing: replay.Recorded, Speed: 1},
	}
	c := &Contents{FormatVersion: FormatVersion, Tool: result.Tool{Name: "shadowaudit", Version: version}, Kind: kind, Files: paths}
	i := &inspection{contents: c, methods: map[string]int64{}, statuses: map[int]int64{}}
	if i.tally, err = newTally(p); err != nil {
		return nil, err
	}
	in, err := intake.Open(p, intake.Options{Key: key, Responses: true, AnyMethod: true, Access: access, Scrubbed: i.persons.look})
	if err != nil {
		return nil, err
	}
	defer in.Close()
	c.Made = []Made{}
	if kind == "recording" {
		c.Made = madeOf(paths, access)
	}
	for {
		step, err := in.Next(ctx)
		if err == io.EOF {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			c.Error = fmt.Sprintf("it could not be read to its end: %v", err)
			break
		}
		i.add(ctx, step)
	}
	i.conclude(in, p)
	return c, nil
}

// inspection is a recording while it is looked at.
type inspection struct {
	*tally
	contents *Contents
	plot     histogram
	methods  map[string]int64
	statuses map[int]int64
}

func (i *inspection) add(ctx context.Context, step *replay.Step) {
	i.tally.add(ctx, step)
	x := step.Exchange
	i.plot.add(x.At.Sub(i.first))
	method := x.Request.Method
	if _, known := i.methods[method]; !known && (len(i.methods) >= maxMethods || !isMethod(method)) {
		method = cohort.Other
	}
	i.methods[method]++
	b := &i.contents.Bodies
	b.RequestBytes += int64(len(x.Request.Body.Bytes))
	if x.Response == nil {
		return
	}
	i.statuses[statusOf(x.Response)]++
	b.ResponseBytes += int64(len(x.Response.Body.Bytes))
	switch x.Response.Body.State {
	case traffic.Truncated:
		b.Truncated++
	case traffic.Missing:
		b.Missing++
	case traffic.Oversized:
		b.Oversized++
	}
}

// statusOf gives the status of a response, or 0 for what is none of HTTP.
func statusOf(r *traffic.Response) int {
	if r.Status < 100 || r.Status > 999 {
		return 0
	}
	return r.Status
}

func (i *inspection) conclude(in *intake.Intake, p *plan.Audit) {
	c := i.contents
	v := &view{audit: &Audit{Traffic: in.Traffic()}, plan: p, tally: i.tally}
	c.Traffic = v.audit.Traffic
	if !i.first.IsZero() {
		c.FirstAt, c.LastAt = i.first.UTC().Format(time.RFC3339Nano), i.last.UTC().Format(time.RFC3339Nano)
		c.SpanNS = int64(i.last.Sub(i.first))
	}
	width, buckets := i.plot.buckets()
	c.Rate = Rate{MeanPerS: i.meter.mean(), PeakPerS: float64(i.meter.peak), BucketNS: int64(width), Buckets: buckets}
	for _, name := range ranked(i.endpoints) {
		c.Endpoints = append(c.Endpoints, Endpoint{name, i.endpoints[name], v.share(i.endpoints[name])})
	}
	for _, name := range ranked(i.methods) {
		c.Methods = append(c.Methods, Count{name, i.methods[name]})
	}
	for status, n := range i.statuses {
		name := strconv.Itoa(status)
		if status == 0 {
			name = cohort.Other
		}
		c.Statuses = append(c.Statuses, Count{name, n})
	}
	slices.SortFunc(c.Statuses, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	c.Sessions = v.sessionsFound()
	v.scrubbed(in.Scrub())
	c.Scrub = v.audit.Scrub
	c.Notes = in.SourceNotes()
	list(&c.Endpoints)
	list(&c.Methods)
	list(&c.Statuses)
	list(&c.Notes)
	list(&c.Scrub.Packs)
	list(&c.Scrub.Rules)
	list(&c.Scrub.Dropped)
	list(&c.Scrub.Replaced)
	list(&c.Scrub.Uncovered)
	list(&c.Rate.Buckets)
}

// columns is how many parts a plot has at most.
const columns = 60

// histogram counts requests over a span that is not known before its end: when
// one lies behind the last part, two parts become one and all twice as long.
type histogram struct {
	width time.Duration
	parts [2 * columns]int64
	used  int
}

// add counts a request at a time from the first one on. One from before it is
// counted with it.
func (h *histogram) add(at time.Duration) {
	if h.width == 0 {
		h.width = time.Millisecond
	}
	at = max(at, 0)
	for at/h.width >= time.Duration(len(h.parts)) {
		h.fold()
	}
	n := int(at / h.width)
	h.parts[n]++
	h.used = max(h.used, n+1)
}

func (h *histogram) fold() {
	for i := range len(h.parts) / 2 {
		h.parts[i] = h.parts[2*i] + h.parts[2*i+1]
	}
	clear(h.parts[len(h.parts)/2:])
	h.width *= 2
	h.used = (h.used + 1) / 2
}

// buckets gives the parts up to the last one that has something, at most
// columns of them.
func (h *histogram) buckets() (time.Duration, []int64) {
	if h.used > columns {
		h.fold()
	}
	return h.width, slices.Clone(h.parts[:h.used])
}
