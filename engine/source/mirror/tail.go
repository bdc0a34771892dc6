package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	maxLine   = 64 << 10         // bytes; a longer line is left out
	maxFollow = 4                // files that are followed at once: the log, and those that it was before
	linger    = 10 * time.Second // for which a log that was renamed is followed after its last line
)

// tail follows a log as it grows, from where it ends when it is opened. A log
// that does not exist yet is waited for. One that is renamed and made anew is
// followed under both names for a while, because whoever writes it may take a
// moment to notice. One that becomes shorter was emptied, and is read from its
// beginning; what was written to it just before that may be lost.
type tail struct {
	path    string
	files   []*followed // the log as it is now comes last
	existed bool
}

// followed is a file that is read as it grows.
type followed struct {
	file  *os.File
	at    int64     // read so far, in bytes
	part  []byte    // the beginning of a line that has not ended
	skip  bool      // the line in hand is left out: it is too long, or began before us
	moved bool      // the name belongs to another file now
	since time.Time // of the last line, or of the rename
}

// openTail begins at the end of the log, if there is one.
func openTail(path string) (*tail, error) {
	t := &tail{path: path}
	f, err := t.open()
	if err != nil || f == nil {
		return t, err
	}
	if err := f.toEnd(); err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	return t, nil
}

// open opens what has the name now. It is nil where nothing does.
func (t *tail) open() (*followed, error) {
	info, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // opening a pipe would wait for its other end
		return nil, fmt.Errorf("%s is not a regular file", t.path)
	}
	file, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // renamed between the two
	}
	if err != nil {
		return nil, err
	}
	f := &followed{file: file}
	t.files, t.existed = append(t.files, f), true
	return f, nil
}

// toEnd passes over what is there, and over the line that is being written.
func (f *followed) toEnd() (err error) {
	if f.at, err = f.file.Seek(0, io.SeekEnd); err != nil || f.at == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err = f.file.ReadAt(last, f.at-1); err == io.EOF {
		err = nil // emptied meanwhile
	}
	f.skip = last[0] != '\n'
	return err
}

// look gives every line that has come since it was called last, without its end.
// A line is valid until take returns.
func (t *tail) look(now time.Time, take func(line []byte)) error {
	var errs []error
	for _, f := range t.files {
		errs = append(errs, f.read(now, take))
	}
	errs = append(errs, t.rotate(now, take))
	return errors.Join(errs...)
}

// rotate finds out whether the name belongs to another file now.
func (t *tail) rotate(now time.Time, take func(line []byte)) error {
	t.drop(now)
	if n := len(t.files); n > 0 {
		last := t.files[n-1]
		named, err := os.Stat(t.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // renamed, and not made anew yet
		}
		if err != nil {
			return err
		}
		held, err := last.file.Stat()
		if err != nil || os.SameFile(named, held) {
			return err
		}
		last.moved, last.since = true, now
	}
	f, err := t.open()
	if f == nil || err != nil {
		return err
	}
	return f.read(now, take)
}

// drop closes files that were renamed and are written to no more.
func (t *tail) drop(now time.Time) {
	kept := t.files[:0]
	for i, f := range t.files {
		if f.moved && (now.Sub(f.since) > linger || len(t.files)-i > maxFollow) {
			f.file.Close()
			continue
		}
		kept = append(kept, f)
	}
	clear(t.files[len(kept):])
	t.files = kept
}

// read takes in what was added to the file.
func (f *followed) read(now time.Time, take func(line []byte)) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.at {
		f.at, f.part, f.skip = 0, nil, false
	}
	var buf []byte
	if f.at < info.Size() {
		buf = make([]byte, maxLine)
	}
	for f.at < info.Size() {
		n, err := f.file.ReadAt(buf, f.at)
		f.at += int64(n)
		if n > 0 {
			f.since = now
			f.split(buf[:n], take)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// split cuts what was read into lines, and keeps the rest.
func (f *followed) split(text []byte, take func(line []byte)) {
	for {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		if len(f.part)+len(line) > maxLine {
			f.skip = true
		}
		if f.skip {
			f.part = nil
		} else {
			f.part = append(f.part, line...)
		}
		if !ended {
			return
		}
		if line := bytes.Trim(f.part, "\r\x00"); len(line) > 0 && !f.skip {
			take(line)
		}
		f.part, f.skip, text = f.part[:0], false, rest
	}
}

// close closes all files.
func (t *tail) close() {
	for _, f := range t.files {
		f.file.Close()
	}
	t.files = nil
}
