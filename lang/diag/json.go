package diag

import (
	"encoding/json"
	"io"

	"github.com/shadowaudit/shadowaudit/lang/pos"
)

// The JSON form has the field names of Terraform's "validate -json", which
// editors and CI systems already read, with code, help and rendered added.
// Lines and columns count from 1, bytes from 0.
type (
	jsonReport struct {
		FormatVersion string           `json:"format_version"`
		Valid         bool             `json:"valid"`
		ErrorCount    int              `json:"error_count"`
		WarningCount  int              `json:"warning_count"`
		Diagnostics   []jsonDiagnostic `json:"diagnostics"`
	}
	jsonDiagnostic struct {
		Severity Severity      `json:"severity"`
		Code     Code          `json:"code"`
		Summary  string        `json:"summary"`
		Detail   string        `json:"detail"`
		Help     string        `json:"help,omitempty"`
		Range    *jsonRange    `json:"range,omitempty"`
		Snippet  *jsonSnippet  `json:"snippet,omitempty"`
		Related  []jsonRelated `json:"related,omitempty"`
		Rendered string        `json:"rendered"`
	}
	jsonRange struct {
		Filename string  `json:"filename"`
		Start    pos.Pos `json:"start"`
		End      pos.Pos `json:"end"`
	}
	jsonSnippet struct {
		Code      string `json:"code"`
		StartLine int    `json:"start_line"`
		Start     int    `json:"highlight_start_offset"`
		End       int    `json:"highlight_end_offset"`
		Label     string `json:"label,omitempty"`
	}
	jsonRelated struct {
		Range jsonRange `json:"range"`
		Text  string    `json:"text"`
	}
)

// WriteJSON writes l as one JSON document with a newline at its end. Color and
// Width do not matter to it.
func (p Printer) WriteJSON(w io.Writer, l List) error {
	plain := Printer{Sources: p.Sources}
	report := jsonReport{FormatVersion: "1.0", Valid: !l.HasErrors(), Diagnostics: []jsonDiagnostic{}}
	report.ErrorCount, report.WarningCount = l.Count()
	for _, d := range l {
		report.Diagnostics = append(report.Diagnostics, plain.json(d))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

func (p Printer) json(d Diagnostic) jsonDiagnostic {
	j := jsonDiagnostic{
		Severity: d.Severity, Code: d.Code, Summary: d.Summary, Detail: d.Detail, Help: d.Help,
		Rendered: p.Text(d),
	}
	if !d.Subject.IsZero() {
		j.Range = &jsonRange{d.Subject.File, d.Subject.Start, d.Subject.End}
	}
	if line, ok := p.line(d.Subject); ok && !d.Sensitive {
		j.Snippet = &jsonSnippet{Code: string(line.text), StartLine: line.number, Start: line.start, End: line.end, Label: d.Label}
	}
	for _, r := range d.Related {
		j.Related = append(j.Related, jsonRelated{jsonRange{r.Range.File, r.Range.Start, r.Range.End}, r.Text})
	}
	return j
}
