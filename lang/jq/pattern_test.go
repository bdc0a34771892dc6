package jq

import (
	"reflect"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		src  string
		want []string
	}{
		{`.`, []string{`.`}},
		{`.a`, []string{`.a`}},
		{`.a.b`, []string{`.a.b`}},
		{`.a."b"`, []string{`.a.b`}},
		{`.["x-y"]`, []string{`.["x-y"]`}},
		{`."x-y"`, []string{`.["x-y"]`}},
		{`.headers["x-request-id"]`, []string{`.headers["x-request-id"]`}},
		{`.a[]`, []string{`.a[]`}},
		{`.[]`, []string{`.[]`}},
		{`.[].x`, []string{`.[].x`}},
		{`.a[0]`, []string{`.a[0]`}},
		{`.a[]?.b?`, []string{`.a[].b`}},
		{`.a, .b.c`, []string{`.a`, `.b.c`}},
		{`.a | .b`, []string{`.a.b`}},
		{`.a | .[]`, []string{`.a[]`}},
		{`(.a, .b) | (.c, .d)`, []string{`.a.c`, `.a.d`, `.b.c`, `.b.d`}},
		{`(.a, .b).c[0]`, []string{`.a.c[0]`, `.b.c[0]`}},
		{`..`, []string{`..`}},
		{`.. | .x?`, []string{`..|.x?`}},
		{`..|.x.y`, []string{`..|.x?.y?`}},
		{`.a | recurse | .x`, []string{`.a|..|.x?`}},
		{`..|.["x-y"]?`, []string{`..|.["x-y"]?`}},
		{`..|.[0]`, []string{`..|.[0]?`}},
		{`.a["q\"\u00e9<"]`, []string{`.a["q\"é<"]`}},
		{`. | . | .a`, []string{`.a`}},
	} {
		t.Run(c.src, func(t *testing.T) {
			p, err := CompilePaths(c.src)
			if err != nil {
				t.Fatal(err)
			}
			patterns, ok := p.Patterns()
			if !ok {
				t.Fatal("is not static")
			}
			var got []string
			for _, x := range patterns {
				got = append(got, x.String())
				back, ok := must(CompilePaths(x.String())).Patterns()
				if !ok || len(back) != 1 || !reflect.DeepEqual(append(Pattern{}, back[0]...), append(Pattern{}, x...)) {
					t.Errorf("%s reads back as %v", x, back)
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("patterns %q, want %q", got, c.want)
			}
		})
	}
}

func TestNotStatic(t *testing.T) {
	for _, src := range []string{`.a[-1]`, `.a[1:2]`, `.a[] | select(.x)`, `def f: .a; f`, `. as $x | .a`, `.a // .b`, `.["\(1)"]`, `.a[.b]`, `recurse(.a)`, `first(.a)`, `empty`,
		`(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)|(.a,.b)`} {
		p, err := CompilePaths(src)
		if err != nil {
			t.Fatal(src, err)
		}
		if got, ok := p.Patterns(); ok {
			t.Errorf("%s lowers to %v", src, got)
		}
	}
}
