//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// watcher is a stream that says when a text has gone through it.
type watcher struct {
	text string
	seen chan struct{}

	mu   sync.Mutex
	buf  bytes.Buffer
	once sync.Once
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if strings.Contains(w.buf.String(), w.text) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// A second interrupt does not wait for a target that never answers.
func TestSecondInterruptLeaves(t *testing.T) {
	arrived := make(chan struct{})
	var once sync.Once
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(arrived) })
		<-r.Context().Done()
	}))
	defer func() { srv.CloseClientConnections(); srv.Close() }()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "day.gor"), gorRecording(50, time.Second), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(dir, "x.audit.hcl")
	src := fmt.Sprintf(`
source "gor" "day" {
  path = "day.gor"
}
target "a" {
  url     = %q
  timeout = "1h"
}
audit "x" {
  source    = source.gor.day
  baseline  = target.a
  candidate = target.a
  gate "errors" {
    metric = errors.rate
    max    = "100%%"
  }
}
`, srv.URL)
	if err := os.WriteFile(spec, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	errs := &watcher{text: "Interrupted: waiting", seen: make(chan struct{})}
	var out bytes.Buffer
	c := process()
	c.stdout, c.stderr = &out, errs
	done := make(chan int)
	go func() { done <- run(context.Background(), []string{"run", spec, "--progress", "none"}, c) }()
	<-arrived
	syscall.Kill(os.Getpid(), syscall.SIGINT)
	<-errs.seen
	select {
	case code := <-done:
		t.Fatalf("the first interrupt did not wait: exit code %d\n%s", code, out.String())
	default:
	}
	syscall.Kill(os.Getpid(), syscall.SIGINT)
	if code := <-done; code != exitInterrupted || strings.Contains(out.String(), "PASS") {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
}
