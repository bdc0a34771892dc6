package scrub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func TestSurrogateShapes(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ name, field, in, want string }{
		{"e-mail", "", "Jane.Doe+a7@acme-corp.com", `^[A-Z][a-z]{3}\.[A-Z][a-z]{2}\+[a-z]\d@[a-z]{8}\.example$`},
		{"Visa in groups", "", "4012 8888 8888 1881", `^4242 42\d\d \d{4} \d{4}$`},
		{"Amex", "", "378282246310005", `^378282\d{9}$`},
		{"IBAN in groups", "", "GB82 WEST 1234 5698 7654 32", `^GB\d\d [A-Z]{4} \d{4} \d{4} \d{4} \d\d$`},
		{"phone, North America", "", "(415) 867-5309", `^\([2-9]\d\d\) 555-01\d\d$`},
		{"phone, abroad", "", "+44 20 7946 0958", `^\+44 00 \d{4} \d{4}$`},
		{"SSN", "", "536-90-4399", `^9\d\d-\d\d-\d{4}$`},
		{"GitHub token", "", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", `^ghp_[0-9A-Za-z]{36}$`},
		{"web token", "", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", `^eyJ[\w-]{17}\.ey[\w-]{13}\.[\w-]{4}$`},
		{"name", "first_name", "Zoë-Marie", `^[A-Z][a-z]{2}-[A-Z][a-z]{4}$`},
		{"hexadecimal", "api_key", "7f4df451a66d3e2d", `^[0-9][0-9a-f]{15}$`},
		{"UUID", "device_id", "3F2504E0-4F89-41D3-9A0C-0305E82C3301", `^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-9[0-9A-F]{3}-[0-9A-F]{12}$`},
		{"date", "dob", "1985-04-12", `^1985-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$`},
		{"date with time", "birthDate", "1985-04-12T00:00:00Z", `^1985-\d\d-\d\dT00:00:00Z$`},
		{"date, day first", "birthday", "12/04/1985", `^(0[1-9]|1[0-2])/(0[1-9]|1[0-2])/1985$`},
		{"IPv4 and port", "ip", "81.2.69.142:443", `^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+:443$`},
		{"IPv6", "ip", "[2a02:8109::7]:443", `^\[2001:db8:[0-9a-f:]+\]:443$`},
		{"mail box with a name", "email", "Jane Doe <jane@acme.com>", `^[A-Z][a-z]{3} [A-Z][a-z]{2} <[a-z]{4}@[a-z]{8}\.example>$`},
		{"coordinate", "lat", "52.5200066", `^52\.5\d{6}$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.Text(tt.in)
			if tt.field != "" {
				got = inText(s.Shown([]string{"body", tt.field}, quoted(tt.in)))
			}
			if got == tt.in || !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("%q became %q, want %s", tt.in, got, tt.want)
			}
		})
	}
}

// randomCard makes a valid number of a brand.
func randomCard(r *rand.Rand, b brand) string {
	n := b.lengths[r.IntN(len(b.lengths))]
	body := b.low
	for len(body) < n-1 {
		body += string(byte('0' + r.IntN(10)))
	}
	return body + string(luhnDigit(body))
}

func TestCardSurrogatesAreCards(t *testing.T) {
	s := newScrubber(t, Config{})
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := brands[r.IntN(len(brands))]
		in := randomCard(r, b)
		out := inText(s.Shown([]string{"body", "card_number"}, quoted(in)))
		if out == in || len(out) != len(in) || !luhn(out) || brandOf(out) == nil {
			t.Fatalf("%s became %s", in, out)
		}
		if !b.keyOnly && (s.Text(in) != out || s.Shown([]string{"body", "x"}, in) != out) {
			t.Fatalf("%s has more than one surrogate: %s, %s, %s", in, out, s.Text(in), s.Shown([]string{"body", "x"}, in))
		}
	}
}

func TestIBANSurrogatesAreIBANs(t *testing.T) {
	s := newScrubber(t, Config{})
	r := rand.New(rand.NewPCG(3, 4))
	for country, n := range ibanLengths {
		body := []byte(country + "00")
		for len(body) < n {
			body = append(body, numbers[r.IntN(10)])
		}
		check := 98 - mod97(string(body))
		in := fmt.Sprintf("%s%02d%s", country, check, body[4:])
		out := s.Text(in)
		if out == in || len(out) != n || out[:2] != country || mod97(out) != 1 {
			t.Errorf("%s became %s", in, out)
		}
	}
}

// Numbers of the issuers' own test pages, and of the ISO 13616 registry.
func TestChecksums(t *testing.T) {
	for _, v := range []string{"4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "3530111333300000", "30569309025904", "6200000000000005"} {
		if !isCard(v) {
			t.Errorf("%s is no card", v)
		}
		if broken := v[:len(v)-1] + string('0'+(v[len(v)-1]-'0'+1)%10); isCard(broken) {
			t.Errorf("%s is a card", broken)
		}
	}
	for _, v := range []string{"DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "NO9386011117947"} {
		if mod97(v) != 1 {
			t.Errorf("%s: remainder %d", v, mod97(v))
		}
	}
}

// Epoch times of 2001 to 2039 never have the prefix of an issuer.
func TestTimesAreNoCards(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		ms := 1_000_000_000_000 + r.Int64N(1_200_000_000_000)
		for _, v := range []int64{ms, ms * 1000} {
			if isCard(fmt.Sprint(v)) {
				t.Fatalf("%d is a card (%v)", v, time.UnixMilli(ms))
			}
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"firstName": "first name", "first_name": "first name", "First-Name": "first name", "APIKey": "api key", "userID": "user id",
		"card[number]": "card number", "billing.address.zipCode": "billing address zip code", "x-csrftoken": "x csrftoken",
		"straße": "strasse", "": "", "__": "", "cvv2": "cvv2", "IPv4Address": "i pv4 address",
	} {
		if got := strings.Join(wordsOf(in), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestFieldNames(t *testing.T) {
	s := newScrubber(t, Config{})
	w := newWorker(s)
	for names, want := range map[string]class{
		"password,userPassword,PASSWORD,new-password,password2,db.password": credential,
		"access_token,accessToken,accesstoken,X-Auth-Token,token":           credential,
		"token_type,nextPageToken,page_token,cursor,publicKey,csrf_param":   none,
		"monkey,keyword,tokens_used,max_tokens,passenger,shipping,pinned":   none,
		"idempotencyKey,partitionKey,cache_key,primary_key,expires_in":      none,
		"cvv,cvc2,card_security_code,cardCvv":                               cardCheck,
		"email,customerEmail,email_2,emailAddress":                          email,
		"email_verified,email_template_id,phone_verified,ip_count":          none,
		"phone,workPhone,phone_number":                                      phone,
		"firstName,customer_last_name,surname,cardholder":                   name,
		"name,filename,hostname,productName,name_prefix":                    none,
		"ssn,socialSecurityNumber":                                          ssn,
	} {
		for n := range strings.SplitSeq(names, ",") {
			if got := w.classOf(w.key([]byte(n)), 0, none, "0123456789abcdefgh"); got != want {
				t.Errorf("%s: %s, want %s", n, classes[got].name, classes[want].name)
			}
		}
	}
	in := `{"card":{"holder":"Jane","number":"123412341234","code":"777"},"customer":{"name":"Jane"},"customers":[{"name":"Jane"}],"product":{"name":"Jane","number":"7"}}`
	x := post("application/json", in)
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	if got := string(x.Request.Body.Bytes); strings.Count(got, "Jane") != 1 || strings.Contains(got, "777") || !strings.Contains(got, `"product":{"name":"Jane","number":"7"}`) {
		t.Errorf("got %s", got)
	}
}

// document writes random JSON of harmless values, with white space and
// spellings that a re-encoder would lose.
func document(r *rand.Rand, b *bytes.Buffer, depth int) {
	blank := func() { b.WriteString([]string{"", "", " ", "\n  ", "\t"}[r.IntN(5)]) }
	blank()
	defer blank()
	kind := r.IntN(9)
	if depth > 4 {
		kind %= 6
	}
	switch kind {
	case 0:
		b.WriteString([]string{"null", "true", "false"}[r.IntN(3)])
	case 1, 2:
		b.WriteString([]string{"0", "-0", "1.10", "1e3", "1E+2", "12345678901234567890", "0.1000", "-7"}[r.IntN(8)])
	case 3, 4, 5:
		b.WriteString([]string{`""`, `"a\/b"`, `"\u00e9t\u00e9"`, `"é"`, `"<&>"`, `"\ud83d"`, `"line\nline"`, `"0x1F"`, `"a b c"`, `"2024-01-15"`}[r.IntN(10)])
	case 6, 7:
		b.WriteByte('{')
		for i := range r.IntN(5) {
			if i > 0 {
				b.WriteByte(',')
			}
			blank()
			b.WriteString([]string{`"id"`, `"items"`, `"a"`, `"a"`, `"\u0061"`, `"total"`, `"x-y"`}[r.IntN(7)])
			blank()
			b.WriteByte(':')
			document(r, b, depth+1)
		}
		b.WriteByte('}')
	default:
		b.WriteByte('[')
		for i := range r.IntN(5) {
			if i > 0 {
				b.WriteByte(',')
			}
			document(r, b, depth+1)
		}
		b.WriteByte(']')
	}
}

func TestHarmlessJSONIsByteIdentical(t *testing.T) {
	s := newScrubber(t, Config{Rules: []Rule{{Name: "n", Keys: []string{"nowhere"}, JQ: paths(t, ".body.nowhere[].x"), Action: Remove}}})
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		var b bytes.Buffer
		document(r, &b, 0)
		x := post("application/json", b.String())
		if err := s.Exchange(x); err != nil {
			t.Fatalf("%v: %s", err, b.Bytes())
		}
		if !bytes.Equal(x.Request.Body.Bytes, b.Bytes()) {
			t.Fatalf("%s\nbecame\n%s", b.Bytes(), x.Request.Body.Bytes)
		}
	}
}

// Removing every member called "a" from any document leaves valid JSON without
// one.
func TestRemovalLeavesValidJSON(t *testing.T) {
	s := newScrubber(t, Config{Rules: []Rule{{Name: "a", Keys: []string{"a"}, Action: Remove}}})
	r := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		var b bytes.Buffer
		document(r, &b, 0)
		x := post("application/json", b.String())
		if err := s.Exchange(x); err != nil {
			t.Fatalf("%v: %s", err, b.Bytes())
		}
		if got := x.Request.Body.Bytes; !json.Valid(got) || bytes.Contains(got, []byte(`"a"`)) || bytes.Contains(got, []byte(`"\u0061"`)) {
			t.Fatalf("%s\nbecame\n%s", b.Bytes(), got)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ name, field, in, want string }{
		{"digest", "Authorization", `Digest username="jane", realm="r", nonce="abc1", uri="/x", qop=auth, nc=00000001, response="d41d8cd9"`,
			`^Digest username="[a-z]{4}", realm="r", nonce="[a-z]{3}\d", uri="/x", qop=auth, nc=00000001, response="[0-9a-f]{8}"$`},
		{"AWS", "Authorization", `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20240101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=fe5f80f77d5fa3be`,
			`^AWS4-HMAC-SHA256 Credential=[A-Z0-9]{20}/[^,]+, SignedHeaders=host;x-amz-date, Signature=[a-f][0-9a-f]{15}$`},
		{"forwarded", "Forwarded", `for="[2a02:8109::7]:80";proto=https;by=81.2.69.142, for=_hidden`,
			`^for="\[2001:db8:[0-9a-f:]+\]:80";proto=https;by=(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+, for=_hidden$`},
		{"forwarded for", "X-Forwarded-For", "81.2.69.142, 10.0.0.1,unknown", `^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+, 10\.0\.0\.1,unknown$`},
		{"set-cookie", "Set-Cookie", "sid=s%3Aabc1.DEF; Path=/; Domain=shop.test; Max-Age=3600; HttpOnly; SameSite=Lax",
			`^sid=[a-z]%3A[a-z]{3}\d\.[A-Z]{3}; Path=/; Domain=shop\.test; Max-Age=3600; HttpOnly; SameSite=Lax$`},
		{"location", "Location", "https://jane:pw12@shop.test/reset/9f8e7d6c5b4a39281706?code=abcdefgh12345678&page=2#access_token=abc123def",
			`^https://[a-z]{4}:[a-z]{2}\d\d@shop\.test/reset/[0-9a-f]{20}\?code=[a-z]{8}\d{8}&page=2#access_token=[0-9a-z]{9}$`},
		{"user", "X-User-Id", "u1001", `^[a-z]\d{4}$`},
		{"CSRF without a dash", "X-CSRFToken", "abc123", `^[a-z]{3}\d{3}$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := get("/")
			x.Request.Header = traffic.Header{{Name: tt.field, Value: tt.in}}
			if err := s.Exchange(x); err != nil {
				t.Fatal(err)
			}
			if got := x.Request.Header[0].Value; got == tt.in || !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("%s\nbecame %s\nwant %s", tt.in, got, tt.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ in, want string }{
		{"*", `^\*$`},
		{"h.test:443", `^h\.test:443$`},
		{"/", `^/$`},
		{"//a//b/", `^//a//b/$`},
		{"/a%2Fb/%7Ec?x=%41+b&y&=z", `^/a%2Fb/%7Ec\?x=%41\+b&y&=z$`},
		{"/token/refresh", `^/token/refresh$`},
		{"/cards/4111111111111111", `^/cards/424242\d{10}$`},
		{"/phones/491761234567", `^/phones/999\d{9}$`},
		{"/s;jsessionid=AB12CD34?x=1", `^/s;jsessionid=[A-F][A-F][0-9A-F]+\?x=1$`},
		{"/u?q=jane%40acme.com+x", `^/u\?q=[a-z]{4}%40[a-z]{8}\.example\+x$`},
		{"/u?q=%7b%22email%22%3a%22j%40a.co%22%7d", `^/u\?q=%7b%22email%22%3a%22[a-z]%40[a-z]{8}\.example%22%7d$`},
	} {
		if got := s.Path(tt.in); !regexp.MustCompile(tt.want).MatchString(got) {
			t.Errorf("%s became %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestReservedAddresses(t *testing.T) {
	for _, v := range []string{"127.0.0.1", "10.1.2.3", "192.0.2.7", "::1", "2001:db8::1", "0.0.0.0", "fe80::1%eth0"} {
		if !isReservedIP(v) {
			t.Errorf("%s is not reserved", v)
		}
	}
	for _, v := range []string{"8.8.8.8", "2a02::1", "x"} {
		if isReservedIP(v) {
			t.Errorf("%s is reserved", v)
		}
	}
	if a := netip.MustParseAddr(canonicalIP("::ffff:8.8.8.8")); !a.Is4() {
		t.Errorf("%s", a)
	}
	for _, v := range []string{"jane@customer.example", "jane@acme.example", "jane@bcdfghjk.example", "@bcdfghjk.example"} {
		if isReservedEmail(v) {
			t.Errorf("%s is taken for a surrogate", v)
		}
	}
}
