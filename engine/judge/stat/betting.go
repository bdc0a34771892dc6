package stat

import "math"

// Bet watches a stream of outcomes between Least and 1, and tells at any time
// how much it speaks against the hypothesis that their mean, given all that came
// before, is at most Limit.
//
// It is a gambler who starts with one coin and stakes a part of what he has on
// each outcome, at odds that are fair if the mean is Limit. If the hypothesis
// holds nobody gets rich: the probability that the fortune ever reaches
// 1/alpha is at most alpha, however long one watches and whenever one stops
// (Ville 1939; Waudby-Smith and Ramdas, Journal of the Royal Statistical
// Society B 86, 2024). Nothing is assumed of how outcomes hang together. He
// plays several stakes at once, since the best one depends on what is wrong;
// the mean of fortunes is as fair as each.
type Bet struct {
	Limit float64 // below 1
	Least float64 // the smallest outcome that there can be: 0 or below

	outcomes []outcome // a few values that occur again and again
}

type outcome struct{ value, count float64 }

// stakes are shares of the largest stake that cannot ruin.
var stakes = [...]float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95}

// Add takes in an outcome.
func (b *Bet) Add(value float64) {
	for i := range b.outcomes {
		if b.outcomes[i].value == value {
			b.outcomes[i].count++
			return
		}
	}
	b.outcomes = append(b.outcomes, outcome{value, 1})
}

// Count gives the number of outcomes for which is holds.
func (b *Bet) Count(is func(value float64) bool) (n int64) {
	for _, o := range b.outcomes {
		if is(o.value) {
			n += int64(o.count)
		}
	}
	return n
}

// Evidence gives the fortune. It depends on the outcomes alone, not on their
// order.
func (b *Bet) Evidence() float64 {
	if b.Limit >= 1 {
		return 1
	}
	largest := 1 / max(b.Limit-b.Least, 1e-9) // what the smallest outcome would take all of
	total := 0.0
	for _, share := range stakes {
		total += b.fortune(share * largest)
	}
	return total / float64(len(stakes))
}

func (b *Bet) fortune(stake float64) float64 {
	log := 0.0
	for _, o := range b.outcomes {
		log += o.count * math.Log1p(stake*(o.value-b.Limit))
	}
	return math.Exp(log)
}
