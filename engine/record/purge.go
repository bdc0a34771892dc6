package record

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/access"
	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/source/recording"
)

// PurgeOptions are what removing recordings needs beside their paths.
type PurgeOptions struct {
	DryRun bool // say what would be removed, and remove nothing
	Access intake.Access
	Now    func() time.Time // nil: time.Now
}

// Purged is a recording that was looked at.
type Purged struct {
	Path    string
	Expires time.Time // zero: it may be kept
	Removed bool      // or would be
	Err     error     // why it could not be told or done
}

// Purge removes the recordings that were to be kept until a time that is over.
// A path is a file, or a folder, in which files that are no recordings are
// passed over, and everything below it. Of recordings that were joined the first
// one decides. What goes wrong with a file is in its entry; the error is about
// paths that cannot be read, or that of ctx.
func Purge(ctx context.Context, paths []string, opts PurgeOptions) ([]Purged, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	var done []Purged
	for _, path := range paths {
		files, err := recordings(path)
		if err != nil {
			return done, err
		}
		for _, file := range files {
			if err := ctx.Err(); err != nil {
				return done, err
			}
			done = append(done, opts.purge(file))
		}
	}
	return done, nil
}

func (o *PurgeOptions) purge(path string) Purged {
	p := Purged{Path: path}
	m, err := recording.Describe(path, o.Access.Identities)
	if err != nil {
		p.Err = err
		return p
	}
	if m == nil {
		return p
	}
	p.Expires = m.Expires
	if !m.Expired(o.Now()) {
		return p
	}
	p.Removed = true
	if o.DryRun {
		return p
	}
	if p.Err = o.Access.Note(access.Remove, path, m.ID); p.Err == nil {
		p.Err = os.Remove(path)
	}
	p.Removed = p.Err == nil
	return p
}

// ErrNotRecording is a file that Purge was to look at and that is no recording.
var ErrNotRecording = recording.ErrNotRecording

// recordings lists the recordings at a path, sorted.
func recordings(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		ours, err := recording.Is(path)
		if err == nil && !ours {
			err = fmt.Errorf("%s: %w", path, ErrNotRecording)
		}
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		ours, err := recording.Is(name)
		if ours {
			files = append(files, name)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}
