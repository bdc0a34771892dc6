package scrub

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// keyRow says that fields of these names hold values of a class. A name is
// words in lower case; it matches field names that end in it, whatever their
// separators and case: "first name" is in firstName, first_name, guest-first-name
// and firstname. Words match whole: "pin" is not in "shipping". The longest name
// that matches decides, so an exception is a row of class none.
type keyRow struct {
	class class
	names string // separated by commas
	exact bool   // the whole field name, not its end
	gate  gate   // what a value must look like; containers pass only without one
	under scope  // only inside such a field
	leaf  bool   // what is inside an object or list of that name is judged by itself

	medical bool // only where a pack asks for the identifiers of patients
}

// scope is what a field says about the ones inside it.
type scope uint8

const (
	inCard   scope = 1 << iota // anywhere inside a payment card
	inPerson                   // directly inside somebody
	inPostal                   // directly inside a postal address
	inClaims                   // directly inside the claims of a web token
	inHuman                    // directly inside a name in parts
	inNumber                   // directly inside a number or an address with its system
	inRecord                   // directly inside what is on record of a patient
)

// gate is a condition on the text of a value, for names with other meanings.
type gate uint8

const (
	anyValue    gate = iota
	longValue        // at least 16 bytes, no blanks
	shortDigits      // 3 to 12 digits and nothing else
	someDigits       // at least 5 digits
	fewDigits        // at least 3 digits, at most 12 bytes
	panDigits        // 12 digits or more
	address4or6      // an IP address
	decimals         // three decimals or more
	subject          // who a token is for: not a UUID or a short number, which are ids like others
	opaque           // not a word: a long value, or letters with digits
	over89           // 90 and more
	early            // a year of birth that tells of an age of 90 or more
	webAddress       // an absolute URL, or one that begins with www
	referenced       // Patient/123
)

func (g gate) admits(s string) bool {
	switch g {
	case longValue:
		return len(s) >= 16 && !strings.ContainsAny(s, " \t\n")
	case shortDigits:
		return len(s) >= 3 && len(s) <= 12 && every(s, isDigit)
	case someDigits:
		return countDigits(s) >= 5
	case fewDigits:
		return countDigits(s) >= 3 && len(s) <= 12
	case panDigits:
		return countDigits(s) >= 12
	case address4or6:
		_, _, _, ok := splitIP(s)
		return ok
	case subject:
		return !isUUID(s) && (len(s) > 12 || !every(s, isDigit))
	case opaque:
		return longValue.admits(s) || isOpaque(s)
	case over89:
		return isOver89(s)
	case early:
		return len(s) == 4 && every(s, isDigit) && plausibleYear(s) && s < firstYear
	case webAddress:
		return strings.Contains(s, "://") || strings.HasPrefix(s, "www.")
	case referenced:
		i := strings.LastIndexByte(s, '/')
		return i > 0 && i+1 < len(s) && strings.HasSuffix(s[:i], "Patient")
	case decimals:
		dot := strings.IndexByte(s, '.')
		return dot >= 0 && len(s)-dot > 3
	}
	return true
}

// isOpaque reports whether s looks made up rather than spelled: letters and
// digits, and none of the methods of authentication that have a number.
func isOpaque(s string) bool {
	digits := countDigits(s)
	if len(s) < 6 || digits == 0 || digits == len(s) || strings.ContainsAny(s, " \t\n") {
		return false
	}
	switch strings.TrimRight(strings.ToLower(s), "0123456789.-_") {
	case "oauth", "sha", "hs", "rs", "es", "ps", "md", "saml", "openid", "oidc", "ntlm", "tls", "ssl", "http", "x", "v", "utf", "ipv":
		return false
	}
	return true
}

// keyRows is the knowledge about field names.
var keyRows = []keyRow{
	{class: credential, names: "password,passwd,pwd,passphrase,pass phrase,passcode,passwort,kennwort,contrasena,mot de passe,senha,secret,client secret," +
		"token,access token,refresh token,id token,api key,app key,application key,access key,secret key,access key id,secret access key,private key," +
		"signing key,encryption key,auth key,subscription key,account key,shared key,master key,session key,ssh key,hmac key,credential,credentials," +
		"otp,totp,mfa code,otp code,sms code,verification code,confirmation code,activation code,auth code,authorization code,one time code,one time password," +
		"backup code,backup codes,recovery code,recovery codes,code verifier,security answer,security answers,secret answer,assertion,saml response,saml request," +
		"session id,sessid,session token,jsessionid,phpsessid,connect sid,csrf,xsrf,csrf token,xsrf token,authenticity token,authorization,bearer,jwt," +
		"password hash,password digest,password salt,password confirmation,password repeat,connection string,set cookie,passwords,secrets,api keys,access tokens," +
		"refresh tokens,device tokens,bearer token,x client data,usg,shdf,user pass,db pass,login pass,user pw,db pw"},
	{class: credential, names: "auth", exact: true, gate: opaque},
	{class: credential, names: "sid,pass,pw,cookie,cookies", exact: true},
	{class: credential, names: "tokens,signature,sig,hmac,nonce,session,sessions,private,challenge", exact: true, gate: longValue},
	{class: credential, names: "amz signature,goog signature,oauth signature", gate: longValue},
	{class: none, names: "page token,next token,next page token,previous page token,sync token,continuation token,pagination token,resume token,watch token," +
		"start token,starting token,end token,client token,client request token,idempotency token,cursor token,max token,design token,token type,public key," +
		"csrf param,public token type,error token,cancel token,fencing token"},

	{class: cardCheck, names: "cvv,cvc,cvv2,cvc2,cav2,card code,card verification,card verification value,card verification code,verification value," +
		"card security code,security code,card cvv,card cvc,track1,track2,track 1,track 2,track1 data,track2 data,track data,magstripe,magnetic stripe,pin block"},
	{class: cardCheck, names: "pin,csc,card pin,cid", exact: true, gate: shortDigits},
	{class: cardCheck, names: "card pin,debit pin", gate: shortDigits},
	{class: cardCheck, names: "code,cid,csc,cvn,pin,emv", under: inCard, exact: true},

	{class: card, names: "card number,card no,card num,cc number,cc num,ccnum,credit card number,primary account number", leaf: true},
	{class: card, names: "pan,card,cc,credit card,debit card,creditcard", gate: panDigits, leaf: true},
	{class: card, names: "number,num,no,pan,account number", under: inCard, exact: true},
	{class: iban, names: "iban"},
	{class: bank, names: "account number,account no,bank account number,routing number,sort code,bban,swift code,bic code"},
	{class: bank, names: "bic,swift,aba,kontonummer", exact: true},

	{class: email, names: "email,e mail,mail address,emails,email address,e mail address,mailbox,correo,correo electronico"},
	{class: email, names: "mail,mails", exact: true},
	{class: phone, names: "phone,telephone,phone number,telephone number,mobile number,mobile phone,cell phone,cell number,phones,phone numbers,msisdn,fax number,whatsapp number,telefon,telefono,handy"},
	{class: phone, names: "mobile,cell,tel,fax,whatsapp,contact number", gate: someDigits},
	{class: name, names: "first name,last name,full name,given name,family name,middle name,maiden name,surname,forename,cardholder,card holder,cardholder name," +
		"card holder name,account holder,account holder name,holder name,legal name,preferred name,contact name,recipient name,customer name,patient name," +
		"guest name,passenger name,employee name,buyer name,sender name,receiver name,beneficiary name,applicant name,name on card,middle initial,birth name," +
		"vorname,nachname,familienname,prenom,apellido,apellidos"},
	{class: name, names: "recipient,consignee,nickname,nick name,fname,lname,firstname,lastname", exact: true},
	{class: name, names: "name", under: inPerson | inCard | inClaims, exact: true},
	{class: name, names: "display name,names,formatted", under: inPerson, exact: true},
	{class: name, names: "holder,owner", under: inCard, exact: true},
	{class: username, names: "username,user name,login name,user login,screen name,preferred username"},
	{class: username, names: "login,userid,handle", exact: true},
	{class: username, names: "sub,upn,oid,unique name,cognito username", under: inClaims, exact: true, gate: subject},
	{class: none, names: "user name template,host name,file name"},
	{class: address, names: "street,street address,street name,address line,address line1,address line2,address line3,address1,address2,house number,house no," +
		"home address,postal address,billing address,shipping address,mailing address,delivery address,residential address,zip code,postal code,postcode," +
		"post code,pin code,plz,strasse,postleitzahl,addr line"},
	{class: address, names: "address,addresses,line1,line2,line3,town,locality", exact: true},
	{class: address, names: "city,place of birth,birth place,birthplace"},
	{class: address, names: "zip", gate: fewDigits},
	{class: none, names: "country,country code,type,kind,system,use,rank,period", under: inPostal | inNumber | inHuman, exact: true},
	{class: birthDate, names: "dob,date of birth,birth date,birthdate,birthday,birth day,geburtsdatum,date naissance"},
	{class: ssn, names: "ssn,social security,social security number,social security no,itin"},
	{class: nationalID, names: "passport,passport number,passport no,national id,national id number,national insurance number,nino,tax id,tax number,taxpayer id," +
		"driver license,drivers license,driver licence,driving licence,driver license number,drivers license number,license plate,identity number,id card number," +
		"personal number,personnummer,aadhaar,aadhaar number,cpf,curp,dni,nhs number,medicare number,bsn,pesel,codice fiscale,steuer id,identity card,hetu,henkilotunnus,personal identity code,numero securite sociale,ahv number,sozialversicherungsnummer"},
	{class: ip, names: "ip,ip address,ip addr,remote addr,remote address,client addr,ips,ip addresses,ipv4,ipv6", gate: address4or6},
	{class: device, names: "device id,imei,imsi,iccid,meid,idfa,idfv,gaid,aaid,advertising id,ad id,udid,android id,mac address,mac addr,device fingerprint,browser fingerprint,hardware id"},
	{class: location, names: "latitude,longitude,lat,lng,lon,long", gate: decimals},
	{class: special, names: "religion,ethnicity,sexual orientation,political opinion,political affiliation,trade union membership,medical condition," +
		"diagnosis,blood type,health condition,genetic data,biometric data,disability"},
}

// linkRows are names that mean a credential in a query or a form only: the
// parameters of an OAuth redirect and of signed links.
var linkRows = map[string]gate{"code": longValue, "state": longValue, "key": longValue, "sig": longValue, "ticket": longValue}

// scopeRows says which fields open a scope, by the end of their name, in the
// singular or the plural.
var scopeRows = []struct {
	opens scope
	names string
}{
	{inCard, "card,credit card,debit card,payment card,cc,creditcard,card details,card data,card info"},
	{inPerson, "customer,user,contact,recipient,person,cardholder,patient,passenger,guest,employee,driver,owner,member,buyer,seller,sender,receiver," +
		"beneficiary,traveler,traveller,subscriber,applicant,student,payer,payee,billing,shipping,billing details,billing address,shipping address," +
		"shipping details,address,profile,account holder,author,assignee,attendee,spouse,child,shareholder"},
	{inHuman, "name,names"},
	{inNumber, "identifier,telecom"},
	{inRecord, "encounter,visit,admission,claim,prescription,specimen,appointment,chart,medical record,episode,referral,subscriber,beneficiary,dependent"},
	{inPostal, "address,postal address,home address,billing address,shipping address,mailing address,delivery address,residential address"},
}

var scopes = func() map[string]scope {
	table := map[string]scope{}
	for _, row := range scopeRows {
		for n := range strings.SplitSeq(row.names, ",") {
			table[singular(n)] |= row.opens
			if joined := singular(strings.ReplaceAll(n, " ", "")); joined != singular(n) {
				table[joined] |= row.opens
			}
		}
	}
	return table
}()

// singular takes the plural off, of "cards" and of "addresses"; that it shortens
// "address" too does not matter, since names and fields go through it alike.
func singular(s string) string { return strings.TrimRight(strings.TrimSuffix(s, "es"), "s") }

// technicalWords end the names of fields whose long digits count or trace
// something.
var technicalWords = map[string]bool{"timestamp": true, "ts": true, "epoch": true, "version": true, "etag": true, "sha": true, "checksum": true,
	"traceid": true, "spanid": true, "trace": true, "span": true, "snowflake": true, "cursor": true, "nanos": true, "millis": true}

// mailedLinks are path segments behind which links in messages carry a secret.
var mailedLinks = map[string]bool{"reset": true, "confirm": true, "confirmation": true, "verify": true, "verification": true, "activate": true,
	"activation": true, "invite": true, "invites": true, "invitation": true, "magic": true, "unsubscribe": true, "recover": true, "recovery": true}

var keyTable = func() map[string][]keyRow {
	table := map[string][]keyRow{}
	for _, row := range slices.Concat(medicalRows, keyRows) { // of two rows for one name the first that holds decides
		for n := range strings.SplitSeq(row.names, ",") {
			table[n] = append(table[n], row)
			if joined := strings.ReplaceAll(n, " ", ""); joined != n && len(joined) >= 5 {
				table[joined] = append(table[joined], row)
			}
		}
	}
	return table
}()

// keyInfo is what is known about one field name.
type keyInfo struct {
	rows      [2]*keyRow // the row that holds anywhere, and the one that needs a scope
	opens     scope
	technical bool
	link      gate // as a query or form parameter; anyValue: no rule
	rule      int  // the rule of the user that names it, or -1
	exposed   bool // the name itself may hold something
	patient   bool // in a path, the number of a patient or of a record comes next
	invites   bool // in a path, a secret of a mailed link comes next
	names     bool // its value is the name of what stands beside it: {"name":"password","value":"..."}
	named     bool // what stands beside it

	full   string // its words, for strict packs
	traits nameTraits

	raw  string   // the name as JSON text, once it was met there
	next *keyInfo // the name that stood behind it last
}

// namingFields and namedFields are the two halves of a pair that carries a name
// as data.
var (
	namingFields = map[string]bool{"name": true, "key": true, "field": true, "field name": true, "param": true, "parameter": true, "attribute": true, "header": true}
	namedFields  = map[string]bool{"value": true, "val": true, "values": true}
)

// says reports whether anything is known about a name.
func (k *keyInfo) says() bool { return k.rule >= 0 || k.rows[0] != nil || k.rows[1] != nil }

// maxKnownKeys bounds what a worker remembers: services have a few hundred
// names, but keys may also be data.
const maxKnownKeys = 4096

// longestName bounds, in bytes, how much of a name is looked at, from its end.
const longestName = 128

func (w *worker) key(name []byte) *keyInfo {
	if k, ok := w.known[string(name)]; ok {
		return k
	}
	k := w.s.classify(string(name))
	if len(name) > longestName { // data, not a name
		return k
	}
	if len(w.known) >= maxKnownKeys {
		clear(w.known)
	}
	w.known[string(name)] = k
	return k
}

// classify looks a name up by its endings, longest first.
func (s *Scrubber) classify(name string) *keyInfo {
	info := &keyInfo{rule: -1, exposed: !traitsOf(name).dull()}
	words := wordsOf(lastName(name[max(0, len(name)-longestName):]))
	full := strings.Join(words, " ")
	if rule, ok := s.byKey[full]; ok {
		info.rule = rule
	}
	info.link = linkRows[full]
	info.names, info.named = namingFields[full], namedFields[full]
	if len(words) > 0 {
		info.invites = mailedLinks[words[len(words)-1]]
		info.technical = technicalWords[words[len(words)-1]] || len(words) > 1 && technicalWords[strings.Join(words[len(words)-2:], "")]
	}
	s.match(info, words)
	if s.strict {
		info.full, info.traits = strings.Join(words, "_"), nameTraitsOf(words)
	}
	info.patient = s.medical && info.opens&(inPerson|inRecord) != 0
	if trimmed := withoutNumber(words); info.rows[0] == nil && info.rows[1] == nil && trimmed != nil {
		s.match(info, trimmed)
	}
	return info
}

// match finds the rows for a name of words, and the scope that it opens.
func (s *Scrubber) match(info *keyInfo, words []string) {
	var decided [len(info.rows)]bool
	for i := range words {
		ending := strings.Join(words[i:], " ")
		whole := i == 0 || i == 1 && words[0] == "x"
		if info.opens == 0 {
			info.opens = scopes[singular(ending)]
		}
		var met [len(decided)]bool
		rows := keyTable[ending]
		for j := range rows {
			row, slot := &rows[j], 0
			if row.under != 0 {
				slot = 1
			}
			if decided[slot] || row.exact && !whole || row.medical && !s.medical {
				continue
			}
			met[slot] = true
			if s.enabled[row.class] && (row.class != none || slot == 1) {
				info.rows[slot] = row
			}
			decided[slot] = s.enabled[row.class]
		}
		for slot := range met {
			decided[slot] = decided[slot] || met[slot]
		}
	}
}

// withoutNumber drops a number at the end of a name: "address_line_1", "email2".
func withoutNumber(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	last := words[len(words)-1]
	cut := strings.TrimRight(last, numbers)
	switch {
	case cut == last || cut == "" && len(words) == 1:
		return nil
	case cut == "":
		return words[:len(words)-1]
	}
	out := append([]string(nil), words...)
	out[len(out)-1] = cut
	return out
}

// wordsOf splits a field name at separators and where case changes, and folds
// case: "billingAddress[ZIPCode]" is billing, address, zip, code.
func wordsOf(name string) []string {
	var words []string
	start := -1
	flush := func(end int) {
		if start >= 0 {
			words = append(words, foldWord(name[start:end]))
			start = -1
		}
	}
	prev := rune(0)
	for i, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush(i)
			prev = 0
			continue
		}
		if start >= 0 && unicode.IsUpper(r) {
			next, _ := utf8.DecodeRuneInString(name[i+utf8.RuneLen(r):])
			if !unicode.IsUpper(prev) || unicode.IsLower(next) {
				flush(i)
			}
		}
		if start < 0 {
			start = i
		}
		prev = r
	}
	flush(len(name))
	return words
}

// foldWord lowers a word and takes the accents off the few letters that occur
// in the names of keyRows.
func foldWord(s string) string {
	s = strings.ToLower(s)
	if every(s, func(b byte) bool { return b < 0x80 }) {
		return s
	}
	return accents.Replace(s)
}

var accents = strings.NewReplacer("ß", "ss", "ñ", "n", "é", "e", "è", "e", "ó", "o", "í", "i", "á", "a", "ú", "u", "ç", "c", "ü", "u", "ö", "o", "ä", "a")

// verdict is what happens to one value.
type verdict struct {
	action Action // "": only what the value's own form shows
	class  class
	rule   int // index into hits
}

// named reports whether the place of a value, and not only a strict pack, decides
// about it.
func (v verdict) named() bool { return v.action != "" && v.class != unlisted }

// judge decides about a leaf: card verification data first, then the user's
// rule, then the packs.
func (w *worker) judge(k *keyInfo, in scope, inherited class, rule int, text string) verdict {
	c := w.classOf(k, in, inherited, text)
	switch {
	case rule < 0 || c == cardCheck:
	case w.s.cfg.Rules[rule].Action == Keep:
		if !classes[c].protected {
			return verdict{Keep, c, rule}
		}
	default:
		if c == none {
			c = other
		}
		return verdict{w.s.cfg.Rules[rule].Action, c, rule}
	}
	if c == none {
		return verdict{}
	}
	v := verdict{Pseudonymize, c, w.classHit(c)}
	if classes[c].remove {
		v.action = Remove
	}
	return v
}

// classOf is the class that the names around a value give it.
func (w *worker) classOf(k *keyInfo, in scope, inherited class, text string) class {
	if k != nil {
		if r := k.rows[1]; r != nil && r.under&in != 0 && r.gate.admits(text) {
			return r.class
		}
		if r := k.rows[0]; r != nil && r.gate.admits(text) {
			return r.class
		}
	}
	return inherited
}

// containerClass is what an object or list hands down to what is inside it.
func containerClass(k *keyInfo, in scope, inherited class) class {
	if k == nil {
		return inherited
	}
	if r := k.rows[1]; r != nil && r.under&in != 0 && r.gate == anyValue && !r.leaf {
		return r.class
	}
	if r := k.rows[0]; r != nil && r.gate == anyValue && !r.leaf {
		return r.class
	}
	return inherited
}

// scopeInside is the scope of what is inside a field: a card holds for
// everything below, the others for one level.
func scopeInside(k *keyInfo, in scope) scope {
	return k.opens | in&inCard
}

// lastName is the innermost of the names that a name in brackets holds: login
// of user[login] and of items[0][login][].
func lastName(name string) string {
	trimmed := strings.TrimSuffix(name, "[]")
	if !strings.HasSuffix(trimmed, "]") {
		return name
	}
	open := strings.LastIndexByte(trimmed, '[')
	if inner := trimmed[open+1 : len(trimmed)-1]; open > 0 && inner != "" && !every(inner, isDigit) {
		return inner
	}
	return name
}
