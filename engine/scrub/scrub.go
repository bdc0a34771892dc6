// Package scrub takes personal data and credentials out of traffic before any
// other stage sees it. Exchanges come in as they were recorded and go out with
// every detected value replaced by a surrogate of the same shape, or they do
// not go out at all: what cannot be read is dropped, never passed on.
//
// A surrogate is drawn from an HMAC of the original under a key, so the same
// e-mail address becomes the same surrogate in a path, a header and a body, and
// nobody without the key can go back. Where a realm is reserved for examples
// (RFC 2606 names, RFC 5737 addresses, 555-01xx telephone numbers, issuer test
// prefixes) surrogates come from it, so that no candidate build can write to,
// call or charge anybody real.
//
// What is looked for is a matter of packs, which are versioned: see PackNames.
// Most name what goes; a strict one has everything go that nothing names as
// harmless, and is opened by rules that keep.
//
// Scrubbing twice under one key is stable for what is recognised as a surrogate:
// e-mail and IP addresses, telephone and card numbers, IBANs, social security
// numbers, vehicles and hardware addresses by their reserved realm, under any key; web
// tokens, private keys and credentials of sixteen characters or more by a seal,
// under the same key. Surrogates of other classes (names, addresses, dates,
// national numbers, accounts, records, short secrets, what is not listed) are
// replaced by other surrogates, each original still by one and the same.
//
// An exchange that was scrubbed is looked at once more before it is passed on,
// by code that knows no field names: see Scrubber.Residual. Values that were
// replaced in one place and stand in another are replaced there too; an exchange
// in which something personal is left is dropped and counted.
//
// Everything that is not replaced stays as it was, byte for byte: number
// literals, key order, white space, duplicate keys, percent-encoding.
package scrub

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// DefaultMaxBody is the largest decoded body, in bytes, that is scrubbed when
// the configuration does not say.
const DefaultMaxBody = 8 << 20

// minKey is the shortest key, in bytes: an HMAC-SHA256 key should have the
// length of the hash (RFC 2104 section 3).
const minKey = 32

// Config says what a Scrubber does.
type Config struct {
	Key      []byte   // at least 32 bytes; nil: a key of this run, never stored
	Packs    []string // of PackNames; nil: DefaultPacks
	Rules    []Rule   // the user's, which come before the packs
	Disabled string   // the reason given for scrub = none; "": scrubbing is on
	MaxBody  int      // largest decoded body in bytes; 0: DefaultMaxBody
	Canaries []string // texts that were planted and may not come out: an exchange that has one is dropped

	// InMemory says that responses are compared in memory and never stored.
	// What would be removed from one is then replaced by a keyed stand-in that
	// tells equal from different and nothing else, not even a length; and a
	// body that cannot be scrubbed is not withheld but becomes an Oversized
	// one without bytes, whose SHA256 is a keyed digest of the whole body. So
	// whatever the candidate changes still counts. Requests are scrubbed as
	// without it.
	InMemory bool
}

// Rule is a rule of the user. Where several match one value, the one that
// names the innermost place wins, then the one declared first.
type Rule struct {
	Name    string      `json:"name"`
	JQ      []*jq.Paths `json:"jq,omitempty"`   // places in the request or response document, ".body.note"
	Keys    []string    `json:"keys,omitempty"` // names of JSON, form, query and XML fields; case and separators do not matter
	Headers []string    `json:"headers,omitempty"`
	Cookies []string    `json:"cookies,omitempty"`
	Query   []string    `json:"query,omitempty"`
	Action  Action      `json:"action"`
	Origin  pos.Range   `json:"-"`
}

// Action is what happens to a value that a rule names.
type Action string

// The actions.
const (
	Remove       Action = "remove"       // the field goes; a list element becomes null
	Pseudonymize Action = "pseudonymize" // a surrogate of the same shape
	Mask         Action = "mask"         // letters become x or X, digits 0
	Keep         Action = "keep"         // an exemption, for all but credentials and card verification data
)

// Scrubber scrubs. It is safe for concurrent use.
type Scrubber struct {
	cfg       Config
	root      []byte
	ephemeral bool
	keys      [numClasses][]byte // derived, by domain
	others    [numPurposes][]byte
	enabled   [numClasses]bool
	packOf    [numClasses]string // in whose name hits are counted; "": no pack
	medical   bool               // the rows of field names that are medical hold, and so do forms of few digits
	strict    bool               // what no row and no rule keeps is replaced

	detectors  []detector // of the enabled packs
	protectors []detector // of them, those that no exemption turns off
	certain    []detector // of them, those that digits alone cannot set off
	madeUp     []detector // those, and that of cards: what clients make up is no counter
	patterns   []pattern  // the static jq rules, lowered
	dynamic    []dynamicRule
	byKey      map[string]int // normalised field name to rule
	byHeader   map[string]int
	byCookie   map[string]int
	byQuery    map[string]int

	canaries         []string // in lower case
	canariesInBase64 []string

	workers sync.Pool
	sealers sync.Pool      // of hash.Hash: the HMAC of seals
	hits    []atomic.Int64 // rules of the user, then of the classes, then the two below
	dropped [len(reasons)]atomic.Int64
}

// New makes a scrubber. Mistakes in the configuration are errors: an unknown
// pack or action, a short key, nothing to do, an exemption for a credential.
func New(cfg Config) (*Scrubber, error) {
	s := &Scrubber{cfg: cfg}
	if s.cfg.MaxBody <= 0 {
		s.cfg.MaxBody = DefaultMaxBody
	}
	if err := s.setPacks(); err != nil {
		return nil, err
	}
	if err := s.setKey(); err != nil {
		return nil, err
	}
	if err := s.setRules(); err != nil {
		return nil, err
	}
	s.setCanaries()
	s.hits = make([]atomic.Int64, len(cfg.Rules)+int(numClasses)+2)
	s.sealers.New = func() any { return hmac.New(sha256.New, s.others[seals]) }
	s.workers.New = func() any { return newWorker(s) }
	return s, nil
}

func (s *Scrubber) setPacks() error {
	if s.cfg.Packs == nil {
		s.cfg.Packs = DefaultPacks()
	}
	if len(s.cfg.Packs) == 0 && len(s.cfg.Rules) == 0 && s.cfg.Disabled == "" {
		return fmt.Errorf("scrub has neither packs nor rules: name a pack, or say scrub = none with a reason")
	}
	for _, p := range s.cfg.Packs {
		if !slices.Contains(PackNames(), p) {
			return fmt.Errorf("unknown scrub pack %q: the packs are %q", p, PackNames())
		}
	}
	s.enabled[none], s.enabled[other] = true, true
	for _, p := range packs {
		if !slices.Contains(s.cfg.Packs, p.name) {
			continue
		}
		s.medical, s.strict = s.medical || p.medical, s.strict || p.strict
		for _, c := range p.classes {
			if s.enabled[c] = true; s.packOf[c] == "" {
				s.packOf[c] = p.name
			}
		}
	}
	for _, d := range detectors {
		if !s.enabled[d.class] {
			continue
		}
		s.detectors = append(s.detectors, d)
		if classes[d.class].protected {
			s.protectors = append(s.protectors, d)
		}
		if classes[d.class].protected || d.class == email {
			s.certain = append(s.certain, d)
		}
		if classes[d.class].protected || d.class == email || d.class == card {
			s.madeUp = append(s.madeUp, d)
		}
	}
	return nil
}

// setKey derives one key per class (HKDF, RFC 5869), so that surrogates of two
// classes cannot be related to each other.
func (s *Scrubber) setKey() error {
	s.root = slices.Clone(s.cfg.Key)
	if s.root == nil {
		s.ephemeral = true
		s.root = make([]byte, minKey)
		if _, err := rand.Read(s.root); err != nil {
			return fmt.Errorf("draw a scrub key: %w", err)
		}
	}
	if len(s.root) < minKey {
		return fmt.Errorf("the scrub key has %d bytes: it needs at least %d", len(s.root), minKey)
	}
	for c := range classes {
		key, err := hkdf.Key(sha256.New, s.root, nil, "shadowaudit/scrub/v1/"+classes[c].name, sha256.Size)
		if err != nil {
			return fmt.Errorf("derive scrub keys: %w", err)
		}
		s.keys[c] = key
	}
	for p, name := range purposes {
		key, err := hkdf.Key(sha256.New, s.root, nil, "shadowaudit/scrub/v1/"+name, sha256.Size)
		if err != nil {
			return fmt.Errorf("derive scrub keys: %w", err)
		}
		s.others[p] = key
	}
	return nil
}

// purpose is what else a key is derived for.
type purpose uint8

const (
	sessions purpose = iota
	removals
	digests
	seals
	tokens
	permutations
	numPurposes
)

var purposes = [numPurposes]string{sessions: "session", removals: "removal", digests: "digest", seals: "seal", tokens: "token", permutations: "permutation"}

// mac is the keyed hash of a text for a purpose.
func (s *Scrubber) mac(p purpose, text []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.others[p])
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// keyID tells keys apart and reveals nothing about them.
func (s *Scrubber) keyID() string {
	if s.ephemeral {
		return "ephemeral"
	}
	mac := hmac.New(sha256.New, s.root)
	mac.Write([]byte("kid"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// DropError says why an exchange may not be passed on. It quotes no content.
type DropError struct {
	Reason string // one of a closed set
}

// Error gives the reason.
func (e *DropError) Error() string { return "exchange dropped by scrub: " + e.Reason }

// reason is an index into reasons.
type reason uint8

const (
	badJSON reason = iota
	badCharset
	badCoding
	badMultipart
	badRule
	binaryBody
	binaryFile
	incomplete
	tooDeep
	tooLarge
	fault
	unstable
	leftover
	canaryFound
)

var reasons = [...]string{
	badJSON:      "body is not the JSON it says it is",
	badCharset:   "character set cannot be read",
	badCoding:    "content coding cannot be undone",
	badMultipart: "multipart body cannot be rewritten",
	badRule:      "a rule could not be evaluated",
	binaryBody:   "binary body",
	binaryFile:   "binary file in a multipart body",
	incomplete:   "request body is incomplete",
	tooDeep:      "body is nested too deeply",
	tooLarge:     "body is too large",
	fault:        "scrubber fault",
	unstable:     "body does not parse after scrubbing",
	leftover:     "something personal is left after scrubbing",
	canaryFound:  CanaryReason,
}

// Exchange scrubs x in place. The slices of x are replaced, their elements are
// never written, so memory that x shares with others stays as it was. A
// request that cannot be scrubbed is a *DropError, and x must not be passed on;
// a recorded response that cannot be is kept without its body, or with a digest
// of it (Config.InMemory). Session and ID are left alone: see Session.
func (s *Scrubber) Exchange(x *traffic.Exchange) error {
	if s.cfg.Disabled != "" {
		return nil
	}
	req, resp, err := s.exchange(x)
	if err != nil {
		for i, text := range reasons {
			if text == err.Reason {
				s.dropped[i].Add(1)
			}
		}
		return err
	}
	x.Request, x.Response = *req, resp
	return nil
}

func (s *Scrubber) exchange(x *traffic.Exchange) (req *traffic.Request, resp *traffic.Response, drop *DropError) {
	drop = s.work(true, func(w *worker) {
		w.watch()
		req, resp = w.messages(x)
		again := w.check(req, resp)
		if len(again) > 0 { // values that stand elsewhere too, where nothing names them
			w.replaceEverywhere(again)
			hits := append([]int64(nil), w.hits...)
			clear(w.hits)
			req, resp = w.messages(x)
			if again = w.check(req, resp); len(again) > 0 {
				copy(w.hits, hits)
				w.fail(leftover)
			}
		}
	})
	return req, resp, drop
}

// Session returns a pseudonym of 16 hexadecimal digits for the session of an
// exchange, which may be a cookie or the address of a client. The same session
// has the same pseudonym under the same key. No session, "", stays none, and
// with scrubbing off a session stays what it is.
func (s *Scrubber) Session(v string) string {
	if v == "" || s.cfg.Disabled != "" {
		return v
	}
	sum := s.mac(sessions, []byte(v))
	return hex.EncodeToString(sum[:8])
}

// Request returns a scrubbed copy of r, or a *DropError. It does not count as
// a hit of any rule.
func (s *Scrubber) Request(r *traffic.Request) (*traffic.Request, error) {
	out := *r
	if s.cfg.Disabled != "" {
		return &out, nil
	}
	if drop := s.work(false, func(w *worker) { out = *w.request(r) }); drop != nil {
		return nil, drop
	}
	return &out, nil
}

// Response returns a scrubbed copy of r; a body that cannot be scrubbed is
// missing from it, or a digest stands for it (Config.InMemory). It does not
// count as a hit of any rule.
func (s *Scrubber) Response(r *traffic.Response) (*traffic.Response, error) {
	out := *r
	if s.cfg.Disabled != "" {
		return &out, nil
	}
	if drop := s.work(false, func(w *worker) { out = *w.response(r) }); drop != nil {
		return nil, drop
	}
	return &out, nil
}

// redacted stands for a value that could not be scrubbed.
const redacted = "redacted"

// Shown returns what a report may show of one value. path holds the keys that
// lead to it (body, customer, email), list positions left out; literal is raw
// JSON text or plain text, and the result has the same form. Nothing that is
// detected comes back as it was, nor do bytes that are no text.
func (s *Scrubber) Shown(path []string, literal string) string {
	return s.show(literal, func(w *worker) string { return w.shown(path, literal) })
}

// Text returns v with every value replaced that is recognised by its own form.
func (s *Scrubber) Text(v string) string {
	return s.show(v, func(w *worker) string { return w.plain(v) })
}

// Path returns a request-target that may be shown.
func (s *Scrubber) Path(target string) string {
	return s.show(target, func(w *worker) string { return w.requestTarget(target, w.at("query")) })
}

func (s *Scrubber) show(original string, f func(*worker) string) string {
	if s.cfg.Disabled != "" {
		return original
	}
	var out string
	if s.work(false, func(w *worker) { out = f(w) }) == nil {
		return out
	}
	if original != "" && original[0] == '"' {
		return `"` + redacted + `"`
	}
	return redacted
}

// work lends f a worker. Whatever goes wrong in f, a panic included, becomes a
// DropError, and then no hits are counted.
func (s *Scrubber) work(count bool, f func(*worker)) (drop *DropError) {
	w := s.workers.Get().(*worker)
	w.reset()
	defer func() {
		if recover() != nil { // the worker may be in any state: it is not put back
			drop = &DropError{reasons[fault]}
		}
	}()
	f(w)
	drop = w.drop
	if drop == nil && count {
		for i, n := range w.hits {
			if n > 0 {
				s.hits[i].Add(n)
			}
		}
	}
	s.workers.Put(w)
	return drop
}

// Hits counts what each rule replaced in the exchanges that were passed on,
// sorted by name. The user's rules are listed even if they never matched.
func (s *Scrubber) Hits() []result.ScrubRule {
	out := []result.ScrubRule{}
	for i := range s.hits {
		n := s.hits[i].Load()
		if i < len(s.cfg.Rules) || n > 0 {
			out = append(out, result.ScrubRule{Name: s.ruleName(i), Hits: n})
		}
	}
	slices.SortStableFunc(out, func(a, b result.ScrubRule) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Scrubber) ruleName(i int) string {
	if i < len(s.cfg.Rules) {
		return s.cfg.Rules[i].Name
	}
	switch c := class(i - len(s.cfg.Rules)); c {
	case numClasses:
		return "integrity"
	case numClasses + 1:
		if s.cfg.InMemory {
			return "unreadable response body"
		}
		return "withheld response body"
	default:
		return s.classRule(c)
	}
}

// Report describes what was done, without any value.
func (s *Scrubber) Report() result.Scrub {
	if s.cfg.Disabled != "" {
		return result.Scrub{Disabled: true, Reason: s.cfg.Disabled,
			Packs: []string{}, Rules: []result.ScrubRule{}, Dropped: []result.ScrubCount{}}
	}
	out := result.Scrub{Packs: slices.Clone(s.cfg.Packs), KeyID: s.keyID(), Rules: s.Hits(), Dropped: []result.ScrubCount{}}
	for i := range s.dropped {
		if n := s.dropped[i].Load(); n > 0 {
			out.Dropped = append(out.Dropped, result.ScrubCount{Reason: reasons[i], Count: n})
		}
	}
	slices.SortFunc(out.Dropped, func(a, b result.ScrubCount) int { return strings.Compare(a.Reason, b.Reason) })
	return out
}
