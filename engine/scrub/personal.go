package scrub

import "strings"

// findPhones finds numbers in international form, "+49 30 901820", and North
// American ones that are written as such, "(415) 555-2671", "415-555-2671",
// "415.555.2671". 00 stands for the plus where a separator sets the country
// apart, "0049 30 901820": a number with zeros in front does not have one there.
// Digits alone are a telephone number only where the field's name says so.
func findPhones(s string, spans []span) []span {
	for i := 0; i < len(s); i++ {
		end := 0
		switch b := before(s, i); {
		case isAlnum(b) || b == '_' || b == '+':
			continue
		case s[i] == '+':
			end = internationalEnd(s, i)
		case b == '-' || b == ')' || b == '.' || b == '/':
			continue
		case s[i] == '(' || isDigit(s[i]):
			if end = nanpEnd(s, i); end == 0 {
				end = zerosEnd(s, i)
			}
		}
		if end == 0 {
			continue
		}
		spans = append(spans, span{start: i, end: end})
		i = end - 1
	}
	return spans
}

// internationalEnd returns where the number behind the plus at i ends, or 0:
// 8 to 15 digits (ITU-T E.164), single separators between them.
func internationalEnd(s string, i int) int {
	j, end, digits := i+1, 0, 0
	if j >= len(s) || s[j] < '1' || s[j] > '9' {
		return 0
	}
	for ; j < len(s) && digits <= 15; j++ {
		switch {
		case isDigit(s[j]):
			digits++
			end = j + 1
			continue
		case isSeparator(s[j]) && (isDigit(after(s, j+1)) || isBracket(after(s, j+1))):
			continue
		case isBracket(s[j]) && j-end < 3:
			continue
		}
		break
	}
	if digits < 8 || digits > 15 || isLetter(after(s, end)) || after(s, end) == '_' {
		return 0
	}
	if after(s, end) == '.' && isDigit(after(s, end+1)) {
		return 0
	}
	return end
}

// zerosEnd returns where the number that has 00 for its plus at i ends, or 0.
func zerosEnd(s string, i int) int {
	if !strings.HasPrefix(s[i:], "00") || len(s)-i < 11 || s[i+2] < '1' || s[i+2] > '9' {
		return 0
	}
	cc := countryCode(s[i+2 : i+5])
	if sep := after(s, i+2+cc); !every(s[i+2:i+2+cc], isDigit) || !isSeparator(sep) && !isBracket(sep) {
		return 0
	}
	end := internationalEnd(s, i+1)
	if end == 0 {
		return 0
	}
	if n := countDigits(s[i+2 : end]); n < 9 || cc == 1 && n != 11 {
		return 0
	}
	return end
}

func isSeparator(b byte) bool { return b == ' ' || b == '-' || b == '.' || b == '/' }
func isBracket(b byte) bool   { return b == '(' || b == ')' }

// nanpEnd returns where the North American number at i ends, or 0.
func nanpEnd(s string, i int) int {
	if s[i] == '1' && (after(s, i+1) == '-' || after(s, i+1) == ' ') {
		i += 2
	}
	var area int
	dash := byte('-')
	switch {
	case after(s, i) == '(':
		area = i + 1
		if after(s, area+3) != ')' {
			return 0
		}
		i = area + 4
		if after(s, i) == ' ' {
			i++
		}
	default:
		area = i
		if dash = after(s, area+3); dash != '-' && dash != '.' {
			return 0
		}
		i = area + 4
	}
	end := i + 8
	if end > len(s) || s[i+3] != dash && (s[i+3] != ' ' || dash == '.') || !every(s[i+4:end], isDigit) {
		return 0
	}
	if !isNANPGroup(s[area:area+3]) || !isNANPGroup(s[i:i+3]) {
		return 0
	}
	if a := after(s, end); isAlnum(a) || a == '-' || a == '_' || a == '.' && isDigit(after(s, end+1)) {
		return 0
	}
	return end
}

// isNANPGroup checks an area or exchange code: three digits, the first 2 to 9.
func isNANPGroup(s string) bool {
	return s[0] >= '2' && s[0] <= '9' && isDigit(s[1]) && isDigit(s[2])
}

// isNANP reports whether digits are a North American number, with or without
// the leading 1.
func isNANP(digits string, plus bool) bool {
	switch n := len(digits); {
	case n == 11 && digits[0] == '1':
		digits = digits[1:]
	case n != 10 || plus:
		return false
	}
	return isNANPGroup(digits[:3]) && isNANPGroup(digits[3:6])
}

// countryCode is the length of the country code that digits begin with (ITU-T
// E.164 annex: zones 1 and 7 have one digit, the listed codes two).
func countryCode(digits string) int {
	if digits[0] == '1' || digits[0] == '7' {
		return 1
	}
	switch digits[:2] {
	case "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
		"51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66",
		"81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98":
		return 2
	}
	return 3
}

// findSSNs finds US social security numbers in their written form; nine bare
// digits are one only where the field's name says so.
func findSSNs(s string, spans []span) []span {
	for i := 0; i+11 <= len(s); i++ {
		if s[i+3] != '-' || s[i+6] != '-' || !isDigit(s[i]) {
			continue
		}
		v := s[i : i+11]
		if every(v[:3], isDigit) && every(v[4:6], isDigit) && every(v[7:], isDigit) && isIssuedSSN(v) &&
			standsAlone(s, i, i+11) && before(s, i) != '-' && after(s, i+11) != '-' {
			spans = append(spans, span{start: i, end: i + 11})
			i += 10
		}
	}
	return spans
}

// isIssuedSSN leaves out what the Social Security Administration never issues.
func isIssuedSSN(v string) bool {
	area, group, serial := v[:3], v[4:6], v[7:]
	return area != "000" && area != "666" && area[0] != '9' && group != "00" && serial != "0000"
}
