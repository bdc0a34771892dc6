package middleware

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/recording"
)

// What a recorder writes into a file is scrubbed, and can be read.
func TestFileIsScrubbed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.sar")
	rec, err := New(Config{File: path})
	if err != nil {
		t.Fatal(err)
	}
	h := rec.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	req := httptest.NewRequest("POST", "/a?mail=jane.roe%40corp.test", strings.NewReader(`{"mail":"jane.roe@corp.test"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer abcdefghijklmnop")
	req.Header.Set("X-Request-Id", "jane.roe@corp.test")
	h.ServeHTTP(httptest.NewRecorder(), req)
	binary := httptest.NewRequest("POST", "/b", bytes.NewReader([]byte{0xff, 0xfe, 0, 1}))
	binary.Header.Set("Content-Type", "application/octet-stream")
	h.ServeHTTP(httptest.NewRecorder(), binary)
	if err := rec.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := rec.Stats(); s.Seen != 2 || s.Sent != 1 || s.Withheld != 1 || rec.memory.taken.Load() != 0 {
		t.Errorf("%+v", s)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := recording.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	all := string(recording.AppendExchange(nil, x))
	for _, secret := range []string{"jane", "abcdefghijklmnop", "192.0.2.1:1234"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is in the recording", secret)
		}
	}
	if _, err := r.Next(); err != io.EOF || !r.Closed() {
		t.Error(err, r.Closed())
	}
}
