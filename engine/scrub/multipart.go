package scrub

import (
	"bytes"
	"mime"
	"strings"

	"github.com/shadowaudit/shadowaudit/engine/content"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// multipart scrubs the parts of a multipart body (RFC 2046 section 5.1) between
// their delimiters, which stay. A part that holds a binary file cannot be
// scrubbed and fails the message.
func (w *worker) multipart(boundary string, body []byte, at where) []byte {
	delimiter := []byte("--" + boundary)
	if boundary == "" || !bytes.HasPrefix(body, delimiter) {
		w.fail(badMultipart)
		return nil
	}
	if !w.enter() {
		return nil
	}
	defer w.leave()
	sep := append([]byte("\r\n"), delimiter...)
	pieces := bytes.Split(body[len(delimiter):], sep)
	out := bytes.Clone(delimiter)
	for i, p := range pieces {
		if i > 0 {
			out = append(out, sep...)
		}
		if bytes.HasPrefix(p, []byte("--")) { // the last delimiter, and nothing behind it but a line end
			if i != len(pieces)-1 || len(bytes.TrimSpace(p[2:])) > 0 {
				w.fail(badMultipart)
				return nil
			}
			out = append(out, p...)
			if bytes.Equal(out, body) {
				return body
			}
			return out
		}
		part := w.part(p, at)
		if w.failed() {
			return nil
		}
		if bytes.Contains(part, sep) {
			w.fail(badMultipart)
			return nil
		}
		out = append(out, part...)
	}
	w.fail(badMultipart) // never closed
	return nil
}

// part scrubs what stands between two delimiters: line end, fields, an empty
// line, content. Its name says what the content is, as a member's name does.
func (w *worker) part(p []byte, at where) []byte {
	rest, ok := bytes.CutPrefix(p, []byte("\r\n"))
	if !ok {
		w.fail(badMultipart)
		return nil
	}
	head, body, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
	if !ok {
		w.fail(badMultipart)
		return nil
	}
	var h traffic.Header
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			w.fail(badMultipart)
			return nil
		}
		h = append(h, traffic.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	if cte := strings.ToLower(h.Get("Content-Transfer-Encoding")); cte != "" && cte != "binary" && cte != "8bit" && cte != "7bit" {
		w.fail(badMultipart)
		return nil
	}
	out := []byte("\r\n")
	out = append(out, w.partHead(string(head))...)
	out = append(out, "\r\n\r\n"...)
	return append(out, w.partBody(h, body, at)...)
}

// partHead scrubs the fields of a part, line by line.
func (w *worker) partHead(head string) string {
	lines := strings.Split(head, "\r\n")
	for i, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		if out := w.fileName(w.plain(value)); out != value {
			lines[i] = name + ":" + out
		}
	}
	return strings.Join(lines, "\r\n")
}

// fileName replaces the name of a file in the disposition of a part, if the pack
// is strict; its suffix stays.
func (w *worker) fileName(disposition string) string {
	const mark = `filename="`
	head, rest, found := strings.Cut(disposition, mark)
	name, tail, closed := strings.Cut(rest, `"`)
	if !w.s.strict || !found || !closed {
		return disposition
	}
	base, suffix := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		base, suffix = name[:dot], name[dot:]
	}
	return head + mark + w.free(base) + suffix + `"` + tail
}

func (w *worker) partBody(h traffic.Header, body []byte, at where) []byte {
	name, isFile := partName(h.Get("Content-Disposition"))
	m := content.MediaTypeOf(h)
	place := w.memberAt(at.inside(), w.key([]byte(name)), []byte(name))
	if m.Name == "" && !isFile { // a field of a form: plain text whatever it looks like
		if !isText(body) {
			w.fail(binaryFile)
			return nil
		}
		return changed(body, w.leaf(place, string(body)))
	}
	if kind := content.Sniff(m, body); kind == content.Binary && len(body) > 0 {
		w.fail(binaryFile)
		return nil
	}
	return w.content(m, body, place)
}

// partName reads the name of a part, and whether the part is a file. What is
// not well-formed is read as far as it can be, since others will do so too.
func partName(disposition string) (name string, isFile bool) {
	if _, params, err := mime.ParseMediaType(disposition); err == nil {
		return params["name"], params["filename"] != ""
	}
	for param := range strings.SplitSeq(disposition, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		switch value = strings.Trim(value, ` "`); {
		case strings.EqualFold(key, "name") && name == "":
			name = value
		case strings.EqualFold(key, "filename"):
			isFile = true
		}
	}
	return name, isFile
}
