package scrub

import (
	"strings"
)

// medicalRows is what packs for health data know about field names beyond
// keyRows. Names follow those of HL7 FHIR where it has them, whose resources
// most interfaces of health systems exchange.
var medicalRows = []keyRow{
	{medical: true, class: record, names: "mrn,medical record number,medical record no,medical record id,patient id,patient ids,patient number,patient no,patient identifier,patient ref," +
		"chart number,chart id,encounter id,encounter number,visit id,visit number,admission id,admission number,accession number,specimen id,claim id,claim number," +
		"prescription id,prescription number,rx number,case number,member id,member number,membership id,membership number,subscriber id,subscriber number," +
		"beneficiary id,beneficiary number,policy number,policy id,group number,insurance id,insurance number,health plan id,plan member id,medicaid id,medicaid number,mbi,hicn," +
		"health card number,customer id,customer number,person id,user id,employee id,employee number,license number,licence number,license no,licence no," +
		"certificate number,dea number,npi,identifier"},
	{medical: true, class: record, names: "id,number,identifier", under: inPerson | inRecord, exact: true},
	{medical: true, class: record, names: "license,licence,certificate", gate: someDigits},
	{medical: true, class: record, names: "reference,patient,subject,beneficiary", exact: true, gate: referenced},
	{medical: true, class: bank, names: "account id,patient account,patient account number,guarantor account"},
	{medical: true, class: phone, names: "telecom,pager,pager number"},
	{medical: true, class: name, names: "family,given,given names,text,prefix,suffix", under: inHuman, exact: true},
	{medical: true, class: name, names: "next of kin,emergency contact name,guarantor name,physician name,provider name,subscriber name,member name,mothers maiden name,alias"},
	{medical: true, class: address, names: "county,precinct,parish,district,borough,suburb,neighborhood,neighbourhood,census tract,geocode,zip,zip4,zip plus4,municipality,township"},
	{medical: true, class: address, names: "line,text,zip", under: inPostal, exact: true},
	{medical: true, class: coordinates, names: "latitude,longitude,lat,lng,lon,long", gate: decimals},
	{medical: true, class: born, names: "dob,date of birth,birth date,birthdate,birthday,birth day,geburtsdatum,date naissance"},
	{medical: true, class: born, names: "birth year,year of birth,yob", gate: early},
	{medical: true, class: date, names: "admission date,admit date,admitted on,admitted at,date of admission,discharge date,discharged on,discharged at,date of discharge," +
		"death date,date of death,dod,deceased date,deceased date time,service date,date of service,dos,visit date,encounter date,appointment date,procedure date," +
		"surgery date,onset date,onset date time,diagnosis date,effective date,effective date time,performed date time,occurrence date time,recorded date,authored on," +
		"specimen date,collection date,immunization date,vaccination date,prescription date,fill date,hire date,marriage date"},
	{medical: true, class: age, names: "age,patient age,age years,age in years,age at admission,age at diagnosis", gate: over89},
	{medical: true, class: device, names: "serial number,serial no,device serial,device serial number,device identifier,udi,unique device identifier,implant serial,implant id,pacemaker id,pump serial"},
	{medical: true, class: vehicle, names: "vin,vehicle identification number,vehicle id,chassis number,license plate,licence plate,plate number,registration plate,vehicle registration"},
	{medical: true, class: personalURL, names: "website,web site,homepage,home page,personal url,profile url,portfolio url,blog", gate: webAddress},
	{medical: true, class: personalURL, names: "url,link", under: inPerson, exact: true, gate: webAddress},
	{medical: true, class: likeness, names: "fingerprint,fingerprints,voiceprint,voice print,voice sample,retina scan,iris scan,face template,face id,faceprint,face print,biometric,biometrics," +
		"biometric id,biometric data,biometric template,photo,photos,photograph,portrait,headshot,selfie,avatar,profile picture,profile image,facial image,photo url,avatar url"},
	{medical: true, class: likeness, names: "picture,image", under: inPerson, exact: true},
}

// firstYear is the earliest year of birth that stays. Years before it tell of
// an age above 89, which 45 CFR 164.514(b)(2)(i)(C) has aggregated: at the latest
// from 2039 on this pack needs another version.
const firstYear = "1950"

// birthDay moves a date of birth within its year, and early years up to
// firstYear.
func birthDay(d *draws, s string) string {
	if early.admits(s) {
		return firstYear
	}
	out := dayInYear(d, s)
	for i := 0; i+4 <= len(out); i++ {
		if isDigit(before(out, i)) || !every(out[i:i+4], isDigit) || !plausibleYear(out[i:i+4]) {
			continue
		}
		if out[i:i+4] < firstYear {
			return out[:i] + firstYear + out[i+4:]
		}
		break
	}
	return out
}

// oldest stands for every age above 89.
const oldest = "90"

// isOver89 reports whether s begins with an age of 90 or more.
func isOver89(s string) bool {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n == 2 && s[0] == '9' || n == 3 && s[0] == '1'
}

func oldAge(_ *draws, s string) string {
	return oldest + strings.TrimLeft(s, numbers)
}

func isOldAge(s string) bool { return strings.HasPrefix(s, oldest) && !isDigit(after(s, len(oldest))) }

// anywhere draws every digit of a coordinate; the result is a latitude as well
// as a longitude.
func anywhere(d *draws, s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, fraction, ok := strings.Cut(s, ".")
	if !ok {
		return sign + letters(d, s)
	}
	degrees := string([]byte{byte('1' + d.below(8)), byte('0' + d.below(10))})
	if len(whole) < 2 {
		degrees = degrees[:1]
	}
	return sign + degrees + "." + letters(d, fraction)
}

// urlLetters keeps the scheme of a URL; its host is one below .example (RFC 2606).
func urlLetters(d *draws, s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	} else {
		scheme += "://"
	}
	path := ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		path = rest[i:]
	}
	host := make([]byte, 8)
	for i := range host {
		host[i] = d.from(consonants)
	}
	return scheme + string(host) + ".example" + letters(d, path)
}

// isDay reports whether s is a calendar day of ISO 8601, 2026-03-01.
func isDay(s string) bool {
	return len(s) == 10 && s[4] == '-' && s[7] == '-' && every(s[:4], isDigit) && plausibleYear(s[:4]) &&
		every(s[5:7], isDigit) && every(s[8:], isDigit) && isDayMonth(s[8:], s[5:7])
}

// isoDay is the day of a time, so that it is moved to the same day with and
// without a time of day; of anything else all of it.
func isoDay(s string) string {
	if len(s) > 10 && isDay(s[:10]) {
		return s[:10]
	}
	return s
}

// findDates finds days as ISO 8601 writes them, alone or before a time, and as
// they are written in the United States, 3/1/2026.
func findDates(s string, spans []span) []span {
	for i := 0; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		start := i
		if end := dateEnd(s, start); end > 0 {
			spans = append(spans, span{start: start, end: end})
			i = end
			continue
		}
		for i < len(s) && (isDigit(s[i]) || s[i] == '-' || s[i] == '/') {
			i++
		}
	}
	return spans
}

// dateEnd returns where the date at i ends, or 0.
func dateEnd(s string, i int) int {
	if b := before(s, i); b == '-' || b == '/' && isDigit(before(s, i-1)) || b == '.' || b == '_' {
		return 0
	}
	if i+10 <= len(s) && isDay(s[i:i+10]) {
		a := after(s, i+10)
		if isAlnum(a) && a != 'T' || a == '-' || a == '_' {
			return 0
		}
		return i + 10
	}
	first := strings.IndexByte(s[i:min(len(s), i+3)], '/')
	if first < 1 {
		return 0
	}
	second := strings.IndexByte(s[i+first+1:min(len(s), i+first+4)], '/')
	end := i + first + second + 6
	if second < 1 || end > len(s) {
		return 0
	}
	month, day, year := s[i:i+first], s[i+first+1:i+first+1+second], s[end-4:end]
	if !every(month+day+year, isDigit) || !plausibleYear(year) || isAlnum(after(s, end)) || after(s, end) == '/' {
		return 0
	}
	return end
}

// vinLetters are the letters of a vehicle identification number with the values
// that 49 CFR 565.15 gives them; I, O and Q are none.
const vinLetters = "ABCDEFGH..JKLMN.P.R..STUVWXYZ"

// vinWeights are the weights of the places of a number, of which the ninth is
// the check digit.
var vinWeights = [17]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}

func vinCheck(s string) (check byte, ok bool) {
	sum := 0
	for i := range len(vinWeights) {
		v := int(s[i] - '0')
		if !isDigit(s[i]) {
			k := strings.IndexByte(vinLetters, s[i])
			if k < 0 || s[i] == '.' {
				return 0, false
			}
			v = vinValue(k)
		}
		sum += v * vinWeights[i]
	}
	return "0123456789X"[sum%11], true
}

// vinValue counts letters as the rule does: A to H from 1, J to R from 1, S to Z
// from 2.
func vinValue(k int) int {
	switch {
	case k < 10:
		return k + 1
	case k < 20:
		return k - 9
	}
	return k - 19
}

// isVIN reports whether s is a vehicle identification number with its check
// digit, and with letters and digits where those are sure to be.
func isVIN(s string) bool {
	if len(s) != 17 || !every(s[14:], isDigit) || countDigits(s) > 15 || isDigit(s[0]) && countDigits(s[:3]) == 3 && s[0] != reservedVIN {
		return false
	}
	check, ok := vinCheck(s)
	return ok && check == s[8]
}

func findVINs(s string, spans []span) []span {
	for i := 0; i+17 <= len(s); i++ {
		if !isAlnum(s[i]) || isAlnum(before(s, i)) {
			continue
		}
		end := i + 17
		if !isAlnum(after(s, end)) && standsAlone(s, i, end) && isVIN(s[i:end]) {
			spans = append(spans, span{start: i, end: end})
			i = end
		}
	}
	return spans
}

// reservedVIN begins the numbers of surrogates: no region of ISO 3780 does.
const reservedVIN = '0'

// vehicleNumber keeps the shape of a plate; a vehicle identification number has
// its check digit.
func vehicleNumber(d *draws, s string) string {
	if !isVIN(s) {
		return letters(d, s)
	}
	b := []byte(s)
	b[0] = reservedVIN
	for i := 1; i < len(b); i++ {
		if isDigit(b[i]) {
			b[i] = d.from(numbers)
		} else {
			b[i] = d.from("ABCDEFGHJKLMNPRSTUVWXYZ")
		}
	}
	b[8], _ = vinCheck(string(b))
	return string(b)
}

func isReservedVIN(s string) bool { return len(s) == 17 && s[0] == reservedVIN && isVIN(s) }

// beneficiary is the form of the numbers of Medicare beneficiaries, published by
// the Centers for Medicare & Medicaid Services: "1" stands for a digit from 1,
// "0" for a digit, "A" for a letter but S, L, O, I, B and Z, "*" for either.
const beneficiary = "1A*0A*0AA00"

// findBeneficiaries finds such numbers, with the dashes of the card or without.
func findBeneficiaries(s string, spans []span) []span {
	for i := 0; i+len(beneficiary) <= len(s); i++ {
		if !isDigit(s[i]) || !standsAlone(s, i, i+1) && isAlnum(before(s, i)) {
			continue
		}
		if end := beneficiaryEnd(s, i); end > 0 && standsAlone(s, i, end) && before(s, i) != '-' && after(s, end) != '-' {
			spans = append(spans, span{start: i, end: end})
			i = end
		}
	}
	return spans
}

func beneficiaryEnd(s string, i int) int {
	dashes := after(s, i+4) == '-'
	for k := range len(beneficiary) {
		if dashes && (k == 4 || k == 7) {
			if after(s, i) != '-' {
				return 0
			}
			i++
		}
		c := after(s, i)
		letter := isUpper(c) && strings.IndexByte("SLOIBZ", c) < 0
		switch beneficiary[k] {
		case '1':
			if c < '1' || c > '9' {
				return 0
			}
		case '0':
			if !isDigit(c) {
				return 0
			}
		case 'A':
			if !letter {
				return 0
			}
		default:
			if !letter && !isDigit(c) {
				return 0
			}
		}
		i++
	}
	return i
}
