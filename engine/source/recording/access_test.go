package recording

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	format "github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// save writes a recording with one exchange a second that says m of itself, for
// the recipients, if there are any.
func save(t *testing.T, path string, m *format.Meta, n int, to ...format.Recipient) {
	t.Helper()
	w, err := format.Create(path)
	if len(to) > 0 {
		os.Remove(path)
		w, err = format.CreateSealed(path, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m != nil {
		if err := w.Describe(*m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		x := &traffic.Exchange{At: noon.Add(time.Duration(i) * time.Second), Request: traffic.Request{Method: "GET", Target: "/" + filepath.Base(path)}}
		if err := w.Write(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSealed(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	save(t, filepath.Join(dir, "a.sar"), &format.Meta{ID: "a"}, 2, id.Recipient())
	save(t, filepath.Join(dir, "b.sar"), &format.Meta{ID: "b"}, 2)
	save(t, filepath.Join(dir, "c.sar"), nil, 1)
	var opened []string
	cfg := Config{Name: "day", Paths: []string{filepath.Join(dir, "*.sar")},
		Identities: func() (format.Identities, error) { return format.Identities{id}, nil },
		Opened: func(file string, m *format.Meta) error {
			name := filepath.Base(file)
			if m != nil {
				name += "=" + m.ID
			}
			opened = append(opened, name)
			return nil
		}}
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if want := []string{"a.sar=a", "b.sar=b", "c.sar"}; !slices.Equal(opened, want) {
		t.Errorf("%q", opened)
	}
	if m := r.Metas(); len(m) != 3 || m[0].ID != "a" || m[1].ID != "b" || m[2] != nil {
		t.Errorf("%v", m)
	}
	for range 5 {
		x, err := r.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(strings.TrimPrefix(x.Request.Target, "/"), ".sar")
		if m := r.Meta(); want == "c" && m != nil || want != "c" && (m == nil || m.ID != want) {
			t.Errorf("%s: %+v", x.Request.Target, m)
		}
	}
	if _, err := r.Next(context.Background()); err != io.EOF || len(r.Warnings()) > 0 || len(opened) != 3 {
		t.Errorf("%v %v %q", err, r.Warnings(), opened)
	}
	cfg.Identities = nil
	if _, err := Open(cfg); !errors.Is(err, format.ErrNoIdentity) || !strings.Contains(err.Error(), "a.sar") {
		t.Errorf("%v", err)
	}
	refused := errors.New("not today")
	if _, err := Open(Config{Paths: []string{filepath.Join(dir, "b.sar")}, Opened: func(string, *format.Meta) error { return refused }}); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
}

// A cut is counted and said once, also where it falls between two blocks.
func TestSealedCut(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.sar")
	w, err := format.CreateSealed(path, []format.Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{})
	for range 300 {
		body := make([]byte, 1000)
		noise.Read(body)
		if err := w.Write(&traffic.Exchange{At: noon, Request: traffic.Request{Method: "GET", Target: "/", Body: traffic.Body{Bytes: body}}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(Config{Name: "day", Paths: []string{path}, Identities: func() (format.Identities, error) { return format.Identities{id}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := len(all(t, r))
	c := r.Counts()
	if n == 0 || n >= 300 || c.Truncated != 1 || c.Records != c.Read+c.Malformed || len(r.Warnings()) != 1 {
		t.Errorf("%d %+v %v", n, c, r.Warnings())
	}
}

func TestExpiredRecording(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sar")
	expires := noon.Add(time.Hour)
	save(t, path, &format.Meta{Expires: expires}, 3)
	at := func(now time.Time) Config {
		return Config{Name: "day", Paths: []string{path}, Now: func() time.Time { return now }}
	}
	r, err := Open(at(noon))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, r)); n != 3 {
		t.Errorf("%d", n)
	}
	r.Close()
	_, err = Open(at(expires))
	var expired *ExpiredError
	if !errors.As(err, &expired) || !expired.At.Equal(expires) || !strings.Contains(err.Error(), "2026-11-20 13:00 UTC") || !strings.Contains(err.Error(), "purge") {
		t.Errorf("%v", err)
	}
	if m, err := Describe(path, nil); err != nil || !m.Expires.Equal(expires) {
		t.Errorf("%+v %v", m, err)
	}

	// joined behind one that may be kept, it is refused when its turn comes
	kept, old := filepath.Join(dir, "kept.sar"), path
	save(t, kept, nil, 2)
	a, _ := os.ReadFile(kept)
	b, _ := os.ReadFile(old)
	if err := os.WriteFile(path, append(a, b...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = Open(at(expires)); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if _, err := r.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(context.Background()); !errors.As(err, &expired) {
		t.Errorf("%v", err)
	}
}

func TestIs(t *testing.T) {
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "plain"), nil, 0)
	save(t, filepath.Join(dir, "sealed"), nil, 0, id.Recipient())
	whole, _ := os.ReadFile(filepath.Join(dir, "plain"))
	for name, b := range map[string][]byte{"zipped": zipped(whole), "empty": nil, "other": []byte("age-encryption.org/v2\n"), "short": whole[:5]} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"plain": true, "sealed": true, "zipped": true, "empty": false, "other": false, "short": false} {
		if got, err := Is(filepath.Join(dir, name)); got != want || err != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := Is(filepath.Join(dir, "none")); err == nil {
		t.Error("there is no such file")
	}
}
