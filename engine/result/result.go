// Package result is what a run found: plain data with a versioned JSON form.
// Reporters read nothing else, so whatever a report says can be said again
// later from the file.
//
// Durations are integers in nanoseconds with the unit in the name, shares are
// numbers from 0 to 1, and empty lists are [] in JSON, never null. Fields are
// only ever added; FormatVersion changes when one has to change its meaning.
package result

import (
	"encoding/json"
	"io"
	"time"

	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// FormatVersion is the version of the JSON document.
const FormatVersion = "1.0"

// Run is the result of one run of the tool.
type Run struct {
	FormatVersion string    `json:"format_version"`
	Tool          Tool      `json:"tool"`
	Verdict       Verdict   `json:"verdict"`
	Seed          uint64    `json:"seed"`
	StartedAt     time.Time `json:"started_at"`
	DurationNS    int64     `json:"duration_ns"`
	Interrupted   bool      `json:"interrupted"` // stopped before the end of the traffic
	Specs         []Spec    `json:"specs"`
	Audits        []Audit   `json:"audits"`
}

// Tool is the program that wrote the document.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Spec is a spec file that was run.
type Spec struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of the file's bytes, in hex
}

// Audit is the result of one audit block.
type Audit struct {
	Name        string     `json:"name"`
	Verdict     Verdict    `json:"verdict"`
	Reason      string     `json:"reason"` // one sentence: why this verdict
	Origin      Origin     `json:"origin"`
	PlanDigest  string     `json:"plan_digest"`
	StartedAt   time.Time  `json:"started_at"`
	DurationNS  int64      `json:"duration_ns"`
	Source      string     `json:"source"` // "gor.peak_hour: traffic/peak_hour.gor"
	Baseline    Target     `json:"baseline"`
	Candidate   Target     `json:"candidate"`
	Traffic     Traffic    `json:"traffic"`
	Outcomes    Outcomes   `json:"outcomes"`
	Replay      Replay     `json:"replay"`
	Endpoints   []Endpoint `json:"endpoints"`
	Gates       []Gate     `json:"gates"`
	Differences []Diff     `json:"differences"`
	Rules       []Rule     `json:"rules"`    // what each compare rule excused
	Accepted    []Accepted `json:"accepted"` // known differences, with what became of them
	Scrub       Scrub      `json:"scrub"`
	Aborted     *Aborted   `json:"aborted"`   // null: the replay went to its end
	SelfTest    *SelfTest  `json:"self_test"` // null: not asked for
	Unfit       []string   `json:"unfit"`     // why the harness could not judge by the time that things took
	Notes       []Note     `json:"notes"`
}

// Origin is a place in a spec, in the short form of the document.
type Origin struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// OriginOf gives the short form of r.
func OriginOf(r pos.Range) Origin {
	return Origin{File: r.File, Line: r.Start.Line, Column: r.Start.Column}
}

// Target is one side of an audit.
type Target struct {
	Name string `json:"name"` // name of the target block, or "recorded"
	URL  string `json:"url"`  // "" for recorded
}

// Traffic accounts for every exchange that was read. The first group adds up:
//
//	read = selected + excluded + sampled_out + outside_window + unsafe_skipped + scrub_dropped
//	selected = outcomes.total + not_sent
//
// What a reader could not turn into an exchange stands beside it.
type Traffic struct {
	Read          int64 `json:"read"`           // requests, with or without a response
	Paired        int64 `json:"paired"`         // of them, with their recorded response
	Selected      int64 `json:"selected"`       // of them, meant to be sent
	Excluded      int64 `json:"excluded"`       // left out by a rule of select
	SampledOut    int64 `json:"sampled_out"`    // left out by sample
	OutsideWindow int64 `json:"outside_window"` // left out by from, to or limit
	UnsafeSkipped int64 `json:"unsafe_skipped"` // could change something at a target
	ScrubDropped  int64 `json:"scrub_dropped"`  // could not be scrubbed, so not passed on
	NotSent       int64 `json:"not_sent"`       // selected, but the run was interrupted

	Records           int64 `json:"records"`            // what the recording calls a record
	Malformed         int64 `json:"malformed"`          // records that are no HTTP message
	OrphanResponses   int64 `json:"orphan_responses"`   // responses without their request
	Truncated         int64 `json:"truncated"`          // messages of which a part is missing
	TruncatedRequests int64 `json:"truncated_requests"` // of them, requests, which cannot be replayed truthfully
	ReplayedResponses int64 `json:"replayed_responses"` // GoReplay's type 3: not production's answers
	Gaps              int64 `json:"gaps"`               // places at which a capture lost bytes
	NotHTTP           int64 `json:"not_http"`           // entries that never reached a server
	ForeignHost       int64 `json:"foreign_host"`       // entries for hosts that the source leaves out
	Dropped           int64 `json:"dropped"`            // whole exchanges for which a live source had no room
	LostPackets       int64 `json:"lost_packets"`       // packets that the kernel dropped before they were read

	FirstAt time.Time `json:"first_at"` // recorded time of the first selected exchange; zero: none
	LastAt  time.Time `json:"last_at"`
}

// Balanced reports whether the counters that must add up do.
func (t *Traffic) Balanced(o Outcomes) bool {
	return t.Read == t.Selected+t.Excluded+t.SampledOut+t.OutsideWindow+t.UnsafeSkipped+t.ScrubDropped &&
		t.Selected == o.Total+t.NotSent
}

// Outcomes counts pairs by the way they ended; the five add up to Total.
type Outcomes struct {
	Total        int64 `json:"total"`
	Matched      int64 `json:"matched"`
	Ignored      int64 `json:"ignored"`      // differs only where a rule says so
	Mismatched   int64 `json:"mismatched"`   // differs where it counts
	Failed       int64 `json:"failed"`       // at least one side gave no complete response
	Inconclusive int64 `json:"inconclusive"` // could not be judged
}

// Add counts o into the receiver.
func (o *Outcomes) Add(p Outcomes) {
	o.Total += p.Total
	o.Matched += p.Matched
	o.Ignored += p.Ignored
	o.Mismatched += p.Mismatched
	o.Failed += p.Failed
	o.Inconclusive += p.Inconclusive
}

// Replay says how true the load was to the plan.
type Replay struct {
	LatenessNS  Lateness `json:"lateness_ns"`   // how long after its due time a request left
	RatePerS    float64  `json:"rate_per_s"`    // pairs sent per second
	PeakPending int64    `json:"peak_pending"`  // most pairs that were due and not answered at one time
	PlannedNS   int64    `json:"planned_ns"`    // first due time to last due time
	SentNS      int64    `json:"sent_ns"`       // first send to last answer
	UnsafeSent  int64    `json:"unsafe_sent"`   // pairs whose method may change something
	Retries     int64    `json:"retries"`       // pairs of which a side closed the connection just as the request left
	MaxInFlight int      `json:"max_in_flight"` // the bound on pairs in flight
}

// Lateness is a distribution of delays, in nanoseconds.
type Lateness struct {
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// Endpoint is what one endpoint did.
type Endpoint struct {
	Endpoint  string   `json:"endpoint"` // "GET /api/orders/{id}"
	Outcomes  Outcomes `json:"outcomes"`
	Baseline  Side     `json:"baseline"`
	Candidate Side     `json:"candidate"`
}

// Side is what one target did at one endpoint.
type Side struct {
	LatencyNS Latency          `json:"latency_ns"` // of complete responses and time-outs
	Errors    int64            `json:"errors"`     // status 500 and above, or no complete response; interruptions are not the target's
	Statuses  map[string]int64 `json:"statuses"`   // by status code
	Failures  map[string]int64 `json:"failures"`   // by what went wrong
}

// Latency summarises a distribution of latencies, in nanoseconds, from the
// first byte sent to the last byte received.
type Latency struct {
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P95  int64 `json:"p95"`
	P99  int64 `json:"p99"`
	Max  int64 `json:"max"`
	Mean int64 `json:"mean"`
}

// Unit is what a gate's numbers count.
type Unit string

// The units of gates.
const (
	Nanoseconds Unit = "ns"
	Share       Unit = "share" // 0 to 1
	PerSecond   Unit = "per_s"
)

// Gate is the result of one gate for one cohort value; a gate without cohorts
// has one.
type Gate struct {
	Name     string            `json:"name"`
	Metric   string            `json:"metric"`
	Verdict  Verdict           `json:"verdict"`
	Cohort   map[string]string `json:"cohort"` // cohort name to value; {} for all the traffic
	Unit     Unit              `json:"unit"`
	Observed *float64          `json:"observed"` // at the candidate; null: nothing to measure
	Baseline *float64          `json:"baseline"` // at the baseline, on the same requests
	Limit    string            `json:"limit"`    // as the spec says it: "max 250ms, max_increase 10%"
	Samples  int64             `json:"samples"`
	Reason   string            `json:"reason"` // one sentence with the figures
	Origin   Origin            `json:"origin"`
	Snippet  string            `json:"snippet"` // the line of the spec

	Decision    string  `json:"decision"`     // "interval", "point" or "fact": by what the limit was decided; "": by nothing
	Confidence  float64 `json:"confidence"`   // of each bound below; 0: there are none
	Value       *Bounds `json:"value"`        // of what Observed is a sample of; null: unknown
	Increase    *Bounds `json:"increase"`     // against the baseline, on the same requests; null: not asked or unknown
	MoreSamples int64   `json:"more_samples"` // about so many more would decide an inconclusive gate; 0: not known
}

// Bounds is what the samples say about a figure of which they are a part.
type Bounds struct {
	Estimate   float64  `json:"estimate"`
	Relative   bool     `json:"relative"`   // a share of the baseline's value, in place of the gate's unit
	Lower      *float64 `json:"lower"`      // likely no less than this; null: nothing bounds it
	Upper      *float64 `json:"upper"`      // likely no more than this; null: nothing bounds it
	Detectable *float64 `json:"detectable"` // the smallest figure that would very likely have failed the gate; null: none
}

// DiffKind says in what way two responses differ at a path.
type DiffKind string

// The kinds of difference.
const (
	KindValue    DiffKind = "value"    // same type, other value
	KindType     DiffKind = "type"     // other JSON type
	KindMissing  DiffKind = "missing"  // only the baseline has it
	KindExtra    DiffKind = "extra"    // only the candidate has it
	KindOrder    DiffKind = "order"    // same elements, other order
	KindLength   DiffKind = "length"   // other number of elements
	KindStatus   DiffKind = "status"   // other status code
	KindHeader   DiffKind = "header"   // other header field
	KindEncoding DiffKind = "encoding" // other content coding
	KindFormat   DiffKind = "format"   // other media type, or a body that is not what it says
)

// Diff is one difference, summed over the pairs that show it.
type Diff struct {
	Fingerprint string   `json:"fingerprint"` // stable from run to run; begins with its version
	Endpoint    string   `json:"endpoint"`
	Path        string   `json:"path"` // jq, with [] for list positions
	Kind        DiffKind `json:"kind"`
	Pairs       int64    `json:"pairs"`
	Share       float64  `json:"share"`      // of the endpoint's pairs with both responses complete
	Baseline    string   `json:"baseline"`   // the value in the example: scrubbed, cut
	Candidate   string   `json:"candidate"`  // the same at the candidate
	Example     Example  `json:"example"`    // the earliest pair that shows it
	IgnoredBy   string   `json:"ignored_by"` // the rule that excuses it; "" when it counts
	From        string   `json:"from"`       // class of the baseline's value in the example: "number"
	To          string   `json:"to"`         // class of the candidate's
	With        string   `json:"with"`       // fingerprint of the difference that shows in the very same pairs, of which this one is most likely a part; "": it stands for itself
	State       string   `json:"state"`      // "new", "known" where it is accepted, "updated" where it was accepted with other classes; "" for ignored ones
}

// Example is one pair, as far as a report may show it.
type Example struct {
	Seq     int64  `json:"seq"`     // place among the exchanges read, from 0
	ID      string `json:"id"`      // the recording's id
	Request string `json:"request"` // "GET /api/orders/17?full=1", scrubbed, cut
	Repro   *Repro `json:"repro"`   // null: the request or its answers may not be shown
}

// Rule is what one rule of a compare block did.
type Rule struct {
	Rule    string  `json:"rule"`     // ignore, optional, unordered, keyed, tolerance
	Path    string  `json:"path"`     // the jq of the rule
	Hits    int64   `json:"hits"`     // differences that it excused
	LastHit int64   `json:"last_hit"` // the last exchange, by its place among those read, of which it excused something; -1: none
	Found   int64   `json:"found"`    // responses in which its place was found, among those that were looked at for that
	Masked  float64 `json:"masked"`   // share of the values that it leaves out, in those responses
	Errors  int64   `json:"errors"`
	Expired bool    `json:"expired"` // its last day is over: it excused nothing
	Origin  Origin  `json:"origin"`
}

// Aborted says on what evidence a replay was ended early.
type Aborted struct {
	Metric   string  `json:"metric"`
	Limit    string  `json:"limit"`
	Pairs    int64   `json:"pairs"`    // that were looked at
	Evidence float64 `json:"evidence"` // a candidate within the limit reaches it with a probability of at most one by this
	Reason   string  `json:"reason"`   // one sentence
}

// SelfTest says which gates would have noticed a candidate that is wrong.
type SelfTest struct {
	Mutations []Mutation `json:"mutations"`
	Caught    int64      `json:"caught"`  // mutations that made the audit fail
	Applied   int64      `json:"applied"` // mutations that found something to break
}

// Mutation is one way in which the candidate was made wrong.
type Mutation struct {
	Name     string   `json:"name"`
	Doc      string   `json:"doc"`
	Pairs    int64    `json:"pairs"`     // whose answer it changed
	Excused  int64    `json:"excused"`   // of them, those in which a rule excuses the change
	CaughtBy []string `json:"caught_by"` // gates that failed with it and not without
	Verdict  Verdict  `json:"verdict"`   // of the gates with it
}

// Accepted is a known difference that somebody lets pass.
type Accepted struct {
	Fingerprint string   `json:"fingerprint"`
	Endpoint    string   `json:"endpoint"`
	Path        string   `json:"path"`
	Kind        DiffKind `json:"kind"`
	State       string   `json:"state"` // "known", "updated", "absent", "expired" or "exceeded"
	Pairs       int64    `json:"pairs"` // that show it
	Share       float64  `json:"share"` // of the endpoint's pairs with both responses complete
	Max         float64  `json:"max"`   // that share may be
	Reason      string   `json:"reason"`
	Owner       string   `json:"owner"`
	Expires     string   `json:"expires"` // the last day
	Origin      Origin   `json:"origin"`
}

// Scrub is what de-identification did. It holds no values.
type Scrub struct {
	Disabled bool         `json:"disabled"` // scrub = none
	Reason   string       `json:"reason"`   // the reason that the spec gives for it
	Packs    []string     `json:"packs"`
	KeyID    string       `json:"key_id"` // tells keys apart, reveals none; "ephemeral" for a key of this run
	Rules    []ScrubRule  `json:"rules"`
	Dropped  []ScrubCount `json:"dropped"`  // exchanges not passed on, by reason
	Residual int64        `json:"residual"` // values that the check behind the scrubber found in what was passed on: since it keeps back what has any, this is 0
	Before   int64        `json:"before"`   // exchanges that their recording holds scrubbed in the same way: they were not scrubbed again
}

// ScrubRule counts what one rule replaced.
type ScrubRule struct {
	Name string `json:"name"`
	Hits int64  `json:"hits"`
}

// ScrubCount counts exchanges by reason.
type ScrubCount struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// Note is something that the reader of a report should know.
type Note struct {
	Severity string `json:"severity"` // "info" or "warning"
	Text     string `json:"text"`     // a sentence
}

// Normalize replaces absent lists and maps by empty ones, so that the document
// has no nulls where it promises lists.
func (r *Run) Normalize() {
	r.FormatVersion = FormatVersion
	list(&r.Specs)
	list(&r.Audits)
	for i := range r.Audits {
		a := &r.Audits[i]
		list(&a.Endpoints)
		list(&a.Gates)
		list(&a.Differences)
		list(&a.Rules)
		list(&a.Accepted)
		list(&a.Unfit)
		if a.SelfTest != nil {
			list(&a.SelfTest.Mutations)
			for j := range a.SelfTest.Mutations {
				list(&a.SelfTest.Mutations[j].CaughtBy)
			}
		}
		list(&a.Notes)
		list(&a.Scrub.Packs)
		list(&a.Scrub.Rules)
		list(&a.Scrub.Dropped)
		for j := range a.Endpoints {
			for _, s := range []*Side{&a.Endpoints[j].Baseline, &a.Endpoints[j].Candidate} {
				dict(&s.Statuses)
				dict(&s.Failures)
			}
		}
		for j := range a.Gates {
			if a.Gates[j].Cohort == nil {
				a.Gates[j].Cohort = map[string]string{}
			}
		}
	}
}

func list[T any](s *[]T) {
	if *s == nil {
		*s = []T{}
	}
}

func dict(m *map[string]int64) {
	if *m == nil {
		*m = map[string]int64{}
	}
}

// Write writes the document to w, indented and with a final line feed. The
// same run gives the same bytes.
func (r *Run) Write(w io.Writer) error {
	r.Normalize()
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Read reads a document that Write wrote.
func Read(rd io.Reader) (*Run, error) {
	var r Run
	if err := json.NewDecoder(rd).Decode(&r); err != nil {
		return nil, err
	}
	return &r, nil
}
