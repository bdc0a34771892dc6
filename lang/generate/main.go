// Command generate writes the reference of the language, and what the
// reference shows of diagnostics. It runs in lang/reference:
//
//	generate ../README.md
package main

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/reference"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: generate README.md")
	}
	texts, err := corpus("../testdata")
	if err != nil {
		log.Fatal(err)
	}
	write("diagnostics.txt", []byte(reference.Diagnostics(texts)))
	var manual bytes.Buffer
	if err := reference.Markdown(&manual); err != nil {
		log.Fatal(err)
	}
	write(os.Args[1], manual.Bytes())
}

// corpus gives the diagnostics that the cases of the corpus end with.
func corpus(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if _, want, ok := strings.Cut(string(data), "----------\n"); ok {
			diagnostics, _, _ := strings.Cut("\n"+want, "\n{\n")
			texts = append(texts, diagnostics)
		}
	}
	return texts, nil
}

// write leaves a file alone that is up to date.
func write(path string, content []byte) {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		log.Fatal(err)
	}
}
