package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/shadowaudit/shadowaudit/"

// rooms says who may import whom inside the module: the first rule whose
// prefix fits a package holds for it. A name that ends in /... stands for
// everything below it as well. Test files may import what they like.
var rooms = []struct {
	pkg string
	may []string
}{
	{"cmd/shadowaudit/demo/...", []string{"cmd/shadowaudit/demo"}},
	{"cmd/...", []string{"cmd/shadowaudit/demo", "engine", "engine/access", "engine/bundle", "engine/plan", "engine/preview", "engine/draft", "engine/fixture", "engine/record", "engine/result", "lang", "lang/diag", "lang/format", "lang/reference", "lang/schema", "lang/jq", "lang/pos", "reporters/..."}},
	{"reporters/...", []string{"engine/result", "lang/pos", "reporters/..."}},

	{"lang/pos", nil},
	{"lang/jq", nil},
	{"lang/schema", nil},
	{"lang/format", nil},
	{"lang/reference", []string{"lang/diag", "lang/schema"}},
	{"lang/generate", []string{"lang/reference"}},
	{"lang/diag", []string{"lang/pos"}},
	{"lang", []string{"lang/..."}},

	{"engine", []string{"engine/...", "lang/pos"}},
	{"engine/plan", []string{"engine/...", "lang", "lang/jq", "lang/pos"}},
	{"engine/intake", []string{"engine/..."}},
	{"engine/preview", []string{"engine/...", "lang/jq", "lang/pos"}},
	{"engine/draft", []string{"engine/...", "lang/jq"}},
	{"engine/record", []string{"engine/..."}},
	{"engine/fixture", []string{"engine/..."}},
	{"engine/access", nil},
	{"engine/bundle", []string{"engine/recording", "engine/result"}},
	// the vocabulary
	{"engine/traffic", nil},
	{"engine/result", []string{"lang/pos"}},
	{"engine/http1", []string{"engine/traffic"}},
	{"engine/content", []string{"engine/traffic"}},
	{"engine/document", []string{"engine/traffic", "engine/content", "lang/jq"}},
	// the stages, which never see each other
	{"engine/source", stage},
	{"engine/source/recording", append([]string{"engine/source", "engine/recording"}, stage...)},
	{"engine/source/gortcp", append([]string{"engine/source", "engine/source/gor"}, stage...)},
	{"engine/source/message", append([]string{"engine/source", "engine/source/gor"}, stage...)},
	{"engine/source/mirror", append([]string{"engine/source", "engine/source/accesslog"}, stage...)},
	{"engine/source/kafka", append([]string{"engine/source", "engine/source/message"}, stage...)},
	{"engine/source/nats", append([]string{"engine/source", "engine/source/message"}, stage...)},
	{"engine/source/envoy", []string{"engine/http1", "engine/traffic"}},
	{"engine/source/envoy/envoytest", nil},
	{"engine/source/envoytap", append([]string{"engine/source", "engine/source/envoy"}, stage...)},
	{"engine/source/extproc", append([]string{"engine/source", "engine/source/envoy"}, stage...)},
	{"engine/source/nic", append([]string{"engine/source", "engine/source/packet"}, stage...)},
	{"engine/source/pcap", append([]string{"engine/source", "engine/source/packet"}, stage...)},
	{"engine/source/vxlan", append([]string{"engine/source", "engine/source/packet"}, stage...)},
	// what a service links: it scrubs and records by itself
	{"engine/source/middleware", append([]string{"engine/recording", "engine/scrub", "engine/source/middleware/wire"}, stage...)},
	{"engine/source/middleware/wire", append([]string{"engine/recording"}, stage...)},
	{"engine/source/middleware/receive", append([]string{"engine/source", "engine/source/middleware/wire"}, stage...)},
	{"engine/judge/stat", nil},
	{"engine/judge", append([]string{"engine/judge/stat"}, stage...)},
	{"engine/source/...", append([]string{"engine/source"}, stage...)},
	{"engine/...", stage},
}

var stage = []string{"engine/traffic", "engine/result", "engine/http1", "engine/content", "engine/document", "lang/jq", "lang/pos"}

// standardOnly are the packages that need nothing but the standard library.
var standardOnly = []string{"lang/pos", "engine/traffic", "engine/result", "engine/judge/stat"}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rooms, func(r struct {
			pkg string
			may []string
		}) bool {
			return fits(r.pkg, name)
		})
		if i < 0 {
			t.Errorf("%s has no room in the house", name)
			continue
		}
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, module)
			if !ok {
				if slices.Contains(standardOnly, name) && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
					t.Errorf("%s imports %s; it is to need the standard library only", name, imp)
				}
				if strings.HasPrefix(imp, "github.com/hashicorp/hcl") && name != "lang" && !strings.HasPrefix(name, "lang/") {
					t.Errorf("%s imports %s; only lang knows HCL", name, imp)
				}
				if imp == "net" && strings.HasPrefix(name, "lang") {
					t.Errorf("%s imports %s; lang knows no network", name, imp)
				}
				continue
			}
			if !slices.ContainsFunc(rooms[i].may, func(m string) bool { return fits(m, ours) }) {
				t.Errorf("%s may not import %s", name, ours)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// fits reports whether name is pattern, or below it where that ends in /...
func fits(pattern, name string) bool {
	prefix, all := strings.CutSuffix(pattern, "/...")
	return name == prefix || all && strings.HasPrefix(name, prefix+"/")
}
