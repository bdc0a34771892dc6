package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// restCmds are what scripts about traffic at rest can say.
var restCmds = map[string]func(*testscript.TestScript, bool, []string){
	"answered": answeredCmd,
	"keypair":  keypairCmd,
	"private":  privateCmd,
	"logged":   loggedCmd,
}

// answeredCmd writes a recording of N requests, each with the same answer of
// JSON: answered FILE N ANSWER.
func answeredCmd(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	body := strings.TrimSpace(ts.ReadFile(args[2]))
	var out bytes.Buffer
	for i := range n {
		at := recordedAt.Add(time.Duration(i) * time.Millisecond).UnixNano()
		fmt.Fprintf(&out, "1 %04x1f907f000001%08x %d 0\nGET %s HTTP/1.1\r\nHost: shop.example\r\n\r\n\n🐵🙈🙉\n", 40000+i%61, i, at, recordedPath(i))
		fmt.Fprintf(&out, "2 %04x1f907f000001%08x %d 1000\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Fri, 20 Nov 2026 09:18:16 GMT\r\nContent-Length: %d\r\n\r\n%s\n🐵🙈🙉\n",
			40000+i%61, i, at+500_000, len(body), body)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o644))
}

// keypairCmd makes an age key pair: keypair IDENTITY RECIPIENT.
func keypairCmd(ts *testscript.TestScript, neg bool, args []string) {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(id.String()+"\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(id.Recipient().String()+"\n"), 0o644))
}

// privateCmd checks that only their owner may read files: private FILE...
func privateCmd(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if mode := info.Mode().Perm(); mode != 0o600 {
			ts.Fatalf("%s has the mode %v", name, mode)
		}
	}
}

// loggedCmd checks the lines of an access log: logged LOG COMMAND:ACTION:FILE...
func loggedCmd(ts *testscript.TestScript, neg bool, args []string) {
	var got []string
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var e struct{ Time, User, Host, Command, Action, Path, Recording, Purpose string }
		ts.Check(json.Unmarshal([]byte(line), &e))
		if e.Time == "" || e.User == "" || e.Host == "" || e.Recording == "" || e.Purpose == "" || !filepath.IsAbs(e.Path) {
			ts.Fatalf("a line of %s is not complete: %s", args[0], line)
		}
		got = append(got, e.Command+":"+e.Action+":"+filepath.Base(e.Path))
	}
	if !slices.Equal(got, args[1:]) {
		ts.Fatalf("%s has the lines\n%s", args[0], strings.Join(got, "\n"))
	}
}

// together joins tables of commands.
func together(tables ...map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*testscript.TestScript, bool, []string){}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}
