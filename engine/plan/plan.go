// Package plan turns a spec into what the engine runs: one configuration for
// each stage of each audit, immutable, with the places in the spec that asked
// for it. It is the only package of the engine that knows the language.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/cohort"
	"github.com/shadowaudit/shadowaudit/engine/compare"
	"github.com/shadowaudit/shadowaudit/engine/judge"
	"github.com/shadowaudit/shadowaudit/engine/replay"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/selection"
	"github.com/shadowaudit/shadowaudit/engine/target"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Plan is a compiled spec.
type Plan struct {
	Path   string  `json:"path"`
	SHA256 string  `json:"sha256"`
	Audits []Audit `json:"audits"`

	// Files are the spec and all other files that the plan depends on.
	Files     []lang.File `json:"-"`
	Variables []Variable  `json:"-"`
}

// Audit is one compiled audit block.
type Audit struct {
	Name      string           `json:"name"`
	Disabled  bool             `json:"disabled,omitempty"` // enabled = false: it must not run
	Source    Source           `json:"source"`
	Scrub     Scrub            `json:"scrub"`
	Baseline  Target           `json:"baseline"`
	Candidate Target           `json:"candidate"`
	Session   *jq.Value        `json:"session,omitempty"` // nil: the recorded connection
	Endpoints []string         `json:"endpoints,omitempty"`
	Select    selection.Config `json:"select"`
	Replay    replay.Config    `json:"replay"`
	Compare   Compare          `json:"compare"`
	Accepted  []Accepted       `json:"accepted,omitempty"`
	Cohorts   []cohort.Cohort  `json:"cohorts,omitempty"`
	Gates     []Gate           `json:"gates"`

	// Probe answers for the baseline a second time, for the share of the
	// requests that Replay.Probe gives; nil: nobody does.
	Probe       *Target       `json:"probe,omitempty"`
	WarmUp      time.Duration `json:"warm_up_ns,omitempty"` // latencies before it are not judged
	MaxLateness time.Duration `json:"max_lateness_ns"`

	DisabledGates []Gate      `json:"disabled_gates,omitempty"` // enabled = false: only to be shown
	Assertions    []Assertion `json:"assertions,omitempty"`

	Settings []Setting `json:"-"` // the arguments behind all this, and where they stand
	Origin   pos.Range `json:"-"`
}

// Source is where the traffic of an audit comes from.
type Source struct {
	Kind  string   `json:"kind"`
	Name  string   `json:"name"`
	Dir   string   `json:"-"`     // of the spec
	Paths []string `json:"-"`     // to open
	Shown []string `json:"paths"` // relative to the spec, for people and for the digest
	Hosts []string `json:"hosts,omitempty"`

	Format string            `json:"format,omitempty"` // of an access_log
	Fields map[string]string `json:"fields,omitempty"` // of its lines, where it is json
	Ports  []int             `json:"ports,omitempty"`  // of the servers, in captured packets

	Live      bool   `json:"live,omitempty"`   // has no end of its own
	Listen    string `json:"listen,omitempty"` // "host:port", or "unix:" and a path
	Device    string `json:"device,omitempty"`
	VNIs      []int  `json:"vnis,omitempty"`
	Upstream  string `json:"upstream,omitempty"`
	AccessLog string `json:"-"` // of a mirror: of the proxy that mirrors, to be followed
	CertFile  string `json:"-"`
	KeyFile   string `json:"-"`
	Bus       *Bus   `json:"bus,omitempty"` // of a kafka or nats source

	MaxLoss float64        `json:"max_loss"` // share of the traffic
	Strict  bool           `json:"strict"`   // max_loss is the user's own: everything that may be a loss counts
	LossIs  result.Verdict `json:"loss_is"`
}

// Bus says where the messages of a bus come from and what they are. Passwords
// are no part of it, only the names of the environment variables that hold them.
type Bus struct {
	Brokers     []string `json:"brokers,omitempty"`
	Topic       string   `json:"topic,omitempty"`
	Group       string   `json:"group,omitempty"`
	TLS         bool     `json:"tls,omitempty"`
	UsernameEnv string   `json:"username_env,omitempty"`
	PasswordEnv string   `json:"password_env,omitempty"`
	Mechanism   string   `json:"mechanism,omitempty"`

	Server      string `json:"server,omitempty"`
	Stream      string `json:"stream,omitempty"`
	Subject     string `json:"subject,omitempty"`
	Consumer    string `json:"consumer,omitempty"`
	Credentials string `json:"-"`

	Follow bool      `json:"follow,omitempty"`
	Start  string    `json:"start"`
	Map    *jq.Value `json:"map,omitempty"`
}

// String gives the source as reports name it: "gor.peak_hour".
func (s Source) String() string { return s.Kind + "." + s.Name }

// Scrub is how an audit de-identifies. The key is not part of a plan; only the
// name of the environment variable that holds it is.
type Scrub struct {
	Name       string       `json:"-"` // of the block; "": the audit names none
	KeyEnv     string       `json:"key_env,omitempty"`
	Packs      []string     `json:"packs,omitempty"` // nil: all default packs
	Rules      []scrub.Rule `json:"rules,omitempty"`
	MaxBody    int          `json:"max_body,omitempty"`
	MaxDropped *float64     `json:"max_dropped,omitempty"` // share of the exchanges; nil: no bound
	Canaries   []string     `json:"canaries,omitempty"`
	Disabled   string       `json:"disabled,omitempty"` // the reason given for scrub = none
}

// Target is one side of an audit.
type Target struct {
	Recorded bool `json:"recorded,omitempty"`
	target.Config
	Fields []Field `json:"fields,omitempty"` // Config.Headers without secret values
}

// Field is a header field that a target adds, as far as it may be shown.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Compare is the compare configuration in its serialisable form beside the one
// that runs.
type Compare struct {
	compare.Config `json:"-"`

	Ignore    []*jq.Paths `json:"ignore,omitempty"`
	Unordered []*jq.Paths `json:"unordered,omitempty"`
	Keyed     []KeyedPath `json:"keyed,omitempty"`
	Tolerance []KeyedPath `json:"tolerance,omitempty"`
	Headers   []string    `json:"headers,omitempty"`
	Optional  []*jq.Paths `json:"optional,omitempty"`
	Expires   []KeyedPath `json:"expires,omitempty"` // the last days of rules

	MaxMasked float64        `json:"max_masked,omitempty"` // share of the values that one ignore rule may leave out
	StaleIs   result.Verdict `json:"stale_is"`             // of an audit with a rule that has outlived its use
}

// Accepted is a difference that somebody lets pass.
type Accepted struct {
	Fingerprint string          `json:"fingerprint"`
	Endpoint    string          `json:"endpoint"`
	Path        string          `json:"path"`
	Kind        result.DiffKind `json:"kind"`
	From        string          `json:"from,omitempty"` // class of the baseline's value; "" for any
	To          string          `json:"to,omitempty"`
	Max         float64         `json:"max"` // share of the endpoint's pairs
	Reason      string          `json:"reason"`
	Owner       string          `json:"owner"`
	Expires     time.Time       `json:"expires"` // the last day
	Origin      pos.Range       `json:"-"`
	Snippet     string          `json:"-"`
}

// KeyedPath is a path with what the spec says about it.
type KeyedPath struct {
	Path *jq.Paths `json:"path"`
	Is   string    `json:"is"`
}

// Gate is a gate in its serialisable form beside the one that runs.
type Gate struct {
	judge.Gate `json:"-"`

	Name       string   `json:"name"`
	Metric     string   `json:"metric"`
	Limits     []string `json:"limits"`
	Per        []string `json:"per,omitempty"`
	MinSamples int      `json:"min_samples,omitempty"`
	Decision   string   `json:"decision"`
	Confidence float64  `json:"confidence"`
	Abort      bool     `json:"abort,omitempty"` // the run ends once it is certain that the gate fails
}

// Assertion is a condition over the result in its serialisable form beside the
// function that decides it.
type Assertion struct {
	Name    string                                 `json:"name"`
	Text    string                                 `json:"condition"`
	Check   func(ResultView) (bool, string, error) `json:"-"`
	Origin  pos.Range                              `json:"-"`
	Snippet string                                 `json:"-"`
}

// What assertions see of a result.
type (
	ResultView   = lang.ResultView
	OutcomesView = lang.OutcomesView
	TrafficView  = lang.TrafficView
	ReplayView   = lang.ReplayView
	EndpointView = lang.EndpointView
	SideView     = lang.SideView
	GateView     = lang.GateView
)

// Digest identifies what an audit does, whatever folder it is run in: the
// SHA-256 of its JSON form, in hex.
func (a *Audit) Digest() string {
	doc, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("plan: an audit does not marshal: %v", err)) // every part is plain data
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])
}

// Compile turns a spec, in which every mistake has been found already, into a
// plan.
func Compile(spec *lang.Spec) *Plan {
	p := &Plan{Path: spec.Path, SHA256: spec.SHA256, Files: spec.Files, Variables: variablesOf(spec)}
	for _, a := range spec.Audits {
		p.Audits = append(p.Audits, compileAudit(spec, a))
	}
	return p
}

func compileAudit(spec *lang.Spec, a *lang.Audit) Audit {
	out := Audit{
		Name:      a.Name,
		Disabled:  !a.Enabled.Value,
		Source:    compileSource(spec, a.Source),
		Scrub:     compileScrub(a),
		Candidate: compileTarget(a.Candidate),
		Session:   a.Session.Value,
		Endpoints: a.Endpoints.Value,
		Select:    compileSelect(&a.Select),
		Replay: replay.Config{
			Timing:      replay.Timing(a.Replay.Timing.Value),
			Speed:       a.Replay.Speed.Value,
			Rate:        a.Replay.Rate.Value,
			StartRate:   a.Replay.StartRate.Value,
			Over:        a.Replay.Over.Value,
			MaxGap:      a.Replay.MaxGap.Value,
			Live:        a.Source.Live(),
			MaxInFlight: a.Replay.MaxInFlight.Value,
		},
		Compare:  compileCompare(&a.Compare),
		Settings: settingsOf(spec, a),
		Origin:   a.Origin,
	}
	if a.Baseline.Recorded {
		out.Baseline = Target{Recorded: true, Config: target.Config{Name: "recorded"}}
	} else {
		out.Baseline = compileTarget(a.Baseline.Target)
	}
	for _, x := range spec.Accepted {
		if x.Audit.Value == a.Name {
			out.Accepted = append(out.Accepted, compileAccepted(spec, x))
		}
	}
	out.WarmUp, out.MaxLateness = a.Replay.WarmUp.Value, a.Replay.MaxLateness.Value
	if a.Noise.On {
		probe := out.Baseline
		if a.Noise.Target != nil {
			probe = compileTarget(a.Noise.Target)
		}
		out.Probe, out.Replay.Probe = &probe, a.Noise.Sample.Value
	}
	for _, c := range a.Cohorts {
		out.Cohorts = append(out.Cohorts, cohort.Cohort{Name: c.Name, By: c.By})
	}
	for i := range a.Gates {
		g := compileGate(spec, &a.Gates[i])
		if a.Gates[i].Enabled.Value {
			out.Gates = append(out.Gates, g)
		} else {
			out.DisabledGates = append(out.DisabledGates, g)
		}
	}
	for _, c := range a.Assertions {
		out.Assertions = append(out.Assertions, Assertion{
			Name: c.Name, Text: c.Text, Check: c.Check, Origin: c.Origin, Snippet: spec.Line(c.Origin),
		})
	}
	return out
}

func compileSource(spec *lang.Spec, s *lang.Source) Source {
	out := Source{Kind: s.Kind, Name: s.Name, Dir: spec.Dir, Paths: s.Paths.Value, Hosts: s.Hosts.Value}
	out.Format = s.Format.Value
	out.Ports = s.Ports.Value
	out.Live, out.Listen, out.Device, out.VNIs = s.Live(), s.Listen.Value, s.Device.Value, s.VNIs.Value
	out.Upstream, out.CertFile, out.KeyFile = s.Upstream.Value, s.CertFile.Value, s.KeyFile.Value
	out.AccessLog = s.AccessLog.Value
	out.MaxLoss, out.Strict, out.LossIs = s.MaxLoss.Value, s.MaxLoss.Set, result.Inconclusive
	if s.OnLoss.Value == "fail" {
		out.LossIs = result.Fail
	}
	if s.Bus.Start.Value != "" {
		out.Bus = compileBus(&s.Bus)
	}
	if len(s.Fields.Value) > 0 {
		out.Fields = make(map[string]string, len(s.Fields.Value))
		for _, f := range s.Fields.Value {
			out.Fields[f.Name] = f.Value
		}
	}
	for _, p := range s.Paths.Value {
		out.Shown = append(out.Shown, shownPath(spec, p))
	}
	return out
}

func compileBus(b *lang.Bus) *Bus {
	return &Bus{
		Brokers: b.Brokers.Value, Topic: b.Topic.Value, Group: b.Group.Value, TLS: b.TLS.Value,
		UsernameEnv: b.UsernameEnv.Value, PasswordEnv: b.PasswordEnv.Value, Mechanism: b.Mechanism.Value,
		Server: b.Server.Value, Stream: b.Stream.Value, Subject: b.Subject.Value, Consumer: b.Consumer.Value, Credentials: b.Credentials.Value,
		Follow: b.Follow.Value, Start: b.Start.Value, Map: b.Map.Value,
	}
}

// Where says in words for people where the traffic comes from.
func (s *Source) Where() string {
	switch {
	case len(s.Shown) > 0:
		return strings.Join(s.Shown, ", ")
	case s.Kind == "kafka":
		return "topic " + s.Bus.Topic + " at " + strings.Join(s.Bus.Brokers, ", ")
	case s.Kind == "nats":
		return strings.TrimSpace(s.Bus.Stream+" "+s.Bus.Subject) + " at " + s.Bus.Server
	case s.Upstream != "":
		return s.Listen + ", in front of " + s.Upstream
	}
	return s.Listen + s.Device
}

// shownPath gives the path of a recording as seen from the spec.
func shownPath(spec *lang.Spec, path string) string {
	if rel, err := filepath.Rel(spec.Dir, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

func compileScrub(a *lang.Audit) Scrub {
	if a.ScrubNone.Value {
		return Scrub{Disabled: a.ScrubReason.Value}
	}
	if a.Scrub == nil {
		return Scrub{}
	}
	out := Scrub{Name: a.Scrub.Name, KeyEnv: a.Scrub.KeyEnv.Value, MaxBody: int(a.Scrub.MaxBody.Value), Canaries: a.Scrub.Canaries.Value}
	if d := a.Scrub.MaxDropped; d.Set {
		out.MaxDropped = &d.Value
	}
	if a.Scrub.Packs.Set {
		out.Packs = a.Scrub.Packs.Value
	}
	for _, r := range a.Scrub.Rules {
		out.Rules = append(out.Rules, scrub.Rule{
			Name: r.Name, JQ: r.JQ, Keys: r.Keys, Headers: r.Headers, Cookies: r.Cookies, Query: r.Query,
			Action: scrub.Action(r.Action), Origin: r.Origin,
		})
	}
	return out
}

func compileTarget(t *lang.Target) Target {
	out := Target{Config: target.Config{
		Name: t.Name, URL: t.URL.Value, Timeout: t.Timeout.Value, Host: t.Host.Value, InsecureSkipVerify: t.InsecureSkipVerify.Value,
	}}
	if u, err := url.Parse(t.URL.Value); err == nil && t.HostOfURL {
		out.Host = u.Host
	}
	for _, h := range t.Headers {
		out.Headers = append(out.Headers, traffic.Field{Name: h.Name, Value: h.Value})
		shown := h.Value
		if h.Sensitive {
			shown = "(sensitive)"
		}
		out.Fields = append(out.Fields, Field{Name: h.Name, Value: shown})
	}
	return out
}

func compileSelect(s *lang.Select) selection.Config {
	out := selection.Config{
		Methods: s.Methods.Value, Sample: s.Sample.Value,
		From: s.From.Value, To: s.To.Value, Limit: int64(s.Limit.Value),
	}
	for _, t := range s.Include {
		out.Include = append(out.Include, selection.Rule{When: t.Predicate, Origin: t.Range})
	}
	for _, t := range s.Exclude {
		out.Exclude = append(out.Exclude, selection.Rule{When: t.Predicate, Origin: t.Range})
	}
	return out
}

func compileAccepted(spec *lang.Spec, x *lang.Accepted) Accepted {
	return Accepted{
		Fingerprint: x.Fingerprint, Endpoint: x.Endpoint.Value, Path: x.Path.Value, Kind: result.DiffKind(x.Kind.Value),
		From: x.From.Value, To: x.To.Value, Max: x.Max.Value, Reason: x.Reason.Value, Owner: x.Owner.Value, Expires: x.Expires.Value,
		Origin: x.Origin, Snippet: spec.Line(x.Origin),
	}
}

func compileCompare(c *lang.Compare) Compare {
	out := Compare{Headers: c.Headers}
	out.Config.Headers = c.Headers
	out.MaxMasked, out.StaleIs = c.MaxMasked.Value, result.Pass
	if c.OnStale.Value == "fail" {
		out.StaleIs = result.Fail
	}
	rule := func(paths *jq.Paths, origin pos.Range, e lang.Excuse) compare.Rule {
		if !e.Expires.IsZero() {
			out.Expires = append(out.Expires, KeyedPath{paths, e.Expires.Format(time.DateOnly)})
		}
		return compare.Rule{Paths: paths, Origin: origin, Reason: e.Reason, Expires: e.Expires}
	}
	for _, r := range c.Ignore {
		out.Config.Ignore = append(out.Config.Ignore, rule(r.Paths, r.Range, r.Excuse))
		out.Ignore = append(out.Ignore, r.Paths)
	}
	for _, r := range c.Optional {
		out.Config.Optional = append(out.Config.Optional, rule(r.Paths, r.Range, r.Excuse))
		out.Optional = append(out.Optional, r.Paths)
	}
	for _, r := range c.Unordered {
		out.Config.Unordered = append(out.Config.Unordered, rule(r.Paths, r.Range, r.Excuse))
		out.Unordered = append(out.Unordered, r.Paths)
	}
	for _, r := range c.Keyed {
		out.Config.Keyed = append(out.Config.Keyed, compare.Keyed{Rule: rule(r.Paths, r.Range, r.Excuse), Key: r.Key})
		out.Keyed = append(out.Keyed, KeyedPath{r.Paths, r.Key})
	}
	for _, r := range c.Tolerance {
		out.Config.Tolerance = append(out.Config.Tolerance, compare.Tolerance{Rule: rule(r.Paths, r.Range, r.Excuse), Limit: r.Text})
		out.Tolerance = append(out.Tolerance, KeyedPath{r.Paths, r.Text})
	}
	return out
}

func compileGate(spec *lang.Spec, g *lang.Gate) Gate {
	out := Gate{Name: g.Name, Metric: g.Metric.Value, MinSamples: g.MinSamples.Value}
	out.Gate = judge.Gate{Name: g.Name, Metric: judge.Metric(g.Metric.Value), MinSamples: g.MinSamples.Value, Origin: g.Origin, Snippet: spec.Line(g.Origin)}
	limit := func(name string, l lang.Attr[lang.Limit]) *judge.Limit {
		if !l.Set {
			return nil
		}
		out.Limits = append(out.Limits, name+" "+l.Value.Text)
		return &judge.Limit{Value: l.Value.Value, Relative: l.Value.Relative, Text: l.Value.Text}
	}
	out.Gate.Decision, out.Gate.Confidence, out.Abort = judge.Decision(g.Decision.Value), g.Confidence.Value, g.Abort.Value
	out.Decision, out.Confidence = string(out.Gate.Decision), out.Gate.Confidence
	out.Gate.Max = limit("max", g.Max)
	out.Gate.Min = limit("min", g.Min)
	out.Gate.MaxIncrease = limit("max_increase", g.MaxIncrease)
	for _, d := range g.Per {
		name := d.Cohort
		if d.Endpoint {
			name = judge.Endpoint
		}
		out.Per = append(out.Per, name)
	}
	out.Gate.Per = out.Per
	return out
}
