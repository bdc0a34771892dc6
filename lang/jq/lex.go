package jq

// The parser of gojq keeps no positions, and its compile errors name only the
// word that they are about. The scanner below finds that word again.

// tokenKind says what a token is.
type tokenKind uint8

const (
	identToken  tokenKind = iota // select, now, and keywords
	varToken                     // $name
	fieldToken                   // .name
	formatToken                  // @base64
	numberToken                  // 12, 1.5e3
	stringToken                  // a whole literal, or its pieces around \( )
	symbolToken                  // anything else
)

// token is one token of a program; Start and End are byte offsets.
type token struct {
	kind       tokenKind
	start, end int
	// key is set for an identifier that is an object key or a name being
	// defined, and so refers to nothing.
	key bool
	// list is set for a "[" that builds a list, and not one that indexes.
	list bool
}

// scanner splits a program into tokens. It accepts any text: what is no jq just
// gives symbols.
type scanner struct {
	src    string
	at     int
	tokens []token
	nest   []byte // open brackets, innermost last
}

// scan returns the tokens of src without comments and white space.
func scan(src string) []token {
	s := scanner{src: src}
	for s.at < len(src) {
		s.next()
	}
	s.markKeys()
	return s.tokens
}

func (s *scanner) add(kind tokenKind, end int) {
	s.tokens = append(s.tokens, token{kind: kind, start: s.at, end: end})
	s.at = end
}

func (s *scanner) next() {
	c := s.src[s.at]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		s.at++
	case c == '#':
		for s.at < len(s.src) && s.src[s.at] != '\n' && s.src[s.at] != '\r' {
			if s.src[s.at] == '\\' {
				s.at++ // a backslash continues a comment over a line end
			}
			s.at = min(s.at+1, len(s.src))
		}
	case c == '"':
		s.text(s.at)
	case isIdentByte(c, false):
		s.add(identToken, s.word(s.at))
	case c == '$' && s.identAt(s.at+1):
		s.add(varToken, s.word(s.at+1))
	case c == '@' && s.identAt(s.at+1):
		s.add(formatToken, s.word(s.at+1))
	case c == '.' && s.identAt(s.at+1):
		s.add(fieldToken, s.word(s.at+1))
	case isDigit(c) || c == '.' && s.at+1 < len(s.src) && isDigit(s.src[s.at+1]):
		s.add(numberToken, s.number())
	default:
		s.symbol(c)
	}
}

// symbol takes an operator or a bracket.
func (s *scanner) symbol(c byte) {
	switch c {
	case '(', '{', '[':
		list := c == '[' && !s.afterValue()
		s.nest = append(s.nest, c)
		s.add(symbolToken, s.at+1)
		s.tokens[len(s.tokens)-1].list = list
		return
	case ')', '}', ']':
		if n := len(s.nest); n > 0 {
			if s.nest[n-1] == '"' { // the end of \( ... ): the string goes on
				s.nest = s.nest[:n-1]
				s.add(symbolToken, s.at+1)
				s.text(s.at - 1)
				return
			}
			s.nest = s.nest[:n-1]
		}
		s.add(symbolToken, s.at+1)
		return
	}
	for _, op := range []string{"?//", "//=", "..", "//", "==", "!=", "<=", ">=", "|=", "+=", "-=", "*=", "/=", "%=", "::"} {
		if len(s.src)-s.at >= len(op) && s.src[s.at:s.at+len(op)] == op {
			s.add(symbolToken, s.at+len(op))
			return
		}
	}
	end := s.at + 1
	for end < len(s.src) && s.src[end]&0xC0 == 0x80 { // the rest of a rune
		end++
	}
	s.add(symbolToken, end)
}

// text takes a string literal, or a piece of one up to an interpolation. open
// is where the piece begins: its quote, or the ")" before it.
func (s *scanner) text(open int) {
	for i := open + 1; i < len(s.src); i++ {
		switch {
		case s.src[i] == '"':
			s.add(stringToken, i+1)
			return
		case s.src[i] == '\\' && i+1 < len(s.src) && s.src[i+1] == '(':
			s.nest = append(s.nest, '"')
			s.add(stringToken, i+2)
			return
		case s.src[i] == '\\':
			i++
		}
	}
	s.add(stringToken, len(s.src))
}

// word returns the end of the identifier at i, module prefix included.
func (s *scanner) word(i int) int {
	for i < len(s.src) && isIdentByte(s.src[i], true) {
		i++
	}
	if i+2 < len(s.src) && s.src[i:i+2] == "::" && isIdentByte(s.src[i+2], false) {
		return s.word(i + 2)
	}
	return i
}

func (s *scanner) number() int {
	i := s.at
	for i < len(s.src) {
		c := s.src[i]
		exp := (c == '+' || c == '-') && i > s.at && s.src[i-1]|0x20 == 'e'
		if !isDigit(c) && c != '.' && c|0x20 != 'e' && !exp {
			break
		}
		i++
	}
	return i
}

func (s *scanner) identAt(i int) bool { return i < len(s.src) && isIdentByte(s.src[i], false) }

// afterValue reports whether the last token ends a value, so that a "["
// indexes it.
func (s *scanner) afterValue() bool {
	if len(s.tokens) == 0 {
		return false
	}
	t := s.tokens[len(s.tokens)-1]
	switch t.kind {
	case identToken:
		return !keyword(s.src[t.start:t.end])
	case symbolToken:
		switch s.src[t.start:t.end] {
		case "]", ")", "}", ".", "..", "?":
			return true
		}
		return false
	}
	return true
}

func keyword(word string) bool {
	switch word {
	case "or", "and", "def", "as", "if", "then", "elif", "else", "try", "catch", "reduce", "foreach", "label", "import", "include", "module", "break":
		return true
	}
	return false
}

// markKeys finds the identifiers that name something new instead of using it.
func (s *scanner) markKeys() {
	var nest []byte
	symbol := func(i int) string {
		if i < 0 || i >= len(s.tokens) || s.tokens[i].kind != symbolToken {
			return ""
		}
		return s.src[s.tokens[i].start:s.tokens[i].end]
	}
	for i := range s.tokens {
		t := &s.tokens[i]
		switch sym := symbol(i); sym {
		case "(", "{", "[":
			nest = append(nest, sym[0])
		case ")", "}", "]":
			if len(nest) > 0 {
				nest = nest[:len(nest)-1]
			}
		}
		if t.kind != identToken {
			continue
		}
		inObject := len(nest) > 0 && nest[len(nest)-1] == '{'
		before := symbol(i - 1)
		defined := i > 0 && s.tokens[i-1].kind == identToken && s.src[s.tokens[i-1].start:s.tokens[i-1].end] == "def"
		t.key = defined || inObject && (before == "{" || before == ",")
	}
}

func isIdentByte(c byte, inside bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || inside && isDigit(c)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
