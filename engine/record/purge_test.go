package record_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/record"
)

// make5 records five exchanges.
func make5(t *testing.T, path string, opts record.Options) {
	t.Helper()
	opts.Path = path
	if s, err := record.Make(context.Background(), audit(t, 5), opts); err != nil || s.Recorded != 5 {
		t.Fatalf("%+v %v", s, err)
	}
}

// identity makes a key pair: a file with the secret half, and the public one.
func identity(t *testing.T) (path string, to []record.Recipient) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "identity.txt")
	if err := os.WriteFile(path, []byte("# made for a test\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, []record.Recipient{id.Recipient()}
}

func TestPurge(t *testing.T) {
	dir := t.TempDir()
	key, to := identity(t)
	make5(t, filepath.Join(dir, "hour.sar"), record.Options{Retain: time.Hour})
	make5(t, filepath.Join(dir, "kept.sar"), record.Options{})
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	make5(t, filepath.Join(dir, "sub", "sealed.age"), record.Options{Retain: time.Hour, Recipients: to})
	make5(t, filepath.Join(dir, "year.sar"), record.Options{Retain: 365 * 24 * time.Hour})
	for name, text := range map[string]string{"notes.txt": "no recording", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "access.jsonl")
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	names := func(opts record.PurgeOptions) (removed, failed []string) {
		all, err := record.Purge(context.Background(), []string{dir}, opts)
		if err != nil || len(all) != 4 {
			t.Fatalf("%+v %v", all, err)
		}
		for _, p := range all {
			if p.Removed {
				removed = append(removed, filepath.Base(p.Path))
			}
			if p.Err != nil {
				failed = append(failed, filepath.Base(p.Path))
			}
		}
		return removed, failed
	}
	check := func(what string, opts record.PurgeOptions, want, wantFailed string) {
		t.Helper()
		removed, failed := names(opts)
		if strings.Join(removed, " ") != want || strings.Join(failed, " ") != wantFailed {
			t.Errorf("%s: removed %v, failed %v", what, removed, failed)
		}
	}
	unlocked := intake.Access{Identity: key, Log: log, Command: "purge"}
	check("now", record.PurgeOptions{Access: unlocked}, "", "")
	check("dry", record.PurgeOptions{Access: unlocked, DryRun: true, Now: later}, "hour.sar sealed.age", "")
	check("no log", record.PurgeOptions{Access: intake.Access{Identity: key, Log: dir}, Now: later}, "", "hour.sar sealed.age")
	if _, err := os.Stat(log); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a line was written although nothing was removed: %v", err)
	}
	check("locked", record.PurgeOptions{Now: time.Now}, "", "sealed.age")
	check("later", record.PurgeOptions{Access: unlocked, Now: later}, "hour.sar sealed.age", "")
	left, err := record.Purge(context.Background(), []string{dir}, record.PurgeOptions{Now: later})
	if err != nil || len(left) != 2 || left[0].Expires != (time.Time{}) || left[1].Expires.IsZero() {
		t.Errorf("%+v %v", left, err)
	}
	lines, err := os.ReadFile(log)
	if err != nil || strings.Count(string(lines), `"action":"remove"`) != 2 {
		t.Errorf("%s %v", lines, err)
	}
	if _, err := record.Purge(context.Background(), []string{filepath.Join(dir, "notes.txt")}, record.PurgeOptions{}); !errors.Is(err, record.ErrNotRecording) {
		t.Errorf("%v", err)
	}
	if _, err := record.Purge(context.Background(), []string{filepath.Join(dir, "none")}, record.PurgeOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A recording is written down before it is there, or it is not there.
func TestMakeWithoutLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "day.sar")
	_, err := record.Make(context.Background(), audit(t, 1), record.Options{Path: path, Access: intake.Access{Log: dir}})
	if err == nil || !strings.Contains(err.Error(), "SHADOWAUDIT_ACCESS_LOG") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestRecipients(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "team.txt")
	if err := os.WriteFile(file, []byte("# the team\n\n"+id.Recipient().String()+"\n"+pq.Recipient().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := record.Recipients([]string{id.Recipient().String()}, []string{file}); err != nil || len(r) != 3 {
		t.Errorf("%d %v", len(r), err)
	}
	for _, text := range []string{"", "age1nonsense", id.String()} {
		if _, err := record.Recipients([]string{text}, nil); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%v", err)
		}
	}
}
