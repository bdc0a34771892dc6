package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/reference"
)

const explainUsage = `Explain a word of the language: a block, an argument, a keyword, a metric, a
type, a function, a scrub pack, a document that jq sees, the code of a
diagnostic, or exit, the exit codes. Without a word, list them all.

Usage:
  shadowaudit explain [flags] [WORD]

Flags:
  --color MODE          auto, always or never (default auto)

Examples:
  shadowaudit explain gate
  shadowaudit explain gate.per
  shadowaudit explain latency.p95
  shadowaudit explain jq-syntax
`

// exitTopic is the word for the exit codes, which are not the language's.
const exitTopic = "exit"

func explainCommand(_ context.Context, args []string, c *console) int {
	var color string
	fs := flag.NewFlagSet("explain", flag.ContinueOnError)
	fs.StringVar(&color, "color", "auto", "")
	words, code, ok := parse(fs, explainUsage, args, c)
	if !ok {
		return code
	}
	if err := checkColor(color); err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit explain: %v\n", err)
		return exitUsage
	}
	style := reference.Style{Width: min(reportWidth(c, c.stdout), 80)}
	if c.colored(color, c.stdout) {
		style.Bold = func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	}
	var page bytes.Buffer
	word := strings.Join(words, " ")
	switch found, related := reference.Find(word); {
	case len(words) == 0:
		err := explainAll(&page, style)
		return c.show("explain", page.Bytes(), err)
	case len(found) == 1:
		err := explainOne(&page, style, found[0], related)
		return c.show("explain", page.Bytes(), err)
	case len(found) > 1:
		fmt.Fprintf(&page, "%q is the name of %d things:\n\n", word, len(found))
		err := reference.Entries(&page, style, found)
		page.WriteString("\nRun \"shadowaudit explain NAME\" with one of these names for all of it.\n")
		return c.show("explain", page.Bytes(), err)
	}
	if slices.Contains([]string{exitTopic, "exit code", "exit codes"}, strings.ToLower(word)) {
		explainExit(&page, style)
		return c.show("explain", page.Bytes(), nil)
	}
	return explainUnknown(word, c)
}

func explainAll(page *bytes.Buffer, style reference.Style) error {
	page.WriteString("The words of the language. \"shadowaudit explain WORD\" tells all about one of\nthem, arguments such as max_in_flight included; \"shadowaudit explain exit\" has\nthe exit codes.\n")
	return reference.Index(page, style)
}

func explainOne(page *bytes.Buffer, style reference.Style, topic reference.Topic, related []reference.Topic) error {
	if err := topic.Page(page, style); err != nil {
		return err
	}
	if len(related) == 0 {
		return nil
	}
	page.WriteString("\nSee also\n")
	return reference.Entries(page, style, related)
}

func explainExit(page *bytes.Buffer, style reference.Style) {
	title := exitTopic
	if style.Bold != nil {
		title = style.Bold(title)
	}
	fmt.Fprintf(page, "%s (exit codes)\n\n", title)
	for _, e := range exitCodes {
		fmt.Fprintf(page, "  %-4d %s\n", e.code, e.doc)
	}
	page.WriteString("\n  A candidate that cannot be reached fails its gates, which is 1; a baseline\n  that cannot be reached is 3. What was not measured is never 0.\n")
}

// explainUnknown names what is near a word that nothing has.
func explainUnknown(word string, c *console) int {
	hint := "\nRun \"shadowaudit explain\" for all words.\n"
	if near := reference.Nearest(word, exitTopic); len(near) > 0 {
		for i, n := range near {
			near[i] = fmt.Sprintf("%q", n)
		}
		last := len(near) - 1
		if last > 0 {
			near = []string{strings.Join(near[:last], ", ") + " or " + near[last]}
		}
		hint = "; did you mean " + near[0] + "?" + hint
	} else if i := slices.IndexFunc(commands(), func(cmd command) bool { return cmd.name == word }); i >= 0 {
		hint = fmt.Sprintf("\nIt is a command: run \"shadowaudit help %s\".\n", word)
	}
	fmt.Fprintf(c.stderr, "shadowaudit explain: the language has no word %q%s", word, hint)
	return exitUsage
}

// show writes what a command has to say, and gives its exit code.
func (c *console) show(command string, page []byte, err error) int {
	if err == nil {
		_, err = c.stdout.Write(page)
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit %s: %v\n", command, err)
		return exitError
	}
	return exitPass
}
