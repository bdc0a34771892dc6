package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/shadowaudit/shadowaudit/lang/diag"
)

// process is the console of the real process.
func process() *console {
	return &console{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.LookupEnv,
		terminal: func(w io.Writer) (int, bool) {
			f, ok := w.(*os.File)
			if !ok || !term.IsTerminal(int(f.Fd())) {
				return 0, false
			}
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width <= 0 {
				width = 80
			}
			return width, true
		},
	}
}

// checkColor refuses a --color that colored does not know.
func checkColor(mode string) error {
	if mode != "auto" && mode != "always" && mode != "never" {
		return fmt.Errorf("--color is auto, always or never, not %q", mode)
	}
	return nil
}

// colored decides whether a stream gets color: as --color says, and with auto
// when it is a terminal and nobody asked for none (no-color.org).
func (c *console) colored(mode string, w io.Writer) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	if v, ok := c.getenv("NO_COLOR"); ok && v != "" {
		return false
	}
	if v, _ := c.getenv("TERM"); v == "dumb" {
		return false
	}
	_, ok := c.terminal(w)
	return ok
}

// didYouMean names the command nearest to name, or nothing.
func didYouMean(name string) string {
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	if s := diag.Suggest(name, names); s != "" {
		return "; did you mean \"" + s + "\"?"
	}
	return ""
}
