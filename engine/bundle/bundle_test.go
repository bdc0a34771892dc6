package bundle

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

func written(t testing.TB) []byte {
	t.Helper()
	run := &result.Run{Verdict: result.Fail, Seed: 7, Audits: []result.Audit{{Name: "checkout", Reason: "p95 is over max"}}}
	var b bytes.Buffer
	if err := Write(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	data := written(t)
	if !bytes.Equal(data, written(t)) {
		t.Error("the same run gave other bytes")
	}
	path := filepath.Join(t.TempDir(), "run.bundle")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	run, err := Read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if run.Seed != 7 || run.Verdict != result.Fail || run.Audits[0].Name != "checkout" {
		t.Errorf("read %+v", run)
	}
}

func TestASealedBundleIsForItsRecipients(t *testing.T) {
	mine, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Sealed([]recording.Recipient{mine.Recipient()})(&b, &result.Run{Seed: 7}); err != nil {
		t.Fatal(err)
	}
	read := func(data []byte, id age.Identity) (*result.Run, error) {
		path := filepath.Join(t.TempDir(), "run.bundle")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return Read(path, func() (recording.Identities, error) {
			if id == nil {
				return nil, recording.ErrNoIdentity
			}
			return recording.Identities{id}, nil
		})
	}
	if run, err := read(b.Bytes(), mine); err != nil || run.Seed != 7 {
		t.Errorf("%v, %v", run, err)
	}
	if _, err := read(b.Bytes(), other); !errors.Is(err, recording.ErrWrongIdentity) {
		t.Errorf("another key: %v", err)
	}
	if _, err := read(b.Bytes(), nil); !errors.Is(err, recording.ErrNoIdentity) {
		t.Errorf("no key: %v", err)
	}
	if _, err := read(b.Bytes()[:b.Len()-1], mine); err == nil {
		t.Error("a bundle that is cut was read")
	}
}

func TestWhatIsNoBundle(t *testing.T) {
	other := func(members map[string]string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, text := range members {
			w, _ := z.Create(name)
			io.WriteString(w, text)
		}
		z.Close()
		return b.Bytes()
	}
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"text":            []byte("hello"),
		"half":            written(t)[:100],
		"another zip":     other(map[string]string{"a": "b"}),
		"a later version": other(map[string]string{"format": "shadowaudit bundle 2\n", "result.json": "{}"}),
		"no document":     other(map[string]string{"format": formatText}),
		"no JSON":         other(map[string]string{"format": formatText, "result.json": "{"}),
	} {
		if _, err := Decode(data); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(written(f))
	f.Fuzz(func(t *testing.T, data []byte) { Decode(data) })
}
