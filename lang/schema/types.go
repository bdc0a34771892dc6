package schema

// TypeInfo explains a base type.
type TypeInfo struct {
	Base    Base
	Doc     string
	Example string // a value as it would be written in a spec
}

// Name gives the name of the type.
func (t TypeInfo) Name() string { return t.Base.String() }

// Types lists the base types.
func Types() []TypeInfo {
	return []TypeInfo{
		{String, "Text in quotes. ${ } puts a value into it.", `"shop.example.com"`},
		{Bool, "true or false.", "true"},
		{Integer, "A whole number.", "256"},
		{Number, "A number.", "1.5"},
		{Duration, "A time span with its units, in quotes: ns, us, ms, s, m and h.", `"1m30s"`},
		{Size, "A number of bytes with its unit, in quotes: B, KB, MB, GB for powers of 1000, KiB, MiB, GiB for powers of 1024.", `"8MiB"`},
		{Rate, "How many in a second, minute or hour, in quotes.", `"500/s"`},
		{Share, "A part of a whole in percent, in quotes.", `"0.1%"`},
		{Keyword, "One of a few bare words, without quotes.", "recorded"},
		{Reference, "The name of another block, without quotes: its type and its labels, joined by dots. It may be declared further down.", "source.gor.peak_hour"},
		{Metric, "The name of a metric, without quotes.", "latency.p95"},
		{Limit, "What the metric of the gate is measured in: a duration for latencies, a share for rates of errors, mismatches and failures, a rate for throughput.", `"250ms"`},
		{Dimension, "endpoint, or cohort.NAME for a cohort of the audit, without quotes.", "cohort.region"},
		{Path, "A file, relative to the folder of the spec. Globs are allowed where a recording is meant.", `"traffic/peak_*.gor"`},
		{URL, "An absolute http or https URL without user, query and fragment.", `"http://127.0.0.1:8080"`},
		{Endpoint, "A path template, with a method before it or without: {name} stands for one segment.", `"GET /api/orders/{id}"`},
		{JQPath, "A jq program that names places in a response.", `".body.items[].price"`},
		{JQTest, "A jq program that is true or false of an exchange. null counts as false.", `".request.path == \"/healthz\""`},
		{JQValue, "A jq program that gives a value of an exchange.", `".request.headers[\"x-region\"]"`},
		{Version, "Versions that fit, in quotes, separated by commas: =, !=, >, >=, <, <= and ~>.", `">= 0.1, < 1.0"`},
		{Date, "A day in UTC, in quotes: YYYY-MM-DD.", `"2027-06-30"`},
		{TypeName, "The type of a variable, without quotes: string, number, bool, any, list(T), set(T), map(T), object({ name = T }).", "list(string)"},
		{Any, "A value of any type.", `{ host = "shop.example.com" }`},
		{Collection, "A list or set of strings, or a map.", `["eu", "us"]`},
		{Condition, "An expression that is true or false.", `length(var.regions) > 0`},
	}
}

// Doc explains the type in a sentence or two.
func (b Base) Doc() string {
	for _, t := range Types() {
		if t.Base == b {
			return t.Doc
		}
	}
	return ""
}

// Pack is a versioned set of detectors for personal data and secrets.
type Pack struct {
	Name    string
	Default bool // applies where a spec names no packs
	Doc     string
}

// Packs lists the scrub packs.
func Packs() []Pack {
	return []Pack{
		{"secrets@1", true, "Credentials: authorization fields, session cookies, passwords and tokens by the names of their fields, JSON web tokens, private keys, and the key formats of cloud and software vendors."},
		{"pci@1", true, "Payment data: card numbers with a valid check digit, verification codes, IBANs, and bank accounts by the names of their fields."},
		{"gdpr@1", true, "Personal data: names, e-mail and postal addresses, phone numbers, birth dates, national identity numbers, IP addresses, device ids, locations, and the special categories of article 9."},
		{"hipaa@1", false, "The identifiers of patients that Safe Harbor lists, 45 CFR 164.514(b)(2), by the names of their fields, FHIR's among them, and by their form: names; addresses, towns, counties, postal codes and coordinates; month and day of every date, the year stays, and years of birth before 1950 become 1950; ages above 89, which become 90; telephone and fax numbers, e-mail and IP addresses; social security, medical record, health plan, account, licence and certificate numbers; vehicles, devices and their serial numbers; URLs of persons. Biometric data and photographs are removed; binary bodies and files are dropped with every pack. Diagnoses and results stay. Credentials are the business of secrets@1, which is not part of it."},
		{"strict@1", false, "All of the other packs, and everything that nothing allows: texts are replaced by others of the same shape, also parts of paths with a digit and header fields that are no standard ones. What stays: true, false and null; numbers, unless their field is personal or is named as an identifier is (id, number, ref), and those of 7 digits or more unless they count or measure; the short values of fields like status, type, currency, locale and method; the year of a date, and its time of day; names of fields, and the words of paths. A rule with action = keep allows more."},
	}
}

// LimitOf gives the type of the limits of a metric.
func (d Dimensional) LimitOf() Base {
	switch d {
	case Part:
		return Share
	case Speed:
		return Rate
	}
	return Duration
}
