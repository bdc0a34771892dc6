package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// killed is the environment variable that makes the test binary a writer.
const killed = "SHADOWAUDIT_TEST_RECORDING"

// slack is what a busy machine may add to the age of a block.
const slack = 500 * time.Millisecond

// TestWriterProcess is no test: TestKill starts it. It writes until it is
// killed, and says after each exchange which one was written, and when.
func TestWriterProcess(t *testing.T) {
	path := os.Getenv(killed)
	if path == "" {
		t.Skip("only as a process of TestKill")
	}
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1 << 30 {
		x := numbered(i)
		x.At = time.Now()
		if err := w.Write(x); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%d %d\n", i, x.At.UnixNano())
	}
}

// numbered is an exchange that can be recognised. Some are large, so that blocks
// end by their size too.
func numbered(i int) *traffic.Exchange {
	body := strings.Repeat(strconv.Itoa(i)+" ", 50)
	if i%500 == 0 {
		b := make([]byte, 300<<10)
		rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}).Read(b)
		body = string(b)
	}
	return &traffic.Exchange{ID: strconv.Itoa(i), Request: traffic.Request{Method: "POST", Target: "/" + strconv.Itoa(i), Body: traffic.Body{Bytes: []byte(body)}}}
}

// A writer that is killed, at whatever moment, leaves a file of which everything
// can be read that is older than a block may get, and nothing that is wrong.
func TestKill(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 4 {
		after := time.Duration(r.Int64N(int64(1200 * time.Millisecond)))
		t.Run(fmt.Sprintf("%d after %v", i, after.Round(time.Millisecond)), func(t *testing.T) {
			t.Parallel()
			kill(t, filepath.Join(t.TempDir(), "day.sar"), after)
		})
	}
}

func kill(t *testing.T, path string, after time.Duration) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
	cmd.Env = append(os.Environ(), killed+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var times []int64
	var end time.Time
	for lines.Scan() {
		id, at, ok := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil || id != strconv.Itoa(len(times)) {
			break // the last line may be cut as well
		}
		if times = append(times, n); len(times) == 1 {
			timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer was not killed")
	}
	if len(times) > 0 {
		end = time.Unix(0, times[len(times)-1])
	}
	got := readKilled(t, path)
	if got > len(times)+1 { // one may be written and not be told of any more
		t.Errorf("%d exchanges were read, %d written", got, len(times))
	}
	if got < len(times) {
		lost := end.Sub(time.Unix(0, times[got]))
		if lost > blockAge+slack {
			t.Errorf("the last %v are lost", lost)
		}
		t.Logf("%d written, %d read, the last %v lost", len(times), got, lost)
	}
}

// readKilled reads a file to its end, and checks that it holds the exchanges from
// the first one on, as they were written.
func readKilled(t *testing.T, path string) (n int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for {
		x, err := in.Next()
		var damage *DamageError
		switch {
		case err == io.EOF:
			return n
		case errors.As(err, &damage) && damage.Cut: // the block that was being written
			continue
		case err != nil:
			t.Fatal(err)
		}
		if want := numbered(n); x.ID != want.ID || string(x.Request.Body.Bytes) != string(want.Request.Body.Bytes) {
			t.Fatalf("exchange %d is another one", n)
		}
		n++
	}
}
