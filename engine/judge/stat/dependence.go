package stat

import "math"

// fewestClusters is the number of sessions from which on their differences say
// something of how much sessions differ. Two say little, and what is said is
// raised accordingly. One says nothing: then neighbours are all there is.
const fewestClusters = 2

// DesignEffect says how many of these observations are worth one that stands
// alone. Requests that follow each other share a garbage collection or a busy
// neighbour, requests of one session share a user; a hundred of them can be
// worth twenty. It is at least 1: good luck is not counted as evidence.
//
// x is in the order of time. Its long-run variance is that of sums over
// overlapping windows, which is the estimator of Newey and West (Econometrica
// 55, 1987) with the weights of Bartlett. clusters, when it is not empty, has
// the session of each observation, and the variance of sums over sessions
// counts if it is the larger. As both variances are estimates, the result is
// raised by what Student's distribution asks for, as Korn and Graubard (1998)
// do.
func DesignEffect(x []float64, clusters []uint32, confidence float64) float64 {
	if len(x) < 3 {
		return 1
	}
	mean := sum(x) / float64(len(x))
	alone := 0.0
	for _, v := range x {
		alone += (v - mean) * (v - mean)
	}
	if alone <= 1e-12*float64(len(x))*mean*mean {
		return 1
	}
	width := window(len(x))
	effect := windowed(x, mean, width) / alone * careful(1.5*float64(len(x))/float64(width), confidence)
	if len(clusters) == len(x) {
		bySession, n := clustered(x, mean, clusters)
		if n >= fewestClusters && n < len(x) {
			// Sums about a mean that they share vary too little, by one in n.
			bySession *= float64(n) / float64(n-1)
			effect = max(effect, bySession/alone*careful(float64(n-1), confidence))
		}
	}
	return max(1, effect)
}

// window is the number of neighbours that may influence each other: it grows
// with the cube root, at which the error of the estimate is smallest.
func window(n int) int {
	return min(max(int(math.Ceil(2*math.Cbrt(float64(n)))), 1), n/2)
}

// careful is the square of how much further out a quantile is when the variance
// is an estimate with so many degrees of freedom.
func careful(freedom, confidence float64) float64 {
	ratio := Student(confidence, freedom) / Normal(confidence)
	return ratio * ratio
}

// windowed gives the sum of squares about the mean as windows of this width
// see it.
func windowed(x []float64, mean float64, width int) float64 {
	var in, squares float64
	// Windows stick out at both ends, so that all observations count alike.
	for end := range len(x) + width - 1 {
		if end < len(x) {
			in += x[end] - mean
		}
		if end >= width {
			in -= x[end-width] - mean
		}
		squares += in * in
	}
	return squares / float64(width)
}

// clustered gives the sum of squares about the mean as clusters see it, and the
// number of clusters.
func clustered(x []float64, mean float64, clusters []uint32) (squares float64, n int) {
	index := make(map[uint32]int)
	var sums []float64
	for i, v := range x {
		at, ok := index[clusters[i]]
		if !ok {
			at = len(sums)
			index[clusters[i]] = at
			sums = append(sums, 0)
		}
		sums[at] += v - mean
	}
	for _, s := range sums {
		squares += s * s
	}
	return squares, len(sums)
}

func sum(x []float64) (total float64) {
	for _, v := range x {
		total += v
	}
	return total
}

// MeanBounds is the mean of x with its bounds, and the p-value of a limit: by
// Student's t, with the variance that DesignEffect sees. Values that do not vary
// have no error to go by; then all there is to say is that each of them was on
// this side of the limit, which is a sign test.
type MeanBounds struct {
	Mean    float64
	Error   float64 // standard error of Mean
	Freedom float64 // degrees of freedom of Error
}

// Mean estimates the mean of which x is a sample in the order of time.
func Mean(x []float64, clusters []uint32) MeanBounds {
	n := float64(len(x))
	m := MeanBounds{Freedom: n - 1}
	if len(x) == 0 {
		return m
	}
	m.Mean = sum(x) / n
	squares := 0.0
	for _, v := range x {
		squares += (v - m.Mean) * (v - m.Mean)
	}
	if squares <= 1e-24*n*m.Mean*m.Mean {
		return m // they differ by rounding at most
	}
	effect := DesignEffect(x, clusters, 0.95)
	m.Error = math.Sqrt(effect * squares / max(n-1, 1) / n)
	return m
}

// alike gives the probability that a fair coin lands on one side as often as
// there are values.
func (m MeanBounds) alike() float64 { return math.Pow(0.5, m.Freedom+1) }

// Bounds gives the interval of the mean.
func (m MeanBounds) Bounds(confidence float64) Interval {
	if m.Freedom < 1 || m.Error == 0 && m.alike() > 1-confidence {
		return Whole()
	}
	reach := m.Error * Student(confidence, m.Freedom)
	return Interval{m.Mean - reach, m.Mean + reach}
}

// Above gives the p-value of the hypothesis that the mean is at most limit.
func (m MeanBounds) Above(limit float64) float64 {
	switch {
	case m.Freedom < 1:
		return 1
	case m.Error == 0 && m.Mean > limit:
		return m.alike()
	case m.Error == 0:
		return 1
	}
	return StudentAbove((m.Mean-limit)/m.Error, m.Freedom)
}

// Below gives the p-value of the hypothesis that the mean is above limit.
func (m MeanBounds) Below(limit float64) float64 {
	switch {
	case m.Freedom < 1:
		return 1
	case m.Error == 0 && m.Mean <= limit:
		return m.alike()
	case m.Error == 0:
		return 1
	}
	return StudentAbove((limit-m.Mean)/m.Error, m.Freedom)
}
