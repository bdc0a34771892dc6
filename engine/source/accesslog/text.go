package accesslog

import (
	"net/url"
	"strings"
	"time"
)

// Format is how the lines of a log are written.
type Format string

// The formats.
const (
	Combined   Format = "combined"   // nginx, Apache: combined, common, or either with the virtual host in front
	NginxJSON  Format = "nginx_json" // an object for each line, by the names of nginx's variables
	Envoy      Format = "envoy"      // Envoy's default text, or the JSON that Istio has for a default
	ALB        Format = "alb"        // AWS application load balancers
	CloudFront Format = "cloudfront" // standard logs of CloudFront with a #Fields line
	JSON       Format = "json"       // an object for each line, by Fields
)

// Formats lists the formats.
func Formats() []Format { return []Format{Combined, NginxJSON, Envoy, ALB, CloudFront, JSON} }

// parser reads lines of one format. Its errors quote nothing of them.
type parser interface {
	parse(line []byte) (*entry, error)
}

type parserFunc func(line []byte) (*entry, error)

func (f parserFunc) parse(line []byte) (*entry, error) { return f(line) }

// newParser gives the parser of a format.
func newParser(format Format, fields Fields) (parser, error) {
	switch format {
	case Combined:
		return parserFunc(parseCombined), nil
	case NginxJSON:
		return nginxJSON, nil
	case Envoy:
		return parserFunc(parseEnvoy), nil
	case ALB:
		return parserFunc(parseALB), nil
	case CloudFront:
		return new(cloudFront), nil
	case JSON:
		return newJSON(fields)
	}
	return nil, errFormat
}

// parseCombined reads
//
//	[vhost:port] addr ident user [10/Oct/2000:13:55:36 +0000] "request" status bytes ["referer" "agent"]
//
// and whatever follows. Both nginx's and Apache's log module write it. The time
// is taken for that of the end, which it is with nginx; Apache has that of the
// beginning.
func parseCombined(line []byte) (*entry, error) {
	s := string(line)
	open := strings.Index(s, " [")
	if open < 0 {
		return nil, errShape
	}
	who := strings.Fields(s[:open])
	stamp, rest, ok := strings.Cut(s[open+2:], `] "`)
	if !ok || len(who) < 3 {
		return nil, errShape
	}
	e := &entry{served: true, latency: -1, ended: true, session: who[0]}
	if len(who) > 3 && who[2] == "-" && who[1] != "-" {
		e.host, e.session = defaultPort(who[0]), who[1]
	}
	var err error
	if e.at, e.coarse, err = clock(stamp); err != nil {
		return nil, err
	}
	t := &tokens{rest: `"` + rest}
	e.request = t.next()
	e.status = t.next()
	t.next() // bytes
	e.referer = t.next()
	e.userAgent = t.next()
	if e.request == "" || e.request == "-" {
		return nil, errNotHTTP
	}
	if !digits(e.status) && e.status != "-" {
		return nil, errShape
	}
	return e, nil
}

// defaultPort leaves out the port of a virtual host where it is one that
// clients leave out.
func defaultPort(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":443")
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// tokens takes a line apart at its blanks. A token in quotes has no blank as an
// end, and its escapes are undone.
type tokens struct{ rest string }

// next gives the next token, "" at the end of the line.
func (t *tokens) next() string {
	t.rest = strings.TrimLeft(t.rest, " ")
	if !strings.HasPrefix(t.rest, `"`) {
		token, rest, _ := strings.Cut(t.rest, " ")
		t.rest = rest
		return token
	}
	for i := 1; i < len(t.rest); i++ {
		switch t.rest[i] {
		case '\\':
			i++
		case '"':
			token := t.rest[1:i]
			t.rest = t.rest[i+1:]
			return unescape(token)
		}
	}
	token := t.rest[1:]
	t.rest = ""
	return unescape(token)
}

// unescape undoes what nginx (\xHH) and Apache (\xhh, \", \\, \n, ...) do to
// bytes that cannot stand in a line.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		if s[i] == 'x' && i+2 < len(s) {
			if hi, lo := hex(s[i+1]), hex(s[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		if k := strings.IndexByte("nrtvbf", s[i]); k >= 0 {
			out = append(out, "\n\r\t\v\b\f"[k])
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// parseEnvoy reads Envoy's default format:
//
//	[start] "method path protocol" status flags received sent duration upstream-time "xff" "agent" "id" "authority" "upstream"
//
// or, in JSON, Istio's.
func parseEnvoy(line []byte) (*entry, error) {
	if line[0] == '{' {
		return istioJSON.parse(line)
	}
	stamp, rest, ok := strings.Cut(string(line), `] "`)
	if !ok || !strings.HasPrefix(stamp, "[") {
		return nil, errShape
	}
	e := &entry{served: true}
	var err error
	if e.at, e.coarse, err = clock(stamp[1:]); err != nil {
		return nil, err
	}
	t := &tokens{rest: `"` + rest}
	e.request = t.next()
	e.status = t.next()
	flags := t.next()
	var f [8]string // received, sent, duration, upstream time, xff, agent, id, authority
	for i := range f {
		f[i] = t.next()
	}
	if !digits(e.status) || flags == "" || f[7] == "" {
		return nil, errShape
	}
	e.latency = duration(f[3], time.Millisecond)
	e.session, e.userAgent, e.id, e.host = dashless(f[4]), f[5], dashless(f[6]), dashless(f[7])
	if e.request == "- - HTTP/1.1" || strings.HasPrefix(e.request, "- ") {
		return nil, errNotHTTP
	}
	return e, nil
}

func dashless(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// The fields of an ALB line that are read, by position.
const (
	albType = iota
	albTime
	_ // load balancer
	albClient
	_ // target
	_ // request_processing_time
	albTargetTime
	_ // response_processing_time
	albStatus
	albTargetStatus
	_ // received_bytes
	_ // sent_bytes
	albRequest
	albAgent
	_ // ssl_cipher
	_ // ssl_protocol
	_ // target_group_arn
	albTrace
	_ // domain_name
	_ // chosen_cert_arn
	_ // matched_rule_priority
	albCreated
	albActions
	albFields
)

// parseALB reads a line of an AWS application load balancer. Fields were added
// at its end in the course of time, and may be again.
func parseALB(line []byte) (*entry, error) {
	var f [albFields]string
	t := &tokens{rest: string(line)}
	n := 0
	for ; n < albFields && strings.TrimLeft(t.rest, " ") != ""; n++ {
		f[n] = t.next()
	}
	if n <= albAgent {
		return nil, errShape
	}
	switch f[albType] {
	case "http", "https", "h2", "grpcs":
	case "ws", "wss":
		return nil, errNotHTTP
	default:
		return nil, errShape
	}
	stamp, ended := f[albCreated], false
	if stamp == "" || stamp == "-" { // older lines have only the time of the response
		stamp, ended = f[albTime], true
	}
	e := &entry{ended: ended}
	var err error
	if e.at, e.coarse, err = clock(stamp); err != nil {
		return nil, err
	}
	if strings.HasPrefix(f[albRequest], "- ") || strings.Contains(f[albActions], "redirect") || strings.Contains(f[albActions], "fixed-response") {
		return nil, errNotHTTP
	}
	e.request, e.userAgent, e.id, e.session = strings.TrimSpace(f[albRequest]), f[albAgent], dashless(f[albTrace]), dashless(f[albClient])
	if e.request == "" {
		return nil, errNotHTTP
	}
	e.latency = seconds(f[albTargetTime])
	if e.status = f[albTargetStatus]; digits(e.status) {
		e.served = true
	}
	return e, nil
}

// cloudFront reads CloudFront's standard logs, whose second line names the
// fields.
type cloudFront struct {
	columns map[string]int
	row     []string
}

// cached are the results for which CloudFront did not ask the origin.
var cached = map[string]bool{"Hit": true, "OriginShieldHit": true, "Redirect": true, "LimitExceeded": true, "CapacityExceeded": true, "FunctionGeneratedResponse": true}

func (c *cloudFront) parse(line []byte) (*entry, error) {
	if line[0] == '#' {
		if names, ok := strings.CutPrefix(string(line), "#Fields:"); ok {
			c.columns = make(map[string]int)
			for i, name := range strings.Fields(names) {
				c.columns[strings.ToLower(name)] = i
			}
		}
		return nil, errComment
	}
	if c.columns == nil {
		return nil, errShape
	}
	c.row = strings.Split(string(line), "\t")
	if len(c.row) < len(c.columns) {
		return nil, errShape
	}
	if cached[c.get("x-edge-result-type")] {
		return nil, errNotHTTP
	}
	e := &entry{
		ended: true, coarse: true, served: true, latency: -1,
		method: c.get("cs-method"), target: c.get("cs-uri-stem"), proto: c.get("cs-protocol-version"),
		host: c.get("x-host-header"), userAgent: unquote(c.get("cs(user-agent)")), referer: unquote(c.get("cs(referer)")),
		id: c.get("x-edge-request-id"), session: c.get("c-ip"), status: c.get("sc-status"),
	}
	if port := c.get("c-port"); port != "" && e.session != "" {
		e.session += ":" + port
	}
	if e.host == "" {
		e.host = c.get("cs(host)")
	}
	if query := c.get("cs-uri-query"); query != "" {
		e.target += "?" + query
	}
	e.target = unquotePath(e.target)
	if e.proto == "" {
		e.proto = "HTTP/1.1"
	}
	var err error
	if e.at, _, err = clock(c.get("date") + " " + c.get("time")); err != nil {
		return nil, err
	}
	e.took = max(0, seconds(c.get("time-taken")))
	if e.method == "" {
		return nil, errShape
	}
	return e, nil
}

// get gives a field of the row, "" where it is not there or empty.
func (c *cloudFront) get(name string) string {
	if i, ok := c.columns[name]; ok && i < len(c.row) {
		return dashless(c.row[i])
	}
	return ""
}

// unquote undoes one URL encoding, which CloudFront puts on every value.
func unquote(s string) string {
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s
}

// unquotePath does the same to a path or query, whose own encoding must stay:
// where a blank or another byte comes out that no request line can have, the
// text was encoded by the client alone.
func unquotePath(s string) string {
	out := unquote(s)
	for i := range len(out) {
		if out[i] <= ' ' || out[i] >= 0x7f || out[i] == '#' || out[i] == '"' {
			return s
		}
	}
	return out
}
