package json

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func TestReportIsTheDocument(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			run, err := result.Read(bytes.NewReader(want))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := Report(&got, run); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the document does not survive reading and writing:\n%s", got.Bytes())
			}
		})
	}
}
