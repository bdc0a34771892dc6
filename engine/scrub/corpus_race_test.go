//go:build race

package scrub

// perPlace is smaller under the race detector, which has nothing to find in more
// of the same.
const perPlace = 126
