package lang

import (
	"bytes"
	"runtime"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// partSize is about how many bytes of a large spec are parsed as one. The
// parser keeps all tokens of its text at a time, so that small texts cost it
// less than their share.
const partSize = 64 << 10

// parseInParts parses a large spec in parts that end between top-level blocks,
// and puts their blocks together. It is false for anything but a large spec of
// blocks alone in which nothing is wrong; the whole then says best what is.
func parseInParts(src []byte, file string) (*hcl.File, bool) {
	if len(src) < 2*partSize {
		return nil, false
	}
	m, ok := measure(src)
	if !ok || len(m.cuts) == 0 {
		return nil, false
	}
	bodies := make([]*hclsyntax.Body, len(m.cuts)+1)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	from, line := 0, 1
	for i, to := range append(m.cuts, len(src)) {
		part, start := src[from:to], hcl.Pos{Byte: from, Line: line, Column: 1}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			parsed, diags := hclsyntax.ParseConfig(part, file, start)
			if body := parsed.Body.(*hclsyntax.Body); !diags.HasErrors() && len(body.Attributes) == 0 {
				bodies[i] = body
			}
		})
		from, line = to, line+bytes.Count(part, []byte("\n"))
	}
	wg.Wait()
	return joined(bodies, src)
}

func joined(bodies []*hclsyntax.Body, src []byte) (*hcl.File, bool) {
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}}
	for i, b := range bodies {
		if b == nil {
			return nil, false
		}
		if i == 0 {
			whole.SrcRange = b.SrcRange
		}
		whole.Blocks = append(whole.Blocks, b.Blocks...)
		whole.SrcRange.End, whole.EndRange = b.SrcRange.End, b.EndRange
	}
	return &hcl.File{Body: whole, Bytes: src}, true
}
