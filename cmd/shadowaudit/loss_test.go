//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/source/packet/wire"
)

// gappy is a capture of n exchanges, of which one in four has lost packets of
// its response.
func gappy(n int) []byte {
	var frames []wire.Frame
	for i := range n {
		w := wire.New()
		w.Port += uint16(i)
		w.Now += int64(i) * 1e6
		w.Dial().Send(wire.Client, wire.Get(fmt.Sprintf("/api/orders/%d", i)))
		body := wire.OK(strings.Repeat("a", 300))
		if i%4 == 0 {
			w.Send(wire.Server, body[:100]).Lose(wire.Server, 100).Send(wire.Server, body[200:])
		} else {
			w.Send(wire.Server, body)
		}
		frames = append(frames, w.HangUp().Frames...)
	}
	return wire.Classic(frames, 1)
}

// orphaned is a file of GoReplay with n requests, and a response for every
// fourth whose request is missing.
func orphaned(n int) []byte {
	out := bytes.NewBuffer(gorRecording(n, 1e6))
	for i := range n / 4 {
		fmt.Fprintf(out, "2 %04x1f907f000001%08x %d 1000\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\n🐵🙈🙉\n", 50000, i, recordedAt.UnixNano())
	}
	return out.Bytes()
}

// TestMaxLoss: what a source lost counts against max_loss. Gaps and orphans,
// which may be nothing at all, do so where somebody set it.
func TestMaxLoss(t *testing.T) {
	sound := api(t, false).URL
	for _, tt := range []struct {
		name, kind string
		content    []byte
		arguments  string
		code       int
		says       string
	}{
		{"gaps, no limit", "pcap", gappy(40), "", exitPass, "10 gaps"},
		{"gaps", "pcap", gappy(40), "max_loss = \"5%\"", exitInconclusive, "20% of the traffic was lost before it could be sent, over max_loss 5%: 10 gaps"},
		{"gaps fail", "pcap", gappy(40), "max_loss = \"5%\"\n  on_loss = fail", exitFail, "over max_loss 5%: 10 gaps"},
		{"gaps allowed", "pcap", gappy(40), "max_loss = \"25%\"", exitPass, "10 gaps"},
		{"orphans, no limit", "gor", orphaned(40), "", exitPass, "10 responses without request"},
		{"orphans", "gor", orphaned(40), "max_loss = \"1%\"", exitInconclusive, "20% of the traffic was lost before it could be sent, over max_loss 1%: 10 responses without a request"},
		{"orphans fail", "gor", orphaned(40), "max_loss = \"1%\"\n  on_loss = fail", exitFail, "10 responses without a request"},
		{"nothing lost", "gor", gorRecording(40, 1e6), "max_loss = \"0%\"\n  on_loss = fail", exitPass, "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "day")
			if err := os.WriteFile(path, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			report := filepath.Join(dir, "result.json")
			source := fmt.Sprintf("source %q \"day\" {\n  path = %q\n  %s\n}\n", tt.kind, path, tt.arguments)
			code, out, errs := inProcess("run", liveSpec(t, source, sound, sound, patient), "--progress", "none", "--report", "json="+report)
			if code != tt.code || !strings.Contains(strings.Join(strings.Fields(out), " "), tt.says) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, tt.code, tt.says, out, errs)
			}
			if a := readResult(t, report); a.Outcomes.Matched != a.Traffic.Selected || a.Traffic.Selected < 30 || a.Verdict == result.Error {
				t.Errorf("%v %+v %+v", a.Verdict, a.Traffic, a.Outcomes)
			}
		})
	}
}
