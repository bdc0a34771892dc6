package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

var (
	testKey  = bytes.Repeat([]byte("k"), 32)
	otherKey = bytes.Repeat([]byte("K"), 32)
)

func newScrubber(t testing.TB, cfg Config) *Scrubber {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = testKey
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func paths(t testing.TB, src ...string) []*jq.Paths {
	t.Helper()
	var out []*jq.Paths
	for _, p := range src {
		c, err := jq.CompilePaths(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// plant is a value that must not come out again. field is a name under which
// it is known; values without one show by their form.
type plant struct{ name, field, value string }

var plants = []plant{
	{"e-mail", "", "jane.doe+shop@acme-corp.com"},
	{"e-mail with apostrophe", "", "Siobhan.O'Brien@acme-corp.ie"},
	{"e-mail by name", "email", "root@localhost"},
	{"Visa", "", "4111111111111111"},
	{"Visa with blanks", "", "4012 8888 8888 1881"},
	{"Mastercard with dashes", "", "5105-1051-0510-5100"},
	{"Mastercard 2-series", "", "2223003122003222"},
	{"Amex", "", "378282246310005"},
	{"Amex in groups", "", "3714 496353 98431"},
	{"Discover", "", "6011000990139424"},
	{"Visa of 13 digits by name", "card_number", "4222222222222"},
	{"IBAN", "", "DE89370400440532013000"},
	{"IBAN in groups", "", "GB82 WEST 1234 5698 7654 32"},
	{"phone", "", "+4930901820456"},
	{"phone in groups", "", "+44 20 7946 0958"},
	{"phone, North America", "", "(415) 867-5309"},
	{"phone, dashes", "", "415-867-5309"},
	{"phone by name", "mobilePhone", "01715550923"},
	{"SSN", "", "536-90-4399"},
	{"SSN by name", "ssn", "536904399"},
	{"JWT", "", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"},
	{"AWS key", "", "AKIAIOSFODNN7EXAMPLE"},
	{"Google key", "", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"},
	{"GitHub token", "", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"},
	{"Stripe key", "", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"},
	{"Slack token", "", "xoxb-123456789012-abcdefGHIJKL"},
	{"GitLab token", "", "glpat-ABCdef123456_-ghIJkl"},
	{"OpenAI key", "", "sk-proj-abcdefghij1234567890ABCDEFGHIJ"},
	{"npm token", "", "npm_abcdefghijklmnopqrstuvwxyz0123456789"},
	{"password", "password", "hunter2!secret"},
	{"password, camel case", "newPassword", "correct horse"},
	{"client secret", "client_secret", "ZmlzaGJvbmVzZW5zaXRpdmU"},
	{"refresh token", "refreshToken", "1//0gabcdefghijklmnop"},
	{"API key", "apiKey", "7f4df451a66d3e2d"},
	{"CVV", "cvv", "8713"},
	{"security code", "card_security_code", "6241"},
	{"first name", "firstName", "Wilhelmina"},
	{"full name", "full_name", "Wilhelmina Featherstone"},
	{"cardholder", "cardholder-name", "W FEATHERSTONE"},
	{"street", "address_line_1", "1600 Amphitheatre Pkwy"},
	{"city", "city", "Featherstonehaugh"},
	{"zip", "zipCode", "94043-1351"},
	{"birth date", "date_of_birth", "1985-04-12"},
	{"birth date, German", "dob", "12.04.1985"},
	{"passport", "passportNumber", "C01X00T47"},
	{"national insurance", "nino", "QQ123456C"},
	{"IP address", "client_ip", "81.2.69.142"},
	{"IPv6 address", "remoteAddr", "2a02:8109:9a40:1a2c::7"},
	{"device", "deviceId", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"},
	{"user name", "username", "wfeatherstone77"},
}

func (p plant) key() string {
	if p.field == "" {
		return "note"
	}
	return p.field
}

// carriers are the ways in which a value travels. Each gives an exchange that
// holds the value once or more.
var carriers = []struct {
	name  string
	build func(p plant) *traffic.Exchange
}{
	{"query", func(p plant) *traffic.Exchange {
		return get("/a?x=1&" + url.QueryEscape(p.key()) + "=" + url.QueryEscape(p.value) + "&y=2")
	}},
	{"query, everything percent-encoded", func(p plant) *traffic.Exchange {
		return get("/a?" + p.key() + "=" + percent(p.value))
	}},
	{"query, encoded twice", func(p plant) *traffic.Exchange {
		return get("/a?u=" + url.QueryEscape("https://x.test/cb?"+p.key()+"="+url.QueryEscape(p.value)))
	}},
	{"JSON request", func(p plant) *traffic.Exchange { return post("application/json", object(p)) }},
	{"JSON response", func(p plant) *traffic.Exchange { return answer("application/json; charset=utf-8", object(p)) }},
	{"JSON list", func(p plant) *traffic.Exchange {
		return post("application/json", `{"`+p.key()+`":["a",`+quoted(p.value)+`]}`)
	}},
	{"JSON escapes", func(p plant) *traffic.Exchange {
		return post("application/json", `{"`+p.key()+`":"`+unicodeEscapes(p.value)+`"}`)
	}},
	{"escaped name", func(p plant) *traffic.Exchange {
		return post("application/json", `{"`+unicodeEscapes(p.key())+`":`+quoted(p.value)+`}`)
	}},
	{"duplicate name", func(p plant) *traffic.Exchange {
		return post("application/json", `{"`+p.key()+`":`+quoted(p.value)+`,"x":1,"`+p.key()+`":`+quoted(p.value)+`}`)
	}},
	{"JSON in JSON", func(p plant) *traffic.Exchange {
		return post("application/json", `{"payload":`+quoted(object(p))+`}`)
	}},
	{"JSON in JSON in JSON", func(p plant) *traffic.Exchange {
		return post("application/json", `{"payload":`+quoted(`{"inner":`+quoted(object(p))+`}`)+`}`)
	}},
	{"JSON that says it is text", func(p plant) *traffic.Exchange { return answer("text/plain", object(p)) }},
	{"no media type", func(p plant) *traffic.Exchange { return answer("", object(p)) }},
	{"NDJSON", func(p plant) *traffic.Exchange { return answer("application/x-ndjson", `{"a":1}`+"\n"+object(p)+"\n") }},
	{"events", func(p plant) *traffic.Exchange {
		return answer("text/event-stream", "event: x\ndata: "+object(p)+"\n\ndata: 2\n\n")
	}},
	{"form", func(p plant) *traffic.Exchange {
		return post("application/x-www-form-urlencoded", "a=1&"+p.key()+"="+url.QueryEscape(p.value))
	}},
	{"form with brackets", func(p plant) *traffic.Exchange {
		return post("application/x-www-form-urlencoded", "order%5B"+p.key()+"%5D="+url.QueryEscape(p.value))
	}},
	{"multipart", func(p plant) *traffic.Exchange {
		return post("multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\""+p.key()+"\"\r\n\r\n"+p.value+"\r\n--B--\r\n")
	}},
	{"multipart, typed", func(p plant) *traffic.Exchange {
		return part("Content-Disposition: form-data; name=\""+p.key()+"\"\r\nContent-Type: text/plain; charset=utf-8", p.value)
	}},
	{"multipart, JSON", func(p plant) *traffic.Exchange {
		return part("Content-Disposition: form-data; name=\""+p.key()+"\"\r\nContent-Type: application/json", quoted(p.value))
	}},
	{"pair", func(p plant) *traffic.Exchange {
		return post("application/json", `[{"name":"`+p.key()+`","value":`+quoted(p.value)+`}]`)
	}},
	{"pair, value first", func(p plant) *traffic.Exchange {
		return post("application/json", `[{"value":`+quoted(p.value)+`,"key":"`+p.key()+`"}]`)
	}},
	{"XML field", func(p plant) *traffic.Exchange {
		return post("application/xml", `<r><field name="`+p.key()+`">`+entities(p.value)+`</field></r>`)
	}},
	{"data URI", func(p plant) *traffic.Exchange {
		return post("application/json", `{"a":"data:application/json;base64,`+base64.StdEncoding.EncodeToString([]byte(object(p)))+`"}`)
	}},
	{"XML", func(p plant) *traffic.Exchange {
		return post("application/xml", "<?xml version=\"1.0\"?><s:e xmlns:s=\"u\"><s:"+p.key()+">"+entities(p.value)+"</s:"+p.key()+"></s:e>")
	}},
	{"gzip", func(p plant) *traffic.Exchange {
		x := answer("application/json", object(p))
		x.Response.Header = append(x.Response.Header, traffic.Field{Name: "Content-Encoding", Value: "gzip"})
		x.Response.Body.Bytes, _ = content.Encode(x.Response.Header, x.Response.Body.Bytes)
		return x
	}},
	{"header", func(p plant) *traffic.Exchange {
		x := get("/")
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: "X-" + p.key(), Value: p.value})
		return x
	}},
	{"cookie", func(p plant) *traffic.Exchange {
		x := get("/")
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Cookie", Value: "theme=dark; " + p.key() + "=" + url.QueryEscape(p.value)})
		return x
	}},
	{"set-cookie", func(p plant) *traffic.Exchange {
		x := answer("application/json", "{}")
		x.Response.Header = append(x.Response.Header, traffic.Field{Name: "Set-Cookie", Value: p.key() + "=" + url.QueryEscape(p.value) + "; Path=/; HttpOnly"})
		return x
	}},
	{"bearer", func(p plant) *traffic.Exchange {
		x := get("/")
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Authorization", Value: "Bearer " + strings.ReplaceAll(p.value, " ", "")})
		return x
	}},
	{"basic", func(p plant) *traffic.Exchange {
		x := get("/")
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(p.value+":"+p.value))})
		return x
	}},
	{"referer", func(p plant) *traffic.Exchange {
		x := get("/")
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Referer", Value: "https://shop.test/a?" + p.key() + "=" + url.QueryEscape(p.value)})
		return x
	}},
	{"base64", func(p plant) *traffic.Exchange {
		return post("application/json", `{"blob":"`+base64.StdEncoding.EncodeToString([]byte(object(p)))+`"}`)
	}},
	{"base64url", func(p plant) *traffic.Exchange {
		return get("/a?blob=" + base64.RawURLEncoding.EncodeToString([]byte(object(p))))
	}},
	{"web token claim", func(p plant) *traffic.Exchange {
		enc := base64.RawURLEncoding.EncodeToString
		return post("application/json", `{"t":"`+enc([]byte(`{"alg":"HS256"}`))+"."+enc([]byte(object(p)))+".c2ln"+`"}`)
	}},
	{"trailer", func(p plant) *traffic.Exchange {
		x := get("/")
		x.Request.Trailer = traffic.Header{{Name: "X-" + p.key(), Value: p.value}}
		return x
	}},
}

// valueCarriers hold values that show by their form.
var valueCarriers = []struct {
	name  string
	build func(p plant) *traffic.Exchange
}{
	{"path", func(p plant) *traffic.Exchange { return get("/users/" + url.PathEscape(p.value) + "/orders") }},
	{"path, matrix parameter", func(p plant) *traffic.Exchange { return get("/users;v=" + url.PathEscape(p.value) + "/orders") }},
	{"absolute target", func(p plant) *traffic.Exchange { return get("http://h.test/users/" + url.PathEscape(p.value)) }},
	{"sentence", func(p plant) *traffic.Exchange {
		return post("application/json", `{"text":`+quoted("Please use "+p.value+", thank you.")+`}`)
	}},
	{"plain text", func(p plant) *traffic.Exchange { return answer("text/plain", "see "+p.value+"\n") }},
	{"HTML", func(p plant) *traffic.Exchange {
		return answer("text/html", `<p title="`+entities(p.value)+`">see `+entities(p.value)+"</p>")
	}},
	{"name in JSON", func(p plant) *traffic.Exchange { return post("application/json", `{`+quoted(p.value)+`:{"a":1}}`) }},
	{"name of a cookie", func(p plant) *traffic.Exchange {
		return with("Cookie", "a=1; "+url.QueryEscape(p.value)+"=1")
	}},
	{"name in query", func(p plant) *traffic.Exchange { return get("/?" + url.QueryEscape(p.value) + "=1") }},
	{"query without a name", func(p plant) *traffic.Exchange { return get("/?" + url.QueryEscape(p.value)) }},
	{"reason phrase", func(p plant) *traffic.Exchange { x := answer("", ""); x.Response.Reason = p.value; return x }},
	{"text in a URL", func(p plant) *traffic.Exchange {
		return answer("text/plain", "go to https://x.test/u?v="+url.QueryEscape(p.value)+" now")
	}},
}

func get(target string) *traffic.Exchange {
	return &traffic.Exchange{Request: traffic.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", Header: traffic.Header{{Name: "Host", Value: "h.test"}}}}
}

func post(mediaType, body string) *traffic.Exchange {
	x := get("/orders")
	x.Request.Method = "POST"
	if mediaType != "" {
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Content-Type", Value: mediaType})
	}
	x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Content-Length", Value: fmt.Sprint(len(body))})
	x.Request.Body.Bytes = []byte(body)
	return x
}

func answer(mediaType, body string) *traffic.Exchange {
	x := get("/orders")
	x.Response = &traffic.Response{Status: 200, Reason: "OK", Proto: "HTTP/1.1", Body: traffic.Body{Bytes: []byte(body)}}
	if mediaType != "" {
		x.Response.Header = traffic.Header{{Name: "Content-Type", Value: mediaType}}
	}
	return x
}

func object(p plant) string {
	return `{"a":1,"` + p.key() + `":` + quoted(p.value) + `,"z":[true,null]}`
}

func percent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func unicodeEscapes(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

func entities(s string) string {
	return strings.NewReplacer("@", "&#64;", "<", "&lt;", "&", "&amp;", "'", "&#x27;", `"`, "&quot;").Replace(s)
}

// everything is all that an exchange says, bodies decoded as far as a reader
// would.
func everything(x *traffic.Exchange) string {
	var b strings.Builder
	b.Write(http1.AppendRequest(nil, &x.Request))
	for _, f := range x.Request.Trailer {
		b.WriteString("\n" + f.Name + ": " + f.Value)
	}
	if r := x.Response; r != nil {
		b.WriteString("\n" + r.Reason)
		for _, f := range append(r.Header[:len(r.Header):len(r.Header)], r.Trailer...) {
			b.WriteString("\n" + f.Name + ": " + f.Value)
		}
		plain, err := content.Decode(r.Header, r.Body.Bytes, 1<<20)
		b.WriteString("\n" + fmt.Sprint(err) + string(plain))
	}
	return b.String()
}

// decodings are what a reader can make of a text, in lower case; the last is the
// text itself.
func decodings(text string) []string {
	forms := []string{}
	for _, plus := range []bool{true, false} {
		if u := unescape(text, plus); u != text {
			forms = append(forms, u, unescape(u, true))
		}
	}
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\" \r\n,:;&?.={}[]", r) }) {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			if d, err := enc.DecodeString(f); err == nil {
				forms = append(forms, string(d))
			}
		}
	}
	forms = append(forms, text)
	var out []string
	for _, f := range forms {
		for range 3 {
			out = append(out, strings.ToLower(f))
			bare := spelledOut.Replace(f)
			if bare == f {
				break
			}
			f = bare
		}
	}
	return append(out, text)
}

// spelledOut undoes the escapes of JSON and the entities of markup.
var spelledOut = strings.NewReplacer(`\"`, `"`, `\\`, `\`, "&#64;", "@", "&#39;", "'", "&#x27;", "'")

// leaks reports whether any of the decodings of a text holds value, with its
// blanks or without.
func leaks(forms []string, value string) bool {
	text := forms[len(forms)-1]
	for _, v := range []string{value, strings.ReplaceAll(value, " ", "")} {
		lower := strings.ToLower(v)
		if slices.ContainsFunc(forms, func(f string) bool { return strings.Contains(f, lower) }) {
			return true
		}
		if strings.Contains(text, unicodeEscapes(v)) || strings.Contains(text, percent(v)) {
			return true
		}
	}
	return false
}

func TestNothingPlantedComesOut(t *testing.T) {
	s := newScrubber(t, Config{})
	try := func(t *testing.T, place string, p plant, x *traffic.Exchange) {
		t.Helper()
		if !leaks(decodings(everything(x)), p.value) {
			t.Fatalf("%s: %s: the test does not plant anything", place, p.name)
		}
		if err := s.Exchange(x); err != nil {
			t.Errorf("%s: %s: %v", place, p.name, err)
			return
		}
		if got := everything(x); leaks(decodings(got), p.value) {
			t.Errorf("%s: %s comes out:\n%s", place, p.name, got)
		}
	}
	for _, c := range carriers {
		for _, p := range plants {
			try(t, c.name, p, c.build(p))
		}
	}
	for _, c := range valueCarriers {
		for _, p := range plants {
			if p.field == "" {
				try(t, c.name, p, c.build(p))
			}
		}
	}
}

func TestNumbersUnderNamesStayNumbers(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ name, in, value string }{
		{"card", `{"card":{"number":4111111111111111}}`, "4111111111111111"},
		{"card anywhere", `{"x": 4111111111111111 }`, "4111111111111111"},
		{"phone", `{"phone":4917612345678}`, "4917612345678"},
		{"ssn", `{"ssn":536904399}`, "536904399"},
		{"otp", `{"otp":847261}`, "847261"},
		{"negative", `{"secret":-120345}`, "-120345"},
		{"fraction", `{"secret":12.0345e5}`, "12.0345"},
		{"birth date", `{"dob":19850412}`, "19850412"},
		{"latitude", `{"latitude":52.5200066}`, "52.5200066"},
		{"object", `{"password":{"a":[81726354]}}`, "81726354"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := post("application/json", tt.in)
			if err := s.Exchange(x); err != nil {
				t.Fatal(err)
			}
			got := string(x.Request.Body.Bytes)
			if strings.Contains(got, tt.value) || len(got) != len(tt.in) || !json.Valid([]byte(got)) || strings.Count(got, `"`) != strings.Count(tt.in, `"`) {
				t.Errorf("%s became %s", tt.in, got)
			}
		})
	}
}

// hardNegatives look like something and are nothing.
const hardNegatives = `{
  "created_at_ms": 1764547200123, "us": 1764547200123456, "ns": 1764547200123456789, "ts": "1764547200123",
  "snowflake": 1187654321098765432, "snowflake_s": "1187654321098765432", "id": 9007199254740993,
  "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "digits_uuid": "12345678-1234-4234-8234-123456789012",
  "sha": "356a192b7913b04c54574d18c28d46e6395428ab", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "etag": "W/\"5d8c72a5edda8\"", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "order": "ORD-2024-000123456789", "ean": "4006381333931", "isbn": "978-3-16-148410-0", "float": 0.5309136012499991, "rate": "0.5309136012499991%",
  "version": "1.2.3-beta.4+build.20240101", "semver": "react@18.2.0", "css": "#4111aa", "rgba": "rgba(65, 105, 225, 0.5)", "retina": "logo@2x.png",
  "idempotencyKey": "7c1f2b3a9d8e4f60a1b2c3d4e5f60718", "nextPageToken": "CAoQAA12345678901234567890", "pageToken": "abc", "next_token": "zzz",
  "token_type": "Bearer", "expires_in": 3600, "public_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "monkey": "george", "keyword": "shoes", "partitionKey": "p-12",
  "max_tokens": 4096, "total_tokens": 1234567, "pinned": "yes", "shipping": {"method": "express"}, "capacity": "12", "ipsum": "1.2.3.4",
  "price": 1.10, "exp": 1e3, "big": 12345678901234567890, "zero": -0.0, "esc": "caf\u00e9 <a>&", "slash": "\/x", "dup": 1, "dup": 2, "lone": "\ud83d",
  "local": "192.168.1.10", "phone_verified": true, "password": null, "email": "", "time": "2024-01-15T10:00:00+01:00", "tz": "UTC+05:30",
  "sku": "100-200-3000", "dims": "1200-800-1440x3", "range": "2024-01-01/2024-12-31", "prose": "the eyJ prefix and 10:30 = half past", "sum": "1+23456=23457",
  "image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "empty": {}, "list": [ ] ,
  "url": "https://cdn.test/a/b.js?v=20240101&w=100", "imei_like": "490154203237518x", "status": "awaiting_confirmation", "state": "CA", "code": "E1234", "name": "Red chair"
}`

func TestHardNegativesStay(t *testing.T) {
	s := newScrubber(t, Config{})
	x := post("application/json", hardNegatives)
	x.Response = answer("application/json", hardNegatives).Response
	x.Request.Target = "/api/v1/orders/1764547200123/items;v=1/3f2504e0-4f89-41d3-9a0c-0305e82c3301?page=2&sort=-created_at&f%5Bs%5D=a+b%20c&pageToken=CAoQAA&empty=&flag&fields=a%2cb"
	x.Request.Header = append(x.Request.Header,
		traffic.Field{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"},
		traffic.Field{Name: "traceparent", Value: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		traffic.Field{Name: "X-Request-Id", Value: "1187654321098765432"}, traffic.Field{Name: "If-None-Match", Value: `W/"5d8c72a5edda8"`},
		traffic.Field{Name: "Cookie", Value: "lang=en; theme=dark;consent=true"}, traffic.Field{Name: "X-Forwarded-For", Value: "10.0.0.1, 127.0.0.1"},
		traffic.Field{Name: "Accept", Value: "text/html,application/xhtml+xml;q=0.9"}, traffic.Field{Name: "Idempotency-Key", Value: "7c1f2b3a9d8e4f60a1b2c3d4e5f60718"})
	before := *x
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	if x.Request.Target != before.Request.Target {
		t.Errorf("target became %s", x.Request.Target)
	}
	if !reflect.DeepEqual(x.Request.Header, before.Request.Header) {
		t.Errorf("header became %v", x.Request.Header)
	}
	for _, body := range [][]byte{x.Request.Body.Bytes, x.Response.Body.Bytes} {
		was, is := strings.Split(hardNegatives, ","), strings.Split(string(body), ",")
		for i := range was {
			if i >= len(is) || was[i] != is[i] {
				t.Errorf("%q became %q", was[i], is[min(i, len(is)-1)])
			}
		}
	}
	if hits := s.Hits(); len(hits) > 0 {
		t.Errorf("hits: %v", hits)
	}
}

func TestKeysDecide(t *testing.T) {
	a, b, c := newScrubber(t, Config{}), newScrubber(t, Config{}), newScrubber(t, Config{Key: otherKey})
	for _, p := range plants {
		x, y, z := post("application/json", object(p)), post("application/json", object(p)), post("application/json", object(p))
		for s, e := range map[*Scrubber]*traffic.Exchange{a: x, b: y, c: z} {
			if err := s.Exchange(e); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(x.Request.Body.Bytes, y.Request.Body.Bytes) {
			t.Errorf("%s: one key, two surrogates: %s, %s", p.name, x.Request.Body.Bytes, y.Request.Body.Bytes)
		}
		if p.field != "cvv" && p.field != "card_security_code" && bytes.Equal(x.Request.Body.Bytes, z.Request.Body.Bytes) {
			t.Errorf("%s: two keys, one surrogate: %s", p.name, x.Request.Body.Bytes)
		}
	}
}

func TestOneSurrogateEverywhere(t *testing.T) {
	s := newScrubber(t, Config{})
	const mail = "jane.doe@acme-corp.com"
	want := s.Text(mail)
	for _, got := range []string{
		s.Text("<" + mail + ">"), s.Path("/u/" + mail), s.Path("/u?email=jane.doe%40acme-corp.com"),
		s.Shown([]string{"body", "login"}, quoted(mail)), s.Shown([]string{"headers", "from"}, mail),
		s.Shown([]string{"body"}, `{"a":"{\"email\":\"`+mail+`\"}"}`),
		s.Shown([]string{"headers", "cookie"}, "u="+mail),
	} {
		if !strings.Contains(got, want) && !strings.Contains(got, strings.ReplaceAll(want, "@", "%40")) {
			t.Errorf("%q does not hold %q", got, want)
		}
	}
	if got := s.Text("JANE.DOE@acme-corp.com"); !strings.EqualFold(got, want) {
		t.Errorf("case decides: %q, %q", got, want)
	}
	token := "0123456789abcdefABCDEF"
	bearer := s.Shown([]string{"headers", "authorization"}, "Bearer "+token)
	if inBody := s.Shown([]string{"body", "access_token"}, quoted(token)); "Bearer "+inText(inBody) != bearer {
		t.Errorf("header %q, body %q", bearer, inBody)
	}
}

func TestStable(t *testing.T) {
	s, again := newScrubber(t, Config{}), newScrubber(t, Config{Key: otherKey})
	for _, v := range []string{"jane@acme.com", "x.y+z@a.b.co.uk", "+4930901820456", "(415) 867-5309", "+14158675309"} {
		once := s.Text(v)
		if once == v {
			t.Errorf("%q stays", v)
		}
		if twice := again.Text(once); twice != once {
			t.Errorf("%q, %q, %q", v, once, twice)
		}
	}
	for _, v := range []string{"81.2.69.142", "2a02:8109::7", "01715550923", "4917612345678"} {
		path := []string{"headers", "x-real-ip"}
		if !strings.ContainsAny(v, ".:") {
			path = []string{"body", "phone"}
		}
		once := s.Shown(path, v)
		if twice := again.Shown(path, once); once == v || twice != once {
			t.Errorf("%q, %q, %q", v, once, twice)
		}
	}
}

func TestUserRules(t *testing.T) {
	rule := func(r Rule) Config { return Config{Rules: []Rule{r}} }
	for _, tt := range []struct {
		name string
		cfg  Config
		in   string
		want string
	}{
		{"remove a member", rule(Rule{Name: "n", JQ: paths(t, ".body.note"), Action: Remove}), `{"a":1, "note" : {"x":[1]}, "b":2}`, `{"a":1, "b":2}`},
		{"remove the first", rule(Rule{Name: "n", JQ: paths(t, ".body.note"), Action: Remove}), `{"note":1,"b":2}`, `{"b":2}`},
		{"remove the last", rule(Rule{Name: "n", JQ: paths(t, ".body.note"), Action: Remove}), `{"a":1, "note":"x" }`, `{"a":1 }`},
		{"remove the only one", rule(Rule{Name: "n", JQ: paths(t, ".body.note"), Action: Remove}), `{"note":"x"}`, `{}`},
		{"remove duplicates", rule(Rule{Name: "n", JQ: paths(t, ".body.note"), Action: Remove}), `{"note":1,"a":2,"note":3}`, `{"a":2}`},
		{"remove several", rule(Rule{Name: "n", Keys: []string{"x", "y"}, Action: Remove}), `{"x":1,"y":2,"a":3,"x":4,"Y":5}`, `{"a":3}`},
		{"remove elements", rule(Rule{Name: "n", JQ: paths(t, ".body.l[]"), Action: Remove}), `{"l":[1,"a",{"b":2}, [3]]}`, `{"l":[null,null,null, null]}`},
		{"one element", rule(Rule{Name: "n", JQ: paths(t, ".body.l[1]"), Action: Remove}), `{"l":[1,"a",3]}`, `{"l":[1,null,3]}`},
		{"mask", rule(Rule{Name: "n", JQ: paths(t, ".body.note"), Action: Mask}), `{"note":"Call +49 Jo","n":5}`, `{"note":"Xxxx +00 Xx","n":5}`},
		{"mask numbers", rule(Rule{Name: "n", Keys: []string{"n"}, Action: Mask}), `{"n":[12,3.25,-450,7,true]}`, `{"n":[10,0.00,-100,0,true]}`},
		{"anywhere", rule(Rule{Name: "n", JQ: paths(t, ".body|..|.x?"), Action: Mask}), `{"a":[{"x":"ab"}],"x":"cd"}`, `{"a":[{"x":"xx"}],"x":"xx"}`},
		{"keep", rule(Rule{Name: "n", JQ: paths(t, ".body.order.number"), Action: Keep}), `{"order":{"number":"4111111111111111"}}`, `{"order":{"number":"4111111111111111"}}`},
		{"keep a number", rule(Rule{Name: "n", Keys: []string{"order_number"}, Action: Keep}), `{"orderNumber":4111111111111111}`, `{"orderNumber":4111111111111111}`},
		{"the inner rule wins", Config{Rules: []Rule{
			{Name: "all", JQ: paths(t, ".body.c"), Action: Mask}, {Name: "id", JQ: paths(t, ".body.c.id"), Action: Keep}}},
			`{"c":{"id":"A1","n":"Jo"}}`, `{"c":{"id":"A1","n":"Xx"}}`},
		{"a computed path", rule(Rule{Name: "n", JQ: paths(t, `.body.l[] | select(.t == "s") | .v`), Action: Mask}),
			`{"l":[{"t":"s","v":"ab"},{"t":"p","v":"cd"}]}`, `{"l":[{"t":"s","v":"xx"},{"t":"p","v":"cd"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScrubber(t, tt.cfg)
			x := post("application/json", tt.in)
			if err := s.Exchange(x); err != nil {
				t.Fatal(err)
			}
			if got := string(x.Request.Body.Bytes); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestKeepDoesNotProtectCredentials(t *testing.T) {
	s := newScrubber(t, Config{Rules: []Rule{{Name: "all", JQ: paths(t, "."), Action: Keep}}})
	in := `{"password":"hunter22","cvv":"123","note":"ghp_16C7e42F292c6912E7710c838347Ae178B4a","mail":"jane@acme.com"}`
	x := post("application/json", in)
	x.Request.Header = append(x.Request.Header, traffic.Field{Name: "Authorization", Value: "Bearer abcdefgh"}, traffic.Field{Name: "X-Real-Ip", Value: "81.2.69.142"})
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	out := everything(x)
	for _, gone := range []string{"hunter22", "cvv", "16C7e42F", "abcdefgh"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s comes out: %s", gone, out)
		}
	}
	for _, kept := range []string{"jane@acme.com", "81.2.69.142"} {
		if !strings.Contains(out, kept) {
			t.Errorf("%s does not come out: %s", kept, out)
		}
	}
}

func TestRulesOutsideBodies(t *testing.T) {
	s := newScrubber(t, Config{Rules: []Rule{
		{Name: "tenant", Headers: []string{"X-Tenant"}, Action: Mask},
		{Name: "trace", JQ: paths(t, `.headers["x-extra"]`), Action: Remove},
		{Name: "basket", Cookies: []string{"basket"}, Action: Remove},
		{Name: "ref", Query: []string{"ref"}, Action: Mask},
		{Name: "campaign", JQ: paths(t, ".query.c"), Action: Remove},
	}})
	x := get("/a?ref=Ab1&c=x&d=y&c=z")
	x.Request.Header = append(x.Request.Header, traffic.Field{Name: "x-tenant", Value: "Acme 7"},
		traffic.Field{Name: "X-Extra", Value: "q"}, traffic.Field{Name: "Cookie", Value: "basket=1; lang=de"})
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	if want := "/a?ref=Xx0&d=y"; x.Request.Target != want {
		t.Errorf("target %s, want %s", x.Request.Target, want)
	}
	want := traffic.Header{{Name: "Host", Value: "h.test"}, {Name: "x-tenant", Value: "Xxxx 0"}, {Name: "Cookie", Value: "lang=de"}}
	if !reflect.DeepEqual(x.Request.Header, want) {
		t.Errorf("header %v, want %v", x.Request.Header, want)
	}
}

func TestFailsClosed(t *testing.T) {
	gzipped := traffic.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Encoding", Value: "gzip"}}
	kind := func(v string) traffic.Header { return traffic.Header{{Name: "Content-Type", Value: v}} }
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	nested := `"x"`
	for range 8 {
		nested = quoted(`{"a":` + nested + `}`)
	}
	for _, tt := range []struct {
		name   string
		header traffic.Header
		body   traffic.Body
		reason reason
	}{
		{"broken JSON", kind("application/json"), traffic.Body{Bytes: []byte(`{"password":"secret`)}, badJSON},
		{"JSON and more", kind("application/json"), traffic.Body{Bytes: []byte(`{} secret`)}, badJSON},
		{"broken NDJSON", kind("application/x-ndjson"), traffic.Body{Bytes: []byte("{}\n{\"a\":secret}\n")}, badJSON},
		{"broken event", kind("text/event-stream"), traffic.Body{Bytes: []byte("data: {\"password\":\"secret\n\n")}, badJSON},
		{"unknown coding", append(kind("application/json"), traffic.Field{Name: "Content-Encoding", Value: "lzma"}), traffic.Body{Bytes: []byte("secret")}, badCoding},
		{"not gzip", gzipped, traffic.Body{Bytes: []byte("secret")}, badCoding},
		{"Shift JIS", kind("text/plain; charset=shift_jis"), traffic.Body{Bytes: []byte("secret")}, badCharset},
		{"UTF-16", kind("application/json; charset=utf-16"), traffic.Body{Bytes: []byte("s\x00e\x00c\x00r\x00e\x00t\x00")}, badCharset},
		{"UTF-16 that does not say so", kind("text/plain"), traffic.Body{Bytes: []byte("s\x00e\x00c\x00r\x00e\x00t\x00")}, badCharset},
		{"binary", kind("application/octet-stream"), traffic.Body{Bytes: []byte("\x00\x01secret")}, binaryBody},
		{"image", kind("image/png"), traffic.Body{Bytes: []byte("\x89PNGsecret")}, binaryBody},
		{"oversized", kind("text/plain"), traffic.Body{Bytes: []byte("secret"), State: traffic.Oversized, Size: 1 << 40}, tooLarge},
		{"over the limit", kind("text/plain"), traffic.Body{Bytes: bytes.Repeat([]byte("secret "), 1000)}, tooLarge},
		{"truncated", kind("text/plain"), traffic.Body{Bytes: []byte("secret"), State: traffic.Truncated}, incomplete},
		{"missing", append(kind("text/plain"), traffic.Field{Name: "Content-Length", Value: "6"}), traffic.Body{State: traffic.Missing}, incomplete},
		{"deep", kind("application/json"), traffic.Body{Bytes: []byte(deep)}, tooDeep},
		{"deep in strings", kind("application/json"), traffic.Body{Bytes: []byte(`{"a":` + nested + `}`)}, tooDeep},
		{"multipart file", kind("multipart/form-data; boundary=B"), traffic.Body{Bytes: []byte("--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89secret\r\n--B--\r\n")}, binaryFile},
		{"multipart without an end", kind("multipart/form-data; boundary=B"), traffic.Body{Bytes: []byte("--B\r\nA: b\r\n\r\nsecret\r\n")}, badMultipart},
		{"multipart without a boundary", kind("multipart/form-data"), traffic.Body{Bytes: []byte("--B\r\nA: b\r\n\r\nsecret\r\n--B--")}, badMultipart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScrubber(t, Config{MaxBody: 6000})
			x := post("", "")
			x.Request.Header, x.Request.Body = tt.header, tt.body
			var drop *DropError
			if err := s.Exchange(x); !errors.As(err, &drop) || drop.Reason != reasons[tt.reason] {
				t.Errorf("request: %v, want %q", err, reasons[tt.reason])
			}
			if d := s.Report().Dropped; len(d) != 1 || d[0].Reason != reasons[tt.reason] || d[0].Count != 1 {
				t.Errorf("report: %v", d)
			}
			x = answer("", "")
			x.Response.Header, x.Response.Body = tt.header, tt.body
			if err := s.Exchange(x); err != nil {
				t.Fatalf("response: %v", err)
			}
			if b := x.Response.Body; b.State != traffic.Missing || len(b.Bytes) > 0 || b.Size != 0 {
				t.Errorf("response body: %v, %d bytes", b.State, len(b.Bytes))
			}
		})
	}
}

func TestFaultDropsTheExchange(t *testing.T) {
	s := newScrubber(t, Config{})
	s.detectors = []detector{{email, func(traits) bool { return true }, func(string, []span) []span { panic("detector") }}}
	x := post("application/json", `{"a":"jane@acme.com"}`)
	var drop *DropError
	if err := s.Exchange(x); !errors.As(err, &drop) || drop.Reason != reasons[fault] {
		t.Errorf("got %v", err)
	}
	if got := s.Shown([]string{"body", "a"}, `"jane@acme.com"`); got != `"redacted"` {
		t.Errorf("shown: %s", got)
	}
	if got := s.Text("jane@acme.com"); got != redacted {
		t.Errorf("text: %s", got)
	}
}

func TestInputIsNotWritten(t *testing.T) {
	s := newScrubber(t, Config{})
	body := []byte(`{"email":"jane@acme.com","cvv":"123"}`)
	header := traffic.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Authorization", Value: "Bearer x1y2z3"}, {Name: "Content-MD5", Value: "x"}, {Name: "Content-Length", Value: "37"}}
	wantBody, wantHeader := bytes.Clone(body), append(traffic.Header(nil), header...)
	x := post("", "")
	x.Request.Header, x.Request.Body.Bytes = header, body
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, wantBody) || !reflect.DeepEqual(header, wantHeader) {
		t.Errorf("the recording was written to: %s %v", body, header)
	}
	if x.Request.Header.Has("Content-MD5") || x.Request.Header.Get("Content-Length") != fmt.Sprint(len(x.Request.Body.Bytes)) {
		t.Errorf("header does not agree with the body: %v", x.Request.Header)
	}
}

func TestShown(t *testing.T) {
	s := newScrubber(t, Config{Rules: []Rule{{Name: "n", JQ: paths(t, ".body.items[].note"), Action: Mask}}})
	for _, tt := range []struct {
		path    string
		literal string
		want    string // "": anything but the original
	}{
		{"status", "200", "200"},
		{"body customer email", `"jane@acme.com"`, ""},
		{"body customer name", `"Jane"`, ""},
		{"body password", "12345", ""},
		{"body password", "secret", ""},
		{"body cvv", `"123"`, `"redacted"`},
		{"body items note", `"Ab 1"`, `"Xx 0"`},
		{"body items", `[{"note":"Ab"}]`, `[{"note":"Xx"}]`},
		{"body price", "12.50", "12.50"},
		{"body", `{"password":"sec`, ""},
		{"headers x-user", "jane", ""},
		{"headers set-cookie", "sid=abc; Path=/", ""},
		{"cookies sid value", `"abcdef"`, ""},
		{"cookies sid path", `"/"`, `"/"`},
		{"body card number", "4111111111111111", ""},
		{"body note", `"plain"`, `"plain"`},
		{"body ok", "true", "true"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			got := s.Shown(strings.Fields(tt.path), tt.literal)
			if tt.want == "" && (got == tt.literal || strings.Contains(got, tt.literal)) || tt.want != "" && got != tt.want {
				t.Errorf("%s shows %s, want %q", tt.literal, got, tt.want)
			}
			if json.Valid([]byte(tt.literal)) && !json.Valid([]byte(got)) {
				t.Errorf("%s shows %s, which is no JSON", tt.literal, got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
	}{
		{"short key", Config{Key: []byte("short")}},
		{"empty key", Config{Key: []byte{}}},
		{"unknown pack", Config{Packs: []string{"gdpr@9"}}},
		{"nothing to do", Config{Packs: []string{}}},
		{"unknown action", Config{Rules: []Rule{{Name: "r", Keys: []string{"a"}, Action: "hide"}}}},
		{"rule without a place", Config{Rules: []Rule{{Name: "r", Action: Mask}}}},
		{"kept credential header", Config{Rules: []Rule{{Name: "r", Headers: []string{"Authorization"}, Action: Keep}}}},
		{"kept password", Config{Rules: []Rule{{Name: "r", Keys: []string{"userPassword"}, Action: Keep}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	s := newScrubber(t, Config{Disabled: "synthetic traffic"})
	x := post("application/octet-stream", "jane@acme.com")
	if err := s.Exchange(x); err != nil || string(x.Request.Body.Bytes) != "jane@acme.com" {
		t.Errorf("%v: %s", err, x.Request.Body.Bytes)
	}
	if r := s.Report(); !r.Disabled || r.Reason != "synthetic traffic" {
		t.Errorf("report: %+v", r)
	}
}

func TestPacksAreSeparate(t *testing.T) {
	in := `{"email":"jane@acme.com","password":"hunter22","card_number":"4111111111111111"}`
	for pack, gone := range map[string]string{"gdpr@1": "jane@acme.com", "secrets@1": "hunter22", "pci@1": "4111111111111111"} {
		s := newScrubber(t, Config{Packs: []string{pack}})
		x := post("application/json", in)
		if err := s.Exchange(x); err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{"jane@acme.com", "hunter22", "4111111111111111"} {
			if got := strings.Contains(string(x.Request.Body.Bytes), v); got != (v != gone) {
				t.Errorf("%s: %s", pack, x.Request.Body.Bytes)
			}
		}
	}
}

func TestReport(t *testing.T) {
	s := newScrubber(t, Config{Rules: []Rule{{Name: "never", Keys: []string{"zzz"}, Action: Mask}}})
	x := post("application/json", `{"email":"jane@acme.com","to":"joe@acme.com","password":"hunter22"}`)
	if err := s.Exchange(x); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Hits())
	if want := "[{gdpr@1/email 2} {never 0} {secrets@1/credential 1}]"; got != want {
		t.Errorf("hits %s, want %s", got, want)
	}
	r := s.Report()
	if len(r.KeyID) != 16 || strings.Contains(string(testKey), r.KeyID) {
		t.Errorf("key id %q", r.KeyID)
	}
	ephemeral, err := New(Config{})
	if err != nil || ephemeral.Report().KeyID != "ephemeral" {
		t.Errorf("key id of a key of this run: %v %v", ephemeral.Report().KeyID, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := newScrubber(t, Config{})
	want := s.Text("jane@acme.com")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				x := post("application/json", `{"email":"jane@acme.com","b":"{\"password\":\"x1y2z3\"}"}`)
				if err := s.Exchange(x); err != nil || !strings.Contains(string(x.Request.Body.Bytes), want) {
					t.Errorf("%v: %s", err, x.Request.Body.Bytes)
					return
				}
			}
		})
	}
	wg.Wait()
	if h := s.Hits(); h[0].Hits != 400 {
		t.Errorf("hits: %v", h)
	}
}

func TestMediaTypesAreNotTrusted(t *testing.T) {
	s := newScrubber(t, Config{})
	body := `{"html":"<b>x=y</b>","password":"hunter22","otp":847261}`
	for _, m := range []string{"application/x-www-form-urlencoded", "text/html", "application/xml", "text/plain", "application/octet-stream", "application/x-amz-json-1.1"} {
		x := post(m, body)
		if err := s.Exchange(x); err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		if got := string(x.Request.Body.Bytes); strings.Contains(got, "hunter22") || strings.Contains(got, "847261") || !strings.Contains(got, "<b>x=y</b>") {
			t.Errorf("%s: %s", m, got)
		}
	}
}

func TestUntouchedTextsAreByteIdentical(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ mediaType, body string }{
		{"text/event-stream", ": ping\r\nid:7\ndata:x\ndata:  y\n\nevent: e\ndata: [DONE]\n\n"},
		{"text/html", "<!doctype html><P class=a title='b'>1 &lt; 2 &amp; 3<br/>< <!-- c --><script>if (a<b) x=\"1\"</script>"},
		{"application/xml", "<?xml version='1.0'?><a:b c='d'><![CDATA[x<y]]></a:b>\n"},
		{"application/x-www-form-urlencoded", "a=1&b=%7e+x%20y&&c&=d&a=2"},
		{"text/plain; charset=iso-8859-1", "caf\xe9"},
		{"application/json", "\ufeff{\"a\": \"\xff\"}\n"},
		{"multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\nx,y\r\n--B--\r\n"},
	} {
		x := post(tt.mediaType, tt.body)
		body := x.Request.Body.Bytes
		if err := s.Exchange(x); err != nil {
			t.Errorf("%s: %v", tt.mediaType, err)
		} else if !sameBytes(x.Request.Body.Bytes, body) {
			t.Errorf("%s: %q became %q", tt.mediaType, tt.body, x.Request.Body.Bytes)
		}
	}
}

func TestCharsetsComeBack(t *testing.T) {
	s := newScrubber(t, Config{})
	x := post("text/plain; charset=iso-8859-1", "caf\xe9 jane@acme.com")
	if err := s.Exchange(x); err != nil || !bytes.HasPrefix(x.Request.Body.Bytes, []byte("caf\xe9 ")) || bytes.Contains(x.Request.Body.Bytes, []byte("acme")) {
		t.Errorf("%v: %q", err, x.Request.Body.Bytes)
	}
}

// What is made to be slow must not be: names of millions of words, deep
// nesting, encodings that repeat.
func TestHostileInputs(t *testing.T) {
	s := newScrubber(t, Config{})
	const n = hostile
	for name, body := range map[string]string{
		"long name":    `{"` + strings.Repeat("a_", n) + `":1}`,
		"at signs":     quoted(strings.Repeat("a@", n)),
		"tokens":       quoted(strings.Repeat("eyJ", n)),
		"token starts": quoted(strings.Repeat("eyJ.", n)),
		"keys":         quoted(strings.Repeat("sk-", n)),
		"schemes":      `{"token":` + quoted(strings.Repeat("bearer ", n)) + `}`,
		"targets":      quoted(strings.Repeat("/?=", n)),
		"URLs":         quoted(strings.Repeat("a://", n)),
		"assignments":  quoted(strings.Repeat("a=", n)),
		"quotes":       quoted(strings.Repeat(`token="`, n)),
		"tags":         quoted(strings.Repeat("<a b=", n) + ">"),
		"open tags":    quoted(strings.Repeat("<a>", n)),
		"percent":      quoted(strings.Repeat("%25", n)),
		"digits":       quoted(strings.Repeat("4111 ", n)),
		"plus":         quoted(strings.Repeat("+1", n)),
		"tracks":       quoted(strings.Repeat(";4", n)),
		"PEM":          quoted(strings.Repeat("-----BEGIN PRIVATE KEY-----", n/10)),
		"pairs":        "[" + strings.Repeat(`{"value":"a","x":[1,{}]},`, n/10) + "1]",
		"pair":         "{" + strings.Repeat(`"value":1,`, n) + `"a":1}`,
		"inner pairs":  strings.Repeat(`{"value":`, 250) + `"` + strings.Repeat("a", n) + `"` + strings.Repeat("}", 250),
		"data URIs":    quoted(strings.Repeat("data:;base64,amFuZUBhY21lLmNvbQ==,", n/10)),
		"entities":     quoted(strings.Repeat("&#64;", n)),
		"ampersands":   quoted("&#" + strings.Repeat("&", n)),
		"settings":     quoted(strings.Repeat("token: ", n)),
		"fields":       quoted(strings.Repeat(" ", n) + strings.Repeat("token:   x ", n/10)),
		"full width":   quoted(strings.Repeat("４", n)),
		"card words":   quoted(strings.Repeat("a4111111111111111", n/10)),
		"zeros":        quoted(strings.Repeat("0049 ", n)),
		"lines":        quoted(strings.Repeat("QUFB\n", n)),
		"marks":        "\ufeff" + strings.Repeat(" ", n) + "1",
	} {
		start := time.Now()
		s.Exchange(post("application/json", body)) // dropped or not
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
}
