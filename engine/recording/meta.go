package recording

import (
	"errors"
	"slices"
	"time"
)

// Meta says how a recording came about: with what it was scrubbed, and how long
// it may be kept. It holds nothing of the traffic and no key.
type Meta struct {
	ID      string    // drawn at random, names the recording in an access log
	KeyID   string    // of the scrub key; "ephemeral" for one that nobody kept
	Packs   []string  // of the scrubber
	Rules   string    // digest of the rules of the user and of the limits of the scrubber
	Tool    string    // version of the program that wrote it
	Created time.Time // UTC
	Expires time.Time // UTC; zero: it may be kept
}

// Expired reports whether the recording may no longer be read.
func (m *Meta) Expired(now time.Time) bool {
	return m != nil && !m.Expires.IsZero() && !now.Before(m.Expires)
}

// Scrubbed reports whether what was scrubbed as m says may pass a scrubber with
// the given key id, packs and rules as it is: with the same key, by the same
// rules, and by no pack less. A key that nobody kept is never the same. A nil m
// says nothing.
func (m *Meta) Scrubbed(keyID string, packs []string, rules string) bool {
	if m == nil || keyID == "" || keyID == Ephemeral || m.KeyID != keyID || m.Rules != rules {
		return false
	}
	for _, p := range packs {
		if !slices.Contains(m.Packs, p) {
			return false
		}
	}
	return true
}

// Ephemeral is the id of all keys that were drawn for one recording or run.
const Ephemeral = "ephemeral"

// Keys of the payload of a meta block.
const (
	keyMetaID      = 1<<1 | 1
	keyMetaKeyID   = 2<<1 | 1
	keyMetaPack    = 3<<1 | 1
	keyMetaRules   = 4<<1 | 1
	keyMetaTool    = 5<<1 | 1
	keyMetaCreated = 6 << 1
	keyMetaExpires = 7 << 1
)

func (m *Meta) append(b []byte) []byte {
	b = appendText(b, keyMetaID, m.ID)
	b = appendText(b, keyMetaKeyID, m.KeyID)
	for _, p := range m.Packs {
		b = appendText(b, keyMetaPack, p)
	}
	b = appendText(b, keyMetaRules, m.Rules)
	b = appendText(b, keyMetaTool, m.Tool)
	if !m.Created.IsZero() {
		b = appendInt(b, keyMetaCreated, nanoseconds(m.Created))
	}
	if !m.Expires.IsZero() {
		b = appendInt(b, keyMetaExpires, nanoseconds(m.Expires))
	}
	return b
}

// errMeta is a meta block that does not follow the format.
var errMeta = errors.New("what the recording says of itself cannot be read, so it counts as never scrubbed")

func parseMeta(s string) (*Meta, error) {
	m := new(Meta)
	for s != "" {
		key, num, text, rest, ok := cutField(s)
		if !ok {
			return nil, errMeta
		}
		s = rest
		switch key {
		case keyMetaID:
			m.ID = text
		case keyMetaKeyID:
			m.KeyID = text
		case keyMetaPack:
			m.Packs = append(m.Packs, text)
		case keyMetaRules:
			m.Rules = text
		case keyMetaTool:
			m.Tool = text
		case keyMetaCreated:
			m.Created = momentOf(num)
		case keyMetaExpires:
			m.Expires = momentOf(num)
		}
	}
	return m, nil
}

// momentOf is the time in a field; 0 is that of a field that is absent.
func momentOf(num uint64) time.Time {
	if num == 0 {
		return time.Time{}
	}
	return time.Unix(0, unzigzag(num)).UTC()
}
