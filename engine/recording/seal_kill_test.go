package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"filippo.io/age"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// killedSealed and killedFor are the environment variables that make the test
// binary a writer of an encrypted recording.
const (
	killedSealed = "SHADOWAUDIT_TEST_SEALED"
	killedFor    = "SHADOWAUDIT_TEST_RECIPIENT"
	killedBody   = 5000 // bytes of each body
)

// TestSealedWriterProcess is no test: TestSealKill starts it. It writes blocks
// of one exchange until it is killed, and says so after each.
func TestSealedWriterProcess(t *testing.T) {
	path := os.Getenv(killedSealed)
	if path == "" {
		t.Skip("only as a process of TestSealKill")
	}
	to, err := age.ParseX25519Recipient(os.Getenv(killedFor))
	if err != nil {
		t.Fatal(err)
	}
	w, err := CreateSealed(path, []Recipient{to})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1 << 30 {
		x := &traffic.Exchange{ID: strconv.Itoa(i), Request: traffic.Request{Method: "GET", Target: "/", Body: traffic.Body{Bytes: noise(i, killedBody)}}}
		if err := errors.Join(w.Write(x), w.Flush()); err != nil {
			t.Fatal(err)
		}
		fmt.Println(i)
	}
}

// Of an encrypted recording whose writer is killed all can be read but what age
// had not encrypted yet, which is less than 64 KiB.
func TestSealKill(t *testing.T) {
	const told = 200
	id, ids := keys(t)
	path := filepath.Join(t.TempDir(), "day.sar")
	cmd := exec.Command(os.Args[0], "-test.run=^TestSealedWriterProcess$")
	cmd.Env = append(os.Environ(), killedSealed+"="+path, killedFor+"="+id.Recipient().String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != strconv.Itoa(told); {
	}
	cmd.Process.Kill()
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer was not killed")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u, err := Unseal(f, ids)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(u)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for {
		x, err := r.Next()
		var d *DamageError
		if errors.As(err, &d) && d.Cut {
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil || x.ID != strconv.Itoa(n) || len(x.Request.Body.Bytes) != killedBody {
			t.Fatalf("exchange %d: %+v %v", n, x, err)
		}
		n++
	}
	if least := told + 1 - (64<<10)/killedBody - 1; n < least || !u.Cut() {
		t.Errorf("%d exchanges can be read, want %d at least; cut %v", n, least, u.Cut())
	}
}
