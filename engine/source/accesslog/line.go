package accesslog

import "github.com/shadowaudit/shadowaudit/engine/traffic"

// LineParser makes exchanges of single lines, for a log that somebody else reads
// as it grows. It is used by one goroutine at a time.
type LineParser struct{ parser parser }

// NewLineParser gives the parser of a format. An error says which field is
// wrong, or that there is no such format.
func NewLineParser(format Format, fields Fields) (*LineParser, error) {
	p, err := newParser(format, fields)
	if err != nil {
		return nil, err
	}
	return &LineParser{p}, nil
}

// Exchange makes an exchange of a line without its end. It is nil where the line
// tells of no HTTP request that reached a server, and an error where it is not of
// the format. The error quotes nothing of the line. Whole seconds are not spread:
// that takes more than one line.
func (p *LineParser) Exchange(line []byte) (*traffic.Exchange, error) {
	e, err := p.parser.parse(line)
	var x *traffic.Exchange
	if err == nil {
		x, err = e.exchange()
	}
	if err == errComment || err == errNotHTTP {
		return nil, nil
	}
	return x, err
}
