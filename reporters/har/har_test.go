package har

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/shadowaudit/shadowaudit/engine/result"
)

func TestReport(t *testing.T) {
	repro := &result.Repro{
		Method: "POST", URL: "http://127.0.0.1:8081/a?b=c%20d&e", Headers: []result.Header{{Name: "Content-Type", Value: "application/json"}},
		Body:      result.NewContent([]byte(`{"a":1}`), 100),
		Baseline:  &result.Answer{Status: 200, Body: result.NewContent([]byte("ok"), 10)},
		Candidate: &result.Answer{Status: 302, Headers: []result.Header{{Name: "location", Value: "/x"}}, Body: result.NewContent([]byte{0xff}, 10)},
	}
	run := &result.Run{Tool: result.Tool{Name: "shadowaudit", Version: "1"}, Audits: []result.Audit{{Differences: []result.Diff{
		{Fingerprint: "1:a", Endpoint: "POST /a", Path: ".status", Kind: result.KindStatus, Baseline: "200", Candidate: "302", Example: result.Example{Repro: repro}},
		{Fingerprint: "1:b", IgnoredBy: "ignore .body.at", Example: result.Example{Repro: repro}},
		{Fingerprint: "1:c"},
	}}}}
	var b bytes.Buffer
	if err := Report(&b, run); err != nil {
		t.Fatal(err)
	}
	var got archive
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Log.Entries) != 1 {
		t.Fatalf("%d entries", len(got.Log.Entries))
	}
	e := got.Log.Entries[0]
	if e.Fingerprint != "1:a" || e.Request.PostData.Text != `{"a":1}` || e.Response.Status != 302 || e.Response.RedirectURL != "/x" ||
		e.Response.Content.Encoding != "base64" || e.Baseline.Status != 200 || e.Comment != "POST /a .status status: 200 -> 302" {
		t.Errorf("%+v", e)
	}
	if q := e.Request.QueryString; len(q) != 2 || q[0] != (result.Header{Name: "b", Value: "c d"}) || q[1].Name != "e" {
		t.Errorf("query %+v", q)
	}
}

func TestNothingToShowIsAnArchiveToo(t *testing.T) {
	var b bytes.Buffer
	if err := Report(&b, &result.Run{}); err != nil || !bytes.Contains(b.Bytes(), []byte(`"entries": []`)) {
		t.Errorf("%v %s", err, b.Bytes())
	}
}
