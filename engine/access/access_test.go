package access

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestNote(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "day.sar")
	if err := os.WriteFile(file, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 9, 0, 0, 5, time.UTC)
	log := &Log{Path: filepath.Join(dir, "access.jsonl"), Command: "run", Purpose: "TICKET-1 <\"x\"\n>", Now: func() time.Time { return at }}
	if err := log.Note(Open, file, ""); err != nil {
		t.Fatal(err)
	}
	if err := log.Note(Remove, file, "0011"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(log.Path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var first, second Entry
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &first) != nil || json.Unmarshal([]byte(lines[1]), &second) != nil {
		t.Fatalf("%q", lines)
	}
	const abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	if first.Recording != abc || second.Recording != "0011" || first.Path != file || first.Time != "2026-11-20T09:00:00.000000005Z" ||
		first.Action != Open || second.Action != Remove || first.User == "" || first.Host == "" || first.Purpose != log.Purpose || first.Command != "run" {
		t.Errorf("%+v\n%+v", first, second)
	}
	if info, err := os.Stat(log.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// What cannot be noted is refused, and where there is no log there is nothing to
// note.
func TestRefusal(t *testing.T) {
	dir := t.TempDir()
	if err := (&Log{Path: dir}).Note(Create, "x", "1"); err == nil || !strings.Contains(err.Error(), "SHADOWAUDIT_ACCESS_LOG") {
		t.Errorf("%v", err)
	}
	if err := (&Log{Path: filepath.Join(dir, "log")}).Note(Open, filepath.Join(dir, "none"), ""); err == nil {
		t.Error("a file that is not there was noted")
	}
	var none *Log
	if err := none.Note(Open, "x", ""); err != nil {
		t.Error(err)
	}
}

// Lines of several writers stay whole.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if err := (&Log{Path: path, Purpose: strings.Repeat("p", 2000)}).Note(Create, "x", "1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("%q", line)
		}
		n++
	}
	if n != 40 {
		t.Errorf("%d lines", n)
	}
}
