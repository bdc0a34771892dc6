package cohort

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/shadowaudit/shadowaudit/engine/document"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
	"github.com/shadowaudit/shadowaudit/lang/jq"
)

// None is the label of an exchange that has no value for a cohort.
const None = "(none)"

// Cohort is a declared slice of the traffic: its name, and what tells the
// slices apart.
type Cohort struct {
	Name string    `json:"name"`
	By   *jq.Value `json:"by"`
}

const (
	maxValues     = 1000 // distinct values of one cohort; the rest is Other
	maxValueBytes = 80
)

// Labeler gives an exchange its value for each cohort. It belongs to one
// goroutine.
type Labeler struct {
	cohorts []Cohort
	static  []jq.Pattern // nil where the value has to be computed
	body    bool
	seen    []map[string]string
	errors  int64
}

// NewLabeler makes a labeler for the cohorts.
func NewLabeler(cohorts []Cohort) *Labeler {
	l := &Labeler{cohorts: cohorts, static: make([]jq.Pattern, len(cohorts)), seen: make([]map[string]string, len(cohorts))}
	for i, c := range cohorts {
		l.seen[i] = map[string]string{}
		if p, ok := c.By.Pattern(); ok {
			l.static[i] = p
		}
		l.body = l.body || c.By.NeedsBody()
	}
	return l
}

// Labels gives one value for each cohort, in the order of their declaration.
func (l *Labeler) Labels(ctx context.Context, x *traffic.Exchange) []string {
	if len(l.cohorts) == 0 {
		return nil
	}
	labels := make([]string, len(l.cohorts))
	var doc any
	for i, c := range l.cohorts {
		var v any
		if p := l.static[i]; p != nil {
			v, _ = document.Lookup(x, p)
		} else {
			if doc == nil {
				doc = document.Exchange(x, l.body)
			}
			var err error
			if v, err = c.By.Eval(ctx, doc); err != nil {
				l.errors++
			}
		}
		labels[i] = l.intern(i, text(v))
	}
	return labels
}

// intern keeps one copy of each value, and a bounded number of values.
func (l *Labeler) intern(i int, v string) string {
	if known, ok := l.seen[i][v]; ok {
		return known
	}
	if len(l.seen[i]) >= maxValues {
		return Other
	}
	v = strings.Clone(v) // it may be a piece of a whole message
	l.seen[i][v] = v
	return v
}

// Errors is how often a value could not be computed.
func (l *Labeler) Errors() int64 { return l.errors }

// text turns a jq value into a label.
func text(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
		return None
	case string:
		s = v
	case bool, int, float64, json.Number:
		s = fmt.Sprint(v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return None
		}
		s = string(b)
	}
	if s == "" {
		return None
	}
	if len(s) > maxValueBytes {
		cut := maxValueBytes
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}
