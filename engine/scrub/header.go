package scrub

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// headerRow says what a header field holds.
type headerRow struct {
	class class
	form  form
}

// form is how the value of a field is written.
type form uint8

const (
	byName     form = iota // not in the table: the words of its name say what it is
	whole                  // one value
	authorized             // Authorization: a scheme and credentials
	cookiePair             // Cookie
	setCookie              // Set-Cookie
	list                   // values separated by commas
	forwarded              // Forwarded (RFC 7239)
	linkField              // a URL
	technical              // framing, counters, hashes: only what is certain by its form
	madeUp                 // made up by clients, who may put a card's number there too
)

// headerRows holds the fields whose names alone do not say enough.
var headerRows = map[string]headerRow{
	"authorization":       {credential, authorized},
	"proxy-authorization": {credential, authorized},
	"cookie":              {cookie, cookiePair},
	"set-cookie":          {cookie, setCookie},

	"x-api-key": {credential, whole}, "api-key": {credential, whole}, "apikey": {credential, whole},
	"x-auth-token": {credential, whole}, "x-access-token": {credential, whole}, "x-session-token": {credential, whole},
	"x-amz-security-token": {credential, whole}, "x-goog-api-key": {credential, whole}, "x-goog-iap-jwt-assertion": {credential, whole},
	"x-csrf-token": {credential, whole}, "x-csrftoken": {credential, whole}, "x-xsrf-token": {credential, whole}, "csrf-token": {credential, whole},
	"x-vault-token": {credential, whole}, "private-token": {credential, whole}, "x-shopify-access-token": {credential, whole},
	"ocp-apim-subscription-key": {credential, whole}, "dpop": {credential, whole}, "x-client-cert": {credential, whole},
	"x-forwarded-client-cert": {credential, whole}, "x-ssl-client-cert": {credential, whole}, "x-amzn-oidc-data": {credential, whole},
	"x-amzn-oidc-accesstoken": {credential, whole}, "x-amzn-oidc-identity": {credential, whole}, "x-session-id": {credential, whole},
	"x-session": {credential, whole}, "x-auth": {credential, whole}, "x-secret": {credential, whole}, "x-hasura-admin-secret": {credential, whole},
	"x-parse-session-token": {credential, whole}, "x-parse-rest-api-key": {credential, whole}, "x-functions-key": {credential, whole},
	"sec-websocket-key": {none, technical}, "authentication-info": {credential, whole},

	"x-forwarded-for": {ip, list}, "x-real-ip": {ip, list}, "true-client-ip": {ip, list}, "cf-connecting-ip": {ip, list},
	"cf-connecting-ipv6": {ip, list}, "cf-pseudo-ipv4": {ip, list}, "fly-client-ip": {ip, list}, "fastly-client-ip": {ip, list},
	"x-client-ip": {ip, list}, "x-client": {ip, list}, "x-cluster-client-ip": {ip, list}, "x-original-forwarded-for": {ip, list}, "x-remote-ip": {ip, list},
	"x-remote-addr": {ip, list}, "x-envoy-external-address": {ip, list}, "x-appengine-user-ip": {ip, list}, "x-azure-clientip": {ip, list},
	"forwarded": {ip, forwarded},

	"from": {email, whole}, "x-email": {email, whole}, "x-forwarded-email": {email, whole}, "x-auth-request-email": {email, whole},
	"x-goog-authenticated-user-email": {email, whole}, "x-forwarded-user": {username, whole}, "x-forwarded-preferred-username": {username, whole},
	"x-remote-user": {username, whole}, "remote-user": {username, whole}, "x-auth-request-user": {username, whole}, "x-user": {username, whole},
	"x-device-id": {device, whole}, "x-device": {device, whole},

	"referer": {none, linkField}, "location": {none, linkField}, "content-location": {none, linkField}, "x-original-url": {none, linkField},
	"x-rewrite-url": {none, linkField}, "x-forwarded-uri": {none, linkField}, "x-original-uri": {none, linkField}, "origin": {none, linkField},
	":path": {none, linkField},

	"etag": {none, technical}, "if-none-match": {none, technical}, "if-match": {none, technical}, "traceparent": {none, technical},
	"x-request-id": {none, madeUp}, "x-correlation-id": {none, madeUp}, "x-amzn-trace-id": {none, technical}, "x-trace-id": {none, technical},
	"x-b3-traceid": {none, technical}, "x-b3-spanid": {none, technical}, "x-datadog-trace-id": {none, technical},
	"x-datadog-parent-id": {none, technical}, "x-cloud-trace-context": {none, technical}, "idempotency-key": {none, madeUp},
	"user-agent": {none, madeUp}, "x-user-agent": {none, madeUp}, "server": {none, technical},

	"host": {none, technical}, "content-length": {none, technical}, "content-type": {none, technical}, "content-encoding": {none, technical},
	"transfer-encoding": {none, technical}, "connection": {none, technical}, "date": {none, technical}, "last-modified": {none, technical},
	"expires": {none, technical}, "age": {none, technical}, "accept": {none, technical}, "accept-encoding": {none, technical},
	"accept-language": {none, technical}, "cache-control": {none, technical}, "vary": {none, technical}, "range": {none, technical},
	"content-range": {none, technical}, "if-modified-since": {none, technical}, "upgrade": {none, technical},
	"content-md5": {none, technical}, "digest": {none, technical}, "content-digest": {none, technical}, "repr-digest": {none, technical},
	"x-amz-content-sha256": {none, technical}, "x-amz-date": {none, technical}, "signature": {none, technical}, "signature-input": {none, technical},
	"x-hub-signature": {none, technical}, "x-hub-signature-256": {none, technical}, "stripe-signature": {none, technical},
	"x-slack-signature": {none, technical}, "x-twilio-signature": {none, technical}, "x-shopify-hmac-sha256": {none, technical},
}

// integrityFields vouch for a body, and do not for another one.
var integrityFields = []string{"Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Signature", "Signature-Input", "X-Amz-Content-Sha256",
	"X-Hub-Signature", "X-Hub-Signature-256", "Stripe-Signature", "X-Slack-Signature", "X-Twilio-Signature", "X-Shopify-Hmac-Sha256",
	"X-Signature", "X-Webhook-Signature", "Webhook-Signature", "Svix-Signature", "X-Line-Signature", "X-Razorpay-Signature", "Paypal-Transmission-Sig",
	"X-Goog-Hash", "X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc32c", "X-Amz-Checksum-Crc64nvme", "X-Amz-Checksum-Sha1", "X-Amz-Checksum-Sha256"}

// header returns h with its names and values scrubbed, and h itself when all
// stay.
func (w *worker) header(h traffic.Header) traffic.Header {
	var out traffic.Header
	for i := range h {
		value, goes := w.field(h[i].Name, h[i].Value)
		name := h[i].Name
		if !goes && headerRows[strings.ToLower(name)].form == byName {
			name = w.tokenName(w.key([]byte(name)), name)
		}
		if out == nil {
			if !goes && value == h[i].Value && name == h[i].Name {
				continue
			}
			out = append(make(traffic.Header, 0, len(h)), h[:i]...)
		}
		if !goes {
			out = append(out, traffic.Field{Name: name, Value: value})
		}
	}
	if out == nil {
		return h
	}
	return out
}

// field scrubs one header field.
func (w *worker) field(fieldName, value string) (out string, goes bool) {
	name := strings.ToLower(fieldName)
	row := headerRows[name]
	rule, k := w.headerRule(name), (*keyInfo)(nil)
	if row.form == byName {
		row, k = w.rowByName(fieldName, value)
	}
	if !w.s.enabled[row.class] {
		row.class = none
	}
	if rule >= 0 {
		if v := w.ruled(rule, row.class); v.action == Remove {
			w.hit(v.rule)
			return w.gone(value), !w.inMemory
		} else if v.action != "" {
			return w.apply(v, k, value), false
		}
	}
	switch row.form {
	case authorized:
		return w.authorization(value, row.class), false
	case cookiePair:
		return w.cookies(value), false
	case setCookie:
		return w.setCookie(value), false
	case technical:
		return w.found(w.s.certain, value), false
	case madeUp:
		if v := w.strictly(nil, value); v.action != "" {
			return w.apply(v, nil, value), false
		}
		return w.found(w.s.madeUp, value), false
	case linkField:
		return w.linkValue(value), false
	case list:
		return w.addresses(value, row.class), false
	case forwarded:
		return w.forwarded(value), false
	}
	if v := (verdict{}); row.class == none && !isStandard(name) {
		if v = w.strictly(k, value); v.action != "" {
			return w.apply(v, k, value), false
		}
	}
	return w.headerValue(row.class, k, value)
}

func (w *worker) headerRule(name string) int {
	if r, ok := w.s.byHeader[name]; ok {
		return r
	}
	return w.at("headers", name).rule
}

// ruled is the verdict of a rule that names a field of a class; the action is
// empty where a credential may not be kept.
func (w *worker) ruled(rule int, c class) verdict {
	a := w.s.cfg.Rules[rule].Action
	if a == Keep && classes[c].protected {
		return verdict{}
	}
	if c == none {
		c = other
	}
	return verdict{a, c, rule}
}

// rowByName judges a field by the words of its name, which case may separate.
func (w *worker) rowByName(fieldName, value string) (headerRow, *keyInfo) {
	k := w.key([]byte(fieldName))
	if row := k.rows[0]; row != nil && row.class == ip { // before its gate, which knows one address and no list
		return headerRow{ip, list}, k
	}
	if c := w.classOf(k, 0, none, value); c != none {
		return headerRow{c, whole}, k
	}
	if len(fieldName) > 7 && strings.EqualFold(fieldName[:7], "x-user-") {
		return headerRow{username, whole}, k
	}
	return headerRow{none, whole}, k
}

func (w *worker) headerValue(c class, k *keyInfo, value string) (out string, goes bool) {
	switch {
	case c == none:
		return w.apply(verdict{}, k, value), false
	case classes[c].remove:
		w.hitClass(c)
		return w.gone(value), !w.inMemory
	}
	return w.keyed(verdict{Pseudonymize, c, w.classHit(c)}, value), false
}

func (w *worker) linkValue(value string) string {
	if strings.HasPrefix(value, "//") { // a URL that leaves its scheme to the page
		return strings.TrimPrefix(w.target("https:"+value, nowhere), "https:")
	}
	if strings.ContainsAny(value, " ,<>") {
		return w.plain(value)
	}
	return w.target(value, nowhere)
}

// authorization keeps the scheme and the names of parameters.
func (w *worker) authorization(value string, c class) string {
	if c == none || value == "" {
		return w.plain(value)
	}
	w.hitClass(c)
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok {
		return w.stand(c, value)
	}
	switch {
	case strings.EqualFold(scheme, "basic"):
		return scheme + " " + w.basic(rest)
	case strings.Contains(rest, "=") && (strings.EqualFold(scheme, "digest") || strings.ContainsAny(rest, ",\"") || strings.HasPrefix(strings.ToUpper(scheme), "AWS4")):
		return scheme + " " + w.authParams(rest)
	}
	return scheme + " " + w.stand(c, rest)
}

// basic replaces user and password of RFC 7617 credentials.
func (w *worker) basic(s string) string {
	decoded, err := base64.StdEncoding.DecodeString(s)
	if err != nil || !isText(decoded) {
		return w.stand(credential, s)
	}
	user, password, _ := strings.Cut(string(decoded), ":")
	out := w.stand(credential, user) + ":"
	if password != "" {
		out += w.stand(credential, password)
	}
	return base64.StdEncoding.EncodeToString([]byte(out))
}

// publicAuthParams are parameters of a challenge that hold nothing secret.
var publicAuthParams = map[string]bool{"realm": true, "algorithm": true, "qop": true, "nc": true, "charset": true, "signedheaders": true,
	"headers": true, "userhash": true, "oauth_signature_method": true, "oauth_version": true, "oauth_timestamp": true}

// authParams replaces the values of name=value parameters.
func (w *worker) authParams(s string) string {
	parts := strings.Split(s, ",")
	for i, p := range parts {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			parts[i] = w.stand(credential, p)
			continue
		}
		bare := strings.Trim(value, `" `)
		key := strings.ToLower(strings.TrimSpace(name))
		if bare == "" || publicAuthParams[key] {
			continue
		}
		out := ""
		if key == "uri" {
			out = w.target(bare, nowhere)
		} else {
			out = w.stand(credential, bare)
		}
		parts[i] = name + "=" + strings.Replace(value, bare, out, 1)
	}
	return strings.Join(parts, ",")
}

// cookies scrubs a Cookie field, spacing kept.
func (w *worker) cookies(value string) string {
	parts := strings.Split(value, ";")
	out := parts[:0]
	for _, p := range parts {
		if scrubbed, goes := w.cookie(p); !goes {
			out = append(out, scrubbed)
		}
	}
	return strings.TrimLeft(strings.Join(out, ";"), " ")
}

// setCookie scrubs name and value; the attributes stay.
func (w *worker) setCookie(value string) string {
	pair, attributes, has := strings.Cut(value, ";")
	out, goes := w.cookie(pair)
	if goes { // the field stays: which cookies are set is part of the answer
		name, _, _ := strings.Cut(pair, "=")
		out = name + "="
	}
	if has {
		out += ";" + attributes
	}
	return out
}

func (w *worker) cookie(pair string) (out string, goes bool) {
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		return w.cookieValue("", pair, -1), false
	}
	bare := strings.TrimSpace(name)
	rule, named := w.s.byCookie[bare]
	if !named {
		if rule = w.at("cookies", bare).rule; rule < 0 {
			rule = w.at("cookies", bare, "value").rule
		}
	}
	if rule >= 0 && w.s.cfg.Rules[rule].Action == Remove && !w.inMemory {
		w.hit(rule)
		return "", true
	}
	return w.cookieName(name, bare) + "=" + w.cookieValue(bare, value, rule), false
}

// cookieName scrubs the name of a cookie, blanks around it kept. Some encode
// it as in a query, where a plus is a blank.
func (w *worker) cookieName(raw, bare string) string {
	for _, plus := range []bool{false, true} {
		decoded := unescape(bare, plus)
		if out := w.tokenName(w.key([]byte(decoded)), decoded); out != decoded {
			return strings.Replace(raw, bare, escapeLike(bare, out, plus), 1)
		}
	}
	return raw
}

// cookieValue replaces the value of a cookie, unless it is a known preference
// or a flag. A rule of the user may keep what its name does not give away as a
// credential.
func (w *worker) cookieValue(name, raw string, rule int) string {
	decoded := unescape(strings.Trim(raw, `"`), false)
	k := w.key([]byte(name))
	v := verdict{Pseudonymize, cookie, w.classHit(cookie)}
	secretName := k.rows[0] != nil && classes[k.rows[0].class].protected
	switch {
	case rule >= 0 && !(w.s.cfg.Rules[rule].Action == Keep && secretName):
		v = verdict{w.s.cfg.Rules[rule].Action, cookie, rule}
	case !w.s.enabled[cookie]:
		at := where{key: k, rule: -1, places: nowhere}
		v = w.judgeAt(&at, decoded)
	case isFlag(decoded), isPreference(name, decoded) && !secretName:
		v = verdict{}
	}
	out := w.apply(v, k, decoded)
	if out == decoded {
		return raw
	}
	out = escapeLike(raw, out, false)
	if strings.HasPrefix(raw, `"`) && strings.HasSuffix(raw, `"`) && len(raw) > 1 {
		return `"` + out + `"`
	}
	return out
}

// isFlag reports whether a value says yes or no and nothing else.
func isFlag(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "1", "true", "false", "yes", "no", "on", "off", "deleted":
		return true
	}
	return false
}

// addresses scrubs a list of addresses; what is none may still be a value.
func (w *worker) addresses(value string, c class) string {
	parts := strings.Split(value, ",")
	for i, p := range parts {
		trimmed := strings.TrimSpace(p)
		parts[i] = strings.Replace(p, trimmed, w.address(trimmed, c), 1)
	}
	return strings.Join(parts, ",")
}

func (w *worker) address(s string, c class) string {
	if s == "" || c == none {
		return w.plain(s)
	}
	if _, _, _, ok := splitIP(s); !ok {
		return w.plain(s)
	}
	out := w.surrogate(c, s)
	if out != s {
		w.hitClass(c)
	}
	return out
}

// forwarded scrubs the for and by parameters of RFC 7239.
func (w *worker) forwarded(value string) string {
	elements := strings.Split(value, ",")
	for i, e := range elements {
		params := strings.Split(e, ";")
		for j, p := range params {
			name, v, ok := strings.Cut(p, "=")
			key := strings.ToLower(strings.TrimSpace(name))
			if !ok || key != "for" && key != "by" {
				params[j] = w.plain(p)
				continue
			}
			bare := strings.Trim(v, `" `)
			if bare == "" {
				continue
			}
			c := ip
			if !w.s.enabled[ip] {
				c = none
			}
			params[j] = name + "=" + strings.Replace(v, bare, w.address(bare, c), 1)
		}
		elements[i] = strings.Join(params, ";")
	}
	return strings.Join(elements, ",")
}

// agree makes the fields of a message agree with a body that has changed: the
// length is corrected, and what vouched for the old body is removed.
func (w *worker) agree(h traffic.Header, length int) traffic.Header {
	h = w.unvouched(h)
	if !h.Has("Content-Length") {
		return h
	}
	out := append(traffic.Header(nil), h...)
	for i := range out {
		if traffic.EqualName(out[i].Name, "Content-Length") {
			out[i].Value = strconv.Itoa(length)
		}
	}
	return out
}

// unvouched removes the fields that vouch for a body: they do not fit another
// one, and a hash without a key gives a short one away.
func (w *worker) unvouched(h traffic.Header) traffic.Header {
	for _, name := range integrityFields {
		if h.Has(name) {
			h = h.Without(name)
			w.hit(len(w.hits) - 2)
		}
	}
	return h
}
