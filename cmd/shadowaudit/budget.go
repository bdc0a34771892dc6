package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/lang"
)

// budgetFlags gives a command --for and --count.
func budgetFlags(fs *flag.FlagSet, b *engine.Budget) {
	durationFlag(fs, "for", &b.For)
	fs.Func("count", "", func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 {
			return errors.New("not a number above 0")
		}
		b.Count = n
		return nil
	})
}

// durationFlag gives a command a flag that takes a duration above 0.
func durationFlag(fs *flag.FlagSet, name string, d *time.Duration) {
	fs.Func(name, "", func(s string) (err error) {
		if *d, err = lang.ParseDuration(s); err == nil && *d == 0 {
			err = errors.New("has to be above 0")
		}
		return err
	})
}

// listening says where a live source expects its traffic, and how it ends.
func listening(source, where string, b engine.Budget) string {
	text := fmt.Sprintf("source.%s listens on %s", source, where)
	switch {
	case b.For > 0 && b.Count > 0:
		return fmt.Sprintf("%s for %v, or until %d exchanges have come. Ctrl-C ends it before.", text, b.For, b.Count)
	case b.For > 0:
		return fmt.Sprintf("%s for %v. Ctrl-C ends it before.", text, b.For)
	case b.Count > 0:
		return fmt.Sprintf("%s until %d exchanges have come. Ctrl-C ends it before.", text, b.Count)
	}
	return text + ". Ctrl-C ends it."
}
