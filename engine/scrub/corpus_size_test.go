//go:build !race

package scrub

// perPlace is how many values are planted in each place, and as many that look
// like one.
const perPlace = 1050

// hostile is how often what is made to be slow is repeated.
const hostile = 200_000
