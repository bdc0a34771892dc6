package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// Files lists the files that the patterns name, each one once: sorted within a
// pattern, patterns in their order. A pattern is a path, or a glob in the syntax
// of path/filepath; a file that exists under the literal name wins. A pattern
// without a file is an error that wraps fs.ErrNotExist.
func Files(patterns []string) ([]string, error) {
	var files []string
	seen := make(map[string]bool)
	for _, pattern := range patterns {
		found, err := match(pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if !seen[f] {
				seen[f] = true
				files = append(files, f)
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file is named: %w", fs.ErrNotExist)
	}
	return files, nil
}

func match(pattern string) ([]string, error) {
	info, err := os.Stat(pattern)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("%s is a directory: name the files in it, as in %s", pattern, filepath.Join(pattern, "*"))
	case err == nil:
		return []string{filepath.Clean(pattern)}, nil
	case !errors.Is(err, fs.ErrNotExist) || !strings.ContainsAny(pattern, `*?[`):
		return nil, err
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("file pattern %s: %w", pattern, err)
	}
	var files []string
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue
		}
		files = append(files, filepath.Clean(name))
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file matches %s: %w", pattern, fs.ErrNotExist)
	}
	return files, nil
}

// Meter counts the bytes that were read from the files of a source.
type Meter struct {
	done  atomic.Int64
	total int64
}

// NewMeter returns a meter for the files, with their sizes of now.
func NewMeter(files []string) *Meter {
	m := new(Meter)
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			m.total += info.Size()
		}
	}
	return m
}

// Progress returns how many bytes were read, and of how many. A file that grows
// while it is read does not make it overshoot.
func (m *Meter) Progress() (done, total int64) {
	return min(m.done.Load(), m.total), m.total
}

// File is an open recording. What it reads is decompressed: gzip and zlib are
// known by their first bytes, since recorders name files as they like.
type File struct {
	disk    *os.File
	meter   *Meter
	text    io.Reader
	ioErr   error // what the disk said, as opposed to the decompressor
	cut     bool
	started bool
}

// OpenFile opens a recording. meter may be nil.
func OpenFile(name string, meter *Meter) (*File, error) {
	disk, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &File{disk: disk, meter: meter}, nil
}

// Read reads decompressed bytes. Compressed data that stops early or is damaged
// ends there, with io.EOF: what was decoded until then is good. Cut tells.
func (f *File) Read(p []byte) (int, error) {
	if !f.started {
		f.started = true
		f.sniff()
	}
	if f.text == nil {
		return 0, f.end(io.EOF)
	}
	n, err := f.text.Read(p)
	return n, f.end(err)
}

// end gives the error of a Read its meaning.
func (f *File) end(err error) error {
	switch {
	case err == nil, err == io.EOF && f.ioErr == nil:
		return err
	case f.ioErr != nil:
		return f.ioErr
	}
	f.cut, f.text = true, nil
	return io.EOF
}

func (f *File) sniff() {
	raw := bufio.NewReaderSize(diskReader{f}, 64<<10)
	f.text = raw
	magic, _ := raw.Peek(2)
	if len(magic) < 2 {
		return
	}
	var z io.Reader
	var err error
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		z, err = gzip.NewReader(raw)
	case magic[0] == 0x78 && (magic[1] == 0x01 || magic[1] == 0x5e || magic[1] == 0x9c || magic[1] == 0xda):
		z, err = zlib.NewReader(raw)
	default:
		return
	}
	if err != nil {
		f.text, f.cut = nil, true
		return
	}
	f.text = z
}

// Cut reports whether compressed data stopped early or was damaged.
func (f *File) Cut() bool { return f.cut }

// IsCut reports whether in is a File whose compressed data stopped early or was
// damaged.
func IsCut(in io.Reader) bool {
	f, ok := in.(interface{ Cut() bool })
	return ok && f.Cut()
}

// Close closes the file.
func (f *File) Close() error { return f.disk.Close() }

// diskReader reads the file as it is, counts, and remembers the errors of the
// disk, which a decompressor may pass on as its own.
type diskReader struct{ f *File }

func (d diskReader) Read(p []byte) (int, error) {
	n, err := d.f.disk.Read(p)
	if d.f.meter != nil {
		d.f.meter.done.Add(int64(n))
	}
	if err != nil && err != io.EOF {
		d.f.ioErr = err
	}
	return n, err
}
