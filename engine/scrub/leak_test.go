package scrub

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

func with(fields ...string) *traffic.Exchange {
	x := get("/")
	for i := 0; i+1 < len(fields); i += 2 {
		x.Request.Header = append(x.Request.Header, traffic.Field{Name: fields[i], Value: fields[i+1]})
	}
	return x
}

func part(head, body string) *traffic.Exchange {
	return post("multipart/form-data; boundary=B", "--B\r\n"+head+"\r\n\r\n"+body+"\r\n--B--\r\n")
}

// zipped is the base64 of the gzip of a text.
func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// wrapped breaks a text into lines as MIME does.
func wrapped(s string) string {
	var lines []string
	for chunk := range slices.Chunk([]byte(s), 24) {
		lines = append(lines, string(chunk))
	}
	return strings.Join(lines, "\n")
}

// inner undoes base64, gzip and line ends, as far as there are any.
func inner(t *testing.T, s string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(s, "\n", ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		if raw, err = content.Decode(traffic.Header{{Name: "Content-Encoding", Value: "gzip"}}, raw, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	return string(raw)
}

// Each of these came out once.
func TestLeaks(t *testing.T) {
	const secret, mail, pan = "hunter2Secret", "jane.doe@realcorp.com", "4111111111111111"
	for _, tt := range []struct {
		name  string
		x     *traffic.Exchange
		gone  string
		still string // what must be there: the shape
	}{
		{"part with a media type", part("Content-Disposition: form-data; name=\"password\"\r\nContent-Type: text/plain", secret), secret, `name="password"`},
		{"part that is a file", part("Content-Disposition: form-data; name=\"password\"; filename=\"p.txt\"\r\nContent-Type: text/plain", secret), secret, `p.txt`},
		{"part that is a file without a type", part("Content-Disposition: form-data; name=\"password\"; filename=\"p.txt\"", secret), secret, `p.txt`},
		{"JSON part", part("Content-Disposition: form-data; name=\"password\"\r\nContent-Type: application/json", `["`+secret+`",{"a":81726354}]`), secret, `{"a":`},
		{"JSON part, a number", part("Content-Disposition: form-data; name=\"password\"\r\nContent-Type: application/json", `81726354`), "81726354", ``},
		{"JSON part, in a card", part("Content-Disposition: form-data; name=card\r\nContent-Type: application/json", `{"holder":"Wilhelmina"}`), "Wilhelmina", `"holder"`},
		{"XML part", part("Content-Disposition: form-data; name=\"password\"\r\nContent-Type: application/xml", `<a>`+secret+`</a>`), secret, ``},
		{"form part", part("Content-Disposition: form-data; name=\"password\"\r\nContent-Type: application/x-www-form-urlencoded", `a=`+secret), secret, ``},
		{"part with a broken disposition", part("Content-Disposition: form-data; name=\"password\"; name=\"b\"\r\nContent-Type: text/plain", secret), secret, ``},

		{"cookie name, e-mail", with("Cookie", mail+"=1"), mail, "=1"},
		{"cookie name, card", with("Cookie", "a=1; "+pan+"=1"), pan, "=1"},
		{"cookie name, encoded", with("Cookie", "jane.doe%40realcorp.com=1"), "realcorp", "%40"},
		{"set-cookie name", func() *traffic.Exchange {
			x := answer("", "")
			x.Response.Header = traffic.Header{{Name: "Set-Cookie", Value: mail + "=1; Path=/"}}
			return x
		}(), mail, "=1; Path=/"},
		{"header name", with("X-"+pan, "1"), pan, "X-4242"},
		{"header name, letters before", with("XCard"+pan, "1"), pan, "XCard4242"},
		{"query name", get("/?" + mail + "=1&" + pan + "=1"), mail, "=1"},
		{"query name, card", get("/?" + mail + "=1&" + pan + "=1"), pan, "=1"},
		{"query name, plus", get("/?+4915112345678=1"), "15112345678", "=1"},
		{"form name", post("application/x-www-form-urlencoded", mail+"=1&a=2"), mail, "a=2"},
		{"member name", post("application/json", `{"`+mail+`": {"a":1}, "`+pan+`": true}`), mail, `{"a":1}`},
		{"member name, card", post("application/json", `{"`+mail+`": {"a":1}, "`+pan+`": true}`), pan, `": true`},
		{"member name, letters before", post("application/json", `{"card_`+pan+`": true}`), pan, `"card_4242`},
		{"member name, base64", post("application/json", `{"`+base64.StdEncoding.EncodeToString([]byte("mail: "+mail))+`": true}`), base64.StdEncoding.EncodeToString([]byte("mail: " + mail)), `: true`},
		{"part name", part("Content-Disposition: form-data; name=\""+mail+"\"", "1"), mail, "form-data"},
		{"element name", post("application/xml", "<r><card-"+pan+">1</card-"+pan+"></r>"), pan, "</card-4242"},

		{"language that is none", with("Cookie", "lang="+secret), secret, "lang="},
		{"theme that is none", with("Cookie", "theme=jane"), "jane", "theme="},
		{"country that is none", with("Cookie", "country=hunter2"), "hunter2", "country="},
		{"time zone that is none", with("Cookie", "tz=hunter2"), "hunter2", "tz="},
		{"consent that is none", with("Cookie", "consent=hunter2"), "hunter2", "consent="},

		{"plus in a query", get("/?q=+4915112345678"), "15112345678", "/?q=+4900"},
		{"plus in a named parameter", get("/?to=+4915112345678&a=b+c"), "15112345678", "/?to=+49"},
		{"plus under a phone's name", get("/?phone=+4915112345678"), "15112345678", "/?phone=+4900"},
		{"plus behind a blank", get("/?q=call++4915112345678+now"), "15112345678", "call++4900"},
		{"plus in a form", post("application/x-www-form-urlencoded", "a=1&q=+4915112345678"), "15112345678", "q=+4900"},
		{"plus in the second address", get("/?q=bob@realcorp.com,jane+shop@realcorp.com"), "jane", "@"},
		{"plus in groups", get("/?q=+49+151+12345678"), "12345678", "q=+49+00"},
		{"plus in an address", get("/?q=jane+shop@realcorp.com"), "jane", "@"},

		{"user in an absolute target", get("http://jane:" + secret + "@h.test/x"), "jane", " http://h.test/x "},
		{"password in an absolute target", get("http://jane:" + secret + "@h.test/x?a=1"), secret, " http://h.test/x?a=1 "},
		{"user of an authority", get("jane:" + secret + "@h.test:443"), secret, " h.test:443 "},
		{"user of a link without a scheme", with("Referer", "//jane:"+secret+"@h.test/x"), secret, "@h.test/x"},

		{"pw", post("application/json", `{"pw":"`+secret+`"}`), secret, ""},
		{"userpass", post("application/json", `{"userpass":"`+secret+`"}`), secret, ""},
		{"user_pass", post("application/json", `{"user_pass":"`+secret+`"}`), secret, ""},
		{"passcode", post("application/json", `{"passcode":"`+secret+`"}`), secret, ""},
		{"auth", post("application/json", `{"auth":"`+secret+`"}`), secret, ""},
		{"x-pw", with("X-PW", secret), secret, ""},
		{"x-auth", with("X-Auth", "abcdef"), "abcdef", ""},
		{"name and value", post("application/json", `[{"name":"password","value":"`+secret+`"}]`), secret, `"name":"password"`},
		{"value and name", post("application/json", `[{"value":"`+secret+`","x":{"name":"b"},"name":"password"}]`), secret, `"name":"password"`},
		{"key and value", post("application/json", `[{"key":"password","value":{"a":["`+secret+`"]}}]`), secret, `"key":"password"`},
		{"key and number", post("application/json", `{"Key":"ssn","Value":536904399}`), "536904399", `"Key":"ssn"`},
		{"key and card check", post("application/json", `{"key":"cvv","value":"8713","a":1}`), "8713", `{"key":"cvv","a":1}`},
		{"field with a name", post("application/xml", `<r><field name="password">`+secret+`</field></r>`), secret, `<field name="password">`},
		{"property with a key", post("application/xml", `<r><property key="password" value="`+secret+`"/></r>`), secret, `key="password"`},

		{"YAML", answer("text/plain", "user: x\n  password: "+secret+"\nlevel: 3\n"), secret, "  password: "},
		{"YAML, a list", answer("application/yaml", "- password: "+secret+"\n"), secret, "- password: "},
		{"properties", answer("text/plain", "a = 1\npassword = "+secret+"\n"), secret, "password = "},
		{"log", answer("text/plain", "level: info, token: "+secret+", n: 3"), secret, ", n: 3"},
		{"header in a text", answer("text/plain", "GET / HTTP/1.1\r\nAuthorization: Bearer abcdefgh\r\n"), "abcdefgh", "Authorization: Bearer "},
		{"in a JSON string", post("application/json", `{"text":"token: abc123 for you"}`), "abc123", " for you"},

		{"card, no-break spaces", answer("text/plain", "no 4111\u00a01111\u00a01111\u00a01111."), "1111\u00a01111\u00a01111", "\u00a0"},
		{"card, dots", answer("text/plain", "no 4111.1111.1111.1111 it is"), "1111.1111.1111", " it is"},
		{"card, double blanks", answer("text/plain", "no 4111  1111  1111  1111 it is"), "1111  1111  1111", " it is"},
		{"card, letters before", answer("text/plain", "no card4111111111111111 it is"), pan, "card4242"},
		{"card, underscores", answer("text/plain", "no pay_4111111111111111_x it is"), pan, "pay_4242"},
		{"card, dash before", answer("text/plain", "no -4111111111111111 it is"), pan, "-4242"},
		{"card, a negative number", post("application/json", `{"x":-4111111111111111}`), pan, `{"x":-4242`},
		{"card, a decimal", post("application/json", `{"x":4111111111111111.0}`), pan, `.0}`},
		{"card, decimals in a text", answer("text/plain", "no 4111111111111111.00 it is"), pan, ".00 it is"},
		{"card in User-Agent", with("User-Agent", "App/1.0 ("+pan+")"), pan, "App/1.0 (4242"},
		{"card in X-Request-Id", with("X-Request-Id", "req-"+pan), pan, "req-4242"},

		{"entity", post("application/json", `{"text":"write to jane.doe&#64;realcorp.com &lt;now&gt;"}`), "realcorp", "&lt;now&gt;"},
		{"named entity", answer("text/plain", "write to jane.doe&commat;realcorp.com"), "realcorp", "write to "},
		{"full width at", post("application/json", `{"text":"jane.doe＠realcorp.com"}`), "realcorp", ""},
		{"full width digits", answer("text/plain", "Nr. ４１１１１１１１１１１１１１１１"), "１１１１１１１１", ""},
		{"data URI", post("application/json", `{"a":"data:text/plain;base64,`+base64.StdEncoding.EncodeToString([]byte("mail "+mail))+`"}`), base64.StdEncoding.EncodeToString([]byte("mail " + mail))[8:], "data:text/plain;base64,"},
		{"phone, dots", answer("text/plain", "call 415.555.2671 now"), "415.555.2671", " now"},
		{"phone, 00", answer("text/plain", "call 0049 30 901820 now"), "901820", "call 0049 00"},
		{"phone, 00 and dashes", answer("text/plain", "call 0044-20-79460958 now"), "79460958", "call 0044-00"},
		{"X-Client", with("X-Client", "81.2.69.142:4433"), "81.2.69.142", ":4433"},
		{"X-Client-Ip", with("X-Client-Ip", "81.2.69.142:4433"), "81.2.69.142", ":4433"},
		{"some other address field", with("X-Edge-Client-Ip", "81.2.69.142:4433, 81.2.69.143"), "81.2.69.14", ":4433, "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScrubber(t, Config{})
			if all := everything(tt.x); !strings.Contains(all, tt.gone) {
				t.Fatalf("nothing planted: %s", all)
			}
			if err := s.Exchange(tt.x); err != nil {
				t.Fatal(err)
			}
			if got := everything(tt.x); strings.Contains(got, tt.gone) || !strings.Contains(got, tt.still) {
				t.Errorf("%q comes out, or %q does not:\n%s", tt.gone, tt.still, got)
			}
		})
	}
}

func TestEncodingsInBase64(t *testing.T) {
	s := newScrubber(t, Config{})
	const text = `{"email":"jane.doe@realcorp.com","a":"a longer text than one line has"}`
	for name, in := range map[string]string{
		"plain": base64.StdEncoding.EncodeToString([]byte(text)), "lines": wrapped(base64.StdEncoding.EncodeToString([]byte(text))), "gzip": zipped(text),
		"gzip in lines": wrapped(zipped(text)),
	} {
		t.Run(name, func(t *testing.T) {
			out := inText(s.Shown([]string{"body", "blob"}, quoted(in)))
			got := inner(t, out)
			if strings.Contains(got, "realcorp") || !strings.Contains(got, `"a":"a longer text than one line has"`) || strings.Contains(in, "\n") != strings.Contains(out, "\n") {
				t.Errorf("%s holds %s", out, got)
			}
		})
	}
	binary := base64.StdEncoding.EncodeToString([]byte("\x1f\x8b\x08\x00 no gzip at all, jane"))
	if out := s.Text(binary); out != binary {
		t.Errorf("%q became %q", binary, out)
	}
}

// What looks like the leaks above and is nothing.
func TestNearMissesStay(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, v := range []string{
		"Password: must be long", "password: required", "Note: token: expired", "the token: it is gone", "token = next()", "Enter password: ", "time: 10:30", "a:b",
		"mutation L($password: String!, $c: CredentialsInput!) { login(password: $password, token: $t) { token } }", "type User { password: String!\n token: ID\n}", "event: token", "https://x.test/a",
		"card4111111111111112", "a4111111111111111f", "7f4df451a4111111111111111", "aGVsbG84111111111111111Xy", "f00dcafe4111111111111111", "0.4111111111111111", "4111111111111111.5",
		"4111.1111.1111.1112", "1.2.3.4", "100.200.3000", "10.0.0.1", "415.555.26711", "415.555.2671.3", "0049123456789", "000 123 456 789", "0.415.555.2671",
		"R&D &amp; more", "Tom & Jerry &#169; 2024", "ＡＢＣ １２３", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ", "data:,x", "line one\nline two is longer than that\n",
		"YWJjZGVmZ2hpamtsbW5v\ncHFyc3R1dnd4eXo=",
	} {
		if got := s.Text(v); got != v {
			t.Errorf("%q became %q", v, got)
		}
	}
	for _, v := range []string{
		`{"name":"Red chair","value":"hunter2"}`, `{"key":"color","value":"red"}`, `{"name":"password"}`, `{"value":1,"x":{"name":"password"}}`, `[{"name":"password"},{"value":"x"}]`,
		`{"auth":"required"}`, `{"auth":"oauth2"}`, `{"auth":"Bearer"}`, `{"auth":{"type":"basic"}}`, `{"x":4111111111111111.5}`, `{"x":-1187654321098765432}`, `{"created_at_timestamp_of_the_order":1}`,
	} {
		x := post("application/json", v)
		if err := s.Exchange(x); err != nil || string(x.Request.Body.Bytes) != v {
			t.Errorf("%s became %s (%v)", v, x.Request.Body.Bytes, err)
		}
	}
	for _, v := range []string{"/?q=a++b", "/?sort=+price,+1", "/?q=1+2345678901234", "/?q=+", "/a?x=1+%2B1", "//a/b@c", "/@jane/x"} {
		if got := s.Path(v); got != v {
			t.Errorf("%s became %s", v, got)
		}
	}
	for _, v := range []string{
		"lang=en", "lang=pt-BR", "locale=zh_Hans_CN", "language=en_US", "theme=dark", "theme=high-contrast", "currency=eur", "country=DE", "region=eu-west-1", "tz=Europe/Berlin",
		"timezone=America%2FArgentina%2FBuenos_Aires", "tz=UTC", "tz=-120", "tz=UTC+05:30", "consent=accepted", "color_scheme=auto", "dark_mode=1", "a=1",
	} {
		x := with("Cookie", v)
		if err := s.Exchange(x); err != nil || x.Request.Header[1].Value != v {
			t.Errorf("%s became %s (%v)", v, x.Request.Header[1].Value, err)
		}
	}
}

// Names of fields stay what HTTP allows in a name.
func TestNamesStayNames(t *testing.T) {
	s := newScrubber(t, Config{})
	token := regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	for _, name := range []string{"X-4111111111111111", "X-+4915112345678", "DE89370400440532013000", "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"} {
		x := with(name, "1")
		if err := s.Exchange(x); err != nil {
			t.Fatal(err)
		}
		if got := x.Request.Header[1].Name; got == name || !token.MatchString(got) {
			t.Errorf("%q became %q", name, got)
		}
		x = with("Cookie", name+"=1; lang=en")
		if err := s.Exchange(x); err != nil {
			t.Fatal(err)
		}
		if got, ok := strings.CutSuffix(x.Request.Header[1].Value, "=1; lang=en"); !ok || got == name || !token.MatchString(got) {
			t.Errorf("cookie %q became %q", name, got)
		}
	}
}

func TestPhonesWithTwoZeros(t *testing.T) {
	s, again := newScrubber(t, Config{}), newScrubber(t, Config{Key: otherKey})
	plus, zeros := s.Text("+49 30 901820"), s.Text("0049 30 901820")
	if strings.TrimPrefix(plus, "+") != strings.TrimPrefix(zeros, "00") {
		t.Errorf("one number, two surrogates: %q, %q", plus, zeros)
	}
	if twice := again.Text(zeros); twice != zeros {
		t.Errorf("%q became %q", zeros, twice)
	}
}

func TestSession(t *testing.T) {
	s, same, different := newScrubber(t, Config{}), newScrubber(t, Config{}), newScrubber(t, Config{Key: otherKey})
	const session = "jane.doe@realcorp.com"
	got := s.Session(session)
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(got) {
		t.Errorf("session %q", got)
	}
	if got != same.Session(session) || got == different.Session(session) || got == s.Session("81.2.69.142") {
		t.Errorf("a session is not told by its value and the key")
	}
	if got := s.Session(""); got != "" {
		t.Errorf("no session became %q", got)
	}
	if got := newScrubber(t, Config{Disabled: "synthetic"}).Session(session); got != session {
		t.Errorf("disabled: %q", got)
	}
}

func inMemory(t *testing.T, s *Scrubber, r traffic.Response) *traffic.Response {
	t.Helper()
	out, err := s.Response(&r)
	if err != nil {
		t.Fatal(err)
	}
	recorded := get("/")
	recorded.Response = &r
	if err := s.Exchange(recorded); err != nil {
		t.Fatal(err)
	}
	if string(recorded.Response.Body.Bytes) != string(out.Body.Bytes) || recorded.Response.Body.SHA256 != out.Body.SHA256 {
		t.Errorf("a recorded response is not scrubbed like a fresh one: %s, %s", recorded.Response.Body.Bytes, out.Body.Bytes)
	}
	return out
}

// What is removed elsewhere has a surrogate in memory: without it, a candidate
// that leaves it out or changes it would pass.
func TestInMemoryNothingGoesUnseen(t *testing.T) {
	rules := []Rule{{Name: "n", Keys: []string{"note"}, JQ: paths(t, ".body.l[0]"), Headers: []string{"X-Note"}, Cookies: []string{"basket"}, Action: Remove}}
	s := newScrubber(t, Config{InMemory: true, Rules: rules})
	body := func(mediaType, body string) string {
		return string(inMemory(t, s, traffic.Response{Status: 200, Header: traffic.Header{{Name: "Content-Type", Value: mediaType}}, Body: traffic.Body{Bytes: []byte(body)}}).Body.Bytes)
	}
	for _, tt := range []struct{ name, mediaType, one, two, gone string }{
		{"cvv", "application/json", `{"cvv":"8713","a":1}`, `{"cvv":"8714","a":1}`, "8713"},
		{"cvv, a number", "application/json", `{"cvv":8713}`, `{"cvv":8714}`, "8713"},
		{"cvv, a number or a string", "application/json", `{"cvv":8713}`, `{"cvv":"8713"}`, "8713"},
		{"cvv or none", "application/json", `{"cvv":"8713"}`, `{}`, "8713"},
		{"religion", "application/json", `{"religion":"pastafarian"}`, `{"religion":"pastafarism"}`, "pastafarian"},
		{"an object", "application/json", `{"diagnosis":{"icd":"Z99.9"}}`, `{"diagnosis":{"icd":"Z99.8"}}`, "icd"},
		{"by a rule", "application/json", `{"note":"zqzq"}`, `{"note":"zqzz"}`, "zqzq"},
		{"by a rule, a list", "application/json", `{"note":["zqzq",1]}`, `{"note":["zqzq",2]}`, "zqzq"},
		{"by a rule, an element", "application/json", `{"l":["zqzq",1]}`, `{"l":["zqzz",1]}`, "zqzq"},
		{"by a rule, yes or no", "application/json", `{"note":true}`, `{"note":false}`, "true"},
		{"by a rule, null", "application/json", `{"note":null}`, `{"note":false}`, "null"},
		{"form", "application/x-www-form-urlencoded", `a=1&cvv=8713`, `a=1&cvv=8714`, "8713"},
		{"XML", "application/xml", `<r><cvv>8713</cvv></r>`, `<r><cvv>8714</cvv></r>`, "8713"},
		{"stripe", "text/plain", `;4111111111111111=25121010000012345678?`, `;4111111111111111=25121010000012345679?`, "4111111111111111"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			one, again, two := body(tt.mediaType, tt.one), body(tt.mediaType, tt.one), body(tt.mediaType, tt.two)
			if one != again || one == two || strings.Contains(one, tt.gone) {
				t.Errorf("%s became %s, %s became %s", tt.one, one, tt.two, two)
			}
			if tt.mediaType == "application/json" && !json.Valid([]byte(one)) {
				t.Errorf("%s is no JSON", one)
			}
		})
	}
	if one, two := body("application/json", `{"note":{"a":1.0,"b":[2]}}`), body("application/json", `{"note": {"b" : [2],"a":1.0}}`); strings.TrimSpace(one) != strings.ReplaceAll(two, ": ", ":") {
		t.Errorf("white space and order decide: %s, %s", one, two)
	}
	header := func(name, value string) string {
		return inMemory(t, s, traffic.Response{Status: 200, Header: traffic.Header{{Name: name, Value: value}}}).Header.Get(name)
	}
	for name, values := range map[string][2]string{"X-Note": {"zqzq", "zqzz"}, "X-Cvv": {"8713", "8714"}, "Set-Cookie": {"basket=zqzq; Path=/", "basket=zqzz; Path=/"}, "Location": {"/a?cvv=8713&x=1", "/a?cvv=8714&x=1"}} {
		one, two := header(name, values[0]), header(name, values[1])
		if one == "" || one == two || strings.Contains(one, "zqzq") || strings.Contains(one, "8713") {
			t.Errorf("%s: %q, %q", name, one, two)
		}
	}
	x := post("application/json", `{"cvv":"8713","note":"zqzq","a":1}`)
	x.Request.Header = append(x.Request.Header, traffic.Field{Name: "X-Note", Value: "zqzq"})
	if err := s.Exchange(x); err != nil || string(x.Request.Body.Bytes) != `{"a":1}` || x.Request.Header.Has("X-Note") {
		t.Errorf("request: %v %s %v", err, x.Request.Body.Bytes, x.Request.Header)
	}
	if got := s.Shown([]string{"body", "cvv"}, `"8713"`); got != `"redacted"` {
		t.Errorf("shown: %s", got)
	}
}

// A body that cannot be scrubbed is known by a keyed digest, by which equal
// bodies are equal and from which nobody can guess.
func TestInMemoryDigests(t *testing.T) {
	s := newScrubber(t, Config{InMemory: true, MaxBody: 1000})
	kind := func(v string) traffic.Header { return traffic.Header{{Name: "Content-Type", Value: v}} }
	for _, tt := range []struct {
		name     string
		header   traffic.Header
		one, two string
	}{
		{"binary", kind("application/octet-stream"), "\x00\x01secret", "\x00\x01secreT"},
		{"image", kind("image/png"), "\x89PNGsecret", "\x89PNGsecreT"},
		{"broken JSON", kind("application/json"), `{"password":"secret`, `{"password":"secreT`},
		{"character set", kind("text/plain; charset=shift_jis"), "secret", "secreT"},
		{"too large", kind("text/plain"), strings.Repeat("secret ", 200), strings.Repeat("secreT ", 200)},
		{"coding", append(kind("text/plain"), traffic.Field{Name: "Content-Encoding", Value: "lzma"}), "secret", "secreT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := append(slices.Clone(tt.header), traffic.Field{Name: "Content-MD5", Value: "c2VjcmV0"})
			response := func(s *Scrubber, body string) *traffic.Response {
				return inMemory(t, s, traffic.Response{Status: 200, Header: h, Body: traffic.Body{Bytes: []byte(body)}})
			}
			one, again, two := response(s, tt.one), response(s, tt.one), response(s, tt.two)
			if b := one.Body; b.Bytes != nil || b.State != traffic.Oversized || b.Size != int64(len(tt.one)) || b.SHA256 == sha256.Sum256([]byte(tt.one)) || b.SHA256 == [32]byte{} {
				t.Errorf("body %+v", b)
			}
			if one.Body.SHA256 != again.Body.SHA256 || one.Body.SHA256 == two.Body.SHA256 {
				t.Error("equal bodies are not equal, or others are")
			}
			if other := response(newScrubber(t, Config{InMemory: true, MaxBody: 1000, Key: otherKey}), tt.one); other.Body.SHA256 == one.Body.SHA256 {
				t.Error("no key in the digest")
			}
			if one.Header.Has("Content-MD5") {
				t.Error("a digest without a key is left")
			}
			// The same body, of which the reader kept only the digest.
			kept := inMemory(t, s, traffic.Response{Status: 200, Header: h, Body: traffic.Body{Bytes: []byte("s"), State: traffic.Oversized, Size: int64(len(tt.one)), SHA256: sha256.Sum256([]byte(tt.one))}})
			if kept.Body.Bytes != nil || kept.Body.SHA256 != one.Body.SHA256 || kept.Body.Size != one.Body.Size {
				t.Errorf("body of which only the digest was kept: %+v", kept.Body)
			}
		})
	}
	for _, state := range []traffic.BodyState{traffic.Truncated, traffic.Missing} {
		got := inMemory(t, s, traffic.Response{Status: 200, Header: kind("text/plain"), Body: traffic.Body{Bytes: []byte("secret"), State: state}})
		if got.Body.State == traffic.Complete || got.Body.State == traffic.Oversized || got.Body.Bytes != nil {
			t.Errorf("%v: %+v", state, got.Body)
		}
	}
	x := post("application/octet-stream", "\x00secret")
	if err := s.Exchange(x); err == nil {
		t.Error("a binary request is passed on")
	}
	for _, literal := range []string{"\x89PNG\x00secret", "se\xffcret"} {
		if got := s.Shown([]string{"body"}, literal); got != redacted {
			t.Errorf("%q shows %q", literal, got)
		}
	}
}

// Compressors differ, so it is the plain body that is the same or is not.
func TestInMemoryDigestsOfCodedBodies(t *testing.T) {
	s := newScrubber(t, Config{InMemory: true})
	h := traffic.Header{{Name: "Content-Type", Value: "image/png"}, {Name: "Content-Encoding", Value: "gzip"}}
	coded := func(level int) traffic.Response {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, level)
		z.Write(bytes.Repeat([]byte("\x89PNG secret"), 100))
		z.Close()
		return traffic.Response{Status: 200, Header: h, Body: traffic.Body{Bytes: b.Bytes()}}
	}
	one, two := inMemory(t, s, coded(1)), inMemory(t, s, coded(9))
	if one.Body.SHA256 != two.Body.SHA256 || one.Body.Size != two.Body.Size {
		t.Errorf("%+v, %+v", one.Body, two.Body)
	}
}
