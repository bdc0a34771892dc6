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

// fieldsAttr decodes the fields of a log into a source.
func fieldsAttr(l *loader, a argument, s *Source) {
	if fields, ok := l.logFields(a); ok {
		s.Fields = attrOf(a, fields)
	}
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

// checkMirror looks at what a mirror says about the access log beside it.
func (l *loader) checkMirror(b *body, s *Source) {
	const log, format = "access_log", "access_log_format"
	if b.has(log) {
		if !b.has(format) {
			l.conflict(b.at(log), "needs "+format, format+" = nginx_json")
		}
		l.checkLog(b, s, "access_log_")
		return
	}
	for _, name := range []string{format, "access_log_fields"} {
		if b.has(name) {
			a, _ := b.schema.Argument(log)
			l.conflict(b.at(name), "only goes with "+log, log+" = "+a.Example)
		}
	}
}

// checkLog looks at what the arguments say together that describe the lines of a
// log. prefix stands before their names.
func (l *loader) checkLog(b *body, s *Source, prefix string) {
	if !s.Format.Set {
		return // reported
	}
	name := prefix + "fields"
	fields, _ := b.schema.Argument(name)
	if s.Format.Value != "json" {
		if b.has(name) {
			l.conflict(b.at(name), "only goes with "+prefix+"format = json", "the names in every other log are known")
		}
		return
	}
	if !b.has(name) {
		l.conflict(s.Format.Range, "json needs "+name, name+" = "+fields.Example)
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
	if s.AccessLog.Set && !has("id") {
		missing = append(missing, "id is missing")
	}
	if len(missing) > 0 {
		l.conflict(s.Fields.Range, strings.Join(missing, "; "), name+" = "+fields.Example)
	}
}
