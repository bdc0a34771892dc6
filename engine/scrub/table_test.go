package scrub

import (
	"encoding/csv"
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	s := newScrubber(t, Config{})
	for _, tt := range []struct{ name, in, gone, stays string }{
		{"commas", "id,first_name,city,price\r\n1,Wilhelmina,\"Featherstone, Upper\",2.50\r\n", "Wilhelmina Featherstone", "id,first_name,city,price\r\n1,|,2.50\r\n"},
		{"semicolons", "nr;iban_text;password\n7;DE89370400440532013000;hunter2\n", "DE89370400440532013000 hunter2", "nr;iban_text;password\n7;DE"},
		{"tabs", "a\temail\n1\tjane@acme.com\n", "jane", "a\temail\n1\t"},
		{"lines in quotes", "no,street\n1,\"1600 Amphitheatre\nParkway\"\n2,x\n", "Amphitheatre Parkway", "no,street\n1,\"|\"\n2,"},
		{"quotes in quotes", "no,full_name\n1,\"Wilhelmina \"\"Willa\"\" Feather\"\n", "Wilhelmina Willa", "no,full_name\n1,\"|\"\"|\"\" |\"\n"},
		{"no names", "4111111111111111,jane@acme.com\n1,2\n", "4111111111111111 jane@acme.com", "\n1,2\n"},
		{"more columns than names", "a\n1,jane@acme.com\n", "jane@acme.com", "a\n1,"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := answer("text/csv", tt.in)
			if err := s.Exchange(x); err != nil {
				t.Fatal(err)
			}
			got := string(x.Response.Body.Bytes)
			for _, v := range strings.Fields(tt.gone) {
				if strings.Contains(got, v) {
					t.Errorf("%q became %q", tt.in, got)
				}
			}
			for _, part := range strings.Split(tt.stays, "|") {
				if !strings.Contains(got, part) {
					t.Errorf("%q became %q, which lacks %q", tt.in, got, part)
				}
			}
		})
	}
	const plain = "sku;\"size\"\"\";n\r\n\"A;1\";  2;\r\n\r\n"
	x := answer("text/csv", plain)
	if err := s.Exchange(x); err != nil || string(x.Response.Body.Bytes) != plain {
		t.Errorf("%q became %q (%v)", plain, x.Response.Body.Bytes, err)
	}
}

// A table keeps its rows and columns.
func FuzzTable(f *testing.F) {
	f.Add("a,email\n1,jane@acme.com\n")
	f.Add("a;\"b\"\"c\";password\r\n1;\"x\ny\";\"s;e\"\n")
	f.Add("\"")
	s := newScrubber(f, Config{})
	f.Fuzz(func(t *testing.T, in string) {
		want, err := csv.NewReader(strings.NewReader(in)).ReadAll()
		x := answer("text/csv", in)
		if s.Exchange(x) != nil || err != nil || strings.ContainsAny(in, ";\t|{[\x00\ufeff\x1e") || x.Response.Body.State != 0 {
			return
		}
		got, err := csv.NewReader(strings.NewReader(string(x.Response.Body.Bytes))).ReadAll()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q became %q (%v)", in, x.Response.Body.Bytes, err)
		}
		for i := range got {
			if len(got[i]) != len(want[i]) {
				t.Fatalf("%q became %q", in, x.Response.Body.Bytes)
			}
		}
	})
}

// Whatever is in a token, what comes out has as many parts.
func FuzzWebToken(f *testing.F) {
	f.Add("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln")
	f.Add("eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImphbmVAYWNtZS5jb20ifQ.")
	f.Add("eyJhbGciOiJSU0EifQ.a.b.c.d")
	s := newScrubber(f, Config{})
	f.Fuzz(func(t *testing.T, in string) {
		if !strings.HasPrefix(in, "eyJ") || !every(in, func(b byte) bool { return isTokenByte(b) || b == '.' }) {
			return
		}
		out := s.Text(in)
		if out != redacted && strings.Count(out, ".") != strings.Count(in, ".") {
			t.Fatalf("%q became %q", in, out)
		}
		if twice := s.Text(out); twice != out && out != redacted && len(findWebTokens(in, nil)) == 1 && !strings.HasSuffix(in, ".") {
			t.Fatalf("%q, %q, %q", in, out, twice)
		}
	})
}
