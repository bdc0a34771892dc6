package scrub

import "strings"

// class is what a value is: it decides the key and the generator.
type class uint8

const (
	none class = iota
	credential
	cookie
	vendorKey
	webToken
	privateKey
	cardCheck // sensitive authentication data: never kept, in any form
	card
	iban
	bank
	email
	phone
	name
	username
	address
	birthDate
	ssn
	nationalID
	ip
	device
	location
	special
	date
	born
	age
	coordinates
	record
	vehicle
	personalURL
	likeness
	unlisted
	other // named by a rule of the user, of no known class
	numClasses
)

// classRow is one class. Another class, another row.
type classRow struct {
	name      string
	domain    class // whose key it uses; none: its own
	protected bool  // no exemption turns it off
	remove    bool  // the value goes, no surrogate takes its place
	canonical func(string) string
	surrogate func(d *draws, original string) string
	reserved  func(string) bool // recognises a surrogate; nil: cannot
}

// classes holds every class. Credentials of all kinds share a domain: the same
// token is the same surrogate in a header, a cookie and a body.
var classes = [numClasses]classRow{
	none:        {name: "none", canonical: same, surrogate: letters},
	credential:  {name: "credential", protected: true, canonical: same, surrogate: token},
	cookie:      {name: "cookie", domain: credential, protected: true, canonical: same, surrogate: token},
	vendorKey:   {name: "vendor-key", domain: credential, protected: true, canonical: same, surrogate: vendorToken},
	webToken:    {name: "web-token", domain: credential, protected: true, canonical: same, surrogate: jwtToken},
	privateKey:  {name: "private-key", domain: credential, protected: true, canonical: same, surrogate: pemBlock},
	cardCheck:   {name: "card-verification", protected: true, remove: true, canonical: same, surrogate: letters},
	card:        {name: "card-number", canonical: alnumOnly, surrogate: cardNumber, reserved: isReservedCard},
	iban:        {name: "iban", canonical: alnumOnly, surrogate: ibanNumber, reserved: isReservedIBAN},
	bank:        {name: "bank-account", canonical: alnumOnly, surrogate: letters},
	email:       {name: "email", canonical: strings.ToLower, surrogate: emailAddress, reserved: isReservedEmail},
	phone:       {name: "phone", canonical: canonicalPhone, surrogate: phoneNumber, reserved: isReservedPhone},
	name:        {name: "name", canonical: folded, surrogate: letters},
	username:    {name: "username", canonical: folded, surrogate: letters},
	address:     {name: "address", canonical: folded, surrogate: letters},
	birthDate:   {name: "birth-date", canonical: same, surrogate: dayInYear},
	ssn:         {name: "ssn", canonical: digitsOnly, surrogate: ssnNumber, reserved: isReservedSSN},
	nationalID:  {name: "national-id", canonical: alnumOnly, surrogate: nationalNumber},
	ip:          {name: "ip", canonical: canonicalIP, surrogate: ipAddress, reserved: isReservedIP},
	device:      {name: "device", canonical: folded, surrogate: deviceID, reserved: isReservedMAC},
	location:    {name: "location", canonical: same, surrogate: coordinate},
	special:     {name: "special-category", remove: true, canonical: same, surrogate: letters},
	date:        {name: "date", canonical: isoDay, surrogate: dayInYear},
	born:        {name: "date-of-birth", canonical: isoDay, surrogate: birthDay},
	age:         {name: "age", canonical: same, surrogate: oldAge, reserved: isOldAge},
	coordinates: {name: "coordinates", canonical: same, surrogate: anywhere},
	record:      {name: "record-number", canonical: folded, surrogate: letters},
	vehicle:     {name: "vehicle", canonical: alnumOnly, surrogate: vehicleNumber, reserved: isReservedVIN},
	personalURL: {name: "personal-url", canonical: same, surrogate: urlLetters},
	likeness:    {name: "likeness", remove: true, canonical: same, surrogate: letters},
	unlisted:    {name: "unlisted", canonical: same, surrogate: anyText},
	other:       {name: "other", canonical: same, surrogate: token},
}

func same(s string) string { return s }

func folded(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func digitsOnly(s string) string { return strings.Map(keepIf(isDigit), s) }

func alnumOnly(s string) string { return strings.ToUpper(strings.Map(keepIf(isAlnum), s)) }

func keepIf(want func(byte) bool) func(rune) rune {
	return func(r rune) rune {
		if r < 0x80 && want(byte(r)) {
			return r
		}
		return -1
	}
}

func isDigit(b byte) bool  { return b >= '0' && b <= '9' }
func isLower(b byte) bool  { return b >= 'a' && b <= 'z' }
func isUpper(b byte) bool  { return b >= 'A' && b <= 'Z' }
func isLetter(b byte) bool { return isLower(b | 0x20) }
func isAlnum(b byte) bool  { return isDigit(b) || isLetter(b) }
func isHex(b byte) bool    { return isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'f' }

func every(s string, want func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !want(s[i]) {
			return false
		}
	}
	return true
}

func countDigits(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if isDigit(s[i]) {
			n++
		}
	}
	return n
}
