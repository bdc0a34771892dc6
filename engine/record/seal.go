package record

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/recording"
)

// Recipient is somebody who can read an encrypted recording.
type Recipient = recording.Recipient

// Recipients reads the recipients that are given as they are, and those in
// files, one a line. No text is quoted in an error: it may be a secret key.
func Recipients(texts, files []string) ([]Recipient, error) {
	var all []Recipient
	for _, text := range texts {
		r, err := recording.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("--recipient: %w", err)
		}
		all = append(all, r...)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--recipients-file: %w", err)
		}
		r, err := recording.ParseRecipients(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("--recipients-file: %s: %w", name, err)
		}
		all = append(all, r...)
	}
	return all, nil
}

func create(path string, to []Recipient) (*recording.Writer, error) {
	if len(to) > 0 {
		return recording.CreateSealed(path, to)
	}
	return recording.Create(path)
}
