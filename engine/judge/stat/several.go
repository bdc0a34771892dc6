package stat

import (
	"cmp"
	"slices"
)

// Holm adjusts p-values so that, if those up to a level are acted upon, the
// probability of acting wrongly even once is at most that level (Holm,
// Scandinavian Journal of Statistics 6, 1979). Whoever looks at forty cohorts
// sees something odd in one of them; this takes it into account.
func Holm(p []float64) []float64 {
	adjusted := make([]float64, len(p))
	worst := 0.0
	for rank, i := range ascending(p) {
		worst = max(worst, min(1, p[i]*float64(len(p)-rank)))
		adjusted[i] = worst
	}
	return adjusted
}

// BenjaminiHochberg adjusts p-values so that, of those up to a level, at most
// that share is wrong on average (Benjamini and Hochberg, Journal of the Royal
// Statistical Society B 57, 1995). It suits a list that somebody looks through.
func BenjaminiHochberg(p []float64) []float64 {
	adjusted := make([]float64, len(p))
	best := 1.0
	order := ascending(p)
	for rank := len(order) - 1; rank >= 0; rank-- {
		i := order[rank]
		best = min(best, p[i]*float64(len(p))/float64(rank+1))
		adjusted[i] = best
	}
	return adjusted
}

// ascending gives the indices of p, the smallest p-value first.
func ascending(p []float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	return order
}
