package scrub

import (
	"strconv"
	"strings"
)

// nationalRow is a national number that can be told from other numbers by its
// written form: "0" stands for a digit, "A" for a letter, "*" for either,
// anything else for itself.
type nationalRow struct {
	form  string
	check func(compact string) (digits string) // what the last characters have to be
	valid func(compact string) bool            // nil: the form and the check say enough
}

// nationals lists the forms. Numbers without separators or letters, of which
// one in ten has the right check digit by chance, are known by the names of
// their fields only.
var nationals = []nationalRow{
	{"000.000.000-00", checkCPF, func(c string) bool { return strings.Trim(c, c[:1]) != "" }},                                  // Brazil, CPF
	{"AAAAAA00A00A000A", checkFiscal, isFiscal},                                                                                // Italy, codice fiscale
	{"756.0000.0000.00", checkEAN, nil},                                                                                        // Switzerland, AHV/AVS
	{"00000000000000000*", checkResident, func(c string) bool { return isDate(c[6:14], 0, 4, 6) && c[0] < '9' && c[0] > '0' }}, // China, GB 11643
	{"000000-000A", checkHetu, func(c string) bool { return isDayMonth(c[:2], c[2:4]) }},                                       // Finland, HETU; with a digit at the end it looks like many a date and number
}

// match reports whether s[i:] begins with the number.
func (n *nationalRow) match(s string, i int) bool {
	end := i + len(n.form)
	if end > len(s) {
		return false
	}
	for k := range len(n.form) {
		c, want := s[i+k], n.form[k]
		switch {
		case want == '0' && isDigit(c), want == 'A' && isUpper(c), want == '*' && (isDigit(c) || isUpper(c)):
		case want == '0' || want == 'A' || want == '*' || c != want:
			return false
		}
	}
	compact := alnumOnly(s[i:end])
	check := n.check(compact)
	return strings.HasSuffix(compact, check) && (n.valid == nil || n.valid(compact))
}

func findNationalIDs(s string, spans []span) []span {
	for i := 0; i+11 <= len(s); i++ {
		if !isAlnum(s[i]) || isAlnum(before(s, i)) {
			continue
		}
		for k := range nationals {
			n := &nationals[k]
			if end := i + len(n.form); n.match(s, i) && standsAlone(s, i, end) && before(s, i) != '-' && after(s, end) != '-' {
				spans = append(spans, span{start: i, end: end})
				i = end - 1
				break
			}
		}
		for isAlnum(after(s, i+1)) { // the next number begins behind this word
			i++
		}
	}
	return spans
}

// nationalNumber replaces letter by letter and digit by digit; the check digits
// of a form that has them fit.
func nationalNumber(d *draws, s string) string {
	out := letters(d, s)
	for i := range nationals {
		n := &nationals[i]
		if len(s) != len(n.form) || !n.match(s, 0) {
			continue
		}
		b := []byte(out)
		for k := range b {
			if c := n.form[k]; c != '0' && c != 'A' && c != '*' || c == 'A' && n.form[k] == s[k] {
				b[k] = n.form[k]
			}
		}
		if strings.HasPrefix(n.form, "756") {
			b = append([]byte("756"), b[3:]...)
		}
		check := n.check(alnumOnly(string(b)))
		for k := range check { // checks have no separators between them
			b[len(b)-len(check)+k] = check[k]
		}
		return string(b)
	}
	return out
}

func checkCPF(c string) string {
	d := c[:9]
	for top := 10; top <= 11; top++ {
		sum := 0
		for i := range len(d) {
			sum += int(d[i]-'0') * (top - i)
		}
		d += strconv.Itoa(sum * 10 % 11 % 10)
	}
	return d[9:]
}

func checkEAN(c string) string {
	sum := 0
	for i := range len(c) - 1 {
		sum += int(c[i]-'0') * (1 + 2*(i%2))
	}
	return strconv.Itoa((10 - sum%10) % 10)
}

// checkResident is ISO 7064 MOD 11-2.
func checkResident(c string) string {
	sum := 0
	for i := range len(c) - 1 {
		sum = (sum + int(c[i]-'0')) * 2 % 11
	}
	return "0123456789X"[(12-sum)%11 : (12-sum)%11+1]
}

func checkHetu(c string) string {
	n := 0
	for i := range len(c) - 1 {
		if isDigit(c[i]) {
			n = n*10 + int(c[i]-'0')
		}
	}
	return "0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31 : n%31+1]
}

// fiscalOdd are the values of characters at odd places, by the decree of the
// Italian ministry of finance of 23 December 1976.
var fiscalOdd = [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}

func checkFiscal(c string) string {
	sum := 0
	for i := range len(c) - 1 {
		v := int(c[i] - '0')
		if isLetter(c[i]) {
			v = int(c[i] - 'A')
		}
		if i%2 == 0 {
			v = fiscalOdd[v]
		}
		sum += v
	}
	return string(rune('A' + sum%26))
}

// isFiscal checks the letter of the month and the day, to which 40 is added for
// women.
func isFiscal(c string) bool {
	day := int(c[9]-'0')*10 + int(c[10]-'0')
	return strings.IndexByte("ABCDEHLMPRST", c[8]) >= 0 && day%40 >= 1 && day%40 <= 31 && day <= 71
}

func isDayMonth(day, month string) bool {
	return day >= "01" && day <= "31" && month >= "01" && month <= "12"
}

// isDate checks digits for a date; year, month and day are offsets.
func isDate(s string, year, month, day int) bool {
	return s[year:year+4] >= "1900" && s[year:year+4] <= "2099" && isDayMonth(s[day:day+2], s[month:month+2])
}
