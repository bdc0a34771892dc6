package result

import (
	"os/exec"
	"strings"
	"testing"
)

func TestCurl(t *testing.T) {
	for _, tt := range []struct {
		name  string
		repro Repro
		want  string
	}{
		{"plain", Repro{Method: "GET", URL: "http://127.0.0.1:8081/a"}, `curl -sS -i -H User-Agent: -H Accept: http://127.0.0.1:8081/a`},
		{"query and headers", Repro{Method: "GET", URL: "http://h/a?b=c&d=e", Headers: []Header{{"X-A", "it's"}, {"X-Empty", ""}}},
			`curl -sS -i -H 'X-A: it'\''s' -H 'X-Empty;' -H User-Agent: -H Accept: 'http://h/a?b=c&d=e'`},
		{"head", Repro{Method: "HEAD", URL: "http://h/"}, `curl -sS -i -I -H User-Agent: -H Accept: http://h/`},
		{"body", Repro{Method: "POST", URL: "http://h/", Body: NewContent([]byte(`{"a":"$(x) \n"}`), 100)}, `curl -sS -i -X POST -H User-Agent: -H Accept: -H Content-Type: --data-raw '{"a":"$(x) \n"}' http://h/`},
		{"nothing that curl reads in its own way", Repro{Method: "PUT", URL: "http://h/a/../b[1]{x}", Headers: []Header{{"accept", "*/*"}, {"User-agent", "x"}, {"content-type", "a/b"}}, Body: NewContent([]byte("@/etc/hostname"), 100)},
			`curl -sS -i -g --path-as-is -X PUT -H 'accept: */*' -H 'User-agent: x' -H 'content-type: a/b' --data-raw @/etc/hostname 'http://h/a/../b[1]{x}'`},
		{"a body that is cut", Repro{Method: "POST", URL: "http://h/", Body: NewContent([]byte("abc"), 2)}, ""},
		{"a body that is no text", Repro{Method: "POST", URL: "http://h/", Body: NewContent([]byte{0xff, 0}, 10)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.repro.Curl(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A shell takes a line apart into the words that were meant.
func TestCurlWordsSurviveAShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("sh is not installed")
	}
	for _, word := range []string{"a", "", "it's", "$(touch x)", "`id`", "a\\b", "\"", "two\nlines", "€ ü", "!!", "*", "'", "''"} {
		out, err := exec.Command(sh, "-c", "printf %s "+quoted(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q became %q: %v", word, out, err)
		}
	}
}

func TestNewContent(t *testing.T) {
	for _, tt := range []struct {
		body  string
		limit int
		want  Content
	}{
		{"", 4, Content{}},
		{"abcd", 4, Content{Text: "abcd", Size: 4}},
		{"abcde", 4, Content{Text: "abcd", Cut: true, Size: 5}},
		{"abcé", 4, Content{Text: "abc", Cut: true, Size: 5}},
		{"ab€", 4, Content{Text: "ab", Cut: true, Size: 5}},
		{"\xff\xfe", 4, Content{Text: "//4=", Base64: true, Size: 2}},
	} {
		if got := NewContent([]byte(tt.body), tt.limit); got != tt.want {
			t.Errorf("%q: %+v", tt.body, got)
		}
	}
	if s := NewContent([]byte(strings.Repeat("é", 10)), 7); s.Text != "ééé" {
		t.Errorf("%q", s.Text)
	}
}
