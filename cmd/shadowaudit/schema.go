package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

const schemaUsage = `Print the language of specs as JSON, for editors: blocks, arguments, types,
metrics, functions, the documents that jq sees, and the codes of diagnostics,
all with their docs. The reference, lang/README.md, explains each field. Fields
are only ever added; "format_version" says when.

Usage:
  shadowaudit schema
`

func schemaCommand(_ context.Context, args []string, c *console) int {
	rest, code, ok := parse(flag.NewFlagSet("schema", flag.ContinueOnError), schemaUsage, args, c)
	if !ok {
		return code
	}
	if len(rest) > 0 {
		fmt.Fprintf(c.stderr, "shadowaudit schema: it takes no argument, so not %q; see \"shadowaudit explain %s\"\n", rest[0], rest[0])
		return exitUsage
	}
	var codes []schema.Code
	for _, info := range diag.Codes() {
		codes = append(codes, schema.Code{Name: string(info.Code), Doc: info.Doc})
	}
	if err := schema.WriteJSON(c.stdout, codes); err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit schema: %v\n", err)
		return exitError
	}
	return exitPass
}
