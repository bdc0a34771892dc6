package lang

import (
	"bytes"
	"slices"
	"time"

	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Attr is the value of an argument with its place. Where the spec leaves the
// argument out, Set is false, Range is zero, and Value is the default of the
// schema, or the zero value where there is none.
type Attr[T any] struct {
	Value T
	Range pos.Range // of the value
	Set   bool
}

// Spec is a spec file in which every value has been checked, every reference
// resolved and every jq program compiled. It is immutable.
type Spec struct {
	Path   string // as it was given
	SHA256 string // of Src, in hex
	Dir    string // absolute folder that relative paths start from
	Src    []byte

	// Files are all files that the plan depends on: the spec, what it imports,
	// and what the function file has read, in the order of reading.
	Files []File

	Variables  []*Variable
	Sources    []*Source
	Scrubs     []*Scrub
	Targets    []*Target
	IgnoreSets []*IgnoreSet
	Audits     []*Audit    // with one for each element of for_each
	Accepted   []*Accepted // those of the file beside the spec included

	texts   map[string][]byte // of the spec files, by the name in positions
	secrets []pos.Range       // lines that Line does not give
}

// File is a file that a plan depends on.
type File struct {
	Path   string // as Spec.Path, or relative to the same folder as it
	SHA256 string // of its bytes, in hex
}

// Line gives the line of the spec, or of a file that it imports, on which r
// begins, without the space around it, for reports. It is "" when r is in none
// of them, and when the line belongs to a sensitive variable.
func (s *Spec) Line(r pos.Range) string {
	src, ok := s.texts[r.File]
	if !ok || r.Start.Line < 1 || r.Start.Byte < 0 || r.Start.Byte > len(src) {
		return ""
	}
	if slices.ContainsFunc(s.secrets, func(secret pos.Range) bool {
		return secret.File == r.File && touches(secret, r.Start.Line)
	}) {
		return ""
	}
	from := bytes.LastIndexByte(src[:r.Start.Byte], '\n') + 1
	line, _, _ := bytes.Cut(src[from:], []byte("\n"))
	return string(bytes.TrimSpace(line))
}

func touches(r pos.Range, line int) bool { return r.Start.Line <= line && line <= r.End.Line }

// Variable is a variable block with where its value came from.
type Variable struct {
	Name        string
	Type        string // as the language writes it: "string", "list(number)"; "any" without a type
	Description string
	Sensitive   bool
	Value       string // as JSON; "" when the value is sensitive

	// From says where the value comes from: "default", "--var",
	// "SHADOWAUDIT_VAR_url", or file and line, "prod.auditvars.hcl:3".
	From string
	// Overridden has, lowest first, where other values came from that it won
	// over.
	Overridden []string

	Origin pos.Range
}

// Source is a source block.
type Source struct {
	Kind   string // "gor", "har"
	Name   string
	Paths  Attr[[]string] // absolute paths or globs
	Hosts  Attr[[]string] // of a har: hosts to take, lower case; empty means all
	Format Attr[string]   // of an access_log, of that of a mirror, or of the messages of a bus
	Fields Attr[[]LogField]
	Ports  Attr[[]int] // of captured packets: of the servers; empty means all

	Listen    Attr[string] // of a live source: "host:port", or "unix:" and a path
	Device    Attr[string] // of an interface
	VNIs      Attr[[]int]  // of a vxlan; empty means all
	CertFile  Attr[string] // absolute path
	KeyFile   Attr[string] // absolute path
	Upstream  Attr[string] // of a proxy
	AccessLog Attr[string] // of a mirror: absolute path
	Bus       Bus

	MaxLoss Attr[float64]
	OnLoss  Attr[string]
	Origin  pos.Range
}

// LogField says under which name a line of an access_log has something, or how
// it is to be read.
type LogField struct {
	Name  string // one of the closed set: "method"
	Value string
}

// Scrub is a scrub block.
type Scrub struct {
	Name       string
	Packs      Attr[[]string]
	KeyEnv     Attr[string]  // name of the environment variable with the key
	MaxBody    Attr[int64]   // bytes, decoded
	MaxDropped Attr[float64] // share of the exchanges; unset: no bound

	Canaries Attr[[]string] // texts that were planted and may not come out
	Rules    []ScrubRule
	Origin   pos.Range
}

// ScrubRule is a rule of a scrub block. At least one of its lists has an
// entry. Header, cookie and parameter names are as written, header names in
// lower case.
type ScrubRule struct {
	Name    string
	JQ      []*jq.Paths
	Keys    []string
	Headers []string
	Cookies []string
	Query   []string
	Action  string // "remove", "pseudonymize", "mask" or "keep"
	Reason  string
	Origin  pos.Range
}

// Target is a target block.
type Target struct {
	Name               string
	URL                Attr[string]        // absolute http or https URL without query, fragment and user
	Timeout            Attr[time.Duration] // above zero
	Host               Attr[string]        // "" means the recorded one, unless HostOfURL
	HostOfURL          bool                // send the host of the URL
	Headers            []Header            // sorted by name
	InsecureSkipVerify Attr[bool]
	Origin             pos.Range
}

// Header is a header field that a target adds to every request.
type Header struct {
	Name      string // lower case
	Value     string
	Sensitive bool // the value comes from a sensitive variable and is not shown
	Range     pos.Range
}

// Audit is an audit block, or the part of one for an element of its for_each.
type Audit struct {
	Name        string     // with the key of for_each: checkout["eu"]
	Enabled     Attr[bool] // a disabled audit does not run
	Source      *Source
	Scrub       *Scrub     // nil means all default packs, unless ScrubNone is set
	ScrubNone   Attr[bool] // scrub = none
	ScrubReason Attr[string]
	Baseline    Role
	Candidate   *Target
	Session     Attr[*jq.Value] // nil means the recorded connection
	Endpoints   Attr[[]string]  // "/api/orders/{id}" or "GET /api/orders/{id}"
	Select      Select
	Replay      Replay
	Compare     Compare
	Noise       Noise
	Cohorts     []Cohort
	Gates       []Gate
	Assertions  []Assertion
	Origin      pos.Range
}

// Role is who plays the baseline.
type Role struct {
	Recorded bool    // the recorded responses do
	Target   *Target // nil when Recorded
	Range    pos.Range
}

// Select says which exchanges are replayed.
type Select struct {
	Methods Attr[[]string]
	Include []Test
	Exclude []Test
	Sample  Attr[float64]       // share of sessions, above 0, at most 1
	From    Attr[time.Duration] // after the first exchange
	To      Attr[time.Duration] // after the first exchange; unset means the end
	Limit   Attr[int]           // unset means all
	Origin  pos.Range
}

// Test is a jq predicate with its place.
type Test struct {
	Predicate *jq.Predicate
	Range     pos.Range
}

// Timing is what decides when a request is due.
type Timing string

// The timings.
const (
	TimingRecorded Timing = "recorded"
	TimingConstant Timing = "constant"
	TimingRamp     Timing = "ramp"
	TimingUnpaced  Timing = "unpaced"
)

// Replay says when requests are sent.
type Replay struct {
	Timing      Attr[Timing]
	Speed       Attr[float64]       // of recorded timing, above 0
	Rate        Attr[float64]       // per second; of ramp at its end
	StartRate   Attr[float64]       // per second, of ramp
	Over        Attr[time.Duration] // of ramp
	MaxInFlight Attr[int]           // for each target
	MaxGap      Attr[time.Duration] // of recorded timing; 0 means no cut
	WarmUp      Attr[time.Duration] // latencies before it are not judged
	MaxLateness Attr[time.Duration] // at the 99th percentile
	Origin      pos.Range
}

// Compare says what counts as a difference.
type Compare struct {
	Use       []*IgnoreSet // whose rules follow the block's own in the lists
	Ignore    []PathRule
	Optional  []PathRule
	Unordered []PathRule
	Keyed     []KeyedRule
	Tolerance []ToleranceRule
	Headers   []string // lower case, to compare beside those that always are
	MaxMasked Attr[float64]
	OnStale   Attr[string] // "warn" or "fail"
	Origin    pos.Range
}

// IgnoreSet is an ignore_set block: compare rules that audits share.
type IgnoreSet struct {
	Name    string
	Rules   Compare // without Use and Headers
	Reason  string
	Expires Attr[time.Time] // the last day on which the rules hold; unset: all days
	Origin  pos.Range
}

// Accepted is an accept block: a difference that somebody lets pass.
type Accepted struct {
	Fingerprint string
	Audit       Attr[string]
	Endpoint    Attr[string]
	Path        Attr[string]
	Kind        Attr[string]
	From, To    Attr[string]  // classes of values; "" for any
	Max         Attr[float64] // share of the endpoint's pairs
	Reason      Attr[string]
	Owner       Attr[string]
	Expires     Attr[time.Time] // the last day
	Origin      pos.Range
}

// Excuse is why a rule of compare holds, and how long. It comes from the set that
// the rule stands in.
type Excuse struct {
	Reason  string
	Expires time.Time // the last day on which it holds; zero: all days
}

// PathRule is a rule about places in a response.
type PathRule struct {
	Paths *jq.Paths
	Range pos.Range
	Excuse
}

// KeyedRule matches the elements of a list by a field.
type KeyedRule struct {
	Paths *jq.Paths
	Key   string
	Range pos.Range
	Excuse
}

// ToleranceRule lets numbers differ a little. Value is a decimal: an amount
// when Absolute, and otherwise the percentage of the baseline's value.
type ToleranceRule struct {
	Paths    *jq.Paths
	Text     string // as the spec says it: "0.01", "1%"
	Absolute bool
	Value    string
	Range    pos.Range
	Excuse
}

// Cohort slices the traffic.
type Cohort struct {
	Name  string // with the key of for_each: tenant["eu"]
	By    *jq.Value
	Range pos.Range
}

// Gate is a limit that decides the verdict.
type Gate struct {
	Name        string // with the key of for_each: tail latency["eu"]
	Enabled     Attr[bool]
	Metric      Attr[string]
	Max         Attr[Limit]
	Min         Attr[Limit]
	MaxIncrease Attr[Limit]
	Per         []Dimension
	MinSamples  Attr[int]    // unset means the metric's own
	Decision    Attr[string] // "interval" or "point"
	Confidence  Attr[float64]
	Abort       Attr[bool]
	Origin      pos.Range
}

// Dimension is what a gate is judged per: endpoints, or the values of a cohort.
type Dimension struct {
	Endpoint bool
	Cohort   string // name of a cohort; "" when Endpoint
	Range    pos.Range
}
