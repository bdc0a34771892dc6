package result

// Outcome is the way in which one pair ended. Every pair has exactly one.
type Outcome uint8

// The outcomes of a pair, in the order in which reports name them.
const (
	PairMatched      Outcome = iota // the responses are the same
	PairIgnored                     // they differ only where a rule says so
	PairMismatched                  // they differ where it counts
	PairFailed                      // at least one side gave no complete response
	PairInconclusive                // cannot be judged
)

// String gives the word that users read.
func (o Outcome) String() string {
	if o > PairInconclusive {
		return "unknown"
	}
	return [...]string{"matched", "ignored", "mismatched", "failed", "inconclusive"}[o]
}

// Count counts one pair. A value that is no outcome counts as inconclusive, so
// that the five always add up to the total.
func (o *Outcomes) Count(p Outcome) {
	o.Total++
	switch p {
	case PairMatched:
		o.Matched++
	case PairIgnored:
		o.Ignored++
	case PairMismatched:
		o.Mismatched++
	case PairFailed:
		o.Failed++
	default:
		o.Inconclusive++
	}
}
