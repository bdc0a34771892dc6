package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// Assertion is an assert block. Everything in it but the result is decided.
type Assertion struct {
	Name   string
	Text   string // the condition as the spec has it, with what it depends on
	Origin pos.Range

	// Check decides the assertion. message is the error message where the
	// condition is false. An error means that the condition looks at something
	// that was not measured, so that there is no answer.
	Check func(ResultView) (ok bool, message string, err error)
}

// ResultView is what assert blocks see of the result of an audit, under the
// names in the tags. Latencies are in milliseconds and nil where nothing was
// measured; rates are from 0 to 1.
type ResultView struct {
	Outcomes  OutcomesView            `cty:"outcomes"`
	Traffic   TrafficView             `cty:"traffic"`
	Replay    ReplayView              `cty:"replay"`
	Endpoints map[string]EndpointView `cty:"endpoints"` // by name: "GET /api/orders/{id}"
	Gates     map[string]GateView     `cty:"gates"`     // by name
}

// OutcomesView counts pairs by the way they ended.
type OutcomesView struct {
	Total        int64 `cty:"total"`
	Matched      int64 `cty:"matched"`
	Ignored      int64 `cty:"ignored"`
	Mismatched   int64 `cty:"mismatched"`
	Failed       int64 `cty:"failed"`
	Inconclusive int64 `cty:"inconclusive"`
}

// TrafficView counts what was read and what became of it.
type TrafficView struct {
	Read            int64 `cty:"read"`
	Paired          int64 `cty:"paired"`
	Selected        int64 `cty:"selected"`
	Excluded        int64 `cty:"excluded"`
	SampledOut      int64 `cty:"sampled_out"`
	OutsideWindow   int64 `cty:"outside_window"`
	UnsafeSkipped   int64 `cty:"unsafe_skipped"`
	ScrubDropped    int64 `cty:"scrub_dropped"`
	NotSent         int64 `cty:"not_sent"`
	Malformed       int64 `cty:"malformed"`
	OrphanResponses int64 `cty:"orphan_responses"`
	Truncated       int64 `cty:"truncated"`
}

// ReplayView says how true the load was to the plan.
type ReplayView struct {
	RatePerS      float64 `cty:"rate_per_s"`
	LatenessP50MS float64 `cty:"lateness_p50_ms"`
	LatenessP99MS float64 `cty:"lateness_p99_ms"`
	LatenessMaxMS float64 `cty:"lateness_max_ms"`
}

// EndpointView is what one endpoint did.
type EndpointView struct {
	Pairs      int64    `cty:"pairs"`
	Matched    int64    `cty:"matched"`
	Mismatched int64    `cty:"mismatched"`
	Failed     int64    `cty:"failed"`
	ErrorsRate float64  `cty:"errors_rate"` // of the candidate
	Baseline   SideView `cty:"baseline"`
	Candidate  SideView `cty:"candidate"`
}

// SideView is what one target did at one endpoint.
type SideView struct {
	Errors int64    `cty:"errors"`
	P50MS  *float64 `cty:"p50_ms"`
	P95MS  *float64 `cty:"p95_ms"`
	P99MS  *float64 `cty:"p99_ms"`
}

// GateView is the outcome of a gate: the worst of its cohorts, where it has
// some.
type GateView struct {
	Verdict string `cty:"verdict"` // pass, fail, inconclusive, error, skipped
	Samples int64  `cty:"samples"` // of all cohorts
}

// resultType is the type of result in conditions.
var resultType = func() cty.Type {
	t, err := gocty.ImpliedType(ResultView{})
	if err != nil {
		panic(fmt.Sprintf("lang: the result has no type: %v", err)) // a test makes one
	}
	return t
}()

var assertFields = fields[*validation]{
	"condition":     func(_ *loader, a argument, v *validation) { v.condition = a.expr },
	"error_message": func(_ *loader, a argument, v *validation) { v.message = a.expr },
}

func (l *loader) assertions(b *body, a *Audit) {
	s, _ := b.schema.Block("assert")
	first := map[string]hcl.Range{}
	for _, block := range b.blocksOf("assert") {
		l.uniqueTitle(block, first)
		var v validation
		decodeArguments(l, l.openBlock(s, block), assertFields, &v)
		if v.condition == nil || v.message == nil {
			continue
		}
		out := Assertion{Name: block.Labels[0], Origin: diag.Range(headerRange(block))}
		if l.checkAssertion(&v) {
			out.Text = l.conditionText(&v)
			out.Check = v.checker(l.scope)
		}
		a.Assertions = append(a.Assertions, out)
	}
}

// checkAssertion evaluates condition and message with a result of which only
// the type is known.
func (l *loader) checkAssertion(v *validation) bool {
	if !mentions(v.condition, "result", "") {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadCondition, Summary: "Condition that judges nothing", Subject: diag.Range(v.condition.Range()),
			Label: "does not look at result",
			Help:  "the condition of an assert has to use result, such as result.outcomes.mismatched < 10",
		})
		return false
	}
	outer := l.scope
	l.scope, l.judging = withResult(outer, cty.UnknownVal(resultType)), true
	defer func() { l.scope, l.judging = outer, false }()

	condition, ok := l.typed(v.condition)
	if !ok {
		return false
	}
	if t := condition.val.Type(); t != cty.Bool && t != cty.DynamicPseudoType || condition.val.IsKnown() && condition.val.IsNull() {
		l.notACondition(v.condition, condition.val)
		return false
	}
	message, ok := l.typed(v.message)
	if !ok {
		return false
	}
	if message.val.Type() == cty.String && !message.val.IsKnown() && !message.sensitive {
		return true // it quotes the result
	}
	return l.goodMessage(message)
}

// typed evaluates an expression that may depend on what is not known yet.
func (l *loader) typed(expr hcl.Expression) (item, bool) {
	before := len(l.diags)
	it, ok := l.eval(expr)
	if ok || len(l.diags) > before {
		return it, ok
	}
	return it, !l.dependsOnMistake(expr)
}

// dependsOnMistake reports whether an expression reads a variable or local
// that has no value because of something that has been reported.
func (l *loader) dependsOnMistake(expr hcl.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool {
		if t.RootName() == "result" || len(t) < 2 {
			return false
		}
		val, diags := t[:2].TraverseAbs(l.scope)
		return diags.HasErrors() || !val.IsWhollyKnown()
	})
}

func withResult(scope *hcl.EvalContext, result cty.Value) *hcl.EvalContext {
	out := scope.NewChild()
	out.Variables = map[string]cty.Value{"result": result}
	return out
}

// conditionText is what an assertion means: its source, and the values that it
// takes from elsewhere.
func (l *loader) conditionText(v *validation) string {
	var b strings.Builder
	b.WriteString(l.textAt(v.condition.Range()))
	var seen []string
	for _, t := range v.condition.Variables() {
		name := l.textAt(t.SourceRange())
		if t.RootName() == "result" || slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		val, diags := t.TraverseAbs(l.scope)
		if diags.HasErrors() || val.ContainsMarked() {
			continue
		}
		if text, err := ctyjson.Marshal(val, val.Type()); err == nil {
			fmt.Fprintf(&b, "; %s = %s", name, text)
		}
	}
	return b.String()
}

// checker closes over the scope, which nothing changes any more.
func (v *validation) checker(scope *hcl.EvalContext) func(ResultView) (bool, string, error) {
	condition, message := v.condition, v.message
	return func(view ResultView) (bool, string, error) {
		result, err := gocty.ToCtyValue(view, resultType)
		if err != nil {
			return false, "", err
		}
		in := withResult(scope, result)
		val, diags := condition.Value(in)
		if diags.HasErrors() {
			return false, "", undecided(diags)
		}
		val, _ = val.UnmarkDeep()
		if val.IsNull() || !val.IsKnown() || val.Type() != cty.Bool {
			return false, "", errors.New("the condition is neither true nor false")
		}
		if val.True() {
			return true, "", nil
		}
		text, diags := message.Value(in)
		if text, _ = text.UnmarkDeep(); diags.HasErrors() || text.IsNull() || !text.IsKnown() || text.Type() != cty.String {
			return false, "The condition is false.", nil // what the message was to quote is not there
		}
		return false, text.AsString(), nil
	}
}

// undecided says in one sentence why a condition has no answer.
func undecided(diags hcl.Diagnostics) error {
	d := diags[0]
	switch {
	case d.Summary == "Invalid index" || d.Summary == "Missing map element":
		return errors.New("it looks at an endpoint or gate that is not in the result")
	case strings.Contains(d.Detail, "null"):
		return errors.New("it compares something that was not measured")
	}
	return errors.New(strings.ToLower(d.Summary))
}

// checkResult looks up the names behind result, as far as they are fixed.
func (l *loader) checkResult(t hcl.Traversal) bool {
	at := resultType
	name := "result"
	for _, step := range t[1:] {
		if at.IsMapType() {
			at = at.ElementType()
			name += "[...]"
			continue
		}
		key := attrName(step)
		if !at.IsObjectType() || key == "" {
			return true // hcl says it
		}
		if !at.HasAttribute(key) {
			known := sortedKeys(at.AttributeTypes())
			l.diags.Add(diag.Diagnostic{
				Code: diag.UnknownVariable, Summary: "Unknown attribute", Subject: diag.Range(step.SourceRange()),
				Label: fmt.Sprintf("%s has no %q", name, key), Help: suggestion(key, known, "there are "),
			})
			return false
		}
		at = at.AttributeType(key)
		name += "." + key
	}
	return true
}
