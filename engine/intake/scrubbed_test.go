package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

var scrubKey = bytes.Repeat([]byte("k"), 32)

// secret is what the exchanges of recorded hold: something that only a field name
// gives away, so that no look at the bytes finds it.
const secret = "Roe"

// recorded writes a recording with a part for each of the metas, two exchanges
// in each.
func recorded(t *testing.T, metas ...*recording.Meta) plan.Source {
	t.Helper()
	var out bytes.Buffer
	for _, m := range metas {
		w, err := recording.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		if m != nil {
			if err := w.Describe(*m); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			x := &traffic.Exchange{
				At: time.Unix(1795166295, 0), Session: "s",
				Request:  traffic.Request{Method: "GET", Target: "/?last_name=" + secret, Proto: "HTTP/1.1"},
				Response: &traffic.Response{Status: 200, Proto: "HTTP/1.1", Body: traffic.Body{Bytes: []byte(`{"cvv":"731"}`)}, Header: traffic.Header{{Name: "Content-Type", Value: "application/json"}}},
			}
			if err := w.Write(x); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "day.sar")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return plan.Source{Kind: "recording", Name: "day", Paths: []string{path}}
}

// What a recording says of itself is not taken on trust.
func TestFalseMeta(t *testing.T) {
	src := recorded(t, &recording.Meta{KeyID: keyID(t, scrubKey), Packs: scrub.PackNames(), Rules: RulesDigest(&plan.Scrub{})})
	file, err := os.ReadFile(src.Paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r, err := recording.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	w, err := recording.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	x.Request.Target = "/?q=jane.roe@corp.test"
	if err := errors.Join(w.Describe(*r.Meta()), w.Write(x), w.Close(), os.WriteFile(src.Paths[0], out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	in, err := Open(&plan.Audit{Source: src}, Options{Key: scrubKey})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	step, err := in.Next(context.Background())
	if err != nil || strings.Contains(step.Exchange.Request.Target, "jane") || in.Scrub().Before != 0 {
		t.Errorf("%+v %v", step, err)
	}
}

// keyID is what a scrubber calls a key.
func keyID(t *testing.T, key []byte) string {
	t.Helper()
	s, err := scrub.New(scrub.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s.Report().KeyID
}

// What a recording says was scrubbed in the same way is passed on as it is, and
// nothing else ever is.
func TestScrubbedBefore(t *testing.T) {
	rule := []scrub.Rule{{Name: "q", Query: []string{"q"}, Action: scrub.Mask}}
	same := &recording.Meta{KeyID: keyID(t, scrubKey), Packs: scrub.PackNames(), Rules: RulesDigest(&plan.Scrub{})}
	fewer := *same
	fewer.Packs = []string{"pci@1"}
	nobodys := *same
	nobodys.KeyID = recording.Ephemeral
	for _, tt := range []struct {
		name   string
		metas  []*recording.Meta
		key    []byte
		s      plan.Scrub
		before int64 // exchanges that are passed on as they are, the first ones
	}{
		{"the same", []*recording.Meta{same}, scrubKey, plan.Scrub{}, 2},
		{"fewer packs asked", []*recording.Meta{same}, scrubKey, plan.Scrub{Packs: []string{"gdpr@1", "pci@1"}}, 2},
		{"more packs asked", []*recording.Meta{&fewer}, scrubKey, plan.Scrub{}, 0},
		{"other rules", []*recording.Meta{same}, scrubKey, plan.Scrub{Rules: rule}, 0},
		{"another limit", []*recording.Meta{same}, scrubKey, plan.Scrub{MaxBody: 1 << 20}, 0},
		{"another key", []*recording.Meta{same}, bytes.Repeat([]byte("x"), 32), plan.Scrub{}, 0},
		{"no key", []*recording.Meta{same}, nil, plan.Scrub{}, 0},
		{"keys that nobody kept", []*recording.Meta{&nobodys}, nil, plan.Scrub{}, 0},
		{"nothing is said", []*recording.Meta{nil}, scrubKey, plan.Scrub{}, 0},
		{"joined with another", []*recording.Meta{same, nil}, scrubKey, plan.Scrub{}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			compared := 0
			in, err := Open(&plan.Audit{Source: recorded(t, tt.metas...), Scrub: tt.s}, Options{Key: tt.key, Responses: true, InMemory: true,
				Scrubbed: func(_, _ *traffic.Exchange) { compared++ }})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			n := int64(0)
			for ; ; n++ {
				step, err := in.Next(context.Background())
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if kept := strings.Contains(step.Exchange.Request.Target, secret); kept != (n < tt.before) {
					t.Errorf("exchange %d: %v", n, step.Exchange.Request.Target)
				}
			}
			if s := in.Scrub(); s.Before != tt.before || n != int64(2*len(tt.metas)) || int64(compared) != n-tt.before {
				t.Errorf("%d of %d, %d compared", s.Before, n, compared)
			}
			// what is removed from an answer of a target leaves a stand-in behind only
			// where it does so in what it is compared with
			answer := &traffic.Response{Status: 200, Body: traffic.Body{Bytes: []byte(`{"cvv":"731"}`)}, Header: traffic.Header{{Name: "Content-Type", Value: "application/json"}}}
			if answer, err = in.Scrubber().Response(answer); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(answer.Body.Bytes), "cvv") != (tt.before == 0) {
				t.Errorf("an answer becomes %s", answer.Body.Bytes)
			}
		})
	}
}

// The log tells of every file, whatever its kind, and without it nothing opens.
func TestAccessLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.jsonl")
	a := Access{Log: log, Command: "run"}
	sources := []plan.Source{
		recorded(t, &recording.Meta{ID: "0011"}, nil),
		{Kind: "gor", Name: "r", Paths: []string{"../../testdata/gor/r_0.gor"}},
	}
	for _, s := range sources {
		in, err := Open(&plan.Audit{Name: "shop", Source: s}, Options{Access: a})
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		var e struct{ Recording, Purpose string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Purpose != "audit shop" {
			t.Errorf("%s %v", line, err)
		}
		ids = append(ids, e.Recording)
	}
	if len(ids) != 2 || ids[0] != "0011" || !strings.HasPrefix(ids[1], "sha256:") {
		t.Errorf("%q", ids)
	}
	a.Log = t.TempDir() // a folder cannot be written to
	for _, s := range sources {
		if _, err := Open(&plan.Audit{Source: s}, Options{Access: a}); err == nil || !strings.Contains(err.Error(), "SHADOWAUDIT_ACCESS_LOG") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := (Access{}).Identities(); !errors.Is(err, recording.ErrNoIdentity) {
		t.Errorf("%v", err)
	}
}
