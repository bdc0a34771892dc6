package recording

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
)

// Recipient is somebody who can read a sealed recording: the public half of an
// age key.
type Recipient = age.Recipient

// ErrRecipient is a text that names no recipient.
var ErrRecipient = errors.New("not an age recipient: it begins with age1, and age-keygen -y prints that of an identity file")

// ParseRecipients reads recipients, one a line; empty lines and those that begin
// with # are passed over. The error wraps ErrRecipient and quotes nothing, since
// a secret key is easily given by mistake.
func ParseRecipients(in io.Reader) ([]Recipient, error) {
	recipients, err := age.ParseRecipients(in)
	if err != nil {
		return nil, ErrRecipient
	}
	return recipients, nil
}

// CreateSealed is Create for a recording that only the recipients can read.
func CreateSealed(path string, recipients []Recipient) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	undo := func(err error) error { return errors.Join(err, f.Close(), os.Remove(path)) }
	sealed, err := age.Encrypt(f, recipients...)
	if err != nil {
		return nil, undo(fmt.Errorf("encrypt the recording: %w", err))
	}
	w, err := NewWriter(sealed)
	if err != nil {
		return nil, undo(err)
	}
	w.seal, w.file = sealed, f
	return w, nil
}

// sealMagic is how age files begin.
const sealMagic = "age-encryption.org/v1\n"

// IsSealed reports whether a file that begins like start is encrypted with age.
// It needs the first 22 bytes.
func IsSealed(start []byte) bool { return bytes.HasPrefix(start, []byte(sealMagic)) }

// SealedSize is how many bytes IsSealed needs.
const SealedSize = len(sealMagic)

var (
	// ErrNoIdentity is a sealed recording for which no identity is known.
	ErrNoIdentity = errors.New("the recording is encrypted: name a file with your age identity, with --identity FILE or in SHADOWAUDIT_IDENTITY")
	// ErrWrongIdentity is a sealed recording that is for others.
	ErrWrongIdentity = errors.New("the recording is encrypted for other recipients: " +
		"none of the identities that --identity or SHADOWAUDIT_IDENTITY names can read it")
	// ErrSealBroken is a file that begins like a sealed recording and goes on like
	// none.
	ErrSealBroken = errors.New("the recording is encrypted, and its first part is damaged or cut off: there is nothing in it that can be read")
)

// Identities are the secret halves of age keys.
type Identities []age.Identity

// ReadIdentities reads a file of age identities, as age-keygen writes it. The
// error quotes nothing of the file.
func ReadIdentities(path string) (Identities, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the age identity: %w", err)
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("read the age identity: %s holds none that can be used: "+
			"it has lines that begin with AGE-SECRET-KEY-1, as age-keygen writes them", path)
	}
	return ids, nil
}

// Unseal reads what is in a sealed recording. The error may wrap
// ErrWrongIdentity or ErrSealBroken, or be that of in.
func Unseal(in io.Reader, ids Identities) (*Unsealed, error) {
	if len(ids) == 0 {
		return nil, ErrNoIdentity
	}
	watched := &watched{in: in}
	text, err := age.Decrypt(watched, ids...)
	var none *age.NoIdentityMatchError
	switch {
	case watched.err != nil:
		return nil, watched.err
	case errors.As(err, &none):
		return nil, ErrWrongIdentity
	case err != nil:
		return nil, ErrSealBroken
	}
	u := &Unsealed{text: bufio.NewReaderSize(text, 64<<10), in: watched}
	if _, err := u.text.Peek(1); err != nil && watched.err == nil {
		return nil, ErrSealBroken
	}
	return u, nil
}

// Unsealed is the plaintext of a sealed recording. What is cut off or was
// changed ends it, with io.EOF: what was read until then is as it was written.
type Unsealed struct {
	text *bufio.Reader
	in   *watched
	cut  bool
}

// Read reads plaintext.
func (u *Unsealed) Read(p []byte) (int, error) {
	n, err := u.text.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case u.in.err != nil:
		return n, u.in.err
	}
	u.cut = true
	return n, io.EOF
}

// Cut reports whether the encrypted data stopped early or was changed.
func (u *Unsealed) Cut() bool { return u.cut }

// watched remembers the errors of what it reads from, which decryption may pass
// on as its own.
type watched struct {
	in  io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
