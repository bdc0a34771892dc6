//go:build race

package scrub

// perPlace is smaller under the race detector, which has nothing to find in more
// of the same.
const perPlace = 126

// hostile is smaller too: what takes a time that grows with the square still
// takes far too long.
const hostile = 50_000
