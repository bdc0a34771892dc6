package lang

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Bounds of what one spec may pull in. They are far above any real spec.
const (
	maxFiles     = 200
	maxInstances = 20_000  // of for_each
	maxFileText  = 1 << 20 // bytes that file() gives
)

// session is what the loaders of a spec and of the files that it imports have
// in common.
type session struct {
	opts      Options
	files     []File            // everything that the plan depends on, in the order of reading
	texts     map[string][]byte // of spec files
	secrets   []pos.Range       // what no output may show
	loaded    int               // spec files
	instances int               // of for_each
}

func newSession(opts Options) *session {
	return &session{opts: opts, texts: map[string][]byte{}}
}

// enter makes a text known to those who render diagnostics.
func (s *session) enter(file string, text []byte) {
	if s.opts.Sources != nil {
		s.opts.Sources[file] = text
	}
}

// record notes a file on which the plan depends.
func (s *session) record(path string, text []byte) {
	sum := sha256.Sum256(text)
	f := File{Path: path, SHA256: hex.EncodeToString(sum[:])}
	for _, known := range s.files {
		if known == f {
			return
		}
	}
	s.files = append(s.files, f)
}

// hide keeps the lines of a range out of every output.
func (s *session) hide(r hcl.Range) { s.secrets = append(s.secrets, diag.Range(r)) }

func (s *session) read(path string) ([]byte, error) {
	if s.opts.ReadFile != nil {
		return s.opts.ReadFile(path)
	}
	return os.ReadFile(path)
}

// list gives the names in a folder. A folder that does not exist has none.
func (s *session) list(dir string) ([]string, error) {
	if s.opts.ReadDir != nil {
		return s.opts.ReadDir(dir)
	}
	if s.opts.ReadFile != nil {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (s *session) getenv(name string) (string, bool) {
	if s.opts.Getenv == nil {
		return "", false
	}
	return s.opts.Getenv(name)
}

// fileText is the function file: the text of a file in dir or below it. The
// errors are for the one who wrote the spec.
func (s *session) fileText(dir, path string) (string, error) {
	local := filepath.FromSlash(path)
	if !filepath.IsLocal(local) {
		return "", errors.New("the path leaves the folder of the spec")
	}
	name := filepath.Join(dir, local)
	text, err := s.confined(dir, local, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("there is no such file in the folder of the spec")
	case errors.Is(err, fs.ErrPermission):
		return "", errors.New("the file may not be read")
	case err != nil:
		return "", errors.New("the file cannot be read, or a link in its path leaves the folder of the spec")
	case len(text) > maxFileText:
		return "", errors.New("the file is larger than 1 MiB")
	case !utf8.Valid(text):
		return "", errors.New("the file is not text in UTF-8")
	}
	s.record(name, text)
	return string(text), nil
}

// confined reads a file without following links out of dir.
func (s *session) confined(dir, local, name string) ([]byte, error) {
	if s.opts.ReadFile != nil {
		return s.opts.ReadFile(name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info, err := root.Stat(local); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := root.Open(local)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileText+1))
}

// hideSecrets marks diagnostics whose source line shows a sensitive value.
func (s *session) hideSecrets(diags diag.List) {
	byFile := map[string][]pos.Range{}
	for _, secret := range s.secrets {
		byFile[secret.File] = append(byFile[secret.File], secret)
	}
	for i := range diags {
		d := &diags[i]
		for _, secret := range byFile[d.Subject.File] {
			if touches(secret, d.Subject.Start.Line) {
				d.Sensitive = true
			}
		}
		for _, r := range d.Related {
			for _, secret := range byFile[r.Range.File] {
				// Where a block begins may be shown, unless all of it stands on that line.
				oneLine := secret.Start.Line == secret.End.Line || isJSON(secret.File)
				if touches(secret, r.Range.Start.Line) && (oneLine || r.Range.Start.Line != secret.Start.Line) {
					d.Sensitive = true
				}
			}
		}
	}
}

func isJSON(file string) bool { return strings.HasSuffix(file, ".json") }
