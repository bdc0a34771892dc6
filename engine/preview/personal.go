package preview

import (
	"slices"
	"strings"
	"unicode"
)

// personalNames are names of fields that are likely to hold something about
// somebody, as words in lower case. A field counts whose name ends in one. The
// scrubber knows most of them; those that it does not, or knows only with a value
// of a certain shape, are what a plan asks its reader about.
var personalNames = split(`
	name, first name, last name, full name, middle name, family name, given name, maiden name, display name, user name, customer name, nick name,
	surname, forename, vorname, nachname, initials, salutation, title of courtesy, alias,
	birth, birthday, birthdate, birth date, date of birth, dob, birth place, age, gender, sex, nationality, citizenship, marital status,
	phone, telephone, mobile, cell, fax, tel, email, mail, contact, messenger, whatsapp, skype, twitter, facebook, linkedin, instagram,
	address, street, house number, city, town, zip, zip code, postcode, postal code, district, county,
	passport, visa number, identity, id card, national id, personal id, personal number, tax id, vat id, social security, ssn, license, licence, license plate, plate, vin,
	account, account holder, iban, bic, card, card holder, pan, salary, income, wage, credit score,
	customer id, customer number, user id, member id, membership number, patient id, employee id, person id, guest id, subscriber id, loyalty number, frequent flyer number,
	device id, fingerprint, imei, imsi, mac, ip, ip address, latitude, longitude, geolocation, location,
	diagnosis, disease, medication, allergy, allergies, blood type, insurance number, religion, ethnicity, race, disability, health,
	employer, job title, occupation, school, photo, avatar, portrait, selfie, signature, voice, biometric,
	password, secret, token, session, pin, login,
	note, notes, comment, comments, remark, remarks, free text, bio, about me`)

// productNames end like personal names and are none.
var productNames = split(`
	file name, host name, domain name, product name, item name, event name, service name, app name, application name, brand name, category name, class name, column name,
	field name, table name, display mode name, method name, page name, plan name, region name, route name, store name, tag name, template name, type name, view name, queue name,
	content location, page token, next token, csp, cache age, max age, ttl age`)

// vague are names that say something about somebody only beside something else.
var vague = split(`name, age, token, location, title, identity, contact, account, card, session, address, plate`)

func split(list string) [][]string {
	var out [][]string
	for phrase := range strings.SplitSeq(list, ",") {
		out = append(out, strings.Fields(phrase))
	}
	return out
}

// looksPersonal reports whether the name of a field looks as if its values were
// about somebody. A single vague word is not enough.
func looksPersonal(name string) bool {
	words := wordsOf(name)
	if len(words) == 1 && slices.ContainsFunc(vague, func(v []string) bool { return v[0] == words[0] }) {
		return false
	}
	return endsInOne(words, personalNames) && !endsInOne(words, productNames)
}

func endsInOne(words []string, phrases [][]string) bool {
	return slices.ContainsFunc(phrases, func(p []string) bool {
		return len(p) <= len(words) && slices.Equal(words[len(words)-len(p):], p)
	})
}

// wordsOf takes a name apart: first_name, firstName, First-Name.
func wordsOf(name string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	var last rune
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
		case unicode.IsUpper(r) && unicode.IsLower(last):
			end()
			fallthrough
		default:
			word.WriteRune(unicode.ToLower(r))
		}
		last = r
	}
	end()
	return words
}
