package preview

import (
	"slices"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/intake"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/recording"
)

// Made is what a recording of our own says of itself.
type Made struct {
	File      string   `json:"file"`
	ID        string   `json:"id"`
	KeyID     string   `json:"key_id"` // of the scrub key; "ephemeral" for one that nobody kept
	Packs     []string `json:"packs"`
	Tool      string   `json:"tool"`       // version that wrote it
	CreatedAt string   `json:"created_at"` // RFC 3339
	ExpiresAt string   `json:"expires_at"` // RFC 3339; "": it may be kept
}

// madeOf reads what the recordings say of themselves. One that says nothing, or
// that cannot be read, which is said elsewhere, is left out.
func madeOf(paths []string, access intake.Access) []Made {
	out := []Made{}
	files, err := source.Files(paths)
	if err != nil {
		return out
	}
	for _, file := range files {
		m, err := recording.Describe(file, access.Identities)
		if err != nil || m == nil {
			continue
		}
		made := Made{
			File: file, ID: m.ID, KeyID: m.KeyID, Packs: slices.Clone(m.Packs), Tool: m.Tool,
			CreatedAt: m.Created.Format(time.RFC3339Nano),
		}
		if !m.Expires.IsZero() {
			made.ExpiresAt = m.Expires.Format(time.RFC3339Nano)
		}
		list(&made.Packs)
		out = append(out, made)
	}
	return out
}
