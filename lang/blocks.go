package lang

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/jq"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// decl is a named block that others may refer to. It is known by name before
// its body has been read.
type decl[T any] struct {
	value T
	name  string // as a reference writes it, without the block type: "gor.peak_hour"
	block *hcl.Block
	label hcl.Range
	used  bool
}

// scope is all declared blocks of one type.
type scope[T any] struct {
	all    []*decl[T] // in the order of the file, those with bad names included
	byName map[string]*decl[T]
	gaps   bool // a block could not be entered, so that a missing name means nothing
}

func (s *scope[T]) names() []string { return slices.Sorted(maps.Keys(s.byName)) }

// declareAll enters the blocks of one type into their scope.
func declareAll[T any](l *loader, s *scope[T], root *body, blockType string, make func(*hcl.Block) T) {
	s.byName = map[string]*decl[T]{}
	s.gaps = root.broken[blockType]
	for _, block := range root.blocksOf(blockType) {
		last := len(block.Labels) - 1
		d := &decl[T]{value: make(block), name: strings.Join(block.Labels, "."), block: block, label: block.LabelRanges[last]}
		s.all = append(s.all, d)
		if !l.goodName(block.Labels[last], d.label, block.Type) {
			s.gaps = true
			continue
		}
		if first, ok := s.byName[d.name]; ok {
			l.duplicateName(block.Type, d.name, d.label, first.label)
			continue
		}
		s.byName[d.name] = d
	}
}

// declare makes the names of all blocks known.
func (l *loader) declare(root *body) {
	declareAll(l, &l.sources, root, "source", func(b *hcl.Block) *Source {
		s := &Source{Kind: b.Labels[0], Name: b.Labels[1], Origin: diag.Range(headerRange(b))}
		l.spec.Sources = append(l.spec.Sources, s)
		return s
	})
	declareAll(l, &l.scrubs, root, "scrub", func(b *hcl.Block) *Scrub {
		s := &Scrub{Name: b.Labels[0], Origin: diag.Range(headerRange(b))}
		l.spec.Scrubs = append(l.spec.Scrubs, s)
		return s
	})
	declareAll(l, &l.targets, root, "target", func(b *hcl.Block) *Target {
		t := &Target{Name: b.Labels[0], Origin: diag.Range(headerRange(b))}
		l.spec.Targets = append(l.spec.Targets, t)
		return t
	})
	declareAll(l, &l.ignoreSets, root, "ignore_set", func(b *hcl.Block) *IgnoreSet {
		s := &IgnoreSet{Name: b.Labels[0], Origin: diag.Range(headerRange(b))}
		l.spec.IgnoreSets = append(l.spec.IgnoreSets, s)
		return s
	})
	if l.importing != nil {
		return // its audits are its own affair
	}
	declareAll(l, &l.audits, root, "audit", func(b *hcl.Block) *hcl.Block { return b })
}

// The scopes that references look into.
func sourcesOf(l *loader) *scope[*Source]       { return &l.sources }
func scrubsOf(l *loader) *scope[*Scrub]         { return &l.scrubs }
func targetsOf(l *loader) *scope[*Target]       { return &l.targets }
func ignoreSetsOf(l *loader) *scope[*IgnoreSet] { return &l.ignoreSets }

func (l *loader) goodName(name string, at hcl.Range, blockType string) bool {
	if validName(name) {
		return true
	}
	l.diags.Add(diag.Diagnostic{
		Code: diag.BadName, Summary: "Invalid name", Subject: diag.Range(at), Label: "not an identifier",
		Detail: fmt.Sprintf("The name of %s begins with a letter or an underscore and has only letters, digits, underscores and dashes, so that others can refer to it.", article(blockType)),
	})
	return false
}

// goodTitle checks a name that is free text.
func (l *loader) goodTitle(name string, at hcl.Range, blockType string) bool {
	if strings.TrimSpace(name) != "" {
		return true
	}
	l.diags.Add(diag.Diagnostic{
		Code: diag.BadName, Summary: "Invalid name", Subject: diag.Range(at), Label: "empty",
		Detail: fmt.Sprintf("Reports call the %s by this name.", blockType),
	})
	return false
}

func (l *loader) duplicateName(blockType, name string, at, first hcl.Range) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.DuplicateName, Summary: "Duplicate name", Subject: diag.Range(at),
		Label:   fmt.Sprintf("a second %s %q", blockType, name),
		Related: []diag.Related{{Range: diag.Range(first), Text: "the first one"}},
		Help:    "give one of them another name",
	})
}

// reference resolves a reference to a declared block, here or in an imported
// file.
func reference[T any](l *loader, a argument, scopeOf func(*loader) *scope[T]) (T, bool) {
	var none T
	to := a.Type.To[0]
	known := knownBlocks(l, to, scopeOf)
	names, ok := dotted(a.expr)
	if !ok {
		l.diags.Add(l.needsReference(a, to, known))
		return none, false
	}
	in, rest := l, names
	if imp := l.imports[names[0]]; imp != nil {
		imp.used = true
		if in, rest = imp.loader, names[1:]; in == nil {
			return none, false // the import has been reported
		}
	}
	if _, isBlock := schema.Root().Block(names[0]); in == l && !isBlock && l.importGaps {
		return none, false // it may be the import whose name was refused
	}
	if s := scopeOf(in); len(rest) > 0 && rest[0] == to {
		if d, ok := s.byName[joinNames(rest[1:])]; ok {
			d.used = true
			return d.value, true
		}
		if s.gaps {
			return none, false
		}
	}
	l.diags.Add(l.unknownReference(a, to, names, rest, known))
	return none, false
}

// knownBlocks lists what a reference to a type of block can be.
func knownBlocks[T any](l *loader, to string, scopeOf func(*loader) *scope[T]) []string {
	known := prefixed(to+".", scopeOf(l).names())
	for _, name := range sortedKeys(l.imports) {
		if in := l.imports[name].loader; in != nil {
			known = append(known, prefixed(name+"."+to+".", scopeOf(in).names())...)
		}
	}
	return known
}

// unknownReference explains a reference that leads nowhere. rest is the part
// of it behind the name of an import.
func (l *loader) unknownReference(a argument, to string, names, rest, known []string) diag.Diagnostic {
	given := joinNames(names)
	d := diag.Diagnostic{
		Code: diag.UnknownReference, Summary: "Unknown reference", Subject: a.rng(),
		Label: fmt.Sprintf("no such %s is declared", to),
	}
	if len(rest) < len(names) {
		d.Label = fmt.Sprintf("%s declares no such %s", names[0], to)
	}
	switch near := nearReference(given, known); {
	case near != "":
		d.Help = fmt.Sprintf("did you mean %s?", near)
	case slices.Contains(a.Keywords, diag.Suggest(given, a.Keywords)):
		d.Help = fmt.Sprintf("did you mean %s?", diag.Suggest(given, a.Keywords))
	case len(known) > 0:
		d.Help = "there are " + strings.Join(append(known, a.Keywords...), ", ")
	default:
		block, _ := schema.Root().Block(to)
		d.Help = fmt.Sprintf("declare one: %s { }", block.Header())
	}
	if len(rest) == 0 {
		return d
	}
	if _, isBlock := schema.Root().Block(rest[0]); isBlock && rest[0] != to {
		d.Code, d.Summary = diag.NeedsReference, "Reference to another kind of block"
		d.Label = fmt.Sprintf("names %s, not %s", article(rest[0]), article(to))
	}
	return d
}

// nearReference finds what a reference was meant to be: a misspelling, or a
// name without what stands before it, or the beginning of one.
func nearReference(given string, known []string) string {
	for _, k := range known {
		if strings.HasSuffix(k, "."+given) || strings.HasPrefix(k, given) {
			return k
		}
	}
	return diag.Suggest(given, known)
}

func (l *loader) needsReference(a argument, to string, known []string) diag.Diagnostic {
	d := diag.Diagnostic{
		Code: diag.NeedsReference, Summary: "Reference needed", Subject: a.rng(),
		Label: "not a reference", Detail: fmt.Sprintf("%q takes %s.", a.Name, article(a.Type.String())),
		Help: fmt.Sprintf("%s = %s", a.Name, a.Example),
	}
	if s, ok := stringLiteral(a.expr); ok {
		d.Label = "a reference stands without quotes"
		if near := nearReference(s, known); s != "" && near != "" {
			if a.Type.Shape == schema.List {
				near = "[" + near + "]"
			}
			d.Help = fmt.Sprintf("%s = %s", a.Name, near)
		} else if slices.Contains(a.Keywords, s) {
			d.Help = fmt.Sprintf("%s = %s", a.Name, s)
		}
	}
	return d
}

// pathsAttr decodes paths and globs and makes them absolute.
func (l *loader) pathsAttr(a argument, into *Attr[[]string]) {
	paths, ok := l.texts(a, diag.BadValue, func(p string) (string, error) {
		if strings.TrimSpace(p) == "" {
			return "", errors.New("empty")
		}
		if strings.ContainsRune(p, 0) {
			return "", errors.New("has a zero byte")
		}
		p = filepath.FromSlash(p)
		if _, err := filepath.Match(p, ""); err != nil {
			return "", errors.New("not a valid glob: a bracket is not closed")
		}
		if filepath.IsAbs(p) {
			return filepath.Clean(p), nil
		}
		return filepath.Join(l.spec.Dir, p), nil
	})
	if !ok {
		return
	}
	if len(paths) == 0 {
		l.emptyList(a, "names no file")
		return
	}
	*into = attrOf(a, paths)
}

func (l *loader) emptyList(a argument, why string) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.SelectsNothing, Summary: "Empty list", Subject: a.rng(), Label: why,
		Help: fmt.Sprintf("%s = %s", a.Name, a.Example),
	})
}

func checkHost(h string) (string, error) {
	if h == "" || strings.ContainsAny(h, "/ \t@?#") {
		return "", errors.New("not a host name")
	}
	return strings.ToLower(h), nil
}

func (l *loader) scrub(d *decl[*Scrub]) {
	s, _ := schema.Root().Block("scrub")
	b := l.openBlock(s, d.block)
	decodeArguments(l, b, scrubFields, d.value)
	first := map[string]hcl.Range{}
	ruleSchema, _ := s.Block("rule")
	for _, block := range b.blocksOf("rule") {
		l.uniqueTitle(block, first)
		rule := ScrubRule{Name: block.Labels[0], Origin: diag.Range(headerRange(block))}
		r := l.openBlock(ruleSchema, block)
		decodeArguments(l, r, ruleFields, &rule)
		if !slices.ContainsFunc([]string{"jq", "keys", "headers", "cookies", "query"}, r.has) {
			l.diags.Add(diag.Diagnostic{
				Code: diag.SelectsNothing, Summary: "Rule without a place", Subject: rule.Origin, Label: "says what to do, but not where",
				Help: `name places with jq, keys, headers, cookies or query: jq = [".body.note"]`,
			})
		}
		d.value.Rules = append(d.value.Rules, rule)
	}
}

// uniqueTitle checks the name of a block that nothing refers to.
func (l *loader) uniqueTitle(block *hcl.Block, first map[string]hcl.Range) {
	name, at := block.Labels[0], block.LabelRanges[0]
	if !l.goodTitle(name, at, block.Type) {
		return
	}
	if before, ok := first[name]; ok {
		l.duplicateName(block.Type, name, at, before)
		return
	}
	first[name] = at
}

var scrubFields = fields[*Scrub]{
	"packs": func(l *loader, a argument, s *Scrub) {
		packs, ok := l.texts(a, diag.BadValue, func(p string) (string, error) {
			if !slices.Contains(a.OneOf, p) {
				return "", errors.New("no such pack")
			}
			return p, nil
		})
		if ok {
			s.Packs = attrOf(a, packs)
		}
	},
	"key_env": func(l *loader, a argument, s *Scrub) {
		name, it, ok := l.text(a)
		if !ok {
			return
		}
		if !validEnv(name) {
			l.invalid(diag.BadValue, a, it, "not the name of an environment variable",
				"the key itself never stands in a spec; name the variable that holds it: key_env = "+a.Example)
			return
		}
		s.KeyEnv = attrOf(a, name)
	},
	"max_body":    func(l *loader, a argument, s *Scrub) { l.sizeAttr(a, &s.MaxBody) },
	"max_dropped": func(l *loader, a argument, s *Scrub) { l.shareAttr(a, &s.MaxDropped) },
	"canaries": func(l *loader, a argument, s *Scrub) {
		canaries, ok := l.texts(a, diag.BadValue, func(c string) (string, error) {
			if utf8.RuneCountInString(c) < shortestCanary {
				return "", fmt.Errorf("too short to be sure of: a canary has at least %d characters", shortestCanary)
			}
			return c, nil
		})
		if ok {
			s.Canaries = attrOf(a, canaries)
		}
	},
}

// shortestCanary is how many characters a text has at least that occurs only
// where it was planted.
const shortestCanary = 8

// validEnv reports whether name has the form of an environment variable's
// name. A key that was pasted instead of a name rarely has it.
func validEnv(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

var ruleFields = fields[*ScrubRule]{
	"jq": func(l *loader, a argument, r *ScrubRule) {
		literals, _ := l.jqList(a)
		for _, lit := range literals {
			p, ok := program(l, &l.places, lit, jq.CompilePaths)
			if ok {
				l.checkRoots(lit, p, messageKeys, diag.Warning)
				r.JQ = append(r.JQ, p)
			}
		}
	},
	"keys":    func(l *loader, a argument, r *ScrubRule) { r.Keys = l.nameList(a, false) },
	"headers": func(l *loader, a argument, r *ScrubRule) { r.Headers = l.headerList(a) },
	"cookies": func(l *loader, a argument, r *ScrubRule) { r.Cookies = l.nameList(a, true) },
	"query":   func(l *loader, a argument, r *ScrubRule) { r.Query = l.nameList(a, false) },
	"action":  func(l *loader, a argument, r *ScrubRule) { r.Action = l.keyword(a) },
	"reason": func(l *loader, a argument, r *ScrubRule) {
		var s Attr[string]
		l.textAttr(a, &s)
		r.Reason = s.Value
	},
}

// nameList decodes names of fields, cookies or parameters.
func (l *loader) nameList(a argument, token bool) []string {
	names, _ := l.texts(a, diag.BadValue, func(s string) (string, error) {
		if s == "" || token && !isToken(s) {
			return "", errors.New("not a name")
		}
		return s, nil
	})
	return names
}

// headerList decodes header names, in lower case.
func (l *loader) headerList(a argument) []string {
	names, _ := l.texts(a, diag.BadValue, func(s string) (string, error) {
		if !isToken(s) {
			return "", errors.New("not the name of a header field")
		}
		return strings.ToLower(s), nil
	})
	return names
}

// isToken reports whether s is a token as RFC 9110 section 5.6.2 has it.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func (l *loader) ignoreSet(d *decl[*IgnoreSet]) {
	s, _ := schema.Root().Block("ignore_set")
	set := d.value
	b := l.openBlock(s, d.block)
	decodeArguments(l, b, ignoreSetFields, set)
	set.Rules.Origin = set.Origin
	excuse := Excuse{Reason: set.Reason, Expires: set.Expires.Value}
	for i := range set.Rules.Ignore {
		set.Rules.Ignore[i].Excuse = excuse
	}
	for i := range set.Rules.Optional {
		set.Rules.Optional[i].Excuse = excuse
	}
	for i := range set.Rules.Unordered {
		set.Rules.Unordered[i].Excuse = excuse
	}
	for i := range set.Rules.Keyed {
		set.Rules.Keyed[i].Excuse = excuse
	}
	for i := range set.Rules.Tolerance {
		set.Rules.Tolerance[i].Excuse = excuse
	}
	if !slices.ContainsFunc([]string{"ignore", "optional", "unordered", "keyed", "tolerance"}, b.has) {
		l.diags.Add(diag.Diagnostic{
			Code: diag.SelectsNothing, Summary: "Set without a rule", Subject: set.Origin, Label: "excuses nothing",
			Help: `add a rule: ignore = [".body.generated_at"]`,
		})
	}
}

var ignoreSetFields = fields[*IgnoreSet]{
	"args":      constants[*IgnoreSet],
	"ignore":    ruleOfSet("ignore"),
	"optional":  ruleOfSet("optional"),
	"unordered": ruleOfSet("unordered"),
	"keyed":     ruleOfSet("keyed"),
	"tolerance": ruleOfSet("tolerance"),
	"reason": func(l *loader, a argument, s *IgnoreSet) {
		var text Attr[string]
		l.textAttr(a, &text)
		s.Reason = text.Value
	},
	"expires": func(l *loader, a argument, s *IgnoreSet) { l.dateAttr(a, &s.Expires) },
}

// ruleOfSet decodes a rule as compare does.
func ruleOfSet(name string) func(*loader, argument, *IgnoreSet) {
	return func(l *loader, a argument, s *IgnoreSet) { compareFields[name](l, a, &s.Rules) }
}

func (l *loader) target(d *decl[*Target]) {
	s, _ := schema.Root().Block("target")
	decodeArguments(l, l.openBlock(s, d.block), targetFields, d.value)
}

var targetFields = fields[*Target]{
	"url":     func(l *loader, a argument, t *Target) { l.urlAttr(a, &t.URL) },
	"timeout": func(l *loader, a argument, t *Target) { l.periodAttr(a, &t.Timeout) },
	"host": func(l *loader, a argument, t *Target) {
		if word := hcl.ExprAsKeyword(a.expr); word != "" && (!l.json || slices.Contains(a.Keywords, word)) {
			t.HostOfURL = l.keyword(a) != ""
			return
		}
		s, it, ok := l.text(a)
		if !ok {
			return
		}
		h, err := checkHost(s)
		if err != nil {
			l.invalid(diag.BadValue, a, it, err.Error(), `host = "shop.example.com", or host = url`)
			return
		}
		t.Host = attrOf(a, h)
	},
	"headers":         func(l *loader, a argument, t *Target) { t.Headers = l.headers(a) },
	"tls_skip_verify": func(l *loader, a argument, t *Target) { l.boolAttr(a, &t.InsecureSkipVerify) },
}

func (l *loader) urlAttr(a argument, into *Attr[string]) {
	s, it, ok := l.text(a)
	if !ok {
		return
	}
	u, err := checkURL(s)
	if err != nil {
		l.invalid(diag.BadURL, a, it, err.Error(), `a URL is written "http://127.0.0.1:8080" or "https://shop.example.com/base"`)
		return
	}
	*into = attrOf(a, u)
}

// checkURL accepts what a request's own target can be appended to.
func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	scheme, _, _ := strings.Cut(strings.ToLower(s), "://")
	switch {
	case s == "":
		return "", errors.New("empty")
	case scheme != "http" && scheme != "https":
		return "", errors.New(`does not begin with "http://" or "https://"`)
	case err != nil:
		return "", errors.New("not a URL")
	case u.Opaque != "" || u.Hostname() == "":
		return "", errors.New("has no host")
	case u.User != nil:
		return "", errors.New("has a user name or password in it; send an authorization header instead")
	case u.RawQuery != "" || u.ForceQuery:
		return "", errors.New("has a query")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return "", errors.New("has a fragment")
	}
	return s, nil
}

// reservedHeaders are set by the client from the request itself.
var reservedHeaders = map[string]string{
	"host":              "use the argument host",
	"content-length":    "it is computed from the body",
	"transfer-encoding": "it is chosen by the client",
	"connection":        "connections are managed by the client",
	"te":                "connections are managed by the client",
	"trailer":           "trailers are taken from the recording",
	"upgrade":           "connections are managed by the client",
}

func (l *loader) headers(a argument) []Header {
	pairs, ok := l.pairs(a, false)
	if !ok {
		return nil
	}
	first := map[string]hcl.Range{}
	var out []Header
	for _, p := range pairs {
		name := strings.ToLower(p.key)
		if before, ok := first[name]; ok {
			l.duplicateKey(p.at, before)
			continue
		}
		first[name] = p.at
		if l.goodHeader(a, name, p) {
			out = append(out, Header{Name: name, Value: p.value.val.AsString(), Sensitive: p.value.sensitive, Range: diag.Range(p.at)})
		}
	}
	slices.SortFunc(out, func(x, y Header) int { return strings.Compare(x.Name, y.Name) })
	return out
}

func (l *loader) goodHeader(a argument, name string, p pair) bool {
	if !isToken(name) {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadValue, Summary: "Invalid header", Subject: diag.Range(p.at), Label: "not the name of a header field",
		})
		return false
	}
	if why, ok := reservedHeaders[name]; ok {
		l.diags.Add(diag.Diagnostic{
			Code: diag.ReservedHeader, Summary: "Reserved header", Subject: diag.Range(p.at), Label: "cannot be set here", Help: why,
		})
		return false
	}
	if p.value.val.IsNull() || p.value.val.Type() != cty.String {
		l.wrongType(a, p.value, "string")
		return false
	}
	if strings.ContainsFunc(p.value.val.AsString(), func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadValue, Summary: "Invalid header", Subject: diag.Range(p.value.rng), Label: "has a control character in it",
		})
		return false
	}
	return true
}

func (l *loader) duplicateKey(at, first hcl.Range) {
	l.diags.Add(diag.Diagnostic{
		Code: diag.DuplicateKey, Summary: "Duplicate key", Subject: diag.Range(at), Label: "stands here a second time",
		Related: []diag.Related{{Range: diag.Range(first), Text: "the first one"}},
	})
}
