package preview

import (
	"encoding/json"
	"io"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

// FormatVersion is the version of the JSON document. Fields are only ever
// added; it changes when one has to change its meaning.
const FormatVersion = "1.0"

// Document says what a run of some audits would do. Durations are integers in
// nanoseconds, shares are numbers from 0 to 1, empty lists are []. Everything
// that comes from the traffic is scrubbed.
type Document struct {
	FormatVersion string      `json:"format_version"`
	Tool          result.Tool `json:"tool"`
	Seed          uint64      `json:"seed"`
	Specs         []Spec      `json:"specs"`
	Audits        []Audit     `json:"audits"`
}

// Spec is a spec file with the values of its variables.
type Spec struct {
	Path      string          `json:"path"`
	SHA256    string          `json:"sha256"` // of the file's bytes, in hex
	Files     []result.Spec   `json:"files"`  // the spec and all else that the plans depend on
	Variables []plan.Variable `json:"variables"`
}

// Audit is what one audit would do.
type Audit struct {
	Name       string         `json:"name"`
	Origin     result.Origin  `json:"origin"`
	PlanDigest string         `json:"plan_digest"`
	Disabled   bool           `json:"disabled"` // enabled = false: nothing below is filled in
	Error      string         `json:"error"`    // why the traffic could not be read; "" when it could
	Source     string         `json:"source"`   // "gor.peak_hour: traffic/peak_hour.gor"
	Baseline   result.Target  `json:"baseline"`
	Candidate  result.Target  `json:"candidate"`
	Settings   []plan.Setting `json:"settings"`

	// Traffic is that of the result. Selected is what would be sent.
	Traffic   result.Traffic `json:"traffic"`
	Skipped   []Skipped      `json:"skipped"` // by select, largest count first
	Endpoints []Endpoint     `json:"endpoints"`
	Sessions  Sessions       `json:"sessions"`
	Load      Load           `json:"load"`
	Select    []Rule         `json:"select"`  // the rules of the select block
	Compare   []Rule         `json:"compare"` // the rules of the compare block
	Cohorts   []Cohort       `json:"cohorts"`
	Gates     []Gate         `json:"gates"`
	Asserts   []Assertion    `json:"assertions"`
	Scrub     Scrub          `json:"scrub"`
	Notes     []result.Note  `json:"notes"`
}

// Skipped counts exchanges that select leaves out.
type Skipped struct {
	Reason    string `json:"reason"` // as the counters of traffic: "unsafe_skipped"
	Method    string `json:"method"`
	Exchanges int64  `json:"exchanges"`
}

// Endpoint is the part of the selected traffic that goes to one endpoint.
type Endpoint struct {
	Endpoint  string  `json:"endpoint"` // "GET /api/orders/{id}"
	Exchanges int64   `json:"exchanges"`
	Share     float64 `json:"share"` // of the selected exchanges
}

// Sessions are the sessions of the selected traffic.
type Sessions struct {
	Count   int64 `json:"count"`
	AtLeast bool  `json:"at_least"` // there are more than could be told apart
	Longest int64 `json:"longest"`  // exchanges of the longest
	Without int64 `json:"without"`  // exchanges that belong to no session
}

// Load is when the selected exchanges are due.
type Load struct {
	Timing     string  `json:"timing"`
	RecordedNS int64   `json:"recorded_ns"` // first to last selected exchange, as recorded
	PlannedNS  int64   `json:"planned_ns"`  // first to last due time; 0 when unpaced
	PeakPerS   float64 `json:"peak_per_s"`  // most requests due within one second; 0 when unpaced
	MeanPerS   float64 `json:"mean_per_s"`  // over the planned duration; 0 when unpaced
}

// Rule is a rule of the spec and whether it has anything to do.
type Rule struct {
	Rule   string        `json:"rule"`  // include, exclude, ignore, unordered, keyed, tolerance
	JQ     string        `json:"jq"`    // as the spec has it
	Hits   int64         `json:"hits"`  // of select: exchanges that it decided
	Found  bool          `json:"found"` // of compare: at least one recorded response has the place
	Origin result.Origin `json:"origin"`
}

// Cohort is how a cohort slices the selected traffic.
type Cohort struct {
	Name   string  `json:"name"`
	By     string  `json:"by"`
	Values []Value `json:"values"` // largest first
}

// Value is one slice.
type Value struct {
	Value     string  `json:"value"`
	Exchanges int64   `json:"exchanges"`
	Share     float64 `json:"share"` // of the selected exchanges
}

// Gate is a gate and the evidence that the traffic can give it.
type Gate struct {
	Name       string        `json:"name"`
	Metric     string        `json:"metric"`
	Limits     []string      `json:"limits"`
	Per        []string      `json:"per"`
	MinSamples int           `json:"min_samples"` // the gate's own, or what the metric needs
	Groups     int           `json:"groups"`      // slices that are judged, each on its own
	AtLeast    bool          `json:"at_least"`    // there are more than could be told apart
	Disabled   bool          `json:"disabled"`    // enabled = false: it would not be judged
	Short      []Group       `json:"short"`       // those that cannot reach min_samples, fewest first
	Origin     result.Origin `json:"origin"`
}

// Assertion is a condition that will be decided after the run.
type Assertion struct {
	Name      string        `json:"name"`
	Condition string        `json:"condition"`
	Origin    result.Origin `json:"origin"`
}

// Group is one slice that a gate judges.
type Group struct {
	Cohort  map[string]string `json:"cohort"` // {} for all the traffic
	Samples int64             `json:"samples"`
}

// Scrub is what de-identification did to the selected requests and to their
// recorded responses.
type Scrub struct {
	Disabled bool                `json:"disabled"`
	Reason   string              `json:"reason"` // the reason that the spec gives for it
	Packs    []string            `json:"packs"`
	Rules    []result.ScrubRule  `json:"rules"`   // without those that only exempt, which replace nothing
	Dropped  []result.ScrubCount `json:"dropped"` // exchanges not passed on, by reason
	KeyID    string              `json:"key_id"`  // as in the result
	Before   int64               `json:"before"`  // exchanges that came scrubbed in the same way: nothing is said of what is in them

	Replaced  []Place `json:"replaced"`  // where values were replaced, most first
	Uncovered []Place `json:"uncovered"` // where a name looks personal and no rule is for it, most first
	More      bool    `json:"more"`      // there are more places than could be told apart
}

// WriteJSON writes the document, indented and with a final line feed.
func (d *Document) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

// Complete reports whether all sources could be read.
func (d *Document) Complete() bool {
	for i := range d.Audits {
		if d.Audits[i].Error != "" {
			return false
		}
	}
	return true
}

// Sends reports whether every audit that is not disabled would send something,
// and whether there is one.
func (d *Document) Sends() bool {
	enabled := 0
	for i := range d.Audits {
		if d.Audits[i].Disabled {
			continue
		}
		if d.Audits[i].Traffic.Selected == 0 {
			return false
		}
		enabled++
	}
	return enabled > 0
}

// normalize replaces absent lists by empty ones.
func (a *Audit) normalize() {
	list(&a.Settings)
	list(&a.Skipped)
	list(&a.Endpoints)
	list(&a.Select)
	list(&a.Compare)
	list(&a.Cohorts)
	list(&a.Gates)
	list(&a.Asserts)
	list(&a.Notes)
	list(&a.Scrub.Packs)
	list(&a.Scrub.Rules)
	list(&a.Scrub.Dropped)
	list(&a.Scrub.Replaced)
	list(&a.Scrub.Uncovered)
	for i := range a.Cohorts {
		list(&a.Cohorts[i].Values)
	}
	for i := range a.Gates {
		list(&a.Gates[i].Limits)
		list(&a.Gates[i].Per)
		list(&a.Gates[i].Short)
	}
}

func list[T any](s *[]T) {
	if *s == nil {
		*s = []T{}
	}
}
