package draft

import (
	"maps"
	"slices"
	"strings"
)

// What the tree of paths holds at most. A position with more values than
// maxChildren has names of things in it, not kinds of things.
const (
	maxChildren = 100
	maxNodes    = 20_000
)

// paths is a tree of the path segments that were seen. A position at which
// there are too many different ones becomes a parameter, so that its memory is
// bounded, and so that a spec can declare the template.
type paths struct {
	root  *segment
	nodes int
	other int64 // requests that found no room
}

// segment is one position of a path.
type segment struct {
	next  map[string]*segment
	param *segment         // in place of next, but for its exceptions
	total map[string]int64 // requests that end here, by method
	sent  map[string]int64 // of them, those that would be sent
}

func newSegment() *segment {
	return &segment{next: map[string]*segment{}, total: map[string]int64{}, sent: map[string]int64{}}
}

func newPaths() *paths { return &paths{root: newSegment()} }

// add counts a request. path is a template already as far as identifiers can be
// told by their look.
func (p *paths) add(method, path string, sent bool) {
	at := p.root
	for _, name := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		next := at.next[name]
		switch {
		case next != nil:
		case at.param != nil:
			next = at.param
		case len(at.next) >= maxChildren:
			at.collapse(func(string) bool { return true })
			next = at.param
		case p.nodes >= maxNodes:
			p.other++
			return
		default:
			next = newSegment()
			at.next[name] = next
			p.nodes++
		}
		at = next
	}
	at.total[method]++
	if sent {
		at.sent[method]++
	}
}

// collapse makes one parameter of the segments that match.
func (s *segment) collapse(match func(name string) bool) {
	if s.param == nil {
		s.param = newSegment()
	}
	for _, name := range slices.Sorted(maps.Keys(s.next)) {
		if match(name) {
			s.param.merge(s.next[name])
			delete(s.next, name)
		}
	}
}

func (s *segment) merge(o *segment) {
	for m, n := range o.total {
		s.total[m] += n
	}
	for m, n := range o.sent {
		s.sent[m] += n
	}
	for name, next := range o.next {
		if mine := s.next[name]; mine != nil {
			mine.merge(next)
		} else {
			s.next[name] = next
		}
	}
	if o.param != nil {
		if s.param == nil {
			s.param = newSegment()
		}
		s.param.merge(o.param)
	}
}

// people are path segments after which the name of a person may stand, though
// it looks like a word.
var people = map[string]bool{
	"account": true, "accounts": true, "author": true, "authors": true, "client": true, "clients": true,
	"contact": true, "contacts": true, "customer": true, "customers": true, "employee": true, "employees": true,
	"member": true, "members": true, "patient": true, "patients": true, "people": true, "person": true, "persons": true,
	"profile": true, "profiles": true, "student": true, "students": true, "u": true, "user": true, "username": true, "users": true,
}

// words stand after a segment of people and name no one.
var words = map[string]bool{
	"count": true, "current": true, "export": true, "login": true, "logout": true, "me": true, "new": true,
	"register": true, "search": true, "self": true, "settings": true, "stats": true, "{id}": true,
}

// finish makes parameters of what turned out to be one.
func (p *paths) finish() { p.root.finish("") }

func (s *segment) finish(name string) {
	switch {
	case people[strings.ToLower(name)]:
		unknown := func(n string) bool { return n != "" && !words[strings.ToLower(n)] }
		if slices.ContainsFunc(slices.Collect(maps.Keys(s.next)), unknown) {
			s.collapse(unknown)
		}
	case s.param == nil && s.grows():
		s.collapse(func(n string) bool { return n != "{id}" })
	}
	for name, next := range s.next {
		next.finish(name)
	}
	if s.param != nil {
		s.param.finish("")
	}
}

// grows reports whether more traffic would have brought more values: there are
// many already, and at least a quarter of them came once (the share of values
// seen once estimates that of values not seen yet; Good, 1953).
func (s *segment) grows() bool {
	const many = 20
	once := 0
	for _, next := range s.next {
		if next.requests() == 1 {
			once++
		}
	}
	return len(s.next) >= many && once*4 >= len(s.next)
}

func (s *segment) requests() (n int64) {
	for _, c := range s.total {
		n += c
	}
	for _, next := range s.next {
		n += next.requests()
	}
	if s.param != nil {
		n += s.param.requests()
	}
	return n
}

// route is a path template with its requests.
type route struct {
	path        string
	declare     bool // it would not come about by itself
	total, sent map[string]int64
}

// routes lists the templates in an order in which the first that fits is the
// right one: names before parameters.
func (p *paths) routes() []route {
	var out []route
	p.root.walk("", "", false, &out)
	return out
}

func (s *segment) walk(prefix, name string, declare bool, out *[]route) {
	if len(s.total) > 0 {
		*out = append(*out, route{prefix, declare, s.total, s.sent})
	}
	declare = declare || s.param != nil
	for _, n := range slices.Sorted(maps.Keys(s.next)) {
		s.next[n].walk(prefix+"/"+n, n, declare, out)
	}
	if s.param != nil {
		s.param.walk(prefix+"/{"+paramName(name)+"}", "", true, out)
	}
}

// paramName names the parameter after a segment: {product} after products.
func paramName(segment string) string {
	segment = strings.ToLower(segment)
	if segment == "" || len(segment) > 30 || strings.Trim(segment, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "name"
	}
	switch {
	case strings.HasSuffix(segment, "ies") && len(segment) > 4:
		return strings.TrimSuffix(segment, "ies") + "y"
	case strings.HasSuffix(segment, "s") && !strings.HasSuffix(segment, "ss") && len(segment) > 3:
		return strings.TrimSuffix(segment, "s")
	}
	return segment
}
