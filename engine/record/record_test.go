package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/record"
	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// audit makes an audit over a GoReplay file of n requests, with an e-mail
// address in each.
func audit(t *testing.T, n int) *plan.Audit {
	t.Helper()
	var out bytes.Buffer
	for i := range n {
		fmt.Fprintf(&out, "1 %04x1f907f000001%08x %d 0\nPUT /a?mail=jane.roe%%40corp.test HTTP/1.1\r\nHost: shop.example\r\n\r\n\n🐵🙈🙉\n", 40000+i%2, i, 1795166295000000000+i)
	}
	path := filepath.Join(t.TempDir(), "day.gor")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &plan.Audit{Source: plan.Source{Kind: "gor", Name: "day", Paths: []string{path}}}
}

func read(t *testing.T, path string) (xs []*traffic.Exchange, closed bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := recording.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		x, err := r.Next()
		if err == io.EOF {
			return xs, r.Closed()
		}
		if err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
}

func TestMake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.sar")
	s, err := record.Make(context.Background(), audit(t, 10), record.Options{Path: path})
	if err != nil || s.Recorded != 10 || s.Traffic.Selected != 10 {
		t.Fatalf("%+v %v", s, err)
	}
	xs, closed := read(t, path)
	if len(xs) != 10 || !closed {
		t.Fatalf("%d exchanges, closed %v", len(xs), closed)
	}
	sessions := map[string]int{}
	for i, x := range xs {
		sessions[x.Session]++
		if x.ID != "" || x.At.UnixNano() != 1795166295000000000+int64(i) || x.Source != "day" {
			t.Errorf("%+v", x)
		}
	}
	for name, n := range sessions {
		if n != 5 || len(name) != 16 {
			t.Errorf("session %q has %d", name, n)
		}
	}
	if _, err := record.Make(context.Background(), audit(t, 1), record.Options{Path: path}); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

// Without a key that somebody keeps, what was recorded is no baseline for what
// is answered later; with one, it is.
func TestWarnsOfLostKey(t *testing.T) {
	for _, tt := range []struct {
		name     string
		recorded bool
		keyEnv   string
		want     bool
	}{
		{"recorded baseline", true, "", true},
		{"recorded baseline, kept key", true, "KEY", false},
		{"live baseline", false, "", false},
	} {
		p := audit(t, 1)
		p.Baseline.Recorded, p.Scrub.KeyEnv = tt.recorded, tt.keyEnv
		getenv := func(string) (string, bool) { return "0123456789abcdef0123456789abcdef", true }
		s, err := record.Make(context.Background(), p, record.Options{Path: filepath.Join(t.TempDir(), "day.sar"), Getenv: getenv})
		if err != nil || (len(s.Notes) > 0) != tt.want {
			t.Errorf("%s: %v, %v", tt.name, s.Notes, err)
		}
	}
}

// countdown is a context that ends after it was asked a number of times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// An interrupt ends a recording properly: what was read until then is in it.
func TestInterrupt(t *testing.T) {
	day := filepath.Join(t.TempDir(), "day.sar")
	if _, err := record.Make(context.Background(), audit(t, 2000), record.Options{Path: day}); err != nil {
		t.Fatal(err)
	}
	p := &plan.Audit{Source: plan.Source{Kind: "recording", Name: "day", Paths: []string{day}}}
	path := filepath.Join(t.TempDir(), "day.sar")
	ctx := &countdown{context.Background(), 1000}
	s, err := record.Make(ctx, p, record.Options{Path: path})
	if !errors.Is(err, context.Canceled) || s.Recorded == 0 || s.Recorded >= 2000 {
		t.Fatalf("%d recorded, %v", s.Recorded, err)
	}
	if xs, closed := read(t, path); int64(len(xs)) != s.Recorded || !closed {
		t.Errorf("%d exchanges of %d, closed %v", len(xs), s.Recorded, closed)
	}
	// before the first exchange there is no file
	path += "2"
	if _, err := record.Make(&countdown{context.Background(), 0}, p, record.Options{Path: path}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file without an exchange was left behind")
	}
}

// What is not scrubbed is not recorded.
func TestNotScrubbed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.sar")
	p := audit(t, 1)
	p.Scrub.Disabled = "made up"
	if _, err := record.Make(context.Background(), p, record.Options{Path: path}); !errors.Is(err, record.ErrNotScrubbed) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file was made")
	}
}
