package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/shadowaudit/shadowaudit/engine/source/middleware"
)

// A service writes a scrubbed recording of what it answers.
func Example() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)

	rec, err := middleware.New(middleware.Config{File: filepath.Join(dir, "traffic.sar")})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(rec.Handler(http.NotFoundHandler()))
	http.Get(server.URL + "/orders/7")
	server.Close()

	fmt.Println(rec.Close(context.Background()), rec.Stats().Sent)
	// Output: <nil> 1
}
