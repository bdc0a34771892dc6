package recording

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	format "github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// record makes a recording with an exchange at each of the seconds, two in a
// block, every other one with a response.
func record(t testing.TB, seconds ...int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range seconds {
		x := &traffic.Exchange{Source: "other", At: noon.Add(time.Duration(s) * time.Second), Request: traffic.Request{Method: "GET", Target: fmt.Sprintf("/%d", s)}}
		if i%2 == 0 {
			x.Response = &traffic.Response{Status: 200}
		}
		if err := w.Write(x); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// open reads files that hold the given bytes.
func open(t testing.TB, files ...[]byte) (*Reader, error) {
	t.Helper()
	dir := t.TempDir()
	for i, b := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.sar", i)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Open(Config{Name: "day", Paths: []string{filepath.Join(dir, "*.sar")}})
}

func all(t testing.TB, r *Reader) []string {
	t.Helper()
	var targets []string
	for {
		x, err := r.Next(context.Background())
		if err == io.EOF {
			return targets
		}
		if err != nil {
			t.Fatal(err)
		}
		if x.Source != "day" {
			t.Errorf("source %q", x.Source)
		}
		targets = append(targets, x.Request.Target)
	}
}

func TestRead(t *testing.T) {
	damaged := record(t, 1, 2, 3, 4)
	damaged[70] ^= 1 // in the payload of the first block
	unnumbered := record(t, 1, 2, 3, 4)
	unnumbered[20] ^= 1 // in the header of the first block
	whole := record(t, 1, 2)
	for _, tt := range []struct {
		name    string
		files   [][]byte
		want    string
		counts  source.Counts
		warning string // "" for none
	}{
		{"one", [][]byte{record(t, 1, 2)}, "/1 /2", source.Counts{Read: 2, Paired: 1, Records: 2}, ""},
		{"none", [][]byte{record(t)}, "", source.Counts{}, ""},
		{"interleaved", [][]byte{record(t, 1, 4), record(t, 2, 3, 5)}, "/1 /2 /3 /4 /5", source.Counts{Read: 5, Paired: 3, Records: 5}, ""},
		{"zipped", [][]byte{zipped(record(t, 1, 2))}, "/1 /2", source.Counts{Read: 2, Paired: 1, Records: 2}, ""},
		{"damaged payload", [][]byte{damaged}, "/3 /4", source.Counts{Read: 2, Paired: 1, Records: 4, Malformed: 2}, "does not fit its checksum"},
		{"damaged header", [][]byte{unnumbered}, "/3 /4", source.Counts{Read: 2, Paired: 1, Records: 3, Malformed: 1}, "damaged, left out"},
		{"killed between blocks", [][]byte{whole[:bytes.LastIndex(whole[:len(whole)-60], []byte("SABk"))]}, "/1 /2", source.Counts{Read: 2, Paired: 1, Records: 2}, "not closed"},
		{"killed in a block", [][]byte{whole[:80]}, "", source.Counts{Records: 2, Malformed: 2, Truncated: 1}, "unfinished"},
		{"zipped and cut", [][]byte{zipped(whole)[:20]}, "", source.Counts{}, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := open(t, tt.files...)
			if tt.warning == "-" {
				if !errors.Is(err, ErrNotRecording) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := strings.Join(all(t, r), " "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if r.Counts() != tt.counts {
				t.Errorf("%+v, want %+v", r.Counts(), tt.counts)
			}
			text := fmt.Sprint(r.Warnings())
			if tt.warning == "" && len(r.Warnings()) > 0 || !strings.Contains(text, tt.warning) {
				t.Errorf("warnings %s, want %q", text, tt.warning)
			}
			if done, total := r.Progress(); done != total || total == 0 {
				t.Errorf("%d of %d bytes", done, total)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := open(t); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := open(t, []byte("dear diary")); !errors.Is(err, ErrNotRecording) {
		t.Error(err)
	}
	if _, err := open(t, nil); !errors.Is(err, ErrNotRecording) {
		t.Error(err)
	}
}

func TestCancelAndClose(t *testing.T) {
	r, err := open(t, record(t, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Next(context.Background()); err == nil {
		t.Error("read after close")
	}
}

// FuzzCounts holds the law of the counters for files of any kind.
func FuzzCounts(f *testing.F) {
	file := record(f, 1, 2, 3)
	f.Add(file)
	f.Add(file[:len(file)-30])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := open(t, b)
		if err != nil {
			return
		}
		defer r.Close()
		n := int64(len(all(t, r)))
		c := r.Counts()
		if c.Read != n || c.Paired > c.Read || c.Records != c.Read+c.Malformed {
			t.Errorf("%d exchanges, %+v", n, c)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	seconds := make([]int, 50000)
	file := record(b, seconds...)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		r, err := open(b, file)
		if err != nil {
			b.Fatal(err)
		}
		all(b, r)
		r.Close()
	}
}
