package stat

import "math"

// Beta gives the regularised incomplete beta function I_x(a, b), which is the
// probability that a beta-distributed variable is at most x. The continued
// fraction is DLMF 8.17.22 (https://dlmf.nist.gov/8.17), evaluated by the
// method of Lentz as modified by Thompson and Barnett (1986).
func Beta(x, a, b float64) float64 {
	switch {
	case math.IsNaN(x) || a <= 0 && b <= 0:
		return math.NaN()
	case x <= 0 || b <= 0:
		return 0
	case x >= 1 || a <= 0:
		return 1
	}
	if x > (a+1)/(a+b+2) { // where the fraction converges slowly, its mirror image does not
		return 1 - beta(1-x, b, a)
	}
	return beta(x, a, b)
}

func beta(x, a, b float64) float64 {
	const (
		tiny    = 1e-300
		enough  = 1e-15
		maxIter = 100_000
	)
	front := math.Exp(a*math.Log(x)+b*math.Log1p(-x)-logBeta(a, b)) / a
	f, c, d := 1.0, 1.0, 0.0
	for i := range maxIter {
		step := 1.0
		switch m := float64(i / 2); {
		case i == 0:
		case i%2 == 0:
			step = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		default:
			step = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		d = 1 / away(1+step*d, tiny)
		c = away(1+step/c, tiny)
		f *= c * d
		if math.Abs(1-c*d) < enough {
			break
		}
	}
	return front * (f - 1)
}

// away keeps v away from zero, by which something is about to be divided.
func away(v, tiny float64) float64 {
	if math.Abs(v) < tiny {
		return tiny
	}
	return v
}

func logBeta(a, b float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	return la + lb - lab
}

// BetaQuantile gives the x at which Beta(x, a, b) is p.
func BetaQuantile(p, a, b float64) float64 {
	switch {
	case a <= 0:
		return 0
	case b <= 0:
		return 1
	}
	return root(0, 1, func(x float64) bool { return Beta(x, a, b) >= p })
}

// root halves the interval from lo to hi until it has the place from which on
// above is true.
func root(lo, hi float64, above func(float64) bool) float64 {
	for range 60 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if above(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo + (hi-lo)/2
}

// Normal gives the quantile of the standard normal distribution.
func Normal(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Student gives the quantile of Student's t distribution for p of at least one
// half. With few degrees of freedom it is far out, with none infinitely far.
func Student(p, freedom float64) float64 {
	if freedom <= 0 {
		return math.Inf(1)
	}
	x := BetaQuantile(2*(1-p), freedom/2, 0.5)
	return math.Sqrt(freedom * (1 - x) / x)
}

// StudentAbove gives the probability that a variable of Student's t
// distribution is above t.
func StudentAbove(t, freedom float64) float64 {
	switch {
	case freedom <= 0:
		return 1
	case math.IsInf(t, 0):
		return (1 - math.Copysign(1, t)) / 2
	}
	half := Beta(freedom/(freedom+t*t), freedom/2, 0.5) / 2
	if t < 0 {
		return 1 - half
	}
	return half
}
