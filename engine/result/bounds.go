package result

import (
	"math"
	"strings"
)

// Likely says in sentences what the samples of a gate say about the figures of
// which they are a part, and how large a figure they would have noticed. It is
// empty for a gate that was not decided by bounds.
func (g *Gate) Likely() []string {
	var all []string
	say := func(what string, b *Bounds, unit Unit, sign bool) {
		if b == nil {
			return
		}
		write := func(v float64) string {
			text := unit.Format(math.Abs(v), Digits)
			if sign && unit == Share && !b.Relative {
				text = strings.TrimSuffix(text, "%") + "pp"
			}
			switch {
			case v < 0:
				return "-" + text
			case sign:
				return "+" + text
			}
			return text
		}
		text := what + " "
		switch {
		case b.Lower != nil && b.Upper != nil:
			text += "is likely between " + write(*b.Lower) + " and " + write(*b.Upper)
		case b.Lower != nil:
			text += "is likely " + write(*b.Lower) + " or more"
		case b.Upper != nil:
			text += "is likely " + write(*b.Upper) + " or less"
		default:
			text += "is not bounded by so few samples"
		}
		text += " (" + FormatShare(g.Confidence, Digits) + " confidence for each bound)"
		if b.Detectable != nil {
			text += "; from " + write(*b.Detectable) + " on the gate would very likely have failed"
		}
		all = append(all, text)
	}
	say("the value", g.Value, g.Unit, false)
	unit := g.Unit
	if g.Increase != nil && g.Increase.Relative {
		unit = Share
	}
	say("the increase", g.Increase, unit, true)
	return all
}
