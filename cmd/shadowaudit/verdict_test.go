package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shadowaudit/shadowaudit/engine/bundle"
)

// verdictCmds are what scripts about verdicts can say.
var verdictCmds = map[string]func(*testscript.TestScript, bool, []string){
	"fewer":     fewerCmd,
	"sameas":    sameAsCmd,
	"sent":      sentCmd,
	"edit":      editCmd,
	"reproduce": reproduceCmd,
	"unpack":    unpackCmd,
}

// chance is a number for one answer: another one each time that a request comes,
// and the same ones in every run of a test, in which a coin would fall badly now
// and then.
func (s *service) chance(uri string) uint64 {
	visits, _ := s.visits.LoadOrStore(uri, new(atomic.Int64))
	return hash(fmt.Sprint(s.name, uri, visits.(*atomic.Int64).Add(1)))
}

// verdictFaults are the faults about which verdicts can go wrong; it returns the
// status of the answer.
//
//	steady      no member of the answer is another one each time
//	noisy[=N]   .served_by is now a, now b, b in one answer of N (2)
//	drift       .served_by is a number
//	bug         .total is wrong in every answer
//	gone        a status 404 in place of every 200, with other members
//	status=N    every answer has this status
//	picky=NAME  .total is wrong where the query has the parameter NAME
//	long=N      .total is wrong where the query has at least N parameters
func (s *service) verdictFaults(r *http.Request, doc map[string]any) (status int) {
	status = http.StatusOK
	for fault, value := range s.faults {
		switch fault {
		case "steady":
			delete(doc, "generated_at")
			delete(doc, "nonce")
		case "noisy":
			n, _ := strconv.Atoi(value)
			doc["served_by"] = "a"
			if s.chance(r.RequestURI)%uint64(max(n, 2)) == 0 {
				doc["served_by"] = "b"
			}
		case "drift":
			doc["served_by"] = 7
		case "bug":
			doc["total"] = 1
		case "gone":
			status = http.StatusNotFound
			doc["error"], doc["error_code"] = "gone", 17
		case "status":
			status, _ = strconv.Atoi(value)
		case "picky":
			if r.URL.Query().Has(value) {
				doc["total"] = 1
			}
		case "long":
			if n, _ := strconv.Atoi(value); len(r.URL.Query()) >= n {
				doc["total"] = 1
			}
		}
	}
	return status
}

// valueAt finds a value in a JSON file: 0.audits.name.
func valueAt(ts *testscript.TestScript, file, path string) any {
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &doc))
	for _, key := range strings.Split(path, ".") {
		switch in := doc.(type) {
		case []any:
			i, err := strconv.Atoi(key)
			ts.Check(err)
			if i >= len(in) {
				ts.Fatalf("%s: %s: there is no element %d", file, path, i)
			}
			doc = in[i]
		case map[string]any:
			doc = in[key]
		default:
			ts.Fatalf("%s: %s: there is no %s", file, path, key)
		}
	}
	return doc
}

// fewerCmd checks that a number in a JSON file is below another: fewer FILE
// path.to.value N.
func fewerCmd(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	got, ok := valueAt(ts, args[0], args[1]).(float64)
	if !ok || got < limit == neg {
		ts.Fatalf("%s is %v", args[1], got)
	}
}

// sentCmd checks how many requests a service got: sent NAME LEAST MOST.
func sentCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(services{}).(map[string]*service)[args[0]]
	least, err := strconv.Atoi(args[1])
	ts.Check(err)
	most, err := strconv.Atoi(args[2])
	ts.Check(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count < least || s.count > most {
		ts.Fatalf("%s got %d requests", args[0], s.count)
	}
}

// sameAsCmd sets a variable to a value in a JSON file: sameas NAME FILE
// path.to.value.
func sameAsCmd(ts *testscript.TestScript, neg bool, args []string) {
	text, ok := valueAt(ts, args[1], args[2]).(string)
	if !ok {
		ts.Fatalf("%s is no text", args[2])
	}
	ts.Setenv(args[0], text)
}

// editCmd replaces text in a file: edit FILE REGEXP TEXT. It has to be there.
func editCmd(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	old := ts.ReadFile(args[0])
	if !re.MatchString(old) {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(re.ReplaceAllString(old, args[2])), 0o644))
}

// unpackCmd writes the document in a bundle to a file: unpack BUNDLE FILE.
func unpackCmd(ts *testscript.TestScript, neg bool, args []string) {
	run, err := bundle.Read(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(run.Write(f))
	ts.Check(f.Close())
}

// reproduceCmd runs the line "again" of every difference that has one as a shell
// would, and checks the answer: reproduce RESULT TEXT... Each answer has to hold
// all of the texts.
func reproduceCmd(ts *testscript.TestScript, neg bool, args []string) {
	if _, err := exec.LookPath("curl"); err != nil {
		return
	}
	lines := regexp.MustCompile(`(?m)^      (?:again|smallest)   +(curl .*)$`).FindAllStringSubmatch(ts.ReadFile(args[0]), -1)
	if len(lines) == 0 {
		ts.Fatalf("%s says nowhere how to see it again", args[0])
	}
	for _, line := range lines {
		out, err := exec.Command("sh", "-c", line[1]).CombinedOutput()
		if err != nil {
			ts.Fatalf("%s: %v\n%s", line[1], err, out)
		}
		missing := slices.ContainsFunc(args[1:], func(text string) bool { return !strings.Contains(string(out), text) })
		if missing != neg {
			ts.Fatalf("%s answers\n%s", line[1], out)
		}
	}
}
