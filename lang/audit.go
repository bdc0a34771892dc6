package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// auditBlock decodes an audit block, once for each element of its for_each.
func (l *loader) auditBlock(d *decl[*hcl.Block]) {
	s, _ := schema.Root().Block("audit")
	b := l.openBlock(s, d.block)
	l.expand(b, func(suffix string) {
		a := &Audit{Name: d.block.Labels[0] + suffix, Origin: diag.Range(headerRange(d.block))}
		l.spec.Audits = append(l.spec.Audits, a)
		l.audit(b, a)
	})
}

func (l *loader) audit(b *body, a *Audit) {
	decodeArguments(l, b, auditFields, a)

	optional(l, b, "select", selectFields, &a.Select, &a.Select.Origin)
	replay := optional(l, b, "replay", replayFields, &a.Replay, &a.Replay.Origin)
	optional(l, b, "compare", compareFields, &a.Compare, &a.Compare.Origin)
	a.Compare.include()
	a.Noise.On = len(b.blocksOf("noise")) > 0
	noise := optional(l, b, "noise", noiseFields, &a.Noise, &a.Noise.Origin)

	cohorts := l.cohorts(b, a)
	l.gates(b, a, cohorts)
	l.assertions(b, a)
	l.checkAudit(b, a)
	l.checkSelect(&a.Select)
	l.checkNoise(noise, a)
	l.checkReplay(replay, &a.Replay)
	l.checkLive(b.at("source"), replay, a)
}

// include appends the rules of the sets that c uses to its own.
func (c *Compare) include() {
	for _, set := range c.Use {
		c.Ignore = append(c.Ignore, set.Rules.Ignore...)
		c.Optional = append(c.Optional, set.Rules.Optional...)
		c.Unordered = append(c.Unordered, set.Rules.Unordered...)
		c.Keyed = append(c.Keyed, set.Rules.Keyed...)
		c.Tolerance = append(c.Tolerance, set.Rules.Tolerance...)
	}
}

// elsewhere is for arguments that are read before or beside the others.
func elsewhere[T any](*loader, argument, T) {}

// constants reads the args of a block, before its jq programs.
func constants[T any](l *loader, a argument, _ T) { l.jqArgs(a) }

// optional decodes a child block that may be left out, in which case all its
// arguments have their defaults.
func optional[T any](l *loader, parent *body, blockType string, f fields[T], into T, origin *pos.Range) *body {
	s, _ := parent.schema.Block(blockType)
	b := &body{schema: s}
	if blocks := parent.blocksOf(blockType); len(blocks) > 0 {
		b = l.openBlock(s, blocks[0])
		*origin = diag.Range(headerRange(blocks[0]))
	}
	decodeArguments(l, b, f, into)
	return b
}

var auditFields = fields[*Audit]{
	"for_each": elsewhere[*Audit],
	"enabled":  func(l *loader, arg argument, a *Audit) { l.boolAttr(arg, &a.Enabled) },
	"source":   func(l *loader, arg argument, a *Audit) { a.Source, _ = reference(l, arg, sourcesOf) },
	"scrub": func(l *loader, arg argument, a *Audit) {
		if hcl.ExprAsKeyword(arg.expr) == "none" {
			a.ScrubNone = attrOf(arg, true)
			return
		}
		a.Scrub, _ = reference(l, arg, scrubsOf)
	},
	"scrub_reason": func(l *loader, arg argument, a *Audit) { l.textAttr(arg, &a.ScrubReason) },
	"baseline": func(l *loader, arg argument, a *Audit) {
		a.Baseline.Range = arg.rng()
		if hcl.ExprAsKeyword(arg.expr) == "recorded" {
			a.Baseline.Recorded = true
			return
		}
		a.Baseline.Target, _ = reference(l, arg, targetsOf)
	},
	"candidate": func(l *loader, arg argument, a *Audit) {
		if hcl.ExprAsKeyword(arg.expr) == "recorded" {
			l.diags.Add(diag.Diagnostic{
				Code: diag.NeedsReference, Summary: "Reference needed", Subject: arg.rng(),
				Label: "only a baseline can be recorded", Help: "candidate = " + arg.Example,
			})
			return
		}
		a.Candidate, _ = reference(l, arg, targetsOf)
	},
	"session": func(l *loader, arg argument, a *Audit) {
		if lit, ok := l.literalOf(arg, arg.expr); ok {
			if v, ok := l.value(lit); ok {
				a.Session = attrOf(arg, v)
			}
		}
	},
	"endpoints": func(l *loader, arg argument, a *Audit) {
		if endpoints, ok := l.texts(arg, diag.BadValue, checkEndpoint); ok {
			a.Endpoints = attrOf(arg, endpoints)
			l.checkTemplates(arg, endpoints)
		}
	},
}

// checkEndpoint accepts a path template with or without a method.
func checkEndpoint(s string) (string, error) {
	method, path, found := strings.Cut(s, " ")
	if !found {
		method, path = "", s
	}
	if found && (!isToken(method) || method != strings.ToUpper(method)) {
		return "", errors.New("does not begin with a method in capitals or a path")
	}
	path = strings.TrimSpace(path)
	if !strings.HasPrefix(path, "/") {
		return "", errors.New(`its path does not begin with "/"`)
	}
	if strings.ContainsAny(path, "?# ") {
		return "", errors.New("has a query, a fragment or a space; a template is a path only")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if !strings.ContainsAny(segment, "{}") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(segment, "{"), "}")
		if len(name) != len(segment)-2 || name == "" || strings.ContainsAny(name, "{}") {
			return "", errors.New(`braces enclose a whole segment: "/orders/{id}"`)
		}
	}
	if method == "" {
		return path, nil
	}
	return method + " " + path, nil
}

// checkTemplates reports templates that differ in the names of their
// parameters only.
func (l *loader) checkTemplates(a argument, templates []string) {
	seen := map[string]string{}
	for _, t := range templates {
		segments := strings.Split(t, "/")
		for i, s := range segments {
			if strings.HasPrefix(s, "{") {
				segments[i] = "{}"
			}
		}
		shape := strings.Join(segments, "/")
		if first, ok := seen[shape]; ok {
			l.diags.Add(diag.Diagnostic{
				Code: diag.DuplicateEndpoint, Summary: "Duplicate endpoint", Subject: a.rng(), Label: "two templates fit the same paths",
				Detail: fmt.Sprintf("%q and %q differ in the names of their parameters only.", first, t),
			})
			continue
		}
		seen[shape] = t
	}
}

var selectFields = fields[*Select]{
	"args": constants[*Select],
	"methods": func(l *loader, a argument, s *Select) {
		methods, ok := l.texts(a, diag.BadValue, func(m string) (string, error) {
			switch {
			case !isToken(m):
				return "", errors.New("not a method")
			case m != strings.ToUpper(m):
				return "", fmt.Errorf("methods are written in capitals: %q", strings.ToUpper(m))
			}
			return m, nil
		})
		if !ok {
			return
		}
		if len(methods) == 0 {
			l.emptyList(a, "selects nothing")
			return
		}
		s.Methods = attrOf(a, methods)
	},
	"include": func(l *loader, a argument, s *Select) {
		s.Include = l.testList(a)
		if exprs, diags := hcl.ExprList(a.expr); !diags.HasErrors() && len(exprs) == 0 {
			l.emptyList(a, "selects nothing")
		}
	},
	"exclude": func(l *loader, a argument, s *Select) { s.Exclude = l.testList(a) },
	"sample":  func(l *loader, a argument, s *Select) { l.shareAttr(a, &s.Sample) },
	"from":    func(l *loader, a argument, s *Select) { l.durationAttr(a, &s.From) },
	"to":      func(l *loader, a argument, s *Select) { l.periodAttr(a, &s.To) },
	"limit":   func(l *loader, a argument, s *Select) { l.countAttr(a, &s.Limit) },
}

func (l *loader) testList(a argument) []Test {
	literals, _ := l.jqList(a)
	var out []Test
	for _, lit := range literals {
		if p, ok := l.test(lit); ok {
			out = append(out, Test{Predicate: p, Range: lit.rng})
		}
	}
	return out
}

var replayFields = fields[*Replay]{
	"timing": func(l *loader, a argument, r *Replay) {
		if word := l.keyword(a); word != "" {
			r.Timing = attrOf(a, Timing(word))
		}
	},
	"speed":         func(l *loader, a argument, r *Replay) { l.factorAttr(a, &r.Speed) },
	"rate":          func(l *loader, a argument, r *Replay) { l.rateAttr(a, &r.Rate) },
	"start_rate":    func(l *loader, a argument, r *Replay) { l.rateAttr(a, &r.StartRate) },
	"over":          func(l *loader, a argument, r *Replay) { l.periodAttr(a, &r.Over) },
	"max_in_flight": func(l *loader, a argument, r *Replay) { l.countAttr(a, &r.MaxInFlight) },
	"max_gap":       func(l *loader, a argument, r *Replay) { l.periodAttr(a, &r.MaxGap) },
	"warm_up":       func(l *loader, a argument, r *Replay) { l.periodAttr(a, &r.WarmUp) },
	"max_lateness":  func(l *loader, a argument, r *Replay) { l.periodAttr(a, &r.MaxLateness) },
}

var compareFields = fields[*Compare]{
	"args":      constants[*Compare],
	"use":       func(l *loader, a argument, c *Compare) { c.Use = l.uses(a) },
	"ignore":    func(l *loader, a argument, c *Compare) { c.Ignore = l.pathRules(a) },
	"optional":  func(l *loader, a argument, c *Compare) { c.Optional = l.pathRules(a) },
	"unordered": func(l *loader, a argument, c *Compare) { c.Unordered = l.pathRules(a) },
	"keyed": func(l *loader, a argument, c *Compare) {
		for _, r := range l.ruleObject(a) {
			if r.text == "" {
				l.invalid(diag.BadValue, a, r.value, "names no field", `keyed = `+a.Example)
				continue
			}
			c.Keyed = append(c.Keyed, KeyedRule{Paths: r.paths.Paths, Key: r.text, Range: r.paths.Range})
		}
	},
	"tolerance": func(l *loader, a argument, c *Compare) {
		for _, r := range l.ruleObject(a) {
			rule, err := parseTolerance(r.text)
			if err != nil {
				l.invalid(diag.BadValue, a, r.value, err.Error(), `a tolerance is an amount such as "0.01" or a part of the value such as "1%"`)
				continue
			}
			rule.Paths, rule.Range = r.paths.Paths, r.paths.Range
			c.Tolerance = append(c.Tolerance, rule)
		}
	},
	"headers":    func(l *loader, a argument, c *Compare) { c.Headers = l.headerList(a) },
	"max_masked": func(l *loader, a argument, c *Compare) { l.shareAttr(a, &c.MaxMasked) },
	"on_stale":   keywordAttr(func(c *Compare) *Attr[string] { return &c.OnStale }),
}

// uses decodes the list of ignore sets of a compare block.
func (l *loader) uses(a argument) []*IgnoreSet {
	exprs, diags := hcl.ExprList(a.expr)
	if diags.HasErrors() {
		d := l.needsReference(a, "ignore_set", l.ignoreSets.names())
		d.Label = "not a list of references"
		if text := l.textAt(a.expr.Range()); text != "" && !strings.ContainsAny(text, "\n\"") {
			d.Help = fmt.Sprintf("use = [%s]", text)
		}
		l.diags.Add(d)
		return nil
	}
	var out []*IgnoreSet
	for _, expr := range exprs {
		one := a
		one.expr = expr
		set, ok := reference(l, one, ignoreSetsOf)
		switch {
		case !ok:
		case slices.Contains(out, set):
			l.diags.Add(diag.Diagnostic{
				Severity: diag.Warning, Code: diag.DuplicateKey, Summary: "Repeated value", Subject: one.rng(), Label: `stands twice in "use"`,
			})
		default:
			out = append(out, set)
		}
	}
	return out
}

func parseTolerance(s string) (ToleranceRule, error) {
	digits, unit, err := number(s)
	switch {
	case err != nil:
		return ToleranceRule{}, err
	case unit != "" && unit != "%":
		return ToleranceRule{}, errors.New("has a unit that is not %")
	}
	return ToleranceRule{Text: s, Absolute: unit == "", Value: digits}, nil
}

func (l *loader) pathRules(a argument) []PathRule {
	literals, _ := l.jqList(a)
	var out []PathRule
	for _, lit := range literals {
		if p, ok := l.responsePaths(lit); ok {
			out = append(out, PathRule{Paths: p, Range: lit.rng})
		}
	}
	return out
}

// ruleEntry is an entry of an object whose keys are jq paths.
type ruleEntry struct {
	paths PathRule
	text  string
	value item
}

func (l *loader) ruleObject(a argument) []ruleEntry {
	pairs, _ := l.pairs(a, true)
	first := map[string]hcl.Range{}
	var out []ruleEntry
	for _, p := range pairs {
		lit, ok := l.literalOf(a, p.keyed)
		if !ok {
			continue
		}
		if before, ok := first[lit.text]; ok {
			l.duplicateKey(p.at, before)
			continue
		}
		first[lit.text] = p.at
		paths, pathsOK := l.responsePaths(lit)
		if !l.showable(a, p.value) {
			continue
		}
		text, _, textOK := l.asText(a, p.value)
		if pathsOK && textOK {
			out = append(out, ruleEntry{PathRule{Paths: paths, Range: lit.rng}, text, p.value})
		}
	}
	return out
}

// cohorts decodes the cohort blocks and gives the names that they declare,
// those of broken ones included.
func (l *loader) cohorts(b *body, a *Audit) map[string]hcl.Range {
	s, _ := b.schema.Block("cohort")
	declared := map[string]hcl.Range{}
	first := map[string]hcl.Range{}
	for _, block := range b.blocksOf("cohort") {
		content := l.openBlock(s, block)
		name := block.Labels[0]
		good := l.goodName(name, block.LabelRanges[0], "cohort")
		if before, ok := first[name]; ok && good {
			l.duplicateName("cohort", name, block.LabelRanges[0], before)
			good = false
		} else if good {
			first[name] = block.LabelRanges[0]
		}
		all := l.expand(content, func(suffix string) {
			c := Cohort{Name: name + suffix, Range: diag.Range(headerRange(block))}
			decodeArguments(l, content, cohortFields, &c)
			if good {
				declared[c.Name] = block.LabelRanges[0]
				a.Cohorts = append(a.Cohorts, c)
			}
		})
		if !all {
			b.broken["cohort"] = true
		}
	}
	return declared
}

var cohortFields = fields[*Cohort]{
	"for_each": elsewhere[*Cohort],
	"args":     constants[*Cohort],
	"by": func(l *loader, a argument, c *Cohort) {
		if lit, ok := l.literalOf(a, a.expr); ok {
			c.By, _ = l.value(lit)
		}
	},
}

// gateState is a gate with what its arguments need of each other.
type gateState struct {
	Gate
	info    schema.MetricInfo
	cohorts map[string]hcl.Range
	gaps    bool // there are cohorts that are not in cohorts
}

func (l *loader) gates(b *body, a *Audit, cohorts map[string]hcl.Range) {
	s, _ := b.schema.Block("gate")
	first := map[string]hcl.Range{}
	for _, block := range b.blocksOf("gate") {
		l.uniqueTitle(block, first)
		content := l.openBlock(s, block)
		all := l.expand(content, func(suffix string) {
			g := gateState{cohorts: cohorts, gaps: b.broken["cohort"]}
			g.Name, g.Origin = block.Labels[0]+suffix, diag.Range(headerRange(block))
			decodeArguments(l, content, gateFields, &g)
			l.checkGate(content, &g)
			l.checkDecision(content, &g)
			a.Gates = append(a.Gates, g.Gate)
		})
		if !all {
			b.broken["gate"] = true
		}
	}
}

// gateFields relies on the order of the schema: metric comes before the limits
// that it gives a meaning.
var gateFields = fields[*gateState]{
	"for_each": elsewhere[*gateState],
	"enabled":  func(l *loader, a argument, g *gateState) { l.boolAttr(a, &g.Enabled) },
	"metric":   func(l *loader, a argument, g *gateState) { l.metric(a, g) },
	"max": func(l *loader, a argument, g *gateState) {
		l.limit(a, g, ParseLimit, limitForms, &g.Max)
	},
	"min": func(l *loader, a argument, g *gateState) {
		l.limit(a, g, ParseLimit, limitForms, &g.Min)
	},
	"max_increase": func(l *loader, a argument, g *gateState) {
		l.limit(a, g, ParseIncrease, increaseForms, &g.MaxIncrease)
	},
	"per":         func(l *loader, a argument, g *gateState) { l.dimensions(a, g) },
	"min_samples": func(l *loader, a argument, g *gateState) { l.countAttr(a, &g.MinSamples) },
	"decision":    keywordAttr(func(g *gateState) *Attr[string] { return &g.Decision }),
	"confidence":  func(l *loader, a argument, g *gateState) { l.shareAttr(a, &g.Confidence) },
	"abort":       func(l *loader, a argument, g *gateState) { l.boolAttr(a, &g.Abort) },
}

func (l *loader) metric(a argument, g *gateState) {
	names, ok := dotted(a.expr)
	given := strings.Join(names, ".")
	if info, known := schema.FindMetric(given); ok && known {
		g.info = info
		g.Metric = attrOf(a, given)
		return
	}
	d := diag.Diagnostic{
		Code: diag.UnknownMetric, Summary: "Unknown metric", Subject: a.rng(), Label: "no such metric",
	}
	if s, isText := stringLiteral(a.expr); isText && !l.json {
		d.Label = "a metric stands without quotes"
		given = s
		if _, known := schema.FindMetric(s); known {
			d.Help = "metric = " + s
			l.diags.Add(d)
			return
		}
	}
	d.Help = suggestion(given, schema.MetricNames(), "metrics are ")
	family := slices.DeleteFunc(schema.MetricNames(), func(m string) bool { return !strings.HasPrefix(m, given+".") })
	if len(family) > 0 {
		d.Help = "which one: " + orList(family) + "?"
	}
	l.diags.Add(d)
}

// limit decodes a limit in the units of the gate's metric. Without a metric
// there is nothing to check it against.
func (l *loader) limit(a argument, g *gateState, parse func(schema.MetricInfo, string) (Limit, error), forms func(schema.MetricInfo) string, into *Attr[Limit]) {
	if g.info.Name == "" {
		return
	}
	it, ok := l.plain(a)
	if !ok {
		return
	}
	takes := fmt.Sprintf("%s of %s is %s", a.Name, g.info.Name, forms(g.info))
	s, it, ok := l.asText(a, it)
	if !ok {
		l.diags[len(l.diags)-1].Detail = ""
		l.diags[len(l.diags)-1].Help = takes
		return
	}
	v, err := parse(g.info, s)
	if err != nil {
		l.invalid(diag.BadLimit, a, it, err.Error(), takes)
		return
	}
	*into = attrOf(a, v)
}

func (l *loader) dimensions(a argument, g *gateState) {
	exprs, diags := hcl.ExprList(a.expr)
	if diags.HasErrors() {
		l.diags.Add(diag.Diagnostic{
			Code: diag.WrongType, Summary: "Wrong type", Subject: a.rng(), Label: "not a list",
			Help: "per = " + a.Example,
		})
		return
	}
	var seen []string
	for _, expr := range exprs {
		before := len(l.diags)
		given, ok := l.dimensionName(expr)
		if len(l.diags) > before {
			continue
		}
		at := diag.Range(expr.Range())
		known := append([]string{"endpoint"}, prefixed("cohort.", sortedKeys(g.cohorts))...)
		if !ok || !slices.Contains(known, given) {
			if g.gaps && strings.HasPrefix(given, "cohort.") {
				continue
			}
			l.diags.Add(unknownDimension(at, given, known, expr))
			continue
		}
		if slices.Contains(seen, given) {
			l.diags.Add(diag.Diagnostic{
				Severity: diag.Warning, Code: diag.DuplicateKey, Summary: "Repeated value", Subject: at, Label: `stands twice in "per"`,
			})
			continue
		}
		seen = append(seen, given)
		g.Per = append(g.Per, Dimension{
			Endpoint: given == "endpoint",
			Cohort:   strings.TrimPrefix(strings.TrimPrefix(given, "endpoint"), "cohort."),
			Range:    at,
		})
	}
}
