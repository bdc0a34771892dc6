package plan

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Variable is a variable of a spec with where its value came from.
type Variable struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Value      string   `json:"value"` // as JSON; "" when it is sensitive
	Sensitive  bool     `json:"sensitive"`
	From       string   `json:"from"`       // "default", "--var", a file and line, an environment variable
	Overridden []string `json:"overridden"` // where other values came from, lowest first
}

// Setting is the effective value of one argument of an audit, or of a block
// that the audit refers to.
type Setting struct {
	Name  string `json:"name"`  // "replay.speed"
	Value string `json:"value"` // for people
	From  string `json:"from"`  // "default", or file and line
	Via   string `json:"via"`   // the reference that stands there: "var.candidate_url"; "" when none does
}

func variablesOf(spec *lang.Spec) []Variable {
	out := make([]Variable, 0, len(spec.Variables))
	for _, v := range spec.Variables {
		c := Variable{Name: v.Name, Type: v.Type, Value: v.Value, Sensitive: v.Sensitive, From: v.From, Overridden: v.Overridden}
		if v.Sensitive {
			c.Value = ""
		}
		if c.Overridden == nil {
			c.Overridden = []string{}
		}
		out = append(out, c)
	}
	return out
}

// settings collects the arguments that decide what an audit does, in the order
// in which it does it. Arguments without a value and without a default are
// left out.
type settings struct {
	spec *lang.Spec
	list []Setting
}

func settingsOf(spec *lang.Spec, a *lang.Audit) []Setting {
	s := &settings{spec: spec, list: []Setting{}}
	add(s, "source.path", a.Source.Paths, s.paths)
	add(s, "source.hosts", a.Source.Hosts, quoted)
	prefix := "source."
	if a.Source.AccessLog.Set {
		add(s, "source.access_log", a.Source.AccessLog, s.path)
		prefix = "source.access_log_"
	}
	add(s, prefix+"format", a.Source.Format, same)
	add(s, prefix+"fields", a.Source.Fields, logFields)
	add(s, "source.ports", a.Source.Ports, numbers)
	sourceSettings(s, a.Source)
	if c := a.Scrub; c != nil {
		add(s, "scrub.packs", c.Packs, quoted)
		add(s, "scrub.key_env", c.KeyEnv, same)
		add(s, "scrub.max_body", c.MaxBody, bytesText)
		add(s, "scrub.max_dropped", c.MaxDropped, share)
	}
	add(s, "scrub_reason", a.ScrubReason, same)
	if !a.Baseline.Recorded {
		s.target("baseline", a.Baseline.Target)
	}
	s.target("candidate", a.Candidate)
	add(s, "session", a.Session, func(v *jq.Value) string { return v.Source() })
	add(s, "endpoints", a.Endpoints, quoted)

	add(s, "select.methods", a.Select.Methods, quoted)
	add(s, "select.sample", a.Select.Sample, share)
	add(s, "select.from", a.Select.From, time.Duration.String)
	add(s, "select.to", a.Select.To, time.Duration.String)
	add(s, "select.limit", a.Select.Limit, strconv.Itoa)

	add(s, "replay.timing", a.Replay.Timing, func(t lang.Timing) string { return string(t) })
	if a.Replay.Timing.Value == lang.TimingRecorded {
		add(s, "replay.speed", a.Replay.Speed, number)
		add(s, "replay.max_gap", a.Replay.MaxGap, time.Duration.String)
	}
	add(s, "replay.start_rate", a.Replay.StartRate, perSecond)
	add(s, "replay.rate", a.Replay.Rate, perSecond)
	add(s, "replay.over", a.Replay.Over, time.Duration.String)
	add(s, "replay.max_in_flight", a.Replay.MaxInFlight, strconv.Itoa)
	add(s, "replay.warm_up", a.Replay.WarmUp, time.Duration.String)
	add(s, "replay.max_lateness", a.Replay.MaxLateness, time.Duration.String)
	add(s, "compare.max_masked", a.Compare.MaxMasked, share)
	add(s, "compare.on_stale", a.Compare.OnStale, same)
	if a.Noise.On {
		add(s, "noise.sample", a.Noise.Sample, share)
		if a.Noise.Target != nil {
			add(s, "noise.target", a.Noise.Target.URL, same)
		}
	}
	return s.list
}

// sourceSettings adds what live sources and message buses have.
func sourceSettings(s *settings, src *lang.Source) {
	add(s, "source.listen", src.Listen, same)
	add(s, "source.device", src.Device, same)
	add(s, "source.vnis", src.VNIs, numbers)
	add(s, "source.upstream", src.Upstream, same)
	add(s, "source.cert_file", src.CertFile, s.path)
	add(s, "source.key_file", src.KeyFile, s.path)
	add(s, "source.brokers", src.Bus.Brokers, quoted)
	add(s, "source.topic", src.Bus.Topic, same)
	add(s, "source.group", src.Bus.Group, same)
	add(s, "source.tls", src.Bus.TLS, strconv.FormatBool)
	add(s, "source.username_env", src.Bus.UsernameEnv, same)
	add(s, "source.password_env", src.Bus.PasswordEnv, same)
	add(s, "source.mechanism", src.Bus.Mechanism, same)
	add(s, "source.server", src.Bus.Server, same)
	add(s, "source.stream", src.Bus.Stream, same)
	add(s, "source.subject", src.Bus.Subject, same)
	add(s, "source.consumer", src.Bus.Consumer, same)
	add(s, "source.credentials", src.Bus.Credentials, s.path)
	add(s, "source.follow", src.Bus.Follow, strconv.FormatBool)
	add(s, "source.start", src.Bus.Start, same)
	add(s, "source.map", src.Bus.Map, func(v *jq.Value) string { return v.Source() })
	add(s, "source.max_loss", src.MaxLoss, share)
	add(s, "source.on_loss", src.OnLoss, same)
}

func (s *settings) target(role string, t *lang.Target) {
	add(s, role+".url", t.URL, same)
	add(s, role+".timeout", t.Timeout, time.Duration.String)
	add(s, role+".host", t.Host, same)
	add(s, role+".tls_skip_verify", t.InsecureSkipVerify, strconv.FormatBool)
}

func add[T any](s *settings, name string, a lang.Attr[T], show func(T) string) {
	if !a.Set {
		var zero T
		if text := fmt.Sprint(a.Value); text != fmt.Sprint(zero) {
			s.list = append(s.list, Setting{Name: name, Value: show(a.Value), From: "default"})
		}
		return
	}
	s.list = append(s.list, Setting{
		Name: name, Value: show(a.Value),
		From: fmt.Sprintf("%s:%d", a.Range.File, a.Range.Start.Line),
		Via:  s.reference(a.Range),
	})
}

// reference is an expression that is nothing but the name of a value.
var reference = regexp.MustCompile(`^(?:var|local|each)\.[A-Za-z_][\w-]*$`)

// reference returns the reference that stands in the spec at r, or nothing.
func (s *settings) reference(r pos.Range) string {
	if r.File != s.spec.Path || r.Start.Byte < 0 || r.End.Byte > len(s.spec.Src) || r.Start.Byte > r.End.Byte {
		return ""
	}
	text := string(s.spec.Src[r.Start.Byte:r.End.Byte])
	if !reference.MatchString(text) {
		return ""
	}
	return text
}

func (s *settings) paths(paths []string) string {
	shown := make([]string, len(paths))
	for i, p := range paths {
		shown[i] = shownPath(s.spec, p)
	}
	return quoted(shown)
}

func (s *settings) path(p string) string { return shownPath(s.spec, p) }

func share(v float64) string        { return result.FormatShare(v, result.Digits) }
func same(s string) string          { return s }
func number(v float64) string       { return strconv.FormatFloat(v, 'g', -1, 64) }
func perSecond(v float64) string    { return number(v) + "/s" }
func quoted(values []string) string { return "[" + strings.Join(quoteAll(values), ", ") + "]" }

func bytesText(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

func quoteAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strconv.Quote(v)
	}
	return out
}

// logFields shows the fields of an access_log as the spec writes them.
func logFields(fields []lang.LogField) string {
	shown := make([]string, 0, len(fields))
	for _, f := range fields {
		shown = append(shown, f.Name+" = "+strconv.Quote(f.Value))
	}
	return "{ " + strings.Join(shown, ", ") + " }"
}

// numbers shows a list of numbers as the spec writes it.
func numbers(list []int) string {
	shown := make([]string, 0, len(list))
	for _, p := range list {
		shown = append(shown, strconv.Itoa(p))
	}
	return "[" + strings.Join(shown, ", ") + "]"
}
