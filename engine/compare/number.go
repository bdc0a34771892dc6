package compare

import (
	"bytes"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// decimal is a JSON number in the form sign, digits, exponent: the value is
// digits times ten to the power of exponent. Digits have no zero at either end;
// zero has none.
type decimal struct {
	negative bool
	whole    []byte // digits before the point
	fraction []byte // digits behind it
	exponent int64  // of the last digit, as adjusted by trimming
	huge     bool   // the exponent does not fit: compare literals
}

// maxExponent bounds exponents; nobody measures beyond it.
const maxExponent = 1 << 40

// parseDecimal reads a JSON number literal.
func parseDecimal(raw []byte) decimal {
	var d decimal
	if len(raw) > 0 && raw[0] == '-' {
		d.negative, raw = true, raw[1:]
	}
	mantissa, exp := raw, []byte(nil)
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		mantissa, exp = raw[:i], raw[i+1:]
	}
	if len(exp) > 0 {
		n, err := strconv.ParseInt(string(exp), 10, 64)
		if err != nil || n > maxExponent || n < -maxExponent {
			d.huge = true
		}
		d.exponent = n
	}
	d.whole, d.fraction, _ = bytes.Cut(mantissa, []byte("."))
	d.trim()
	return d
}

// trim removes the zeros at both ends.
func (d *decimal) trim() {
	d.exponent -= int64(len(d.fraction))
	for len(d.fraction) > 0 && d.fraction[len(d.fraction)-1] == '0' {
		d.fraction = d.fraction[:len(d.fraction)-1]
		d.exponent++
	}
	d.whole = bytes.TrimLeft(d.whole, "0")
	if len(d.whole) == 0 {
		d.fraction = bytes.TrimLeft(d.fraction, "0")
	}
	if len(d.fraction) == 0 {
		for len(d.whole) > 0 && d.whole[len(d.whole)-1] == '0' {
			d.whole = d.whole[:len(d.whole)-1]
			d.exponent++
		}
	}
	if d.zero() {
		d.negative, d.exponent, d.huge = false, 0, false
	}
}

func (d *decimal) zero() bool { return len(d.whole)+len(d.fraction) == 0 }

func (d *decimal) digit(i int) byte {
	if i < len(d.whole) {
		return d.whole[i]
	}
	return d.fraction[i-len(d.whole)]
}

// sameNumber reports whether two number literals have the same value, exactly.
func sameNumber(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, y := parseDecimal(a), parseDecimal(b)
	n := len(x.whole) + len(x.fraction)
	if x.huge || y.huge || x.negative != y.negative || x.exponent != y.exponent || n != len(y.whole)+len(y.fraction) {
		return false
	}
	for i := range n {
		if x.digit(i) != y.digit(i) {
			return false
		}
	}
	return true
}

// tolerance is how far numbers may be apart.
type tolerance struct {
	limit    *big.Rat // an amount, or a share of the baseline's value
	relative bool
}

const (
	maxToleranceDigits   = 400 // digits and exponent of numbers that a tolerance is tried on
	maxToleranceExponent = 400
)

// parseTolerance reads "0.01" or "1%".
func parseTolerance(text string) (tolerance, error) {
	number, relative := strings.CutSuffix(strings.TrimSpace(text), "%")
	limit, ok := rational([]byte(strings.TrimSpace(number)))
	if !ok || limit.Sign() < 0 {
		return tolerance{}, fmt.Errorf(`tolerance %q is no amount such as "0.01" and no share such as "1%%"`, text)
	}
	if relative {
		limit.Quo(limit, big.NewRat(100, 1))
	}
	return tolerance{limit: limit, relative: relative}, nil
}

// rational reads a decimal number of bounded size.
func rational(raw []byte) (*big.Rat, bool) {
	d := parseDecimal(raw)
	if len(raw) == 0 || len(raw) > maxToleranceDigits || d.huge || d.exponent > maxToleranceExponent || d.exponent < -maxToleranceExponent {
		return nil, false
	}
	for _, c := range raw {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c|0x20 != 'e' {
			return nil, false
		}
	}
	return new(big.Rat).SetString(string(raw))
}

// allows reports whether the candidate's number is near enough to the
// baseline's.
func (t tolerance) allows(baseline, candidate []byte) bool {
	x, ok := rational(baseline)
	if !ok {
		return false
	}
	y, ok := rational(candidate)
	if !ok {
		return false
	}
	limit := t.limit
	if t.relative {
		limit = new(big.Rat).Mul(limit, new(big.Rat).Abs(x))
	}
	y.Sub(y, x)
	return y.Abs(y).Cmp(limit) <= 0
}
