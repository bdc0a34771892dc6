package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// response compares two responses. Where the statuses differ nothing else is
// looked at: one failing endpoint is one difference, not one for every field
// that an error body does not have.
func (w *walker) response(a, b *traffic.Response) {
	if by := w.rule(w.top(), ignoreRule, bothSides); by != nil {
		w.cover, w.depth, w.coverKind = by, 0, result.KindValue
	}
	if a.Status != b.Status {
		p, outer := w.enter(statusKey, result.KindStatus)
		w.leaf(p, result.KindStatus, bothSides, strconv.Itoa(a.Status), strconv.Itoa(b.Status))
		w.leave(outer)
		if w.counts[0] > 0 {
			return
		}
	}
	if !statusAlone(a) && !statusAlone(b) {
		w.headers(a.Header, b.Header)
	}
	w.bodies(a, b)
}

// statusAlone reports whether the status is all that was recorded, as in an
// access log: then no field of the other side is one too many.
func statusAlone(r *traffic.Response) bool {
	return len(r.Header) == 0 && r.Body.State == traffic.Missing
}

// bodies compares two bodies.
func (w *walker) bodies(a, b *traffic.Response) {
	if a.Body.State == traffic.Complete && b.Body.State == traffic.Complete &&
		bytes.Equal(a.Body.Bytes, b.Body.Bytes) && sameCodings(a.Header, b.Header) {
		return
	}
	p, outer := w.enter(bodyKey, result.KindValue)
	defer w.leave(outer)
	if reason := unjudged(&a.Body, &b.Body); reason != "" {
		if w.cover == nil {
			w.reason = reason
		}
		return
	}
	if a.Body.State == traffic.Oversized || b.Body.State == traffic.Oversized {
		w.oversized(p, &a.Body, &b.Body)
		return
	}
	x, errA := content.Decode(a.Header, a.Body.Bytes, content.Limit)
	y, errB := content.Decode(b.Header, b.Body.Bytes, content.Limit)
	switch {
	case errA == nil && errB == nil:
		w.decoded(p, a.Header, b.Header, x, y)
	case errA != nil && errB != nil:
		w.binary(p, a.Body.Bytes, b.Body.Bytes)
	default: // on one side the body is not in the coding that it claims
		w.leaf(p, result.KindFormat, bothSides, codingState(errA), codingState(errB))
	}
}

func sameCodings(a, b traffic.Header) bool {
	if !a.Has("Content-Encoding") && !b.Has("Content-Encoding") {
		return true
	}
	return slices.Equal(content.Codings(a), content.Codings(b))
}

func codingState(err error) string {
	if err != nil {
		return err.Error()
	}
	return "decodes"
}

// unjudged says why two bodies cannot be compared, "" when they can.
func unjudged(a, b *traffic.Body) string {
	for _, s := range []struct {
		name  string
		state traffic.BodyState
	}{{"baseline", a.State}, {"candidate", b.State}} {
		switch s.state {
		case traffic.Missing:
			return "the body of the " + s.name + " was not recorded"
		case traffic.Truncated:
			return "the body of the " + s.name + " is truncated"
		}
	}
	return ""
}

// oversized compares two bodies of which at least one is known by its length
// and digest alone. Whoever recorded it may have put a key into the digest, so
// it says nothing beside a body that is there: only the lengths do.
func (w *walker) oversized(p place, a, b *traffic.Body) {
	if a.State != b.State && size(a) == size(b) {
		if w.cover == nil {
			w.reason = tooLargeToKeep
		}
		return
	}
	w.sums(p, summary(a), summary(b))
}

const tooLargeToKeep = "the body is too large to compare with what was kept"

// size is the length of all of a body, in bytes.
func size(b *traffic.Body) int64 {
	if b.State == traffic.Oversized {
		return b.Size
	}
	return int64(len(b.Bytes))
}

// summary stands for a body by its hash and length.
func summary(b *traffic.Body) string {
	sum := b.SHA256
	if b.State != traffic.Oversized {
		sum = sha256.Sum256(b.Bytes)
	}
	return hex.EncodeToString(sum[:]) + " (" + strconv.FormatInt(size(b), 10) + " bytes)"
}

// sums compares two summaries.
func (w *walker) sums(p place, x, y string) {
	if x == y {
		return
	}
	w.push(sumKey)
	defer w.pop()
	w.text(result.KindValue, w.rule(w.key(p, sumKey), ignoreRule, bothSides), x, y)
}

func (w *walker) binary(p place, x, y []byte) {
	if bytes.Equal(x, y) {
		return
	}
	w.sums(p, summary(&traffic.Body{Bytes: x}), summary(&traffic.Body{Bytes: y}))
}

// decoded compares two bodies whose content codings are undone.
func (w *walker) decoded(p place, ha, hb traffic.Header, x, y []byte) {
	switch {
	case bytes.Equal(x, y):
		return
	case len(x) == 0:
		w.leaf(p, result.KindExtra, candidateSide, "", excerpt(y, 0))
		return
	case len(y) == 0:
		w.leaf(p, result.KindMissing, baselineSide, excerpt(x, 0), "")
		return
	}
	if w.cover != nil {
		w.plain(p, x, y)
		return
	}
	ma, mb := content.MediaTypeOf(ha), content.MediaTypeOf(hb)
	ka, kb := content.Sniff(ma, x), content.Sniff(mb, y)
	if ka == kb && w.structured(p, ka, x, y) {
		return
	}
	if ka == content.Multipart && kb == ka && slices.EqualFunc(parts(ma, x), parts(mb, y), bytes.Equal) {
		return
	}
	if document.IsText(ka) && document.IsText(kb) {
		s, errA := content.UTF8(ma, x)
		t, errB := content.UTF8(mb, y)
		if errA == nil && errB == nil {
			w.plain(p, s, t)
			return
		}
	}
	if ka == kb {
		w.binary(p, x, y)
	} else if w.counts[0] == 0 { // otherwise the media types have said it
		w.leaf(p, result.KindFormat, bothSides, summary(&traffic.Body{Bytes: x}), summary(&traffic.Body{Bytes: y}))
	}
}

// structured compares two bodies of a kind with structure. It is false when
// neither has the structure that its kind promises. Where only one side can be
// read, because the other's document is broken or grew beyond all bounds, that
// is a difference: the candidate must not get away with it.
func (w *walker) structured(p place, kind content.Kind, x, y []byte) bool {
	okA, okB := w.a.Parse(kind, x), w.b.Parse(kind, y)
	switch {
	case okA && okB:
		w.pair(w.a.Root(), w.b.Root(), p)
	case w.a.TooLarge() && w.b.TooLarge():
		w.reason = tooLarge
	case okA != okB || w.a.TooLarge() != w.b.TooLarge():
		w.leaf(p, result.KindFormat, bothSides, excerpt(x, 0), excerpt(y, 0))
	default:
		return false
	}
	return true
}

// plain compares two texts.
func (w *walker) plain(p place, x, y []byte) {
	if bytes.Equal(x, y) {
		return
	}
	at := 0
	for at < len(x) && at < len(y) && x[at] == y[at] {
		at++
	}
	w.leaf(p, result.KindValue, bothSides, excerpt(x, at), excerpt(y, at))
}

// parts cuts a multipart body at its delimiter lines, which are new each time:
// "--boundary", with "--" behind it for the last one. What comes before the
// first and after the last one are parts as well. See RFC 2046 section 5.1.1.
func parts(m content.MediaType, body []byte) [][]byte {
	boundary := m.Params["boundary"]
	if boundary == "" {
		return [][]byte{body}
	}
	var out [][]byte
	delimiter := []byte("--" + boundary)
	for from, at := 0, 0; ; {
		i := bytes.Index(body[at:], delimiter)
		if i < 0 {
			return append(out, body[from:])
		}
		i += at
		at = i + len(delimiter)
		if i > 0 && body[i-1] != '\n' {
			continue
		}
		line, rest, _ := bytes.Cut(body[at:], []byte{'\n'})
		closing := bytes.HasPrefix(line, []byte("--"))
		if len(bytes.Trim(bytes.TrimPrefix(line, []byte("--")), " \t\r")) > 0 {
			continue
		}
		out = append(out, body[from:i])
		from, at = len(body)-len(rest), len(body)-len(rest)
		if closing {
			return append(out, lastPart, body[from:])
		}
	}
}

// lastPart stands in for the closing delimiter: without it more parts were to
// come.
var lastPart = []byte("--")

// excerpt is the surroundings of position at in a text.
func excerpt(text []byte, at int) string {
	const before, size = 60, 400
	start := max(at-before, 0)
	end := min(start+size, len(text))
	for start > 0 && start < len(text) && !utf8.RuneStart(text[start]) {
		start--
	}
	for end < len(text) && end > start && !utf8.RuneStart(text[end]) {
		end--
	}
	out := strings.ToValidUTF8(string(text[start:end]), "\uFFFD")
	if start > 0 {
		out = "…" + out
	}
	if end < len(text) {
		out += "…"
	}
	return out
}
