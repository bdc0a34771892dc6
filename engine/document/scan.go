package document

// The reader below takes exactly the grammar of RFC 8259, except that strings
// may hold invalid UTF-8, which is compared as bytes. It is written by hand
// because every noisy pair of responses passes through it twice.

// json appends the one JSON value that src holds, as a member called name when
// name is not nil.
func (t *Tree) json(src, name []byte) bool {
	bottom := len(t.open)
	if t.scan(src, name, bottom) {
		return true
	}
	t.open = t.open[:bottom]
	return false
}

func (t *Tree) scan(src, name []byte, bottom int) bool {
	for i := 0; ; {
		i = space(src, i)
		if i == len(src) {
			return false
		}
		start := i
		switch c := src[i]; c {
		case '{', '[':
			if len(t.open) >= maxDepth || len(t.nodes) > maxNodes {
				t.large = true
				return false
			}
			kind := List
			if c == '{' {
				kind = Object
			}
			t.begin(node{kind: kind, name: name, raw: src[start:]})
			i = space(src, i+1)
			if i < len(src) && src[i] == c+2 { // "]" and "}" are two behind their partners
				i++
				t.close(src, i)
				break
			}
			if name = nil; kind == Object {
				if name, i = memberName(src, i); i < 0 {
					return false
				}
			}
			continue
		case '"':
			end, escaped := stringEnd(src, i)
			if end < 0 {
				return false
			}
			i = end
			raw := src[start:i:i]
			text := raw[1 : len(raw)-1 : len(raw)-1]
			if escaped {
				text = unquote(raw)
			}
			t.push(node{kind: String, name: name, raw: raw, text: text})
		case 't', 'f', 'n':
			kind, word := Bool, "true"
			if c == 'f' {
				word = "false"
			} else if c == 'n' {
				kind, word = Null, "null"
			}
			i += len(word)
			if i > len(src) || string(src[start:i]) != word {
				return false
			}
			t.push(node{kind: kind, name: name, raw: src[start:i:i]})
		default:
			if i = numberEnd(src, i); i < 0 {
				return false
			}
			t.push(node{kind: Number, name: name, raw: src[start:i:i]})
		}
		if name, i = t.after(src, i, bottom); i < 0 || len(t.nodes) > maxNodes {
			return false
		}
		if len(t.open) == bottom {
			return i == len(src)
		}
	}
}

// after takes what may follow a value: the ends of containers, and a comma with
// the name of the next member. It returns where the next value begins, or the
// end of the text when the outermost value is complete, or -1.
func (t *Tree) after(src []byte, i, bottom int) (name []byte, next int) {
	for {
		i = space(src, i)
		if len(t.open) == bottom {
			return nil, i
		}
		if i == len(src) {
			return nil, -1
		}
		object := t.nodes[t.open[len(t.open)-1]].kind == Object
		switch c := src[i]; {
		case c == ',' && object:
			return memberName(src, space(src, i+1))
		case c == ',':
			return nil, i + 1
		case c == '}' && object, c == ']' && !object:
			i++
			t.close(src, i)
		default:
			return nil, -1
		}
	}
}

// close finishes the innermost container, whose text ends at end.
func (t *Tree) close(src []byte, end int) {
	n := t.finish()
	length := len(n.raw) - (len(src) - end)
	n.raw = n.raw[:length:length]
}

// memberName takes a name and its colon. The position is -1 when there is none.
func memberName(src []byte, i int) (name []byte, next int) {
	if i >= len(src) || src[i] != '"' {
		return nil, -1
	}
	end, escaped := stringEnd(src, i)
	if end < 0 {
		return nil, -1
	}
	if name = src[i+1 : end-1 : end-1]; escaped {
		name = unquote(src[i:end])
	}
	if i = space(src, end); i == len(src) || src[i] != ':' {
		return nil, -1
	}
	return name, i + 1
}

// space returns the position of the first byte from i on that is no white
// space.
func space(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' && (src[i] == ' ' || src[i] == '\n' || src[i] == '\r' || src[i] == '\t') {
		i++
	}
	return i
}

// plain has the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// stringEnd returns the position behind the string that begins at i, and
// whether there are escapes in it. The position is -1 when it is none.
func stringEnd(src []byte, i int) (end int, escaped bool) {
	for i++; i < len(src); i++ {
		switch c := src[i]; {
		case plain[c]:
		case c == '"':
			return i + 1, escaped
		case c != '\\' || i+1 == len(src):
			return -1, false
		default:
			escaped = true
			i++
			switch src[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(src) {
					return -1, false
				}
				for _, h := range src[i+1 : i+5] {
					if hexDigit(h) < 0 {
						return -1, false
					}
				}
				i += 4
			default:
				return -1, false
			}
		}
	}
	return -1, false
}

// numberEnd returns the position behind the number that begins at i, or -1.
func numberEnd(src []byte, i int) int {
	if src[i] == '-' {
		i++
	}
	whole := digits(src, i)
	if whole == i || src[i] == '0' && whole > i+1 {
		return -1
	}
	i = whole
	if i < len(src) && src[i] == '.' {
		end := digits(src, i+1)
		if end == i+1 {
			return -1
		}
		i = end
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		end := digits(src, i)
		if end == i {
			return -1
		}
		i = end
	}
	return i
}

func digits(src []byte, i int) int {
	for i < len(src) && '0' <= src[i] && src[i] <= '9' {
		i++
	}
	return i
}
