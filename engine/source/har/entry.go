package har

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// entry is what the reader needs of an entry. Field names and meanings are
// those of HAR 1.2; names with an underscore are inventions of producers.
type entry struct {
	Started    string    `json:"startedDateTime"`
	Request    *request  `json:"request"`
	Response   *response `json:"response"`
	Timings    timings   `json:"timings"`
	Connection label     `json:"connection"`

	FromCache    flag `json:"_fromCache"`         // Chrome: the answer came from its cache
	Error        flag `json:"_error"`             // Chrome, mitmproxy: no answer
	WasFulfilled flag `json:"_wasFulfilled"`      // Playwright: the test made the answer up
	WasAborted   flag `json:"_wasAborted"`        // Playwright: the test stopped the request
	WebSocket    flag `json:"_webSocketMessages"` // Chrome
}

type request struct {
	Method   string    `json:"method"`
	URL      string    `json:"url"`
	Proto    string    `json:"httpVersion"`
	Headers  []header  `json:"headers"`
	PostData *postData `json:"postData"`
	BodySize int64     `json:"bodySize"` // -1: unknown
}

type postData struct {
	MimeType string  `json:"mimeType"`
	Text     string  `json:"text"`
	Encoding string  `json:"encoding"` // HAR 1.3: "base64"
	Params   []param `json:"params"`
}

type param struct {
	Name     string  `json:"name"`
	Value    string  `json:"value"`
	FileName *string `json:"fileName"`
}

type response struct {
	Status  int      `json:"status"` // 0, in Playwright -1: there was no answer
	Reason  string   `json:"statusText"`
	Proto   string   `json:"httpVersion"`
	Headers []header `json:"headers"`
	Content embedded `json:"content"`

	Error        flag `json:"_error"`
	WasFulfilled flag `json:"_wasFulfilled"`
	FromCache    flag `json:"_fromCache"`
}

// embedded is the body of a response in the file.
type embedded struct {
	Size     int64   `json:"size"` // of the decoded body in bytes; -1: unknown
	Text     *string `json:"text"`
	Encoding string  `json:"encoding"` // "base64", or none
}

// timings are in milliseconds; nil and -1 mean that they do not apply.
type timings struct {
	Wait    *float64 `json:"wait"`
	Receive *float64 `json:"receive"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// paired is an entry whose headers are written as pairs, as in exports of
// Slack: ["name", "value"].
type paired struct {
	Request struct {
		Headers pairs `json:"headers"`
	} `json:"request"`
	Response struct {
		Headers pairs `json:"headers"`
	} `json:"response"`
}

type pairs [][2]string

func (p pairs) headers() []header {
	out := make([]header, 0, len(p))
	for _, h := range p {
		out = append(out, header{h[0], h[1]})
	}
	return out
}

// readPairs replaces the headers of e, which are no objects, and reports
// whether they are pairs. Everything else in e has been decoded.
func (e *entry) readPairs(raw []byte) bool {
	var p paired
	if e.Request == nil || json.Unmarshal(raw, &p) != nil {
		return false
	}
	e.Request.Headers = p.Request.Headers.headers()
	if e.Response != nil {
		e.Response.Headers = p.Response.Headers.headers()
	}
	return true
}

// flag is a value of which only matters whether it is there: producers write
// true, a string, or a list.
type flag bool

// UnmarshalJSON takes null, false and empty values for absence.
func (f *flag) UnmarshalJSON(raw []byte) error {
	switch string(raw) {
	case "null", "false", `""`, "[]", "{}", "0":
		*f = false
	default:
		*f = true
	}
	return nil
}

// label is a string that some producers write as a number.
type label string

// UnmarshalJSON takes everything that is no string as it is written.
func (l *label) UnmarshalJSON(raw []byte) error {
	switch {
	case raw[0] == '"':
		return json.Unmarshal(raw, (*string)(l))
	case string(raw) == "null":
		*l = ""
	default:
		*l = label(raw)
	}
	return nil
}

// decode reads an entry. Its errors quote nothing of it.
func decode(raw []byte) (*entry, error) {
	e := new(entry)
	err := json.Unmarshal(raw, e)
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	switch {
	case err == nil && e.Request != nil:
		return e, nil
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("bad JSON %d bytes into it", syntax.Offset)
	case errors.As(err, &shape):
		if strings.HasSuffix(shape.Field, ".headers") && e.readPairs(raw) {
			return e, nil
		}
		return nil, fmt.Errorf("%s is a JSON %s", shape.Field, kind(shape.Value))
	case err != nil:
		return nil, errors.New("not the JSON of an entry")
	}
	return nil, errors.New("no request")
}

// kind gives the JSON type out of an UnmarshalTypeError, which for numbers adds
// the number.
func kind(value string) string {
	for i := range len(value) {
		if value[i] == ' ' {
			return value[:i]
		}
	}
	return value
}

// layouts are the forms of ISO 8601 that producers write.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"}

var errTime = errors.New("startedDateTime is not an ISO 8601 time")

// parseTime reads startedDateTime. A time without a zone is taken as UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Year() < 1678 || t.Year() > 2261 { // what nanoseconds since 1970 can say
				return time.Time{}, errTime
			}
			return t.UTC(), nil
		}
	}
	return time.Time{}, errTime
}
