package message

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

func decoder(t testing.TB, cfg Config) *Decoder {
	t.Helper()
	d, err := NewDecoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// show writes an exchange in one line.
func show(x *traffic.Exchange) string {
	s := fmt.Sprintf("%s %s %d %s %s %v %q", x.ID, x.Session, x.At.UnixNano(), x.Request.Method, x.Request.Target, x.Request.Header, x.Request.Body.Bytes)
	if r := x.Response; r != nil {
		s += fmt.Sprintf(" -> %d %v %q %s %d", r.Status, r.Header, r.Body.Bytes, r.Body.State, x.Timing.Total)
	}
	return s
}

func TestContract(t *testing.T) {
	const req = `"request":{"method":"GET","target":"/"}`
	for _, tt := range []struct{ name, in, want string }{
		{"all", `{"id":"a","session":"s","time":"1970-01-01T00:00:01Z","request":{"method":"POST","target":"/x?y","headers":[["Host","h"],["host","i"]],"body":"ü"},"response":{"status":201,"headers":{"B":["1","2"],"A":"3"},"body_base64":"/w==","latency_ns":7}}`,
			`a s 1000000000 POST /x?y [{Host h} {host i}] "ü" -> 201 [{B 1} {B 2} {A 3}] "\xff" complete 7`},
		{"least", `{` + req + `}`, ` key 5 GET / [] ""`},
		{"nanoseconds", `{"time":1795166295952376787,` + req + `,"response":null}`, ` key 1795166295952376787 GET / [] ""`},
		{"unknown member", `{"more":[1],` + req + `}`, ` key 5 GET / [] ""`},
		{"lines", "{" + req + "}\n\n{\"id\":\"b\"," + req + "}\n", ` key 5 GET / [] "";b key 5 GET / [] ""`},
		{"spread over lines", "{\n" + req + "\n}\n", ` key 5 GET / [] ""`},
		{"one bad line", "{" + req + "}\nnonsense\n", ` key 5 GET / [] "";malformed`},
		{"cut response", `{` + req + `,"response":{"status":200,"headers":{"Content-Length":"9"},"body":"x"}}`, ` key 5 GET / [] "" -> 200 [{Content-Length 9}] "x" truncated 0;truncated`},
		{"304 has a length without a body", `{` + req + `,"response":{"status":304,"headers":{"Content-Length":"9"}}}`, ` key 5 GET / [] "" -> 304 [{Content-Length 9}] "" complete 0`},
		{"cut request", `{"request":{"method":"POST","target":"/","headers":{"Content-Length":"9"},"body":"x"}}`, "truncated;cut"},
		{"not JSON", `nonsense`, "malformed"},
		{"no request", `{}`, "malformed"},
		{"an array", `[]`, "malformed"},
		{"not UTF-8", "{\"id\":\"\xff\"," + req + "}", "malformed"},
		{"member twice", `{"id":"a","id":"b",` + req + `}`, "malformed"},
		{"field breaks out", `{"request":{"method":"GET","target":"/","headers":{"A":"x\r\nB: y"}}}`, "malformed"},
		{"target breaks out", `{"request":{"method":"GET","target":"/ HTTP/1.1\r\nA: b"}}`, "malformed"},
		{"method breaks out", `{"request":{"method":"GET /","target":"/"}}`, "malformed"},
		{"bad status", `{` + req + `,"response":{"status":100}}`, "malformed"},
		{"bad time", `{"time":"yesterday",` + req + `}`, "malformed"},
		{"negative time", `{"time":-1,` + req + `}`, "malformed"},
		{"two bodies", `{"request":{"method":"GET","target":"/","body":"","body_base64":""}}`, "malformed"},
		{"negative latency", `{` + req + `,"response":{"status":200,"latency_ns":-1}}`, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decoder(t, Config{Name: "n"})
			var got []string
			for _, it := range d.Add(context.Background(), Message{Value: []byte(tt.in), Key: "key", At: time.Unix(0, 5)}, time.Time{}) {
				got = append(got, show(it.Exchange))
			}
			c := d.Counts()
			for _, n := range []struct {
				name  string
				count int64
			}{{"malformed", c.Malformed}, {"truncated", c.Truncated}, {"cut", c.TruncatedRequests}} {
				if n.count > 0 {
					got = append(got, n.name)
				}
			}
			if s := strings.Join(got, ";"); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

func TestOversizedBodies(t *testing.T) {
	big := strings.Repeat("x", MaxBody+1)
	d := decoder(t, Config{})
	items := d.Add(context.Background(), Message{Value: []byte(`{"request":{"method":"GET","target":"/"},"response":{"status":200,"body":"` + big + `"}}`)}, time.Time{})
	if len(items) != 1 || items[0].Exchange.Response.Body.State != traffic.Oversized || items[0].Exchange.Response.Body.Size != MaxBody+1 {
		t.Error("the response is not oversized")
	}
	if items := d.Add(context.Background(), Message{Value: []byte(`{"request":{"method":"POST","target":"/","body":"` + big + `"}}`)}, time.Time{}); len(items) != 0 || d.Counts().TruncatedRequests != 1 {
		t.Error("a request that is not whole was handed out")
	}
}

func TestMap(t *testing.T) {
	v, err := jq.CompileValue(`if .kind == "http" then {id: .n, request: {method: .verb, target: .url}, time: .at} elif .kind == "bad" then error("x") else null end`)
	if err != nil {
		t.Fatal(err)
	}
	d := decoder(t, Config{Map: v})
	var got []string
	for _, in := range []string{
		`{"kind":"http","n":"7","verb":"GET","url":"/a","at":1795166295952376787}`,
		`{"kind":"cron"}`, `{"kind":"bad"}`, `{"kind":"http"}`, `{`, `{"kind":"http"} x`,
	} {
		for _, it := range d.Add(context.Background(), Message{Value: []byte(in)}, time.Time{}) {
			got = append(got, show(it.Exchange))
		}
	}
	if c := d.Counts(); len(got) != 1 || got[0] != `7  1795166295952376787 GET /a [] ""` || c.Records != 6 || c.NotHTTP != 1 || c.Malformed != 4 {
		t.Errorf("got %v, %+v", got, c)
	}
}

func TestGor(t *testing.T) {
	record := func(kind, id string, at int, payload string) Message {
		return Message{Value: fmt.Appendf(nil, "%s %s %d 0\n%s", kind, id, 1795166295952376787+at, payload), Receipt: new(Receipt)}
	}
	get := "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
	ok := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	for _, tt := range []struct {
		name    string
		in      []Message
		want    string // of each exchange, whether it has a response
		paired  int64
		orphans int64
		others  int64
	}{
		{"in order", []Message{record("1", "a", 0, get), record("2", "a", 9, ok)}, "2", 1, 0, 0},
		{"response first", []Message{record("2", "a", 9, ok), record("1", "a", 0, get)}, "2", 1, 0, 0},
		{"alone", []Message{record("1", "a", 0, get)}, "1", 0, 0, 0},
		{"orphan", []Message{record("2", "a", 0, ok)}, "", 0, 1, 0},
		{"id used again", []Message{record("1", "a", 0, get), record("1", "a", 1, get), record("2", "a", 9, ok)}, "12", 1, 0, 0},
		{"replayed, junk, cut", []Message{record("3", "a", 0, ok), {Value: []byte("x"), Receipt: new(Receipt)}, record("1", "b", 0, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx")}, "", 0, 0, 3},
		{"bad response", []Message{record("1", "a", 0, get), record("2", "a", 9, "HTTP/1.1 ok\r\n\r\n")}, "1", 0, 0, 1},
		{"interim", []Message{record("2", "a", 0, "HTTP/1.1 100 Continue\r\n\r\n")}, "", 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decoder(t, Config{Format: Gor})
			var items []Item
			for _, m := range tt.in {
				items = append(items, d.Add(context.Background(), m, time.Unix(0, 0))...)
			}
			items = append(items, d.Flush()...)
			got := ""
			for _, it := range items {
				got += map[bool]string{true: "2", false: "1"}[it.Exchange.Response != nil]
				it.Settle()
			}
			c := d.Counts()
			if got != tt.want || c.Paired != tt.paired || c.OrphanResponses != tt.orphans || c.Malformed+c.ReplayedResponses+c.TruncatedRequests != tt.others {
				t.Errorf("got %s, %+v", got, c)
			}
			if sum := int64(len(items)) + c.Paired + c.OrphanResponses + c.ReplayedResponses + c.Malformed + c.TruncatedRequests; sum != c.Records {
				t.Errorf("%d records, %d accounted for", c.Records, sum)
			}
			for i, m := range tt.in {
				if !m.Receipt.Settled() {
					t.Errorf("message %d is not settled: %d", i, m.Receipt.open)
				}
			}
		})
	}
}

func TestGorWaitsAndIsBounded(t *testing.T) {
	d := decoder(t, Config{Format: Gor, Wait: time.Second, Window: Window{Records: 3}})
	begin := time.Unix(100, 0)
	left := 0
	for i := range 5 {
		m := Message{Value: fmt.Appendf(nil, "1 id%d 1795166295952376787 0\nGET / HTTP/1.1\r\n\r\n", i), Receipt: new(Receipt)}
		left += len(d.Add(context.Background(), m, begin))
		if m.Receipt.Settled() {
			t.Error("settled while it waits")
		}
	}
	if left != 2 {
		t.Errorf("%d left for want of room", left)
	}
	if n := len(d.Expire(begin.Add(time.Second - 1))); n != 0 {
		t.Errorf("%d left early", n)
	}
	if n := len(d.Expire(begin.Add(time.Second))); n != 3 || d.Holding() {
		t.Errorf("%d left in time", n)
	}
}

func TestGorJSON(t *testing.T) {
	d := decoder(t, Config{Format: GorJSON})
	var got []string
	for _, in := range []string{
		`{"Req_URL":"/a","Req_Type":"1","Req_ID":"d6860a0b7f00000100000001","Req_Ts":"1795166295952376787","Req_Method":"POST","Req_Body":"2\r\nhi\r\n0\r\n\r\n","Req_Headers":{"Accept":"*/*","Host":"h","Transfer-Encoding":"chunked"}}`,
		`{"Req_URL":"","Req_Type":"2","Req_ID":"a","Req_Ts":"1","Req_Method":"HTTP/1.1","Req_Headers":{}}`,
		`{"Req_URL":"/a","Req_Type":"1","Req_Ts":"1","Req_Method":"POST","Req_Body":"\ufffd"}`,
		`{"Req_URL":"/a","Req_Type":"1","Req_Ts":"1","Req_Method":"POST","Req_Headers":{"Content-Length":"3"}}`,
		`{"Req_Type":"1"}`, `{}`, `x`,
	} {
		for _, it := range d.Add(context.Background(), Message{Value: []byte(in)}, time.Time{}) {
			got = append(got, show(it.Exchange))
		}
	}
	want := `d6860a0b7f00000100000001 d6860a0b7f000001 1795166295952376787 POST /a [{Host h} {Accept */*} {Transfer-Encoding chunked}] "hi"`
	c := d.Counts()
	if len(got) != 1 || got[0] != want || c.OrphanResponses != 1 || c.TruncatedRequests != 2 || c.Malformed != 3 || c.Records != 7 {
		t.Errorf("got %v, %+v", got, c)
	}
	if ws := d.Warnings(); !strings.Contains(ws[len(ws)-1].Text, "no status") {
		t.Errorf("no warning about what is lost: %v", ws)
	}
}

func TestFormats(t *testing.T) {
	v, _ := jq.CompileValue(".")
	for _, cfg := range []Config{{Format: "xml"}, {Format: Gor, Map: v}} {
		if _, err := NewDecoder(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// FuzzDecoder feeds each format with anything: every record is accounted for,
// every receipt settled, and what comes out can be written to a request line.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(`{"request":{"method":"GET","target":"/","headers":{"A":["b"]}},"response":{"status":200}}`))
	f.Add([]byte("1 a 1795166295952376787 0\nGET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("2 a 1795166295952376787 0\nHTTP/1.1 200 OK\r\n\r\n"))
	f.Add([]byte(`{"Req_URL":"/a","Req_Type":"1","Req_Ts":"1","Req_Method":"GET"}`))
	v, err := jq.CompileValue(".")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, cfg := range []Config{{}, {Map: v}, {Format: Gor}, {Format: GorJSON}} {
			d := decoder(t, cfg)
			r := new(Receipt)
			items := d.Add(context.Background(), Message{Value: b, Receipt: r}, time.Unix(0, 0))
			items = append(items, d.Flush()...)
			for _, it := range items {
				it.Settle()
				if strings.ContainsAny(it.Exchange.Request.Target, " \r\n") {
					t.Error("the target breaks out of its line")
				}
			}
			c := d.Counts()
			if sum := int64(len(items)) + c.OrphanResponses + c.ReplayedResponses + c.Malformed + c.TruncatedRequests + c.NotHTTP; sum != c.Records || !r.Settled() {
				t.Errorf("%+v, %d out, %d open", c, len(items), r.open)
			}
		}
	})
}
