package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/scrub"
	"github.com/shadowaudit/shadowaudit/engine/source/recording"
)

// described is a source that knows how its exchanges were scrubbed.
type described interface {
	Meta() *recording.Meta    // of the last exchange
	Metas() []*recording.Meta // of its files
}

var _ described = (*recording.Reader)(nil)

// RulesDigest identifies what beside key and packs decides how an audit is
// scrubbed: the rules of the user and the largest body.
func RulesDigest(s *plan.Scrub) string {
	doc, err := json.Marshal(struct {
		Rules   []scrub.Rule `json:"rules"`
		MaxBody int          `json:"max_body"`
	}{s.Rules, max(s.MaxBody, 0)})
	if err != nil {
		panic(fmt.Sprintf("intake: scrub rules do not marshal: %v", err)) // every part is plain data
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:16])
}

// fits reports whether what a recording says of itself makes another scrubbing
// needless, and harmful: a surrogate of a surrogate is not what a target's own
// answer is scrubbed into.
func (in *Intake) fits(m *recording.Meta) bool {
	return m.Scrubbed(in.keyID, in.packs, in.rules)
}

// scrubbedBefore reports whether the exchange that was just read came out of a
// scrubber like this one, as its recording says. That is no proof: whatever the
// scrubber still finds in one has it scrubbed like any other.
func (in *Intake) scrubbedBefore() bool {
	d, ok := in.source.(described)
	return ok && in.fits(d.Meta())
}

// allScrubbedBefore reports whether every file of the source begins with such
// exchanges.
func (in *Intake) allScrubbedBefore() bool {
	d, ok := in.source.(described)
	if !ok {
		return false
	}
	for _, m := range d.Metas() {
		if !in.fits(m) {
			return false
		}
	}
	return len(d.Metas()) > 0
}

// Scrub describes what was scrubbed, without any value.
func (in *Intake) Scrub() result.Scrub {
	s := in.scrubber.Report()
	s.Before = in.before
	return s
}
