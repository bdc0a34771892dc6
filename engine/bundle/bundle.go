// Package bundle is the file that a run leaves behind, from which reports can be
// rendered again and differences accepted: a zip archive, readable without this
// tool. Its members are
//
//	format       the text "shadowaudit bundle 1" and a line feed
//	result.json  the document of package result
//
// A reader ignores members that it does not know. Everything in a bundle went
// through the scrubber. A sealed bundle is that archive as an age file
// (https://age-encryption.org/v1), which only its recipients can read.
package bundle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/result"
)

const (
	formatMember = "format"
	formatText   = "shadowaudit bundle 1\n"
	resultMember = "result.json"
)

// maxResult bounds the document of a bundle that is read, in bytes.
const maxResult = 1 << 30

// ErrFormat is a file that is no bundle, or one of a later version.
var ErrFormat = errors.New("not a bundle that this version can read; shadowaudit run --bundle FILE writes one")

// Write writes the bundle of a run. The same run gives the same bytes.
func Write(w io.Writer, run *result.Run) error {
	z := zip.NewWriter(w)
	if err := member(z, formatMember, func(w io.Writer) error {
		_, err := io.WriteString(w, formatText)
		return err
	}); err != nil {
		return err
	}
	if err := member(z, resultMember, run.Write); err != nil {
		return err
	}
	return z.Close()
}

// Sealed is Write for a bundle that only the recipients can read; without any it
// is Write.
func Sealed(to []recording.Recipient) func(io.Writer, *result.Run) error {
	if len(to) == 0 {
		return Write
	}
	return func(w io.Writer, run *result.Run) error {
		sealed, err := age.Encrypt(w, to...)
		if err != nil {
			return fmt.Errorf("encrypt the bundle: %w", err)
		}
		return errors.Join(Write(sealed, run), sealed.Close())
	}
}

// epoch is the time of all members: the earliest that the format has.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func member(z *zip.Writer, name string, write func(io.Writer) error) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch})
	if err != nil {
		return err
	}
	return write(w)
}

// Read reads the bundle at path. identities is asked for the keys of a sealed
// one. The error wraps ErrFormat, or is that of the file, of the keys, or one of
// recording.Unseal.
func Read(path string, identities func() (recording.Identities, error)) (*result.Run, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if recording.IsSealed(data) {
		if data, err = unseal(data, identities); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	run, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return run, nil
}

func unseal(data []byte, identities func() (recording.Identities, error)) ([]byte, error) {
	ids, err := identities()
	if err != nil {
		return nil, err
	}
	text, err := recording.Unseal(bytes.NewReader(data), ids)
	if err != nil {
		return nil, err
	}
	if data, err = io.ReadAll(text); err == nil && text.Cut() {
		err = recording.ErrSealBroken
	}
	return data, err
}

// Decode reads a bundle that is in memory.
func Decode(data []byte) (*result.Run, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, ErrFormat
	}
	format, err := text(z, formatMember, int64(len(formatText)))
	if err != nil || string(format) != formatText {
		return nil, ErrFormat
	}
	document, err := text(z, resultMember, maxResult)
	if err != nil {
		return nil, ErrFormat
	}
	run, err := result.Read(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("%w: its document is damaged", ErrFormat)
	}
	return run, nil
}

func text(z *zip.Reader, name string, limit int64) ([]byte, error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = ErrFormat
	}
	return data, err
}
