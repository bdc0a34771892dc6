package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// keys makes an age key pair.
func keys(t testing.TB) (*age.X25519Identity, Identities) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id, Identities{id}
}

// sealed makes an encrypted recording of n exchanges, in blocks of ten, with
// bodies that do not compress.
func sealed(t testing.TB, n int, to ...Recipient) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "day.sar.age")
	w, err := CreateSealed(path, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Describe(someMeta); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		x := plain(i)
		x.Response.Body.Bytes = noise(i, 3000)
		if err := w.Write(x); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func noise(seed, n int) []byte {
	b, x := make([]byte, n), uint64(seed)*2654435761+1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// unseal reads an encrypted recording to its end.
func unseal(t testing.TB, file []byte, ids Identities) (n int, cut bool) {
	t.Helper()
	u, err := Unseal(bytes.NewReader(file), ids)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(u)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		_, err := r.Next()
		var d *DamageError
		switch {
		case err == nil:
			n++
		case errors.As(err, &d) && d.Cut:
		case err == io.EOF:
			return n, u.Cut()
		default:
			t.Fatal(err)
		}
	}
}

func TestSeal(t *testing.T) {
	id, ids := keys(t)
	other, others := keys(t)
	_, strangers := keys(t)
	file := sealed(t, 100, id.Recipient(), other.Recipient())
	if !IsSealed(file) || IsRecording(file) || bytes.Contains(file, []byte(magic)) || bytes.Contains(file, []byte("shop.example")) {
		t.Error("it is not sealed")
	}
	for _, ids := range []Identities{ids, others, append(strangers, others...)} {
		if n, cut := unseal(t, file, ids); n != 100 || cut {
			t.Errorf("%d, cut %v", n, cut)
		}
	}
	if _, err := Unseal(bytes.NewReader(file), strangers); !errors.Is(err, ErrWrongIdentity) {
		t.Errorf("%v", err)
	}
	if _, err := Unseal(bytes.NewReader(file), nil); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("%v", err)
	}
}

// A writer that is killed leaves what it had written to the disk: whole chunks
// of 64 KiB of plaintext (age-encryption.org/v1, "Payload"). Wherever the file
// ends, everything that the whole chunks hold can be read.
func TestSealCut(t *testing.T) {
	id, ids := keys(t)
	const n = 200
	file := sealed(t, n, id.Recipient())
	const chunk, tag = 64 << 10, 16
	u, err := Unseal(bytes.NewReader(file), ids)
	if err != nil {
		t.Fatal(err)
	}
	plaintext, err := io.ReadAll(u)
	if err != nil || len(plaintext) < 5*chunk {
		t.Fatalf("%d %v", len(plaintext), err)
	}
	head := len(file) - len(plaintext) - tag*((len(plaintext)+chunk-1)/chunk)
	sizes := []int{head + chunk + tag, head + chunk + tag + 1, len(file) - 1, len(file) - 60}
	for size := head + chunk + tag; size < len(file); size += 37_777 {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		whole := (size - head) / (chunk + tag)
		want, _, _ := read(t, plaintext[:min(whole*chunk, len(plaintext))])
		got, cut := unseal(t, file[:size], ids)
		if got != len(want) || !cut || got == 0 {
			t.Errorf("cut at %d of %d, after %d chunks: %d exchanges, want %d, cut %v", size, len(file), whole, got, len(want), cut)
		}
	}
	for _, size := range []int{30, head - 1, head, head + 100, head + chunk + tag - 1} {
		if _, err := Unseal(bytes.NewReader(file[:size]), ids); !errors.Is(err, ErrSealBroken) {
			t.Errorf("cut at %d: %v", size, err)
		}
	}
}

// What was changed is not read, nor is anything behind it.
func TestSealChanged(t *testing.T) {
	id, ids := keys(t)
	file := sealed(t, 100, id.Recipient())
	file[len(file)-100_000] ^= 1
	if n, cut := unseal(t, file, ids); !cut || n == 0 || n >= 100 {
		t.Errorf("%d, cut %v", n, cut)
	}
}

// An error of the disk is one, and no end.
func TestSealDiskError(t *testing.T) {
	id, ids := keys(t)
	file := sealed(t, 100, id.Recipient())
	broken := errors.New("input/output error")
	u, err := Unseal(io.MultiReader(bytes.NewReader(file[:150_000]), errorReader{broken}), ids)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, u); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := Unseal(errorReader{broken}, ids); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadIdentities(t *testing.T) {
	id, _ := keys(t)
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"good":      {"# created: today\n" + id.String() + "\n", true},
		"recipient": {id.Recipient().String() + "\n", false},
		"empty":     {"", false},
		"typo":      {id.String()[:40] + "\n", false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		ids, err := ReadIdentities(path)
		if (err == nil) != tt.ok || (len(ids) == 1) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), id.String()[16:40])) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadIdentities(filepath.Join(dir, "none")); err == nil {
		t.Error("there is no such file")
	}
}
