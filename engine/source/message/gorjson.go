package message

import (
	"bufio"
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// gorRecord is a message of GoReplay's --output-kafka-json-format:
// https://github.com/probelabs/goreplay/blob/master/kafka.go. Fields are in the
// order of their name, repeated ones are joined, and bytes that are no UTF-8
// became U+FFFD; chunk framing is kept. A response has the protocol in place of
// the method, and no status.
type gorRecord struct {
	URL     string            `json:"Req_URL"`
	Type    string            `json:"Req_Type"`
	ID      string            `json:"Req_ID"`
	Time    string            `json:"Req_Ts"`
	Method  string            `json:"Req_Method"`
	Body    string            `json:"Req_Body"`
	Headers map[string]string `json:"Req_Headers"`
}

// gorJSON makes an exchange of a message, and accounts for it.
func (d *Decoder) gorJSON(m Message) []Item {
	d.log.Records++
	var r gorRecord
	if json.Unmarshal(m.Value, &r) != nil {
		d.malformed(m, "not a message of GoReplay's JSON")
		return nil
	}
	switch r.Type {
	case "1":
	case "2":
		d.log.OrphanResponses++
		return nil
	case "3":
		d.log.ReplayedResponses++
		return nil
	default:
		d.malformed(m, "not a message of GoReplay's JSON")
		return nil
	}
	x, err := r.exchange()
	switch {
	case err == errCut, err == errTooLarge:
		d.truncated(m, err.Error())
		return nil
	case err != nil:
		d.malformed(m, err.Error())
		return nil
	}
	if x.Session = m.Key; len(r.ID) == 24 {
		x.Session = r.ID[:16] // ports and address of the client
	}
	x.Offset = m.Offset
	return []Item{d.item(x, m.Receipt)}
}

func (r *gorRecord) exchange() (*traffic.Exchange, error) {
	at, err := strconv.ParseInt(r.Time, 10, 64)
	switch {
	case err != nil || at < 0:
		return nil, errTime
	case !http1.IsToken(r.Method):
		return nil, errMethod
	case !isTarget(r.URL):
		return nil, errTarget
	}
	x := &traffic.Exchange{ID: r.ID, At: time.Unix(0, at).UTC()}
	x.Request = traffic.Request{Method: r.Method, Target: r.URL, Proto: "HTTP/1.1"}
	for _, name := range r.names() {
		if x.Request.Header = appendField(x.Request.Header, name, r.Headers[name]); x.Request.Header == nil {
			return nil, errHeaders
		}
	}
	x.Request.Body, err = r.body(x.Request.Header)
	return x, err
}

// names lists the fields, Host first, as a client would.
func (r *gorRecord) names() []string {
	return slices.SortedFunc(maps.Keys(r.Headers), func(a, b string) int {
		if (a == "Host") != (b == "Host") {
			if a == "Host" {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
}

// body undoes the chunks. A body that was no text is damaged, and no longer has
// the length that was announced: it is as good as cut.
func (r *gorRecord) body(h traffic.Header) (traffic.Body, error) {
	if strings.ContainsRune(r.Body, '\uFFFD') {
		return traffic.Body{}, errCut
	}
	if len(r.Body) > MaxBody {
		return traffic.Body{}, errTooLarge
	}
	if strings.Contains(strings.ToLower(h.Get("Transfer-Encoding")), "chunked") {
		in := bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + r.Body))
		parsed, err := http1.ReadRequest(in, http1.DefaultLimits)
		if err != nil {
			return traffic.Body{}, errCut
		}
		return parsed.Body, nil
	}
	var b traffic.Body
	if r.Body != "" {
		b.Bytes = []byte(r.Body)
	}
	if short(h, b) {
		return b, errCut
	}
	return b, nil
}
