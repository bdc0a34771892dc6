package lang

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/shadowaudit/shadowaudit/lang/diag"
)

// logWords are the closed sets of the log fields that are no names of fields.
var logWords = map[string][]string{
	"time_unit":    {"text", "s", "ms", "us", "ns"},
	"time_is":      {"start", "end"},
	"latency_unit": {"ms", "s", "us", "ns"},
}

// logFields decodes the fields of an access_log, sorted by name.
func (l *loader) logFields(a argument) ([]LogField, bool) {
	pairs, all := l.pairs(a, false)
	first := map[string]hcl.Range{}
	var out []LogField
	for _, p := range pairs {
		if before, ok := first[p.key]; ok {
			l.duplicateKey(p.at, before)
			all = false
			continue
		}
		first[p.key] = p.at
		if !l.goodLogField(a, p) {
			all = false
			continue
		}
		out = append(out, LogField{Name: p.key, Value: p.value.val.AsString()})
	}
	slices.SortFunc(out, func(x, y LogField) int { return strings.Compare(x.Name, y.Name) })
	return out, all
}

func (l *loader) goodLogField(a argument, p pair) bool {
	if !slices.Contains(a.OneOf, p.key) {
		l.diags.Add(diag.Diagnostic{
			Code: diag.BadValue, Summary: "Unknown field", Subject: diag.Range(p.at), Label: "nothing of that name is read from a log",
			Help: suggestion(p.key, a.OneOf, "there are "),
		})
		return false
	}
	if p.value.val.IsNull() || p.value.val.Type() != cty.String {
		l.wrongType(a, p.value, "string")
		return false
	}
	text := p.value.val.AsString()
	words, closed := logWords[p.key]
	if text == "" || closed && !slices.Contains(words, text) {
		label := "empty"
		if closed {
			label = "has to be " + orList(words)
		}
		l.diags.Add(diag.Diagnostic{Code: diag.BadValue, Summary: "Invalid field", Subject: diag.Range(p.value.rng), Label: label})
		return false
	}
	return true
}

// checkLog looks at what the arguments of an access_log say together.
func (l *loader) checkLog(b *body, s *Source) {
	if !s.Format.Set {
		return // reported
	}
	fields, _ := b.schema.Argument("fields")
	if s.Format.Value != "json" {
		if b.has("fields") {
			l.conflict(b.at("fields"), "only goes with format = json", "the names in every other log are known")
		}
		return
	}
	if !b.has("fields") {
		l.conflict(s.Format.Range, "json needs fields", "fields = "+fields.Example)
		return
	}
	if !s.Fields.Set {
		return // reported
	}
	has := func(name string) bool {
		return slices.ContainsFunc(s.Fields.Value, func(f LogField) bool { return f.Name == name })
	}
	var missing []string
	if !has("time") {
		missing = append(missing, "time is missing")
	}
	if !has("request") && !(has("method") && has("uri")) {
		missing = append(missing, "request is missing, or method and uri")
	}
	if len(missing) > 0 {
		l.conflict(s.Fields.Range, strings.Join(missing, "; "), "fields = "+fields.Example)
	}
}
