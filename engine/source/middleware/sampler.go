package middleware

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// sampler decides which sessions are recorded. It is a function of the session
// alone, so that all instances of a service choose the same ones.
type sampler struct {
	all   bool
	limit uint64 // hashes below it are in
}

func newSampler(share float64) sampler {
	if share >= 1 {
		return sampler{all: true}
	}
	return sampler{limit: uint64(share * math.MaxUint64)}
}

// takes reports whether a session is recorded; "" is no session.
func (s sampler) takes(session string) bool {
	if s.all {
		return true
	}
	if session == "" {
		return rand.Uint64() < s.limit
	}
	h := fnv.New64a()
	h.Write([]byte(session))
	return mix(h.Sum64()) < s.limit
}

// mix spreads a hash over all of its bits: the upper ones of FNV-1a are nearly
// the same for short texts (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
