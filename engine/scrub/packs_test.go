package scrub

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestPacks(t *testing.T) {
	if got, want := PackNames(), []string{"gdpr@1", "hipaa@1", "pci@1", "secrets@1", "strict@1"}; !slices.Equal(got, want) {
		t.Errorf("packs %q, want %q", got, want)
	}
	if got, want := DefaultPacks(), []string{"gdpr@1", "pci@1", "secrets@1"}; !slices.Equal(got, want) {
		t.Errorf("default packs %q, want %q", got, want)
	}
	packed := map[class]bool{}
	for _, p := range packs {
		seen := map[class]bool{}
		for _, c := range p.classes {
			if seen[c] || c == none || c == other {
				t.Errorf("%s has class %s twice, or it is none", p.name, classes[c].name)
			}
			seen[c], packed[c] = true, true
		}
	}
	for c := credential; c < other; c++ {
		if !packed[c] {
			t.Errorf("class %s is in no pack", classes[c].name)
		}
	}
	if s := newScrubber(t, Config{}); !slices.Equal(s.cfg.Packs, DefaultPacks()) || s.medical || s.strict {
		t.Errorf("packs %q where nothing is said", s.cfg.Packs)
	}
}

// Hits are counted under the first pack that has the class.
func TestHitsNameTheirPack(t *testing.T) {
	for _, tt := range []struct {
		packs []string
		want  string
	}{
		{[]string{"gdpr@1", "hipaa@1"}, "gdpr@1/email"},
		{[]string{"hipaa@1", "gdpr@1"}, "gdpr@1/email"},
		{[]string{"hipaa@1"}, "hipaa@1/email"},
		{[]string{"strict@1"}, "strict@1/unlisted"},
	} {
		s := newScrubber(t, Config{Packs: tt.packs})
		if err := s.Exchange(post("application/json", `{"x":"jane@acme.com"}`)); err != nil {
			t.Fatal(err)
		}
		if hits := classHits(s); hits[tt.want] != 1 {
			t.Errorf("%q: hits %v, want %s", tt.packs, hits, tt.want)
		}
	}
}

// patient is a record with each of the identifiers of 45 CFR 164.514(b)(2)(i).
const patient = `{"resourceType":"Patient","identifier":[{"system":"urn:mrn","use":"usual","value":"MRN-884213"}],
"name":[{"use":"official","family":"Okonkwo","given":["Adaeze","Ngozi"],"text":"Adaeze N. Okonkwo"}],
"telecom":[{"system":"phone","value":"(212) 736-5000","use":"home"},{"system":"fax","value":"+44 20 7946 1234"},{"system":"email","value":"ada@okonkwo.org"}],
"gender":"female","birthDate":"1931-02-27","deceasedDateTime":"2024-05-06T07:08:09Z",
"address":[{"use":"home","line":["350 Fifth Avenue"],"city":"Brooklyn","district":"Kings County","state":"NY","postalCode":"11201","country":"US"}],
"photo":[{"contentType":"image/png","url":"https://cdn.test/ada.png"}],
"mrn":"88421300","member_id":"W123456789","ssn":"536-90-4399","account_number":"4400551122","license_number":"D1234567","vin":"1HGCM82633A004352",
"device_serial_number":"PM-77-4412","website":"https://ada.okonkwo.org/me","ip_address":"81.2.69.142","fingerprint":"f1ngerpr1nt","age":97,"age_at_diagnosis":"93 years",
"admission_date":"03/14/2024","latitude":40.748433,"note":"Seen 2024-03-15 by Dr. X, MBI 1EG4-TE5-MK73, car 1HGCM82633A004352, see 4/2/2024.",
"managing":{"reference":"Patient/884213"},"encounter":{"id":"enc-5512"},"status":"active","heart_rate":72,"age_limit":80,"visits":12}`

// What must not come out of it, and what must.
var (
	patientGone = []string{"MRN-884213", "884213", "Okonkwo", "okonkwo", "Adaeze", "Ngozi", "736-5000", "7946 1234", "ada@", "02-27", "1931", "05-06", "350 Fifth", "Fifth", "Brooklyn",
		"Kings", "11201", "ada.png", "W123456789", "536-90", "4400551122", "D1234567", "1HGCM82633A004352", "PM-77-4412", "81.2.69.142", "f1ngerpr1nt", `"age":97`, "93 years", "03/14",
		"748433", "40.7", "2024-03-15", "1EG4-TE5-MK73", "4/2/2024", "enc-5512"}
	patientStays = []string{`"resourceType":"Patient"`, `"system":"urn:mrn"`, `"use":"official"`, `"system":"phone"`, `"gender":"female"`, `"birthDate":"1950-`, `"deceasedDateTime":"2024-`, `T07:08:09Z"`,
		`"country":"US"`, `/2024"`, `"age":90`, `"90 years"`, `"status":"active"`, `"heart_rate":72`, `"age_limit":80`, `"visits":12`, `"reference":"Patient/`, `"website":"https://`, `.example/`}
)

func TestMedicalIdentifiersGo(t *testing.T) {
	for _, packs := range [][]string{{"hipaa@1"}, {"gdpr@1", "hipaa@1"}} {
		s := newScrubber(t, Config{Packs: packs})
		x := post("application/json", patient)
		if err := s.Exchange(x); err != nil {
			t.Fatal(err)
		}
		got := string(x.Request.Body.Bytes)
		for _, v := range patientGone {
			if strings.Contains(got, v) {
				t.Errorf("%q: %q comes out", packs, v)
			}
		}
		for _, v := range patientStays {
			if !strings.Contains(got, v) {
				t.Errorf("%q: %s does not come out", packs, v)
			}
		}
		if !json.Valid([]byte(got)) || t.Failed() {
			t.Errorf("%q: %s", packs, got)
		}
	}
}

func TestMedicalPlaces(t *testing.T) {
	for _, tt := range []struct {
		name, gone, still string
		x                 *traffic.Exchange
	}{
		{"patient in a path", "884213", "GET /fhir/Patient/", get("/fhir/Patient/884213")},
		{"patients in a path", "p-8842", "GET /patients/", get("/patients/p-8842/visits")},
		{"claim in a path", "55-12", "/claims/", get("/claims/55-12")},
		{"birth date in a query", "1960-02-27", "/p?birthdate=1960-", get("/p?birthdate=1960-02-27")},
		{"compact date", "19600227", "/p?birthdate=1960", get("/p?birthdate=19600227")},
		{"month of birth", "1960-02", "", post("application/json", `{"birthDate":"1960-02"}`)},
		{"header", "884213", "", with("X-Patient-Id", "884213")},
		{"form", "1931", "yob=1950", post("application/x-www-form-urlencoded", "yob=1931")},
		{"XML", "Kings", "<county>", answer("application/xml", "<r><county>Kings</county></r>")},
		{"table", "884213", "mrn,age\n", answer("text/csv", "mrn,age\n884213,95\n")},
		{"in a text", "1HGCM82633A004352", "her car", answer("text/plain", "her car 1HGCM82633A004352 is")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScrubber(t, Config{Packs: []string{"hipaa@1"}})
			if err := s.Exchange(tt.x); err != nil {
				t.Fatal(err)
			}
			if got := everything(tt.x); strings.Contains(got, tt.gone) || !strings.Contains(got, tt.still) {
				t.Errorf("%q comes out, or %q does not:\n%s", tt.gone, tt.still, got)
			}
		})
	}
}

// A patient has one number, in a path, a body and a reference.
func TestRecordNumbersStayTogetherAndApart(t *testing.T) {
	s := newScrubber(t, Config{Packs: []string{"hipaa@1"}})
	body := func(in string) string {
		x := post("application/json", in)
		if err := s.Exchange(x); err != nil {
			t.Fatal(err)
		}
		return string(x.Request.Body.Bytes)
	}
	id := strings.TrimPrefix(s.Path("/Patient/884213"), "/Patient/")
	if got, want := body(`{"patient_id":"884213","subject":{"reference":"Patient/884213"}}`), `{"patient_id":"`+id+`","subject":{"reference":"Patient/`+id+`"}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	seen := map[string]bool{}
	for n := 100000; n < 103000; n++ {
		out := s.Path("/Patient/" + strconv.Itoa(n))
		if seen[out] {
			t.Fatalf("two patients became %s", out)
		}
		seen[out] = true
	}
}

func TestMedicalNearMissesStay(t *testing.T) {
	s := newScrubber(t, Config{Packs: []string{"hipaa@1"}})
	for _, v := range []string{
		`{"api_version":"2024-03-01","version":"2024-03-01"}`, `{"age":42,"max_age":3600,"page":97}`, `{"year":2024,"month":"May"}`, `{"state":"NY","country":"US","diagnosis":"flu"}`,
		`{"id":"ord_1","sku":"1HGCM82633A004353"}`, `{"ratio":"3/4","path":"2024/03","build":"1.2024-03-01"}`, `{"code":"1EG4TE5MK7"}`, `{"amount":90,"number":1234}`,
		`{"birth_year":1980}`, `{"photo_count":3,"license":"MIT"}`, `{"latitude":"north"}`,
	} {
		x := post("application/json", v)
		if err := s.Exchange(x); err != nil || string(x.Request.Body.Bytes) != v {
			t.Errorf("%s became %s (%v)", v, x.Request.Body.Bytes, err)
		}
	}
	if x := with("Stripe-Version", "2024-03-01"); s.Exchange(x) != nil || x.Request.Header[1].Value != "2024-03-01" {
		t.Errorf("the version of an interface became %s", x.Request.Header[1].Value)
	}
	if got := s.Path("/users/me/visits/v2"); got != "/users/me/visits/v2" && !strings.HasPrefix(got, "/users/me/visits/") {
		t.Errorf("a route became %s", got)
	}
}

func TestVehicleNumbers(t *testing.T) {
	for s, want := range map[string]bool{"1HGCM82633A004352": true, "1M8GDM9AXKP042788": true, "1HGCM82633A004353": false, "1HGCM82633A00435": false, "IHGCM82633A004352": false, "11111111111111111": false} {
		if got := isVIN(s); got != want {
			t.Errorf("isVIN(%q) = %v", s, got)
		}
	}
	s := newScrubber(t, Config{Packs: []string{"hipaa@1"}})
	out := s.Text("1HGCM82633A004352")
	if !isReservedVIN(out) || s.Text(out) != out {
		t.Errorf("surrogate %q is no vehicle's number, or not known again", out)
	}
}

func TestStrictKeepsOnlyWhatIsListed(t *testing.T) {
	const in = `{"nick":"Zaphod","status":"active","currency":"EUR","locale":"de-DE","ok":true,"none":null,"n":42,"price":12.50,"total":123456789,"created_at":1700000000,
"order_no":4711,"ref":"R-2204","tags":["vegan","Heidelberg"],"day":"2024-03-15","at":"2024-03-15T10:11:12Z","url":"https://shop.test/u/zaphod","id":"0b7c1a52-6d3c-4f0e-9a51-7b8d0e1f2a3b",
"long":98765432,"bank_branch":"Marienplatz","nested":"{\"nick\":\"Zaphod\",\"status\":\"open\"}","amount":"19.90","page":"2","query":"query Q($a: Int) { user(name: \"Zaphod\") { id } }"}`
	s := newScrubber(t, Config{Packs: []string{"strict@1"}})
	x := post("application/json", in)
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	got := string(x.Request.Body.Bytes)
	for _, v := range []string{"Zaphod", "zaphod", "4711", "2204", "vegan", "Heidelberg", "03-15", "0b7c1a52", "98765432", "Marienplatz"} {
		if strings.Contains(got, v) {
			t.Errorf("%q comes out", v)
		}
	}
	for _, v := range []string{`"status":"active"`, `"currency":"EUR"`, `"locale":"de-DE"`, `"ok":true`, `"none":null`, `"n":42`, `"price":12.50`, `"total":123456789`, `"created_at":1700000000`,
		`"day":"2024-`, `T10:11:12Z"`, `"url":"https://`, `\"status\":\"open\"`, `"amount":"19.90"`, `"page":"2"`, `query Q($a: Int) { user(name: \"`, `\") { id } }"`} {
		if !strings.Contains(got, v) {
			t.Errorf("%s does not come out", v)
		}
	}
	if !json.Valid([]byte(got)) || t.Failed() {
		t.Error(got)
	}
}

func TestStrictPlaces(t *testing.T) {
	for _, tt := range []struct {
		name, gone, still string
		x                 *traffic.Exchange
	}{
		{"query", "zaphod", "GET /search?q=", get("/search?q=zaphod&page=2&sort=name")},
		{"query, what is listed", "zaphod", "&page=2&sort=name ", get("/search?q=zaphod&page=2&sort=name")},
		{"path", "o-77", "GET /v1/orders/", get("/v1/orders/o-77")},
		{"path, encoded", "z%40x", "GET /by/", get("/by/z%40x")},
		{"header", "zaphod", "X-Mood: ", with("X-Mood", "zaphod")},
		{"standard header", "zaphod", "text/html", with("X-Mood", "zaphod", "Accept", "text/html")},
		{"text", "zaphod", "", answer("text/plain", "zaphod was here")},
		{"markup", "zaphod", "<p>", answer("text/html", "<p>zaphod</p><!-- zaphod -->")},
		{"XML", "zaphod", `<r xmlns:a="http://a.test/ns"><a:x>`, answer("application/xml", `<r xmlns:a="http://a.test/ns"><a:x>zaphod</a:x></r>`)},
		{"table with names", "zaphod", "nick,status\n", answer("text/csv", "nick,status\nzaphod,open\n")},
		{"table without", "zaphod", ",", answer("text/csv", "zaphod,trillian\nford,arthur\n")},
		{"events", "zaphod", "event: put\n", answer("text/event-stream", "id: zaphod\nevent: put\ndata: zaphod\n\n")},
		{"file name", "zaphod", `.txt"`, part("Content-Disposition: form-data; name=\"a\"; filename=\"zaphod.txt\"\r\nContent-Type: text/plain", "x y")},
		{"part", "zaphod", `name="nick"`, part("Content-Disposition: form-data; name=\"nick\"", "zaphod")},
		{"list", "zaphod", "[", post("application/json", `["zaphod"]`)},
		{"user agent", "zaphod", "User-Agent: ", with("User-Agent", "zaphod/1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScrubber(t, Config{Packs: []string{"strict@1"}})
			if err := s.Exchange(tt.x); err != nil {
				t.Fatal(err)
			}
			if got := everything(tt.x); strings.Contains(got, tt.gone) || !strings.Contains(got, tt.still) {
				t.Errorf("%q comes out, or %q does not:\n%s", tt.gone, tt.still, got)
			}
		})
	}
}

// The user allows by rules that keep; credentials are never allowed.
func TestStrictIsOpenedByRules(t *testing.T) {
	s := newScrubber(t, Config{Packs: []string{"strict@1"}, Rules: []Rule{{Name: "menu", Keys: []string{"dish", "password_hint"}, Action: Keep}, {Name: "sort", Query: []string{"by"}, Action: Keep}}})
	x := post("application/json", `{"dish":"Maultaschen","guest":"Zaphod","password_hint":"AKIAIOSFODNN7EXAMPLE"}`)
	x.Request.Target = "/menu?by=taste&for=zaphod"
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	got := everything(x)
	if !strings.Contains(got, `"dish":"Maultaschen"`) || !strings.Contains(got, "by=taste") || strings.Contains(got, "aphod") || strings.Contains(got, "AKIAIOSFODNN7EXAMPLE") {
		t.Error(got)
	}
}

// strict@1 alone leaves nothing that the other packs would have taken.
func TestStrictHasAllOthers(t *testing.T) {
	s := newScrubber(t, Config{Packs: []string{"strict@1"}})
	x := post("application/json", patient)
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	for _, v := range patientGone {
		if strings.Contains(string(x.Request.Body.Bytes), v) {
			t.Errorf("%q comes out: %s", v, x.Request.Body.Bytes)
		}
	}
	for c := range s.enabled {
		if !s.enabled[c] {
			t.Errorf("class %s is off", classes[c].name)
		}
	}
}
