package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"shadowaudit": func() { os.Exit(run(context.Background(), os.Args[1:], process())) },
	})
}

// TestScripts runs the command line as users do; each script is one behaviour.
// Services that a script names live in this process and end with it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			root, err := filepath.Abs("../..")
			e.Setenv("ROOT", root)
			e.Setenv("FIXTURES", filepath.Join(root, "testdata"))
			e.Values[services{}] = map[string]*service{}
			return err
		},
		Cmds: together(restCmds, verdictCmds, map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exitsCmd,
			"service": serviceCmd,
			"dead":    deadCmd,
			"await":   awaitCmd,
			"got":     gotCmd,
			"traffic": trafficCmd,
			"absent":  absentCmd,
			"jsonis":  jsonIsCmd,
		}),
	})
}

// exitsCmd runs a program that has to end with an exit code: exits CODE ARG...
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// services is the key under which a script keeps its services.
type services struct{}

// service is a small API whose answers depend on the request alone, with the
// faults that a script asks for.
type service struct {
	faults map[string]string
	answer []byte // what answer=FILE names
	name   string
	visits sync.Map // URI -> *atomic.Int64: how often it was asked for

	mu    sync.Mutex
	more  sync.Cond
	count int
	dumps bytes.Buffer // every request as it arrived
}

// serviceCmd starts a service and puts its URL into the variable NAME:
//
//	service NAME [fault[=value]]...
//
// Faults: value, missing, type, errors (5 % of 500s), slow=PATH, reset, cut,
// hang, echo (answers with what it was sent), answer=FILE (answers with a file,
// of the media type as=TYPE), and those of verdict_test.go.
func serviceCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := &service{faults: map[string]string{}, name: args[0]}
	s.more.L = &s.mu
	for _, f := range args[1:] {
		name, value, _ := strings.Cut(f, "=")
		s.faults[name] = value
	}
	if file, ok := s.faults["answer"]; ok {
		s.answer = []byte(ts.ReadFile(file))
	}
	srv := httptest.NewUnstartedServer(s)
	srv.Config.ErrorLog = nil
	srv.Start()
	ts.Defer(func() { srv.CloseClientConnections(); srv.Close() })
	ts.Setenv(args[0], srv.URL)
	ts.Value(services{}).(map[string]*service)[args[0]] = s
}

// deadCmd puts a URL at which nobody listens into the variable NAME.
func deadCmd(ts *testscript.TestScript, neg bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], "http://"+ln.Addr().String())
	ts.Check(ln.Close())
}

// awaitCmd waits until a service has got N requests.
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(services{}).(map[string]*service)[args[0]]
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count < n {
		s.more.Wait()
	}
}

// gotCmd writes what a service was sent to a file, and with a number checks how
// many requests there were:
//
//	got NAME FILE [N]
func gotCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(services{}).(map[string]*service)[args[0]]
	s.mu.Lock()
	defer s.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), s.dumps.Bytes(), 0o644))
	if len(args) > 2 && strconv.Itoa(s.count) != args[2] {
		ts.Fatalf("%s got %d requests, want %s", args[0], s.count, args[2])
	}
}

// absentCmd fails when any of the texts, one a line in the first file, is in
// any of the other files. It is how a script looks for leaks.
func absentCmd(ts *testscript.TestScript, neg bool, args []string) {
	planted := strings.Fields(ts.ReadFile(args[0]))
	for _, name := range args[1:] {
		content := ts.ReadFile(name)
		for _, p := range planted {
			if strings.Contains(content, p) {
				ts.Fatalf("%s holds the planted value %q", name, p)
			}
		}
	}
}

// jsonIsCmd checks a value in a JSON file: jsonis FILE path.to.value WANT.
func jsonIsCmd(ts *testscript.TestScript, neg bool, args []string) {
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	for _, key := range strings.Split(args[1], ".") {
		if i, err := strconv.Atoi(key); err == nil {
			list, _ := doc.([]any)
			if i >= len(list) {
				ts.Fatalf("%s: there is no element %d", args[1], i)
			}
			doc = list[i]
			continue
		}
		doc = doc.(map[string]any)[key]
	}
	got, err := json.Marshal(doc)
	ts.Check(err)
	text := string(got)
	if s, ok := doc.(string); ok {
		text = s
	}
	if (text == args[2]) == neg {
		ts.Fatalf("%s is %s, want %s", args[1], text, args[2])
	}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.count++
	fmt.Fprintf(&s.dumps, "%s %s\n", r.Method, r.RequestURI)
	r.Header.Write(&s.dumps)
	fmt.Fprintf(&s.dumps, "\n%s\n", body)
	s.more.Broadcast()
	s.mu.Unlock()

	has := func(fault string) bool { _, ok := s.faults[fault]; return ok }
	switch {
	case s.answer != nil:
		w.Header().Set("Content-Type", s.faults["as"])
		w.Write(s.answer)
		return
	case has("hang"):
		<-r.Context().Done()
		return
	case has("reset"):
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		return
	case has("cut"):
		conn, _, _ := w.(http.Hijacker).Hijack()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
		conn.Close()
		return
	case has("slow") && strings.HasPrefix(r.URL.Path, s.faults["slow"]):
		time.Sleep(150 * time.Millisecond)
	case has("errors") && hash(r.RequestURI)%20 == 0:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	doc := map[string]any{
		"path": r.URL.Path, "total": 1000 + hash(r.RequestURI)%1000, "currency": "EUR",
		"generated_at": time.Now().Format(time.RFC3339Nano), "nonce": rand.Uint64(),
	}
	if has("value") && hash(r.RequestURI)%3 == 0 {
		doc["total"] = 1
	}
	if has("missing") {
		delete(doc, "currency")
	}
	if has("type") {
		doc["total"] = fmt.Sprint(doc["total"])
	}
	status := s.verdictFaults(r, doc)
	if has("echo") {
		doc["echo"] = r.RequestURI + " " + string(body)
		doc["echo_headers"] = r.Header
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(doc)
}

func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h >> 7
}

// trafficCmd writes a recording of N requests, a millisecond apart:
//
//	traffic gor|gor.gz|har FILE N [spacing]
func trafficCmd(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	spacing := time.Millisecond
	if len(args) > 3 {
		spacing, err = time.ParseDuration(args[3])
		ts.Check(err)
	}
	var out []byte
	switch args[0] {
	case "gor":
		out = gorRecording(n, spacing)
	case "gor.gz":
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		z.Write(gorRecording(n, spacing))
		z.Close()
		out = buf.Bytes()
	case "har":
		out = harRecording(n, spacing)
	default:
		ts.Fatalf("unknown kind of recording %q", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out, 0o644))
}

var recordedAt = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func recordedPath(i int) string {
	return []string{
		fmt.Sprintf("/api/orders/%d", 100+i%70), fmt.Sprintf("/api/products?page=%d", i%9), "/api/cart", fmt.Sprintf("/api/users/%d/notes", 1000+i%50),
	}[i%4]
}

func gorRecording(n int, spacing time.Duration) []byte {
	var out bytes.Buffer
	for i := range n {
		at := recordedAt.Add(time.Duration(i) * spacing).UnixNano()
		fmt.Fprintf(&out, "1 %04x1f907f000001%08x %d 0\nGET %s HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\nX-Region: %s\r\n\r\n\n🐵🙈🙉\n",
			40000+i%61, i, at, recordedPath(i), []string{"eu", "us"}[i%2])
	}
	return out.Bytes()
}

func harRecording(n int, spacing time.Duration) []byte {
	type nv struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	var entries []any
	for i := range n {
		entries = append(entries, map[string]any{
			"startedDateTime": recordedAt.Add(time.Duration(i) * spacing).Format(time.RFC3339Nano), "time": 3.5,
			"request": map[string]any{"method": "GET", "url": "https://shop.example" + recordedPath(i), "httpVersion": "HTTP/1.1",
				"headers": []nv{{"Host", "shop.example"}, {"Accept", "*/*"}, {"Cookie", "theme=dark"}}, "queryString": []nv{}, "cookies": []nv{}, "headersSize": -1, "bodySize": 0},
			"response": map[string]any{"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": []nv{{"Content-Type", "application/json"}}, "cookies": []nv{},
				"content": map[string]any{"size": 2, "mimeType": "application/json", "text": "{}"}, "redirectURL": "", "headersSize": -1, "bodySize": 2},
			"cache": map[string]any{}, "timings": map[string]any{"send": 0, "wait": 3, "receive": 0.5},
		})
	}
	out, _ := json.Marshal(map[string]any{"log": map[string]any{"version": "1.2", "creator": map[string]any{"name": "test", "version": "1"}, "entries": entries}})
	return out
}
