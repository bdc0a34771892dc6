package scrub

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
)

// ff1 is the format-preserving encryption FF1 of NIST SP 800-38G: a permutation
// of the strings of one length over an alphabet. It stands in where a hash would
// not do, since two numbers that name two things must not become one.
type ff1 struct {
	block cipher.Block
	radix int
}

// ff1Domain is the smallest number of strings that the second draft of SP
// 800-38G Rev. 1 allows.
const ff1Domain = 1_000_000

func newFF1(key []byte, radix int) (*ff1, error) {
	if radix < 2 || radix > 36 {
		return nil, fmt.Errorf("ff1: radix %d is not between 2 and 36", radix)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("ff1: %w", err)
	}
	return &ff1{block, radix}, nil
}

// encrypt maps the digits of text, in lower case, to as many others. Texts of
// which there are fewer than a million are refused.
func (f *ff1) encrypt(text string, tweak []byte) (string, error) {
	if math.Pow(float64(f.radix), float64(len(text))) < ff1Domain {
		return "", fmt.Errorf("ff1: %d digits are too few", len(text))
	}
	n := len(text)
	u := n / 2
	v := n - u
	a, b := text[:u], text[u:]
	width := int(math.Ceil(math.Ceil(float64(v)*math.Log2(float64(f.radix))) / 8)) // step 3
	d := 4*((width+3)/4) + 4
	p := f.header(n, u, len(tweak))
	for i := range 10 {
		y := f.round(p, tweak, byte(i), b, width, d)
		m := u
		if i%2 == 1 {
			m = v
		}
		c, ok := new(big.Int).SetString(a, f.radix)
		if !ok {
			return "", fmt.Errorf("ff1: not a number of radix %d", f.radix)
		}
		c.Add(c, y)
		c.Mod(c, new(big.Int).Exp(big.NewInt(int64(f.radix)), big.NewInt(int64(m)), nil))
		digits := c.Text(f.radix)
		for len(digits) < m {
			digits = "0" + digits
		}
		a, b = b, digits
	}
	return a + b, nil
}

// header is P of step 5.
func (f *ff1) header(n, u, tweak int) []byte {
	p := make([]byte, 16)
	p[0], p[1], p[2] = 1, 2, 1
	p[3], p[4], p[5] = byte(f.radix>>16), byte(f.radix>>8), byte(f.radix)
	p[6], p[7] = 10, byte(u)
	binary.BigEndian.PutUint32(p[8:], uint32(n))
	binary.BigEndian.PutUint32(p[12:], uint32(tweak))
	return p
}

// round is y of step 6.iv: the first d bytes of what AES makes of the CBC-MAC of
// P and Q, as a number.
func (f *ff1) round(p, tweak []byte, i byte, b string, width, d int) *big.Int {
	q := append([]byte(nil), tweak...)
	pad := (16 - (len(tweak)+width+1)%16) % 16
	q = append(q, make([]byte, pad+1+width)...)
	q[len(tweak)+pad] = i
	half, ok := new(big.Int).SetString(b, f.radix)
	if !ok {
		half = new(big.Int)
	}
	half.FillBytes(q[len(q)-width:])
	var r [16]byte
	for _, part := range [][]byte{p, q} {
		for ; len(part) > 0; part = part[16:] {
			for k := range r {
				r[k] ^= part[k]
			}
			f.block.Encrypt(r[:], r[:])
		}
	}
	s := append([]byte(nil), r[:]...)
	for j := uint64(1); len(s) < d; j++ {
		block := r
		var count [8]byte
		binary.BigEndian.PutUint64(count[:], j)
		for k := range count {
			block[8+k] ^= count[k]
		}
		f.block.Encrypt(block[:], block[:])
		s = append(s, block[:]...)
	}
	return new(big.Int).SetBytes(s[:d])
}
