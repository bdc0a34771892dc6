package source

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

var _ Source = Func(nil)

func TestFunc(t *testing.T) {
	want := &traffic.Exchange{ID: "7"}
	got, err := Func(func(context.Context) (*traffic.Exchange, error) { return want, io.EOF }).Next(context.Background())
	if got != want || err != io.EOF {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestJournalKeepsTheFirst(t *testing.T) {
	var j Journal
	for i := range maxWarnings + 5 {
		j.Warn("a.gor", int64(i), "odd")
	}
	ws := j.Warnings()
	if len(ws) != maxWarnings+1 || ws[0].String() != "a.gor: byte 0: odd" || ws[maxWarnings].String() != "5 more warnings about the recording" {
		t.Errorf("%d warnings: %v", len(ws), ws)
	}
	if s := (Warning{File: "a", Offset: -1, Text: "odd"}).String(); s != "a: odd" {
		t.Errorf("got %q", s)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a_10.gor", "a_2.gor", "[x].gor", "b.gor"} {
		if err := os.WriteFile(at(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(at("a_dir.gor"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		patterns []string
		want     []string
		missing  bool
		fails    bool
	}{
		{"a path", []string{"b.gor"}, []string{"b.gor"}, false, false},
		{"a glob leaves out directories", []string{"a_*.gor"}, []string{"a_10.gor", "a_2.gor"}, false, false},
		{"each file once", []string{"b.gor", "*.gor", "./b.gor"}, []string{"b.gor", "[x].gor", "a_10.gor", "a_2.gor"}, false, false},
		{"a literal name with brackets", []string{"[x].gor"}, []string{"[x].gor"}, false, false},
		{"no file", []string{"c.gor"}, nil, true, true},
		{"no match", []string{"b.gor", "c*.gor"}, nil, true, true},
		{"only a directory matches", []string{"a_d*"}, nil, true, true},
		{"a directory", []string{"a_dir.gor"}, nil, false, true},
		{"a bad glob", []string{"[.gor*"}, nil, false, true},
		{"nothing", nil, nil, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var patterns, want []string
			for _, p := range tt.patterns {
				patterns = append(patterns, dir+"/"+p)
			}
			for _, w := range tt.want {
				want = append(want, at(w))
			}
			got, err := Files(patterns)
			if !slices.Equal(got, want) || (err != nil) != tt.fails || errors.Is(err, fs.ErrNotExist) != tt.missing {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

func TestFileIsDecompressed(t *testing.T) {
	const text = "1 a 2 3\nGET / HTTP/1.1\r\n\r\n"
	var gz, zl bytes.Buffer
	g := gzip.NewWriter(&gz)
	io.WriteString(g, text)
	g.Close()
	z := zlib.NewWriter(&zl)
	io.WriteString(z, text)
	z.Close()
	damaged := bytes.Clone(gz.Bytes())
	damaged[len(damaged)-6] ^= 0xff // in the checksum
	for _, tt := range []struct {
		name string
		raw  string
		want string
		cut  bool
	}{
		{"plain", text, text, false},
		{"empty", "", "", false},
		{"one byte", "1", "1", false},
		{"gzip", gz.String(), text, false},
		{"gzip twice", gz.String() + gz.String(), text + text, false},
		{"zlib", zl.String(), text, false},
		{"cut in the header", gz.String()[:5], "", true},
		{"header alone", gz.String()[:10], "", true},
		{"cut at the end", gz.String()[:gz.Len()-1], text, true},
		{"wrong checksum", string(damaged), text, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(name, []byte(tt.raw), 0o600); err != nil {
				t.Fatal(err)
			}
			meter := NewMeter([]string{name})
			f, err := OpenFile(name, meter)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := io.ReadAll(f)
			if err != nil || string(got) != tt.want || f.Cut() != tt.cut {
				t.Errorf("got %q, %v, cut %v; want %q, cut %v", got, err, f.Cut(), tt.want, tt.cut)
			}
			if n, err := f.Read(make([]byte, 8)); n != 0 || err != io.EOF {
				t.Errorf("after the end: %d, %v", n, err)
			}
			if done, total := meter.Progress(); done != int64(len(tt.raw)) || done != total {
				t.Errorf("progress %d of %d, file has %d", done, total, len(tt.raw))
			}
		})
	}
}

func TestDiskErrorIsNotACut(t *testing.T) {
	f, err := OpenFile(t.TempDir(), nil) // a directory opens, but cannot be read
	if err != nil {
		t.Skip("directories cannot be opened here")
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 8)); err == nil || err == io.EOF || f.Cut() {
		t.Errorf("error %v, cut %v", err, f.Cut())
	}
}

// numbers is a stream of times.
type numbers struct {
	name   string
	times  []int64
	closed *[]string
	i      int
}

func (n *numbers) Advance(context.Context) error {
	if n.i == len(n.times) {
		return io.EOF
	}
	n.i++
	return nil
}
func (n *numbers) Time() int64  { return n.times[n.i-1] }
func (n *numbers) Close() error { *n.closed = append(*n.closed, n.name); return nil }

func TestMerge(t *testing.T) {
	var opened, closed []string
	part := func(name string, first int64, times ...int64) Part[*numbers] {
		return Part[*numbers]{First: first, Open: func() (*numbers, error) {
			opened = append(opened, name)
			return &numbers{name: name, times: times, closed: &closed}, nil
		}}
	}
	m := NewMerge([]Part[*numbers]{
		part("late", 9, 9, 10),
		part("a", 1, 1, 4, 5),
		part("b", 1, 1, 3, 2, 5),
		part("empty", 4),
	})
	var got []string
	for {
		s, err := m.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(s.name, s.Time()))
		if len(got) == 1 && slices.Contains(opened, "late") {
			t.Error("opened before its time")
		}
	}
	if want := "a1 b1 b3 b2 a4 a5 b5 late9 late10"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if slices.Sort(closed); strings.Join(closed, " ") != "a b empty late" {
		t.Errorf("closed %v", closed)
	}
}

func TestMergeEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	var closed []string
	m := NewMerge([]Part[*numbers]{
		{First: 1, Open: func() (*numbers, error) {
			return &numbers{name: "a", times: []int64{1, 5}, closed: &closed}, nil
		}},
		{First: 3, Open: func() (*numbers, error) { return nil, broken }},
	})
	if _, err := m.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Next(context.Background()); err != broken {
		t.Errorf("error %v", err)
	}
	if err := m.Close(); err != nil || len(closed) != 1 {
		t.Errorf("closed %v, %v", closed, err)
	}
}
