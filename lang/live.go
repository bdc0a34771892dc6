package lang

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// Bus is where the messages of a kafka or nats source come from and what they
// are.
type Bus struct {
	Brokers     Attr[[]string]
	Topic       Attr[string]
	Group       Attr[string]
	TLS         Attr[bool]
	UsernameEnv Attr[string]
	PasswordEnv Attr[string]
	Mechanism   Attr[string]

	Server      Attr[string]
	Stream      Attr[string]
	Subject     Attr[string]
	Consumer    Attr[string]
	Credentials Attr[string] // absolute path

	Follow Attr[bool]
	Start  Attr[string]
	Map    Attr[*jq.Value]
}

// Live reports whether the traffic of s has no end of its own.
func (s *Source) Live() bool {
	base, _ := schema.Root().Block("source")
	return base.IsLive(s.Kind) || s.Bus.Follow.Value
}

// HasResponses reports whether exchanges of s can have a recorded response.
func (s *Source) HasResponses() bool { return s.Kind != "mirror" || s.AccessLog.Set }

// keywordAttr decodes a bare word into the attribute that of gives.
func keywordAttr[T any](of func(T) *Attr[string]) func(*loader, argument, T) {
	return func(l *loader, a argument, into T) {
		if word := l.keyword(a); word != "" {
			*of(into) = attrOf(a, word)
		}
	}
}

// listenAttr decodes an address to listen on. A socket of the file system is
// what only a sender on this machine can reach, which middleware alone has.
func (l *loader) listenAttr(a argument, s *Source) {
	text, it, ok := l.text(a)
	if !ok {
		return
	}
	if path, unix := strings.CutPrefix(text, "unix:"); unix && s.Kind == "middleware" {
		if path == "" {
			l.invalid(diag.BadValue, a, it, "names no socket", a.Name+` = "unix:/run/shadowaudit.sock"`)
			return
		}
	} else if _, err := checkAddress(text); err != nil {
		l.invalid(diag.BadValue, a, it, err.Error(), a.Name+" = "+a.Example)
		return
	}
	s.Listen = attrOf(a, text)
}

// checkAddress accepts a host, which may be empty, and a port.
func checkAddress(s string) (string, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", errors.New(`not an address of the form "host:port"`)
	}
	host, port := s[:i], s[i+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.ReplaceAll(strings.TrimSuffix(inner, "]"), ":", "")
	}
	if strings.ContainsAny(host, ":/@[] ") {
		return "", errors.New(`not an address of the form "host:port"`)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", errors.New("the port is not a number from 0 to 65535")
	}
	return s, nil
}

// pathAttr decodes one path and makes it absolute.
func (l *loader) pathAttr(a argument, into *Attr[string]) {
	before := *into
	l.textAttr(a, into)
	if *into == before {
		return
	}
	path := filepath.FromSlash(into.Value)
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.spec.Dir, path)
	}
	into.Value = filepath.Clean(path)
}

// envAttr decodes the name of an environment variable.
func (l *loader) envAttr(a argument, holds string, into *Attr[string]) {
	name, it, ok := l.text(a)
	if !ok {
		return
	}
	if !validEnv(name) {
		l.invalid(diag.BadValue, a, it, "not the name of an environment variable",
			fmt.Sprintf("the %s itself never stands in a spec; name the variable that holds it: %s = %s", holds, a.Name, a.Example))
		return
	}
	*into = attrOf(a, name)
}

// numberRange is what the whole numbers of a list may be.
type numberRange struct {
	noun     string
	min, max int64
}

var (
	portRange = numberRange{"port", 1, 65535}
	vniRange  = numberRange{"VXLAN network identifier", 0, 1<<24 - 1}
)

// numbersAttr decodes a list of whole numbers, each one once.
func (l *loader) numbersAttr(a argument, r numberRange, into *Attr[[]int]) {
	items, ok := l.items(a)
	numbers := make([]int, 0, len(items))
	for _, it := range items {
		if it.val.Type() != cty.Number {
			l.wrongType(a, it, "integer")
			ok = false
			continue
		}
		n, exact := it.val.AsBigFloat().Int64()
		switch {
		case exact != 0 || n < r.min || n > r.max:
			l.invalid(diag.BadValue, a, it, fmt.Sprintf("not a %s: a whole number from %d to %d", r.noun, r.min, r.max), "")
			ok = false
		case slices.Contains(numbers, int(n)):
			l.diags.Add(diag.Diagnostic{
				Severity: diag.Warning, Code: diag.DuplicateKey, Summary: "Repeated value", Subject: diag.Range(it.rng),
				Label: fmt.Sprintf("stands twice in %q", a.Name),
			})
		default:
			numbers = append(numbers, int(n))
		}
	}
	if !ok {
		return
	}
	if len(numbers) == 0 {
		l.emptyList(a, "names no "+r.noun)
		return
	}
	*into = attrOf(a, numbers)
}

// checkSource looks at what the arguments of a source say together.
func (l *loader) checkSource(b *body, s *Source) {
	switch s.Kind {
	case "access_log":
		l.checkLog(b, s, "")
	case "mirror":
		l.checkMirror(b, s)
	}
	if b.has("cert_file") != b.has("key_file") {
		have, need := "cert_file", "key_file"
		if b.has("key_file") {
			have, need = need, have
		}
		l.conflict(b.at(have), "needs "+need, "")
	}
	if s.Kind != "kafka" && s.Kind != "nats" {
		return
	}
	bus := &s.Bus
	switch {
	case s.Format.Value == "jq" && !b.has("map"):
		a, _ := b.schema.Argument("map")
		l.conflict(s.Format.Range, "jq needs map", "map = "+a.Example)
	case s.Format.Set && s.Format.Value != "jq" && b.has("map"):
		l.conflict(b.at("map"), "only goes with format = jq", "")
	}
	if bus.Start.Value == "latest" && !bus.Follow.Value && !b.broken["follow"] {
		l.conflict(bus.Start.Range, "leaves nothing to read without follow", "follow = true")
	}
	if s.Kind == "nats" {
		l.checkNATS(b, bus)
	}
}

func (l *loader) checkNATS(b *body, bus *Bus) {
	if b.has("stream") {
		return
	}
	at := b.at("server")
	switch {
	case !b.has("subject"):
		l.conflict(at, "needs a stream or a subject", `stream = "SHADOW"`)
	case !bus.Follow.Value:
		l.conflict(b.at("subject"), "without a stream nothing is kept that could be read", "follow = true, or name the stream")
	case b.has("consumer"):
		l.conflict(b.at("consumer"), "only goes with a stream", "")
	}
}

// checkLive looks at what an audit asks of a live source.
func (l *loader) checkLive(source pos.Range, replay *body, a *Audit) {
	if a.Source == nil {
		return
	}
	if a.Baseline.Recorded && !a.Source.HasResponses() {
		l.conflict(a.Baseline.Range, "a mirror has no responses to compare with", "baseline = target.stable, or name the access_log of the proxy that mirrors")
	}
	if !a.Source.Live() {
		return
	}
	for _, name := range []string{"speed", "max_gap"} {
		if replay.has(name) {
			l.liveConflict(replay.at(name), source, name)
		}
	}
	if t := a.Replay.Timing; t.Set && t.Value != TimingRecorded && t.Value != TimingUnpaced {
		l.liveConflict(t.Range, source, string(t.Value)+" timing")
	}
}

func (l *loader) liveConflict(at, source pos.Range, what string) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.ArgumentConflict, Summary: "Arguments that do not go together", Subject: at,
		Label:   what + " does not go with live traffic",
		Related: []diag.Related{{Range: source, Text: "its requests are sent as they come"}},
		Help:    "record it first, and replay the recording: shadowaudit record",
	})
}
