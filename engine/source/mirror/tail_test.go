package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTail does to a log what happens to logs, a step at a time, and looks at it
// after each.
func TestTail(t *testing.T) {
	write := func(name, text string) func(*testing.T) {
		return func(t *testing.T) {
			f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.WriteString(text)
		}
	}
	move := func(from, to string) func(*testing.T) {
		return func(t *testing.T) {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	cut := func(t *testing.T) {
		if err := os.Truncate("log", 0); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("x", maxLine+1)
	for _, tt := range []struct {
		name   string
		before string // "-": there is no log
		steps  []func(*testing.T)
		want   []string
	}{
		{"grows", "old\n", []func(*testing.T){write("log", "a\nb"), write("log", "c\r\n\n"), write("log", "d")}, []string{"a", "bc"}},
		{"begins in a line", "old", []func(*testing.T){write("log", "er\na\n")}, []string{"a"}},
		{"empty at first", "", []func(*testing.T){write("log", "a\n")}, []string{"a"}},
		{"not there at first", "-", []func(*testing.T){func(*testing.T) {}, write("log", "a\n"), write("log", "b\n")}, []string{"a", "b"}},
		{"renamed", "", []func(*testing.T){
			write("log", "a\n"), move("log", "log.1"), write("log.1", "b\n"), write("log", "c\n"), write("log.1", "d"), write("log", "e\n"), write("log.1", "f\n"),
		}, []string{"a", "b", "c", "e", "df"}},
		{"renamed before a look", "", []func(*testing.T){
			func(t *testing.T) { write("log", "a\n")(t); move("log", "log.1")(t); write("log", "b\n")(t) },
		}, []string{"a", "b"}},
		{"copied and truncated", "old\nold\n", []func(*testing.T){write("log", "a\nhalf"), cut, write("log", "b\n")}, []string{"a", "b"}},
		{"truncated and written", "old\nold\n", []func(*testing.T){func(t *testing.T) { cut(t); write("log", "a\n")(t) }}, []string{"a"}},
		{"a hole of a writer that does not append", "", []func(*testing.T){write("log", "\x00\x00\x00a\n")}, []string{"a"}},
		{"too long a line", "", []func(*testing.T){write("log", long), write("log", long+"\na\n"), write("log", long+"\nb\n")}, []string{"a", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if tt.before != "-" {
				write("log", tt.before)(t)
			}
			tail, err := openTail("log")
			if err != nil {
				t.Fatal(err)
			}
			defer tail.close()
			var got []string
			for _, step := range tt.steps {
				step(t)
				if err := tail.look(time.Now(), func(line []byte) { got = append(got, string(line)) }); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTailLetsGoOfOldFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	tail, err := openTail(path)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.close()
	now := time.Now()
	look := func() {
		if err := tail.look(now, func([]byte) {}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 * maxFollow {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		look()
		if err := os.Rename(path, fmt.Sprint(path, n)); err != nil {
			t.Fatal(err)
		}
		look()
	}
	if n := len(tail.files); n > maxFollow+1 {
		t.Errorf("%d files are open", n)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	look()
	now = now.Add(linger + time.Second)
	look()
	if n := len(tail.files); n != 1 {
		t.Errorf("%d files are open long after", n)
	}
}

func TestTailErrors(t *testing.T) {
	if _, err := openTail(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if _, err := Open(Config{Listen: "127.0.0.1:0", Log: Log{Path: "x", Format: "w3c"}}); err == nil || !strings.Contains(err.Error(), "access log") {
		t.Error(err)
	}
}
