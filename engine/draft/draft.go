// Package draft writes a first spec from a recording. Files go in, the text of a
// spec comes out: commented, formatted, and such that it runs as soon as its
// targets are given. What the recording says is used for endpoints, ignore
// rules, cohorts and limits; no value from it is written down, and the names
// that are come from exchanges that were scrubbed.
package draft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/accesslog"
	"github.com/shadowaudit/shadowaudit/engine/source/envoytap"
	"github.com/shadowaudit/shadowaudit/engine/source/gor"
	"github.com/shadowaudit/shadowaudit/engine/source/har"
	"github.com/shadowaudit/shadowaudit/engine/source/mitm"
	"github.com/shadowaudit/shadowaudit/engine/source/pcap"
	"github.com/shadowaudit/shadowaudit/engine/source/recording"
)

// Config says what to make a spec of.
type Config struct {
	Name  string   // of the source and the audit: an identifier
	Paths []string // of the recordings, which have to be of one kind
	Shown []string // the same as the spec is to have them
	Spec  string   // what the spec will be called, for its comments

	Access intake.Access // to the files
}

var (
	// ErrUnknownKind is a file that is no recording of any known kind.
	ErrUnknownKind = errors.New("no recording of a known kind")
	// ErrMixedKinds are recordings that cannot be one source.
	ErrMixedKinds = errors.New("the files are of different kinds: one source has one kind")
	// ErrEmpty is a recording that says nothing.
	ErrEmpty = errors.New("there is no exchange in it")
)

// Make reads the recording and writes the spec. The error may wrap one of those
// above, or fs.ErrNotExist.
func Make(ctx context.Context, cfg Config) ([]byte, error) {
	kind, err := Kind(cfg.Paths)
	if err != nil {
		return nil, err
	}
	key, err := intake.RecordingKey(cfg.Paths)
	if err != nil {
		return nil, err
	}
	src := plan.Source{Kind: kind, Name: cfg.Name, Paths: cfg.Paths}
	if kind == "access_log" {
		if src.Format, err = logFormat(cfg.Paths); err != nil {
			return nil, err
		}
	}
	var hosts []count
	if kind == "har" { // a browser talks to third parties, too
		if hosts, err = hostsOf(ctx, src, key, cfg.Access); err != nil {
			return nil, err
		}
		if len(hosts) > 1 && isHost(hosts[0].name) {
			src.Hosts = []string{hosts[0].name}
		}
	}
	s, err := look(ctx, src, key, cfg.Access)
	if err != nil {
		return nil, err
	}
	if s.read == 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(cfg.Shown, ", "), ErrEmpty)
	}
	s.paths.finish()
	w := &writer{cfg: cfg, kind: kind, format: src.Format, hosts: hosts, limited: len(src.Hosts) > 0, survey: s}
	return w.spec(), nil
}

// Kind tells by their content what kind of source the files are.
func Kind(paths []string) (string, error) {
	files, err := source.Files(paths)
	if err != nil {
		return "", err
	}
	kind := ""
	for _, name := range files {
		k, err := kindOf(name)
		if err != nil {
			return "", err
		}
		if kind != "" && k != kind {
			return "", ErrMixedKinds
		}
		kind = k
	}
	return kind, nil
}

func kindOf(name string) (string, error) {
	switch ours, err := recording.Is(name); {
	case err != nil:
		return "", err
	case ours:
		return "recording", nil
	}
	p, err := pcap.Open(pcap.Config{Paths: []string{name}})
	if err == nil {
		return "pcap", p.Close()
	}
	if !errors.Is(err, pcap.ErrNotCapture) {
		return "", err
	}
	h, err := har.Open(har.Config{Paths: []string{name}})
	if err == nil {
		return "har", h.Close()
	}
	if !errors.Is(err, har.ErrNotHAR) {
		return "", err
	}
	g, err := gor.Open(gor.Config{Paths: []string{name}})
	if err == nil {
		return "gor", g.Close()
	}
	if !errors.Is(err, gor.ErrNotRecording) {
		return "", err
	}
	m, err := mitm.Open(mitm.Config{Paths: []string{name}})
	if err == nil {
		return "mitm", m.Close()
	}
	if !errors.Is(err, mitm.ErrNotFlows) {
		return "", err
	}
	switch tap, err := envoytap.Is(name); {
	case err != nil:
		return "", err
	case tap:
		return "envoy_tap", nil
	}
	switch _, err = accesslog.Detect(name); {
	case err == nil:
		return "access_log", nil
	case errors.Is(err, accesslog.ErrNotLog):
		return "", fmt.Errorf("%s is %w: a recording of GoReplay or of shadowaudit, a HAR file, a packet capture, flows of mitmproxy, traces of Envoy's tap filter, or an access log", name, ErrUnknownKind)
	}
	return "", err
}

// logFormat tells by the first file how access logs are written.
func logFormat(paths []string) (string, error) {
	files, err := source.Files(paths)
	if err != nil {
		return "", err
	}
	format, err := accesslog.Detect(files[0])
	return string(format), err
}

// each reads a source to its end.
func each(ctx context.Context, p plan.Source, access intake.Access, f func(*exchange)) error {
	src, err := intake.OpenSource(p, nil, access)
	if err != nil {
		return err
	}
	if c, ok := src.(io.Closer); ok {
		defer c.Close()
	}
	for {
		x, err := src.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("source.%s could not be read to its end: %w", p, err)
		}
		f(x)
	}
}

// hostsOf counts the hosts of the exchanges, the busiest first. One that the
// scrubber changes is not to be written down, and goes by no name.
func hostsOf(ctx context.Context, src plan.Source, key []byte, access intake.Access) ([]count, error) {
	s, err := scrub.New(scrub.Config{Key: key})
	if err != nil {
		return nil, err
	}
	const maxHosts = 1000
	hosts := map[string]int64{}
	err = each(ctx, src, access, func(x *exchange) {
		host := strings.ToLower(x.Request.Host())
		if _, known := hosts[host]; !known && (len(hosts) >= maxHosts || !isHost(host) || s.Text(host) != host) {
			host = ""
		}
		hosts[host]++
	})
	return rankedCounts(hosts), err
}

// isHost accepts the name of a host, with or without a port.
func isHost(s string) bool {
	name, port, _ := strings.Cut(s, ":")
	return name != "" && len(name) <= 253 && strings.Trim(port, "0123456789") == "" &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
