package scrub

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"
)

// A seal makes surrogates of credentials known again under the same key: their
// last letters and digits are a keyed hash of the rest. What is sealed is left
// alone by a second scrub, and excused by the look at the final bytes. Nobody
// without the key can tell a sealed value from another.

// sealed is how many characters make a seal, sealable how long a value must be.
const (
	sealed   = 6
	sealable = 16
)

// seal replaces the last letters and digits of a surrogate. Each stays a digit,
// or a letter of the same case that is a hexadecimal digit too.
func (s *Scrubber) seal(surrogate string) string {
	at, n := sealPlaces(surrogate)
	if n < sealed {
		return surrogate
	}
	b := []byte(surrogate)
	for _, i := range at {
		b[i] = "0aA"[kindOf(b[i])]
	}
	h := s.sealers.Get().(hash.Hash)
	h.Reset()
	h.Write(b)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	s.sealers.Put(h)
	for k, i := range at {
		alphabet := [...]string{numbers, "abcdef", "ABCDEF"}[kindOf(b[i])]
		b[i] = alphabet[int(sum[k])%len(alphabet)]
	}
	return string(b)
}

func kindOf(b byte) int {
	switch {
	case isDigit(b):
		return 0
	case isLower(b):
		return 1
	}
	return 2
}

// sealPlaces are the offsets of the last letters and digits of a value; the last
// line of a key in PEM is none of it.
func sealPlaces(s string) (at [sealed]int, n int) {
	end := len(s)
	if i := strings.LastIndex(s, "-----END "); i >= 0 {
		end = i
	}
	if end < sealable {
		return at, 0
	}
	for i := end - 1; i > 0 && n < sealed; i-- {
		if isAlnum(s[i]) {
			at[n] = i
			n++
		}
	}
	return at, n
}

// isSealed reports whether a value of a class is a surrogate under this key.
func (s *Scrubber) isSealed(c class, v string) bool {
	switch {
	case c == webToken:
		return s.isOwnToken(v)
	case !sealing(c) || len(v) < sealable:
		return false
	}
	_, n := sealPlaces(v)
	return n == sealed && s.seal(v) == v
}

func sealing(c class) bool {
	return c == credential || c == cookie || c == vendorKey || c == privateKey
}

// TokenKey is the key with which web tokens are signed anew: a build under audit
// that is to accept them trusts it for HS256, HS384 and HS512. It is derived
// from the scrub key and gives nothing of it away.
func (s *Scrubber) TokenKey() []byte { return append([]byte(nil), s.others[tokens]...) }

// signature signs what stands before the last dot of a token. Of the length that
// an HMAC has it is one (RFC 7518 section 3.2), so tokens of HS256, HS384 and
// HS512 verify under TokenKey; of any other it is keyed noise, that of no
// algorithm.
func (s *Scrubber) signature(input string, length int) string {
	enc := base64.RawURLEncoding
	var h func() hash.Hash
	switch length {
	case enc.EncodedLen(sha256.Size):
		h = sha256.New
	case enc.EncodedLen(sha512.Size384):
		h = sha512.New384
	default:
		h = sha512.New
	}
	var out strings.Builder
	for block := input; out.Len() < length; {
		m := hmac.New(h, s.others[tokens])
		m.Write([]byte(block))
		block = enc.EncodeToString(m.Sum(nil))
		out.WriteString(block)
	}
	return out.String()[:length]
}

// isOwnToken reports whether a token was signed by this scrubber, or not at all.
func (s *Scrubber) isOwnToken(v string) bool {
	dot := strings.LastIndexByte(v, '.')
	return dot >= 0 && s.signature(v[:dot], len(v)-dot-1) == v[dot+1:]
}

// webToken scrubs the claims of a token (RFC 7519) and signs it anew. One whose
// claims cannot be read is replaced as a whole.
func (w *worker) webToken(s string) string {
	if w.s.isOwnToken(s) && !strings.HasSuffix(s, ".") {
		return s
	}
	parts := strings.Split(s, ".")
	if len(parts) == 3 && w.claims(parts) {
		input := parts[0] + "." + parts[1]
		return input + "." + w.s.signature(input, len(parts[2]))
	}
	d := w.drawsOf(webToken)
	d.seed(s)
	out := jwtToken(d, s)
	dot := strings.LastIndexByte(out, '.')
	return out[:dot+1] + w.s.signature(out[:dot], len(out)-dot-1)
}

// claims scrubs the header and the claims of a token in place.
func (w *worker) claims(parts []string) bool {
	if !w.enter() {
		return false
	}
	defer w.leave()
	spans := w.spans // somebody goes through them
	w.spans = nil
	defer func() { w.spans = spans }()
	enc := base64.RawURLEncoding
	for i := range 2 {
		text, err := enc.DecodeString(parts[i])
		if err != nil || len(text) == 0 || text[0] != '{' {
			return false
		}
		out, ok := w.json(text, where{rule: -1, places: nowhere, in: inClaims}, false)
		if !ok {
			return false
		}
		if !sameBytes(out, text) {
			parts[i] = enc.EncodeToString(out)
		}
	}
	return true
}
