package draft

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

var recorded = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// answer is a recorded answer to a request for path.
func answer(path string, second int, body string) *exchange {
	return &exchange{
		At:      recorded.Add(time.Duration(second) * time.Second),
		Request: traffic.Request{Method: "GET", Target: path},
		Response: &traffic.Response{Status: 200, Header: traffic.Header{{Name: "Content-Type", Value: "application/json"}},
			Body: traffic.Body{Bytes: []byte(body)}},
	}
}

func TestVolatileFields(t *testing.T) {
	at := func(second int, layout string) string {
		return recorded.Add(time.Duration(second) * time.Second).Format(layout)
	}
	tests := []struct {
		name     string
		answers  []*exchange
		volatile []suggestion
		doubtful []suggestion
	}{
		{"the same every time", []*exchange{answer("/a", 0, `{"n":1}`), answer("/a", 9, `{"n":1}`), answer("/a", 9, `{"n":1}`)}, nil, nil},
		{"a clock, in different answers", []*exchange{
			answer("/a", 0, `{"generated_at":"`+at(0, time.RFC3339)+`"}`), answer("/b", 300, `{"generated_at":"`+at(301, time.RFC3339Nano)+`"}`),
		}, []suggestion{{".body.generated_at", clock}}, nil},
		{"seconds and milliseconds", []*exchange{
			answer("/a", 0, fmt.Sprintf(`{"s":%d,"ms":%d}`, recorded.Unix(), recorded.UnixMilli())),
			answer("/b", 1, fmt.Sprintf(`{"s":%d,"ms":%d}`, recorded.Unix(), recorded.UnixMilli())),
		}, []suggestion{{".body.ms", clock}, {".body.s", clock}}, nil},
		{"a time long ago", []*exchange{
			answer("/a", 0, `{"created_at":"2024-01-02T03:04:05Z"}`), answer("/b", 1, `{"created_at":"2025-01-02T03:04:05Z"}`), answer("/a", 2, `{"created_at":"2024-01-02T03:04:05Z"}`),
		}, nil, nil},
		{"a UUID that differs for the same request", []*exchange{
			answer("/a", 0, `{"trace":{"ref":"5f0c7a52-0b5e-4d0f-9a38-0d6f1be0a001"}}`), answer("/a", 1, `{"trace":{"ref":"5f0c7a52-0b5e-4d0f-9a38-0d6f1be0a002"}}`),
		}, []suggestion{{".body.trace.ref", differs}}, nil},
		{"a UUID that belongs to what was asked for", []*exchange{
			answer("/a", 0, `{"ref":"5f0c7a52-0b5e-4d0f-9a38-0d6f1be0a001"}`), answer("/b", 1, `{"ref":"5f0c7a52-0b5e-4d0f-9a38-0d6f1be0a002"}`), answer("/a", 2, `{"ref":"5f0c7a52-0b5e-4d0f-9a38-0d6f1be0a001"}`),
		}, nil, nil},
		{"a request id that never comes again", []*exchange{
			answer("/a", 0, `{"requestId":"0a8c6d7f8d485abc"}`), answer("/b", 1, `{"requestId":"1a8c6d7f8d485abc"}`), answer("/c", 2, `{"requestId":"2a8c6d7f8d485abc"}`),
		}, []suggestion{{".body.requestId", fresh}}, nil},
		{"a count that goes up", []*exchange{
			answer("/a", 0, `{"stock":17}`), answer("/a", 1, `{"stock":16}`), answer("/a", 2, `{"stock":15}`),
		}, nil, []suggestion{{".body.stock", differs}}},
		{"in the elements of a list", []*exchange{
			answer("/a", 0, `[{"etag":"aaaaaaaaaaaaaaa111","sku":"x"},{"etag":"bbbbbbbbbbbbbbb111","sku":"y"}]`),
			answer("/a", 1, `[{"etag":"aaaaaaaaaaaaaaa222","sku":"x"},{"etag":"bbbbbbbbbbbbbbb222","sku":"y"}]`),
		}, []suggestion{{".body[].etag", differs}}, nil},
		{"names that are no names", []*exchange{
			answer("/a", 0, `{"jane@corp.test":{"at":"`+at(0, time.RFC3339)+`"},"4915123456789":1}`), answer("/a", 1, `{"jane@corp.test":{"at":"`+at(1, time.RFC3339)+`"},"4915123456789":2}`),
		}, nil, nil},
		{"not JSON", []*exchange{answer("/a", 0, `once`), answer("/a", 1, `twice`)}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFields()
			for _, x := range tt.answers {
				f.add(x)
			}
			volatile, doubtful := f.found()
			if !slices.Equal(volatile, tt.volatile) || !slices.Equal(doubtful, tt.doubtful) {
				t.Errorf("volatile %v, doubtful %v\nwant %v, %v", volatile, doubtful, tt.volatile, tt.doubtful)
			}
		})
	}
}

func TestTimeIn(t *testing.T) {
	for text, want := range map[string]bool{
		"2026-11-20T09:00:00Z": true, "2026-11-20T09:00:00.123+01:00": true, "2026-11-20 09:00:00": true, "2026-11-20T09:00:00": true,
		"Fri, 20 Nov 2026 09:00:00 GMT": true, "1795165200": true, "1795165200.25": true, "1795165200123": true,
		"17": false, "2026-11-20": false, "0a8c6d7f8d485abc": false, "": false, "99999999999999999": false, "-1795165200": false,
	} {
		if _, ok := timeIn(text); ok != want {
			t.Errorf("timeIn(%q) = %v, want %v", text, ok, want)
		}
	}
}

func TestIsToken(t *testing.T) {
	for text, want := range map[string]bool{
		"5f0c7a52-0b5e-4d0f-9a38-0d6f1be0a001": true, "0a8c6d7f8d485abc": true, "17293822569102704640": true, "W/\"x\"": false,
		"short1": false, "a sentence of 16 words": false, "internationalization": false, "": false, "123456": false,
	} {
		if got := isToken(text); got != want {
			t.Errorf("isToken(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestSlices(t *testing.T) {
	d := newDimensions()
	for i := range 60 {
		original := &traffic.Request{Method: "GET", Target: fmt.Sprintf("/x?page=%d&category=%d&email=a%d&deep.Ref=1&cat%%20egory=2", i, i%3, i%2), Header: traffic.Header{
			{Name: "Host", Value: "shop.example"}, {Name: "X-Region", Value: []string{"eu", "us"}[i%2]}, {Name: "X-Tenant", Value: fmt.Sprint("t", i%30)},
			{Name: "X-Api-Key", Value: fmt.Sprint(i % 2)}, {Name: "X-Plan", Value: []string{"free", "paid"}[i%2]}, {Name: "X-Same", Value: "1"},
			{Name: "Accept-Language", Value: []string{"de", "en", "fr"}[i%3]},
		}}
		scrubbed := *original
		scrubbed.Header = slices.Clone(original.Header)
		if i == 7 {
			scrubbed.Header[4].Value = "xxxx" // something personal was found in it
		}
		d.add(original, &scrubbed)
	}
	got := d.found()
	want := []slice{
		{"accept_language", `.request.headers["accept-language"]`, 3, 1},
		{"region", `.request.headers["x-region"]`, 2, 1},
		{"category", ".request.query.category", 3, 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
