package lang

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAcceptedSurvivesWriting(t *testing.T) {
	set := func(s string) Attr[string] { return Attr[string]{Value: s} }
	one := &Accepted{
		Fingerprint: "1:00", Audit: set(`checkout["eu"]`), Endpoint: set("GET /a/{id}"), Path: set(`.headers["x-${a}"]`), Kind: set("value"), From: set("number"),
		Max: Attr[float64]{Value: 0.015}, Reason: set("Quoted \"twice\"\nand %{broken}."), Owner: set("me"), Expires: Attr[time.Time]{Value: time.Date(2027, 6, 30, 0, 0, 0, 0, time.UTC)},
	}
	other := *one
	other.Fingerprint, other.Audit = "1:01", set("a")
	path := filepath.Join(t.TempDir(), "x.accepted.hcl")
	text := FormatAccepted([]*Accepted{one, &other})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, diags := ReadAccepted(path, Options{})
	if len(diags) > 0 || len(got) != 2 {
		t.Fatalf("%v\n%s", diags, text)
	}
	if got[0].Fingerprint != "1:01" {
		t.Errorf("not sorted:\n%s", text)
	}
	g := got[1]
	if g.Audit.Value != one.Audit.Value || g.Path.Value != one.Path.Value || g.Reason.Value != one.Reason.Value || g.Max.Value != one.Max.Value ||
		!g.Expires.Value.Equal(one.Expires.Value) || g.To.Value != "" || g.Kind.Value != "value" {
		t.Errorf("%+v", g)
	}
	if again := FormatAccepted(got); string(again) != string(text) {
		t.Errorf("written again:\n%s", again)
	}
	if none, diags := ReadAccepted(filepath.Join(t.TempDir(), "none"), Options{}); none != nil || diags != nil {
		t.Errorf("%v %v", none, diags)
	}
	if !strings.HasSuffix(AcceptedFile("specs/shop.audit.json"), "specs/shop.accepted.hcl") || AcceptedFile("odd.hcl") != "odd.accepted.hcl" {
		t.Errorf("%s, %s", AcceptedFile("specs/shop.audit.json"), AcceptedFile("odd.hcl"))
	}
}
