package main

import (
	"os"
	"testing"

	"github.com/shadowaudit/shadowaudit/lang/reference"
)

func TestDiagnosticsAreFresh(t *testing.T) {
	texts, err := corpus("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) < 50 {
		t.Fatalf("only %d cases", len(texts))
	}
	got, err := os.ReadFile("../reference/diagnostics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != reference.Diagnostics(texts) {
		t.Error("lang/reference/diagnostics.txt is not what the corpus shows; run go generate ./lang/...")
	}
}
