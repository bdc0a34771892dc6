package scrub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// canary is a value of which no fuzzed input can be a part by chance.
const canary = "quentin.zyx@acme-corp.com"

func parses(b []byte) bool {
	return jsontext.Value(b).IsValid(lenient, anyUTF8)
}

func FuzzJSON(f *testing.F) {
	f.Add(hardNegatives, "k")
	f.Add(`{"a":[{"b":"c"}]}`, "password")
	f.Add(`[]`, "cvv")
	f.Add("{\"a\":\"\xff\"}", "card")
	f.Add(`{"cvv":1,"cvv":{"x":2}}`, "track1")
	f.Add(`{"address":"<a b='c' d"}`, "")
	s := newScrubber(f, Config{})
	f.Fuzz(func(t *testing.T, doc, key string) {
		in := fmt.Sprintf(`{%s:%s,"deep":%s}`, quoted(key), quoted(canary), doc)
		x := post("application/json", in)
		err := s.Exchange(x)
		if parses([]byte(in)) != (err == nil) && err != nil && !strings.Contains(err.Error(), reasons[tooDeep]) {
			t.Fatalf("%v for %q", err, in)
		}
		if err == nil && (!parses(x.Request.Body.Bytes) || bytes.Contains(x.Request.Body.Bytes, []byte(canary))) {
			t.Fatalf("%q became %q", in, x.Request.Body.Bytes)
		}
		shown := s.Shown([]string{"body", key}, quoted(canary))
		if strings.Contains(shown, canary) || !parses([]byte(shown)) {
			t.Fatalf("%q shows %q", key, shown)
		}
	})
}

func FuzzTarget(f *testing.F) {
	f.Add("/a/b", "q")
	f.Add("/a;x=1?b=c&d", "email")
	f.Add("http://u:p@h/%zz?%", "code")
	f.Add("*", "")
	f.Add("/x?u=http%3A%2F%2Fa%2F%3Fb%3Dc#f", "token")
	s := newScrubber(f, Config{})
	f.Fuzz(func(t *testing.T, target, key string) {
		s.Path(target)
		for _, in := range []string{target + "/" + canary + "/", target + "?" + key + "=" + percent(canary), "/?" + key + "=" + canary + "&" + target} {
			out := s.Path(in)
			once := unescape(out, false)
			if strings.Contains(out, canary) || strings.Contains(once, canary) {
				t.Fatalf("%q became %q", in, out)
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add("Authorization", "Basic")
	f.Add("Cookie", "a=b;")
	f.Add("Set-Cookie", "sid=")
	f.Add("Forwarded", "for=")
	f.Add("X-Thing", "<a href='")
	f.Add("Referer", "https://x/?a=")
	s := newScrubber(f, Config{})
	f.Fuzz(func(t *testing.T, name, value string) {
		x := get("/")
		x.Request.Header = traffic.Header{{Name: name, Value: value + " " + canary}}
		if err := s.Exchange(x); err != nil {
			return
		}
		for _, h := range x.Request.Header {
			if strings.Contains(h.Value, canary) && !strings.Contains(value, ";") {
				t.Fatalf("%s: %q became %q", name, value+" "+canary, h.Value)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("text/html", "<p>")
	f.Add("application/xml", "<a><b c='d'/>")
	f.Add("text/event-stream", "data: x\n")
	f.Add("text/plain", "a=b&c=")
	f.Add("application/x-www-form-urlencoded", "a=b&c=")
	f.Add("multipart/form-data; boundary=b", "--b\r\nA: b\r\n\r\nc\r\n--b--")
	s := newScrubber(f, Config{})
	f.Fuzz(func(t *testing.T, mediaType, text string) {
		for _, in := range []string{text, text + " " + canary + " "} {
			x := answer(mediaType, in)
			if err := s.Exchange(x); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(x.Response.Body.Bytes, []byte(canary)) {
				t.Fatalf("%q became %q", in, x.Response.Body.Bytes)
			}
		}
	})
}

// orders is a document of an ordinary service, with a person every few
// kilobytes.
func orders(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i := 0; b.Len() < size-80; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		if i%20 == 10 {
			fmt.Fprintf(&b, `{"customer":{"id":%d,"email":"jane.doe%d@acme-corp.com"}}`, i, i)
			continue
		}
		fmt.Fprintf(&b, `{"id":"ord_%08d","sku":"AB-%04d","quantity":%d,"price":%d.%02d,"currency":"EUR","status":"shipped","created_at":"2024-01-15T10:%02d:00Z","title":"A plain thing for the kitchen"}`,
			i*7919, i, i%9, i%300, i%100, i%60)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkJSON(b *testing.B) {
	s := newScrubber(b, Config{})
	for _, size := range []int{1 << 10, 64 << 10} {
		body := orders(size)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				x := post("application/json", "")
				x.Request.Body.Bytes = body
				if err := s.Exchange(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRequestWithoutBody(b *testing.B) {
	s := newScrubber(b, Config{})
	header := traffic.Header{{Name: "Host", Value: "h.test"}, {Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64)"}, {Name: "Accept", Value: "*/*"},
		{Name: "Authorization", Value: "Bearer 0123456789abcdef"}, {Name: "Cookie", Value: "sid=0123456789abcdef; lang=en"}, {Name: "X-Request-Id", Value: "7f4df451a66d3e2d"}}
	b.ReportAllocs()
	for b.Loop() {
		x := get("/api/v1/orders/4711?page=2&sort=-created_at")
		x.Request.Header = header
		if err := s.Exchange(x); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValid is the floor: a look at every byte of the same document.
func BenchmarkValid(b *testing.B) {
	body := orders(64 << 10)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if !json.Valid(body) {
			b.Fatal("not valid")
		}
	}
}

// What the finders of medical numbers find is in order and inside the text, and
// what a strict pack makes of a document is one, without the value.
func FuzzStrict(f *testing.F) {
	for _, seed := range [][2]string{{"nick", "Zaphod"}, {"at", "2024-03-15T10:11:12Z"}, {"q", "query { user(name: \"Zaphod\") }"}, {"photo", "x"}, {"age", "3/14/2024"},
		{"vin", "1HGCM82633A004352"}, {"mbi", "1EG4-TE5-MK73"}, {"a", "https://a.test/b?c=d"}, {"birthDate", "1931-02"}, {"reference", "Patient/1"}, {"a", "0/0/1900 1-"}} {
		f.Add(seed[0], seed[1])
	}
	s := newScrubber(f, Config{Packs: []string{"strict@1"}})
	f.Fuzz(func(t *testing.T, key, text string) {
		for _, finder := range []func(string, []span) []span{findDates, findVINs, findBeneficiaries} {
			end := 0
			for _, sp := range finder(text, nil) {
				if sp.start < end || sp.end <= sp.start || sp.end > len(text) {
					t.Fatalf("%v of %q", sp, text)
				}
				end = sp.end
			}
		}
		in := fmt.Sprintf(`{%s:%s,"other":%s}`, quoted(key), quoted(text), quoted("some "+canary+" here"))
		x := post("application/json", in)
		if err := s.Exchange(x); err != nil {
			return
		}
		got := x.Request.Body.Bytes
		if !parses(got) || bytes.Contains(got, []byte("quentin")) || bytes.Contains(got, []byte("some ")) {
			t.Fatalf("%s became %s", in, got)
		}
	})
}
