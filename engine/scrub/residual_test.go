package scrub

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// What the second look is there to find, in an exchange that nobody scrubbed.
func TestResidualFinds(t *testing.T) {
	s := newScrubber(t, Config{Canaries: []string{"canary-7d1f"}})
	for _, tt := range []struct{ class, value string }{
		{"email", "jane.doe@acme-corp.com"},
		{"card-number", "4012888888881881"},
		{"card-number", "5105 1051 0510 5100"},
		{"iban", "DE89370400440532013000"},
		{"ssn", "536-90-4399"},
		{"vendor-key", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"},
		{"web-token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"},
		{"private-key", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----"},
		{"canary", "xcanary-7d1fx"},
	} {
		for place, x := range map[string]*traffic.Exchange{
			"request body":    post("application/json", `{"a":`+quoted(tt.value)+`}`),
			"response body":   answer("text/plain", "see "+tt.value),
			"request target":  get("/a?x=" + percent(tt.value)),
			"request header":  with("X-Note", strings.ReplaceAll(tt.value, "\n", `\n`)),
			"response reason": {Response: &traffic.Response{Reason: tt.value}},
		} {
			if f := s.Residual(x); len(f) == 0 || f[0] != (Finding{place, tt.class}) {
				t.Errorf("%s in the %s: found %v", tt.class, place, f)
			}
		}
	}
	if f := s.Residual(post("application/json", hardNegatives)); len(f) > 0 {
		t.Errorf("found in what is harmless: %v", f)
	}
}

// What leaves the scrubber has nothing in it that the second look takes for real.
func TestResidualOfTheCorpusIsEmpty(t *testing.T) {
	s := newScrubber(t, Config{})
	r := rand.New(rand.NewPCG(7, 8))
	for i := range corpusPlaces {
		p := &corpusPlaces[i]
		if !p.keyed {
			continue
		}
		for range 12 {
			x := p.build(grains(r, positives, p, perExchange))
			if err := s.Exchange(x); err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			for _, f := range s.Residual(x) {
				t.Errorf("%s: %v in\n%s", p.name, f, everything(x))
			}
		}
	}
}

// A detector that misses fails closed: the second look drops the exchange.
func TestResidualDrops(t *testing.T) {
	s := newScrubber(t, Config{})
	s.detectors = nil
	var drop *DropError
	if err := s.Exchange(post("application/json", `{"a":"jane@acme.com"}`)); !errors.As(err, &drop) || drop.Reason != reasons[leftover] {
		t.Errorf("got %v", err)
	}
	s = newScrubber(t, Config{Canaries: []string{"canary-7d1f"}})
	if err := s.Exchange(answer("text/html", "<p>canary-7d1f</p>")); !errors.As(err, &drop) || drop.Reason != reasons[canaryFound] {
		t.Errorf("got %v", err)
	}
	if d := s.Report().Dropped; len(d) != 1 || d[0].Count != 1 {
		t.Errorf("report %v", d)
	}
}

// A value that a name gives away in one place is replaced in the others too.
func TestKnownValuesGoEverywhere(t *testing.T) {
	s := newScrubber(t, Config{})
	const who = "Wilhelmina Featherstone"
	for _, second := range []string{`"note":"ask Wilhelmina Featherstone twice"`, `"note":"a\nWILHELMINA FEATHERSTONE\tb"`, `"url":"/find/Wilhelmina%20Featherstone"`} {
		x := post("application/json", `{"full_name":"`+who+`",`+second+`}`)
		x.Request.Target = "/people/Wilhelmina%20Featherstone"
		if err := s.Exchange(x); err != nil {
			t.Errorf("%s: %v", second, err)
		} else if got := strings.ToLower(unescape(everything(x), false)); strings.Contains(got, "featherstone") {
			t.Errorf("%s became\n%s", second, got)
		}
	}
	x := post("application/json", `{"full_name":"`+who+`","blob":"`+base64.StdEncoding.EncodeToString([]byte("--"+who+"--\x00\x01"))+`"}`)
	var drop *DropError
	if err := s.Exchange(x); !errors.As(err, &drop) || drop.Reason != reasons[leftover] {
		t.Errorf("in bytes that are no text: %v", err)
	}
	x = post("application/json", `{"city":"Berlin","title":"Berlin bag"}`)
	if err := s.Exchange(x); err != nil || !bytes.Contains(x.Request.Body.Bytes, []byte("Berlin bag")) {
		t.Errorf("a town took a product with it: %s (%v)", x.Request.Body.Bytes, err)
	}
}

// Values that were scrubbed under a key are left alone under it.
func TestTwiceIsOnce(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ field, value string }{
		{"a", "jane.doe@acme-corp.com"}, {"phone", "+49 30 901820"}, {"client_ip", "81.2.69.142"}, {"a", "2a02:8109:9a40:1a2c::7"}, {"a", "3c:5a:b4:12:34:5f"},
		{"a", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"}, {"access_token", "0123456789abcdefABCDEF"}, {"session_id", "0123456789abcdef0123456789abcdef"},
		{"a", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhdXRoMHxhYmNkZWYiLCJlbWFpbCI6ImphbmVAYWNtZS5jb20ifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"},
		{"a", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA00000000==\n-----END PRIVATE KEY-----"},
		{"a", "4012 8888 8888 1881"}, {"a", "378282246310005"}, {"ssn", "536-90-4399"}, {"iban", "DE89370400440532013000"}, {"a", "GB82 WEST 1234 5698 7654 32"},
	} {
		once := s.Shown([]string{"body", tt.field}, quoted(tt.value))
		if twice := s.Shown([]string{"body", tt.field}, once); once == quoted(tt.value) || twice != once {
			t.Errorf("%s: %s, then %s", tt.value, once, twice)
		}
	}
}

// A token stays one: its claims can be read and hold no person, and it verifies
// under the key that a build under audit may be given.
func TestWebTokensAreSignedAnew(t *testing.T) {
	s := newScrubber(t, Config{})
	enc := base64.RawURLEncoding
	in := enc.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." +
		enc.EncodeToString([]byte(`{"sub":"auth0|5f1","email":"jane@acme.com","name":"Jane Doe","exp":1764547200,"roles":["admin"],"user_id":"7"}`)) + "." +
		enc.EncodeToString(bytes.Repeat([]byte{1}, sha256.Size))
	out := s.Text(in)
	parts := strings.Split(out, ".")
	if len(parts) != 3 || parts[0] != strings.Split(in, ".")[0] {
		t.Fatalf("%s became %s", in, out)
	}
	claims, err := enc.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"auth0", "5f1", "jane", "Jane", "acme"} {
		if bytes.Contains(claims, []byte(gone)) {
			t.Errorf("%q is in %s", gone, claims)
		}
	}
	for _, stays := range []string{`"exp":1764547200`, `"roles":["admin"]`, `"user_id":"7"`, s.Text("jane@acme.com")} {
		if !bytes.Contains(claims, []byte(stays)) {
			t.Errorf("%q is not in %s", stays, claims)
		}
	}
	mac := hmac.New(sha256.New, s.TokenKey())
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if enc.EncodeToString(mac.Sum(nil)) != parts[2] {
		t.Errorf("%s does not verify", out)
	}
	if other := newScrubber(t, Config{Key: otherKey}).Text(out); other == out {
		t.Error("another key takes the token for its own")
	}
}

// What a rule of the user keeps or masks is not what was missed.
func TestRulesAreNotResidues(t *testing.T) {
	for _, action := range []Action{Keep, Mask} {
		s := newScrubber(t, Config{Rules: []Rule{{Name: "r", Keys: []string{"contact_mail", "order_number"}, Action: action}}})
		for _, body := range []string{`{"contact_mail":"jane@acme.com"}`, `{"order_number":"4111111111111111"}`, `{"order_number":"DE89370400440532013000"}`, `{"order_number":4111111111111111}`} {
			if err := s.Exchange(post("application/json", body)); err != nil {
				t.Errorf("%s %s: %v", action, body, err)
			}
		}
	}
}
