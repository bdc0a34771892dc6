package scrub

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// worker is what one message is scrubbed with: everything that cannot be shared
// between goroutines. A failure sticks to it; what the methods return after one
// is not used.
type worker struct {
	s     *Scrubber
	draws [numClasses]*draws
	known map[string]*keyInfo
	hits  []int64
	drop  *DropError

	patterns []pattern // of the scrubber, then those that hold for this message
	readers  []*reader // by depth of JSON inside JSON
	inMemory bool      // this is a response that is compared and never stored
	depth    int       // of what is inside what: JSON in a string, base64, a parameter
	spans    []span

	noting         bool // what is replaced is remembered, to look for it in the final bytes
	replacedValues []known
	seen           map[string]bool // of replacedValues
	issued         map[string]bool // surrogates
	kept           []string        // by a rule of the user
	sweep          *sweep
	ff1            *ff1
	literals       *sweep // replaced wherever they stand; nil: none
	literalValues  []known
}

// watch begins to note what is replaced.
func (w *worker) watch() {
	w.noting = true
	clear(w.seen)
	clear(w.issued)
	w.replacedValues, w.kept = w.replacedValues[:0], nil
}

// messages scrubs both sides of an exchange.
func (w *worker) messages(x *traffic.Exchange) (req *traffic.Request, resp *traffic.Response) {
	w.inMemory, w.patterns = false, w.s.patterns
	req = w.request(&x.Request)
	if x.Response != nil && !w.failed() {
		resp = w.response(x.Response)
	}
	return req, resp
}

// check looks at the final bytes. Values that were replaced in one place and
// stand in another are returned; whatever else is found fails the exchange.
func (w *worker) check(req *traffic.Request, resp *traffic.Response) (again []known) {
	if w.failed() {
		return nil
	}
	r := residue{s: w.s, w: w, known: w.sweepFor(w.replacedValues)}
	r.exchange(&traffic.Exchange{Request: *req, Response: resp})
	if slices.ContainsFunc(r.found, func(f Finding) bool { return f.Class == canaryClass }) {
		w.fail(canaryFound)
	} else if len(r.found) > 0 {
		w.fail(leftover)
	}
	slices.Sort(r.again)
	for _, i := range slices.Compact(r.again) {
		again = append(again, w.replacedValues[i])
	}
	return again
}

// maxDepth bounds encodings inside encodings.
const maxDepth = 6

func newWorker(s *Scrubber) *worker {
	return &worker{s: s, known: map[string]*keyInfo{}, hits: make([]int64, len(s.hits)), seen: map[string]bool{}, issued: map[string]bool{}}
}

func (w *worker) reset() {
	clear(w.hits)
	w.drop, w.depth, w.inMemory = nil, 0, false
	w.noting, w.literals = false, nil
	w.patterns = w.s.patterns
}

func (w *worker) fail(r reason) {
	if w.drop == nil {
		w.drop = &DropError{reasons[r]}
	}
}

func (w *worker) failed() bool { return w.drop != nil }

// enter goes one encoding deeper. Beyond the limit nobody can say what is in
// there, so the message fails.
func (w *worker) enter() bool {
	if w.depth >= maxDepth {
		w.fail(tooDeep)
		return false
	}
	w.depth++
	return true
}

func (w *worker) leave() { w.depth-- }

func (w *worker) drawsOf(c class) *draws {
	if d := classes[c].domain; d != none {
		c = d
	}
	if w.draws[c] == nil {
		w.draws[c] = newDraws(w.s.keys[c])
	}
	return w.draws[c]
}

func (w *worker) classHit(c class) int { return len(w.s.cfg.Rules) + int(c) }

func (w *worker) hit(rule int) { w.hits[rule]++ }

func (w *worker) hitClass(c class) { w.hit(w.classHit(c)) }

func (w *worker) request(r *traffic.Request) *traffic.Request {
	out := *r
	if w.s.dynamic != nil && !w.bind(requestDocument(w, r)) {
		return &out
	}
	out.Target = w.requestTarget(r.Target, w.at("query"))
	if v, named := w.named(w.at("path"), nil); named && r.Target != "" {
		out.Target = w.wholePath(out.Target, v)
	}
	out.Header = w.header(r.Header)
	out.Trailer = w.header(r.Trailer)
	out.Body.Bytes = w.requestBody(r)
	if !sameBytes(out.Body.Bytes, r.Body.Bytes) {
		out.Header = w.agree(out.Header, len(out.Body.Bytes))
		out.Trailer = w.agree(out.Trailer, len(out.Body.Bytes))
	}
	return &out
}

// requestBody returns the scrubbed body. A request without all of its body
// cannot be replayed, and nobody has seen what is missing.
func (w *worker) requestBody(r *traffic.Request) []byte {
	switch r.Body.State {
	case traffic.Complete:
	case traffic.Oversized:
		w.fail(tooLarge)
		return nil
	case traffic.Missing:
		if n := r.Header.Get("Content-Length"); (n == "" || n == "0") && !r.Header.Has("Transfer-Encoding") && len(r.Body.Bytes) == 0 {
			return nil
		}
		fallthrough
	default:
		w.fail(incomplete)
		return nil
	}
	return w.body(r.Header, r.Body.Bytes)
}

func (w *worker) response(r *traffic.Response) *traffic.Response {
	w.inMemory = w.s.cfg.InMemory
	out := *r
	if w.s.dynamic != nil && !w.bind(responseDocument(w, r)) {
		return &out
	}
	out.Reason = w.plain(r.Reason)
	out.Header = w.header(r.Header)
	out.Trailer = w.header(r.Trailer)
	if w.failed() {
		return &out
	}
	body := traffic.Body{State: traffic.Missing}
	if r.Body.State == traffic.Complete {
		body = traffic.Body{Bytes: w.body(r.Header, r.Body.Bytes)}
	}
	if w.failed() { // the rest of the exchange is still of use without this body
		w.drop = nil
		body = traffic.Body{State: traffic.Missing}
	}
	if body.State == traffic.Missing {
		if r.Body.State != traffic.Missing {
			w.hit(len(w.hits) - 1)
			out.Header, out.Trailer = w.unvouched(out.Header), w.unvouched(out.Trailer)
		}
		if w.inMemory {
			body = w.digest(r)
		}
		out.Body = body
		return &out
	}
	out.Body = body
	if !sameBytes(body.Bytes, r.Body.Bytes) {
		out.Header = w.agree(out.Header, len(body.Bytes))
		out.Trailer = w.agree(out.Trailer, len(body.Bytes))
	}
	return &out
}

// digest stands for a body that cannot be scrubbed: equal bodies have equal
// digests, and without the key nobody can try out what a body may have been.
// Since compressors differ it is that of the plain body, where there is one. A
// body of which only the SHA-256 was kept has the digest that it would have
// had whole; one that is cut off or absent has none.
func (w *worker) digest(r *traffic.Response) traffic.Body {
	size, sum := r.Body.Size, r.Body.SHA256
	switch r.Body.State {
	case traffic.Complete:
		plain, err := content.Decode(r.Header, r.Body.Bytes, content.Limit)
		if err != nil {
			plain = r.Body.Bytes
		}
		size, sum = int64(len(plain)), sha256.Sum256(plain)
	case traffic.Oversized:
	default:
		return traffic.Body{State: traffic.Missing}
	}
	return traffic.Body{State: traffic.Oversized, Size: size, SHA256: w.s.mac(digests, sum[:])}
}

// gone is what a removed value leaves behind: nothing, or in memory a stand-in
// that differs where the value does, and has the same shape whatever it was.
func (w *worker) gone(value string) string {
	if !w.inMemory {
		return ""
	}
	sum := w.s.mac(removals, []byte(value))
	return removedMark + hex.EncodeToString(sum[:8])
}

// sameBytes reports whether a is b itself: every step returns what it was given
// when there was nothing to change.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// removedMark begins the stand-in of a value that was removed.
const removedMark = "removed-"

// HoldsRemoved reports whether a text that was scrubbed in memory holds the
// stand-in of a removed value, which is there to be compared and not to be
// shown.
func HoldsRemoved(text string) bool { return strings.Contains(text, removedMark) }
