package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shadowaudit/shadowaudit/cmd/shadowaudit/demo"
	"github.com/shadowaudit/shadowaudit/lang"
)

const demoUsage = `Show a first report: replay recorded traffic of a small shop against a sound
baseline and a faulty candidate, all inside this program. Nothing is read,
written or sent outside of it, and the exit code is 0 although the audit fails.

Usage:
  shadowaudit demo [flags]

Flags:
  --write DIR        write the demo's spec and recording into DIR and stop there
  --serve            serve both builds until interrupted, for specs of your own
  --color MODE       auto, always or never (default auto)
  --progress MODE    auto, bar, plain or none (default auto)
`

func demoCommand(ctx context.Context, args []string, c *console) int {
	f := runFlags{seed: 1}
	var dir string
	var stay bool
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.StringVar(&dir, "write", "", "")
	fs.BoolVar(&stay, "serve", false, "")
	fs.StringVar(&f.color, "color", "auto", "")
	fs.StringVar(&f.progress, "progress", "auto", "")
	rest, code, ok := parse(fs, demoUsage, args, c)
	if !ok {
		return code
	}
	err := f.check()
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("it takes no argument, so not %q", rest[0])
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit demo: %v\nRun \"shadowaudit help demo\" for its arguments.\n", err)
		return exitUsage
	}
	switch {
	case dir != "":
		return writeDemo(dir, c)
	case stay:
		return serveDemo(ctx, c)
	}
	code, err = showDemo(ctx, &f, c)
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit demo: %v\n", err)
	}
	return code
}

// writeDemo leaves the files of the demo with somebody who wants to play.
func writeDemo(dir string, c *console) int {
	if err := unpack(dir); err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit demo: %v\n", err)
		return exitError
	}
	fmt.Fprintf(c.stdout, "Wrote %s and %s.\n", filepath.Join(dir, demo.SpecName), filepath.Join(dir, demo.RecordingName))
	fmt.Fprintf(c.stdout, "Serve the two builds in another terminal with\n  shadowaudit demo --serve\nand run the audit with the addresses that it prints:\n  shadowaudit run %s --var baseline_url=URL --var candidate_url=URL\n", filepath.Join(dir, demo.SpecName))
	return exitPass
}

// serveDemo serves both builds until somebody interrupts.
func serveDemo(ctx context.Context, c *console) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, build := range []struct {
		name string
		shop demo.Shop
	}{{"the build that is trusted:", demo.Shop{}}, {"the candidate:", demo.Shop{Faulty: true}}} {
		url, stop, err := serve(build.shop)
		if err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit demo: %v\n", err)
			return exitError
		}
		defer stop()
		fmt.Fprintf(c.stdout, "%-27s %s\n", build.name, url)
	}
	fmt.Fprintln(c.stdout, "Press Ctrl-C to stop them.")
	<-ctx.Done()
	return exitPass
}

func unpack(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{demo.SpecName: demo.Spec, demo.RecordingName: demo.Recording} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// showDemo serves both builds, runs the audit as run does, and explains what
// there is to see.
func showDemo(ctx context.Context, f *runFlags, c *console) (int, error) {
	dir, err := os.MkdirTemp("", "shadowaudit-demo-")
	if err != nil {
		return exitError, err
	}
	defer os.RemoveAll(dir)
	if err := unpack(dir); err != nil {
		return exitError, err
	}
	stable, closeStable, err := serve(demo.Shop{})
	if err != nil {
		return exitError, err
	}
	defer closeStable()
	next, closeNext, err := serve(demo.Shop{Faulty: true})
	if err != nil {
		return exitError, err
	}
	defer closeNext()

	fmt.Fprintf(c.stdout, "Six seconds of recorded traffic of a small shop are replayed, twice as fast,\nagainst the build that is trusted and against a candidate. The candidate has\nfour faults that its tests did not find:\n\n")
	for _, fault := range demo.Faults {
		fmt.Fprintf(c.stdout, "  - %s\n", fault)
	}
	fmt.Fprintf(c.stdout, "\nThis is what \"shadowaudit run %s\" says about it:\n\n", demo.SpecName)

	vars := map[string]string{"baseline_url": stable, "candidate_url": next}
	read := func(string) ([]byte, error) { return demo.Spec, nil }
	plans, ok := load([]string{demo.SpecName}, lang.Options{Vars: vars, Version: version(), ReadFile: read}, f, c)
	if !ok {
		return exitError, fmt.Errorf("the demo's own spec is wrong; this is a bug")
	}
	for i := range plans[0].Audits { // the report names the files as if they were here
		plans[0].Audits[i].Source.Paths = []string{filepath.Join(dir, demo.RecordingName)}
	}
	code := execute(ctx, plans, f, c)
	if code == exitInterrupted {
		return code, nil
	}
	if code != exitFail {
		return exitError, fmt.Errorf("the demo ought to fail its audit and ended with exit code %d", code)
	}
	fmt.Fprint(c.stdout, demoOutro)
	return exitPass, nil
}

const demoOutro = `
What you saw: the same requests went to both builds at the same moments, with
tokens, cookies and addresses replaced first. A field that differs every time
was ignored by a rule, requests that could change something were left out, and
each fault is named by endpoint and path. In CI, run would have ended with exit
code 1; the demo ends with 0.

What to type next:
  shadowaudit demo --write tour     the spec and the recording, to play with
  shadowaudit help run              all about run, exit codes included
`

// serve serves a build on a free loopback port.
func serve(h http.Handler) (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(ln)
	return "http://" + ln.Addr().String(), func() { srv.Close() }, nil
}
