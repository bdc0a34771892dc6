// Package access keeps the access log: who opened which traffic, or wrote or
// removed a recording of it, when and what for. Events come in; each becomes one
// line of JSON at the end of a file. The lines hold nothing of the traffic.
//
// The log is evidence, so that what cannot be written down must not happen: an
// error of Note is a reason to refuse.
package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// Action is what was done with a file.
type Action string

// The actions.
const (
	Open   Action = "open"
	Create Action = "create"
	Remove Action = "remove"
)

// Entry is one line of the log. Fields are only ever added.
type Entry struct {
	Time      string `json:"time"` // RFC 3339, UTC
	User      string `json:"user"` // of the operating system, or its number
	Host      string `json:"host"`
	Command   string `json:"command"` // of shadowaudit: "run"
	Action    Action `json:"action"`
	Path      string `json:"path"`      // absolute
	Recording string `json:"recording"` // its id; of a file without one "sha256:" and the hash of its first 4 KiB
	Purpose   string `json:"purpose"`
}

// Log is a file that lines are added to. It may be used by several processes at
// a time. A nil Log notes nothing.
type Log struct {
	Path    string
	Command string
	Purpose string
	Now     func() time.Time // nil: time.Now
}

// Note adds a line about a file. recording is its id; "" takes a hash of how the
// file begins.
func (l *Log) Note(action Action, path, recording string) error {
	if l == nil {
		return nil
	}
	if err := l.note(action, path, recording); err != nil {
		return fmt.Errorf("the access log that SHADOWAUDIT_ACCESS_LOG names cannot be written, so nothing is read or written: %w", err)
	}
	return nil
}

func (l *Log) note(action Action, path, recording string) error {
	e := Entry{Command: l.Command, Action: action, Recording: recording, Purpose: l.Purpose, User: userName()}
	now := time.Now
	if l.Now != nil {
		now = l.Now
	}
	e.Time = now().UTC().Format(time.RFC3339Nano)
	var err error
	if e.Path, err = filepath.Abs(path); err != nil {
		return err
	}
	if e.Host, err = os.Hostname(); err != nil {
		return err
	}
	if e.Recording == "" {
		if e.Recording, err = beginning(path); err != nil {
			return err
		}
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err
	}
	return appendTo(l.Path, line.Bytes())
}

// appendTo adds a line in one write, so that lines of several processes do not
// mix, and sees it to the disk.
func appendTo(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if err == nil {
		if info, stat := f.Stat(); stat == nil && info.Mode().IsRegular() { // a pipe to a log collector has no disk
			err = f.Sync()
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// userName asks the operating system: variables of the environment can say
// anything.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// hashed is how much of a file names it.
const hashed = 4 << 10

func beginning(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, hashed)); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
