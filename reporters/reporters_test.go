package reporters

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func fixture(t *testing.T, name string) *result.Run {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run, err := result.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestEveryKindReportsTheSameBytesTwice(t *testing.T) {
	run := fixture(t, "fail")
	for _, name := range Kinds() {
		r, err := New(name, Options{Color: true})
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := errors.Join(r.Report(&first, run), r.Report(&second, run)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if first.Len() == 0 || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two reports of a run differ", name)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	_, err := New("junti", Options{})
	if err == nil || !strings.Contains(err.Error(), "terminal, junit, json") {
		t.Errorf("the error does not name the kinds: %v", err)
	}
}

// full is a disk without room.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrorsAreReturned(t *testing.T) {
	for _, name := range Kinds() {
		r, err := New(name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Report(full{}, fixture(t, "pass")); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFunc(t *testing.T) {
	r := Func(func(w io.Writer, run *result.Run) error {
		_, err := io.WriteString(w, run.Verdict.String())
		return err
	})
	var b bytes.Buffer
	if err := r.Report(&b, &result.Run{Verdict: result.Fail}); err != nil || b.String() != "fail" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}
